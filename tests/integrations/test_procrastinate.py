"""Durable waits kept by procrastinate, on its connector in memory; the clock is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, cast

import pytest

pytest.importorskip("procrastinate")

from procrastinate import App
from procrastinate.testing import InMemoryConnector

from asyncclient import Poller, TaskState
from asyncclient.integrations.procrastinate import ProcrastinateWaits
from tests.integrations import place as places
from tests.integrations.place import FAST, Place, eventually, knowing, quicken, ref_of

RESCUE = "asyncclient/rescue:"
OnProcrastinate: TypeAlias = Place[ProcrastinateWaits]

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


@pytest.fixture
async def place() -> AsyncGenerator[OnProcrastinate]:
    """Give a place of its own."""
    app = App(connector=InMemoryConnector())
    async with app.open_async(), Poller(schedule=FAST) as poller:
        yield Place(ProcrastinateWaits(app), poller)


async def test_a_dead_workers_waits_are_rescued(place: OnProcrastinate) -> None:
    """What a worker that is heard of no longer held is given back; what it handed back is not."""
    connector = cast("InMemoryConnector", place.waits.app.connector)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    connector.workers[7] = long_ago
    await place.waits.submit(ref_of(1), key="order")
    (job,) = (row for row in connector.jobs.values() if row["task_name"].endswith("_wait"))
    job.update(status="doing", worker_id=7)
    assert await place.waits.rescue(30) == 1
    assert await place.waits.rescue(30) == 0
    async with place.worker():
        await place.until(1)
    assert place.states() == {"order": TaskState.SUCCEEDED}


async def test_a_wait_that_is_called_off_in_a_slice_leaves_its_outcome_alone(
    place: OnProcrastinate,
) -> None:
    """The job of the turn that held it is deleted, too."""
    connector = cast("InMemoryConnector", place.waits.app.connector)
    await place.waits.submit(ref_of(1, 3600), key="order")
    async with place.worker(hold=60):
        await eventually(lambda: place.polls > 0)
        assert await place.waits.cancel("order")
        await eventually(lambda: "doing" not in [row["status"] for row in connector.jobs.values()])
    kept = [row for row in connector.jobs.values() if row["queueing_lock"] != RESCUE]
    assert [row["queueing_lock"] for row in kept] == ["asyncclient/outcome:order"]


async def test_what_workers_leave_for_each_other_is_small_and_apart(
    place: OnProcrastinate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs for a worker while it works, one after it, in queues from which none is taken."""
    quicken(monkeypatch)  # the count is put up again and again
    connector = cast("InMemoryConnector", place.waits.app.connector)

    def jobs(topic: str) -> list[dict[str, object]]:
        rows = cast("list[dict[str, object]]", list(connector.jobs.values()))
        return [row for row in rows if row["queue_name"] == f"asyncclient-{topic}"]

    async with Poller(schedule=knowing()) as poller:
        place.poller = poller
        async with place.worker():
            await asyncio.sleep(1)
            (share,), (known,) = jobs("share"), jobs("learned")
            assert share["status"] == known["status"] == "todo"
            assert len(str(share["args"])) < 20
            assert len(str(known["args"])) < 600
        assert jobs("share") == []
        assert len(jobs("learned")) == 1
    await place.waits.app.run_worker_async(wait=False, install_signal_handlers=False)
    (known,) = jobs("learned")
    assert known["status"] == "todo"  # a worker of all queues leaves it alone


async def test_queues_of_one_database_are_apart() -> None:
    """The same key in two queues is two waits, and each queue's dead workers are looked for."""
    connector = InMemoryConnector()
    async with App(connector=connector).open_async() as one, Poller(schedule=FAST) as poller:
        other = App(connector=connector)
        here = Place(ProcrastinateWaits(one, queue="here"), poller)
        there = ProcrastinateWaits(other, queue="there")
        assert await here.waits.submit(ref_of(1), key="order")
        assert await there.submit(ref_of(2, 3600), key="order")
        async with here.worker():
            await here.until(1)
            await asyncio.sleep(0.2)
        assert await here.waits.outcome("order") is not None
        assert await there.outcome("order") is None
        assert await there.ticket("order") is not None
        for app in (one, other):  # one queue's search keeps no other from its own
            await app.configure_task("asyncclient_rescue").defer_async(timestamp=0)
