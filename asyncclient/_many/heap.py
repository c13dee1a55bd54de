"""A heap that forgets what no longer holds a few entries at a time. No clock, no I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T")

# Stale entries are removed when they are more than half, and more than this many, …
_STALE = 256
# … this many a call: those of a million tasks at once would block the event loop for seconds.
_A_CALL = 4


class Heap(Generic[T]):
    """Items by a number, the least first; of equal ones that which came first."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []
        # While stale ones are removed: what is not looked through yet, a heap as well.
        self._old: list[tuple[float, int, T]] = []

    def __len__(self) -> int:
        return len(self._entries) + len(self._old)

    def __iter__(self) -> Iterator[T]:
        return (item for _, _, item in chain(self._entries, self._old))

    def push(self, order: float, number: int, item: T) -> None:
        """Add an item; `number` is its own."""
        heapq.heappush(self._entries, (order, number, item))

    def first(self) -> float | None:
        """Return the least number that an item stands by; None when there is none."""
        heap = self._least()
        return heap[0][0] if heap else None

    def pop(self) -> tuple[float, int, T]:
        """Take the first item, with what it stands by."""
        return heapq.heappop(self._least())

    def sweep(self, live: int, holds: Callable[[float, T], bool]) -> None:
        """Forget some entries that no longer hold; `live` is how many may."""
        if not self._old and len(self._entries) > 2 * live + _STALE:
            self._old, self._entries = self._entries, []
        for _ in range(min(_A_CALL, len(self._old))):
            # Without its last entry a heap is one still.
            order, number, item = self._old.pop()
            if holds(order, item):
                heapq.heappush(self._entries, (order, number, item))

    def _least(self) -> list[tuple[float, int, T]]:
        if self._old and (not self._entries or self._old[0] < self._entries[0]):
            return self._old
        return self._entries
