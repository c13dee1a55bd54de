"""Tests of the session pool: opening, limits, reuse, timeouts, what it sends, closing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import threading
import traceback
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import aiohttp
import anyio
import msgspec
import pytest

from asyncclient import SessionPool, TaskAPI
from asyncclient._http.sessions import MOST_IDLE, close_all
from asyncclient.errors import ConnectFailed, DecodeError, RequestTimeout, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing.pytest_plugin import virtual_time
from tests.hostile import LongError
from tests.sockets.conftest import (
    PATIENCE,
    UNKNOWN,
    Peer,
    Serve,
    answering,
    failure_of,
    good,
    request_to,
    silent,
    until,
)
from tests.wire import Message, certificate, trusting


async def test_an_origin_is_opened_at_its_first_request(serve: Serve) -> None:
    """Making a pool and a client opens nothing; then each origin has one session."""
    first, second = await serve(good), await serve(good)
    async with SessionPool() as pool:
        Coze(pool, token="t", base_url=first.origin)
        await asyncio.sleep(0)
        assert repr(pool) == "<SessionPool open: 0 origins, 0 requests active, limit 100 each>"
        assert first.accepted == 0
        await pool.exchange(first.get())
        assert "1 origins" in repr(pool)
        await pool.exchange(second.get())
        await pool.exchange(first.get())
        assert "2 origins" in repr(pool)


async def test_a_stalled_origin_does_not_delay_another(serve: Serve) -> None:
    """Requests that take all connections of one origin leave another's free."""
    stalled, quick = await serve(silent), await serve(good)
    async with SessionPool(limit=1) as pool:
        waiting = [asyncio.create_task(pool.exchange(stalled.get())) for _ in range(3)]
        await stalled.was_asked()
        with anyio.fail_after(PATIENCE):
            assert (await pool.exchange(quick.get())).status == 200
        assert stalled.accepted == 1
        assert "3 requests active" in repr(pool)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_many_tasks_and_clients_share_the_connections(serve: Serve) -> None:
    """Two hundred requests of two clients go over `limit` connections, each to its own answer."""

    def echo(asked: Message) -> bytes:
        return b'{"status": "success", "data": {"id": "%s"}}' % asked.target.rpartition(b"/")[2]

    server = await serve(answering(echo))
    async with SessionPool(limit=2) as pool:
        clients = [CopyAI(pool, api_key="k", base_url=server.origin) for _ in range(2)]
        asking = (clients[n % 2].get_workflow_run("W", f"R{n}") for n in range(200))
        runs = await asyncio.gather(*asking)
    assert [run.id for run in runs] == [f"R{n}" for n in range(200)]
    assert server.accepted == 2


async def test_a_connection_is_kept_for_keepalive_seconds(serve: Serve, pool: SessionPool) -> None:
    """Requests one after the other, starts among them, share one until it is idle for too long."""
    server = await serve(good)
    for request in [server.get(), server.start()] * 5:
        await pool.exchange(request)
        assert request.headers == {"Authorization": "Bearer t"}  # still the caller's own
    assert (server.accepted, len(server.asked)) == (1, 10)
    async with SessionPool(keepalive=0.02) as quick:
        await quick.exchange(server.get())
        await anyio.sleep(0.05)
        await quick.exchange(server.get())
    assert server.accepted == 3


@virtual_time
async def test_a_requests_own_timeout_goes_before_the_pools(serve: Serve) -> None:
    """It bounds its request exactly, with any answer or none; zero is not without end."""

    async def trickling(peer: Peer) -> None:
        await peer.asked()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"1\r\nx\r\n")
            await anyio.sleep(0.1)

    server = await serve(trickling)
    async with SessionPool(limit=1, request_timeout=3) as pool:
        for timeout, seconds in [(None, 3), (0.5, 0.5), (4.5, 4.5)]:
            began = anyio.current_time()
            with pytest.raises(RequestTimeout, match=f"within {seconds} s.*timeout"):
                await pool.exchange(server.get(timeout=timeout))
            assert anyio.current_time() - began == pytest.approx(seconds, abs=0.01)
        with pytest.raises(ValueError, match=r"^timeout="):
            await pool.exchange(server.get(timeout=0.0))


@virtual_time
async def test_queueing_counts_towards_the_timeout(serve: Serve) -> None:
    """A start that gets no connection within its timeout ends by it, and was not sent."""
    server = await serve(silent)
    async with SessionPool(limit=1, request_timeout=60) as pool:
        first = asyncio.create_task(pool.exchange(server.get()))
        await server.was_asked()
        with pytest.raises(RequestTimeout, match=r"within 2 s: no conn.*limit=") as caught:
            await pool.exchange(server.start(timeout=2))
        assert not caught.value.sent
        assert len(server.asked) == 1
        first.cancel()
        await asyncio.wait([first])


async def test_cookies_are_not_sent_back(serve: Serve, pool: SessionPool) -> None:
    """A cookie that one answer sets is in no later request: accounts would share it."""
    server = await serve(answering(headers=b"Set-Cookie: session=42; Path=/\r\n"))
    # By name: no jar of cookies keeps those of a bare address.
    named = server.origin.replace("127.0.0.1", "localhost")
    for _ in range(3):
        await pool.exchange(request_to(named))
    assert len(server.asked) == 3
    assert all(b"cookie" not in asked.headers for asked in server.asked)


async def test_every_encoding_that_is_offered_is_decoded(serve: Serve, pool: SessionPool) -> None:
    """A request offers gzip and no encoding that cannot be read; a body arrives unpacked."""
    for encoding, wbits in (("gzip", 31), ("deflate", 15)):
        packed = zlib.compress(b"tea" * 999, wbits=wbits)
        headers = f"Content-Encoding: {encoding}\r\n".encode()
        server = await serve(answering(packed, headers=headers))
        answer = await pool.exchange(server.get())
        assert (answer.body, answer.headers["content-encoding"]) == (b"tea" * 999, encoding)
        offered = server.asked[0].headers[b"accept-encoding"].decode().split(", ")
        assert {"gzip"} <= {*offered} <= {"gzip", "deflate", "br", "zstd"}


async def test_a_target_is_sent_as_it_was_quoted(serve: Serve, pool: SessionPool) -> None:
    """An id stays one segment below the base URL's path; of a signed URL no letter is changed."""
    server = await serve(good)
    copyai = CopyAI(pool, api_key="k", base_url=f"{server.origin}/proxy//", max_retries=0)
    with pytest.raises(DecodeError):
        await copyai.get_workflow_run("../a%2F?b#", "a b+茶~")
    assert server.asked[0].line == (
        b"GET /proxy/workflow/..%2Fa%252F%3Fb%23/run/a%20b%2B%E8%8C%B6~ HTTP/1.1"
    )
    host = server.origin.removeprefix("http://")
    api = TaskAPI(pool, "https://api.example", name="acme", token="t", hosts=[host])
    assert await api.get(f"{server.origin}/jobs/7?sig=a%2Fb&n=1") == {}
    assert server.asked[1].target == b"/jobs/7?sig=a%2Fb&n=1"
    assert server.asked[1].headers[b"authorization"] == b"Bearer t"


async def test_the_pools_headers_go_with_every_request(serve: Serve, pool: SessionPool) -> None:
    """A User-Agent of one's own, else ours, and others; what a client sends goes before them."""
    server = await serve(good)
    await pool.exchange(server.get())
    assert server.asked.pop().headers[b"user-agent"].startswith(b"asyncclient Python/3.")
    async with SessionPool(headers={"user-agent": "tea/1", "X-Team": "42", "Prefer": "a"}) as own:
        api = TaskAPI(own, server.origin, name="tea", token="t", headers={"prefer": "b"})
        await api.get("/1")
        await api.post("/2", {})
    for asked in server.asked:
        sent = {name: asked.headers[name] for name in (b"user-agent", b"x-team", b"prefer")}
        assert sent == {b"user-agent": b"tea/1", b"x-team": b"42", b"prefer": b"b"}
        assert asked.headers[b"authorization"] == b"Bearer t"
        assert asked.head.lower().count(b"\r\nprefer:") == 1
        assert asked.head.lower().count(b"\r\nuser-agent:") == 1


async def test_what_has_no_body_has_no_type(serve: Serve, pool: SessionPool) -> None:
    """Servers that take JSON alone refuse another type, also of a body that is not there."""
    server = await serve(good)
    api = TaskAPI(pool, server.origin, name="tea")
    for method in ("POST", "PATCH", "PUT", "DELETE", "GET"):
        for body, kind in ((None, None), ([7], b"application/json")):
            await api.request(method, "/1", body)
            assert server.asked.pop().headers.get(b"content-type") == kind


async def test_an_answer_has_a_bounded_number_of_headers(serve: Serve, pool: SessionPool) -> None:
    """Two hundred of them, and 64 KiB in all, of which one may have nearly as much alone."""

    async def wordy(peer: Peer) -> None:
        while True:
            count, size = map(int, (await peer.asked()).target[1:].split(b"/"))
            value = b"x" * (size // (count - 1) - 40)  # the status line and the length want some
            lines = (b"X-%03d: %s\r\n" % (number, value) for number in range(count - 1))
            await peer.answer(headers=b"".join(lines))

    server = await serve(wordy)
    for count, size in ((200, 64 * 1024), (2, 64 * 1024), (200, 200 * 41)):
        assert len((await pool.exchange(server.get(f"/{count}/{size}"))).headers) == count
    assert "Too many" in str(await failure_of(pool, server.get(f"/1000/{1000 * 41}")))


async def test_the_longest_unused_of_many_origins_are_closed(serve: Serve) -> None:
    """At most `MOST_IDLE` stay open without a request; one that is asked is never closed."""
    servers = [await serve(good) for _ in range(MOST_IDLE + 3)]
    stalled = await serve(silent)
    pool = SessionPool()
    under_way = asyncio.create_task(failure_of(pool, stalled.get()))
    await stalled.was_asked()
    # The first is asked once more, so that the three after it are unused for longer.
    for server in (*servers[:MOST_IDLE], servers[0], *servers[MOST_IDLE:]):
        await pool.exchange(server.get())
    assert f"{MOST_IDLE + 1} origins, 1 requests active" in repr(pool)
    for server in servers[1:4]:
        await server.was_left()
    assert all(server.connected for server in (servers[0], *servers[4:]))
    assert servers[0].accepted == 1
    await pool.exchange(servers[1].get())  # it is opened again
    assert servers[1].accepted == 2
    assert stalled.connected == 1
    await pool.aclose()
    await under_way
    for server in (*servers, stalled):
        await server.was_left()


# The stages of a start at which a hook is called, and whether nothing was sent before; at the last
# one the answer is there.
STAGES = {
    "on_request_start": True,
    "on_connection_create_start": True,
    "on_connection_create_end": True,
    "on_request_headers_sent": True,
    "on_request_chunk_sent": False,
    "on_response_chunk_received": False,
    "on_request_end": False,
}
HOOK_ERRORS = (
    *(kind("broken") for kind in (ValueError, KeyError, TimeoutError, OSError, RuntimeError)),
    *(aiohttp.InvalidURL("broken"), aiohttp.ConnectionTimeoutError(), asyncio.CancelledError()),
    *(aiohttp.ClientPayloadError("broken"), LongError()),
)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("error", HOOK_ERRORS, ids=lambda error: type(error).__name__)
async def test_a_hook_that_raises_does_not_say_what_was_sent(
    serve: Serve, stage: str, error: BaseException
) -> None:
    """Of any error and at any moment: a start that was sent may have happened, and no other."""

    async def fail(*_: object) -> None:
        raise error

    trace = aiohttp.TraceConfig()
    cast("list[object]", getattr(trace, stage)).append(fail)
    server = await serve(good)
    async with SessionPool(trace_configs=[trace]) as pool:
        for body in (b"{}", None):
            if body is None and stage == "on_request_chunk_sent":
                continue  # there is none
            sent_before = len(server.asked)
            starting = msgspec.structs.replace(server.start(), body=body)
            failure = await failure_of(pool, starting)
            assert failure.sent is not STAGES[stage]
            assert STAGES[stage] <= (len(server.asked) == sent_before)
            assert len(traceback.extract_tb(failure.__traceback__)) == 2  # the test's, and ours


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("limit", 0, ValueError),
        ("limit", 0.5, TypeError),  # 0 would be no limit for aiohttp
        ("request_timeout", "1", TypeError),
        ("connect_timeout", -1, ValueError),
        ("keepalive", float("inf"), ValueError),
        ("max_body", 0, ValueError),
        ("ssl_context", False, TypeError),  # no switch turns verification off
        ("trace_configs", None, TypeError),
        ("trace_configs", [object()], TypeError),
        ("proxy", "socks5://127.0.0.1:1080", ValueError),
        ("headers", [("A", "b")], TypeError),
    ],
)
def test_a_setting_that_cannot_be_names_its_argument(
    name: str, value: object, kind: type[Exception]
) -> None:
    """A bad setting is refused when the pool is made, by its name."""
    with pytest.raises(kind, match=f"^{name}( must be|=)"):
        cast("Callable[..., SessionPool]", SessionPool)(**{name: value})


@pytest.mark.parametrize("used", [False, True])
async def test_a_closed_pool_says_so(serve: Serve, *, used: bool) -> None:
    """Once closed, requests and entering fail at once and say what to do; closing again is fine."""
    server = await serve(good)
    pool = SessionPool()
    if used:
        await pool.exchange(server.get())
    await pool.aclose()
    assert repr(pool).startswith("<SessionPool closed: 0 origins, 0 requests active")
    await pool.aclose()
    for use in (pool.exchange(server.get()), pool.__aenter__()):
        with pytest.raises(RuntimeError, match="is closed: make a new one"):
            await use
    assert len(server.asked) == used


def test_another_loop_is_refused_in_words(refusing: str) -> None:
    """A pool belongs to the loop of its first request, and only that one can use and close it."""
    pool = SessionPool()
    request = request_to(refusing)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert isinstance(first.run(failure_of(pool, request)), ConnectFailed)
        for use in (pool.exchange(request), pool.aclose()):
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                second.run(use)
        assert isinstance(first.run(failure_of(pool, request)), ConnectFailed)
        first.run(pool.aclose())


@pytest.mark.parametrize("used", [False, True])
def test_without_asyncio_the_pool_asks_for_it(refusing: str, *, used: bool) -> None:
    """Driven by anything but asyncio, before or after its first use, the pool asks for asyncio."""
    pool = SessionPool()
    with asyncio.Runner() as runner:
        if used:
            runner.run(failure_of(pool, request_to(refusing)))
        stray = pool.exchange(request_to(refusing))
        with pytest.raises(RuntimeError, match="needs a running asyncio event loop"):
            stray.send(None)
        runner.run(pool.aclose())


@pytest.mark.filterwarnings("ignore:Unclosed client session:ResourceWarning")
def test_a_forgotten_pool_warns(refusing: str) -> None:
    """A pool that was used and never closed warns when collected; an unused one does not."""

    def forget_and_collect() -> None:
        SessionPool().__del__()
        asyncio.run(failure_of(SessionPool(), request_to(refusing)))
        gc.collect()

    says = r"unclosed <SessionPool open: 1 origins.*aclose\(\)"
    with pytest.warns(ResourceWarning, match=says) as warned:
        forget_and_collect()
    assert sum("<SessionPool" in str(each.message) for each in warned) == 1


@contextlib.contextmanager
def busy_executor() -> Generator[None]:
    """Hold up what asyncio does in threads, as the lookup of a name."""
    free = threading.Event()
    executor = ThreadPoolExecutor(1)
    executor.submit(free.wait)
    asyncio.get_running_loop().set_default_executor(executor)
    try:
        yield
    finally:
        free.set()


@pytest.mark.parametrize("stage", ["lookup", "connecting", "handshake", "answer", "body"])
async def test_closing_fails_what_is_under_way(serve: Serve, unreachable: str, stage: str) -> None:
    """A request at any stage, or in the queue, fails at once with the reason; its socket closes.

    A start that had no connection was not sent.
    """

    async def stalling(peer: Peer) -> None:
        if stage in ("answer", "body"):
            await peer.asked()
        if stage == "body":
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.until_left()

    server = await serve(stalling)
    origins = {"lookup": UNKNOWN, "connecting": unreachable, "handshake": server.with_tls}
    origin = origins.get(stage, server.origin)
    pool = SessionPool(limit=2, connect_timeout=PATIENCE * 2, ssl_context=trusting())
    requests = [request_to(origin, body=body) for body in (None, b"{}") * 2]
    with busy_executor() if stage == "lookup" else contextlib.nullcontext():
        tasks = [asyncio.create_task(failure_of(pool, request)) for request in requests]
        if stage == "lookup":
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        else:
            await until(lambda: stage == "connecting" or server.accepted == 2)
            await anyio.sleep(0.01)
        with anyio.fail_after(PATIENCE / 2):
            await pool.aclose()
            errors = await asyncio.gather(*tasks)
            await server.was_left()
    for error in errors:
        assert type(error) is TransportError
        assert "the SessionPool was closed during the request" in str(error)
    assert [error.sent for error in errors[1::2]] == [stage in ("answer", "body"), False]
    assert "0 requests active" in repr(pool)


async def test_closing_fails_the_clean_up_of_a_cancelled_task(serve: Serve) -> None:
    """A task that was cancelled before, and asks something to clean up, learns of the closing.

    A request that its caller cancels as the pool closes ends as cancelled.
    """
    server = await serve(silent)
    pool = SessionPool()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            errors.append(await failure_of(pool, server.get()))

    errors: list[TransportError] = []
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    late = asyncio.create_task(pool.exchange(server.get()))
    await server.was_asked(2)
    asyncio.get_running_loop().call_soon(late.cancel)
    with anyio.fail_after(PATIENCE):
        await pool.aclose()
        await asyncio.wait([task, late])
    assert [type(error) for error in errors] == [TransportError]
    assert task.cancelled()
    assert late.cancelled()


@pytest.mark.parametrize("steps", [None, *range(6)])
async def test_a_cancelled_closing_closes_all_sockets(serve: Serve, steps: int | None) -> None:
    """A cancelled scope, or a cancellation after some steps, keeps no socket from closing."""
    servers = [await serve(good) for _ in range(3)]
    stalled = await serve(silent)
    pool = SessionPool()
    for server in servers:
        await pool.exchange(server.get())
    before = asyncio.all_tasks()
    under_way = asyncio.create_task(failure_of(pool, stalled.get()))
    await stalled.was_asked()
    if steps is None:
        with anyio.move_on_after(0):
            await pool.aclose()
    else:
        closing = asyncio.create_task(pool.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        if not steps:
            await pool.aclose()  # it had not begun
    assert asyncio.all_tasks() - {under_way} <= before
    await under_way
    for server in (*servers, stalled):
        await server.was_left()


async def test_closing_does_not_wait_for_a_peers_farewell(serve: Serve) -> None:
    """A TLS server, of the caller's own authority, cannot hold up the closing by its silence."""

    async def deaf(peer: Peer) -> None:
        await peer.asked()
        await peer.answer()
        await anyio.sleep_forever()

    server = await serve(deaf, certificate())
    pool = SessionPool(ssl_context=trusting())
    assert (await pool.exchange(server.get())).body == b"{}"
    with anyio.fail_after(PATIENCE):
        await pool.aclose()


class _Session:
    """A session whose closing takes some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.closed = False

    async def close(self) -> None:
        """Note that it is closed, in the end."""
        await anyio.sleep(self.seconds)
        self.closed = True


@virtual_time
async def test_closing_takes_at_most_five_seconds() -> None:
    """A session that does not close is given up after 5 s; the others are closed meanwhile."""
    stuck, good = _Session(math.inf), _Session(1)
    began = anyio.current_time()
    await close_all([stuck, good])
    assert anyio.current_time() - began == 5.0
    assert (stuck.closed, good.closed) == (False, True)


async def test_entering_and_leaving_may_be_in_different_tasks(serve: Serve) -> None:
    """Web frameworks enter in one task, use in others, and leave in yet another."""
    server = await serve(good)
    pool = SessionPool()
    await asyncio.create_task(pool.__aenter__())
    answer = await asyncio.create_task(pool.exchange(server.get()))
    await asyncio.create_task(pool.__aexit__(None, None, None))
    assert answer.status == 200
    await server.was_left()
