"""Cancelling a request at any moment leaves the pool fit for use: nothing leaks, nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from asyncclient import SessionPool
from asyncclient.errors import TransportError
from tests.sockets.conftest import PATIENCE, Peer, Script, Serve, Server, until
from tests.wire import certificate, trusting

# More steps of the loop than any exchange here takes; most are over after some twenty.
MOST_STEPS = 400

RUN = b'{"status": "success", "data": {"id": "R", "status": "NEW"}}'


def slowly(*parts: bytes) -> Script:
    """Answer every request with these parts, with a step of the loop between them."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            for part in parts:
                await anyio.lowlevel.checkpoint()
                await peer.send(part)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
in_parts = slowly(
    HEAD[:12], HEAD[12:], b"Content-Length: %d\r\n\r\n" % len(RUN), RUN[:10], RUN[10:30], RUN[30:]
)
in_chunks = slowly(
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    *(b"%x\r\n%s\r\n" % (len(part), part) for part in (RUN[:10], RUN[10:30], RUN[30:], b"")),
)


async def then_closing(peer: Peer) -> None:
    """Answer one request a connection."""
    await peer.asked()
    await peer.answer(RUN, headers=b"Connection: close\r\n")


Cancelling = Callable[[asyncio.Task[object], anyio.CancelScope], None]

WAYS: dict[str, Cancelling] = {
    "task": lambda task, _: [task.cancel()].clear(),
    "scope": lambda _, scope: scope.cancel(),
}


async def cancelled_after(
    steps: int, ask: Callable[[], Awaitable[object]], cancel: Cancelling
) -> bool:
    """Cancel a request after some steps of the loop; return whether it was over before."""
    scope = anyio.CancelScope()

    async def asking() -> None:
        with scope:
            await ask()

    task = asyncio.create_task(asking())
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        await task
        return True
    cancel(task, scope)
    with anyio.fail_after(PATIENCE):
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
    return False


async def is_fit(pool: SessionPool, server: Server) -> bool:
    """Return whether the only connection of a pool is free, and brings the right answer."""
    with anyio.fail_after(PATIENCE):
        answer = await pool.exchange(server.get())
    return answer.body == RUN and "0 requests active" in repr(pool)


@pytest.mark.parametrize(
    ("way", "warm", "starts"),
    [("task", False, True), ("scope", True, True), ("task", True, False)],
    ids=["a start", "a start on a kept connection, by scope", "a get on a kept connection"],
)
@pytest.mark.parametrize(
    ("script", "tls"),
    [(in_parts, False), (in_chunks, False), (then_closing, False), (in_parts, True)],
    ids=["in parts", "in chunks", "then closing", "over TLS"],
)
async def test_cancelling_at_any_step_leaks_nothing(
    serve: Serve, script: Script, way: str, *, warm: bool, starts: bool, tls: bool
) -> None:
    """Cancelled at each step in turn, a request gives its connection back or closes it."""
    server = await serve(script, certificate() if tls else None)
    request = server.start() if starts else server.get()
    before = asyncio.all_tasks()
    reached = 0
    for steps in range(MOST_STEPS):
        server.asked.clear()
        async with SessionPool(limit=1, ssl_context=trusting() if tls else None) as pool:
            if warm:
                await pool.exchange(server.get())
            over = await cancelled_after(steps, lambda: pool.exchange(request), WAYS[way])
            assert await is_fit(pool, server)
        assert [asked.method for asked in server.asked].count(b"POST") <= 1
        if over:
            break
        reached = steps
    else:
        pytest.fail(f"not over after {MOST_STEPS} steps")
    assert reached >= 5
    await server.was_left()
    await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("warm", [False, True], ids=["new", "kept"])
async def test_a_pool_may_be_closed_at_any_step_of_a_start(serve: Serve, *, warm: bool) -> None:
    """A start whose pool is closed ends well or as our error, and its task is not cancelled."""
    server = await serve(in_parts)
    for steps in range(1, MOST_STEPS):
        server.asked.clear()
        pool = SessionPool(limit=1)
        if warm:
            await pool.exchange(server.get())
        starting = asyncio.create_task(pool.exchange(server.start()))
        for _ in range(steps):
            await asyncio.sleep(0)
        over = starting.done()
        await pool.aclose()
        await asyncio.wait([starting])
        assert (starting.cancelled(), starting.cancelling()) == (False, 0)
        error = starting.exception()
        await server.was_left()
        assert error is None or isinstance(error, TransportError)
        assert error is None or error.sent or all(each.method == b"GET" for each in server.asked)
        if over:
            break
    else:
        pytest.fail(f"not over after {MOST_STEPS} steps")
    assert steps >= 5


@pytest.mark.parametrize("way", WAYS)
async def test_cancelling_in_the_queue_gives_the_turn_to_the_next(serve: Serve, way: str) -> None:
    """Of ten requests that queue for one connection, those that are not cancelled are answered."""
    release = asyncio.Event()

    async def gated(peer: Peer) -> None:
        while True:
            await peer.asked()
            await release.wait()
            await peer.answer(RUN)

    server = await serve(gated)
    async with SessionPool(limit=1) as pool:
        scopes = [anyio.CancelScope() for _ in range(10)]

        async def asking(scope: anyio.CancelScope) -> bool:
            with scope:
                return (await pool.exchange(server.get())).body == RUN
            return False

        tasks = [asyncio.create_task(asking(scope)) for scope in scopes]
        await server.was_asked()
        for number in (0, 3, 4, 9):
            WAYS[way](tasks[number], scopes[number])
        release.set()
        with anyio.fail_after(PATIENCE):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for number, end in enumerate(ends) if end is True] == [1, 2, 5, 6, 7, 8]
        assert await is_fit(pool, server)


@pytest.mark.parametrize("stage", ["sending", "reading"])
async def test_a_cancelled_request_frees_its_connection_at_once(serve: Serve, stage: str) -> None:
    """While its body is being sent or its answer read, and the caller holds the cancellation."""

    async def stalling(peer: Peer) -> None:
        if peer.number > 1:
            await in_parts(peer)
        if stage == "reading":
            await peer.asked()
            await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await anyio.sleep_forever()

    server = await serve(stalling)
    async with SessionPool(limit=1) as pool:
        request = server.start(body=b" " * 900_000) if stage == "sending" else server.get()
        asking = asyncio.ensure_future(pool.exchange(request))
        await until(lambda: server.accepted == 1)
        await anyio.sleep(0.1)
        asking.cancel()
        with anyio.fail_after(PATIENCE), pytest.raises(asyncio.CancelledError) as kept:
            await asking
        assert await is_fit(pool, server)
        assert kept.value is not None
