"""Tests of the errors of a wait: what was seen, the name of the task, and the next step."""

from __future__ import annotations

import pytest

from asyncclient import TaskState
from asyncclient._waiting import Limits, evidence
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    NotFound,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskFailed,
    UnknownStatus,
    WaitTimeout,
)
from tests.waiting import looks
from tests.waiting.looks import Wait, raised, seen_of
from tests.waiting.scenario import (
    EVERY_SECOND,
    FAULT,
    REF,
    Driver,
    Entry,
    Job,
    Report,
    outcome_of,
)


def check_evidence(error: AsyncClientError, wait: Wait, polls: int, elapsed: float) -> None:
    """Check what an error has of its task, beside its text."""
    assert error.ref is looks.REF
    assert error.snapshot is wait.record.snapshot
    assert (error.polls, error.elapsed) == (polls, elapsed)
    assert error.last_error is wait.record.last_error


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (TaskState.FAILED, TaskFailed, "failed"),
        (TaskState.CANCELLED, TaskCancelled, "was cancelled"),
        (TaskState.EXPIRED, TaskExpired, "expired"),
    ],
)
@pytest.mark.parametrize(("reason", "because"), [("no tea", ": no tea"), (None, "")])
def test_a_bad_end_is_raised_with_its_reason(
    state: TaskState, kind: type[TaskError], words: str, reason: str | None, because: str
) -> None:
    """Each bad end has its error, which names task, word, reason, polls and where to look."""
    wait = Wait()
    wait.failed(looks.DOWN, at=1)
    error = raised(wait.answered(seen_of(state, "ended", reason=reason, hint=9)), kind)
    assert error.advice == "the provider's answer is in .snapshot.result"
    assert str(error) == (
        f"coze chat 7 {words} (status 'ended'){because}; 2 polls in 5.0 s; {error.advice}"
    )
    check_evidence(error, wait, 2, 5.0)


def test_a_demand_that_is_not_answered_is_shown() -> None:
    """The error of a blocked task has the provider's reason, and says how to go on."""
    wait = Wait()
    wait.answered(seen_of(TaskState.BLOCKED, 3, reason="which tea?"))
    error = evidence.blocked(wait.record, 5.0)
    assert type(error) is TaskBlocked
    assert str(error) == (
        "coze chat 7 waits for its caller (status 3): which tea?; "
        "answer it and wait again, or pass on_blocked=, an async function that answers it"
    )
    check_evidence(error, wait, 1, 5.0)


_TO_THE_STRICT = 'is in no vocabulary; add the word to its vocabulary, or pass unknown="wait"'
_WORDLESS = "in a row without a status word; look at .snapshot.result: is it the answer that you"


@pytest.mark.parametrize(
    ("limits", "word", "says"),
    [
        (
            Limits(unknown="raise"),
            "strange",
            f"the status 'strange' {_TO_THE_STRICT} to keep waiting",
        ),
        (Limits(unknown="raise"), 7, f"the status 7 {_TO_THE_STRICT} to keep waiting"),
        (Limits(wordless=0), None, f"1 answer {_WORDLESS} expected?"),
        (Limits(), None, f"6 answers {_WORDLESS} expected?"),
    ],
)
def test_a_word_that_is_unknown_or_missing_is_named(
    limits: Limits, word: str | int | None, says: str
) -> None:
    """The error has the word, or how many answers came without one, and says what to do."""
    wait = Wait(limits)
    polls = 1 if word else limits.wordless + 1
    steps = [wait.answered(seen_of(None, word)) for _ in range(polls)]
    error = raised(steps[-1], UnknownStatus)
    assert str(error) == f"coze chat 7: {says}"
    check_evidence(error, wait, polls, 5.0)


@pytest.mark.parametrize("kind", [ServerError, KeyError])
def test_the_error_of_a_look_that_ends_the_wait_has_a_note(kind: type[Exception]) -> None:
    """It is the error itself; only one of ours has the evidence."""
    error = kind("HTTP 502")
    wait = Wait(Limits(failed_polls=1, max_outage=0))
    wait.answered(at=2)
    wait.failed(looks.DOWN, at=3)
    assert wait.failed(error, at=4) is error
    note = "while waiting for coze chat 7: 3 polls in 4.0 s, the last 2 failed; "
    assert error.__notes__ == [note + "the task may still be running"]
    if isinstance(error, AsyncClientError):
        check_evidence(error, wait, 3, 4.0)
        assert error.last_error is error
    else:
        assert vars(error) == {"__notes__": error.__notes__}


@pytest.mark.parametrize(("known", "words"), [(False, "is not"), (True, "is no longer")])
def test_a_forgotten_task_names_both_reasons(words: str, *, known: bool) -> None:
    """The error has the provider's words without their advice, and says what to check."""
    wait = Wait()
    if known:
        wait.answered(at=0.5)
    lost = NotFound("no such chat", status=404, advice="check the id")
    expired = raised(wait.failed(lost, at=60), TaskExpired)
    assert expired.__cause__ is lost
    assert str(expired) == (
        f"coze chat 7 {words} known to the provider (no such chat); check that its account "
        "and region are those of this client; providers keep results for a limited time"
    )
    check_evidence(expired, wait, 1 + known, 60.0)


def test_a_timeout_without_an_answer_says_so() -> None:
    """The error names task and timeout; once there was one, the word stands beside its meaning."""
    wait = Wait()
    error = wait.out_of_time(600, timeout=600)
    assert str(error) == (
        "coze chat 7 has not ended within 600 s (no answer yet, 0 polls in 600.0 s). "
        "It may still be running: wait again with the same task"
    )
    check_evidence(error, wait, 0, 600.0)
    assert (error.last_error, error.retry_after) == (None, None)
    wait.answered(seen_of(TaskState.RUNNING, 3))
    assert "last status 3 (running)" in str(wait.out_of_time())


def test_a_timeout_reports_all_that_is_known() -> None:
    """Status, polls, unknown words, last failure and hint are in the message and the error."""
    wait = Wait()
    for word in ("strange", 7, "strange"):
        wait.answered(seen_of(None, word))
    cause = ServerError("coze.chat: HTTP 502", advice="ask their support")
    wait.failed(cause)
    error = wait.out_of_time(1.5, timeout=0.5, retry_after=90)
    assert str(error) == (
        "coze chat 7 has not ended within 0.5 s (last status 'strange' (unknown), 4 polls in "
        "1.5 s; words in no vocabulary: 'strange', 7; last failed poll: ServerError: "
        "coze.chat: HTTP 502; the provider asks to wait 90 s, longer than the time left). "
        "It may still be running: wait again with the same task"
    )
    check_evidence(error, wait, 4, 1.5)
    assert (error.last_error, error.retry_after) == (cause, 90)


# How a wait can end badly: the answers after "running" and a fault, the error, words of advice.
ENDS: dict[str, tuple[Entry, type[AsyncClientError], str]] = {
    "failed": ("broken", TaskFailed, ".snapshot.result"),
    "forgotten": (NotFound("404", status=404), TaskExpired, "account and region"),
    "blocked": ("asks", TaskBlocked, "pass on_blocked="),
    "no word": (None, UnknownStatus, ".snapshot.result"),
    "timeout": ("running", WaitTimeout, "wait again with the same task"),
    "authentication": (
        AuthenticationFailed("401", status=401),
        AuthenticationFailed,
        "may still be running",
    ),
    "outage": (ServerError("503", status=503), ServerError, "may still be running"),
}


@pytest.mark.parametrize(("last", "kind", "advice"), ENDS.values(), ids=ENDS)
async def test_every_error_carries_the_evidence(
    driver: Driver, last: Entry, kind: type[AsyncClientError], advice: str
) -> None:
    """Task, last answer, polls, seconds and last fault are in it, and it says what to do."""
    job = Job("running", FAULT, last)
    outcome = await outcome_of(driver(job, timeout=200, schedule=EVERY_SECOND))
    error = outcome.evidence
    is_poll = isinstance(last, Exception)
    assert type(error) is kind
    assert (error.ref, error.polls, error.elapsed) == (REF, len(job.polls), outcome.elapsed)
    assert error.last_error is (last if is_poll else FAULT)
    assert error.snapshot is not None
    assert isinstance(error.snapshot.result, Report)
    assert error.snapshot.word == ("running" if is_poll else last)
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    assert "fake job 7" in text
    assert advice in text


@pytest.mark.parametrize(("latency", "polls"), [([100], 1), ([0, 100], 2)], ids=["first", "later"])
async def test_a_poll_that_hangs_at_the_deadline_is_counted(
    driver: Driver, latency: list[float], polls: int
) -> None:
    """The request that was cut off is the last failed poll, after the last answer if any."""
    outcome = await outcome_of(driver(Job("running", latency=latency), timeout=30))
    error = outcome.evidence
    assert isinstance(error, WaitTimeout)
    assert (error.polls, error.elapsed) == (polls, outcome.elapsed)
    assert (error.snapshot is not None) == (polls > 1)
    assert isinstance(error.last_error, RequestTimeout)
    assert "a poll was still unanswered at the deadline" in str(error)
