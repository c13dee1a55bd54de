"""What each operation sends: its method, its place, and fields in the provider's own names.

Each request is refused, and looked at; what is answered is tested with the answers.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import get_args
from urllib.parse import parse_qsl

import pytest

from asyncclient.errors import InvalidRequest
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.copyai._webhooks import EventType
from asyncclient.providers.coze import ChatMessage, Coze, ToolOutput
from asyncclient.providers.coze._bots import EntityType
from asyncclient.testing import reply
from tests.providers.scripted import READS, STARTS, TOKEN, copyai, coze, scripted

Fields = Mapping[str, object]
# An operation and its arguments, its options, which are sent under their own names, and what is
# sent besides: the request's line, and fields of its body, or of its query where it has no body.
Row = tuple[str, tuple[object, ...], Fields, str, Fields]

_ANY = MappingProxyType({"topic": {"list": [1, 2]}, "北京": 3})  # any mapping will do
_BOT = {"bot_id": "1", "ext": {"a": "b"}, "workflow_version": "v0.5", "connector_id": "9"}
_START, _RESUME = "POST /v1/workflow/run", "POST /v1/workflows/resume"
_RUN = "GET /v1/workflows/7350/run_histories/7431"
_FLOW = {"workflow_id": "7350"}
_ASYNC = {"workflow_id": "7350", "is_async": True}
_EVENT = {"event_id": "7404830425073352713/2769808280134765896", "interrupt_type": 0}
_ANN, _CHAT = {"user_id": "ann"}, {"conversation_id": "7381", "chat_id": "7382"}
# Without a stream, only the history holds the answer: both flags are always sent.
_BEGUN = {"bot_id": "7379", "stream": False, "auto_save_history": True}
_QUESTION = {"role": "user", "content": "Rain?", "content_type": "text"}
_OF_A_CHAT = {
    "custom_variables": {"a": "1"},
    "meta_data": {"b": "2"},
    "parameters": {"c": 3},
    "extra_params": {"d": "4"},
    "shortcut_command": {"command_id": "5"},
    "enable_card": True,
    "publish_status": "published_online",
    "bot_version": "7",
}
_OUTPUT = {"tool_call_id": "B", "output": "9 °C"}
_OUTPUTS = "POST /v3/chat/submit_tool_outputs?conversation_id=7381&chat_id=7382"
_COPIES, _ENTITY = "POST /v1/entities/copy_tasks", {"entity_id": "7530"}
_SPACE, _THIRD = {"workspace_id": "5123"}, {"page_num": 3, "page_size": 50}
_PUBLISHED = {"publish_status": "all", "connector_id": "999"}
_MEMBER = {"enterprise_id": "volcano_2", "user_id": "385", "coze_account_id": "748"}
_APP = {"workflow_mode": "chatflow", "app_id": "744", "publish_status": "all"}
_IDS = {"document_ids": ["1", "2"]}
_RUNS = "/workflow/W/run"
_EMPTY: Fields = {"startVariables": {}}
_NOTHING_GIVEN: list[tuple[object, ...]] = [("W",), ("W", {}), ("W", None)]
_URL = {"url": "https://example.com/hooks/5d6f"}


def _first(size: int) -> Fields:
    """Return what asks for the first page."""
    return {"page_num": 1, "page_size": size}


_COZE: list[Row] = [
    ("start_workflow", ("7350",), {}, _START, _ASYNC),
    ("start_workflow", ("7350",), {"parameters": _ANY, "app_id": "2"}, _START, _ASYNC),
    ("start_workflow", ("7350",), {"parameters": {}, **_BOT}, _START, _ASYNC),
    ("run_workflow", ("7350",), {"parameters": _ANY}, _START, _FLOW),
    # `resume_data` is always a text, whose form the node decides; the path has a plural.
    *(
        ("resume_workflow", ("7350",), {**_EVENT, "resume_data": given}, _RESUME, _FLOW)
        for given in ("Ann", "", " \n", " tea ")
    ),
    (
        *("resume_workflow", ("7350",), {**_EVENT, "resume_data": {"file_id": "1456"}}, _RESUME),
        {**_FLOW, "resume_data": '{"file_id":"1456"}'},
    ),
    ("get_workflow_run", ("7350", "7431"), {}, _RUN, {}),
    ("get_node_output", ("7350", "7431", "63c7f"), {}, f"{_RUN}/execute_nodes/63c7f", {}),
    ("start_chat", ("7379",), {**_ANN, **_OF_A_CHAT}, "POST /v3/chat", _BEGUN),
    (
        *(
            "start_chat",
            ("7379",),
            {**_ANN, "additional_messages": [ChatMessage("user", "Rain?", "text")]},
        ),
        *("POST /v3/chat", {**_BEGUN, "additional_messages": [_QUESTION]}),
    ),
    # The page says GET, though two of Coze's own SDKs send a POST.
    ("get_chat", ("7381", "7382"), {}, "GET /v3/chat/retrieve", _CHAT),
    ("cancel_chat", ("7381", "7382"), {}, "POST /v3/chat/cancel", _CHAT),
    ("list_chat_messages", ("7381", "7382"), {}, "GET /v3/chat/message/list", _CHAT),
    (
        *("submit_tool_outputs", ("7381", "7382"), {"tool_outputs": [ToolOutput("B", "9 °C")]}),
        *(_OUTPUTS, {"tool_outputs": [_OUTPUT], "stream": False}),
    ),
    *(
        ("start_copy", ("7530",), {"entity_type": kind, **where}, _COPIES, _ENTITY)
        for kind in get_args(EntityType)
        for where in ({}, {"to_workspace_id": "7498"})
    ),
    ("get_copy_task", ("123e4",), {}, "GET /v1/entities/copy_tasks/123e4", {}),
    # `page_num`, not the SDK's `page_index`.
    ("list_bots", ("5123",), {}, "GET /v1/bots", {**_SPACE, **_first(20)}),
    ("list_bots", ("5123",), {**_PUBLISHED, **_THIRD}, "GET /v1/bots", _SPACE),
    # Without the option Coze chooses the version; truth values are spelled as in JSON.
    ("get_bot", ("7379",), {}, "GET /v1/bots/7379", {}),
    ("get_bot", ("7379",), {"is_published": True}, "GET /v1/bots/7379", {}),
    ("get_bot", ("7379",), {"is_published": False}, "GET /v1/bots/7379", {}),
    ("list_workspaces", (), {}, "GET /v1/workspaces", _first(20)),
    ("list_workspaces", (), {**_MEMBER, **_THIRD}, "GET /v1/workspaces", {}),
    ("list_workflows", ("5123",), {}, "GET /v1/workflows", {**_SPACE, **_first(10)}),
    ("list_workflows", ("5123",), {**_APP, **_THIRD}, "GET /v1/workflows", _SPACE),
    # One look is for all documents.
    ("get_document_progress", ("7442", ["1", "2"]), {}, "POST /v1/datasets/7442/process", _IDS),
]
_COPYAI: list[Row] = [
    (
        "start_workflow",
        ("W", _ANY),
        {"metadata": {"a": 1}},
        f"POST {_RUNS}",
        {"startVariables": _ANY},
    ),
    # `startVariables` is required, so it is sent also when there are none.
    *(
        ("start_workflow", given, {"metadata": {}}, f"POST {_RUNS}", _EMPTY)
        for given in _NOTHING_GIVEN
    ),
    ("get_workflow_run", ("W", "R"), {}, f"GET {_RUNS}/R", {}),
    # Runs begin at page 1, registrations at page 0.
    ("list_workflow_runs", ("W",), {}, f"GET {_RUNS}", {"page": 1, "size": 10}),
    ("list_workflow_runs", ("W",), {"page": 3, "size": 100}, f"GET {_RUNS}", {}),
    ("list_webhooks", (), {}, "GET /webhook", {"page": 0, "size": 10}),
    ("list_webhooks", (), {"page": 2, "size": 100}, "GET /webhook", {}),
    (
        "register_webhook",
        (),
        _URL | {"event_type": "workflowRun.failed", "workflow_id": "W"},
        "POST /webhook",
        {},
    ),
    # For all workflows, none is named.
    *(
        ("register_webhook", (), _URL | {"event_type": kind}, "POST /webhook", {})
        for kind in get_args(EventType)
    ),
    ("get_webhook", ("WHK-1",), {}, "GET /webhook/WHK-1", {}),
    ("delete_webhook", ("WHK-1",), {}, "DELETE /webhook/WHK-1", {}),
]
_ROWS = [*(("coze", row) for row in _COZE), *(("copyai", row) for row in _COPYAI)]
_BASES = {"coze": Coze.CN, "copyai": CopyAI.BASE_URL.rstrip("/")}
# What the providers' pages want on every request, GETs included.
_HEADERS = {
    "coze": {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    "copyai": {"x-copy-ai-api-key": TOKEN, "Content-Type": "application/json"},
}


def _as_copyai(name: str) -> str:
    """Return how Copy.ai spells a name of ours."""
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


@pytest.mark.parametrize(
    ("provider", "row"), _ROWS, ids=[f"{row[3]} {number}" for number, (_, row) in enumerate(_ROWS)]
)
async def test_each_operation_sends_what_was_given_and_what_it_must(
    provider: str, row: Row
) -> None:
    """In the provider's own names, with its credential, and nothing that was not given."""
    name, arguments, options, line, fields = row
    client, transport = scripted(provider, reply("", status=400))
    operation: Callable[..., Awaitable[object]] = getattr(client, name)
    with pytest.raises(InvalidRequest):
        await operation(*arguments, **options)
    (request,) = transport.requests
    url, body = request.origin + request.target, request.body
    if provider == "copyai":
        options = {_as_copyai(option): value for option, value in options.items()}
    expected = {**options, **fields}
    if body is None:
        url, _, query = url.partition("?")
        found: object = dict(parse_qsl(query, strict_parsing=True)) if query else {}
        for option, value in expected.items():
            expected[option] = value if isinstance(value, str) else json.dumps(value)
    else:
        found = json.loads(body)
    method, path = line.split(" ")
    assert (request.method, url, found) == (method, _BASES[provider] + path, expected)
    assert request.headers == _HEADERS[provider]


def test_the_request_of_each_operation_is_looked_at() -> None:
    """A new operation needs a row."""
    assert {f"{provider}.{row[0]}" for provider, row in _ROWS} == STARTS.keys() | READS.keys()


async def test_a_conversation_to_go_on_with_is_in_the_query() -> None:
    """All other options of a chat are fields of its body."""
    client, transport = coze(reply("", status=400))
    with pytest.raises(InvalidRequest):
        await client.start_chat("7379", user_id="ann", conversation_id="7381")
    (request,) = transport.requests
    assert request.target == "/v3/chat?conversation_id=7381"
    assert json.loads(request.body or b"") == {**_ANN, **_BEGUN}


async def test_a_handle_sends_what_its_client_does() -> None:
    """A look, a cancel and the reading of messages are the operations of the same ids."""
    china, over = coze(reply("", status=400), repeat=True)
    other, beside = copyai(reply("", status=400), repeat=True)
    run, chat = china.workflow_run("7350", "75*"), china.chat("7381", "7382")
    documents = china.document_progress("7442", ["1"])
    pairs: list[tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]] = [
        (run.poll, lambda: china.get_workflow_run("7350", "75*")),
        (chat.poll, lambda: china.get_chat("7381", "7382")),
        (chat.cancel, lambda: china.cancel_chat("7381", "7382")),
        (chat.messages, lambda: china.list_chat_messages("7381", "7382")),
        (china.copy_task("1").poll, lambda: china.get_copy_task("1")),
        (documents.poll, lambda: china.get_document_progress("7442", ["1"])),
        (other.workflow_run("W", "R").poll, lambda: other.get_workflow_run("W", "R")),
    ]
    for pair in pairs:
        for ask in pair:
            with pytest.raises(InvalidRequest):
                await ask()
    for transport in (over, beside):
        one, other_way = transport.requests[::2], transport.requests[1::2]
        assert one == other_way


async def test_only_a_synchronous_run_has_a_timeout_of_its_own() -> None:
    """It is a little more than the 90 s of Coze itself, or the caller's; others have the pool's."""
    client, transport = coze(reply({"code": 0, "data": "", "execute_id": "7431"}), repeat=True)
    await client.run_workflow("7350")
    await client.run_workflow("7350", timeout=95.5)
    await client.start_workflow("7350")
    assert [request.timeout for request in transport.requests] == [100.0, 95.5, None]


async def test_a_run_is_of_an_app_or_of_a_bot() -> None:
    """Both are refused before anything is sent."""
    client, transport = coze()
    for start in (client.start_workflow, client.run_workflow):
        with pytest.raises(ValueError, match="bot_id or app_id"):
            await start("7350", bot_id="1", app_id="2")
    assert transport.requests == []
