"""Tests of the errors of a wait: each tells what was seen, and names the task and the next step."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import cast

import anyio
import pytest

from asyncclient import (
    Observation,
    Schedule,
    Snapshot,
    Task,
    TaskState,
    decode_ref,
    encode_ref,
    polling_task,
    wait_until_done,
)
from asyncclient._http import Response
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RequestTimeout,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    UnknownStatus,
    WaitTimeout,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import WorkflowRun
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import (
    REF,
    WORDS,
    Driver,
    Entry,
    Job,
    Report,
    outcome_of,
    run_of,
    run_says,
)

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
FAULT = ServerError("HTTP 503 of a proxy", status=503)

# How a wait can end badly: the answers after "running" and a fault, the error, words of advice.
ENDS: dict[str, tuple[list[Entry], type[AsyncClientError], str]] = {
    "failed": (["broken"], TaskFailed, ".snapshot.result"),
    "cancelled": (["stopped"], TaskCancelled, ".snapshot.result"),
    "expired": (["gone"], TaskExpired, ".snapshot.result"),
    "forgotten": ([NotFound("404", status=404)], TaskExpired, "account and region"),
    "blocked": (["asks"], TaskBlocked, "pass on_blocked="),
    "no word": ([None], UnknownStatus, ".snapshot.result"),
    "timeout": (["running"], WaitTimeout, "wait again with the same task"),
    "authentication": ([AuthenticationFailed("401", status=401)], AuthenticationFailed, "may go"),
    "permission": ([PermissionDenied("403", status=403)], PermissionDenied, "may go on"),
    "quota": ([QuotaExceeded("402", status=402)], QuotaExceeded, "may go on"),
    "outage": ([ServerError("503", status=503)], ServerError, "may go on"),
    "nonsense": ([DecodeError("no JSON")], DecodeError, "may go on"),
}


@pytest.mark.parametrize(("entries", "kind", "advice"), ENDS.values(), ids=ENDS)
async def test_every_error_carries_the_evidence(
    driver: Driver, entries: list[Entry], kind: type[AsyncClientError], advice: str
) -> None:
    """Task, last answer, polls, seconds and last fault are in it, and it says what to do."""
    job = Job("running", FAULT, *entries)
    outcome = await outcome_of(driver(job, timeout=900, schedule=EVERY_SECOND, rng=Random(1)))
    error = outcome.evidence
    assert type(error) is kind
    assert error.ref == REF
    assert error.polls == len(job.polls)
    assert error.elapsed == outcome.elapsed
    assert error.snapshot is not None
    assert isinstance(error.snapshot.result, Report)
    last = entries[-1]
    assert error.last_error is (last if isinstance(last, Exception) else FAULT)
    if not isinstance(last, Exception):
        assert error.snapshot.word == last
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    assert "fake job 7" in text
    assert advice in text


async def test_the_task_can_be_found_again_from_the_error() -> None:
    """The reference in an error goes through a queue and makes the same task again."""
    copyai = CopyAI(
        ScriptedTransport([reply({"status": "success", "data": {"status": "PROCESSING"}})] * 99),
        api_key="key",
    )
    task = copyai.workflow_run("WCFG-1", "WRUN-2")
    outcome = await outcome_of(wait_until_done(task, timeout=30))
    assert outcome.evidence.ref is not None
    assert copyai.task(decode_ref(encode_ref(outcome.evidence.ref))).key == task.key


async def test_a_task_without_a_reference_is_named_by_kind_and_key(driver: Driver) -> None:
    """Where there is no portable reference, the error has none, and its text tells the task."""
    outcome = await outcome_of(driver(Job("broken", ref=None)))
    assert outcome.evidence.ref is None
    assert "fake.job 'job-7'" in str(outcome.error)


async def test_a_failure_tells_the_providers_reason(driver: Driver) -> None:
    """The provider's own words and its own status are in the text."""
    outcome = await outcome_of(driver(Job(Report("broken", reason="out of tea"))))
    assert isinstance(outcome.error, TaskFailed)
    assert "out of tea" in str(outcome.error)
    assert "'broken'" in str(outcome.error)
    assert outcome.error.snapshot is not None
    assert outcome.error.snapshot.state is TaskState.FAILED


async def test_a_failure_of_coze_keeps_the_typed_answer_and_its_bytes(driver: Driver) -> None:
    """The final answer of a failed run is in the error, decoded and as it came."""
    failed = run_says(
        "Fail", {"error_code": "5000", "error_message": "boom", "debug_url": "https://x.y"}
    )
    transport = ScriptedTransport([run_says("Running"), failed])
    outcome = await outcome_of(driver(run_of(transport)))
    error = outcome.error
    assert isinstance(error, TaskFailed)
    assert error.snapshot is not None
    assert isinstance(error.snapshot.result, WorkflowRun)
    assert error.snapshot.result.error_message == "boom"
    assert error.snapshot.raw == failed.body
    assert "5000 boom" in str(error)
    assert "coze workflow_run 7350/42" in str(error)


# --- timeouts ---------------------------------------------------------------------------------


async def test_a_timeout_tells_what_was_seen_last(driver: Driver) -> None:
    """Word, polls, seconds and the last failed poll are in the text."""
    job = Job("running", FAULT, "running")
    outcome = await outcome_of(driver(job, timeout=30))
    assert isinstance(outcome.error, TimeoutError)
    text = str(outcome.error)
    assert "within 30 s" in text
    assert "last status 'running' (running)" in text
    assert f"{len(job.polls)} polls in 30.0 s" in text
    assert "ServerError: HTTP 503 of a proxy" in text


async def test_a_timeout_without_any_answer_says_so(driver: Driver) -> None:
    """When nothing was ever answered, there is no snapshot, and the hanging poll is counted."""
    outcome = await outcome_of(driver(Job("done", latency=100), timeout=30))
    error = outcome.evidence
    assert (error.snapshot, error.polls, error.elapsed) == (None, 1, 30)
    assert isinstance(error.last_error, RequestTimeout)
    assert "no answer yet" in str(error)


async def test_a_poll_that_hangs_at_the_deadline_is_counted_and_told(driver: Driver) -> None:
    """The request that was cut off is the last failed poll, after the last answer."""
    outcome = await outcome_of(driver(Job("running", latency=[0, 100]), timeout=30))
    error = outcome.evidence
    assert isinstance(error, WaitTimeout)
    assert error.polls == 2
    assert error.snapshot is not None
    assert isinstance(error.last_error, RequestTimeout)
    assert "unanswered at the deadline" in str(error)


async def test_unknown_words_are_named_in_the_timeout(driver: Driver) -> None:
    """Each unknown word is named once, in the order of its first showing."""
    job = Job("odd", "running", 7, "odd", "even", "running")
    outcome = await outcome_of(driver(job, timeout=60))
    assert isinstance(outcome.error, WaitTimeout)
    assert "words in no vocabulary: 'odd', 7, 'even'" in str(outcome.error)


# --- unknown and missing words ----------------------------------------------------------------


@pytest.mark.parametrize("word", ["odd", 7])
async def test_the_strict_get_an_unknown_word_at_once(word: str | int) -> None:
    """With `unknown="raise"` the first unknown word ends the wait, by name."""
    job = Job("running", word, "done")
    outcome = await outcome_of(wait_until_done(job, schedule=EVERY_SECOND, unknown="raise"))
    error = outcome.error
    assert isinstance(error, UnknownStatus)
    assert (error.polls, error.elapsed, error.ref) == (2, 1, REF)
    assert error.snapshot is not None
    assert error.snapshot.word == word
    assert repr(word) in str(error)
    assert 'unknown="wait"' in str(error)


async def test_the_strict_get_a_missing_word_at_once() -> None:
    """With `unknown="raise"` an answer without a word ends the wait."""
    outcome = await outcome_of(wait_until_done(Job("running", None), unknown="raise"))
    assert isinstance(outcome.error, UnknownStatus)
    assert outcome.error.polls == 2


async def test_the_strict_do_not_mind_faults() -> None:
    """With `unknown="raise"` failed polls are tolerated as ever."""
    assert await wait_until_done(Job("running", FAULT, "done"), unknown="raise") == Report("done")


async def test_answers_without_a_word_show_what_they_are(driver: Driver) -> None:
    """The error after too many of them tells how many, and keeps the last answer's bytes."""
    transport = ScriptedTransport([run_says("Running"), run_says(None)], repeat=True)
    outcome = await outcome_of(driver(run_of(transport)))
    assert isinstance(outcome.error, UnknownStatus)
    assert "6 answers in a row" in str(outcome.error)
    assert outcome.error.snapshot is not None
    assert outcome.error.snapshot.raw == run_says(None).body


# --- errors of the world, and of the caller's own code ----------------------------------------


class Foreign(Exception):
    """An error that this library knows nothing of."""


@pytest.mark.parametrize("kind", [Foreign, KeyError, TypeError, RuntimeError, LookupError])
async def test_a_foreign_error_comes_out_as_it_is(driver: Driver, kind: type[Exception]) -> None:
    """What a poll raises that no one declared is not tolerated: it comes out, with a note."""
    raised = kind("odd")
    job = Job("running", raised, "done")
    outcome = await outcome_of(driver(job, schedule=EVERY_SECOND))
    assert outcome.error is raised
    assert outcome.elapsed == 1
    (note,) = raised.__notes__
    assert "fake job 7" in note
    assert "2 polls in 1.0 s" in note


async def test_an_error_in_reading_an_answer_comes_out_too() -> None:
    """A `status` function that fails on an answer, other than by not finding it, is told."""

    async def fetch() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return {"status": "running"}

    def status(answer: dict[str, str]) -> str:
        raise Foreign(answer["status"])

    task = polling_task(fetch, vocabulary=WORDS, status=status)
    outcome = await outcome_of(wait_until_done(task))
    assert type(outcome.error) is Foreign
    assert "fetch" in outcome.error.__notes__[0]


async def test_an_exhausted_budget_tells_the_last_fault(driver: Driver) -> None:
    """After too many faults in a row, the last one is raised, with the last good answer in it."""
    faults = [ServerError(f"fault {number}", status=503) for number in range(200)]
    job = Job("running", *faults)
    outcome = await outcome_of(driver(job, timeout=3600, rng=Random(1)))
    error = outcome.error
    assert isinstance(error, ServerError)
    assert str(error) == f"fault {len(job.polls) - 2}"
    assert error.last_error is error
    assert error.snapshot is not None
    assert error.snapshot.word == "running"
    (note,) = error.__notes__
    assert f"the last {len(job.polls) - 1} failed" in note
    assert "the task itself may go on" in note


@pytest.mark.parametrize("renewed", ["the same", "another"])
async def test_a_refused_token_ends_the_wait_after_one_renewal(
    driver: Driver, renewed: str
) -> None:
    """Two refusals of two tokens are enough: nothing is tolerated, backed off or repeated."""
    tokens = iter(["the same", renewed, "a third"])
    asked: list[float] = []

    async def token() -> str:
        asked.append(anyio.current_time())
        return next(tokens)

    refused = reply({"code": 4100, "msg": "token incorrect"}, status=401)
    transport = ScriptedTransport([refused, refused], repeat=True)
    outcome = await outcome_of(driver(run_of(transport, token)))
    error = outcome.error
    assert isinstance(error, AuthenticationFailed)
    assert (error.status, error.code) == (401, 4100)
    assert outcome.elapsed == 0
    assert asked == [0, 0]
    assert len(transport.requests) == 2
    assert error.polls == 1
    assert "check the token" in str(error)
    assert "the same" not in f"{error!r}{error.__notes__}"


async def test_a_token_is_renewed_whenever_it_runs_out(driver: Driver) -> None:
    """In a long wait, each token that runs out is renewed once, and the wait goes on."""
    numbers = iter(range(100))

    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        return f"token-{next(numbers)}"

    refused = reply({"code": 4100, "msg": "token expired"}, status=401)
    at_work = run_says("Running")
    transport = ScriptedTransport(
        [at_work, refused, at_work, refused, at_work, refused, run_says("Success")]
    )
    run = await driver(run_of(transport, token))
    assert run.execute_status == "Success"
    assert transport.left == 0


@pytest.mark.parametrize("seconds", [0.0, 3.0, 9.0])
async def test_a_forgotten_task_names_both_reasons(driver: Driver, seconds: float) -> None:
    """The error for a task that is not known tells the provider's words and what to check."""
    lost = reply({"code": 4200, "msg": "workflow not found"}, status=404)
    transport = ScriptedTransport([lost], latency=seconds, repeat=True)
    outcome = await outcome_of(driver(run_of(transport), timeout=60))
    error = outcome.error
    assert isinstance(error, TaskExpired)
    assert isinstance(error.__cause__, NotFound)
    assert error.last_error is error.__cause__
    assert error.snapshot is None
    assert "workflow not found" in str(error)
    assert "is not known to the provider" in str(error)
    assert outcome.elapsed >= 10


# --- tasks of every make ----------------------------------------------------------------------


class Slotted:
    """A task with nothing but what the protocol asks for, and no room for more."""

    __slots__ = ("_words",)

    key = 5
    kind = "slotted"

    def __init__(self, *words: str) -> None:
        self._words = iter(words)

    async def observe(self) -> Observation[str]:
        """Look at the next word."""
        await anyio.lowlevel.checkpoint()
        word = next(self._words)
        return Observation(WORDS.state_of(word), word, word)


class Proxy:
    """A stand-in that looks all of its attributes up in another task."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def proxied(task: Task[Report]) -> Task[Report]:
    """Put a stand-in before a task; its attributes are known at run time only."""
    return cast("Task[Report]", Proxy(task))


async def test_a_task_needs_no_more_than_the_protocol(driver: Driver) -> None:
    """A task with slots and without any optional trait is waited for like any other."""
    assert await driver(Slotted("queued", "running", "done")) == "done"
    outcome = await outcome_of(driver(Slotted("queued", "broken")))
    assert isinstance(outcome.error, TaskFailed)
    assert "slotted 5" in str(outcome.error)
    assert outcome.error.ref is None


async def test_a_proxy_of_a_task_is_a_task(driver: Driver) -> None:
    """A stand-in that forwards its attributes is waited for, with all of the task's traits."""
    job = Job("running", Report("running", hint=5), Report("broken", reason="tea"))
    outcome = await outcome_of(driver(proxied(job), schedule=EVERY_SECOND))
    assert isinstance(outcome.error, TaskFailed)
    assert outcome.error.ref == REF
    assert "tea" in str(outcome.error)
    assert job.sent == [0, 1, 6]


async def test_traits_need_only_fit_the_answers_they_are_for() -> None:
    """Functions for reason, progress and hint that find nothing in an answer do not end a wait."""
    answers: Iterator[dict[str, str]] = iter(
        [
            {"status": "queued"},
            {"status": "running", "percent": "50", "wait": "2"},
            {"status": "broken", "error": "out of tea"},
        ]
    )

    async def fetch() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return next(answers)

    task = polling_task(
        fetch,
        vocabulary=WORDS,
        status=lambda answer: answer["status"],
        reason=lambda answer: answer["error"],
        progress=lambda answer: float(answer["percent"]),
        hint=lambda answer: float(answer["wait"]),
    )
    outcome = await outcome_of(wait_until_done(task))
    assert isinstance(outcome.error, TaskFailed)
    assert "out of tea" in str(outcome.error)


@pytest.mark.parametrize("missing", [{}, {"status": None}, {"state": "done"}])
async def test_an_answer_without_a_status_field_has_no_word(missing: dict[str, str | None]) -> None:
    """A `status` function that does not find its field is tolerated, like any missing word."""
    answers: list[dict[str, str | None]] = [{"status": "done"}, *[missing] * 5]

    async def fetch() -> dict[str, str | None]:
        await anyio.lowlevel.checkpoint()
        return answers.pop()

    task = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert await wait_until_done(task) == {"status": "done"}


async def test_a_result_may_be_nothing(driver: Driver) -> None:
    """A wait returns what the last poll returned, also when that is None."""
    seen: list[Snapshot[None]] = []

    async def fetch() -> None:
        await anyio.lowlevel.checkpoint()

    task = polling_task(fetch, vocabulary=WORDS, status=lambda _: "done")
    outcome = await outcome_of(driver(task))
    assert (outcome.result, outcome.error) == (None, None)
    await wait_until_done(task, on_change=seen.append)
    assert seen[0].result is None


async def test_errors_of_requests_show_the_providers_numbers(driver: Driver) -> None:
    """An error that ends a wait is the provider's own, with its code, status and log id."""
    refused: Response = reply(
        {"code": 4101, "msg": "no right", "detail": {"logid": "log-9"}}, status=403
    )
    outcome = await outcome_of(driver(run_of(ScriptedTransport([refused]))))
    assert isinstance(outcome.error, APIError)
    assert (outcome.error.status, outcome.error.code) == (403, 4101)
    assert outcome.error.log_id == "log-9"
