"""Reports waits to the log and to one listener. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

from asyncclient._state import Snapshot
from asyncclient._text import LONGEST_TEXT, LONGEST_WORD, shown, text_of, type_name
from asyncclient._waiting.record import Record

T = TypeVar("T")


class Listener(Protocol):
    """Is called for every wait in this process, and must be quick. One at a time.

    A wait is reported, to its end, to the listener that was set when it began. If a listener
    raises, that is logged once, and the wait goes on.
    """

    def began(self, record: Record[T]) -> object:
        """Record that a wait begins; what this returns is passed to the other methods."""
        ...  # pragma: no cover

    def around(self, memo: object) -> AbstractContextManager[object]:
        """Return the context manager around each poll and each callback of a wait."""
        ...  # pragma: no cover

    def polled(
        self, memo: object, record: Record[T], *, seconds: float, error: Exception | None
    ) -> None:
        """Record one poll: the seconds that it took, and how it failed, if it did."""
        ...  # pragma: no cover

    def changed(self, memo: object, record: Record[T], snapshot: Snapshot[T]) -> None:
        """Record a change of state or progress."""
        ...  # pragma: no cover

    def ended(self, memo: object, record: Record[T], error: BaseException | None) -> None:
        """Record the end: the error with which it ended, or None for success."""
        ...  # pragma: no cover


# The one listener of this process, in a list of at most one so that it can be put and taken away.
_listeners: list[Listener] = []
# Listeners whose first error has been logged.
_faulty: list[Listener] = []
# The listener of each wait, and what it remembers the wait by: in a list of none before the first
# listener is set, since each poll asks, and such a dictionary is slow to say that it is empty.
_memos: list[WeakKeyDictionary[object, tuple[Listener, object]]] = []
_NOTHING = nullcontext()


def listen(listener: Listener | None) -> None:
    """Report all waits that begin from now on to a listener; None removes it."""
    _listeners[:] = [] if listener is None else [listener]
    _memos[:] = _memos or [WeakKeyDictionary()]
    _faulty.clear()


class Report:
    """Reports what happens to the waits of one loop.

    Polls are logged at DEBUG, changes at INFO, the first fault of a row and unknown words at
    WARNING; errors that the caller gets are not logged. Each log record has `task`, and `word`,
    `state`, `polls`, `error` (its name) and `failure` (the exception) where they are known.
    """

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def began(self, record: Record[T]) -> None:
        """Report that a wait begins."""
        for listener in _listeners:
            try:
                _memos[0][record] = (listener, listener.began(record))
            except Exception:  # noqa: BLE001  (it is the listener's, not the wait's)
                self._complain(listener)

    def around(self, record: Record[T]) -> AbstractContextManager[object]:
        """Return the context manager around a poll or a callback."""
        if _memos and record in _memos[0]:
            listener, memo = _memos[0][record]
            try:
                return listener.around(memo)
            except Exception:  # noqa: BLE001  (as above)
                self._complain(listener)
        return _NOTHING

    def answered(self, record: Record[T], *, seconds: float, new_word: bool) -> None:
        """Report a good answer."""
        word = None if record.latest is None else record.latest.word
        if new_word:
            text = "%s: status %s is in no vocabulary"
            self._log.warning(text, str(record), shown(word), extra=_fields(record))
        if self._log.isEnabledFor(logging.DEBUG):
            text = "%s: poll %d: %s"
            self._log.debug(text, str(record), record.polls, shown(word), extra=_fields(record))
        if _memos:
            self._polled(record, seconds, None)

    def failed(
        self, record: Record[T], error: Exception, *, seconds: float, tolerated: bool, news: bool
    ) -> None:
        """Report a failed poll."""
        level = logging.WARNING if news else logging.DEBUG
        if tolerated and self._log.isEnabledFor(level):
            fields = {**_fields(record), "error": type_name(error), "failure": error}
            said = shown(error, LONGEST_TEXT)
            self._log.log(level, "%s: a poll failed: %s", str(record), said, extra=fields)
        self._polled(record, seconds, error)

    def rests(self, record: Record[T], seconds: float, why: str) -> None:
        """Report when the next poll of a single wait is due."""
        if self._log.isEnabledFor(logging.DEBUG):
            fields = {**_fields(record), "next_poll": seconds}
            text = "%s: the next poll in %.1f s (%s)"
            self._log.debug(text, str(record), seconds, why, extra=fields)

    def changed(self, record: Record[T], snapshot: Snapshot[T]) -> None:
        """Report a change of state or progress."""
        if self._log.isEnabledFor(logging.INFO):
            fields = {**_fields(record), "snapshot": snapshot}
            self._log.info("%s: %r", str(record), snapshot, extra=fields)
        self._report(record, lambda listener, memo: listener.changed(memo, record, snapshot))

    def not_cancelled(self, record: Record[T], error: BaseException) -> None:
        """Report that a remote task could not be cancelled on the way out."""
        fields = {**_fields(record), "error": type_name(error)}
        said = shown(error, LONGEST_TEXT)
        self._log.warning("%s: could not cancel it: %s", str(record), said, extra=fields)

    def ended(self, record: Record[T], error: BaseException | None) -> None:
        """Report that a wait is over."""
        self._report(record, lambda listener, memo: listener.ended(memo, record, error))

    def _polled(self, record: Record[T], seconds: float, error: Exception | None) -> None:
        self._report(
            record, lambda one, memo: one.polled(memo, record, seconds=seconds, error=error)
        )

    def _report(self, record: Record[T], report: Callable[[Listener, object], None]) -> None:
        if _memos and record in _memos[0]:
            listener, memo = _memos[0][record]
            try:
                report(listener, memo)
            except Exception:  # noqa: BLE001  (as above)
                self._complain(listener)

    def _complain(self, listener: Listener) -> None:
        """Log the error that is being handled, if it is the first of this listener."""
        if not any(other is listener for other in _faulty):
            _faulty.append(listener)
            name = type_name(listener)
            self._log.exception("%s, the listener of all waits, raised; the waits go on", name)


def _fields(record: Record[T]) -> dict[str, object]:
    snapshot = record.latest
    word = None if snapshot is None else snapshot.word
    return {
        "task": str(record),
        "polls": record.polls,
        "word": text_of(word, LONGEST_WORD) if isinstance(word, str) else word,
        "state": None if snapshot is None or snapshot.state is None else str(snapshot.state),
    }
