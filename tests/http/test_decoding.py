"""Tests of reading answers: bytes to their declared types, refusals, and JSON in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from asyncclient._http.decoding import decode
from asyncclient._http.message import Answer, Response
from asyncclient.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Item(msgspec.Struct):
    """A member of a list in an answer."""

    execute_id: str


class Listing(Answer):
    """An answer with a list in it."""

    data: list[Item]


LISTING = msgspec.json.Decoder(Listing)
ANYTHING = msgspec.json.Decoder(object)


def misfit(read: Callable[[], object]) -> DecodeError | None:
    """Return the error of reading an answer; None when it was read."""
    try:
        read()
    except DecodeError as error:
        return error
    return None


@given(st.binary(max_size=400))
@example(b"")
@example(b"null")
@example(b"\xff\xfe")
@example(b'{"data": [{"execute_id": "\\ud800"}]}')
@example(b'{"data": [{"execute_id": 1e999}]}')
@example("编".encode() * 120)
@example(b"[" * 200_000)
@example(b'{"a":' * 200_000)
def test_any_bytes_are_decoded_or_refused_with_an_excerpt(body: bytes) -> None:
    """From any bytes, nested without end too, only `DecodeError` comes; it shows the beginning."""
    response = Response(201, {}, body)
    for refused in (
        misfit(lambda: decode(LISTING, response, "coze.list")),
        misfit(lambda: decode(ANYTHING, response, "coze.list")),
    ):
        if refused is not None:
            assert str(refused).startswith("coze.list: HTTP 201 with an unexpected body: ")
            assert refused.status == 201
            assert min(1, len(body)) <= len(refused.excerpt) <= 200
            assert body.decode("utf-8", "replace").startswith(refused.excerpt.rstrip("\ufffd"))
            assert refused.path == "" or refused.path.startswith("$")


MISFITS = {
    "field": (b'{"data": [{"execute_id": {}}]}', "$.data[0].execute_id", "got `object`"),
    "missing": (b'{"data": [{"execute_id": "a"}, {}]}', "$.data[1]", "missing required field"),
    "list": (b'{"data": 1}', "$.data", "got `int`"),
    "top": (b"[]", "", "got `array`"),
    "html": (b"<html>no</html>", "", "malformed"),
    "empty": (b"", "", "truncated"),
}


@pytest.mark.parametrize(("body", "path", "words"), MISFITS.values(), ids=MISFITS.keys())
def test_a_misfit_is_named_by_its_place(body: bytes, path: str, words: str) -> None:
    """The path leads to the field that does not fit; what is no JSON has none."""
    with pytest.raises(DecodeError, match=words) as refused:
        decode(LISTING, Response(200, {}, body), "n")
    assert refused.value.path == path
    assert refused.value.excerpt == body.decode()
    assert repr(body.decode()) in str(refused.value)
