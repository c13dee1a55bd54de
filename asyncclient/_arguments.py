"""What a caller passes in, checked before anything is sent: every error names the argument."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Hashable, Mapping
from inspect import iscoroutinefunction
from typing import TypeVar

from asyncclient._text import shown, text_of, type_name

Choice = TypeVar("Choice", bound=str)
Function = TypeVar("Function", bound=Callable[..., object])

# Characters. A provider's ids have some 40; two of this length, quoted, still fit into the 8000
# octets of a request line that every server takes (RFC 9112, section 3).
LONGEST_ID = 256
NO_LINE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters and lone surrogates


def text(name: str, value: object, advice: str = "") -> str:
    """Check an argument that must be a text, and return it; never show it, it may be secret."""
    if not isinstance(value, str):
        decode = ": decode it first" if isinstance(value, bytes | bytearray) else advice
        msg = f"{name} must be a text, not {type_name(value)}{decode}"
        raise TypeError(msg)
    return value


def text_line(name: str, value: object, what: str = "text") -> str:
    """Check a word or a name on one line, and return it."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    line = text(name, value, f": pass it as {shown(text_of(value))}" if is_number else "")
    if len(line) > LONGEST_ID:
        msg = f"{name} has {len(line)} characters: at most {LONGEST_ID} are allowed"
        raise ValueError(msg)
    if not line.strip():
        msg = f"{name} is empty: pass the {what}"
        raise ValueError(msg)
    if NO_LINE.search(line):
        seen = shown(line, LONGEST_ID)
        msg = f"{name}={seen} has a line break or a control character: remove it"
        raise ValueError(msg)
    if line != line.strip():
        seen, good = shown(line, LONGEST_ID), shown(line.strip(), LONGEST_ID)
        msg = f"{name}={seen} has spaces around it: pass {good}"
        raise ValueError(msg)
    return line


def optional_line(name: str, value: object, what: str = "text") -> str | None:
    """Check a word that may be left out; None stays None. Raises as `text_line`."""
    return None if value is None else text_line(name, value, what)


def id_text(name: str, value: object) -> str:
    """Check an id that travels in a path, a query or a body, and return it."""
    identity = text_line(name, value, "id")
    if identity in {".", ".."}:
        msg = f"{name}={shown(identity)} is not an id: it would change the request's path"
        raise ValueError(msg)
    return identity


def shared_id(name: str, value: object) -> str:
    """Check an id that many tasks have, and return it as one object for all. As `id_text`."""
    identity = id_text(name, value)
    return sys.intern(identity) if type(identity) is str else identity


def optional_id(name: str, value: object) -> str | None:
    """Check an id that may be left out; None stays None. Raises as `id_text`."""
    return None if value is None else id_text(name, value)


def whole_number(name: str, value: object, *, least: int) -> None:
    """Check a count, a page number or the like."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {shown(value)}"
        raise TypeError(msg)
    if value < least:
        msg = f"{name}={shown(value)} must be {least} or more"
        raise ValueError(msg)


def number(
    name: str,
    value: object,
    *,
    unit: str = "",
    above: float | None = None,
    most: float | None = None,
    finite: bool = True,
    advice: str = "",
) -> float:
    """Check a number, whole or not, and return it as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number{unit and f' of {unit}'}, not {shown(value)}{advice}"
        raise TypeError(msg)
    of = unit and f" {unit}"
    limit = "" if most is None else f"at most {most:.12g}{of}"
    try:
        given = float(value)
    except OverflowError:
        msg = f"{name} is too large{limit and f': it must be {limit}'}{advice}"
        raise ValueError(msg) from None
    too_small = above is not None and given <= above
    too_large = most is not None and given > most
    if math.isnan(given) or too_small or too_large or (finite and math.isinf(given)):
        bounds = [] if above is None else [f"more than {above:g}{of}"]
        bounds += [limit or "finite"] if finite else []
        msg = f"{name}={shown(value)} must be {' and '.join(bounds) or 'a number'}{advice}"
        raise ValueError(msg)
    return given


def seconds(name: str, value: object) -> float:
    """Check a timeout in seconds, and return it; `math.inf` is allowed."""
    once = "; to look once, await task.poll()" if name == "timeout" else ""
    advice = f" (math.inf for no limit{once})"
    return number(name, value, unit="seconds", above=0, finite=False, advice=advice)


def optional_function(name: str, value: Function | None, of: str) -> Function | None:
    """Check a function that may be left out, and return it; None stays None."""
    if value is not None and not callable(value):
        msg = f"{name} must be a function of {of}, not {type_name(value)}"
        raise TypeError(msg)
    return value


def is_async(function: object) -> bool:
    """Return whether a call makes a coroutine; of an object, its `__call__` may."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  (not whether it can be called)
    return iscoroutinefunction(function) or iscoroutinefunction(call)


def hashable(name: str, value: object) -> Hashable:
    """Check what identifies something, and return it."""
    try:
        hash(value)
    except Exception as error:
        msg = f"{name} must be hashable, not {type_name(value)}"
        raise TypeError(msg) from error
    return value


def one_of(name: str, value: Choice, allowed: tuple[Choice, ...]) -> Choice:
    """Check a word that must be one of a few, and return it."""
    if value not in allowed:
        msg = f"{name}={shown(value)} must be one of {', '.join(map(repr, allowed))}"
        raise ValueError(msg)
    return value


def mapping(name: str, value: object) -> None:
    """Check inputs given by name."""
    if not isinstance(value, Mapping):
        msg = f"{name} must be a mapping of names to values, not {type_name(value)}"
        raise TypeError(msg)
