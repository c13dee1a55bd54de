"""What Coze's client repeats, what it never repeats, and how it renews a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from asyncclient._http import Request, Response
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
)
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply

_GOOD = reply({"code": 0, "execute_id": "7431"})
_RUN = reply({"code": 0, "data": [{"execute_status": "Running"}]})
_HTML_502 = reply("<html>", status=502)
_REFUSED_TOKEN = reply({"code": 700012006, "msg": "access token invalid"}, status=401)

# Each operation that starts something, or moves it on.
_STARTS: dict[str, Callable[[Coze], Awaitable[object]]] = {
    "start_workflow": lambda coze: coze.start_workflow("7350"),
    "run_workflow": lambda coze: coze.run_workflow("7350"),
    "resume_workflow": lambda coze: coze.resume_workflow(
        "7350", event_id="1/2", interrupt_type=2, resume_data=""
    ),
    "start_copy": lambda coze: coze.start_copy("7530", entity_type="bot"),
    "start_chat": lambda coze: coze.start_chat("7379", user_id="ann"),
    "submit_tool_outputs": lambda coze: coze.submit_tool_outputs("1", "2", tool_outputs=[]),
}
_READS: dict[str, Callable[[Coze], Awaitable[object]]] = {
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
_AMBIGUOUS: dict[str, Callable[[], Response | Exception]] = {
    "timeout": lambda: RequestTimeout("no answer in time"),
    "reset": lambda: TransportError("the connection broke"),
    "connected and then lost": lambda: ConnectFailed("lost", sent=True),
    "HTML 502": lambda: _HTML_502,
    "HTML 504": lambda: reply("<html>", status=504),
    "500": lambda: reply("", status=500),
    "503": lambda: reply("", status=503),
    "408": lambda: reply("", status=408),
    "code 5000": lambda: reply({"code": 5000, "msg": ""}),
    "code 4013": lambda: reply({"code": 4013, "msg": ""}),
    "empty 200": lambda: reply(b""),
    "cut-off 200": lambda: reply(b'{"code":0,"execute_i'),
    "200 of another shape": lambda: reply(b'{"code":0,"data":[[]],"execute_id":[]}'),
}
_HARMLESS: dict[str, Callable[[], Response | Exception]] = {
    "refused connection": lambda: ConnectFailed("refused"),
    "429": lambda: reply("", status=429),
    "code 4009": lambda: reply({"code": 4009, "msg": ""}),
}


def _client(*script: Response | Exception, repeat: bool = False) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token="pat_1"), transport


# --- starts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", _AMBIGUOUS)
@pytest.mark.parametrize("start", _STARTS)
async def test_a_start_is_never_repeated_when_it_may_have_happened(start: str, fault: str) -> None:
    """One request, and an error that says that something may have been started."""
    coze, transport = _client(_AMBIGUOUS[fault](), repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await _STARTS[start](coze)
    assert caught.value.may_have_started
    assert "may have started" in "".join(caught.value.__notes__)
    assert len(transport.requests) == 1
    assert not transport.requests[0].idempotent


@pytest.mark.parametrize("fault", _HARMLESS)
async def test_a_start_is_repeated_when_it_certainly_did_not_happen(fault: str) -> None:
    """No connection, or refused for the rate: it is sent again, the same, and succeeds."""
    coze, transport = _client(_HARMLESS[fault](), _HARMLESS[fault](), _GOOD)
    assert (await coze.start_workflow("7350", {"topic": "tea"})).execute_id == "7431"
    assert len(transport.requests) == 3
    assert transport.requests[0] == transport.requests[2]


@pytest.mark.parametrize("fault", _HARMLESS)
@pytest.mark.parametrize("start", _STARTS)
async def test_a_start_that_certainly_did_not_happen_says_so(start: str, fault: str) -> None:
    """When the repeats are used up, the error does not warn of a second start."""
    coze, transport = _client(_HARMLESS[fault](), repeat=True)
    with pytest.raises((ConnectFailed, RateLimited)) as caught:
        await _STARTS[start](coze)
    assert not caught.value.may_have_started
    assert len(transport.requests) == 4


async def test_a_start_that_is_refused_for_good_is_not_repeated() -> None:
    """A refusal is neither repeated nor ambiguous."""
    coze, transport = _client(reply({"code": 6003, "msg": "premium feature"}), repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await coze.start_workflow("7350")
    assert not caught.value.may_have_started
    assert len(transport.requests) == 1


@pytest.mark.parametrize("operation", [*_STARTS, *_READS])
async def test_every_operation_reads_a_refusal(operation: str) -> None:
    """Whatever shape its good answer has, code 4101 in HTTP 200 is a refusal, asked once."""
    coze, transport = _client(reply({"code": 4101, "msg": "not yours"}), repeat=True)
    with pytest.raises(PermissionDenied, match="not yours") as caught:
        await (_STARTS | _READS)[operation](coze)
    assert not caught.value.may_have_started
    assert [request.name for request in transport.requests] == [f"coze.{operation}"]


# --- reads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*_AMBIGUOUS, *_HARMLESS])
@pytest.mark.parametrize("read", _READS)
async def test_a_read_is_repeated_a_bounded_number_of_times(read: str, fault: str) -> None:
    """Three repeats by default, in less than half a minute, with the last fault as the error."""
    entry = (_AMBIGUOUS | _HARMLESS)[fault]()
    coze, transport = _client(entry, repeat=True)
    began = anyio.current_time()
    with pytest.raises(AsyncClientError) as caught:
        await _READS[read](coze)
    assert len(transport.requests) == 4
    assert 0 < anyio.current_time() - began < 30
    assert not caught.value.may_have_started
    assert transport.requests[0] == transport.requests[3]


@pytest.mark.parametrize("fault", [*_AMBIGUOUS, *_HARMLESS])
async def test_a_read_survives_a_fault_that_passes(fault: str) -> None:
    """One fault, then the answer: the caller sees only the answer."""
    coze, transport = _client((_AMBIGUOUS | _HARMLESS)[fault](), _RUN)
    assert (await coze.get_workflow_run("7350", "7431")).execute_status == "Running"
    assert len(transport.requests) == 2


@pytest.mark.parametrize(("max_retries", "requests"), [(0, 1), (1, 2), (5, 6)])
async def test_the_number_of_repeats_is_the_callers(max_retries: int, requests: int) -> None:
    """`max_retries` is the number of repeats, none included."""
    transport = ScriptedTransport([_HTML_502], repeat=True)
    coze = Coze(transport, token="pat_1", max_retries=max_retries)
    with pytest.raises(ServerError):
        await coze.get_bot("1")
    assert len(transport.requests) == requests


async def test_repeats_wait_for_what_the_server_asks() -> None:
    """`Retry-After: 7` puts the repeat off by seven seconds, and little more."""
    coze, transport = _client(reply("", status=429, headers={"Retry-After": "7"}), _RUN)
    await coze.get_workflow_run("7350", "7431")
    first, second = transport.times
    assert 7 <= second - first <= 7.7


async def test_a_hint_longer_than_a_call_is_worth_ends_it_at_once() -> None:
    """No one who awaits one answer is made to wait an hour: the error has the hint."""
    coze, transport = _client(reply("", status=503, headers={"Retry-After": "3600"}), repeat=True)
    with pytest.raises(ServerError) as caught:
        await coze.get_bot("1")
    assert caught.value.retry_after == 3600
    assert len(transport.requests) == 1


async def test_a_permanent_fault_is_not_repeated() -> None:
    """A certificate that does not verify will not verify a second later."""
    coze, transport = _client(ConnectFailed("TLS failed", permanent=True), repeat=True)
    with pytest.raises(ConnectFailed):
        await coze.get_bot("1")
    assert len(transport.requests) == 1


async def test_an_answer_that_never_decodes_is_shown() -> None:
    """After the repeats, the error says the status, the place and the beginning of the body."""
    coze, _ = _client(reply({"code": 0, "data": {"items": "none"}}), repeat=True)
    with pytest.raises(DecodeError, match="none") as caught:
        await coze.list_bots("1")
    assert (caught.value.path, caught.value.status) == ("$.data.items", 200)
    assert caught.value.excerpt.startswith('{"code":0')


# --- tokens -------------------------------------------------------------------------------------


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


def _bearers(transport: ScriptedTransport) -> list[str]:
    return [request.headers["Authorization"] for request in transport.requests]


async def test_a_token_function_is_called_for_each_request() -> None:
    """This request has what it returns then."""
    tokens = _Tokens()
    transport = ScriptedTransport([_RUN], repeat=True)
    coze = Coze(transport, token=tokens)
    await coze.get_workflow_run("7350", "7431")
    await coze.workflow_run("7350", "7431").poll()
    assert _bearers(transport) == ["Bearer tok-1", "Bearer tok-2"]
    assert tokens.forgotten == []


async def test_making_clients_and_handles_asks_for_no_token() -> None:
    """No I/O happens before the first request."""
    tokens = _Tokens()
    coze = Coze(ScriptedTransport(), token=tokens)
    coze.workflow_run("7350", "7431")
    assert tokens.given == 0


@pytest.mark.parametrize(
    "refusal",
    [_REFUSED_TOKEN, reply({"code": 4101, "msg": "The token you entered is incorrect."})],
    ids=["HTTP 401", "HTTP 200"],
)
async def test_a_refused_token_is_forgotten_and_renewed_once(refusal: Response) -> None:
    """The source learns which token was refused, and the request is sent with the next one."""
    tokens = _Tokens()
    transport = ScriptedTransport([refusal, _GOOD])
    run = await Coze(transport, token=tokens).start_workflow("7350")
    assert run.execute_id == "7431"
    assert _bearers(transport) == ["Bearer tok-1", "Bearer tok-2"]
    assert tokens.forgotten == ["tok-1"]


async def test_a_token_that_is_refused_again_is_an_error_at_once() -> None:
    """There is one renewal for a request, not a loop of them."""
    tokens = _Tokens()
    transport = ScriptedTransport([_REFUSED_TOKEN], repeat=True)
    with pytest.raises(AuthenticationFailed):
        await Coze(transport, token=tokens).get_bot("1")
    assert len(transport.requests) == 2
    assert tokens.given == 2


async def test_a_token_function_need_not_know_how_to_forget() -> None:
    """A plain async function is asked again after a refusal."""
    answers = iter(["old", "new"])

    async def token() -> str:
        return next(answers)

    transport = ScriptedTransport([_REFUSED_TOKEN, _RUN])
    await Coze(transport, token=token).get_workflow_run("7350", "7431")
    assert _bearers(transport) == ["Bearer old", "Bearer new"]


async def test_a_fixed_token_that_is_refused_is_not_tried_again() -> None:
    """Text cannot be renewed: one request, one error."""
    coze, transport = _client(_REFUSED_TOKEN, repeat=True)
    with pytest.raises(AuthenticationFailed):
        await coze.get_bot("1")
    assert len(transport.requests) == 1


async def test_a_token_is_asked_for_again_on_each_repeat() -> None:
    """A request that is repeated after a fault has the token of that moment."""
    tokens = _Tokens()
    transport = ScriptedTransport([_HTML_502, _RUN])
    await Coze(transport, token=tokens).get_workflow_run("7350", "7431")
    assert _bearers(transport) == ["Bearer tok-1", "Bearer tok-2"]


async def test_a_fault_of_the_callers_token_function_is_the_callers() -> None:
    """What the function raises comes out as it is, and nothing is sent."""

    async def token() -> str:
        raise LookupError("no token in the vault")

    transport = ScriptedTransport()
    with pytest.raises(LookupError, match="vault"):
        await Coze(transport, token=token).get_bot("1")
    assert transport.requests == []


def _is_start(request: Request) -> bool:
    return request.target == "/v1/workflow/run"


async def test_a_start_that_was_refused_for_its_token_is_sent_again() -> None:
    """Nothing was started by the refused one, so a renewed token starts it exactly once."""
    tokens = _Tokens()
    transport = ScriptedTransport([_REFUSED_TOKEN, _HTML_502], repeat=True)
    with pytest.raises(ServerError) as caught:
        await Coze(transport, token=tokens).start_workflow("7350")
    assert caught.value.may_have_started
    assert [_is_start(request) for request in transport.requests] == [True, True]
