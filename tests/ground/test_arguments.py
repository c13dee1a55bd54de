"""Tests of the checks of arguments: what is taken, and what each refusal says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import TypeAlias, cast

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

Check: TypeAlias = Callable[[str, object], object]

count = partial(whole_number, least=0)
seconds = partial(number, unit="seconds", advice="; 1 is usual")
positive = partial(number, above=0)
bounded = partial(number, unit="s", above=0, most=315_360_000)
timeout = partial(number, unit="seconds", above=0, finite=False)
user = partial(text_line, what="user id")


def numbers(name: str, value: object) -> None:
    """Check a list of numbers."""
    list_of(name, value, int, "numbers")


def choice(name: str, value: object) -> object:
    """Check a word that is one of two."""
    return one_of(name, cast("str", value), ("app", "bot"))


def each(rows: list[tuple[Check, list[object], str]]) -> dict[str, tuple[Check, object, str]]:
    """Return a row for each value, by a name of its own."""
    return {
        f"{getattr(check, '__name__', words)} {value!r}": (check, value, words)
        for check, values, words in rows
        for value in values
    }


# A check, values of another type, and what it says of them after the argument's name.
_NO_TEXT = "must be a text, not {type}"
_NO_LIST = "must be a list of numbers, not {type}: put it into [...]"
WRONG_TYPES = each(
    [
        (text, [None, 5, ["s3cret"]], _NO_TEXT),
        (text, [b"s3cret", bytearray(b"s3cret")], "must be a text, not {type}: decode it first"),
        (id_text, [None, [], True], _NO_TEXT),
        (id_text, [7350], "must be a text, not int: pass it as '7350'"),
        (text_line, [None, []], _NO_TEXT),
        (optional_id, [[]], _NO_TEXT),
        (optional_line, [[]], _NO_TEXT),
        (url_text, [None, [], True, 7350], _NO_TEXT),
        (bytes_of, [None, {}, 5, ["{}"]], "must be the bytes or the text of a request, not {type}"),
        (count, [True, 1.0, math.nan, "1", None, [1]], "must be a whole number, not {value}"),
        (number, [True, "1", None, [1.0], 1j], "must be a number, not {value}"),
        (seconds, [True, "1"], "must be a number of seconds, not {value}; 1 is usual"),
        (optional_truth, [0, 1, "true", "", [], b""], "must be True or False, not {value}"),
        (
            mapping,
            [None, "{}", [("a", 1)], {"a"}],
            "must be a mapping of names to values, not {type}",
        ),
        (mapping_of_texts, [None, []], "must be a mapping of names to values, not {type}"),
        (numbers, ["ab", b"ab", None, {"a": 1}, 3, {1}], _NO_LIST),
    ]
)


@pytest.mark.parametrize(("check", "value", "words"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_value_of_another_type_is_refused_by_the_arguments_name(
    check: Check, value: object, words: str
) -> None:
    """The error names the argument and what it got; a text's check never shows the value."""
    with pytest.raises(TypeError) as refused:
        check("key", value)
    assert str(refused.value) == "key " + words.format(type=type(value).__name__, value=repr(value))


_NO_LINE = "={value} has a line break or a control character: remove it"
_NO_URL = "={value} is not a URL: pass one like 'https://example.com/hooks/5d6f'"
WRONG_VALUES = each(
    [
        (id_text, ["", " \u3000"], " is empty: pass the id"),
        (id_text, [".", ".."], "={value} is not an id: it would change the request's path"),
        (id_text, [" 7350"], "=' 7350' has spaces around it: pass '7350'"),
        (id_text, ["7350\u00a0"], r"='7350\xa0' has spaces around it: pass '7350'"),
        (id_text, ["7\n", "7\r\nHost: evil", "7\x00", "7\x7f", "\ud800"], _NO_LINE),
        (id_text, ["7" * (LONGEST_ID + 1)], " has 257 characters: at most 256 are allowed"),
        (text_line, [""], " is empty: pass the text"),
        (user, ["a\nb"], "={value} has a line break or a control character: remove it"),
        (optional_id, ["", " "], " is empty: pass the id"),
        (optional_id, ["7\n"], _NO_LINE),
        (optional_line, [" 7"], "=' 7' has spaces around it: pass '7'"),
        (url_text, ["", " ", "example.com/hook", "ftp://example.com", "https://"], _NO_URL),
        (url_text, ["https:///hook", "https://example.com/a b", "https://example.com/\n"], _NO_URL),
        (url_text, [" https://example.com", "https://example.com:port", "https://[half"], _NO_URL),
        (url_text, ["https://example.com/\ud800"], _NO_URL),
        (partial(whole_number, least=3), [2, 0, -(10**30)], "={value} must be 3 or more"),
        (number, [math.nan, math.inf, -math.inf], "={value} must be finite"),
        (
            positive,
            [0, -0.0, -1, -5e-324, math.nan, math.inf],
            "={value} must be more than 0 and finite",
        ),
        (positive, [10**400], " is too large"),
        (bounded, [10**400], " is too large: it must be at most 315360000 s"),
        (
            bounded,
            [0, -1, 1e18, 315_360_001, math.inf, math.nan],
            "={value} must be more than 0 s and at most 315360000 s",
        ),
        (timeout, [math.nan, 0, -math.inf], "={value} must be more than 0 seconds"),
        (partial(number, finite=False), [math.nan], "=nan must be a number"),
        (timeout, [10**400], " is too large"),
        (
            choice,
            ["", "Bot", "robot", None, 1, ["bot"], b"bot"],
            "={value} must be one of 'app', 'bot'",
        ),
    ]
)


@pytest.mark.parametrize(("check", "value", "words"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_value_that_cannot_be_is_refused_by_the_arguments_name(
    check: Check, value: object, words: str
) -> None:
    """The error says, before anything is sent, what is wrong and what to pass."""
    with pytest.raises(ValueError, match=r"^key") as refused:
        check("key", value)
    assert str(refused.value) == "key" + words.format(value=repr(value))


def test_a_good_value_is_returned_as_it_is() -> None:
    """What may be left out may be None, any mapping will do, and no check changes a value."""
    good: list[tuple[Check, list[object]]] = [
        (text_line, [".."]),
        (optional_id, [None, "7350"]),
        (optional_line, [None, "7350"]),
        (url_text, ["https://example.com", "http://127.0.0.1:8080/a?b=c#d"]),
        (url_text, ["HTTPS://[::1]/", "https://u:p@h/"]),
        (timeout, [math.inf]),
        (partial(number, finite=False), [-math.inf]),
        (number, [-3, 0.5]),
        (positive, [5e-324, 1, 1e308]),
        (choice, ["bot"]),
        (optional_truth, [None, True, False]),
    ]
    for check, values in good:
        assert [check("key", value) for value in values] == values
    mappings: list[object] = [{}, {"a": "1"}, MappingProxyType({"a": "1"})]
    returns_nothing: list[tuple[Check, list[object]]] = [
        (mapping, [*mappings, {"a": 1}]),
        (mapping_of_texts, mappings),
        (count, [0]),
        (numbers, [[], [1], (1, 2)]),
    ]
    for check, values in returns_nothing:
        for value in values:
            check("key", value)


@given(st.text())
def test_an_accepted_line_is_itself(value: str) -> None:
    """A line is returned unchanged, or refused: it is one line, with nothing around it."""
    try:
        line = text_line("user_id", value)
    except ValueError as error:
        assert str(error).startswith("user_id")  # noqa: PT017  (both ends are looked at)
        return
    assert line == value == value.strip() != ""
    assert not re.search(r"[\x00-\x1f\x7f]", line)


def test_a_body_is_taken_as_a_framework_gives_it() -> None:
    """Bytes of any kind are bytes, and a text is encoded, half a letter included."""
    for body in (b"{}", bytearray(b"{}"), memoryview(b"{}"), "{}"):
        assert type(bytes_of("body", body)) is bytes
        assert bytes_of("body", body) == b"{}"
    assert bytes_of("body", "\ud800") == b"\xed\xa0\x80"


def test_an_entry_of_a_mapping_or_list_is_named() -> None:
    """The error names the entry that is of another type, not the argument alone."""
    for wrong in (1, None, True, b"1", ["1"]):
        with pytest.raises(TypeError, match=r"^ext\['b'\] must be a text, not "):
            mapping_of_texts("ext", {"a": "1", "b": wrong})
    with pytest.raises(TypeError, match=r"^tool_outputs\[1\] must be one of numbers, not str$"):
        numbers("tool_outputs", [1, "2"])


def test_a_message_stays_short() -> None:
    """Ten megabytes in an argument make no message of ten megabytes."""
    long = "x" * 10_000_000
    checks: tuple[Check, ...] = (id_text, url_text, count, number, choice, optional_truth, mapping)
    calls = [*((check, long) for check in (*checks, numbers)), (id_text, "\n" * 10_000_000)]
    for check, value in (*calls, (mapping_of_texts, {long: 5})):
        with pytest.raises((TypeError, ValueError)) as refused:
            check("key", value)
        assert len(str(refused.value)) < 300, check
