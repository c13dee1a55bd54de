"""The budget of one account: spacing, backing off, and numbers that cannot be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from asyncclient._many.budget import Budget
from tests.many.service import most_within

RATES = st.sampled_from([0.1, 1.0, 3.0, 20.0, 50.0, 1000.0])
# What a late request may catch up, as a share of a second, and the one that opens a stretch.
SLACK = 0.02


def drain(budget: Budget, begin: float, end: float) -> list[float]:
    """Send whatever may be sent between two instants, and return when."""
    times: list[float] = []
    now = begin
    while now < end:
        left = budget.wait(now)
        if left > 0:
            now += left
        else:
            budget.spend(now)
            times.append(now)
    return times


@given(rate=RATES, pauses=st.lists(st.floats(0, 3), min_size=1, max_size=120))
def test_never_above_the_rate_over_any_five_seconds(rate: float, pauses: list[float]) -> None:
    """Whatever the pattern of arrivals, five seconds never hold more than the rate allows."""
    budget = Budget(rate)
    now = 0.0
    times: list[float] = []
    for pause in pauses:
        now += pause / rate
        now += budget.wait(now)
        budget.spend(now)
        times.append(now)
    assert most_within(times, 5) <= math.ceil(rate * (5 + SLACK)) + 1


@pytest.mark.parametrize("rate", [1.0, 20.0, 1000.0])
def test_a_crowd_is_sent_at_the_rate(rate: float) -> None:
    """What is always due is sent at the whole rate, and no faster."""
    times = drain(Budget(rate), 0, 20)
    assert len(times) == pytest.approx(20 * rate, rel=0.01, abs=1)
    assert most_within(times, 5) <= rate * (5 + SLACK) + 1


@given(rate=RATES, idle=st.floats(1, 1e6))
def test_an_idle_budget_sends_at_once(rate: float, idle: float) -> None:
    """After a rest as long as a gap nothing waits, and an idle hour saves nothing up."""
    budget = Budget(rate)
    budget.spend(0.0)
    now = 1 / rate * idle
    assert budget.wait(now) == 0
    assert len(drain(budget, now, now + 0.5 / rate)) <= math.ceil(rate * SLACK) + 1


def test_without_a_limit_nothing_waits() -> None:
    """Where no limit is known, a thousand requests are sent at one instant."""
    budget = Budget()
    for _ in range(1000):
        assert budget.wait(0.0) == 0
        budget.spend(0.0)
    assert budget.rate == math.inf


def test_a_late_request_is_caught_up() -> None:
    """A request that is late by less than the slack does not lower the rate."""
    budget = Budget(100.0)
    budget.spend(0.0)
    budget.spend(0.015)
    assert budget.wait(0.02) == 0


def test_a_refusal_lowers_the_rate() -> None:
    """A 429 takes the rate under what was really sent, ceiling or none."""
    budget = Budget()
    for number in range(400):
        budget.spend(number / 40)
    budget.refused(10.0, None)
    assert 36 < budget.rate < 40
    limited = Budget(1000.0)
    limited.spend(0.0)
    limited.refused(0.0, None)
    assert limited.rate < 1000


def test_the_rate_falls_with_the_share_refused() -> None:
    """Where a third is refused the rate falls further than where one in sixty is."""
    rates: list[float] = []
    for every in (60, 3):
        budget = Budget()
        for number in range(361):
            budget.spend(number / 60)
            if number >= 300 and number % every == 0:
                budget.refused(number / 60, None)
        rates.append(budget.rate)
    stray, third = rates
    assert third < 0.9 * stray


def test_a_stray_refusal_costs_less_than_a_limit() -> None:
    """One refusal in sixty, at no limit, leaves most of what is asked for."""
    budget = Budget()
    sent = 0
    for second in range(300):
        times = drain_at_most(budget, float(second), second + 1.0, 50)
        sent += len(times) if second >= 60 else 0
        for number, instant in enumerate(times):
            if number % 60 == second % 60:
                budget.refused(instant, None)
    assert sent / 240 > 35


def drain_at_most(budget: Budget, begin: float, end: float, demand: int) -> list[float]:
    """Send so many in a stretch, evenly, or what the budget allows of them."""
    times: list[float] = []
    now = begin
    for number in range(demand):
        now = max(now, begin + number / demand * (end - begin))
        now += budget.wait(now)
        if now >= end:
            break
        budget.spend(now)
        times.append(now)
    return times


def test_a_pause_is_no_low_rate() -> None:
    """The seconds of a pause do not count as seconds in which little was sent."""
    budget = Budget()
    drain_at_most(budget, 0.0, 5.0, 250)
    budget.refused(5.0, 30.0)
    low = budget.rate
    budget.spend(35.0)
    budget.refused(35.1, None)
    assert budget.rate > low * 0.8


def test_a_refusal_early_on_is_measured_over_the_time_since() -> None:
    """One 429 among the first fifty of a crowd leaves about the rate at which they were sent."""
    budget = Budget()
    for number in range(50):
        budget.spend(number / 250)
    budget.refused(0.2, None)
    assert 200 < budget.rate < 250


def test_refusals_of_one_crowd_count_once() -> None:
    """A hundred refusals within a second lower the rate as one does."""
    one, many = Budget(), Budget()
    for number in range(200):
        one.spend(number / 40)
        many.spend(number / 40)
    one.refused(5.0, None)
    for number in range(100):
        many.refused(5.0 + number / 200, None)
    assert many.rate == one.rate


def test_it_is_never_refused_to_nothing() -> None:
    """However often it was refused, it still asks twice a second."""
    budget = Budget(50.0)
    for second in range(100):
        budget.refused(float(second * 2), None)
    assert budget.rate == 2.0


def test_a_rate_below_the_floor_is_kept() -> None:
    """A refusal never raises a given rate that lies under the floor of found ones."""
    budget = Budget(0.5)
    budget.spend(0.0)
    budget.refused(0.0, None)
    assert budget.rate <= 0.5


def test_it_creeps_up_to_the_ceiling() -> None:
    """Without further refusals the rate rises gently, to the ceiling and no further."""
    budget = Budget(50.0)
    drain(budget, 0, 5)
    budget.refused(5.0, None)
    low = budget.rate
    drain(budget, 5, 6)
    assert low < budget.rate < 50
    drain(budget, 6, 40)
    assert budget.rate == 50


def test_an_idle_hour_does_not_count_as_success() -> None:
    """The rate rises by what was asked without a refusal, not by time alone."""
    budget = Budget(50.0)
    drain(budget, 0, 5)
    budget.refused(5.0, None)
    low = budget.rate
    budget.spend(3605.0)
    assert budget.rate < low * 1.1


@pytest.mark.parametrize(
    ("hint", "paused"), [(7.0, 7.0), (60.0, 60.0), (61.0, 60.0), (1e9, 60.0)], ids=str
)
def test_a_hint_pauses_the_account(hint: float, paused: float) -> None:
    """The provider's `Retry-After` holds up the whole account, for a minute at most."""
    budget = Budget()
    budget.refused(100.0, hint)
    assert budget.wait(100.0) == pytest.approx(paused)
    assert budget.wait(100.0 + paused) == 0


def test_a_second_hint_pauses_too() -> None:
    """Of two refusals within a second the longer hint counts, though the rate falls once."""
    budget = Budget()
    budget.refused(0.0, 2.0)
    budget.refused(0.5, 9.0)
    budget.refused(0.6, 1.0)
    assert budget.wait(1.0) == pytest.approx(8.5)


@pytest.mark.parametrize("hint", [None, 0.0, -1.0, math.nan, math.inf, -math.inf], ids=str)
def test_a_hint_that_cannot_be_pauses_nothing(hint: float | None) -> None:
    """A hint of 0, less, infinity or no number holds nothing up and breaks nothing."""
    budget = Budget(10.0)
    budget.refused(100.0, hint)
    assert budget.wait(100.0) == 0
    budget.spend(100.0)
    assert 0 < budget.wait(100.0) < 1


@given(
    events=st.lists(
        st.tuples(
            st.floats(0, 10),
            st.sampled_from(["send", "refuse"]),
            st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
        ),
        max_size=60,
    ),
    ceiling=st.sampled_from([0.5, 10.0, math.inf]),
)
def test_it_always_goes_on(events: list[tuple[float, str, float | None]], ceiling: float) -> None:
    """Whatever happens, the rate stays a number within its bounds and the wait under a minute."""
    budget = Budget(ceiling)
    now = 0.0
    for pause, what, hint in events:
        now += pause
        if what == "refuse":
            budget.refused(now, hint)
        elif budget.wait(now) == 0:
            budget.spend(now)
        assert 0 < budget.rate <= ceiling
        assert 0 <= budget.wait(now) < 60.001
        assert 0 <= budget.sending(now) < math.inf


def test_what_was_sent_of_late_fades() -> None:
    """The measure of what is sent follows it up, and down when nothing is."""
    budget = Budget()
    for number in range(1000):
        budget.spend(number / 50)
    assert budget.sending(20.0) == pytest.approx(50, rel=0.05)
    assert budget.sending(40.0) < 0.1
