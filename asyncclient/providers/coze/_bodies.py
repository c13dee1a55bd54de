"""What a caller passes for a request's body, checked and encoded."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from asyncclient._arguments import mapping, mapping_of_texts
from asyncclient._http import encode_argument


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
