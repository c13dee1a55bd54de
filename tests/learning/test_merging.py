"""Tests of what schedules tell each other: counted once, and not taken against one's own eyes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from random import Random
from statistics import mean
from typing import cast

import pytest
from hypothesis import given, strategies as st

from asyncclient._learning import LearnedSchedule
from asyncclient._schedule import Schedule
from tests.learning.test_learned import (
    BIMODAL,
    LAWS,
    LOGNORMAL,
    NARROW,
    POLLS,
    SEEDS,
    SIGHTINGS,
    STAMPS,
    Law,
    drawer,
    fallbacks,
    follow,
    learn,
    learned,
    least_cost,
    mean_cost,
    polls_of,
    tell,
)

# As a program without a type checker calls it.
unchecked_merge = cast("Callable[..., int]", LearnedSchedule.merge)


def told_by(*others: LearnedSchedule) -> LearnedSchedule:
    """Return a fresh schedule that others have told what they have seen."""
    fresh = LearnedSchedule()
    assert fresh.merge([other.to_bytes() for other in others]) == len(others)
    return fresh


def seen(seconds: float, times: int, kind: str = "") -> LearnedSchedule:
    """Return a schedule that has seen so many tasks end at about an age."""
    schedule = LearnedSchedule()
    rng = Random(times)
    for _ in range(times):
        schedule.observe(seconds * rng.uniform(0.95, 1.05), kind=kind)
    return schedule


# --- what it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_fresh_schedule_knows_what_another_has_seen(law: Law) -> None:
    """From the first task on it has the other's quantiles, and costs about as little."""
    old = LearnedSchedule()
    rng = Random(1)
    learn(old, law, rng, POLLS, tasks=400)
    fresh = told_by(old)
    for share in (0.1, 0.5, 0.75, 0.95):
        assert fresh.quantile(share) == pytest.approx(old.quantile(share), rel=0.1)
    costs = [mean_cost(told_by(old), law, Random(seed), POLLS, tasks=20) for seed in range(20)]
    assert mean(costs) <= 1.2 * least_cost(law, 1.0, 60.0)


def test_many_who_have_seen_little_know_much_together() -> None:
    """Eight workers that saw 5 tasks each could not plan alone; together they can."""
    others = [learned(NARROW, tasks=5, seed=seed) for seed in range(8)]
    assert all(other.gap(0, 0) == 0 for other in others)
    fresh = told_by(*others)
    assert fresh.sample_size() == 40
    assert 20 < fresh.gap(0, 0) < 32


def test_own_sightings_count_beside_those_of_others() -> None:
    """Where 100 short tasks were seen here and 100 long ones there, the plan knows both."""
    here = seen(5, 100)
    here.merge([seen(5, 25).to_bytes(), seen(120, 25).to_bytes()])
    assert here.sample_size() == 150
    # Of 125 short ones and 25 long ones.
    assert here.quantile(0.75) == pytest.approx(5, rel=0.1)
    assert here.quantile(0.9) == pytest.approx(120, rel=0.1)


# --- counted once, and within bounds ------------------------------------------------------------


@given(SIGHTINGS, SIGHTINGS)
def test_what_was_merged_is_not_passed_on(
    sightings: list[tuple[str, float, float, int]], others: list[tuple[str, float, float, int]]
) -> None:
    """`to_bytes` is the same with and without what others have told."""
    one, other = LearnedSchedule(), LearnedSchedule()
    for schedule in (one, other):
        for what, low, high, times in sightings:
            for _ in range(times):
                if what == "alive":
                    schedule.survived(max(low, high), since=min(low, high))
                else:
                    schedule.observe(max(low, high), since=min(low, high))
    teller = LearnedSchedule()
    tell(teller, others)
    teller.observe(7, kind="of theirs alone")
    one.merge([teller.to_bytes()])
    one.gap(0, 0)
    assert one.to_bytes() == other.to_bytes()


def test_states_that_go_round_are_counted_once() -> None:
    """However often three workers exchange their states, each end counts once for each of them."""
    crew = [learned(LOGNORMAL, tasks=60, seed=seed) for seed in range(3)]
    for _ in range(20):
        states = [worker.to_bytes() for worker in crew]
        for number, worker in enumerate(crew):
            worker.merge([state for index, state in enumerate(states) if index != number])
    assert [worker.sample_size() for worker in crew] == pytest.approx([180, 180, 180], abs=1)


@pytest.mark.parametrize("others", [1, 2, 8, 40])
def test_at_most_500_ends_of_others_count_evenly(others: int) -> None:
    """Own ends count in full, those of others as 500 together, as many of each of them."""
    here = seen(20, 400)
    assert here.merge([seen(20, 500 if number else 100).to_bytes() for number in range(others)])
    most = 500 / others
    expected = 400 + min(100, most) + (others - 1) * most
    assert here.sample_size() == pytest.approx(expected, abs=2)


def test_the_busiest_other_does_not_drown_the_rest() -> None:
    """Of one that saw 500 long tasks and one that saw 250 short ones, half counts for each."""
    fresh = told_by(seen(100, 500), seen(10, 250))
    assert fresh.quantile(0.47) == pytest.approx(10, rel=0.1)
    assert fresh.quantile(0.53) == pytest.approx(100, rel=0.1)


def test_what_is_merged_takes_the_place_of_what_was() -> None:
    """Each merge is the latest of all others; with none, only what was seen here is left."""
    here = seen(20, 100)
    here.merge([seen(20, 200).to_bytes(), seen(9, 50, "theirs").to_bytes()])
    assert (here.sample_size(), here.sample_size("theirs")) == (300, 50)
    here.merge([seen(20, 80).to_bytes()])
    assert (here.sample_size(), here.sample_size("theirs")) == (180, 0)
    assert here.kinds == ("",)
    here.merge(())
    assert here.sample_size() == 100
    few = seen(20, 5)
    few.merge([seen(20, 80).to_bytes()])
    assert few.gap(0, 0) > 0
    few.merge([])
    assert few.gap(0, 0) == 0
    assert few.quantile(0.5) is None


def test_kinds_of_others_take_nobodys_place() -> None:
    """Of 64 kinds at most, those seen here stay, and a new one takes the place of theirs."""
    here, other = LearnedSchedule(), LearnedSchedule()
    for number in range(40):
        here.observe(5, kind=f"here {number}")
        other.observe(5, kind=f"there {number}")
    here.merge([other.to_bytes()])
    assert len(here.kinds) == 64
    assert {f"here {number}" for number in range(40)} <= set(here.kinds)
    for number in range(40, 60):
        here.observe(5, kind=f"here {number}")
    assert len(here.kinds) == 64
    assert {f"here {number}" for number in range(60)} <= set(here.kinds)


# --- not against one's own eyes -----------------------------------------------------------------


@pytest.mark.parametrize("factor", [5, 0.2])
@pytest.mark.parametrize("law", [LOGNORMAL, NARROW, BIMODAL], ids=str)
def test_a_change_noticed_here_is_not_undone_by_others(law: Law, factor: float) -> None:
    """After a jump, what others saw before it is not taken; when they have seen it, theirs is."""
    here, there, after = LearnedSchedule(), LearnedSchedule(), law.stretched(factor)
    rng = Random(8)
    learn(here, law, rng, STAMPS, tasks=300)
    learn(there, law, rng, STAMPS, tasks=300)
    here.merge([there.to_bytes()])
    assert here.sample_size() == pytest.approx(600, abs=3)
    learn(here, after, rng, STAMPS, tasks=120)
    here.gap(0, 0)
    alone = here.sample_size()
    assert alone <= 170  # what others had seen was dropped, and so was what was seen here before
    here.merge([there.to_bytes()])
    assert here.sample_size() == alone
    assert here.quantile(0.5) == pytest.approx(after.age(0.5), rel=0.4)
    learn(there, after, rng, STAMPS, tasks=400)
    here.merge([there.to_bytes()])
    assert here.sample_size() > alone + 200


def cost_after_a_jump(law: Law, *, together: bool, seed: int) -> float:
    """Return what the first 200 tasks of each of three workers cost, after tasks have changed."""
    rng = Random(seed)
    crew = [LearnedSchedule() for _ in range(3)]

    def exchange() -> None:
        states = [worker.to_bytes() for worker in crew]
        for number, worker in enumerate(crew):
            worker.merge([state for index, state in enumerate(states) if index != number])

    costs: list[float] = []
    for round_ in range(25):
        for worker in crew:
            if round_ < 15:
                learn(worker, law, rng, POLLS, tasks=20)
            else:
                costs.append(mean_cost(worker, law.stretched(0.2), rng, POLLS, tasks=20))
        if together:
            exchange()
    return mean(costs)


@pytest.mark.heavy
@pytest.mark.parametrize("law", [NARROW, LOGNORMAL, BIMODAL], ids=str)
def test_together_a_change_is_got_over_no_later_than_alone(law: Law) -> None:
    """Three workers that exchange what they see pay no more for a change than three that do not."""
    alone = mean(cost_after_a_jump(law, together=False, seed=seed) for seed in range(4))
    together = mean(cost_after_a_jump(law, together=True, seed=seed) for seed in range(4))
    assert together <= 1.03 * alone


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_what_agrees_is_always_taken(law: Law) -> None:
    """Over 1,000 tasks of one law two workers that exchange what they see never refuse it."""
    rng = Random(9)
    here, there = LearnedSchedule(), LearnedSchedule()
    for seen_by_each in range(50, 501, 50):
        learn(here, law, rng, POLLS, tasks=50)
        learn(there, law, rng, POLLS, tasks=50)
        states = here.to_bytes(), there.to_bytes()
        assert here.merge([states[1]]) == there.merge([states[0]]) == 1
        for each in (here, there):
            assert each.sample_size() >= 2 * min(seen_by_each, 475) - 2


def test_others_whose_tasks_are_unlike_ours_are_soon_left_aside() -> None:
    """What a fresh worker was told is dropped when its own tasks show otherwise; its own are not.

    Before that, theirs was all there was to go by.
    """
    here = told_by(seen(30, 400))
    rng = Random(10)
    assert here.gap(0, 0) > 20
    number = 0
    while number < 60 and here.sample_size() >= 400:
        follow(here, rng.uniform(5, 6), rng, STAMPS)
        number += 1
    assert number <= 40
    assert here.sample_size() == number
    for _ in range(30):
        follow(here, rng.uniform(5, 6), rng, STAMPS)
    here.merge([seen(30, 400).to_bytes()])
    assert here.sample_size() == number + 30
    assert here.gap(0, 0) < 6


def test_tasks_that_hang_here_speak_against_what_others_tell() -> None:
    """When all tasks hang, what others saw before is not taken, though none has ended here."""
    here = LearnedSchedule()
    for _ in range(30):
        here.survived(100)
    here.merge([seen(20, 400).to_bytes()])
    assert here.sample_size() == 0
    assert here.gap(0, 0) == 0


# --- whatever was merged ------------------------------------------------------------------------


@given(fallbacks(), SIGHTINGS, SIGHTINGS, SIGHTINGS, st.floats(0.01, 100), SEEDS)
def test_whatever_was_merged_it_keeps_its_promises(
    fallback: Schedule,
    own: list[tuple[str, float, float, int]],
    one: list[tuple[str, float, float, int]],
    other: list[tuple[str, float, float, int]],
    price: float,
    seed: int,
) -> None:
    """Gaps are positive and within the longest, and polls at most 2·n + 4 of the fallback's n."""
    longest = max(60.0, fallback.cap)
    schedule = LearnedSchedule(fallback=fallback, longest_gap=longest)
    tell(schedule, own)
    states: list[bytes] = []
    for sightings in (one, other):
        teller = LearnedSchedule()
        tell(teller, sightings)
        states.append(teller.to_bytes())
    assert schedule.merge(states) == 2
    draw = drawer(Random(seed))
    more = max(1.0, math.sqrt(1.1 / price))
    age, polls = 0.0, 0
    while polls < 40:
        gap = schedule.gap(age, polls, price=price, draw=draw)
        assert 0 < gap <= longest or (gap == 0 and not polls)
        age += gap
        polls += 1
        assert polls <= (2 * polls_of(fallback, age + 1e-6) + 4) * more + 1
    tell(schedule, one)
    assert all(0 < delay <= longest for delay in islice(schedule.delays(Random(seed)), 40))


def test_who_was_told_the_same_draws_the_same() -> None:
    """Two schedules that saw and were told the same, in the same order, make the same gaps."""
    traces: list[list[float]] = []
    for _ in range(2):
        schedule = learned(LOGNORMAL, tasks=30)
        schedule.merge([learned(LOGNORMAL, tasks=200, seed=2).to_bytes(), seen(9, 40).to_bytes()])
        traces.append(list(islice(schedule.delays(Random(3)), 50)))
    assert traces[0] == traces[1]


# --- what is no state ---------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_what_cannot_be_read_is_passed_over(garbage: list[bytes]) -> None:
    """Garbage and other versions leave the rest as good as it was, and are not counted."""
    good = seen(20, 50).to_bytes()
    later = good[:4] + b"\x03" + good[5:]
    fresh = LearnedSchedule()
    assert fresh.merge([*garbage, later, good, good[:-1]]) == 1
    assert fresh.sample_size() == 50


@pytest.mark.parametrize(
    "states",
    [None, b"ACLS", "ACLS", 3, ["ACLS"], [None], {b"": b""}],
    ids=["none", "bytes", "text", "number", "texts", "nones", "mapping"],
)
def test_what_is_no_list_of_bytes_is_refused(states: object) -> None:
    """Anything but several texts of bytes is a mistake of the caller."""
    with pytest.raises(TypeError, match=r"^merge takes .* to_bytes returned, not "):
        unchecked_merge(LearnedSchedule(), states)
