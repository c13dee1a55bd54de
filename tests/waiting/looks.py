"""Looks at a task without a loop: each test says what a look saw, and when."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypeAlias, TypeVar

import msgspec

from asyncclient import Observation, TaskRef, TaskState
from asyncclient._waiting import Limits, Polling, Record, Report, Sleep, evidence, gaps_of
from asyncclient.errors import AsyncClientError, ServerError, WaitTimeout
from tests.waiting.scenario import Thing

E = TypeVar("E", bound=AsyncClientError)

BEGAN = 100.0
REF = TaskRef("coze", "chat", {"chat_id": "7"})
DOWN = ServerError("down", status=503)

# What follows a look: a sleep, the error that ends the wait, or None for a task that ended well.
Step: TypeAlias = Sleep | Exception | None


class _Unseen(Thing):
    """A task that is never looked at, and what it declares worth repeating."""

    ref = REF

    def __init__(self, transient: object = ()) -> None:
        super().__init__("7", "coze.chat")
        self.transient = transient


class _SetSchedule:
    """A schedule whose next gap is set by the test."""

    seconds = 0.0

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield what is set."""
        del rng
        while True:
            yield self.seconds


class Wait:
    """One task's wait, at the instants and with the delays that a test chooses.

    Args:
        limits: how much is tolerated.
        transient: exceptions that the task declares worth repeating.

    Attributes:
        ceilings: what the error backoff drew its seconds under.
    """

    def __init__(self, limits: Limits | None = None, transient: object = ()) -> None:
        self.record: Record[str] = Record(_Unseen(transient), BEGAN, limits=limits or Limits())
        self.ceilings: list[float] = []
        self._schedule = _SetSchedule()
        self._backoff = 0.0
        self._polling: Polling[Record[str]] = Polling(
            Report("tests"),
            gaps_of(self._schedule, None),
            self._draw,
            lambda _record, _snapshot: None,
        )

    def _draw(self, ceiling: float) -> float:
        self.ceilings.append(ceiling)
        return self._backoff

    def answered(
        self,
        seen: Observation[str] | None = None,
        *,
        at: float = 5.0,
        took: float = 2.0,
        delay: float = 10.0,
    ) -> Step:
        """Return what follows an answer, where the schedule proposes that delay.

        It comes `at` seconds after the wait began, and `took` seconds after the look was sent.
        """
        self._schedule.seconds = delay
        now = BEGAN + at
        self.record.sent = now - took
        try:
            return self._polling.answered(self.record, seen or seen_of(), now)
        except AsyncClientError as error:
            return error

    def failed(
        self, error: Exception, *, at: float = 5.0, took: float = 0.0, backoff: float = 1.0
    ) -> Step:
        """Return what follows a failed look, where the backoff draws these seconds.

        Less than 0.1 s counts as 0.1 s.
        """
        self._backoff = backoff
        now = BEGAN + at
        self.record.sent = now - took
        try:
            return self._polling.failed(self.record, error, now)
        except Exception as raised:  # noqa: BLE001  (the error of a look may be any)
            return raised

    def demand_answered(self, demand: str | None, at: float) -> None:
        """Note that the caller has answered a demand, as the loop does."""
        self.record.rare = msgspec.structs.replace(
            self.record.rare, demand=demand, answered_at=BEGAN + at
        )

    def out_of_time(
        self, elapsed: float = 9.0, *, timeout: float = 9.0, retry_after: float | None = None
    ) -> WaitTimeout:
        """Return the error of a wait that ends by its own timeout."""
        return evidence.out_of_time(self.record, elapsed, timeout=timeout, retry_after=retry_after)


def seen_of(
    state: TaskState | None = TaskState.RUNNING,
    word: str | int | None = "busy",
    *,
    hint: float | None = None,
    demand: str | None = None,
    reason: str | None = None,
    progress: float | None = None,
) -> Observation[str]:
    """Return what a look saw."""
    return Observation(
        state, word, "answer", raw=b"{}", reason=reason, progress=progress, demand=demand, hint=hint
    )


def raised(step: Step, kind: type[E]) -> E:
    """Return the error that ends the wait, which must be of exactly this class."""
    assert type(step) is kind
    assert isinstance(step, kind)
    return step
