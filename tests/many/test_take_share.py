"""A share of every known rate: kept at once, restored at once, and no harm to what is found."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

import pytest

from asyncclient import Poller, Schedule
from tests.many.service import Item, Service, items, most_within, start, start_all

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
# What the budget may catch up in one stretch, as a share of a second.
SLACK = 0.02


def between(service: Service, begin: float, end: float) -> int:
    """Return how many requests came in a stretch of time."""
    return sum(begin < instant <= end for instant in service.sent)


@pytest.mark.parametrize("given", ["number", "mapping", "documented"])
async def test_only_the_share_is_used(given: str) -> None:
    """A quarter of 40 polls a second is ten, however it is known; what is not known is not cut."""
    service = Service("acme", documented_rate=40.0 if given == "documented" else None)
    choices: dict[str, float | dict[str, float] | None] = {
        "number": 40.0,
        "mapping": {"acme": 40.0},
        "documented": None,
    }
    free = Service("free")
    async with Poller(rate=choices[given], schedule=EVERY_SECOND) as poller:
        poller.take_share(0.25)
        start_all(poller, items(service, 100), timeout=math.inf)
        if given != "number":
            start_all(poller, items(free, 100, prefix="free"), timeout=math.inf)
        await asyncio.sleep(60)
        assert poller.stats().budgets[0].rate == 10
    assert most_within(service.sent, 5) <= 10 * (5 + SLACK) + 1
    assert between(service, 5, 55) == pytest.approx(500, abs=2)
    assert given == "number" or between(free, 5, 55) == pytest.approx(5000, abs=100)


async def test_it_takes_effect_at_once() -> None:
    """Within a second of a change polls go out at the new rate, down and up, for old accounts."""
    service = Service()
    async with Poller(rate=60, schedule=EVERY_SECOND) as poller:
        start_all(poller, items(service, 200), timeout=math.inf)
        for share in (1, 1 / 3, 1 / 30, 0.5, 1):
            poller.take_share(share)
            begin = asyncio.get_running_loop().time()
            await asyncio.sleep(10)
            assert poller.stats().budgets[0].rate == pytest.approx(60 * share)
            assert between(service, begin, begin + 1) == pytest.approx(60 * share, abs=2.5)
            assert between(service, begin + 1, begin + 10) == pytest.approx(540 * share, abs=2)
        assert poller.stats().budgets[0].rate == 60


async def test_a_long_gap_is_not_sat_out() -> None:
    """Where a share made the gap a hundred seconds, the whole rate ends it when it is restored."""
    service = Service()
    async with Poller(rate=0.1, schedule=EVERY_SECOND) as poller:
        poller.take_share(0.1)
        start_all(poller, items(service, 3), timeout=math.inf)
        await asyncio.sleep(50)
        assert service.sent == [0]
        poller.take_share(1)
        await asyncio.sleep(5.1)
        assert service.sent == pytest.approx([0, 55], abs=0.01)


async def test_a_pause_stays_a_pause() -> None:
    """What the provider asked to wait is waited, whatever share is taken meanwhile."""
    service = Service(limit=30, retry_after=10.0)
    async with Poller(rate=400, schedule=EVERY_SECOND) as poller:
        poller.take_share(0.25)
        start_all(poller, items(service, 40), timeout=math.inf)
        await asyncio.sleep(2)
        first = service.refused[0]
        poller.take_share(1)
        await asyncio.sleep(2)
        poller.take_share(0.1)
        await asyncio.sleep(18)
    assert between(service, first, first + 10 - 1e-6) == 0
    assert between(service, first + 10 - 1e-6, first + 12) > 0


async def test_a_found_limit_is_shared_too() -> None:
    """Half of what was found by backing off is sent at first, and it finds itself from there."""
    service = Service(limit=40)
    async with Poller(schedule=EVERY_SECOND) as poller:
        start_all(poller, items(service, 200), timeout=math.inf)
        await asyncio.sleep(60)
        assert between(service, 50, 60) > 300
        poller.take_share(0.5)
        await asyncio.sleep(60)
    assert between(service, 60, 63) <= 3 * 25
    assert between(service, 110, 120) > 300


@pytest.mark.parametrize("crew", [2, 3, 7])
async def test_pollers_that_share_keep_one_rate(crew: int) -> None:
    """As pollers come and go one by one, their sum keeps the rate in every second, and uses it."""
    service = Service()
    pollers = [Poller(rate=42, schedule=EVERY_SECOND) for _ in range(crew)]
    for number, poller in enumerate(pollers):
        for each in pollers[: number + 1]:
            each.take_share(1 / (number + 1))
        start_all(poller, items(service, 100, prefix=f"of {number}"), timeout=math.inf)
        await asyncio.sleep(10)
    while len(pollers) > 1:
        await pollers.pop().aclose()
        for each in pollers:
            each.take_share(1 / len(pollers))
        await asyncio.sleep(10)
    end = asyncio.get_running_loop().time()
    await pollers.pop().aclose()
    assert most_within(service.sent, 1) <= 42 * (1 + SLACK) + crew + 1
    assert between(service, 2, end) >= 0.97 * 42 * (end - 2)


async def test_a_share_may_be_taken_at_any_time() -> None:
    """Before the first wait and after the last, and when it is closed: nothing breaks."""
    service = Service()
    poller = Poller(rate=10, schedule=EVERY_SECOND)
    poller.take_share(0.5)
    assert await poller.wait(Item(service, ends=0)) == "done"
    poller.take_share(1)
    waiting = start(poller.wait(Item(service, "other")))
    await asyncio.sleep(1.5)
    await poller.aclose()
    poller.take_share(0.5)
    assert isinstance((await waiting).error, RuntimeError)


@pytest.mark.parametrize("share", [0, -0.5, 1.01, 2, math.inf, math.nan])
async def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    """It is more than 0 and at most 1."""
    with pytest.raises(ValueError, match=r"^share=.* must be .*; 1 is the whole rate$"):
        Poller().take_share(share)


@pytest.mark.parametrize("share", [None, "1", True])
async def test_a_share_is_a_number(share: object) -> None:
    """Anything else is a mistake of the caller."""
    take_share = cast("Callable[[object], None]", Poller().take_share)
    with pytest.raises(TypeError, match=r"^share must be a number, not .*; 1 is the whole rate$"):
        take_share(share)
