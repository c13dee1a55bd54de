"""Reading what a provider answers: refusals and envelopes, quoted numbers, JSON in text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient._http import Response, error_type, refusal_error
from asyncclient.errors import APIError, AsyncClientError, DecodeError, QuotaExceeded
from asyncclient.providers import _reading
from asyncclient.providers._reading import (
    as_int,
    as_object,
    as_text,
    enveloped,
    open_json,
    reader,
)
from tests.http.test_decoding import Item, Listing


def answer(status: int, body: bytes) -> Response:
    """Return an HTTP answer."""
    return Response(status, {}, body)


def _no_refusal(_response: Response, _name: str) -> None:
    """Say of any answer that it is no refusal."""


def _quota(response: Response, name: str) -> APIError:
    return refusal_error(QuotaExceeded, response, name=name, code=4028)


def _never(_answer: object) -> bool:
    return False


def _has_no_items(listing: Listing) -> bool:
    return not listing.data


STATUSES = (199, 302, 404, 500)
GOOD, EMPTY, MISFIT = b'{"data":[{"execute_id":"7"}]}', b'{"data":[]}', b'{"code":4028,"data":5}'


@pytest.mark.parametrize(
    ("status", "body", "refused_by", "says_no", "kind"),
    [
        (200, GOOD, _quota, _never, None),
        (200, GOOD, _quota, _has_no_items, None),
        # One that does not decode is the provider's refusal if it is one, else a misfit.
        (200, MISFIT, _quota, _never, QuotaExceeded),
        (200, MISFIT, _no_refusal, _never, DecodeError),
        # What says no is an error, the provider's own or else one of no special kind.
        (200, EMPTY, _quota, _has_no_items, QuotaExceeded),
        (200, EMPTY, _no_refusal, _has_no_items, APIError),
        # Outside 2xx none is decoded: it is the provider's own error, else that of the status.
        *((status, EMPTY, _quota, _never, QuotaExceeded) for status in STATUSES),
        *((status, EMPTY, _no_refusal, _never, error_type(status)) for status in STATUSES),
    ],
)
def test_an_answer_is_decoded_or_says_why_not(
    status: int,
    body: bytes,
    refused_by: Callable[[Response, str], APIError | None],
    says_no: Callable[[Listing], bool],
    kind: type[AsyncClientError] | None,
) -> None:
    """A refusal goes before the shape of what it stands in."""
    response, read = answer(status, body), reader("n", Listing, refused_by, says_no)
    if kind is None:
        assert read(response) == Listing([Item("7")])
        return
    with pytest.raises(kind, match="n: HTTP") as caught:
        read(response)
    assert type(caught.value) is kind
    assert not isinstance(caught.value, APIError) or caught.value.status == status
    is_misfit = body is MISFIT and kind is QuotaExceeded
    assert isinstance(caught.value.__cause__, DecodeError) == is_misfit


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((7, 7), ("7", 7), (None, None)),
        # The last has more digits than Python reads.
        *((text, None) for text in ("", "-7", "7.5", " 7", "\u0667", "²", "9" * 5000)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_number_may_come_quoted(value: int | str | None, number: int | None) -> None:
    """A number in text is a number, and any other text is none, without an error."""
    assert as_int(value) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("{}", "{}"),
        ({"a": [1, "é"]}, '{"a":[1,"é"]}'),
        (10**30, "1" + "0" * 30),
    ],
    ids=repr,
)
def test_any_value_can_be_shown_as_a_text(value: object, text: str | None) -> None:
    """A text is itself, also one of JSON; all else is written as JSON."""
    assert as_text(value) == text


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text("abc 123-é", max_size=8)
)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Draw arrays and objects of what is given."""
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)


# Any JSON value without JSON in its texts.
VALUES = st.recursive(cast("st.SearchStrategy[object]", LEAVES), containers, max_leaves=12)


def is_open(text: str) -> bool:
    """Return whether a text is JSON of a kind that is opened."""
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return value is None or isinstance(value, dict | list)


LONE = ["", " ", "7", "1" * 23, "-1.5", "1e5", "true", "false", '"text"', '"{}"', "NaN", "None"]
NO_JSON = ["{not json}", "[1, 2", "{'a': 1}", "nul", "nullnull", "[1] [2]", "["]


@given(st.text().filter(lambda text: not is_open(text)))
def test_a_text_that_is_no_array_or_object_stays_as_it_is(text: str) -> None:
    """Plain text comes back untouched, spaces included; a lone value may be an id or an answer."""
    for each in (text, *LONE, *NO_JSON):
        assert open_json(each) == each
        assert open_json({"a": [each]}) == {"a": [each]}


@given(VALUES)
def test_a_value_without_json_in_it_stays_as_it_is(value: object) -> None:
    """Only JSON in text is changed."""
    assert open_json(value) == value


@given(st.lists(VALUES) | st.dictionaries(st.text(max_size=5), VALUES), st.integers(0, 3))
def test_an_array_or_object_in_text_is_opened(value: object, spaces: int) -> None:
    """JSON in text, and in texts inside it, is opened to the value that was written."""
    once = " " * spaces + json.dumps(value) + "\n" * spaces
    assert open_json(once) == value
    twice = json.dumps({"output": once, "plain": "words"})
    assert open_json(twice) == {"output": value, "plain": "words"}
    assert open_json([{"data": twice}]) == [{"data": {"output": value, "plain": "words"}}]


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ('{"a": "cut \\ud83d"}', {"a": "cut \ufffd"}),
        ('[{"a": "\\udc00"}, "[1]"]', [{"a": "\ufffd"}, [1]]),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": NaN}', {"a": None}),
    ],
)
def test_json_in_text_is_read_as_far_as_an_answer_is(text: str, opened: object) -> None:
    """What a node put out may be cut within a letter, or have a line break as it is."""
    assert open_json({"Output": text}) == {"Output": opened}


@pytest.mark.parametrize("text", ["null", " null\n"], ids=repr)
def test_a_null_in_text_is_none(text: str) -> None:
    """The text `null` means that there is nothing, at the top and inside."""
    assert open_json(text) is None
    assert open_json({"output": text}) == {"output": None}


def layers(number: int) -> str:
    """Write JSON in JSON in JSON, of this depth."""
    text = "core"
    for _ in range(number):
        text = json.dumps({"in": text})
    return text


@pytest.mark.parametrize(("written", "opened"), [(1, 1), (8, 8), (9, 8), (12, 8)])
def test_a_bounded_number_of_layers_is_opened(written: int, opened: int) -> None:
    """Opening stops at eight layers, and leaves the rest as text."""
    value = open_json(layers(written))
    for _ in range(opened):
        inside = as_object(value)
        assert inside is not None
        value = inside["in"]
    assert value == layers(written - opened)


def test_the_caller_keeps_its_own_value() -> None:
    """Opening makes a new value, and leaves the given one alone."""
    value: dict[str, object] = {"a": ["[1]"], "b": "null"}
    assert open_json(value) == {"a": [[1]], "b": None}
    assert value == {"a": ["[1]"], "b": "null"}


@pytest.mark.parametrize("depth", [100, 600, 5_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"]
)
def test_deep_nesting_in_text_is_opened_or_left(opening: str, closing: str, depth: int) -> None:
    """Text nested deeper than Python can follow stays text; what stands beside it is opened."""
    text = opening * depth + "1" + closing * depth
    opened = as_object(open_json({"deep": text, "plain": '{"a": 1}'}))
    assert opened is not None
    assert opened["deep"] == text or isinstance(opened["deep"], list | dict)
    assert opened["plain"] == {"a": 1}


@pytest.mark.parametrize("depth", [600, 5_000])
def test_a_value_nested_too_deeply_to_follow_is_left(depth: int) -> None:
    """A value that is nested deeper than Python can follow comes back, and raises nothing."""
    value: object = "core"
    for _ in range(depth):
        value = [value]
    assert isinstance(open_json(value), list)


class _Wrapped(msgspec.Struct):
    data: Listing | int


def test_an_endpoint_opens_its_envelope() -> None:
    """What stands in the envelope is the answer, and remembers the response if it can."""
    wrapped = msgspec.json.Decoder(_Wrapped)
    response = answer(200, b'{"data": {"data": []}}')
    endpoint = enveloped("n", "POST", lambda one: wrapped.decode(one.body), idempotent=False)
    assert (endpoint.name, endpoint.method, endpoint.idempotent) == ("n", "POST", False)
    opened = endpoint.read(response)
    assert isinstance(opened, Listing)
    assert opened.response is response
    assert endpoint.read(answer(200, b'{"data": 5}')) == 5


def test_a_text_that_would_take_too_much_memory_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run's output of some megabytes may be JSON that takes a gigabyte as objects."""
    assert vars(_reading)["MOST_DECODED"] == 128 << 20
    monkeypatch.setattr(_reading, "MOST_DECODED", 1 << 20)  # which is over in no time
    text = f"[{'[],' * 24_000}0]"
    assert open_json({"output": text}) == {"output": text}
    half = f"[{'[],' * 7_000}0]"  # two of them would be too much
    opened = open_json({"one": half, "two": half, "three": "[1]"})
    assert opened == {"one": json.loads(half), "two": half, "three": [1]}
