"""Tests of the delays: growing and jittered ones between polls, doubling ones after errors."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable
from itertools import islice
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, strategies as st

from asyncclient._schedule import Backoff, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = st.integers(0, 2**32)
JITTERS = st.floats(0, 0.99)

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Schedule]", Schedule)


@st.composite
def schedules(draw: st.DrawFn, jitters: st.SearchStrategy[float] = JITTERS) -> Schedule:
    """Draw any schedule that may be made, from milliseconds to days."""
    first = draw(st.floats(0.001, 1e4))
    cap = first * draw(st.floats(1, 1e6))
    return Schedule(first, draw(st.floats(1, 100)), cap, draw(jitters))


def gap(schedule: Schedule, number: int) -> float:
    """Return the gap that jitter is applied to."""
    steps = math.log(schedule.cap / schedule.first) / math.log(max(schedule.factor, 1 + 1e-12))
    if number > steps + 1:  # spares a power that no float can hold
        return schedule.cap
    return min(schedule.first * schedule.factor**number, schedule.cap)


@pytest.fixture
def backoffs_own_chance() -> Iterator[None]:
    """Give the generator that `backoff` draws from back as it was."""
    state = random.getstate()
    yield
    random.setstate(state)


# --- between polls ----------------------------------------------------------------------------


@given(schedules(), SEEDS)
def test_every_delay_is_more_than_nothing_and_never_over_the_cap(
    schedule: Schedule, seed: int
) -> None:
    """Whatever the numbers, the first forty delays lie between 0 (never met) and the cap."""
    assert all(0 < delay <= schedule.cap for delay in islice(schedule.delays(Random(seed)), 40))


@given(schedules(), SEEDS)
def test_gaps_grow_by_the_factor_within_the_jitter(schedule: Schedule, seed: int) -> None:
    """The k-th gap is first·factor**k up to the cap, no further off than the jitter says."""
    spread = (1 - schedule.jitter) / (1 + schedule.jitter)
    for number, delay in enumerate(islice(schedule.delays(Random(seed)), 12)):
        if number or not schedule.jitter:
            high = min(gap(schedule, number) * (1 + schedule.jitter), schedule.cap)
            assert high * spread * (1 - 1e-9) <= delay <= high * (1 + 1e-9)


@given(schedules(jitters=st.floats(0.01, 0.99)), SEEDS)
def test_the_first_gap_is_a_phase_of_its_own(schedule: Schedule, seed: int) -> None:
    """The first gap lies between a tenth of `first` and `first`, whatever the jitter is."""
    delay = next(schedule.delays(Random(seed)))
    assert schedule.first * 0.1 <= delay <= schedule.first * (1 + 1e-9)


@given(schedules(), SEEDS)
def test_the_same_seed_gives_the_same_delays(schedule: Schedule, seed: int) -> None:
    """Delays are drawn from the given generator alone."""
    one, two = schedule.delays(Random(seed)), schedule.delays(Random(seed))
    assert list(islice(one, 20)) == list(islice(two, 20))


@given(schedules(jitters=st.just(0.0)))
def test_without_jitter_every_gap_is_exact(schedule: Schedule) -> None:
    """With jitter=0 the gaps are first, first·factor, … and then the cap, the first included."""
    gaps = [gap(schedule, number) for number in range(12)]
    assert list(islice(schedule.delays(), 12)) == pytest.approx(gaps, rel=1e-12)


def test_the_default_schedule_starts_at_a_second_and_ends_at_fifteen() -> None:
    """`Schedule()` grows by half from 1 s to 15 s, ±10 %."""
    assert Schedule() == Schedule(first=1.0, factor=1.5, cap=15.0, jitter=0.1)
    delays = list(islice(Schedule().delays(Random(1)), 20))
    assert delays[0] <= 1
    assert delays[1] == pytest.approx(1.5, rel=0.1)
    assert delays[2] == pytest.approx(2.25, rel=0.1)
    assert min(delays[8:]) >= 15 * 0.9 / 1.1


def test_a_factor_of_one_is_a_fixed_interval() -> None:
    """With factor=1 gaps never grow, however many there are."""
    delays = Schedule(first=2, factor=1, cap=60, jitter=0).delays()
    assert set(islice(delays, 10_000)) == {2}


def test_a_cap_equal_to_first_is_a_fixed_interval_too() -> None:
    """With cap=first every gap after the first lies just under it, jittered."""
    delays = list(islice(Schedule(first=3, cap=3).delays(Random(4)), 1, 500))
    assert 3 * 0.9 / 1.1 <= min(delays) < 2.6
    assert 2.9 < max(delays) <= 3


@pytest.mark.parametrize("jitter", [0.05, 0.1, 0.5, 0.9])
def test_jitter_does_not_vanish_at_the_cap(jitter: float) -> None:
    """Where gaps are longest they still fill the whole window under the cap, evenly."""
    schedule = Schedule(first=1, factor=2, cap=10, jitter=jitter)
    delays = list(islice(schedule.delays(Random(5)), 10, 1010))
    low = 10 * (1 - jitter) / (1 + jitter)
    assert low <= min(delays) < low + (10 - low) * 0.05
    assert 10 - (10 - low) * 0.05 < max(delays) <= 10
    assert fmean(delays) == pytest.approx((low + 10) / 2, rel=0.05)
    assert len(set(delays)) > 990


def test_first_phases_fill_their_whole_range() -> None:
    """First gaps are drawn evenly from a tenth of `first` up to `first`."""
    rng = Random(6)
    phases = [next(Schedule(first=10, cap=60).delays(rng)) for _ in range(2000)]
    assert 1 <= min(phases) < 1.1
    assert 9.9 < max(phases) <= 10
    assert fmean(phases) == pytest.approx(5.5, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_a_herd_is_spread(seed: int) -> None:
    """Of 2,000 tasks started at once, at most 75 poll again within any 100 ms."""
    rng = Random(seed)
    schedule = Schedule(first=5)
    phases = sorted(next(schedule.delays(rng)) for _ in range(2000))
    crowds = [bisect_right(phases, begin + 0.1) - at for at, begin in enumerate(phases)]
    assert max(crowds) <= 75


@pytest.mark.usefixtures("backoffs_own_chance")
def test_without_a_generator_chance_is_backoffs_own() -> None:
    """By default delays come from `backoff.full_jitter`, which draws from Python's generator."""
    random.seed(7)
    delays = list(islice(Schedule().delays(), 10))
    pauses = list(islice(Backoff().delays(), 10))
    rng = Random(7)
    assert delays == list(islice(Schedule().delays(rng), 10))
    assert pauses == list(islice(Backoff().delays(rng), 10))


@pytest.mark.parametrize("pacing", [Schedule(), Backoff()], ids=["Schedule", "Backoff"])
def test_without_a_generator_no_two_tasks_wait_alike(pacing: Schedule | Backoff) -> None:
    """Two tasks without a generator of their own get different delays."""
    assert list(islice(pacing.delays(), 10)) != list(islice(pacing.delays(), 10))


def test_each_call_starts_again() -> None:
    """One schedule serves many tasks: each gets delays from the first one on."""
    schedule = Schedule(jitter=0)
    slow = schedule.delays()
    assert list(islice(slow, 3)) == [1, 1.5, 2.25]
    assert next(schedule.delays()) == 1
    assert next(slow) == 3.375


@pytest.mark.parametrize("name", ["first", "factor", "cap", "jitter"])
@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (math.nan, ValueError, "must be finite"),
        (math.inf, ValueError, "must be finite"),
        (-math.inf, ValueError, "must be finite"),
        (-1, ValueError, "must be"),
        (True, TypeError, "must be a number"),
        (False, TypeError, "must be a number"),
        ("1", TypeError, "must be a number"),
        (None, TypeError, "must be a number"),
        (1j, TypeError, "must be a number"),
    ],
    ids=["nan", "inf", "-inf", "negative", "True", "False", "text", "None", "complex"],
)
def test_no_schedule_is_made_of_what_is_no_number(
    name: str, value: object, kind: type[Exception], reason: str
) -> None:
    """A value that cannot be raises at once, and names the argument and the value."""
    with pytest.raises(kind, match=reason) as refused:
        unchecked(**{name: value})
    assert name in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"first": 0}, r"first=0 must be more than 0"),
        ({"first": -0.0}, r"first=-0.0 must be more than 0"),
        ({"factor": 0.99}, r"factor=0.99 must be at least 1"),
        ({"factor": 0}, r"factor=0 must be at least 1"),
        ({"first": 5, "cap": 4.9}, r"cap=4.9 must be at least first=5"),
        ({"first": 16}, r"cap=15.0 must be at least first=16"),
        ({"jitter": 1}, r"jitter=1 must be 0 or more and less than 1"),
        ({"jitter": -0.01}, r"jitter=-0.01 must be 0 or more and less than 1"),
    ],
    ids=[
        "first is 0",
        "first is -0",
        "factor under 1",
        "factor is 0",
        "cap under first",
        "first over the default cap",
        "jitter is 1",
        "jitter under 0",
    ],
)
def test_an_impossible_schedule_is_refused(numbers: dict[str, float], message: str) -> None:
    """Numbers that contradict each other raise at once, and the message says what would do."""
    with pytest.raises(ValueError, match=rf"^Schedule: {message}"):
        Schedule(**numbers)


# --- after errors -----------------------------------------------------------------------------


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    """Draw any backoff, from milliseconds to days."""
    first = draw(st.floats(0.001, 1e4))
    return Backoff(first, first * draw(st.floats(1, 1e6)))


@given(backoffs(), SEEDS)
def test_pauses_stay_between_a_tenth_of_the_first_and_a_doubling_ceiling(
    pacing: Backoff, seed: int
) -> None:
    """The k-th pause is at most first·2**k and the cap, and never under a tenth of `first`."""
    for number, pause in enumerate(islice(pacing.delays(Random(seed)), 40)):
        assert pacing.first * 0.1 <= pause <= min(pacing.first * 2**number, pacing.cap)


@given(backoffs(), SEEDS)
def test_the_same_seed_gives_the_same_pauses(pacing: Backoff, seed: int) -> None:
    """Pauses are drawn from the given generator alone."""
    one, two = pacing.delays(Random(seed)), pacing.delays(Random(seed))
    assert list(islice(one, 20)) == list(islice(two, 20))


@pytest.mark.parametrize(
    ("number", "ceiling"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (9, 30)]
)
def test_pauses_are_drawn_from_all_below_their_ceiling(number: int, ceiling: float) -> None:
    """Jitter is full: pauses fill everything from the floor up to a ceiling that doubles."""
    rng = Random(8)
    pauses = [next(islice(Backoff().delays(rng), number, None)) for _ in range(2000)]
    assert 0.1 <= min(pauses) < 0.1 + ceiling * 0.01
    assert ceiling * 0.99 < max(pauses) <= ceiling
    assert fmean(pauses) == pytest.approx(ceiling / 2, rel=0.05)
