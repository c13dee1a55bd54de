"""Durable waits that docket keeps, on its server in memory; the clock is real, and docket's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TypeAlias, cast

import anyio
import pytest

pytest.importorskip("docket")

from docket import Docket, Worker

from asyncclient import (
    Poller,
    Reading,
    SessionPool,
    TaskAPI,
    TaskState,
    Vocabulary,
    catalogue,
)
from asyncclient._durable import Ticket
from asyncclient.integrations import _engine
from asyncclient.integrations.docket import DocketWaits, with_connections
from asyncclient.testing import SimulatedAPI
from tests.integrations import place as places
from tests.integrations.killing import Life, eventually
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


async def test_a_process_that_only_submits_puts_tickets_back(
    place: OnDocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker beside `submit` alone runs and loses nothing: another process can hold tickets."""
    monkeypatch.setattr(_engine, "_NOT_HERE", 0.1)
    docket = place.waits.docket
    await place.waits.submit_many({"order": ref_of(1), "off": ref_of(2)})
    execution = await docket.get_execution("order")
    assert execution is not None
    assert execution.kwargs == {}
    (text,) = execution.args
    assert isinstance(text, str)
    async with Worker(docket, schedule_automatic_tasks=False) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await asyncio.sleep(0.5)
        assert await place.waits.cancel("off")
        await asyncio.sleep(0.3)
        working.cancel()
        await asyncio.wait({working})
    assert await place.waits.ticket("order") == Ticket.decode(text)
    async with DocketWaits("memory://", name=docket.name) as place.waits, place.worker():
        await place.until(1)
        await asyncio.sleep(0.3)
    assert place.states() == {"order": TaskState.SUCCEEDED}


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


END = {"state": {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"}, "output": "tea"}
FILM = Reading(
    "studio.film",
    Vocabulary(running="rendering", succeeded="finished", failed="crashed"),
    status="status",
    source="a test",
    checked="2026-11-29",
)


async def test_a_killed_worker_loses_no_wait_of_a_catalogue_task(place: OnDocket) -> None:
    """Nor one of a reading of one's own: a worker that comes after it reports their right ends.

    The store lives in this process, and so does the worker: all its coroutines stop where they are.
    """
    sims = {
        "databricks": SimulatedAPI(
            catalogue.DATABRICKS_RUN, poll="/get?id={id}", words=[("RUNNING", 2), (END, None)]
        ),
        "fal": SimulatedAPI(
            catalogue.FAL_REQUEST, words=[("IN_PROGRESS", 2), ("COMPLETED/error", None)]
        ),
        "studio": SimulatedAPI(FILM, words=[("rendering", 2), ("finished", None)]),
    }
    paths = {"databricks": "/get?id=job-1"}

    def apis(pool: SessionPool) -> dict[str, TaskAPI]:
        return {
            name: TaskAPI(pool, sim.url, name=name, token="t", readings=[FILM])
            for name, sim in sims.items()
        }

    async def work() -> None:
        async with (
            DocketWaits("memory://", name=place.waits.docket.name) as waits,
            SessionPool() as pool,
            Poller(schedule=FAST) as poller,
        ):
            await waits.work(poller, apis(pool), place.sink, schedule=FAST, redelivery=1)

    async with contextlib.AsyncExitStack() as stack:
        for sim in sims.values():
            await stack.enter_async_context(sim)
        pool = await stack.enter_async_context(SessionPool())
        for name, api in apis(pool).items():
            await api.post("/jobs")
            reading = catalogue.ALL.get(f"{name}.{'run' if name == 'databricks' else 'request'}")
            task = api.task(paths.get(name, "/jobs/job-1"), reading or FILM)
            await place.waits.submit(task.ref, key=name)
        life = Life()
        killed = life.start(work())
        await eventually(lambda: all(sim.tasks["job-1"].polls for sim in sims.values()))
        life.is_over = True
        await asyncio.sleep(0.2)  # what was on its way to the server
        asked = [sim.requests.copy() for sim in sims.values()]
        await asyncio.sleep(0.5)
        assert [sim.requests for sim in sims.values()] == asked
        assert place.reported == []
        other = asyncio.ensure_future(work())
        assert not killed.done()
        await place.until(3)
        await asyncio.sleep(1.2)  # what would be reported twice
        other.cancel()
        await asyncio.wait({other})
    assert place.states() == {
        "databricks": TaskState.SUCCEEDED,
        "fal": TaskState.FAILED,
        "studio": TaskState.SUCCEEDED,
    }
    assert len(place.reported) == 3
    assert {sim.requests["start"] for sim in sims.values()} == {1}
