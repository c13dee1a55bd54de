"""Tests of the rules of waiting, one by one: what any driver of a wait must do, and when."""

from __future__ import annotations

import math
import time
from random import Random

import anyio
import pytest

from asyncclient import Schedule, TaskRef
from asyncclient._http import Response
from asyncclient.errors import (
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TransportError,
    UnknownStatus,
    WaitTimeout,
)
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import (
    TICK,
    Driver,
    Entry,
    Job,
    Outcome,
    Report,
    ends_at,
    outcome_of,
    run_of,
    run_says,
)

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
EVERY_4 = Schedule(first=4, factor=1, cap=4, jitter=0)
DOUBLING = Schedule(first=1, factor=2, cap=8, jitter=0)

# --- 1: a finite timeout bounds the whole wait ------------------------------------------------


async def test_a_wait_is_finite_by_default(driver: Driver) -> None:
    """Without a timeout of the caller's, a wait for a job that never ends takes 600 s."""
    job = Job("running")
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 600


async def test_a_request_that_hangs_from_the_first_does_not_stretch_the_timeout(
    driver: Driver,
) -> None:
    """When no answer ever comes, the wait ends at its timeout exactly."""
    job = Job("done", latency=math.inf)
    outcome = await outcome_of(driver(job, timeout=7.5))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 7.5
    assert job.sent == [0]


async def test_a_first_answer_later_than_the_timeout_is_not_waited_for(driver: Driver) -> None:
    """A first request that takes longer than the timeout is cut off at the timeout exactly."""
    outcome = await outcome_of(driver(Job("done", latency=3), timeout=1))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 1


@pytest.mark.parametrize(
    ("latency", "end"), [(0.0, 10.25), (0.05, 10.25), (0.4, 10.8), (2.0, 14.0), (4.0, 15.0)]
)
async def test_a_later_request_that_hangs_gets_a_bounded_grace(
    driver: Driver, latency: float, end: float
) -> None:
    """A poll that hangs gets twice the slowest answer beyond the timeout: 0.25 s to 5 s."""
    job = Job("running", latency=[latency, math.inf])
    outcome = await outcome_of(driver(job, timeout=10))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == end
    assert len(job.polls) == 2


async def test_a_request_that_timed_out_says_nothing_of_how_long_answers_take(
    driver: Driver,
) -> None:
    """A poll that ended by its own timeout of 4 s leaves the least grace to the one that hangs."""
    job = Job(RequestTimeout("no answer"), "running", latency=[4.0, math.inf])
    outcome = await outcome_of(driver(job, timeout=10))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 10.25


async def test_the_timeout_may_be_infinite_for_those_who_mean_it(driver: Driver) -> None:
    """With `math.inf` a wait goes on for weeks, to the job's end."""
    weeks = 30 * 24 * 3600.0
    job = Job(ends_at(weeks))
    outcome = await outcome_of(driver(job, timeout=math.inf, schedule=Schedule(600, 1, 600)))
    assert outcome.result == Report("done")
    assert weeks <= outcome.elapsed <= weeks + 600


# --- 2: poll first, then wait; the last poll falls on the deadline ----------------------------


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


async def test_a_slow_service_still_gets_a_rest(driver: Driver) -> None:
    """A request that outlasts its gap is followed by a tenth of the gap, not by the next poll."""
    job = Job(*["running"] * 3, "done", latency=3.0)
    await driver(job, schedule=EVERY_SECOND)
    assert job.gaps == pytest.approx([0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("schedule", "timeout", "expected"),
    [
        (EVERY_4, 10, [0, 4, 8, 10]),
        (EVERY_4, 8, [0, 4, 8]),
        (EVERY_4, 4, [0, 4]),
        (EVERY_4, 3, [0, 3]),
        (EVERY_4, 1e-6, [0, 1e-6]),
        (Schedule(1000, 1, 1000, 0), 10, [0, 10]),
        (DOUBLING, 9, [0, 1, 3, 7, 9]),
    ],
)
async def test_the_last_poll_falls_on_the_deadline(
    driver: Driver, schedule: Schedule, timeout: float, expected: list[float]
) -> None:
    """Whatever the schedule, a job that has not ended is asked once more at the deadline."""
    job = Job("running")
    outcome = await outcome_of(driver(job, timeout=timeout, schedule=schedule))
    assert isinstance(outcome.error, WaitTimeout)
    assert job.sent == expected
    assert outcome.elapsed == job.sent[-1] == timeout


@pytest.mark.parametrize("schedule", [EVERY_4, DOUBLING, Schedule(), Schedule(99, 1, 99)])
@pytest.mark.parametrize("latency", [0.0, 0.01, 0.3, 2.0, 4.5])
async def test_a_job_that_ends_just_before_the_deadline_is_not_late(
    driver: Driver, schedule: Schedule, latency: float
) -> None:
    """A job that ends a moment before the deadline is returned, however slow the answers are."""
    job = Job(ends_at(10 - 1e-3), latency=latency)
    outcome = await outcome_of(driver(job, timeout=10, schedule=schedule, rng=Random(3)))
    assert outcome.result == Report("done")
    assert outcome.elapsed <= 10.05 + latency + TICK


async def test_a_job_that_ends_at_the_deadline_is_not_late(driver: Driver) -> None:
    """The deadline itself still counts as in time, by the service's clock."""
    assert await driver(Job(ends_at(10)), timeout=10) == Report("done")


async def test_a_job_that_ends_after_the_deadline_is_late(driver: Driver) -> None:
    """A job that ends a millisecond after the last poll is reported as not ended."""
    outcome = await outcome_of(driver(Job(ends_at(10.001)), timeout=10))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 10


@pytest.mark.parametrize("late_by", [0.05, 0.1, 0.19, 0.22, 0.249])
async def test_a_poll_under_way_at_the_deadline_is_followed_by_one_more(
    driver: Driver, late_by: float
) -> None:
    """An answer that looked before the deadline and came after it is not the last word."""
    # The poll at 8 s is answered late, and the job ends after the service has looked.
    job = Job(ends_at(9), latency=[0, 0, 2 + late_by, 0.01])
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4))
    assert outcome.result == Report("done")
    assert job.sent == pytest.approx([0, 4, 8, 10 + late_by + 0.05])


async def test_a_late_answer_that_shows_a_change_is_followed_by_a_rest(driver: Driver) -> None:
    """The one more poll after the deadline does not follow its forerunner at once."""
    job = Job("queued", "queued", "running", "done", latency=[0, 0, 2.1, 0.01])
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4))
    assert outcome.result == Report("done")
    assert job.sent == pytest.approx([0, 4, 8, 10.15])


async def test_an_answer_within_the_grace_is_used(driver: Driver) -> None:
    """A poll sent on the deadline may take as long as the slowest answer before it."""
    job = Job("running", "running", "done", latency=[0.1, 1.0, 1.9])
    outcome = await outcome_of(driver(job, timeout=10, schedule=Schedule(4, 1, 4, 0)))
    assert outcome.result == Report("done")


async def test_one_slow_answer_does_not_silence_the_rest(driver: Driver) -> None:
    """After a first answer that took half of the time, the schedule goes on as before."""
    job = Job(ends_at(40), latency=[31, 0.1])
    outcome = await outcome_of(driver(job, timeout=60))
    assert outcome.result == Report("done")
    assert max(job.gaps) <= 15
    assert outcome.elapsed < 55


async def test_the_last_poll_is_awaited_after_polls_that_failed_only(driver: Driver) -> None:
    """An outage from the first poll on, which ends in time, does not make an ended job late."""

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= 9.5 else ServerError("outage", status=503)

    job = Job(answer, latency=0.02)
    outcome = await outcome_of(driver(job, timeout=10, rng=Random(1)))
    assert outcome.result == Report("done")
    assert outcome.elapsed <= 10.02 + TICK


# --- 3: the provider's hints ------------------------------------------------------------------

PAST = "Wed, 21 Oct 2015 07:28:00 GMT"
ODD_HINTS = {
    "zero": {"Retry-After": "0"},
    "negative": {"Retry-After": "-1"},
    "nan": {"Retry-After": "nan"},
    "infinite": {"Retry-After": "inf"},
    "empty": {"Retry-After": ""},
    "words": {"Retry-After": "soon"},
    "past date": {"Retry-After": PAST, "Date": "Wed, 21 Oct 2015 07:29:00 GMT"},
    "date without a date": {"Retry-After": PAST},
    "zero ms": {"retry-after-ms": "0"},
    "negative ms": {"retry-after-ms": "-100"},
    "nan ms": {"retry-after-ms": "nan"},
}
FIVE_SECONDS = {
    "whole": {"Retry-After": "5"},
    "float": {"retry-after": "5.0"},
    "ms": {"Retry-After-Ms": "5000"},
    "ms first": {"retry-after-ms": "5000", "retry-after": "77"},
    "date": {"Retry-After": "Wed, 21 Oct 2015 07:28:05 GMT", "Date": PAST},
}


@pytest.mark.parametrize("headers", FIVE_SECONDS.values(), ids=FIVE_SECONDS)
async def test_advice_in_a_good_answer_is_obeyed(driver: Driver, headers: dict[str, str]) -> None:
    """Every form of five seconds in a good answer makes a gap of five seconds from the answer."""
    transport = ScriptedTransport(
        [run_says("Running", headers=headers), run_says("Success")], latency=0.5
    )
    await driver(run_of(transport), schedule=EVERY_SECOND)
    assert transport.times == [0, 5.5]


@pytest.mark.parametrize("headers", FIVE_SECONDS.values(), ids=FIVE_SECONDS)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_hint_of_a_refusal_is_obeyed(
    driver: Driver, headers: dict[str, str], status: int
) -> None:
    """Every form of five seconds in a 429 or 503 makes a gap of five seconds and up to a tenth."""
    refused = reply({"code": 5000, "msg": "no"}, status=status, headers=headers)
    transport = ScriptedTransport([refused, run_says("Success")], latency=0.5)
    await driver(run_of(transport), schedule=EVERY_SECOND)
    assert 5.5 <= transport.times[1] <= 6


@pytest.mark.parametrize("headers", ODD_HINTS.values(), ids=ODD_HINTS)
async def test_odd_advice_in_a_good_answer_is_survived(
    driver: Driver, headers: dict[str, str]
) -> None:
    """A hint that is nothing, or no number, leaves the schedule as it is."""
    transport = ScriptedTransport(
        [*[run_says("Running", headers=headers)] * 3, run_says("Success")]
    )
    await driver(run_of(transport), schedule=DOUBLING)
    assert transport.times == [0, 1, 3, 7]


@pytest.mark.parametrize("headers", ODD_HINTS.values(), ids=ODD_HINTS)
@pytest.mark.parametrize("status", [429, 503])
async def test_an_odd_hint_of_a_refusal_is_survived(
    driver: Driver, headers: dict[str, str], status: int
) -> None:
    """A refusal with a hint that is nothing, or no number, is followed by the backoff's gap."""
    refused = reply({"code": 5000, "msg": "no"}, status=status, headers=headers)
    transport = ScriptedTransport([refused, refused, run_says("Success")])
    await driver(run_of(transport), timeout=30)
    first, second = transport.times[1], transport.times[2] - transport.times[1]
    assert 0.1 - TICK <= first <= 1 + TICK
    assert 0.1 - TICK <= second <= 2 + TICK


@pytest.mark.parametrize("hint", [math.nan, -5.0, 0.0, -math.inf, math.inf])
async def test_an_odd_number_in_an_error_of_the_callers_own_is_survived(
    driver: Driver, hint: float
) -> None:
    """An error that a fetch function made itself, with a senseless hint, is backed off as usual."""
    job = Job(RateLimited("slow down", status=429, retry_after=hint), "done")
    outcome = await outcome_of(driver(job, timeout=600))
    assert outcome.result == Report("done")
    assert 0.1 - TICK <= outcome.elapsed <= 1 + TICK


@pytest.mark.parametrize("hint", [math.nan, -5.0, 0.0, -math.inf, math.inf])
async def test_an_odd_number_in_the_answer_itself_is_survived(driver: Driver, hint: float) -> None:
    """A senseless hint in a field of the answer leaves the schedule as it is."""
    job = Job(*[Report("running", hint=hint)] * 3, "done")
    await driver(job, schedule=DOUBLING)
    assert job.sent == [0, 1, 3, 7]


async def test_a_hint_shorter_than_the_gap_changes_nothing(driver: Driver) -> None:
    """A hint is the least wait, never a reason to ask more often than the schedule."""
    job = Job(*[Report("running", hint=0.5)] * 3, "done")
    await driver(job, schedule=DOUBLING)
    assert job.sent == [0, 1, 3, 7]


async def test_hints_are_read_from_every_answer(driver: Driver) -> None:
    """Each hint holds for the gap after its own answer only."""
    job = Job(
        Report("running", hint=7),
        Report("running", hint=3),
        Report("running"),
        Report("running", hint=5),
        "done",
    )
    await driver(job, schedule=EVERY_SECOND)
    assert job.sent == [0, 7, 10, 11, 16]


async def test_long_advice_is_cut_down_to_the_deadline(driver: Driver) -> None:
    """Long advice of a good answer is cut down to the deadline, where the last poll falls."""
    job = Job(Report("running", hint=1e9), "done")
    outcome = await outcome_of(driver(job, timeout=60))
    assert outcome.result == Report("done")
    assert job.sent == [0, 60]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", ["61", "1e9", "86400"])
async def test_a_refusal_for_longer_than_remains_ends_the_wait_at_once(
    driver: Driver, status: int, seconds: str
) -> None:
    """When the provider will not answer before the deadline, the wait says so at once."""
    refused = reply({"code": 5000}, status=status, headers={"Retry-After": seconds})
    transport = ScriptedTransport([run_says("Running"), refused])
    outcome = await outcome_of(driver(run_of(transport), timeout=60, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == 1
    assert outcome.error.retry_after is not None
    assert outcome.error.retry_after >= float(seconds)
    assert "the provider asks to wait" in str(outcome.error)


async def test_the_error_bears_the_hint_as_the_provider_gave_it(driver: Driver) -> None:
    """The error's `retry_after` is the provider's number, without our own stretching of it."""
    refused = reply({"code": 5000}, status=429, headers={"Retry-After": "120"})
    outcome = await outcome_of(driver(run_of(ScriptedTransport([refused])), timeout=60))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.error.retry_after == 120
    assert "wait 120 s" in str(outcome.error)


async def test_a_refusal_that_ends_just_in_time_is_waited_for(driver: Driver) -> None:
    """A hint that fits into what remains is not refused for the sake of its stretching."""
    refused = reply({"code": 5000}, status=429, headers={"Retry-After": "59.99"})
    for seed in range(5):
        transport = ScriptedTransport([refused, run_says("Success")])
        began = anyio.current_time()
        outcome = await outcome_of(driver(run_of(transport), timeout=60, rng=Random(seed)))
        assert outcome.error is None
        assert 59.99 <= transport.times[1] - began <= 60


async def test_an_infinite_wait_does_not_obey_a_hint_of_months(driver: Driver) -> None:
    """Without a deadline to cut it down, absurd advice is capped all the same."""
    job = Job(Report("running", hint=1e7), "done")
    outcome = await outcome_of(driver(job, timeout=math.inf))
    assert outcome.result == Report("done")
    assert outcome.elapsed <= 24 * 3600


# --- 4: an error of a poll is not an error of the task ----------------------------------------

TOLERATED: dict[str, Exception] = {
    "RequestTimeout": RequestTimeout("slow"),
    "ConnectFailed": ConnectFailed("refused"),
    "TransportError": TransportError("reset"),
    "RateLimited": RateLimited("429", status=429),
    "ServerError": ServerError("503", status=503),
    "DecodeError": DecodeError("no JSON", status=200),
    "TimeoutError": TimeoutError("the caller's own library"),
    "ConnectionError": ConnectionResetError("the caller's own library"),
}


@pytest.mark.parametrize("fault", TOLERATED.values(), ids=TOLERATED)
async def test_a_passing_fault_is_tolerated(driver: Driver, fault: Exception) -> None:
    """A fault of a poll that may pass does not end the wait."""
    job = Job("running", fault, fault, "running", fault, "done")
    assert await driver(job) == Report("done")


TOLERATED_ANSWERS: dict[str, Response] = {
    **{
        str(status): reply("<html>", status=status)
        for status in (408, 425, 429, 500, 502, 503, 504)
    },
    "not JSON": reply("<html>a proxy's page</html>"),
    "cut short": reply('{"code": 0, "data": [{"execute'),
    "another shape": reply({"code": 0, "data": 7}),
    "an empty list": reply({"code": 0, "data": []}),
    "busy": reply({"code": 4009, "msg": "system busy"}),
    "the model": reply({"code": 4013, "msg": "model service"}),
    "internal": reply({"code": 5000, "msg": "internal"}),
}


@pytest.mark.parametrize("answer", TOLERATED_ANSWERS.values(), ids=TOLERATED_ANSWERS)
async def test_a_passing_refusal_of_coze_is_tolerated(driver: Driver, answer: Response) -> None:
    """A status or a business code of Coze that may pass costs one poll and a short gap."""
    transport = ScriptedTransport([run_says("Running"), answer, run_says("Success")])
    await driver(run_of(transport), schedule=EVERY_SECOND)
    assert len(transport.requests) == 3
    assert 0.1 - TICK <= transport.times[2] - transport.times[1] <= 1 + TICK


FATAL: dict[str, tuple[Response, type[Exception]]] = {
    "400": (reply({"code": 4000, "msg": "bad"}, status=400), InvalidRequest),
    "400 in a 200": (reply({"code": 4000, "msg": "bad"}), InvalidRequest),
    "401": (reply({"code": 4100, "msg": "token"}, status=401), AuthenticationFailed),
    "401 in a 200": (reply({"code": 4100, "msg": "token"}), AuthenticationFailed),
    "402": (reply({"code": 4011, "msg": "balance"}, status=402), QuotaExceeded),
    "403": (reply({"code": 4101, "msg": "no right"}, status=403), PermissionDenied),
    "redirect": (reply("", status=302, headers={"Location": "https://e.vil"}), InvalidRequest),
}


@pytest.mark.parametrize(("answer", "error"), FATAL.values(), ids=FATAL)
async def test_a_refusal_that_does_not_pass_ends_the_wait_at_once(
    driver: Driver, answer: Response, error: type[Exception]
) -> None:
    """Authentication, permission, validation and balance are not asked about twice."""
    transport = ScriptedTransport([run_says("Running"), answer])
    outcome = await outcome_of(driver(run_of(transport), schedule=EVERY_SECOND))
    assert type(outcome.error) is error
    assert outcome.elapsed == 1


async def test_a_permanent_transport_error_ends_the_wait_at_once(driver: Driver) -> None:
    """A certificate that does not verify will not verify in a second either."""
    job = Job(ConnectFailed("certificate", permanent=True))
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, ConnectFailed)
    assert outcome.elapsed == 0


async def test_a_declared_exception_is_tolerated(driver: Driver) -> None:
    """An exception that the task declares transient is tolerated like the library's own."""
    job = Job(ZeroDivisionError("odd"), "done", transient=(ArithmeticError,))
    assert await driver(job) == Report("done")


async def test_a_poll_is_one_request(driver: Driver) -> None:
    """A failed poll is not repeated underneath: each poll of the wait is one request."""
    fault = reply("", status=503)
    transport = ScriptedTransport([run_says("Running"), fault], repeat=True)
    outcome = await outcome_of(driver(run_of(transport), timeout=60))
    assert outcome.evidence.polls == len(transport.requests)


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


async def test_ten_slow_faults_are_tolerated_whatever_they_take(driver: Driver) -> None:
    """Ten polls that fail after half a minute each do not end the wait; the eleventh does."""
    job = Job(*[RequestTimeout("slow")] * 10, "done", latency=30)
    assert await driver(job, timeout=3600) == Report("done")
    job = Job(RequestTimeout("slow"), latency=30)
    outcome = await outcome_of(driver(job, timeout=3600))
    assert isinstance(outcome.error, RequestTimeout)
    assert len(job.polls) == 11


async def test_a_hundred_quick_faults_within_two_minutes_are_tolerated(driver: Driver) -> None:
    """However many polls fail, two minutes of it do not end the wait."""

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= 119 else ServerError("503", status=503)

    job = Job(answer)
    assert await driver(job, timeout=3600, rng=Random(2)) == Report("done")
    assert len(job.polls) > 10


async def test_a_good_answer_resets_the_budget(driver: Driver) -> None:
    """Ten faults, an answer, and ten faults again are tolerated, over any time."""
    fault = RequestTimeout("slow")
    job = Job(*[fault] * 10, "running", *[fault] * 10, "running", *[fault] * 10, "done", latency=30)
    assert await driver(job, timeout=3600) == Report("done")


async def test_a_good_answer_resets_the_backoff(driver: Driver) -> None:
    """After a good answer the next fault is followed by a short gap again."""
    fault = ServerError("503", status=503)
    for seed in range(20):
        job = Job(*[fault] * 8, "running", fault, "done")
        await driver(job, schedule=EVERY_SECOND, rng=Random(seed))
        assert 0.1 - TICK <= job.gaps[9] <= 1 + TICK


async def test_faults_back_off_with_full_jitter(driver: Driver) -> None:
    """Gaps after faults are spread from almost 0 up to a ceiling that doubles from 1 s to 30 s."""
    ceilings = [1, 2, 4, 8, 16, 30, 30, 30]
    gaps: list[list[float]] = []
    for seed in range(60):
        job = Job(*[ServerError("503", status=503)] * 8, "done")
        await driver(job, rng=Random(seed))
        gaps.append(job.gaps)
    for ceiling, drawn in zip(ceilings, zip(*gaps, strict=True), strict=True):
        assert 0.1 - TICK <= min(drawn) <= 0.2 * ceiling
        assert 0.8 * ceiling <= max(drawn) <= ceiling + TICK


async def test_no_such_task_is_tolerated_for_a_grace_after_the_start(driver: Driver) -> None:
    """A 404 in the first ten seconds, before any good answer, is a provider's lag."""
    job = Job(*[NotFound("404", status=404)] * 3, "running", "done")
    assert await driver(job) == Report("done")


async def test_no_such_task_after_the_grace_means_expired(driver: Driver) -> None:
    """A 404 that goes on for ten seconds ends the wait: the provider does not know the task."""
    job = Job(NotFound("404", status=404))
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, TaskExpired)
    assert isinstance(outcome.error.__cause__, NotFound)
    assert 10 <= outcome.elapsed <= 40


@pytest.mark.parametrize(("age", "tolerated"), [(5, True), (3600, False)])
async def test_the_grace_for_a_task_that_is_not_found_counts_from_its_start(
    driver: Driver,
    age: int,
    tolerated: bool,  # noqa: FBT001  (a table's column)
) -> None:
    """A task that was started an hour ago and is not found has expired, and is not too new."""
    created = int(time.time()) - age
    job = Job(NotFound("no such job", status=404), "done", ref=TaskRef("fake", "job", {}, created))
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, type(None) if tolerated else TaskExpired)
    assert len(job.polls) == (2 if tolerated else 1)


async def test_no_such_task_after_a_good_answer_means_expired_at_once(driver: Driver) -> None:
    """A 404 for a task that was there a second ago means that it is gone."""
    job = Job("running", NotFound("404", status=404))
    outcome = await outcome_of(driver(job, schedule=EVERY_SECOND))
    assert isinstance(outcome.error, TaskExpired)
    assert outcome.elapsed == 1


async def test_a_gateways_404_after_a_good_answer_is_an_outage(driver: Driver) -> None:
    """A page that is not the provider's own does not say that a task is gone.

    Like any failure it is tolerated for two minutes; the provider's own word counts at once.
    """
    page = NotFound("HTTP 404, '<html>'", status=404, foreign=True)
    job = Job("running", *[page] * 3, "running", "done")
    assert await driver(job, schedule=EVERY_SECOND) == Report("done")
    outcome = await outcome_of(driver(Job("running", page), schedule=EVERY_SECOND))
    assert isinstance(outcome.error, TaskExpired)
    assert outcome.error.__cause__ is page
    assert 120 <= outcome.elapsed <= 151


async def test_a_gateways_404_before_any_answer_is_an_outage_unless_it_goes_on(
    driver: Driver,
) -> None:
    """Among other failures a page is tolerated at any age; three in a row are taken for true."""
    page = NotFound("HTTP 404, '<html>'", status=404, foreign=True)
    down = ServerError("down", status=503, retry_after=12)
    assert await driver(Job(*[down, page, page] * 2, "done")) == Report("done")
    outcome = await outcome_of(driver(Job(down, page)))
    assert isinstance(outcome.error, TaskExpired)
    assert outcome.error.polls == 4


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


async def test_the_token_is_renewed_once(driver: Driver) -> None:
    """A refused token is asked for once more, and only then the wait ends, at once."""
    tokens = iter(["old", "new", "third"])

    async def token() -> str:
        return next(tokens)

    refused = reply({"code": 4100, "msg": "token"}, status=401)
    transport = ScriptedTransport([refused, run_says("Success")])
    await driver(run_of(transport, token))
    bearers = [request.headers["Authorization"] for request in transport.requests]
    assert bearers == ["Bearer old", "Bearer new"]


# --- 5: unknown and missing words -------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_an_unknown_word_is_waited_through(driver: Driver, place: int) -> None:
    """A word in no vocabulary, wherever it stands, is neither an end nor an error."""
    script = ["queued", "running"]
    script.insert(place, "reticulating")
    job = Job(*script, "done")
    assert await driver(job) == Report("done")
    assert len(job.polls) == 4


async def test_an_unknown_word_is_not_waited_for_for_ever(driver: Driver) -> None:
    """A word in no vocabulary that never changes ends in a timeout that names it."""
    outcome = await outcome_of(driver(Job("archived"), timeout=60))
    assert isinstance(outcome.error, WaitTimeout)
    assert "'archived'" in str(outcome.error)


@pytest.mark.parametrize("word", [0, 404, "", "DONE", " done"])
async def test_words_are_compared_exactly(driver: Driver, word: str | int) -> None:
    """A word that only resembles a known one is unknown, and a falsy one is not a missing one."""
    outcome = await outcome_of(driver(Job(word), timeout=100))
    assert isinstance(outcome.error, WaitTimeout)


async def test_a_missing_word_is_tolerated_five_times(driver: Driver) -> None:
    """Five answers in a row without a word are tolerated, again and again."""
    job = Job(*[None] * 5, "running", *[None] * 5, "odd", *[None] * 5, "done")
    assert await driver(job) == Report("done")


async def test_a_missing_word_is_not_tolerated_for_ever(driver: Driver) -> None:
    """The sixth answer in a row without a word ends the wait."""
    job = Job("running", None)
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, UnknownStatus)
    assert len(job.polls) == 7


# --- 6: starting is not repeated --------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [RequestTimeout("slow"), TransportError("reset"), reply("", status=502)]
)
async def test_a_start_that_may_have_happened_is_not_repeated(fault: Response | Exception) -> None:
    """A start whose outcome is not known is sent once, and its error says so."""
    transport = ScriptedTransport([fault], repeat=True)
    outcome = await outcome_of(Coze(transport, token="pat_fake").start_workflow("7350", {}))
    assert outcome.evidence.may_have_started
    assert len(transport.requests) == 1


# --- 7: only the caller can move it on --------------------------------------------------------


async def test_a_blocked_task_ends_the_wait(driver: Driver) -> None:
    """Without a handler, the wait for a task that waits for its caller ends at once."""
    outcome = await outcome_of(driver(Job("running", "asks"), schedule=EVERY_SECOND))
    assert isinstance(outcome.error, TaskBlocked)
    assert outcome.elapsed == 1


@pytest.mark.parametrize("latency", [0.0, 0.1, 2.0])
async def test_a_task_that_is_blocked_at_the_deadline_is_reported_as_such(
    driver: Driver, latency: float
) -> None:
    """When the last poll shows that the task waits for its caller, that is what is raised."""
    job = Job(ends_at(9.5, "asks"), latency=latency)
    outcome = await outcome_of(driver(job, timeout=10, schedule=EVERY_4))
    assert isinstance(outcome.error, TaskBlocked)


# --- 8: local cancellation (more in test_cancellation.py) -------------------------------------


@pytest.mark.parametrize("latency", [0.0, math.inf])
async def test_cancellation_is_honoured_at_once(driver: Driver, latency: float) -> None:
    """Whether a poll is under way or the wait sleeps, cancellation ends it at that instant."""
    job = Job("running", latency=[0.5, latency])
    with anyio.move_on_after(3.25) as scope:
        await driver(job, schedule=Schedule(3, 1, 3, 0))
    assert scope.cancelled_caught
    assert anyio.current_time() == 3.25
    assert job.sent == [0, 3]


# --- 9: every error carries the evidence (more in test_evidence.py) ---------------------------

ENDS: dict[str, tuple[Entry, type[Exception]]] = {
    "failed": ("broken", TaskFailed),
    "cancelled": ("stopped", TaskCancelled),
    "expired": ("gone", TaskExpired),
    "blocked": ("asks", TaskBlocked),
    "refused": (PermissionDenied("no", status=403), PermissionDenied),
}


@pytest.mark.parametrize(("entry", "kind"), ENDS.values(), ids=ENDS)
async def test_each_bad_end_is_an_error_of_its_own(
    driver: Driver, entry: Entry, kind: type[Exception]
) -> None:
    """Failed, cancelled, expired, blocked and refused are five different errors, raised at once."""
    outcome: Outcome[Report] = await outcome_of(
        driver(Job("running", ServerError("x", status=500), entry), rng=Random(1))
    )
    assert type(outcome.error) is kind
    assert outcome.evidence.polls == 3
    assert outcome.evidence.elapsed == outcome.elapsed > 0
    assert outcome.evidence.snapshot is not None
    assert outcome.evidence.last_error is not None
    assert outcome.evidence.ref is not None


# --- jitter -----------------------------------------------------------------------------------


async def test_a_herd_is_spread_by_its_first_phase(driver: Driver) -> None:
    """Tasks that start together are asked at different times from the second poll on."""
    seconds: list[float] = []
    for seed in range(200):
        job = Job("running", "done")
        await driver(job, schedule=Schedule(first=10), rng=Random(seed))
        seconds.append(job.gaps[0])
    assert 1 <= min(seconds) <= 1.5
    assert 9.5 <= max(seconds) <= 10
    tenths = [sum(low <= gap < low + 0.9 for gap in seconds) for low in range(1, 10)]
    assert max(tenths) <= 45  # 20 each on average


async def test_healthy_gaps_stay_within_a_tenth(driver: Driver) -> None:
    """While polls succeed, a gap differs from its schedule by a tenth of it at most."""
    for seed in range(50):
        job = Job(*["running"] * 9, "done")
        await driver(job, rng=Random(seed))
        for number, gap in enumerate(job.gaps[1:], start=1):
            planned = min(1.5**number, 15.0)
            assert min(0.9 * planned, 12.2) <= gap <= min(1.1 * planned, 15.0) + TICK
