"""What happens to a wait, told to the log and to one listener. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from asyncclient._decide import Course
from asyncclient._state import Snapshot

__all__ = ["Listener", "Report", "listen"]

T = TypeVar("T")


class Listener(Protocol):
    """Is told of every wait in this process, and is quick. One at a time.

    A wait is told to the listener that there was when it began, to its end. What a listener raises
    is logged once, and does the wait no harm.
    """

    def began(self, course: Course[T]) -> object:
        """Take note of a wait that begins; what it returns is handed to the other methods."""
        ...  # pragma: no cover

    def around(self, mark: object) -> AbstractContextManager[object]:
        """Return what is entered for each poll and each callback of a wait."""
        ...  # pragma: no cover

    def polled(
        self, mark: object, course: Course[T], *, seconds: float, error: Exception | None
    ) -> None:
        """Take note of one poll: the seconds that it took, and how it failed, if it did."""
        ...  # pragma: no cover

    def changed(self, mark: object, course: Course[T], snapshot: Snapshot[T]) -> None:
        """Take note of a change of state or progress."""
        ...  # pragma: no cover

    def ended(self, mark: object, course: Course[T], error: BaseException | None) -> None:
        """Take note of the end: the error with which it ended, or None for success."""
        ...  # pragma: no cover


# The one listener of this process, in a list of at most one so that it can be put and taken away.
_listeners: list[Listener] = []
# Those whose first error has been logged.
_faulty: list[Listener] = []
_NOTHING = nullcontext()


def listen(listener: Listener | None) -> None:
    """Tell a listener of all waits that begin from now on; None for nobody."""
    _listeners[:] = [] if listener is None else [listener]
    _faulty.clear()


class _Mark:
    """What a listener remembers a wait by, and that listener."""

    __slots__ = ("listener", "mark")

    def __init__(self, listener: Listener, mark: object) -> None:
        self.listener = listener
        self.mark = mark


class Report:
    """Tells what happens to the waits of one loop.

    Polls are told at DEBUG, changes at INFO, the first fault of a row and unknown words at WARNING;
    errors that the caller gets are not told. Each record bears `task`, and `word`, `state`, `polls`
    and `error` where they are known.

    Args:
        name: of the logger.
    """

    __slots__ = ("_log",)

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def began(self, course: Course[T]) -> None:
        """Tell that a wait begins."""
        for listener in _listeners:
            try:
                course.mark = _Mark(listener, listener.began(course))
            except Exception:  # noqa: BLE001  (whatever it is, it is not the wait's)
                self._complain(listener)

    def around(self, course: Course[T]) -> AbstractContextManager[object]:
        """Return what is to be entered for a poll or a callback."""
        told = course.mark
        if isinstance(told, _Mark):
            try:
                return told.listener.around(told.mark)
            except Exception:  # noqa: BLE001  (as above)
                self._complain(told.listener)
        return _NOTHING

    def answered(self, course: Course[T], word: str | int | None, *, seconds: float) -> None:
        """Tell of a good answer."""
        if self._log.isEnabledFor(logging.DEBUG):
            fields = _fields(course)
            self._log.debug("%s: poll %d: %r", course.subject, course.polls, word, extra=fields)
        self._polled(course, seconds, None)

    def unknown(self, course: Course[T], word: str | int | None) -> None:
        """Tell of a status word that is in no vocabulary."""
        text = "%s: status %r is in no vocabulary"
        self._log.warning(text, course.subject, word, extra=_fields(course))

    def failed(
        self,
        course: Course[T],
        error: Exception,
        *,
        seconds: float,
        borne: bool,
        first: bool,
    ) -> None:
        """Tell of a failed poll.

        Args:
            course: the wait.
            error: how it failed.
            seconds: how long it took.
            borne: whether the wait goes on; else the caller gets the error.
            first: whether it is the first of a row.
        """
        if borne:
            level = logging.WARNING if first else logging.DEBUG
            if self._log.isEnabledFor(level):
                fields = {**_fields(course), "error": type(error).__name__}
                self._log.log(level, "%s: a poll failed: %r", course.subject, error, extra=fields)
        self._polled(course, seconds, error)

    def cut_off(self, course: Course[T], error: Exception, *, seconds: float) -> None:
        """Tell of a poll that was under way when the wait ended."""
        self._polled(course, seconds, error)

    def changed(self, course: Course[T], snapshot: Snapshot[T]) -> None:
        """Tell of a change of state or progress."""
        if self._log.isEnabledFor(logging.INFO):
            fields = {**_fields(course), "snapshot": snapshot}
            self._log.info("%s: %r", course.subject, snapshot, extra=fields)
        self._tell(course, lambda listener, mark: listener.changed(mark, course, snapshot))

    def not_cancelled(self, course: Course[T], error: Exception) -> None:
        """Tell that a remote task could not be cancelled on the way out."""
        fields = {**_fields(course), "error": type(error).__name__}
        self._log.warning("%s: could not cancel it: %r", course.subject, error, extra=fields)

    def ended(self, course: Course[T], error: BaseException | None) -> None:
        """Tell that a wait is over."""
        self._tell(course, lambda listener, mark: listener.ended(mark, course, error))

    def _polled(self, course: Course[T], seconds: float, error: Exception | None) -> None:
        def polled(listener: Listener, mark: object) -> None:
            listener.polled(mark, course, seconds=seconds, error=error)

        self._tell(course, polled)

    def _tell(self, course: Course[T], tell: Callable[[Listener, object], None]) -> None:
        told = course.mark
        if isinstance(told, _Mark):
            try:
                tell(told.listener, told.mark)
            except Exception:  # noqa: BLE001  (as above)
                self._complain(told.listener)

    def _complain(self, listener: Listener) -> None:
        """Log the error that is being handled, if it is the first of this listener."""
        if not any(other is listener for other in _faulty):
            _faulty.append(listener)
            name = type(listener).__name__
            self._log.exception("%s, which is told of all waits, raised; they go on", name)


def _fields(course: Course[T]) -> dict[str, object]:
    snapshot = course.snapshot
    return {
        "task": str(course.subject),
        "polls": course.polls,
        "word": None if snapshot is None else snapshot.word,
        "state": None if snapshot is None or snapshot.state is None else str(snapshot.state),
    }
