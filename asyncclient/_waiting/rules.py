"""The rules of waiting: functions of what is known. No clock, no chance, no I/O."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from asyncclient._http import LONGEST_HINT, delay_after, is_transient
from asyncclient._state import TaskState
from asyncclient._task import Observation
from asyncclient._text import LONGEST_WORD, text_of
from asyncclient._waiting.record import RareFacts, Record
from asyncclient.errors import NotFound

T = TypeVar("T")

# Seconds within which two instants are one: an event loop counts milliseconds (uvloop) and may
# fire a timer that much too early.
SAME_INSTANT = 1e-3
# Unknown words that are kept: a provider may put a counter into its status.
_UNKNOWN_WORDS = 20
# Seconds. A gap of any schedule is at least this long.
_LEAST_DELAY = 0.01
# However long a request took, the next one waits at least this share of its gap.
_LEAST_REST = 0.1
# Seconds that a look under way at the deadline may still take: see `last_look_grace`.
_LEAST_GRACE = 0.25
_LONGEST_GRACE = 5.0
# Seconds before the last look when the one before it outlasted the deadline.
_LATE_REST = 0.05
# However long a task is thought to take, the first look comes before this share of the timeout is
# over: the last look needs to know how long answers take.
_LATEST_FIRST_LOOK = 0.75


class Limits(msgspec.Struct, frozen=True):
    """How much a wait tolerates."""

    unknown: Literal["wait", "raise"] = "wait"  # what an unknown word does
    # A wait gives up when both are exceeded, so that neither a burst of quick failures nor a few
    # slow ones end it: failed looks in a row, and the seconds since the first of them.
    failed_polls: int = 10
    failing_seconds: float = 120.0
    # "No such task" is tolerated for this long after the wait began, if there was no good answer
    # yet: several providers are read-after-write inconsistent for 1 to 3 s. The age that a
    # reference gives does not count: the machine that made it may have another time. After a good
    # answer, only a "not found" that is not in the provider's own form is tolerated, as any failure
    # is; before one, this many in a row count as the provider's own.
    not_found_seconds: float = 10.0
    foreign_not_found: int = 3
    wordless: int = 5  # answers in a row without any status word
    same_demand_seconds: float = 30.0  # how long a demand may still show after its answer


class Sleep(msgspec.Struct, frozen=True):
    """Wait, then look again."""

    seconds: float
    # What decided it: `schedule`; `hint`, advice in a good answer; `refused`, the hint of one that
    # will not answer before; `error`; `deadline`; `left`, since the waiter who asked has left.
    why: str
    last: bool = False  # whether the look after it falls on the deadline
    hint: float | None = None  # seconds that the provider asked for, where that decided


class AskCaller(Sleep, frozen=True):
    """Only the caller can move the task on: ask it, then wait, then look again."""

    demand: Hashable = None  # what identifies it; None when the task does not say


# --- what a look changes ---


def rare_after_answer(record: Record[T], seen: Observation[T], now: float) -> RareFacts:
    """Return the rare of a task after a good answer, which the record does not hold yet."""
    rare = record.rare
    if seen.state is None:
        if seen.word is None:
            return msgspec.structs.replace(rare, wordless=rare.wordless + 1)
        words, word = rare.unknown_words, seen.word
        if isinstance(word, str):
            word = text_of(word, LONGEST_WORD)
        if word not in words and len(words) < _UNKNOWN_WORDS:
            words += (word,)
        return msgspec.structs.replace(rare, wordless=0, unknown_words=words)
    if seen.state.is_terminal:
        before = record.snapshot
        seen_alive = -record.age if before is None else before.elapsed
        return msgspec.structs.replace(rare, unseen=now - record.began - seen_alive)
    if rare.demand is None and seen.state is not TaskState.BLOCKED and rare.answered_at > -math.inf:
        return msgspec.structs.replace(rare, wordless=0, answered_at=-math.inf)
    return msgspec.structs.replace(rare, wordless=0) if rare.wordless else rare


def rare_after_error(record: Record[T], error: Exception, now: float) -> RareFacts:
    """Return the rare of a task after a failed look, which the record does not count yet."""
    return msgspec.structs.replace(
        record.rare,
        failing_since=record.rare.failing_since if record.failures else now,
        not_found=record.rare.not_found + 1 if isinstance(error, NotFound) else 0,
    )


# --- whether the wait goes on ---


def tolerates(
    record: Record[T],
    error: Exception,
    *,
    limits: Limits,
    now: float,
    transient: tuple[type[Exception], ...] = (),
) -> bool:
    """Return whether a wait goes on after a failed look: its error is not the task's."""
    failing = now - record.rare.failing_since
    patient = record.failures <= limits.failed_polls or failing <= limits.failing_seconds
    if not isinstance(error, NotFound):
        return patient and (is_transient(error) or isinstance(error, transient))
    if record.snapshot is not None:
        # It was there: a gateway that has lost its way to the provider is an outage.
        return error.foreign and patient
    maybe_gateway = error.foreign and record.rare.not_found < limits.foreign_not_found
    return maybe_gateway or now - record.began < limits.not_found_seconds


def tolerates_word(record: Record[T], word: str | int | None, limits: Limits) -> bool:
    """Return whether a wait goes on at an answer whose state is not known."""
    few = word is not None or record.rare.wordless <= limits.wordless
    return few and limits.unknown == "wait"


def is_new_demand(record: Record[T], seen: Observation[T], *, limits: Limits, now: float) -> bool:
    """Return whether a blocked task makes a demand that the caller has not just answered.

    A provider may go on showing a demand for a moment after its answer: a second answer would be
    refused, or taken for the next demand's. Where nothing tells demands apart, the task makes one
    for as long as it stays blocked.
    """
    rare = record.rare
    if seen.demand != rare.demand:
        return True
    answered = now - rare.answered_at
    return (
        answered > limits.same_demand_seconds if seen.demand is not None else answered == math.inf
    )


# --- when to look again ---


def rest_after_answer(delay: float, took: float, hint: float | None) -> Sleep:
    """Return the wait from a good answer to the next look.

    The schedule counts from look to look, so the time that the request took comes off; a hint
    counts from the answer that had it.
    """
    # A schedule of the caller's own may yield 0.
    delay = max(_LEAST_DELAY, delay)
    rest = max(delay - took, delay * _LEAST_REST)
    if hint is not None and rest < hint < math.inf:
        return Sleep(max(rest, min(hint, LONGEST_HINT)), "hint", hint=hint)
    return Sleep(rest, "schedule")


def rest_after_error(error: Exception, backoff: float) -> Sleep:
    """Return the wait after a failed look: the backoff's, or the provider's if it is longer."""
    seconds, hint = delay_after(error, backoff)
    return Sleep(seconds, "error" if hint is None else "refused", hint=hint)


def first_silence(silence: float, timeout: float) -> float:
    """Return the seconds before the first look."""
    return min(silence, timeout * _LATEST_FIRST_LOOK)


def fit(
    sleep: Sleep, *, now: float, deadline: float, asked: float, slowest: float = 0.0
) -> Sleep | None:
    """Fit a wait into what remains: the last look falls on the deadline.

    Advice in a good answer is cut down to the deadline. A refusal is not: the provider will not
    answer before, and so the wait is over at once, which None says.
    """
    remaining = deadline - now
    if remaining <= 0:
        # A look sent before the deadline and answered after it may have missed the end.
        late = Sleep(min(sleep.seconds, _LATE_REST), "deadline", last=True, hint=sleep.hint)
        return late if asked < deadline else None
    if sleep.why == "refused" and sleep.hint is not None and sleep.hint > remaining:
        return None
    if sleep.seconds + min(slowest, _LONGEST_GRACE) < remaining:
        return sleep
    return Sleep(remaining, "deadline", last=True, hint=sleep.hint)


def last_look_grace(slowest_answer: float | None) -> float:
    """Return how long a look that is under way at the deadline may still take, in seconds.

    A look that is sent on the deadline needs time to be answered, or a task that finished in time
    would be reported late. It gets twice what the slowest answer of this wait took, a quarter of a
    second at least and 5 s at most; nothing when no look has come back yet, so that a request that
    hangs from the first never stretches the timeout.
    """
    if slowest_answer is None:
        return 0.0
    return min(_LONGEST_GRACE, max(_LEAST_GRACE, 2 * slowest_answer))


@dataclass(slots=True, eq=False, repr=False)
class TimeLimit:
    """When one wait ends, and when its last look is due, on the loop's clock."""

    began: float
    timeout: float
    deadline: float = 0.0  # when it is over
    final: float | None = None  # when its last look is due; None while there are others to come

    def __post_init__(self) -> None:
        self.deadline = self.began + self.timeout

    def is_over(self, sent: float) -> bool:
        """Return whether a look that was sent then was the last one."""
        return self.final is not None and sent >= self.final - SAME_INSTANT

    def due_after(self, sleep: Sleep, record: Record[T], now: float) -> float | None:
        """Return when the next look is due; None when the wait is over."""
        if self.is_over(record.sent):
            return None
        slowest = record.slowest or 0.0
        fitted = fit(sleep, now=now, deadline=self.deadline, asked=record.sent, slowest=slowest)
        if fitted is None:
            return None
        if not fitted.last:
            return now + fitted.seconds
        self.final = max(self.deadline, now + fitted.seconds)
        return self.final

    def refused_for(self, sleep: Sleep, now: float) -> float | None:
        """Return the provider's hint, if it is for longer than what remains; else None."""
        hint = sleep.hint
        return hint if hint is not None and hint > self.deadline - now else None

    def limit(self, slowest: float | None) -> float:
        """Return when the wait ends, also if a look is under way."""
        if self.final is not None:
            slowest = slowest or 0.0  # the budget, not the service, delayed it
        return max(self.deadline, self.final or 0.0) + last_look_grace(slowest)
