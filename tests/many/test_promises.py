"""Promises of the Poller: what it shows, and what it does where nobody says otherwise."""

from __future__ import annotations

import asyncio
import logging
import math

import anyio
import pytest

from asyncclient import Poller, Schedule, SessionPool
from asyncclient.errors import WaitTimeout
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.many.service import Item, Service, items, job, most_within, start, start_all
from tests.waiting.scenario import run_says

TOKEN = "s3cret-token-7f3a9c"


@pytest.mark.parametrize("kind", ["text", "function"])
async def test_the_stats_show_no_credential(kind: str) -> None:
    """Two tokens are two budgets, and neither the stats nor the repr tell them."""

    async def source() -> str:
        return TOKEN

    async with SessionPool() as pool, Poller() as poller:
        token = TOKEN if kind == "text" else source
        transport = ScriptedTransport([run_says("Success")])
        for run in (
            Coze(transport, token=token).workflow_run("7350", "42"),
            Coze(ScriptedTransport([run_says("Success")]), token="other").workflow_run(
                "7350", "42"
            ),
        ):
            await poller.wait(run)
        stats = poller.stats()
        assert len(stats.budgets) == 2
        assert TOKEN in transport.requests[0].headers["Authorization"]
        held = CopyAI(pool, api_key=token).workflow_run("W", "R")
        assert TOKEN not in f"{stats!r} {stats} {poller!r} {held.budget} {held.budget!r}"


async def test_a_wait_is_finite_by_default() -> None:
    """A task that never ends is waited for ten minutes where no timeout is given."""
    async with Poller() as poller:
        outcome = await start(poller.wait(Item(Service())))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == pytest.approx(600, abs=1)


async def test_a_loop_over_many_is_finite_by_default() -> None:
    """Each of many waits ends after ten minutes where no timeout is given."""
    async with Poller() as poller:
        (done,) = [done async for done in poller.as_done([Item(Service())])]
    assert isinstance(done.error, WaitTimeout)
    assert done.elapsed == pytest.approx(600, abs=1)


async def test_a_request_that_hangs_holds_up_no_loop_over_many() -> None:
    """A task whose first request is never answered ends at its own timeout, as the others do."""
    hanging = [Item(Service("mute", latency=math.inf), f"mute-{number}") for number in range(3)]
    async with Poller() as poller:
        with anyio.fail_after(60):
            ends = [done async for done in poller.as_done(hanging, timeout=5)]
    assert [type(done.error) for done in ends] == [WaitTimeout] * 3
    assert [done.elapsed for done in ends] == pytest.approx([5] * 3, abs=0.01)


async def test_an_unknown_word_is_one_warning_of_a_poller(caplog: pytest.LogCaptureFixture) -> None:
    """A Poller tells of a word in no vocabulary once for each wait, however often it comes."""
    async with Poller() as poller:
        await poller.wait(job("odd", *["odd"] * 5, "strange", "odd", "done"))
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [("'odd'" in line, "'strange'" in line) for line in told] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("latency", [0.0, 0.03, 0.25])
async def test_a_flood_of_signals_polls_ten_times_a_second_at_most(latency: float) -> None:
    """Whoever posts a thousand signals a second gets ten polls a second of that task at most."""
    task = Item(Service(latency=latency), "job")
    hourly = Schedule(first=3600, factor=1, cap=3600, jitter=0)
    async with Poller(schedule=hourly) as poller:
        waiting = start(poller.wait(task))
        for _ in range(3000):
            poller.wake("job")
            await asyncio.sleep(0.001)
        waiting.cancel()
    gaps = [after - before for before, after in zip(task.sent, task.sent[1:], strict=False)]
    assert min(gaps) == pytest.approx(max(0.1, latency), abs=0.002)
    assert most_within(task.sent, 1.0) <= 11
    assert len(task.sent) >= 10


async def test_newcomers_beyond_the_budget_do_not_starve_the_old() -> None:
    """A stream of new tasks of twice the budget leaves the old ones a share of their polls."""
    service = Service()
    old = items(service, 10)
    every_second = Schedule(first=1, factor=1, cap=1, jitter=0)
    async with Poller(rate=5, schedule=every_second) as poller:
        waits = start_all(poller, old, timeout=math.inf)
        for number in range(600):
            waits.append(start(poller.wait(Item(service, number, 0), timeout=math.inf)))
            await asyncio.sleep(0.1)
        for wait in waits:
            wait.cancel()
    assert min(len(item.sent) for item in old) >= 4


async def test_a_last_poll_goes_before_hundreds_that_are_merely_due() -> None:
    """Where each poll waits half a minute for its turn, one on a deadline is made at once."""
    service = Service()
    hasty = Item(service, "hasty", ends=19)
    half_a_minute = Schedule(first=30, factor=1, cap=30, jitter=0)
    async with Poller(rate=10, schedule=half_a_minute) as poller:
        hurried = start(poller.wait(hasty, timeout=20))
        waits = start_all(poller, items(service, 600))
        outcome = await hurried
        assert poller.stats().budgets[0].ready > 100
        for wait in waits:
            wait.cancel()
    assert outcome.result == "done"
    assert hasty.sent == pytest.approx([0, 20], abs=0.11)


@pytest.mark.parametrize("crowd", [0, 100, 300, 1000])
@pytest.mark.parametrize("way", ["wait", "as_done"])
async def test_a_short_budget_costs_no_task_its_last_poll(crowd: int, way: str) -> None:
    """What ended in time is seen to, though others stand before it in line at its deadline."""
    service = Service()
    others = items(service, crowd, prefix="other")
    task = Item(service, "task", ends=9.5)
    schedule = Schedule(first=1, factor=1, cap=1)
    async with Poller(rate=20, schedule=schedule) as poller:
        waits = start_all(poller, others, timeout=math.inf)
        await asyncio.sleep(0)
        if way == "wait":
            assert await poller.wait(task, timeout=10) == "done"
        else:
            ends = [done async for done in poller.as_done([task], timeout=10)]
            assert [done.result for done in ends] == ["done"]
        assert anyio.current_time() <= 10.5
        for wait in waits:
            wait.cancel()
        if waits:
            await asyncio.wait(waits)


async def test_a_budget_that_gives_no_poll_at_all_ends_in_time() -> None:
    """Where more last polls are due than the budget has, those that were not sent are timeouts."""
    service = Service()
    tasks = items(service, 300, ends=9.5)
    async with Poller(rate=20, schedule=Schedule(first=1, factor=1, cap=1)) as poller:
        outcomes = await asyncio.gather(*start_all(poller, tasks, timeout=10))
    ended = sum(outcome.error is None for outcome in outcomes)
    late = [outcome for outcome in outcomes if outcome.error is not None]
    assert 10 <= ended <= 20
    assert all(isinstance(outcome.error, WaitTimeout) for outcome in late)
    assert all(10 <= outcome.elapsed <= 15 for outcome in late)
