"""From the bytes of an answer to its declared type."""

from __future__ import annotations

import re
from typing import TypeVar, cast

import msgspec

from asyncclient._http.lenient import decode_leniently
from asyncclient._http.message import Response
from asyncclient.errors import DecodeError

T = TypeVar("T")

_EXCERPT = 200  # characters of an answer that an error shows
_PATH_IN_MESSAGE = re.compile(r" - at `(.+)`$")


def decode(decoder: msgspec.json.Decoder[T], response: Response, name: str) -> T:
    """Decode a body into its declared type: strictly, and where that fails as far as it goes.

    Raises:
        DecodeError: it is no JSON, or what decides cannot be read; it says what was wrong at first.
    """
    try:
        return decoder.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    try:
        return cast("T", decode_leniently(response.body, decoder.type))
    except ValueError:
        excerpt = response.body[:_EXCERPT].decode("utf-8", "replace")
    where = _PATH_IN_MESSAGE.search(reason)
    msg = f"{name}: HTTP {response.status} with an unexpected body: {reason}; it begins {excerpt!r}"
    raise DecodeError(msg, path=where[1] if where else "", excerpt=excerpt, status=response.status)
