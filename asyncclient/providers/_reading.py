"""How a provider's answers are read: refusals, envelopes, and JSON in text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, cast

import msgspec

from asyncclient._http import (
    Answer,
    Endpoint,
    Response,
    decode,
    error_type,
    refusal_error,
    takes_too_much,
)
from asyncclient.errors import APIError, DecodeError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NUMBER = re.compile(r"[0-9]{1,30}")


def decode_or_none(decoder: msgspec.json.Decoder[T], response: Response) -> T | None:
    """Return what an answer says of itself; None where nothing of it can be read."""
    try:
        return decode(decoder, response, "")
    except DecodeError:
        return None


def reader(
    name: str,
    kind: type[T],
    refused_by: Callable[[Response, str], APIError | None],
    says_no: Callable[[T], bool],
) -> Callable[[Response], T]:
    """Make what decodes a good answer of some type, or raises what the answer says instead."""
    decoder = msgspec.json.Decoder(kind, strict=False)

    def read(response: Response) -> T:
        if not response.is_good:
            raise refused_by(response, name) or refusal_error(
                error_type(response.status), response, name=name
            )
        try:
            answer = decode(decoder, response, name)
        except DecodeError as error:
            # A refusal's `data` has any shape: look for an error in it before complaining of its
            # shape.
            refused = refused_by(response, name)
            if refused is None:
                raise
            raise refused from error
        if says_no(answer):
            raise refused_by(response, name) or refusal_error(APIError, response, name=name)
        return answer

    return read


class Enveloped(Protocol[T_co]):
    """An answer in an envelope, which may have other fields."""

    @property
    def data(self) -> T_co: ...  # pragma: no cover


def enveloped(
    name: str,
    method: Literal["GET", "POST"],
    read: Callable[[Response], Enveloped[T]],
    *,
    idempotent: bool = True,
) -> Endpoint[T]:
    """Make an endpoint whose answer is in an envelope."""

    def unwrapped(response: Response) -> T:
        data = read(response).data
        return data.from_response(response) if isinstance(data, Answer) else data

    return Endpoint(name, method, unwrapped, idempotent)


def as_int(value: int | str | None) -> int | None:
    """Return a number that may have come quoted; None when it is none."""
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else None
    return value


def open_json(value: object, depth: int = 8) -> object:
    """Open JSON in text as far as it goes.

    Objects, arrays and the text `null` are opened; a text that is a lone number or truth value
    stays text, since it may be an id or an answer. What is nested too deeply is left as it is, and
    so is what would take too much memory.
    """
    try:
        return _open_json(value, depth)
    except RecursionError:
        return value


def _open_json(value: object, layers: int) -> object:
    if layers and isinstance(value, str):
        stripped = value.strip()
        is_json = stripped == "null" or stripped[:1] in {"{", "["}
        if not is_json or takes_too_much(stripped.encode("utf-8", "replace")):
            return value
        try:
            return _open_json(msgspec.json.decode(stripped), layers - 1)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return value
    members = as_object(value)
    if members is not None:
        return {name: _open_json(inner, layers) for name, inner in members.items()}
    if isinstance(value, list):
        return [_open_json(inner, layers) for inner in cast("list[object]", value)]
    return value


def as_text(value: object) -> str | None:
    """Return a text as it is, and any other decoded value as JSON; None stays None."""
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def as_object(value: object) -> dict[str, object] | None:
    """Return a decoded JSON object with its type, None for any other value."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
