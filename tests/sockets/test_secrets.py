"""Credentials show up nowhere: not in logs, reprs, errors, their causes, tracebacks or warnings."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from rich.pretty import pretty_repr

from asyncclient import (
    Poller,
    SessionPool,
    Task,
    Vocabulary,
    encode_ref,
    polling_task,
    wait_until_done,
)
from asyncclient._http import Request, Response
from asyncclient.errors import AsyncClientError, AuthenticationFailed, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply
from asyncclient.testing.pytest_plugin import virtual_time

if TYPE_CHECKING:
    from tests.sockets.conftest import Authority, Peer, Serve

pytestmark = virtual_time

# Each another, so that a failure says which one got out. The last is what a source of tokens gives.
SECRETS = {name: f"s3cret-{name}-0123456789abcdef" for name in ("token", "key", "sourced")}

Watch = Callable[[object], None]


async def sourced() -> str:
    """Give a token as a function does."""
    return SECRETS["sourced"]


def clients(pool: SessionPool, origin: str) -> list[Coze | CopyAI]:
    """Return clients with each kind of credential."""
    return [
        Coze(pool, token=SECRETS["token"], base_url=origin, max_retries=1),
        Coze(pool, token=sourced, base_url=origin, max_retries=1),
        CopyAI(pool, api_key=SECRETS["key"], base_url=origin, max_retries=1),
        CopyAI(pool, api_key=sourced, base_url=origin, max_retries=1),
    ]


WHO = ["coze", "coze, function", "copyai", "copyai, function"]


def check(where: str, text: str) -> None:
    """Fail if a secret is in a text."""
    for name, secret in SECRETS.items():
        assert secret not in text, f"the {name} is in {where}: {text}"


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the errors that these hold."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        each = left.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__cause__, each.__context__, *each.args, *vars(each).values()]


def check_error(error: BaseException) -> None:
    """Fail if a secret shows in anything that prints of an error, or hangs on it."""
    for each in chain_of(error):
        kind = type(each).__name__
        check(f"str of {kind}", str(each))
        check(f"repr of {kind}", repr(each))
        check(f"rich's repr of {kind}", pretty_repr(each))
        for name, value in vars(each).items():
            check(f"{kind}.{name}", f"{value!s} {value!r} {pretty_repr(value)}")
    check("the traceback", "".join(traceback.format_exception(error)))


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Log all that can be logged, and look through it after the test."""
    names = ("", "asyncio", "aiohttp", "aiohttp.client", "anyio", "asyncclient", "concurrent")
    for name in names:
        caplog.set_level(1, logger=name or None)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    # `caplog.records` and `.text` are those of the phase that runs: by now, of the teardown.
    for record in (*caplog.get_records("setup"), *caplog.get_records("call")):
        formatted = caplog.handler.format(record)
        check(f"a log of {record.name}", f"{formatted} {record.args!r} {vars(record)!r}")
    for warning in warned:
        check("a warning", f"{warning.message!s} {warning.message!r} {warning.source!r}")


async def wait_for_run(client: Coze | CopyAI) -> object:
    """Wait for a run of a client's."""
    if isinstance(client, Coze):
        return await wait_until_done(client.workflow_run("1", "2"), timeout=40)
    return await wait_until_done(client.workflow_run("1", "2"), timeout=40)


def every_way(client: Coze | CopyAI) -> list[Callable[[], Awaitable[object]]]:
    """Return a read, a start and a wait of a client."""

    async def read() -> object:
        return await client.get_workflow_run("1", "2")

    async def start() -> object:
        return await client.start_workflow("1", {"topic": "tea"})

    return [read, start, lambda: wait_for_run(client)]


VICES = [
    "reset",
    "close",
    "half",
    "garbage",
    "stall",
    "redirect",
    "unauthorized",
    "forbidden",
    "missing",
    "limited",
    "down",
    "html",
    "another shape",
    "too long",
]


@pytest.mark.parametrize("vice", VICES)
async def test_no_failure_shows_a_credential(serve: Serve, vice: str) -> None:
    """However a request fails, no credential is in its error or in what was logged."""
    answers = {
        "redirect": ("302 Found", b"", b"Location: https://example.com/\r\n"),
        "unauthorized": ("401 Unauthorized", b'{"code": 4100, "msg": "bad"}', b""),
        "forbidden": ("403 Forbidden", b'{"code": 4101, "msg": "no"}', b""),
        "missing": ("404 Not Found", b"{}", b""),
        "limited": ("429 Too Many Requests", b"{}", b"Retry-After: 1\r\n"),
        "down": ("503 Service Unavailable", b"{}", b""),
        "html": ("200 OK", b"<html>", b""),
        "another shape": ("200 OK", b'{"code": 0, "data": "?", "status": 1}', b""),
        "too long": ("200 OK", bytes(5000), b""),
    }

    async def vicious(peer: Peer) -> None:
        while True:
            await peer.asked()
            if await peer.break_off(vice):
                return
            status, body, headers = answers[vice]
            await peer.answer(body, status=status, headers=headers)

    server = await serve(vicious)
    async with SessionPool(max_body=4096) as pool:
        for client in clients(pool, server.origin):
            for ask in every_way(client):
                with pytest.raises(AsyncClientError) as caught:
                    await ask()
                check_error(caught.value)
    sent = b"".join(asked.head for asked in server.asked).decode()
    assert all(secret in sent for secret in SECRETS.values())


@pytest.mark.parametrize("which", range(4), ids=WHO)
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "503 Service Unavailable"])
async def test_no_credential_is_logged_at_any_level(
    serve: Serve, caplog: pytest.LogCaptureFixture, status: str, which: int
) -> None:
    """Reads, starts and waits, good and bad, log no credential, nor do those who log an error."""

    async def answering(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(b'{"code": 0, "data": [{}], "status": "?"}', status=status)

    server = await serve(answering)
    async with SessionPool() as pool, Poller() as poller:
        client = clients(pool, server.origin)[which]
        run: Task[object] = client.workflow_run("1", "2")
        ways = every_way(client)
        ways.append(lambda: poller.wait(run, timeout=20))
        for ask in ways:
            try:
                await ask()
            except AsyncClientError:
                logging.getLogger("asyncclient.test").debug("it failed", exc_info=True)
    sent = b"".join(asked.head for asked in server.asked).decode()
    assert SECRETS[("token", "sourced", "key", "sourced")[which]] in sent
    assert "asyncclient.test" in {record.name for record in caplog.records}


@pytest.mark.parametrize("vice", ["refused", "unknown host", "bad certificate", "no TLS"])
async def test_no_failed_connection_shows_a_credential(
    serve: Serve, authority: Authority, refusing: str, vice: str
) -> None:
    """However a connection fails, no credential is in its error or in what was logged."""

    async def closing(peer: Peer) -> None:
        await peer.hello()

    origin = {
        "refused": refusing,
        "unknown host": "https://does-not-exist.invalid",
        "bad certificate": (await serve(closing, authority.server())).origin,
        "no TLS": (await serve(closing)).origin.replace("http:", "https:"),
    }[vice]
    async with SessionPool() as pool:
        for client in clients(pool, origin):
            with pytest.raises(AsyncClientError) as caught:
                await client.get_workflow_run("1", "2")
            check_error(caught.value)


@pytest.mark.parametrize(
    "vice",
    ["refused", "certificate", "reset", "close", "half", "garbage", "stall", "too long", "closing"],
)
async def test_no_error_of_aiohttp_hangs_on_ours(
    serve: Serve, authority: Authority, refusing: str, vice: str
) -> None:
    """An error of aiohttp holds the request's headers: it is neither cause nor context of ours.

    Nor are they in its words.
    """

    async def vicious(peer: Peer) -> None:
        if vice == "certificate":
            await peer.hello()
            return
        await peer.asked()
        if vice == "too long":
            await peer.answer(bytes(5000))
        elif not await peer.break_off(vice):
            await peer.until_left()

    server = await serve(vicious, authority.server() if vice == "certificate" else None)
    if vice == "refused":
        server.origin = refusing
    async with SessionPool(max_body=4096, request_timeout=2) as pool:
        headers = {"Authorization": SECRETS["token"]}
        request = msgspec.structs.replace(server.get(), headers=headers)
        asking = asyncio.ensure_future(pool.exchange(request))
        if vice == "closing":
            await server.was_asked()
            await pool.aclose()
        with pytest.raises(TransportError) as caught:
            await asking
    for each in chain_of(caught.value):
        assert not type(each).__module__.startswith("aiohttp"), repr(each)
        assert not hasattr(each, "request_info")
    check_error(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_wait_that_runs_out_of_time_shows_no_credential(serve: Serve) -> None:
    """Neither a wait's own timeout nor what it says of failed polls shows a credential."""

    async def flaky(peer: Peer) -> None:
        if peer.number % 2:
            await peer.asked()
            peer.reset()
        await peer.asked()
        await peer.answer(b'{"code": 0, "data": [{"execute_status": "Odd"}]}')

    server = await serve(flaky)
    async with SessionPool() as pool:
        for client in clients(pool, server.origin)[:2]:
            with pytest.raises(TimeoutError) as caught:
                await wait_for_run(client)
            check_error(caught.value)


async def test_cancelling_and_closing_show_no_credential(serve: Serve) -> None:
    """A cancelled request, and one whose pool was closed, show no credential."""

    async def silent(peer: Peer) -> None:
        await peer.asked()
        await peer.until_left()

    server = await serve(silent)
    pool = SessionPool()
    tasks = [
        asyncio.ensure_future(ask())
        for client in clients(pool, server.origin)
        for ask in every_way(client)
    ]
    await server.was_asked(len(tasks))
    for task in tasks:
        check("a task's repr", repr(task))
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    await pool.aclose()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(end, BaseException)
        check_error(end)


async def test_a_forgotten_request_shows_no_credential(serve: Serve) -> None:
    """What the loop reports of a request that no one awaits shows no credential."""

    async def redirecting(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(b"", status="302 Found")

    server = await serve(redirecting)
    reports: list[str] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reports.append(repr(context))
        check_error(context["exception"])

    asyncio.get_running_loop().set_exception_handler(report)
    async with SessionPool() as pool:
        tasks = [
            asyncio.ensure_future(client.get_workflow_run("1", "2"))
            for client in clients(pool, server.origin)
        ]
        await asyncio.wait(tasks)
        del tasks
        gc.collect()
        await anyio.lowlevel.checkpoint()
    assert len(reports) == 4
    check("the loop's report", "".join(reports))


async def test_no_repr_shows_a_credential(serve: Serve) -> None:
    """Nothing that a user holds, prints or stores shows a credential, not even to rich."""

    async def good(peer: Peer) -> None:
        while True:
            coze = (await peer.asked()).target.startswith(b"/v1/")
            await peer.answer(
                b'{"code": 0, "execute_id": "9"}' if coze else b'{"data": {"id": "R"}}'
            )

    server = await serve(good)
    async with SessionPool() as pool:
        held: list[object] = [pool]
        for client in clients(pool, server.origin):
            run = await client.start_workflow("1")
            held += [client, client.get_workflow_run, run, run.poll, run.key, run.kind]
            assert run.ref is not None
            held += [run.ref, encode_ref(run.ref), client.task(run.ref)]
        for each in held:
            check("a repr", f"{each!r} {each!s} {pretty_repr(each)}")


async def test_a_request_shows_no_header() -> None:
    """A request and an answer, which custom transports see and may log, print no header."""
    headers = {"Authorization": f"Bearer {SECRETS['token']}", "Set-Cookie": SECRETS["key"]}
    request = Request(name="n", method="GET", origin="https://x", target="/y", headers=headers)
    for each in (request, Response(200, headers, b"{}")):
        check("a repr", f"{each!r} {each!s} {pretty_repr(each)} {[each]!r}")


@pytest.mark.parametrize(
    "body",
    [
        {"code": 4100, "msg": f"token {SECRETS['token']} is invalid"},
        f"<h1>Authorization: Bearer {SECRETS['token']}",
    ],
    ids=["in a message", "on a page"],
)
@pytest.mark.parametrize("status", [200, 401, 503])
async def test_a_credential_that_an_answer_repeats_is_in_no_error(
    body: object, status: int
) -> None:
    """A provider may quote the token that it refuses, and a gateway's page the whole request."""
    transport = ScriptedTransport([reply(body, status=status)], repeat=True)
    coze = Coze(transport, token=SECRETS["token"], max_retries=0)
    copyai = CopyAI(transport, api_key=SECRETS["token"], max_retries=0)
    for ask in (coze.get_bot("1"), copyai.get_webhook("1"), copyai.start_workflow("1")):
        with pytest.raises(AsyncClientError) as caught:
            await ask
        check_error(caught.value)


async def test_a_short_word_is_not_taken_for_a_credential() -> None:
    """A token of a few letters would take all their likes out of every message."""
    transport = ScriptedTransport([reply({"code": 4100, "msg": "a token is bad"}, status=401)])
    with pytest.raises(AuthenticationFailed, match="a token is bad"):
        await Coze(transport, token="a").get_bot("1")


async def test_clients_and_credentials_are_not_pickled() -> None:
    """What holds a secret says so instead of writing it down; a reference is what travels."""
    async with SessionPool() as pool:
        token = SECRETS["token"]
        coze, copyai = Coze(pool, token=token), CopyAI(pool, api_key=token)
        run = coze.workflow_run("1", "2")
        for held in (coze, run, copyai, CozeJWT("1", "2", "-----BEGIN PRIVATE KEY-----")):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(held)
        assert token.encode() not in pickle.dumps(run.ref)


@pytest.mark.parametrize("bad", ["\n", " ", "\x7f", "ü"])
async def test_a_refused_credential_is_not_repeated(serve: Serve, bad: str) -> None:
    """A credential that a header cannot have is refused before it is sent, and is not shown."""

    async def silent(peer: Peer) -> None:
        await peer.asked()

    server = await serve(silent)
    token = f"{SECRETS['token']}{bad}"

    async def source() -> str:
        return token

    async with SessionPool() as pool:
        for make in (
            lambda: Coze(pool, token=token, base_url=server.origin),
            lambda: CopyAI(pool, api_key=token, base_url=server.origin),
        ):
            with pytest.raises(ValueError, match=r"token|api_key") as caught:
                make()
            check_error(caught.value)
        with pytest.raises(ValueError, match="token") as caught:
            await Coze(pool, token=source, base_url=server.origin).get_workflow_run("1", "2")
        check_error(caught.value)
    assert server.accepted == 0


async def test_a_failing_source_of_tokens_shows_no_other_token(serve: Serve) -> None:
    """When a token is refused and no new one can be had, the old one is not shown."""

    async def refusing(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(b"{}", status="401 Unauthorized")

    given: list[str] = []

    async def source() -> str:
        if given:
            message = "the vault is shut"
            raise ConnectionError(message)
        given.append(SECRETS["sourced"])
        return SECRETS["sourced"]

    server = await serve(refusing)
    async with SessionPool() as pool:
        coze = Coze(pool, token=source, base_url=server.origin)
        with pytest.raises(ConnectionError, match="the vault is shut") as caught:
            await coze.get_workflow_run("1", "2")
        check_error(caught.value)


@pytest.mark.parametrize("kind", ["text", "function"])
async def test_the_frames_of_a_failed_request_show_no_credential(serve: Serve, kind: str) -> None:
    """A traceback with locals, as rich and pytest print them, shows no token in our frames."""

    async def redirecting(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(b"", status="302 Found")

    server = await serve(redirecting)
    async with SessionPool() as pool:
        for client in clients(pool, server.origin)[kind == "function" :: 2]:
            for ask in every_way(client):
                with pytest.raises(AsyncClientError) as caught:
                    await ask()
                for frame, _ in traceback.walk_tb(caught.value.__traceback__):
                    if "asyncclient" in frame.f_code.co_filename.split("/"):
                        for name, value in frame.f_locals.items():
                            check(f"local {name}", f"{value!r} {pretty_repr(value)}")


async def test_a_task_of_ones_own_keeps_its_own_secrets(serve: Serve) -> None:
    """What the user's own fetch raises is passed on, and nothing of ours is added to it."""

    async def fetch() -> str:
        message = "mine"
        raise PermissionError(message)

    server = await serve(lambda peer: peer.until_left())
    words = Vocabulary(succeeded="ok", failed="no")
    task = polling_task(fetch, vocabulary=words, status=str, key=server.origin)
    with pytest.raises(PermissionError, match="mine") as caught:
        await wait_until_done(task, timeout=5)
    check_error(caught.value)
