"""Coze's chats: what is sent, how answers are read, and what a waiting chat asks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncclient import Observation, TaskState, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import InvalidRequest, ServerError, TaskBlocked, TaskFailed
from asyncclient.providers.coze import Chat, ChatHandle, ChatMessage, ToolOutput, Usage
from asyncclient.providers.coze._tasks import observe_chat
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, coze, sent

_QUERY = "?conversation_id=7381&chat_id=7382"
_CHAT_URL = "https://api.coze.cn/v3/chat"
_WAITING = reply(RECORDED["coze/chat/requires_action.json"])


def _chat(**fields: object) -> Response:
    data = {"id": "7382", "conversation_id": "7381", "status": "in_progress"} | fields
    return reply({"code": 0, "msg": "", "data": data})


def _handle(*script: Response) -> ChatHandle:
    client, _ = coze(*script)
    return client.chat("7381", "7382")


def _seen(response: Response) -> Observation[Chat]:
    return _handle().read(response.body)


# --- starting -----------------------------------------------------------------------------------


async def test_a_chat_is_begun_without_a_stream_and_with_its_history_kept() -> None:
    """Both flags are always sent: without a stream, only the history holds the answer."""
    client, transport = coze(_chat(status="created"))
    question = ChatMessage(role="user", content="Rain?", content_type="text")
    chat = await client.start_chat("7379", user_id="ann", additional_messages=[question])
    body = {
        "bot_id": "7379",
        "user_id": "ann",
        "additional_messages": [{"role": "user", "content": "Rain?", "content_type": "text"}],
        "stream": False,
        "auto_save_history": True,
    }
    assert [sent(request) for request in transport.requests] == [("POST", _CHAT_URL, body)]
    assert (chat.conversation_id, chat.chat_id) == ("7381", "7382")
    assert chat.kind == "coze.chat:7379"


async def test_every_option_of_a_chat_travels_under_its_own_name() -> None:
    """`conversation_id` is a query parameter; all others are fields of the body."""
    client, transport = coze(_chat())
    options: dict[str, Any] = {
        "custom_variables": {"a": "1"},
        "meta_data": {"b": "2"},
        "parameters": {"c": 3},
        "extra_params": {"d": "4"},
        "shortcut_command": {"command_id": "5"},
        "enable_card": True,
        "publish_status": "published_online",
        "bot_version": "7",
    }
    await client.start_chat("7379", user_id="ann", conversation_id="7381", **options)
    fixed = {"bot_id": "7379", "user_id": "ann", "stream": False, "auto_save_history": True}
    url = f"{_CHAT_URL}?conversation_id=7381"
    assert sent(transport.requests[0]) == ("POST", url, options | fixed)


# --- reading ------------------------------------------------------------------------------------


async def test_reading_a_chat_asks_by_get_with_both_ids_in_the_query() -> None:
    """The page says GET, though two of Coze's own SDKs send a POST."""
    client, transport = coze(_chat(usage={"token_count": 3}))
    chat = await client.get_chat("7381", "7382")
    assert sent(transport.requests[0]) == ("GET", f"{_CHAT_URL}/retrieve{_QUERY}", None)
    assert (chat.id, chat.status) == ("7382", "in_progress")
    assert chat.usage == Usage(token_count=3)
    assert chat.response is not None


@pytest.mark.parametrize("word", ["requires_action", "required_action"])
async def test_a_waiting_chat_names_the_calls_it_waits_for(word: str) -> None:
    """Under either spelling of the word, the tool calls are typed and are the demand."""
    seen = _seen(reply(RECORDED[f"coze/chat/{word}.json"]))
    (call,) = seen.result.tool_calls
    assert (call.id, call.type) == ("BUJJF0dA****", "function")
    assert call.function is not None
    assert (call.function.name, call.function.arguments) == (
        "local_data_assistant",
        '{"location":"南京","type":0}',
    )
    assert seen.demand == ("BUJJF0dA****",)
    assert seen.reason == "wants local_data_assistant called"
    with pytest.raises(TaskBlocked, match="local_data_assistant"):
        await wait_until_done(_handle(reply(RECORDED[f"coze/chat/{word}.json"])))


@pytest.mark.parametrize("word", ["in_progress", "completed", "failed", "canceled", "new", None])
def test_calls_left_on_a_chat_that_waits_for_none_are_no_demand(word: str | None) -> None:
    """Only a chat that waits has a demand; the reason of any other is its own error."""
    action = msgspec.json.decode(_WAITING.body)["data"]["required_action"]
    error = {"code": 5000, "msg": "oops"}
    seen = _seen(_chat(status=word, required_action=action, last_error=error))
    assert seen.demand is None
    assert seen.reason == (None if word == "completed" else "5000 oops")


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": 1, "input_tokens": 2}])
def test_usage_may_be_null_empty_or_of_other_names(usage: object) -> None:
    """None of the forms of `usage` that are seen costs the answer."""
    assert _seen(_chat(status="completed", usage=usage)).result.status == "completed"


@pytest.mark.parametrize(
    ("last_error", "reason"),
    [
        (None, None),
        ({}, None),
        ({"code": 0, "msg": ""}, None),
        ({"code": None, "msg": ""}, None),
        ({"code": "0", "msg": ""}, None),
        ({"code": 5000, "msg": "event interval error"}, "5000 event interval error"),
        ({"code": "4000", "msg": "bad"}, "4000 bad"),
        ({"code": 5000}, "5000"),
        ({"code": None, "msg": "out of words"}, "out of words"),
    ],
    ids=repr,
)
async def test_a_failed_chat_says_why(last_error: object, reason: str | None) -> None:
    """The chat's own error, its code a number, a text or null, is in the error of the wait."""
    failed = _chat(status="failed", completed_at=2, failed_at=3, last_error=last_error)
    assert _seen(failed).reason == reason
    with pytest.raises(TaskFailed, match=reason or "failed"):
        await wait_until_done(_handle(failed))


async def test_the_error_of_the_call_is_not_the_error_of_the_chat() -> None:
    """A code of the envelope fails the poll, not the chat."""
    handle = _handle(reply({"code": 5000, "msg": "oops"}), _chat(status="completed"))
    with pytest.raises(ServerError):
        await handle.poll()
    assert (await wait_until_done(handle)).status == "completed"


@pytest.mark.parametrize(
    ("status", "completed", "failed", "seconds"),
    [
        ("completed", 130, None, 30.0),
        ("failed", None, 125, 25.0),
        ("failed", 130, 131, 31.0),
        ("failed", None, None, None),
        # Coze fills `completed_at` for a chat that waits for its caller as well.
        ("requires_action", 130, None, None),
        ("created", 130, None, None),
        ("new", 130, None, None),
        (None, 130, None, None),
    ],
)
def test_a_chat_took_until_it_was_completed_or_failed(
    status: str | None, completed: int | None, failed: int | None, seconds: float | None
) -> None:
    """A chat that failed has both times, and the failure is its end; one at work took none yet."""
    chat = Chat(status=status, created_at=100, completed_at=completed, failed_at=failed)
    assert observe_chat(chat).took == seconds


# --- cancelling ---------------------------------------------------------------------------------


async def test_cancelling_sends_both_ids_in_the_body_and_reads_an_answer_without_code() -> None:
    """The page's sample has no `code`, a null inner code and a hollow action; it decodes.

    A handle sends the same; on a finished chat the action is none.
    """
    client, transport = coze(reply(RECORDED["coze/answers/cancel_chat.json"]), repeat=True)
    chat = await client.cancel_chat("7381", "7382")
    await client.chat("7381", "7382").cancel()
    body = {"conversation_id": "7381", "chat_id": "7382"}
    assert [sent(request) for request in transport.requests] == [
        ("POST", f"{_CHAT_URL}/cancel", body)
    ] * 2
    assert chat.status == "completed"
    assert chat.last_error is not None
    assert chat.last_error.code is None
    assert chat.required_action is not None
    seen = observe_chat(chat)
    assert (list(chat.tool_calls), seen.demand, seen.reason) == ([], None, None)


async def test_a_chat_in_its_end_cannot_be_cancelled() -> None:
    """Code 4104 is a refusal of the request: raised at once, after one request."""
    client, transport = coze(reply({"code": 4104, "msg": "not in its state"}), repeat=True)
    with pytest.raises(InvalidRequest, match="4104"):
        await client.cancel_chat("7381", "7382")
    assert len(transport.requests) == 1


# --- messages and tools -------------------------------------------------------------------------


async def test_messages_are_read_by_both_ids_and_typed() -> None:
    """The client's and the handle's way send the same request and give the same messages."""
    client, transport = coze(reply(RECORDED["coze/answers/list_chat_messages.json"]), repeat=True)
    messages = await client.list_chat_messages("7381", "7382")
    assert await client.chat("7381", "7382").messages() == messages
    assert [sent(request) for request in transport.requests] == [
        ("GET", f"{_CHAT_URL}/message/list{_QUERY}", None)
    ] * 2
    assert [(one.type, one.content) for one in messages] == [
        ("answer", "It rains."),
        ("verbose", '{"msg_type":"generate_answer_finish","data":""}'),
    ]


async def test_the_open_source_servers_own_names_are_read() -> None:
    """It cancels under `ChatV3ChatDetail` without a code, and lists messages under `Messages`."""
    cancelled, listed = (
        reply(RECORDED[f"coze/answers/{name}.self_hosted.json"])
        for name in ("cancel_chat", "list_chat_messages")
    )
    client, _ = coze(cancelled, listed, reply({"code": 0, "msg": "", "BaseResp": None}))
    chat = await client.cancel_chat("7381", "7382")
    assert (chat.id, chat.status, chat.response) == ("7381371876397940001", "cancelled", cancelled)
    assert observe_chat(chat).state is TaskState.CANCELLED
    messages = await client.list_chat_messages("7381", "7382")
    assert [(one.type, one.content) for one in messages] == [
        ("question", "Does it rain?"),
        ("answer", "It rains."),
    ]
    # One without messages leaves their field out.
    assert await client.list_chat_messages("7381", "7382") == []


async def test_tool_outputs_are_sent_with_the_ids_in_the_query() -> None:
    """The results of the calls travel in the body, and the chat that goes on comes back."""
    client, transport = coze(_chat())
    outputs = [ToolOutput(tool_call_id="B", output="9 °C")]
    chat = await client.submit_tool_outputs("7381", "7382", tool_outputs=outputs)
    body = {"tool_outputs": [{"tool_call_id": "B", "output": "9 °C"}], "stream": False}
    url = f"{_CHAT_URL}/submit_tool_outputs{_QUERY}"
    assert sent(transport.requests[0]) == ("POST", url, body)
    assert chat.status == "in_progress"
