"""The lenient way to read an answer, used when the strict way has failed.

Deciding fields are read strictly: a status word is a text, or it is missing. Any other field that
cannot be read becomes None: a finished and paid task must not be lost because of another field.
"""

from __future__ import annotations

import functools
import json
import math
import re
from typing import Annotated, Final, TypeAlias, TypeGuard, cast

import msgspec
from msgspec import inspect

from asyncclient._http.message import as_utf8
from asyncclient._text import whole

# Marks a field of which nothing is converted or passed over: it is read, or the whole is refused.
STRICT: Final = msgspec.Meta(extra={"is_strict": True})
StatusWord: TypeAlias = Annotated[str | None, STRICT]

# A number with more digits than this is no id, no time and no amount.
_MOST_DIGITS = 40
_EXACT = 2**53  # a float from here on has lost digits
# Lists and objects that lie in each other, where Python cannot follow all of them.
_LEVELS = 100
# A text in JSON, also one without an end: nothing in it is looked at twice.
TEXT_IN_JSON: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_TEXT_OR_BRACKETS = re.compile(TEXT_IN_JSON + rb"|[\[{]+|[\]}]+", re.DOTALL)
_BEFORE = "\ufeff \t\r\n"  # byte order marks, and JSON's white space (RFC 8259, section 2)


class _Unreadable:
    """Stands for a value that does not fit its type."""


_NO: Final = _Unreadable()


def decode_leniently(body: bytes, kind: object) -> object:
    """Read JSON that differs a little from its declared type.

    A byte order mark is skipped, and UTF-16 or UTF-32 is read too; a lone surrogate, or a byte that
    is no letter, becomes U+FFFD; a list that is null or absent is empty; a number where a text is
    declared is converted, and the other way round. A value that cannot be read becomes None, and so
    does everything below 100 levels in an answer that is nested too deeply for Python.

    Args:
        body: the answer.
        kind: the type of what is returned.

    Raises:
        ValueError: it is not JSON, or a required field or a status word cannot be read.
    """
    try:
        found = _read(body, kind)
    except RecursionError:
        found = _read(_cut(body), kind)
    if found is _NO:
        msg = "it does not have the form that was declared"
        raise ValueError(msg)
    return found


def _read(body: bytes, kind: object) -> object:
    text = as_utf8(body).decode("utf-8", "replace").lstrip(_BEFORE)
    plain = json.loads(text, strict=False, parse_constant=_no_number, parse_int=_whole)
    # Half a letter can only come escaped; other answers need no second copy.
    plain = _mended(plain) if "\\ud" in text or "\\uD" in text else plain
    return _fit(plain, _type_info(kind))


def _cut(body: bytes) -> bytes:
    """Return JSON with null in place of what lies deeper than the levels that are read."""
    kept: list[bytes] = []
    level = done = 0
    for found in _TEXT_OR_BRACKETS.finditer(body):
        size = len(found[0])
        if found[0][0] in b"[{":
            if level <= _LEVELS < level + size:
                kept += [body[done : found.start() + _LEVELS - level], b"null"]
                done = len(body)  # unless it ends
            level += size
        elif found[0][0] in b"]}":
            if level - size <= _LEVELS < level:
                done = found.start() + level - _LEVELS
            level -= size
    return b"".join([*kept, body[done:]])


_type_info = functools.cache(inspect.type_info)


def _no_number(_name: str) -> None:
    """Read NaN and Infinity, which are no JSON, as null."""


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _mended(plain: object) -> object:
    """Return a decoded value without half letters."""
    if isinstance(plain, str):
        return whole(plain)
    if isinstance(plain, list):
        return [_mended(each) for each in cast("list[object]", plain)]
    if isinstance(plain, dict):
        items = cast("dict[str, object]", plain).items()
        return {str(_mended(name)): _mended(each) for name, each in items}
    return plain


def _fit(value: object, kind: inspect.Type) -> object:
    """Return a value in its declared form, converted if need be."""
    match kind:
        case inspect.Metadata():
            return _fit_strictly(value, kind.type)
        case inspect.UnionType():
            return _fit_any(value, kind)
        case inspect.StructType():
            return _fit_struct(value, kind)
        case inspect.ListType():
            return _fit_list(value, kind)
        case inspect.DictType():
            return _fit_dict(value, kind)
        case inspect.StrType():
            return _fit_text(value)
        case inspect.IntType():
            return _fit_int(value)
        case inspect.FloatType():
            return _fit_float(value)
        case inspect.BoolType():
            return value if isinstance(value, bool) else _NO
        case _:
            return value  # of any type


def _fit_strictly(value: object, kind: inspect.Type) -> object:
    if _is_plain(value, kind):
        return value
    is_scalar = isinstance(value, str | int | float | None)
    return _NO if is_scalar else _fit(value, kind)


def _is_plain(value: object, kind: inspect.Type) -> bool:
    """Return whether a value is of a declared type, or of one of several, as it is."""
    forms = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(each, _PLAIN.get(type(value), ())) for each in forms)


def _fit_any(value: object, kind: inspect.UnionType) -> object:
    """Return a value as one of several types: as it is where it can be, else converted."""
    if _is_plain(value, kind):
        return value
    forms = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    if _is_number(value) and any(isinstance(each, _NUMBERS) for each in forms):
        forms = [each for each in forms if isinstance(each, _NUMBERS)]
    for each in forms:
        fitted = _fit(value, each)
        if fitted is not _NO:
            return fitted
    return _NO


def _fit_struct(value: object, kind: inspect.StructType) -> object:
    if not isinstance(value, dict):
        return _NO
    given = cast("dict[str, object]", value)
    found: dict[str, object] = {}
    for field in kind.fields:
        if field.encode_name not in given and not field.required:
            continue
        fitted = _fit(given.get(field.encode_name), field.type)
        if fitted is not _NO:
            found[field.name] = fitted
        elif field.required or isinstance(field.type, inspect.Metadata):
            return _NO
    return kind.cls(**found)  # what is not found is as it is by default


def _fit_list(value: object, kind: inspect.ListType) -> object:
    if value is None:
        return []
    if not isinstance(value, list):
        return _NO
    found: list[object] = []
    for each in cast("list[object]", value):
        fitted = _fit(each, kind.item_type)
        if fitted is not _NO:
            found.append(fitted)
        elif isinstance(each, dict):
            return _NO  # what decides in it cannot be read: it must not be passed over
    return found


def _fit_dict(value: object, kind: inspect.DictType) -> object:
    if not isinstance(value, dict):
        return _NO
    items = cast("dict[str, object]", value).items()
    found = {name: _fit(each, kind.value_type) for name, each in items}
    return {name: each for name, each in found.items() if each is not _NO}


def _fit_text(value: object) -> object:
    if isinstance(value, float) and value.is_integer():  # an id, if anything: 7.0 is 7
        value = _fit_int(value)
    return str(value) if isinstance(value, str) or _is_number(value) else _NO


def _fit_int(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return int(value)
    number = _number_of(value)
    is_whole = number is not None and number.is_integer() and abs(number) < _EXACT
    return int(number) if number is not None and is_whole else _NO


def _fit_float(value: object) -> object:
    number = _number_of(value)
    return _NO if number is None else number


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_of(value: object) -> float | None:
    """Return a finite number, also one in a text; None where it is none."""
    if not _is_number(value) and not isinstance(value, str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


_NUMBERS = (inspect.IntType, inspect.FloatType)
# The types of JSON that need no conversion.
_PLAIN: dict[type, tuple[type[inspect.Type], ...]] = {
    str: (inspect.StrType,),
    int: (inspect.IntType,),
    float: (inspect.FloatType,),
    bool: (inspect.BoolType,),
    type(None): (inspect.NoneType,),
}
