"""Tests of requests through a real forward proxy: which go there, what it sees, how it fails."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import msgspec
import pytest

from asyncclient import SessionPool, wait_until_done
from asyncclient.errors import ConnectFailed, RequestTimeout, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.testing.pytest_plugin import virtual_time
from tests.sockets.conftest import (
    PATIENCE,
    UNKNOWN,
    Serve,
    answering,
    failure_of,
    good,
    kind_of,
    request_to,
    silent,
)
from tests.wire import certificate, trusting

# Only the proxy knows where this is.
HOST = "provider.test"
HTTP, HTTPS = f"http://{HOST}", f"https://{HOST}"
USER = "ada:tea and cake"
QUOTED = "ada:tea%20and%20cake"


@pytest.mark.parametrize("origin", [HTTP, HTTPS])
@pytest.mark.parametrize("named_by", ["argument", "HTTP_PROXY HTTPS_PROXY", "all_proxy"])
async def test_requests_go_through_the_proxy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, origin: str, named_by: str
) -> None:
    """Over one kept connection; a tunnel hides the request from the proxy."""
    server = await serve(good, certificate(HOST) if origin == HTTPS else None)
    proxy = await serve.proxy(server, user=USER)
    url = proxy.url(QUOTED)
    if named_by != "argument":
        for name in named_by.split():
            monkeypatch.setenv(name, url)
    given = url if named_by == "argument" else None
    headers = {"X-Team": "42", "User-Agent": "teahouse/1"}
    async with SessionPool(proxy=given, ssl_context=trusting(), headers=headers) as pool:
        for request in (request_to(origin, "/a%20b?c=d%2Fe"), request_to(origin, body=b"{}")):
            assert (await pool.exchange(request)).status == 200
    assert [asked.target for asked in server.asked] == [b"/a%20b?c=d%2Fe", b"/task"]
    for asked in server.asked:
        assert asked.headers[b"authorization"] == b"Bearer t"
        assert asked.headers[b"x-team"] == b"42"
        assert b"proxy-authorization" not in asked.headers
    assert proxy.accepted == 1
    for asked in proxy.asked:
        assert asked.headers[b"user-agent"] == b"teahouse/1"
    if origin == HTTPS:
        assert [asked.line for asked in proxy.asked] == [b"CONNECT provider.test:443 HTTP/1.1"]
        assert not {b"authorization", b"x-team"} & {*proxy.asked[0].headers}
    else:
        assert proxy.asked[0].target == b"http://provider.test/a%20b?c=d%2Fe"
        assert [asked.body for asked in proxy.asked] == [b"", b"{}"]


async def test_this_machine_needs_no_proxy_unless_one_is_given(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's is for other machines; a `proxy=` is for all, NO_PROXY's included."""
    server = await serve(good)
    proxy = await serve.proxy(server)
    monkeypatch.setenv("HTTP_PROXY", proxy.url())
    async with SessionPool() as pool:
        await pool.exchange(server.get())
    assert proxy.accepted == 0
    monkeypatch.setenv("NO_PROXY", "*")
    async with SessionPool(proxy=proxy.url()) as pool:
        await pool.exchange(server.get())
    assert (len(proxy.asked), len(server.asked)) == (1, 2)


async def test_no_proxy_and_trust_env_are_obeyed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be reached without the proxy is, also when that fails; the advice fits."""
    proxy = await serve.proxy(await serve(good))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url())
    for trust_env, no_proxy, advice in (
        (False, "", "the network; behind a proxy, pass SessionPool(proxy=...)"),
        (True, ".invalid", "HTTPS_PROXY is not used for this host: NO_PROXY names it"),
    ):
        monkeypatch.setenv("NO_PROXY", no_proxy)
        async with SessionPool(trust_env=trust_env) as pool:
            error = await failure_of(pool, request_to(UNKNOWN))
            assert error.advice.endswith(advice)
    assert proxy.accepted == 0


@pytest.mark.parametrize("origin", [HTTP, HTTPS])
async def test_no_netrc_is_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: str
) -> None:
    """Neither for a host that we bring a credential for, through the proxy or not, nor for it."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login netrc password netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = await serve(good, certificate(HOST) if origin == HTTPS else None)
    proxy = await serve.proxy(server)
    monkeypatch.setenv("ALL_PROXY", proxy.url())
    async with SessionPool(ssl_context=trusting()) as pool:
        request = request_to(origin)
        await pool.exchange(request)
        # A key in a header of its own, as Copy.ai's: there is room for another's Authorization.
        await pool.exchange(msgspec.structs.replace(request, headers={"x-copy-ai-api-key": "k"}))
        if origin == HTTP:
            await pool.exchange(msgspec.structs.replace(server.get(), headers={}))
            assert b"authorization" not in server.asked.pop().headers
    assert [asked.headers.get(b"authorization") for asked in server.asked] == [b"Bearer t", None]
    assert proxy.asked
    assert all(b"proxy-authorization" not in asked.headers for asked in proxy.asked)


@pytest.mark.parametrize("origin", [HTTP, HTTPS])
async def test_a_proxy_may_speak_tls_itself(serve: Serve, origin: str) -> None:
    """Its certificate is verified as a provider's is; the tunnel's TLS goes within its own."""
    server = await serve(good, certificate(HOST) if origin == HTTPS else None)
    proxy = await serve.proxy(server, user=USER, tls=certificate("127.0.0.1"))
    async with SessionPool(proxy=proxy.url(QUOTED), ssl_context=trusting()) as pool:
        assert (await pool.exchange(request_to(origin))).status == 200
    stranger = await serve.proxy(server, tls=certificate("127.0.0.1", by="stranger"))
    async with SessionPool(proxy=stranger.url(), ssl_context=trusting()) as pool:
        error = await failure_of(pool, request_to(origin))
    assert kind_of(error) == (ConnectFailed, True, False)
    assert f"through the proxy {stranger.place}: TLS failed" in str(error)


BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nsorry"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"


@virtual_time
@pytest.mark.parametrize("origin", [HTTP, HTTPS])
@pytest.mark.parametrize("user", ["", "ada:coffee"])
async def test_a_password_that_is_not_right_is_no_outage(
    serve: Serve, origin: str, user: str
) -> None:
    """A 407 says what to do, and one poll is enough; the provider gets and refuses nothing."""
    server = await serve(good)
    proxy = await serve.proxy(server, user=USER)
    async with SessionPool(proxy=proxy.url(user)) as pool:
        copyai = CopyAI(pool, api_key="k", base_url=origin, allow_http=True)
        waiting = wait_until_done(copyai.workflow_run("W", "R"), timeout=600)
        for ask in (waiting, pool.exchange(request_to(origin, body=b"{}"))):
            with pytest.raises(ConnectFailed) as caught:
                await ask
            error = caught.value
            assert kind_of(error) == (ConnectFailed, True, False)
            assert f"through the proxy {proxy.place}: the proxy refused it: HTTP 407" in str(error)
            assert re.search(r"user name and password in(to)? SessionPool\(proxy=", error.advice)
    assert (len(server.asked), len(proxy.asked)) == (0, 2)


@pytest.mark.parametrize(
    ("answer", "permanent", "says"),
    [
        (FORBIDDEN, True, "the proxy refused it: HTTP 403 Forbidden; ask who runs the proxy"),
        (BAD_GATEWAY, False, "refused it: HTTP 502 Bad Gateway; check that the proxy can reach"),
        (b"", False, "the connection broke: ServerDisconnectedError"),
        (b"SSH-2.0-x\r\n\r\n", False, "the connection broke"),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS follows", False, "through the proxy"),
    ],
)
async def test_a_tunnel_that_is_refused_is_not_the_providers_answer(
    serve: Serve, answer: bytes, says: str, *, permanent: bool
) -> None:
    """It says that the proxy was asked, and how it went; a start did certainly not happen."""
    proxy = await serve.proxy(await serve(good), answer=answer)
    async with SessionPool(proxy=proxy.url(), ssl_context=trusting()) as pool:
        for body in (None, b"{}"):
            error = await failure_of(pool, request_to(HTTPS, body=body))
            assert f"through the proxy {proxy.place}" in str(error)
            assert says in str(error)
            assert error.permanent is permanent
            assert body is None or not error.sent


@virtual_time
async def test_a_proxy_that_does_not_answer_is_named(
    serve: Serve, refusing: str, unreachable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With where it is set, and how it failed, within the same timeouts; nothing was sent."""
    monkeypatch.setenv("ALL_PROXY", refusing)
    for origin in (HTTP, HTTPS):
        async with SessionPool() as pool:
            error = await failure_of(pool, request_to(origin))
        assert kind_of(error) == (ConnectFailed, False, False)
        assert f"through the proxy {refusing[7:]}: no connection: " in str(error)
        assert error.advice.startswith("check ALL_PROXY, and that the proxy runs, or name the host")
    request = request_to(HTTPS, body=b"{}")
    async with SessionPool(proxy=unreachable, connect_timeout=2) as pool:
        error = await failure_of(pool, request)
        assert kind_of(error) == (ConnectFailed, False, False)
        assert "through the proxy" in str(error)
        assert "no connection in time; check SessionPool(proxy=...), and" in str(error)
    mute = await serve(silent)
    async with SessionPool(proxy=mute.origin, request_timeout=3) as pool:
        error = await failure_of(pool, request)
        assert kind_of(error) == (RequestTimeout, False, False)
        assert "check that the proxy is not down" in str(error)


async def test_a_certificate_is_verified_within_the_tunnel(serve: Serve) -> None:
    """Against the host's name: the proxy may not stand in for it."""
    proxy = await serve.proxy(await serve(good, certificate("other.test")))
    async with SessionPool(proxy=proxy.url(), ssl_context=trusting()) as pool:
        error = await failure_of(pool, request_to(HTTPS))
    assert kind_of(error) == (ConnectFailed, True, False)
    assert "TLS failed" in str(error)
    assert "check base_url and SessionPool(proxy=...), or pass SessionPool(ssl_" in error.advice


async def test_closing_fails_a_request_for_a_tunnel(serve: Serve) -> None:
    """A pool that closes waits for no proxy."""
    mute = await serve(silent)
    pool = SessionPool(proxy=mute.origin)
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert "the SessionPool was closed" in str(await failure_of(pool, request_to(HTTPS)))

        tasks.start_soon(ask)
        await mute.was_asked()
        with anyio.fail_after(PATIENCE):
            await pool.aclose()
    await mute.was_left()


@virtual_time
@pytest.mark.parametrize("answer", [BAD_GATEWAY, b""])
async def test_a_proxys_outage_is_tolerated(serve: Serve, answer: bytes) -> None:
    """A wait goes on through it; beyond `max_outage` it ends with an error that names the proxy."""
    done = b'{"status": "success", "data": {"id": "R", "status": "COMPLETE"}}'
    server = await serve(answering(done), certificate(HOST))
    proxy = await serve.proxy(server, answer=answer)
    async with SessionPool(proxy=proxy.url(), ssl_context=trusting()) as pool:
        run = CopyAI(pool, api_key="k", base_url=HTTPS).workflow_run("W", "R")
        with pytest.raises(TransportError, match=f"through the proxy {proxy.place}"):
            await wait_until_done(run, timeout=600, max_outage=60)
        async with anyio.create_task_group() as tasks:

            async def recover() -> None:
                await anyio.sleep(60)
                proxy.answer = None

            tasks.start_soon(recover)
            assert (await wait_until_done(run, timeout=600)).status == "COMPLETE"
    assert proxy.tunnels == 1
