"""Tests of `watch`: one snapshot for each change, the same ends as a wait, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math

import anyio
import pytest

from asyncclient import Schedule, Snapshot, TaskState, Watch, watch
from asyncclient._http import Cutting
from asyncclient.errors import (
    NotFound,
    PermissionDenied,
    TaskBlocked,
    TaskExpired,
    UnknownStatus,
    WaitTimeout,
)
from tests.waiting.scenario import (
    EVERY_4,
    EVERY_SECOND,
    FAULT,
    Entry,
    Follower,
    Job,
    Report,
    ends_at,
    other_tasks,
    words_of,
)


async def _step(watched: Watch[Report]) -> Snapshot[Report]:
    return await anext(watched)


async def test_there_is_one_snapshot_for_each_change(follower: Follower) -> None:
    """Answers that say the same as the one before are not shown, nor is a failed poll.

    Success is the last one shown.
    """
    half = Report("running", progress=0.5)
    job = Job("queued", "queued", "running", FAULT, "running", half, None, None, "queued", "done")
    snapshots = [snapshot async for snapshot in follower(job, schedule=EVERY_SECOND)]
    assert [(shown.state, shown.word, shown.progress, shown.polls) for shown in snapshots] == [
        (TaskState.PENDING, "queued", None, 1),
        (TaskState.RUNNING, "running", None, 3),
        (TaskState.RUNNING, "running", 0.5, 6),
        (None, None, None, 7),
        (TaskState.PENDING, "queued", None, 9),
        (TaskState.SUCCEEDED, "done", None, 10),
    ]
    assert [shown.elapsed for shown in snapshots[:2]] == [0, 2]
    assert snapshots[-1].result == Report("done")


@pytest.mark.parametrize("word", ["broken", "stopped", "gone"])
async def test_a_bad_end_is_shown_as_the_last_snapshot(word: str, follower: Follower) -> None:
    """A task that ends badly ends the iteration too: its last snapshot says how."""
    job = Job("queued", Report(word, reason="out of tea"))
    watched = follower(job)
    first, last = [snapshot async for snapshot in watched]
    assert (first.word, last.word, last.result.reason) == ("queued", word, "out of tea")
    assert last.state is not None
    assert last.state.is_terminal
    assert await words_of(watched) == []
    assert len(job.polls) == 2


ENDS: dict[str, tuple[Entry, type[Exception], list[str]]] = {
    "blocked": ("asks", TaskBlocked, ["queued", "asks"]),
    "forgotten": (NotFound("404", status=404), TaskExpired, ["queued"]),
    "refused": (PermissionDenied("no", status=403), PermissionDenied, ["queued"]),
    "foreign": (ZeroDivisionError(), ZeroDivisionError, ["queued"]),
    "timeout": ("running", WaitTimeout, ["queued", "running"]),
    "unknown, to the strict": ("strange", UnknownStatus, ["queued", "strange"]),
}


@pytest.mark.parametrize(("entry", "kind", "words"), ENDS.values(), ids=ENDS)
async def test_what_is_no_end_of_the_task_is_raised(
    entry: Entry, kind: type[Exception], words: list[str], follower: Follower
) -> None:
    """Such an end is raised after the changes before it were shown, and the iteration is over."""
    watched = follower(Job("queued", entry), timeout=30, unknown="raise")
    assert [(await anext(watched)).word for _ in words] == words
    with pytest.raises(kind):
        await anext(watched)
    with pytest.raises(StopAsyncIteration):
        await anext(watched)


async def test_nothing_is_asked_before_the_first_step(follower: Follower) -> None:
    """Making a watch sends nothing; its timeout, 600 s by default, runs from the first step."""
    job = Job(*["queued", "running"] * 99)
    watched = follower(job, timeout=10, schedule=EVERY_SECOND)
    await anyio.sleep(100)
    with pytest.raises(WaitTimeout) as caught:
        await words_of(watched)
    assert (job.sent[0], anyio.current_time(), caught.value.elapsed) == (100, 110, 10)
    with pytest.raises(WaitTimeout, match="within 600 s"):
        await words_of(follower(Job("running")))


async def test_each_step_may_be_another_asyncio_task(follower: Follower) -> None:
    """A watch is its own iterator, and a scope around one step does not reach into the next."""
    watched = follower(Job("queued", "running", "running", "done"), schedule=EVERY_SECOND)
    assert aiter(watched) is watched
    with anyio.fail_after(0.5):
        await anext(watched)
    await anyio.sleep(0.75)
    with anyio.fail_after(0.5):
        assert (await asyncio.create_task(_step(watched))).word == "running"
    assert (await asyncio.create_task(_step(watched))).word == "done"
    assert await words_of(watched) == []
    assert anyio.current_time() == 3


async def test_a_closed_watch_has_no_more_changes(follower: Follower) -> None:
    """It may be closed before its first step, between two, at its end, and twice."""
    for steps in (0, 1, 2):
        job = Job("queued", "running", "done")
        async with contextlib.aclosing(follower(job, schedule=EVERY_SECOND)) as watched:
            for _ in range(steps):
                await anext(watched)
        await watched.aclose()
        polls = len(job.polls)
        assert await words_of(watched) == []
        await anyio.sleep(100)
        assert len(job.polls) == polls == steps


@pytest.mark.parametrize(("step", "sent"), [(3, [0, 4, 8, 12]), (60, [0, 60, 120, 180])])
async def test_a_slow_consumer_does_not_shift_the_schedule(step: float, sent: list[float]) -> None:
    """The gap counts from poll to poll; after a step that outlasted it there is one at once."""
    job = Job("queued", "running", "queued", "done", "never asked for")
    async for _ in watch(job, schedule=EVERY_4):
        await anyio.sleep(step)
    assert job.sent == sent


@pytest.mark.parametrize("gap", [1, 99])
@pytest.mark.parametrize("latency", [0.0, 1.0])
@pytest.mark.parametrize("end", [5, 1000])
@pytest.mark.parametrize("pause", [33.9, 60])
async def test_a_consumer_slower_than_the_timeout_gets_one_more_look(
    latency: float, gap: float, end: float, pause: float
) -> None:
    """A task that ended in time is shown, though that is asked for after the deadline."""
    job = Job(ends_at(end), latency=latency)
    watched = watch(job, timeout=30, schedule=Schedule(gap, 1, gap, 0))
    assert (await anext(watched)).word == "running"
    await anyio.sleep(pause)
    if end < 30:
        assert (await anext(watched)).word == "done"
    else:
        with pytest.raises(WaitTimeout):
            await anext(watched)
    assert len(job.polls) == 2
    assert anyio.current_time() <= pause + 2 * latency


async def test_a_cancelled_step_ends_the_watch(follower: Follower) -> None:
    """As with any async generator, cancelling a step ends the iteration, and sends nothing more."""
    job = Job("queued", "running", latency=[0, math.inf])
    watched = follower(job, schedule=EVERY_SECOND)
    await anext(watched)
    with anyio.move_on_after(5) as scope:
        await anext(watched)
    assert scope.cancelled_caught
    assert anyio.current_time() == 5
    assert await words_of(watched) == []
    assert len(job.polls) == 2


async def test_two_consumers_of_one_watch_are_refused(follower: Follower) -> None:
    """A step, or a closing, while another is under way is refused, not taken for the task's end."""
    watched = follower(Job("running", "done"), schedule=EVERY_SECOND)
    await anext(watched)
    first = asyncio.create_task(_step(watched))
    await anyio.sleep(0.5)
    for use in (anext(watched), watched.aclose()):
        with pytest.raises(RuntimeError, match="already being advanced"):
            await use
    assert (await first).word == "done"


async def test_a_watch_needs_no_closing(follower: Follower) -> None:
    """A watch that is dropped between two steps, or never stepped, leaves no warning."""
    with contextlib.suppress(StopAsyncIteration):
        await anext(follower(Job("queued", "running")))
    follower(Job("queued"))
    gc.collect()
    assert len(asyncio.all_tasks()) == 1 + len(other_tasks())


async def test_a_watch_that_is_left_keeps_no_timer() -> None:
    """That of its polls would stay for up to `poll_timeout`."""

    def number() -> int:
        gc.collect()
        return sum(isinstance(each, Cutting) for each in gc.get_objects())

    before = number()
    async for _ in watch(Job("running")):
        break
    assert number() == before
