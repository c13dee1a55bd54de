"""Tests of plans: when to poll by a curve, and what that is worth."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import islice
from random import Random

import pytest

from asyncclient._learning import LearnedSchedule
from asyncclient._learning.curve import Curve
from asyncclient._learning.memory import AGES
from asyncclient._learning.plan import Plan
from tests.learning.laws import (
    BIMODAL,
    LOGNORMAL,
    NARROW,
    POLLS,
    STAMPS,
    Law,
    drawer,
    learn,
    learned,
    least_cost,
    lognormal,
    middle,
    normal,
    weibull,
)


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


@pytest.mark.parametrize(
    ("law", "worth", "regularity"),
    [(weibull(1.0, 30), 1.0, 1.0), (BIMODAL, 1.7, 0.23), (NARROW, 2.1, 0.13)],
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


def test_one_early_look_is_planned_with() -> None:
    """A first gap of a minute costs one poll at most, and what follows it is as without."""
    law = lognormal(300, 0.2)
    free, early = (learned(law, schedule=LearnedSchedule(longest_gap=gap)) for gap in (600, None))
    silence = free.gap(0, 0, draw=middle)
    assert silence > 150
    assert 40 < early.gap(0, 0, draw=middle) <= 60
    for age in (60.0, 200.0, 300.0):
        assert early.gap(age, 1, draw=middle) == free.gap(age, 1, draw=middle)
    assert early.gap(60, 1, draw=middle) == pytest.approx(silence - 60)
    one, other = free.efficiency(), early.efficiency()
    assert one is not None
    assert other is not None
    assert other.cost == pytest.approx(one.cost + 1)


WIDTH = AGES[301] - AGES[300]


@pytest.mark.parametrize(
    ("price", "silence", "cost", "then"),
    [
        # All end in one bin, and one poll at its end finds them.
        (100 * WIDTH, AGES[301], 100.5 * WIDTH, None),
        # Each seventh of the bin is worth a poll: one at its begin, and four on average in it.
        (WIDTH / 49, AGES[300], 1.5 * WIDTH / 49 + WIDTH / 7, WIDTH / 7),
    ],
)
def test_the_cost_of_a_plan_is_known(
    price: float, silence: float, cost: float, then: float | None
) -> None:
    """Where all tasks end within a bin, silence, gaps and cost follow by hand."""
    curve = Curve([0, 300, 301], [1.0, 1.0, 0.0], 0.0)
    plan = Plan(curve, price, 60.0)
    assert plan.silence == pytest.approx(silence)
    assert plan.gap(0.0, 60.0, middle) == pytest.approx(silence)
    if then is not None:
        assert plan.gap(AGES[300], 60.0, middle) == pytest.approx(then)
    found = plan.efficiency(2)
    assert found.cost == pytest.approx(cost + 2 * price)
    mean = (AGES[300] + AGES[301]) / 2
    assert found.regularity == pytest.approx(WIDTH / 2 / mean)
    costs: dict[float, float] = {}
    for step in range(-10, 11):
        each = math.sqrt(2 * price * mean) * 1.2**step
        polls = sum(curve.at(poll * each) for poll in range(1 + int(AGES[301] / each)))
        costs[(price + each) * polls - mean] = each
    assert found.fixed_cost == pytest.approx(min(costs))
    assert found.fixed_interval == pytest.approx(costs[min(costs)])


def share(part: float) -> Callable[[float], float]:
    """Draw always the same part."""
    return lambda width: width * part


@pytest.mark.parametrize("seed", range(40))
def test_no_other_ages_cost_less(seed: int) -> None:
    """Beside a search of all, where a poll costs too much to be made within a bin."""
    rng = Random(seed)
    drops = sorted((rng.random() ** rng.choice([1, 4]) for _ in range(20)), reverse=True)
    survival = [1.0, 1.0, *drops]
    curve = Curve([0, *range(300, 321)], survival, 0.0)
    ages, last = curve.ages, 21
    price = (ages[last] - ages[last - 1]) * 2 ** rng.uniform(0, 6)
    beyond = math.sqrt(2 * price * ages[last])
    heights = {last: ages[last] - curve.mean + 2 * survival[last] * beyond}
    gaps, found = {last: beyond}, last
    for start in reversed(range(last)):
        costs = {heights[x] - (1 - survival[start]) * (ages[x] - ages[start]): x for x in heights}
        found = costs[min(costs)]
        heights[start] = price * survival[start] + min(costs)
        gaps[start] = ages[found] - ages[start]
    plan = Plan(curve, price, 1000.0)
    assert plan.efficiency(0).cost == pytest.approx(heights[0])
    assert plan.silence == pytest.approx(gaps[0])
    near = [math.sqrt(price * (up + low) * w / max(up - low, 1e-12)) for w, up, low in curve.cells]
    spread = 0.2 * min(gaps[0], gaps[found], *near[max(0, found - 4) : found + 5])
    assert plan.gap(0.0, 1000.0, share(0)) == pytest.approx(gaps[0] - spread)


def test_a_long_gap_is_cut_short_by_chance_of_one_in_32() -> None:
    """Where no end is known exactly; a poll is anywhere in it then."""
    plan = Plan(Curve([0, 300, 301], [1.0, 1.0, 0.0], 1.0), 100 * WIDTH, 60.0)
    assert plan.gap(0.0, 60.0, share(0.02)) == pytest.approx(0.02 * AGES[301])
    assert plan.gap(0.0, 60.0, share(0.04)) > 0.5 * AGES[301]


def test_beyond_the_last_age_gaps_grow_with_the_root_of_the_age() -> None:
    """There the hazard is 1/age, and a poll is moved by a fifth of the gap."""
    curve = Curve([0, 300, 301], [1.0, 0.9, 0.5], 0.0)
    plan = Plan(curve, 2.0, 1000.0)
    found = plan.efficiency(0)
    each = found.fixed_interval
    polls = sum(curve.at(poll * each) for poll in range(math.ceil(AGES[301] / each)))
    beyond = 2 * math.sqrt(AGES[301])  # for half of the tasks, polls and delay
    assert found.fixed_cost == pytest.approx((2 + each) * polls - curve.mean + beyond)
    assert found.cost == pytest.approx(2 + AGES[301] - curve.mean + beyond)  # one poll before
    for age in (AGES[301], 400.0, 2500.0):
        gap = 2 * math.sqrt(age)
        ends = [plan.gap(age, 1000.0, share(part)) for part in (0, 0.5, 1)]
        assert ends == pytest.approx([0.8 * gap, gap, 1.2 * gap])
        assert plan.gap(age, gap, share(0)) == pytest.approx(0.6 * gap)
        assert plan.gap(age, gap, share(1)) == pytest.approx(gap)
        short = [plan.gap(age, 0.1 * gap, share(part)) for part in (0, 1)]
        assert short == pytest.approx([0, 0.1 * gap])


def test_within_a_bin_the_gap_is_that_of_its_hazard() -> None:
    """Keller's: the root of twice the price over the hazard, which is that of the bin's middle."""
    price, curve = WIDTH / 490, Curve([0, 300, 301], [1.0, 0.9, 0.5], 0.0)
    plan = Plan(curve, price, 60.0)
    gap = math.sqrt(2 * price * 0.7 / 0.4 * WIDTH)
    assert plan.gap(AGES[300], 60.0, middle) == pytest.approx(gap)
    # A poll before each bin, the rest of the delay, and what polls within them save.
    waits = AGES[301] - 0.1 * WIDTH - curve.mean + math.sqrt(2 * price * AGES[301])
    first = math.sqrt(2 * price * 0.95 / 0.1 * AGES[300])
    saved = 0.7 * (WIDTH / gap - 1) ** 2 + 0.95 * (AGES[300] / first - 1) ** 2
    assert plan.efficiency(0).cost == pytest.approx((1.9 - saved) * price + waits)
