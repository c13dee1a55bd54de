"""Coze chats, not streamed (pages `chat_v3`, `retrieve_chat`, `chat_cancel`)."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.coze_answers import CozeAnswers
from asyncclient.testing.simulator.server import Call, Endpoint, Route
from asyncclient.testing.simulator.tasks import Outcome, SimulatedTask, Word, World, read_fate

CHAT = "coze.chat"

_OUTCOMES = frozenset[Outcome](("success", "fail", "cancel", "interrupt"))
_LAST_WORDS: dict[Outcome, str] = {"fail": "failed", "cancel": "canceled"}
_TOOL_CALL_ID = "BUJJF0dA0001"
_TOOL_CALL = {
    "id": _TOOL_CALL_ID,
    "type": "function",
    "function": {"name": "local_data_assistant", "arguments": '{"location":"Nanjing","type":0}'},
}
# The page's sample of cancelling shows these hollow objects.
_HOLLOW_CALL = {"id": "", "type": "", "function": {"name": "", "arguments": ""}}
_HOLLOW = {
    "failed_at": None,
    "last_error": {"code": None, "msg": ""},
    "meta_data": {},
    "section_id": "",
    "usage": {},
    "required_action": {"type": "", "submit_tool_outputs": {"tool_calls": [_HOLLOW_CALL]}},
}


class _ChatBody(msgspec.Struct):
    bot_id: str
    user_id: str
    stream: bool = False
    auto_save_history: bool = True
    additional_messages: list[dict[str, Any]] | None = None
    custom_variables: dict[str, str] | None = None
    parameters: dict[str, Any] | None = None
    meta_data: dict[str, str] | None = None


class _CancelBody(msgspec.Struct):
    conversation_id: str
    chat_id: str


class _ToolOutput(msgspec.Struct):
    tool_call_id: str
    output: str


class _ToolsBody(msgspec.Struct):
    tool_outputs: list[_ToolOutput]
    stream: bool = False


class CozeChats:
    """The routes of chats."""

    def __init__(self, world: World, coze: CozeAnswers) -> None:
        self._world = world
        self._coze = coze
        # Conversation id → id of its latest chat.
        self._latest: dict[str, str] = {}

    def routes(self) -> Iterator[Route]:
        """Return the operations; the page says to look up by GET, two official SDKs use POST."""
        ok = HTTPStatus.OK
        yield Endpoint("coze.chat", "POST", "/v3/chat", "start", "chat", ok), self._start
        for method in ("GET", "POST"):
            yield (
                Endpoint("coze.chat_retrieve", method, "/v3/chat/retrieve", "poll", missing=4001),
                self._retrieve,
            )
            yield (
                Endpoint(
                    "coze.chat_messages", method, "/v3/chat/message/list", "list", missing=4001
                ),
                self._messages,
            )
        yield Endpoint("coze.chat_cancel", "POST", "/v3/chat/cancel", missing=4001), self._cancel
        yield (
            Endpoint(
                "coze.submit_tool_outputs",
                "POST",
                "/v3/chat/submit_tool_outputs",
                "start",
                missing=4001,
            ),
            self._submit,
        )

    async def _start(self, call: Call) -> web.Response:
        body = call.decode(_ChatBody)
        if body.stream:
            return self._coze.invalid("streamed chats are not simulated")
        if not body.auto_save_history:
            return self._coze.refuse(4007, "auto_save_history must be true when stream is false")
        conversation = call.query("conversation_id") or self._world.decimal_id()
        latest = self._world.tasks.get(self._latest.get(conversation, ""))
        if latest is not None and not latest.is_done:
            return self._coze.refuse(4016, "The conversation already has a chat in progress")
        inputs: dict[str, Any] = {**(body.custom_variables or {}), **(body.parameters or {})}
        task = self._world.start(
            CHAT,
            read_fate(inputs),
            task_id=self._world.decimal_id(),
            place=conversation,
            start_marker=inputs,
            outcomes=_OUTCOMES,
        )
        self._latest[conversation] = task.id
        task.details = {"bot_id": body.bot_id, "meta_data": body.meta_data}
        return self._answer(task, "created" if task.shape == "doc" else "in_progress")

    def _find(self, call: Call) -> SimulatedTask:
        return self._world.find(CHAT, call.query("chat_id"), call.query("conversation_id"))

    async def _retrieve(self, call: Call) -> web.Response:
        task = self._find(call)
        is_done = task.is_done
        word, is_done = call.show(task, _word(task, is_done=is_done), is_done=is_done)
        return self._answer(task, word, is_done=is_done)

    async def _cancel(self, call: Call) -> web.Response:
        body = call.decode(_CancelBody)
        task = self._world.find(CHAT, body.chat_id, body.conversation_id)
        # Page `chat_cancel`: what has ended, or waits for the caller, cannot be cancelled.
        if task.is_done or task.is_blocked:
            return self._coze.refuse(4104, "The chat cannot be canceled in its current state")
        task.cancel()
        if task.shape == "doc":
            # The page's sample has no code either.
            data = self._chat(task, "canceled", is_done=True) | _HOLLOW
            return self._coze.answer({"data": data, "msg": ""})
        return self._answer(task, "canceled", is_done=True)

    async def _messages(self, call: Call) -> web.Response:
        task = self._find(call)
        if _word(task, is_done=task.is_done) != "completed":
            return self._coze.data([])
        finish = (
            '{"msg_type":"generate_answer_finish","data":"","from_module":null,"from_unit":null}'
        )
        rows = (("answer", "The answer to your question."), ("verbose", finish))
        return self._coze.data([self._message(task, kind, content) for kind, content in rows])

    def _message(self, task: SimulatedTask, kind: str, content: str) -> dict[str, Any]:
        return {
            "id": str(int(task.id) + 1 + (kind == "verbose")),
            "conversation_id": task.place,
            "bot_id": task.details["bot_id"],
            "chat_id": task.id,
            "role": "assistant",
            "type": kind,
            "content": content,
            "content_type": "text",
            "created_at": int(self._world.wall(task.started)),
            "updated_at": int(self._world.wall(task.ends_at)),
        }

    async def _submit(self, call: Call) -> web.Response:
        task = self._find(call)
        body = call.decode(_ToolsBody)
        if body.stream:
            return self._coze.invalid("streamed chats are not simulated")
        if not task.is_blocked:
            return self._coze.invalid("the chat does not wait for tool outputs")
        if {given.tool_call_id for given in body.tool_outputs} != {_TOOL_CALL_ID}:
            return self._coze.invalid("tool_outputs must answer every tool call")
        task.resume()
        return self._answer(task, "in_progress")

    def _answer(self, task: SimulatedTask, word: Word, *, is_done: bool = False) -> web.Response:
        return self._coze.data(self._chat(task, word, is_done=is_done), detail=False)

    def _chat(self, task: SimulatedTask, word: Word, *, is_done: bool) -> dict[str, Any]:
        chat: dict[str, Any] = {
            "id": task.id,
            "conversation_id": task.place,
            "bot_id": task.details["bot_id"],
            "created_at": int(self._world.wall(task.started)),
            "status": word,
            # Null and a code of 0 both mean that nothing is wrong.
            "last_error": None if task.polls % 2 else {"code": 0, "msg": ""},
        }
        if task.details["meta_data"]:
            chat["meta_data"] = task.details["meta_data"]
        if word is None:
            del chat["status"]
        if is_done:
            chat |= self._end(task)
        elif task.is_blocked and word == "requires_action":
            # Samples show completed_at here too, though the chat goes on.
            chat["completed_at"] = int(self._world.wall(task.interrupt_at))
            chat["required_action"] = {
                "type": "submit_tool_outputs",
                "submit_tool_outputs": {"tool_calls": [_TOOL_CALL]},
            }
        return chat

    def _end(self, task: SimulatedTask) -> dict[str, Any]:
        ended = int(self._world.wall(task.ends_at))
        if task.outcome == "cancel":
            return {"usage": {}}
        usage = {"token_count": 298, "output_count": 56, "input_count": 242}
        if task.outcome != "fail":
            return {"completed_at": ended, "usage": usage}
        # A failed chat has been seen with both times set.
        return {
            "completed_at": ended,
            "failed_at": ended,
            "last_error": {"code": 5000, "msg": "event interval error"},
            "usage": {"token_count": 0, "output_count": 0, "input_count": 0},
        }


def _word(task: SimulatedTask, *, is_done: bool) -> str:
    if is_done:
        return _LAST_WORDS.get(task.outcome, "completed")
    return "requires_action" if task.is_blocked else "in_progress"
