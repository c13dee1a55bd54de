"""Tests of the checks of arguments: what is taken, and what each refusal says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import cast

import pytest
from hypothesis import given, strategies as st

from asyncclient._arguments import (
    LONGEST_ID,
    id_text,
    mapping,
    number,
    one_of,
    optional_id,
    optional_line,
    text,
    text_line,
    whole_number,
)
from asyncclient.providers.copyai._webhooks import bytes_of, url_text
from asyncclient.providers.coze._bodies import list_of, mapping_of_texts, optional_truth

_SECRET = "s3cret"
_TEN_MEGABYTES = "x" * 10_000_000


# --- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "key must be a text, not NoneType"),
        (5, "key must be a text, not int"),
        (_SECRET.encode(), "key must be a text, not bytes: decode it first"),
        ([_SECRET], "key must be a text, not list"),
    ],
    ids=["None", "number", "bytes", "list"],
)
def test_what_is_no_text_is_refused_without_showing_it(value: object, words: str) -> None:
    """The error names the argument and its type, and never shows what may be a secret."""
    with pytest.raises(TypeError, match=f"^{words}$"):
        text("key", value)


@pytest.mark.parametrize("check", [id_text, text_line, url_text])
@pytest.mark.parametrize("value", [None, b"7", [], True, 7350], ids=repr)
def test_a_line_is_a_text(check: Callable[[str, object], str], value: object) -> None:
    """Every check of a text refuses what is none by the argument's name."""
    with pytest.raises(TypeError, match=f"^bot_id must be a text, not {type(value).__name__}"):
        check("bot_id", value)


def test_a_number_for_an_id_is_answered_with_the_text() -> None:
    """An id that was read as a number is shown as it should be passed; a truth value is not."""
    with pytest.raises(TypeError, match="not int: pass '7350'"):
        id_text("bot_id", 7350)
    with pytest.raises(TypeError, match=r"not bool$"):
        id_text("bot_id", value=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "bot_id is empty: pass the id"),
        (" \u3000", "bot_id is empty: pass the id"),
        (".", "bot_id='.' is not an id: it would change the request's path"),
        ("..", "bot_id='..' is not an id: it would change the request's path"),
        (" 7350", "bot_id=' 7350' has spaces around it: pass '7350'"),
        ("7350\u00a0", r"bot_id='7350\xa0' has spaces around it: pass '7350'"),
        ("7\n", "has a line break or a control character: it is no id"),
        ("7\r\nHost: evil", "has a line break or a control character"),
        ("7\x00", "has a line break or a control character"),
        ("7\x7f", "has a line break or a control character"),
        ("\ud800", "has a line break or a control character"),
        ("7" * (LONGEST_ID + 1), "bot_id has 257 characters, and no id has more than 256"),
    ],
    ids=[
        "empty",
        "blank",
        "dot",
        "two dots",
        "space",
        "hard space",
        "newline",
        "header",
        "null",
        "delete",
        "half a letter",
        "too long",
    ],
)
def test_what_is_no_id_is_refused_by_its_name(value: str, words: str) -> None:
    """A wrong id raises before anything is sent, with the argument's name and what to do."""
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        id_text("bot_id", value)
    assert str(refused.value).startswith("bot_id")


@given(st.text())
def test_an_accepted_line_is_itself(value: str) -> None:
    """What is taken is returned unchanged: one line, with nothing around it."""
    try:
        line = text_line("user_id", value)
    except ValueError as error:
        assert str(error).startswith("user_id")  # noqa: PT017  (both ends are looked at)
        return
    assert line == value == value.strip() != ""
    assert not re.search(r"[\x00-\x1f\x7f]", line)


def test_a_line_is_named_as_what_it_is() -> None:
    """A user's name is not called an id of a path, and may be dots."""
    assert text_line("user_id", "..", "user id") == ".."
    with pytest.raises(ValueError, match="it is no user id"):
        text_line("user_id", "a\nb", "user id")


@pytest.mark.parametrize("check", [optional_id, optional_line])
@pytest.mark.parametrize("value", ["", " ", "7\n", " 7"], ids=repr)
def test_a_line_may_be_left_out_but_not_be_wrong(
    check: Callable[[str, object], str | None], value: str
) -> None:
    """None stays None, a text is returned, and a wrong one raises by its name."""
    assert check("bot_id", None) is None
    assert check("bot_id", "7350") == "7350"
    with pytest.raises(ValueError, match="bot_id"):
        check("bot_id", value)


@pytest.mark.parametrize(
    "good",
    ["https://example.com", "http://127.0.0.1:8080/a?b=c#d", "HTTPS://[::1]/", "https://u:p@h/"],
)
def test_a_url_is_returned_as_it_is(good: str) -> None:
    """An address to be called may have all that URLs have."""
    assert url_text("url", good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "example.com/hook",
        "ftp://example.com",
        "https://",
        "https:///hook",
        "https://example.com/a b",
        "https://example.com/\n",
        " https://example.com",
        "https://example.com:port",
        "https://[half",
        "https://example.com/\ud800",
    ],
    ids=repr,
)
def test_what_is_no_url_is_refused(bad: str) -> None:
    """The error is about a URL, and shows one that would do."""
    with pytest.raises(ValueError, match=r"^url=.* is not a URL: pass one like 'https://"):
        url_text("url", bad)


def test_a_body_is_taken_as_a_framework_gives_it() -> None:
    """Bytes of any kind are bytes, and a text is encoded, half a letter included."""
    for body in (b"{}", bytearray(b"{}"), memoryview(b"{}"), "{}"):
        assert type(bytes_of("body", body)) is bytes
        assert bytes_of("body", body) == b"{}"
    assert bytes_of("body", "\ud800") == b"\xed\xa0\x80"


@pytest.mark.parametrize("wrong", [None, {}, 5, ["{}"]], ids=repr)
def test_what_is_no_body_is_refused(wrong: object) -> None:
    """A body that a framework has parsed already is refused with what to pass."""
    with pytest.raises(TypeError, match=r"^body must be the bytes or the text of a request, not "):
        bytes_of("body", wrong)


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [True, False, 1.0, math.nan, "1", None, [1]], ids=repr)
def test_a_count_is_a_whole_number(wrong: object) -> None:
    """A truth value, a float, a text or nothing raises with the argument's name and the value."""
    with pytest.raises(TypeError, match=r"^page_num must be a whole number, not ") as refused:
        whole_number("page_num", wrong, least=0)
    assert repr(wrong) in str(refused.value)


@given(st.integers(), st.integers())
def test_a_count_has_a_least_value(value: int, least: int) -> None:
    """A count under its least value raises with both, and any other is taken."""
    if value >= least:
        whole_number("page_num", value, least=least)
        return
    with pytest.raises(ValueError, match=f"^page_num={value} must be {least} or more$"):
        whole_number("page_num", value, least=least)


@pytest.mark.parametrize("wrong", [True, "1", None, [1.0], 1j], ids=repr)
def test_a_number_is_a_number(wrong: object) -> None:
    """Anything else raises with the argument's name, its unit, the value and the advice."""
    words = re.escape(f"timeout must be a number of seconds, not {wrong!r}; 1 is usual")
    with pytest.raises(TypeError, match=f"^{words}$"):
        number("timeout", wrong, unit="seconds", advice="; 1 is usual")
    with pytest.raises(TypeError, match=r"^timeout must be a number, not "):
        number("timeout", wrong)


@given(st.integers() | st.floats())
def test_a_number_is_finite_and_over_its_bound(value: float) -> None:
    """A number is returned as a float where it is in range, and else refused with the range."""
    try:
        in_range = 0 < float(value) < math.inf
    except OverflowError:
        in_range = False
    if in_range:
        assert number("rate", value, above=0) == float(value)
        return
    words = r"^rate(=.* must be more than 0 and finite| is too large)$"
    with pytest.raises(ValueError, match=words):
        number("rate", value, above=0)


def test_infinity_is_a_number_for_those_who_mean_it() -> None:
    """It is taken where it is allowed; NaN and what no float holds never are."""
    assert number("timeout", math.inf, unit="seconds", above=0, finite=False) == math.inf
    assert number("timeout", -math.inf, finite=False) == -math.inf
    assert number("timeout", -3) == -3
    with pytest.raises(ValueError, match=r"^first=nan must be finite$"):
        number("first", math.nan)
    with pytest.raises(ValueError, match=r"^timeout=nan must be a number$"):
        number("timeout", math.nan, finite=False)
    with pytest.raises(ValueError, match=r"^timeout=0 must be more than 0 seconds$"):
        number("timeout", 0, unit="seconds", above=0, finite=False)
    with pytest.raises(ValueError, match=r"^timeout is too large$"):
        number("timeout", 10**400, finite=False)


# --- words, mappings, lists -------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["", "Bot", "robot", None, 1, ["bot"], b"bot"], ids=repr)
def test_a_choice_is_one_of_its_words(wrong: object) -> None:
    """Any other word raises with the argument's name and all that would do."""
    assert one_of("entity_type", "bot", ("app", "bot")) == "bot"
    with pytest.raises(ValueError, match=r"^entity_type=.* must be one of 'app', 'bot'$"):
        one_of("entity_type", cast("str", wrong), ("app", "bot"))


@pytest.mark.parametrize("wrong", [0, 1, "true", "", [], b""], ids=repr)
def test_a_truth_value_is_true_or_false(wrong: object) -> None:
    """None stays None, both are taken, and nothing else is taken for them."""
    assert [optional_truth("draft", one) for one in (None, True, False)] == [None, True, False]
    with pytest.raises(TypeError, match=r"^draft must be True or False, not "):
        optional_truth("draft", wrong)


@pytest.mark.parametrize("check", [mapping, mapping_of_texts])
@pytest.mark.parametrize("wrong", [None, "{}", [], [("a", 1)], 1, {"a"}], ids=repr)
def test_inputs_are_a_mapping(check: Callable[[str, object], None], wrong: object) -> None:
    """Inputs that are no mapping raise with the argument's name and what they are."""
    with pytest.raises(
        TypeError, match=f"^parameters must be a mapping .* not {type(wrong).__name__}$"
    ):
        check("parameters", wrong)


def test_any_mapping_will_do() -> None:
    """A dict, an empty one and a mapping of another type are taken."""
    for inputs in ({}, {"a": "1"}, MappingProxyType({"a": "1"})):
        mapping("parameters", inputs)
        mapping_of_texts("parameters", inputs)
    mapping("parameters", {"a": 1})


@pytest.mark.parametrize("wrong", [1, None, True, b"1", ["1"]], ids=repr)
def test_a_value_that_must_be_a_text_is_named(wrong: object) -> None:
    """The error names the entry of the mapping, not the mapping alone."""
    with pytest.raises(TypeError, match=r"^ext\['b'\] must be a text, not "):
        mapping_of_texts("ext", {"a": "1", "b": wrong})


@pytest.mark.parametrize("wrong", ["ab", b"ab", None, {"a": 1}, 3, {1}], ids=repr)
def test_a_list_is_a_list(wrong: object) -> None:
    """A text, which is a sequence of letters, a mapping or nothing raises by the name."""
    with pytest.raises(
        TypeError, match=r"^tool_outputs must be a list of numbers, not .*\[\.\.\.\]"
    ):
        list_of("tool_outputs", wrong, int, "numbers")


def test_an_item_of_a_list_is_named() -> None:
    """The error says which item is of another kind; lists and tuples of the kind are taken."""
    for good in ([], [1], (1, 2)):
        list_of("tool_outputs", good, int, "numbers")
    with pytest.raises(TypeError, match=r"^tool_outputs\[1\] must be one of numbers, not str$"):
        list_of("tool_outputs", [1, "2"], int, "numbers")


_HUGE: dict[str, Callable[[], object]] = {
    "id": lambda: id_text("id", _TEN_MEGABYTES),
    "newlines": lambda: id_text("id", "\n" * 10_000_000),
    "URL": lambda: url_text("url", _TEN_MEGABYTES),
    "count": lambda: whole_number("n", _TEN_MEGABYTES, least=0),
    "number": lambda: number("n", _TEN_MEGABYTES),
    "choice": lambda: one_of("word", _TEN_MEGABYTES, ("a", "b")),
    "truth value": lambda: optional_truth("t", _TEN_MEGABYTES),
    "mapping": lambda: mapping("m", _TEN_MEGABYTES),
    "key": lambda: mapping_of_texts("m", {_TEN_MEGABYTES: 5}),
    "list": lambda: list_of("l", _TEN_MEGABYTES, str, "texts"),
}


@pytest.mark.parametrize("what", _HUGE)
def test_a_message_stays_short_whatever_was_passed(what: str) -> None:
    """Ten megabytes in an argument make no message of ten megabytes."""
    with pytest.raises((TypeError, ValueError)) as refused:
        _HUGE[what]()
    assert len(str(refused.value)) < 300
