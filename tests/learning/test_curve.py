"""Tests of the survival curve: what was seen gives back the law behind it."""

from __future__ import annotations

import math
from random import Random
from typing import cast

import pytest

from asyncclient._learning import LearnedSchedule
from asyncclient._learning.curve import Curve, fitted
from asyncclient._learning.memory import AGES, BIN_WIDTH, LAST_EDGE, Memory
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


def test_a_curve_is_straight_between_its_edges() -> None:
    """Between edges it is a straight line, beyond the last one it falls with the age."""
    curve = Curve([0, 1, 129], [1.0, 0.5, 0.25], 0.0)
    points = ((0, 1), (0.025, 0.75), (0.05, 0.5), (0.275, 0.375), (0.5, 0.25), (5.0, 0.025))
    for age, left in points:
        assert curve.at(age) == pytest.approx(left)
        assert curve.quantile(1 - left) == pytest.approx(age)
    assert curve.quantile(1 - 1e-12) == AGES[-1]
    assert curve.mean == pytest.approx(0.05 * 0.75 + 0.45 * 0.375)


def test_a_curve_predicts_what_is_later_or_earlier_by_some_bins() -> None:
    """The log of the probability of what was seen, where each edge may lie 3 bins away."""
    curve, seen, late = Curve([0, 40, 80], [1.0, 0.8, 0.1], 0.0), Memory(), Memory()
    seen.add_alive(2, 43, 2.0)
    seen.add_end(43, 57, 3.0)
    ended = 1 - curve.at(AGES[60]) / 0.8
    assert curve.likelihood(seen, 3) == pytest.approx(2 * math.log(0.8) + 3 * math.log(ended))
    ended = 1 - curve.at(AGES[57]) / curve.at(AGES[43])
    expected = 2 * math.log(curve.at(AGES[43]) / curve.at(AGES[2])) + 3 * math.log(ended)
    assert curve.likelihood(seen) == pytest.approx(expected)
    late.add_end(2, LAST_EDGE)
    assert curve.likelihood(late, 3) == pytest.approx(math.log(1 - curve.at(AGES[-1])))


def test_one_end_is_spread_over_its_neighbours() -> None:
    """Half of it ends in the bin before, for none came later; a tenth of a task has the prior."""
    seen = Memory()
    seen.add_alive(0, 300)
    seen.add_end(300, 301)
    curve = fitted(seen)
    assert curve.edges == [0, *range(237, 310)]
    assert curve.vague == 0
    came, expected = 1.0, 1.0
    for edge in curve.edges[:-1]:
        end = 1 / 2 if 299 <= edge <= 300 else 0.0
        tasks = max(came, end) + 0.1 * (1 + BIN_WIDTH)
        expected *= 1 - (end + 0.1 * BIN_WIDTH) / tasks
        came -= end
    assert curve.survival[-1] == pytest.approx(expected)
    seen.add_end(0, 3, 3.0)
    assert fitted(seen, curve).vague == 0.75
    assert fitted(seen).edges == [0, *range(1, 310)]


AT = (230, 290, 301, 306, 320, 345, 404, 500)
CROWD = [(300 + number % 5, 301 + number % 5) for number in range(40)]


@pytest.mark.parametrize(
    ("spans", "vague", "left"),
    [
        pytest.param(
            [*CROWD, (330, 332), (333, 334), (400, 403)],
            1 / 43,
            [0.99996, 0.99785, 0.82048, 0.11273, 0.11085, 0.0683, 0.05078, 0.00884],
            id="modes",
        ),
        pytest.param(
            [(300 + 9 * step, 301 + 9 * step) for step in range(13)],
            0.0,
            [0.99989, 0.98162, 0.94247, 0.91401, 0.81693, 0.62964, 0.19707, 0.02997],
            id="rare",
        ),
        pytest.param(
            [(290, 300)] * 10 + [(295, 310)] * 7 + [(0, 305)] * 4,
            1.0,
            [
                0.99918,
                0.97112,
                0.19513,
                0.10118,
                0.08608,
                0.0549,
                0.01899,
                0.00338,
                0.99991,
                0.97447,
                0.19606,
                0.10038,
                0.08607,
                0.0549,
                0.01899,
                0.00338,
            ],
            id="vague",
        ),
        pytest.param(
            [(0, 1)],
            0.0,
            [0.01262, 0.00429, 0.00352, 0.00322, 0.0025, 0.00159, 0.00055, 0.0001],
            id="at once",
        ),
        pytest.param(
            [],
            0.0,
            [0.82124, 0.78012, 0.7728, 0.7695, 0.76033, 0.74423, 0.70757, 0.65173],
            id="none",
        ),
    ],
)
def test_ends_are_spread_as_far_as_they_are_rare_and_vague(
    spans: list[tuple[int, int]], vague: float, left: list[float]
) -> None:
    """Beside two tasks that went on: what is left at some edges, in a first and a second fit."""
    seen = Memory()
    seen.add_alive(0, 500, 2.0)
    for low, high in spans:
        seen.add_alive(0, low)
        seen.add_end(low, high)
    curve = fitted(seen)
    again = fitted(seen, curve)
    assert curve.vague == vague
    for each, expected in ((curve, left[: len(AT)]), (again, left[-len(AT) :])):
        assert [each.at(AGES[edge]) for edge in AT] == pytest.approx(expected, abs=1e-5)
