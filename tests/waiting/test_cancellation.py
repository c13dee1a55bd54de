"""Tests of local cancellation: honoured at once, everywhere, and never swallowed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeAlias, TypedDict

import anyio
import pytest

from asyncclient import Snapshot, wait_until_done, watch
from asyncclient.errors import ServerError, WaitTimeout
from tests.waiting.scenario import (
    EVERY_4,
    CancellableJob,
    Driver,
    Entry,
    Job,
    Report,
    hang,
    other_tasks,
    outcome_of,
    stand_still,
)

ANYIO = tuple(int(part) for part in importlib.metadata.version("anyio").split(".")[:2])

Begin: TypeAlias = Callable[[Job], Coroutine[object, object, object]]
Waiting: TypeAlias = Callable[[], Coroutine[object, object, object]]
Way: TypeAlias = Callable[[Waiting, float], Awaitable[None]]


# Three ways to cancel; each checks that the cancellation gets out.
async def by_task(waiting: Waiting, seconds: float) -> None:
    """Cancel an asyncio task after some seconds."""
    task = asyncio.create_task(waiting())
    await anyio.sleep(seconds)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout(waiting: Waiting, seconds: float) -> None:
    """Let asyncio's own timeout cancel after some seconds."""
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(seconds):
            await waiting()
    assert type(caught.value) is TimeoutError
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def by_scope(waiting: Waiting, seconds: float) -> None:
    """Let a scope of anyio cancel after some seconds."""
    with anyio.move_on_after(seconds) as scope:
        await waiting()
    assert scope.cancelled_caught


WAYS = pytest.mark.parametrize(
    "cancelled", [by_task, by_timeout, by_scope], ids=["task", "timeout", "scope"]
)


class Options(TypedDict, total=False):
    """Where a wait is to hang."""

    on_change: Callable[[Snapshot[Report]], object]
    on_blocked: Callable[[Snapshot[Report]], object]


# Where a wait is when it is cancelled: the latencies of the polls, what they show, its callbacks.
PLACES: dict[str, tuple[Sequence[float], Entry, Options]] = {
    "in the first poll": ([math.inf], "done", {}),
    "in a later poll": ([0.5, math.inf], "running", {}),
    "between two polls": ([0.0], "running", {}),
    "after a refusal": ([0.0], ServerError("503", status=503, retry_after=300), {}),
    "in on_change": ([0.0], "running", {"on_change": hang}),
    "in on_blocked": ([0.0], "asks", {"on_blocked": hang}),
}


@WAYS
@pytest.mark.parametrize(("latency", "shown", "options"), PLACES.values(), ids=PLACES)
async def test_cancellation_is_honoured_at_once(
    driver: Driver, latency: Sequence[float], shown: Entry, options: Options, cancelled: Way
) -> None:
    """In each place a wait ends at the instant of its cancellation, and leaves nothing behind."""
    before = other_tasks()
    job = CancellableJob(shown, latency=latency)

    async def wait() -> None:
        await driver(job, schedule=EVERY_4, **options)

    await cancelled(wait, 5.25)
    assert anyio.current_time() == 5.25
    polls = len(job.polls)
    await anyio.sleep(1000)
    assert other_tasks() == before
    assert len(job.polls) == polls
    assert job.cancels == []


@pytest.mark.xfail(
    ANYIO < (4, 16),
    reason="a scope of an older anyio takes a cancellation at its very deadline for its own",
    strict=False,
)
@pytest.mark.parametrize("first", ["cancel", "deadline"])
@pytest.mark.parametrize("latency", [0.0, math.inf])
async def test_a_cancellation_at_the_very_deadline_gets_out(
    driver: Driver, first: str, latency: float
) -> None:
    """When both come at one instant, a cancellation that was granted is kept."""
    loop = asyncio.get_running_loop()
    granted: list[bool] = []

    async def wait() -> None:
        await driver(Job("running", latency=[1, latency]), timeout=10, schedule=EVERY_4)

    def cancel() -> None:
        granted.append(task.cancel())

    at = 15.0 if latency else 10.0  # a poll that hangs is given up 5 s after the deadline
    if first == "cancel":
        loop.call_at(at, cancel)
    task = asyncio.create_task(wait())
    if first == "deadline":
        await anyio.sleep(11 if latency else 5)
        loop.call_at(at, cancel)
    (end,) = await asyncio.gather(task, return_exceptions=True)
    assert granted == [True]
    assert isinstance(end, asyncio.CancelledError)


@pytest.mark.parametrize("latency", [0.0, 0.2, math.inf])
async def test_a_timeout_leaves_its_asyncio_task_fit_for_use(
    driver: Driver, latency: float
) -> None:
    """After a timeout of the wait, timeouts and cancellations of the caller work as before."""
    outcome = await outcome_of(driver(Job("running", latency=latency), timeout=3))
    assert isinstance(outcome.error, WaitTimeout)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await by_timeout(functools.partial(anyio.sleep, 10), 1)
    await by_scope(functools.partial(anyio.sleep, 10), 1)


def stopping(job: Job) -> Coroutine[object, object, object]:
    """Wait for a job, and have it cancelled if the wait is."""
    return wait_until_done(job, on_cancel="cancel")


async def stopping_watch(job: Job) -> None:
    """Watch a job, and have it cancelled if the watch is."""
    async for _ in watch(job, on_cancel="cancel"):
        pass


@WAYS
@pytest.mark.parametrize("latency", [0.0, math.inf], ids=["in sleep", "in poll"])
@pytest.mark.parametrize("waiting", [stopping, stopping_watch])
@pytest.mark.parametrize(("takes", "done", "ends"), [(2, [8], 8), (math.inf, [], 11)])
async def test_the_remote_job_is_cancelled_on_request(
    cancelled: Way, waiting: Begin, latency: float, takes: float, done: list[float], ends: float
) -> None:
    """The provider is asked to stop the job; that holds the cancellation up for 5 s at most."""
    before = other_tasks()
    job = CancellableJob("running", latency=latency)
    job.cancel_takes = takes
    await cancelled(functools.partial(waiting, job), 6)
    assert (job.cancels, job.cancelled, anyio.current_time()) == ([6], done, ends)
    assert other_tasks() == before


class Uncallable(Job):
    """A job whose `cancel` is nothing, as a proxy or a base class may have it."""

    cancel = None


class Unsent(CancellableJob):
    """A job whose `cancel` fails before anything is sent, as one whose pool is closed."""

    async def cancel(self) -> None:
        """Raise at once."""
        assert self.cancel_fails is not None
        raise self.cancel_fails


FAULTS = [ServerError("503", status=503), TimeoutError(), ValueError("x")]


@WAYS
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        *((Job, None), (Uncallable, None), (Unsent, FAULTS[-1])),
        *((CancellableJob, fault) for fault in FAULTS),
    ],
)
async def test_a_remote_cancel_that_fails_does_not_hide_the_cancellation(
    cancelled: Way, kind: type[Job], fault: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong is a warning in the log; where the provider cannot cancel, nothing does."""
    job = kind("running")
    if isinstance(job, CancellableJob):
        job.cancel_fails = fault
    await cancelled(functools.partial(stopping, job), 6)
    assert anyio.current_time() == 6
    assert len(caplog.records) == (fault is not None)
    assert all("could not cancel" in record.getMessage() for record in caplog.records)


async def test_a_second_cancellation_does_not_break_off_the_remote_cancel(driver: Driver) -> None:
    """The remote cancel is bounded by itself, and is waited for."""
    job = CancellableJob("running")
    job.cancel_takes = 4
    task = asyncio.ensure_future(driver(job, on_cancel="cancel"))
    for seconds in (6, 1):
        await anyio.sleep(seconds)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert anyio.current_time() == 10
    assert len(job.cancelled) == 1


async def test_a_cancellation_is_kept_while_the_remote_job_is_cancelled(driver: Driver) -> None:
    """One that comes when the wait has timed out, and cancels the job, is no timeout."""
    job = CancellableJob("running")
    job.cancel_takes = 4
    task = asyncio.ensure_future(driver(job, timeout=10, on_timeout="cancel"))
    await anyio.sleep(11)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(job.cancelled), anyio.current_time()) == (1, 14)


@pytest.mark.parametrize("turns", range(12))
async def test_a_remote_cancel_has_its_time_after_a_standstill(driver: Driver, turns: int) -> None:
    """An event loop that stands still before or while it is sent does not break it off."""
    loop, before = asyncio.get_running_loop(), other_tasks()

    def stand_still_after(turns: int) -> None:
        if turns:
            loop.call_soon(stand_still_after, turns - 1)
        else:
            stand_still(60)

    job = CancellableJob("running")
    job.cancel_takes = 1
    loop.call_at(anyio.current_time() + 10, stand_still_after, turns)
    with pytest.raises(WaitTimeout):
        await driver(job, timeout=10, on_timeout="cancel")
    assert (len(job.cancelled), other_tasks()) == (1, before)


class Resisting(Job):
    """A job whose `cancel` can itself not be cancelled."""

    async def cancel(self) -> None:
        """Go on for a minute."""
        until = anyio.current_time() + 60
        while anyio.current_time() < until:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(until - anyio.current_time())


async def test_a_remote_cancel_that_resists_is_awaited_no_longer(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    """After its 5 s it has a second to end."""
    task = asyncio.ensure_future(driver(Resisting("running"), on_cancel="cancel"))
    await anyio.sleep(6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert anyio.current_time() == 12
    await anyio.sleep(60)
    assert [record.name for record in caplog.records] == []


@pytest.mark.parametrize(
    ("word", "timeout"), [("running", 10), ("broken", 600), ("done", 600), ("asks", 600)]
)
async def test_only_a_cancellation_cancels_the_remote_job(
    word: str, timeout: float, driver: Driver
) -> None:
    """Neither a timeout, an end of the task nor a `break` is a reason to stop the remote job."""
    job = CancellableJob("running", word)
    await outcome_of(driver(job, timeout=timeout, on_cancel="cancel"))
    async for _ in watch(job, on_cancel="cancel"):
        break
    assert job.cancels == []


@pytest.mark.parametrize("latency", [0.0, math.inf], ids=["answers", "hangs"])
async def test_a_timeout_cancels_the_remote_job_where_that_is_asked_for(
    latency: float, driver: Driver
) -> None:
    """With `on_timeout="cancel"` a wait that times out does, and one that is cancelled does not."""

    async def follow(job: Job) -> None:
        async for _ in watch(job, timeout=10, on_timeout="cancel"):
            pass

    async def wait(job: Job) -> None:
        await driver(job, timeout=10, on_timeout="cancel")

    for waiting in (wait, follow):
        job = CancellableJob("running", latency=latency)
        with pytest.raises(WaitTimeout):
            await waiting(job)
        assert len(job.cancelled) == 1
        job = CancellableJob("running", latency=latency)
        await by_task(functools.partial(waiting, job), 1)
        assert job.cancels == []
