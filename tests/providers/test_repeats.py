"""What both clients repeat, what they never repeat, and how they renew a token.

Which errors are repeated, and when, is tested in `tests/http/test_repeat.py` and
`tests/http/test_call.py`: here, which operations are.
"""

from __future__ import annotations

import re

import anyio
import pytest

from asyncclient import errors
from asyncclient._http import Response
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import (
    READS,
    RECORDED,
    RUNS,
    STARTED,
    STARTS,
    both,
    client_of,
    notes,
    scripted,
)

# What the error of a start in doubt says of how to find out.
_ADVICE = {
    "coze.start_workflow": "no list of runs.*execute_id",
    "coze.run_workflow": "no list of runs.*execute_id",
    "coze.resume_workflow": "poll the run.*event_id",
    "coze.start_copy": r"iter_bots\(workspace_id, publish_status='all'\)",
    "coze.start_chat": "code 4016",
    "coze.submit_tool_outputs": "poll the chat.*requires_action",
    "copyai.start_workflow": r"find_started\('WCFG-1'",
    "copyai.register_webhook": r"list_webhooks\(\)",
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "fault", [errors.TransportError("reset"), reply(b"")], ids=["reset", "empty 200"]
)
async def test_no_start_is_repeated_when_it_may_have_happened(
    start: str, fault: Response | Exception
) -> None:
    """One request; the error says that something may have been started, and where to look."""
    transport = ScriptedTransport([fault], repeat=True)
    with pytest.raises((errors.TransportError, errors.DecodeError)) as caught:
        await STARTS[start](transport)
    assert caught.value.may_have_started
    assert "may have started" in notes(caught.value)
    assert re.search(_ADVICE[start], notes(caught.value))
    (request,) = transport.requests
    assert not request.idempotent


@pytest.mark.parametrize("start", STARTS)
async def test_each_start_is_repeated_when_it_certainly_did_not_happen(start: str) -> None:
    """It is sent again, the same; when the repeats are used up, there is no warning."""
    transport = ScriptedTransport([errors.ConnectFailed("refused")], repeat=True)
    with pytest.raises(errors.ConnectFailed) as caught:
        await STARTS[start](transport)
    assert not caught.value.may_have_started
    assert notes(caught.value) == ""
    assert transport.requests == transport.requests[:1] * 4


@pytest.mark.parametrize("read", READS)
async def test_each_read_is_repeated_a_bounded_number_of_times(read: str) -> None:
    """Three repeats by default, in less than half a minute, with the last fault as the error."""
    transport = ScriptedTransport([reply("", status=503)], repeat=True)
    began = anyio.current_time()
    with pytest.raises(errors.ServerError) as caught:
        await READS[read](transport)
    assert 0 < anyio.current_time() - began < 30
    assert not caught.value.may_have_started
    assert transport.requests == transport.requests[:1] * 4


_IN_200 = {
    "coze": reply({"code": 4101, "msg": "not yours"}),
    "copyai": reply(RECORDED["copyai/answers/error.not_found.json"]),
}


@pytest.mark.parametrize("operation", STARTS | READS)
async def test_every_operation_reads_a_refusal(operation: str) -> None:
    """A refusal in HTTP 200 or 422 is final, in each shape that a good answer has."""
    transport = ScriptedTransport([_IN_200[operation.partition(".")[0]]], repeat=True)
    with pytest.raises((errors.PermissionDenied, errors.NotFound)) as caught:
        await (STARTS | READS)[operation](transport)
    assert not caught.value.may_have_started
    assert notes(caught.value) == ""
    assert [request.name for request in transport.requests] == [operation]
    with pytest.raises(errors.InvalidRequest):
        await (STARTS | READS)[operation](ScriptedTransport([reply("", status=422)]))


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
    with pytest.raises(errors.AuthenticationFailed):
        await client_of("coze", transport, token=tokens).start_workflow("7350")
    assert _tokens_sent(transport) == ["tok-3", "tok-4"]


@both
async def test_a_fixed_token_that_is_refused_is_not_tried_again(provider: str) -> None:
    """Text cannot be renewed: one request, one error."""
    client, transport = scripted(provider, _REFUSED, repeat=True)
    with pytest.raises(errors.AuthenticationFailed):
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
    with pytest.raises(errors.ServerError) as caught:
        await client_of("coze", transport, token=_Tokens()).start_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 2
