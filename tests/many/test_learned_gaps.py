"""The Poller learns when to look: near the optimum for each kind of duration, and under a budget.

The optimum is by dynamic programming on the true distribution, written here in the plainest way.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from random import Random
from statistics import NormalDist, mean, median

import anyio
import pytest

from asyncclient import LearnedSchedule, Observation, Poller, Schedule, TaskState
from tests.many.service import most_within
from tests.waiting.scenario import WORDS

STANDARD = NormalDist()
# Tasks to learn from, and tasks to measure.
LEARNING, MEASURED = 400, 500


class Law:
    """How long tasks take.

    Args:
        share: from a share of tasks to the age in seconds by which so many have ended.
    """

    def __init__(self, share: Callable[[float], float]) -> None:
        self.age_by = share

    def times(self, factor: float) -> Law:
        """Return the same law for tasks that take so many times as long."""
        return Law(lambda share: factor * self.age_by(share))


def lognormal(mean_seconds: float, sigma: float) -> Law:
    """Return a lognormal law by its mean."""
    centre = math.log(mean_seconds) - sigma**2 / 2
    return Law(lambda share: math.exp(centre + sigma * STANDARD.inv_cdf(share)))


def _bimodal(share: float) -> float:
    if share < 0.7:
        return max(0.1, 5 + 0.75 * STANDARD.inv_cdf(share / 0.7))
    return 120 + 18 * STANDARD.inv_cdf(max(share - 0.7, 1e-4) / 0.3)


LAWS = {
    "lognormal": lognormal(30, 0.8),
    "weibull": Law(lambda share: 30 / math.gamma(1 + 1 / 1.5) * (-math.log1p(-share)) ** (1 / 1.5)),
    "bimodal": Law(_bimodal),
    "narrow": Law(lambda share: 30 + 0.9 * STANDARD.inv_cdf(share)),
    "pareto": Law(lambda share: 10 * (1 - share) ** (-1 / 1.5)),
}


@cache
def optimum(name: str, factor: float = 1.0) -> float:
    """Return the least mean cost of a task: its polls, at 1 s each, and its delay.

    Polls are tried at so many ages that more would not change it: at even shares of tasks, and
    closer and closer in the tail. Within a step tasks are taken to end evenly.
    """
    law = LAWS[name].times(factor)
    shares = {each / 400 for each in range(1, 400)} | {
        1 - 10 ** (-each / 60) for each in range(300)
    }
    shares |= {1e-5, 1e-4, 1e-3}
    ages = [0.0, *(law.age_by(share) for share in sorted(shares - {0.0}))]
    left = [1.0, *(1 - share for share in sorted(shares - {0.0}))]
    last = len(ages) - 1
    area = [0.0]  # of the share that has ended, under the ages
    for (age, alive), (later, fewer) in pairwise(zip(ages, left, strict=True)):
        area.append(area[-1] + (later - age) * (2 - alive - fewer) / 2)
    cost = [0.0] * (last + 1)
    for start in range(last - 1, -1, -1):
        ended = 1 - left[start]
        cost[start] = left[start] + min(
            area[end] - area[start] - ended * (ages[end] - ages[start]) + cost[end]
            for end in range(start + 1, min(last, start + 400) + 1)
        )
    return cost[0]


class Timed:
    """A task that takes so many seconds.

    Args:
        key: its identity.
        seconds: how long it takes.
        kind: which tasks are alike.
        stamped: whether its answers say when it began and ended.
        sent: where to note when it was asked about.
    """

    budget = ("fake", "account")

    def __init__(
        self,
        key: object,
        seconds: float,
        *,
        kind: str = "fake.timed",
        stamped: bool = False,
        sent: list[float] | None = None,
    ) -> None:
        self.key = str(key)
        self.kind = kind
        self.ends = anyio.current_time() + seconds
        self.polls = 0
        self._seconds = seconds
        self._stamped = stamped
        self._sent = sent

    async def observe(self) -> Observation[str]:
        """Look whether it is done."""
        now = anyio.current_time()
        self.polls += 1
        if self._sent is not None:
            self._sent.append(now)
        word = "done" if now >= self.ends else "running"
        took = self._seconds if self._stamped else None
        return Observation(WORDS.state_of(word), word, word, took=took)


class Queued(Timed):
    """A task that stands in a queue first.

    Args:
        key: its identity.
        queue_seconds: how long it stands there.
        seconds: how long it is at work then.
        apart: whether its answers say which of the two it is at.
    """

    def __init__(self, key: object, queue_seconds: float, seconds: float, *, apart: bool) -> None:
        super().__init__(key, queue_seconds + seconds)
        self._starts = anyio.current_time() + queue_seconds
        self._apart = apart

    async def observe(self) -> Observation[str]:
        """Look whether it is done, or at work, or in its queue."""
        seen = await super().observe()
        if self._apart and anyio.current_time() < self._starts:
            return Observation(TaskState.PENDING, "queued", "queued")
        return seen


async def run(
    poller: Poller, durations: Sequence[float], rng: Random, *, stamped: bool = False
) -> list[tuple[int, float]]:
    """Wait for tasks that begin at drawn times, one a second; return polls and delay of each."""
    seen: list[tuple[int, float]] = []

    async def wait(number: int, seconds: float) -> None:
        task = Timed((number, seconds, rng.random()), seconds, stamped=stamped)
        await poller.wait(task, timeout=1e6)
        seen.append((task.polls, anyio.current_time() - task.ends))

    waits: list[asyncio.Task[None]] = []
    for number, seconds in enumerate(durations):
        waits.append(asyncio.ensure_future(wait(number, seconds)))
        await asyncio.sleep(rng.expovariate(1))
    await asyncio.gather(*waits)
    return seen


def drawn(law: Law, number: int, rng: Random) -> list[float]:
    """Draw durations at random."""
    return [law.age_by(rng.random()) for _ in range(number)]


def even(law: Law, number: int, rng: Random) -> list[float]:
    """Return durations that stand for the whole law, in a random order: their noise is small."""
    durations = [law.age_by((each + 0.5) / number) for each in range(number)]
    rng.shuffle(durations)
    return durations


def cost_of(seen: Sequence[tuple[int, float]]) -> float:
    """Return the mean cost of a task: polls at 1 s each, and delay."""
    return mean(polls + delay for polls, delay in seen)


@pytest.mark.heavy
@pytest.mark.parametrize(("stamped", "bound"), [(False, 1.15), (True, 1.10)], ids=str)
@pytest.mark.parametrize("name", LAWS)
async def test_after_400_tasks_it_costs_little_more_than_the_optimum(
    name: str, *, stamped: bool, bound: float
) -> None:
    """What it learned from its own polls, or from the provider's timestamps, is near the best."""
    ratios: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        async with Poller(schedule=LearnedSchedule(), rng=Random(seed)) as poller:
            await run(poller, drawn(LAWS[name], LEARNING, rng), rng, stamped=stamped)
            seen = await run(poller, even(LAWS[name], MEASURED, rng), rng, stamped=stamped)
        ratios.append(cost_of(seen) / optimum(name))
    assert median(ratios) <= bound


@pytest.mark.heavy
@pytest.mark.parametrize("factor", [5.0, 0.2], ids=["slower", "faster"])
@pytest.mark.parametrize("name", LAWS)
async def test_a_change_is_followed_within_500_tasks(name: str, factor: float) -> None:
    """When tasks take 5 times as long, or a fifth, the cost is near the new optimum soon."""
    law = LAWS[name].times(factor)
    ratios: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        async with Poller(schedule=LearnedSchedule(), rng=Random(seed)) as poller:
            await run(poller, drawn(LAWS[name], LEARNING, rng), rng)
            await run(poller, drawn(law, 500, rng), rng)
            seen = await run(poller, even(law, 300, rng), rng)
        ratios.append(cost_of(seen) / optimum(name, factor))
    assert median(ratios) <= 1.15


async def test_a_crowd_that_takes_as_long_is_not_polled_in_step() -> None:
    """1,000 tasks that begin together and are known to take 30 s are spread all the same."""
    rng = Random(2)
    sent: list[float] = []
    async with Poller(schedule=LearnedSchedule(), rng=Random(2)) as poller:
        await run(poller, drawn(LAWS["lognormal"], LEARNING, rng), rng)
        tasks = [
            Timed(number, LAWS["lognormal"].age_by(rng.random()), sent=sent)
            for number in range(1000)
        ]
        await asyncio.gather(*(poller.wait(task, timeout=1e6) for task in tasks))
    assert most_within(sent, 0.1) <= 0.06 * len(tasks)


@pytest.mark.heavy
async def test_a_shared_budget_goes_where_it_is_worth_most() -> None:
    """Three kinds that share 50 polls a second: seen 1.15 s late in the mean, never over the rate.

    A fixed interval of 1 s behind a token bucket sees them 2.0 s late.
    """
    late: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        sent: list[float] = []
        schedule = LearnedSchedule(0.05)
        async with Poller(schedule=schedule, rate=50, concurrency=1000, rng=Random(seed)) as poller:
            late += await share(poller, rng, sent)
            (budget,) = poller.stats().budgets
        assert most_within(sent, 5) <= 52 * 5
        began = min(sent)
        assert sum(180 <= instant - began < 340 for instant in sent) / 160 >= 0.93 * 50
        assert budget.price is not None
        assert budget.price > schedule.poll_cost
    assert mean(late) <= 1.15


async def share(poller: Poller, rng: Random, sent: list[float]) -> list[float]:
    """Begin 7 tasks of three kinds a second for 400 s; return how late the later ones were seen."""
    kinds = [(lognormal(5, 0.5), 4.0), (lognormal(30, 0.8), 2.0), (lognormal(120, 0.3), 1.0)]
    late: list[float] = []
    began = anyio.current_time()

    async def wait(task: Timed, *, counts: bool) -> None:
        await poller.wait(task, timeout=1e6)
        if counts:
            late.append(anyio.current_time() - task.ends)

    async def arrive(kind: int) -> None:
        law, rate = kinds[kind]
        waits: list[asyncio.Task[None]] = []
        while (now := anyio.current_time() - began) < 400:
            task = Timed((kind, len(waits)), law.age_by(rng.random()), kind=str(kind), sent=sent)
            waits.append(asyncio.ensure_future(wait(task, counts=180 <= now < 340)))
            await asyncio.sleep(rng.expovariate(rate))
        for each in waits:
            each.cancel()

    await asyncio.gather(*(arrive(kind) for kind in range(3)))
    return late


async def test_the_price_falls_where_the_budget_is_not_scarce() -> None:
    """After a crowd has gone, a poll is worth what the user said."""
    rng = Random(3)
    async with Poller(schedule=LearnedSchedule(0.1), rate=20, rng=Random(3)) as poller:
        crowd = [Timed(number, 30 + 10 * rng.random()) for number in range(800)]
        waits = [asyncio.ensure_future(poller.wait(task)) for task in crowd]
        await asyncio.sleep(25)
        assert (poller.stats().budgets[0].price or 0) > 0.2
        await asyncio.gather(*waits)
        await run(poller, drawn(LAWS["lognormal"], 100, rng), rng)
        assert poller.stats().budgets[0].price == pytest.approx(0.1)


async def test_weight_buys_polls() -> None:
    """Of tasks that are alike, those that weigh 16 are asked about oftener and seen sooner."""
    rng = Random(4)
    polls, late = {1.0: 0, 16.0: 0}, {1.0: 0.0, 16.0: 0.0}

    async def wait(poller: Poller, weight: float, task: Timed) -> None:
        await poller.wait(task, weight=weight)
        polls[weight] += task.polls
        late[weight] += anyio.current_time() - task.ends

    async with Poller(schedule=LearnedSchedule(), rng=Random(4)) as poller:
        await run(poller, drawn(LAWS["lognormal"], LEARNING, rng), rng)
        durations = even(LAWS["lognormal"], 100, rng)
        await asyncio.gather(
            *(
                wait(poller, weight, Timed((weight, seconds), seconds))
                for weight in polls
                for seconds in durations
            )
        )
    assert polls[16.0] > 2.5 * polls[1.0]
    assert late[16.0] < 0.4 * late[1.0]


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [0, 1])
async def test_a_task_that_leaves_its_queue_has_a_clock_of_its_own(seed: int) -> None:
    """Where the answers say that a task left its queue, its end is expected from there."""
    costs: dict[bool, float] = {}
    for apart in (True, False):
        rng = Random(seed)
        seen: list[tuple[int, float]] = []
        async with Poller(schedule=LearnedSchedule(), rng=Random(seed)) as poller:

            async def wait(number: int, task: Timed) -> None:
                await poller.wait(task, timeout=1e6)
                if number >= LEARNING:
                    seen.append((task.polls, anyio.current_time() - task.ends))  # noqa: B023

            waits: list[asyncio.Task[None]] = []
            for number in range(LEARNING + MEASURED):
                queue_seconds = lognormal(200, 1.0).age_by(rng.random())
                seconds = 100 + 3 * STANDARD.inv_cdf(rng.random())
                task = Queued(number, queue_seconds, seconds, apart=apart)
                waits.append(asyncio.ensure_future(wait(number, task)))
                await asyncio.sleep(rng.expovariate(1))
            await asyncio.gather(*waits)
        costs[apart] = cost_of(seen)
    assert costs[True] < 0.9 * costs[False]


async def test_the_stats_say_what_was_learned() -> None:
    """Each kind has its quantiles, and what learning saves against the best fixed interval."""
    rng = Random(5)
    async with Poller(schedule=LearnedSchedule(), rng=Random(5)) as poller:
        await run(poller, drawn(LAWS["narrow"], 200, rng), rng)
        (kind,) = poller.stats().kinds
    assert kind.kind == "fake.timed"
    assert 150 <= kind.samples <= 200
    assert 27 < kind.p10 < kind.p50 < kind.p90 < 33
    assert kind.cost < 0.6 * kind.fixed_cost


async def test_it_is_the_default_and_begins_as_the_plain_schedule() -> None:
    """A `Poller` that was given none has nothing learned, and polls a first task at once."""
    async with Poller(rng=Random(6)) as poller, Poller(schedule=Schedule(), rng=Random(6)) as plain:
        assert poller.stats().kinds == ()
        times: list[list[float]] = []
        for each in (poller, plain):
            began = anyio.current_time()
            sent: list[float] = []
            await each.wait(Timed("one", 40, sent=sent))
            times.append([instant - began for instant in sent])
    assert times[0] == pytest.approx(times[1])


async def test_a_done_says_why_and_how_late() -> None:
    """The end of a wait says what decided its last gap and for how long the end went unseen."""
    rng = Random(7)
    async with Poller(schedule=LearnedSchedule(), rng=Random(7)) as poller:
        whys: list[str] = []
        async for done in poller.as_done([Timed("first", 0), Timed("second", 10)]):
            whys.append(done.why)
            assert done.unseen is not None
    assert whys == ["first", "schedule"]
    async with Poller(schedule=LearnedSchedule(), rng=Random(7)) as poller:
        await run(poller, drawn(LAWS["narrow"], 50, rng), rng)
        whys.clear()
        tasks = [Timed(number, seconds) for number, seconds in enumerate((1, 30.5, 33))]
        async for done in poller.as_done(tasks):
            whys.append(done.why)
            assert done.unseen is not None
            assert done.unseen > 0
    assert whys[0] == "silence"
    assert set(whys[1:]) <= {"silence", "learned"}
