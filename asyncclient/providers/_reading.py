"""Reads a provider's answers: refusals, envelopes, and JSON in text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, cast

import msgspec

from asyncclient._http import (
    GOOD,
    MOST_DECODED,
    Answer,
    Endpoint,
    Response,
    decode,
    decoded_size,
    error_type,
    refusal_error,
)
from asyncclient.errors import APIError, DecodeError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NUMBER = re.compile(r"[0-9]{1,30}")
# Layers of JSON in JSON that are opened.
_LAYERS = 8


def decode_or_none(decoder: msgspec.json.Decoder[T], response: Response) -> T | None:
    """Return a decoded answer; None if it cannot be read."""
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
    """Make a function that decodes a good answer of some type, or raises the answer's refusal."""
    decoder = msgspec.json.Decoder(kind, strict=False)

    def read(response: Response) -> T:
        if response.status not in GOOD:
            raise refused_by(response, name) or refusal_error(
                error_type(response.status), response, name=name
            )
        try:
            answer = decode(decoder, response, name)
        except DecodeError as error:
            # A refusal's `data` may have any shape: look for an error first, then at the shape.
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
    """Return a number that may be quoted; None for any other value."""
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else None
    return value


def open_json(value: object) -> object:
    """Decode JSON in texts, also in nested ones.

    Objects, arrays and the text `null` are opened; a text that is a lone number or truth value
    stays text, since it may be an id or an answer. Each text is read as an answer is, half a letter
    as U+FFFD. What is nested too deeply is left as it is, and so is what would take too much
    memory: all texts together may take as much as an answer.
    """
    try:
        return _Opening().opened(value, _LAYERS)
    except RecursionError:
        return value


class _Opening:
    """Opens the texts of one value, and counts the memory that they take."""

    def __init__(self) -> None:
        self._left = MOST_DECODED

    def opened(self, value: object, layers: int) -> object:
        if layers and isinstance(value, str):
            return self._opened_text(value, layers)
        members = as_object(value)
        if members is not None:
            return {name: self.opened(inner, layers) for name, inner in members.items()}
        if isinstance(value, list):
            return [self.opened(inner, layers) for inner in cast("list[object]", value)]
        return value

    def _opened_text(self, text: str, layers: int) -> object:
        stripped = text.strip()
        if stripped != "null" and stripped[:1] not in {"{", "["}:
            return text
        raw = stripped.encode("utf-8", "replace")
        size = decoded_size(raw)
        if size > self._left:
            return text
        self._left -= size
        try:
            return self.opened(decode(_anything, Response(0, {}, raw), ""), layers - 1)
        except (DecodeError, RecursionError):
            return text


_anything = msgspec.json.Decoder(object)


def as_text(value: object) -> str | None:
    """Return a text as it is, and any other decoded value as JSON; None stays None."""
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def as_object(value: object) -> dict[str, object] | None:
    """Return a decoded JSON object with its type, None for any other value."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
