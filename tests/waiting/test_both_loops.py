"""Tests of whole waits by both loops, for one task and for many: the rules are joined in each."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from random import Random
from typing import cast

import anyio
import anyio.lowlevel
import httpx
import pytest

from asyncclient import Observation, Schedule, Task, polling_task
from asyncclient._http import Response
from asyncclient.errors import (
    AuthenticationFailed,
    ConnectFailed,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskExpired,
    TaskFailed,
    WaitTimeout,
)
from asyncclient.testing import ScriptedTransport, reply
from tests.http.test_failure import refused
from tests.waiting.scenario import (
    EVERY_4,
    EVERY_SECOND,
    REF,
    WORDS,
    Driver,
    Entry,
    Job,
    Report,
    ends_at,
    outcome_of,
    run_of,
    run_says,
    stand_still,
)

DOUBLING = Schedule(first=1, factor=2, cap=8, jitter=0)

# --- a finite timeout bounds the whole wait ---------------------------------------------------


async def test_a_wait_is_finite_by_default(driver: Driver) -> None:
    """Without a timeout of the caller's, a wait for a job that never ends takes 600 s."""
    outcome = await outcome_of(driver(Job("running")))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 600


@pytest.mark.parametrize(
    ("latency", "end"),
    [
        ([math.inf], 10.0),
        ([13], 10.0),
        ([0.0, math.inf], 15.0),
        ([4.0, math.inf], 15.0),
    ],
    ids=["first hangs", "first is late", "second hangs", "slow second hangs"],
)
async def test_only_a_later_request_stretches_the_timeout(
    driver: Driver, latency: list[float], end: float
) -> None:
    """A poll that hangs gets 5 s beyond the timeout, unless no answer has come before."""
    job = Job("running", latency=latency)
    outcome = await outcome_of(driver(job, timeout=10))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == end
    assert len(job.polls) == len(latency)


async def test_the_timeout_may_be_infinite_for_those_who_mean_it(driver: Driver) -> None:
    """With `math.inf` a wait goes on for weeks, to the job's end."""
    weeks = 30 * 24 * 3600.0
    job = Job(ends_at(weeks))
    outcome = await outcome_of(driver(job, timeout=math.inf, schedule=Schedule(600, 1, 600)))
    assert outcome.result == Report("done")
    assert weeks <= outcome.elapsed <= weeks + 600


# --- poll first, then wait; the last poll falls on the deadline -------------------------------


async def test_the_first_poll_is_sent_at_once(driver: Driver) -> None:
    """A job that is done already costs one poll and no time."""
    job = Job("done")
    outcome = await outcome_of(driver(job))
    assert outcome.result == Report("done")
    assert outcome.elapsed == 0
    assert job.sent == [0]


@pytest.mark.parametrize("latency", [0.0, 0.25, 0.875])
async def test_gaps_count_from_poll_to_poll(driver: Driver, latency: float) -> None:
    """The time that a request takes comes off the schedule's gap."""
    job = Job(*["running"] * 4, "done", latency=latency)
    await driver(job, schedule=DOUBLING)
    assert job.sent == [0, 1, 3, 7, 15]


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
    driver: Driver, schedule: Schedule, timeout: float, expected: list[float]
) -> None:
    """With any schedule, a job that has not ended is asked once more at the deadline."""
    job = Job("running")
    outcome = await outcome_of(driver(job, timeout=timeout, schedule=schedule))
    assert isinstance(outcome.error, WaitTimeout)
    assert job.sent == expected
    assert outcome.elapsed == timeout


@pytest.mark.parametrize(("end", "in_time"), [(10, True), (10.001, False)])
async def test_the_deadline_itself_is_in_time(driver: Driver, end: float, *, in_time: bool) -> None:
    """A job that ends a millisecond after the last poll is reported as not ended."""
    outcome = await outcome_of(driver(Job(ends_at(end)), timeout=10))
    assert (outcome.result == Report("done")) == in_time
    assert isinstance(outcome.error, WaitTimeout) != in_time
    assert outcome.elapsed == 10


@pytest.mark.parametrize(
    ("script", "late_by"),
    [
        ([ends_at(9)], 0.05),
        ([ends_at(9)], 0.249),
        (["queued", "queued", "running", "done"], 0.1),
    ],
    ids=["by little", "by the least grace", "with a change"],
)
async def test_a_poll_under_way_at_the_deadline_is_followed_by_one_more(
    driver: Driver, script: Sequence[Entry], late_by: float
) -> None:
    """An answer that looked before the deadline and came after it is not the last word.

    The one more poll comes after a rest of 0.05 s.
    """
    job = Job(*script, latency=[0, 0, 2 + late_by, 0.01])
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4))
    assert outcome.result == Report("done")
    assert job.sent == pytest.approx([0, 4, 8, 10 + late_by + 0.05])


@pytest.mark.parametrize("latency", [0.0, 2.0])
async def test_a_task_that_is_blocked_at_the_deadline_is_reported_as_such(
    driver: Driver, latency: float
) -> None:
    """When the last poll shows that the task waits for its caller, that is what is raised."""
    job = Job(ends_at(9.5, "asks"), latency=latency)
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4))
    assert isinstance(outcome.error, TaskBlocked)


# --- the provider's hints ---------------------------------------------------------------------

FIVE = {"Retry-After": "5"}
HINTS: dict[str, tuple[Response, float]] = {
    "advice in a good answer": (run_says("Running", headers=FIVE), 5.5),
    "advice in milliseconds": (run_says("Running", headers={"Retry-After-Ms": "5000"}), 5.5),
    "429": (reply({"code": 5000}, status=429, headers=FIVE), 6.0),
    "503": (reply({"code": 5000}, status=503, headers=FIVE), 6.0),
}


@pytest.mark.parametrize(("answer", "latest"), HINTS.values(), ids=HINTS)
async def test_a_hint_in_the_headers_is_obeyed(
    driver: Driver, answer: Response, latest: float
) -> None:
    """It counts from its answer; that of a refusal is stretched by up to a tenth."""
    transport = ScriptedTransport([answer, run_says("Success")], latency=0.5)
    await driver(run_of(transport), schedule=EVERY_SECOND)
    assert 5.5 <= transport.times[1] <= latest


async def test_a_hint_holds_for_the_gap_after_its_own_answer(driver: Driver) -> None:
    """The answer after it has its own hint, or none."""
    job = Job(
        Report("running", hint=7),
        Report("running", hint=3),
        Report("running"),
        Report("running", hint=5),
        "done",
    )
    await driver(job, schedule=EVERY_SECOND)
    assert job.sent == [0, 7, 10, 11, 16]


async def test_a_hint_past_the_deadline_leaves_two_looks(driver: Driver) -> None:
    """One look comes 5 s before the deadline and one on it, also for a longer hint."""
    job = Job(Report("running", hint=3600), "running", "done")
    outcome = await outcome_of(driver(job, timeout=60, schedule=Schedule(30, 1, 30, 0)))
    assert outcome.result == Report("done")
    assert job.sent == [0, 55, 60]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", ["61", "3600", "900000", "1771404540", "1771404540000"])
async def test_a_refusals_hint_past_the_deadline_does_not_end_the_wait(
    driver: Driver, status: int, seconds: str
) -> None:
    """More than a day, and a point in time that is over, count as none."""
    headers = {"Retry-After": seconds, "Date": "Mon, 23 Nov 2026 08:00:00 GMT"}
    refused = reply({"code": 5000}, status=status, headers=headers)
    transport = ScriptedTransport([run_says("Running"), refused, run_says("Success")])
    outcome = await outcome_of(driver(run_of(transport), timeout=80, schedule=EVERY_SECOND))
    assert outcome.error is None
    assert transport.times[-1] == (75 if float(seconds) == 3600 else transport.times[-1])


async def test_a_timeout_names_the_hint_that_reached_past_it(driver: Driver) -> None:
    """The error has the provider's own number, without our stretching of it."""
    refused = reply({"code": 5000}, status=503, headers={"Retry-After": "61"})
    transport = ScriptedTransport([run_says("Running"), refused], repeat=True)
    outcome = await outcome_of(driver(run_of(transport), timeout=60, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 60
    assert outcome.error.retry_after == 61
    assert "the provider asks to wait" in str(outcome.error)


async def test_a_hint_in_the_body_may_be_a_point_in_time(driver: Driver) -> None:
    """Unix seconds are counted from now; the schedule is slower than none of them."""
    for hint in (time.time() + 30, 1000 * (time.time() + 30)):
        job = Job(Report("running", hint=hint), "done")
        await driver(job, schedule=EVERY_SECOND)
        assert job.gaps == [pytest.approx(30, abs=2)]


# --- one look is bounded, and slow answers are waited for -------------------------------------


async def test_a_look_that_hangs_is_a_failed_poll(driver: Driver) -> None:
    """After `poll_timeout`, by default a minute, the next look is made; an answer ends the wait."""
    for poll_timeout, least in ((None, 60), (2.0, 2)):
        job = Job("running", "running", "done", latency=[0.0, math.inf, 0.0])
        if poll_timeout is None:
            waiting = driver(job, schedule=EVERY_SECOND)
        else:
            waiting = driver(job, schedule=EVERY_SECOND, poll_timeout=poll_timeout)
        outcome = await outcome_of(waiting)
        assert outcome.result == Report("done")
        assert least + 1 <= outcome.elapsed <= least + 2


async def test_a_poll_timeout_is_no_error_of_the_callers_function(driver: Driver) -> None:
    """A predicate that tolerates nothing is not asked about it; the timeout says what happened."""

    def is_worth_repeating(_error: Exception) -> bool:
        return False

    job = Job("running", latency=[0.0, math.inf], transient=is_worth_repeating)
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_SECOND, poll_timeout=2.5))
    assert isinstance(outcome.error, WaitTimeout)
    assert isinstance(outcome.error.last_error, RequestTimeout)


async def test_slow_and_uneven_answers_make_no_timeout(driver: Driver) -> None:
    """The last look has 5 s, however fast the first was answered."""
    for schedule in (Schedule(60, 1, 60, 0), EVERY_SECOND):
        job = Job(ends_at(0.3), latency=[0.2, 4.9, 4.9])
        outcome = await outcome_of(driver(job, timeout=30, schedule=schedule))
        assert outcome.result == Report("done")


async def test_the_shortest_timeout_looks_once(driver: Driver) -> None:
    """The first look has a quarter of a second, also past the deadline."""
    for latency in (0.0, 0.2):
        assert await driver(Job("done", latency=latency), timeout=1e-9) == Report("done")
    outcome = await outcome_of(driver(Job("done", latency=0.3), timeout=1e-9))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == pytest.approx(0.25)


# --- the event loop stands still --------------------------------------------------------------

# When the loop stands still and for how long, the latencies, and when the job has ended.
STANDSTILLS: dict[str, tuple[float, float, list[float], float]] = {
    "across the deadline": (0.7, 3.5, [0.0], 1.2),
    "with a look under way": (0.7, 3.5, [0.0, 2.0, 0.0], 1.2),
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


async def test_a_standstill_prolongs_a_wait_once(driver: Driver) -> None:
    """A job that goes on after it is a timeout, with its last look in it."""
    job = Job("running")
    asyncio.get_running_loop().call_at(anyio.current_time() + 0.7, stand_still, 60.0)
    outcome = await outcome_of(driver(job, timeout=3, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == pytest.approx(60.7)
    assert job.sent[-1] == pytest.approx(60.7)


# --- an error of a poll is not an error of the task -------------------------------------------


async def test_a_poll_is_one_request(driver: Driver) -> None:
    """A failed poll is not repeated underneath: each poll of the wait is one request."""
    fault = reply("", status=503)
    transport = ScriptedTransport([run_says("Running"), fault], repeat=True)
    outcome = await outcome_of(driver(run_of(transport), timeout=60))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.error.polls == len(transport.requests)


async def test_faults_are_tolerated_for_ten_polls_and_two_minutes(driver: Driver) -> None:
    """A wait gives up when more than ten polls in a row failed, over more than two minutes."""
    job = Job("running", ServerError("503", status=503))
    outcome = await outcome_of(driver(job, timeout=3600, rng=Random(5)))
    assert isinstance(outcome.error, ServerError)
    failed = job.sent[1:]
    assert len(failed) > 10
    assert failed[-1] - failed[0] > 120
    assert failed[-2] - failed[0] <= 120 or len(failed) == 11
    assert outcome.evidence.polls == len(job.polls)


async def test_an_outage_is_tolerated_as_long_as_is_asked(driver: Driver) -> None:
    """Three minutes of nothing but failures end a wait of a day, unless `max_outage` is longer."""

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= back else ServerError("503", status=503)

    for max_outage, ends in ((120.0, False), (200.0, True), (math.inf, True)):
        back = anyio.current_time() + 180
        outcome = await outcome_of(driver(Job(answer), timeout=86_400, max_outage=max_outage))
        assert (outcome.result == Report("done")) is ends


async def test_a_fetch_that_fails_as_another_library_does_is_polled_again(driver: Driver) -> None:
    """Its 429 is obeyed with its hint, its broken connection is tolerated, its 401 is not."""
    answers: list[Exception | str] = [
        httpx.ConnectError("refused"),
        refused(429, {"Retry-After": "40"}),
        "done",
    ]
    times: list[float] = []

    async def fetch() -> str:
        times.append(anyio.current_time())
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def task() -> Task[str]:
        return polling_task(fetch, vocabulary=WORDS, status=str)

    assert await driver(task()) == "done"
    assert times[2] - times[1] >= 40
    answers.append(refused(401))
    with pytest.raises(httpx.HTTPStatusError):
        await driver(task())


@pytest.mark.parametrize("error", [ConnectFailed("tls", permanent=True), KeyError("x")], ids=repr)
async def test_an_error_that_does_not_pass_comes_out_at_once(
    driver: Driver, error: Exception
) -> None:
    """A permanent failure or a foreign exception is not asked about twice."""
    outcome = await outcome_of(driver(Job("running", error, "done"), schedule=EVERY_SECOND))
    assert outcome.error is error
    assert outcome.elapsed == 1


async def test_a_page_is_no_word_of_the_providers_own(driver: Driver) -> None:
    """Over the wire: an HTML 404 is tolerated, the provider's own ends the wait."""
    page = reply(b"<html>default backend - 404</html>", status=404)
    own = reply({"code": 4200, "msg": "workflow not found"}, status=404)
    tolerated = ScriptedTransport([run_says("Running"), page, page, run_says("Success")])
    await driver(run_of(tolerated))
    assert len(tolerated.requests) == 4
    gone = ScriptedTransport([run_says("Running"), own])
    outcome = await outcome_of(driver(run_of(gone)))
    assert isinstance(outcome.error, TaskExpired)


async def test_a_token_is_renewed_once_each_time_it_runs_out(driver: Driver) -> None:
    """In a long wait each refused token is renewed; a second refusal in a row ends the wait."""
    given: list[str] = []

    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        given.append(f"token-{len(given)}")
        return given[-1]

    refused = reply({"code": 4100, "msg": "token expired"}, status=401)
    at_work = run_says("Running")
    transport = ScriptedTransport([at_work, refused, at_work, refused, at_work, refused, refused])
    outcome = await outcome_of(driver(run_of(transport, token)))
    assert isinstance(outcome.error, AuthenticationFailed)
    assert outcome.error.polls == 4
    bearers = [request.headers["Authorization"] for request in transport.requests]
    assert len(bearers) == 7
    assert bearers == [f"Bearer {one}" for one in given]


# --- tasks of every make ----------------------------------------------------------------------


class Slotted:
    """A task with nothing but what the protocol asks for, and no room for more."""

    __slots__ = ("_words",)

    key = 5
    kind = "slotted"

    def __init__(self, *words: str) -> None:
        self._words = iter(words)

    async def observe(self) -> Observation[str]:
        """Look at the next word."""
        await anyio.lowlevel.checkpoint()
        word = next(self._words)
        return Observation(WORDS.state_of(word), word, word)


async def test_a_task_needs_no_more_than_the_protocol(driver: Driver) -> None:
    """A task with slots and without any optional trait is waited for like any other."""
    assert await driver(Slotted("queued", "running", "done")) == "done"
    outcome = await outcome_of(driver(Slotted("queued", "broken")))
    assert isinstance(outcome.error, TaskFailed)
    assert "slotted 5" in str(outcome.error)
    assert outcome.error.ref is None


class Proxy:
    """A stand-in that looks all of its attributes up in another task."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_a_proxy_of_a_task_is_a_task(driver: Driver) -> None:
    """A stand-in that forwards its attributes is waited for, with all of the task's traits."""
    job = Job(
        "running",
        KeyError("passes"),
        Report("running", hint=5),
        Report("broken", reason="tea"),
        transient=(KeyError,),
    )
    proxied = cast("Task[Report]", Proxy(job))
    outcome = await outcome_of(driver(proxied, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, TaskFailed)
    assert outcome.error.ref == REF
    assert "tea" in str(outcome.error)
    assert job.gaps[2] == 5


@pytest.mark.parametrize("result", [None, 0, {}], ids=repr)
async def test_a_result_may_be_nothing(driver: Driver, result: object) -> None:
    """A wait returns what the last poll returned, also when that is falsy."""

    async def fetch() -> object:
        await anyio.lowlevel.checkpoint()
        return result

    task = polling_task(fetch, vocabulary=WORDS, status=lambda _: "done")
    outcome = await outcome_of(driver(task))
    assert outcome.error is None
    assert outcome.result is result
