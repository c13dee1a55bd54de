"""A start that never left is known not to have started: before its connection was made or free."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from itertools import repeat
from typing import Literal, NoReturn

import anyio
import pytest

from asyncclient import SessionPool
from asyncclient._http import Request
from asyncclient.errors import TransportError
from asyncclient.providers.copyai import CopyAI
from tests.adversity.proxy import FaultProxy
from tests.adversity.scene import NAME, VirtualTimeNames, virtual_loop
from tests.wire import Wire, full_queue

Where = Literal["queue", "connection", "handshake", "name"]
WHERE: tuple[Where, ...] = ("queue", "connection", "handshake", "name")


class SlowNames(VirtualTimeNames):
    """A loop in which a name is neither found nor missed."""

    async def getaddrinfo(self, *_: object, **__: object) -> NoReturn:
        """Never answer."""
        await anyio.sleep_forever()
        raise AssertionError


@contextlib.asynccontextmanager
async def stuck_at(where: Where, heard: list[bytes]) -> AsyncGenerator[str]:
    """Give an origin at which a start gets so far and no further; note what is heard there."""
    if where == "connection":
        with full_queue() as origin:
            yield origin
        return

    async def listen(link: Wire) -> None:
        while data := await link.reader.read(65536):
            heard.append(data)

    async with FaultProxy(0) as server:
        server.connection_faults = repeat(listen)
        host = NAME if where == "name" else "127.0.0.1"
        yield f"{'https' if where == 'handshake' else 'http'}://{host}:{server.port}"


async def start(where: Where, *, closing: bool) -> tuple[object, bytes, float]:
    """Start something that gets stuck; return its end, what was heard, and how long it took."""
    heard: list[bytes] = []
    async with (
        stuck_at(where, heard) as origin,
        # The time for a request is over before that for a connection.
        SessionPool(limit=1, request_timeout=2, connect_timeout=10) as pool,
    ):
        copyai = CopyAI(pool, api_key="k", base_url=origin, allow_http=True)
        hanging = Request(
            name="hanging", method="GET", origin=origin, target="/", headers={}, timeout=60.0
        )
        before = asyncio.create_task(pool.exchange(hanging))
        if where == "queue":
            await anyio.sleep(0.1)
        else:
            before.cancel()
        began = anyio.current_time()
        starting = asyncio.create_task(copyai.start_workflow("W", {"text": "tea"}))
        if closing:
            await anyio.sleep(0.5)
            await pool.aclose()
        await asyncio.wait([starting])
        elapsed = anyio.current_time() - began
        before.cancel()
        await asyncio.wait([before])
    return starting.exception(), b"".join(heard), elapsed


@pytest.mark.parametrize("closing", [False, True], ids=["out of time", "pool closed"])
@pytest.mark.parametrize("where", WHERE)
def test_a_start_that_never_left_ends_in_time_and_has_not_started(
    where: Where, *, closing: bool
) -> None:
    """Its time or the closing of its pool ends it; nothing was sent, and its error says so."""
    with asyncio.Runner(loop_factory=SlowNames if where == "name" else virtual_loop) as runner:
        error, heard, elapsed = runner.run(start(where, closing=closing))
    assert isinstance(error, TransportError)
    assert not error.sent
    assert not error.may_have_started
    assert b"POST" not in heard
    assert elapsed == pytest.approx(0.5 if closing else 2, abs=0.2)
