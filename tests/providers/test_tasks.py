"""What a look sees of each kind of task: its state, reason and demand, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from asyncclient import Handle, Observation, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import APIError, DecodeError, TaskBlocked
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
from tests.providers.scripted import (
    RECORDED,
    RUNS,
    chat_answer,
    copyai,
    copyai_answer,
    coze,
    run_answer,
)

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


def _copy_answer(**fields: object) -> Response:
    return reply({"code": 0, "data": {"task_status": "failed"} | fields})


def _coze_run(*script: Response) -> WorkflowRunHandle:
    return coze(*script)[0].workflow_run("7350", "7431")


# Of each kind: what makes an answer, and a handle that reads it.
_KINDS: dict[str, tuple[Callable[..., Response], Handle[Any]]] = {
    "run": (run_answer, _coze_run()),
    "chat": (chat_answer, coze()[0].chat("7381", "7382")),
    "copy": (_copy_answer, coze()[0].copy_task("123e4")),
    "copyai": (copyai_answer, copyai()[0].workflow_run("WCFG-1", "WRUN-1")),
}


def _seen(kind: str, **fields: object) -> Observation[Any]:
    answer, handle = _KINDS[kind]
    return handle.read(answer(**fields).body)


_BAD_END = {"run": {"execute_status": "Fail"}, "chat": {"status": "failed"}, "copy": {}}
_TWO = [
    {"entity_name": "Words", "entity_type": "bot", "failed_reason": "quota"},
    {"entity_id": "2", "entity_type": "plugin", "failed_reason": "gone"},
]


@pytest.mark.parametrize(
    ("kind", "field", "value", "reason"),
    [
        # No error code comes in many spellings.
        *(("run", "error_code", code, None) for code in ("", "0", 0, None)),
        *(
            ("run", "error_code", code, "720701002 A node failed")
            for code in ("720701002", 720701002)
        ),
        ("chat", "last_error", None, None),
        ("chat", "last_error", {}, None),
        *(("chat", "last_error", {"code": code, "msg": ""}, None) for code in (0, None, "0")),
        ("chat", "last_error", {"code": 5000, "msg": "interval error"}, "5000 interval error"),
        ("chat", "last_error", {"code": "4000", "msg": "bad"}, "4000 bad"),
        ("chat", "last_error", {"code": 5000}, "5000"),
        ("chat", "last_error", {"code": None, "msg": "out of words"}, "out of words"),
        # By the entity's name or else its id.
        ("copy", "failed_reasons", _TWO, "bot Words: quota; plugin 2: gone"),
        ("copy", "failed_reasons", None, None),
        ("copy", "failed_reasons", [], None),
        ("copy", "other", 1, None),
        # `data.error` is documented nowhere.
        ("copyai", "error", "A step failed.", "A step failed."),
        ("copyai", "error", {"message": "A"}, '{"message":"A"}'),
        ("copyai", "error", ["a", 1], '["a",1]'),
        ("copyai", "error", None, None),
    ],
    ids=repr,
)
def test_a_failed_task_says_why(kind: str, field: str, value: object, reason: str | None) -> None:
    """In its provider's own words, whichever form they come in."""
    message = {"error_message": "A node failed"} if reason and kind == "run" else {}
    seen = _seen(kind, **_BAD_END.get(kind, {"status": "FAILED"}), **message, **{field: value})
    assert (seen.state, seen.reason) == (TaskState.FAILED, reason)


def test_the_message_of_a_run_has_an_older_name() -> None:
    """It is read where the newer one is missing."""
    seen = _seen("run", **_BAD_END["run"], error_code="1", error_msg="old")
    assert seen.reason == "1 old"


def _ran(word: str | None, began: int | None, ended: int | None) -> Observation[WorkflowRun]:
    run = WorkflowRun(execute_status=word, create_time=began, update_time=ended)
    return observe_run(run)


def _talked(status: str | None, completed: int | None, failed: int | None) -> Observation[Chat]:
    chat = Chat(status=status, created_at=100, completed_at=completed, failed_at=failed)
    return observe_chat(chat)


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (_ran("Success", 100, 142), 42.0),
        (_ran("Success", 100, 100), 0.0),
        (_ran("Success", 100, None), None),
        (_ran("Success", None, 142), None),
        (_ran("Success", 142, 100), None),
        # `update_time` is the last change of a run at work too, and no duration.
        *((_ran(word, 100, 142), None) for word in ("Running", "<UNSET>", "new", None)),
        (_talked("completed", 130, None), 30.0),
        (_talked("failed", None, 125), 25.0),
        # A chat that failed has both times.
        (_talked("failed", 130, 131), 31.0),
        (_talked("failed", None, None), None),
        # Coze fills `completed_at` for a chat that waits for its caller as well.
        *((_talked(word, 130, None), None) for word in ("requires_action", "created", "new", None)),
    ],
)
def test_a_task_took_from_its_creation_to_its_end(
    seen: Observation[object], seconds: float | None
) -> None:
    """Two times give its seconds; without either, turned round or at work, nothing is known."""
    assert seen.took == seconds


_EVENT_ID = "7404830425073352713/2769808280134765896"
_INTERRUPT = {"event_id": _EVENT_ID, "type": 2, "data": "Who?"}
_EMPTY = {"event_id": "", "type": 0, "data": ""}
_HOLLOW: list[object] = [
    *(None, {}, "", [], [{}], [None, 5], 5, False, "null", "no JSON", "[]", "{}", "5"),
    *(_EMPTY, {"event_id": None, "type": None}, {"data": {}, "required_parameters": None}),
    *({"event_id": "0", "type": "0", "data": ""}, {"event_id": [], "type": {}}),
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
    seen = _seen("run", execute_status=word, interrupt_data=interrupt, **failed)
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
    seen = _seen("run", execute_status=word, interrupt_data=data)
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
    seen = _seen("chat", status=word, required_action=waiting, last_error=error)
    assert seen.demand is None
    assert seen.reason == (None if word == "completed" else "5000 oops")
    # Cancelling answers with an action that is hollow.
    seen = _KINDS["chat"][1].read(RECORDED["coze/answers/cancel_chat.json"])
    assert (list(seen.result.tool_calls), seen.demand, seen.reason) == ([], None, None)


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
    """An end is read from an answer that decodes."""
    with pytest.raises(DecodeError):
        await _coze_run(reply(_MALFORMED.replace(b"Running", word))).poll()


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


@pytest.mark.parametrize("kind", _KINDS)
def test_the_error_of_a_look_is_no_end_of_its_task(kind: str) -> None:
    """What the envelope says fails the look."""
    with pytest.raises(APIError):
        _KINDS[kind][1].read(reply({"code": 5000, "msg": "oops", "status": "error"}).body)


def test_an_envelope_may_quote_its_code_or_have_no_status() -> None:
    """`"code": "0"` is read as 0, and a run where a list of one is documented as that run."""
    assert _coze_run().read(reply(_RUNNING | {"code": "0"}).body).word == "Running"
    assert _coze_run().read(reply({"data": {"execute_status": "Success"}}).body).word == "Success"
    seen = _KINDS["copyai"][1].read(reply({"data": {"status": "COMPLETE"}}).body)
    assert seen.word == "COMPLETE"


def test_the_envelopes_status_is_not_the_runs() -> None:
    """The published example has no `data.status`: it is no end, and its output is no proof."""
    answer = RECORDED["copyai/answers/get_workflow_run.without_status.json"]
    seen = _KINDS["copyai"][1].read(answer)
    assert (seen.result.status, seen.word, seen.state) == (None, None, None)
    assert seen.result.outputs == {"text": "workflow run output"}


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
