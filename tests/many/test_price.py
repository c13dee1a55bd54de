"""What a look must be worth: it follows the demand, within its bounds."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from asyncclient._many.price import Price

FLOOR = 0.1
HIGHEST = 1e4
RATE = 20.0
# The share of a rate that is meant to be used.
BUSY = 0.97
STEP = 0.5


def steady(price: Price, asked: float, seconds: float, *, began: float = 0.0) -> float:
    """Ask for looks at a rate, in even steps, and let the price follow; return the end."""
    looks = round(asked * seconds)
    for number in range(1, looks + 1):
        now = began + number / asked
        price.ask(now)
        price.move(now, rate=RATE, waiting=0)
    return began + seconds


def test_it_begins_at_its_floor_and_stays_there_without_demand() -> None:
    """What the user says a look is worth holds where the budget is not scarce."""
    price = Price(FLOOR)
    assert price.now == FLOOR
    for second in range(100):
        price.move(float(second), rate=RATE, waiting=0)
        assert price.now == FLOOR
    steady(price, 0.5 * RATE, 60, began=100)
    assert price.now == FLOOR


def test_it_moves_once_in_half_a_second_at_most() -> None:
    """It follows in steps of time, and not in steps of looks."""
    price = Price(FLOOR)
    moved: list[float] = []
    for tick in range(1000):
        now, before = tick / 100, price.now
        for _ in range(10):
            price.ask(now)
            price.move(now, rate=RATE, waiting=0)
        if price.now != before:
            moved.append(now)
    assert len(moved) >= 10
    assert all(STEP <= after - before < STEP + 0.02 for before, after in pairwise(moved))


@pytest.mark.parametrize("excess", [0.5, 1.0, 1.5, 3.0])
def test_it_follows_the_demand_by_the_square(excess: float) -> None:
    """Twice too many looks are asked for, and in ten seconds the price is four times as high."""
    price = Price(FLOOR)
    price.now = start = 10.0
    price.move(0.0, rate=RATE, waiting=0)
    price.now = start
    waiting = round(5 * excess * BUSY * RATE)
    for half in range(1, 21):
        price.move(half * STEP, rate=RATE, waiting=waiting)
    assert price.now / start == pytest.approx(excess**2, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "waiting", "counted"),
    [(1.0, 10**3, 1), (1.0, 10**9, 1), (3600.0, 10**6, 5), (STEP, 0, -STEP), (3600.0, 0, -5)],
    ids=["peak", "high peak", "long silence", "no demand", "none for long"],
)
def test_a_moment_counts_as_four_times_too_much_for_five_seconds_at_most(
    seconds: float, waiting: int, counted: float
) -> None:
    """A peak of any height moves it by one step, and so does a silence of any length."""
    price = Price(FLOOR)
    price.move(0.0, rate=RATE, waiting=0)
    price.now = start = 10.0
    price.move(seconds, rate=RATE, waiting=waiting)
    assert price.now / start == pytest.approx(4 ** (2 * counted / 10))


def test_it_comes_down_as_fast_as_it_went_up() -> None:
    """A crowd that has gone leaves looks dear for a minute or two, and no longer."""
    price = Price(FLOOR)
    now = steady(price, 4 * RATE, 60)
    assert price.now > 100 * FLOOR
    for second in range(1, 121):
        price.move(now + second, rate=RATE, waiting=0)
    assert price.now == FLOOR


@given(
    st.floats(0.001, 100),
    st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 50), st.integers(0, 10**6)), max_size=60),
    st.one_of(st.just(math.inf), st.floats(0.01, 1e4)),
)
def test_it_is_bounded_for_any_demand(
    floor: float, moments: list[tuple[float, int, int]], rate: float
) -> None:
    """It is never under its floor, never over the highest, and moves fourfold at most."""
    price = Price(floor)
    now = 0.0
    for seconds, asked, waiting in moments:
        now += seconds
        before = price.now
        for _ in range(asked):
            price.ask(now)
        price.move(now, rate=rate, waiting=waiting)
        assert floor <= price.now <= HIGHEST
        assert 0.25 - 1e-9 <= price.now / before <= 4 + 1e-9
        assert rate < math.inf or price.now == floor
