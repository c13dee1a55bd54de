"""The queues of all accounts that a `Poller` asks, one for each budget."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import cast

from asyncclient._many.queue import Queue
from asyncclient._many.shared import SharedRecord
from asyncclient._task import Task

# From this many accounts on, those that have been idle for this many seconds are forgotten.
_QUEUES = 1000
_IDLE_SECONDS = 600.0


class Queues:
    """Finds the queue of a task."""

    def __init__(self, rates: Mapping[str | None, float], poll_cost: float | None) -> None:
        self.by_name: dict[Hashable, Queue[SharedRecord]] = {}
        self._rates = rates
        self._poll_cost = poll_cost
        self._share = 1.0

    def queue_of(self, task: Task[object], now: float) -> Queue[SharedRecord]:
        """Return the queue in which the looks at a task stand."""
        budget: object = getattr(task, "budget", None)
        name = cast("tuple[object, ...]", budget) if budget and isinstance(budget, tuple) else ("",)
        queue = self.by_name.get(name)
        if queue is None:
            if len(self.by_name) >= _QUEUES:
                self._forget_idle(now)
            queue = self.by_name[name] = Queue(name, self._rate(task, name), self._poll_cost)
            queue.budget.take_share(self._share, now)
        return queue

    def take_share(self, share: float, now: float) -> None:
        """Use only this part of every known rate, of all queues and those to come."""
        self._share = share
        for queue in self.by_name.values():
            queue.budget.take_share(share, now)

    def _rate(self, task: Task[object], name: tuple[object, ...]) -> float:
        given = self._rates.get(str(name[0]), self._rates.get(None))
        if given is not None:
            return given
        documented: object = getattr(task, "documented_rate", None)
        good = isinstance(documented, int | float) and documented > 0
        return cast("float", documented) if good else math.inf

    def _forget_idle(self, now: float) -> None:
        """Forget accounts that are idle: a service may see a new one every minute."""
        for name, queue in list(self.by_name.items()):
            busy = queue.pending or queue.in_flight
            if not busy and queue.budget.idle(now) > _IDLE_SECONDS:
                if queue.timer is not None:
                    queue.timer.cancel()
                del self.by_name[name]
