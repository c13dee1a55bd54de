"""Cancelled at any step, early or late, many waits leave nothing behind and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asyncclient import Observation, Poller, TaskState
from asyncclient.errors import TransportError
from tests.adversity.steps import Canceller, at_every_step
from tests.waiting.scenario import EVERY_SECOND


async def end_of(task: asyncio.Task[Any]) -> BaseException | None:
    """Return how a task ended: its error, or None."""
    with anyio.fail_after(60):
        await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def was_cancelled(task: asyncio.Task[Any]) -> bool:
    """Return whether a task ended by being cancelled; it may not end by another error."""
    error = await end_of(task)
    assert error is None or isinstance(error, asyncio.CancelledError), repr(error)
    return error is not None


class _Stepped:
    """A task whose polls' steps are counted: at work for two polls, then done."""

    kind = "stepped"

    def __init__(self, canceller: Canceller | None = None, key: str = "job") -> None:
        self.key = key
        self._canceller = canceller or Canceller(0, late=False)
        self.polls = self.answered = 0

    async def observe(self) -> Observation[str]:
        return await self._canceller.counted(self._answer())

    async def _answer(self) -> Observation[str]:
        self.polls += 1
        number = self.polls
        await anyio.sleep(0.1)
        if number == 1:
            raise TransportError("broken")
        await anyio.lowlevel.checkpoint()
        self.answered += 1
        if number > 2:
            return Observation(TaskState.SUCCEEDED, "done", "done")
        return Observation(TaskState.RUNNING, "running", "running")


async def is_over(poller: Poller, jobs: Sequence[_Stepped]) -> bool:
    """Return whether a poller waits for nothing, and polls nothing for a minute."""
    stats = poller.stats()
    assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
    seen = [(job.polls, job.answered) for job in jobs]
    await anyio.sleep(60)
    return seen == [(job.polls, job.answered) for job in jobs]


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
@pytest.mark.parametrize("counting", ["wait", "polls"])
def test_a_cancelled_wait_leaves_the_poller_fit(counting: str, others: int) -> None:
    """At any step of a wait or a poll, the last waiter ends the polling; another's wait goes on."""
    of_wait = counting == "wait"

    async def scenario(canceller: Canceller) -> None:
        job = _Stepped(None if of_wait else canceller)
        async with Poller(schedule=EVERY_SECOND) as poller:
            first = canceller.task(poller.wait(job), is_counted=of_wait)
            waits = [asyncio.ensure_future(poller.wait(job)) for _ in range(others)]
            is_cut = await was_cancelled(first)
            # A poll's last step is late for its own wait: that may have its answer already.
            assert is_cut == canceller.reached or not (of_wait or is_cut)
            for wait in waits:
                assert await end_of(wait) is None
            assert await is_over(poller, [job])
            with anyio.fail_after(60):
                assert await poller.wait(_Stepped()) == "done"

    assert at_every_step(scenario) >= (1 if of_wait else 5)


@pytest.mark.parametrize("counting", ["loop", "polls"])
def test_a_cancelled_step_over_many_loses_no_end(counting: str) -> None:
    """Each task's end is read exactly once, though a step of the iteration was cancelled."""

    async def scenario(canceller: Canceller) -> None:
        jobs = [_Stepped(canceller if counting == "polls" else None, key) for key in "abc"]
        async with Poller(schedule=EVERY_SECOND) as poller:
            ends = poller.as_done(jobs)
            keys: list[str] = []

            async def read() -> None:
                async for done in ends:
                    assert done.error is None
                    keys.append(str(done.task.key))

            await was_cancelled(canceller.task(read(), is_counted=counting == "loop"))
            with anyio.fail_after(60):
                await read()
            assert sorted(keys) == ["a", "b", "c"]
            assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= 3


@pytest.mark.parametrize("how", ["context", "dropped"])
def test_a_cancelled_loop_over_many_stops_the_polling(how: str) -> None:
    """A loop that was cancelled at any step of any poll leaves no poll, no task and no waiter."""

    async def scenario(canceller: Canceller) -> None:
        jobs = [_Stepped(canceller, key) for key in "abc"]
        async with Poller(schedule=EVERY_SECOND) as poller:

            async def read() -> None:
                async with poller.as_done(jobs) if how == "context" else nullcontext() as ends:
                    async for _ in ends or poller.as_done(jobs):
                        pass

            await end_of(canceller.task(read(), is_counted=False))
            # The traceback of its error holds the loop's frame, and so the iterator.
            canceller.target = None
            assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= 10


@pytest.mark.parametrize("counting", ["close", "polls"])
def test_a_poller_may_be_closed_at_any_step(counting: str) -> None:
    """Closed at any step of a poll, or cancelled while it closes, it ends every wait and poll."""

    async def scenario(canceller: Canceller) -> None:
        poller = Poller(schedule=EVERY_SECOND)
        closing: list[asyncio.Task[None]] = []
        if counting == "polls":
            canceller.act = lambda _: closing.append(asyncio.ensure_future(poller.aclose()))
        jobs = [_Stepped(canceller if counting == "polls" else None, key) for key in "ab"]
        waits = [asyncio.ensure_future(poller.wait(job)) for job in jobs]
        if counting == "close":
            await anyio.sleep(0.05)
            closing.append(canceller.task(poller.aclose()))
        for wait in waits:
            error = await end_of(wait)
            assert error is None or (isinstance(error, RuntimeError) and "closed" in str(error))
        for task in closing:
            await was_cancelled(task)
        await poller.aclose()
        assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= (1 if counting == "close" else 5)
