"""Clients of both providers over a script, and the recorded answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack, cast

import msgspec
import pytest

from asyncclient._http import Request, Response, TokenSource, Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply

FIXTURES = Path(__file__).parents[1] / "fixtures"
# By provider, folder and name, as `coze/answers/get_bot.json`.
RECORDED = {
    path.relative_to(FIXTURES).as_posix(): path.read_bytes() for path in FIXTURES.glob("*/*/*")
}
TOKEN = "pat_s3cret-token-7f3a9c"

PROVIDERS = ("coze", "copyai")
both = pytest.mark.parametrize("provider", PROVIDERS)

Client = Coze | CopyAI
Entry = Response | Exception | Callable[[Request], Response]

# Good answers to a look at a run, by provider, and one to a start that both can read.
RUNS = {
    "coze": reply({"code": 0, "data": [{"execute_status": "Running"}]}),
    "copyai": reply({"status": "success", "data": {"status": "NEW"}}),
}
STARTED = reply({"execute_id": "7431", "data": {"id": "7431"}})


class Options(TypedDict, total=False):
    """Options that both clients have."""

    base_url: str
    max_retries: int
    allow_http: bool
    account: str | None


def client_of(
    provider: str,
    transport: Transport,
    *,
    token: str | TokenSource | CozeJWT = TOKEN,
    **options: Unpack[Options],
) -> Client:
    """Make a provider's client, by default at a place where both may be."""
    options.setdefault("base_url", "https://proxy.example")
    if provider == "coze":
        return Coze(transport, token=token, **options)
    assert not isinstance(token, CozeJWT)
    return CopyAI(transport, api_key=token, **options)


def coze(
    *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[Coze, ScriptedTransport]:
    """Make a client of Coze in China, and the script that it talks to."""
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token=TOKEN, base_url=Coze.CN, max_retries=max_retries), transport


def copyai(
    *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[CopyAI, ScriptedTransport]:
    """Make a client of Copy.ai, and the script that it talks to."""
    transport = ScriptedTransport(script, repeat=repeat)
    return CopyAI(transport, api_key=TOKEN, max_retries=max_retries), transport


def scripted(
    provider: str, *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[Client, ScriptedTransport]:
    """Make a client of either provider, and the script that it talks to."""
    make = coze if provider == "coze" else copyai
    return make(*script, repeat=repeat, max_retries=max_retries)


def _coze(over: ScriptedTransport) -> Coze:
    return Coze(over, token=TOKEN, account="acme")


def _copyai(over: ScriptedTransport) -> CopyAI:
    return CopyAI(over, api_key=TOKEN, account="acme")


Operation = Callable[[ScriptedTransport], Awaitable[object]]

# Each operation that starts something, or moves it on.
STARTS: dict[str, Operation] = {
    "coze.start_workflow": lambda over: _coze(over).start_workflow("7350"),
    "coze.run_workflow": lambda over: _coze(over).run_workflow("7350"),
    "coze.resume_workflow": lambda over: _coze(over).resume_workflow(
        "7350", event_id="1/2", interrupt_type=2, resume_data=""
    ),
    "coze.start_copy": lambda over: _coze(over).start_copy("7530", entity_type="bot"),
    "coze.start_chat": lambda over: _coze(over).start_chat("7379", user_id="ann"),
    "coze.submit_tool_outputs": lambda over: _coze(over).submit_tool_outputs(
        "1", "2", tool_outputs=[]
    ),
    "copyai.start_workflow": lambda over: _copyai(over).start_workflow("WCFG-1"),
    # A second registration would deliver everything twice.
    "copyai.register_webhook": lambda over: _copyai(over).register_webhook(
        "https://example.com/x", event_type="workflowRun.failed"
    ),
}
# Each operation that may be sent twice.
READS: dict[str, Operation] = {
    "coze.get_workflow_run": lambda over: _coze(over).get_workflow_run("7350", "7431"),
    "coze.get_node_output": lambda over: _coze(over).get_node_output("7350", "7431", "63c7"),
    "coze.list_bots": lambda over: _coze(over).list_bots("5123"),
    "coze.list_workspaces": lambda over: _coze(over).list_workspaces(),
    "coze.list_workflows": lambda over: _coze(over).list_workflows("5123"),
    "coze.get_document_progress": lambda over: _coze(over).get_document_progress("7442", ["1"]),
    "coze.get_bot": lambda over: _coze(over).get_bot("7379"),
    "coze.get_copy_task": lambda over: _coze(over).get_copy_task("123e4"),
    "coze.get_chat": lambda over: _coze(over).get_chat("1", "2"),
    "coze.list_chat_messages": lambda over: _coze(over).list_chat_messages("1", "2"),
    # Cancelling or deleting twice does no more than doing it once.
    "coze.cancel_chat": lambda over: _coze(over).cancel_chat("1", "2"),
    "copyai.get_workflow_run": lambda over: _copyai(over).get_workflow_run("W", "R"),
    "copyai.list_workflow_runs": lambda over: _copyai(over).list_workflow_runs("W"),
    "copyai.get_webhook": lambda over: _copyai(over).get_webhook("WHK-1"),
    "copyai.list_webhooks": lambda over: _copyai(over).list_webhooks(),
    "copyai.delete_webhook": lambda over: _copyai(over).delete_webhook("WHK-1"),
}


def _operation_of(recorded: str) -> str:
    """Return the operation that a recorded answer is of: they are named after it."""
    provider, _, file = recorded.split("/")
    name = file.partition(".")[0]
    other = {"created": "start_chat", "webhook": "register_webhook"}
    return f"{provider}.{other.get(name, name)}"


# The recorded answers of operations, and whose they are.
ANSWERED = {
    name: _operation_of(name)
    for name in sorted(RECORDED)
    if name.endswith(".json") and _operation_of(name) in STARTS | READS
}


def run_answer(**fields: object) -> Response:
    """Answer about a run of Coze, by default one at work."""
    run = {"execute_id": "7431", "execute_status": "Running"} | fields
    return reply({"code": 0, "msg": "", "data": [run]})


def chat_answer(**fields: object) -> Response:
    """Answer about a chat, by default one at work."""
    chat = {"id": "7382", "conversation_id": "7381", "bot_id": "7379", "status": "in_progress"}
    return reply({"code": 0, "msg": "", "data": chat | fields})


def copyai_answer(**fields: object) -> Response:
    """Answer about a run of Copy.ai, by default one without a word."""
    return reply({"status": "success", "data": {"id": "WRUN-1"} | fields})


Place: TypeAlias = tuple[str | int, ...]


def walk(value: object, here: Place = ()) -> Iterator[tuple[Place, object]]:
    """Yield each place inside a JSON value, and what stands there."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(cast("dict[str | int, object]", value).items())
    elif isinstance(value, list):
        inner = list(enumerate(cast("list[object]", value)))
    for name, each in inner:
        yield (*here, name), each
        yield from walk(each, (*here, name))


def sent(request: Request) -> tuple[str, str, Any]:
    """Return method, URL and decoded body of a request."""
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


def notes(error: BaseException) -> str:
    """Return what was noted on an error."""
    return "\n".join(getattr(error, "__notes__", []))
