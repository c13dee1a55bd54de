"""Tests of learning: what it costs beside the best possible, and what it promises."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from itertools import accumulate, islice, takewhile
from random import Random
from statistics import mean, quantiles
from typing import TypeAlias, cast

import pytest
from hypothesis import given, settings, strategies as st

from asyncclient._learning import LearnedSchedule
from asyncclient._schedule import Schedule
from tests.learning.laws import (
    BIMODAL,
    HELD_OUT,
    LAWS,
    LOGNORMAL,
    NARROW,
    POLLS,
    STAMPS,
    THREE,
    WHOLE_SECONDS,
    Law,
    drawer,
    evenly,
    follow,
    learn,
    learned,
    least_cost,
    lognormal,
    mean_cost,
    middle,
    mixed,
    normal,
)

SEEDS = st.integers(0, 2**32)
Sightings: TypeAlias = "list[tuple[str, float, float, int]]"

# As a program without a type checker calls it.
unchecked = cast("Callable[..., LearnedSchedule]", LearnedSchedule)

BOUNDS = {POLLS: 1.08, STAMPS: 1.05, WHOLE_SECONDS: 1.05}
CHANGED_BOUND = 1.10  # at other prices
AFTER_A_JUMP = 1.15  # at worst of the means: where all take as long, and then five times that


def over_the_optimum(
    law: Law,
    known: str = POLLS,
    *,
    price: float = 1.0,
    longest_gap: float | None = None,
    after: Law | None = None,
) -> float:
    """Return what a task costs after 400 tasks, over the least: the mean of five runs.

    With a law `after`, tasks follow that one then, and what a task costs 500 tasks later counts.
    """
    law_then = after or law
    if law_then.age(1e-6) > 60:
        longest_gap = 600.0  # or the look within a minute would be wasted on each
    ratios: list[float] = []
    for seed in range(5):
        rng = Random(seed)
        schedule = LearnedSchedule(price, longest_gap=longest_gap)
        learn(schedule, law, rng, known, tasks=400)
        if after is not None:
            learn(schedule, after, rng, known, tasks=500)
        cost = mean_cost(schedule, law_then, rng, known)
        ratios.append(cost / least_cost(law_then, price, math.inf))
    return mean(ratios)


@pytest.mark.heavy
@pytest.mark.parametrize("known", BOUNDS)
@pytest.mark.parametrize("law", [*LAWS, HELD_OUT], ids=str)
def test_after_400_tasks_it_costs_little_more_than_the_best_possible(law: Law, known: str) -> None:
    """It costs at most 8 % over the optimum when it learns from its polls, 5 % with stamps."""
    assert over_the_optimum(law, known) <= BOUNDS[known]


def test_a_longer_bound_lets_it_be_silent_for_longer() -> None:
    """Between two modes it is silent again: with room for that, it comes as near to the optimum."""
    assert over_the_optimum(BIMODAL, longest_gap=300) <= CHANGED_BOUND


@pytest.mark.heavy
@pytest.mark.parametrize("factor", [5, 0.2])
@pytest.mark.parametrize("law", THREE, ids=str)
def test_the_bound_holds_at_other_prices_and_after_a_jump(law: Law, factor: float) -> None:
    """Polls or, 500 tasks later, durations may be worth five times as much, or a fifth."""
    if law is not NARROW:
        assert over_the_optimum(law, price=factor) <= CHANGED_BOUND
    assert over_the_optimum(law, after=law.stretched(factor)) <= AFTER_A_JUMP


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
    return 1 + sum(1 for _ in takewhile(lambda age: age <= until, accumulate(exact.delays())))


@settings(max_examples=12)  # each makes many plans
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
    exact = LearnedSchedule()
    for _ in range(400):
        exact.observe(3, stamped=1.1)  # nor is any other time rounded
    assert cast("float", exact.quantile(0.1)) > 1


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
        LearnedSchedule(fallback=Schedule(cap=15.0), longest_gap=10)
    assert LearnedSchedule(longest_gap=2).fallback == Schedule(first=2, cap=2)


def test_ages_that_cannot_be_are_refused() -> None:
    """Ages that are no ages raise, and nothing is learned."""
    schedule = LearnedSchedule()
    inf, nan = math.inf, math.nan
    for since, seconds in ((0, -1), (2, 1), (-1, 1), (0, nan), (nan, 1), (0, inf), (inf, inf)):
        with pytest.raises(ValueError, match="ages are finite seconds"):
            schedule.observe(seconds, since=since)
        with pytest.raises(ValueError, match="ages are finite seconds"):
            schedule.observe(seconds, told=since)
        with pytest.raises(ValueError, match=r"s: ages are finite seconds .* before another$"):
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
    """Tasks that take ten minutes are left alone for longer than a minute once looked at."""
    slow, quick = LearnedSchedule(), LearnedSchedule()
    rng = Random(11)
    for _ in range(100):
        slow.observe(rng.gauss(600, 10))
        quick.observe(rng.gauss(30, 1))
    draw = drawer(rng)
    firsts = {slow.gap(0, polls, draw=draw) for polls in (0, 1) for _ in range(20)}
    assert 30 < min(firsts) < max(firsts) <= 60
    assert len(firsts) == 40  # a crowd is spread there, too
    assert 0 < slow.gap(540, 0) < 60
    assert 0 < slow.gap(300, 0) <= 60
    assert 400 < slow.gap(60, 1) < 560
    assert slow.gap(1e5, 50) <= 660
    assert quick.gap(1e5, 50) <= 60
    assert LearnedSchedule(longest_gap=60).longest_gap == 60


def test_before_three_ends_it_is_its_fallback() -> None:
    """A kind of which too little is known is polled at once, and then as the fallback says."""
    fallback = Schedule(first=2, factor=3, cap=20)
    schedule = LearnedSchedule(fallback=fallback)
    for age in range(1, 2000):
        schedule.survived(age)
    for _ in range(2):
        schedule.observe(30)
    assert schedule.gap(0, 0) == 0
    for seed in range(5):
        delays = islice(schedule.delays(Random(seed)), 9)
        assert list(delays) == list(islice(fallback.delays(Random(seed)), 9))
    assert schedule.quantile(0.5) is None
    assert schedule.efficiency() is None
    for _ in range(3):
        schedule.observe(30, kind="known")
    assert schedule.gap(0, 0, kind="known") > 15
    assert schedule.quantile(0.5, "known") == pytest.approx(30, rel=0.1)
    assert schedule.quantile(0.5, "unknown") is None


def test_without_an_age_it_is_that_of_the_beginning() -> None:
    """Of the gaps of a task, of one that has not ended, and of a share."""
    schedule = LearnedSchedule()
    schedule.survived(0.5)
    for _ in range(20):
        schedule.observe(30)
    first = next(schedule.delays(Random(1)))
    assert first == schedule.gap(0.0, 1, draw=drawer(Random(1)))
    assert schedule.quantile(0.0) == pytest.approx(0, abs=29)


@pytest.mark.parametrize(
    ("factor", "level", "polls", "others"),
    [
        (1.0, 8, 204, 100),  # a dear poll: as many as the others
        (1.0, -8, 416, 98),  # by the root of its price, of 200
        (1.0, 0, 616, 306),  # more than are listed
        (1.1, -20, 3816, 306),
    ],
)
def test_what_was_polled_too_often_waits_for_the_fallback(
    factor: float, level: int, polls: int, others: int
) -> None:
    """A poll is due when the fallback has made half as many, but two."""
    fallback = Schedule(first=2, factor=factor, jitter=0)
    schedule = LearnedSchedule(fallback=fallback)
    for _ in range(5):
        schedule.observe(5)
    due = sum(islice(fallback.delays(), others))
    gap = schedule.gap(due - 50, polls, price=1.2**level, draw=middle)
    assert gap == pytest.approx(50)


def test_a_first_gap_that_is_cut_short_costs_one_poll() -> None:
    """By its own bound, and not by that of later ones, which a fallback raises."""
    found: list[float] = []
    for fallback in (Schedule(), Schedule(cap=300)):
        schedule = LearnedSchedule(fallback=fallback)
        for _ in range(50):
            schedule.observe(200)
        restored = LearnedSchedule.from_bytes(schedule.to_bytes(), fallback=fallback)
        assert restored.fallback == fallback
        worth = restored.efficiency()
        assert worth is not None
        found.append(worth.cost)
    assert found[0] == found[1] > 1.9


@pytest.mark.heavy
def test_the_first_tasks_cost_less_than_twice_the_best_possible() -> None:
    """Before anything is known, and from the third end on by what little is known."""
    first: list[float] = []
    then: list[float] = []
    for law in LAWS:
        costs: list[list[float]] = []
        for seed in range(20):
            schedule, rng = LearnedSchedule(), Random(seed)
            durations = (law.age(rng.uniform(1e-9, 1 - 1e-9)) for _ in range(25))
            seen = [follow(schedule, duration, rng, POLLS) for duration in durations]
            costs.append([polls + delay for polls, delay in seen])
        least = least_cost(law, 1.0, math.inf)
        first.append(mean(mean(each[:10]) for each in costs) / least)
        then.append(mean(mean(each[10:]) for each in costs) / least)
    assert mean(first) <= 1.9
    assert max(first) <= 2.9
    assert mean(then) <= 1.3


@pytest.mark.heavy
@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_early_ends_are_reported_within_a_minute(sigma: float) -> None:
    """Where 2 % of tasks of 300 s begin to end after 3 s, one look finds them, and costs little."""
    usual = lognormal(300, sigma)
    some_early = mixed(Law("early", lambda share: 2.5 + share), usual, 0.02)
    for law in (usual, some_early):
        ratios: list[float] = []
        late: list[float] = []
        for seed in range(3):
            schedule, rng = LearnedSchedule(), Random(seed)
            learn(schedule, usual, rng, POLLS, tasks=300)
            ends = [(age, follow(schedule, age, rng, POLLS)) for age in evenly(law, 400, rng)]
            ratios.append(mean(polls + delay for _, (polls, delay) in ends))
            late += [age + delay for age, (_, delay) in ends if age < 4]
        assert mean(ratios) <= 1.15 * least_cost(law, 1.0, math.inf)
        assert not late or quantiles(late, n=20)[-1] <= 60


@pytest.mark.heavy
@pytest.mark.parametrize("law", [*LAWS, HELD_OUT], ids=str)
def test_no_change_is_seen_where_there_is_none(law: Law) -> None:
    """Over 1,500 tasks of one law nothing is forgotten but by age."""
    rng, schedule, size = Random(4), LearnedSchedule(), 0
    for _ in range(1500):
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
    rng, schedule, short = Random(5), LearnedSchedule(), normal(3, 0.1)
    learn(schedule, NARROW, rng, POLLS, tasks=400)
    for _ in range(300):
        learn(schedule, NARROW, rng, POLLS, tasks=1)
        learn(schedule, short, rng, POLLS, tasks=1)
    assert mean(follow(schedule, age, rng, POLLS)[1] for age in evenly(short, 50, rng)) < 3


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
