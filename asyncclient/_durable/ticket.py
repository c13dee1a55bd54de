"""A durable wait as an engine keeps it, and how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Annotated, Self, TypeAlias

import msgspec

from asyncclient._arguments import number
from asyncclient._portable import Portable
from asyncclient._ref import (
    ADDRESS,
    MANY_IDS,
    TaskRef,
    check_words,
    checked_ref,
    encode_ref,
    read_versioned,
)
from asyncclient._state import TaskState
from asyncclient._text import counted, text_of, type_name
from asyncclient._waiting import without_advice
from asyncclient.errors import AsyncClientError, WaitTimeout

TICKET_VERSION = 2  # 1 had references of version 1
# Bytes of JSON. Queues and tables keep millions of them, so their size is bounded.
_TICKET_BYTES = 400
# The same where the reference has an id that is long: a URL, which may be signed, or many ids.
_LONG_TICKET_BYTES = 10_000
_LONG_IDS = frozenset({ADDRESS, MANY_IDS})
# The most that stands beside the reference.
_BESIDE_REF_BYTES = 100
_DAY = 86_400.0
# Seconds: ten years. Engines write due times as dates, which end in the year 9999.
LONGEST_WAIT = 3650 * _DAY
# What a float counts exactly, and no clock or count goes beyond.
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Ticket(Portable, msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One durable wait, as an engine keeps it: under 400 bytes of JSON, and no secret in it.

    The ticket of a `TaskAPI`'s task holds the whole request, a signed URL included, and that of
    many documents their ids: at most 10 kB.

    Attributes:
        ref: the task that is waited for.
        deadline: Unix time in seconds at which the wait ends, on any worker.
        started: Unix time in whole seconds at which the wait began.
        polls: polls made so far; the schedule goes on from there.
        seen: Unix time in whole seconds of the last answer, in which the task had not ended; None
            before any.
        v: version of this form.
    """

    ref: TaskRef
    deadline: float
    started: _Count
    polls: _Count = 0
    seen: _Count | None = None
    v: int = msgspec.field(default=TICKET_VERSION)

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "v", TICKET_VERSION)
        check_words(self.ref)
        # Its start is in whole seconds.
        if not self.deadline - LONGEST_WAIT - 1 <= self.started <= self.deadline:
            msg = (
                f"deadline={self.deadline!r} must be at most {LONGEST_WAIT:.0f} seconds after "
                f"started={self.started!r}, and not before it"
            )
            raise ValueError(msg)

    @classmethod
    def begin(
        cls, ref: TaskRef, *, timeout: float = _DAY, clock: Callable[[], float] | None = None
    ) -> Self:
        """Make the ticket of a wait that begins now.

        Args:
            ref: a handle's `ref`.
            timeout: seconds for the whole wait, over all processes: more than 0, and at most ten
                years. Default one day.
            clock: gives the Unix time in seconds. Default `time.time`.

        Raises:
            TypeError: that is no reference, or no number.
            ValueError: the timeout is out of its bounds, the reference is too long, or a word in it
                has a line break or another control character.
        """
        within = number("timeout", timeout, unit="seconds", above=0, most=LONGEST_WAIT)
        now = (clock or wall_clock)()
        ticket = cls(checked_ref(ref), round(now + within, 3), int(now))
        size = len(encode_ref(ref))
        # What stands beside it grows from turn to turn: checked later, a wait could be lost.
        most = _TICKET_BYTES if _LONG_IDS.isdisjoint(ref.ids) else _LONG_TICKET_BYTES
        if size >= most - _BESIDE_REF_BYTES:
            msg = (
                f"a reference of {size} bytes: a ticket is at most {most}, so it must be under "
                f"{most - _BESIDE_REF_BYTES}; look at the ids in it"
            )
            raise ValueError(msg)
        return ticket

    def encode(self) -> str:
        """Write it as one line of JSON, for a queue, a table or a file."""
        return msgspec.json.encode(self).decode()

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
            range(1, TICKET_VERSION + 1),
            what="a ticket",
            reader="Ticket.decode",
            writer="encode",
            advice="update the workers before those who submit",
        )

    def left(self, now: float) -> float:
        """Return the seconds that remain at a Unix time, never more than the whole wait had.

        Clocks of machines differ, and jump: one behind the wait's start does not stretch it.
        """
        return min(self.deadline - now, self.deadline - self.started)


class _Deadline(msgspec.Struct):
    deadline: float


_decoder = msgspec.json.Decoder(Ticket)
_deadline_decoder = msgspec.json.Decoder(_Deadline)
_fields_decoder = msgspec.json.Decoder(dict[str, object])
# A text that no version of this library can read.
_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


class Handover(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """The slice is over and the task has not ended: give the ticket to an engine.

    Attributes:
        delay: seconds after which a worker should take it up again.
        ticket: what to keep until then.
        state: the task's last known state; None when that is not known.
    """

    delay: float
    ticket: Ticket
    state: TaskState | None = None


class TicketExpired(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """The ticket's deadline has passed; a last look found the task not ended.

    Attributes:
        ticket: as it ended.
        error: the timeout, with the evidence of the last slice.
        state: the task's last known state; None when that is not known.
        result: always None: there is no final answer.
        polls: polls made of the task, in all slices.
    """

    ticket: Ticket
    error: WaitTimeout
    state: TaskState | None = None
    result: None = None

    @property
    def polls(self) -> int:
        return self.ticket.polls


def expired(
    ticket: Ticket,
    now: float,
    *,
    state: TaskState | None = None,
    error: Exception | None = None,
    trouble: str = "last failed poll",
) -> TicketExpired:
    """Return the end of a ticket whose deadline has passed.

    Args:
        ticket: as it ended.
        now: the Unix time in seconds.
        state: the task's last known state.
        error: the failure of the last slice; None when there was none.
        trouble: what that failure is, in words.
    """
    timed_out = error if isinstance(error, WaitTimeout) else None
    reason = error if timed_out is None else timed_out.last_error
    said = [f"last state {state}"] if state else []
    said.append(counted(ticket.polls, "poll"))
    if reason is not None:
        said.append(f"{trouble}: {type_name(reason)}: {without_advice(reason)}")
    timeout = WaitTimeout(
        f"{ticket.ref} has not ended by its deadline, {ticket.deadline - ticket.started:.0f} s "
        f"after its wait began ({', '.join(said)})",
        retry_after=None if timed_out is None else timed_out.retry_after,
        advice="It may still be running: wait for the same reference again",
    )
    timeout.ref = ticket.ref
    timeout.polls = ticket.polls
    timeout.elapsed = max(0.0, now - ticket.started)
    timeout.last_error = reason
    if isinstance(error, AsyncClientError):
        timeout.snapshot = error.snapshot
    return TicketExpired(ticket=ticket, error=timeout, state=state)


def deadline_of(text: str, now: float) -> float | None:
    """Return the Unix time at which a wait ends, also where its ticket cannot be read.

    None when the text has none, or one that no ticket has.
    """
    try:
        deadline = _deadline_decoder.decode(text).deadline
    except _NOT_JSON:
        return None
    return deadline if 0 <= deadline <= now + LONGEST_WAIT else None


def unreadable(text: str, reason: Exception, now: float) -> TicketExpired | str:
    """Return the end of a ticket that cannot be read, or the text to keep before its deadline.

    A worker of another version may read it, so it is kept until its deadline; without a deadline,
    for a day.

    Args:
        text: the ticket's.
        reason: why it cannot be read.
        now: the Unix time in seconds.
    """
    deadline = deadline_of(text, now)
    if deadline is None:
        try:
            fields = _fields_decoder.decode(text)
        except _NOT_JSON:
            fields = {"unreadable": text_of(text)}
        return msgspec.json.encode({**fields, "deadline": round(now + _DAY, 3)}).decode()
    if deadline > now:
        return text
    return expired(unknown(deadline), now, error=reason, trouble="its ticket cannot be read")


def unknown(deadline: float) -> Ticket:
    """Make a ticket in place of one that cannot be read."""
    ref = TaskRef("unknown", "task", {"ticket": "unreadable"})
    return Ticket(ref, deadline, math.floor(deadline))


def wall_clock() -> float:
    """Return the Unix time in seconds, which other processes read."""
    return time.time()  # noqa: TID251  (each process has a clock of its own)
