"""Many waits for one task: one poll, and to each its own timeout, cancellation and error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NoReturn, Self

import pytest

from asyncclient import LearnedSchedule, Poller, Schedule
from asyncclient._many.shared import copy_of_error
from asyncclient.errors import (
    InvalidRequest,
    RateLimited,
    ServerError,
    TaskBlocked,
    TaskFailed,
    WaitTimeout,
)
from tests.many.service import EVERY_SECOND, Item, Service, gaps, start, start_all, turns
from tests.waiting.scenario import Job, Report, other_tasks

EVERY_TEN = Schedule(first=10, factor=1, cap=10, jitter=0)


async def test_the_last_waiter_to_leave_stops_the_polling() -> None:
    """One that leaves takes no poll with it; the last cuts its poll short and frees its place."""
    service = Service(latency=0.5)
    task = Item(service)
    before = other_tasks()
    async with Poller(schedule=EVERY_SECOND, concurrency=1) as poller:
        waits = start_all(poller, [task, task])
        await asyncio.sleep(2.25)
        waits[0].cancel()
        await turns()
        assert waits[0].cancelled()
        assert poller.stats().in_flight == service.in_flight == 1
        await asyncio.sleep(2)
        assert service.in_flight == 1
        waits[1].cancel()
        await turns()
        stats = poller.stats()
        assert (service.in_flight, stats.in_flight, stats.pending) == (0, 0, 0)
        assert other_tasks() == before
        assert await poller.wait(Item(service, "next", 0), timeout=5) == "done"
        await asyncio.sleep(60)
    assert task.sent == pytest.approx([0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("ends", "sent"),
    [(4.9, [0, 5]), (math.inf, [0, 5, 15, 25, 27])],
    ids=["it has ended by then", "it goes on"],
)
async def test_a_joiner_gets_the_last_poll_on_its_own_deadline(
    ends: float, sent: list[float]
) -> None:
    """After the last poll of one who joined with an earlier deadline, the first is polled on."""
    task = Item(Service(), ends=ends)
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task, timeout=27))
        await asyncio.sleep(2)
        joiner = await start(poller.wait(task, timeout=3))
        assert joiner.elapsed == pytest.approx(3)
        for outcome in (joiner, await first):
            assert isinstance(outcome.error, WaitTimeout) == (ends == math.inf)
    assert task.sent == pytest.approx(sent)


@pytest.mark.parametrize(
    ("joins", "timeout", "sent"),
    [(1, 20, [16, 21]), (480, 15, [490, 495]), (485, 9, [485, 494]), (490, 1e-9, [490, 490])],
    ids=["before its end", "near its end", "with a short timeout", "with the least timeout"],
)
async def test_a_joiner_ends_a_silence_in_time(
    joins: float, timeout: float, sent: list[float]
) -> None:
    """A task that was not looked at yet is, as early as if the joiner's wait were the first one.

    Its first answer may take seconds, and a wait without one ends on its deadline.
    """
    learned = LearnedSchedule(longest_gap=600)
    for _ in range(20):
        learned.observe(500.0, kind="fake.item")
    task = Item(Service())
    async with Poller(schedule=learned) as poller:
        start_all(poller, [task])
        await asyncio.sleep(joins)
        assert isinstance((await start(poller.wait(task, timeout=timeout))).error, WaitTimeout)
    assert task.sent[0] == pytest.approx(sent[0])
    assert task.sent[-1] == pytest.approx(sent[-1])


async def test_a_joiner_ends_the_phase_of_a_crowd_in_time() -> None:
    """The first look at one of a crowd comes in the first half of each wait for it."""
    tasks = [Item(Service(), number) for number in range(100)]
    async with Poller(schedule=EVERY_TEN) as poller:
        start_all(poller, tasks)
        joiners = start_all(poller, tasks, timeout=4)
        await asyncio.gather(*joiners)
    assert 1.5 < max(task.sent[0] for task in tasks) <= 2


# --- errors -------------------------------------------------------------------------------------


class KeywordError(Exception):
    """An error that cannot be made again from its text alone, as some HTTP libraries have."""

    def __init__(self, text: str, *, request: str) -> None:
        super().__init__(text)
        self.request = request


class PrefixedError(Exception):
    """An error that would get its prefix twice if it were made again from its args."""

    def __init__(self, code: int) -> None:
        super().__init__(f"failed: {code}")
        self.code = code


class FussyError(KeywordError):
    """An error that cannot be copied at all in Python's own way."""

    def __new__(cls, text: str, *, request: str) -> Self:
        """Ask for a keyword here, too."""
        del request
        return super().__new__(cls, text)

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError


@pytest.mark.parametrize(
    "make",
    [
        lambda: InvalidRequest("no", status=400, code=4000, message="bad id"),
        lambda: ValueError("strange"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "strange"),
        lambda: OSError(111, "refused", "host"),
        lambda: KeywordError("strange", request="GET /"),
        lambda: PrefixedError(5),
        lambda: FussyError("strange", request="GET /"),
        lambda: ExceptionGroup("strange", [ValueError("one")]),
    ],
    ids=["refused", "builtin", "many", "of the system", "keyword", "prefix", "fussy", "group"],
)
def test_a_copy_of_an_error_is_an_error_of_its_own(make: Callable[[], Exception]) -> None:
    """It says the same and has the same cause; a note on one is on no other."""
    error = make()
    error.__cause__ = cause = LookupError("cause")
    error.add_note("of both")
    other = copy_of_error(error)
    error.add_note("mine")
    assert other is not error
    assert (type(other), str(other), other.args) == (type(error), str(error), error.args)
    assert {**vars(other), "__notes__": None} == {**vars(error), "__notes__": None}
    assert other.__cause__ is cause
    assert other.__suppress_context__
    assert other.__notes__ == ["of both"]


@pytest.mark.parametrize(
    ("word", "kind"), [("broken", TaskFailed), ("asks", TaskBlocked)], ids=["failed", "blocked"]
)
async def test_each_wait_gets_an_error_of_its_own(word: str, kind: type[Exception]) -> None:
    """All that wait end at the same moment, each with its own seconds and all of the evidence."""
    task = Job("running", Report(word, reason="no tea"), latency=1)
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task))
        await asyncio.sleep(4)
        early, late = await asyncio.gather(first, start(poller.wait(task)))
        assert poller.stats().pending == 0
    assert early.error is not late.error
    assert (early.evidence.elapsed, late.evidence.elapsed) == pytest.approx((11, 7))
    for outcome in (early, late):
        assert type(outcome.error) is kind
        assert "no tea" in str(outcome.error)
        assert (outcome.evidence.polls, outcome.evidence.ref) == (2, task.ref)
        assert outcome.evidence.snapshot is not None


async def test_a_poll_that_one_wait_gave_up_on_is_no_failed_poll_of_the_others(
    poller: Poller,
) -> None:
    """It counts for the wait whose deadline it outlasts, in its error and its end."""
    task = Job("running", latency=[0.0, 9.0, 0.0])
    waiting = start(poller.wait(task, timeout=20.0))
    (short,) = [done async for done in poller.as_done([task], timeout=2.0)]
    long = await waiting
    assert isinstance(short.error, WaitTimeout)
    assert short.error.last_error is not None
    assert short.polls == short.error.polls == 2
    assert long.evidence.last_error is None
    assert long.evidence.polls == len(task.polls)


async def test_what_the_provider_says_to_a_waiter_that_has_left_is_for_all(poller: Poller) -> None:
    """A refusal of the account that comes after the first waiter has left is obeyed."""
    task = Job(RateLimited("429", status=429, retry_after=20.0), "done", latency=[1.0, 0.0])
    leaver, stayer = start(poller.wait(task)), start(poller.wait(task))
    await asyncio.sleep(0.5)
    leaver.cancel()
    assert (await stayer).elapsed >= 21
    assert poller.stats().errors == 1


async def test_each_wait_ends_by_its_own_patience() -> None:
    """An outage ends the wait that tolerates the least; a hanging look is bounded by the most."""

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= 400 else ServerError("503", status=503)

    async with Poller(max_outage=200.0) as poller:
        task = Job(answer)
        waits = [
            start(poller.wait(task, max_outage=max_outage)) for max_outage in (None, 50.0, math.inf)
        ]
        usual, short, long = await asyncio.gather(*waits)
    assert 200 < usual.elapsed < 250
    assert 50 < short.elapsed < 200
    assert long.result == Report("done")
    for outcome in (usual, short):
        assert isinstance(outcome.error, ServerError)
        assert outcome.error.elapsed == outcome.elapsed
    assert short.error is not usual.error


@pytest.mark.parametrize("order", [(3600, 1), (1, 3600)])
async def test_a_hanging_look_is_bounded_by_the_only_one_who_still_waits(
    order: tuple[float, float],
) -> None:
    """The patience of the other one is forgotten, in either order of the two."""
    task = Job("running", latency=[0.0, math.inf])
    async with Poller(schedule=EVERY_TEN) as poller:
        waits = {each: start(poller.wait(task, timeout=30, poll_timeout=each)) for each in order}
        await asyncio.sleep(5)
        waits[3600].cancel()
        await asyncio.wait(waits.values())
    usual, *short = gaps(task.sent)
    assert usual == 10
    assert all(1 < each <= 5 for each in short[:3])  # with a backoff of up to 4 s


async def test_a_hanging_look_is_bounded_by_those_who_still_wait() -> None:
    """The patience of a wait that has left is forgotten, also for the look under way."""
    task = Job("running", latency=[0.0, math.inf])
    async with Poller(schedule=EVERY_TEN) as poller:
        seconds = (3600, 7, 20, 1)
        waits = [start(poller.wait(task, timeout=100, poll_timeout=each)) for each in seconds]
        await asyncio.sleep(5)
        waits[0].cancel()
        await asyncio.sleep(20)
        waits[2].cancel()
        await asyncio.wait(waits)
    usual, long, *short = gaps(task.sent)
    assert usual == 10
    assert 15 < long <= 16
    assert all(7 < each <= 15 for each in short[:3])  # with a backoff of up to 8 s
