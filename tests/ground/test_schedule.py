"""Tests of the delays: growing and jittered ones between polls, doubling ones after errors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
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

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Schedule]", Schedule)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw any schedule that may be made, from milliseconds to days."""
    first = draw(st.floats(0.001, 1e4))
    cap = first * draw(st.floats(1, 1e6))
    return Schedule(first, draw(st.floats(1, 100)), cap, draw(st.just(0.0) | st.floats(0, 0.99)))


@pytest.fixture
def backoffs_own_chance() -> Iterator[None]:
    """Give the generator that `backoff` draws from back as it was."""
    state = random.getstate()
    yield
    random.setstate(state)


@given(schedules(), SEEDS)
def test_gaps_grow_by_the_factor_within_the_jitter(schedule: Schedule, seed: int) -> None:
    """The k-th gap is first·factor**k up to the cap, exactly so without jitter.

    With it, the first gap is a phase from a tenth of `first` up to `first`. Chance comes from the
    given generator alone.
    """
    delays = list(islice(schedule.delays(Random(seed)), 40))
    assert delays == list(islice(schedule.delays(Random(seed)), 40))
    assert all(0 < delay <= schedule.cap for delay in delays)
    for number, delay in enumerate(delays[:12]):
        gap = min(schedule.first * schedule.factor**number, schedule.cap)
        high = min(gap * (1 + schedule.jitter), schedule.cap)
        low = high * (1 - schedule.jitter) / (1 + schedule.jitter)
        if schedule.jitter and not number:
            low, high = schedule.first * 0.1, schedule.first
        assert low * (1 - 1e-12) <= delay <= high * (1 + 1e-12)


def test_the_default_schedule_starts_at_three_seconds_and_ends_at_a_minute() -> None:
    """`Schedule()` grows by a tenth from 3 s to 60 s, ±10 %; a lower cap alone is no mistake."""
    assert Schedule() == Schedule(first=3.0, factor=1.1, cap=60.0, jitter=0.1)
    assert Schedule(cap=2) == Schedule(first=2, cap=2)
    assert Schedule(cap=0.5) == Schedule(first=0.5, cap=0.5)
    assert Schedule(first=1, factor=1e300, cap=1e301, jitter=0).delay(9) == 1e301  # no overflow
    fixed = Schedule(first=2, factor=1, cap=60, jitter=0).delays()
    assert set(islice(fixed, 10_000)) == {2}


def jittered(jitter: float) -> tuple[Schedule, int, float, float]:
    """Return a row for the gaps at the cap."""
    return Schedule(1, 2, 10, jitter), 10, 10 * (1 - jitter) / (1 + jitter), 10


@pytest.mark.parametrize(
    ("pacing", "number", "low", "high"),
    [
        (Schedule(first=10, cap=60), 0, 1, 10),
        *(jittered(jitter) for jitter in (0.05, 0.1, 0.5, 0.9)),
        *((Backoff(), number, 0.1, min(2.0**number, 30)) for number in (0, 1, 2, 3, 4, 5, 9)),
    ],
    ids=str,
)
def test_chance_fills_the_whole_range_evenly(
    pacing: Schedule | Backoff, number: int, low: float, high: float
) -> None:
    """A first gap has a tenth of `first` as its floor, a gap at the cap is still jittered.

    After errors jitter is full: from a tenth of `first` up to a ceiling that doubles.
    """
    rng = Random(8)
    drawn = [next(islice(pacing.delays(rng), number, None)) for _ in range(2000)]
    assert low <= min(drawn) < low + (high - low) * 0.01
    assert high - (high - low) * 0.01 < max(drawn) <= high
    middle = high / 2 if isinstance(pacing, Backoff) else (low + high) / 2
    assert fmean(drawn) == pytest.approx(middle, rel=0.05)
    assert len(set(drawn)) > 1700


@pytest.mark.usefixtures("backoffs_own_chance")
@pytest.mark.parametrize("pacing", [Schedule(), Backoff()], ids=["Schedule", "Backoff"])
def test_without_a_generator_chance_is_backoffs_own(pacing: Schedule | Backoff) -> None:
    """Delays come from `backoff.full_jitter`, by Python's generator, and differ between tasks."""
    random.seed(7)
    delays = list(islice(pacing.delays(), 10))
    assert delays == list(islice(pacing.delays(Random(7)), 10))
    assert delays != list(islice(pacing.delays(), 10))


def test_each_call_starts_again() -> None:
    """One schedule serves many tasks: each gets delays from the first one on."""
    schedule = Schedule(first=1, factor=1.5, cap=15, jitter=0)
    slow = schedule.delays()
    assert list(islice(slow, 3)) == [1, 1.5, 2.25]
    assert next(schedule.delays()) == 1
    assert next(slow) == 3.375


NUMBERS = ("first", "factor", "cap", "jitter")
REFUSED: list[tuple[Mapping[str, object], str]] = [
    *(({name: "1"}, f"{name} must be a number, not '1'") for name in NUMBERS),
    *(({name: math.nan}, f"{name}=nan must be finite") for name in NUMBERS),
    *(({"first": wrong}, f"first={wrong} must be more than 0") for wrong in (0, -0.0)),
    *(({"factor": wrong}, f"factor={wrong} must be at least 1") for wrong in (0, 0.99)),
    ({"first": 5, "cap": 4.9}, "cap=4.9 must be at least first=5"),
    ({"first": 61}, "cap=60.0 must be at least first=61"),
    ({"cap": 0}, "cap=0 must be at least first=3.0"),
    *(({"jitter": w}, f"jitter={w} must be 0 or more and less than 1") for w in (1, -0.01)),
]


@pytest.mark.parametrize(("numbers", "message"), REFUSED)
def test_an_impossible_schedule_is_refused(numbers: Mapping[str, object], message: str) -> None:
    """What is no number, or contradicts another, raises at once; the message says what would do."""
    kind = TypeError if "a number" in message else ValueError
    with pytest.raises(kind, match=rf"^Schedule: {message}"):
        unchecked(**numbers)
