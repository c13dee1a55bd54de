"""Tests of what follows from a look at a task: truth tables, then properties of whole waits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from random import Random
from typing import Literal, NamedTuple, TypeAlias, cast

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncclient import Observation, Schedule, TaskRef, TaskState
from asyncclient._waiting import (
    AskCaller,
    Polling,
    Record,
    Report,
    Sleep,
    evidence,
    gaps_of,
    last_look_grace,
)
from asyncclient._waiting.rules import Limits, fit
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    DecodeError,
    NotFound,
    RateLimited,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    UnknownStatus,
    WaitTimeout,
)
from tests.http.test_repeat import FINAL, TRANSIENT, name_of
from tests.waiting.scenario import Driver

PENDING, RUNNING, BLOCKED, SUCCEEDED, FAILED, CANCELLED, EXPIRED = TaskState

BEGAN = 100.0
REF = TaskRef("coze", "chat", {"chat_id": "7"})

# What follows a look: a sleep, the error that ends the wait, or None for a task that ended well.
Step: TypeAlias = Sleep | Exception | None


class Job:
    """A task that is never looked at: each test says what a look saw.

    Args:
        transient: exceptions that it declares worth repeating.
    """

    key = "7"
    kind = "coze.chat"
    ref = REF

    def __init__(self, transient: tuple[type[Exception], ...] = ()) -> None:
        self.transient = transient

    async def observe(self) -> Observation[str]:
        """Fail the test."""
        raise NotImplementedError


class SetSchedule:
    """A schedule whose next gap is set by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

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
    """

    def __init__(
        self, limits: Limits | None = None, transient: tuple[type[Exception], ...] = ()
    ) -> None:
        self.record: Record[str] = Record(Job(transient), BEGAN)
        self._schedule = SetSchedule()
        self._backoff = 0.0
        self._polling: Polling[Record[str]] = Polling(
            Report("tests"), gaps_of(self._schedule, None), lambda _: self._backoff, limits
        )

    def answered(self, seen: Observation[str], *, sent: float, now: float, delay: float) -> Step:
        """Return what follows an answer, where the schedule proposes that delay."""
        self._schedule.seconds = delay
        self.record.sent = sent
        try:
            return self._polling.answered(self.record, seen, now)
        except AsyncClientError as error:
            return error

    def failed(self, error: Exception, *, sent: float, now: float, backoff: float) -> Step:
        """Return what follows a failed look, where the backoff draws these seconds.

        Less than 0.1 s counts as 0.1 s.
        """
        self._backoff = backoff
        self.record.sent = sent
        try:
            return self._polling.failed(self.record, error, now)
        except Exception as raised:  # noqa: BLE001  (the error of a look may be any)
            return raised

    def demand_answered(self, demand: str | None, now: float) -> None:
        """Note that the caller has answered a demand, as the loop does."""
        tally = self.record.rare
        self.record.rare = msgspec.structs.replace(tally, demand=demand, answered_at=now)

    def out_of_time(
        self, elapsed: float, *, timeout: float, retry_after: float | None = None
    ) -> WaitTimeout:
        """Return the error of a wait that ends by its own timeout."""
        return evidence.out_of_time(self.record, elapsed, timeout=timeout, retry_after=retry_after)


def seen_of(
    state: TaskState | None = RUNNING,
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


def answered(
    wait: Wait,
    seen: Observation[str] | None = None,
    *,
    at: float = 5.0,
    delay: float = 10.0,
    took: float = 2.0,
) -> Step:
    """Let a look be answered some seconds after the wait began."""
    now = BEGAN + at
    return wait.answered(seen or seen_of(), sent=now - took, now=now, delay=delay)


def failed(wait: Wait, error: Exception, *, at: float = 5.0, backoff: float = 1.0) -> Step:
    """Let a look fail some seconds after the wait began."""
    return wait.failed(error, sent=BEGAN + at, now=BEGAN + at, backoff=backoff)


def raised(step: Step, kind: type[AsyncClientError]) -> AsyncClientError:
    """Return the error that ends the wait, which must be of exactly this class."""
    assert type(step) is kind
    assert isinstance(step, AsyncClientError)
    return step


# --- after a good answer ----------------------------------------------------------------------


@pytest.mark.parametrize("state", [PENDING, RUNNING, None])
@pytest.mark.parametrize(
    ("took", "hint", "expected"),
    [
        (2.0, None, Sleep(8.0, "schedule")),
        (0.0, None, Sleep(10.0, "schedule")),
        (9.5, None, Sleep(1.0, "schedule")),
        (60.0, None, Sleep(1.0, "schedule")),
        (2.0, 0.0, Sleep(8.0, "schedule")),
        (2.0, -7.0, Sleep(8.0, "schedule")),
        (2.0, math.nan, Sleep(8.0, "schedule")),
        (2.0, 8.0, Sleep(8.0, "schedule")),
        (2.0, 8.1, Sleep(8.1, "hint", hint=8.1)),
        (2.0, 9.0, Sleep(9.0, "hint", hint=9.0)),
        (60.0, 1.5, Sleep(1.5, "hint", hint=1.5)),
        (2.0, 3600.0, Sleep(3600.0, "hint", hint=3600.0)),
        (2.0, 1e9, Sleep(3600.0, "hint", hint=1e9)),
        (2.0, math.inf, Sleep(8.0, "schedule")),
    ],
    ids=[
        "the look's time comes off",
        "a look that took no time",
        "a slow look leaves a tenth",
        "a look slower than its gap leaves a tenth",
        "hint 0",
        "negative hint",
        "hint that is no number",
        "hint as long as the rest",
        "longer hint",
        "hint counts from the answer",
        "hint after a slow look",
        "hint of an hour",
        "hint of 31 years is cut to an hour",
        "hint without end is none",
    ],
)
def test_a_task_at_work_is_looked_at_again(
    state: TaskState | None, took: float, hint: float | None, expected: Sleep
) -> None:
    """The gap is the longer of schedule and hint, whatever the word means; it is never 0."""
    assert answered(Wait(), seen_of(state, hint=hint), took=took) == expected


def test_a_hint_never_shortens_a_gap() -> None:
    """Where the schedule itself waits for more than an hour, a hint does not cut that down."""
    step = answered(Wait(), seen_of(hint=9000.0), delay=7200.0, took=0.0)
    assert type(step) is Sleep
    assert step.seconds >= 7200


@pytest.mark.parametrize("delay", [0.0, -5.0, float("-inf"), float("nan")])
@pytest.mark.parametrize("took", [0.0, 3.0])
def test_a_gap_is_never_nothing(delay: float, took: float) -> None:
    """Under any schedule of the caller's own, a service gets a rest between two looks."""
    step = answered(Wait(), at=took, delay=delay, took=took)
    assert type(step) is Sleep
    assert 0.001 <= step.seconds < 1


def test_success_ends_the_wait_with_the_last_snapshot() -> None:
    """A task that has succeeded ends the wait, and the record has what its answer said."""
    wait = Wait()
    answered(wait, at=1)
    assert answered(wait, seen_of(SUCCEEDED, "done", progress=1.0, hint=9), at=7) is None
    snapshot = wait.record.snapshot
    assert snapshot is not None
    assert snapshot.state is SUCCEEDED
    assert snapshot.word == "done"
    assert snapshot.result == "answer"
    assert snapshot.raw == b"{}"
    assert snapshot.progress == 1
    assert snapshot.polls == 2
    assert snapshot.elapsed == 7


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (FAILED, TaskFailed, "coze chat 7 failed (status 'ended'): no tea; "),
        (CANCELLED, TaskCancelled, "coze chat 7 was cancelled (status 'ended'): no tea; "),
        (EXPIRED, TaskExpired, "coze chat 7 expired (status 'ended'): no tea; "),
    ],
)
def test_a_bad_end_is_raised_with_its_reason(
    state: TaskState, kind: type[AsyncClientError], words: str
) -> None:
    """Each bad end has its error, which names task, word, reason, polls and where to look."""
    wait = Wait()
    cause = ServerError("once", status=500)
    failed(wait, cause, at=1)
    error = raised(answered(wait, seen_of(state, "ended", reason="no tea", hint=9)), kind)
    assert error.advice == "the provider's answer is in .snapshot.result"
    assert str(error) == f"{words}2 polls in 5.0 s; {error.advice}"
    assert error.snapshot is wait.record.snapshot
    assert error.snapshot is not None
    assert error.snapshot.state is state
    assert (error.polls, error.elapsed, error.last_error) == (2, 5.0, cause)


def test_a_bad_end_without_a_reason_says_none() -> None:
    """Where the provider gives no reason the message has no empty place for one."""
    error = raised(answered(Wait(), seen_of(FAILED, 3)), TaskFailed)
    assert str(error).startswith("coze chat 7 failed (status 3); 1 poll in 5.0 s; ")


# --- a task that waits for its caller ---------------------------------------------------------


def test_a_blocked_task_asks_its_caller() -> None:
    """A demand is put to the caller: there is a gap if it is answered, else an error."""
    wait = Wait()
    step = answered(wait, seen_of(BLOCKED, "interrupted", reason="which tea?", hint=9))
    assert step == AskCaller(9.0, "hint", hint=9.0)
    error = evidence.blocked(wait.record, 5.0)
    assert type(error) is TaskBlocked
    assert "coze chat 7 waits for its caller (status 'interrupted'): which tea?" in str(error)
    assert error.advice == (
        "answer it and wait again, or pass on_blocked=, an async function that answers it"
    )
    assert str(error).endswith(f"which tea?; {error.advice}")
    assert error.snapshot is wait.record.snapshot
    assert (error.polls, error.elapsed) == (1, 5.0)


@pytest.mark.parametrize(
    ("first", "answered_at", "shown", "shown_at", "asked"),
    [
        (None, 0.0, "a", 5.0, True),
        ("a", 5.0, "a", 5.0, False),
        ("a", 5.0, "a", 35.0, False),
        ("a", 5.0, "a", 35.1, True),
        ("a", 5.0, "b", 5.1, True),
        ("a", 5.0, None, 5.1, True),
        (None, 5.0, None, 5.1, True),
    ],
    ids=[
        "nothing was answered",
        "at once",
        "still within its time",
        "after its time",
        "another demand",
        "a demand without a name",
        "demands without names",
    ],
)
def test_a_demand_that_was_met_may_show_for_a_moment(
    first: str | None, answered_at: float, shown: str | None, shown_at: float, *, asked: bool
) -> None:
    """The same demand is not put again for 30 s after its answer; any other is at once."""
    wait = Wait()
    answered(wait, seen_of(BLOCKED, demand=first), at=answered_at)
    wait.demand_answered(first, BEGAN + answered_at)
    step = answered(wait, seen_of(BLOCKED, demand=shown), at=shown_at)
    assert type(step) is (AskCaller if asked else Sleep)
    assert not isinstance(step, AskCaller) or step.demand == shown


# --- unknown words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "unknown", "ends"),
    [
        ("odd", "wait", False),
        (7, "wait", False),
        ("", "wait", False),
        (None, "wait", False),
        ("odd", "raise", True),
        (7, "raise", True),
        (None, "raise", True),
    ],
)
def test_an_unknown_word_is_tolerated_or_raised(
    word: str | int | None, unknown: Literal["wait", "raise"], *, ends: bool
) -> None:
    """An unknown word is no end: the wait goes on, unless it is a strict one."""
    wait = Wait(Limits(unknown=unknown))
    step = answered(wait, seen_of(None, word))
    if not ends:
        assert step == Sleep(8.0, "schedule")
        return
    error = raised(step, UnknownStatus)
    assert "coze chat 7" in str(error)
    if word is None:
        assert "1 answer in a row without a status word; look at" in str(error)
    else:
        assert f"{word!r} is in no vocabulary; add the word" in str(error)
        assert error.advice.startswith("add the word to its vocabulary, or pass unknown=")
    assert error.snapshot is wait.record.snapshot
    assert (error.polls, error.elapsed) == (1, 5.0)


def test_each_unknown_word_is_kept_once() -> None:
    """Unknown words are kept in their order, and reported when the wait runs out of time."""
    wait = Wait()
    for word in ("odd", 7, "odd", "odder"):
        answered(wait, seen_of(None, word))
    assert wait.record.rare.unknown_words == ("odd", 7, "odder")
    error = wait.out_of_time(9, timeout=9)
    assert "words in no vocabulary: 'odd', 7, 'odder'" in str(error)


def test_a_counter_for_a_status_does_not_fill_the_memory() -> None:
    """Of a provider that never says the same word twice, a few words are kept and reported."""
    wait = Wait()
    for number in range(1000):
        step = answered(wait, seen_of(None, f"{number} %"), at=number, delay=1, took=0)
        assert type(step) is Sleep
    assert wait.record.rare.unknown_words == tuple(f"{number} %" for number in range(20))
    assert len(str(wait.out_of_time(1000, timeout=1000))) < 500


def test_too_many_answers_without_a_word_end_the_wait() -> None:
    """Five answers in a row without any word are tolerated, and the sixth is raised."""
    wait = Wait()
    for _ in range(5):
        assert type(answered(wait, seen_of(None, None))) is Sleep
    error = raised(answered(wait, seen_of(None, None)), UnknownStatus)
    assert "6 answers in a row without a status word; look at .snapshot.result" in str(error)
    assert error.advice == "look at .snapshot.result: is it the answer that you expected?"
    assert error.polls == 6


@pytest.mark.parametrize(
    "between",
    [
        seen_of(PENDING),
        seen_of(RUNNING),
        seen_of(BLOCKED, "interrupted", demand="a"),
        seen_of(BLOCKED, None, demand="a"),
        seen_of(None, "odd"),
    ],
    ids=["pending", "running", "blocked", "blocked without a word", "unknown"],
)
def test_an_answer_with_a_word_or_a_state_breaks_the_row(between: Observation[str]) -> None:
    """Only answers without a word that follow each other count."""
    wait = Wait()
    wait.demand_answered("a", BEGAN)
    for _ in range(5):
        answered(wait, seen_of(None, None))
    assert type(answered(wait, between)) is Sleep
    for _ in range(5):
        assert type(answered(wait, seen_of(None, None))) is Sleep


# --- after a failed look ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [*TRANSIENT, TimeoutError(), ConnectionResetError()], ids=name_of)
def test_a_failed_look_is_tolerated(error: Exception) -> None:
    """A failure of a look is no failure of the task: the next one follows after the backoff."""
    wait = Wait()
    assert failed(wait, error) == Sleep(1.0, "error")
    assert wait.record.last_error is error
    assert (wait.record.polls, wait.record.failures) == (1, 1)


@pytest.mark.parametrize(
    "error", [*FINAL, ValueError("bug"), KeyError("bug"), OSError("disk")], ids=name_of
)
def test_an_error_that_asking_again_cannot_mend_ends_the_wait(error: Exception) -> None:
    """It is raised itself, with the evidence and a note that describes the wait."""
    wait = Wait()
    answered(wait, at=2)
    assert failed(wait, error, at=4) is error
    assert error.__notes__[-1] == (
        "while waiting for coze chat 7: 2 polls in 4.0 s, the last 1 failed; "
        "the task itself may go on"
    )
    if isinstance(error, AsyncClientError):
        assert error.snapshot is wait.record.snapshot
        assert (error.polls, error.elapsed) == (2, 4.0)
        assert error.last_error is error


@pytest.mark.parametrize(
    ("error", "transient", "tolerated"),
    [
        (KeyError("x"), (), False),
        (KeyError("x"), (KeyError,), True),
        (KeyError("x"), (LookupError,), True),
        (KeyError("x"), (OSError, ValueError), False),
        (ServerError("x"), (), True),
    ],
    ids=["none", "it", "its parent", "others", "always"],
)
def test_a_task_may_declare_more_errors_transient(
    error: Exception, transient: tuple[type[Exception], ...], *, tolerated: bool
) -> None:
    """What a task declares worth repeating is tolerated like the rest."""
    step = failed(Wait(transient=transient), error, at=0)
    assert step == Sleep(1.0, "error") if tolerated else step is error


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (None, Sleep(1.0, "error")),
        (0.0, Sleep(1.0, "error")),
        (-5.0, Sleep(1.0, "error")),
        (0.9, Sleep(1.0, "error")),
        (1.0, Sleep(1.1, "refused", hint=1.0)),
        (5.0, Sleep(5.5, "refused", hint=5.0)),
        (100.0, Sleep(101.0, "refused", hint=100.0)),
        (1e9, Sleep(3600.0, "refused", hint=1e9)),
        (math.inf, Sleep(1.0, "error")),
        (math.nan, Sleep(1.0, "error")),
    ],
    ids=[
        "none",
        "0",
        "negative",
        "shorter",
        "equal",
        "longer",
        "much longer",
        "31 years",
        "without end",
        "no number",
    ],
)
@pytest.mark.parametrize("kind", [RateLimited, ServerError])
def test_a_refusals_hint_is_obeyed(
    kind: type[APIError], hint: float | None, expected: Sleep
) -> None:
    """The longer of backoff and hint counts; a hint is stretched, so that a crowd parts."""
    error = kind("no", status=503, retry_after=hint)
    assert failed(Wait(), error) == expected


@pytest.mark.parametrize(
    ("failures", "seconds", "ends"),
    [
        (10, 0.0, False),
        (10, 500.0, False),
        (11, 0.0, False),
        (11, 120.0, False),
        (50, 120.0, False),
        (11, 120.1, True),
        (2, 120.1, False),
    ],
    ids=[
        "few at once",
        "few over a long time",
        "many at once",
        "many in just the time",
        "very many in just the time",
        "many over a long time",
        "two over a long time",
    ],
)
def test_a_wait_gives_up_when_both_budgets_are_exceeded(
    failures: int, seconds: float, *, ends: bool
) -> None:
    """Neither a burst of quick failures nor a few slow ones end a wait: only many and long do."""
    wait = Wait()
    for _ in range(failures - 1):
        assert isinstance(failed(wait, ServerError("down"), at=1), Sleep)
    last = ServerError("down at last", status=502)
    step = failed(wait, last, at=1 + seconds)
    assert isinstance(step, ServerError if ends else Sleep)
    if ends:
        assert raised(step, ServerError) is last
        assert last.polls == failures
        assert last.elapsed == 1 + seconds
        assert f"the last {failures} failed" in last.__notes__[-1]


def test_a_good_answer_resets_both_budgets() -> None:
    """After a good answer, failures and their time are counted from 0; the last error is kept."""
    wait = Wait(Limits(failed_polls=1, failing_seconds=10))
    error = ServerError("down")
    failed(wait, error, at=1)
    failed(wait, error, at=11)
    answered(wait, at=12)
    assert wait.record.failures == 0
    assert wait.record.last_error is error
    assert isinstance(failed(wait, error, at=13), Sleep)
    assert isinstance(failed(wait, error, at=23), Sleep)
    assert failed(wait, error, at=23.1) is error


@pytest.mark.parametrize(
    ("known", "at", "tolerated"),
    [
        (False, 0.0, True),
        (False, 9.9, True),
        (False, 10.0, False),
        (False, 60.0, False),
        (True, 1.0, False),
    ],
    ids=["at once", "in the grace", "at its end", "later", "after a good answer"],
)
def test_a_task_that_is_not_found_may_be_too_new(
    at: float, *, known: bool, tolerated: bool
) -> None:
    """For 10 s "no such task" is tolerated if there was no answer yet; later it has expired."""
    wait = Wait()
    if known:
        answered(wait, at=0.5)
    error = NotFound("no such chat", status=404)
    step = failed(wait, error, at=at)
    if tolerated:
        assert step == Sleep(1.0, "error")
        return
    expired = raised(step, TaskExpired)
    assert expired.__cause__ is error
    assert f"coze chat 7 is {'no longer' if known else 'not'} known" in str(expired)
    assert "no such chat" in str(expired)
    assert "only the account and region that started a task know it" in expired.advice
    assert str(expired).endswith(f"; {expired.advice}")
    assert (expired.polls, expired.elapsed, expired.last_error) == (1 + known, at, error)
    assert expired.snapshot is wait.record.snapshot


@pytest.mark.parametrize(("seconds", "ends"), [(120.0, False), (120.1, True)])
def test_a_gateways_not_found_after_an_answer_is_a_failure(seconds: float, *, ends: bool) -> None:
    """It says nothing of a task that was there: it is tolerated as long as any failure is."""
    wait = Wait()
    answered(wait, at=0.5)
    for _ in range(10):
        assert failed(wait, NotFound("no", foreign=True), at=1) == Sleep(1.0, "error")
    step = failed(wait, NotFound("no", foreign=True), at=1 + seconds)
    assert type(step) is (TaskExpired if ends else Sleep)


def test_other_failures_do_not_use_up_the_grace() -> None:
    """The grace counts from the start of the wait, whatever failed before."""
    wait = Wait()
    failed(wait, ServerError("down"), at=1)
    assert isinstance(failed(wait, NotFound("no"), at=9), Sleep)


# --- out of time ------------------------------------------------------------------------------


def test_a_timeout_without_an_answer_says_so() -> None:
    """The error names task and timeout, and says that the task may go on."""
    error = Wait().out_of_time(600, timeout=600)
    assert type(error) is WaitTimeout
    assert error.advice == "It may go on: wait again with the same task"
    assert str(error) == (
        "coze chat 7 has not ended within 600 s (no answer yet, 0 polls in 600.0 s). "
        "It may go on: wait again with the same task"
    )
    assert (error.snapshot, error.polls, error.elapsed) == (None, 0, 600.0)
    assert error.last_error is None
    assert error.retry_after is None


def test_a_timeout_reports_all_that_is_known() -> None:
    """Status, polls, unknown words, last failure and hint are in the message and the error."""
    wait = Wait()
    answered(wait, seen_of(None, "odd"))
    cause = ServerError("coze.chat: HTTP 502")
    failed(wait, cause)
    error = wait.out_of_time(1.5, timeout=0.5, retry_after=90)
    assert str(error) == (
        "coze chat 7 has not ended within 0.5 s (last status 'odd' (unknown), 2 polls in 1.5 s; "
        "words in no vocabulary: 'odd'; last failed poll: ServerError: coze.chat: HTTP 502; "
        "the provider asks to wait 90 s, more than remains). "
        "It may go on: wait again with the same task"
    )
    assert error.snapshot is wait.record.snapshot
    assert (error.polls, error.elapsed, error.last_error) == (2, 1.5, cause)
    assert error.retry_after == 90


def test_what_is_reported_of_another_error_is_not_its_advice() -> None:
    """Within a message stands what happened; of several next steps only the last is given."""
    wait = Wait()
    failed(wait, ServerError("HTTP 502", advice="ask their support"))
    assert "ServerError: HTTP 502). It may go on" in str(wait.out_of_time(9, timeout=9))
    lost = NotFound("HTTP 404", advice="check the id")
    expired = raised(failed(wait, lost, at=60), TaskExpired)
    assert "the provider (HTTP 404); results are kept" in str(expired)


def test_a_timeout_names_the_last_known_state() -> None:
    """The provider's word stands beside what it means."""
    wait = Wait()
    answered(wait, seen_of(RUNNING, 3))
    assert "last status 3 (running)" in str(wait.out_of_time(9, timeout=9))


def test_evidence_is_given_to_errors_of_the_tree_only() -> None:
    """An error that is not ours is returned as it is."""
    ours, theirs = ServerError("no"), KeyError("no")
    wait = Wait()
    answered(wait)
    assert evidence.with_evidence(ours, wait.record, 6.0) is ours
    assert (ours.ref, ours.polls, ours.elapsed) == (REF, 1, 6.0)
    assert evidence.with_evidence(theirs, wait.record, 6.0) is theirs
    assert vars(theirs) == {}


# --- fitting a gap into what remains ----------------------------------------------------------


SOON = Sleep(10.0, "schedule")
ADVISED = Sleep(10.0, "hint", hint=10.0)
REFUSED = Sleep(11.0, "refused", hint=10.0)


@pytest.mark.parametrize(
    ("sleep", "remaining", "asked_before", "slowest", "expected"),
    [
        (SOON, 100.0, 1.0, 0.0, SOON),
        (SOON, math.inf, 1.0, 0.0, SOON),
        (SOON, 10.1, 1.0, 0.0, SOON),
        (SOON, 10.0, 1.0, 0.0, Sleep(10.0, "deadline", last=True)),
        (SOON, 3.0, 1.0, 0.0, Sleep(3.0, "deadline", last=True)),
        (Sleep(1e9, "schedule"), 3.0, 1.0, 0.0, Sleep(3.0, "deadline", last=True)),
        (SOON, 13.0, 1.0, 2.9, SOON),
        (SOON, 13.0, 1.0, 3.0, Sleep(13.0, "deadline", last=True)),
        (SOON, 15.1, 1.0, 60.0, SOON),
        (SOON, 15.0, 1.0, 60.0, Sleep(15.0, "deadline", last=True)),
        (ADVISED, 100.0, 1.0, 0.0, ADVISED),
        (ADVISED, 3.0, 1.0, 0.0, Sleep(3.0, "deadline", last=True, hint=10.0)),
        (REFUSED, 100.0, 1.0, 0.0, REFUSED),
        (REFUSED, 10.5, 1.0, 0.0, Sleep(10.5, "deadline", last=True, hint=10.0)),
        (REFUSED, 10.0, 1.0, 0.0, Sleep(10.0, "deadline", last=True, hint=10.0)),
        (REFUSED, 9.9, 1.0, 0.0, None),
        (Sleep(3600.0, "refused", hint=1e9), 4000.0, 1.0, 0.0, None),
        (SOON, 0.0, 1.0, 0.0, Sleep(0.05, "deadline", last=True)),
        (SOON, -3.0, 4.0, 0.0, Sleep(0.05, "deadline", last=True)),
        (Sleep(0.01, "schedule"), -3.0, 4.0, 0.0, Sleep(0.01, "deadline", last=True)),
        (SOON, 0.0, 0.0, 0.0, None),
        (SOON, -3.0, 3.0, 0.0, None),
        (SOON, -3.0, 1.0, 9.0, None),
    ],
    ids=[
        "time enough",
        "no deadline",
        "just time enough",
        "on the deadline",
        "cut",
        "31 years are cut",
        "a slow look has time",
        "a slow look would be under way at the deadline",
        "a very slow look puts it off by 5 s",
        "and no more",
        "advice with time enough",
        "advice is cut",
        "a refusal with time enough",
        "a refusal's stretch is cut",
        "a refusal up to the deadline",
        "a refusal past the deadline",
        "a refusal of 31 years",
        "answered on the deadline",
        "answered after it",
        "answered after it, short gap",
        "asked on the deadline",
        "asked on it, answered after it",
        "asked after it",
    ],
)
def test_a_gap_is_fitted_into_what_remains(
    sleep: Sleep, remaining: float, asked_before: float, slowest: float, expected: Sleep | None
) -> None:
    """A gap stays as it is, or ends on the deadline; past it there is one more look or none.

    `asked_before` is when the last look was sent, in seconds before now.
    """
    now = 1024.0
    fitted = fit(
        sleep,
        now=now,
        deadline=now + remaining,
        asked=now - asked_before,
        slowest=slowest,
    )
    if expected is None or fitted is None:
        assert fitted == expected
        return
    assert fitted.seconds == pytest.approx(expected.seconds, rel=1e-9)
    assert (fitted.why, fitted.last, fitted.hint) == (expected.why, expected.last, expected.hint)


TIMES = st.floats(0, 1e6)


@given(st.floats(1e-3, 1e6), TIMES, TIMES, TIMES, st.floats(0, 100))
def test_a_fitted_gap_never_exceeds_what_remains(
    gap: float, now: float, remaining: float, since: float, slowest: float
) -> None:
    """Before the deadline there always is a next look; the last one falls on the deadline."""
    deadline = now + remaining
    sleep = Sleep(gap, "schedule")
    fitted = fit(sleep, now=now, deadline=deadline, asked=now - since, slowest=slowest)
    if deadline <= now:
        assert fitted is None or (fitted.last and 0 < fitted.seconds <= 0.05)
        return
    assert fitted is not None
    assert 0 < fitted.seconds <= deadline - now
    if fitted.last:
        assert fitted.seconds == deadline - now
        assert fitted.seconds <= gap + min(slowest, 5.0)
    else:
        assert fitted is sleep
        assert fitted.seconds + min(slowest, 5.0) < deadline - now


@pytest.mark.parametrize(
    ("slowest", "grace"),
    [
        (None, 0.0),
        (0.0, 0.25),
        (0.1, 0.25),
        (0.125, 0.25),
        (0.2, 0.4),
        (1.0, 2.0),
        (2.5, 5.0),
        (2.6, 5.0),
        (600.0, 5.0),
    ],
)
def test_the_last_look_has_time_to_be_answered(slowest: float | None, grace: float) -> None:
    """It gets twice the slowest answer, 0.25 s up to 5 s; nothing if no look has come back."""
    assert last_look_grace(slowest) == grace


# --- any wait at all --------------------------------------------------------------------------

SECONDS = st.floats(0.01, 60)
# Seconds. The backoff never proposes less, at any draw.
LEAST_BACKOFF = 0.1
HINTS = st.one_of(st.none(), st.floats(0.01, 120), st.sampled_from([0.0, -1.0, 1e9, math.inf]))
DEMANDS = st.sampled_from([None, "a", "b"])
ENDS = st.sampled_from([SUCCEEDED, FAILED, CANCELLED, EXPIRED])
# What an answer that is no end may show; an answer without a word most often.
LIVING = st.sampled_from(
    [
        (None, None),
        (None, None),
        (None, "odd"),
        (PENDING, 1),
        (RUNNING, "busy"),
        (BLOCKED, "interrupted"),
        (BLOCKED, None),
    ]
)


def finite(hint: float | None) -> float:
    """Return the seconds of a hint; 0 for one that is none."""
    return hint if hint is not None and math.isfinite(hint) else 0.0


class Failure(NamedTuple):
    """What is known of one failed look."""

    at: float
    error: Exception


class AnyWait(RuleBasedStateMachine):
    """A wait that meets any answers and errors at any times, as a loop would make it."""

    def __init__(self) -> None:
        super().__init__()
        self.over = True
        self.begin("wait", 0, 0.0, 0.0, 0, math.inf)
        self.over = True  # the first wait that counts is begun by a rule

    @precondition(lambda self: self.over)
    @rule(
        unknown=st.sampled_from(["wait", "wait", "raise"]),
        failed_polls=st.integers(0, 4),
        failing_seconds=st.floats(0, 60),
        not_found_seconds=st.floats(0, 30),
        wordless=st.integers(0, 4),
        timeout=st.floats(1, 3600) | st.just(math.inf),
    )
    def begin(
        self,
        unknown: Literal["wait", "raise"],
        failed_polls: int,
        failing_seconds: float,
        not_found_seconds: float,
        wordless: int,
        timeout: float,
    ) -> None:
        """Begin a wait with any settings, when the one before it is over."""
        self.limits = Limits(
            unknown=unknown,
            failed_polls=failed_polls,
            failing_seconds=failing_seconds,
            not_found_seconds=not_found_seconds,
            wordless=wordless,
        )
        self.wait = Wait(self.limits)
        self.deadline = BEGAN + timeout
        self.now = self.asked = BEGAN
        self.slowest = 0.0
        self.polls = self.wordless = 0
        self.over = self.last = self.seen = False
        self.row: list[Failure] = []
        self.latest: Exception | None = None
        self.last_demand: tuple[str | None, float] = (None, -math.inf)

    @precondition(lambda self: not self.over)
    @rule(
        living=LIVING,
        hint=HINTS,
        demand=DEMANDS,
        delay=SECONDS,
        took=st.floats(0, 30),
    )
    def go_on(
        self,
        living: tuple[TaskState | None, str | int | None],
        hint: float | None,
        demand: str | None,
        delay: float,
        took: float,
    ) -> None:
        """Get an answer that is no end: it is never taken for one."""
        state, word = living
        self.ask(took)
        step = self.answer(seen_of(state, word, hint=hint, demand=demand), delay)
        self.wordless = self.wordless + 1 if state is None and word is None else 0
        if isinstance(step, Exception):
            error = self.check(step, UnknownStatus)
            assert state is None
            assert self.limits.unknown == "raise" or self.wordless > self.limits.wordless
            assert "coze chat 7" in str(error)
            self.over = True
            return
        assert step is not None
        if isinstance(step, AskCaller):
            assert state is BLOCKED
            assert step.demand == demand
            self.check(evidence.blocked(self.wait.record, self.now - BEGAN), TaskBlocked)
        elif state is BLOCKED:
            assert demand is not None
            assert self.last_demand[0] == demand
            assert self.now - self.last_demand[1] <= self.limits.same_demand_seconds
        assert step.why in {"schedule", "hint"}
        assert delay * 0.1 <= step.seconds
        assert step.seconds <= max(delay, finite(hint))
        self.rest(step, hint)

    # An end may come at any time; here it comes late, so that most waits grow long.
    @precondition(lambda self: not self.over and self.polls > 4)
    @rule(state=ENDS)
    def end(self, state: TaskState) -> None:
        """Get an answer that is an end: it is taken for the end that it is."""
        self.ask(0.1)
        step = self.answer(seen_of(state, "ended", hint=60.0), 1.0)
        if state is SUCCEEDED:
            assert step is None
        else:
            assert isinstance(step, Exception)
            kind = {FAILED: TaskFailed, CANCELLED: TaskCancelled, EXPIRED: TaskExpired}[state]
            self.check(step, kind)
        self.over = True

    @precondition(lambda self: not self.over)
    @rule(hint=HINTS, number=st.integers(0, 4), backoff=SECONDS, took=st.floats(0, 30))
    def fail(self, hint: float | None, number: int, backoff: float, took: float) -> None:
        """Meet a transient error: it is tolerated until both budgets are exceeded."""
        error = [
            ServerError("down", status=503, retry_after=hint),
            RateLimited("too many", status=429, retry_after=hint),
            RequestTimeout("slow"),
            DecodeError("html"),
            TimeoutError("slow"),
        ][number]
        self.ask(took)
        step = self.meet_error(error, backoff)
        spent = self.spent()
        if isinstance(step, Exception):
            assert spent
            assert step is error
            self.check(step, type(error))
            self.over = True
            return
        assert not spent
        assert type(step) is Sleep
        obeyed = error.retry_after if isinstance(error, APIError) else None
        least = max(backoff, LEAST_BACKOFF)
        assert step.seconds >= least
        assert step.seconds <= max(least, finite(obeyed) * 1.1)
        self.rest(step, obeyed)

    @precondition(lambda self: not self.over)
    @rule(backoff=SECONDS, foreign=st.booleans())
    def miss(self, backoff: float, foreign: bool) -> None:  # noqa: FBT001  (a draw)
        """Hear of no such task: that is tolerated only early, before the first good answer.

        When it is a gateway that says so, it is later tolerated as any other failure.
        """
        error = NotFound("no such chat", status=404, foreign=foreign)
        self.ask(0.1)
        step = self.meet_error(error, backoff)
        if self.seen:
            tolerated = foreign and not self.spent()
        else:
            missed = 0
            while missed < len(self.row) and isinstance(self.row[-1 - missed].error, NotFound):
                missed += 1
            early = self.now - BEGAN < self.limits.not_found_seconds
            tolerated = early or (foreign and missed < 3)
        if isinstance(step, Exception):
            assert not tolerated
            assert self.check(step, TaskExpired).__cause__ is error
            self.over = True
            return
        assert tolerated
        assert type(step) is Sleep
        self.rest(step, None)

    @precondition(lambda self: not self.over and self.polls > 4)
    @rule(number=st.integers(0, len(FINAL) - 1))
    def be_refused(self, number: int) -> None:
        """Meet an error that is clear: it ends the wait at once."""
        error = copy(FINAL[number])
        self.ask(0.1)
        step = self.meet_error(error, 1.0)
        assert step is error
        self.check(error, type(error))
        self.over = True

    @precondition(lambda self: not self.over and self.seen)
    @rule(demand=DEMANDS)
    def meet_demand(self, demand: str | None) -> None:
        """Let the caller meet a demand."""
        self.wait.demand_answered(demand, self.now)
        self.last_demand = (demand, self.now)

    @invariant()
    def everything_is_counted(self) -> None:
        """Polls and failures are counted, and the snapshot is that of the last good answer."""
        record = self.wait.record
        assert record.polls == self.polls
        assert record.failures == len(self.row)
        assert (record.snapshot is not None) == self.seen
        assert record.last_error is self.latest
        assert (record.slowest or 0.0) == self.slowest
        assert record.snapshot is None or record.snapshot.polls <= self.polls

    def ask(self, took: float) -> None:
        """Send a look whose outcome comes so much later."""
        self.asked = self.now
        self.now += took
        self.polls += 1

    def answer(self, seen: Observation[str], delay: float) -> Step:
        """Let the look be answered."""
        step = self.wait.answered(seen, sent=self.asked, now=self.now, delay=delay)
        self.slowest = max(self.slowest, self.now - self.asked)
        self.seen = True
        self.row = []
        snapshot = self.wait.record.snapshot
        assert snapshot is not None
        assert (snapshot.state, snapshot.word) == (seen.state, seen.word)
        assert (snapshot.polls, snapshot.elapsed) == (self.polls, self.now - BEGAN)
        return step

    def meet_error(self, error: Exception, backoff: float) -> Step:
        """Let the look fail."""
        self.row.append(Failure(self.now, error))
        self.latest = error
        if not isinstance(error, TimeoutError):  # it says nothing of how long answers take
            self.slowest = max(self.slowest, self.now - self.asked)
        return self.wait.failed(error, sent=self.asked, now=self.now, backoff=backoff)

    def spent(self) -> bool:
        """Return whether both budgets of failures in a row are exceeded."""
        failing = self.now - self.row[0].at
        return len(self.row) > self.limits.failed_polls and failing > self.limits.failing_seconds

    def rest(self, sleep: Sleep, hint: float | None) -> None:
        """Wait as long as the rules say, or run out of time."""
        least = min(finite(hint), 3600.0)
        assert sleep.seconds > 0
        assert not sleep.last
        assert sleep.seconds >= least
        assert sleep.hint is None or sleep.hint == hint
        remaining = self.deadline - self.now
        fitted = fit(
            sleep,
            now=self.now,
            deadline=self.deadline,
            asked=self.asked,
            slowest=self.slowest,
        )
        if fitted is None or self.last:
            refused = sleep.why == "refused" and finite(hint) > remaining
            assert remaining <= 0 or self.last or refused
            elapsed = self.now - BEGAN
            error = self.wait.out_of_time(elapsed, timeout=60.0, retry_after=sleep.hint)
            self.check(error, WaitTimeout)
            assert error.retry_after == sleep.hint
            self.over = True
            return
        assert fitted.seconds > 0
        if remaining > 0:
            assert fitted.seconds <= remaining
            assert fitted.seconds >= min(least, remaining)
            assert fitted.last == (fitted.seconds == remaining)
        else:
            assert fitted.last
        self.last = fitted.last
        self.now += fitted.seconds

    def check(self, error: Exception, kind: type[Exception]) -> Exception:
        """Check that an error is of its class and, if it is ours, carries all the evidence."""
        assert type(error) is kind
        if isinstance(error, AsyncClientError):
            assert error.ref is REF
            assert error.polls == self.polls
            assert error.elapsed == pytest.approx(self.now - BEGAN)
            assert error.snapshot is self.wait.record.snapshot
            assert error.last_error is self.latest
        return error


AnyWait.TestCase.settings = settings(stateful_step_count=30)
# A failure takes its time: the run that led to it is cut down to its shortest form.
TestAnyWait = pytest.mark.timeout(120)(AnyWait.TestCase)


# --- what a task of the caller's own may get wrong --------------------------------------------


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("done", "observe\\(\\) returned str, not an Observation"),
        (None, "observe\\(\\) returned NoneType, not an Observation"),
        (Observation(cast("TaskState", "running"), "w", 1), "saw the state 'running', which is no"),
    ],
    ids=["a word", "nothing", "a state that is a text"],
)
async def test_what_is_no_observation_is_named(driver: Driver, seen: object, words: str) -> None:
    """A task of the caller's own that answers wrongly gets an error with its name."""

    class Wrong:
        key = "7"
        kind = "wrong"

        async def observe(self) -> Observation[int]:
            await anyio.lowlevel.checkpoint()
            return cast("Observation[int]", seen)

    with pytest.raises(TypeError, match=f"wrong '7': .*{words}"):
        await driver(Wrong())


@pytest.mark.parametrize("number", [10**400, math.inf, math.nan, "12", None])
async def test_numbers_that_cannot_be_are_none(driver: Driver, number: object) -> None:
    """A progress, a hint or a duration that is no finite number counts as not given."""
    value = cast("float", number)
    seen = iter(
        [
            Observation(RUNNING, "r", 1, progress=value, hint=value),
            Observation(SUCCEEDED, "d", 2, progress=value, took=value, reason="not on success"),
        ]
    )

    class Strange:
        key = "7"
        kind = "strange"

        async def observe(self) -> Observation[int]:
            await anyio.lowlevel.checkpoint()
            return next(seen)

    assert await driver(Strange(), schedule=Schedule(first=1, factor=1, cap=1, jitter=0)) == 2
    assert anyio.current_time() == 1
