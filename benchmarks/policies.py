"""Schedules in virtual time: this project's, those of others restated, and the best possible.

A policy follows one task after another, each for as long as it takes, and says how many polls it
made and how late it saw the end. Time is a number here: a poll takes none, and there are no hints
from the server. The restated ones are what a program gets that sets no parameter; their limits on
time or attempts are left out, since no task here fails.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, pairwise, repeat
from random import Random
from statistics import NormalDist

from asyncclient._learning import LearnedSchedule
from asyncclient._schedule import Schedule

# From the seconds that a task takes to the polls made of it and the seconds of delay.
Follow = Callable[[float], tuple[int, float]]
# A policy draws from its own generator and remembers what it likes from task to task.
Policy = Callable[[Random], Follow]
Gaps = Callable[[Random], Iterator[float]]


# --- what others do: the gaps from the start of a task to its polls, a first 0 for one at once ---


def cozepy(_rng: Random) -> Iterator[float]:
    """Do as cozepy 0.20.0, `chat.create_and_poll`: 1 s before each look, which is fixed."""
    return repeat(1.0)


def openai(_rng: Random) -> Iterator[float]:
    """Do as openai 3.54.0, `*_and_poll`: look at once, then each 1,000 ms, its default."""
    return chain((0.0,), repeat(1.0))


def azure(_rng: Random) -> Iterator[float]:
    """Do as azure-core 1.41.0, `AsyncLROBasePolling`: at once, then each 30 s, its default."""
    return chain((0.0,), repeat(30.0))


def google(rng: Random) -> Iterator[float]:
    """Do as google-api-core 2.44.0, `AsyncFuture`: at once, then full jitter under 1 s … 60 s.

    Its `AsyncRetry` begins with 1 s and doubles up to 60 s by default.
    """
    yield 0.0
    for number in count():
        yield rng.uniform(0.0, min(60.0, 2.0 ** min(number, 10)))


def replicate(_rng: Random) -> Iterator[float]:
    """Do as replicate 1.0.7, `Prediction.wait`: 0.5 s before each look, its default."""
    return repeat(0.5)


def fal(_rng: Random) -> Iterator[float]:
    """Do as fal-client 1.0.3, `iter_events`: look at once, then each 0.1 s, its default."""
    return chain((0.0,), repeat(0.1))


def botocore(_rng: Random) -> Iterator[float]:
    """Do as botocore 1.44.5, waiters: at once, then each 15 s.

    Each waiter has its own delay; 15 s is the commonest of all 649.
    """
    return chain((0.0,), repeat(15.0))


def smithy(rng: Random) -> Iterator[float]:
    """Do as the AWS SDKs for Go and Rust, by the waiters of the Smithy specification.

    Look at once, then from minDelay up to minDelay doubled each time and at most maxDelay, evenly
    drawn; by default they are 2 s and 120 s.
    """
    yield 0.0
    for number in count():
        yield rng.uniform(2.0, min(120.0, 2.0 * 2.0 ** min(number, 10)))


PEERS: dict[str, Gaps] = {
    "cozepy": cozepy,
    "openai": openai,
    "azure-core": azure,
    "google-api-core": google,
    "replicate": replicate,
    "fal": fal,
    "botocore": botocore,
    "AWS smithy": smithy,
}


def default_schedule(rng: Random) -> Iterator[float]:
    """Return this project's default: at once, then 1 s growing to 15 s."""
    return chain((0.0,), Schedule().delays(rng))


def by_gaps(gaps: Gaps) -> Policy:
    """Return a policy that does for each task what it does for every other."""

    def policy(rng: Random) -> Follow:
        def follow(duration: float) -> tuple[int, float]:
            age = 0.0
            for polls, gap in enumerate(gaps(rng), 1):
                age += gap
                if age >= duration:
                    return polls, age - duration
            raise ValueError("the gaps have come to an end before the task")

        return follow

    return policy


def at_ages(ages: Sequence[float]) -> Policy:
    """Return a policy that polls at fixed ages, and after the last ever more rarely."""
    gaps = [after - before for before, after in pairwise((0.0, *ages))]
    growing = (gaps[-1] * 1.3**number for number in count(1))
    beyond: list[float] = []

    def more() -> Iterator[float]:
        for number in count():
            if number == len(beyond):
                beyond.append(next(growing))
            yield beyond[number]

    return by_gaps(lambda _rng: chain(gaps, more()))


def by_learning(
    poll_cost: float, *, stamped: bool = False, longest_gap: float | None = None
) -> Policy:
    """Return a policy that learns from task to task: from its polls, or from time stamps too."""

    def policy(rng: Random) -> Follow:
        schedule = LearnedSchedule(poll_cost, longest_gap=longest_gap)

        def draw(width: float) -> float:
            return rng.uniform(0.0, width)

        def follow(duration: float) -> tuple[int, float]:
            age = before = 0.0
            for polls in count():
                age += schedule.gap(age, polls, draw=draw)
                if age >= duration:
                    stamp = duration if stamped else None
                    schedule.observe(age, since=before, stamped=stamp, told=before)
                    return polls + 1, age - duration
                schedule.survived(age, since=before)
                before = age
            raise AssertionError

        return follow

    return policy


# --- the best possible ---


def best_ages(ended: Callable[[float], float], ages: Sequence[float], price: float) -> list[float]:
    """Return the ages at which polls cost least, where the law of durations is known.

    Dynamic programming over a grid of ages: after a poll at age s,
    `W(s) = price·S(s) + min over x of (∫ from s to x of (F(t) - F(s)) dt + W(x))`.

    Args:
        ended: the share of tasks that has ended by an age.
        ages: the grid, from 0 to an age by which all have ended.
        price: the seconds of delay that a poll is worth.
    """
    shares = [ended(age) for age in ages]
    area = [0.0]
    for (low, high), (before, after) in zip(pairwise(ages), pairwise(shares), strict=True):
        middle = ended((low + high) / 2)
        area.append(area[-1] + (high - low) * (before + 4 * middle + after) / 6)
    last = len(ages) - 1
    costs = [0.0] * (last + 1)
    follows = [last] * (last + 1)
    for now in range(last - 1, -1, -1):
        age, share = ages[now], shares[now]
        best = math.inf
        # The best next age grows with this one.
        for then in range(now + 1, follows[now + 1] + 1):
            cost = area[then] - share * ages[then] + costs[then]
            if cost < best:
                best, follows[now] = cost, then
        costs[now] = price * (1 - share) + best - area[now] + share * age
    found: list[float] = []
    now = 0
    while now < last:
        now = follows[now]
        found.append(ages[now])
    return found


# --- how long tasks take ---


@dataclass(frozen=True)
class Law:
    """How long tasks take.

    Attributes:
        name: as it is called.
        ended: the share that has ended by an age.
        age: the age by which a share has ended.
    """

    name: str
    ended: Callable[[float], float]
    age: Callable[[float], float]

    def grid(self, steps: int = 450) -> list[float]:
        """Return ages that are close together where tasks end, and far apart beyond."""
        last = self.age(1 - 1e-6)
        first = max(self.age(1e-5) * 0.7, 1e-3)
        ages = {0.0, last}
        for step in range(steps):
            ages.add(self.age((step + 0.5) / steps))
            ages.add(first * (last / first) ** (step / (steps - 1)))
        return sorted(ages)

    def draw(self, tasks: int, rng: Random) -> list[float]:
        """Return how long a number of tasks take: drawn by chance in even shares, in any order."""
        ages = [self.age((task + rng.uniform(0.001, 0.999)) / tasks) for task in range(tasks)]
        rng.shuffle(ages)
        return ages


def laws() -> list[Law]:
    """Return the laws of the table: one smooth mode, two modes, one time, and a heavy tail."""
    normal = NormalDist()
    mu, sigma = math.log(30) - 0.8**2 / 2, 0.8
    short, long, narrow = NormalDist(5, 0.75), NormalDist(120, 18), NormalDist(30, 0.9)
    most = 0.7
    alpha, least = 1.5, 10.0
    return [
        Law(
            "lognormal, mean 30 s, sigma 0.8",
            lambda age: normal.cdf((math.log(age) - mu) / sigma) if age > 0 else 0.0,
            lambda share: math.exp(mu + sigma * normal.inv_cdf(share)),
        ),
        Law(
            "70 % 5 s, 30 % 120 s, ±15 %",
            lambda age: most * short.cdf(age) + (1 - most) * long.cdf(age),
            lambda share: (
                short.inv_cdf(share / most)
                if share < most
                else long.inv_cdf((share - most) / (1 - most))
            ),
        ),
        Law("30 s, ±3 %", narrow.cdf, narrow.inv_cdf),
        Law(
            "Pareto, alpha 1.5, mean 30 s",
            lambda age: 1 - math.pow(least / age, alpha) if age > least else 0.0,
            lambda share: least * math.pow(1 - share, -1 / alpha),
        ),
    ]


def recorded(name: str, durations: Sequence[float]) -> Law:
    """Return the law of durations that were recorded: as if all of them had been known before."""
    ages = sorted(durations)
    return Law(
        name,
        lambda age: bisect_right(ages, age) / len(ages),
        lambda share: ages[min(len(ages) - 1, int(share * len(ages)))],
    )
