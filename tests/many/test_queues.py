"""What the Poller keeps: counts of due polls, and the accounts that it has asked."""

from __future__ import annotations

import asyncio

import pytest

from asyncclient import Poller
from asyncclient._many.crowd import DueTimes
from tests.many.service import Item, Service


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


@pytest.mark.parametrize(("rest", "kept"), [(1000.0, 1), (100.0, 1001)])
async def test_idle_accounts_are_forgotten(rest: float, kept: int) -> None:
    """A service that meets ever new accounts does not keep all of them for ever."""
    async with Poller() as poller:
        for number in range(1000):
            assert await poller.wait(Item(Service(f"tenant-{number}"), number, 0)) == "done"
        assert len(poller.stats().budgets) == 1000
        await asyncio.sleep(rest)
        assert await poller.wait(Item(Service("new"), "new", 0)) == "done"
        assert len(poller.stats().budgets) == kept


async def test_an_account_that_is_asked_about_is_kept() -> None:
    """However long ago its last poll was, the account of a pending task is not forgotten."""
    async with Poller() as poller:
        slow = Service("slow", latency=float("inf"))
        waiting = asyncio.ensure_future(poller.wait(Item(slow), timeout=10_000))
        await asyncio.sleep(0)
        for number in range(1000):
            await poller.wait(Item(Service(f"tenant-{number}"), number, 0))
        await asyncio.sleep(5000)
        await poller.wait(Item(Service("new"), "new", 0))
        assert {budget.name for budget in poller.stats().budgets} == {"slow account", "new account"}
        waiting.cancel()
