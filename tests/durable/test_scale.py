"""The arithmetic of `docs/ten_million.md`, a ten-thousandth of it, in virtual time."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from pathlib import Path
from random import Random

import anyio
import pytest

from asyncclient import Poller
from asyncclient._durable import Handover, Ticket, poll_slice
from tests.many.service import Item, Service
from tests.waiting.scenario import REF

PLAN = Path(__file__).parents[2] / "docs" / "ten_million.md"
SCALE = 10_000
HOURS = 3


def planned(name: str) -> float:
    """Read a number of the plan's table."""
    found = re.search(rf"^\| {re.escape(name)} \| ([\d,.]+)", PLAN.read_text(), re.MULTILINE)
    assert found, name
    return float(found[1].replace(",", ""))


@pytest.mark.heavy
async def test_the_plan_for_ten_million_waits_holds() -> None:
    """Polls, turns of the store and each wait's gap are what the plan says, and none starves."""
    waits = round(planned("pending waits") / SCALE)
    rate = planned("polls a second, all accounts") / SCALE
    hold = planned("hold, seconds")
    service = Service()
    items = [Item(service, f"item-{number}") for number in range(waits)]
    rng = Random(1)
    turns = 0

    async def hold_on(item: Item) -> None:
        nonlocal turns
        ticket = Ticket.begin(REF, timeout=10 * 86_400, clock=anyio.current_time)
        await anyio.sleep(rng.uniform(0, hold))  # they were not submitted all at once
        while anyio.current_time() < HOURS * 3600:
            end = await poll_slice(
                poller, lambda _: item, ticket, hold=hold, rng=rng, clock=anyio.current_time
            )
            turns += 1
            assert isinstance(end, Handover)
            ticket = end.ticket
            await anyio.sleep(end.delay)

    async with Poller(rate=rate) as poller, asyncio.TaskGroup() as tasks:
        for item in items:
            tasks.create_task(hold_on(item))
    # The first hour fills up.
    late = [instant for item in items for instant in item.sent if 3600 < instant < HOURS * 3600]
    seconds = (HOURS - 1) * 3600
    assert len(late) / seconds == pytest.approx(rate, rel=0.05)
    assert turns / (HOURS * 3600) * SCALE == pytest.approx(
        planned("turns of the store a second"), rel=0.5
    )
    gaps = sorted(after - before for item in items for before, after in pairwise(item.sent))
    assert gaps[len(gaps) // 2] == pytest.approx(planned("seconds between two polls"), rel=0.25)
    assert gaps[-1] < 3 * planned("seconds between two polls")
