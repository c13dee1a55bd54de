"""The rules of waiting: functions of what is known. No clock, no chance, no I/O."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from asyncclient._http import LONGEST_HINT, delay_after, is_transient, status_of
from asyncclient._state import TaskState
from asyncclient._task import DECIDES_NOTHING, Observation, Transient
from asyncclient._text import LONGEST_WORD, text_of
from asyncclient._waiting.record import Limits, RareFacts, Record
from asyncclient.errors import APIError, NotFound

T = TypeVar("T")

# Seconds within which two instants count as one: uvloop counts milliseconds, and may fire a timer
# that much too early.
SAME_INSTANT = 1e-3
# Unknown words that are kept: a provider may put a counter into its status.
_UNKNOWN_WORDS = 20
# Seconds. A gap of any schedule is at least this long.
_LEAST_DELAY = 0.01
# However long a request took, the next one waits at least this share of its gap.
_LEAST_REST = 0.1
# Seconds that the last look may take past the deadline, however fast the earlier ones came. A hint
# that reaches past the deadline is cut to end as long before it, and so is the first silence.
LAST_LOOK_SECONDS = 5.0
# Seconds that the first look may take in any case, also past the deadline.
_FIRST_LOOK_SECONDS = 0.25
# Seconds. A timer that fires later than this says that the event loop stood still.
_STALL = 0.02
# Seconds before the last look when the one before it outlasted the deadline.
_LATE_REST = 0.05
# Seconds. A shorter wait has no silence before its first look.
_LEAST_WITH_SILENCE = 10.0


class Sleep(msgspec.Struct, frozen=True):
    """Wait, then look again."""

    seconds: float
    # What decided it: `schedule`; `hint`, advice in a good answer; `refused`, the hint of a
    # refusal; `error`; `deadline`; `left`, since the waiter who asked has left.
    why: str
    last: bool = False  # whether the look after it falls on the deadline
    hint: float | None = None  # seconds that the provider asked for, where that decided


class AskCaller(Sleep, frozen=True):
    """The task waits for its caller: ask the caller, then wait, then look again."""

    demand: Hashable = None  # what identifies it; None when the task does not say


# --- what a look changes ---


def rare_after_answer(record: Record[T], seen: Observation[T], now: float) -> RareFacts:
    """Return a task's rare facts after a good answer, which the record does not hold yet."""
    rare = record.rare
    if rare.backoffs:
        rare = msgspec.structs.replace(rare, backoffs=0)
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
        before = record.latest
        seen_alive = -record.age if before is None else before.elapsed
        return msgspec.structs.replace(rare, unseen=now - record.began - seen_alive)
    if rare.demand is None and seen.state is not TaskState.BLOCKED and rare.answered_at > -math.inf:
        return msgspec.structs.replace(rare, wordless=0, answered_at=-math.inf)
    return msgspec.structs.replace(rare, wordless=0) if rare.wordless else rare


def rare_after_error(record: Record[T], error: Exception, now: float) -> RareFacts:
    """Return a task's rare facts after a failed look, which the record does not count yet."""
    return msgspec.structs.replace(
        record.rare,
        failing_since=record.rare.failing_since if record.failures else now,
        not_found=record.rare.not_found + 1 if isinstance(error, NotFound) else 0,
        unclear=(record.rare.unclear if record.failures else 0) + 1 if is_unclear(error) else 0,
    )


def rare_while_asked(record: Record[T], demand: Hashable) -> RareFacts:
    """Return a task's rare facts while its caller answers a demand: it is not asked again."""
    return msgspec.structs.replace(record.rare, demand=demand, answered_at=math.inf)


def rare_after_handler(record: Record[T], *, answered_at: float | None) -> RareFacts:
    """Return a task's rare facts after the handler of a demand has ended; None: without an answer.

    A nameless demand is over with the stay in which it was made, of which a later look may know.
    """
    rare = record.rare
    if rare.answered_at < math.inf:
        return rare
    if answered_at is None:
        return msgspec.structs.replace(rare, demand=None, answered_at=-math.inf)
    return msgspec.structs.replace(rare, answered_at=answered_at)


# --- whether the wait goes on ---


def tolerates(record: Record[T], error: Exception, transient: Transient, now: float) -> bool:
    """Return whether a wait goes on after a failed look: its error says nothing about the task.

    A predicate of the caller's has the last word.
    """
    limits = record.limits
    patient = is_patient(record, limits, now)
    said = verdict_of(error, transient)
    if said is not None:
        return said and patient
    if isinstance(error, NotFound) and not isinstance(error, transient.classes):
        if record.latest is not None:
            # The task was there before: a gateway that has lost the provider is an outage.
            return error.foreign and patient
        maybe_gateway = error.foreign and record.rare.not_found < limits.foreign_not_found
        return maybe_gateway or now - record.began < limits.not_found_seconds
    few = is_unclear(error) and record.rare.unclear <= limits.unclear
    return patient and (few or is_polls_error(error, transient.classes))


def is_patient(record: Record[T], limits: Limits, now: float) -> bool:
    """Return whether the failed looks so far, in a row, are few or recent enough to wait on."""
    failing = now - record.rare.failing_since
    return record.failures <= limits.failed_polls or failing <= limits.max_outage


def is_unclear(error: Exception) -> bool:
    """Return whether a refusal may be not final.

    It is the page of a gateway before the provider, or has an unknown code.
    """
    return isinstance(error, APIError) and not (error.known or is_transient(error))


def verdict_of(error: Exception, transient: Transient) -> bool | None:
    """Return what the caller's predicate says; None where there is none, or where it fails."""
    if transient.predicate is None:
        return None
    try:
        return bool(transient.predicate(error))
    except DECIDES_NOTHING:
        return None


def is_polls_error(error: Exception, declared: tuple[type[Exception], ...]) -> bool:
    """Return whether an exception means that the poll failed, and nothing about its task.

    A recognised HTTP status goes before classes: the class of a library's exception is the same for
    401 and for 503.
    """
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return all(is_polls_error(part, declared) for part in group.exceptions)
    if is_transient(error):
        return True
    has_status = not isinstance(error, APIError) and status_of(error) is not None
    return not has_status and isinstance(error, declared)


def tolerates_word(record: Record[T], word: str | int | None) -> bool:
    """Return whether a wait goes on at an answer whose state is not known."""
    few = word is not None or record.rare.wordless <= record.limits.wordless
    return few and record.limits.unknown == "wait"


def is_new_demand(record: Record[T], seen: Observation[T], now: float) -> bool:
    """Return whether a blocked task makes a demand that the caller has not just answered.

    A provider may show a demand for a moment after its answer: a second answer would be refused, or
    taken for an answer to the next demand. Demands without a name count as one as long as the task
    stays blocked.
    """
    rare = record.rare
    if seen.demand != rare.demand:
        return True
    answered = now - rare.answered_at
    if seen.demand is None:
        return answered == math.inf
    return answered > record.limits.same_demand_seconds


# --- when to look again ---


def rest_after_answer(delay: float, took: float, hint: float | None) -> Sleep:
    """Return the wait from a good answer to the next look.

    The schedule counts from look to look, so the time that the request took comes off; a hint
    counts from the answer that had it.
    """
    # A schedule of the caller's own may yield 0.
    delay = max(_LEAST_DELAY, delay)
    rest = max(delay - took, delay * _LEAST_REST)
    if hint is not None and rest < hint:
        return Sleep(max(rest, min(hint, LONGEST_HINT)), "hint", hint=hint)
    return Sleep(rest, "schedule")


def rest_after_error(error: Exception, backoff: float) -> Sleep:
    """Return the wait after a failed look: the backoff's, or the provider's if it is longer."""
    seconds, hint = delay_after(error, backoff)
    return Sleep(seconds, "error" if hint is None else "refused", hint=hint)


def first_silence(silence: float, timeout: float) -> float:
    """Return the seconds before the first look."""
    if timeout < _LEAST_WITH_SILENCE:
        return 0.0
    return min(silence, timeout - LAST_LOOK_SECONDS)


def fit(sleep: Sleep, *, now: float, deadline: float, asked: float, slowest: float) -> Sleep | None:
    """Fit a wait into the time left: the last look falls on the deadline.

    A hint that reaches past the deadline is cut to end 5 s before it: it is advice, and may be a
    mistake. None says that the wait is over.
    """
    remaining = deadline - now
    if remaining <= 0:
        # A look sent before the deadline and answered after it may have missed the end.
        late = Sleep(min(sleep.seconds, _LATE_REST), "deadline", last=True, hint=sleep.hint)
        return late if asked < deadline else None
    cut = remaining - LAST_LOOK_SECONDS
    if sleep.hint is not None and sleep.hint > remaining and cut >= _LEAST_DELAY:
        sleep = msgspec.structs.replace(sleep, seconds=min(sleep.seconds, cut))
    if sleep.seconds + min(slowest, LAST_LOOK_SECONDS) < remaining:
        return sleep
    return Sleep(remaining, "deadline", last=True, hint=sleep.hint)


class _Late(msgspec.Struct, frozen=True):
    """Rare facts about the end of a wait; they are replaced as a whole."""

    ends: float = math.inf
    stalled: float = 0.0
    refused: float | None = None


# Of a wait without any such fact: a million waits share these.
_NOT_LATE = _Late()


@dataclass(slots=True, eq=False, repr=False)
class TimeLimit:
    """When one wait ends, and when its last look is due, on the loop's clock."""

    began: float
    timeout: float
    final: float | None = None  # when its last look is due; None while there are others to come
    late: _Late = _NOT_LATE

    @property
    def deadline(self) -> float:
        """When it is over."""
        return self.began + self.timeout

    @property
    def ends(self) -> float:
        """When its loop will end it; `inf` before the loop has set that."""
        return self.late.ends

    @ends.setter
    def ends(self, when: float) -> None:
        self.late = msgspec.structs.replace(self.late, ends=when)

    @property
    def stalled(self) -> float:
        """Seconds past the deadline for which the event loop stood still."""
        return self.late.stalled

    @stalled.setter
    def stalled(self, seconds: float) -> None:
        self.late = msgspec.structs.replace(self.late, stalled=seconds)

    @property
    def refused(self) -> float | None:
        """Seconds that the provider last asked for, if past the deadline."""
        return self.late.refused

    @refused.setter
    def refused(self, seconds: float | None) -> None:
        self.late = msgspec.structs.replace(self.late, refused=seconds)

    def is_over(self, sent: float) -> bool:
        """Return whether a look that was sent then was the last one."""
        return self.final is not None and sent >= self.final - SAME_INSTANT

    def due_after(self, sleep: Sleep, record: Record[T], now: float) -> float | None:
        """Return when the next look is due; None when the wait is over."""
        asked, deadline = sleep.hint, self.began + self.timeout
        if asked is not None and asked <= deadline - now:
            asked = None
        if asked != self.late.refused:
            self.refused = asked
        if sleep.why == "left":
            # It used another waiter's client, who has left: it does not count for this wait.
            self.final = None if self.final is None else max(self.final, now)
            return now
        if self.is_over(record.sent):
            return None
        slowest = record.slowest or 0.0
        fitted = fit(sleep, now=now, deadline=deadline, asked=record.sent, slowest=slowest)
        if fitted is None:
            return None
        due = now + fitted.seconds
        if fitted.last:
            due = max(deadline, due)
            if now > deadline and due >= self.limit(record, due):
                return None
            self.final = due
        return due

    def limit(self, record: Record[T], sent: float | None) -> float:
        """Return when the wait ends, also if its last look hangs.

        A wait ends at most 5 s after its deadline when it has had an answer, or when its first
        look, or the one after a standstill, is still in the queue. Any other wait that never had an
        answer ends on its deadline.

        Args:
            record: what is known of the task.
            sent: when the look under way was sent; None when none is.
        """
        end = self.deadline + self.stalled
        longest = end + LAST_LOOK_SECONDS
        if record.slowest is not None:
            return longest
        if record.polls and not self.stalled:
            return end
        if sent is None:
            return longest
        since = max(end, sent) if self.stalled else sent
        return min(longest, max(end, since + _FIRST_LOOK_SECONDS))

    def end_of_look(self, record: Record[T], now: float, due: float) -> float:
        """Set when a look that is sent now, and was due then, ends the wait, and return it."""
        # One that was due by the deadline must have its time.
        self.ends = math.inf if due <= self.deadline else self.limit(record, now)
        self.prolong(record, now, now)
        self.ends = self.limit(record, now)
        return self.ends

    def prolong(self, record: Record[T], sent: float | None, now: float) -> bool:
        """Allow one more look, once, after an event loop that stood still across the end.

        Returns:
            whether there was a standstill.
        """
        if self.ends == math.inf:
            # A call on the deadline that comes so late that no look would have time was delayed
            # itself.
            last_chance = self.deadline + LAST_LOOK_SECONDS - _FIRST_LOOK_SECONDS
            self.ends = min(self.limit(record, sent), last_chance)
        if self.stalled or now - self.ends <= _STALL:
            return False
        self.stalled = now - self.deadline
        return True
