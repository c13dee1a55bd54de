"""Faults under load, in real time: 500 tasks of one poller, a tenth of whose answers go wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import anyio
import pytest

from asyncclient import Poller, Schedule, SessionPool
from asyncclient.errors import AsyncClientError, TaskFailed
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle
from asyncclient.testing import Simulator
from tests.adversity.faults import TRANSIENT, drawn
from tests.adversity.proxy import FaultProxy
from tests.adversity.scene import port_of, settled

TASKS = 500
SHARE = 0.1


@pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", {"debug": False}), id="real")])
@pytest.mark.timeout(90)
async def test_many_tasks_survive_faults_of_every_kind() -> None:
    """Each of 500 tasks ends once and as ordered; none is started twice, none is lost."""
    before = asyncio.all_tasks()
    rng = Random(7)
    served: list[str] = []
    outcomes = ("success", "success", "success", "fail")
    fates = {
        marker: {"marker": marker, "seconds": rng.uniform(1, 4), "outcome": rng.choice(outcomes)}
        for marker in (f"task-{number}" for number in range(TASKS))
    }
    runs: dict[WorkflowRunHandle, str] = {}
    unknown: set[str] = set()
    async with Simulator() as sim, FaultProxy(port_of(sim.copyai_url)) as proxy:
        proxy.request_faults = drawn(rng, SHARE, served.append)
        async with (
            SessionPool(limit=50, request_timeout=2.0) as pool,
            Poller(schedule=Schedule(first=0.3, factor=1.3, cap=1.0)) as poller,
        ):
            copyai = CopyAI(pool, api_key="k", base_url=f"{proxy.origin}/api")

            # As many as there are connections: on a slow machine a queue would time out.
            turns = anyio.Semaphore(50)

            async def start(marker: str) -> None:
                try:
                    async with turns:
                        run = await copyai.start_workflow("W", {"simulate": fates[marker]})
                except AsyncClientError as error:
                    if error.may_have_started:
                        unknown.add(marker)
                    else:
                        assert not sim.starts[marker]
                else:
                    runs[run] = marker

            await asyncio.gather(*(start(marker) for marker in fates))
            ends: Counter[str] = Counter()
            async for done in poller.as_done(runs, timeout=60):
                assert isinstance(done.task, WorkflowRunHandle)
                marker = runs[done.task]
                ends[marker] += 1
                if fates[marker]["outcome"] == "fail":
                    assert isinstance(done.error, TaskFailed)
                else:
                    assert done.error is None
            stats = poller.stats()
        assert ends == Counter(runs.values())
        assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
        assert ", 0 requests active," in repr(pool)
        assert await settled(lambda: proxy.connected) == 0
    assert {*sim.starts.values()} == {1}
    assert {*sim.starts} <= {*runs.values()} | unknown
    assert {*runs.values()} <= {*sim.starts}
    # Every kind of fault came.
    assert {*served} == {*TRANSIENT}
    assert len(runs) + len(unknown) > TASKS * 0.9
    assert await settled(lambda: len(asyncio.all_tasks() - before)) == 0
