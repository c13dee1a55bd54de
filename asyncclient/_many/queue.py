"""The queue of each budget: the tasks that are due, in the order of their turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from asyncclient._many.budget import Budget
from asyncclient._many.crowd import DueTimes
from asyncclient._many.heap import Heap
from asyncclient._many.outage import Outage
from asyncclient._many.price import Price
from asyncclient._state import number_of
from asyncclient._task import Task, checked_budget, module_of, trait
from asyncclient._text import shown, text_of
from asyncclient._waiting import Packing, Record

if TYPE_CHECKING:
    import asyncio  # the type of a value that the loop keeps here; nothing here runs anything

R = TypeVar("R", bound=Record[object])

# Seconds. At most one warning of an account's failed looks in this time: an outage affects
# thousands.
_WARNING_GAP = 60.0
# From this many accounts on, those without tasks are forgotten, unless they have a found rate or a
# pause.
_QUEUES = 1000


class Queue(Generic[R]):
    """The queue of one budget, and what is known about its account.

    It has more attributes than a class should: all that is an account's is kept here, once.
    """

    def __init__(
        self, name: tuple[object, ...], ceiling: float, poll_cost: float | None = None
    ) -> None:
        self.name = name  # provider, account and group of endpoints
        self.budget = Budget(ceiling)  # when the next look may be sent
        # The price of a look now; None where the schedule does not use it.
        self.price = None if poll_cost is None else Price(poll_cost)
        self.due_times = DueTimes()  # how many looks are due when
        self.packing = Packing()  # how the last answers of its tasks are kept
        self.outage: Outage[R] = Outage()  # whether its looks succeed or fail
        # The tasks that are due; one that moves forward is there twice. Of equal turns, the one
        # that was looked at first goes first: sorted by due times, newcomers would starve old
        # tasks.
        self.line: Heap[tuple[float, float, int, R]] = Heap()
        self._numbers = count()
        self.pending = self.in_flight = self.refused = 0
        # The turn that was served last: the queue's own clock, which moves only when a task is
        # served.
        self.served = 0.0
        self.timer: asyncio.TimerHandle | None = None  # for when the budget allows the next look
        self.is_pumping = False
        self._warned_at = -math.inf

    def join(self, turn: float, record: R) -> None:
        """Add a task to the queue."""
        self.line.push((turn, record.sent, next(self._numbers), record))

    def take(self) -> R:
        """Take the first task of the queue."""
        turn, _, _, record = self.line.pop()
        self.served = max(self.served, turn)
        return record

    def forget(self, record: R, stands: Callable[[R], bool]) -> None:
        """Remove a task that was left, and from time to time the places of removed tasks."""
        self.pending -= 1
        self.outage.left(record)
        if not self.pending:
            self.due_times, self.packing = DueTimes(), Packing()
        self.line.sweep(self.pending, lambda place: stands(place[-1]))

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
            # A client's account is its base URL and a name, or something secret in place of the
            # name.
            parts += cast("tuple[object, ...]", part)[1:] if isinstance(part, tuple) else (part,)
        return " ".join(part for part in parts if part and isinstance(part, str))


class Queues(Generic[R]):
    """The queues of all accounts of a `Poller`, one for each budget."""

    def __init__(self, rates: Mapping[str | None, float], poll_cost: float | None) -> None:
        self.by_name: dict[Hashable, Queue[R]] = {}
        self._rates = rates
        self._poll_cost = poll_cost
        self._share = 1.0
        self._most = _QUEUES

    def queue_of(self, task: Task[object], now: float) -> Queue[R]:
        """Return the queue of a task's looks."""
        name = _name_of(task)
        queue = self.by_name.get(name)
        if queue is None:
            if len(self.by_name) >= self._most:
                self._forget_idle(now)
            queue = self.by_name[name] = Queue(name, self._rate(task, name), self._poll_cost)
            queue.budget.take_share(self._share, now)
        return queue

    def take_share(self, share: float, now: float) -> None:
        """Use only this part of every known rate, of present and later queues."""
        self._share = share
        for queue in self.by_name.values():
            queue.budget.take_share(share, now)

    def _rate(self, task: Task[object], name: tuple[Hashable, ...]) -> float:
        given = self._rates.get(text_of(name[0]), self._rates.get(None))
        if given is not None:
            return given
        documented = number_of(trait(task, "documented_rate")) or 0.0
        return documented if documented > 0 else math.inf

    def _forget_idle(self, now: float) -> None:
        """Forget accounts that are idle: a service may see a new one every second."""
        for name, queue in list(self.by_name.items()):
            if not (queue.pending or queue.in_flight or queue.budget.matters(now)):
                if queue.timer is not None:
                    queue.timer.cancel()
                del self.by_name[name]
        # Not each time, since all kept queues would be checked for each new one.
        self._most = max(_QUEUES, 2 * len(self.by_name))


def _name_of(task: Task[object]) -> tuple[Hashable, ...]:
    """Return the budget of a task; without one, that of its kind, which no other kind shares."""
    budget = trait(task, "budget")
    if budget is None or budget == ():
        kind = trait(task, "kind")
        name = type(task).__qualname__ if kind is None else text_of(kind)
        return ("", module_of(type(task)), name)
    return checked_budget(f"the budget of {shown(task)}", budget)
