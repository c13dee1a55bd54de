"""Crowds are spread, and a lone task is not held up for it: the counts, then many waits."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from random import Random

import pytest

from asyncclient import Poller, Schedule
from asyncclient._many.crowd import Arrivals, DueTimes
from tests.many.service import Service, items, most_within, start_all

EVERY_FIVE = Schedule(first=5, factor=1, cap=5)


def test_the_emptier_moment_is_taken() -> None:
    """Of two gaps, the one that ends when fewer polls are due; the first where they are even."""
    counts = DueTimes()
    assert counts.emptier(10.0, 1.0, 2.0) == 1.0
    counts.note(11.0, 10.0)
    assert counts.emptier(10.0, 1.0, 2.0) == 2.0
    counts.note(12.0, 10.0)
    assert counts.emptier(10.0, 1.0, 2.0) == 1.0


def test_counts_are_kept_for_a_minute_ahead() -> None:
    """The number of counts stays bounded over time, and for polls that are due in months."""
    counts = DueTimes()
    for number in range(10_000):
        now = number * 0.05
        counts.note(now + 3.0, now)
        counts.note(now + 3e6, now)
        counts.note(math.inf, now)
    assert counts.kept() <= 2401


def test_ten_begin_at_once_and_the_others_are_spread() -> None:
    """Of a hundred that come together, ten begin at once; no two others begin close together."""
    arrivals = Arrivals()
    phases = [arrivals.phase(5.0) for _ in range(100)]
    assert phases[:10] == [0.0] * 10
    spread = sorted(phases[10:])
    assert 0 < spread[0] < spread[-1] < 1
    gaps = [after - before for before, after in pairwise(spread)]
    assert min(gaps) >= 0.3 / 90
    assert max(gaps) <= 3 / 90


def test_a_steady_stream_is_no_crowd() -> None:
    """Fifty new tasks a second all begin at once."""
    arrivals = Arrivals()
    assert [arrivals.phase(number * 0.02) for number in range(500)] == [0.0] * 500


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


@pytest.mark.parametrize(
    ("number", "most"), [(800, 30), pytest.param(2000, 66, marks=pytest.mark.heavy)]
)
async def test_a_crowd_is_spread(number: int, most: int) -> None:
    """Of 2,000 tasks at once at most 66 are polled in 0.1 s; flat is 44, and chance gave 80."""
    service = Service(latency=0.05)
    async with Poller(schedule=EVERY_FIVE, rng=Random(0), concurrency=1000) as poller:
        start_all(poller, items(service, number), timeout=600)
        await asyncio.sleep(20)
    assert len(service.sent) >= number * 20 / 5
    assert most_within(service.sent, 0.1) <= most


async def test_a_crowd_with_little_time_is_looked_at_within_half_of_it() -> None:
    """However long the first gap is over which it would be spread."""
    service = Service()
    async with Poller(schedule=EVERY_FIVE, rng=Random(0), concurrency=1000) as poller:
        start_all(poller, items(service, 200), timeout=4)
        await asyncio.sleep(2.01)
    assert len(service.sent) >= 200
