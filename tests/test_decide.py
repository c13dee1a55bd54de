"""Tests of the rules of waiting and repeating: truth tables, then properties of whole waits."""

from __future__ import annotations

import math
from copy import copy
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncclient._decide import (
    Ask,
    Course,
    Facts,
    Raise,
    Return,
    Rules,
    Sleep,
    Step,
    after_request,
    fit,
    last_poll_grace,
)
from asyncclient._state import TaskState
from asyncclient._task import TaskRef
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TransportError,
    UnknownStatus,
    WaitTimeout,
)

PENDING, RUNNING, BLOCKED, SUCCEEDED, FAILED, CANCELLED, EXPIRED = TaskState

BEGAN = 100.0
REF = TaskRef("coze", "chat", {"chat_id": "7"})


def course_of(rules: Rules | None = None) -> Course[str]:
    """Begin a wait."""
    return Course("coze chat 7", rules or Rules(), BEGAN, REF)


def facts_of(
    state: TaskState | None = RUNNING,
    word: str | int | None = "busy",
    *,
    hint: float | None = None,
    block: str | None = None,
    reason: str | None = None,
    progress: float | None = None,
) -> Facts[str]:
    """Say what an answer said."""
    return Facts(
        state, word, "answer", raw=b"{}", reason=reason, progress=progress, block=block, hint=hint
    )


def answered(
    course: Course[str],
    facts: Facts[str] | None = None,
    *,
    at: float = 5.0,
    delay: float = 10.0,
    took: float = 2.0,
) -> Step[str]:
    """Let a poll be answered so many seconds after the wait began."""
    return course.after_answer(facts or facts_of(), delay=delay, took=took, now=BEGAN + at)


def failed(
    course: Course[str], error: Exception, *, at: float = 5.0, delay: float = 1.0
) -> Sleep | Raise:
    """Let a poll fail so many seconds after the wait began."""
    return course.after_error(error, delay=delay, now=BEGAN + at)


def raised(step: object, kind: type[AsyncClientError]) -> AsyncClientError:
    """Return the error that a step raises, which must be of exactly this class."""
    assert isinstance(step, Raise)
    assert type(step.error) is kind
    assert isinstance(step.error, AsyncClientError)
    return step.error


# --- repeating a request ----------------------------------------------------------------------

TRANSIENT: list[Exception] = [
    TransportError("broken off"),
    ConnectFailed("refused"),
    RequestTimeout("slow"),
    RateLimited("too many", status=429),
    ServerError("down", status=502),
    DecodeError("html"),
]
FINAL: list[Exception] = [
    TransportError("certificate", permanent=True),
    ConnectFailed("certificate", permanent=True),
    APIError("no"),
    AuthenticationFailed("no"),
    PermissionDenied("no"),
    InvalidRequest("no"),
    QuotaExceeded("no"),
]


def name_of(value: object) -> str:
    """Return the id of a table's row."""
    permanent = " permanent" if getattr(value, "permanent", False) else ""
    return f"{type(value).__name__}{permanent}"


@pytest.mark.parametrize("error", TRANSIENT, ids=name_of)
def test_a_transient_failure_is_repeated(error: AsyncClientError) -> None:
    """What may be repeated freely is, after the backoff's delay."""
    step = after_request(error, idempotent=True, repeats_left=1, delay=1.5, seconds_left=30)
    assert step == Sleep(1.5, "error")


@pytest.mark.parametrize("error", [*FINAL, NotFound("no"), UnknownStatus("no")], ids=name_of)
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not idempotent"])
def test_a_clear_no_is_not_repeated(error: AsyncClientError, *, idempotent: bool) -> None:
    """An error that asking again cannot mend is raised at once, itself."""
    step = after_request(error, idempotent=idempotent, repeats_left=9, delay=1, seconds_left=99)
    assert isinstance(step, Raise)
    assert step.error is error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectFailed("refused"), True),
        (RateLimited("too many", status=429), True),
        (ConnectFailed("lost", sent=True), False),
        (TransportError("lost"), False),
        (TransportError("lost", sent=False), False),
        (RequestTimeout("slow"), False),
        (ServerError("down", status=503), False),
        (ServerError("down", status=503, retry_after=1), False),
        (DecodeError("html"), False),
    ],
    ids=[
        "no connection",
        "refused for too many",
        "connection lost",
        "broken off",
        "broken off before it was sent",
        "timeout",
        "server error",
        "server error with a hint",
        "no JSON",
    ],
)
def test_a_start_is_repeated_only_when_nothing_started(
    error: AsyncClientError, *, again: bool
) -> None:
    """What may not be sent twice is repeated only when the provider certainly did not act."""
    step = after_request(error, idempotent=False, repeats_left=9, delay=1, seconds_left=99)
    assert isinstance(step, Sleep if again else Raise)


@pytest.mark.parametrize(
    ("hint", "repeats_left", "delay", "seconds_left", "expected"),
    [
        (None, 1, 1.0, 30.0, Sleep(1.0, "error")),
        (None, 0, 1.0, 30.0, None),
        (None, -1, 1.0, 30.0, None),
        (None, 1, 1.0, 1.0, Sleep(1.0, "error")),
        (None, 1, 1.0, 0.99, None),
        (None, 1, 1.0, -5.0, None),
        (0.0, 1, 1.0, 30.0, Sleep(1.0, "error")),
        (0.99, 1, 1.0, 30.0, Sleep(1.0, "error")),
        (1.0, 1, 1.0, 30.0, Sleep(1.1, "refused", hint=1.0)),
        (5.0, 1, 1.0, 30.0, Sleep(5.5, "refused", hint=5.0)),
        (20.0, 1, 1.0, 30.0, Sleep(21.0, "refused", hint=20.0)),
        (20.0, 1, 1.0, 21.0, Sleep(21.0, "refused", hint=20.0)),
        (20.0, 1, 1.0, 20.9, None),
        (1e9, 1, 1.0, 30.0, None),
        (1e9, 1, 1.0, 4000.0, None),
        (math.inf, 1, 1.0, 30.0, Sleep(1.0, "error")),
        (-3.0, 1, 1.0, 30.0, Sleep(1.0, "error")),
        (math.nan, 1, 1.0, 30.0, Sleep(1.0, "error")),
    ],
    ids=[
        "no hint",
        "no repeat left",
        "less than none left",
        "just in time",
        "too late",
        "long too late",
        "hint 0",
        "shorter hint",
        "hint as long as the delay",
        "hint, stretched by a tenth",
        "hint, stretched by the delay",
        "hint, just in time",
        "hint, too late with its stretch",
        "hint of 31 years",
        "hint of 31 years is not cut to the longest",
        "hint without end is none",
        "negative hint",
        "hint that is no number",
    ],
)
def test_a_repeat_waits_for_delay_and_hint(
    hint: float | None,
    repeats_left: int,
    delay: float,
    seconds_left: float,
    expected: Sleep | None,
) -> None:
    """A repeat waits for the longer of both, if it is within the budget; else it is given up."""
    error = RateLimited("too many", status=429, retry_after=hint)
    step = after_request(
        error,
        idempotent=True,
        repeats_left=repeats_left,
        delay=delay,
        seconds_left=seconds_left,
    )
    assert step == expected if expected else isinstance(step, Raise) and step.error is error


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
        "the poll's time comes off",
        "a poll that took no time",
        "a slow poll leaves a tenth",
        "a poll slower than its gap leaves a tenth",
        "hint 0",
        "negative hint",
        "hint that is no number",
        "hint as long as the rest",
        "longer hint",
        "hint counts from the answer",
        "hint after a slow poll",
        "hint of an hour",
        "hint of 31 years is cut to an hour",
        "hint without end is none",
    ],
)
def test_a_task_at_work_is_asked_again(
    state: TaskState | None, took: float, hint: float | None, expected: Sleep
) -> None:
    """The gap is the longer of schedule and hint, whatever the word means; it is never 0."""
    assert answered(course_of(), facts_of(state, hint=hint), took=took) == expected


def test_a_hint_never_shortens_a_gap() -> None:
    """Where the schedule itself waits for more than an hour, a hint does not cut that down."""
    step = answered(course_of(), facts_of(hint=9000.0), delay=7200.0, took=0.0)
    assert isinstance(step, Sleep)
    assert step.seconds >= 7200


def test_success_returns_the_last_snapshot() -> None:
    """A task that has succeeded ends the wait with what its answer said."""
    course = course_of()
    answered(course, at=1)
    facts = facts_of(SUCCEEDED, "done", progress=1.0, hint=9)
    step = answered(course, facts, at=7)
    assert isinstance(step, Return)
    assert step.snapshot is course.snapshot
    assert step.snapshot.state is SUCCEEDED
    assert step.snapshot.word == "done"
    assert step.snapshot.result == "answer"
    assert step.snapshot.raw == b"{}"
    assert step.snapshot.progress == 1
    assert step.snapshot.polls == 2
    assert step.snapshot.elapsed == 7


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
    course = course_of()
    cause = ServerError("once", status=500)
    failed(course, cause, at=1)
    error = raised(answered(course, facts_of(state, "ended", reason="no tea", hint=9)), kind)
    assert error.advice == "the provider's answer is in .snapshot.result"
    assert str(error) == f"{words}2 polls in 5.0 s; {error.advice}"
    assert error.snapshot is course.snapshot
    assert error.snapshot is not None
    assert error.snapshot.state is state
    assert (error.polls, error.elapsed, error.last_error) == (2, 5.0, cause)


def test_a_bad_end_without_a_reason_says_none() -> None:
    """Where the provider gives no reason the message has no empty place for one."""
    error = raised(answered(course_of(), facts_of(FAILED, 3)), TaskFailed)
    assert str(error).startswith("coze chat 7 failed (status 3); 1 poll in 5.0 s; ")


# --- a task that waits for its caller ---------------------------------------------------------


def test_a_blocked_task_asks_its_caller() -> None:
    """A demand is put to the caller, with the error if nobody meets it and the gap if one does."""
    course = course_of()
    step = answered(course, facts_of(BLOCKED, "interrupted", reason="which tea?", hint=9))
    assert isinstance(step, Ask)
    assert step.then == Sleep(9.0, "hint", hint=9.0)
    assert type(step.error) is TaskBlocked
    assert "coze chat 7 waits for its caller (status 'interrupted'): which tea?" in str(step.error)
    assert step.error.advice == (
        "answer it and wait again, or pass on_blocked=, an async function that answers it"
    )
    assert str(step.error).endswith(f"which tea?; {step.error.advice}")
    assert step.error.snapshot is course.snapshot
    assert (step.error.polls, step.error.elapsed) == (1, 5.0)


@pytest.mark.parametrize(
    ("met", "met_at", "shown", "shown_at", "asked"),
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
        "nothing was met",
        "at once",
        "still within its time",
        "after its time",
        "another demand",
        "a demand that is not told",
        "demands that are never told",
    ],
)
def test_a_demand_that_was_met_may_show_for_a_moment(
    met: str | None, met_at: float, shown: str | None, shown_at: float, *, asked: bool
) -> None:
    """The same demand is not put again for 30 s after it was met; any other is at once."""
    course = course_of()
    answered(course, facts_of(BLOCKED, block=met), at=met_at)
    course.met(met, BEGAN + met_at)
    step = answered(course, facts_of(BLOCKED, block=shown), at=shown_at)
    assert isinstance(step, Ask if asked else Sleep)


# --- words that nobody knows ------------------------------------------------------------------


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
def test_an_unknown_word_is_borne_or_raised(
    word: str | int | None, unknown: Literal["wait", "raise"], *, ends: bool
) -> None:
    """An unknown word is no end: the wait goes on, unless it was told to be strict."""
    course = course_of(Rules(unknown=unknown))
    step = answered(course, facts_of(None, word))
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
    assert error.snapshot is course.snapshot
    assert (error.polls, error.elapsed) == (1, 5.0)


def test_each_unknown_word_is_kept_once() -> None:
    """Unknown words are kept in their order, and told when the wait runs out of time."""
    course = course_of()
    for word in ("odd", 7, "odd", "odder"):
        answered(course, facts_of(None, word))
    assert course.unknown_words == ("odd", 7, "odder")
    assert "words in no vocabulary: 'odd', 7, 'odder'" in str(
        course.out_of_time(BEGAN + 9, timeout=9)
    )


def test_too_many_answers_without_a_word_end_the_wait() -> None:
    """Five answers in a row without any word are borne, and the sixth is raised."""
    course = course_of()
    for _ in range(5):
        assert isinstance(answered(course, facts_of(None, None)), Sleep)
    error = raised(answered(course, facts_of(None, None)), UnknownStatus)
    assert "6 answers in a row without a status word; look at .snapshot.result" in str(error)
    assert error.advice == "look at .snapshot.result: is it the answer that you expected?"
    assert error.polls == 6


@pytest.mark.parametrize(
    "between",
    [
        facts_of(PENDING),
        facts_of(RUNNING),
        facts_of(BLOCKED, "interrupted", block="a"),
        facts_of(BLOCKED, None, block="a"),
        facts_of(None, "odd"),
    ],
    ids=["pending", "running", "blocked", "blocked without a word", "unknown"],
)
def test_an_answer_with_a_word_or_a_state_breaks_the_row(between: Facts[str]) -> None:
    """Only answers without a word that follow each other count."""
    course = course_of()
    course.met("a", BEGAN)
    for _ in range(5):
        answered(course, facts_of(None, None))
    assert isinstance(answered(course, between), Sleep)
    for _ in range(5):
        assert isinstance(answered(course, facts_of(None, None)), Sleep)


# --- after a failed poll ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [*TRANSIENT, TimeoutError(), ConnectionResetError()], ids=name_of)
def test_a_failed_poll_is_borne(error: Exception) -> None:
    """A failure of a poll is no failure of the task: it is asked again after the backoff."""
    course = course_of()
    assert failed(course, error) == Sleep(1.0, "error")
    assert course.last_error is error
    assert (course.polls, course.failures) == (1, 1)


@pytest.mark.parametrize(
    "error", [*FINAL, ValueError("bug"), KeyError("bug"), OSError("disk")], ids=name_of
)
def test_an_error_that_asking_again_cannot_mend_ends_the_wait(error: Exception) -> None:
    """It is raised itself, with the evidence and a note that tells of the wait."""
    course = course_of()
    answered(course, at=2)
    step = failed(course, error, at=4)
    assert isinstance(step, Raise)
    assert step.error is error
    assert error.__notes__[-1] == (
        "while waiting for coze chat 7: 2 polls in 4.0 s, the last 1 failed; "
        "the task itself may go on"
    )
    if isinstance(error, AsyncClientError):
        assert error.snapshot is course.snapshot
        assert (error.polls, error.elapsed) == (2, 4.0)
        assert error.last_error is error


@pytest.mark.parametrize(
    ("error", "transient", "borne"),
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
    error: Exception, transient: tuple[type[Exception], ...], *, borne: bool
) -> None:
    """What a task declares worth repeating is borne like the rest."""
    step = course_of().after_error(error, delay=1, now=BEGAN, transient=transient)
    assert isinstance(step, Sleep if borne else Raise)


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
    assert failed(course_of(), error) == expected


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
    course = course_of()
    for _ in range(failures - 1):
        assert isinstance(failed(course, ServerError("down"), at=1), Sleep)
    last = ServerError("down at last", status=502)
    step = failed(course, last, at=1 + seconds)
    assert isinstance(step, Raise if ends else Sleep)
    if ends:
        assert raised(step, ServerError) is last
        assert last.polls == failures
        assert last.elapsed == 1 + seconds
        assert f"the last {failures} failed" in last.__notes__[-1]


def test_a_good_answer_resets_both_budgets() -> None:
    """After a good answer, failures and their time are counted anew; the last error is kept."""
    course = course_of(Rules(failed_polls=1, failing_seconds=10))
    error = ServerError("down")
    failed(course, error, at=1)
    failed(course, error, at=11)
    answered(course, at=12)
    assert course.failures == 0
    assert course.last_error is error
    assert isinstance(failed(course, error, at=13), Sleep)
    assert isinstance(failed(course, error, at=23), Sleep)
    assert isinstance(failed(course, error, at=23.1), Raise)


@pytest.mark.parametrize(
    ("known", "at", "borne"),
    [
        (False, 0.0, True),
        (False, 9.9, True),
        (False, 10.0, False),
        (False, 60.0, False),
        (True, 1.0, False),
    ],
    ids=["at once", "in the grace", "at its end", "later", "after a good answer"],
)
def test_a_task_that_is_not_found_may_be_too_new(at: float, *, known: bool, borne: bool) -> None:
    """For 10 s "no such task" is borne if there was no answer yet; later it has expired."""
    course = course_of()
    if known:
        answered(course, at=0.5)
    error = NotFound("no such chat", status=404)
    step = failed(course, error, at=at)
    if borne:
        assert step == Sleep(1.0, "error")
        return
    expired = raised(step, TaskExpired)
    assert expired.__cause__ is error
    assert f"coze chat 7 is {'no longer' if known else 'not'} known" in str(expired)
    assert "no such chat" in str(expired)
    assert "only the account and region that started a task know it" in expired.advice
    assert str(expired).endswith(f"; {expired.advice}")
    assert (expired.polls, expired.elapsed, expired.last_error) == (1 + known, at, error)
    assert expired.snapshot is course.snapshot


def test_other_failures_do_not_use_up_the_grace() -> None:
    """The grace counts from the start of the wait, whatever failed before."""
    course = course_of()
    failed(course, ServerError("down"), at=1)
    assert isinstance(failed(course, NotFound("no"), at=9), Sleep)


# --- out of time ------------------------------------------------------------------------------


def test_a_timeout_without_an_answer_says_so() -> None:
    """The error names task and timeout, and says that the task may go on."""
    error = course_of().out_of_time(BEGAN + 600, timeout=600)
    assert type(error) is WaitTimeout
    assert error.advice == "It may go on: wait again with the same task"
    assert str(error) == (
        "coze chat 7 has not ended within 600 s (no answer yet, 0 polls in 600.0 s). "
        "It may go on: wait again with the same task"
    )
    assert (error.snapshot, error.polls, error.elapsed) == (None, 0, 600.0)
    assert error.last_error is None
    assert error.retry_after is None


def test_a_timeout_tells_all_that_the_wait_knows() -> None:
    """Status, polls, unknown words, last failure and hint are in the message and the error."""
    course = course_of()
    answered(course, facts_of(None, "odd"))
    cause = ServerError("coze.chat: HTTP 502")
    failed(course, cause)
    error = course.out_of_time(BEGAN + 1.5, timeout=0.5, retry_after=90)
    assert str(error) == (
        "coze chat 7 has not ended within 0.5 s (last status 'odd' (unknown), 2 polls in 1.5 s; "
        "words in no vocabulary: 'odd'; last failed poll: ServerError: coze.chat: HTTP 502; "
        "the provider asks to wait 90 s, more than remains). "
        "It may go on: wait again with the same task"
    )
    assert error.snapshot is course.snapshot
    assert (error.polls, error.elapsed, error.last_error) == (2, 1.5, cause)
    assert error.retry_after == 90


def test_what_is_told_of_another_error_is_not_its_advice() -> None:
    """Within a message stands what happened; of several next steps only the last is told."""
    course = course_of()
    failed(course, ServerError("HTTP 502", advice="ask their support"))
    assert "ServerError: HTTP 502). It may go on" in str(course.out_of_time(BEGAN + 9, timeout=9))
    lost = NotFound("HTTP 404", advice="check the id")
    expired = raised(failed(course, lost, at=60), TaskExpired)
    assert "the provider (HTTP 404); results are kept" in str(expired)


def test_a_timeout_names_the_last_known_state() -> None:
    """The provider's word stands beside what it means."""
    course = course_of()
    answered(course, facts_of(RUNNING, 3))
    assert "last status 3 (running)" in str(course.out_of_time(BEGAN + 9, timeout=9))


def test_evidence_is_given_to_errors_of_the_tree_only() -> None:
    """An error that is not ours is returned as it is."""
    ours, theirs = ServerError("no"), KeyError("no")
    course = course_of()
    answered(course)
    assert course.with_evidence(ours, BEGAN + 6) is ours
    assert (ours.ref, ours.polls, ours.elapsed) == (REF, 1, 6.0)
    assert course.with_evidence(theirs, BEGAN + 6) is theirs
    assert vars(theirs) == {}


# --- fitting a gap into what remains ----------------------------------------------------------


SOON = Sleep(10.0, "schedule")
TOLD = Sleep(10.0, "hint", hint=10.0)
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
        (TOLD, 100.0, 1.0, 0.0, TOLD),
        (TOLD, 3.0, 1.0, 0.0, Sleep(3.0, "deadline", last=True, hint=10.0)),
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
        "a slow poll has time",
        "a slow poll would be under way at the deadline",
        "a very slow poll puts it off by 5 s",
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
    """A gap stays as it is, or ends on the deadline; past it there is one more poll or none.

    `asked_before` is when the last poll was sent, in seconds before now.
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
    """Before the deadline there always is a next poll; the last one falls on the deadline."""
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
def test_the_last_poll_has_time_to_be_answered(slowest: float | None, grace: float) -> None:
    """It gets twice the slowest answer, 0.25 s up to 5 s; nothing if no poll has ended."""
    assert last_poll_grace(slowest) == grace


# --- any wait at all --------------------------------------------------------------------------

SECONDS = st.floats(0.01, 60)
HINTS = st.one_of(st.none(), st.floats(0.01, 120), st.sampled_from([0.0, -1.0, 1e9, math.inf]))
BLOCKS = st.sampled_from([None, "a", "b"])
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


class Poll(NamedTuple):
    """What is known of one failed poll."""

    at: float
    error: Exception


class AnyWait(RuleBasedStateMachine):
    """A wait that meets any answers and errors at any times, as a loop would drive it."""

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
        wordless_polls=st.integers(0, 4),
        timeout=st.floats(1, 3600) | st.just(math.inf),
    )
    def begin(
        self,
        unknown: Literal["wait", "raise"],
        failed_polls: int,
        failing_seconds: float,
        not_found_seconds: float,
        wordless_polls: int,
        timeout: float,
    ) -> None:
        """Begin a wait with any settings, when the one before it is over."""
        self.bounds = Rules(
            unknown=unknown,
            failed_polls=failed_polls,
            failing_seconds=failing_seconds,
            not_found_seconds=not_found_seconds,
            wordless_polls=wordless_polls,
        )
        self.course = course_of(self.bounds)
        self.deadline = BEGAN + timeout
        self.now = self.asked = BEGAN
        self.slowest = 0.0
        self.polls = self.wordless = 0
        self.over = self.last = self.seen = False
        self.row: list[Poll] = []
        self.latest: Exception | None = None
        self.met: tuple[str | None, float] = (None, -math.inf)

    @precondition(lambda self: not self.over)
    @rule(
        living=LIVING,
        hint=HINTS,
        block=BLOCKS,
        delay=SECONDS,
        took=st.floats(0, 30),
    )
    def go_on(
        self,
        living: tuple[TaskState | None, str | int | None],
        hint: float | None,
        block: str | None,
        delay: float,
        took: float,
    ) -> None:
        """Get an answer that is no end: it is never taken for one."""
        state, word = living
        self.ask(took)
        facts = facts_of(state, word, hint=hint, block=block)
        step = self.answer(facts, delay, took)
        self.wordless = self.wordless + 1 if state is None and word is None else 0
        if isinstance(step, Raise):
            error = self.check(step.error, UnknownStatus)
            assert state is None
            assert self.bounds.unknown == "raise" or self.wordless > self.bounds.wordless_polls
            assert "coze chat 7" in str(error)
            self.over = True
            return
        assert not isinstance(step, Return)
        if isinstance(step, Ask):
            assert state is BLOCKED
            self.check(step.error, TaskBlocked)
            step = step.then
        elif state is BLOCKED:
            assert block is not None
            assert self.met[0] == block
            assert self.now - self.met[1] <= self.bounds.same_block_seconds
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
        step = self.answer(facts_of(state, "ended", hint=60.0), 1.0, 0.1)
        if state is SUCCEEDED:
            assert isinstance(step, Return)
            assert step.snapshot.state is SUCCEEDED
        else:
            assert isinstance(step, Raise)
            kind = {FAILED: TaskFailed, CANCELLED: TaskCancelled, EXPIRED: TaskExpired}[state]
            self.check(step.error, kind)
        self.over = True

    @precondition(lambda self: not self.over)
    @rule(hint=HINTS, number=st.integers(0, 4), delay=SECONDS, took=st.floats(0, 30))
    def fail(self, hint: float | None, number: int, delay: float, took: float) -> None:
        """Meet a transient error: it is borne until both budgets are exceeded, and no further."""
        error = [
            ServerError("down", status=503, retry_after=hint),
            RateLimited("too many", status=429, retry_after=hint),
            RequestTimeout("slow"),
            DecodeError("html"),
            TimeoutError("slow"),
        ][number]
        self.ask(took)
        step = self.meet_error(error, delay)
        spent = self.spent()
        if isinstance(step, Raise):
            assert spent
            assert step.error is error
            self.check(step.error, type(error))
            self.over = True
            return
        assert not spent
        obeyed = error.retry_after if isinstance(error, APIError) else None
        assert step.seconds >= delay
        assert step.seconds <= max(delay, finite(obeyed) * 1.1)
        self.rest(step, obeyed)

    @precondition(lambda self: not self.over)
    @rule(delay=SECONDS, foreign=st.booleans())
    def miss(self, delay: float, foreign: bool) -> None:  # noqa: FBT001  (a draw)
        """Hear of no such task: that is borne only early, and before the first good answer.

        What a gateway says so is later borne as any other failure.
        """
        error = NotFound("no such chat", status=404, foreign=foreign)
        self.ask(0.1)
        step = self.meet_error(error, delay)
        if self.seen:
            borne = foreign and not self.spent()
        else:
            missed = 0
            while missed < len(self.row) and isinstance(self.row[-1 - missed].error, NotFound):
                missed += 1
            borne = self.now - BEGAN < self.bounds.not_found_seconds or (foreign and missed < 3)
        if isinstance(step, Raise):
            assert not borne
            assert self.check(step.error, TaskExpired).__cause__ is error
            self.over = True
            return
        assert borne
        self.rest(step, None)

    @precondition(lambda self: not self.over and self.polls > 4)
    @rule(number=st.integers(0, len(FINAL) - 1))
    def be_refused(self, number: int) -> None:
        """Meet an error that is clear: it ends the wait at once."""
        error = copy(FINAL[number])
        self.ask(0.1)
        step = self.meet_error(error, 1.0)
        assert isinstance(step, Raise)
        assert step.error is error
        self.check(step.error, type(error))
        self.over = True

    @precondition(lambda self: not self.over and self.seen)
    @rule(block=BLOCKS)
    def meet_demand(self, block: str | None) -> None:
        """Let the caller meet a demand."""
        self.course.met(block, self.now)
        self.met = (block, self.now)

    @invariant()
    def everything_is_counted(self) -> None:
        """Polls and failures are counted, and the snapshot is that of the last good answer."""
        assert self.course.polls == self.polls
        assert self.course.failures == len(self.row)
        assert (self.course.snapshot is not None) == self.seen
        assert self.course.last_error is self.latest
        snapshot = self.course.snapshot
        assert snapshot is None or snapshot.polls <= self.polls

    def ask(self, took: float) -> None:
        """Send a poll whose outcome comes so much later."""
        self.asked = self.now
        self.now += took
        self.polls += 1

    def answer(self, facts: Facts[str], delay: float, took: float) -> Step[str]:
        """Hand an answer to the rules."""
        step = self.course.after_answer(facts, delay=delay, took=took, now=self.now)
        self.slowest = max(self.slowest, took)
        self.seen = True
        self.row = []
        snapshot = self.course.snapshot
        assert snapshot is not None
        assert (snapshot.state, snapshot.word) == (facts.state, facts.word)
        assert (snapshot.polls, snapshot.elapsed) == (self.polls, self.now - BEGAN)
        return step

    def meet_error(self, error: Exception, delay: float) -> Sleep | Raise:
        """Hand a failure to the rules."""
        self.row.append(Poll(self.now, error))
        self.latest = error
        return self.course.after_error(error, delay=delay, now=self.now)

    def spent(self) -> bool:
        """Say whether both budgets of failures in a row are exceeded."""
        failing = self.now - self.row[0].at
        return len(self.row) > self.bounds.failed_polls and failing > self.bounds.failing_seconds

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
            error = self.course.out_of_time(self.now, timeout=60.0, retry_after=sleep.hint)
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
        """Look whether an error is of its class and, if it is ours, carries all the evidence."""
        assert type(error) is kind
        if isinstance(error, AsyncClientError):
            assert error.ref is REF
            assert error.polls == self.polls
            assert error.elapsed == pytest.approx(self.now - BEGAN)
            assert error.snapshot is self.course.snapshot
            assert error.last_error is self.latest
        return error


AnyWait.TestCase.settings = settings(stateful_step_count=30)
# A failure takes its time: the run that led to it is cut down to its shortest form.
TestAnyWait = pytest.mark.timeout(120)(AnyWait.TestCase)
