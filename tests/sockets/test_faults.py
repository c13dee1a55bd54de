"""Tests of faults of a connection: how each one shows, and that the pool outlives it."""

from __future__ import annotations

import gc
import re
import ssl
import tracemalloc
import zlib
from functools import partial

import aiohttp
import anyio
import msgspec
import pytest

from asyncclient import SessionPool
from asyncclient.errors import ConnectFailed, InvalidRequest, RequestTimeout, TransportError
from asyncclient.providers.coze import Coze
from tests.sockets.conftest import (
    PATIENCE,
    UNKNOWN,
    Peer,
    Script,
    Serve,
    Server,
    answering,
    failure_of,
    good,
    kind_of,
    request_to,
)
from tests.wire import certificate, trusting

MEBIBYTE = 1024 * 1024

HEAD = b"HTTP/1.1 200 OK\r\n"
PROMISE = HEAD + b"Content-Length: 10\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def reset(peer: Peer) -> None:
    """Reset the connection."""
    await anyio.sleep(0.005)  # a reset overtakes what was not read yet
    peer.reset()


def then_end(*parts: bytes, after: Script | None = None) -> Script:
    """Send this much, do what comes after, then close the connection."""

    async def vice(peer: Peer) -> None:
        await peer.send(b"".join(parts))
        if after is not None:
            await after(peer)

    return vice


then_reset = partial(then_end, after=reset)
then_stall = partial(then_end, after=Peer.until_left)
then_go_on = partial(then_end, after=good)


def flood(start: bytes, line: bytes) -> Script:
    """Send 100 MB of the same line."""

    async def vice(peer: Peer) -> None:
        await peer.send(start)
        block = line * (65536 // len(line))
        for _ in range(100_000_000 // len(block)):
            await peer.send(block)

    return vice


BROKEN: dict[str, Script] = {
    "reset before the head": then_reset(),
    "reset inside the head": then_reset(HEAD, b"Content-Le"),
    "reset after the head": then_reset(PROMISE),
    "reset inside the body": then_reset(PROMISE, b"half"),
    "closed before the head": then_end(),
    "closed inside the head": then_end(HEAD, b"Content-Le"),
    "closed after the head": then_end(PROMISE),
    "half the promised body": then_end(PROMISE, b"half"),
    "half of a chunk": then_end(CHUNKED, b"10\r\nhalf"),
    "no last chunk": then_end(CHUNKED, b"4\r\nhalf\r\n"),
    "garbage": then_stall(b"\x00\x16\xff no such thing\r\n\r\n"),
    "another protocol": then_stall(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "HTTP of another world": then_stall(b"HTTP/9.9 999999 ?\r\n\r\n"),
    "a chunk of no size": then_stall(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"),
    "no gzip at all": then_stall(HEAD, b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "an unknown encoding": then_end(HEAD, b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"),
    "two lengths": then_stall(HEAD, b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
    "a length and chunks": then_stall(
        HEAD, b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "a length of 5000 digits": then_stall(HEAD, b"Content-Length: ", b"9" * 5000, b"\r\n\r\n"),
    "a negative length": then_stall(HEAD, b"Content-Length: -2\r\n\r\n{}"),
    "100 MB of headers": flood(HEAD, b"a: b\r\n"),
    "a header of 100 MB": flood(HEAD + b"a: ", b"b" * 64),
    "a status line of 100 MB": flood(b"HTTP/1.1 200 ", b"b" * 64),
    "100 MB of trailers": flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n"),
}


@pytest.fixture
async def vicious(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """Serve the parameter's vice at `/vice`, and `{}` elsewhere."""

    async def script(peer: Peer) -> None:
        while (await peer.asked()).target != b"/vice":
            await peer.answer()
        await request.param(peer)

    return await serve(script)


def vices(table: dict[str, Script]) -> pytest.MarkDecorator:
    """Run a test with each vice of a table."""
    return pytest.mark.parametrize("vicious", table.values(), ids=table.keys(), indirect=True)


async def outlives(pool: SessionPool, server: Server) -> bool:
    """Return whether the pool's next requests to the same server are answered."""
    answers = [await pool.exchange(server.get("/good")) for _ in range(2)]
    return all(answer.body == b"{}" for answer in answers)


@pytest.mark.parametrize("starts", [False, True], ids=["get", "start"])
@vices(BROKEN)
async def test_a_broken_answer_is_a_transport_error(vicious: Server, *, starts: bool) -> None:
    """A broken answer fails soon as our error, the pool goes on, and a start is sent once."""
    request = vicious.start("/vice") if starts else vicious.get("/vice")
    async with SessionPool(limit=1) as pool:
        with anyio.fail_after(PATIENCE):
            error = await failure_of(pool, request)
        assert kind_of(error) == (TransportError, False, True)
        assert str(error).startswith(f"{request.name} ({request.method} {vicious.origin}/vice): ")
        assert error.__cause__ is None
        assert error.__context__ is None
        assert not starts or len(vicious.asked) == 1
        assert await outlives(pool, vicious)


@vices(
    {
        "after an interim answer": then_go_on(
            b"HTTP/1.1 103 Early Hints\r\n\r\n", PROMISE, b'"is a tea"'
        ),
        "until the end": then_end(b"HTTP/1.0 200 OK\r\n\r\n", b'"is a tea"'),
        "then a reset": then_reset(PROMISE, b'"is a tea"'),
        "then a close": then_end(PROMISE, b'"is a tea"'),
        "in chunks with remarks": then_go_on(
            CHUNKED, b'5;x=y\r\n"is a\r\n5\r\n tea"\r\n0\r\nX-Sum: 1\r\n\r\n'
        ),
        "with strange headers": then_go_on(
            HEAD, b"Set-Cookie: \xff=\x80;;\r\nX: \xfe\r\nContent-Length: 10\r\n\r\n", b'"is a tea"'
        ),
    }
)
async def test_a_strange_but_whole_answer_is_read(vicious: Server, pool: SessionPool) -> None:
    """An answer that is strange but complete arrives as it is."""
    with anyio.fail_after(PATIENCE):
        answer = await pool.exchange(vicious.get("/vice"))
    assert (answer.status, answer.body) == (200, b'"is a tea"')
    assert await outlives(pool, vicious)


@pytest.mark.xfail(
    reason="aiohttp takes what comes on an idle connection for the answer to its next request"
)
async def test_an_unasked_answer_is_dropped(serve: Serve, pool: SessionPool) -> None:
    """A second answer to the same request is not taken for the answer to the next one."""

    async def twice(peer: Peer) -> None:
        while True:
            asked = await peer.asked()
            await peer.answer(asked.target)
            await anyio.sleep(0.01)
            await peer.answer(asked.target)

    server = await serve(twice)
    await pool.exchange(server.get("/first"))
    await anyio.sleep(0.03)
    assert (await pool.exchange(server.get("/second"))).body == b"/second"


# The ends of a handshake of TLS.
HANDSHAKES: dict[str, Script] = {
    "no answer": then_stall(),
    "closed": then_end(),
    "reset": then_reset(),
    "alert": then_stall(b"\x15\x03\x03\x00\x02\x02\x50"),  # internal_error
    "plain HTTP": then_stall(HEAD, b"Content-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        *((fault, "no connection: ") for fault in ("refused", "closed", "reset")),
        *((fault, "no connection in time") for fault in ("not taken", "no answer")),
        *((fault, "TLS failed") for fault in ("alert", "plain HTTP")),
        ("unknown host", "does-not-exist.invalid"),
    ],
)
async def test_a_request_without_a_connection_was_not_sent(
    serve: Serve, refusing: str, unreachable: str, fault: str, words: str
) -> None:
    """A request whose connection is not made was certainly not sent; the pool goes on."""

    async def greeted(peer: Peer) -> None:
        await peer.reader.read(65536)  # a greeting
        await HANDSHAKES[fault](peer)

    origins = {"refused": refusing, "unknown host": UNKNOWN, "not taken": unreachable}
    if fault in HANDSHAKES:
        origins[fault] = (await serve(greeted)).with_tls
    seconds = 0.1 if words.endswith("in time") else PATIENCE
    context = trusting()
    async with SessionPool(limit=1, connect_timeout=seconds, ssl_context=context) as pool:
        with anyio.fail_after(PATIENCE):
            error = await failure_of(pool, request_to(origins[fault], body=b"{}"))
        assert words in str(error)
        assert kind_of(error) == (ConnectFailed, False, False)
        assert await outlives(pool, await serve(good))
    if words.endswith("in time"):
        async with SessionPool() as pool:
            late = await failure_of(pool, request_to(origins[fault], body=b"{}", timeout=0.1))
        assert kind_of(late) == (RequestTimeout, False, False)
        assert "no connection was free, or none was made; check that the network" in str(late)


async def test_a_start_that_was_written_in_part_counts_as_sent(
    serve: Serve, pool: SessionPool
) -> None:
    """A provider that takes in only the beginning of a start may have acted on it."""
    server = await serve(lambda _: anyio.sleep_forever())
    error = await failure_of(pool, server.start(body=bytes(64 * MEBIBYTE), timeout=0.3))
    assert kind_of(error) == (RequestTimeout, False, True)


def compressed(size: int) -> bytes:
    """Return zeros of this size, a thousand times smaller by gzip."""
    squeeze = zlib.compressobj(9, wbits=31)
    return squeeze.compress(bytes(size)) + squeeze.flush()


BOMB = compressed(16 * MEBIBYTE)
PARTS = [BOMB[start : start + 256] for start in range(0, len(BOMB) + 256, 256)]
BOMB_IN_CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in PARTS)
PACKED = HEAD + b"Content-Encoding: gzip\r\n"


@vices(
    {
        "as promised": flood(HEAD + b"Content-Length: 100000000\r\n\r\n", b" "),
        "promised and not sent": then_stall(HEAD, b"Content-Length: 1048577\r\n\r\n"),
        "in chunks": flood(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),
        "until the end": flood(b"HTTP/1.0 200 OK\r\n\r\n", b" "),
        "packed": then_stall(PACKED, b"Content-Length: %d\r\n\r\n" % len(BOMB), BOMB),
        "packed, in chunks": then_stall(
            PACKED, b"Transfer-Encoding: chunked\r\n\r\n", BOMB_IN_CHUNKS
        ),
    }
)
async def test_an_answer_over_max_body_is_refused(vicious: Server) -> None:
    """An answer longer than `max_body` is refused as it comes; its error keeps nothing of it."""
    async with SessionPool(limit=1, max_body=MEBIBYTE, request_timeout=PATIENCE) as pool:
        await pool.exchange(vicious.get("/good"))
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            errors = [await failure_of(pool, vicious.start("/vice")) for _ in range(4)]
            for error in errors:
                error.with_traceback(None)
            gc.collect()
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for error in errors:
            assert "longer than max_body=1048576 bytes; pass SessionPool(max_body=" in str(error)
            assert error.sent
        assert peak - before < 6 * MEBIBYTE
        assert after - before < MEBIBYTE
        assert await outlives(pool, vicious)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("promised", [False, True])
async def test_max_body_is_exact(serve: Serve, *, packed: bool, promised: bool) -> None:
    """An answer of `max_body` bytes, unpacked, is taken; one of a byte more is not."""
    limit = 100_000

    async def sized(peer: Peer) -> None:
        while True:
            size = int((await peer.asked()).target[1:])
            body = compressed(size) if packed else bytes(size)
            encoding = b"Content-Encoding: gzip\r\n" if packed else b""
            if promised:
                await peer.answer(body, headers=encoding)
            else:
                head = HEAD + encoding + b"Transfer-Encoding: chunked\r\n\r\n"
                await peer.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    server = await serve(sized)
    async with SessionPool(max_body=limit) as pool:
        assert len((await pool.exchange(server.get(f"/{limit}"))).body) == limit
        with pytest.raises(TransportError, match="max_body"):
            await pool.exchange(server.get(f"/{limit + 1}"))


@pytest.mark.parametrize("traced", [False, True])
async def test_a_length_without_a_body_is_not_counted(serve: Serve, *, traced: bool) -> None:
    """What answers HEAD says how long the answer to a GET would be, and a 304 does so, too."""
    long = b"Content-Length: 1000\r\n\r\n"

    async def short(peer: Peer) -> None:
        while True:
            is_head = (await peer.asked()).head.startswith(b"HEAD ")
            await peer.send((HEAD if is_head else b"HTTP/1.1 304 Not Modified\r\n") + long)

    server = await serve(short)
    hooks = [aiohttp.TraceConfig()] if traced else []
    async with SessionPool(max_body=100, trace_configs=hooks) as pool:
        for method, status in (("HEAD", 200), ("GET", 304)):
            request = msgspec.structs.replace(server.get(), method=method)
            answer = await pool.exchange(request)
            assert (answer.status, answer.body) == (status, b"")


async def test_by_default_an_answer_has_32_mebibytes_at_most(
    serve: Serve, pool: SessionPool
) -> None:
    """An answer that promises a byte more is refused at once; one that promises as much is not."""

    async def promising(peer: Peer) -> None:
        length = (await peer.asked()).target[1:]
        await peer.send(HEAD + b"Content-Length: %s\r\n\r\n" % length)
        await peer.until_left()

    server = await serve(promising)
    with pytest.raises(RequestTimeout):
        await pool.exchange(server.get(f"/{32 * MEBIBYTE}", timeout=0.2))
    with pytest.raises(TransportError, match="longer than max_body=33554432 bytes"):
        await pool.exchange(server.get(f"/{32 * MEBIBYTE + 1}", timeout=PATIENCE))


async def test_a_redirect_is_not_followed(serve: Serve, pool: SessionPool) -> None:
    """A redirect is refused once, with its target's origin; no credential goes there."""
    target = await serve(good)
    location = f"Location: {target.origin}/secret-path?key=1\r\n".encode()
    server = await serve(answering(b"", status="308 Same", headers=location))
    coze = Coze(pool, token="t", base_url=server.origin)
    for asking in (coze.get_workflow_run("1", "2"), coze.start_workflow("1")):
        with pytest.raises(InvalidRequest, match=f"redirects to {target.origin}, which is not fol"):
            await asking
    assert [asked.method for asked in server.asked] == [b"GET", b"POST"]
    assert target.accepted == 0


@pytest.mark.parametrize(
    "tls",
    [certificate("example.com"), certificate(expired=True), certificate(by="stranger")],
    ids=["another name", "expired", "unknown authority"],
)
async def test_a_bad_certificate_is_permanent(serve: Serve, tls: ssl.SSLContext) -> None:
    """A certificate that does not verify is a lasting fault, and nothing of the request is sent."""
    server = await serve(good, tls)
    async with SessionPool(ssl_context=trusting()) as pool:
        error = await failure_of(pool, server.start())
    assert re.search("TLS failed.*ssl_context=", str(error))
    assert kind_of(error) == (ConnectFailed, True, False)
    assert server.asked == []
