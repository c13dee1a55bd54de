"""What next? From facts to `Sleep`, `Return`, `Raise` or `Ask`. No clock, no I/O.

Two drivers obey these rules: the loop that repeats a request (`after_request`) and the loop that
waits for a task (`Course`). Every number here is a setting with its reason beside it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from asyncclient._state import Snapshot, TaskState
from asyncclient._task import TaskRef
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    ConnectFailed,
    DecodeError,
    NotFound,
    RateLimited,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TransportError,
    UnknownStatus,
    WaitTimeout,
    counted,
)

__all__ = [
    "Ask",
    "Course",
    "Facts",
    "Raise",
    "Return",
    "Rules",
    "Sleep",
    "Step",
    "after_request",
    "fit",
    "last_poll_grace",
]

T = TypeVar("T")

# So many unknown words are kept: a provider may put a counter into its status.
_UNKNOWN_WORDS = 20
# A gap of any schedule is at least this long, in seconds.
_LEAST_DELAY = 0.01
# However long a request took, the next one waits at least this share of its gap.
_LEAST_REST = 0.1
# However long a provider asks to wait, it is asked again after this many seconds: a hint may be a
# mistake (milliseconds, or a Unix time), and one request an hour does no harm.
_LONGEST_HINT = 3600.0
# What a poll that is under way at the deadline may still take, in seconds: see `last_poll_grace`.
_LEAST_GRACE = 0.25
_LONGEST_GRACE = 5.0
# The rest, in seconds, before the last poll when the one before it outlasted the deadline.
_LATE_REST = 0.05


class Sleep(msgspec.Struct, frozen=True):
    """Wait, then ask again.

    Attributes:
        seconds: how long; more than 0.
        why: what decided it: `schedule`; `hint`, advice in a good answer; `refused`, the hint of a
            provider that will not answer before; `error`; `deadline`.
        last: true when the poll after it falls on the deadline.
        hint: seconds that the provider asked for, as it gave them; None when it did not decide.
    """

    seconds: float
    why: str
    last: bool = False
    hint: float | None = None


class Return(msgspec.Struct, Generic[T], frozen=True):
    """Over, and well."""

    snapshot: Snapshot[T]


class Raise(msgspec.Struct, frozen=True):
    """Over, and not well: the error, complete with its evidence."""

    error: Exception


class Ask(msgspec.Struct, frozen=True):
    """Only the caller can move it on.

    Attributes:
        error: what to raise if there is no one to ask.
        then: the wait after the caller has met the demand.
        block: what identifies the demand, for `Course.met`.
    """

    error: TaskBlocked
    then: Sleep
    block: Hashable = None


Step: TypeAlias = Sleep | Return[T] | Raise | Ask


# --- repeating a request --------------------------------------------------------------------


def after_request(
    error: AsyncClientError,
    *,
    idempotent: bool,
    repeats_left: int,
    delay: float,
    seconds_left: float,
) -> Sleep | Raise:
    """Decide whether a failed request is sent again.

    Args:
        error: how it failed.
        idempotent: true when it may be repeated freely; otherwise it is only when the provider
            certainly did not act: no connection was made, or it refused for too many requests.
        repeats_left: how often it may still be repeated.
        delay: seconds that the backoff proposes.
        seconds_left: what remains of the budget of time; a longer hint is not waited for.
    """
    harmless = idempotent or (isinstance(error, ConnectFailed) and not error.sent)
    harmless = harmless or isinstance(error, RateLimited)
    sleep = _after_failure(error, delay)
    in_time = max(sleep.seconds, sleep.hint or 0.0) <= seconds_left
    if repeats_left > 0 and harmless and _is_transient(error) and in_time:
        return sleep
    return Raise(error)


def _after_failure(error: Exception, delay: float) -> Sleep:
    """Return the wait after a failed request: the backoff's, or the provider's if it is longer.

    The provider's is stretched by up to a tenth, so that a crowd that was refused together does
    not come back together.
    """
    hint = error.retry_after if isinstance(error, APIError) else None
    if hint is None or not delay <= hint < math.inf:
        return Sleep(delay, "error")
    return Sleep(min(hint + min(delay, hint * 0.1), _LONGEST_HINT), "refused", hint=hint)


def _is_transient(error: Exception) -> bool:
    """Return whether asking again may help."""
    if isinstance(error, TransportError):
        return not error.permanent
    # The built-in errors are what a caller's own fetch function raises.
    return isinstance(
        error, RateLimited | ServerError | DecodeError | TimeoutError | ConnectionError
    )


# --- waiting for a task ---------------------------------------------------------------------


class Rules(msgspec.Struct, frozen=True):
    """The settings of a wait.

    Attributes:
        unknown: `wait` keeps on at an unknown word, `raise` raises `UnknownStatus`.
        failed_polls: consecutive failed polls that are borne …
        failing_seconds: … and the seconds for which they are borne; a wait gives up when both
            are exceeded, so that neither a burst of quick failures nor a few slow ones end it.
        not_found_seconds: "no such task" is borne for so long after the task began (or the wait,
            where that is not known), if there was no good answer yet: several providers are
            read-after-write inconsistent for 1 to 3 s. After a good answer, only a "not found" that
            is not in the provider's own form is borne, as any failure is.
        foreign_not_found: before a good answer, so many of those in a row count as the provider's.
        wordless_polls: answers without any status word that are borne in a row.
        same_block_seconds: how long a task may still show the demand that `on_blocked` has dealt
            with, before it counts as not dealt with.
    """

    unknown: Literal["wait", "raise"] = "wait"
    failed_polls: int = 10
    failing_seconds: float = 120.0
    not_found_seconds: float = 10.0
    foreign_not_found: int = 3
    wordless_polls: int = 5
    same_block_seconds: float = 30.0


class Facts(msgspec.Struct, Generic[T], frozen=True):
    """What one good answer said, as far as the rules care.

    Attributes:
        state: our state; None when the word is not known.
        word: the provider's word; None when there was none.
        result: the typed answer.
        raw: the answer as it came.
        reason: the provider's words for a failure.
        progress: how far it has come.
        block: what identifies a demand on the caller; None when the task does not tell.
        hint: seconds that the provider asks to wait.
        took: seconds that an ended task took by the provider's own clock, if it tells.
    """

    state: TaskState | None
    word: str | int | None
    result: T
    raw: bytes | None = None
    reason: str | None = None
    progress: float | None = None
    block: Hashable = None
    hint: float | None = None
    took: float | None = None


class _Rare:
    """What seldom happens in a wait, kept apart: a million pending ones need no room for it."""

    __slots__ = (
        "at_work_since",
        "failing_since",
        "mark",
        "met",
        "met_at",
        "missed",
        "unknown_words",
        "unseen",
        "wordless",
    )

    def __init__(self) -> None:
        self.at_work_since: float | None = None
        self.failing_since = 0.0
        self.mark: object = None
        self.met: Hashable = None
        self.met_at = -math.inf
        self.missed = 0
        self.unknown_words: tuple[str | int, ...] = ()
        self.unseen: float | None = None
        self.wordless = 0


# Of a wait to which nothing of the kind has happened; never written to.
_NOTHING = _Rare()


class Course(Generic[T]):
    """One task's wait so far, and the rules for what comes next; knows no clock.

    Args:
        subject: the task; its text is for messages.
        rules: the settings.
        began: when the wait began, in seconds of the caller's clock.
        ref: the task's portable reference, for the errors.
        age: seconds for which the task had existed when the wait began, as far as is known.
    """

    __slots__ = (
        "_rare",
        "age",
        "began",
        "failures",
        "last_error",
        "polls",
        "ref",
        "rules",
        "snapshot",
        "subject",
    )

    def __init__(
        self,
        subject: object,
        rules: Rules,
        began: float,
        ref: TaskRef | None = None,
        age: float = 0.0,
    ) -> None:
        self.ref = ref
        self.age = age
        self.subject = subject
        self.rules = rules
        self.began = began
        self.polls = 0
        self.failures = 0
        self.snapshot: Snapshot[T] | None = None
        self.last_error: Exception | None = None
        self._rare = _NOTHING

    @property
    def unknown_words(self) -> tuple[str | int, ...]:
        """The status words so far that are in no vocabulary."""
        return self._rare.unknown_words

    @property
    def unseen(self) -> float | None:
        """For how long the end may have gone unseen, in seconds; None while it has not ended.

        That is since the last answer before it, or since the task began.
        """
        return self._rare.unseen

    @property
    def at_work_since(self) -> float | None:
        """Seconds from the start of the wait to when the task left its queue, if it was seen to."""
        return self._rare.at_work_since

    @at_work_since.setter
    def at_work_since(self, elapsed: float) -> None:
        self._own().at_work_since = elapsed

    @property
    def mark(self) -> object:
        """What a listener remembers this wait by."""
        return self._rare.mark

    @mark.setter
    def mark(self, mark: object) -> None:
        self._own().mark = mark

    def _own(self) -> _Rare:
        if self._rare is _NOTHING:
            self._rare = _Rare()
        return self._rare

    def after_answer(
        self, facts: Facts[T], *, delay: float, took: float, now: float
    ) -> Sleep | Return[T] | Raise | Ask:
        """Decide what follows a good answer.

        Args:
            facts: what it said.
            delay: seconds that the schedule proposes from the start of this poll to the next.
            took: seconds that this poll took.
            now: the caller's clock.
        """
        self.polls += 1
        self.failures = 0
        before = self.snapshot
        snapshot = self.snapshot = Snapshot(
            state=facts.state,
            word=facts.word,
            result=facts.result,
            polls=self.polls,
            elapsed=now - self.began,
            progress=facts.progress,
            reason=facts.reason,
            raw=facts.raw,
        )
        if facts.state is not None and facts.state.is_terminal:
            seen_unfinished = -self.age if before is None else before.elapsed
            self._own().unseen = snapshot.elapsed - seen_unfinished
        if facts.state is TaskState.SUCCEEDED:
            return Return(snapshot)
        if facts.state is not None and facts.state.is_terminal:
            return Raise(self._ended(facts.state, facts))
        sleep = _gap(delay, took, facts.hint)
        if facts.state is None:
            return self._unknown(facts.word, sleep, now)
        if self._rare.wordless:
            self._rare.wordless = 0
        if facts.state is TaskState.BLOCKED:
            return self._blocked(facts, sleep, now)
        return sleep

    def after_error(
        self,
        error: Exception,
        *,
        delay: float,
        now: float,
        transient: tuple[type[Exception], ...] = (),
    ) -> Sleep | Raise:
        """Decide what follows a failed poll. An error of a poll is not an error of the task.

        Args:
            error: how the poll failed.
            delay: seconds that the backoff proposes.
            now: the caller's clock.
            transient: further exceptions that the task declares worth repeating.
        """
        self.polls += 1
        self.last_error = error
        if not self.failures:
            self._own().failing_since = now
        self.failures += 1
        missed = self._rare.missed + 1 if isinstance(error, NotFound) else 0
        self._own().missed = missed
        sleep = _after_failure(error, delay)
        failing = now - self._rare.failing_since
        patient = self.failures <= self.rules.failed_polls or failing <= self.rules.failing_seconds
        if isinstance(error, NotFound):
            if self.snapshot is None:
                age = self.age + now - self.began
                stray = error.foreign and missed < self.rules.foreign_not_found
                borne = stray or age < self.rules.not_found_seconds
            else:
                # It was there: a gateway that has lost its way to the provider is an outage.
                borne = error.foreign and patient
            if not borne:
                return Raise(self._forgotten(error, now))
            _forget_frames(error)
            return sleep
        if patient and (_is_transient(error) or isinstance(error, transient)):
            _forget_frames(error)
            return sleep
        error.add_note(
            f"while waiting for {self.subject}: {self._polls_in(now - self.began)}, "
            f"the last {self.failures} failed; the task itself may go on"
        )
        return Raise(self.with_evidence(error, now))

    def met(self, block: Hashable, now: float) -> None:
        """Note that the caller has met a demand: it is not asked for the same one again soon.

        Args:
            block: what identifies the demand (`Facts.block`).
            now: the caller's clock, after it was met.
        """
        rare = self._own()
        rare.met, rare.met_at = block, now

    def out_of_time(
        self, now: float, *, timeout: float, retry_after: float | None = None
    ) -> WaitTimeout:
        """Make the error for a wait that ends by its own timeout.

        Args:
            now: the caller's clock.
            timeout: the wait's timeout in seconds.
            retry_after: the provider's hint in seconds, where it exceeded what remained.
        """
        said = "no answer yet"
        if self.snapshot is not None:
            said = f"last status {self.snapshot.word!r} ({self.snapshot.state or 'unknown'})"
        parts = [f"{said}, {self._polls_in(now - self.began)}"]
        if self.unknown_words:
            words = ", ".join(repr(word) for word in self.unknown_words)
            parts.append(f"words in no vocabulary: {words}")
        if self.last_error is not None:
            name = type(self.last_error).__name__
            parts.append(f"last failed poll: {name}: {_without_advice(self.last_error)}")
        if retry_after is not None:
            parts.append(f"the provider asks to wait {_plain(retry_after)} s, more than remains")
        error = WaitTimeout(
            f"{self.subject} has not ended within {_plain(timeout)} s ({'; '.join(parts)})",
            retry_after=retry_after,
            advice="It may go on: wait again with the same task",
        )
        return self.with_evidence(error, now)

    def with_evidence(self, error: E, now: float) -> E:
        """Give an error what this wait knows, and return it."""
        if isinstance(error, AsyncClientError):
            error.ref = self.ref
            error.snapshot = self.snapshot
            error.polls = self.polls
            error.elapsed = now - self.began
            error.last_error = self.last_error
        return error

    def _ended(self, state: TaskState, facts: Facts[T]) -> AsyncClientError:
        reason = f": {facts.reason}" if facts.reason else ""
        kind = {TaskState.CANCELLED: TaskCancelled, TaskState.EXPIRED: TaskExpired}.get(
            state, TaskFailed
        )
        elapsed = self.snapshot.elapsed if self.snapshot else 0.0
        message = (
            f"{self.subject} {'was ' if state is TaskState.CANCELLED else ''}{state} "
            f"(status {facts.word!r}){reason}; {self._polls_in(elapsed)}"
        )
        error = kind(message, advice="the provider's answer is in .snapshot.result")
        return self.with_evidence(error, self.began + elapsed)

    def _forgotten(self, error: NotFound, now: float) -> TaskExpired:
        known = "no longer" if self.snapshot is not None else "not"
        expired = TaskExpired(
            f"{self.subject} is {known} known to the provider ({_without_advice(error)})",
            advice="results are kept for a limited time, and only the account and region that "
            "started a task know it",
        )
        expired.__cause__ = error
        return self.with_evidence(expired, now)

    def _blocked(self, facts: Facts[T], sleep: Sleep, now: float) -> Sleep | Ask:
        error = self.with_evidence(
            TaskBlocked(
                f"{self.subject} waits for its caller (status {facts.word!r})"
                f"{f': {facts.reason}' if facts.reason else ''}",
                advice="answer it and wait again, or pass on_blocked=, an async function that "
                "answers it",
            ),
            now,
        )
        # A provider may go on showing a demand for a moment after it was met: answering it a
        # second time would be refused, or answer the next one.
        same = facts.block is not None and facts.block == self._rare.met
        stale = same and now - self._rare.met_at <= self.rules.same_block_seconds
        return sleep if stale else Ask(error, sleep, facts.block)

    def _unknown(self, word: str | int | None, sleep: Sleep, now: float) -> Sleep | Raise:
        rare = self._own()
        if word is None:
            rare.wordless += 1
            if rare.wordless <= self.rules.wordless_polls and self.rules.unknown == "wait":
                return sleep
            row = f"{counted(rare.wordless, 'answer')} in a row"
            strange = UnknownStatus(
                f"{self.subject}: {row} without a status word",
                advice="look at .snapshot.result: is it the answer that you expected?",
            )
            return Raise(self.with_evidence(strange, now))
        rare.wordless = 0
        if word not in rare.unknown_words and len(rare.unknown_words) < _UNKNOWN_WORDS:
            rare.unknown_words += (word,)
        if self.rules.unknown == "wait":
            return sleep
        unknown = UnknownStatus(
            f"{self.subject}: the status {word!r} is in no vocabulary",
            advice='add the word to its vocabulary, or pass unknown="wait" to wait on',
        )
        return Raise(self.with_evidence(unknown, now))

    def _polls_in(self, seconds: float) -> str:
        return f"{counted(self.polls, 'poll')} in {seconds:.1f} s"


E = TypeVar("E", bound=Exception)


def _without_advice(error: Exception) -> str:
    """Return what an error says, for the middle of another one's message."""
    return error.text if isinstance(error, AsyncClientError) else str(error)


def _forget_frames(error: BaseException) -> None:
    """Free what an error's frames hold, since it is kept for as long as its task is waited for.

    Among it is the answer that failed, which may be as long as `max_body`, once for each task.
    """
    link: BaseException | None = error
    while link is not None and link.__traceback__ is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


def _plain(seconds: float) -> str:
    """Write seconds as a reader would, without exponents or needless digits."""
    return str(int(seconds)) if seconds == seconds // 1 < math.inf else f"{seconds:.3g}"


def _gap(delay: float, took: float, hint: float | None) -> Sleep:
    """Return the wait from now to the next poll.

    The schedule counts from poll to poll, so the time that the request took comes off; a hint
    counts from the answer that bore it.
    """
    # A schedule of the caller's own may yield 0, less, or no number at all.
    delay = max(_LEAST_DELAY, delay)
    rest = max(delay - took, delay * _LEAST_REST)
    if hint is not None and rest < hint < math.inf:
        return Sleep(max(rest, min(hint, _LONGEST_HINT)), "hint", hint=hint)
    return Sleep(rest, "schedule")


def fit(
    sleep: Sleep, *, now: float, deadline: float, asked: float, slowest: float = 0.0
) -> Sleep | None:
    """Fit a wait into what remains: the last poll falls on the deadline.

    Args:
        sleep: what the rules propose.
        now: the caller's clock.
        deadline: when the wait must end, on the same clock.
        asked: when the last poll was sent, on the same clock.
        slowest: seconds that the slowest answer took; a poll that would still be under way at the
            deadline is put off to the deadline (by 5 s at most), where it sees more.

    Returns:
        the wait to make; None when there is nothing left to wait for, or when the provider refuses
        to answer before the deadline. (Advice in a good answer is cut down to the deadline; a
        refusal is not: such a wait cannot end well, and so it ends at once.)
    """
    remaining = deadline - now
    if remaining <= 0:
        # A poll sent before the deadline and answered after it may have missed the end.
        late = Sleep(min(sleep.seconds, _LATE_REST), "deadline", last=True, hint=sleep.hint)
        return late if asked < deadline else None
    if sleep.why == "refused" and sleep.hint is not None and sleep.hint > remaining:
        return None
    if sleep.seconds + min(slowest, _LONGEST_GRACE) < remaining:
        return sleep
    return Sleep(remaining, "deadline", last=True, hint=sleep.hint)


def last_poll_grace(slowest_answer: float | None) -> float:
    """Return how long a poll that is under way at the deadline may still take, in seconds.

    A poll that is sent on the deadline needs time to be answered, or a task that finished in time
    would be reported late. It gets twice what the slowest answer of this wait took, a quarter of a
    second at least and 5 s at most; nothing when no poll has come to an end yet, so that a request
    that hangs from the first never stretches the timeout.

    Args:
        slowest_answer: seconds; 0 when all polls broke off, None when none has ended.
    """
    if slowest_answer is None:
        return 0.0
    return min(_LONGEST_GRACE, max(_LEAST_GRACE, 2 * slowest_answer))
