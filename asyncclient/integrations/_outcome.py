"""How a durable wait ended, as an engine keeps it for all processes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Literal, Self, cast

import msgspec

from asyncclient._durable import Ticket, TicketExpired, wall_clock
from asyncclient._many import Done
from asyncclient._portable import Portable
from asyncclient._ref import TaskRef
from asyncclient._state import TaskState
from asyncclient._text import text_of, type_name, whole

# Bytes of JSON that an outcome's result may have; stores are no place for more.
RESULT_BYTES = 1 << 20
# Lists and objects that lie in each other in a result; a provider's have some ten.
LEVELS = 100
# Characters of an error that an outcome keeps. The longest of our own are a little shorter.
ERROR_CHARACTERS = 4000


class Outcome(Portable, msgspec.Struct, frozen=True, kw_only=True):
    """How a durable wait ended, as JSON, for all processes.

    Attributes:
        how: `done`, the task ended or its polls were refused; `expired`, it had not ended at the
            deadline; `cancelled`, the wait (not the task) was cancelled.
        ref: the task.
        state: its last known state.
        result: the provider's final answer as plain JSON; None without success, or when it is
            larger than 1 MiB. A value that JSON cannot hold is null.
        error: what went wrong, in at most 4,000 characters; None for success.
        error_type: the name of the error's class, as `TaskFailed`, in at most 80 characters.
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
    def called_off(cls, ticket: Ticket) -> Self:
        """Write down that a wait was cancelled now."""
        now = wall_clock()
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


def outcome_of(ticket: Ticket, end: Done[object] | TicketExpired, now: float) -> Outcome:
    """Make the outcome of a durable wait; a value that cannot be written is left out.

    `now` is the Unix time in seconds.
    """
    error = end.error
    return Outcome(
        how="expired" if isinstance(end, TicketExpired) else "done",
        ref=ticket.ref,
        state=end.state,
        result=plain_json(end.result) if error is None else None,
        error=None if error is None else text_of(error, ERROR_CHARACTERS),
        error_type=None if error is None else type_name(error),
        polls=end.polls,
        elapsed=round(max(0.0, now - ticket.started), 3),
        ended=round(now, 3),
    )


def plain_json(value: object) -> object:
    """Return any object as plain JSON holds it; None when that has more than 1 MiB.

    What JSON cannot hold is null in its place: a list inside itself, what lies deeper than 100
    levels, a number of thousands of digits, an object whose text cannot be made. Half a letter
    becomes U+FFFD.
    """
    try:
        plain = _Plain().of(value)
        return plain if len(msgspec.json.encode(plain)) <= RESULT_BYTES else None
    except _TooLargeError:
        return None


class _TooLargeError(Exception):
    pass


class _Plain:
    """Makes plain JSON of one object, and stops when that grows too large."""

    def __init__(self) -> None:
        self._room = RESULT_BYTES
        self._around: list[int] = []  # the ids of what an object lies in

    def of(self, value: object) -> object:
        """Return an object as JSON holds it; None where that cannot be."""
        self._room -= 2  # the least that anything takes, with what separates it
        if self._room < 0:
            raise _TooLargeError
        if value is None or isinstance(value, bool):
            return value
        if type(value) is str:
            self._room -= len(value)
            return whole(value)
        if id(value) in self._around or len(self._around) >= LEVELS:
            return None
        self._around.append(id(value))
        try:
            return self._inside(value)
        except _TooLargeError:
            raise
        except (Exception, asyncio.CancelledError):  # noqa: BLE001  (of a caller's object)
            return None
        finally:
            self._around.pop()

    def _inside(self, value: object) -> object:
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(item) for item in cast("Iterable[object]", value)]
        if isinstance(value, Mapping):
            return self._fields(cast("Mapping[object, object]", value).items())
        if isinstance(value, msgspec.Struct) and not value.__struct_config__.array_like:
            names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
            return self._fields([(name, getattr(value, field)) for name, field in names])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            return self._fields([(field.name, getattr(value, field.name)) for field in fields])
        if isinstance(value, str) and not isinstance(value, Enum):
            return self.of(text_of(value, RESULT_BYTES))
        text = msgspec.json.encode(value, enc_hook=lambda one: whole(str(one)))
        self._room -= len(text)
        return msgspec.json.decode(text)

    def _fields(self, items: Iterable[tuple[object, object]]) -> dict[str, object]:
        return {
            str(self.of(name)): self.of(value)
            for name, value in items
            if value is not msgspec.UNSET
        }
