"""What a loop asks of a `LearnedSchedule` about a task, and what it tells it. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from asyncclient._decide import Course
from asyncclient._learning import LEAST_ENDS, LearnedSchedule
from asyncclient._state import Snapshot, TaskState

__all__ = ["Pace"]

T = TypeVar("T")


class Pace:
    """Paces waits by what is learned of tasks of their kind, and learns from their answers.

    A task that was seen in a queue and then at work has a clock of its own from there: what is left
    of it depends on how long such tasks work, not on how long this one stood in line.

    Args:
        schedule: what is learned.
        draw: draws evenly from 0 up to its argument.
    """

    __slots__ = ("_draw", "schedule")

    def __init__(self, schedule: LearnedSchedule, draw: Callable[[float], float]) -> None:
        self.schedule = schedule
        self._draw = draw

    def silence(
        self, course: Course[T], kind: str, *, price: float | None = None, weight: float = 1.0
    ) -> float:
        """Return the seconds before a first poll is worth it; 0 for at once.

        Args:
            course: the wait, which begins now.
            kind: which tasks are alike.
            price: seconds of delay that a poll is worth; None is the schedule's own.
            weight: how much the delay of this task matters.
        """
        return self.schedule.gap(
            course.age, 0, kind=kind, price=price, weight=weight, draw=self._draw
        )

    def gap(
        self,
        course: Course[T],
        kind: str,
        state: TaskState | None,
        *,
        sent: float,
        now: float,
        price: float | None = None,
        weight: float = 1.0,
    ) -> float:
        """Return the seconds from the start of a poll to the next, before its answer is counted.

        Args:
            course: the wait.
            kind: which tasks are alike.
            state: what the answer showed.
            sent: when the poll was sent, by the loop's clock.
            now: when it was answered.
            price: as in `silence`.
            weight: as in `silence`.
        """
        before = course.snapshot
        queued = before is not None and before.state is TaskState.PENDING
        if before is not None and queued and state is TaskState.RUNNING:
            course.at_work_since = (before.elapsed + now - course.began) / 2
        elapsed = sent - course.began
        age = course.age + elapsed
        if course.at_work_since is not None:
            kind, age = _at_work(kind), max(0.0, elapsed - course.at_work_since)
        return self.schedule.gap(
            age, course.polls + 1, kind=kind, price=price, weight=weight, draw=self._draw
        )

    def knows(self, kind: str) -> bool:
        """Return whether enough was seen of a kind to plan by."""
        return self.schedule.sample_size(kind) >= LEAST_ENDS

    def learn(
        self,
        course: Course[T],
        kind: str,
        before: Snapshot[T] | None,
        *,
        took: float | None = None,
    ) -> None:
        """Learn from the last answer.

        Args:
            course: the wait.
            kind: which tasks are alike.
            before: the answer before it; None if it was the first.
            took: seconds that the ended task took by the provider's own clock, if it tells.
        """
        snapshot = course.snapshot
        if snapshot is None:
            return
        over = snapshot.state is not None and snapshot.state.is_terminal
        seen = 0.0 if before is None else before.elapsed
        if over and before is None and course.age > 0:
            return  # it may have ended long before anybody here looked
        self._tell(kind, course.age + seen, course.age + snapshot.elapsed, over=over, took=took)
        began = course.at_work_since
        if began is not None:
            since, until = max(0.0, seen - began), max(0.0, snapshot.elapsed - began)
            self._tell(_at_work(kind), since, until, over=over, took=None)

    def _tell(
        self, kind: str, since: float, until: float, *, over: bool, took: float | None
    ) -> None:
        if over:
            self.schedule.observe(until, since=since, told=since, stamped=took, kind=kind)
        else:
            self.schedule.survived(until, since=since, kind=kind)


def _at_work(kind: str) -> str:
    return f"{kind} at work"
