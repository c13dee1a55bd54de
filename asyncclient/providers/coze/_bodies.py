"""Checks and encodes a caller's arguments for a request's body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from asyncclient._arguments import id_text, mapping, text
from asyncclient._http import encode_argument
from asyncclient._text import shown, type_name

# Documents whose progress is asked for at once.
MOST_DOCUMENTS = 50


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


def document_ids_of(value: object) -> tuple[str, ...]:
    """Check the ids of the documents of one task, and return them."""
    list_of("document_ids", value, str, "ids (texts)")
    given = cast("Sequence[str]", value)
    if not 0 < len(given) <= MOST_DOCUMENTS:
        msg = f"document_ids has {len(given)} ids: one task is of 1 to {MOST_DOCUMENTS} documents"
        raise ValueError(msg)
    ids: list[str] = []
    for index, each in enumerate(given):
        name = f"document_ids[{index}]"
        if "," in id_text(name, each):
            msg = f"{name}={shown(each)} has a comma: pass each id for itself"
            raise ValueError(msg)
        if each in ids:
            msg = f"{name}={shown(each)} is there already: pass each id once"
            raise ValueError(msg)
        ids.append(each)
    return tuple(ids)
