"""Waits that are paced by what was learned: silence first, within the bounds of every wait."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from asyncclient import LearnedSchedule, wait_until_done, watch
from asyncclient.errors import WaitTimeout
from tests.waiting.scenario import Driver, Job, Report, outcome_of

SECONDS = 30.0


class Lasting(Job):
    """A job that is at work for so many seconds from when it is made."""

    def __init__(self, seconds: float) -> None:
        self.made = made = anyio.current_time()

        def says(now: float) -> Report:
            return Report("done" if now >= made + seconds else "running")

        super().__init__(says)


def learned(kind: str = "fake.job", seconds: float = SECONDS) -> LearnedSchedule:
    """Return a schedule that has seen 100 tasks, each of which took about as long."""
    schedule = LearnedSchedule()
    rng = Random(0)
    for _ in range(100):
        schedule.observe(rng.gauss(seconds, seconds / 50), kind=kind)
    return schedule


async def test_it_is_silent_until_a_job_can_be_done(driver: Driver) -> None:
    """The first poll comes shortly before such jobs end, not at once, and few follow it."""
    job = Lasting(SECONDS)
    outcome = await outcome_of(driver(job, schedule=learned(), rng=Random(1)))
    assert outcome.result == Report("done")
    assert 25 < job.sent[0] < 33
    assert len(job.sent) <= 3
    assert outcome.elapsed < 34


async def test_a_kind_that_is_not_known_is_polled_at_once(driver: Driver) -> None:
    """What was learned of other jobs says nothing: the fallback's polls, the first at once."""
    job = Lasting(5)
    await driver(job, schedule=learned("fake.other"), rng=Random(1))
    assert job.sent[0] == 0
    assert len(job.sent) >= 4


async def test_waits_teach_each_other(driver: Driver) -> None:
    """After some jobs of a kind were waited for, the next one's first poll is not wasted."""
    schedule = LearnedSchedule()
    rng = Random(2)
    first: list[float] = []
    for number in range(30):
        job = Lasting(SECONDS + rng.gauss(0, 0.5))
        job.key = f"job-{number}"
        await driver(job, schedule=schedule, rng=rng)
        first.append(job.sent[0] - job.made)
    assert first[0] == 0
    assert all(gap > 20 for gap in first[-5:])
    assert schedule.sample_size("fake.job") >= 25


async def test_a_short_timeout_does_not_wait_for_the_silence_to_end(driver: Driver) -> None:
    """With less time than such jobs take, it still looks in time, and on the deadline again."""
    job = Lasting(SECONDS)
    outcome = await outcome_of(driver(job, timeout=10, schedule=learned(), rng=Random(1)))
    assert isinstance(outcome.error, WaitTimeout)
    assert job.sent[0] <= 7.5
    assert job.sent[-1] == pytest.approx(10)
    assert outcome.elapsed == pytest.approx(10)


async def test_a_job_that_ends_in_time_is_no_timeout(driver: Driver) -> None:
    """A job that is done just before the deadline is seen by the last poll, silence or not."""
    job = Lasting(9.9)
    assert await driver(job, timeout=10, schedule=learned(), rng=Random(1)) == Report("done")


async def test_a_watch_is_paced_by_it_too() -> None:
    """Following a job makes no more polls than waiting for it, and teaches as much."""
    schedule = learned()
    before = schedule.sample_size("fake.job")
    job = Lasting(SECONDS)
    states = [snapshot.word async for snapshot in watch(job, schedule=schedule, rng=Random(1))]
    assert states[-1] == "done"
    assert job.sent[0] > 25
    assert schedule.sample_size("fake.job") == before + 1


async def test_a_wait_alone_keeps_the_plain_schedule() -> None:
    """`wait_until_done` without a schedule learns nothing: each wait begins with a poll."""
    for _ in range(20):
        job = Job("running", "done")
        await wait_until_done(job)
        assert len(job.sent) == 2


async def test_bad_ends_teach_too_and_given_up_waits_do_not(driver: Driver) -> None:
    """A failure teaches as a success does, and a job that is given up does not count as ended."""
    schedule = LearnedSchedule()
    for _ in range(10):
        await outcome_of(driver(Job("running", "broken"), schedule=schedule))
    assert schedule.sample_size("fake.job") == 10
    await outcome_of(driver(Job("running"), timeout=5, schedule=schedule))
    assert schedule.sample_size("fake.job") == 10
