"""Outages: when one begins, and after it, which one answer ends for all, the usual pace."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from random import Random

import pytest

from asyncclient import Poller, Schedule, Task
from asyncclient._many.outage import Outage
from asyncclient._schedule import Pacing
from asyncclient._waiting import Record
from asyncclient._waiting.record import RareFacts
from asyncclient.errors import DecodeError, ServerError
from tests.many.service import (
    Item,
    Service,
    items,
    job,
    most_within,
    start,
    start_all,
)

STEADY = Schedule(first=4, factor=1, cap=4)
DOWN = ServerError("down", status=502)
# When an outage is over that begins after 20 s and takes 100.
OVER = 120.0


# --- what is an outage, and which tasks it touches ----------------------------------------------


def records(number: int) -> list[Record[object]]:
    """Make the records of tasks that have backed off three times."""
    tasks: list[Task[object]] = [job(index) for index in range(number)]
    return [Record(task, 0.0, rare=RareFacts(backoffs=3)) for task in tasks]


@pytest.mark.parametrize(
    ("failures", "answers"),
    [(16, 5), (1000, 7)],
    ids=["it has just begun", "all have failed for long"],
)
def test_an_outage_ends_after_a_few_answers_in_a_row(failures: int, answers: int) -> None:
    """Sixteen failures in a row are one; its end lets all that still back off begin again."""
    outage: Outage[Record[object]] = Outage()
    (left, *failing), (lucky,) = records(failures), records(1)
    for record in (left, *failing):
        outage.failed(record)
    outage.left(left)
    for number in range(answers):
        assert {record.backoffs for record in failing} == {3}
        assert left not in outage.answered(lucky), number
    assert ({record.backoffs for record in failing}, left.backoffs) == ({0}, 3)
    # It is over: what fails now fails alone.
    outage.failed(failing[0])
    assert outage.answered(lucky) == []


@pytest.mark.parametrize(
    ("failures", "rounds"), [(15, 1), (3, 200)], ids=["fifteen in a row", "three between answers"]
)
def test_fewer_failures_in_a_row_are_no_outage(failures: int, rounds: int) -> None:
    """The doubling of their gaps goes on after any number of answers."""
    outage: Outage[Record[object]] = Outage()
    failing, (lucky,) = records(failures), records(1)
    for _ in range(rounds):
        for record in failing:
            outage.failed(record)
        assert bool(outage.answered(lucky)) == (rounds == 1)
    for _ in range(100):
        outage.answered(lucky)
    assert {record.backoffs for record in failing} == {3}


def test_after_five_failures_in_a_row_an_answer_is_news_for_all() -> None:
    """They come in the order in which they failed first, each once, and never again."""
    outage: Outage[Record[object]] = Outage()
    failing, (lucky,) = records(5), records(1)
    for record in [*failing[::-1], failing[2], failing[4]]:
        outage.failed(record)
    assert outage.answered(lucky) == failing[::-1]
    assert outage.answered(lucky) == []
    for record in failing[:4]:
        outage.failed(record)
    assert outage.answered(lucky) == []
    for record in failing:
        outage.failed(record)
    assert outage.answered(failing[1]) == [record for record in failing if record is not failing[1]]


# --- a Poller in one ----------------------------------------------------------------------------


async def go_through(tasks: list[Item], schedule: Pacing) -> None:
    """Wait for tasks of one service that end in an outage, which begins after 20 s."""
    async with Poller(schedule=schedule, rng=Random(1)) as poller:
        waits = start_all(poller, tasks, timeout=math.inf)
        await asyncio.sleep(20)
        tasks[0].service.fault = DOWN
        await asyncio.sleep(OVER - 20)
        tasks[0].service.fault = None
        await asyncio.wait(waits)


async def test_a_crowd_comes_back_within_a_usual_gap() -> None:
    """All are seen to have ended within one usual gap, not when each one's own backoff is over."""
    service = Service()
    tasks = items(service, 300, ends=60)
    await go_through(tasks, STEADY)
    # One gap, and the moment until the first of them finds out.
    assert max(task.sent[-1] for task in tasks) <= OVER + 4 + 1
    assert sum(task.sent[-1] > OVER + 2 for task in tasks) > 100
    # They come back at a random moment each, as if there had been no outage.
    assert most_within([instant for instant in service.sent if instant >= OVER], 0.5) <= 75


class Fixed:
    """A schedule of the caller's own, which only gives the next gap, and ends with its first."""

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps."""
        del rng
        return iter([4.0])


async def test_a_schedule_of_the_callers_own_is_not_asked_out_of_turn() -> None:
    """Its tasks come back by their own backoff, which is at most 30 s."""
    tasks = items(Service(), 50, ends=60)
    await go_through(tasks, Fixed())
    assert 5 < max(task.sent[-1] for task in tasks) - OVER <= 30


async def test_an_end_says_that_it_came_with_the_recovery() -> None:
    """`Done.why` names it; a wait that was left in the outage is polled no more after it."""
    service = Service()
    tasks, left = items(service, 50, ends=60), items(service, 20, prefix="left")
    async with Poller(schedule=Schedule(first=2, factor=1, cap=2), rng=Random(6)) as poller:

        async def fall() -> None:
            waits = start_all(poller, left)
            await asyncio.sleep(20)
            service.fault = DecodeError("a page")
            await asyncio.sleep(50)
            for wait in waits:
                wait.cancel()
            await asyncio.sleep(50)
            service.fault = None

        falling = start(fall())
        reasons = [done.why async for done in poller.as_done(tasks, timeout=math.inf)]
        await falling
        await asyncio.sleep(60)
    assert reasons.count("recovery") > 30
    assert max(task.sent[-1] for task in left) <= 70


async def test_what_a_provider_has_put_off_is_not_brought_forward() -> None:
    """A 503 with a hint holds for its task, also when others are answered meanwhile."""
    asked = ServerError("maintenance", status=503, retry_after=40)
    patient = job("patient", "running", asked, "done")
    flaky = [job(f"flaky-{n}", "running", *[DOWN] * 3, "done") for n in range(10)]
    async with Poller(schedule=STEADY, rng=Random(4)) as poller:
        waits = start_all(poller, flaky)
        await poller.wait(patient)
        await asyncio.wait(waits)
    refused, again = patient.sent[1:]
    assert again - refused >= 40
