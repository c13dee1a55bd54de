"""Tens of thousands of tasks: each costs little."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from asyncclient import Poller, Schedule
from tests.many.service import Item, Service

NUMBER = 20_000
# A hundred thousand polls and more, the same on every Python.
pytestmark = pytest.mark.heavy


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
