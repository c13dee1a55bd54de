"""Laws of duration, the least that one of them costs, and tasks that are polled one by one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from random import Random
from statistics import NormalDist

from asyncclient._learning import LearnedSchedule

_normal = NormalDist()


@dataclass(frozen=True)
class Law:
    """How long tasks take: `age` is from a share of the tasks to the age by which it has ended."""

    name: str
    age: Callable[[float], float]

    def __str__(self) -> str:
        return self.name

    def ended(self, age: float) -> float:
        """Return the share that has ended by an age, to a millionth."""
        shares = range(1, 10**6)
        return bisect_right(shares, age, key=lambda number: self.age(number / 10**6)) / 10**6

    def stretched(self, factor: float) -> Law:
        """Return the law of tasks that take `factor` times as long."""
        return Law(f"{self.name} times {factor:g}", lambda share: self.age(share) * factor)


def lognormal(mean: float, sigma: float) -> Law:
    """Return a smooth law with one mode."""
    mu = math.log(mean) - sigma**2 / 2
    return Law("lognormal", lambda share: math.exp(mu + sigma * _normal.inv_cdf(share)))


def weibull(shape: float, mean: float) -> Law:
    """Return a law whose hazard grows (shape over 1) or falls."""
    scale = mean / math.gamma(1 + 1 / shape)
    return Law(f"Weibull {shape:g}", lambda share: scale * math.pow(-math.log1p(-share), 1 / shape))


def pareto(alpha: float, mean: float) -> Law:
    """Return a law with a heavy tail, and nothing before its least age."""
    least = mean * (alpha - 1) / alpha
    return Law("Pareto", lambda share: least * math.pow(1 - share, -1 / alpha))


def normal(mean: float, spread: float) -> Law:
    """Return a law of tasks that all take about the same time; `spread` is a share of it."""
    return Law("narrow", NormalDist(mean, mean * spread).inv_cdf)


def bimodal(share: float) -> float:
    """Return the age of a share of tasks of which 70 % take 5 s and the others 120 s, ±15 %."""
    if share < 0.7:
        return NormalDist(5, 0.75).inv_cdf(share / 0.7)
    return NormalDist(120, 18).inv_cdf((share - 0.7) / 0.3) if share > 0.7 else 10.0


def mixed(one: Law, other: Law, share: float) -> Law:
    """Return the law of tasks of which a share follows one law, and the others another."""
    parts = [(number + 0.5) / 5000 for number in range(5000)]
    weighed = [(one.age(part), share / 5000) for part in parts]
    weighed += [(other.age(part), (1 - share) / 5000) for part in parts]
    weighed.sort()
    ages = [age for age, _ in weighed]
    shares = list(accumulate(weight for _, weight in weighed))
    name = f"{share:.0%} {one}, else {other}"
    return Law(name, lambda part: ages[min(bisect_right(shares, part), len(ages) - 1)])


LOGNORMAL = lognormal(30, 0.8)
BIMODAL = Law("bimodal", bimodal)
NARROW = normal(30, 0.03)
# Chosen before the learner was tuned, and never tuned on.
HELD_OUT = mixed(weibull(4, 12), lognormal(75, 0.35), 0.6)
THREE = (LOGNORMAL, NARROW, BIMODAL)
LAWS = (*THREE, weibull(1.5, 30), weibull(0.7, 30), pareto(1.5, 30))


@lru_cache(maxsize=64)
def least_cost(law: Law, price: float, longest: float) -> float:
    """Return what a task costs at least, in polls at their price and seconds of delay.

    Plain dynamic programming over a fine grid of ages by the true law, apart from the package's
    own: every next poll within the longest gap is tried after every poll.
    """
    last = min(law.age(1 - 1e-6), 20 * law.age(0.999))
    first = max(law.age(1e-5) * 0.7, 1e-3)
    grid = {0.0, last}
    for step in range(130):
        grid.add(law.age((step + 0.5) / 130))
        grid.add(first * (last / first) ** (step / 129))
    grid.update(longest * step / 2 for step in range(1, min(60, int(last * 2 / longest))))
    ages = sorted(grid)
    ended = [law.ended(age) for age in ages]
    area = [0.0]
    for (low, high), (before, after) in zip(pairwise(ages), pairwise(ended), strict=True):
        middle = law.ended((low + high) / 2)
        area.append(area[-1] + (high - low) * (before + 4 * middle + after) / 6)
    costs = [0.0] * len(ages)
    for now in range(len(ages) - 2, -1, -1):
        reach = max(now + 2, bisect_right(ages, ages[now] + longest))
        costs[now] = price * (1 - ended[now]) + min(
            area[then] - area[now] - ended[now] * (ages[then] - ages[now]) + costs[then]
            for then in range(now + 1, reach)
        )
    return costs[0]


# How the end of a task becomes known: from the polls alone, or by the provider's clock as well.
POLLS, STAMPS, WHOLE_SECONDS = "polls", "stamps", "whole seconds"


def drawer(rng: Random) -> Callable[[float], float]:
    """Return a function that draws evenly from 0 up to its argument."""
    return lambda width: rng.uniform(0.0, width)


def follow(
    schedule: LearnedSchedule, duration: float, rng: Random, known: str
) -> tuple[int, float]:
    """Poll one task to its end, and let the schedule see it; return its polls and its delay."""
    draw = drawer(rng)
    age = before = 0.0
    polls = 0
    while True:
        age += schedule.gap(age, polls, draw=draw)
        polls += 1
        if age >= duration:
            break
        schedule.survived(age, since=before)
        before = age
    stamped = {POLLS: None, STAMPS: duration, WHOLE_SECONDS: float(round(duration))}[known]
    schedule.observe(age, since=before, stamped=stamped, told=before)
    return polls, age - duration


def mean_cost(
    schedule: LearnedSchedule, law: Law, rng: Random, known: str, *, tasks: int = 300
) -> float:
    """Return what the next tasks cost on average; their durations are drawn in even shares."""
    ends = [follow(schedule, age, rng, known) for age in evenly(law, tasks, rng)]
    return sum(polls * schedule.poll_cost + delay for polls, delay in ends) / tasks


def evenly(law: Law, tasks: int, rng: Random) -> list[float]:
    """Return durations that stand for the whole law, in a random order."""
    ages = [law.age((task + 0.5) / tasks) for task in range(tasks)]
    rng.shuffle(ages)
    return ages


def learn(schedule: LearnedSchedule, law: Law, rng: Random, known: str, *, tasks: int) -> None:
    """Let tasks pass that are drawn by chance."""
    for _ in range(tasks):
        follow(schedule, law.age(rng.uniform(1e-9, 1 - 1e-9)), rng, known)


def learned(
    law: Law, *, tasks: int = 400, seed: int = 1, schedule: LearnedSchedule | None = None
) -> LearnedSchedule:
    """Return a schedule that knows exactly how long some tasks, of even shares of a law, took."""
    schedule = schedule or LearnedSchedule()
    for task in range(tasks):
        schedule.observe(law.age((seed + task) * 0.618034 % 1 + 1e-9))
    return schedule


def middle(width: float) -> float:
    """Draw no chance at all, but the middle."""
    return width / 2
