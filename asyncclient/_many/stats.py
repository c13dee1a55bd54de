"""What `Poller.stats()` returns."""

from __future__ import annotations

import msgspec

from asyncclient._learning import LEAST_ENDS, LearnedSchedule
from asyncclient._many.loop import PollLoop
from asyncclient._portable import Portable

# Kinds of task whose costs are worked out in one call, at some 5 ms each.
_KINDS_A_CALL = 8


class BudgetStats(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """How one account is asked.

    Attributes:
        name: provider, account and group, as text.
        rate: polls a second that are allowed now; `math.inf` where no limit is known.
        polls_per_second: polls a second that were sent lately.
        ready: tasks that are due and wait for their turn.
        in_flight: polls under way.
        refused: answers that refused a poll because of too many requests (429).
        price: seconds of delay that one poll is worth now: the schedule's `poll_cost`, or more
            where the budget is short; None where the schedule does not learn.
    """

    name: str
    rate: float
    polls_per_second: float
    ready: int
    in_flight: int
    refused: int
    price: float | None


class KindStats(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """What is learned about one kind of task.

    Attributes:
        kind: the tasks' kind; with ` at work` after it, of the time since they left their queue.
        samples: ends that the estimates use now.
        p10: the age in seconds by which a tenth has ended.
        p50: the same for half.
        p90: the same for nine tenths.
        cost: seconds that one wait costs by the learned plan: its polls at `poll_cost` each, and
            its delay.
        fixed_cost: the same with the best fixed interval; where it is a fifth more than `cost`,
            learning saves a sixth.
        fixed_interval: that interval in seconds.
    """

    kind: str
    samples: int
    p10: float
    p50: float
    p90: float
    cost: float
    fixed_cost: float
    fixed_interval: float


class PollerStats(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """What a `Poller` is doing.

    Attributes:
        pending: tasks with at least one waiter.
        waiters: waits; several may share a task.
        in_flight: polls under way.
        polls: polls made since it was made.
        errors: polls that failed.
        lag_p50: median of the seconds by which recent polls were sent after they were due.
        lag_p99: the same for the slowest hundredth.
        budgets: one entry for each account that was asked.
        kinds: one entry for each kind of task of which enough is learned; of more than 8, the first
            calls of `stats()` have 8 more each, and later ones renew 8 of them.
    """

    pending: int = 0
    waiters: int = 0
    in_flight: int = 0
    polls: int = 0
    errors: int = 0
    lag_p50: float = 0.0
    lag_p99: float = 0.0
    budgets: tuple[BudgetStats, ...] = ()
    kinds: tuple[KindStats, ...] = ()


def stats_of(polling: PollLoop | None, kinds: tuple[KindStats, ...]) -> PollerStats:
    """Return what a poller is doing; it has no loop before its first wait."""
    if polling is None:
        return PollerStats(kinds=kinds)
    now, lags = polling.loop.time(), sorted(polling.sender.lags)
    queues = [*polling.queues.by_name.values()]
    return PollerStats(
        pending=len(polling.registry),
        waiters=polling.waits,
        in_flight=sum(queue.in_flight for queue in queues),
        polls=polling.sender.returned,
        errors=polling.errors,
        lag_p50=lags[len(lags) // 2] if lags else 0.0,
        lag_p99=lags[len(lags) * 99 // 100] if lags else 0.0,
        budgets=tuple(
            BudgetStats(
                name=queue.label(),
                rate=queue.budget.rate,
                polls_per_second=queue.budget.sending(now),
                ready=len({id(each) for *_, each in queue.line if each.is_ready and each.first}),
                in_flight=queue.in_flight,
                refused=queue.refused,
                price=None if queue.price is None else queue.price.now,
            )
            for queue in queues
        ),
        kinds=kinds,
    )


class Kinds:
    """What is learned of each kind of task, worked out a few kinds a call."""

    def __init__(self, learned: LearnedSchedule | None) -> None:
        self._learned = learned
        self._found: dict[str, KindStats] = {}  # that which was worked out first comes first

    def now(self) -> tuple[KindStats, ...]:
        """Return what is known of the kinds of which enough was seen."""
        learned = self._learned
        if learned is None:
            return ()
        known = [kind for kind in learned.kinds if learned.sample_size(kind) >= LEAST_ENDS]
        found = {kind: each for kind, each in self._found.items() if kind in known}
        missing = [kind for kind in known if kind not in found]
        for kind in [*missing, *found][:_KINDS_A_CALL]:
            found.pop(kind, None)
            each = _kind(learned, kind)
            if each is not None:
                found[kind] = each
        self._found = found
        return tuple(found[kind] for kind in known if kind in found)


def _kind(learned: LearnedSchedule, kind: str) -> KindStats | None:
    efficiency = learned.efficiency(kind)
    p10, p50, p90 = (learned.quantile(share, kind) for share in (0.1, 0.5, 0.9))
    if efficiency is None or p10 is None or p50 is None or p90 is None:
        return None
    return KindStats(
        kind=kind,
        samples=learned.sample_size(kind),
        p10=p10,
        p50=p50,
        p90=p90,
        cost=efficiency.cost,
        fixed_cost=efficiency.fixed_cost,
        fixed_interval=efficiency.fixed_interval,
    )
