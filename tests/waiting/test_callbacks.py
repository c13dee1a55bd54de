"""Tests of what a wait calls: `on_change` at each change, `on_blocked` once for each demand."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import pytest

from asyncclient import Schedule, Snapshot, TaskState, wait_until_done
from asyncclient.errors import TaskBlocked, TaskCancelled, TaskFailed, WaitTimeout
from tests.waiting.scenario import (
    EVERY_4,
    EVERY_SECOND,
    FAULT,
    TICK,
    Driver,
    Entry,
    Follower,
    Job,
    Notes,
    Oops,
    Report,
    ends_at,
    hang,
    outcome_of,
)


def fail(_snapshot: Snapshot[Report]) -> None:
    """Be a callback that fails at once."""
    raise Oops


async def fail_later(_snapshot: Snapshot[Report]) -> None:
    """Be a callback that fails after half a second."""
    await anyio.sleep(0.5)
    raise Oops


@pytest.mark.parametrize("callback", ["on_change", "on_blocked"])
@pytest.mark.parametrize(("function", "seconds"), [(fail, 0), (fail_later, 0.5), (hang, 15)])
async def test_an_error_of_a_callback_ends_the_wait(
    callback: str, function: Callable[[Snapshot[Report]], object], seconds: float
) -> None:
    """What a callback raises comes out as it is, at once; one that hangs is cut off.

    That is 5 s after the deadline, as for a last look. Nothing more is asked, and the timeout shows
    what the callback was shown.
    """
    job = Job("asks", "running")
    on_change, on_blocked = (function, repr) if callback == "on_change" else (None, function)
    outcome = await outcome_of(
        wait_until_done(job, timeout=10, on_change=on_change, on_blocked=on_blocked)
    )
    assert type(outcome.error) is (WaitTimeout if function is hang else Oops)
    assert outcome.elapsed == seconds
    assert len(job.polls) == 1
    if isinstance(outcome.error, WaitTimeout):
        assert outcome.error.snapshot is not None
        assert (outcome.error.snapshot.state, outcome.error.polls) == (TaskState.BLOCKED, 1)


async def test_on_change_sees_each_change(driver: Driver) -> None:
    """It is called at each change, the first and the last included, and not at a failed poll."""
    notes: Notes[Report] = Notes()
    job = Job("queued", "queued", "running", Report("running", progress=0.5), FAULT, "done")
    await driver(job, schedule=EVERY_SECOND, on_change=notes)
    assert notes.words == ["queued", "running", "running", "done"]
    assert notes.times[:-1] == [0, 2, 3]
    assert notes.snapshots[-1].result == Report("done")


async def test_a_callback_may_return_anything(driver: Driver) -> None:
    """What a plain callback returns is not looked at, be it false or a list."""
    returned: list[object] = [False, [], 0, "text", None]
    job = Job("queued", "running", "strange", "stranger", "done")
    assert await driver(job, on_change=lambda _: returned.pop()) == Report("done")
    assert returned == []


@pytest.mark.parametrize("seconds", [5, math.inf])
@pytest.mark.parametrize(
    ("word", "end"),
    [("done", None), ("broken", TaskFailed), ("stopped", TaskCancelled), ("asks", TaskBlocked)],
)
async def test_a_slow_on_change_does_not_turn_an_end_into_a_timeout(
    word: str, end: type[Exception] | None, seconds: float, driver: Driver
) -> None:
    """The last change is shown, of any kind; a callback that hangs is given up."""
    shown: list[object] = []

    async def store(snapshot: Snapshot[Report]) -> None:
        shown.append(snapshot.word)
        if snapshot.word == word:
            await anyio.sleep(min(seconds, 3600))

    job = Job(ends_at(9.5, word))
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4, on_change=store))
    assert outcome.elapsed <= 10 + 2 * 5 + 0.05
    assert shown == ["running", word]
    assert type(outcome.error) is (type(None) if end is None else end)


@pytest.mark.parametrize("seconds", [0, 30])
async def test_on_blocked_moves_the_task_on(seconds: float) -> None:
    """It is called with the demand, and the gap counts from its end: moving on takes a moment."""
    notes: Notes[Report] = Notes()

    async def answer(snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(seconds)
        notes(snapshot)

    job = Job("running", Report("asks", demand="a"), "running", "done")
    handler = answer if seconds else notes
    result = await wait_until_done(job, schedule=EVERY_SECOND, on_blocked=handler)
    assert result == Report("done")
    (snapshot,) = notes.snapshots
    assert (snapshot.state, snapshot.result.demand) == (TaskState.BLOCKED, "a")
    assert job.sent == [0, 1, 2 + seconds, 3 + seconds]


@pytest.mark.parametrize(("seconds", "times"), [(0, [0, 31, 62, 93]), (30, [0, 61])])
async def test_a_demand_that_stays_is_put_again(
    seconds: float, times: list[float], driver: Driver
) -> None:
    """It is put once more when it still shows half a minute after the end of the handler."""
    calls: list[float] = []

    async def ask_a_human(_snapshot: Snapshot[Report]) -> None:
        calls.append(anyio.current_time())
        await anyio.sleep(seconds)

    job = Job(Report("asks", demand="a"))
    with pytest.raises(WaitTimeout):
        await driver(job, timeout=100, schedule=EVERY_SECOND, on_blocked=ask_a_human)
    assert calls == times


@pytest.mark.parametrize(
    ("script", "seconds"),
    [*((["running"], each) for each in (1.4, 1.9, 2.0, 2.1, 6.8)), ([], 9.0), ([], 14.8)],
)
async def test_a_handler_that_ends_near_the_deadline_gets_the_last_poll(
    script: list[Entry], seconds: float
) -> None:
    """A task that its handler moves on just in time is still asked at the deadline, or at once.

    So it is when the first look has shown the demand.
    """
    moved_on: list[float] = []

    async def answer(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(seconds)
        moved_on.append(anyio.current_time())

    def look(_now: float) -> Report:
        return Report("done") if moved_on else Report("asks", demand="a")

    job, gaps = Job(*script, look, latency=0.01), Schedule(8, 1, 8, 0)
    result = await wait_until_done(job, timeout=10, schedule=gaps, on_blocked=answer)
    assert result == Report("done")
    assert job.sent[:-1] == [0, 8][: len(script) + 1]
    assert 0 <= job.sent[-1] - max(10, *moved_on) <= 0.05 + TICK


async def test_a_demand_seen_on_the_last_poll_is_not_answered(driver: Driver) -> None:
    """No time is left to see what becomes of it; without a handler the caller may wait again."""
    asked: list[object] = []
    job = Job(ends_at(10, "asks"))
    with pytest.raises(WaitTimeout, match="'asks'"):
        await driver(job, timeout=10, schedule=EVERY_4, on_blocked=asked.append)
    assert asked == []
    job = Job("asks", "running", "done")
    with pytest.raises(TaskBlocked):
        await driver(job)
    assert await driver(job) == Report("done")


async def test_a_watch_calls_the_handler_too(follower: Follower) -> None:
    """A watch with a handler shows the demand as a change and goes on to the end."""
    notes: Notes[Report] = Notes()
    job = Job("running", Report("asks", demand="a"), Report("asks", demand="a"), "done")
    words = [shown.word async for shown in follower(job, on_blocked=notes)]
    assert words == ["running", "asks", "done"]
    assert notes.words == ["asks"]


async def test_another_wait_within_a_handler_keeps_its_own_evidence() -> None:
    """An error of another task, waited for in a handler, is not given this one's evidence."""
    inner = Job("queued", "broken", ref=None)
    inner.kind = "inner.job"

    async def answer(_snapshot: Snapshot[Report]) -> None:
        await wait_until_done(inner)

    with pytest.raises(TaskFailed, match=r"inner\.job") as caught:
        await wait_until_done(Job("running", "running", "asks"), on_blocked=answer)
    assert (caught.value.polls, caught.value.ref) == (2, None)
