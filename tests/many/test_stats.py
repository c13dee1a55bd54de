"""What a Poller says of itself: little at a time, and of no more than it may keep."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from random import Random

import pytest

from asyncclient import LearnedSchedule, Poller
from asyncclient._learning import LEAST_ENDS
from asyncclient._many.shared import Receiver, SharedRecord, Waiter
from asyncclient._many.stats import Kinds
from asyncclient.errors import ServerError
from tests.many.service import EVERY_SECOND, Item, Service, start, turns
from tests.waiting.scenario import Outcome


class Counted(LearnedSchedule):
    """Counts what is worked out."""

    worked_out: list[str]

    def quantile(self, share: float, kind: str = "") -> float | None:
        """Note each kind once."""
        if share == 0.5:
            self.worked_out.append(kind)
        return super().quantile(share, kind)


def learned(kinds: int, ends: int = LEAST_ENDS) -> Counted:
    """Make a schedule that knows some kinds."""
    schedule = Counted()
    schedule.worked_out = []
    for kind in range(kinds):
        for _ in range(ends):
            schedule.observe(30.0, since=29.0, kind=f"kind {kind}")
    return schedule


def test_kinds_are_worked_out_eight_a_call() -> None:
    """All are there after some calls, and are renewed in turn; a new one comes before."""
    schedule = learned(20)
    kinds = Kinds(schedule)
    assert [len(kinds.now()) for _ in range(4)] == [8, 16, 20, 20]
    assert len(schedule.worked_out) == 32
    assert set(Counter(schedule.worked_out).values()) == {1, 2}
    for _ in range(LEAST_ENDS):
        schedule.observe(30.0, since=29.0, kind="new")
    assert "new" in [each.kind for each in kinds.now()]
    assert len(kinds.now()) == 21


@pytest.mark.parametrize(("number", "ends", "shown"), [(8, LEAST_ENDS, 8), (20, LEAST_ENDS - 1, 0)])
def test_a_few_kinds_are_all_there_at_once(number: int, ends: int, shown: int) -> None:
    """Up to eight are worked out again in each call, and those with few ends are left out."""
    schedule = learned(number, ends)
    kinds = Kinds(schedule)
    for _ in range(2):
        assert [each.kind for each in kinds.now()] == [f"kind {each}" for each in range(shown)]
    assert len(schedule.worked_out) == 2 * shown


async def test_no_kind_is_worked_out_without_learning_or_in_passing() -> None:
    """A plain schedule learns nothing; a `repr` is for logs, and costs little."""
    assert Kinds(None).now() == ()
    assert Poller(schedule=EVERY_SECOND).stats().kinds == ()
    schedule = learned(3)
    assert repr(Poller(schedule=schedule)).startswith("<Poller open: 0 pending")
    assert schedule.worked_out == []


@pytest.mark.parametrize("seed", range(3))
async def test_its_numbers_are_those_of_the_waits(seed: int) -> None:
    """At any moment it counts the waits, tasks and polls that there are; a signal says as much."""
    rng = Random(seed)
    service = Service("acme", latency=0.7)
    jobs = [Item(service, number, rng.uniform(0, 60)) for number in range(8)]
    waits: list[tuple[Item, asyncio.Task[Outcome[str]]]] = []
    async with Poller(rate={"acme": 2}, concurrency=3, rng=rng) as poller:
        for _ in range(200):
            job = rng.choice(jobs)
            step = rng.choice(["wait", "wait", "wait", "cancel", "fail", "pass", "pass"])
            if step == "wait":
                timeout = rng.choice([0.1, 5.0, 90.0])
                waits.append((job, start(poller.wait(job, timeout=timeout))))
            elif step == "cancel" and waits:
                rng.choice(waits)[1].cancel()
            elif step == "fail":
                service.fault = rng.choice([None, ServerError("503", status=503)])
            else:
                await asyncio.sleep(rng.uniform(0, 3))
            await turns()
            pending = [task.key for task, waiting in waits if not waiting.done()]
            stats = poller.stats()
            assert (stats.waiters, stats.pending) == (len(pending), len(set(pending)))
            assert stats.in_flight == service.in_flight
            assert stats.in_flight == sum(budget.in_flight for budget in stats.budgets)
            assert f"open: {stats.pending} pending, {stats.in_flight} in flight" in repr(poller)
            assert {(each.name, each.rate) for each in stats.budgets} <= {("acme account", 2)}
            # No task is due and looked at, or counted twice after a signal moved it forward.
            assert all(each.ready + each.in_flight <= stats.pending for each in stats.budgets)
            assert poller.wake(job.key) == (job.key in pending)


async def test_nothing_is_kept_of_what_is_over(poller: Poller) -> None:
    """After thousands of waits that ended, were left or cancelled, no record of them is left."""
    kinds = (SharedRecord, Waiter, Receiver)
    gc.collect()
    before = sum(isinstance(each, kinds) for each in gc.get_objects())
    service = Service()

    async def come_and_go(poller: Poller, prefix: int) -> None:
        keys = [(prefix, number) for number in range(100)]
        tasks = [Item(service, key, 0 if key[1] % 2 else 1e9) for key in keys]
        waits = [start(poller.wait(task, timeout=1e6)) for task in [*tasks, *tasks]]
        async with poller.as_done(iter(tasks)) as ends:
            await anext(ends)
        await asyncio.sleep(1.5)
        for key in keys:
            _ = poller.wake(key), poller.wake((key, "no one waits for this"))
        for wait in waits:
            wait.cancel()
        await turns()

    for prefix in range(20):
        await come_and_go(poller, prefix)
    await asyncio.sleep(5)
    loop = poller.running()
    assert [*loop.registry] == [*loop.receivers] == []
    assert len(loop.registry) == loop.waits == 0
    (queue,) = loop.queues.by_name.values()
    assert len(queue.line) == queue.pending == queue.due_times.kept() == 0
    gc.collect()
    left = sum(isinstance(each, kinds) for each in gc.get_objects()) - before
    assert left < 300
