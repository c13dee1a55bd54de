"""Tests of what schedules learn from each other: counted once, never against own polls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from random import Random
from statistics import mean
from typing import cast

import pytest

from asyncclient._learning import LearnedSchedule
from tests.learning.laws import (
    BIMODAL,
    LOGNORMAL,
    NARROW,
    POLLS,
    STAMPS,
    THREE,
    Law,
    follow,
    learn,
    learned,
    least_cost,
    mean_cost,
    middle,
)
from tests.learning.test_saved import saved

# As a program without a type checker calls it.
unchecked_merge = cast("Callable[..., int]", LearnedSchedule.merge)


def merged_from(*others: bytes) -> LearnedSchedule:
    """Return a fresh schedule that knows what others have seen."""
    fresh = LearnedSchedule()
    assert fresh.merge(others) == len(others)
    return fresh


def seen(seconds: float, times: int, kind: str = "") -> bytes:
    """Return what a schedule knows that has seen a number of tasks end at about an age."""
    schedule, rng = LearnedSchedule(), Random(times)
    for _ in range(times):
        schedule.observe(seconds * rng.uniform(0.95, 1.05), kind=kind)
    return schedule.to_bytes()


def exchange(crew: list[LearnedSchedule]) -> None:
    """Let each worker merge the states of all others."""
    states = [worker.to_bytes() for worker in crew]
    for number, worker in enumerate(crew):
        worker.merge([state for index, state in enumerate(states) if index != number])


@pytest.mark.parametrize("law", THREE, ids=str)
def test_a_fresh_schedule_knows_what_another_has_seen(law: Law) -> None:
    """From the first task on it has the other's quantiles, and costs about as little."""
    old = LearnedSchedule()
    learn(old, law, Random(1), POLLS, tasks=400)
    state = old.to_bytes()
    for share in (0.1, 0.5, 0.75, 0.95):
        assert merged_from(state).quantile(share) == pytest.approx(old.quantile(share), rel=0.1)
    costs = [
        mean_cost(merged_from(state), law, Random(seed), POLLS, tasks=20) for seed in range(10)
    ]
    assert mean(costs) <= 1.2 * least_cost(law, 1.0, 60.0)


def test_many_that_have_seen_little_know_much_together() -> None:
    """Twenty workers that saw 2 tasks each could not plan alone; together they can."""
    others = [learned(NARROW, tasks=2, seed=2 * seed) for seed in range(20)]
    assert all(other.gap(0, 0) == 0 for other in others)
    fresh = merged_from(*(other.to_bytes() for other in others))
    assert fresh.sample_size() == 40
    assert 20 < fresh.gap(0, 0, draw=middle) < 32


def test_own_sightings_count_beside_those_of_others() -> None:
    """Where 100 short tasks were seen here and 100 long ones there, the plan knows both.

    Of others, one that saw 500 tasks and one that saw 250 count alike.
    """
    here = LearnedSchedule.from_bytes(seen(5, 100))
    here.merge([seen(5, 25), seen(120, 25)])
    assert here.sample_size() == 150
    # Of 125 short ones and 25 long ones.
    assert here.quantile(0.75) == pytest.approx(5, rel=0.1)
    assert here.quantile(0.9) == pytest.approx(120, rel=0.1)
    fresh = merged_from(seen(100, 500), seen(10, 250))
    assert fresh.quantile(0.47) == pytest.approx(10, rel=0.1)
    assert fresh.quantile(0.53) == pytest.approx(100, rel=0.1)


def test_states_that_go_round_are_counted_once() -> None:
    """After any number of exchanges each end counts once for each worker, and none is passed on."""
    crew = [learned(LOGNORMAL, tasks=tasks, seed=tasks) for tasks in (3, 60, 200)]
    crew[0].observe(7, kind="of one alone")
    states = [worker.to_bytes() for worker in crew]
    for _ in range(10):
        exchange(crew)
    assert [worker.sample_size() for worker in crew] == pytest.approx([263, 263, 263], abs=1)
    assert [worker.sample_size("of one alone") for worker in crew] == [1, 1, 1]
    assert [worker.to_bytes() for worker in crew] == states


@pytest.mark.parametrize("others", [1, 2, 8, 40])
def test_at_most_500_ends_of_others_count_evenly(others: int) -> None:
    """Own ends count in full, those of others as 500 together, as many of each of them."""
    here = LearnedSchedule.from_bytes(seen(20, 400))
    here.merge([seen(20, 100), *[seen(20, 500)] * (others - 1)])
    most = 500 / others
    expected = 400 + min(100, most) + (others - 1) * most
    assert here.sample_size() == pytest.approx(expected, abs=2)


def test_what_is_merged_takes_the_place_of_what_was() -> None:
    """Each merge is the latest of all others; with none, only what was seen here is left."""
    here, few = (LearnedSchedule.from_bytes(seen(20, times)) for times in (100, 2))
    here.merge([seen(20, 200), seen(9, 50, "theirs")])
    assert (here.sample_size(), here.sample_size("theirs")) == (300, 50)
    here.merge([seen(20, 80)])
    assert (here.sample_size(), here.sample_size("theirs")) == (180, 0)
    assert here.kinds == ("",)
    here.merge(())
    assert here.sample_size() == 100
    few.merge([seen(20, 80)])
    assert few.gap(0, 0) > 0
    few.merge([])
    assert few.gap(0, 0) == 0
    assert few.quantile(0.5) is None


def test_kinds_of_others_replace_none_that_was_seen_here() -> None:
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


@pytest.mark.parametrize(("law", "factor"), [(LOGNORMAL, 0.2), (NARROW, 5), (BIMODAL, 5)], ids=str)
def test_a_change_noticed_here_is_not_undone_by_others(law: Law, factor: float) -> None:
    """After a jump, what others saw before it is refused until they have seen the jump too."""
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
    for worker in crew:
        learn(worker, law, rng, POLLS, tasks=300)
    costs: list[float] = []
    for _ in range(10):
        if together:
            exchange(crew)
        costs += [mean_cost(worker, law.stretched(0.2), rng, POLLS, tasks=20) for worker in crew]
    return mean(costs)


@pytest.mark.heavy
@pytest.mark.parametrize("law", THREE, ids=str)
def test_together_a_change_costs_no_more_than_alone(law: Law) -> None:
    """Three workers that exchange what they see pay no more for a change than three that do not."""
    alone = mean(cost_after_a_jump(law, together=False, seed=seed) for seed in range(2))
    together = mean(cost_after_a_jump(law, together=True, seed=seed) for seed in range(2))
    assert together <= 1.03 * alone


@pytest.mark.parametrize("law", THREE, ids=str)
def test_what_agrees_is_always_taken(law: Law) -> None:
    """Over 1,000 tasks of one law two workers that exchange what they see never refuse it."""
    rng = Random(9)
    crew = [LearnedSchedule(), LearnedSchedule()]
    for seen_by_each in range(100, 501, 100):
        for worker in crew:
            learn(worker, law, rng, POLLS, tasks=100)
        exchange(crew)
        for worker in crew:
            assert worker.sample_size() >= 2 * min(seen_by_each, 475) - 2


def test_others_whose_tasks_are_unlike_ours_are_soon_ignored() -> None:
    """What a fresh worker has merged is dropped when its own tasks show otherwise; its own stay."""
    here = merged_from(seen(30, 400))
    rng = Random(10)
    assert here.gap(0, 0) > 20
    number = 0
    while here.sample_size() >= 400:
        follow(here, rng.uniform(5, 6), rng, STAMPS)
        number += 1
        assert number <= 40
    assert here.sample_size() == number
    for _ in range(30):
        follow(here, rng.uniform(5, 6), rng, STAMPS)
    here.merge([seen(30, 400)])
    assert here.sample_size() == number + 30
    assert here.gap(0, 0) < 6


def test_tasks_that_hang_here_contradict_what_others_saw() -> None:
    """When all tasks hang, what others saw before is not taken, though none has ended here."""
    here = LearnedSchedule()
    for _ in range(30):
        here.survived(100)
    here.merge([seen(20, 400)])
    assert here.sample_size() == 0
    assert here.gap(0, 0) == 0


def test_the_same_sightings_and_the_same_seed_give_the_same_gaps() -> None:
    """Two schedules that see and merge the same, in the same order, poll at the same ages."""
    traces: list[object] = []
    for _ in range(2):
        schedule, rng = LearnedSchedule(), Random(8)
        followed = [follow(schedule, rng.uniform(1, 60), rng, kn) for kn in [POLLS, STAMPS] * 60]
        schedule.merge([learned(LOGNORMAL, tasks=200, seed=2).to_bytes(), seen(9, 40)])
        traces.append((followed, list(islice(schedule.delays(Random(3)), 50))))
    assert traces[0] == traces[1]


def test_a_state_that_cannot_be_read_is_skipped() -> None:
    """Garbage and other versions leave the rest as good as it was, and are not counted."""
    good = saved()
    later = good[:4] + b"\x03" + good[5:]
    fresh = LearnedSchedule()
    assert fresh.merge([b"", b"garbage", later, good, good[:-1]]) == 1
    assert fresh.sample_size() == 30


def test_only_a_list_of_bytes_is_merged() -> None:
    """Anything else is a mistake of the caller."""
    for states in (None, b"ACLS", "ACLS", 3, ["ACLS"], [None], {b"": b""}):
        with pytest.raises(TypeError, match=r"^merge takes .* to_bytes returned, not "):
            unchecked_merge(LearnedSchedule(), states)
