"""The accounts that a Poller asks: each has a rate of its own, and idle ones are forgotten."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

import pytest

from asyncclient import Poller
from asyncclient._many.queues import Queues
from tests.many.service import EVERY_SECOND, Item, Service, items, start, start_all


@pytest.mark.parametrize(
    ("given", "documented", "rate"),
    [
        ({None: 40.0}, None, 40.0),
        ({"acme": 40.0, "other": 1.0}, None, 40.0),
        ({"acme": 40.0, None: 1.0}, None, 40.0),
        ({}, 40.0, 40.0),
        ({"acme": 40.0}, 1.0, 40.0),
        ({"other": 1.0}, None, math.inf),
        ({}, None, math.inf),
        ({}, 0.0, math.inf),
        ({}, math.nan, math.inf),
    ],
    ids=[
        "given for all",
        "given for some",
        "given for it and for all",
        "documented",
        "given beats documented",
        "given for others",
        "not known",
        "documented as zero",
        "documented as no number",
    ],
)
def test_the_rate_of_an_account(
    given: dict[str | None, float], documented: float | None, rate: float
) -> None:
    """What is given comes before what is documented; a share is of both, now and later."""
    queues = Queues(given, None)
    known = Item(Service("acme", documented_rate=documented))
    assert queues.queue_of(known, 0.0).budget.rate == rate
    queues.take_share(0.25, 1.0)
    assert queues.queue_of(known, 1.0).budget.rate == rate / 4
    later = Item(Service("acme", documented_rate=documented))
    later.service.budget = ("acme", "another account")
    assert queues.queue_of(later, 1.0).budget.rate == rate / 4
    assert len(queues.by_name) == 2


def test_a_budget_that_names_nothing_is_a_budget_too() -> None:
    """Tasks without one, and those with an empty one, share it."""
    task = Item(Service())
    task.service.budget = ()
    assert Queues({"acme": 1.0}, None).queue_of(task, 0.0).name == ("",)


@pytest.mark.parametrize(("rest", "kept"), [(1000.0, 3), (100.0, 1001)])
def test_idle_accounts_are_forgotten(rest: float, kept: int) -> None:
    """Of a thousand accounts, those stay that have pending tasks or were asked in ten minutes."""
    queues = Queues({}, None)
    made = [queues.queue_of(Item(Service(f"tenant-{number}")), 0.0) for number in range(1000)]
    for queue in made:
        queue.budget.spend(0.0)
    made[3].pending = made[4].in_flight = 1
    queues.queue_of(Item(Service("new")), rest)
    assert len(queues.by_name) == kept
    assert {("tenant-3", "account"), ("tenant-4", "account")} <= queues.by_name.keys()


# --- a share of every rate ----------------------------------------------------------------------


async def test_a_share_ends_a_gap_that_is_too_long_for_it() -> None:
    """Where a share made the gap a hundred seconds, the whole rate ends it when it is restored."""
    service = Service()
    async with Poller(rate=0.1, schedule=EVERY_SECOND) as poller:
        poller.take_share(0.1)
        start_all(poller, items(service, 3), timeout=math.inf)
        await asyncio.sleep(50)
        assert service.sent == [0]
        assert poller.stats().budgets[0].rate == pytest.approx(0.01)
        poller.take_share(1)
        await asyncio.sleep(5.1)
        assert service.sent == pytest.approx([0, 55], abs=0.01)
        assert poller.stats().budgets[0].rate == 0.1


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


@pytest.mark.parametrize(
    ("share", "kind", "says"),
    [(0, ValueError, "share=0 "), (1.01, ValueError, "share=1.01 "), ("1", TypeError, "share ")],
    ids=str,
)
def test_a_share_that_cannot_be_is_refused(share: object, kind: type[Exception], says: str) -> None:
    """It is a number, more than 0 and at most 1."""
    take_share = cast("Callable[[object], None]", Poller().take_share)
    with pytest.raises(kind, match=f"^{says}must be .*; 1 is the whole rate$"):
        take_share(share)
