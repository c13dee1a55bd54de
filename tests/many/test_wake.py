"""Signals from outside: they hasten the next poll, and nothing else."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from random import Random

import anyio
import pytest

from asyncclient import Poller, Schedule, TaskRef, polling_task
from tests.many.service import (
    Item,
    Service,
    gaps,
    items,
    most_within,
    start,
    start_all,
    turns,
)
from tests.waiting.scenario import WORDS, Job, Report, ends_at

EVERY_MINUTE = Schedule(first=60, factor=1, cap=60, jitter=0)


async def test_a_signal_makes_the_next_poll_immediate() -> None:
    """A task is polled at that moment, also for the first time; what has no wait is reported."""
    tasks = items(Service(), 20)
    async with Poller(schedule=EVERY_MINUTE) as poller:
        start_all(poller, tasks)
        await asyncio.sleep(0.5)
        late = next(each for each in tasks if not each.sent)
        assert poller.wake(late.key)
        await turns()
        assert late.sent == [0.5]
    task = Item(Service(), "job", ends=10)
    async with Poller(schedule=EVERY_MINUTE) as poller:
        waiting = start(poller.wait(task))
        await asyncio.sleep(12.5)
        assert poller.wake("unknown") is False
        assert poller.wake(TaskRef("coze", "workflow_run", {"id": "1"})) is False
        assert poller.wake("job") is True
        assert (await waiting).elapsed == pytest.approx(12.5)
        assert poller.wake("job") is False
    assert poller.wake("job") is False
    assert task.sent == pytest.approx([0.5, 13])


class NeverAgain:
    """A schedule that leaves all but the first look to signals."""

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gap after each look."""
        del rng
        return iter([math.inf])


async def test_without_a_schedule_and_a_timeout_only_a_signal_makes_a_poll() -> None:
    """A gap that never ends is no error."""
    job = Job(ends_at(5e4))
    async with Poller(schedule=NeverAgain()) as poller:
        waiting = start(poller.wait(job, timeout=math.inf))
        await asyncio.sleep(1e5)
        assert poller.wake(job.key)
        assert (await waiting).result == Report("done")
    assert job.sent == [0, 1e5]


async def test_a_signal_during_a_poll_makes_one_more() -> None:
    """A poll under way may have missed the end, so one follows right after it, and only one."""
    job = Job(ends_at(25), latency=1.0)
    async with Poller(schedule=Schedule(first=10, factor=1, cap=10, jitter=0)) as poller:
        waiting = start(poller.wait(job))
        await asyncio.sleep(10.75)
        for _ in range(5):
            assert poller.wake(job.key)
        await waiting
    assert job.sent == pytest.approx([0, 10, 11, 21, 31])


@pytest.mark.parametrize("latency", [0.0, 0.25])
async def test_a_flood_of_signals_polls_ten_times_a_second_at_most(latency: float) -> None:
    """Hundreds of signals a second make ten polls a second of that task at most."""
    task = Item(Service(latency=latency), "job")
    hourly = Schedule(first=3600, factor=1, cap=3600, jitter=0)
    async with Poller(schedule=hourly) as poller:
        start_all(poller, [task])
        for _ in range(1200):
            poller.wake("job")
            await asyncio.sleep(0.0025)
    assert min(gaps(task.sent)) == pytest.approx(max(0.1, latency), abs=0.003)
    assert most_within(task.sent, 1.0) <= 11
    assert len(task.sent) >= 10


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_nothing_is_kept_of_a_task_whose_waits_have_one_reference(
    order: tuple[int, int],
) -> None:
    """Of two tasks of one key only the first has a reference; either wait may be left first."""

    async def fetch() -> str:
        return "running"

    ref = TaskRef("acme", "render", {"job": "7"})
    tasks = [
        polling_task(fetch, vocabulary=WORDS, status=str, key="same", ref=each)
        for each in (ref, None)
    ]
    async with Poller(schedule=EVERY_MINUTE) as poller:
        waits = start_all(poller, tasks, timeout=math.inf)
        await asyncio.sleep(1)
        assert poller.wake(ref)
        for number in order:
            waits[number].cancel()
            await asyncio.sleep(1)
        registry = poller.running().registry
        assert (len(registry), [*registry], poller.wake(ref)) == (0, [], False)


async def test_a_reference_finds_a_task_whatever_its_key_is() -> None:
    """A task of one's own with a reference is woken by its key and by that, and by no other."""
    ref = TaskRef("acme", "render", {"job": "7", "shop": "3"})
    asked: list[float] = []

    async def fetch() -> str:
        asked.append(anyio.current_time())
        return "running"

    tasks = [
        polling_task(fetch, vocabulary=WORDS, status=str, key=key, ref=ref)
        for key in ("text", ("acme", "other", "parts"))
    ]
    async with Poller(schedule=EVERY_MINUTE) as poller:
        waits = start_all(poller, tasks, timeout=math.inf)
        await asyncio.sleep(1)
        asked.clear()
        assert poller.wake(TaskRef("acme", "render", {"shop": "3", "job": "7"}))
        await turns()
        assert asked == [1, 1]
        assert not poller.wake(TaskRef("acme", "render", {"job": "3", "shop": "7"}))
        waits[0].cancel()
        await asyncio.sleep(1)
        assert not poller.wake("text")
        assert poller.wake(ref)
        await turns()
        assert asked == [1, 1, 2]
