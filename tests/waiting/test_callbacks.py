"""Tests of what a wait calls: `on_change` at each change, `on_blocked` once for each demand."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import pytest

from asyncclient import Schedule, Snapshot, TaskState, polling_task, wait_until_done, watch
from asyncclient.errors import (
    ServerError,
    TaskBlocked,
    TaskError,
    TaskFailed,
    WaitTimeout,
)
from asyncclient.providers.coze import Coze, WorkflowRun
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import (
    REF,
    TICK,
    WORDS,
    Job,
    Notes,
    Outcome,
    Report,
    ends_at,
    outcome_of,
    run_of,
    run_says,
)

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


def asks(event: str) -> dict[str, object]:
    """Make the part of Coze's answer that shows a demand on the caller."""
    return {"interrupt_data": {"event_id": event, "type": 2, "data": "how many?"}}


# --- on_change --------------------------------------------------------------------------------


async def test_on_change_sees_each_change() -> None:
    """A plain function is called at each change, the first and the last included."""
    notes: Notes[Report] = Notes()
    job = Job("queued", "queued", "running", Report("running", progress=0.5), "done")
    await wait_until_done(job, schedule=EVERY_SECOND, on_change=notes)
    assert notes.words == ["queued", "running", "running", "done"]
    assert notes.times == [0, 2, 3, 4]
    assert notes.snapshots[-1].result == Report("done")


async def test_on_change_may_be_async() -> None:
    """An async function is awaited before the wait goes on, and the gap counts from its end."""
    seen: list[tuple[object, float]] = []

    async def on_change(snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(0.75)
        seen.append((snapshot.word, anyio.current_time()))

    job = Job("queued", "running", "done")
    await wait_until_done(job, schedule=EVERY_SECOND, on_change=on_change)
    assert seen == [("queued", 0.75), ("running", 2.5), ("done", 4.25)]
    assert job.gaps == [1.75, 1.75]


@pytest.mark.parametrize("word", ["broken", "stopped", "gone"])
async def test_on_change_sees_a_bad_end_too(word: str) -> None:
    """The last change is told whatever it is: a display does not stay at "running"."""
    notes: Notes[Report] = Notes()
    await outcome_of(wait_until_done(Job("running", word), on_change=notes))
    assert notes.words == ["running", word]


async def test_on_change_sees_a_demand() -> None:
    """A task that becomes blocked changes, whether there is a handler for it or not."""
    notes: Notes[Report] = Notes()
    await outcome_of(wait_until_done(Job("running", "asks"), on_change=notes))
    assert notes.words == ["running", "asks"]


class Oops(Exception):
    """An error of the caller's own."""


@pytest.mark.parametrize("slow", [False, True])
async def test_an_error_of_on_change_ends_the_wait(slow: bool) -> None:  # noqa: FBT001
    """What a callback raises comes out as it is, at once, and nothing more is asked."""

    def fail(_snapshot: Snapshot[Report]) -> None:
        raise Oops

    async def fail_later(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(0.5)
        raise Oops

    job = Job("queued", "running")
    outcome = await outcome_of(wait_until_done(job, on_change=fail_later if slow else fail))
    assert type(outcome.error) is Oops
    assert outcome.elapsed == (0.5 if slow else 0)
    assert len(job.polls) == 1


async def test_a_timeout_error_of_on_change_is_not_a_failed_poll() -> None:
    """An error that would be tolerated in a poll is not tolerated in a callback."""

    def fail(_snapshot: Snapshot[Report]) -> None:
        raise TimeoutError

    outcome = await outcome_of(wait_until_done(Job("queued", "done"), on_change=fail))
    assert type(outcome.error) is TimeoutError


async def test_on_change_counts_against_the_timeout() -> None:
    """A callback that hangs is cut off by the timeout."""

    async def hang(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep_forever()

    outcome = await outcome_of(wait_until_done(Job("running"), timeout=10, on_change=hang))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed <= 10.25
    assert outcome.evidence.polls == 1


async def test_a_slow_on_change_does_not_turn_success_into_a_timeout() -> None:
    """When the last poll shows success, a callback that outlasts the deadline does not undo it."""

    async def store(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(1)

    job = Job(ends_at(9.5))
    outcome = await outcome_of(
        wait_until_done(job, timeout=10, schedule=Schedule(4, 1, 4, 0), on_change=store)
    )
    assert outcome.result == Report("done")


@pytest.mark.parametrize("word", ["done", "broken", "asks"])
async def test_an_on_change_that_hangs_at_the_end_is_bounded(word: str) -> None:
    """The timeout bounds the whole wait, the last callback included, and the end is not lost."""

    async def hang_at_the_end(snapshot: Snapshot[Report]) -> None:
        if snapshot.word == word:
            await anyio.sleep_forever()

    outcome: Outcome[Report] | None = None
    with anyio.move_on_after(3600):
        outcome = await outcome_of(
            wait_until_done(Job("running", word), timeout=10, on_change=hang_at_the_end)
        )
    assert outcome is not None
    assert outcome.elapsed <= 10 + 2 * 5 + 0.05
    assert outcome.result == Report("done") or isinstance(outcome.error, TaskError | TaskBlocked)


# --- on_blocked -------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True])
async def test_on_blocked_moves_the_task_on(slow: bool) -> None:  # noqa: FBT001
    """A handler, plain or async, is called with the demand, and the wait goes on."""
    seen: list[Snapshot[Report]] = []

    async def answer_later(snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(0.5)
        seen.append(snapshot)

    job = Job("running", Report("asks", demand="a"), "running", "done")
    handler: Callable[[Snapshot[Report]], object] = answer_later if slow else seen.append
    result = await wait_until_done(job, schedule=EVERY_SECOND, on_blocked=handler)
    assert result == Report("done")
    (snapshot,) = seen
    assert snapshot.state is TaskState.BLOCKED
    assert snapshot.result.demand == "a"


async def test_coze_shows_a_demand_and_is_resumed() -> None:
    """A Coze workflow that asks a question is answered by the handler, and runs to its end."""
    transport = ScriptedTransport(
        [
            run_says("Running", asks("event/1")),
            reply({"code": 0, "msg": "", "data": "resumed"}),
            run_says("Running"),
            run_says("Success", {"output": '{"Output": "3 cups"}'}),
        ]
    )
    coze = Coze(transport, token="pat_fake")

    async def answer(snapshot: Snapshot[WorkflowRun]) -> None:
        interrupt = snapshot.result.interrupt
        assert interrupt is not None
        assert interrupt.event_id is not None
        assert interrupt.type is not None
        await coze.resume_workflow(
            "7350",
            event_id=interrupt.event_id,
            interrupt_type=interrupt.type,
            resume_data="three",
        )

    run = await wait_until_done(coze.workflow_run("7350", "42"), on_blocked=answer)
    assert run.outputs == {"Output": "3 cups"}
    assert [request.method for request in transport.requests] == ["GET", "POST", "GET", "GET"]


async def test_a_stale_demand_is_not_answered_twice() -> None:
    """A demand that the provider still shows after it was met is waited through."""
    notes: Notes[WorkflowRun] = Notes()
    transport = ScriptedTransport(
        [*[run_says("Running", asks("event/1"))] * 5, run_says("Success")]
    )
    await wait_until_done(run_of(transport), schedule=EVERY_SECOND, on_blocked=notes)
    assert notes.times == [0]
    assert len(transport.requests) == 6


async def test_a_new_demand_is_answered() -> None:
    """The next demand is another one, also right after the first, and also after a while."""
    notes: Notes[WorkflowRun] = Notes()
    transport = ScriptedTransport(
        [
            run_says("Running", asks("event/1")),
            run_says("Running", asks("event/2")),
            run_says("Running", asks("event/2")),
            run_says("Running"),
            run_says("Running", asks("event/3")),
            run_says("Success"),
        ]
    )
    await wait_until_done(run_of(transport), schedule=EVERY_SECOND, on_blocked=notes)
    events = [snapshot.result.interrupt for snapshot in notes.snapshots]
    assert [event and event.event_id for event in events] == ["event/1", "event/2", "event/3"]
    assert notes.times == [0, 1, 4]


async def test_a_demand_that_stays_is_asked_for_again() -> None:
    """A demand that is still shown after half a minute was not met, and is asked for once more."""
    notes: Notes[WorkflowRun] = Notes()
    transport = ScriptedTransport([run_says("Running", asks("event/1"))], repeat=True)
    outcome = await outcome_of(
        wait_until_done(run_of(transport), timeout=100, schedule=EVERY_SECOND, on_blocked=notes)
    )
    assert isinstance(outcome.error, WaitTimeout)
    assert notes.times == [0, 31, 62, 93]


async def test_half_a_minute_counts_from_the_end_of_the_handler() -> None:
    """A handler that asks a human takes its time, and its demand is stale only after that."""
    calls: list[float] = []

    async def ask_a_human(_snapshot: Snapshot[Report]) -> None:
        calls.append(anyio.current_time())
        await anyio.sleep(300)

    demand = Report("asks", demand="a")
    job = Job(*[demand] * 20, "done")
    await wait_until_done(job, timeout=900, schedule=EVERY_SECOND, on_blocked=ask_a_human)
    assert calls == [0]
    assert job.sent[1] == 301


async def test_a_demand_that_tells_no_id_is_asked_for_each_time() -> None:
    """Where the task does not tell one demand from the next, the handler decides at each poll."""
    notes: Notes[Report] = Notes()
    job = Job("asks", "asks", "running", "asks", "done")
    await wait_until_done(job, schedule=EVERY_SECOND, on_blocked=notes)
    assert notes.times == [0, 1, 3]


async def test_a_chat_is_blocked_by_its_tool_calls() -> None:
    """Coze's chat that wants tools called is one demand for one set of calls."""
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [{"id": "c1"}]}}
    blocked = {"code": 0, "data": {"status": "requires_action", "required_action": action}}
    transport = ScriptedTransport(
        [reply(blocked), reply(blocked), reply({"code": 0, "data": {"status": "completed"}})]
    )
    chat = Coze(transport, token="pat_fake").chat("1", "2")
    ids: list[str] = []
    await wait_until_done(
        chat, on_blocked=lambda shown: ids.extend(call.id for call in shown.result.tool_calls)
    )
    assert ids == ["c1"]


async def test_without_a_handler_the_demand_is_raised() -> None:
    """The error shows what the task asks for, carries the evidence and names the next step."""
    transport = ScriptedTransport([run_says("Running"), run_says("Running", asks("event/1"))])
    outcome = await outcome_of(wait_until_done(run_of(transport), schedule=EVERY_SECOND))
    error = outcome.error
    assert isinstance(error, TaskBlocked)
    assert error.ref == run_of(transport).ref
    assert (error.polls, error.elapsed) == (2, 1)
    assert error.snapshot is not None
    assert isinstance(error.snapshot.result, WorkflowRun)
    assert error.snapshot.result.interrupt is not None
    assert error.snapshot.result.interrupt.event_id == "event/1"
    assert "how many?" in str(error)
    assert "on_blocked=" in str(error)


async def test_the_wait_can_be_taken_up_after_a_demand() -> None:
    """After the error, the caller answers by hand and waits again with the same task."""
    job = Job("asks", "running", "done")
    with pytest.raises(TaskBlocked):
        await wait_until_done(job)
    assert await wait_until_done(job) == Report("done")


async def test_an_error_of_on_blocked_ends_the_wait() -> None:
    """What the handler raises comes out as it is, at once."""

    async def fail(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(2)
        raise Oops

    job = Job("asks")
    outcome = await outcome_of(wait_until_done(job, on_blocked=fail))
    assert type(outcome.error) is Oops
    assert outcome.elapsed == 2
    assert len(job.polls) == 1


async def test_a_handler_longer_than_the_deadline_is_a_timeout() -> None:
    """A handler that does not come back is cut off, and the error shows the demand."""
    cut_off: list[float] = []

    async def hang(_snapshot: Snapshot[Report]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cut_off.append(anyio.current_time())

    job = Job("running", "asks", latency=0.1)
    outcome = await outcome_of(wait_until_done(job, timeout=10, on_blocked=hang))
    assert isinstance(outcome.error, WaitTimeout)
    assert 10 <= outcome.elapsed <= 10.25
    assert cut_off == [outcome.elapsed]
    assert outcome.evidence.snapshot is not None
    assert outcome.evidence.snapshot.state is TaskState.BLOCKED
    assert outcome.evidence.polls == 2


@pytest.mark.parametrize("seconds", [1.4, 1.9, 2.0, 2.1])
async def test_a_handler_that_ends_near_the_deadline_gets_the_last_poll(seconds: float) -> None:
    """A task that its handler moves on just in time is still asked at the deadline, or at once."""
    moved_on: list[float] = []

    async def answer(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(seconds)
        moved_on.append(anyio.current_time())

    def look(_now: float) -> Report:
        return Report("done") if moved_on else Report("asks", demand="a")

    job = Job("running", look, latency=0.01)
    outcome = await outcome_of(
        wait_until_done(job, timeout=10, schedule=Schedule(8, 1, 8, 0), on_blocked=answer)
    )
    assert outcome.result == Report("done")
    assert job.sent[:2] == [0, 8]
    assert 0 <= job.sent[2] - max(10, 8.01 + seconds) <= 0.05 + TICK


async def test_a_demand_met_is_followed_by_a_wait() -> None:
    """A handler that returns at once, again and again, does not make the wait a tight loop."""
    notes: Notes[Report] = Notes()
    job = Job(*[Report("asks", demand=str(number)) for number in range(50)], "done")
    await wait_until_done(job, schedule=EVERY_SECOND, on_blocked=notes)
    assert min(job.gaps) == 1
    assert len(notes.times) == 50


async def test_a_slow_handler_is_followed_by_a_wait_too() -> None:
    """The gap counts from the handler's end: a task needs a moment to show that it moved on."""
    job = Job(Report("asks", demand="a"), "done")

    async def answer(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(30)

    await wait_until_done(job, schedule=EVERY_SECOND, on_blocked=answer)
    assert job.sent == [0, 31]


async def test_a_demand_ends_a_row_of_missing_words() -> None:
    """A demand is a word with a meaning: after it, missing words are counted afresh."""
    demand = Report("asks", demand="a")
    job = Job("running", *[None] * 5, demand, *[None] * 5, "done")
    assert await wait_until_done(job, on_blocked=repr) == Report("done")


async def test_watch_calls_the_handler_too() -> None:
    """A watch with a handler shows the demand as a change and goes on to the end."""
    notes: Notes[Report] = Notes()
    job = Job("running", Report("asks", demand="a"), Report("asks", demand="a"), "done")
    words = [shown.word async for shown in watch(job, on_blocked=notes)]
    assert words == ["running", "asks", "done"]
    assert notes.words == ["asks"]


async def test_another_wait_within_a_handler_keeps_its_own_evidence() -> None:
    """An error of another task, waited for in a handler, is not made out to be of this one."""
    inner = Job("queued", "broken", ref=None)
    inner.kind = "inner.job"

    async def answer(_snapshot: Snapshot[Report]) -> None:
        await wait_until_done(inner)

    outcome = await outcome_of(
        wait_until_done(Job("running", "running", "asks", ref=REF), on_blocked=answer)
    )
    assert isinstance(outcome.error, TaskFailed)
    assert outcome.error.polls == 2
    assert outcome.error.ref is None
    assert "inner.job" in str(outcome.error)


async def test_a_callback_may_return_anything() -> None:
    """What a plain callback returns is not looked at, be it false or a list."""
    returned: list[object] = [False, [], 0, "text", None]

    def on_change(_snapshot: Snapshot[Report]) -> object:
        return returned.pop()

    job = Job("queued", "running", "odd", "even", "done")
    assert await wait_until_done(job, on_change=on_change) == Report("done")
    assert returned == []


async def test_an_async_callback_may_be_any_awaitable() -> None:
    """A callable object whose call returns a future or a coroutine is awaited."""
    log: list[str] = []

    async def note(word: object) -> None:
        await anyio.lowlevel.checkpoint()
        log.append(str(word))

    def on_change(snapshot: Snapshot[Report]) -> Awaitable[None]:
        return note(snapshot.word)

    await wait_until_done(Job("queued", "done"), on_change=on_change)
    assert log == ["queued", "done"]


async def test_faults_are_not_told_as_changes() -> None:
    """A failed poll calls no callback."""
    notes: Notes[Report] = Notes()
    job = Job(ServerError("503", status=503), "running", ServerError("503", status=503), "done")
    await wait_until_done(job, on_change=notes, on_blocked=notes)
    assert notes.words == ["running", "done"]


async def test_callbacks_work_with_a_bare_function() -> None:
    """A wait for a coroutine function tells its changes as that for a task does."""
    words = iter(["queued", "running", "done"])
    notes: Notes[str] = Notes()

    async def fetch() -> str:
        await anyio.lowlevel.checkpoint()
        return next(words)

    task = polling_task(fetch, vocabulary=WORDS, status=str)
    assert await wait_until_done(task, on_change=notes) == "done"
    assert notes.words == ["queued", "running", "done"]
    assert math.isclose(notes.snapshots[-1].elapsed, anyio.current_time())


async def test_a_demand_seen_on_the_last_poll_is_not_answered() -> None:
    """When no time is left to see what becomes of it, the caller is not asked to meet a demand."""
    asked: list[object] = []
    job = Job(lambda now: Report("asks" if now >= 10 else "running"))
    with pytest.raises(WaitTimeout, match="'asks'"):
        await wait_until_done(
            job, timeout=10, schedule=Schedule(4, 1, 4, 0), on_blocked=asked.append
        )
    assert asked == []
