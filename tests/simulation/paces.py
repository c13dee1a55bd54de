"""The schedules of a world's waits and of its Poller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, repeat
from random import Random

from asyncclient import LearnedSchedule, Schedule
from asyncclient._schedule import Pacing
from tests.simulation.world import Pace


class _Own:
    """A schedule of the caller's own: quick looks, and then gaps of minutes."""

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps."""
        del rng
        return chain((0.5, 3.0, 0.0), repeat(200.0))


@cache
def _known_to_be_long() -> bytes:
    """Return what was learned of tasks that take some four minutes."""
    learned = LearnedSchedule()
    for kind in ("own", "coze.workflow_run:7350"):
        for number in range(12):
            learned.observe(200.0 + 7 * number, kind=kind)
    return learned.to_bytes()


_PACES: dict[Pace, Callable[[], Pacing]] = {
    "default": Schedule,
    "quick": lambda: Schedule(first=0.3, factor=1.5, cap=5.0, jitter=0.1),
    "fixed": lambda: Schedule(first=5.0, factor=1.0, cap=5.0, jitter=0.0),
    "rare": lambda: Schedule(first=40.0, factor=2.0, cap=400.0),
    "own": _Own,
    "learning": LearnedSchedule,
    "learned": lambda: LearnedSchedule.from_bytes(_known_to_be_long()),
}


def schedule_of(pace: Pace) -> Pacing:
    """Return a fresh schedule of a pace."""
    return _PACES[pace]()
