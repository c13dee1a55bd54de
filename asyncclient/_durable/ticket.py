"""A durable wait as an engine keeps it, and how it ended, for those who did not hold it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Self

import msgspec

from asyncclient._arguments import seconds
from asyncclient._ref import TaskRef, checked_ref, read_versioned
from asyncclient._state import TaskState
from asyncclient.errors import WaitTimeout

TICKET_VERSION = 2  # 1 had references of version 1
# Bytes of JSON. Queues and tables keep millions of them, so their size is bounded.
_TICKET_BYTES = 400
_DAY = 86_400.0


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One durable wait, as an engine keeps it: under 400 bytes of JSON, and no secret in it.

    Attributes:
        ref: the task that is waited for.
        deadline: Unix time in seconds at which the wait ends, on any worker.
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

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "v", TICKET_VERSION)

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
            msg = "timeout must be finite: a wait without an end would be kept for ever"
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


_decoder = msgspec.json.Decoder(Ticket)


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """The slice is over and the task is not: give the ticket to an engine.

    Attributes:
        delay: seconds after which it should be taken up again.
        ticket: what to keep until then.
        state: the task's last known state; None when that is not known.
    """

    delay: float
    ticket: Ticket
    state: TaskState | None = None


class TicketExpired(msgspec.Struct, frozen=True, kw_only=True):
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


def wall_clock() -> float:
    """Return the Unix time in seconds: what one process writes down, another one reads."""
    return time.time()  # noqa: TID251  (each process has a clock of its own)
