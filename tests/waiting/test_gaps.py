"""Tests of the gap before each look: by a plain schedule, or by what was learned of such tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random

import anyio
import pytest

from asyncclient import LearnedSchedule, Schedule, Snapshot, TaskState, watch
from asyncclient._waiting import Past, Record
from asyncclient._waiting.gaps import LearnedGaps, PlainGaps, gaps_of
from tests.waiting.scenario import Driver, Job, Report, ends_at, outcome_of

BEGAN = 1000.0


class Listed:
    """A schedule of the caller's own, which has a few gaps and no more."""

    def __init__(self, gaps: Sequence[float]) -> None:
        self.gaps = gaps
        self.drawn_from: list[Random | None] = []

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps."""
        self.drawn_from.append(rng)
        return iter(self.gaps)


class Apart(Record[Report]):
    """A record that takes the longer of two gaps, as one in a crowd may."""

    def less_crowded(self, _since: float, draw: Callable[[], float]) -> float:
        """Draw twice."""
        return max(draw(), draw())


def record() -> Record[Report]:
    """Make the record of a wait that has just begun."""
    return Record(Job("running"), BEGAN)


def after(gaps: PlainGaps | LearnedGaps, of: Record[Report], number: int) -> list[float]:
    """Return the next gaps of a record that stays at work."""
    return [gaps.after(of, TaskState.RUNNING, BEGAN) for _ in range(number)]


def test_a_schedules_gaps_are_counted_for_each_task() -> None:
    """The first look is made at once, each gap comes once, and a gap that is shown is not used."""
    gaps = PlainGaps(Schedule(first=1, factor=2, cap=6, jitter=0), None)
    one, other = record(), record()
    assert gaps.first(one) == 0
    assert gaps.typical(one, BEGAN) == gaps.typical(one, BEGAN) == 1
    assert after(gaps, one, 4) == [1, 2, 4, 6]
    assert after(gaps, other, 2) == [1, 2]
    assert gaps.typical(other, BEGAN) == 4
    assert after(gaps, other, 1) == [4]
    assert (one.gap_number, other.gap_number) == (4, 3)


def test_a_record_may_draw_its_gap_again() -> None:
    """One in a crowd takes the better of two draws of the same gap; chance is the generator's."""
    schedule = Schedule(first=8, factor=1, cap=8, jitter=0.5)
    apart: Apart = Apart(Job("running"), BEGAN)
    best = after(PlainGaps(schedule, Random(1)), apart, 200)
    plain = after(PlainGaps(schedule, Random(1)), record(), 200)
    assert apart.gap_number == 200
    assert sum(best) > 1.1 * sum(plain)
    assert plain == list(islice(schedule.delays(Random(1)), 200))


def test_an_iterator_that_ends_goes_on_with_its_last_gap() -> None:
    """It is asked once for each task, with the wait's generator; without any gap it is a second."""
    rng = Random(1)
    schedule = Listed([2.0, 7.0])
    gaps = PlainGaps(schedule, rng)
    one, other = record(), record()
    assert after(gaps, one, 5) == [2, 7, 7, 7, 7]
    assert after(gaps, other, 2) == [2, 7]
    assert schedule.drawn_from == [rng, rng]
    assert gaps.typical(one, BEGAN) is None
    assert one.gap_number == 0
    assert after(PlainGaps(Listed([]), None), record(), 3) == [1, 1, 1]


def test_a_crowd_is_spread_over_the_first_gap() -> None:
    """That of a schedule that learns is its fallback's; of one that only iterates, a second."""
    for schedule, seconds in (
        (Schedule(first=5, cap=5, jitter=0), 5),
        (Schedule(first=5.5, cap=6, jitter=0.1), 5),
        (Listed([9.0]), 1),
        (LearnedSchedule(fallback=Schedule(first=3, cap=9, jitter=0)), 3),
    ):
        assert gaps_of(schedule, None).spread == pytest.approx(seconds)
    # A plain schedule has nothing to learn by.
    of, plain = record(), gaps_of(Schedule(), None)
    of.latest = snapshot(TaskState.SUCCEEDED, 30)
    plain.learn(of, None, 30.0)
    assert (plain.learned, plain.knows(of)) == (None, False)
    assert plain.after(of, TaskState.RUNNING, BEGAN) <= 3


def snapshot(state: TaskState, elapsed: float) -> Snapshot[Report]:
    """Make what an answer showed, some seconds after the wait had begun."""
    return Snapshot(state=state, word=state.value, result=Report(state.value), elapsed=elapsed)


def taught(kind: str, seconds: float) -> LearnedSchedule:
    """Return a schedule that has seen a hundred tasks, each of which took about as long."""
    schedule = LearnedSchedule()
    rng = Random(0)
    for _ in range(100):
        schedule.observe(rng.gauss(seconds, seconds / 50), kind=kind)
    return schedule


def learned_gaps(schedule: LearnedSchedule) -> LearnedGaps:
    """Return the gaps of a schedule that learns, with the same chance in every run."""
    gaps = gaps_of(schedule, Random(1))
    assert isinstance(gaps, LearnedGaps)
    assert gaps.learned is schedule
    return gaps


def look(gaps: LearnedGaps, of: Record[Report], state: TaskState, elapsed: float) -> float:
    """Let an answer show a state, some seconds after the wait began; return the gap after it."""
    before = of.snapshot
    of.sent = BEGAN + elapsed
    of.polls, of.slowest = of.polls + 1, 0.0
    gap = gaps.after(of, state, BEGAN + elapsed)
    of.latest = snapshot(state, elapsed)
    gaps.learn(of, before, None)
    return gap


def test_of_a_kind_that_is_known_the_first_look_waits() -> None:
    """It comes shortly before such tasks end; of a kind that is not known it is made at once.

    What counts is how long a task has been at work, and not how long it was waited for.
    """
    gaps = learned_gaps(taught("fake.job", 30))
    aged = record()
    aged.age = 20.0
    assert 26 < gaps.first(record()) < 32
    assert 6 < gaps.first(aged) < 12
    assert gaps.knows(record())
    other = learned_gaps(taught("fake.other", 30))
    assert other.first(record()) == 0
    assert not other.knows(record())


@pytest.mark.parametrize("age", [0.0, 500.0])
def test_an_end_is_learned_by_the_age_of_its_task(age: float) -> None:
    """It ended between the last two looks, and was as old as its wait and its age together.

    One that was old and over at the first look may have ended at any time before it.
    """
    schedule = LearnedSchedule()
    gaps = learned_gaps(schedule)
    old = record()
    old.age = 500.0
    look(gaps, old, TaskState.SUCCEEDED, 0)
    assert not schedule.kinds
    for _ in range(8):
        of = record()
        of.age = age
        look(gaps, of, TaskState.RUNNING, 10)
        look(gaps, of, TaskState.FAILED, 12)
    assert schedule.sample_size("fake.job") == 8
    assert schedule.kinds == ("fake.job",)
    assert schedule.quantile(0.9, "fake.job") == pytest.approx(age + 11, rel=0.15)


@pytest.mark.parametrize("alive", [20.0, 1000.0, None])
def test_an_end_at_the_first_look_is_learned_if_its_task_was_at_work_before(
    alive: float | None,
) -> None:
    """An earlier wait may have seen that: it counts, though not longer ago than its own start."""
    schedule = LearnedSchedule()
    gaps = learned_gaps(schedule)
    for _ in range(8):
        earlier, of = record(), record()
        look(gaps, earlier, TaskState.RUNNING, 270)
        of.go_on_from(Past(polls=1, waited=290.0, alive=alive))
        look(gaps, of, TaskState.SUCCEEDED, 2)
    assert schedule.sample_size("fake.job") == (0 if alive is None else 8)
    if alive == 20:
        assert schedule.quantile(0.5, "fake.job") == pytest.approx(281, rel=0.1)


def test_a_task_seen_queued_and_then_at_work_has_a_clock_of_its_own() -> None:
    """From the middle of the gap in which it left its queue, it is one of those at work."""
    schedule = taught("fake.job at work", 30)
    gaps = learned_gaps(schedule)
    of = record()
    look(gaps, of, TaskState.PENDING, 100)
    gap = look(gaps, of, TaskState.RUNNING, 110)
    # It left between the two looks, so it has been at work for five seconds.
    assert 21 < gap < 27
    assert gaps.typical(of, BEGAN + 110) == pytest.approx(gap, abs=4)
    assert look(gaps, of, TaskState.RUNNING, 131) < 7


def test_what_it_took_to_work_is_learned_apart_from_the_queue() -> None:
    """Both are kept: how long a task takes in all, and how long from when it left its queue."""
    schedule = LearnedSchedule()
    gaps = learned_gaps(schedule)
    for number in range(1, 11):
        of, left = record(), 100.0 * number
        look(gaps, of, TaskState.PENDING, left)
        look(gaps, of, TaskState.RUNNING, left + 2)
        look(gaps, of, TaskState.RUNNING, left + 30)
        look(gaps, of, TaskState.SUCCEEDED, left + 32)
    assert set(schedule.kinds) == {"fake.job", "fake.job at work"}
    assert schedule.sample_size("fake.job") == schedule.sample_size("fake.job at work") == 10
    assert 29 <= (schedule.quantile(0.5, "fake.job at work") or 0) <= 31
    assert (schedule.quantile(0.5, "fake.job") or 0) > 300


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.PENDING, TaskState.BLOCKED])
def test_a_task_that_was_not_seen_to_leave_its_queue_has_none(state: TaskState) -> None:
    """Neither one that was at work at the first look, nor one that still stands in line."""
    schedule = LearnedSchedule()
    gaps = learned_gaps(schedule)
    of = record()
    if state is not TaskState.RUNNING:
        look(gaps, of, TaskState.PENDING, 50)
    look(gaps, of, state, 60)
    look(gaps, of, TaskState.SUCCEEDED, 90)
    assert schedule.kinds == ("fake.job",)


async def test_a_wait_is_silent_until_a_job_can_be_done(driver: Driver) -> None:
    """The first poll comes shortly before such jobs end, few follow it, and its end is learned."""

    async def follow(job: Job, *, schedule: LearnedSchedule, rng: Random) -> Report:
        snapshots = [shown async for shown in watch(job, schedule=schedule, rng=rng)]
        return snapshots[-1].result

    for waiting in (driver, follow):
        schedule = taught("fake.job", 30)
        began = anyio.current_time()
        job = Job(ends_at(began + 30))
        assert await waiting(job, schedule=schedule, rng=Random(1)) == Report("done")
        assert 25 < job.sent[0] - began < 33
        assert len(job.sent) <= 3
        assert anyio.current_time() < began + 34
        assert schedule.sample_size("fake.job") == 101
        # One that is given up does not count as ended.
        await outcome_of(driver(Job("running"), timeout=5, schedule=schedule))
        assert schedule.sample_size("fake.job") == 101
