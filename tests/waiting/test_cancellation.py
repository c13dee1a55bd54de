"""Tests of local cancellation: honoured at once, everywhere, and never swallowed."""

from __future__ import annotations

import asyncio
import functools
import importlib.metadata
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeAlias

import anyio
import pytest

from asyncclient import Schedule, Snapshot, wait_until_done, watch
from asyncclient.errors import ServerError, WaitTimeout
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import (
    CancellableJob,
    Driver,
    Job,
    Report,
    other_tasks,
    outcome_of,
)

ANYIO = tuple(int(part) for part in importlib.metadata.version("anyio").split(".")[:2])

EVERY_4 = Schedule(first=4, factor=1, cap=4, jitter=0)

Waiting: TypeAlias = Callable[[], Coroutine[object, object, object]]
Way: TypeAlias = Callable[[Waiting, float], Awaitable[None]]

# --- three ways to cancel; each checks that the cancellation gets out --------------------------


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


async def hang(_snapshot: Snapshot[Report]) -> None:
    """Be a callback that never returns."""
    await anyio.sleep_forever()


# --- at once, everywhere ----------------------------------------------------------------------


def in_first_poll() -> tuple[CancellableJob, Waiting]:
    """Wait in a first request that is never answered."""
    job = CancellableJob("done", latency=math.inf)
    return job, functools.partial(wait_until_done, job)


def in_later_poll() -> tuple[CancellableJob, Waiting]:
    """Wait in a request that takes 3 s, 2 s after it was sent."""
    job = CancellableJob("running", latency=3)
    return job, functools.partial(wait_until_done, job, schedule=EVERY_4)


def in_sleep() -> tuple[CancellableJob, Waiting]:
    """Wait between two polls."""
    job = CancellableJob("running")
    return job, functools.partial(wait_until_done, job, schedule=EVERY_4)


def in_backoff() -> tuple[CancellableJob, Waiting]:
    """Wait after a refusal for five minutes."""
    job = CancellableJob(ServerError("503", status=503, retry_after=300))
    return job, functools.partial(wait_until_done, job)


def in_on_change() -> tuple[CancellableJob, Waiting]:
    """Wait in a callback that hangs."""
    job = CancellableJob("running")
    return job, functools.partial(wait_until_done, job, on_change=hang)


def in_on_blocked() -> tuple[CancellableJob, Waiting]:
    """Wait in a handler that hangs."""
    job = CancellableJob("asks")
    return job, functools.partial(wait_until_done, job, on_blocked=hang)


def in_watch() -> tuple[CancellableJob, Waiting]:
    """Wait for a watch's next change."""
    job = CancellableJob("running")

    async def follow() -> None:
        async for _ in watch(job, schedule=EVERY_4):
            pass

    return job, follow


PLACES = pytest.mark.parametrize(
    "place",
    [in_first_poll, in_later_poll, in_sleep, in_backoff, in_on_change, in_on_blocked, in_watch],
    ids=lambda place: place.__name__,
)


@WAYS
@PLACES
async def test_cancellation_is_honoured_at_once(
    place: Callable[[], tuple[CancellableJob, Waiting]], cancelled: Way
) -> None:
    """Wherever a wait is, it ends at the instant of its cancellation, and leaves nothing behind."""
    before = other_tasks()
    job, waiting = place()
    await cancelled(waiting, 6)
    assert anyio.current_time() == 6
    polls = len(job.polls)
    await anyio.sleep(1000)
    assert other_tasks() == before
    assert len(job.polls) == polls
    assert job.cancels == []


@WAYS
async def test_a_wait_can_be_taken_up_after_its_cancellation(cancelled: Way) -> None:
    """The same task can be waited for again, in the same asyncio task."""
    job = Job("running", "running", "done")
    await cancelled(functools.partial(wait_until_done, job, schedule=EVERY_4), 2)
    assert await wait_until_done(job) == Report("done")


async def test_a_cancellation_before_the_first_step_sends_nothing(driver: Driver) -> None:
    """A wait under a scope that is cancelled already ends at its first await."""
    job = Job("running", latency=1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await driver(job)
    assert scope.cancelled_caught
    assert anyio.current_time() == 0


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
    """When cancellation and deadline strike at one instant, a granted cancellation is kept."""
    loop = asyncio.get_running_loop()
    granted: list[bool] = []

    async def wait() -> None:
        await driver(Job("running", latency=[1, latency]), timeout=10, schedule=EVERY_4)

    def cancel() -> None:
        granted.append(task.cancel())

    if first == "cancel":
        # The hanging poll is given up 2 s after the deadline.
        loop.call_at(12.0 if latency else 10.0, cancel)
    task = asyncio.create_task(wait())
    if first == "deadline":
        await anyio.sleep(5)
        loop.call_at(12.0 if latency else 10.0, cancel)
    outcome = await outcome_of(asyncio.gather(task, return_exceptions=True))
    assert outcome.result is not None
    (end,) = outcome.result
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


@WAYS
async def test_a_hundred_waits_are_cancelled_together(cancelled: Way) -> None:
    """Cancelling a crowd ends all of it at once, without an orphan."""
    before = other_tasks()
    jobs = [Job("running", latency=number / 10) for number in range(100)]

    async def crowd() -> None:
        await asyncio.gather(*(wait_until_done(job) for job in jobs))

    await cancelled(crowd, 30)
    assert anyio.current_time() == 30
    assert other_tasks() == before
    polls = sum(len(job.polls) for job in jobs)
    await anyio.sleep(1000)
    assert sum(len(job.polls) for job in jobs) == polls


# --- on_cancel="cancel" -----------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("latency", [0.0, math.inf], ids=["in sleep", "in poll"])
async def test_the_remote_job_is_cancelled_on_request(cancelled: Way, latency: float) -> None:
    """With `on_cancel="cancel"` the provider is asked to stop the job, to the end of that call."""
    job = CancellableJob("running", latency=latency)
    job.cancel_takes = 2
    await cancelled(functools.partial(wait_until_done, job, on_cancel="cancel"), 6)
    assert job.cancels == [6]
    assert job.cancelled == [8]
    assert anyio.current_time() == 8


@WAYS
async def test_a_watch_cancels_the_remote_job_too(cancelled: Way) -> None:
    """The same holds for a watch that is cancelled within a step."""
    job = CancellableJob("running")

    async def follow() -> None:
        async for _ in watch(job, on_cancel="cancel"):
            pass

    await cancelled(follow, 6)
    assert job.cancelled == [6]


@WAYS
async def test_a_remote_cancel_that_hangs_is_given_up(cancelled: Way) -> None:
    """The caller's cancellation is held up for 5 s at most."""
    before = other_tasks()
    job = CancellableJob("running")
    job.cancel_takes = math.inf
    await cancelled(functools.partial(wait_until_done, job, on_cancel="cancel"), 6)
    assert anyio.current_time() == 11
    assert job.cancels == [6]
    assert other_tasks() == before


@WAYS
@pytest.mark.parametrize("fault", [ServerError("503", status=503), TimeoutError(), ValueError("x")])
async def test_a_remote_cancel_that_fails_does_not_hide_the_cancellation(
    cancelled: Way, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong with it is a warning in the log; the cancellation gets out."""
    job = CancellableJob("running")
    job.cancel_fails = fault
    await cancelled(functools.partial(wait_until_done, job, on_cancel="cancel"), 6)
    assert anyio.current_time() == 6
    assert job.cancels == [6]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "could not cancel" in warnings[0]


class Uncallable(Job):
    """A job whose `cancel` is nothing, as a proxy or a base class may have it."""

    cancel = None


@WAYS
@pytest.mark.parametrize("kind", [Job, Uncallable])
async def test_a_provider_without_a_cancel_is_left_alone(
    cancelled: Way, kind: type[Job], caplog: pytest.LogCaptureFixture
) -> None:
    """Where the provider cannot cancel, the wait just ends, and nothing went wrong."""
    await cancelled(functools.partial(wait_until_done, kind("running"), on_cancel="cancel"), 6)
    assert anyio.current_time() == 6
    assert caplog.records == []


async def test_a_second_cancellation_is_not_held_up() -> None:
    """Who cancels twice does not wait for the provider."""
    job = CancellableJob("running")
    job.cancel_takes = 4
    task = asyncio.create_task(wait_until_done(job, on_cancel="cancel"))
    await anyio.sleep(6)
    task.cancel()
    await anyio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert anyio.current_time() == 7
    assert job.cancelled == []


@pytest.mark.parametrize(
    ("word", "timeout"), [("running", 10), ("broken", 600), ("done", 600), ("asks", 600)]
)
async def test_only_a_cancellation_cancels_the_remote_job(word: str, timeout: float) -> None:
    """Neither a timeout nor an end of the task is a reason to stop the remote job."""
    job = CancellableJob("running", word)
    await outcome_of(wait_until_done(job, timeout=timeout, on_cancel="cancel"))
    assert job.cancels == []


async def test_leaving_a_watch_does_not_cancel_the_remote_job() -> None:
    """A `break` is no cancellation."""
    job = CancellableJob("running")
    async for _ in watch(job, on_cancel="cancel"):
        break
    assert job.cancels == []


@WAYS
async def test_a_chat_of_coze_is_cancelled(cancelled: Way) -> None:
    """A chat is stopped by Coze's own call for it."""
    at_work = reply({"code": 0, "data": {"id": "2", "status": "in_progress"}})
    stopped = reply({"code": 0, "data": {"id": "2", "status": "canceled"}})
    transport = ScriptedTransport([at_work, stopped], latency=0.5)
    chat = Coze(transport, token="pat_fake").chat("1", "2")
    await cancelled(
        functools.partial(wait_until_done, chat, schedule=EVERY_4, on_cancel="cancel"), 2
    )
    assert [request.name for request in transport.requests] == ["coze.get_chat", "coze.cancel_chat"]
    assert anyio.current_time() == 2.5
