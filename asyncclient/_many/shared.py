"""The tasks of a `Poller`, their waiters, and how waits end. No clock, no I/O."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

import msgspec

from asyncclient._many.queue import Queue
from asyncclient._portable import Portable
from asyncclient._ref import TaskRef
from asyncclient._state import Snapshot, TaskState
from asyncclient._task import Task, ref_of, trait
from asyncclient._waiting import (
    SAME_INSTANT,
    Limits,
    Record,
    TimeLimit,
    evidence,
    first_silence,
    is_patient,
)
from asyncclient.errors import AsyncClientError, AuthenticationFailed, PermissionDenied

if TYPE_CHECKING:
    import asyncio  # the type of a value that the loop keeps here; nothing here runs anything

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# From this many tasks of one account on, each next look takes the emptier of two moments, and
# answers are packed.
_CROWD = 64
# Weights beyond these count as these, or a task would be passed over for ever.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-4, 1e4
# Seconds. Packing takes the CPU of a tenth of a poll: an answer that is kept for less is not
# packed. There are never more of those than a processor can poll in this time, some 10,000.
_SHORT_REST = 3.0


class Done(Portable, msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """How one task's wait ended: with an answer, or with an error.

    Attributes:
        task: the task, as it was given.
        state: its last known state; None when that is not known.
        result: the provider's final answer; None without success.
        error: what `wait` would have raised; None for success.
        polls: polls made of it, for all of its waiters.
        elapsed: seconds that this wait took.
        unseen: the longest time in seconds that its end can have gone unseen: since the last answer
            before it; None when it has not ended.
        why: what decided the gap before the last poll: `first`, there was none; `silence`, an end
            before it was unlikely; `crowd`, many tasks came at once and were spread; `learned` or
            `schedule`; `hint` or `refused`, the provider asked for it; `error`, after a failed
            poll; `recovery`, polls of others were answered again; `deadline`; `wake`, a signal;
            `left`, the waiter who asked before had left.
    """

    # Its task may hold a client; its reference leads back to the task.
    _stand_ins: ClassVar[Mapping[str, tuple[str, object]]] = {
        "task": ("ref", TaskRef | None),
        "error": ("error", str | None),
    }

    task: Task[T_co]
    state: TaskState | None
    result: T_co | None
    error: Exception | None
    polls: int
    elapsed: float
    unseen: float | None = None
    why: str = "first"

    @property
    def key(self) -> Hashable:
        """The task's key."""
        return self.task.key

    @property
    def ref(self) -> TaskRef | None:
        """The task's portable reference, if it has one."""
        return ref_of(self.task)

    @property
    def value(self) -> T_co:
        """The provider's final answer.

        Raises:
            Exception: the error, when the wait did not end well.
        """
        if self.error is not None:
            raise self.error
        return cast("T_co", self.result)  # without an error, None is the answer itself


class Receiver:
    """Receives the end of a wait."""

    __slots__ = ("context", "limits", "weight")

    def __init__(self) -> None:
        self.context = copy_context()
        self.limits = Limits()  # the limits of its waits
        self.weight = 1.0  # how much their delay matters compared with others

    def put(self, done: Done[object]) -> None:
        """Take the end of one wait."""
        raise NotImplementedError  # pragma: no cover

    def leave(self, _waiter: Waiter) -> None:
        """Record that a wait is over: its end follows, or it was left."""

    def changed(self, snapshot: Snapshot[object]) -> None:
        """Record that a look has shown a change."""

    def go_on(self, due: float, *, answered: bool) -> None:
        """Record that a look, answered or not, has shown no end, and when the next one is due."""

    def stop(self, error: Exception) -> asyncio.Task[None] | None:
        """Record that the poller was closed, and the error that says so; return what still runs."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Waiter(TimeLimit):
    """One wait for a task: its own deadline and receiver."""

    record: SharedRecord | None  # what it waits for; None once it is over
    task: Task[object]  # as it was given
    receiver: Receiver  # where its end goes
    timer: asyncio.TimerHandle | None = None  # for its end, past which no look is awaited


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class SharedRecord(Record[object]):
    """One task in a `Poller`, and its waiters."""

    own_key: Hashable  # its identity; None where the task's key can be made again at little cost
    queue: Queue[SharedRecord]  # the queue of its looks
    due: float = 0.0  # when its next look is due
    why: str = "first"  # what decided the gap before its last look
    flight: asyncio.Task[None] | None = None  # the look under way
    asker: Waiter | None = None  # the waiter whose task is used for it
    is_woken: bool = False  # whether a signal named it since its last look
    turn: float | None = None  # its place in the queue, while it is due and waits there
    first: Waiter | None = None  # the waiter through whose task it is looked at next
    # The other waiters. Each may leave at any time; in a plain dict, the first one is searched for
    # after many have left.
    others: OrderedDict[Waiter, None] | None = None

    @property
    def key(self) -> Hashable:
        """The task's identity."""
        return self.task.key if self.own_key is None else self.own_key

    @property
    def is_ready(self) -> bool:
        """Whether it is due, and waits in the queue."""
        return self.turn is not None

    @property
    def waiters(self) -> list[Waiter]:
        """Its waiters."""
        waiters = [] if self.first is None else [self.first]
        if self.others is not None:
            waiters += self.others
        return waiters

    def add(self, waiter: Waiter) -> None:
        """Add a waiter; from now on the limits of the most patient one count."""
        limits = waiter.receiver.limits
        if self.first is None:
            self.first, self.limits = waiter, limits
            return
        if self.others is None:
            self.others = OrderedDict()
        self.others[waiter] = None
        self.limits = self.limits.at_least(limits)

    def renew_limits(self) -> None:
        """Forget the limits of waiters who have left."""
        first, *others = self.waiters
        self.limits = first.receiver.limits
        for waiter in others:
            self.limits = self.limits.at_least(waiter.receiver.limits)

    def latest_look(self, waiter: Waiter) -> float:
        """Return when the next look must be made for a waiter that has just come.

        Before the first answer, it is as early as if that wait had been the first one.
        """
        gap = waiter.timeout
        if self.slowest is None:
            if self.why == "crowd":
                gap /= 2
            elif self.why == "silence" or self.due > waiter.deadline:
                gap = first_silence(math.inf, gap)
        return waiter.began + gap

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter; its task is that of a waiter who is still there."""
        if self.others is None:
            self.first = None
            return
        if waiter is self.first:
            self.first = waiter = next(iter(self.others))
            self.task = waiter.task
        del self.others[waiter]
        self.others = self.others or None

    def ask_another(self) -> None:
        """Let another waiter ask next, since a failure may come from one waiter's own client."""
        first = self.first
        if first is not None and first is self.asker and self.others:
            self.remove(first)
            self.add(first)

    def those_with(self, error: Exception) -> list[Waiter]:
        """Return the waiters that an error is for.

        An error from outside of this library belongs to one waiter's own task (its client is
        closed, for example). A refused credential may not be that of the others.
        """
        waiters = self.waiters
        if self.asker is None:
            return waiters
        asked = self.asker.task
        if isinstance(error, AuthenticationFailed | PermissionDenied):
            refused = trait(asked, "credential")
            return [each for each in waiters if trait(each.task, "credential") == refused]
        if isinstance(error, AsyncClientError):
            return waiters
        return [each for each in waiters if each.task is asked] or waiters

    @property
    def looking_since(self) -> float | None:
        """When the look under way was sent; None while none is."""
        return None if self.flight is None else self.sent

    def asker_has_left(self) -> bool:
        """Return whether the waiter whose task was used has left, and others are there."""
        left = self.asker is not None and self.asker.record is None
        return left and self.first is not None

    def has_given_up(self, flight: object) -> bool:
        """Return whether a look that ends only now was broken off."""
        return self.flight is not flight

    def take_warning(self, now: float) -> bool:
        """Return whether a failed look is worth a warning: one an account, not one a task."""
        return self.queue.take_warning(now)

    def is_due_at(self, due: float) -> bool:
        """Return whether an entry of the timetable still says when this is due."""
        waits = not self.is_ready and self.flight is None
        return self.due is due and self.first is not None and waits

    def pack(self, now: float) -> None:
        """Keep the last answer in few bytes, where its account has many tasks."""
        queue = self.queue
        if isinstance(self.latest, Snapshot) and queue.pending >= _CROWD:
            rest = max(self.due - now, queue.pending / queue.budget.rate)
            if rest > _SHORT_REST:
                with suppress(Exception):  # a credential of the caller's may not be comparable
                    self.latest = queue.packing.packed(self.latest, self.task)

    @property
    def weight(self) -> float:
        """How much its delay matters: the greatest weight of its waiters."""
        return max((waiter.receiver.weight for waiter in self.waiters), default=1.0)

    def price(self, now: float) -> float | None:
        """Return the seconds of delay that a look of its account is worth now."""
        queue = self.queue
        if queue.price is None:
            return None
        queue.price.move(now, rate=queue.budget.rate, waiting=len(queue.line))
        return queue.price.now

    def less_crowded(self, since: float, draw: Callable[[], float]) -> float:
        """Draw a gap; in a crowd two, of which the one is taken that ends when fewer are due."""
        gap = draw()
        if self.queue.pending < _CROWD or not gap:
            return gap
        return self.queue.due_times.emptier(since, gap, draw())

    def join(self) -> None:
        """Enter the queue, or move forward in it."""
        turn = self._next_turn()
        if self.turn is None or turn < self.turn:
            self.turn = turn
            self.queue.join(turn, self)

    def take_turn(self) -> Waiter | None:
        """Leave the queue; return the waiter who asks, None when all left or the look was sent."""
        ready, self.turn = self.is_ready, None
        return self.first if ready else None

    def _next_turn(self) -> float:
        """Return its place in line when it is due, by stride scheduling.

        Where the budget is short, tasks are served in shares of the square root of their weights,
        which gives the least total delay, and no task starves. A last look goes first; a task that
        a signal named goes before tasks that are only due.
        """
        for waiter in self.waiters:
            if waiter.final is not None and self.due >= waiter.final - SAME_INSTANT:
                return -math.inf
        served = self.queue.served
        if self.is_woken:
            return served - 1  # before all tasks of the turn that is served now
        return served + 1 / math.sqrt(min(max(self.weight, _LEAST_WEIGHT), _MOST_WEIGHT))


def less_tolerant(
    record: SharedRecord, now: float, *, answered: bool
) -> Iterator[tuple[Waiter, Exception]]:
    """Yield the waits that end at a look that other waits of the task tolerate, and why."""
    error, latest = record.last_error, record.latest
    if record.failures and error is not None:
        for waiter in record.waiters:
            limits = waiter.receiver.limits
            is_less = limits.max_outage < record.limits.max_outage
            if is_less and not is_patient(record, limits, now):
                own = copy_of_error(error)
                yield waiter, evidence.given_up(record, own, now - waiter.began)
    elif answered and latest is not None and latest.state is None:
        for waiter in record.waiters:
            if waiter.receiver.limits.unknown == "raise":
                yield waiter, evidence.unknown_status(record, now - waiter.began)


def ends_of(
    record: SharedRecord, ended: list[Waiter], error: Exception | None, now: float
) -> Iterator[tuple[Waiter, Done[object]]]:
    """Yield the end of each of some waits, as the record shows it at the first of them."""
    state = None if record.latest is None else record.latest.state
    snapshot = record.snapshot if error is None else None
    result = None if snapshot is None else snapshot.result
    polls, unseen, why = record.polls, record.rare.unseen, record.why
    for number, waiter in enumerate(ended, 1):
        # Each gets an error of its own; the last one that which is there.
        own = copy_of_error(error) if error is not None and number < len(ended) else error
        elapsed = now - waiter.began
        with suppress(Exception):  # a class of the caller's own may refuse it
            if isinstance(own, AsyncClientError):
                polls = own.polls
                own.elapsed = elapsed
        yield (
            waiter,
            Done(
                task=waiter.task,
                state=state,
                result=result,
                error=own,
                polls=polls,
                elapsed=elapsed,
                unseen=unseen,
                why=why,
            ),
        )


def copy_of_error(error: Exception) -> Exception:
    """Return a copy of an error for another waiter: notes and tracebacks are not shared.

    Where its class allows no copy at all, it is the same error.
    """
    for make in (copy.copy, _remade):
        try:
            other = make(error)
            if other is error or type(other) is not type(error):
                continue
            other.args = error.args  # those of a class that changes them would be changed twice
            if hasattr(error, "__notes__"):
                other.__notes__ = [*error.__notes__]
            other.__cause__, other.__context__ = error.__cause__, error.__context__
            other.__suppress_context__ = error.__suppress_context__
            return other.with_traceback(error.__traceback__)
        except BaseException as raised:  # of any class
            if isinstance(raised, KeyboardInterrupt | SystemExit):
                raise
    return error


def _remade(error: Exception) -> Exception:
    """Return a copy that was made without the class's own `__new__` and `__init__`."""
    built_in = next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    made = cast("type[Exception]", built_in).__new__(type(error), *error.args)
    vars(made).update(vars(error))
    return made
