"""What was seen of tasks of one kind: from which age to which one lived, and where it ended.

An age is the seconds since a task began. Ages are counted in narrow bins, evenly spaced in
logarithms. An edge is the number of a border between two bins.
"""

from __future__ import annotations

import math

# 1.8 %: tasks that all take the same time within 3 % still fill several bins.
BIN_WIDTH = math.log(10) / 128
_FIRST_AGE = 0.05
LAST_EDGE = 936  # a million seconds
AGES = (0.0, *(_FIRST_AGE * math.exp(BIN_WIDTH * number) for number in range(LAST_EDGE)))
# Less than this part of one end is forgotten altogether.
_LEAST_PART = 0.02
# As news, a poll that a task outlived counts for an eighth of an end.
_OUTLIVED = 1 / 8


def edge_near(age: float) -> int:
    """Return the edge that is nearest to an age."""
    edge = age / _FIRST_AGE
    if edge >= 1:
        edge = 1 + math.log(edge) / BIN_WIDTH
    return min(LAST_EDGE, int(edge + 0.5))


class Memory:
    """A life table of at most `most` ends: when more come, all that was seen before counts less.

    Each sighting counts by itself, so that pending tasks count with the ages that they have passed.
    """

    def __init__(self, most: float = math.inf) -> None:
        self.alive: dict[int, float] = {}  # by how many more are known to be alive from an edge on
        self.ends: dict[tuple[int, int], float] = {}  # how many ended between two edges
        self.size = self.news = 0.0  # ends that count, and what came since `news` was 0
        self._most = most

    def add_alive(self, first: int, last: int, number: float = 1.0) -> None:
        """Count tasks that were alive between two edges."""
        self.news += _OUTLIVED * number
        if first < last:
            self.alive[first] = self.alive.get(first, 0.0) + number
            self.alive[last] = self.alive.get(last, 0.0) - number

    def add_end(self, first: int, last: int, number: float = 1.0) -> None:
        """Count tasks that ended between two edges."""
        self.ends[first, last] = self.ends.get((first, last), 0.0) + number
        self.size += number
        self.news += number

    def add(self, other: Memory, share: float = 1.0) -> None:
        """Count a share of what another memory holds."""
        kept = (self._most - other.size * share) / max(self.size, _LEAST_PART)
        if kept < 1:
            self.alive = {edge: number * max(0.0, kept) for edge, number in self.alive.items()}
            left = {span: number * kept for span, number in self.ends.items()}
            self.ends = {span: number for span, number in left.items() if number > _LEAST_PART}
            self.size = sum(self.ends.values())
        for edge, number in other.alive.items():
            self.alive[edge] = self.alive.get(edge, 0.0) + number * share
        for (first, last), number in other.ends.items():
            self.add_end(first, last, number * share)
        self.news += (other.news - other.size) * share
