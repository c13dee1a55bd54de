"""Cuts off looks that take too long: one timer for all, since nearly all end long before."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from typing import Any

from asyncclient._waiting.rules import SAME_INSTANT


class Bounds:
    """When each look under way is cut off; `asyncio.timeout` would set a timer for each."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # kept here, since not every event loop's handle knows it

    def begin(self, look: asyncio.Task[Any], end: float) -> None:
        """Cut a look off then, on the loop's clock."""
        self._ends[look] = end
        if end < self._due:
            self._arm(end)

    def end(self, look: asyncio.Task[Any]) -> bool:
        """Let a look be; return whether it was cut off."""
        is_cut = self._ends.pop(look, None) is None
        if is_cut:
            look.uncancel()
        return is_cut

    def close(self) -> None:
        """Leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        self.close()
        self._due = due
        # In a context of its own: it outlives the look, and would keep what that has set.
        self._timer = asyncio.get_running_loop().call_at(due, self._ring, context=Context())

    def _ring(self) -> None:
        ends, now = self._ends, asyncio.get_running_loop().time()
        self._timer, self._due = None, math.inf
        for look in [look for look, end in ends.items() if end <= now + SAME_INSTANT]:
            del ends[look]
            look.cancel()
        if ends and (due := min(ends.values())) < math.inf:
            self._arm(due)
