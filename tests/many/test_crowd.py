"""Crowds are spread, and a lone task is not held up for it."""

from __future__ import annotations

import asyncio
from random import Random

import anyio
import pytest

from asyncclient import Poller, Schedule
from tests.many.service import Item, Service, items, most_within, start, start_all

EVERY_FIVE = Schedule(first=5, factor=1, cap=5)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(6))
async def test_a_crowd_is_spread(seed: int) -> None:
    """Of 2,000 tasks submitted at once, at most 66 are polled in any tenth of a second.

    Flat is 44; gaps drawn by chance alone gave up to 80.
    """
    service = Service(latency=0.05)
    async with Poller(schedule=EVERY_FIVE, rng=Random(seed), concurrency=1000) as poller:
        waits = start_all(poller, items(service, 2000), timeout=600)
        await asyncio.sleep(60)
        for wait in waits:
            wait.cancel()
    assert len(service.sent) >= 2000 * 12
    assert most_within(service.sent, 0.1) <= 66


async def test_a_crowd_in_a_loop_is_spread() -> None:
    """The same holds for one `as_done` over all of them."""
    service = Service()
    async with Poller(schedule=EVERY_FIVE, rng=Random(7)) as poller:
        with anyio.move_on_after(30):
            async for _ in poller.as_done(items(service, 2000)):
                pass
    assert most_within(service.sent, 0.1) <= 75


async def test_everyone_of_a_crowd_is_polled_within_the_first_gap() -> None:
    """Spreading delays nobody's first poll by more than the schedule's first gap."""
    tasks = items(Service(), 2000)
    async with Poller(schedule=EVERY_FIVE) as poller:
        waits = start_all(poller, tasks)
        await asyncio.sleep(5)
        assert all(task.sent for task in tasks)
        for wait in waits:
            wait.cancel()


async def test_a_lone_task_is_polled_at_once() -> None:
    """Without a crowd the first poll is not put off, the first time and every time."""
    async with Poller(schedule=EVERY_FIVE) as poller:
        for number in range(50):
            began = anyio.current_time()
            task = Item(Service(), number, 0)
            assert await poller.wait(task) == "done"
            assert task.sent == [began]
            await asyncio.sleep(0.5)


async def test_a_steady_stream_is_polled_at_once() -> None:
    """Fifty new tasks a second are no crowd."""
    async with Poller(schedule=EVERY_FIVE) as poller:
        waits: list[asyncio.Task[object]] = []
        tasks = [Item(Service(), number, 0) for number in range(500)]
        for task in tasks:
            waits.append(asyncio.ensure_future(start(poller.wait(task))))
            await asyncio.sleep(0.02)
        await asyncio.gather(*waits)
    assert [task.sent[0] for task in tasks] == pytest.approx([n * 0.02 for n in range(500)])


async def test_after_a_crowd_a_lone_task_is_polled_at_once_again() -> None:
    """A crowd of a while ago holds up nobody."""
    async with Poller(schedule=EVERY_FIVE) as poller:
        waits = start_all(poller, items(Service(), 2000))
        await asyncio.sleep(1)
        late = Item(Service(), "late", 0)
        assert await poller.wait(late) == "done"
        assert late.sent == [1.0]
        for wait in waits:
            wait.cancel()
