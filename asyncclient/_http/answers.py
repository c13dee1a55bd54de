"""The answers of an API whose form is not known: JSON, and the usual fields of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy  # aiohttp's own headers; it comes with aiohttp

from asyncclient._http.decoding import decode
from asyncclient._http.message import Response
from asyncclient._http.refusal import error_type, refusal_error
from asyncclient.errors import APIError, DecodeError

# Where APIs say what went wrong: in an object `error`, or beside it.
_WORDS = ("message", "error", "error_message", "error_description", "detail", "msg", "title")
_CODES = ("code", "error_code", "errorCode", "type")
_STARTED = frozenset({HTTPStatus.CREATED, HTTPStatus.ACCEPTED})


def read_json(name: str, response: Response) -> object:
    """Return an answer decoded; None for an empty one.

    Raises:
        APIError: it is a refusal.
        DecodeError: it is not JSON.
    """
    if not response.is_good:
        raise _refusal(name, response)
    return decode(_decoder, response, name) if response.body.strip() else None


def read_accepted(name: str, response: Response) -> object:
    """Return an answer whose status says all: decoded, or None where it is not JSON.

    Raises:
        APIError: it is a refusal.
    """
    try:
        return read_json(name, response)
    except DecodeError:
        return None


def read_with_headers(name: str, response: Response) -> tuple[int, Mapping[str, str], object]:
    """Return the status, the headers in any case, and the answer decoded.

    Raises:
        APIError: it is a refusal.
        DecodeError: it is not JSON, and neither 201 nor 202. With these, headers may say what was
            started (RFC 9110, section 15.3): a text beside them must not lose it.
    """
    read = read_accepted if response.status in _STARTED else read_json
    return response.status, CIMultiDictProxy(CIMultiDict(response.headers)), read(name, response)


_decoder = msgspec.json.Decoder(object)


def _refusal(name: str, response: Response) -> APIError:
    """Make the error for a refusal: one in JSON is the API's own."""
    kind = error_type(response.status)
    try:
        said = decode(_decoder, response, name)
    except DecodeError:
        return refusal_error(kind, response, name=name)
    code, words = _code_and_words(said)
    return refusal_error(kind, response, name=name, code=code, message=words or response.excerpt)


def _code_and_words(said: object) -> tuple[int | str | None, str | None]:
    """Return what the usual fields say about a refusal; a value that is not a text, as JSON."""
    if isinstance(said, list) and said:
        said = cast("list[object]", said)[0]  # as some of Google's
    if not isinstance(said, dict):
        return None, None
    fields = cast("dict[str, object]", said)
    inner = fields.get("error")
    places = [cast("dict[str, object]", inner), fields] if isinstance(inner, dict) else [fields]
    codes = [place.get(name) for place in places for name in _CODES]
    words = [place.get(name) for place in places for name in _WORDS]
    code = next((each for each in codes if type(each) is int or (each and type(each) is str)), None)
    word = next((each for each in words if each and not isinstance(each, bool | int | float)), None)
    if word is not None and not isinstance(word, str):
        word = msgspec.json.encode(word).decode()
    return code, word
