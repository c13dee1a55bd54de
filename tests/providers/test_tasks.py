"""What a look sees of each kind of task: its state, reason and demand, and how long it took."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from asyncclient import Handle, TaskRef, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import DecodeError, ServerError, TaskBlocked, UnknownStatus
from asyncclient.providers.copyai import WorkflowRunHandle as CopyAIRunHandle
from asyncclient.providers.coze import (
    Chat,
    ChatHandle,
    CopyTask,
    CopyTaskHandle,
    DocumentProgressHandle,
    Interrupt,
    WorkflowRun,
    WorkflowRunHandle,
)
from asyncclient.providers.coze._tasks import observe_chat, observe_run
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, RUNS, copyai, coze

# --- words --------------------------------------------------------------------------------------

_STATES: dict[type[Handle[Any]], dict[TaskState | None, set[str | int]]] = {
    WorkflowRunHandle: {
        TaskState.RUNNING: {"Running"},
        TaskState.BLOCKED: {"<UNSET>"},
        TaskState.SUCCEEDED: {"Success"},
        TaskState.FAILED: {"Fail", "Failed"},
        TaskState.CANCELLED: {"Cancel"},
        None: {"running", "Queued", "Interrupted"},
    },
    CopyTaskHandle: {
        TaskState.RUNNING: {"in_progress"},
        TaskState.SUCCEEDED: {"successful"},
        TaskState.FAILED: {"failed"},
        None: {"success", "Failed"},
    },
    DocumentProgressHandle: {
        TaskState.RUNNING: {0},
        TaskState.SUCCEEDED: {1},
        TaskState.FAILED: {9},
        None: {2, 3, "1", True},
    },
    ChatHandle: {
        TaskState.PENDING: {"created"},
        TaskState.RUNNING: {"in_progress"},
        TaskState.BLOCKED: {"requires_action", "required_action"},
        TaskState.SUCCEEDED: {"completed", "compleated"},
        TaskState.FAILED: {"failed"},
        TaskState.CANCELLED: {"canceled", "cancelled"},
        TaskState.EXPIRED: {"expired", "deleted"},
        None: {"Completed", "queued"},
    },
    CopyAIRunHandle: {
        TaskState.PENDING: {"NEW", "WAITING"},
        TaskState.RUNNING: {"PROCESSING", "RETRYING"},
        TaskState.SUCCEEDED: {"COMPLETE"},
        TaskState.FAILED: {"FAILED"},
        # The last two are the envelope's own.
        None: {"COMPLETED", "complete", "success", "error"},
    },
}


@pytest.mark.parametrize("handle_type", _STATES, ids=lambda one: f"{one.provider}-{one.ref_kind}")
def test_each_word_has_its_state(handle_type: type[Handle[Any]]) -> None:
    """The documented words and the pages' misspellings are known; all others are no ends."""
    for state, words in _STATES[handle_type].items():
        assert {handle_type.vocabulary.state_of(word) for word in words} == {state}


# --- answers of each kind -----------------------------------------------------------------------


def _run(**fields: object) -> Response:
    return reply(
        {"code": 0, "data": [{"execute_id": "7431", "execute_status": "Running"} | fields]}
    )


def _chat(**fields: object) -> Response:
    return reply({"code": 0, "data": {"id": "7382", "status": "in_progress"} | fields})


def _copy(**fields: object) -> Response:
    return reply({"code": 0, "data": {"task_status": "failed"} | fields})


def _copyai(**fields: object) -> Response:
    return reply({"status": "success", "data": {"id": "WRUN-1"} | fields})


def _coze_run(*script: Response) -> WorkflowRunHandle:
    return coze(*script)[0].workflow_run("7350", "7431")


def _task(kind: str, *script: Response) -> Handle[Any]:
    client, _ = coze(*script)
    if kind == "copyai":
        return copyai(*script)[0].workflow_run("WCFG-1", "WRUN-1")
    if kind == "chat":
        return client.chat("7381", "7382")
    return client.copy_task("123e4") if kind == "copy" else client.workflow_run("7350", "7431")


_NOTHING: list[object] = [None, {}, []]
_FAILED = {"execute_status": "Fail"}
_TWO = [
    {"entity_name": "Words", "entity_type": "bot", "failed_reason": "quota"},
    {"entity_id": "2", "entity_type": "plugin", "failed_reason": "gone"},
]


def _error(error: object) -> Response:
    return _chat(status="failed", last_error=error)


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        # No error code comes in many spellings.
        *(("run", _run(**_FAILED, error_code=code), None) for code in ("", "0", 0, None)),
        *(
            (
                "run",
                _run(**_FAILED, error_code=code, error_message="A node failed"),
                f"{code} A node failed",
            )
            for code in ("720701002", 720701002)
        ),
        # The older name of the message.
        ("run", _run(**_FAILED, error_code="1", error_msg="old"), "1 old"),
        *(("chat", _error(none), None) for none in _NOTHING[:2]),
        *(("chat", _error({"code": code, "msg": ""}), None) for code in (0, None, "0")),
        (
            "chat",
            _error({"code": 5000, "msg": "event interval error"}),
            "5000 event interval error",
        ),
        ("chat", _error({"code": "4000", "msg": "bad"}), "4000 bad"),
        ("chat", _error({"code": 5000}), "5000"),
        ("chat", _error({"code": None, "msg": "out of words"}), "out of words"),
        # By the entity's name or else its id.
        ("copy", _copy(failed_reasons=_TWO), "bot Words: quota; plugin 2: gone"),
        *(("copy", _copy(failed_reasons=none), None) for none in _NOTHING[::2]),
        ("copy", _copy(), None),
        # `data.error` is documented nowhere.
        ("copyai", _copyai(status="FAILED", error="A step failed."), "A step failed."),
        ("copyai", _copyai(status="FAILED", error={"message": "A"}), '{"message":"A"}'),
        ("copyai", _copyai(status="FAILED", error=["a", 1]), '["a",1]'),
        ("copyai", _copyai(status="FAILED", error=None), None),
    ],
    ids=repr,
)
def test_a_failed_task_says_why(kind: str, answer: Response, reason: str | None) -> None:
    """In its provider's own words, whichever form they come in."""
    seen = _task(kind).read(answer.body)
    assert (seen.state, seen.reason) == (TaskState.FAILED, reason)


@pytest.mark.parametrize(
    ("word", "began", "ended", "seconds"),
    [
        ("Success", 100, 142, 42.0),
        ("Success", 100, 100, 0.0),
        ("Success", 100, None, None),
        ("Success", None, 142, None),
        ("Success", 142, 100, None),
        # `update_time` is the last change of a run at work too, and no duration.
        *((word, 100, 142, None) for word in ("Running", "<UNSET>", "new", None)),
    ],
)
def test_a_run_took_from_its_creation_to_its_last_change(
    word: str | None, began: int | None, ended: int | None, seconds: float | None
) -> None:
    """A run's two times give its seconds; without either, or turned round, nothing is known."""
    run = WorkflowRun(execute_status=word, create_time=began, update_time=ended)
    assert observe_run(run).took == seconds


@pytest.mark.parametrize(
    ("status", "completed", "failed", "seconds"),
    [
        ("completed", 130, None, 30.0),
        ("failed", None, 125, 25.0),
        ("failed", 130, 131, 31.0),
        ("failed", None, None, None),
        # Coze fills `completed_at` for a chat that waits for its caller as well.
        *((word, 130, None, None) for word in ("requires_action", "created", "new", None)),
    ],
)
def test_a_chat_took_until_it_was_completed_or_failed(
    status: str | None, completed: int | None, failed: int | None, seconds: float | None
) -> None:
    """A chat that failed has both times, and the failure is its end; one at work took none yet."""
    chat = Chat(status=status, created_at=100, completed_at=completed, failed_at=failed)
    assert observe_chat(chat).took == seconds


# --- what waits for its caller ------------------------------------------------------------------

_EVENT_ID = "7404830425073352713/2769808280134765896"
_INTERRUPT = {"event_id": _EVENT_ID, "type": 2, "data": "Who?"}
_EMPTY = {"event_id": "", "type": 0, "data": ""}
_HOLLOW: list[object] = [
    *(None, {}, "", [], [{}], [None, 5], 5, False, "null", "no JSON", "[]", "{}", "5"),
    *(_EMPTY, {"event_id": None, "type": None}, {"data": {}, "required_parameters": None}),
    *({"new": "field"}, json.dumps(_EMPTY)),
]
_LEFT = "720701002 A node failed"


@pytest.mark.parametrize(
    ("word", "interrupt", "state", "reason"),
    [
        # No word is documented for a waiting run: its `interrupt_data` shows it.
        ("Running", _INTERRUPT, TaskState.BLOCKED, "interrupt type 2: Who?"),
        # Interrupt data that says nothing does not block a run.
        *(("Running", hollow, TaskState.RUNNING, _LEFT) for hollow in _HOLLOW),
        # The word of an end is believed, and its error shown, before what was left behind.
        ("Success", _INTERRUPT, TaskState.SUCCEEDED, None),
        *((word, _INTERRUPT, TaskState.FAILED, _LEFT) for word in ("Fail", "Failed")),
        ("Cancel", _INTERRUPT, TaskState.CANCELLED, _LEFT),
    ],
    ids=repr,
)
def test_an_interrupt_blocks_a_run_at_work(
    word: str, interrupt: object, state: TaskState, reason: str | None
) -> None:
    """Its event is the demand, and its question the reason."""
    failed = {"error_code": "720701002", "error_message": "A node failed"}
    answer = _run(execute_status=word, interrupt_data=interrupt, **failed)
    seen = _coze_run().read(answer.body)
    assert (seen.word, seen.state, seen.reason) == (word, state, reason)
    assert seen.demand == (_EVENT_ID if state is TaskState.BLOCKED else None)
    event = Interrupt(event_id=_EVENT_ID, type=2, data="Who?")
    assert seen.result.interrupt == (event if interrupt is _INTERRUPT else None)


_DIGITS = 75690000000000000012  # more than 64 bits
_ASKS = Interrupt(_EVENT_ID, 2, "Who?")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"event_id": "1/2", "data": {"a": [1]}}, Interrupt("1/2", 0, '{"a":[1]}')),
        ({"event_id": _DIGITS, "type": "2"}, Interrupt(str(_DIGITS), 2)),
        ({"event_id": ["1/2"], "type": 5.5}, Interrupt('["1/2"]')),
        ({"type": 2, "data": "Who?"}, Interrupt("", 2, "Who?")),
        ({"event_id": None, "data": "Who?"}, Interrupt("", 0, "Who?")),
        ({"type": 7}, Interrupt("", 7)),
        ({"event_id": "1/2", "required_parameters": [1]}, Interrupt("1/2")),
        ([_INTERRUPT, {"event_id": "3/4"}], _ASKS),
        ([{}, None, _INTERRUPT], _ASKS),
        (json.dumps(_INTERRUPT), _ASKS),
        (json.dumps([_INTERRUPT]), _ASKS),
    ],
    ids=repr,
)
@pytest.mark.parametrize("word", ["Running", "<UNSET>", "Interrupted", None])
def test_an_interrupt_of_any_form_blocks(
    data: object, expected: Interrupt, word: str | None
) -> None:
    """With any part missing or of another type, only the caller can move the run on."""
    seen = _coze_run().read(_run(execute_status=word, interrupt_data=data).body)
    assert (seen.state, seen.result.interrupt) == (TaskState.BLOCKED, expected)
    assert seen.demand == (expected.event_id or expected.data)


@pytest.mark.parametrize("word", ["requires_action", "required_action"])
async def test_a_waiting_chat_names_the_calls_it_waits_for(word: str) -> None:
    """Under either spelling of the word, the tool calls are typed and are the demand."""
    answer = reply(RECORDED[f"coze/chat/{word}.json"])
    chat = coze(answer)[0].chat("7381", "7382")
    seen = chat.read(answer.body)
    (call,) = seen.result.tool_calls
    assert (call.id, call.type) == ("BUJJF0dA****", "function")
    assert call.function is not None
    assert call.function.name == "local_data_assistant"
    assert call.function.arguments == '{"location":"南京","type":0}'
    assert seen.demand == ("BUJJF0dA****",)
    assert seen.reason == "wants local_data_assistant called"
    with pytest.raises(TaskBlocked, match="local_data_assistant"):
        await wait_until_done(chat)


@pytest.mark.parametrize("word", ["in_progress", "completed", "failed", "canceled", "new", None])
def test_calls_left_on_a_chat_that_waits_for_none_are_no_demand(word: str | None) -> None:
    """Only a chat that waits has a demand; the reason of any other is its own error."""
    waiting = json.loads(RECORDED["coze/chat/requires_action.json"])["data"]["required_action"]
    error = {"code": 5000, "msg": "oops"}
    seen = _task("chat").read(_chat(status=word, required_action=waiting, last_error=error).body)
    assert seen.demand is None
    assert seen.reason == (None if word == "completed" else "5000 oops")


def test_the_hollow_action_of_a_finished_chat_is_none() -> None:
    """Cancelling it answers so."""
    seen = _task("chat").read(RECORDED["coze/answers/cancel_chat.json"])
    assert (list(seen.result.tool_calls), seen.demand, seen.reason) == ([], None, None)


# --- answers that are none ----------------------------------------------------------------------

_MALFORMED = RECORDED["coze/answers/get_workflow_run.malformed.txt"]
_RUNNING: dict[str, object] = json.loads(RUNS["coze"].body)


def test_a_malformed_body_of_a_running_run_is_running() -> None:
    """Wrong escaping of nested quotes is seen while runs are at work, and costs no wait."""
    seen = _coze_run().read(_MALFORMED)
    assert (seen.word, seen.state, seen.raw) == ("Running", TaskState.RUNNING, _MALFORMED)
    assert seen.result.response is not None
    assert seen.result.response.body == seen.raw


@pytest.mark.parametrize("word", [b"Success", b"Fail", b"Cancel"])
async def test_a_malformed_body_is_never_believed_to_be_an_end(word: bytes) -> None:
    """An end is read from an answer that decodes: the next poll brings it."""
    good = _run(execute_status="Success", output='{"Output":"tea"}')
    handle = _coze_run(reply(_MALFORMED.replace(b"Running", word)), good)
    with pytest.raises(DecodeError):
        await handle.poll()
    assert (await wait_until_done(handle)).outputs == {"Output": "tea"}


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"code": 0, "data": "Running"}, "$.data"),
        ({"code": 0, "data": [{"execute_status": 3}]}, "$.data[0].execute_status"),
        ({"code": "0", "data": None}, "$.data"),
        ({"code": 0, "data": []}, "$.data"),
    ],
    ids=["another shape", "a number for a word", "no data", "no record yet"],
)
async def test_a_well_formed_answer_of_the_wrong_shape_is_undecodable(
    answer: object, path: str
) -> None:
    """A status inside a body of another shape is no status; a wait tolerates the error."""
    with pytest.raises(DecodeError) as caught:
        await _coze_run(reply(answer)).poll()
    assert caught.value.path == path


def test_an_envelope_may_quote_its_code_or_have_no_status() -> None:
    """`"code": "0"` is read as 0, and a run where a list of one is documented as that run."""
    assert _coze_run().read(reply(_RUNNING | {"code": "0"}).body).word == "Running"
    assert _coze_run().read(reply({"data": {"execute_status": "Success"}}).body).word == "Success"
    assert _task("copyai").read(reply({"data": {"status": "COMPLETE"}}).body).word == "COMPLETE"


async def test_the_error_of_the_call_is_not_the_error_of_the_chat() -> None:
    """A code of the envelope fails the poll, not the chat."""
    answers = (reply({"code": 5000, "msg": "oops"}), _chat(status="completed"))
    handle = coze(*answers, max_retries=0)[0].chat("7381", "7382")
    with pytest.raises(ServerError):
        await handle.poll()
    assert (await wait_until_done(handle)).status == "completed"


async def test_the_envelopes_status_is_not_the_runs() -> None:
    """The published example has no `data.status`: it is no end, and its output is no proof."""
    answer = reply(RECORDED["copyai/answers/get_workflow_run.without_status.json"])
    client, _ = copyai(answer, answer, _copyai(status="COMPLETE"))
    run = client.workflow_run("WCFG-1", "WRUN-1")
    seen = run.read(answer.body)
    assert (seen.result.status, seen.word, seen.state) == (None, None, None)
    assert seen.result.outputs == {"text": "workflow run output"}
    assert (await wait_until_done(run)).status == "COMPLETE"
    # Where it never comes, the wait gives up, with the answer as evidence.
    client, _ = copyai(answer, repeat=True)
    with pytest.raises(UnknownStatus) as caught:
        await wait_until_done(client.workflow_run("WCFG-1", "WRUN-1"))
    assert caught.value.snapshot is not None
    assert b"doublelyInterestingValue" in (caught.value.snapshot.raw or b"")


# --- copies that were made at once --------------------------------------------------------------


async def test_a_copy_made_at_once_is_already_done() -> None:
    """`copied_entity_id` instead of `task_id`: waiting returns the copy without a request.

    Its reference leads to an equal task in another process, which is done there too.
    """
    client, _ = coze(reply(RECORDED["coze/answers/start_copy.at_once.json"]))
    handle = await client.start_copy("7530", entity_type="bot")
    assert (handle.task_id, handle.copied_entity_id) == (None, "75309388087500****")
    other, transport = coze()
    again = other.task(decode_ref(encode_ref(handle.ref)))
    assert again.key == handle.key
    for task in (handle, again):
        done = await wait_until_done(task)
        assert isinstance(done, CopyTask)
        assert done.target_entity_id == "75309388087500****"
        assert (await task.observe()).state is TaskState.SUCCEEDED
    assert transport.requests == []


@pytest.mark.parametrize("bad", [None, "", 7350], ids=repr)
def test_a_lost_task_id_is_no_copy_that_was_made_at_once(bad: object) -> None:
    """A handle needs an id: a missing one is refused, and never waited for as done."""
    client, _ = coze()
    with pytest.raises((TypeError, ValueError), match="task_id"):
        client.copy_task(cast("str", bad))
    with pytest.raises((TypeError, ValueError), match="copied_entity_id"):
        client.task(TaskRef("coze", "copy_task", {"copied_entity_id": ""}))
