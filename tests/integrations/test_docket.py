"""Durable waits that docket keeps, on its server in memory; the clock is real, and docket's own."""

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
from asyncclient._durable import Ticket
from asyncclient.integrations.docket import DocketWaits, with_connections
from tests.integrations import place as places
from tests.integrations.place import FAST, Place, knowing, ref_of

OnDocket: TypeAlias = Place[DocketWaits]
PATIENCE = 15.0

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncGenerator[OnDocket]:
    """Give a place whose docket has the test's name."""
    waits = DocketWaits("memory://", name=str(cast("object", request.node.name)))
    async with waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def test_a_process_that_only_submits_runs_nothing(place: OnDocket) -> None:
    """A worker started beside `submit` alone puts tickets back, which are texts and no pickles."""
    await place.waits.submit(ref_of(1), key="order")
    execution = await place.waits.docket.get_execution("order")
    assert execution is not None
    assert execution.kwargs == {}
    (text,) = execution.args
    assert isinstance(text, str)
    async with Worker(place.waits.docket, schedule_automatic_tasks=False) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await asyncio.sleep(0.3)
        working.cancel()
        await asyncio.wait({working})
    assert await place.waits.ticket("order") == Ticket.decode(text)


async def test_any_docket_worker_can_hold_waits(place: OnDocket) -> None:
    """The task goes into a worker of one's own, beside other tasks; its stop hands waits back."""
    place.waits.task(place.poller, place.task_of, place.sink, hold=60, schedule=FAST)
    await place.waits.submit(ref_of(1), key="quick")
    await place.waits.submit(ref_of(2, 3600), key="slow")
    async with Worker(place.waits.docket, redelivery_timeout=timedelta(seconds=30)) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await place.until(1)
        working.cancel()
        with anyio.fail_after(PATIENCE):
            await asyncio.wait({working})
    assert await place.waits.ticket("slow") is not None


async def test_a_docket_of_ones_own_stays_open() -> None:
    """What is given is not closed, and keeps its own settings."""
    async with Docket(name="mine", url="memory://") as docket:
        async with DocketWaits(docket) as waits:
            assert waits.docket is docket
        assert await DocketWaits(docket).submit(ref_of(1), key="order")


def test_the_url_gets_the_connections_that_the_waits_need() -> None:
    """With docket's 100 connections, a worker of more waits would fail for ever."""
    assert with_connections("redis://h:1/0", 1000) == "redis://h:1/0?max_connections=2064"
    own = "rediss://u:p@h/2?max_connections=50&ssl_cert_reqs=none"
    assert with_connections(own, 1000) == own
    assert with_connections("memory://", 1000) == "memory://"
    assert "p%40ss" in with_connections("redis://u:p%40ss@h/0", 10)


def test_bad_arguments_are_refused_before_anything_is_kept() -> None:
    """A name or a concurrency that cannot be says so."""
    with pytest.raises(ValueError, match="concurrency"):
        DocketWaits("memory://", concurrency=0)
    for name in ("orders[eu]", "orders*", "orders?", "a\\b", "^a"):
        with pytest.raises(ValueError, match="another name"):
            DocketWaits("memory://", name=name)


def test_a_password_is_not_shown() -> None:
    """The server's URL, which may hold one, is in no repr."""
    assert "SECRET" not in repr(DocketWaits("redis://u:SECRET@127.0.0.1:1/0"))


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
