"""Tests of the texts of others: of any object there is one, and it is bounded."""

from __future__ import annotations

import pytest

from asyncclient._text import LONGEST_TEXT, LONGEST_WORD, shown, text_of, type_name, whole
from tests.hostile import ERRORS, HUGE, OBJECTS, Letters, Raising, Unprintable

ALL: dict[str, object] = {**OBJECTS, **ERRORS}


# By their names, since pytest shows what it is given.
@pytest.mark.parametrize("name", ALL)
def test_there_is_a_text_of_anything(name: str) -> None:
    """It is a plain text of at most the stated length, and the mark of a cut."""
    thing = ALL[name]
    for text, longest in (
        (text_of(thing), LONGEST_TEXT),
        (text_of(thing, 10), 10),
        (shown(thing), LONGEST_WORD),
        (shown(thing, 10), 10),
        (type_name(thing), LONGEST_WORD),
    ):
        assert type(text) is str
        assert len(text) <= longest + len("…") or text.endswith(" without a text>")


def test_a_text_is_cut_and_says_so() -> None:
    """What fits is as it is; what does not ends with a mark; what has no text is named."""
    for thing, text, code in (
        ("tea", "tea", "'tea'"),
        (b"tea", "b'tea'", "b'tea'"),
        (12, "12", "12"),
        (None, "None", "None"),
        ("12345678", "12345678", "'1234567…"),
        ("123456789", "12345678…", "'1234567…"),
        (Letters("tea"), "tea", "tea"),
        (Raising(), "<Raising without a text>", "<Raising without a text>"),
        (HUGE, "<int without a text>", "<int without a text>"),
        (Unprintable("tea"), "<Unprintable without a text>", "<Unprintable without a text>"),
        (ValueError("tea"), "tea", "ValueErr…"),
    ):
        assert (text_of(thing, 8), shown(thing, 8)) == (text, code)


def test_a_class_without_a_name_is_an_object() -> None:
    """Its class's own class may do anything, too."""

    def name(_: object) -> str:
        raise Unprintable

    of_its_own = type("Meta", (type,), {"__name__": property(name)})
    nameless = of_its_own("Nameless", (), {})()
    assert type_name(nameless) == "object"
    assert text_of(type("x" * 100, (Raising,), {})()) == f"<{'x' * 80}… without a text>"


def test_a_text_may_be_made_in_another_way() -> None:
    """What makes it may fail as well."""
    assert text_of("tea", make=lambda one: f"{one}!") == "tea!"
    assert text_of(0, make=lambda one: f"{one / one}" if isinstance(one, int) else "") == (
        "<int without a text>"
    )


def test_a_text_with_half_letters_is_made_whole() -> None:
    """A lone half becomes U+FFFD, two halves are one letter, all else stays as it is."""
    for text, mended in (
        ("tea \U0001f375\x00", "tea \U0001f375\x00"),
        ("cut \ud83c", "cut \ufffd"),
        ("\udf75 \ud83c\ud83c\udf75", "\ufffd \ufffd\U0001f375"),
    ):
        assert whole(text) == text_of(text) == text_of(ValueError(text)) == mended
