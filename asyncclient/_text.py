"""How messages write numbers, counts and the texts of others: guarded, and cut."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from typing import TypeVar

S = TypeVar("S")

# Characters of a provider's words, or of a caller's object as text, in one message.
LONGEST_TEXT = 500
# The same for usually short texts: a status word, a code, an argument.
LONGEST_WORD = 80


def counted(number: int, thing: str) -> str:
    """Write a count as an English reader would: `1 poll`, `2 polls`, `0 polls`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def whole(text: str) -> str:
    """Return a text that JSON can hold: a lone surrogate becomes U+FFFD, a pair one letter."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain(seconds: float) -> str:
    """Write seconds as a reader would, without exponents or needless digits."""
    return str(int(seconds)) if seconds == seconds // 1 < math.inf else f"{seconds:.3g}"


def text_of(
    value: object, longest: int = LONGEST_TEXT, *, make: Callable[[object], str] = str
) -> str:
    """Return an object of others as text that JSON can hold, guarded and cut.

    Args:
        value: the object, whose own text may raise, or may fill megabytes.
        longest: characters of it at most; a mark says that it was cut.
        make: what makes the text.
    """
    if type(value) is str and make is str:
        return whole(value if len(value) <= longest else f"{value[:longest]}…")
    text = _made(make, value, longest)
    return f"<{type_name(value)} without a text>" if text is None else text


def shown(value: object, longest: int = LONGEST_WORD) -> str:
    """Return an object that is not ours as code would write it, guarded and cut as `text_of`."""
    if type(value) is str or type(value) is bytes or type(value) is bytearray:
        value = value[:longest]  # the mark is not lost: the quotes are cut
    return text_of(value, longest, make=repr)


def type_name(value: object) -> str:
    """Return the name of an object's class, guarded and cut as `text_of`."""
    return _made(lambda one: type(one).__name__, value, LONGEST_WORD) or "object"


def even_half_made(show: Callable[[S], str]) -> Callable[[S], str]:
    """Let a repr be made while the constructor raises, as a traceback with locals does."""

    @functools.wraps(show)
    def shown_as(one: S) -> str:
        try:
            return show(one)
        except AttributeError:
            return f"<{type_name(one)}, half made>"

    return shown_as


def _made(make: Callable[[object], str], value: object, longest: int) -> str | None:
    """Return a text; None where it cannot be made."""
    try:
        # As `str` itself does it: the text may be of a class of the caller's, too.
        text = str.__getitem__(make(value), slice(longest + 1))
    except (Exception, asyncio.CancelledError):  # noqa: BLE001  (of any class)
        return None
    return whole(text if len(text) <= longest else f"{text[:longest]}…")
