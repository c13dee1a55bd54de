"""The tasks of one budget: those that are due stand in line, in the order of their turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from asyncclient._many.budget import Budget
from asyncclient._many.crowd import DueTimes
from asyncclient._many.heap import Heap
from asyncclient._many.outage import Outage
from asyncclient._many.price import Price
from asyncclient._waiting import Record

if TYPE_CHECKING:
    import asyncio  # the type of what the loop keeps here; nothing here runs anything

R = TypeVar("R", bound=Record[object])

# Seconds. An account's failed looks are worth one warning in this time: an outage hits thousands.
_WARNING_GAP = 60.0


class Queue(Generic[R]):
    """The line of one budget, and what is known of its account.

    It has more attributes than a class should: all that is an account's is kept here, once.
    """

    def __init__(
        self, name: tuple[object, ...], ceiling: float, poll_cost: float | None = None
    ) -> None:
        self.name = name  # provider, account and group of endpoints
        self.budget = Budget(ceiling)  # when the next look may be sent
        # What a look must be worth now; None where the schedule does not go by that.
        self.price = None if poll_cost is None else Price(poll_cost)
        self.due_times = DueTimes()  # how many looks are due when
        self.outage: Outage[R] = Outage()  # whether its looks succeed or fail
        self.line: Heap[R] = Heap()  # those that are due
        self.pending = self.in_flight = self.refused = 0
        # The turn that was served last: the line's own clock, which only service moves on.
        self.served = 0.0
        self.timer: asyncio.TimerHandle | None = None  # for when the budget allows the next look
        self.is_pumping = False
        self._warned_at = -math.inf

    def join(self, turn: float, number: int, record: R) -> None:
        """Put a task in line; one that moves forward stands there twice."""
        self.line.push(turn, number, record)

    def take(self) -> R:
        """Take the first in line."""
        turn, _, record = self.line.pop()
        self.served = max(self.served, turn)
        return record

    def forget(self, record: R, stands: Callable[[R], bool]) -> None:
        """Forget a task that has been left, and in time the places of those that stand no more."""
        self.pending -= 1
        self.outage.left(record)
        if not self.pending:
            self.due_times = DueTimes()
        self.line.sweep(self.pending, lambda _, other: stands(other))

    def take_warning(self, now: float) -> bool:
        """Return whether to warn of a failed look; if so, there is no other for a minute."""
        if now - self._warned_at <= _WARNING_GAP:
            return False
        self._warned_at = now
        return True

    def label(self) -> str:
        """Return its name for a reader: provider, account where that has a name, and group."""
        parts: list[object] = []
        for part in self.name:
            # A client's account is its place and who asks there: a name, or what no one may see.
            parts += cast("tuple[object, ...]", part)[1:] if isinstance(part, tuple) else (part,)
        return " ".join(part for part in parts if part and isinstance(part, str))
