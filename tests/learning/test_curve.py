"""Tests of the survival curve: what was seen gives back the law behind it."""

from __future__ import annotations

from random import Random
from typing import cast

import pytest

from asyncclient._learning import LearnedSchedule
from tests.learning.laws import BIMODAL, LOGNORMAL, evenly, learned


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
    for duration in evenly(law, 400, Random(12)):
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
        schedule.observe(100 + task % 10, told=60)
    assert schedule.quantile(0.9) == pytest.approx(7, abs=1)


def test_known_durations_give_known_quantiles() -> None:
    """What is known exactly is given back, at every scale."""
    for factor in (0.01, 1.0, 100.0):
        law = LOGNORMAL.stretched(factor)
        schedule = learned(law)
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            assert schedule.quantile(share) == pytest.approx(law.age(share), rel=0.06)
