"""The errors that end a wait, each with what is known of the task. No clock, no I/O."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

from asyncclient._state import TaskState
from asyncclient._text import counted, plain, shown, text_of, type_name
from asyncclient._waiting.record import Record
from asyncclient.errors import (
    AsyncClientError,
    NotFound,
    TaskBlocked,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskFailed,
    UnknownStatus,
    WaitTimeout,
)

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_ENDS: dict[TaskState | None, type[TaskError]] = {
    TaskState.FAILED: TaskFailed,
    TaskState.CANCELLED: TaskCancelled,
    TaskState.EXPIRED: TaskExpired,
}


def with_evidence(error: E, record: Record[T], elapsed: float) -> E:
    """Give an error what is known of its task, and return it."""
    # A subclass of the caller's may refuse an attribute.
    with suppress(Exception):
        if isinstance(error, AsyncClientError):
            error.ref = record.ref
            error.snapshot = record.snapshot
            error.polls = record.polls
            error.elapsed = elapsed
            error.last_error = record.last_error
    return error


def ended_badly(record: Record[T]) -> TaskError | None:
    """Return the error for a task whose last answer shows a bad end; None while it shows none."""
    snapshot = record.latest
    kind = None if snapshot is None else _ENDS.get(snapshot.state)
    if snapshot is None or kind is None:
        return None
    was = "was " if kind is TaskCancelled else ""
    message = (
        f"{record} {was}{snapshot.state} (status {shown(snapshot.word)})"
        f"{_because(snapshot.reason)}; {_polls_in(record, snapshot.elapsed)}"
    )
    error = kind(message, advice="the provider's answer is in .snapshot.result")
    return with_evidence(error, record, snapshot.elapsed)


def forgotten(record: Record[T], error: NotFound, elapsed: float) -> TaskExpired:
    """Make the error for a task that the provider does not know (any more)."""
    known = "no longer" if record.latest is not None else "not"
    expired = TaskExpired(
        f"{record} is {known} known to the provider ({without_advice(error)})",
        advice="check that its account and region are those of this client; providers keep results "
        "for a limited time",
    )
    expired.__cause__ = error
    return with_evidence(expired, record, elapsed)


def given_up(record: Record[T], error: E, elapsed: float) -> E:
    """Add evidence and a note to the error of a look that ends the wait."""
    with suppress(Exception):  # as above; a frozen one takes no note
        error.add_note(
            f"while waiting for {record}: {_polls_in(record, elapsed)}, "
            f"the last {record.failures} failed; the task may still be running"
        )
    return with_evidence(error, record, elapsed)


def blocked(record: Record[T], elapsed: float) -> TaskBlocked:
    """Make the error for a task that waits for its caller."""
    snapshot = record.latest
    word, reason = (None, None) if snapshot is None else (snapshot.word, snapshot.reason)
    error = TaskBlocked(
        f"{record} waits for its caller (status {shown(word)}){_because(reason)}",
        advice="answer it and wait again, or pass on_blocked=, an async function that answers it",
    )
    return with_evidence(error, record, elapsed)


def unknown_status(record: Record[T], elapsed: float) -> UnknownStatus:
    """Make the error for a status word that is in no vocabulary, or for answers without one."""
    word = None if record.latest is None else record.latest.word
    if word is None:
        row = f"{counted(record.rare.wordless, 'answer')} in a row"
        error = UnknownStatus(
            f"{record}: {row} without a status word",
            advice="look at .snapshot.result: is it the answer that you expected?",
        )
    else:
        error = UnknownStatus(
            f"{record}: the status {shown(word)} is in no vocabulary",
            advice='add the word to its vocabulary, or pass unknown="wait" to keep waiting',
        )
    return with_evidence(error, record, elapsed)


def out_of_time(
    record: Record[T], elapsed: float, *, timeout: float, retry_after: float | None = None
) -> WaitTimeout:
    """Make the error for a wait that ends by its own timeout."""
    status = "no answer yet"
    if record.latest is not None:
        state = record.latest.state or "unknown"
        status = f"last status {shown(record.latest.word)} ({state})"
    parts = [f"{status}, {_polls_in(record, elapsed)}"]
    if record.rare.unknown_words:
        words = ", ".join(shown(word) for word in record.rare.unknown_words)
        parts.append(f"words in no vocabulary: {words}")
    if record.last_error is not None:
        name = type_name(record.last_error)
        parts.append(f"last failed poll: {name}: {without_advice(record.last_error)}")
    if retry_after is not None:
        parts.append(f"the provider asks to wait {plain(retry_after)} s, longer than the time left")
    error = WaitTimeout(
        f"{record} has not ended within {plain(timeout)} s ({'; '.join(parts)})",
        retry_after=retry_after,
        advice="It may still be running: wait again with the same task",
    )
    return with_evidence(error, record, elapsed)


def _polls_in(record: Record[T], elapsed: float) -> str:
    return f"{counted(record.polls, 'poll')} in {elapsed:.1f} s"


def _because(reason: str | None) -> str:
    return f": {text_of(reason)}" if reason else ""


def without_advice(error: BaseException) -> str:
    """Return an error's message without its advice, to be quoted in another message."""
    return text_of(
        error, make=lambda one: one.text if isinstance(one, AsyncClientError) else str(one)
    )
