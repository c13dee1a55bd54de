"""Coze chats: what is sent, how their words are read, and what a waiting chat asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from asyncclient import Observation, TaskState, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import (
    DecodeError,
    InvalidRequest,
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
)
from asyncclient.providers.coze import Chat, ChatMessage, Coze, ToolOutput, Usage
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "coze"
_RECORDED = {path.name: path.read_bytes() for path in _FOLDER.glob("*/*.*")}
_QUERY = "?conversation_id=7381&chat_id=7382"


def _client(*script: Response | Exception, repeat: bool = False) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token="pat_1", base_url=Coze.CN), transport


def _sent(request: Request) -> tuple[str, str, Any]:
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


def _chat(**fields: object) -> Response:
    data = {"id": "7382", "conversation_id": "7381", "status": "in_progress"} | fields
    return reply({"code": 0, "msg": "", "data": data})


async def _seen(response: Response) -> Observation[Chat]:
    coze, _ = _client(response)
    return await coze.chat("7381", "7382").observe()


# --- starting -----------------------------------------------------------------------------------


async def test_a_chat_is_begun_without_a_stream_and_with_its_history_kept() -> None:
    """Both flags are always sent: without a stream, only the history holds the answer."""
    coze, transport = _client(_chat(status="created"))
    chat = await coze.start_chat(
        "7379",
        user_id="ann",
        additional_messages=[ChatMessage(role="user", content="Rain?", content_type="text")],
    )
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            "https://api.coze.cn/v3/chat",
            {
                "bot_id": "7379",
                "user_id": "ann",
                "additional_messages": [
                    {"role": "user", "content": "Rain?", "content_type": "text"}
                ],
                "stream": False,
                "auto_save_history": True,
            },
        )
    ]
    assert (chat.conversation_id, chat.chat_id) == ("7381", "7382")
    assert chat.kind == "coze.chat:7379"


async def test_the_conversation_of_a_new_chat_is_in_the_query() -> None:
    """`conversation_id` is a query parameter, not a field of the body."""
    coze, transport = _client(_chat())
    await coze.start_chat("7379", user_id="ann", conversation_id="7381")
    method, url, body = _sent(transport.requests[0])
    assert (method, url) == ("POST", "https://api.coze.cn/v3/chat?conversation_id=7381")
    assert "conversation_id" not in body


async def test_every_option_of_a_chat_reaches_the_body_under_its_own_name() -> None:
    """Options travel as they are named and are not mixed up."""
    coze, transport = _client(_chat())
    await coze.start_chat(
        "7379",
        user_id="ann",
        custom_variables={"a": "1"},
        meta_data={"b": "2"},
        parameters={"c": 3},
        extra_params={"d": "4"},
        shortcut_command={"command_id": "5"},
        enable_card=True,
        publish_status="published_online",
        bot_version="7",
    )
    assert _sent(transport.requests[0])[2] == {
        "bot_id": "7379",
        "user_id": "ann",
        "custom_variables": {"a": "1"},
        "meta_data": {"b": "2"},
        "parameters": {"c": 3},
        "extra_params": {"d": "4"},
        "shortcut_command": {"command_id": "5"},
        "enable_card": True,
        "publish_status": "published_online",
        "bot_version": "7",
        "stream": False,
        "auto_save_history": True,
    }


async def test_a_chat_that_comes_back_as_created_is_waited_for() -> None:
    """`created` is not an end: the wait goes on to the completed chat."""
    coze, transport = _client(
        _chat(status="created"), _chat(status="created"), _chat(status="completed")
    )
    chat = await wait_until_done(await coze.start_chat("7379", user_id="ann"))
    assert chat.status == "completed"
    assert len(transport.requests) == 3


async def test_a_begun_chat_without_ids_may_have_started_something() -> None:
    """A good answer that names no chat is a `DecodeError` that warns of a second start."""
    coze, transport = _client(reply({"code": 0, "data": {"status": "created"}}))
    with pytest.raises(DecodeError) as caught:
        await coze.start_chat("7379", user_id="ann")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


# --- reading ------------------------------------------------------------------------------------


async def test_reading_a_chat_asks_by_get_with_both_ids_in_the_query() -> None:
    """The page says GET, though two of Coze's own SDKs send a POST."""
    coze, transport = _client(_chat(usage={"token_count": 3}))
    chat = await coze.get_chat("7381", "7382")
    assert _sent(transport.requests[0]) == (
        "GET",
        f"https://api.coze.cn/v3/chat/retrieve{_QUERY}",
        None,
    )
    assert (chat.id, chat.status) == ("7382", "in_progress")
    assert chat.usage == Usage(token_count=3)
    assert chat.response is not None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("created", TaskState.PENDING),
        ("in_progress", TaskState.RUNNING),
        ("completed", TaskState.SUCCEEDED),
        ("compleated", TaskState.SUCCEEDED),
        ("failed", TaskState.FAILED),
        ("requires_action", TaskState.BLOCKED),
        ("required_action", TaskState.BLOCKED),
        ("canceled", TaskState.CANCELLED),
        ("cancelled", TaskState.CANCELLED),
        ("Completed", None),
        ("queued", None),
        (None, None),
    ],
)
async def test_each_word_of_a_chat_has_its_state(word: str | None, state: TaskState | None) -> None:
    """The documented words and the pages' two misspellings are known, all others are not."""
    seen = await _seen(_chat(status=word))
    assert (seen.word, seen.state) == (word, state)


@pytest.mark.parametrize("recorded", ["requires_action.json", "required_action.json"])
async def test_a_waiting_chat_names_the_calls_it_waits_for(recorded: str) -> None:
    """Under either spelling of the word, the tool calls are typed and are the demand."""
    seen = await _seen(reply(_RECORDED[recorded]))
    (call,) = seen.result.tool_calls
    assert (call.id, call.type) == ("BUJJF0dA****", "function")
    assert call.function is not None
    assert (call.function.name, call.function.arguments) == (
        "local_data_assistant",
        '{"location":"南京","type":0}',
    )
    assert seen.demand == ("BUJJF0dA****",)
    assert seen.reason == "wants local_data_assistant called"


async def test_completed_at_on_a_waiting_chat_is_no_end() -> None:
    """Coze fills `completed_at` for a chat that requires an action too."""
    coze, _ = _client(reply(_RECORDED["requires_action.json"]))
    with pytest.raises(TaskBlocked, match="local_data_assistant") as caught:
        await wait_until_done(coze.chat("7381", "7382"))
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.state is TaskState.BLOCKED


async def test_a_hollow_action_on_a_completed_chat_is_none() -> None:
    """The page's sample of a finished chat has an action of empty texts: the status decides."""
    seen = await _seen(reply(_RECORDED["cancel_chat.json"]))
    assert seen.state is TaskState.SUCCEEDED
    assert seen.result.required_action is not None
    assert list(seen.result.tool_calls) == []
    assert seen.demand is None
    assert seen.reason is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("in_progress", "5000 oops"),
        ("completed", None),
        ("failed", "5000 oops"),
        ("canceled", "5000 oops"),
        ("odd", "5000 oops"),
        (None, "5000 oops"),
    ],
)
async def test_calls_left_on_a_chat_that_waits_for_none_are_no_demand(
    word: str | None, reason: str | None
) -> None:
    """Only a chat that waits has a demand; the reason of any other is its own error."""
    action = msgspec.json.decode(_RECORDED["requires_action.json"])["data"]["required_action"]
    error = {"code": 5000, "msg": "oops"}
    seen = await _seen(_chat(status=word, required_action=action, last_error=error))
    assert seen.demand is None
    assert seen.reason == reason


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": 1, "input_tokens": 2}])
async def test_usage_may_be_null_empty_or_of_other_names(usage: object) -> None:
    """None of the forms of `usage` that are seen costs the answer."""
    seen = await _seen(_chat(status="completed", usage=usage))
    assert seen.result.status == "completed"


@pytest.mark.parametrize(
    "last_error",
    [None, {}, {"code": 0, "msg": ""}, {"code": None, "msg": ""}, {"code": "0", "msg": ""}],
    ids=repr,
)
async def test_an_error_of_code_zero_or_null_is_none(last_error: object) -> None:
    """The error that finished chats have with nothing in it gives no reason."""
    assert not (await _seen(_chat(status="canceled", last_error=last_error))).reason


@pytest.mark.parametrize(
    ("last_error", "said"),
    [
        ({"code": 5000, "msg": "event interval error"}, "5000 event interval error"),
        ({"code": "4000", "msg": "bad"}, "4000 bad"),
        ({"code": 5000}, "5000"),
        ({"code": None, "msg": "out of words"}, "out of words"),
    ],
)
async def test_a_failed_chat_says_why(last_error: object, said: str) -> None:
    """The chat's own error, its code a number, a text or null, is in the error of the wait."""
    coze, _ = _client(_chat(status="failed", completed_at=2, failed_at=3, last_error=last_error))
    with pytest.raises(TaskFailed, match=said) as caught:
        await wait_until_done(coze.chat("7381", "7382"))
    assert caught.value.snapshot is not None


async def test_the_error_of_the_call_is_not_the_error_of_the_chat() -> None:
    """A code of the envelope fails the poll, not the chat."""
    coze, _ = _client(reply({"code": 5000, "msg": "oops"}), _chat(status="completed"))
    handle = coze.chat("7381", "7382")
    with pytest.raises(ServerError):
        await handle.poll()
    assert (await wait_until_done(handle)).status == "completed"


# --- cancelling ---------------------------------------------------------------------------------


async def test_cancelling_sends_both_ids_in_the_body_and_reads_an_answer_without_code() -> None:
    """The page's sample has no `code`, a null inner code and hollow objects; it decodes."""
    coze, transport = _client(reply(_RECORDED["cancel_chat.json"]))
    chat = await coze.cancel_chat("7381", "7382")
    assert _sent(transport.requests[0]) == (
        "POST",
        "https://api.coze.cn/v3/chat/cancel",
        {"conversation_id": "7381", "chat_id": "7382"},
    )
    assert chat.status == "completed"
    assert chat.last_error is not None
    assert chat.last_error.code is None


async def test_a_handle_cancels_its_own_chat() -> None:
    """`handle.cancel()` sends what `cancel_chat` with its ids does."""
    coze, transport = _client(_chat(status="canceled"), _chat(status="canceled"))
    assert (await coze.chat("7381", "7382").cancel()).status == "canceled"
    await coze.cancel_chat("7381", "7382")
    assert _sent(transport.requests[0]) == _sent(transport.requests[1])


async def test_a_chat_in_its_end_cannot_be_cancelled() -> None:
    """Code 4104 is a refusal of the request: raised at once, after one request."""
    coze, transport = _client(
        reply({"code": 4104, "msg": "cannot be canceled in its state"}), repeat=True
    )
    with pytest.raises(InvalidRequest, match="4104") as caught:
        await coze.cancel_chat("7381", "7382")
    assert (caught.value.code, len(transport.requests)) == (4104, 1)


async def test_a_cancelled_chat_ends_a_wait_as_cancelled() -> None:
    """`canceled`, with one l, is its own end."""
    coze, _ = _client(_chat(status="canceled"))
    with pytest.raises(TaskCancelled):
        await wait_until_done(coze.chat("7381", "7382"))


# --- messages and tools -------------------------------------------------------------------------


async def test_messages_are_read_by_both_ids_and_typed() -> None:
    """The client's and the handle's way send the same request and give the same messages."""
    coze, transport = _client(reply(_RECORDED["list_chat_messages.json"]), repeat=True)
    messages = await coze.list_chat_messages("7381", "7382")
    assert await coze.chat("7381", "7382").messages() == messages
    assert [_sent(request) for request in transport.requests] == [
        ("GET", f"https://api.coze.cn/v3/chat/message/list{_QUERY}", None)
    ] * 2
    assert [(one.type, one.content) for one in messages] == [
        ("answer", "It rains."),
        ("verbose", '{"msg_type":"generate_answer_finish","data":""}'),
    ]


async def test_tool_outputs_are_sent_with_the_ids_in_the_query() -> None:
    """The results of the calls travel in the body, and the chat that goes on comes back."""
    coze, transport = _client(_chat())
    chat = await coze.submit_tool_outputs(
        "7381", "7382", tool_outputs=[ToolOutput(tool_call_id="B", output="9 °C")]
    )
    assert _sent(transport.requests[0]) == (
        "POST",
        f"https://api.coze.cn/v3/chat/submit_tool_outputs{_QUERY}",
        {"tool_outputs": [{"tool_call_id": "B", "output": "9 °C"}], "stream": False},
    )
    assert chat.status == "in_progress"


async def test_a_wait_submits_tool_outputs_and_goes_on_to_the_answer() -> None:
    """`on_blocked` gives the chat what it asks for, and the same wait sees it end."""
    coze, transport = _client(
        reply(_RECORDED["requires_action.json"]), _chat(), _chat(status="completed")
    )

    async def answer() -> None:
        outputs = [ToolOutput(tool_call_id="BUJJF0dA****", output="9 °C")]
        await coze.submit_tool_outputs("7381", "7382", tool_outputs=outputs)

    done = await wait_until_done(coze.chat("7381", "7382"), on_blocked=lambda _: answer())
    assert done.status == "completed"
    assert [request.name for request in transport.requests] == [
        "coze.get_chat",
        "coze.submit_tool_outputs",
        "coze.get_chat",
    ]
