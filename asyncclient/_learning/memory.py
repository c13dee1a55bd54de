"""What was seen of tasks of one kind: from which age to which one lived, and where it ended.

An age is the seconds since a task began. Ages are counted in narrow bins, evenly spaced in
logarithms. An edge is the number of a border between two bins; a bin has that of its lower one.
"""

from __future__ import annotations

import math

# 1.8 %: tasks that all take the same time within 3 % still fill several bins.
BIN_WIDTH = math.log(10) / 128
_FIRST_AGE = 0.05
# The last edge is at a million seconds.
LAST_EDGE = 936
AGES = (0.0, *(_FIRST_AGE * math.exp(BIN_WIDTH * number) for number in range(LAST_EDGE)))
# Less than this part of one end is forgotten altogether.
_LEAST_PART = 0.02


def edge_near(age: float, *, below: bool = False) -> int:
    """Return the edge that is nearest to an age, or the bin that holds it."""
    edge = age / _FIRST_AGE
    if edge >= 1:
        edge = 1 + math.log(edge) / BIN_WIDTH
    return min(LAST_EDGE - 1, int(edge)) if below else min(LAST_EDGE, int(edge + 0.5))


class Memory:
    """A life table of at most `most` ends: when more come, all that was seen before counts less.

    Each sighting counts by itself. So a pending task counts at all times with the ages that it has
    passed, and a change shows in the tasks that do not end as well as in those that do.

    Attributes:
        alive: by how many the number of tasks known to be alive changes at an edge.
        ends: how many tasks ended between two edges.
        size: how many ended.
    """

    __slots__ = ("_most", "alive", "ends", "size")

    def __init__(self, most: float = math.inf) -> None:
        self.alive: dict[int, float] = {}
        self.ends: dict[tuple[int, int], float] = {}
        self.size = 0.0
        self._most = most

    def add_alive(self, first: int, last: int, number: float = 1.0) -> None:
        """Count tasks that were alive between two edges."""
        if first < last:
            self.alive[first] = self.alive.get(first, 0.0) + number
            self.alive[last] = self.alive.get(last, 0.0) - number

    def add_end(self, first: int, last: int, number: float = 1.0) -> None:
        """Count tasks that ended between two edges."""
        self.ends[first, last] = self.ends.get((first, last), 0.0) + number
        self.size += number

    def add(self, other: Memory, share: float = 1.0) -> None:
        """Count a share of what another memory holds."""
        excess = self.size + other.size * share - self._most
        if excess > 0 and self.size:
            kept = max(0.0, 1 - excess / self.size)
            self.alive = {edge: number * kept for edge, number in self.alive.items()}
            left = ((span, number * kept) for span, number in self.ends.items())
            self.ends = {span: number for span, number in left if number > _LEAST_PART}
            self.size = sum(self.ends.values())
        for edge, number in other.alive.items():
            self.alive[edge] = self.alive.get(edge, 0.0) + number * share
        for (first, last), number in other.ends.items():
            self.add_end(first, last, number * share)
