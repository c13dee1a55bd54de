"""In any order of events each wait of a Poller ends once, and nothing is kept."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asyncclient import Poller, Schedule
from asyncclient.errors import RateLimited, ServerError, TaskFailed, WaitTimeout
from asyncclient.testing import virtual_time_loop
from tests.many.service import Item, Service, most_within, start, turns
from tests.waiting.scenario import Outcome

T = TypeVar("T")

NUMBER = 8
# What the last poll may take after a deadline, and once more after a rest.
GRACE = 10.05


@dataclass
class Wait:
    """One wait that was begun."""

    item: Item
    began: float
    timeout: float
    running: asyncio.Task[Outcome[str]]
    cancelled: bool = False


class PollerMachine(RuleBasedStateMachine):
    """A Poller with a service of its own, on a virtual loop that runs between the steps only."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=virtual_time_loop)
        self.service = Service("acme")
        self.items: list[Item] = []
        self.waits: list[Wait] = []
        self.rate = math.inf
        self.concurrency = 1
        self.poller = Poller()

    def run(self, coroutine: Coroutine[object, object, T]) -> T:
        """Run something on the loop."""
        return self.runner.run(coroutine)

    @property
    def now(self) -> float:
        """The loop's time."""
        return self.runner.get_loop().time()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Make the poller and the jobs."""
        rate = data.draw(st.sampled_from([None, 2.0, 20.0]))
        self.rate = rate or math.inf
        self.concurrency = data.draw(st.sampled_from([1, 3, 100]))
        self.service.latency = data.draw(st.sampled_from([0.0, 0.05, 0.7]))
        first = data.draw(st.sampled_from([0.3, 1.0, 5.0]))
        jitter = data.draw(st.sampled_from([0.0, 0.1]))
        self.poller = Poller(
            rate=rate,
            concurrency=self.concurrency,
            schedule=Schedule(first=first, factor=1.5, cap=8.0, jitter=jitter),
            rng=Random(data.draw(st.integers(0, 99))),
        )
        durations = data.draw(st.lists(st.floats(0, 60), min_size=NUMBER, max_size=NUMBER))
        failing = data.draw(st.sets(st.integers(0, NUMBER - 1), max_size=3))
        self.items = [
            Item(self.service, number, ends, "broken" if number in failing else "done")
            for number, ends in enumerate(durations)
        ]

    @rule(
        number=st.integers(0, NUMBER - 1),
        timeout=st.sampled_from([0.1, 1.0, 5.0, 30.0, 90.0]),
        weight=st.sampled_from([0.25, 1.0, 25.0]),
    )
    def wait(self, number: int, timeout: float, weight: float) -> None:
        """Begin to wait for a job, which others may wait for too."""
        item = self.items[number]

        async def begin() -> None:
            running = start(self.poller.wait(item, timeout=timeout, weight=weight))
            self.waits.append(Wait(item, self.now, timeout, running))
            await asyncio.sleep(0)

        self.run(begin())

    @precondition(lambda self: any(not wait.running.done() for wait in self.waits))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel a wait."""
        pending = [wait for wait in self.waits if not wait.running.done()]
        wait = data.draw(st.sampled_from(range(len(pending))))
        pending[wait].cancelled = True
        pending[wait].running.cancel()
        self.run(turns(3))

    @rule(number=st.integers(0, NUMBER))
    def wake(self, number: int) -> None:
        """Send a signal, true or forged."""

        async def signal() -> None:
            woken = self.poller.wake(number)
            pending = [wait for wait in self.waits if not wait.running.done()]
            assert woken == any(wait.item.key == number for wait in pending)

        self.run(signal())

    @rule(
        fault=st.none()
        | st.just(ServerError("503", status=503))
        | st.builds(
            partial(RateLimited, "429", status=429),
            retry_after=st.sampled_from([None, 0.0, 3.0, math.nan]),
        )
    )
    def fail(self, fault: Exception | None) -> None:
        """Let the provider refuse everything, fail, or answer again."""
        self.service.fault = fault

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.0, 7.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    @invariant()
    def each_wait_ends_once_and_in_time(self) -> None:
        """No wait outlasts its deadline, and each end is one that may be."""
        for wait in self.waits:
            if not wait.running.done():
                assert self.now <= wait.began + wait.timeout + GRACE + 1e-6
            elif wait.running.cancelled():
                assert wait.cancelled
            else:
                self.check(wait, wait.running.result())

    def check(self, wait: Wait, outcome: Outcome[str]) -> None:
        """Check one end."""
        ended = wait.began + outcome.elapsed
        assert outcome.elapsed <= wait.timeout + GRACE
        if outcome.error is None:
            assert outcome.result == wait.item.word == "done"
            assert wait.item.ends <= ended
        elif isinstance(outcome.error, TaskFailed):
            assert wait.item.word == "broken"
            assert wait.item.ends <= ended
        elif isinstance(outcome.error, WaitTimeout):
            assert outcome.elapsed >= wait.timeout - 1e-6 or outcome.error.retry_after is not None
            assert outcome.error.elapsed == outcome.elapsed
        else:
            assert isinstance(outcome.error, RateLimited | ServerError), outcome.error

    @invariant()
    def the_rate_is_kept(self) -> None:
        """No five seconds hold more polls than allowed, and no moment more under way."""
        assert most_within(self.service.sent, 5) <= self.rate * 5.02 + 1
        assert self.service.most_in_flight <= self.concurrency

    @invariant()
    def what_it_says_is_so(self) -> None:
        """The numbers of `stats` are those of the waits."""
        self.run(turns(3))  # an end that is known reaches who waits for it in the next turn
        stats = self.poller.stats()
        pending = [wait for wait in self.waits if not wait.running.done()]
        assert stats.waiters == len(pending)
        assert stats.pending == len({wait.item.key for wait in pending})
        assert stats.in_flight >= self.service.in_flight
        assert stats.in_flight == sum(budget.in_flight for budget in stats.budgets)
        for budget in stats.budgets:
            assert budget.ready <= stats.pending
        if not pending:
            self.run(turns(3))
            assert self.poller.stats().in_flight == self.service.in_flight == 0

    def teardown(self) -> None:
        """Close, and look whether anything is left."""
        self.run(self.end())
        self.runner.close()

    async def end(self) -> None:
        """Wait for some, and close upon the others."""
        await asyncio.sleep(1)
        pending = [wait.running for wait in self.waits if not wait.running.done()]
        await self.poller.aclose()
        await turns()
        assert all(running.done() for running in pending)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.service.in_flight == 0
        stats = self.poller.stats()
        assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)


def test_every_wait_ends_once_and_in_time() -> None:
    """One poll a task, each wait one end in time, the rate kept, and nothing left at the end."""
    run_state_machine_as_test(
        PollerMachine, settings=settings(max_examples=30, stateful_step_count=40)
    )
