"""The budget of one account: spacing, shares, pauses, and how it finds a limit."""

from __future__ import annotations

import math
from collections import deque
from random import Random

import pytest
from hypothesis import given, strategies as st

from asyncclient._many.budget import Budget
from tests.many.service import SLACK, most_within, number_between

RATES = st.sampled_from([0.1, 1.0, 3.0, 20.0, 50.0, 1000.0])


def drain(budget: Budget, begin: float, end: float, demand: float = math.inf) -> list[float]:
    """Send what may be sent between two instants, at a demand a second, and return when."""
    times: list[float] = []
    now = begin + budget.wait(begin)
    while now < end:
        budget.spend(now)
        times.append(now)
        now += 1 / demand
        now += budget.wait(now)
    return times


def refuse(budget: Budget, now: float, hint: float | None) -> None:
    """Refuse 25 requests at one instant: of 1,000, more than chance explains."""
    for _ in range(25):
        budget.refused(now, hint)


@given(rate=RATES, pauses=st.lists(st.floats(0, 3), min_size=1, max_size=120))
def test_never_above_the_rate_over_any_five_seconds(rate: float, pauses: list[float]) -> None:
    """For any pattern of arrivals, five seconds never hold more than the rate allows."""
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


@given(
    rate=RATES,
    pause=st.floats(0.3, 100),
    standstill=st.floats(0.3, 100),
    order=st.randoms(use_true_random=False),
)
def test_a_standstill_makes_no_room(
    rate: float, pause: float, standstill: float, order: Random
) -> None:
    """What leaves only after a standstill is spaced from there, in any order with what follows."""
    budget = Budget(rate)
    late: list[float] = []
    while budget.wait(pause) == 0:
        late.append(budget.spend(pause))
    now = pause + standstill
    leaving = len(late)
    while late:
        if budget.wait(now) == 0 and order.random() < 0.5:
            budget.leave(budget.spend(now), now)
            leaving += 1
        else:
            budget.leave(late.pop(order.randrange(len(late))), now)
    assert budget.wait(now) == pytest.approx(max(0, leaving / rate - SLACK), abs=1e-6)


@pytest.mark.parametrize(("rate", "lag"), [(10.0, 0.1), (20.0, 0.24), (1000.0, 0.05)])
def test_requests_that_always_leave_late_keep_their_rate(rate: float, lag: float) -> None:
    """In a busy event loop each request leaves a while after it was counted, but counts once."""
    prompt, late = Budget(rate), Budget(rate)
    now = 0.0
    for _ in range(100):
        while late.wait(now) == 0:
            prompt.spend(now)
            late.leave(late.spend(now), now + lag)
        assert late.wait(now) == prompt.wait(now)
        now += late.wait(now)


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


@pytest.mark.parametrize("hint", [None, 1.0])
def test_refusals_by_chance_change_nothing(hint: float | None) -> None:
    """One in sixty, at no limit, leaves all of the demand, and pauses none but its own task."""
    budget = Budget()
    drain(budget, 0, 10, 50)
    times: list[float] = []
    for number in range(200):
        begin = 10 + number * 1.2
        times += drain(budget, begin, begin + 1.2, 50)
        budget.refused(begin + 1.2, hint)
    assert budget.rate == math.inf
    assert len(times) == pytest.approx(200 * 60, rel=0.01)


def test_a_pause_is_no_low_rate() -> None:
    """The seconds of a pause do not count as seconds in which little was sent."""
    budget = Budget()
    drain(budget, 0, 5, 50)
    for _ in range(5):
        budget.refused(5.0, 30.0)
    low = budget.rate
    budget.spend(35.0)
    budget.refused(35.1, None)
    # One in a hundred of the last two seconds was refused, and it fell by a twentieth.
    assert budget.rate / low == pytest.approx(0.99 * 0.95, abs=0.002)


def test_refusals_of_one_crowd_count_once() -> None:
    """A hundred refusals within a second lower the rate as one does."""
    one, many = Budget(), Budget()
    for budget in (one, many):
        drain(budget, 0, 5, 40)
        refuse(budget, 5.0, None)
    for number in range(100):
        many.refused(5.0 + number / 200, None)
    assert many.rate == one.rate < 40
    refuse(many, 6.0, None)
    assert many.rate < one.rate


@pytest.mark.parametrize(("ceiling", "lowest"), [(50.0, 2.0), (0.5, 0.5)])
def test_refusals_leave_two_requests_a_second(ceiling: float, lowest: float) -> None:
    """One lowers the rate, any number leaves two, and none raises a given rate that is lower."""
    budget = Budget(ceiling)
    budget.spend(0.0)
    budget.refused(0.0, None)
    assert budget.rate < max(ceiling, 1.0)
    for second in range(100):
        budget.refused(second * 2, None)
    assert budget.rate == lowest


def test_a_rate_that_fell_rises_to_what_was_accepted_and_then_ever_faster() -> None:
    """It is level there for some seconds, and at twice that soon after; idle hours do not count."""
    budget, idle = Budget(100.0), Budget(100.0)
    for each in (budget, idle):
        drain(each, 0, 5, 40)
        refuse(each, 5.0, None)
    low = budget.rate
    reached: list[float] = []
    for second in range(14):
        assert drain(budget, 5 + second, 6 + second)
        reached.append(budget.rate)
    assert reached == sorted(reached)
    assert low < reached[0] < reached[3] < reached[4] * 1.02
    assert reached[3] == pytest.approx(low / 0.95, rel=0.01)
    assert reached[6] < 1.2 * low < 2 * low < reached[13]
    idle.spend(3605.0)
    assert low < idle.rate < low / 0.95


@pytest.mark.parametrize(("rate", "tolerated"), [(200.0, 1), (20.0, 0)])
def test_the_next_refusal_may_be_chance_where_a_second_has_many_requests(
    rate: float, tolerated: int
) -> None:
    """After a fall, one in as many as a second has, and in 50 at most, changes nothing."""
    budget = Budget()
    drain(budget, 0, 5, rate)
    for _ in range(24):
        budget.refused(5.0, None)
        if budget.rate < math.inf:
            break
    low = budget.rate
    for number in range(2):
        budget.refused(7.0 + number, None)
        assert (budget.rate == low) is (number < tolerated)


def test_a_silence_counts_as_one_good_second() -> None:
    """A rate that fell rises by it as by a second of requests."""
    rates: list[float] = []
    for silence in (1.0, 1.5, 3600.0):
        budget = Budget(100.0)
        drain(budget, 0, 5, 40)
        refuse(budget, 5.0, None)
        budget.spend(5.0 - budget.idle(5.0) + silence)
        rates.append(budget.rate)
    assert rates[0] == rates[1] == rates[2] < 40


@pytest.mark.parametrize("hint", [None, 2.0], ids=["silent", "hint"])
def test_a_limit_is_found(hint: float | None) -> None:
    """Under a limit that is not known, it soon sends about as many, and is seldom refused."""
    budget = Budget()
    sent: list[float] = []
    refused: list[float] = []
    answered: deque[float] = deque()
    now = 0.0
    while now < 180:
        budget.spend(now)
        sent.append(now)
        while answered and answered[0] <= now - 1:
            answered.popleft()
        if len(answered) >= 20:
            refused.append(now)
            budget.refused(now, hint)
        else:
            answered.append(now)
        now += 0.005
        now += budget.wait(now)
    late, in_vain = number_between(sent, 60, 180), number_between(refused, 60, 180)
    assert 13 <= (late - in_vain) / 120 <= 20
    assert in_vain <= 0.1 * late


def test_a_second_hint_pauses_too() -> None:
    """Of two refusals within a second the longer hint counts, though the rate falls once."""
    budget = Budget()
    budget.refused(0.0, 2.0)
    budget.refused(0.5, 9.0)
    budget.refused(0.6, 1.0)
    assert budget.wait(1.0) == pytest.approx(8.5)


def test_a_pause_stays_a_pause() -> None:
    """What the provider asked is waited in full when the share changes meanwhile."""
    budget = Budget(400)
    budget.take_share(0.25, 0)
    drain(budget, 0, 2)
    refuse(budget, 2.0, 10.0)
    for number, share in enumerate((1, 0.1)):
        budget.take_share(share, 4 + number)
        assert budget.wait(4 + number) == pytest.approx(8 - number)


def test_a_found_limit_is_shared_too() -> None:
    """Half of what was found by backing off is sent, and two a second at least."""
    budget = Budget()
    drain(budget, 0, 10, 40)
    refuse(budget, 10.0, None)
    found = budget.rate
    budget.take_share(0.5, 10)
    assert budget.rate == pytest.approx(found / 2)
    drain(budget, 10, 13.5, 40)  # it is level at half of what was accepted
    assert budget.rate == pytest.approx(found / 0.95 / 2, rel=0.01)
    budget.take_share(0.01, 10)
    assert budget.rate == 2


@pytest.mark.parametrize("crew", [2, 3, 7])
def test_budgets_that_share_keep_one_rate(crew: int) -> None:
    """As budgets come and go one by one, their sum keeps the rate in every second, and uses it."""
    budgets: list[Budget] = []
    times: list[float] = []
    end = 0.0
    for number in [*range(1, crew + 1), *range(crew - 1, 0, -1)]:
        budgets = [*budgets, Budget(42)] if number > len(budgets) else budgets[:number]
        for budget in budgets:
            budget.take_share(1 / number, end)
        for budget in budgets:
            times += drain(budget, end, end + 10)
        end += 10
    assert most_within(sorted(times), 1) <= 42 * (1 + SLACK) + crew + 1
    assert number_between(times, 2, end) >= 0.97 * 42 * (end - 2)


HINTS = st.none() | st.floats(allow_nan=True, allow_infinity=True)
EVENTS = st.tuples(st.floats(0, 10), st.sampled_from(["send", "refuse"]), HINTS)


@given(st.lists(EVENTS, max_size=60), st.sampled_from([0.5, 10.0, math.inf]))
def test_it_always_goes_on(events: list[tuple[float, str, float | None]], ceiling: float) -> None:
    """After any events, the rate is a number within its bounds and the wait under a minute."""
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


def test_what_was_sent_is_a_mean_over_two_seconds() -> None:
    """One request counts over the time since it came, and over 0.1 s at least."""
    budget = Budget()
    budget.spend(10.0)
    at_once = 0.5 / (1 - math.exp(-0.05))
    assert budget.sending(10.0) == pytest.approx(at_once)
    assert budget.sending(12.0) == pytest.approx(0.5 / (math.e - 1))
    budget.spend(12.0)
    assert budget.sending(12.0) == pytest.approx(0.5 * (1 + 1 / math.e) / (1 - 1 / math.e))
    budget.spend(20.0)  # after more than two seconds, the earlier ones are forgotten
    assert budget.sending(20.0) == pytest.approx(at_once)


def test_it_is_idle_since_its_last_request() -> None:
    """The seconds since the last request; before the first it has been idle for ever."""
    budget = Budget()
    assert budget.idle(5.0) == math.inf
    budget.spend(5.0)
    assert budget.idle(7.5) == 2.5


@pytest.mark.parametrize(
    ("retry_after", "kept", "paused"),
    [(hint, 0.95, 0.0) for hint in (None, 0.0, -1.0, math.nan, math.inf, -math.inf)]
    + [(0.5, 0.85, 0.5), (7.0, 0.85, 7.0), (60.0, 0.85, 60.0), (61.0, 0.85, 60.0)]
    + [(1e9, 0.85, 60.0)],
)
def test_a_refusal_keeps_a_share_of_what_was_accepted(
    retry_after: float | None, kept: float, paused: float
) -> None:
    """2 % of the last 1,000 were refused; a pause of up to 60 s costs more."""
    budget = Budget()
    drain(budget, 0, 10, 100)
    sending = budget.sending(10.0)
    refuse(budget, 10.0, retry_after)
    assert budget.rate / sending == pytest.approx(kept * 0.98, abs=0.001)
    assert budget.wait(10.0) == pytest.approx(paused)
    assert budget.wait(10.0 + paused) == pytest.approx(0)


def test_a_first_refusal_halves_what_was_sent() -> None:
    """Where all was refused, half of it counts as accepted, and at least two a second are sent."""
    budget = Budget()
    budget.spend(0.0)
    sending = budget.sending(0.0)
    budget.refused(0.0, None)
    assert budget.rate == pytest.approx(sending * 0.5 * 0.95)
    unused = Budget()
    unused.refused(0.0, None)
    assert unused.rate == 2.0


def test_a_share_changes_the_gap_that_has_begun() -> None:
    """At half of the rate, what is left of the gap is twice as long, from this instant on."""
    budget = Budget(10.0)
    budget.spend(0.0)
    left = budget.wait(0.0)
    for share in (0.5, 0.1, 1):
        budget.take_share(share, 0.0)
        assert budget.rate == pytest.approx(10 * share)
        assert budget.wait(0.0) == pytest.approx(left / share)


def test_a_pause_and_a_rate_that_was_found_are_worth_keeping() -> None:
    """A pause as long as it lasts, a rate for ten minutes after the last request."""
    budget = Budget()
    assert not budget.matters(0.0)
    budget.spend(0.0)
    budget.refused(0.0, 0.5)
    assert budget.matters(0.4)
    last = 600.0 - budget.idle(600.0)
    assert budget.matters(last + 600.0)
    assert not budget.matters(last + 600.1)
    known = Budget(10.0)
    known.spend(0.0)
    assert known.matters(0.05)
    assert not known.matters(1.0)
