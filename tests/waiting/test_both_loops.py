"""Tests of whole waits by both loops, for one task and for many: the rules are joined in each."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest

from asyncclient import Schedule
from asyncclient.errors import (
    RequestTimeout,
    WaitTimeout,
)
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import (
    EVERY_4,
    EVERY_SECOND,
    FAULT,
    TICK,
    Driver,
    Job,
    Options,
    Report,
    ends_at,
    outcome_of,
    run_of,
    run_says,
    stand_still,
)


async def test_the_timeout_is_ten_minutes_unless_it_is_given(driver: Driver) -> None:
    """With `math.inf` a wait goes on for weeks, to the job's end."""
    with pytest.raises(WaitTimeout, match="within 600 s"):
        await driver(Job("running"))
    assert anyio.current_time() == 600
    weeks = 30 * 24 * 3600.0
    daily = Schedule(86_400, 1, 86_400)
    result = await driver(Job(ends_at(weeks)), timeout=math.inf, schedule=daily)
    assert result == Report("done")
    assert weeks <= anyio.current_time() <= weeks + 86_400


@pytest.mark.parametrize(("late", "in_time"), [(0.0, True), (0.001, False)])
@pytest.mark.parametrize(
    ("schedule", "timeout", "expected"),
    [
        (EVERY_4, 10, [0, 4, 8, 10]),
        (EVERY_4, 8, [0, 4, 8]),
        (EVERY_4, 1e-6, [0, 1e-6]),
        (Schedule(1000, 1, 1000, 0), 10, [0, 10]),
    ],
    ids=["after a part of the gap", "after a gap", "at once", "long gap"],
)
async def test_the_last_poll_falls_on_the_deadline(
    driver: Driver,
    schedule: Schedule,
    timeout: float,
    expected: list[float],
    late: float,
    *,
    in_time: bool,
) -> None:
    """With any schedule; the deadline itself is in time, and a millisecond later is not."""
    job = Job(ends_at(timeout + late))
    outcome = await outcome_of(driver(job, timeout=timeout, schedule=schedule))
    assert (outcome.result == Report("done")) == in_time
    assert isinstance(outcome.error, WaitTimeout) != in_time
    assert job.sent == expected
    assert outcome.elapsed == timeout


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("seconds", "hint"), [("61", 61), ("3600", 3600), ("900000", None)])
async def test_a_refusals_hint_past_the_deadline_does_not_end_the_wait(
    driver: Driver, status: int, seconds: str, hint: float | None
) -> None:
    """It is cut, and a look comes 5 s before the deadline; a timeout names the provider's hint."""
    refused = reply({"code": 5000}, status=status, headers={"Retry-After": seconds})
    transport = ScriptedTransport([run_says("Running"), refused, run_says("Success")])
    outcome = await outcome_of(driver(run_of(transport), timeout=80, schedule=EVERY_SECOND))
    assert outcome.error is None
    assert hint != 3600 or transport.times[-1] == 75
    transport = ScriptedTransport([run_says("Running"), refused], repeat=True)
    outcome = await outcome_of(driver(run_of(transport), timeout=60, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, WaitTimeout)
    # A 429 also slows the account of a poller down.
    assert outcome.elapsed == pytest.approx(60, abs=1.5 if status == 429 else TICK)
    assert outcome.error.polls == len(transport.requests)
    assert outcome.error.retry_after == hint


async def test_a_look_that_hangs_is_a_failed_poll(driver: Driver) -> None:
    """After `poll_timeout`, by default 60 s; a predicate that tolerates nothing is not asked."""

    def tolerates_nothing(_error: Exception) -> bool:
        return False

    def job(*latency: float) -> Job:
        return Job("running", "running", "done", latency=latency, transient=tolerates_nothing)

    hung = job(0.0, math.inf, 0.0)
    assert await driver(hung, schedule=EVERY_SECOND) == Report("done")
    assert 60 <= hung.sent[2] - hung.sent[1] <= 61
    hung = job(0.0, math.inf, 0.0)
    assert await driver(hung, schedule=EVERY_SECOND, poll_timeout=2.0) == Report("done")
    assert 2 <= hung.sent[2] - hung.sent[1] <= 3
    with pytest.raises(WaitTimeout) as caught:
        await driver(job(0.0, math.inf), timeout=10, poll_timeout=2.5)
    assert isinstance(caught.value.last_error, RequestTimeout)


# When the loop stands still and for how long, the latencies, and when the job has ended.
STANDSTILLS: dict[str, tuple[float, float, list[float], float]] = {
    "across the deadline": (0.7, 3.5, [0.0], 1.2),
    "with a look under way": (0.7, 3.5, [0.0, 2.0, 0.0], 1.2),
    "almost to the end of the last look's time": (0.7, 7.15, [0.0, 0.3], 1.2),
    "beyond the last look's time": (0.7, 60.0, [0.0], 1.2),
    "beyond it, with a look under way": (1.5, 60.0, [0.0, 2.0, 0.1], 1.2),
    "beyond it, with a look that hangs": (1.5, 60.0, [0.0, math.inf, 0.1], 1.2),
    "before the first answer": (0.1, 60.0, [0.3, 0.1], 1.2),
    "before an answer, with a look that hangs": (0.1, 60.0, [math.inf, 0.1], 1.2),
}


@pytest.mark.parametrize(("at", "seconds", "latency", "end"), STANDSTILLS.values(), ids=STANDSTILLS)
async def test_a_wait_whose_deadline_passed_in_a_standstill_looks_once_more(
    driver: Driver, at: float, seconds: float, latency: list[float], end: float
) -> None:
    """A job that ended before the deadline is found, although nothing could run until after it."""
    job = Job(ends_at(end), latency=latency)
    asyncio.get_running_loop().call_at(anyio.current_time() + at, stand_still, seconds)
    outcome = await outcome_of(driver(job, timeout=3, schedule=EVERY_SECOND))
    assert outcome.result == Report("done")
    assert outcome.elapsed <= at + seconds + 5


@pytest.mark.parametrize(
    ("latency", "polls", "elapsed"), [([math.inf], 2, 10.35), ([0.0, math.inf], 3, 15.1)]
)
async def test_a_standstill_allows_one_look_more_and_no_other(
    driver: Driver, latency: list[float], polls: int, elapsed: float
) -> None:
    """Where that one hangs, too, it ends the wait: after 0.25 s, or 5 s after an answer."""
    job = Job("running", latency=latency)
    asyncio.get_running_loop().call_at(anyio.current_time() + 0.1, stand_still, 10.0)
    outcome = await outcome_of(driver(job, timeout=0.3, schedule=Schedule(0.01, 1, 0.01, 0)))
    assert isinstance(outcome.error, WaitTimeout)
    assert len(job.polls) == polls
    assert outcome.elapsed == pytest.approx(elapsed)


async def test_an_outage_is_tolerated_as_long_as_is_asked(driver: Driver) -> None:
    """It ends the wait beyond `max_outage`, by default two minutes, or never."""
    cases: list[tuple[float, Options[Report]]] = [(120, {}), (200, {"max_outage": 200.0})]
    for most, options in cases:
        outcome = await outcome_of(driver(Job(FAULT), **options))
        assert outcome.error is FAULT
        assert most < outcome.elapsed <= most + 30
    back = anyio.current_time() + 500
    job = Job(lambda now: Report("done") if now >= back else FAULT)
    assert await driver(job, max_outage=math.inf) == Report("done")
