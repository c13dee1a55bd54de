"""Coze workflow runs: started, resumed, looked up (pages `workflow_run`, `workflow_history`)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.coze_answers import CozeAnswers
from asyncclient.testing.simulator.faults import gateway_page
from asyncclient.testing.simulator.server import Call, Endpoint, Route
from asyncclient.testing.simulator.tasks import Outcome, SimulatedTask, Word, World, read_fate

RUN = "coze.workflow_run"

_OUTCOMES = frozenset[Outcome](get_args(Outcome))
# A synchronous run that has not answered by then is dropped by the gateway.
_SYNC_SECONDS = 90.0
_LAST_WORDS: dict[Outcome, str] = {"fail": "Fail", "cancel": "Cancel"}
# What a run that does not end well says: a synchronous one in its answer, another in its history.
_FAILURES: dict[Outcome, tuple[int, str]] = {
    "fail": (720701002, "Workflow node execution failed"),
    "cancel": (777777777, "Workflow cancelled by user"),
}
_REQUIRED = {"name": {"type": "string", "required": True}}
_CONTROL = '{"content_type":"text","content":"What is your name?"}'
_NODE_TITLE = "Output node"
_ZERO_USAGE = {"token_count": 0, "output_count": 0, "input_count": 0}


class _RunBody(msgspec.Struct):
    workflow_id: str
    # The page's table says JSON text, its examples and every SDK send an object.
    parameters: dict[str, Any] | str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    is_async: bool = False
    ext: dict[str, str] | None = None

    def inputs(self) -> dict[str, Any]:
        if isinstance(self.parameters, str):
            return msgspec.json.decode(self.parameters, type=dict[str, Any])
        return self.parameters or {}


class _ResumeBody(msgspec.Struct):
    workflow_id: str
    event_id: str
    resume_data: str
    interrupt_type: int


class CozeWorkflows:
    """The routes of workflow runs."""

    def __init__(self, world: World, coze: CozeAnswers) -> None:
        self._world = world
        self._coze = coze

    def routes(self) -> Iterator[Route]:
        """Return the operations; all but resuming spend the workflow group's rate."""
        ok = HTTPStatus.OK
        history = "/v1/workflows/{workflow_id}/run_histories/{execute_id}"
        node = history + "/execute_nodes/{uuid}"
        yield Endpoint("coze.run", "POST", "/v1/workflow/run", "start", "workflow", ok), self._run
        # Limits of resuming are documented nowhere.
        yield Endpoint("coze.resume", "POST", "/v1/workflows/resume", "start", "", ok), self._resume
        yield (
            Endpoint("coze.run_histories", "GET", history, "poll", "workflow", missing=4314),
            self._history,
        )
        yield (
            Endpoint("coze.execute_nodes", "GET", node, "other", "workflow", missing=4314),
            self._node,
        )

    async def _run(self, call: Call) -> web.Response:
        body = call.decode(_RunBody)
        if body.bot_id and body.app_id:
            return self._coze.invalid("bot_id and app_id cannot be given together")
        if body.workflow_id.startswith("missing"):
            return self._coze.refuse(
                4200, f"Workflow {body.workflow_id} not found or not published"
            )
        if body.is_async and self._coze.plan == "free":
            return self._coze.refuse(
                6003,
                "Workflow execution with is_async=true is a premium feature available only to "
                "Coze Professional users",
            )
        inputs = body.inputs()
        fate = read_fate(inputs)
        if fate.outcome == "out_of_credits":
            return self._coze.refuse(4011, "Your Coze token balance is insufficient")
        task = self._world.start(
            RUN,
            fate,
            task_id=self._world.decimal_id(),
            place=body.workflow_id,
            start_marker=inputs,
            outcomes=_OUTCOMES,
        )
        task.details = {
            "is_async": body.is_async,
            "bot_id": body.bot_id or "0",
            "connector_uid": (body.ext or {}).get("user_id", "1519962369294395"),
        }
        return self._started(task) if body.is_async else await self._finish(task)

    def _started(self, task: SimulatedTask) -> web.Response:
        answer = {"debug_url": _debug_url(task), "execute_id": task.id}
        # The page's sample of an asynchronous start has no code; observed answers have one.
        if (task.shape or ("live", "doc")[self._world.turn("coze.run") % 2]) == "doc":
            return self._coze.answer(answer | {"msg": ""}, detail=False)
        return self._coze.answer(answer | {"code": 0, "msg": "Success"}, detail=False)

    async def _finish(self, task: SimulatedTask) -> web.Response:
        """Answer a synchronous run when it ends or stops for input."""
        self._world.write_down()  # it has started, whether or not it will be answered for
        wait = task.next_stop - self._world.now()
        await asyncio.sleep(max(0.0, min(wait, _SYNC_SECONDS)))
        if wait > _SYNC_SECONDS:
            return gateway_page(504, "Gateway Time-out")
        answer: dict[str, Any] = {"msg": "", "debug_url": _debug_url(task)}
        if task.interrupt_at is not None:
            return self._interrupted(task)
        if task.outcome in _FAILURES:
            code, message = _FAILURES[task.outcome]
            return self._coze.answer(answer | {"code": code, "msg": message}, detail=False)
        if (task.shape or ("live", "doc")[self._world.turn("coze.sync") % 2]) == "doc":
            answer |= {"usage": {"input_count": 50, "token_count": 150, "output_count": 100}}
        else:
            answer |= {"usage": _ZERO_USAGE, "msg": "Success"}
        data = "plain text" if task.outcome == "plain_text" else _text({"output": _echo(task)})
        return self._coze.answer(answer | {"code": 0, "data": data}, detail=False)

    def _interrupted(self, task: SimulatedTask) -> web.Response:
        # Page `resume_workflow`: code 0 and no data, the execute id even of a synchronous run.
        return self._coze.answer(
            {
                "code": 0,
                "msg": "",
                "debug_url": _debug_url(task),
                "execute_id": task.id,
                "interrupt_data": _interrupt(task),
            }
        )

    async def _resume(self, call: Call) -> web.Response:
        body = call.decode(_ResumeBody)
        task = self._world.tasks.get(body.event_id.partition("/")[0])
        if task is None or (task.kind, task.place) != (RUN, body.workflow_id):
            return self._coze.refuse(4200, "The interrupt event does not exist")
        if task.is_done:
            return self._coze.refuse(4315, "The execution has ended and cannot be resumed")
        current = _interrupt(task)
        if not task.is_blocked or (current["event_id"], current["type"]) != (
            body.event_id,
            body.interrupt_type,
        ):
            return self._coze.invalid("event_id and interrupt_type are not the current ones")
        if not _is_enough(body.resume_data):
            task.ask_again()
            return self._interrupted(task)
        task.resume()
        if not task.details["is_async"]:
            return await self._finish(task)
        return self._coze.answer(
            {"code": 0, "msg": "", "debug_url": _debug_url(task), "execute_id": task.id}
        )

    async def _history(self, call: Call) -> web.Response:
        task = self._world.find(RUN, call.path("execute_id"), call.path("workflow_id"))
        is_done = task.is_done
        word, is_done = call.show(task, _word(task, is_done=is_done), is_done=is_done)
        if task.outcome == "empty_list" and not is_done:
            return self._coze.data([])
        record = self._record(task, word, is_done=is_done)
        answer = self._coze.data([record])
        if task.outcome == "malformed" and not is_done:
            # Reported once: the quotes of the nested node_status come with one backslash too few.
            output = rb'"{\"node_status\":\"{\\"Output node\\":{}}\",\"Output\":\"\"}"'
            whole = msgspec.json.encode(record["output"])
            answer.body = msgspec.json.encode({"code": 0, "data": [record]}).replace(whole, output)
        return answer

    def _record(self, task: SimulatedTask, word: Word, *, is_done: bool) -> dict[str, Any]:
        created = int(self._world.wall(task.started))
        updated = task.started if task.resumed_at is None else task.resumed_at
        code, message = _FAILURES.get(task.outcome, (0, "")) if is_done else (0, "")
        record: dict[str, Any] = {
            "execute_id": task.id,
            "execute_status": word,
            "bot_id": task.details["bot_id"],
            "connector_id": "1024",
            "connector_uid": task.details["connector_uid"],
            "run_mode": 2 if task.details["is_async"] else 0,
            "logid": self._coze.log_id(),
            "create_time": created,
            "update_time": int(self._world.wall(task.ends_at if is_done else updated)),
            "output": _output(task) if is_done else '{"Output":"null"}',
            # Text in every declaration, a number to some SDKs: all three are seen.
            "error_code": str(code) if code else ("", "0", 0)[task.polls % 3],
            "error_message": message,
            "debug_url": _debug_url(task),
            "usage": _ZERO_USAGE,
            "token": "0",
        }
        if word is None:
            del record["execute_status"]
        if task.is_blocked:
            record["interrupt_data"] = _interrupt(task)
        # The page's sample, of a synchronous run, lacks these fields; observed answers have them.
        if (task.shape or ("live" if task.details["is_async"] else "doc")) == "live":
            record |= {"is_output_trimmed": is_done and task.outcome == "trimmed"}
            record |= self._nodes(task, is_done=is_done)
        return record

    def _nodes(self, task: SimulatedTask, *, is_done: bool) -> dict[str, Any]:
        if not is_done:
            return {"cost": "0.00000"} if task.polls % 2 else {"node_execute_status": {}}
        if task.outcome != "trimmed" and task.number % 2:
            return {"node_execute_status": {}}
        status = {
            "node_id": "100001",
            "is_finish": True,
            "update_time": int(self._world.wall(task.ends_at)),
            "node_execute_uuid": _node_uuid(task),
        }
        return {"node_execute_status": {_NODE_TITLE: status}}

    async def _node(self, call: Call) -> web.Response:
        task = self._world.find(RUN, call.path("execute_id"), call.path("workflow_id"))
        if call.path("uuid") != _node_uuid(task):
            return self._coze.missing(call.endpoint)
        output = _node_output(task)
        if not task.is_done:
            return self._coze.data({"is_finish": False, "node_output": output[: len(output) // 2]})
        return self._coze.data({"is_finish": True, "node_output": output})


def _word(task: SimulatedTask, *, is_done: bool) -> str:
    if is_done:
        return _LAST_WORDS.get(task.outcome, "Success")
    # What the status is while a run waits for input is documented nowhere; the self-hosted
    # server's source gives the second.
    return "<UNSET>" if task.is_blocked and task.outcome == "unset" else "Running"


def _debug_url(task: SimulatedTask) -> str:
    query = {"execute_id": task.id, "space_id": "7476805188205182986", "workflow_id": task.place}
    if task.details.get("is_async"):
        query["execute_mode"] = "2"
    return f"https://www.coze.cn/work_flow?{urlencode(query)}"


def _interrupt(task: SimulatedTask) -> dict[str, Any]:
    # An event id has a slash in it: the execute id, then the event's own.
    event_id = f"{task.id}/{2_691_977_632_000_000_000 + task.interrupts}"
    return {"event_id": event_id, "type": 2, "data": _CONTROL, "required_parameters": _REQUIRED}


def _is_enough(resume_data: str) -> bool:
    """Return whether an answer holds what the node requires; a question takes plain text too."""
    try:
        given = msgspec.json.decode(resume_data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return bool(resume_data.strip())
    return _REQUIRED.keys() <= given.keys()


def _echo(task: SimulatedTask) -> dict[str, Any]:
    return {name: value for name, value in task.start_marker.items() if name != "simulate"}


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _node_uuid(task: SimulatedTask) -> str:
    return hashlib.sha256(task.id.encode()).hexdigest()[:12]


def _node_output(task: SimulatedTask) -> str:
    if task.outcome == "trimmed":
        return f"Run {task.id} wrote a long text. " * 100
    return f"Run {task.id} wrote a text."


def _output(task: SimulatedTask) -> str:
    """Return JSON text that holds JSON text, as a finished run's output does."""
    if task.outcome == "plain_text":
        return "The answer is plain text, not JSON."
    if task.outcome in _FAILURES:
        return ""
    output = {"Output": _text({"output": _echo(task)}), "node_status": "{}"}
    if task.outcome == "trimmed":
        whole = _text(output | {_NODE_TITLE: _node_output(task)})
        return whole[: len(whole) // 2]
    return _text(output)
