"""How the looks at many tasks are spread over time. No clock, no I/O."""

from __future__ import annotations

import math

# Looks are counted in slots of this many seconds, this many slots ahead.
_SLOT_SECONDS = 0.05
_SLOTS_AHEAD = 1200
# First looks that are made at once, and refilled at this rate a second. Those of a crowd are spread
# over the schedule's first gap, by the golden ratio, which leaves no two close together.
_AT_ONCE = 10.0
_AT_ONCE_PER_SECOND = 100.0
_GOLDEN = (math.sqrt(5) - 1) / 2


class DueTimes:
    """Counts the looks due in each coming moment: of two gaps, the emptier moment is taken.

    The best of two draws is what keeps a crowd flat; a single draw leaves random peaks ("The
    Power of Two Choices in Randomized Load Balancing", Mitzenmacher 2001).
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def note(self, due: float, now: float) -> None:
        """Count a look that will be due."""
        if due - now > _SLOTS_AHEAD * _SLOT_SECONDS:
            return  # a schedule of the caller's own may say `inf`
        slot, present = int(due / _SLOT_SECONDS), int(now / _SLOT_SECONDS)
        counts = self._counts
        counts[slot] = counts.get(slot, 0) + 1
        if len(counts) > 2 * _SLOTS_AHEAD:
            self._counts = {slot: count for slot, count in counts.items() if slot >= present}

    def kept(self) -> int:
        """Return how many moments are counted."""
        return len(self._counts)

    def emptier(self, now: float, one: float, other: float) -> float:
        """Return the one of two gaps that ends when fewer looks are due."""
        counts = self._counts
        first = counts.get(int((now + one) / _SLOT_SECONDS), 0)
        return one if first <= counts.get(int((now + other) / _SLOT_SECONDS), 0) else other


class Arrivals:
    """Spreads the first looks of tasks that come together."""

    def __init__(self) -> None:
        self._at_once = _AT_ONCE
        self._since = -math.inf
        self._crowd = 0

    def phase(self, now: float) -> float:
        """Return where in the first gap the next task is looked at, from 0, at once, to 1."""
        elapsed = now - self._since
        self._at_once = min(_AT_ONCE, self._at_once + elapsed * _AT_ONCE_PER_SECOND)
        self._since = now
        if self._at_once >= 1:
            self._at_once -= 1
            return 0.0
        self._crowd += 1
        return self._crowd * _GOLDEN % 1.0
