"""What a caller passes for a request's body, checked and encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from asyncclient._arguments import mapping, text
from asyncclient._http import encode_argument
from asyncclient._text import shown, type_name


def encoded(name: str, value: object) -> msgspec.Raw | None:
    return None if value is None else encode_argument(name, value)


def inputs(name: str, values: Mapping[str, object] | None) -> msgspec.Raw | None:
    if values is not None:
        mapping(name, values)
    return encoded(name, values)


def texts(name: str, values: Mapping[str, str] | None) -> msgspec.Raw | None:
    if values is not None:
        mapping_of_texts(name, values)
    return encoded(name, values)


def optional_truth(name: str, value: object) -> bool | None:
    """Check a truth value that may be left out; None stays None."""
    if value is not None and not isinstance(value, bool):
        msg = f"{name} must be True or False, not {shown(value)}"
        raise TypeError(msg)
    return value


def mapping_of_texts(name: str, value: object) -> None:
    """Check texts given by name."""
    mapping(name, value)
    for key, inner in cast("Mapping[object, object]", value).items():
        text(f"{name}[{shown(key)}]", inner)


def list_of(name: str, value: object, what: type | tuple[type, ...], words: str) -> None:
    """Check a list."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        msg = f"{name} must be a list of {words}, not {type_name(value)}: put it into [...]"
        raise TypeError(msg)
    for index, item in enumerate(cast("Sequence[object]", value)):
        if not isinstance(item, what):
            msg = f"{name}[{index}] must be one of {words}, not {type_name(item)}"
            raise TypeError(msg)
