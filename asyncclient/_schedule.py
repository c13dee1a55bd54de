"""How long to wait: a few numbers → a stream of delays. The only door to `backoff`.

Two distributions install the import package `backoff` (the archived `backoff` 2.2.1 and
`python-backoff` 3); only what is the same in both is used here: `expo` and `full_jitter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from random import Random
from typing import Protocol

import backoff
import msgspec

from asyncclient._arguments import number
from asyncclient._text import shown, type_name

# The first gap is drawn from this share of `first` up to `first`: one random phase spreads a herd
# as well as full jitter on every gap does (2,000 tasks at once: 53 against 62 polls in the worst
# 100 ms), and a floor keeps the second poll from following the first at once.
_PHASE_FLOOR = 0.1


_FIRST = 3.0


class Pacing(Protocol):
    """How a wait spaces its polls: anything with `delays`."""

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end, for one task."""
        ...  # pragma: no cover


class Schedule(msgspec.Struct, frozen=True):
    """Gaps that grow while a task is healthy: `first`, `first·factor`, … up to `cap`, jittered.

    The k-th gap is `min(first·factor**k, cap)` times a number drawn evenly from
    `1 - jitter … 1 + jitter`, never over `cap`. The first gap is a random phase: drawn evenly
    from a tenth of `first` up to `first`. With `jitter=0` all gaps are exact.

    Why so: growth with full jitter costs 33 % more delay at the same number of polls, ±10 % costs
    0.3 %, and one random phase is what prevents herds. Full jitter is for errors only.

    The defaults are for tasks of which nothing is known but that they take from 2 s to an hour: see
    `benchmarks/bench_first_tasks.py`.

    Args:
        first: seconds before the second poll, at most; more than 0. Default 3, or
            `cap` where that is less.
        factor: growth from gap to gap; 1 is a fixed interval. Default 1.1.
        cap: the longest gap in seconds; at least `first`. Default 60.
        jitter: share of a gap by which it is spread, 0 up to less than 1. Default 0.1.

    Raises:
        ValueError: the numbers cannot make a schedule.
        TypeError: one of them is not a number.
    """

    first: float = _FIRST
    factor: float = 1.1
    cap: float = 60.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            number(f"Schedule: {name}", getattr(self, name))
        if 0 < self.cap < self.first == _FIRST:
            msgspec.structs.force_setattr(self, "first", self.cap)
        for name, is_good, bounds in (
            ("first", self.first > 0, "more than 0 seconds"),
            ("factor", self.factor >= 1, "at least 1 (1 is a fixed interval)"),
            ("cap", self.cap >= self.first, f"at least first={self.first!r} seconds"),
            ("jitter", 0 <= self.jitter < 1, "0 or more and less than 1"),
        ):
            if not is_good:
                msg = f"Schedule: {name}={getattr(self, name)!r} must be {bounds}"
                raise ValueError(msg)

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end.

        Args:
            rng: the generator to draw from, so that the same seed gives the same gaps; by default
                `backoff`'s own.

        Returns:
            an iterator of seconds, each more than 0 and at most `cap`.
        """
        draw = drawing(rng)
        return (self.delay(number, draw) for number in count())

    def delay(self, number: int, draw: Callable[[float], float] = backoff.full_jitter) -> float:
        """Return one gap in seconds.

        Args:
            number: which one, from 0.
            draw: draws evenly from 0 up to its argument.
        """
        low, width = _bounds(self.first, self.factor, self.cap, self.jitter, number)
        return low + draw(width) if width else low


class Backoff(msgspec.Struct, frozen=True):
    """Gaps after errors: full jitter under a ceiling that doubles.

    The k-th gap is drawn evenly from 0 up to `min(first·2**k, cap)` (the "full jitter" of the AWS
    architecture blog's "Exponential Backoff And Jitter"), but is never under a tenth of `first`.
    """

    first: float = 1.0  # the first ceiling in seconds
    cap: float = 30.0  # the highest ceiling in seconds

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end; `rng` as in `Schedule.delays`."""
        draw = drawing(rng)
        return (self.delay(number, draw) for number in count())

    def delay(self, number: int, draw: Callable[[float], float] = backoff.full_jitter) -> float:
        """Return one gap in seconds; arguments as in `Schedule.delay`."""
        ceiling = _growth(self.first, 2.0, self.cap)[number]
        return max(draw(ceiling), self.first * _PHASE_FLOOR)


class _Growth:
    """The gaps of one kind of growth without jitter, drawn from `backoff` as far as needed."""

    def __init__(self, first: float, factor: float, cap: float) -> None:
        self._source = backoff.expo(base=factor, factor=first, max_value=cap)
        next(self._source)  # its primer: None in backoff 2.2.1, 0 in python-backoff 3
        self._gaps = [next(self._source)]
        self._grows = factor > 1
        self._cap = cap

    def __getitem__(self, number: int) -> float:
        gaps = self._gaps
        while len(gaps) <= number and self._grows and gaps[-1] < self._cap:
            try:
                gaps.append(next(self._source))
            except OverflowError:  # backoff 2.2.1 raises to powers
                gaps.append(self._cap)
        return gaps[min(number, len(gaps) - 1)]


# Shared, so that a pending task costs a number and not a generator.
_growth = lru_cache(maxsize=256)(_Growth)


@lru_cache(maxsize=4096)
def _bounds(
    first: float, factor: float, cap: float, jitter: float, number: int
) -> tuple[float, float]:
    """Return the least seconds of a gap, and the width of what is drawn above them."""
    gap = _growth(first, factor, cap)[number]
    if not jitter:
        return gap, 0.0
    if not number:
        return gap * _PHASE_FLOOR, gap * (1 - _PHASE_FLOOR)
    # Near the cap the whole window moves down instead of being cut off, or the jitter would
    # vanish just where tasks wait longest.
    high = min(gap * (1 + jitter), cap)
    low = high * (1 - jitter) / (1 + jitter)
    return low, high - low


def drawing(rng: Random | None) -> Callable[[float], float]:
    """Return a function that draws evenly from 0 up to its argument."""
    return backoff.full_jitter if rng is None else lambda width: rng.uniform(0.0, width)


def checked_schedule(schedule: Pacing | None) -> Pacing:
    """Return the schedule to use, checked; None is the default."""
    if schedule is None:
        return _DEFAULT
    if isinstance(schedule, type) or not callable(getattr(schedule, "delays", None)):
        msg = f"schedule must be a Schedule, not {type_name(schedule)}: try Schedule(first=...)"
        raise TypeError(msg)
    return schedule


_DEFAULT = Schedule()


def checked_rng(rng: Random | None) -> Random | None:
    """Return a random generator or None, checked."""
    if rng is not None and not callable(getattr(rng, "uniform", None)):
        msg = f"rng must be a random.Random, not {type_name(rng)}: try random.Random({shown(rng)})"
        raise TypeError(msg)
    return rng
