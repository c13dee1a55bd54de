"""What both clients repeat, what they never repeat, and how they renew a token.

Which errors are repeated, and when, is tested in `tests/http/test_repeat.py` and
`tests/sockets/test_call.py`: here, which operations are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest

from asyncclient._http import Response
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    ServerError,
    TransportError,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import (
    RECORDED,
    RUNS,
    STARTED,
    both,
    client_of,
    coze,
    notes,
    scripted,
    sent,
)

C = TypeVar("C")
Call = Callable[[C], Awaitable[object]]

_HOOK = "https://example.com/x"
# Each operation that starts something, or moves it on.
_STARTS: dict[str, Call[Coze]] = {
    "start_workflow": lambda coze: coze.start_workflow("7350"),
    "run_workflow": lambda coze: coze.run_workflow("7350"),
    "resume_workflow": lambda coze: coze.resume_workflow(
        "7350", event_id="1/2", interrupt_type=2, resume_data=""
    ),
    "start_copy": lambda coze: coze.start_copy("7530", entity_type="bot"),
    "start_chat": lambda coze: coze.start_chat("7379", user_id="ann"),
    "submit_tool_outputs": lambda coze: coze.submit_tool_outputs("1", "2", tool_outputs=[]),
}
_READS: dict[str, Call[Coze]] = {
    "get_workflow_run": lambda coze: coze.get_workflow_run("7350", "7431"),
    "get_node_output": lambda coze: coze.get_node_output("7350", "7431", "63c7"),
    "list_bots": lambda coze: coze.list_bots("5123"),
    "get_bot": lambda coze: coze.get_bot("7379"),
    "get_copy_task": lambda coze: coze.get_copy_task("123e4"),
    "get_chat": lambda coze: coze.get_chat("1", "2"),
    "list_chat_messages": lambda coze: coze.list_chat_messages("1", "2"),
    # Cancelling twice does no more than cancelling once.
    "cancel_chat": lambda coze: coze.cancel_chat("1", "2"),
}
_COPYAI_STARTS: dict[str, Call[CopyAI]] = {
    "start_workflow": lambda copyai: copyai.start_workflow("W"),
    # A second registration would deliver everything twice.
    "register_webhook": lambda copyai: copyai.register_webhook(
        _HOOK, event_type="workflowRun.failed"
    ),
}
_COPYAI_READS: dict[str, Call[CopyAI]] = {
    "get_workflow_run": lambda copyai: copyai.get_workflow_run("W", "R"),
    "list_workflow_runs": lambda copyai: copyai.list_workflow_runs("W"),
    "get_webhook": lambda copyai: copyai.get_webhook("WHK-1"),
    "list_webhooks": lambda copyai: copyai.list_webhooks(),
    # Deleting twice deletes once.
    "delete_webhook": lambda copyai: copyai.delete_webhook("WHK-1"),
}
Operation = tuple[str, str]
_ALL_STARTS = [("coze", name) for name in _STARTS] + [("copyai", name) for name in _COPYAI_STARTS]
_ALL_READS = [("coze", name) for name in _READS] + [("copyai", name) for name in _COPYAI_READS]

every_start = pytest.mark.parametrize("operation", _ALL_STARTS, ids=".".join)
every_read = pytest.mark.parametrize("operation", _ALL_READS, ids=".".join)
every_operation = pytest.mark.parametrize("operation", _ALL_STARTS + _ALL_READS, ids=".".join)


async def _call(operation: Operation, transport: ScriptedTransport) -> None:
    provider, name = operation
    client = client_of(provider, transport)
    if isinstance(client, Coze):
        await (_STARTS | _READS)[name](client)
    else:
        await (_COPYAI_STARTS | _COPYAI_READS)[name](client)


_AMBIGUOUS: dict[str, Callable[[], Response | Exception]] = {
    "timeout": lambda: RequestTimeout("no answer in time"),
    "reset": lambda: TransportError("the connection broke"),
    "connected and then lost": lambda: ConnectFailed("lost", sent=True),
    "HTML 502": lambda: reply("<html>", status=502),
    "cut-off 200": lambda: reply(b'{"code":0,"status":"succ'),
    "200 of another shape": lambda: reply(b'{"code":0,"data":[[]],"execute_id":[]}'),
}
_HARMLESS: dict[str, Callable[[], Response | Exception]] = {
    "refused connection": lambda: ConnectFailed("refused"),
    "429": lambda: reply("", status=429),
}


# --- operations ---------------------------------------------------------------------------------


@every_start
@pytest.mark.parametrize("fault", ["reset", "HTML 502"])
async def test_no_start_is_repeated_when_it_may_have_happened(
    operation: Operation, fault: str
) -> None:
    """One request, and an error that says that something may have been started."""
    transport = ScriptedTransport([_AMBIGUOUS[fault]()], repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await _call(operation, transport)
    assert caught.value.may_have_started
    assert "may have started" in notes(caught.value)
    (request,) = transport.requests
    assert not request.idempotent


@every_start
async def test_each_start_is_repeated_when_it_certainly_did_not_happen(
    operation: Operation,
) -> None:
    """It is sent again, the same; when the repeats are used up, there is no warning."""
    transport = ScriptedTransport([ConnectFailed("refused")], repeat=True)
    with pytest.raises(ConnectFailed) as caught:
        await _call(operation, transport)
    assert not caught.value.may_have_started
    assert notes(caught.value) == ""
    assert transport.requests == transport.requests[:1] * 4


@every_read
async def test_each_read_is_repeated_a_bounded_number_of_times(operation: Operation) -> None:
    """Three repeats by default, in less than half a minute, with the last fault as the error."""
    transport = ScriptedTransport([reply("", status=503)], repeat=True)
    began = anyio.current_time()
    with pytest.raises(ServerError) as caught:
        await _call(operation, transport)
    assert 0 < anyio.current_time() - began < 30
    assert not caught.value.may_have_started
    assert transport.requests == transport.requests[:1] * 4


@every_operation
async def test_every_operation_reads_a_refusal(operation: Operation) -> None:
    """Each reads a code in HTTP 200, in any shape of its good answer, and is sent once."""
    provider, name = operation
    refusal, kind = {
        "coze": (reply({"code": 4101, "msg": "not yours"}), PermissionDenied),
        "copyai": (reply(RECORDED["copyai/answers/error.not_found.json"]), NotFound),
    }[provider]
    transport = ScriptedTransport([refusal], repeat=True)
    with pytest.raises(kind) as caught:
        await _call(operation, transport)
    assert not caught.value.may_have_started
    assert [request.name for request in transport.requests] == [f"{provider}.{name}"]
    for status, kind in ((401, AuthenticationFailed), (422, InvalidRequest)):
        with pytest.raises(kind):
            await _call(operation, ScriptedTransport([reply("", status=status)]))


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", _AMBIGUOUS)
@both
async def test_a_start_in_doubt_is_not_sent_again_and_a_read_is(provider: str, fault: str) -> None:
    """The same fault is a warning for the one, and a repeat for the other."""
    client, transport = scripted(provider, _AMBIGUOUS[fault](), repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await client.start_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1
    client, transport = scripted(provider, _AMBIGUOUS[fault](), RUNS[provider])
    await client.get_workflow_run("7350", "7431")
    assert len(transport.requests) == 2


@pytest.mark.parametrize("fault", _HARMLESS)
@both
async def test_a_start_that_did_not_happen_is_sent_again_as_the_same(
    provider: str, fault: str
) -> None:
    """It has the same body, with the same marker at Copy.ai, and succeeds."""
    client, transport = scripted(provider, _HARMLESS[fault](), _HARMLESS[fault](), STARTED)
    await client.start_workflow("7350", {"topic": "tea"})
    assert transport.requests == transport.requests[:1] * 3
    assert "tea" in str(sent(transport.requests[0]))


async def test_an_answer_that_never_decodes_is_shown() -> None:
    """After the repeats, the error says the status, the place and the beginning of the body."""
    client, _ = coze(reply({"code": 0, "data": {"items": "none"}}), repeat=True)
    with pytest.raises(DecodeError, match="none") as caught:
        await client.list_bots("1")
    assert (caught.value.path, caught.value.status) == ("$.data.items", 200)
    assert caught.value.excerpt.startswith('{"code":0')


# --- tokens -------------------------------------------------------------------------------------

_REFUSED = reply("", status=401)


class _Tokens:
    """A source of tokens that counts: tok-1, tok-2, …, and remembers what was refused."""

    def __init__(self) -> None:
        self.given = 0
        self.forgotten: list[str] = []

    async def __call__(self) -> str:
        await anyio.sleep(0.1)
        self.given += 1
        return f"tok-{self.given}"

    def forget(self, token: str) -> None:
        self.forgotten.append(token)


def _tokens_sent(transport: ScriptedTransport) -> list[str]:
    """Return the token that each request had."""
    headers = [request.headers for request in transport.requests]
    return [
        one.get("x-copy-ai-api-key") or one["Authorization"].removeprefix("Bearer ")
        for one in headers
    ]


@both
async def test_a_token_function_is_called_for_each_request_and_not_before(provider: str) -> None:
    """A repeat and a look have the token of that moment; handles are made without one."""
    tokens = _Tokens()
    script = [reply("<html>", status=502), RUNS[provider], RUNS[provider]]
    transport = ScriptedTransport(script)
    client = client_of(provider, transport, token=tokens)
    run = client.workflow_run("7350", "7431")
    assert tokens.given == 0
    await client.get_workflow_run("7350", "7431")
    await run.poll()
    assert _tokens_sent(transport) == ["tok-1", "tok-2", "tok-3"]
    assert tokens.forgotten == []


@pytest.mark.parametrize(
    "refusal",
    [_REFUSED, reply({"code": 4101, "msg": "The token is incorrect.", "status": "error"})],
    ids=["HTTP 401", "HTTP 200"],
)
async def test_a_refused_token_is_forgotten_and_renewed_once(refusal: Response) -> None:
    """Nothing was started by the refused request, so it is sent with the next token, once."""
    tokens = _Tokens()
    transport = ScriptedTransport([refusal, STARTED])
    await client_of("coze", transport, token=tokens).start_workflow("7350")
    assert _tokens_sent(transport) == ["tok-1", "tok-2"]
    assert tokens.forgotten == ["tok-1"]
    transport = ScriptedTransport([refusal], repeat=True)
    with pytest.raises(AuthenticationFailed):
        await client_of("coze", transport, token=tokens).start_workflow("7350")
    assert _tokens_sent(transport) == ["tok-3", "tok-4"]


@both
async def test_a_token_function_need_not_know_how_to_forget(provider: str) -> None:
    """A plain async function is asked again after a refusal."""
    answers = iter(["old", "new"])

    async def token() -> str:
        return next(answers)

    transport = ScriptedTransport([_REFUSED, RUNS[provider]])
    await client_of(provider, transport, token=token).get_workflow_run("7350", "7431")
    assert _tokens_sent(transport) == ["old", "new"]


@both
async def test_a_fixed_token_that_is_refused_is_not_tried_again(provider: str) -> None:
    """Text cannot be renewed: one request, one error."""
    client, transport = scripted(provider, _REFUSED, repeat=True)
    with pytest.raises(AuthenticationFailed):
        await client.get_workflow_run("7350", "7431")
    assert len(transport.requests) == 1


async def test_a_fault_of_the_callers_token_function_is_the_callers() -> None:
    """What the function raises comes out as it is, and nothing is sent."""

    async def token() -> str:
        raise LookupError("no token in the vault")

    transport = ScriptedTransport()
    with pytest.raises(LookupError, match="vault"):
        await client_of("coze", transport, token=token).get_workflow_run("7350", "7431")
    assert transport.requests == []


async def test_a_start_in_doubt_after_a_renewed_token_is_not_sent_again() -> None:
    """The refused request started nothing; the second may have."""
    transport = ScriptedTransport([_REFUSED, reply("<html>", status=502)], repeat=True)
    with pytest.raises(ServerError) as caught:
        await client_of("coze", transport, token=_Tokens()).start_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 2
