"""What happens to a wait, told to the log and to one listener. Decides nothing."""

from __future__ import annotations

import logging
from typing import Protocol, TypeVar

from asyncclient._decide import Course
from asyncclient._state import Snapshot

__all__ = ["Listener", "Report", "listen"]

T = TypeVar("T")


class Listener(Protocol):
    """Is told of every wait in this process: quick, and never raising. One at a time."""

    def began(self, course: Course[T]) -> object:
        """Take note of a wait that begins; what it returns is handed to the other methods."""
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


def listen(listener: Listener | None) -> None:
    """Tell a listener of all waits that begin from now on; None for nobody."""
    _listeners[:] = [] if listener is None else [listener]


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
            course.mark = listener.began(course)

    def answered(self, course: Course[T], word: str | int | None, *, seconds: float) -> None:
        """Tell of a good answer."""
        if self._log.isEnabledFor(logging.DEBUG):
            fields = _fields(course)
            self._log.debug("%s: poll %d: %r", course.subject, course.polls, word, extra=fields)
        for listener in _listeners:
            listener.polled(course.mark, course, seconds=seconds, error=None)

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
        for listener in _listeners:
            listener.polled(course.mark, course, seconds=seconds, error=error)

    def changed(self, course: Course[T], snapshot: Snapshot[T]) -> None:
        """Tell of a change of state or progress."""
        if self._log.isEnabledFor(logging.INFO):
            fields = {**_fields(course), "snapshot": snapshot}
            self._log.info("%s: %r", course.subject, snapshot, extra=fields)
        for listener in _listeners:
            listener.changed(course.mark, course, snapshot)

    def not_cancelled(self, course: Course[T], error: Exception) -> None:
        """Tell that a remote task could not be cancelled on the way out."""
        fields = {**_fields(course), "error": type(error).__name__}
        self._log.warning("%s: could not cancel it: %r", course.subject, error, extra=fields)

    def ended(self, course: Course[T], error: BaseException | None) -> None:
        """Tell that a wait is over."""
        for listener in _listeners:
            listener.ended(course.mark, course, error)


def _fields(course: Course[T]) -> dict[str, object]:
    snapshot = course.snapshot
    return {
        "task": str(course.subject),
        "polls": course.polls,
        "word": None if snapshot is None else snapshot.word,
        "state": None if snapshot is None or snapshot.state is None else str(snapshot.state),
    }
