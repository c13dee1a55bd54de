"""The accounts that a Poller has asked: those that are idle are forgotten, and no others."""

from __future__ import annotations

import asyncio

import pytest

from asyncclient import Poller
from tests.many.service import Item, Service


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
