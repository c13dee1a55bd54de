"""Looks are sent in their turn: at the rate, within the concurrency, and not in a pause."""

from __future__ import annotations

import asyncio
import contextlib
import math

import anyio
import pytest

from asyncclient import Observation, Poller, Schedule, TaskState
from asyncclient.errors import RateLimited, WaitTimeout
from tests.many.service import (
    EVERY_SECOND,
    SLACK,
    Item,
    Service,
    items,
    job,
    most_within,
    number_between,
    start,
    start_all,
    turns,
)
from tests.waiting.scenario import Job, Poll, Report, Thing, ends_at, outcome_of, stand_still


async def test_the_rate_is_kept_and_used() -> None:
    """No five seconds hold more than the rate, nor less; an account without one is not held up."""
    service, free = Service("acme"), Service("free")
    async with Poller(rate={"acme": 50}, schedule=EVERY_SECOND) as poller:
        start_all(poller, items(service, 100), timeout=math.inf)
        start_all(poller, items(free, 20, prefix="free"), timeout=math.inf)
        await asyncio.sleep(22)
    assert most_within(service.sent, 5) <= math.ceil(50 * (5 + SLACK)) + 1
    assert number_between(service.sent, 1, 21) >= 20 * 50 - 1
    assert len(free.sent) >= 20 * 21


class Blocking(Item):
    """A job whose second look blocks the event loop for 30 s."""

    async def observe(self) -> Observation[str]:
        """Look at its word."""
        if len(self.sent) == 1:
            stand_still(30.0)
        return await super().observe()


async def test_a_look_that_was_under_way_into_a_standstill_is_spaced_from_its_end() -> None:
    """It was counted before, and goes out after: the next one waits as if it were counted then."""
    service = Service("acme")
    async with Poller(rate={"acme": 1}, schedule=EVERY_SECOND) as poller:
        # Both are due in one turn of the event loop, and the one that blocks it is sent first.
        start_all(poller, [Blocking(Service("free"), "blocking")], timeout=math.inf)
        await asyncio.sleep(0.0005)
        first, second = items(service, 2)
        start_all(poller, [first], timeout=math.inf)
        await asyncio.sleep(1.5)
        start_all(poller, [second], timeout=math.inf)
        await asyncio.sleep(1.5)
    assert service.sent[:3] == pytest.approx([0, 31, 32 - SLACK], abs=0.005)


async def test_lag_is_reported() -> None:
    """The lag in `stats` is 0 where there is room, and grows as polls come later than due."""
    service = Service()
    async with Poller(schedule=EVERY_SECOND) as poller:
        start_all(poller, items(service, 20))
        await asyncio.sleep(20)
        assert poller.stats().lag_p99 == 0
    async with Poller(rate=10, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, items(service, 100))
        await asyncio.sleep(120)
        stats = poller.stats()
        for wait in waits:
            wait.cancel()
        await turns()
        # Tasks that were left do not wait for their turn.
        assert poller.stats().budgets[0].ready == 0
    assert 7 <= stats.lag_p50 <= 11
    assert stats.lag_p50 <= stats.lag_p99 <= 30
    assert stats.budgets[0].polls_per_second == pytest.approx(10, rel=0.15)
    assert 80 <= stats.budgets[0].ready <= 100


async def test_a_refusal_pauses_the_whole_account(poller: Poller) -> None:
    """After a 429 that asks for ten seconds no task of that account is polled, woken or not."""
    service = Service(limit=30, retry_after=10.0)
    tasks = items(service, 40)
    start_all(poller, tasks, timeout=math.inf)
    await asyncio.sleep(5)
    assert all(poller.wake(task.key) for task in tasks)
    await asyncio.sleep(55)
    first = service.refused[0]
    assert first < 5
    assert number_between(service.sent, first, first + 10 - 1e-6) == 0


@pytest.mark.parametrize(
    ("failure", "refused"),
    [(RateLimited("429", status=429, retry_after=1.0), 1), (ConnectionResetError("reset"), 0)],
    ids=["429", "reset"],
)
async def test_refusals_alone_slow_the_account(
    poller: Poller, failure: Exception, refused: int
) -> None:
    """`stats` counts failed polls, and those among them that the provider refused."""
    await poller.wait(Job(failure, "done"))
    stats = poller.stats()
    assert (stats.polls, stats.errors, stats.budgets[0].refused) == (2, 1, refused)
    assert (stats.budgets[0].rate < math.inf) == bool(refused)


async def test_concurrency_is_bounded() -> None:
    """Never more polls of an account are under way than allowed; an answer makes room at once."""
    service = Service(latency=0.5)
    async with Poller(concurrency=7, schedule=EVERY_SECOND) as poller:
        start_all(poller, items(service, 40), timeout=math.inf)
        await asyncio.sleep(9.9)
    assert service.most_in_flight == 7
    assert service.sent == pytest.approx([number * 0.5 for number in range(20) for _ in range(7)])


@pytest.mark.parametrize(
    "stuck",
    [Service("stuck", latency=math.inf), Service("stuck", limit=0, retry_after=30.0)],
    ids=["hangs", "refuses"],
)
async def test_one_account_does_not_delay_another(stuck: Service) -> None:
    """A provider that answers none of more requests than may be under way holds up no other."""
    quick = Service("quick")
    async with Poller(schedule=EVERY_SECOND, concurrency=10) as poller:
        waits = start_all(poller, items(stuck, 100), timeout=120)
        await asyncio.sleep(5)
        ends = await asyncio.gather(*start_all(poller, items(quick, 5, ends=20, prefix="quick")))
        assert [outcome.elapsed for outcome in ends] == pytest.approx([15] * 5, abs=1)
        assert len(quick.sent) >= 5 * 15
        outcomes = await asyncio.gather(*waits)
        assert {type(outcome.error) for outcome in outcomes} == {WaitTimeout}
    assert anyio.current_time() < 131


@pytest.mark.parametrize("crowd", [100, 300])
@pytest.mark.parametrize("way", ["wait", "as_done"])
async def test_a_short_budget_costs_no_task_its_last_poll(crowd: int, way: str) -> None:
    """What ended in time is seen to, though others stand before it in line at its deadline."""
    service = Service()
    task = Item(service, "task", ends=9.5)
    async with Poller(rate=20, schedule=Schedule(first=1, factor=1, cap=1)) as poller:
        start_all(poller, items(service, crowd, prefix="other"), timeout=math.inf)
        await asyncio.sleep(0)
        if way == "wait":
            assert await poller.wait(task, timeout=10) == "done"
        else:
            assert (await anext(poller.as_done([task], timeout=10))).result == "done"
        assert anyio.current_time() <= 10.5


async def test_a_budget_that_gives_no_poll_at_all_ends_in_time() -> None:
    """Last polls that the budget holds up for 5 s past the deadline are not sent: a timeout."""
    service = Service()
    tasks = items(service, 300, ends=9.5)
    async with Poller(rate=20, schedule=Schedule(first=1, factor=1, cap=1)) as poller:
        outcomes = await asyncio.gather(*start_all(poller, tasks, timeout=10))
    ended = sum(outcome.error is None for outcome in outcomes)
    late = [outcome for outcome in outcomes if outcome.error is not None]
    assert 100 <= ended <= 120
    assert all(isinstance(outcome.error, WaitTimeout) for outcome in late)
    assert all(10 <= outcome.elapsed <= 15 for outcome in late)


async def test_a_poll_that_has_not_begun_gives_its_place_back() -> None:
    """A wait that is left between the start of its poll and its first step keeps no place."""
    async with Poller(schedule=EVERY_SECOND, concurrency=1) as poller:

        def leave() -> None:
            doomed.cancel()

        # In the same turn in which the second poll is sent, and before it.
        asyncio.get_running_loop().call_at(1.0, leave)
        doomed = start(poller.wait(job("left")))
        await asyncio.sleep(2)
        assert poller.stats().in_flight == 0
        assert [budget.in_flight for budget in poller.stats().budgets] == [0]
        assert (await poller.wait(job("other", "done"), timeout=5)).word == "done"


async def test_a_look_that_makes_its_own_wait_leave_gives_its_place_back_once(
    poller: Poller,
) -> None:
    """An eager task may do so before its maker has it."""

    class Leaving(Job):
        """A job whose look finds out that no one needs it any more."""

        async def observe(self) -> Observation[Report]:
            """Leave, and look."""
            ends.leave()
            return await super().observe()

    ends = poller.as_done([Leaving("running", latency=1.0)])
    assert isinstance((await outcome_of(anext(ends))).error, StopAsyncIteration)
    await asyncio.sleep(5)
    assert [budget.in_flight for budget in poller.stats().budgets] == [0]


class Resisting(Job):
    """A job whose first look cannot be cancelled, and whose answer comes far too late."""

    budget = ("fake", "account")

    async def observe(self) -> Observation[Report]:
        """Look once."""
        if self.polls:
            return await super().observe()
        self.polls.append(Poll(anyio.current_time()))
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
        return Observation(TaskState.SUCCEEDED, "stale", Report("stale"))


async def test_a_look_that_resists_its_end_gives_its_place_back() -> None:
    """It is a failed poll a second after its poll timeout, and its answer counts for nothing."""
    resisting = Resisting("running", ends_at(60.0))
    async with Poller(schedule=EVERY_SECOND, concurrency=1, poll_timeout=2.0) as poller:
        waiting = asyncio.create_task(poller.wait(resisting))
        await asyncio.sleep(0.1)
        assert await poller.wait(Item(Service(), ends=0)) == "done"
        assert anyio.current_time() == 3
        snapshots = [snapshot.word async for snapshot in poller.watch(resisting)]
        assert (await waiting).word == "done"
    assert snapshots == ["running", "done"]
    assert anyio.current_time() >= 60


async def test_a_look_that_raises_what_is_no_exception_ends_its_waits(poller: Poller) -> None:
    """They get it as the cause of an error, instead of one look a second that no one hears of."""
    for error in (GeneratorExit(), BaseExceptionGroup("all", [asyncio.CancelledError()])):
        task = Thing("7", "kind", error)
        waits = [start(poller.wait(task)), start(poller.wait(task, on_change=print))]
        for outcome in await asyncio.gather(*waits):
            assert isinstance(outcome.error, RuntimeError)
            assert outcome.error.__cause__ is error


async def test_after_all_was_cancelled_no_look_is_sent_for_a_second() -> None:
    """The event loop may be about to end: new asyncio tasks would be destroyed in it."""
    service, before = Service(latency=0.1), asyncio.all_tasks()
    ends = (poller := Poller(schedule=EVERY_SECOND, concurrency=3)).as_done(items(service, 9))
    reading = asyncio.create_task(outcome_of(anext(ends)))
    await asyncio.sleep(0.25)
    for task in asyncio.all_tasks() - before - {reading}:
        task.cancel()
    await asyncio.sleep(0.99)
    assert len(service.sent) == 9
    await asyncio.sleep(0.02)
    assert len(service.sent) == 12
    await poller.aclose()
    await reading
