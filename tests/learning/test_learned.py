"""Tests of learning: what it costs beside the best possible, what it promises, what it keeps."""

from __future__ import annotations

import math
import tracemalloc
from binascii import crc32
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice, pairwise
from random import Random
from statistics import NormalDist, median
from typing import TypeAlias, cast

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from asyncclient._learning import LearnedSchedule
from asyncclient._schedule import Schedule

Sightings: TypeAlias = "list[tuple[str, float, float, int]]"

SEEDS = st.integers(0, 2**32)
_normal = NormalDist()

# As a program without a type checker calls it.
unchecked = cast("Callable[..., LearnedSchedule]", LearnedSchedule)
unchecked_from_bytes = cast("Callable[..., LearnedSchedule]", LearnedSchedule.from_bytes)


# --- laws of duration, and the least that one of them costs -------------------------------------


@dataclass(frozen=True)
class Law:
    """How long tasks take.

    Args:
        name: what it is called in the tests' ids.
        age: from a share of the tasks to the age by which it has ended.
    """

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


LOGNORMAL = lognormal(30, 0.8)
BIMODAL = Law("bimodal", bimodal)
NARROW = normal(30, 0.03)
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


# --- tasks one after another, in virtual time ---------------------------------------------------

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
    shares = [(task + 0.5) / tasks for task in range(tasks)]
    rng.shuffle(shares)
    ends = [follow(schedule, law.age(share), rng, known) for share in shares]
    return sum(polls * schedule.poll_cost + delay for polls, delay in ends) / tasks


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


# --- what it costs ------------------------------------------------------------------------------

BOUNDS = {POLLS: 1.10, STAMPS: 1.08, WHOLE_SECONDS: 1.08}


def over_the_optimum(
    law: Law,
    known: str = POLLS,
    *,
    price: float = 1.0,
    longest_gap: float | None = None,
    after: Law | None = None,
) -> float:
    """Return what a task costs after 400 tasks, over the least: the median of three runs.

    With a law `after`, tasks follow that one then, and what a task costs 500 tasks later counts.
    """
    ratios: list[float] = []
    for seed in range(3):
        rng = Random(seed)
        schedule = LearnedSchedule(price, longest_gap=longest_gap)
        learn(schedule, law, rng, known, tasks=400)
        if after is not None:
            learn(schedule, after, rng, known, tasks=500)
        cost = mean_cost(schedule, after or law, rng, known)
        ratios.append(cost / least_cost(after or law, price, math.inf))
    return median(ratios)


@pytest.mark.heavy
@pytest.mark.parametrize("known", BOUNDS)
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_after_400_tasks_it_costs_little_more_than_the_best_possible(law: Law, known: str) -> None:
    """It costs at most 10 % over the optimum when it learns from its polls, 8 % with stamps."""
    assert over_the_optimum(law, known) <= BOUNDS[known]


def test_a_longer_bound_lets_it_be_silent_for_longer() -> None:
    """Between two modes it is silent again: with room for that, it comes as near to the optimum."""
    assert over_the_optimum(BIMODAL, longest_gap=300) <= BOUNDS[POLLS]


@pytest.mark.heavy
@pytest.mark.parametrize("factor", [5, 0.2])
@pytest.mark.parametrize("law", THREE, ids=str)
def test_the_bound_holds_at_other_prices_and_after_a_jump(law: Law, factor: float) -> None:
    """Polls or, 500 tasks later, durations may be worth five times as much, or a fifth."""
    if law is not NARROW:
        assert over_the_optimum(law, price=factor) <= BOUNDS[POLLS]
    assert over_the_optimum(law, after=law.stretched(factor)) <= BOUNDS[POLLS]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_no_change_is_seen_where_there_is_none(law: Law) -> None:
    """Over 1,000 tasks of one law nothing is forgotten but by age."""
    rng = Random(4)
    schedule = LearnedSchedule()
    size = 0
    for _ in range(1000):
        learn(schedule, law, rng, POLLS, tasks=1)
        assert schedule.sample_size() >= min(size + 1, 500 - 25)
        size = schedule.sample_size()


def test_tasks_that_do_not_end_are_a_change_by_themselves() -> None:
    """When all tasks hang, that is noticed before one has ended."""
    schedule = learned(NARROW)
    schedule.gap(0, 0)  # which makes the plan
    assert schedule.sample_size() == 400
    for age in range(40):
        for _ in range(20):
            schedule.survived(age + 1, since=age)
    assert schedule.sample_size() < 8
    assert schedule.gap(0, 0) == 0


def test_a_mode_that_moves_into_a_silence_is_found() -> None:
    """Half of the tasks begin to end where no poll was made; a rare early poll finds them."""
    rng = Random(5)
    schedule = LearnedSchedule()
    learn(schedule, NARROW, rng, POLLS, tasks=400)
    short, long = normal(3, 0.1), NARROW
    for task in range(600):
        law = short if task % 2 else long
        follow(schedule, law.age(rng.uniform(1e-9, 1 - 1e-9)), rng, POLLS)
    delays = [follow(schedule, short.age((task + 0.5) / 50), rng, POLLS)[1] for task in range(50)]
    assert sum(delays) / 50 < 3


# --- what it promises ---------------------------------------------------------------------------


@st.composite
def fallbacks(draw: st.DrawFn) -> Schedule:
    """Draw a schedule to lean on."""
    first = draw(st.floats(0.05, 20))
    cap = first * draw(st.floats(1, 50))
    return Schedule(first, draw(st.floats(1, 4)), cap, draw(st.floats(0, 0.9)))


AGES = st.integers(0, 90).map(float) | st.floats(0, 1e-3) | st.floats(0, 300) | st.floats(0, 1e9)
SIGHTINGS = st.lists(
    st.tuples(st.sampled_from(["end", "exact", "stamp", "alive"]), AGES, AGES, st.integers(1, 40)),
    max_size=12,
)


def show(schedule: LearnedSchedule, sightings: Sightings) -> None:
    """Let a schedule see anything at all, and make plans in between."""
    for what, one, other, times in sightings:
        low, high = sorted((one, other))
        for _ in range(times):
            if what == "end":
                schedule.observe(high, since=low)
            elif what == "exact":
                schedule.observe(high)
            elif what == "stamp":
                schedule.observe(high, since=low, stamped=one * 2 - other)
            else:
                schedule.survived(high, since=low)
        schedule.gap(low, 1)


def polls_of(fallback: Schedule, until: float) -> int:
    """Return how many polls a schedule makes by an age without its jitter, that at 0 included."""
    exact = Schedule(fallback.first, fallback.factor, fallback.cap, 0)
    age, polls = 0.0, 0
    for delay in exact.delays():
        if age > until:
            break
        polls += 1
        age += delay
    return polls


@settings(max_examples=25)  # each makes many plans
@given(
    fallbacks(),
    SIGHTINGS,
    st.lists(SIGHTINGS, max_size=2),
    st.floats(0.01, 100),
    st.floats(0.01, 100),
    SEEDS,
)
def test_it_keeps_its_promises_whatever_it_has_seen_or_merged(
    fallback: Schedule,
    own: Sightings,
    others: list[Sightings],
    price: float,
    weight: float,
    seed: int,
) -> None:
    """Gaps are positive and within the longest, and polls at most 2·n + 4 of the fallback's n.

    Where a poll costs less than 1 s of the task's delay, that is divided by the root of the cost.
    """
    longest = max(60.0, fallback.cap)
    schedule = LearnedSchedule(fallback=fallback, longest_gap=longest)
    show(schedule, own)
    states: list[bytes] = []
    for sightings in others:
        other = LearnedSchedule()
        show(other, sightings)
        states.append(other.to_bytes())
    assert schedule.merge(states) == len(others)
    draw = drawer(Random(seed))
    # Prices are rounded to levels a fifth apart.
    more = max(1.0, math.sqrt(1.1 * weight / price))
    age, polls = 0.0, 0
    while polls < 40:
        gap = schedule.gap(age, polls, price=price, weight=weight, draw=draw)
        assert 0 < gap <= longest or (gap == 0 and not polls)
        age += gap
        polls += 1
        assert polls <= (2 * polls_of(fallback, age + 1e-6) + 4) * more + 1
    show(schedule, own)
    delays = list(islice(schedule.delays(Random(seed)), 40))
    assert all(0 < delay <= longest for delay in delays)
    assert delays == list(islice(schedule.delays(Random(seed)), 40))


@pytest.mark.parametrize(
    "durations",
    [
        pytest.param([30.0] * 1000, id="equal"),
        pytest.param([0.0] * 1000, id="none"),
        pytest.param([1e12] * 1000, id="for ever"),
        pytest.param([0.0, 1e12] * 500, id="none or for ever"),
        pytest.param([30.0] * 999 + [1e9], id="one for ever"),
        pytest.param([task * 0.001 for task in range(1000)], id="even"),
    ],
)
def test_extreme_samples_make_usable_gaps(durations: list[float]) -> None:
    """Durations that are all alike, or as far apart as can be, are learned from as well."""
    schedule = LearnedSchedule(longest_gap=60)
    for duration in durations:
        schedule.observe(duration)
    ages = [0, 1e-9, 1, 29.9, 30, 31, 1e4, 1e6, 1e12, math.inf, math.nan, -1]
    for price in (0.0, 1e-9, 1.0, 1e9, math.inf):
        for age in ages:
            assert 0.01 <= schedule.gap(age, 1, price=price) <= 60
    assert 0 <= cast("float", schedule.quantile(0.5)) <= 1.01e6
    assert len(schedule.to_bytes()) < 500


def test_many_tasks_take_no_more_room_than_the_last_500() -> None:
    """What counts of 20,000 tasks, and what is saved of it, is bounded."""
    schedule = LearnedSchedule()
    rng = Random(7)
    for _ in range(20_000):
        schedule.observe(rng.lognormvariate(3, 1))
    assert 475 <= schedule.sample_size() <= 525
    assert schedule.quantile(0.5) == pytest.approx(math.exp(3), rel=0.15)
    assert len(schedule.to_bytes()) < 500


def test_a_herd_does_not_poll_in_step() -> None:
    """Of 2,000 tasks begun at once, no 100 ms hold a tenth of the polls of any one round."""
    schedule = learned(LOGNORMAL)
    draw = drawer(Random(9))
    assert len({schedule.gap(0, 0) for _ in range(20)}) == 20  # without a generator as well
    assert next(schedule.delays()) != next(schedule.delays())
    ages = [0.0] * 2000
    for polls in range(4):
        ages = sorted(age + schedule.gap(age, polls, draw=draw) for age in ages)
        crowds = [bisect_right(ages, begin + 0.1) - at for at, begin in enumerate(ages)]
        assert max(crowds) <= 200


def test_jitter_is_small_where_timing_matters() -> None:
    """Where all tasks end within seconds, a long silence is not blurred by a share of itself."""
    schedule = learned(normal(300, 0.01), tasks=200)
    draw = drawer(Random(10))
    silences = [schedule.gap(260, 5, draw=draw) + 260 for _ in range(300)]
    assert max(silences) - min(silences) < 4


# --- what it learns from ------------------------------------------------------------------------


def middle(width: float) -> float:
    """Draw no chance at all, but the middle."""
    return width / 2


def test_before_eight_ends_it_is_its_fallback() -> None:
    """A kind of which too little is known is polled at once, and then as the fallback says."""
    fallback = Schedule(first=2, factor=3, cap=20)
    schedule = LearnedSchedule(fallback=fallback)
    for age in range(1, 2000):
        schedule.survived(age)
    for _ in range(7):
        schedule.observe(30)
    assert schedule.gap(0, 0) == 0
    for seed in range(5):
        delays = islice(schedule.delays(Random(seed)), 9)
        assert list(delays) == list(islice(fallback.delays(Random(seed)), 9))
    assert schedule.quantile(0.5) is None
    assert schedule.efficiency() is None
    for _ in range(8):
        schedule.observe(30, kind="known")
    assert schedule.gap(0, 0, kind="known") > 15


def test_it_is_silent_until_it_pays() -> None:
    """Before the first tasks end there is no poll, and then a few close together.

    A task that is seen first when tasks are about to end, or later, is polled at once.
    """
    schedule = learned(NARROW)
    silence = schedule.gap(0, 0, draw=middle)
    assert 28 < silence < 32
    assert schedule.gap(silence, 1, draw=middle) < 2
    delays = list(islice(schedule.delays(Random(1)), 3))
    assert 28 < delays[0] < 32
    assert max(delays[1:]) < 3
    assert schedule.gap(10, 0, draw=middle) + 10 == pytest.approx(30, abs=2)
    assert schedule.gap(40, 0) == 0


def test_ends_between_polls_are_spread_as_the_polls_show() -> None:
    """Ends seen by polls at random times give back the law behind them.

    It is the same whether each poll is reported, or the last ones at the end.
    """
    one_by_one, at_the_end = LearnedSchedule(), LearnedSchedule()
    rng = Random(11)
    for _ in range(500):
        duration = BIMODAL.age(rng.uniform(1e-9, 1 - 1e-9))
        before, age = 0.0, rng.uniform(0, 2)
        while age < duration:
            one_by_one.survived(age, since=before)
            before, age = age, age + rng.uniform(0.2, 4)
        one_by_one.observe(age, since=before, told=before)
        at_the_end.observe(age, since=before)
        at_the_end.gap(0, 0)
    for share in (0.2, 0.5, 0.85, 0.95):
        expected = at_the_end.quantile(share)
        assert expected == pytest.approx(BIMODAL.age(share), rel=0.1)
        assert one_by_one.quantile(share) == pytest.approx(expected, rel=0.02)


def test_pending_tasks_count() -> None:
    """When a crowd was begun at once and few have ended, the others are not taken for as quick."""
    law = LOGNORMAL
    shown, silent = LearnedSchedule(), LearnedSchedule()
    for task in range(400):
        duration = law.age((task + 0.5) / 400)
        for schedule in (shown, silent):
            if duration < 15:
                schedule.observe(duration)
            elif schedule is shown:
                schedule.survived(15)
    assert shown.quantile(0.25) == pytest.approx(law.age(0.25), rel=0.1)
    assert cast("float", shown.quantile(0.5)) > 18
    assert cast("float", silent.quantile(0.99)) < 18


def test_a_task_seen_late_says_nothing_of_earlier_ages() -> None:
    """Tasks that are a minute old when they are first seen do not make short ones look rare."""
    schedule = LearnedSchedule()
    for task in range(200):
        schedule.observe(5 + task % 3)
    for task in range(200):
        schedule.observe(100 + task % 10, told=60)
    assert schedule.quantile(0.9) == pytest.approx(7, abs=1)


def test_a_time_stamp_is_moved_into_what_the_polls_saw() -> None:
    """One from before the last unfinished poll, or after the end was seen, is set right.

    One that is no number of seconds counts as none.
    """
    for stamped in (-1e9, 3.0, 41.0, 1e300):
        schedule = LearnedSchedule()
        for _ in range(50):
            schedule.observe(30, since=28, stamped=stamped)
        assert cast("float", schedule.quantile(0.02)) > 25
        assert cast("float", schedule.quantile(0.98)) < 34
    states: set[bytes] = set()
    for stamp in (None, math.nan, math.inf, -math.inf):
        schedule = LearnedSchedule()
        for task in range(50):
            schedule.observe(30 + task, since=28, stamped=stamp)
        states.add(schedule.to_bytes())
    assert len(states) == 1


def test_whole_seconds_are_taken_for_rounded() -> None:
    """Tasks of half a second to two, stamped in whole seconds, are not all taken for 1 s."""
    rng = Random(13)
    schedule = LearnedSchedule()
    for _ in range(400):
        schedule.observe(3, stamped=float(round(rng.uniform(0.5, 1.5))))
    assert cast("float", schedule.quantile(0.1)) < 0.8
    assert cast("float", schedule.quantile(0.9)) > 1.2


def test_known_durations_give_known_quantiles() -> None:
    """What is known exactly is given back, at every scale."""
    for factor in (0.01, 1.0, 100.0):
        law = LOGNORMAL.stretched(factor)
        schedule = learned(law)
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            assert schedule.quantile(share) == pytest.approx(law.age(share), rel=0.06)


def test_only_where_ends_are_vague_is_a_silence_cut_short_now_and_then() -> None:
    """One gap in about 32 looks into a silence, unless the provider's clock shows the ends."""
    vague, exact = LearnedSchedule(), LearnedSchedule()
    rng = Random(14)
    learn(vague, NARROW, rng, POLLS, tasks=300)
    learn(exact, NARROW, rng, STAMPS, tasks=300)
    draw = drawer(rng)
    early = [sum(each.gap(0, 0, draw=draw) < 25 for _ in range(3200)) for each in (vague, exact)]
    assert 30 < early[0] < 160
    assert early[1] == 0


# --- kinds, prices, figures ---------------------------------------------------------------------


def test_kinds_do_not_mix() -> None:
    """Each kind is learned by itself; the default is one of them, and the repr names them all."""
    schedule = LearnedSchedule()
    for _ in range(20):
        schedule.observe(5.5)
        schedule.observe(50.5, kind="slow")
        schedule.survived(1, kind="new")
    assert schedule.gap(0, 0, draw=middle) == pytest.approx(5.5, rel=0.2)
    assert schedule.gap(0, 0, kind="slow", draw=middle) == pytest.approx(50.5, rel=0.2)
    assert schedule.gap(0, 0, kind="new") == 0
    assert schedule.gap(0, 0, kind="unheard of") == 0
    assert schedule.kinds == ("", "slow", "new")
    assert (schedule.sample_size(), schedule.sample_size("new")) == (20, 0)
    assert schedule.sample_size("unheard of") == 0
    assert repr(schedule) == "<LearnedSchedule poll_cost=1, ends: '' 20, 'slow' 20, 'new' 0>"
    assert repr(LearnedSchedule(2)) == "<LearnedSchedule poll_cost=2, ends: none>"


def test_the_64_kinds_seen_last_are_kept() -> None:
    """A kind that is still seen stays; to ask for one does not keep it."""
    schedule = LearnedSchedule()
    for number in range(500):
        schedule.observe(1, kind=f"kind {number}")
        schedule.observe(1)
        schedule.gap(0, 0, kind="only asked for")
    assert len(schedule.kinds) == 64
    assert schedule.sample_size() == 500
    assert {f"kind {number}" for number in range(437, 500)} | {""} == set(schedule.kinds)


def mean_polls(
    schedule: LearnedSchedule, *, price: float | None = 1.0, weight: float = 1.0
) -> float:
    """Return how many polls lognormal tasks take at a price and weight, on average."""
    total = 0
    for task in range(200):
        duration = LOGNORMAL.age((task + 0.5) / 200)
        age, polls = 0.0, 0
        while age < duration:
            age += schedule.gap(age, polls, draw=middle, price=price, weight=weight)
            polls += 1
        total += polls
    return total / 200


def test_a_dear_poll_is_made_more_rarely() -> None:
    """Polls fall with the square root of the price, and rise with that of the weight.

    The price is `poll_cost` by default.
    """
    schedule = learned(LOGNORMAL)
    polls = [mean_polls(schedule, price=price) for price in (1 / 16, 0.3, 1.0, 3.0, 30.0)]
    assert polls == sorted(polls, reverse=True)
    assert len(set(polls)) == 5
    assert 3 * polls[2] <= polls[0] <= 5 * polls[2]
    assert mean_polls(schedule, weight=4.0) == pytest.approx(mean_polls(schedule, price=0.25))
    assert mean_polls(schedule, weight=4.0) == pytest.approx(2 * polls[2], rel=0.25)
    state = schedule.to_bytes()
    dear = LearnedSchedule.from_bytes(state, poll_cost=3)
    assert mean_polls(dear, price=None) == mean_polls(LearnedSchedule.from_bytes(state), price=3)
    assert mean_polls(dear, price=None) < polls[2]


def test_prices_may_come_and_go() -> None:
    """A plan is kept for a few prices alone, and each price gets the same gap again."""
    schedule = learned(LOGNORMAL)
    schedule.gap(20, 3)
    prices = [1.2**step for step in range(-16, 16)]
    tracemalloc.start()
    try:
        gaps = [schedule.gap(20, 3, price=price, draw=middle) for price in prices]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert gaps == [schedule.gap(20, 3, price=price, draw=middle) for price in prices]
    assert gaps == sorted(gaps)
    assert size < 300_000


@pytest.mark.parametrize(
    ("law", "worth", "regularity"),
    [(weibull(1.0, 30), 1.0, 1.0), (BIMODAL, 1.7, 0.23), (NARROW, 2.5, 0.13)],
    ids=["exponential", "bimodal", "narrow"],
)
def test_it_says_what_learning_is_worth(law: Law, worth: float, regularity: float) -> None:
    """A fixed interval is best for a constant hazard, and the worse the plainer the modes are."""
    schedule = learned(law, schedule=LearnedSchedule(longest_gap=300))
    found = schedule.efficiency()
    assert found is not None
    assert found.cost == pytest.approx(least_cost(law, 1.0, 300.0), rel=0.08)
    assert found.fixed_cost / found.cost == pytest.approx(worth, rel=0.15)
    assert found.regularity == pytest.approx(regularity, abs=0.08)
    dear = schedule.efficiency(price=10)
    assert dear is not None
    assert dear.fixed_interval > found.fixed_interval
    assert dear.cost == pytest.approx(least_cost(law, 10.0, 300.0), rel=0.12)


# --- keeping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_what_was_learned_survives_in_a_few_hundred_bytes(law: Law) -> None:
    """A restored schedule knows the same quantiles, and costs the same."""
    schedule = LearnedSchedule()
    rng = Random(16)
    learn(schedule, law, rng, STAMPS, tasks=400)
    data = schedule.to_bytes()
    assert len(data) < 400
    restored = LearnedSchedule.from_bytes(data)
    assert restored.sample_size() == pytest.approx(schedule.sample_size(), abs=2)
    for share in (0.1, 0.5, 0.75, 0.95):
        assert restored.quantile(share) == pytest.approx(schedule.quantile(share), rel=0.1)
    assert mean_cost(restored, law, rng, STAMPS) <= 1.15 * least_cost(law, 1.0, 60.0)


def test_tasks_that_outlived_all_ends_are_kept_too() -> None:
    """Where half of the tasks were given up late, a restored schedule knows that as well."""
    schedule = LearnedSchedule()
    for task in range(200):
        schedule.observe(5 + task % 20 / 10)
        schedule.survived(100)
    restored = LearnedSchedule.from_bytes(schedule.to_bytes())
    for share in (0.3, 0.45):
        assert restored.quantile(share) == pytest.approx(schedule.quantile(share), rel=0.03)
    assert restored.quantile(0.52) == pytest.approx(schedule.quantile(0.52), rel=0.1)


def test_restored_tasks_are_forgotten_in_their_turn() -> None:
    """Old tasks leave a restored sample bit by bit as new ones come."""
    restored = LearnedSchedule.from_bytes(learned(LOGNORMAL, tasks=500).to_bytes())
    sizes: list[int] = []
    for _ in range(600):
        restored.observe(20.5)
        sizes.append(restored.sample_size())
    assert min(sizes) > 470
    assert max(sizes) <= 525
    assert restored.quantile(0.9) == pytest.approx(20.5, rel=0.05)


def test_kinds_with_little_in_them_survive_too() -> None:
    """Kinds of which too little is known for a plan are kept as they are, with their names."""
    schedule = LearnedSchedule()
    schedule.survived(10, kind="pending")
    for task in range(5):
        schedule.observe(20 + task, since=19, kind="few")
    restored = LearnedSchedule.from_bytes(schedule.to_bytes(), poll_cost=3, longest_gap=90)
    assert restored.kinds == ("pending", "few")
    assert restored.sample_size("few") == 5
    assert (restored.poll_cost, restored.longest_gap) == (3, 90)
    for _ in range(3):
        restored.observe(22, since=19, kind="few")
    assert 15 < restored.gap(0, 0, kind="few", draw=middle) < 25
    assert LearnedSchedule.from_bytes(LearnedSchedule().to_bytes()).kinds == ()


@cache
def saved() -> bytes:
    """Return what one kind looks like when it is saved."""
    return learned(LOGNORMAL, tasks=30).to_bytes()


@given(st.binary(max_size=64), st.integers(0, len(saved()) - 1), st.integers(1, 255))
def test_changed_bytes_are_refused(garbage: bytes, at: int, change: int) -> None:
    """Garbage, a changed byte or a missing end raises, and the error says what to do."""
    data = saved()
    for wrong in (garbage, data[:at], data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]):
        with pytest.raises(ValueError, match=r"^not a saved LearnedSchedule: .* or learn again$"):
            LearnedSchedule.from_bytes(wrong)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(["k", 0, 0, [[5000, 1, 64]]], id="late"),
        pytest.param(["k", 0, 0, [[-1, 1, 64]]], id="early"),
        pytest.param(["k", 0, 0, [[1, 0, 64]]], id="empty"),
        pytest.param(["k", 0, 0, [[1, 1, 10**9]]], id="many"),
        pytest.param(["k", -1, 0, [[1, 1, 64]]], id="negative"),
        pytest.param(["k", 10**9, 0, [[1, 1, 64]]], id="left"),
        pytest.param(["k", 0, 5000, [[1, 1, 64]]], id="until"),
        pytest.param([3, 0, 0, [[1, 1, 64]]], id="unnamed"),
        pytest.param(["k"], id="cut"),
    ],
)
def test_numbers_that_were_never_saved_are_refused(kind: object) -> None:
    """Bytes with a good checksum and numbers out of range are not taken in either."""
    body = msgspec.msgpack.encode([kind])
    with pytest.raises(ValueError, match=r"^not a saved LearnedSchedule: "):
        LearnedSchedule.from_bytes(saved()[:5] + crc32(body).to_bytes(4, "big") + body)


def test_another_version_or_what_is_no_bytes_is_refused() -> None:
    """Bytes of a later version are refused by its number; anything else is the caller's mistake."""
    data = saved()
    with pytest.raises(ValueError, match=r"it is of version '03', and this library reads '02'"):
        LearnedSchedule.from_bytes(data[:4] + b"\x03" + data[5:])
    for wrong in (None, "ACLS", 3, [1]):
        with pytest.raises(TypeError, match="from_bytes takes the bytes that to_bytes returned"):
            unchecked_from_bytes(wrong)


# --- numbers that cannot be ---------------------------------------------------------------------


def test_each_setting_is_checked() -> None:
    """A setting that cannot be raises at once, by its name."""
    for name in ("poll_cost", "longest_gap"):
        with pytest.raises(ValueError, match=rf"^LearnedSchedule: {name}=0 must be more than 0 s"):
            unchecked(**{name: 0})
        with pytest.raises(TypeError, match=rf"^LearnedSchedule: {name} must be a number of sec"):
            unchecked(**{name: "1"})
    with pytest.raises(TypeError, match="fallback must be a Schedule, not float"):
        unchecked(fallback=1.0)
    with pytest.raises(ValueError, match=r"longest_gap=10.0 must be at least .* cap=15.0 seconds"):
        LearnedSchedule(longest_gap=10)


def test_ages_that_cannot_be_are_refused() -> None:
    """Ages that are no ages raise, and nothing is learned."""
    schedule = LearnedSchedule()
    inf, nan = math.inf, math.nan
    for since, seconds in ((0, -1), (2, 1), (-1, 1), (0, nan), (nan, 1), (0, inf), (inf, inf)):
        with pytest.raises(ValueError, match="ages are finite seconds"):
            schedule.observe(seconds, since=since)
        with pytest.raises(ValueError, match="ages are finite seconds"):
            schedule.observe(seconds, told=since)
        with pytest.raises(ValueError, match="ages are finite seconds"):
            schedule.survived(seconds, since=since)
    assert schedule.kinds == ()


def test_a_price_weight_or_share_that_cannot_be_is_refused() -> None:
    """It raises whether or not anything is known."""
    nothing = LearnedSchedule()
    for price, weight in ((-1, 1), (math.nan, 1), (1, 0), (1, -1), (1, math.inf), (1, math.nan)):
        with pytest.raises(ValueError, match=r"price=.* must be 0 or more, and weight="):
            nothing.gap(1, 1, price=price, weight=weight)
    for share in (-0.1, 1, math.nan):
        with pytest.raises(ValueError, match="must be 0 or more and less than 1"):
            nothing.quantile(share)


def test_by_default_the_longest_gap_follows_how_long_tasks_take() -> None:
    """Tasks that take ten minutes are left alone for longer than a minute; others are not."""
    slow, quick = LearnedSchedule(), LearnedSchedule()
    rng = Random(11)
    for _ in range(100):
        slow.observe(rng.gauss(600, 10))
        quick.observe(rng.gauss(30, 1))
    assert 500 < slow.gap(0, 0) < 620
    assert slow.gap(1e5, 50) <= 660
    assert quick.gap(1e5, 50) <= 60
    assert LearnedSchedule(longest_gap=60).longest_gap == 60
