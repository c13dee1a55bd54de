"""Tests of reading answers: bytes to their declared types, refusals, and JSON in text."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from asyncclient._http.decoding import decode, takes_too_much
from asyncclient._http.message import Answer, Response, as_utf8
from asyncclient.errors import DecodeError


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
            begin = as_utf8(body[:200]).decode("utf-8", "replace")
            assert begin.startswith(refused.excerpt.rstrip("\ufffd"))
            assert refused.path == "" or refused.path.startswith("$")


MISFITS = {
    "field": (b'{"data": [{"execute_id": {}}]}', "$.data[0].execute_id", "got `object`"),
    "missing": (b'{"data": [{"execute_id": "a"}, {}]}', "$.data[1]", "missing required field"),
    "list": (b'{"data": 1}', "$.data", "got `int`"),
    "top": (b"[]", "", "got `array`"),
    "html": (b"\n <html>no</html>", "", "malformed"),
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
    page = "this is a web page: check base_url"
    assert refused.value.advice == (page if b"<html>" in body else "")


# Bytes of JSON from which on an answer may take more than 128 MiB.
LARGE = 4 << 20
# A finished run, whose output multiplies in memory: by a little over 30, 10, 25 and 20.
MULTIPLYING = {"objects": b'{"":0},', "lists": b"[],", "numbers": b"1,", "texts": b'"ab",'}


@pytest.mark.parametrize("part", MULTIPLYING.values(), ids=MULTIPLYING)
def test_what_would_take_too_much_memory_is_not_decoded(part: bytes) -> None:
    """It is refused before anything is made of it, and not asked for again."""
    body = b'{"data": [' + part * (8 * LARGE // len(part)) + b"0]}"
    tracemalloc.start()
    try:
        refused = misfit(lambda: decode(ANYTHING, Response(200, {}, body), "n"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused is not None
    assert str(refused) == (
        f"n: HTTP 200 with {len(body)} bytes of JSON that would take more than 128 MiB of memory; "
        "ask for less, or for smaller pages"
    )
    assert (refused.permanent, refused.status) == (True, 200)
    assert refused.excerpt
    assert body.startswith(refused.excerpt.encode())
    assert peak < 2.5 * len(body)


@pytest.mark.parametrize(
    "text",
    [b"a,b,[c],{d}", b'\\"a\\",{\\"b\\":[\\\\\\"c\\"]}', b"\\\\"],
    ids=["plain", "JSON", "end"],
)
def test_a_long_text_is_no_long_list(text: bytes) -> None:
    """Commas and brackets within a text make no values: the output of a run is one text."""
    text *= 3 * LARGE // len(text)
    for body in (b'["' + text + b'"]', b'["' + text):
        assert not takes_too_much(body)
    assert takes_too_much(b'["' + text + b'",' + b"[]," * (LARGE // 2) + b"0]")


def test_what_is_not_looked_through_takes_no_more_than_is_allowed() -> None:
    """An answer takes at most 40 times its bytes, so that a short one is not looked through."""
    for part in MULTIPLYING.values():
        body = b"[" + part * ((200 << 10) // len(part)) + b"0]"
        tracemalloc.start()
        decode(ANYTHING, Response(200, {}, body), "n")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 40 * len(body)
    assert not takes_too_much(b"{" * ((128 << 20) // 40))


@pytest.mark.parametrize(("part", "size"), [(b",", 32), (b"[", 64), (b"{", 240), (b'""', 50)])
def test_each_comma_list_object_and_text_counts(part: bytes, size: int) -> None:
    """By the bytes that Python takes for it, up to 128 MiB."""
    most = (128 << 20) // size
    spaces = b" " * (4 << 20)
    assert not takes_too_much(spaces + part * most)
    assert takes_too_much(spaces + part * (most + 1))
