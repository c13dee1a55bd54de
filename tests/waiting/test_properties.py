"""Properties of waiting, over drawn durations, latencies, words, faults, hints and schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from hypothesis import assume, example, given, strategies as st

from asyncclient import Schedule
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
from asyncclient.testing import run_virtual
from tests.waiting.scenario import TICK, Driver, Entry, Job, Outcome, Report, outcome_of

# The rest before the one poll that may follow a poll that outlasted the deadline.
LATE_REST = 0.05
# What the last poll may take past the deadline.
GRACE = 5.0


def milliseconds(least: int, most: int) -> st.SearchStrategy[float]:
    """Draw seconds in whole milliseconds, which shrink well."""
    return st.integers(least, most).map(lambda number: number / 1000)


@dataclass(frozen=True)
class Terms:
    """By what a wait is made."""

    timeout: float
    schedule: Schedule
    seed: int = 0


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw a schedule with gaps between a twentieth of a second and a minute."""
    first, more = draw(milliseconds(50, 20_000)), draw(milliseconds(0, 40_000))
    factor = draw(st.sampled_from([1.0, 1.2, 1.5, 2.0, 3.0]))
    return Schedule(first, factor, first + more, draw(st.sampled_from([0.0, 0.1, 0.5])))


TERMS = st.builds(Terms, milliseconds(1, 120_000), schedules(), st.integers(0, 2**16))
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
OUTAGES = [
    *(ServerError("503", status=503), DecodeError("no JSON")),
    *(ConnectFailed("no route"), ConnectionResetError("reset")),
]
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


@given(
    st.floats(0, 1, exclude_max=True),
    LATENCIES,
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(["running", *OUTAGES]),
    TERMS,
)
@example(1 - 1e-9, [4.999], 0.0, "running", Terms(5.0, Schedule()))
@example(0.01, [0.2, 4.9, 4.9], 0.0, "running", Terms(30.0, Schedule(60, 1, 60, 0)))
@example(0.01, [0.2, 4.9, 4.9], 0.0, "running", Terms(30.0, Schedule(1, 1, 1, 0)))
@example(0.9, [2.1], 0.0, "running", Terms(10.0, IN_FOURS))
@example(0.99, [0, 0.249, 0.249], 0.0, "running", Terms(4.05, IN_FOURS))
@example(0.99, [1.0], 0.0, OUTAGES[0], Terms(10.0, Schedule(), 1))
@example(0.99, [0.2], 0.0, OUTAGES[2], Terms(10.0, Schedule(), 1))
def test_a_task_that_finished_in_time_is_never_a_timeout(
    driver: Driver,
    share: float,
    latencies: list[float],
    arrival: float,
    before: str | Exception,
    terms: Terms,
) -> None:
    """A task that ends before the deadline by the service's clock is returned, after an outage too.

    It holds for any schedule, and the same latencies as above, wherever on its way a request
    reaches the service.
    """
    assume(latencies[0] < terms.timeout)
    finish = min(share * terms.timeout, terms.timeout - TICK)

    def answer(now: float) -> Report | Exception:
        return Report("done") if now >= finish else before_it

    before_it = Report(before) if isinstance(before, str) else before
    job = Job(answer, latency=latencies, arrival=arrival)
    assert wait_for(driver, job, terms).result == Report("done")


@given(ANYTHING, ANY_LATENCIES, TERMS)
@example(["queued", "queued", "running"], [0.0, 0.0, 2.1], Terms(10.0, IN_FOURS))
def test_there_is_a_wait_between_any_two_polls_which_a_seed_decides(
    driver: Driver, script: list[Entry], latencies: list[float], terms: Terms
) -> None:
    """A rest, or all that is left of the time; two waits of one seed poll at the same times."""
    jobs = [Job(*script, latency=latencies) for _ in range(2)]
    one, other = (wait_for(driver, job, terms) for job in jobs)
    assert jobs[0].sent == jobs[1].sent
    assert (one.elapsed, repr(one.error)) == (other.elapsed, repr(other.error))
    rest = min(terms.schedule.first * 0.1 * (1 - terms.schedule.jitter), 0.1) * 0.1
    for sent, gap in zip(jobs[0].sent[1:], jobs[0].gaps, strict=True):
        assert gap >= min(rest, LATE_REST) - TICK or sent >= terms.timeout - TICK
        assert gap > 0
