"""The queues of all accounts that a `Poller` asks, one for each budget."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

from asyncclient._many.queue import Queue
from asyncclient._many.shared import SharedRecord
from asyncclient._state import number_of
from asyncclient._task import Task, checked_budget, module_of, trait
from asyncclient._text import shown, text_of

# From this many accounts on, those without tasks are forgotten, unless what was found matters.
_QUEUES = 1000


class Queues:
    """Finds the queue of a task."""

    def __init__(self, rates: Mapping[str | None, float], poll_cost: float | None) -> None:
        self.by_name: dict[Hashable, Queue[SharedRecord]] = {}
        self._rates = rates
        self._poll_cost = poll_cost
        self._share = 1.0
        self._most = _QUEUES

    def queue_of(self, task: Task[object], now: float) -> Queue[SharedRecord]:
        """Return the queue in which the looks at a task stand."""
        name = _name_of(task)
        queue = self.by_name.get(name)
        if queue is None:
            if len(self.by_name) >= self._most:
                self._forget_idle(now)
            queue = self.by_name[name] = Queue(name, self._rate(task, name), self._poll_cost)
            queue.budget.take_share(self._share, now)
        return queue

    def take_share(self, share: float, now: float) -> None:
        """Use only this part of every known rate, of all queues and those to come."""
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
        # Not each time, or many that are kept would be gone through for each new one.
        self._most = max(_QUEUES, 2 * len(self.by_name))


def _name_of(task: Task[object]) -> tuple[Hashable, ...]:
    """Return the budget of a task; one without has that of its kind, shared with no stranger."""
    budget = trait(task, "budget")
    if budget is None or budget == ():
        kind = trait(task, "kind")
        name = type(task).__qualname__ if kind is None else text_of(kind)
        return ("", module_of(type(task)), name)
    return checked_budget(f"the budget of {shown(task)}", budget)
