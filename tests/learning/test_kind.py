"""Tests of one kind: a change is noticed, and what was before it is forgotten."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from asyncclient._learning import LearnedSchedule
from tests.learning.laws import (
    HELD_OUT,
    LAWS,
    LOGNORMAL,
    NARROW,
    POLLS,
    Law,
    follow,
    learn,
    learned,
    middle,
    normal,
)


@pytest.mark.heavy
@pytest.mark.parametrize("law", [*LAWS, HELD_OUT], ids=str)
def test_no_change_is_seen_where_there_is_none(law: Law) -> None:
    """Over 1,500 tasks of one law nothing is forgotten but by age."""
    rng = Random(4)
    schedule = LearnedSchedule()
    size = 0
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
    rng = Random(5)
    schedule = LearnedSchedule()
    learn(schedule, NARROW, rng, POLLS, tasks=400)
    short, long = normal(3, 0.1), NARROW
    for task in range(600):
        law = short if task % 2 else long
        follow(schedule, law.age(rng.uniform(1e-9, 1 - 1e-9)), rng, POLLS)
    delays = [follow(schedule, short.age((task + 0.5) / 50), rng, POLLS)[1] for task in range(50)]
    assert sum(delays) / 50 < 3


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
