"""A heap that removes stale entries, a few at a time. No clock, no I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401  (as heapq takes them)


E = TypeVar("E", bound=_Ordered)

# Stale entries are removed when they are more than half, and more than this many, …
_STALE = 256
# … this many a call: those of a million tasks at once would block the event loop for seconds.
_A_CALL = 4


class Heap(Generic[E]):
    """Entries in their order, the least first."""

    def __init__(self) -> None:
        self._entries: list[E] = []
        # While stale entries are removed: those that are not checked yet, also a heap.
        self._old: list[E] = []

    def __len__(self) -> int:
        return len(self._entries) + len(self._old)

    def __iter__(self) -> Iterator[E]:
        return chain(self._entries, self._old)

    def push(self, entry: E) -> None:
        """Add an entry."""
        heapq.heappush(self._entries, entry)

    def first(self) -> E | None:
        """Return the first entry; None when there is none."""
        heap = self._least()
        return heap[0] if heap else None

    def pop(self) -> E:
        """Take the first entry."""
        return heapq.heappop(self._least())

    def pop_until(self, limit: E, most: int) -> list[E]:
        """Take the entries up to a limit, in their order, but no more than some."""
        taken: list[E] = []
        while (heap := self._least()) and not limit < heap[0] and len(taken) < most:
            taken.append(heapq.heappop(heap))
        return taken

    def sweep(self, live: int, holds: Callable[[E], bool]) -> None:
        """Remove some stale entries; `live` is how many entries are not stale."""
        if not self._old and len(self._entries) > 2 * live + _STALE:
            self._old, self._entries = self._entries, []
        for _ in range(min(_A_CALL, len(self._old))):
            # A heap without its last entry is still a heap.
            entry = self._old.pop()
            if holds(entry):
                heapq.heappush(self._entries, entry)

    def _least(self) -> list[E]:
        if self._old and (not self._entries or self._old[0] < self._entries[0]):
            return self._old
        return self._entries
