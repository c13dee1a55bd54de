"""Promises about what a provider's client shows and sends, whatever ids and answers it is given."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Awaitable, Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.pretty import pretty_repr

from asyncclient import SessionPool
from asyncclient.errors import AsyncClientError, AuthenticationFailed, NotFound
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.providers.coze._endpoints import Token
from asyncclient.testing import ScriptedTransport, reply

TOKEN = "s3cret-token-7f3a9c"

Ask = Callable[[str], Awaitable[object]]


def asks_of(transport: ScriptedTransport) -> dict[str, Ask]:
    """Return every call that puts an id into a path, as functions of that id."""
    coze = Coze(transport, token="t", max_retries=0)
    copyai = CopyAI(transport, api_key="k", max_retries=0)
    return {
        "coze run, workflow": lambda identity: coze.get_workflow_run(identity, "2"),
        "coze run": lambda identity: coze.get_workflow_run("1", identity),
        "coze node, workflow": lambda identity: coze.get_node_output(identity, "2", "3"),
        "coze node, run": lambda identity: coze.get_node_output("1", identity, "3"),
        "coze node": lambda identity: coze.get_node_output("1", "2", identity),
        "coze bot": coze.get_bot,
        "coze copy": coze.get_copy_task,
        "copyai start": copyai.start_workflow,
        "copyai run, workflow": lambda identity: copyai.get_workflow_run(identity, "R"),
        "copyai run": lambda identity: copyai.get_workflow_run("W", identity),
        "copyai runs": copyai.list_workflow_runs,
        "copyai webhook": copyai.get_webhook,
        "copyai webhook, deleted": copyai.delete_webhook,
    }


CALLS = [*asks_of(ScriptedTransport())]


async def target_of(call: str, identity: str) -> str:
    """Return the target of the one request that a call makes."""
    transport = ScriptedTransport([reply("", status=404)])
    with pytest.raises(NotFound):
        await asks_of(transport)[call](identity)
    (request,) = transport.requests
    return request.target


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("../W", "..%2FW"),
        ("a/b", "a%2Fb"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
    ],
)
async def test_an_id_stays_one_segment_of_the_path(call: str, given: str, quoted: str) -> None:
    """Whatever is in an id, the request's path has as many segments as with a plain one."""
    plain = await target_of(call, "PLAIN")
    assert "PLAIN" in plain
    assert await target_of(call, given) == plain.replace("PLAIN", quoted)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", "a\r\nX-Odd: 1", "a\x00b", " a", "x" * 257])
async def test_what_is_no_id_is_never_sent(call: str, bad: str) -> None:
    """What no path can have is refused by its name before anything is sent."""
    transport = ScriptedTransport()
    with pytest.raises(ValueError, match=r"_id|node_execute_uuid"):
        await asks_of(transport)[call](bad)
    assert transport.requests == []


def test_a_fetched_token_is_not_shown() -> None:
    """The answer that has a token prints without it, to rich too."""
    token = Token(TOKEN, 900)
    assert TOKEN not in f"{token!r} {token} {pretty_repr(token)} {[token]!r}"


async def test_a_source_of_tokens_does_not_show_the_one_in_use() -> None:
    """What hands out a service app's tokens prints without them, to rich too."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    transport = ScriptedTransport([reply({"access_token": TOKEN, "expires_in": 900})])
    credentials = CozeJWT("1117", "key-1", pem)
    source = credentials.source(transport, Coze.COM, allow_http=False)
    assert await source() == TOKEN
    sent = transport.requests[0].headers["Authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(sent)["kid"] == "key-1"
    for held in (source, credentials):
        shown = f"{held!r} {held} {pretty_repr(held)}"
        assert [each for each in (TOKEN, sent, pem.splitlines()[1]) if each in shown] == []


@pytest.mark.parametrize(
    "body",
    [{"code": 4100, "msg": f"token {TOKEN} is invalid"}, f"<h1>Authorization: Bearer {TOKEN}"],
    ids=["in a message", "on a page"],
)
@pytest.mark.parametrize("status", [200, 401, 503])
async def test_a_credential_that_an_answer_repeats_is_in_no_error(
    body: object, status: int
) -> None:
    """A provider may quote the token that it refuses, and a gateway's page the whole request."""
    transport = ScriptedTransport([reply(body, status=status)], repeat=True)
    coze = Coze(transport, token=TOKEN, max_retries=0)
    copyai = CopyAI(transport, api_key=TOKEN, max_retries=0)
    for ask in (coze.get_bot("1"), copyai.get_webhook("1"), copyai.start_workflow("1")):
        with pytest.raises(AsyncClientError) as caught:
            await ask
        error = caught.value
        report = "".join(traceback.format_exception(error))
        assert TOKEN not in f"{error} {error!r} {vars(error)!r} {report}"


async def test_a_short_word_is_not_taken_for_a_credential() -> None:
    """A token of a few letters would take all their likes out of every message."""
    transport = ScriptedTransport([reply({"code": 4100, "msg": "a token is bad"}, status=401)])
    with pytest.raises(AuthenticationFailed, match="a token is bad"):
        await Coze(transport, token="a").get_bot("1")


async def test_clients_and_credentials_are_not_pickled() -> None:
    """What holds a secret says so instead of writing it down; a reference is what travels."""
    async with SessionPool() as pool:
        coze, copyai = Coze(pool, token=TOKEN), CopyAI(pool, api_key=TOKEN)
        run = coze.workflow_run("1", "2")
        for held in (coze, run, copyai, CozeJWT("1", "2", "-----BEGIN PRIVATE KEY-----")):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(held)
        assert TOKEN.encode() not in pickle.dumps(run.ref)


async def test_a_key_that_cannot_be_used_is_in_no_frame_of_ours() -> None:
    """A reporter of errors that shows local variables does not show the private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    pem = key.private_bytes(*form, serialization.NoEncryption()).decode()
    coze = Coze(ScriptedTransport(), token=CozeJWT("1117", "key-1", pem))
    with pytest.raises(ValueError, match="RSA") as caught:
        await coze.get_bot("1")
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        name = frame.f_code.co_filename
        if "asyncclient" in name or "anyio" in name:
            assert pem.splitlines()[1] not in repr(frame.f_locals)
