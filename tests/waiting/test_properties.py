"""Properties of waiting, over drawn durations, latencies, words, faults, hints and schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from hypothesis import assume, example, given, strategies as st

from asyncclient import Schedule
from asyncclient._http import Response
from asyncclient.errors import (
    AsyncClientError,
    ConnectFailed,
    DecodeError,
    NotFound,
    RateLimited,
    RequestTimeout,
    ServerError,
    WaitTimeout,
)
from asyncclient.testing import ScriptedTransport, reply, run_virtual
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

# The rest before the one poll that may follow a poll that outlasted the deadline.
LATE_REST = 0.05
# What the last poll may take past the deadline.
GRACE = 5.0


def milliseconds(least: int, most: int) -> st.SearchStrategy[float]:
    """Draw seconds in whole milliseconds, which shrink well."""
    return st.integers(least, most).map(lambda number: number / 1000)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw a schedule with gaps between a twentieth of a second and a minute."""
    first = draw(milliseconds(50, 20_000))
    return Schedule(
        first=first,
        factor=draw(st.sampled_from([1.0, 1.2, 1.5, 2.0, 3.0])),
        cap=first + draw(milliseconds(0, 40_000)),
        jitter=draw(st.sampled_from([0.0, 0.1, 0.5])),
    )


@dataclass(frozen=True)
class Terms:
    """By what a wait is made."""

    timeout: float
    schedule: Schedule
    seed: int = 0


SEEDS = st.integers(0, 2**16)
TERMS = st.builds(Terms, milliseconds(1, 120_000), schedules(), SEEDS)
IN_FOURS = Schedule(4, 1, 4, 0)
WORDS_THAT_GO_ON = st.sampled_from(["queued", "running", "reticulating", 7])
FAULTS = st.sampled_from(
    [
        ServerError("503", status=503),
        RateLimited("429", status=429, retry_after=3.0),
        ConnectFailed("no route"),
        RequestTimeout("slow"),
        DecodeError("no JSON"),
        NotFound("404", status=404),
        ConnectionResetError("reset"),
    ]
)
HINTS = st.sampled_from([None, 0.0, -1.0, math.nan, math.inf, 0.2, 5.0, 31.0, 1e9])
REPORTS = st.builds(
    Report,
    word=st.one_of(
        WORDS_THAT_GO_ON, st.none(), st.sampled_from(["done", "broken", "asks", "gone", "stopped"])
    ),
    progress=st.sampled_from([None, 0.0, 0.5, math.nan]),
    hint=HINTS,
)
ANYTHING = st.lists(st.one_of(REPORTS, FAULTS), min_size=1, max_size=12)
GOING_ON = st.lists(WORDS_THAT_GO_ON, min_size=1, max_size=8)


# How long the answers take: all as long, below the grace, …
EQUAL_LATENCIES = milliseconds(0, 4999).map(lambda latency: [latency])
# … or drawn one by one, so that two and a rest stay below it.
SHORT_LATENCIES = st.lists(milliseconds(0, 2470), min_size=1, max_size=30)
LATENCIES = st.one_of(EQUAL_LATENCIES, SHORT_LATENCIES)
ANY_LATENCIES = st.lists(milliseconds(0, 3000), min_size=1, max_size=20)


def wait_for(driver: Driver, job: Job, terms: Terms) -> Outcome[Report]:
    """Wait for a job in virtual time, from 0 on."""
    rng = Random(terms.seed)

    async def main() -> Outcome[Report]:
        return await outcome_of(
            driver(job, timeout=terms.timeout, schedule=terms.schedule, rng=rng)
        )

    return run_virtual(main)


@given(
    ANYTHING,
    st.lists(st.one_of(milliseconds(0, 8000), st.just(math.inf)), min_size=1, max_size=12),
    TERMS,
)
@example(["running"], [4.9, 4.9, 4.9, math.inf], Terms(10.0, Schedule(1, 1, 1, 0)))
def test_a_wait_always_ends(
    driver: Driver, script: list[Entry], latencies: list[float], terms: Terms
) -> None:
    """Any wait ends in a result or an error of this library's, 5 s after its timeout at most."""
    job = Job(*script, latency=latencies)
    outcome = wait_for(driver, job, terms)
    assert outcome.elapsed <= terms.timeout + GRACE + TICK
    assert isinstance(outcome.error, AsyncClientError | ConnectionError | None)
    if isinstance(outcome.error, AsyncClientError):
        assert outcome.error.polls == len(job.polls)
        assert outcome.error.elapsed == outcome.elapsed


@given(GOING_ON, LATENCIES, TERMS)
@example(["running"], [0.0, 0.249, 0.249], Terms(4.05, IN_FOURS))
def test_the_last_poll_falls_on_the_deadline(
    driver: Driver, script: list[Entry], latencies: list[float], terms: Terms
) -> None:
    """A task that has not ended is asked at the deadline, or at once after a poll that outlasts it.

    The wait outlasts its timeout by the rest and two answers at most. It holds for any constant
    latency below the grace, and for latencies of which two are below it; of both, the first answer
    must come in time.
    """
    timeout = terms.timeout
    assume(latencies[0] < timeout)
    job = Job(*script, latency=latencies)
    outcome = wait_for(driver, job, terms)
    assert isinstance(outcome.error, WaitTimeout)
    assert job.sent[-1] >= timeout - TICK
    assert job.polls[-1].answered <= outcome.elapsed
    on_time = job.polls[-2].answered <= timeout
    assert not on_time or job.sent[-1] <= timeout + TICK
    assert timeout - TICK <= outcome.elapsed <= timeout + 2 * max(latencies) + LATE_REST + TICK


@given(st.floats(0, 1, exclude_max=True), LATENCIES, st.sampled_from([0.0, 0.5, 1.0]), TERMS)
@example(1 - 1e-9, [4.999], 0.0, Terms(5.0, Schedule()))
@example(0.9, [2.1], 0.0, Terms(10.0, IN_FOURS))
@example(0.99, [0, 0.249, 0.249], 0.0, Terms(4.05, IN_FOURS))
def test_a_task_that_finished_in_time_is_never_a_timeout(
    driver: Driver, share: float, latencies: list[float], arrival: float, terms: Terms
) -> None:
    """A task that ends before the deadline by the service's clock is returned.

    It holds for any schedule, and the same latencies as above, wherever on its way a request
    reaches the service.
    """
    assume(latencies[0] < terms.timeout)
    finish = min(share * terms.timeout, terms.timeout - TICK)
    job = Job(ends_at(finish), latency=latencies, arrival=arrival)
    assert wait_for(driver, job, terms).result == Report("done")


@given(
    st.floats(0, 1, exclude_max=True),
    st.one_of(
        st.tuples(
            st.sampled_from([ServerError("503", status=503), DecodeError("no JSON")]),
            milliseconds(0, 4999),
        ),
        st.tuples(
            st.sampled_from([ConnectFailed("no route"), ConnectionResetError("reset")]),
            milliseconds(0, 2470),
        ),
    ),
    TERMS,
)
@example(0.99, (ServerError("503", status=503), 1.0), Terms(10.0, Schedule(), 1))
@example(0.99, (ConnectFailed("no route"), 0.2), Terms(10.0, Schedule(), 1))
def test_an_outage_that_ends_in_time_makes_no_timeout(
    driver: Driver, share: float, outage: tuple[Exception, float], terms: Terms
) -> None:
    """A service that fails from the start until before the deadline does not hide an ended task.

    It holds for refusals and broken connections, of any latency below the grace.
    """
    fault, latency = outage
    assume(latency < terms.timeout)
    back = min(share * terms.timeout, terms.timeout - TICK)

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= back else fault

    assert wait_for(driver, Job(answer, latency=latency), terms).result == Report("done")


@given(ANYTHING, ANY_LATENCIES, TERMS)
@example(["queued", "queued", "running"], [0.0, 0.0, 2.1], Terms(10.0, IN_FOURS))
def test_there_is_a_wait_between_any_two_polls(
    driver: Driver, script: list[Entry], latencies: list[float], terms: Terms
) -> None:
    """No poll follows an answer at once: a rest, or all that is left of the time, lies between."""
    job = Job(*script, latency=latencies)
    wait_for(driver, job, terms)
    rest = min(terms.schedule.first * 0.1 * (1 - terms.schedule.jitter), 0.1) * 0.1
    for after, gap in zip(job.polls[1:], job.gaps, strict=True):
        assert gap >= min(rest, LATE_REST) - TICK or after.sent >= terms.timeout - TICK
        assert gap > 0


@given(GOING_ON, st.sampled_from([None, 0.2, 5.0, 31.0]), ANY_LATENCIES, TERMS)
def test_gaps_are_within_bounds(
    driver: Driver, words: list[str], hint: float | None, latencies: list[float], terms: Terms
) -> None:
    """A gap is at least the hint, and at most the longer of hint and cap.

    Only the last one may be longer, by a tenth and the slowest answer, to reach the deadline, or
    shorter, not to pass it.
    """
    schedule = terms.schedule
    job = Job(*[Report(word, hint=hint) for word in words], latency=latencies)
    wait_for(driver, job, terms)
    longest = max(schedule.cap, hint or 0.0)
    for number, (poll, gap) in enumerate(zip(job.polls, job.gaps, strict=False)):
        at_the_end = job.sent[number + 1] >= terms.timeout - TICK
        slack = 0.1 * longest + max(latencies) if at_the_end else 0.0
        assert gap <= longest + slack + TICK
        if hint is not None and job.sent[number + 1] < terms.timeout - 5 - TICK:
            assert gap >= hint - TICK
        if number and not hint and not at_the_end and poll.answered - poll.sent == 0:
            least = min(schedule.first, schedule.cap) * (1 - schedule.jitter)
            assert gap >= least / (1 + schedule.jitter) - TICK


@given(ANYTHING, ANY_LATENCIES, TERMS)
def test_the_same_seed_gives_the_same_trace(
    driver: Driver, script: list[Entry], latencies: list[float], terms: Terms
) -> None:
    """With generators of one seed, two waits send the same polls at the same times."""

    def trace() -> tuple[list[float], float, str]:
        job = Job(*script, latency=latencies)
        outcome = wait_for(driver, job, terms)
        return job.sent, outcome.elapsed, repr(outcome.error)

    assert trace() == trace()


NUMBERS = ["0", "-1", "nan", "inf", "-inf", "1e9", "1e400", "", "soon", "2", "0.5", "30", "-0"]
DATES = [f"Wed, 21 Oct {year} 07:28:00 GMT" for year in ("1969", "2015", "2999", "99999", "0")]
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Retry-After-Ms"]), st.sampled_from(NUMBERS + DATES)
)
CLOCKS = st.sampled_from([None, "Wed, 21 Oct 2015 07:27:00 GMT", "today"])


def coze_answer(status: int, headers: dict[str, str], date: str | None) -> Response:
    """Make an answer about a run at work, or a refusal, with the service's own clock or without."""
    if date is not None:
        headers = headers | {"Date": date}
    if status == 200:
        return run_says("Running", headers=headers)
    return reply({"code": 5000, "msg": "not now"}, status=status, headers=headers)


@given(
    st.lists(st.builds(coze_answer, st.sampled_from([200, 429, 503]), HEADERS, CLOCKS), max_size=9),
    milliseconds(0, 2000),
    SEEDS,
)
def test_no_hint_breaks_a_wait(
    driver: Driver, answers: list[Response], latency: float, seed: int
) -> None:
    """Any hints, in good answers and refusals, end in a result or in a timeout that says why."""

    async def main() -> None:
        transport = ScriptedTransport([*answers, run_says("Success")], latency=latency)
        waiting = driver(run_of(transport), timeout=90, rng=Random(seed))
        outcome = await outcome_of(waiting)
        assert outcome.elapsed <= 90 + GRACE
        if outcome.error is None:
            assert outcome.result is not None
            assert outcome.result.execute_status == "Success"
        else:
            assert isinstance(outcome.error, WaitTimeout)
            hint = outcome.error.retry_after
            # A hint that was refused, or advice and backing off that used the time up.
            assert hint is not None or transport.times[-1] >= 90 - TICK
        for before, after in zip(transport.times, transport.times[1:], strict=False):
            assert after - before > latency

    run_virtual(main)


def most_polls(schedule: Schedule, timeout: float) -> int:
    """Return how many polls a healthy wait can take: gap by gap, each at its least."""
    spent, polls, gap = schedule.first * 0.1, 2, schedule.first
    while spent < timeout:
        gap = min(gap * (schedule.factor if schedule.jitter else 1.0), schedule.cap)
        spent += gap * (1 - schedule.jitter) / (1 + schedule.jitter)
        polls += 1
    return polls


@given(GOING_ON, milliseconds(0, 1000), TERMS)
@example(["running"], 0.0, Terms(3600.0, Schedule()))
def test_polls_are_bounded(
    driver: Driver, script: list[Entry], latency: float, terms: Terms
) -> None:
    """A wait sends no more polls than its schedule's least gaps allow."""
    job = Job(*script, latency=latency)
    wait_for(driver, job, terms)
    assert len(job.polls) <= most_polls(terms.schedule, terms.timeout) + 1
    if terms.schedule == Schedule():
        assert len(job.polls) <= 20 + terms.timeout / 12


@given(
    st.lists(st.sampled_from(["queued", "running", "strange", None, 3]), max_size=20),
    st.sampled_from(["done", "broken", "stopped", "gone"]),
    schedules(),
)
def test_every_end_is_seen_at_its_first_showing(
    driver: Driver, words: list[Entry], end: str, schedule: Schedule
) -> None:
    """A wait ends with the first answer that shows an end, and never before."""
    assume((None,) * 6 not in zip(*(words[start:] for start in range(6)), strict=False))
    job = Job(*words, end)
    outcome = wait_for(driver, job, Terms(1e6, schedule))
    assert len(job.polls) == len(words) + 1
    if end == "done":
        assert outcome.result == Report("done")
    else:
        assert outcome.evidence.snapshot is not None
        assert outcome.evidence.snapshot.word == end
