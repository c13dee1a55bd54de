"""Waits that outlive a process: a small ticket, held in a worker for a slice of about a minute.

An engine (a queue, a table) keeps the ticket; any worker takes it up, waits for a while through its
own `Poller`, and hands it back. What is polled is never written down: only the start of a wait and
its end must survive.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from random import Random
from typing import Literal, Protocol, Self, TypeAlias, cast
from weakref import WeakKeyDictionary

import anyio
import msgspec

from asyncclient._decide import Facts
from asyncclient._learning import LearnedSchedule
from asyncclient._pending import Done
from asyncclient._poller import Poller
from asyncclient._schedule import Pacing, Schedule, drawing
from asyncclient._state import TaskState
from asyncclient._task import Task, TaskRef, checked_ref, read_versioned
from asyncclient._wait import Reading, generator, pacing, seconds
from asyncclient.errors import (
    AsyncClientError,
    DecodeError,
    RateLimited,
    ServerError,
    TransportError,
    WaitTimeout,
    counted,
)

__all__ = [
    "AnyTask",
    "Client",
    "Expired",
    "Outcome",
    "Pending",
    "TaskOf",
    "Ticket",
    "outcome_of",
    "poll_slice",
]

TICKET_VERSION = 1
# Queues and tables keep millions of them, so their size is bounded, in bytes of JSON.
_TICKET_BYTES = 400
_DAY = 86_400.0
# Slices that begin together must not end together: 3,000 that did cut an engine's throughput to a
# third.
_SPREAD = 0.2
# What ends a little after a slice would is held to its end: one more turn is worth no second wait.
_TO_THE_END = 1.5
# Where the budget is short, a slice lasts until its first poll has had its turn, but no longer than
# so many holds: handed back before that, a wait would lose its place in line each time.
_FIRST_POLL = 60
# A poll that is under way when its slice is over may still be answered within so many seconds.
_POLL_GRACE = 10.0
# The one look at a task whose deadline has passed while nobody held it may take so many seconds.
_LAST_LOOK = 60.0
# What a poller has learned is asked for once in so many seconds, not for each of its slices.
_LOOK_GAP = 10.0
# An outcome's result may have so many bytes of JSON; stores are no place for more.
_RESULT_BYTES = 1 << 20


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One durable wait, as an engine keeps it: under 400 bytes of JSON, and no secret in it.

    Attributes:
        ref: the task that is waited for.
        deadline: Unix time in seconds at which the wait ends, whoever holds it then.
        started: Unix time in whole seconds at which the wait began.
        polls: polls made so far; the schedule goes on from there.
        seen: Unix time in whole seconds of the last answer, which showed it not ended; None when
            there has been none.
        v: version of this form.
    """

    ref: TaskRef
    deadline: float
    started: int
    polls: int = 0
    seen: int | None = None
    v: int = msgspec.field(default=TICKET_VERSION)

    @classmethod
    def begin(
        cls, ref: TaskRef, *, timeout: float = _DAY, clock: Callable[[], float] | None = None
    ) -> Self:
        """Make the ticket of a wait that begins now.

        Args:
            ref: a handle's `ref`.
            timeout: seconds for the whole wait, over all processes. Default one day.
            clock: gives the Unix time in seconds. Default `time.time`.

        Raises:
            TypeError: that is no reference, or no number.
            ValueError: the timeout is not more than 0 and finite, or the reference is too long.
        """
        within = seconds("timeout", timeout)
        if within == math.inf:
            msg = "timeout must be finite: what nobody waits for would be kept for ever"
            raise ValueError(msg)
        now = (clock or wall_clock)()
        ticket = cls(checked_ref(ref), round(now + within, 3), int(now))
        ticket.encode()
        return ticket

    def encode(self) -> str:
        """Write it as one line of JSON, for a queue, a table or a file.

        Raises:
            ValueError: the reference is too long for a ticket.
        """
        text = msgspec.json.encode(self)
        if len(text) > _TICKET_BYTES:
            msg = (
                f"a ticket of {len(text)} bytes: at most {_TICKET_BYTES} are kept, so its "
                "reference must be under 300; look at the ids in it"
            )
            raise ValueError(msg)
        return text.decode()

    @classmethod
    def decode(cls, text: object) -> Ticket:
        """Read what `encode` wrote.

        Raises:
            TypeError: it is neither text nor bytes.
            ValueError: it is not such a text, or of a version that this library does not know.
        """
        return read_versioned(
            text,
            _decoder,
            TICKET_VERSION,
            what="a ticket",
            reader="Ticket.decode",
            writer="encode",
            advice="update the workers before those who submit",
        )

    def left(self, now: float) -> float:
        """Return the seconds that remain, never more than the whole wait had.

        Args:
            now: Unix time in seconds. Clocks of machines differ, and jump: one that is behind the
                start of the wait does not stretch it.
        """
        return min(self.deadline - now, self.deadline - self.started)


_decoder = msgspec.json.Decoder(Ticket)


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """The slice is over and the task is not: give the ticket to an engine.

    Attributes:
        delay: seconds after which it should be taken up again.
        ticket: what to keep until then.
        state: the task's last known state; None when that is not known.
    """

    delay: float
    ticket: Ticket
    state: TaskState | None = None


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket's deadline has passed; a last look found the task not ended.

    Attributes:
        ticket: as it ended.
        error: the timeout, with the evidence of the last slice.
        state: the task's last known state; None when that is not known.
        result: None, as of any end that is not good.
        polls: polls made of the task, in all slices.
    """

    ticket: Ticket
    error: WaitTimeout
    state: TaskState | None = None
    result: None = None

    @property
    def polls(self) -> int:
        return self.ticket.polls


class AnyTask(Protocol):
    """Any `Task`, whatever its answers are; every provider's handle is one."""

    @property
    def key(self) -> Hashable:
        """Its identity."""
        ...  # pragma: no cover

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        ...  # pragma: no cover

    async def poll(self) -> object:
        """Ask once."""
        ...  # pragma: no cover


class Client(Protocol):
    """What makes tasks of references: every provider's client does."""

    def task(self, ref: TaskRef) -> AnyTask:
        """Return the task that a reference stands for."""
        ...  # pragma: no cover


TaskOf: TypeAlias = Mapping[str, Client] | Callable[[TaskRef], AnyTask]
"""How a worker finds a task: its clients by provider, or a function of the reference."""


async def poll_slice(
    poller: Poller,
    task_of: TaskOf,
    ticket: Ticket,
    *,
    hold: float = 60.0,
    schedule: Pacing | None = None,
    rng: Random | None = None,
    clock: Callable[[], float] | None = None,
) -> Done[object] | Expired | Pending:
    """Wait for a ticket's task for about a minute, and say how far that came.

    The poller's budget, learning and sharing apply as to any other wait. The schedule goes on
    where the last slice left it, and the delay that is handed back keeps its pace. An outage of
    the provider ends no ticket: it is borne until the deadline, on which a last look falls.

    Args:
        poller: the worker's own.
        task_of: the worker's clients by provider, `{"coze": coze, "copyai": copyai}`, or a
            function from a reference to its task.
        ticket: what the engine kept.
        hold: seconds, spread by a fifth. A gap that is longer is not sat out here but handed back
            at once; a first poll that the budget keeps waiting is waited for. Default 60.
        schedule: the poller's, where it was given one: by its numbers the gaps grow on from slice
            to slice. For what the poller has learned they do not matter: that goes by a task's age.
            Default `Schedule()`, which is also how the poller's own begins.
        rng: draws the jitter.
        clock: gives the Unix time in seconds. Default `time.time`.

    Returns:
        `Done` when the task has ended, badly too (then with its `error`), or cannot be asked
        about; `Expired` when its time is up; else `Pending`.

    Raises:
        LookupError, ValueError: the worker has no client for such a task; the ticket is as good
            as it was.
        RuntimeError: the poller is closed, or belongs to another event loop; likewise.
        TypeError: an argument cannot be.
    """
    clock = clock or wall_clock
    task = _task(task_of, ticket.ref)
    slice_ = _Slice(
        cast("Task[object]", task),
        ticket,
        hold=seconds("hold", hold),
        schedule=_plain_schedule(poller, task, schedule),
        rng=generator(rng),
        clock=clock,
    )
    return await slice_.run(poller)


def _task(task_of: TaskOf, ref: TaskRef) -> AnyTask:
    if callable(task_of):
        return task_of(ref)
    client = task_of.get(ref.provider)
    if client is None:
        known = ", ".join(sorted(task_of)) or "none"
        msg = f"{ref}: this worker has no client for {ref.provider!r}, only {known}"
        raise LookupError(msg)
    return client.task(ref)


def _plain_schedule(poller: Poller, task: AnyTask, schedule: Pacing | None) -> Schedule | None:
    """Return the schedule that goes by the number of polls; None where the poller goes by age."""
    schedule = pacing(schedule)
    if isinstance(schedule, LearnedSchedule):
        schedule = schedule.fallback
    plain = schedule if isinstance(schedule, Schedule) else None
    return None if task.kind in _kinds_learned(poller) else plain


def _kinds_learned(poller: Poller) -> frozenset[str]:
    now = anyio.current_time()
    looked_at, kinds = _learned.get(poller, (-math.inf, frozenset[str]()))
    if now - looked_at >= _LOOK_GAP:
        kinds = frozenset(kind.kind for kind in poller.stats().kinds)
        _learned[poller] = now, kinds
    return kinds


# What each poller has learned enough about, and when that was looked at.
_learned: WeakKeyDictionary[Poller, tuple[float, frozenset[str]]] = WeakKeyDictionary()
# The slices of each task that a poller holds now: a poll of one is a poll of all.
_held: WeakKeyDictionary[Poller, dict[Hashable, list[_Slice]]] = WeakKeyDictionary()


class _Slice:
    """A ticket's task as the poller sees it for one slice: it paces the polls, and counts them.

    All that a task may have besides is the task's own.
    """

    __slots__ = (
        "_clock",
        "_draw",
        "_due",
        "_hold",
        "_hold_ends",
        "_left",
        "_over",
        "_reading",
        "_schedule",
        "_scope",
        "_seen",
        "_sent",
        "_state",
        "_task",
        "_ticket",
        "_twins",
        "polls",
    )

    def __init__(
        self,
        task: Task[object],
        ticket: Ticket,
        *,
        hold: float,
        schedule: Schedule | None,
        rng: Random | None,
        clock: Callable[[], float],
    ) -> None:
        self._task = task
        self._reading = Reading(task)
        self._ticket = ticket
        self._clock = clock
        self._draw = drawing(rng)
        self._schedule = schedule
        self._hold = hold * (1 - _SPREAD + self._draw(2 * _SPREAD))
        self._left = ticket.left(clock())
        self._scope = anyio.CancelScope()
        self._hold_ends = math.inf
        self._over = False
        self._twins: list[_Slice] = []
        self.polls = 0
        self._sent = -math.inf
        # On the loop's clock: when the next poll is due, and when the last answer came.
        self._due: float | None = None
        self._seen: float | None = None
        self._state: TaskState | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._task, name)

    # --- as a task ---

    async def poll(self) -> object:
        """Ask once, and let a poll that is under way at the slice's end be answered."""
        for slice_ in self._twins:
            slice_.asked()
        try:
            return await self._task.poll()
        except BaseException:
            for slice_ in self._twins:
                slice_.failed()
            raise

    def hint_of(self, result: object) -> float | None:
        """Return the seconds to wait after an answer that shows no end: its own hint, or more."""
        facts = self._reading.facts(result)
        gaps = [slice_.answered(facts) for slice_ in self._twins]
        return max((gap for gap in gaps if gap is not None), default=facts.hint)

    # --- what its polls bring, whichever slice of the same task makes them ---

    def asked(self) -> None:
        """Note that a poll is sent."""
        before, self._sent = self._sent, anyio.current_time()
        self.polls += 1
        if self._schedule is None and before > -math.inf:
            self._due = self._sent + self._sent - before
        self._end_at(max(self._hold_ends, self._sent + _POLL_GRACE))

    def failed(self) -> None:
        """Note that it failed, or was broken off."""
        self._due = None
        self._end_at(self._hold_ends)

    def answered(self, facts: Facts[object]) -> float | None:
        """Note an answer that shows no end, and return the seconds to wait after it."""
        now = anyio.current_time()
        self._seen = now
        self._state = facts.state
        if facts.state is TaskState.BLOCKED:
            return facts.hint  # which ends the wait
        hint = facts.hint or 0.0
        if self._left <= 0:
            self._end_at(-math.inf)
            return facts.hint
        gap = self._gap()
        rest = 0.0 if gap is None else gap - (now - self._sent)
        if gap is not None or hint:
            self._due = now + max(rest, hint)
        if max(rest, hint) > self._hold and self._left > self._hold:
            self._end_at(-math.inf)
        else:
            self._end_at(self._hold_ends)
        # Before the first hand-over, the poller's own schedule is where it should be.
        floor = rest if self._ticket.polls else 0.0
        return max(hint, floor) or None

    def _gap(self) -> float | None:
        """Return the schedule's gap after the last poll, of all slices."""
        if self._schedule is None:
            return None
        return self._schedule.delay(max(0, self._ticket.polls + self.polls - 1), self._draw)

    def _end_at(self, when: float) -> None:
        # Another wait for the same task may go on to use this after its slice.
        if not self._over:
            self._scope.deadline = when

    # --- as a slice ---

    async def run(self, poller: Poller) -> Done[object] | Expired | Pending:
        """Hold the wait, and say how far it came."""
        if 0 < self._left <= self._hold * _TO_THE_END:
            self._hold_ends = math.inf
        else:
            self._hold_ends = anyio.current_time() + (self._hold if self._left > 0 else math.inf)
        self._scope.deadline = self._hold_ends + (_FIRST_POLL - 1) * self._hold
        timeout = self._left if self._left > 0 else _LAST_LOOK
        result: object = None
        error: Exception | None = None
        held = _held.setdefault(poller, {})
        self._twins = held.setdefault(self._task.key, [])
        self._twins.append(self)
        with self._scope:
            try:
                result = await poller.wait(cast("Task[object]", self), timeout=timeout)
            except RuntimeError:
                raise
            except Exception as end:  # noqa: BLE001  (what it means is decided below)
                error = end
            finally:
                self._over = True
                self._twins.remove(self)
                if not self._twins:
                    held.pop(self._task.key, None)
        if self._scope.cancelled_caught:
            return self._expired(None) if self._left <= 0 else self._pending()
        if error is None:
            return self._done(result, None)
        if isinstance(error, WaitTimeout):
            looked = self.polls or error.polls
            return self._expired(error) if looked else self._pending()
        if self._is_borne(error):
            return self._expired(error) if self._left <= 0 else self._pending()
        return self._done(None, error)

    def _is_borne(self, error: Exception) -> bool:
        """Return whether an error is the provider's trouble, which outlasts no durable wait."""
        if isinstance(error, TransportError):
            return not error.permanent
        borne = (RateLimited, ServerError, DecodeError, TimeoutError, ConnectionError)
        return isinstance(error, (*borne, *self._reading.transient))

    def _pending(self) -> Pending:
        now = anyio.current_time()
        due = self._due
        if due is None:
            # No answer says when: its polls failed, or another wait for the task makes them.
            due = now + (self._gap() or self._draw(self._hold))
        left = self._ticket.left(self._clock())
        delay = max(0.0, min(due - now, left))
        return Pending(delay=delay, ticket=self._later_ticket(), state=self._last_state(None))

    def _later_ticket(self) -> Ticket:
        seen = self._ticket.seen
        if self._seen is not None:
            seen = int(self._clock() - (anyio.current_time() - self._seen))
        polls = self._ticket.polls + self.polls
        return msgspec.structs.replace(self._ticket, polls=polls, seen=seen)

    def _done(self, result: object, error: Exception | None) -> Done[object]:
        ticket, now = self._ticket, self._clock()
        polls = ticket.polls + self.polls
        elapsed = max(0.0, now - ticket.started)
        if isinstance(error, AsyncClientError):
            error.polls, error.elapsed = polls, elapsed
        state = self._last_state(error) if error else self._task.state_of(result)
        unseen: float | None = None
        if state is not None and state.is_terminal:
            since = ticket.seen or ticket.ref.created or ticket.started
            unseen = max(0.0, now - since)
            if self._seen is not None:
                unseen = anyio.current_time() - self._seen
        return Done(
            task=self._task,
            state=state,
            result=result,
            error=error,
            polls=polls,
            elapsed=elapsed,
            unseen=unseen,
        )

    def _expired(self, error: Exception | None) -> Expired:
        ticket = self._later_ticket()
        state = self._last_state(error)
        timeout = ticket.deadline - ticket.started
        said = f"last state {state}, " if state else ""
        cause = "" if error is None or isinstance(error, WaitTimeout) else f"; {error}"
        expired = WaitTimeout(
            f"{ticket.ref} has not ended by its deadline, {timeout:.0f} s after its wait began "
            f"({said}{counted(ticket.polls, 'poll')}{cause})",
            retry_after=error.retry_after if isinstance(error, WaitTimeout) else None,
            advice="It may go on: wait for the same reference again",
        )
        expired.ref = ticket.ref
        expired.polls = ticket.polls
        expired.elapsed = max(0.0, self._clock() - ticket.started)
        if isinstance(error, AsyncClientError):
            expired.snapshot = error.snapshot
            expired.last_error = error.last_error
        return Expired(ticket=ticket, error=expired, state=state)

    def _last_state(self, error: Exception | None) -> TaskState | None:
        if isinstance(error, AsyncClientError) and error.snapshot is not None:
            return error.snapshot.state
        return self._state


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a durable wait ended, as JSON, for those who did not hold it.

    Attributes:
        how: `done`, the task ended or cannot be asked about; `expired`, it has not ended by the
            deadline; `cancelled`, the wait (not the task) was called off.
        ref: the task.
        state: its last known state.
        result: the provider's final answer as plain JSON; None when it did not end well, or when
            it is larger than 1 MiB.
        error: what went wrong, in words; None when it ended well.
        error_type: the name of the error's class, as `TaskFailed`.
        polls: polls made of it.
        elapsed: seconds that the wait took.
        ended: Unix time in seconds.
    """

    how: Literal["done", "expired", "cancelled"]
    ref: TaskRef
    state: TaskState | None = None
    result: object = None
    error: str | None = None
    error_type: str | None = None
    polls: int = 0
    elapsed: float = 0.0
    ended: float = 0.0

    @classmethod
    def called_off(cls, ticket: Ticket, *, clock: Callable[[], float] | None = None) -> Self:
        """Write down that a wait was called off now."""
        now = (clock or wall_clock)()
        return cls(
            how="cancelled",
            ref=ticket.ref,
            polls=ticket.polls,
            elapsed=round(max(0.0, now - ticket.started), 3),
            ended=round(now, 3),
        )

    def encode(self) -> str:
        """Write it as one line of JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str | bytes) -> Outcome:
        """Read what `encode` wrote."""
        return _outcome_decoder.decode(text)


_outcome_decoder = msgspec.json.Decoder(Outcome)


def outcome_of(
    ticket: Ticket, end: Done[object] | Expired, *, clock: Callable[[], float] | None = None
) -> Outcome:
    """Write down how a durable wait ended."""
    now = (clock or wall_clock)()
    error = end.error
    return Outcome(
        how="expired" if isinstance(end, Expired) else "done",
        ref=ticket.ref,
        state=end.state,
        result=_plain(end.result) if error is None else None,
        error=None if error is None else str(error),
        error_type=None if error is None else type(error).__name__,
        polls=end.polls,
        elapsed=round(max(0.0, now - ticket.started), 3),
        ended=round(now, 3),
    )


def _plain(result: object) -> object:
    text = msgspec.json.encode(result, enc_hook=str)
    return msgspec.json.decode(text) if len(text) <= _RESULT_BYTES else None


def wall_clock() -> float:
    """Return the Unix time in seconds: what one process writes down, another one reads."""
    return time.time()  # noqa: TID251  (loops' clocks begin anew with each process)
