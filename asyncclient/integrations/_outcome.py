"""How a durable wait ended, as an engine keeps it for those who did not hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import msgspec

from asyncclient._durable import Ticket, TicketExpired, wall_clock
from asyncclient._many import Done
from asyncclient._ref import TaskRef
from asyncclient._state import TaskState
from asyncclient._text import text_of, type_name

# Bytes of JSON that an outcome's result may have; stores are no place for more.
_RESULT_BYTES = 1 << 20
# Characters of an error that an outcome keeps. The longest of our own are a little shorter.
_ERROR_CHARACTERS = 4000


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a durable wait ended, as JSON, for those who did not hold it.

    Attributes:
        how: `done`, the task ended or cannot be asked about; `expired`, it has not ended by the
            deadline; `cancelled`, the wait (not the task) was cancelled.
        ref: the task.
        state: its last known state.
        result: the provider's final answer as plain JSON; None when it did not end well, or when
            it is larger than 1 MiB.
        error: what went wrong, in at most 4,000 characters; None when it ended well.
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
        """Write down that a wait was cancelled now."""
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
    ticket: Ticket, end: Done[object] | TicketExpired, *, clock: Callable[[], float] | None = None
) -> Outcome:
    """Write down how a durable wait ended."""
    now = (clock or wall_clock)()
    error = end.error
    return Outcome(
        how="expired" if isinstance(end, TicketExpired) else "done",
        ref=ticket.ref,
        state=end.state,
        result=_plain(end.result) if error is None else None,
        error=None if error is None else text_of(error, _ERROR_CHARACTERS),
        error_type=None if error is None else type_name(error),
        polls=end.polls,
        elapsed=round(max(0.0, now - ticket.started), 3),
        ended=round(now, 3),
    )


def _plain(result: object) -> object:
    text = msgspec.json.encode(result, enc_hook=str)
    return msgspec.json.decode(text) if len(text) <= _RESULT_BYTES else None
