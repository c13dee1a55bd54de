"""The promise of any wait, over drawn durations, latencies, faults and schedules."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import assume, example, given, strategies as st

from asyncclient import Schedule
from asyncclient.errors import ConnectFailed, DecodeError, ServerError
from asyncclient.testing import run_virtual
from tests.waiting.scenario import TICK, Driver, Job, Report


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


IN_FOURS = Schedule(4, 1, 4, 0)
OUTAGES = [
    *(ServerError("503", status=503), DecodeError("no JSON")),
    *(ConnectFailed("no route"), ConnectionResetError("reset")),
]
# The answers take all as long, below the grace, or are drawn so that two and a rest stay below it.
LATENCIES = st.one_of(
    milliseconds(0, 4999).map(lambda latency: [latency]),
    st.lists(milliseconds(0, 2470), min_size=1, max_size=30),
)


@given(
    st.floats(0, 1, exclude_max=True),
    LATENCIES,
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(["running", *OUTAGES]),
    st.builds(Terms, milliseconds(1, 120_000), schedules(), st.integers(0, 2**16)),
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

    It holds for any schedule, wherever on its way a request reaches the service, if the first
    answer comes in time.
    """
    assume(latencies[0] < terms.timeout)
    finish = min(share * terms.timeout, terms.timeout - TICK)
    before_it = Report(before) if isinstance(before, str) else before
    job = Job(
        lambda now: Report("done") if now >= finish else before_it,
        latency=latencies,
        arrival=arrival,
    )

    async def wait() -> Report:
        rng = Random(terms.seed)
        return await driver(job, timeout=terms.timeout, schedule=terms.schedule, rng=rng)

    assert run_virtual(wait) == Report("done")
