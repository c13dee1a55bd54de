"""The Poller learns when to look: near the optimum, and under a budget."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from statistics import mean, median

import anyio
import pytest

from asyncclient import LearnedSchedule, Observation, Poller, Schedule
from tests.learning.laws import LOGNORMAL, NARROW, Law, least_cost, lognormal
from tests.many.service import most_within, number_between, start_all
from tests.waiting.scenario import WORDS, Outcome

# Tasks to learn from, and tasks to measure.
LEARNING, MEASURED = 400, 500


@dataclass(eq=False)
class Timed:
    """A task that takes a number of seconds."""

    seconds: float
    kind: str = "fake.timed"
    stamped: bool = False  # whether its answers say when it began and ended
    sent: list[float] = field(default_factory=list[float])  # when it was polled
    key: Hashable = field(default_factory=object)
    budget = ("fake", "account")

    def __post_init__(self) -> None:
        self.ends = anyio.current_time() + self.seconds

    @property
    def late(self) -> float:
        """The seconds from its end to its last poll; negative while it has not been seen to end."""
        return max(self.sent, default=-math.inf) - self.ends

    async def observe(self) -> Observation[str]:
        """Look whether it is done."""
        now = anyio.current_time()
        self.sent.append(now)
        word = "done" if now >= self.ends else "running"
        took = self.seconds if self.stamped else None
        return Observation(WORDS.state_of(word), word, word, took=took)


async def run(
    poller: Poller, durations: Sequence[float], rng: Random, *, stamped: bool = False
) -> list[Timed]:
    """Wait for tasks that begin at drawn times, one a second."""
    tasks: list[Timed] = []
    waits: list[asyncio.Task[Outcome[str]]] = []
    for seconds in durations:
        tasks.append(Timed(seconds, stamped=stamped))
        waits += start_all(poller, tasks[-1:], timeout=1e6)
        await asyncio.sleep(rng.expovariate(1))
    await asyncio.gather(*waits)
    return tasks


def drawn(law: Law, number: int, rng: Random) -> list[float]:
    """Draw durations at random."""
    return [law.age(rng.random()) for _ in range(number)]


def even(law: Law, number: int, rng: Random) -> list[float]:
    """Return durations that stand for the whole law, in a random order: their noise is small."""
    durations = [law.age((each + 0.5) / number) for each in range(number)]
    rng.shuffle(durations)
    return durations


def cost_of(tasks: Sequence[Timed]) -> float:
    """Return the mean cost of a task: polls at 1 s each, and delay."""
    return mean(len(task.sent) + task.late for task in tasks)


def polls_of(tasks: Iterable[Timed]) -> list[float]:
    """Return when any of them was polled, in order."""
    return sorted(chain.from_iterable(task.sent for task in tasks))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("stamped", "bound"), [(False, 1.15), (True, 1.10)], ids=["by its own polls", "by timestamps"]
)
async def test_after_400_tasks_it_costs_little_more_than_the_optimum(
    *, stamped: bool, bound: float
) -> None:
    """The Poller feeds its schedule with all that it sees.

    Of other laws, and after a change, `tests/learning/test_learned.py` shows as much.
    """
    ratios: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        async with Poller(rng=Random(seed)) as poller:
            await run(poller, drawn(LOGNORMAL, LEARNING, rng), rng, stamped=stamped)
            seen = await run(poller, even(LOGNORMAL, MEASURED, rng), rng, stamped=stamped)
        ratios.append(cost_of(seen) / least_cost(LOGNORMAL, 1.0, math.inf))
    assert median(ratios) <= bound


def learned_from(law: Law, number: int, rng: Random) -> LearnedSchedule:
    """Return a schedule that has seen tasks of a law."""
    schedule = LearnedSchedule()
    for seconds in drawn(law, number, rng):
        schedule.observe(seconds, kind="fake.timed")
    return schedule


@pytest.mark.heavy
async def test_a_shared_budget_goes_where_it_is_worth_most() -> None:
    """Three kinds that share 50 polls a second: seen 1.15 s late in the mean, never over the rate.

    A fixed interval of 1 s behind a token bucket sees them 2.0 s late.
    """
    late: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        schedule = LearnedSchedule(0.05)
        began = anyio.current_time()
        async with Poller(schedule=schedule, rate=50, concurrency=1000, rng=Random(seed)) as poller:
            tasks = await share(poller, rng)
            (budget,) = poller.stats().budgets
        counted = (task for task in tasks if 180 <= task.ends - task.seconds - began < 340)
        late += [task.late for task in counted if task.late >= 0]
        sent = polls_of(tasks)
        assert most_within(sent, 5) <= 52 * 5
        assert number_between(sent, began + 180, began + 340) / 160 >= 0.93 * 50
        assert budget.price is not None
        assert budget.price > schedule.poll_cost
    assert mean(late) <= 1.15


async def share(poller: Poller, rng: Random) -> list[Timed]:
    """Begin 7 tasks of three kinds a second for 400 s."""
    kinds = [(lognormal(5, 0.5), 4.0), (lognormal(30, 0.8), 2.0), (lognormal(120, 0.3), 1.0)]
    tasks: list[Timed] = []
    end = anyio.current_time() + 400

    async def arrive(law: Law, rate: float) -> None:
        while anyio.current_time() < end:
            tasks.append(Timed(law.age(rng.random()), kind=str(rate)))
            start_all(poller, tasks[-1:], timeout=1e6)
            await asyncio.sleep(rng.expovariate(rate))

    await asyncio.gather(*(arrive(law, rate) for law, rate in kinds))
    return tasks


async def test_the_stats_show_what_a_poll_is_worth_and_what_was_learned() -> None:
    """The price follows the shortness of the budget; a schedule that does not learn has none."""
    learned = LearnedSchedule(0.1)
    rng = Random(3)
    async with (
        Poller(schedule=learned, rate=20, rng=Random(3)) as poller,
        Poller(schedule=Schedule()) as plain,
    ):
        for each in (poller, plain):
            await each.wait(Timed(2.5))
        assert poller.stats().budgets[0].price == 0.1
        assert plain.stats().budgets[0].price is None
        assert poller.learned is learned
        assert plain.learned is None
        waits = start_all(poller, [Timed(30 + 10 * rng.random()) for _ in range(500)])
        await asyncio.sleep(25)
        assert (poller.stats().budgets[0].price or 0) > 0.2
        await asyncio.gather(*waits)
        (kind,) = poller.stats().kinds
        assert (kind.kind, kind.samples > 400) == ("fake.timed", True)
        assert 29 < kind.p10 < kind.p50 < kind.p90 < 41
        assert kind.cost < 0.6 * kind.fixed_cost
        await run(poller, drawn(LOGNORMAL, 100, rng), rng)
        assert poller.stats().budgets[0].price == pytest.approx(0.1)


async def test_weight_buys_polls() -> None:
    """Of tasks that are alike, those that weigh 16 are polled oftener and seen sooner."""
    rng = Random(4)
    learned = learned_from(LOGNORMAL, LEARNING, rng)
    async with Poller(schedule=learned, rng=Random(4)) as poller:
        durations = even(LOGNORMAL, 100, rng)
        light, heavy = ([Timed(seconds) for seconds in durations] for _ in range(2))
        waits = start_all(poller, light) + start_all(poller, heavy, weight=16)
        await asyncio.gather(*waits)
    assert len(polls_of(heavy)) > 2.5 * len(polls_of(light))
    assert sum(task.late for task in heavy) < 0.4 * sum(task.late for task in light)


async def test_it_is_the_default_and_begins_as_the_plain_schedule() -> None:
    """A `Poller` that was given none has nothing learned, and polls a first task at once."""
    async with Poller(rng=Random(6)) as poller, Poller(schedule=Schedule(), rng=Random(6)) as plain:
        assert poller.stats().kinds == ()
        one, other = Timed(40), Timed(40)
        await asyncio.gather(poller.wait(one), plain.wait(other))
    assert one.sent[0] == 0
    assert one.sent == pytest.approx(other.sent)


@pytest.mark.parametrize(
    ("number", "durations", "reasons"),
    [
        (0, [0, 10], [{"first"}, {"schedule"}]),
        (50, [1, 30.5, 33], [{"silence"}, {"silence", "learned"}, {"silence", "learned"}]),
    ],
    ids=["nothing learned", "50 learned"],
)
async def test_a_done_says_why_and_how_late(
    number: int, durations: list[float], reasons: list[set[str]]
) -> None:
    """An end says what decided its last gap and for how long it went unseen."""
    learned = learned_from(NARROW, number, Random(7))
    async with Poller(schedule=learned, rng=Random(7)) as poller:
        tasks = [Timed(seconds) for seconds in durations]
        ends = [done async for done in poller.as_done(tasks)]
    assert all(done.why in reason for done, reason in zip(ends, reasons, strict=True))
    assert all(done.unseen is not None and done.unseen >= 0 for done in ends)
    assert not number or all(done.unseen for done in ends)
