"""Crowds are spread, and a lone task is not held up for it: the counts, then many waits."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

import anyio
import pytest

from asyncclient import Poller, Schedule
from asyncclient._many.crowd import Arrivals, DueTimes
from tests.many.service import Item, Service, items, most_within, start, start_all

EVERY_FIVE = Schedule(first=5, factor=1, cap=5)


def test_the_emptier_moment_is_taken() -> None:
    """Of two gaps, the one that ends when fewer polls are due; the first where they are even."""
    counts = DueTimes()
    assert counts.emptier(10.0, 1.0, 2.0) == 1.0
    counts.note(11.0, 10.0)
    assert counts.emptier(10.0, 1.0, 2.0) == 2.0
    counts.note(12.0, 10.0)
    assert counts.emptier(10.0, 1.0, 2.0) == 1.0


def test_counts_stay_few() -> None:
    """However long it runs, and however far ahead polls are due, few counts are kept."""
    counts = DueTimes()
    for number in range(100_000):
        now = number * 0.05
        counts.note(now + 3.0, now)
        counts.note(now + 3e6, now)
    assert counts.kept() <= 2401


def test_ten_are_looked_at_at_once_and_the_others_spread() -> None:
    """Of a hundred that come together, ten begin at once; no two others begin close together."""
    arrivals = Arrivals()
    phases = [arrivals.phase(5.0) for _ in range(100)]
    assert phases[:10] == [0.0] * 10
    spread = sorted(phases[10:])
    assert 0 < spread[0] < spread[-1] < 1
    gaps = [after - before for before, after in pairwise(spread)]
    assert min(gaps) >= 0.3 / 90
    assert max(gaps) <= 3 / 90


@pytest.mark.parametrize(("rest", "at_once"), [(0.0, 0), (0.03, 3), (0.1, 10), (60.0, 10)])
def test_after_a_crowd_there_is_soon_room_again(rest: float, at_once: int) -> None:
    """A hundred a second are looked at at once, and ten after any rest."""
    arrivals = Arrivals()
    for _ in range(50):
        arrivals.phase(0.0)
    # A little later, since the parts of a second do not add up exactly.
    phases = [arrivals.phase(rest + 1e-6) for _ in range(20)]
    assert phases.count(0.0) == at_once


# --- many waits --------------------------------------------------------------------------------


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


async def test_each_of_a_crowd_is_polled_within_the_first_gap() -> None:
    """Spreading delays no first poll by more than the schedule's first gap."""
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
    """A crowd of a while ago holds up no one."""
    async with Poller(schedule=EVERY_FIVE) as poller:
        waits = start_all(poller, items(Service(), 2000))
        await asyncio.sleep(1)
        late = Item(Service(), "late", 0)
        assert await poller.wait(late) == "done"
        assert late.sent == [1.0]
        for wait in waits:
            wait.cancel()
