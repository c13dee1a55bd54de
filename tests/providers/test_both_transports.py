"""The fake is verified: one suite of behaviours, over a script and over real sockets.

Each test runs twice: over `ScriptedTransport`, which is given the answers, and over a `SessionPool`
that talks to the `Simulator`, where inputs order the same course of things. Both must give the same
typed results and the same errors.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from asyncclient import Handle, SessionPool, Snapshot, errors, wait_until_done
from asyncclient._http import Response, Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Chat, ChatHandle, Coze, ToolOutput, WorkflowRun
from asyncclient.testing import Fault, ScriptedTransport, Simulator, reply
from tests.providers.scripted import RECORDED, chat_answer, copyai_answer, run_answer


class _Stage:
    """Where a test plays: clients, and a way to prepare their answers."""

    def __init__(self, transport: Transport, sim: Simulator | None = None) -> None:
        self._transport = transport
        self._sim = sim
        coze_url, copyai_url = (sim.coze_url, sim.copyai_url) if sim else (Coze.CN, CopyAI.BASE_URL)
        self.coze = Coze(transport, token="pat_simulator", base_url=coze_url)
        self.copyai = CopyAI(transport, api_key="simulator-key", base_url=copyai_url)

    def answers(self, *script: Response | Exception) -> None:
        """Say what a script answers; the simulator finds its answers itself."""
        if isinstance(self._transport, ScriptedTransport):
            self._transport.then(*script)

    def fault(self, fault: Fault, *, times: int = 1) -> None:
        """Let the next request meet a fault, which for a script is the answer in the table."""
        self.answers(_FAULTS[fault][0]())
        if self._sim is not None:
            self._sim.order(fault, times=times)


@pytest.fixture(params=["scripted", "simulated"])
async def stage(request: pytest.FixtureRequest) -> AsyncGenerator[_Stage]:
    """Set the stage, over a script or over real sockets."""
    if request.param == "scripted":
        transport = ScriptedTransport()
        yield _Stage(transport)
        assert transport.left == 0
        return
    async with Simulator() as sim, SessionPool(request_timeout=5) as pool:
        yield _Stage(pool, sim)


def _ok(data: object) -> Response:
    return reply({"code": 0, "msg": "", "data": data})


def _ordered(**simulate: object) -> dict[str, object]:
    return {"topic": "tea", "simulate": simulate}


async def _chats(coze: Coze, **simulate: object) -> ChatHandle:
    wanted = {"simulate": msgspec.json.encode(simulate).decode()}
    return await coze.start_chat("7379", user_id="ann", custom_variables=wanted)


async def test_a_copy_is_started_and_waited_for(stage: _Stage) -> None:
    """A copy by a task ends with the id of the copy."""
    data = {"task_id": "123e4", "entity_type": "workflow", "source_entity_id": "7530"}
    stage.answers(
        _ok({"task_id": "123e4"}),
        _ok(data | {"task_status": "in_progress"}),
        _ok(data | {"task_status": "successful", "target_entity_id": "7531"}),
    )
    copy = await stage.coze.start_copy("7530", entity_type="workflow")
    done = await wait_until_done(copy)
    assert (done.task_status, done.entity_type) == ("successful", "workflow")
    assert (str(done.task_id), done.source_entity_id) == (copy.task_id, "7530")
    assert done.target_entity_id
    # A bot within its workspace is copied by the start itself.
    stage.answers(_ok({"copied_entity_id": "7531"}))
    copy = await stage.coze.start_copy("7530", entity_type="bot")
    assert copy.task_id is None
    assert (await wait_until_done(copy)).target_entity_id == copy.copied_entity_id


async def test_a_copyai_run_is_started_and_waited_for(stage: _Stage) -> None:
    """Variables and metadata come back, and JSON in text is opened."""
    inputs = _ordered(seconds=3)
    run: dict[str, object] = {"input": inputs, "metadata": {"order": 17}, "credits": "2"}
    output = {"Output 1": "The first step is done.", "final_output": '{"input":{"topic":"tea"}}'}
    stage.answers(
        copyai_answer(),
        copyai_answer(status="NEW", output={}, **run),
        copyai_answer(status="COMPLETE", output=output, **run),
    )
    started = await stage.copyai.start_workflow("WCFG-1", inputs, metadata={"order": 17})
    done = await wait_until_done(started)
    assert (done.status, done.id, done.credits_used) == ("COMPLETE", started.run_id, 2)
    assert (done.input, done.metadata) == (inputs, {"order": 17})
    assert done.outputs["final_output"] == {"input": {"topic": "tea"}}


# By the recorded answer: how the task is started, the error that ends the wait, and its words.
_Start = Callable[[Coze, CopyAI], Awaitable[Handle[Any]]]
_ENDS: dict[str, tuple[_Start, type[errors.TaskError | errors.TaskBlocked], str]] = {
    "coze/workflow_run/Fail.json": (
        lambda coze, _: coze.start_workflow("7350", _ordered(seconds=1, outcome="fail")),
        errors.TaskFailed,
        "720701002 Workflow node execution failed",
    ),
    "coze/workflow_run/Cancel.json": (
        lambda coze, _: coze.start_workflow("7350", _ordered(seconds=1, outcome="cancel")),
        errors.TaskCancelled,
        "'Cancel'",
    ),
    "coze/workflow_run/%3CUNSET%3E.json": (
        lambda coze, _: coze.start_workflow("7350", _ordered(seconds=1, outcome="unset")),
        errors.TaskBlocked,
        "interrupt type",
    ),
    "coze/copy_task/failed.json": (
        lambda coze, _: coze.start_copy("fail-7530", entity_type="workflow"),
        errors.TaskFailed,
        ": The quota",
    ),
    "coze/chat/failed.json": (
        lambda coze, _: _chats(coze, seconds=1, outcome="fail"),
        errors.TaskFailed,
        "5000 event interval error",
    ),
    "copyai/workflow_run/FAILED.json": (
        lambda _, copyai: copyai.start_workflow("W", _ordered(seconds=1, outcome="fail")),
        errors.TaskFailed,
        "A step failed, and so did its retries.",
    ),
}


@pytest.mark.parametrize("recorded", _ENDS)
async def test_a_wait_that_ends_badly_is_an_error_with_its_reason(
    stage: _Stage, recorded: str
) -> None:
    """The task's own words are in the error, and its last answer in the snapshot."""
    start, kind, words = _ENDS[recorded]
    ids = {"id": "1", "conversation_id": "2", "task_id": "3"}
    stage.answers(reply({"execute_id": "7431", "data": ids}), reply(RECORDED[recorded]))
    task = await start(stage.coze, stage.copyai)
    with pytest.raises(kind, match=words) as caught:
        await wait_until_done(task)
    assert caught.value.snapshot is not None
    assert str(caught.value.snapshot.word) == unquote(recorded.split("/")[2].partition(".")[0])
    assert caught.value.ref == task.ref


async def test_a_cancelled_chat_is_a_cancelled_task(stage: _Stage) -> None:
    """Cancelling answers at once, the wait then ends, and a second cancel is refused."""
    refused = reply({"code": 4104, "msg": "The chat cannot be canceled in its current state"})
    stage.answers(
        chat_answer(), chat_answer(status="canceled"), chat_answer(status="canceled"), refused
    )
    chat = await _chats(stage.coze, seconds=60)
    assert (await chat.cancel()).status == "canceled"
    with pytest.raises(errors.TaskCancelled):
        await wait_until_done(chat)
    with pytest.raises(errors.InvalidRequest) as caught:
        await chat.cancel()
    assert caught.value.code == 4104


async def test_an_interrupted_run_is_resumed_and_ends(stage: _Stage) -> None:
    """`on_blocked` answers what the run asks for, and the same wait sees it end.

    The inputs come back in the typed answer, of a synchronous run too, JSON in JSON opened.
    """
    interrupt = {
        "event_id": "7431/1",
        "type": 2,
        "data": '{"content_type":"text","content":"What is your name?"}',
        "required_parameters": {"name": {"type": "string", "required": True}},
    }
    output = '{"Output":"{\\"output\\":{\\"topic\\":\\"tea\\"}}","node_status":"{}"}'
    stage.answers(
        reply({"code": 0, "msg": "Success", "execute_id": "7431"}),
        run_answer(interrupt_data=interrupt),
        reply({"code": 0, "msg": "", "execute_id": "7431"}),
        run_answer(),
        run_answer(execute_status="Success", output=output),
        reply({"code": 0, "msg": "", "data": '{"output":{"topic":"tea"}}'}),
    )
    coze = stage.coze
    run = await coze.start_workflow("7350", _ordered(seconds=4, outcome="interrupt"))
    asked: list[str] = []

    async def answer(snapshot: Snapshot[WorkflowRun]) -> None:
        interrupt = snapshot.result.interrupt
        assert interrupt is not None
        asked.extend(interrupt.required_parameters or ())
        resumed = await coze.resume_workflow(
            "7350",
            event_id=interrupt.event_id,
            interrupt_type=interrupt.type,
            resume_data={"name": "Ann"},
        )
        assert resumed.interrupt is None

    done = await wait_until_done(run, on_blocked=answer)
    assert (done.execute_status, asked) == ("Success", ["name"])
    assert str(done.execute_id) == run.execute_id
    assert done.outputs == {"Output": {"output": {"topic": "tea"}}}
    assert done.node_status == {}
    assert (done.interrupt, done.trimmed) == (None, False)
    at_once = await coze.run_workflow("7350", _ordered(seconds=1))
    assert (at_once.code, at_once.outputs) == (0, {"output": {"topic": "tea"}})


async def test_a_chat_that_requires_an_action_gets_it_and_ends(stage: _Stage) -> None:
    """Tool calls are typed; their outputs let the chat go on to its end and its answer."""
    stage.answers(
        chat_answer(),
        reply(RECORDED["coze/chat/requires_action.json"]),
        chat_answer(),
        chat_answer(
            status="completed", usage={"token_count": 298, "output_count": 56, "input_count": 242}
        ),
        _ok([{"role": "assistant", "type": "answer", "content": "The answer to your question."}]),
    )
    coze = stage.coze
    chat = await _chats(coze, seconds=2, outcome="interrupt")

    async def answer(snapshot: Snapshot[Chat]) -> None:
        outputs = [ToolOutput(call.id, "9 °C") for call in snapshot.result.tool_calls]
        await coze.submit_tool_outputs(chat.conversation_id, chat.chat_id, tool_outputs=outputs)

    done = await wait_until_done(chat, on_blocked=answer)
    assert (done.status, done.id) == ("completed", chat.chat_id)
    assert done.usage is not None
    assert done.usage.token_count == 298
    answers = [one.content for one in await chat.messages() if one.type == "answer"]
    assert answers == ["The answer to your question."]


_WRONG = {"code": 700012006, "msg": "access token invalid"}
_BUSY = reply({"code": 4009, "msg": "Too many requests"}, status=429, headers={"Retry-After": "1"})
# Each fault, what a script answers for it, and the error that it is.
_FAULTS: dict[Fault, tuple[Callable[[], Response | Exception], type[errors.AsyncClientError]]] = {
    Fault.RESET: (lambda: errors.TransportError("reset"), errors.TransportError),
    Fault.RESET_MID_BODY: (lambda: errors.TransportError("reset"), errors.TransportError),
    Fault.TRUNCATE: (lambda: errors.TransportError("closed"), errors.TransportError),
    Fault.STALL: (lambda: errors.RequestTimeout("late"), errors.RequestTimeout),
    Fault.HTML_502: (lambda: reply("<html>", status=502), errors.ServerError),
    Fault.HTML_504: (lambda: reply("<html>", status=504), errors.ServerError),
    Fault.UNAVAILABLE: (lambda: reply("upstream connect error", status=503), errors.ServerError),
    Fault.UNDECODABLE: (lambda: reply(b'{"code":0,"da'), errors.DecodeError),
    Fault.EMPTY_200: (lambda: reply(b""), errors.DecodeError),
    Fault.RATE_LIMITED: (lambda: _BUSY, errors.RateLimited),
    Fault.RATE_LIMITED_DATE: (lambda: _BUSY, errors.RateLimited),
    Fault.BUSY: (lambda: reply({"code": 4009, "msg": "Too many requests"}), errors.RateLimited),
    Fault.UNAUTHORIZED: (lambda: reply(_WRONG, status=401), errors.AuthenticationFailed),
    Fault.NOT_FOUND: (lambda: reply({"code": 4001, "msg": "no such chat"}), errors.NotFound),
}


@pytest.mark.parametrize("fault", _FAULTS)
async def test_each_fault_of_a_poll_is_the_same_error(stage: _Stage, fault: Fault) -> None:
    """One poll that meets the fault raises exactly this error."""
    stage.answers(chat_answer())
    chat = await _chats(stage.coze, seconds=60)
    # aiohttp itself asks once more when a connection that it kept turns out to be dead.
    stage.fault(fault, times=2 if fault is Fault.RESET else 1)
    kind = _FAULTS[fault][1]
    with pytest.raises(kind) as caught:
        await chat.poll()
    assert type(caught.value) is kind
    assert not caught.value.may_have_started
    if isinstance(caught.value, errors.RateLimited) and fault is not Fault.BUSY:
        assert caught.value.retry_after is not None
        assert 0 <= caught.value.retry_after <= 2
