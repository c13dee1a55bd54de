"""Reading an answer as far as it goes, where it is not quite as it was declared."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient._http.lenient import STRICT, StatusWord, decode_leniently

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


class Part(msgspec.Struct):
    """What may stand in a list or under a name."""

    id: str | None = None
    size: int = 7


class Whole(msgspec.Struct, rename="camel"):
    """One field of each form."""

    status: StatusWord = None
    kind: Annotated[str, STRICT] = ""
    page: Annotated[list[Part] | None, STRICT] = None
    text: str | None = None
    count: int | None = None
    share: float | None = None
    is_done: bool | None = None
    weight: float = 1.0
    is_set: bool = False
    amount: int | float | str | None = None
    code: int | str | None = 0
    parts: list[Part] = msgspec.field(default_factory=list[Part])
    named: dict[str, Part] | None = None
    any: object = None


class Required(msgspec.Struct):
    """What cannot be left out."""

    data: list[Part]
    id: str


def _read(body: str) -> Whole:
    found = decode_leniently(body.encode(), Whole)
    assert isinstance(found, Whole)
    return found


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ('{"text": "cut \\ud83d"}', "text", "cut \ufffd"),
        ('{"any": {"cut \\udc00": ["\\ud83d"]}}', "any", {"cut \ufffd": ["\ufffd"]}),
        ('{"text": "\\ud83d\\ude00"}', "text", "\U0001f600"),
        ('\ufeff{"text": "a"}', "text", "a"),
        ('\r\n\ufeff\ufeff\t {"text": "a"}', "text", "a"),
        ('{"text": "a\tb"}', "text", "a\tb"),
        ('{"text": 12345678901234567890}', "text", "12345678901234567890"),
        ('{"text": 1.5}', "text", "1.5"),
        ('{"text": true}', "text", None),
        ('{"text": {"a": 1}}', "text", None),
        ('{"count": "12"}', "count", 12),
        ('{"count": 12345678901234567891}', "count", 12345678901234567891),
        ('{"count": -9007199254740991.0}', "count", -9007199254740991),
        ('{"count": 12.0}', "count", 12),
        ('{"count": "12.5"}', "count", None),
        ('{"count": 1e999}', "count", None),
        (f'{{"count": {"9" * 40}, "text": 1}}', "count", int("9" * 40)),
        (f'{{"count": "{"9" * 40}"}}', "count", int("9" * 40)),
        (f'{{"count": {"9" * 41}}}', "count", None),
        (f'{{"count": "{"9" * 41}"}}', "count", None),
        # An id that came as a float: its digits are all there, or it is not read.
        ('{"text": 7.0}', "text", "7"),
        ('{"text": 7.431e18}', "text", None),
        ('{"count": 9007199254740993.0}', "count", None),
        (f'{{"any": {"9" * 5000}}}', "any", None),
        ('{"count": ""}', "count", None),
        ('{"count": true}', "count", None),
        ('{"share": "0.5"}', "share", 0.5),
        ('{"share": "nan"}', "share", None),
        ('{"share": NaN}', "share", None),
        ('{"isDone": 1}', "is_done", None),
        ('{"isDone": false}', "is_done", False),
        ('{"isDone": true, "count": ""}', "is_done", True),
        ('{"share": 0.5, "count": ""}', "share", 0.5),
        ('{"isSet": true, "count": ""}', "is_set", True),
        ('{"isSet": 1}', "is_set", False),
        ('{"weight": "x"}', "weight", 1.0),
        ('{"text": "cut \\uD83D"}', "text", "cut \ufffd"),
        ('{"amount": 1.5}', "amount", 1.5),
        ('{"code": 4.1}', "code", 0),
        ('{"code": "5", "count": ""}', "code", "5"),
        ('{"parts": null}', "parts", []),
        ('{"parts": {}}', "parts", []),
        ('{"parts": [1, {"size": "8"}, null, {"size": []}]}', "parts", [Part(size=8), Part()]),
        ('{"named": [1]}', "named", None),
        ('{"named": {"a": 1, "b": {"id": 5}}}', "named", {"b": Part("5")}),
        ('{"status": "Success", "count": ""}', "status", "Success"),
        ('{"status": null, "count": ""}', "status", None),
        ('{"page": null, "count": ""}', "page", None),
        ('{"page": [{"size": "8"}], "count": ""}', "page", [Part(size=8)]),
    ],
)
def test_a_field_is_read_as_far_as_it_goes(body: str, field: str, value: object) -> None:
    """What cannot be read is as it is by default; what can is converted."""
    found = getattr(_read(body), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"]}": ', "}")])
def test_what_python_cannot_follow_is_cut(begin: str, end: str) -> None:
    """Deeper than 100 levels there is null; what stands beside it is all there."""
    for depth in (101, 1_000, 10_000):  # which of them it can follow, its version decides
        deep = begin * depth + "1" + end * depth
        found = _read(f'{{"text": "\\ud83d", "any": {deep}, "status": "Success"}}')
        assert found.status == "Success"
    deep = begin * 100_000 + "1" + end * 100_000
    found = _read(f'{{"any": ["]", {deep}, "\\"["], "text": {deep}, "status": "Success"}}')
    assert (found.status, found.text) == ("Success", None)
    kept = begin * 98 + "null" + end * 98
    assert found.any == json.loads(f'["]", {kept}, "\\"["]')
    assert decode_leniently(f"[{deep}]".encode(), object) == json.loads(f"[{begin}{kept}{end}]")
    for depth in (97, 98, 99, 100):  # each bracket alone
        opened = begin.replace("[", "[ ").replace("{", " {") * depth
        one = f'"any": [{opened} 1 {f"{end} " * depth}, 2]'
        inner = "1" if depth <= 98 else "null"
        kept = f"{begin * min(depth, 98)} {inner} {end * min(depth, 98)}"
        found = _read(f'{{{one}, "text": {deep}, "status": "Success"}}')
        assert found.any == json.loads(f"[{kept}, 2]")


def test_a_byte_that_is_no_letter_becomes_a_mark() -> None:
    """A body with bytes that are no UTF-8 is read all the same."""
    assert decode_leniently(b'{"text": "a\xff"}', Whole) == Whole(text="a\ufffd")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_any_unicode_is_read(encoding: str) -> None:
    """A byte order mark says which it is, or where zeros stand."""
    body = '{"status": "Success", "text": "\u00fc\\ud83d"}'.encode(encoding)
    assert decode_leniently(body, Whole) == Whole("Success", text="\u00fc\ufffd")


@pytest.mark.parametrize(
    "body",
    [
        *(f'{{"status": {value}}}' for value in ("5", '["Success"]', "{}", "true")),
        *(f'{{"kind": {value}}}' for value in ("5", "null")),
        *(f'{{"page": {value}}}' for value in ("{}", "5", '"[]"')),
        *("[]", "null", "<html>", "", '{"text": ', '{"any": ' + "[" * 200_000),
    ],
)
def test_what_decides_is_read_strictly(body: str) -> None:
    """A status word of another type, or a body of another form, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        _read(body)


def test_a_required_field_is_not_made_up() -> None:
    """Only a list that is missing is empty: an id that is missing is refused."""
    assert decode_leniently(b'{"id": 5}', Required) == Required([], "5")
    for body in (b'{"data": []}', b'{"data": 5, "id": "a"}', b'{"id": null}'):
        with pytest.raises(ValueError, match=r"^it does not have the form that was declared$"):
            decode_leniently(body, Required)


_STRICT = ("status", "kind", "page")
_OTHERS = [each.encode_name for each in msgspec.structs.fields(Whole) if each.name not in _STRICT]


@given(st.dictionaries(st.sampled_from(_OTHERS), _JSON))
def test_no_value_beside_the_status_hides_it(others: dict[str, object]) -> None:
    """With any JSON in all other fields the word is read, and each field has its type."""
    body = msgspec.json.encode({"status": "Success", **others})
    found = decode_leniently(body, Whole)
    assert isinstance(found, Whole)
    assert found.status == "Success"
    assert msgspec.convert(msgspec.to_builtins(found), Whole) == found


def test_an_item_whose_status_cannot_be_read_is_not_passed_over() -> None:
    """What is no item is left out of a list; an item that cannot be read refuses the answer."""
    assert decode_leniently(b'[{"status": "a"}, 5, null]', list[Whole]) == [Whole(status="a")]
    with pytest.raises(ValueError, match="form"):
        decode_leniently(b'[{"status": "a"}, {"status": 5}]', list[Whole])
