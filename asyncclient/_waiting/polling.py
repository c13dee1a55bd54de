"""One look at a task and the decision after it: the same for one wait and for many."""

from __future__ import annotations

import asyncio
import copy
import math
import sys
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast

from asyncclient._event_loop import failure_of
from asyncclient._http import Answer, Cutting, forget_frames, hint_of, seconds_asked
from asyncclient._ref import unix_time
from asyncclient._schedule import Backoff
from asyncclient._state import Snapshot, TaskState, number_of, word_of
from asyncclient._task import LookTimedOut, Observation, Transient
from asyncclient._text import plain, shown, text_of, type_name
from asyncclient._waiting import evidence, rules
from asyncclient._waiting.gaps import Gaps
from asyncclient._waiting.record import Record, is_change
from asyncclient._waiting.report import Report
from asyncclient._waiting.rules import AskCaller, Sleep
from asyncclient.errors import APIError, NotFound, RequestTimeout

R = TypeVar("R", bound=Record[Any])
T = TypeVar("T")

_ERROR_BACKOFF = Backoff(first=1.0, cap=30.0)

# Seconds of looks, in steps of a 64th up to all that matters: tasks share these numbers.
_STEPS = 64
_TOOK = tuple(step / _STEPS for step in range(int(rules.LAST_LOOK_SECONDS) * _STEPS + 1))


class Polling(Generic[R]):
    """Looks at tasks, and decides what follows; its loop decides when to look.

    The record of a task is changed here alone. The order is always: learn, log, report.
    """

    def __init__(
        self,
        report: Report,
        gaps: Gaps,
        draw: Callable[[float], float],
        changed: Callable[[R, Snapshot[Any]], object],
    ) -> None:
        self._report = report
        self._gaps = gaps
        self._draw = draw
        self._changed = changed  # takes each change, when it has been reported
        self.cutting = Cutting()  # of looks that take too long, each with its record

    def close(self) -> None:
        """Leave no timer behind."""
        self.cutting.close()

    async def look(self, record: R) -> Sleep | None:
        """Look once."""
        loop = asyncio.get_running_loop()
        now = loop.time
        record.sent = now()
        outer = sys.exception()
        flight = self.cutting.begin(loop, record.sent + record.limits.poll_timeout, record)
        asked = flight.cancelling()
        try:
            with self._report.around(record):
                seen = _checked(await record.task.observe(), record)
        except (Exception, asyncio.CancelledError) as error:
            if record.has_given_up(flight):
                raise
            if await self.cutting.is_own(flight):  # also where that became another error
                return self.unanswered(record, now())
            failure = failure_of(error, "a look", asked=asked)
            is_callers = failure is error and not isinstance(error, LookTimedOut)
            step = self.failed(record, failure, now(), is_callers=is_callers)
            # Kept as long as the task is waited for: its frames hold the answer that failed.
            forget_frames(failure, outer)
            return step
        finally:
            self.cutting.end(flight)
        if record.has_given_up(flight):
            raise asyncio.CancelledError  # another look was made in its place
        return self.answered(record, seen, now())

    def answered(self, record: R, seen: Observation[object], now: float) -> Sleep | None:
        """Count an answer that came now, and return what follows, as `look` does."""
        took = now - record.sent
        if record.slowest is None or took > record.slowest:
            record.slowest = _on_grid(took)
        is_over = seen.state is not None and seen.state.is_terminal
        # A schedule of the caller's own may raise here, and no end is to be lost to that.
        delay = 0.0 if is_over else self._gaps.after(record, seen.state, now)
        rare = rules.rare_after_answer(record, seen, now)
        before, known = record.latest, len(record.rare.unknown_words)
        record.polls += 1
        record.failures = 0
        record.rare = rare
        record.latest = snapshot = Snapshot(
            state=seen.state,
            word=seen.word,
            result=seen.result,
            polls=record.polls,
            elapsed=now - record.began,
            progress=seen.progress,
            reason=seen.reason,
            raw=seen.raw,
        )
        self._gaps.learn(record, before, seen.took)
        new_word = len(rare.unknown_words) > known
        self._report.answered(record, seconds=took, new_word=new_word)
        if is_change(before, snapshot):
            self._report.changed(record, snapshot)
            self._changed(record, snapshot)
        if seen.state is None:
            if not rules.tolerates_word(record, seen.word):
                raise evidence.unknown_status(record, now - record.began)
        elif seen.state.is_terminal:
            error = evidence.ended_badly(record)
            if error is not None:
                raise error
            return None
        sleep = rules.rest_after_answer(delay, took, seen.hint)
        if seen.state is TaskState.BLOCKED and rules.is_new_demand(record, seen, now):
            return AskCaller(sleep.seconds, sleep.why, hint=sleep.hint, demand=seen.demand)
        return sleep

    def failed(self, record: R, error: Exception, now: float, *, is_callers: bool = True) -> Sleep:
        """Count a look that failed now, and return what follows, as `look` does.

        The caller's `transient` does not judge errors that were made here.
        """
        if record.asker_has_left() and not isinstance(error, APIError):
            # Its client or its pool may have been closed; a provider's refusal is for all waiters.
            return Sleep(0.0, "left")
        # A failure takes about as long as an answer would; only a timeout says nothing of that.
        if not isinstance(error, TimeoutError):
            record.slowest = max(_on_grid(now - record.sent), record.slowest or 0.0)
        record.rare = rules.rare_after_error(record, error, now)
        record.polls += 1
        record.failures += 1
        record.last_error = error
        backoff = _ERROR_BACKOFF.delay(record.backoffs, self._draw)
        record.backoffs += 1
        transient = record.transient() if is_callers else Transient()
        tolerated = rules.tolerates(record, error, transient, now)
        self._report.failed(
            record,
            error,
            seconds=now - record.sent,
            tolerated=tolerated,
            news=tolerated and record.take_warning(now),
        )
        if tolerated:
            return rules.rest_after_error(error, backoff)
        elapsed = now - record.began
        if isinstance(error, NotFound):
            raise evidence.forgotten(record, error, elapsed)
        raise evidence.given_up(record, error, elapsed)

    def unanswered(self, record: R, now: float) -> Sleep:
        """Count a look that took too long, and return what follows, as `look` does."""
        error = RequestTimeout(f"no answer within {plain(record.limits.poll_timeout)} s")
        return self.failed(record, error, now, is_callers=False)

    def cut_off(self, record: R, now: float, *, shared: bool) -> R:
        """Count a look that is still unanswered when its wait ends."""
        if shared:
            record = copy.copy(record)
        record.polls += 1
        record.last_error = RequestTimeout("a poll was still unanswered at the deadline")
        if not shared:
            self._report.failed(
                record, record.last_error, seconds=now - record.sent, tolerated=False, news=False
            )
        return record


def _checked(seen: object, record: Record[T]) -> Observation[T]:
    """Return what a look saw, in a form that every rule can use.

    An answer that one of our coroutines returned brings its bytes and the server's hint along.
    """
    if not isinstance(seen, Observation):
        msg = f"{record}: observe() returned {type_name(seen)}, not an Observation"
        raise TypeError(msg)
    found = cast("Observation[T]", seen)
    state = found.state
    if state is not None and not isinstance(cast("object", state), TaskState):
        msg = f"{record}: observe() saw the state {shown(state)}, which is not a TaskState"
        raise TypeError(msg)
    raw = found.raw if isinstance(found.raw, bytes) else None
    hint = None if found.hint is None else number_of(found.hint)
    if hint is not None:
        hint = hint_of(hint, unix_time())
    response = found.result.response if isinstance(found.result, Answer) else None
    if response is not None:
        raw = response.body if raw is None else raw
        hint = seconds_asked(response) if hint is None else hint
    demand: object = found.demand
    if (
        (found.word is None or type(found.word) is str)
        and found.reason is None
        and found.progress is None
        and demand is None
        and found.hint is None
        and found.took is None
        and hint is None
        and raw is found.raw
    ):
        return found  # as nearly always
    no_reason = found.reason is None or state is TaskState.SUCCEEDED
    return Observation(
        state,
        word_of(found.word),
        found.result,
        raw=raw,
        reason=None if no_reason else text_of(found.reason),
        progress=number_of(found.progress),
        demand=_name_of(demand),
        hint=hint,
        took=number_of(found.took),
    )


def _name_of(demand: object) -> Hashable:
    """Return what identifies a demand; None where it cannot be compared, or is not even itself."""
    try:
        hash(demand)
        is_other = bool(demand != demand)  # noqa: PLR0124  (NaN is)
    except Exception:  # noqa: BLE001  (an object of the caller's)
        is_other = True
    return None if is_other else demand


def _on_grid(took: float) -> float:
    """Return the seconds of a look, rounded up; 5 for all that took longer."""
    return _TOOK[min(max(0, math.ceil(took * _STEPS)), len(_TOOK) - 1)]
