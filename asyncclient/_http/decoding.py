"""From the bytes of an answer to its declared type."""

from __future__ import annotations

import re
from typing import TypeVar, cast

import msgspec

from asyncclient._http.lenient import TEXT_IN_JSON, decode_leniently
from asyncclient._http.message import Response
from asyncclient._text import text_of
from asyncclient.errors import DecodeError

T = TypeVar("T")

# Bytes of memory that a decoded answer may take, counted by what Python takes for each comma (a
# number and its place), list, object with a name, and text: up to 40 times their size in JSON.
MOST_DECODED = 128 << 20
_SURELY_FITS = MOST_DECODED // 40
_NUMBER, _LIST, _OBJECT, _TEXT = 32, 64, 240, 50
# Commas and brackets inside of texts are looked for in this many texts, since that takes long.
_FEW_TEXTS = 100_000
_TEXT_IN_JSON = re.compile(TEXT_IN_JSON, re.DOTALL)


def takes_too_much(body: bytes) -> bool:
    """Return whether JSON would take more memory than an answer may, before it is decoded."""
    return len(body) > _SURELY_FITS and decoded_size(body) > MOST_DECODED


def decoded_size(body: bytes) -> int:
    """Return about how many bytes of memory JSON will take, before it is decoded."""
    texts = (body.count(b'"') - body.count(b'\\"')) // 2
    size = _size_of(body)
    if size > MOST_DECODED and texts <= _FEW_TEXTS:
        size = _size_of(_TEXT_IN_JSON.sub(b"", body))
    return size + texts * _TEXT


def _size_of(body: bytes) -> int:
    return body.count(b",") * _NUMBER + body.count(b"[") * _LIST + body.count(b"{") * _OBJECT


def decode(decoder: msgspec.json.Decoder[T], response: Response, name: str) -> T:
    """Decode a body into its declared type: strictly, and if that fails, leniently.

    Raises:
        DecodeError: it is not JSON, or a deciding field cannot be read; it names the first reason.
            Or it would take too much memory, and then it is not asked for again (`permanent`).
    """
    body = response.body
    if takes_too_much(body):
        msg = (
            f"{name}: HTTP {response.status} with {len(body)} bytes of JSON that would "
            f"take more than {MOST_DECODED >> 20} MiB of memory"
        )
        raise DecodeError(
            msg,
            excerpt=response.excerpt,
            status=response.status,
            permanent=True,
            advice="ask for less, or for smaller pages",
        )
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = text_of(error)
    try:
        return cast("T", decode_leniently(body, decoder.type))
    except (ValueError, RecursionError):
        excerpt = response.excerpt
    path = reason.partition(" - at `")[2].removesuffix("`")
    msg = f"{name}: HTTP {response.status} with an unexpected body: {reason}; it begins {excerpt!r}"
    advice = "this is a web page: check base_url" if body.lstrip()[:1] == b"<" else ""
    raise DecodeError(msg, path=path, excerpt=excerpt, status=response.status, advice=advice)
