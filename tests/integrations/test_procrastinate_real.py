"""Waits on a real PostgreSQL: workers and the server are killed, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")

from asyncclient.integrations.procrastinate import ProcrastinateWaits
from asyncclient.testing import Simulator
from tests.integrations import place as places
from tests.integrations.killing import Scene, survive
from tests.integrations.servers import Server, postgres_server

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240)]
NUMBER = 1000


@pytest.fixture(scope="module")
def postgres() -> Generator[Server]:
    """Run a server for this module."""
    with postgres_server() as server:
        if server is None:
            pytest.skip("NOT TESTED: no PostgreSQL server on this machine")
        yield server


@pytest.fixture
async def scene(postgres: Server, tmp_path: Path) -> AsyncGenerator[Scene]:
    """Give a scene of its own on that server."""
    async with Simulator() as sim:
        url = f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"
        scene = Scene("procrastinate", url, tmp_path, sim)
        async with ProcrastinateWaits(url) as waits:
            if not await waits.app.check_connection_async():
                await waits.app.schema_manager.apply_schema_async()
        try:
            yield scene
        finally:
            await scene.close()


async def test_a_killed_worker_loses_nothing(scene: Scene) -> None:
    """A `kill -9` with 1,000 waits in flight, and a restart: each ends in its right state."""

    async def hit() -> None:
        await scene.kill_worker()
        await scene.start_worker()

    async with ProcrastinateWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, hit, number=NUMBER)
    assert (reckoning.right, reckoning.started_twice) == (NUMBER, 0)


async def test_a_worker_that_never_comes_back_loses_nothing(scene: Scene) -> None:
    """Of two workers one is killed for good: the other takes its waits over."""
    async with ProcrastinateWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, scene.kill_worker, number=NUMBER, workers=2)
    assert (reckoning.right, reckoning.started_twice) == (NUMBER, 0)


async def test_a_killed_server_loses_nothing(scene: Scene, postgres: Server) -> None:
    """The server is killed and back after 2 s; the waits are polled on meanwhile."""

    async def hit() -> None:
        postgres.kill()
        await asyncio.sleep(2)
        await asyncio.to_thread(postgres.start)

    async with ProcrastinateWaits(scene.url) as waits:
        reckoning = await survive(scene, waits, hit, number=NUMBER)
    assert (reckoning.right, reckoning.started_twice) == (NUMBER, 0)
