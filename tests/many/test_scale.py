"""Tens of thousands of tasks: all end rightly, and each costs little."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from random import Random

import anyio
import pytest

from asyncclient import Poller, Schedule
from asyncclient.errors import WaitTimeout
from tests.many.service import Item, Service

NUMBER = 20_000
# A hundred thousand polls and more, the same on every Python.
pytestmark = pytest.mark.heavy


async def test_tens_of_thousands_end_rightly() -> None:
    """Each of 20,000 tasks has exactly one end, the right one, and not before its time."""
    rng = Random(1)
    service = Service(latency=0.02)
    tasks = [
        Item(service, number, rng.uniform(0, 15), "broken" if number % 10 == 0 else "done")
        for number in range(NUMBER - 100)
    ]
    tasks += [Item(service, f"never {number}") for number in range(100)]
    tasks_by_key = {task.key: task for task in tasks}
    ends: dict[object, str] = {}
    async with Poller(schedule=Schedule(first=5, cap=15), concurrency=NUMBER) as poller:
        async for done in poller.as_done(iter(tasks), timeout=40):
            assert done.key not in ends
            ends[done.key] = type(done.error).__name__
            if isinstance(done.error, WaitTimeout):
                assert done.elapsed >= 40
            else:
                item = tasks_by_key[done.key]
                assert (done.error is None) == (item.word == "done")
                assert item.ends <= anyio.current_time() <= item.ends + 15.1
                assert done.polls == len(item.sent)
        assert poller.stats().pending == 0
        assert poller.stats().polls == len(service.sent)
    kinds = Counter(ends.values())
    assert kinds == {"NoneType": 17_910, "TaskFailed": 1_990, "WaitTimeout": 100}


async def test_a_pending_task_is_small() -> None:
    """A pending task that was asked about once costs at most 1,000 bytes beside its own object."""
    service = Service()
    tasks = [Item(service, number) for number in range(NUMBER)]
    async with Poller(schedule=Schedule(first=5, cap=5), concurrency=NUMBER) as poller:
        ends = poller.as_done(tasks)
        gc.collect()
        tracemalloc.start()
        try:
            reading = asyncio.ensure_future(anext(ends))
            await asyncio.sleep(5)
            theirs = sum(task.sent.__sizeof__() + 24 * len(task.sent) for task in tasks)
            theirs += service.sent.__sizeof__()
            gc.collect()
            total, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert poller.stats().pending == NUMBER
        assert all(task.sent for task in tasks)
        reading.cancel()
        ends.leave()
    cost = (total - theirs) / NUMBER
    print(f"{cost:.0f} bytes a pending task")  # noqa: T201  (the figure is what is asked for)
    assert cost <= 1000
