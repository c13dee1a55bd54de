"""Tests of secrets: no log, repr, error, cause, traceback or warning shows a credential."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import traceback
import warnings
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.pretty import pretty_repr

from asyncclient import (
    Poller,
    Reading,
    SessionPool,
    Task,
    TaskAPI,
    Vocabulary,
    encode_ref,
    wait_until_done,
)
from asyncclient.errors import AsyncClientError, DecodeError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply
from asyncclient.testing.pytest_plugin import virtual_time
from tests.sockets.conftest import (
    UNKNOWN,
    Peer,
    Serve,
    answering,
    failure_of,
    good,
    request_to,
    silent,
)
from tests.wire import certificate, trusting

pytestmark = virtual_time

# All differ, so that a failure says which one got out. The last is what a source of tokens gives.
# They are longer than what a viewer of locals shows of a text, and any beginning of them counts.
SECRETS = {name: f"s3cret-{name}-{'0123456789abcdef' * 8}" for name in ("token", "key", "sourced")}
# A proxy's, as it is passed, and as it goes over the wire.
PASSWORD = f"s3cret-proxy-{'0123456789abcdef' * 8}"
HEADER = b64encode(f"ada:{PASSWORD}".encode()).decode()
HIDDEN = {**SECRETS, "proxy's password": PASSWORD, "proxy's header": HEADER}


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


def check(where: str, text: str) -> None:
    """Fail if a secret is in a text."""
    for name, secret in HIDDEN.items():
        assert secret[:16] not in text, f"the {name} is in {where}: {text}"


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
    """Fail if a secret shows in an error, in what it holds, or in its frames, and log it.

    An error of aiohttp holds the request's headers: it is neither cause nor context of ours. Of a
    traceback with locals, as rich and pytest print it, the frames of other packages count, too.
    """
    logging.getLogger("asyncclient.test").debug("it failed", exc_info=error)
    for each in chain_of(error):
        kind = type(each).__name__
        assert not type(each).__module__.startswith("aiohttp"), repr(each)
        assert not hasattr(each, "request_info")
        check(f"str of {kind}", str(each))
        check(f"repr of {kind}", repr(each))
        check(f"rich's repr of {kind}", pretty_repr(each))
        for name, value in vars(each).items():
            check(f"{kind}.{name}", f"{value!s} {value!r} {pretty_repr(value)}")
    check("the traceback", "".join(traceback.format_exception(error)))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "tests" not in frame.f_code.co_filename.split("/"):
            for name, value in frame.f_locals.items():
                check(f"local {name}", f"{value!r} {pretty_repr(value, max_string=80)}")


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


def every_way(client: Coze | CopyAI) -> list[Callable[[], Awaitable[object]]]:
    """Return a read, a start and both kinds of wait of a client, which look at what it holds."""
    handle = client.workflow_run("1", "2")
    run: Task[object] = handle

    async def read() -> object:
        return await client.get_workflow_run("1", "2")

    async def start() -> object:
        return await client.start_workflow("1", {"topic": "tea"})

    async def wait_with_others() -> object:
        async with Poller() as poller:
            try:
                return await poller.wait(run, timeout=5)
            finally:
                held = [client, handle, handle.poll, handle.key, handle.budget, handle.ref, poller]
                shown = pretty_repr([*held, poller.stats()])
                check("a repr", f"{held} {shown} {encode_ref(handle.ref)}")

    return [read, start, lambda: wait_until_done(run, timeout=40), wait_with_others]


# What the server sends before it closes the connection. Of other answers, those that repeat the
# credential in every spelling included: `tests/providers/test_repeated_credentials.py`.
BROKEN = {
    "closed": b"",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "garbage": b"\x00\x01 what?\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: https://example.com/\r\n\r\n",
    "too long": b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000),
    "strange word": b'HTTP/1.1 200 OK\r\n\r\n{"code": 0, "data": [{"execute_status": "?"}]}',
}
NOT_SENT = ["refused", "unknown host", "bad certificate", "no TLS"]


@pytest.mark.parametrize("vice", [*NOT_SENT, "reset", "stall", *BROKEN])
async def test_no_failure_shows_a_credential(
    serve: Serve, refusing: str, caplog: pytest.LogCaptureFixture, vice: str
) -> None:
    """However a request fails, no credential is in its error or in a log."""
    was_sent = vice not in NOT_SENT

    async def vicious(peer: Peer) -> None:
        await peer.asked()
        if vice == "reset":
            peer.reset()
        elif vice == "stall":
            await peer.until_left()
        else:
            await peer.send(BROKEN[vice])

    server = await serve(vicious, certificate() if vice == "bad certificate" else None)
    origins = {"refused": refusing, "unknown host": UNKNOWN, "no TLS": server.with_tls}
    async with SessionPool(max_body=4096) as pool:
        for client in clients(pool, origins.get(vice, server.origin)):
            ways = every_way(client)
            for ask in ways[2:] if vice == "strange word" else ways if was_sent else ways[:1]:
                with pytest.raises(AsyncClientError) as caught:
                    await ask()
                check_error(caught.value)
    sent = b"".join(asked.head for asked in server.asked).decode()
    assert all((secret in sent) == was_sent for secret in SECRETS.values())
    assert "asyncclient.test" in {record.name for record in caplog.records}


# What a proxy says of a request or of a tunnel; None: it passes both on.
PROXY_SAYS = {
    "nothing wrong": None,
    "wrong password": b"HTTP/1.1 407 ECHO\r\n\r\nECHO",
    "not allowed": b"HTTP/1.1 403 ECHO\r\nLocation: ECHO\r\n\r\nECHO",
    "redirect": b"HTTP/1.1 302 ECHO\r\nLocation: https://h/ECHO\r\n\r\nECHO",
    "bad gateway": b"HTTP/1.1 502 ECHO\r\n\r\n<html>ECHO",
    "garbage": b"ECHO\r\n\r\n",
    "bad header": b"HTTP/1.1 200 OK\r\nECHO\r\n\r\n",
    "closed": b"",
}


@pytest.mark.parametrize("origin", ["http://provider.test", "https://provider.test"])
@pytest.mark.parametrize("vice", [*PROXY_SAYS, "down", "no certificate"])
async def test_nothing_shows_a_proxys_password(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, origin: str, vice: str
) -> None:
    """However a request through it goes: no error, no log, no span and no repr has it."""
    seen = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(seen))

    async def note(_: aiohttp.ClientSession, __: object, params: object) -> None:
        check("a hook's view", f"{params!r} {getattr(params, 'exception', None)!r}")

    hooks = aiohttp.TraceConfig()
    for stage in ("on_request_start", "on_request_headers_sent", "on_request_exception"):
        cast("list[object]", getattr(hooks, stage)).append(note)
    traces = [hooks, create_trace_config(tracer_provider=tracers)]
    has_tls = origin.startswith("https")
    name = "other.test" if vice == "no certificate" else "provider.test"
    server = await serve(good, certificate(name) if has_tls else None)
    proxy = await serve.proxy(server, user=f"ada:{PASSWORD}", answer=PROXY_SAYS.get(vice))
    if vice == "down":
        await proxy.close()
    url = f"http://ada:{PASSWORD}@{proxy.place}"
    monkeypatch.setenv("ALL_PROXY", url)
    fails = vice != "nothing wrong" and (vice != "no certificate" or has_tls)
    for given in (url, None):
        async with SessionPool(
            proxy=given, ssl_context=trusting(), trace_configs=traces, request_timeout=3
        ) as pool:
            copyai = CopyAI(pool, api_key="k", base_url=origin, allow_http=True, max_retries=1)
            for ask in (partial(copyai.get_webhook, "1"), partial(copyai.start_workflow, "1")):
                with pytest.raises(AsyncClientError) as caught:
                    await ask()
                check_error(caught.value)
                assert fails == (not isinstance(caught.value, DecodeError))  # of `{}`
            check("a repr", f"{pool!r} {pretty_repr(pool)} {pretty_repr(vars(pool), max_depth=9)}")
            for copied in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match=r"a SessionPool .* is not pickled"):
                    copied(pool)
    for span in seen.get_finished_spans():
        check("a span", span.to_json())
    assert vice == "down" or HEADER in str([asked.head for asked in proxy.asked])


@pytest.mark.parametrize("answer", ["401 No", "500 No", "302 Found"])
async def test_the_pools_headers_are_in_no_error(serve: Serve, answer: str) -> None:
    """What goes with every request may be a gateway's key, which a provider may repeat."""
    location = f"Location: /{PASSWORD}\r\n".encode()
    server = await serve(answering(PASSWORD.encode(), status=answer, headers=location))
    async with SessionPool(headers={"X-Gateway-Key": PASSWORD}) as pool:
        with pytest.raises(AsyncClientError) as caught:
            await CopyAI(pool, api_key="k", base_url=server.origin, max_retries=0).get_webhook("1")
        check_error(caught.value)
        check("a repr", f"{pool!r} {pretty_repr(vars(pool), max_depth=9)}")
    assert server.asked[0].headers[b"x-gateway-key"] == PASSWORD.encode()


@pytest.mark.parametrize("answer", ["<p>{}", '{{"s": "failed", "why": "bad {}"}}', '{{"s": "{}"}}'])
@pytest.mark.parametrize("way", ["header", "proxy"])
async def test_what_a_pool_sends_is_in_no_error_of_a_good_answer(
    serve: Serve, way: str, answer: str
) -> None:
    """A debug page repeats headers with status 200, and so may the reason of a failure."""
    repeated = PASSWORD if way == "header" else HEADER
    server = await serve(answering(answer.format(repeated).encode()))
    words = Vocabulary(succeeded="done", failed="failed")
    reading = Reading("job", words, status="s", reason="why", source="test", checked="2026-11-30")
    proxy = None if way == "header" else server.origin.replace("//", f"//ada:{PASSWORD}@")
    headers = {"X-Gateway-Key": PASSWORD} if way == "header" else None
    async with SessionPool(proxy=proxy, headers=headers) as pool:
        origin = server.origin if proxy is None else "http://provider.test"
        api = TaskAPI(pool, origin, name="tea", token="k", allow_http=True)
        with pytest.raises(AsyncClientError) as caught:
            await wait_until_done(api.task("/1", reading), timeout=5, unknown="raise")
        check_error(caught.value)
    assert repeated.encode() in server.asked[0].head


@pytest.mark.parametrize("garbage", [b"what?", b"x" * 600])
async def test_a_query_is_in_no_error(serve: Serve, garbage: bytes) -> None:
    """A signature may be shorter than what is looked for; the library below repeats the URL."""

    async def vicious(peer: Peer) -> None:
        await peer.asked()
        await peer.send(garbage + b"\r\n\r\n")

    server = await serve(vicious)
    async with SessionPool() as pool:
        error = await failure_of(pool, request_to(server.origin, "/task?sig=s1gned&x=?"))
    assert f"url='{server.origin}/task'" in str(error) or len(garbage) > 500
    assert "sig" not in str(error)
    assert len(str(error)) < 700


async def test_cancelling_and_closing_show_no_credential(serve: Serve) -> None:
    """Neither a cancelled request nor one whose pool was closed."""
    server = await serve(silent)
    pool = SessionPool()
    ways = [way for client in clients(pool, server.origin) for way in every_way(client)]
    tasks = [asyncio.ensure_future(ask()) for ask in ways]
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
    """What the loop reports of a request without an awaiter shows no credential."""
    server = await serve(good)
    reports: list[str] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reports.append(repr(context))
        check_error(context["exception"])

    asyncio.get_running_loop().set_exception_handler(report)
    async with SessionPool() as pool:
        reads = [every_way(client)[0] for client in clients(pool, server.origin)]
        tasks = [asyncio.ensure_future(read()) for read in reads]
        await asyncio.wait(tasks)
        del tasks
        gc.collect()
        await anyio.lowlevel.checkpoint()
    assert len(reports) == 4
    check("the loop's report", "".join(reports))


async def test_clients_and_credentials_are_not_pickled() -> None:
    """What holds a secret says so instead of writing it down; a reference is what travels."""
    token, transport = SECRETS["token"], ScriptedTransport()
    coze, copyai = Coze(transport, token=token), CopyAI(transport, api_key=token)
    run = coze.workflow_run("1", "2")
    for held in (coze, run, copyai, CozeJWT("1", "2", "-----BEGIN PRIVATE KEY-----")):
        with pytest.raises(TypeError, match=r"^a (client and its handles|CozeJWT) "):
            pickle.dumps(held)
    assert token.encode() not in pickle.dumps(run.ref)


async def test_a_failing_source_of_tokens_shows_no_other_token() -> None:
    """When a token is refused and its source then fails, the old token is not shown."""
    vault = [SECRETS["sourced"]]

    async def source() -> str:
        if not vault:
            raise ConnectionError("the vault is shut")
        return vault.pop()

    coze = Coze(ScriptedTransport([reply({}, status=401)]), token=source)
    with pytest.raises(ConnectionError, match="the vault is shut") as caught:
        await coze.get_workflow_run("1", "2")
    check_error(caught.value)
