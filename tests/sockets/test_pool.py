"""The session pool on real sockets: opening, limits, reuse, timeouts, what it sends, closing."""

from __future__ import annotations

import asyncio
import gc
import ssl
import warnings
import zlib
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from asyncclient import SessionPool
from asyncclient._http import Request, Response
from asyncclient._http.pool import close_all
from asyncclient.errors import ConnectFailed, RequestTimeout, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import run_virtual
from asyncclient.testing.pytest_plugin import virtual_time

if TYPE_CHECKING:
    from tests.sockets.conftest import Asked, Authority, Peer, Serve, Server, Site

# A bound on what takes milliseconds: only a hang breaks it.
PATIENCE = 5.0


def request_to(origin: str, *, method: str = "GET", timeout: float | None = None) -> Request:
    """Make a request to an origin that no scripted server has."""
    return Request(
        name="test.get", method=method, origin=origin, target="/task", headers={}, timeout=timeout
    )


async def good(peer: Peer) -> None:
    """Answer every request."""
    await peer.good_manners()


async def silent(peer: Peer) -> None:
    """Read a request and never answer it."""
    await peer.asked()
    await peer.until_left()


async def mute(peer: Peer) -> None:
    """Take the connection, and not even read."""
    await peer.until_left()


async def failure_of(asked: Coroutine[Any, Any, Response]) -> BaseException:
    """Return how a request failed, a cancellation that no one asked for included."""
    try:
        await asked
    except asyncio.CancelledError as cancelled:
        return cancelled
    except TransportError as error:
        return error
    raise AssertionError


# --- opening ----------------------------------------------------------------------------------


async def test_nothing_is_opened_before_the_first_request(serve: Serve) -> None:
    """Making and entering a pool and a client opens no session and no connection."""
    server = await serve(good)
    async with SessionPool() as pool:
        Coze(pool, token="t", base_url=server.origin)
        await anyio.sleep(0.01)
        assert repr(pool) == "<SessionPool open: 0 origins, 0 requests active, limit 100 each>"
    assert server.accepted == 0


def test_a_pool_can_be_made_without_a_loop() -> None:
    """A pool is made at import time, and works in the loop that comes later."""
    pool = SessionPool()

    async def main() -> None:
        async with pool:
            pass

    asyncio.run(main())


async def test_each_origin_has_one_session(serve: Serve, pool: SessionPool) -> None:
    """The first request to an origin opens its session, the next ones share it."""
    first, second = await serve(good), await serve(good)
    await pool.exchange(first.get())
    assert "1 origins" in repr(pool)
    await pool.exchange(second.get())
    await pool.exchange(first.get())
    assert "2 origins" in repr(pool)


async def test_a_stalled_origin_does_not_delay_another(serve: Serve) -> None:
    """Requests that take all connections of one origin leave another's free."""
    stalled, quick = await serve(silent), await serve(good)
    async with SessionPool(limit=1) as pool:
        waiting = [asyncio.create_task(failure_of(pool.exchange(stalled.get()))) for _ in range(3)]
        await stalled.was_asked()
        with anyio.fail_after(PATIENCE):
            assert (await pool.exchange(quick.get())).status == 200
        assert stalled.accepted == 1
        assert "3 requests active" in repr(pool)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting)


async def test_the_limit_holds_for_each_origin(serve: Serve) -> None:
    """With `limit=2`, twenty requests at once go over two connections and all are answered."""
    server = await serve(good)
    async with SessionPool(limit=2) as pool:
        answers = await asyncio.gather(*(pool.exchange(server.get()) for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert server.accepted == 2


async def test_a_connection_is_kept_and_used_again(serve: Serve, pool: SessionPool) -> None:
    """Requests one after the other, starts among them, share one connection."""
    server = await serve(good)
    for _ in range(5):
        await pool.exchange(server.get())
        await pool.exchange(server.start())
    assert (server.accepted, len(server.asked)) == (1, 10)


async def test_an_idle_connection_is_kept_for_keepalive_seconds(serve: Serve) -> None:
    """A connection that was idle for longer than `keepalive` is not used again."""
    server = await serve(good)
    async with SessionPool(keepalive=0.02) as pool:
        await pool.exchange(server.get())
        await anyio.sleep(0.05)
        await pool.exchange(server.get())
    assert server.accepted == 2


# --- timeouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [mute, silent])
async def test_a_request_times_out_on_the_real_clock(
    serve: Serve, script: Callable[[Peer], Coroutine[Any, Any, None]]
) -> None:
    """A server that says nothing costs `request_timeout`, not more."""
    server = await serve(script)
    async with SessionPool(request_timeout=0.1) as pool:
        with anyio.fail_after(PATIENCE), pytest.raises(RequestTimeout, match="timeout") as caught:
            await pool.exchange(server.get())
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.sent


@virtual_time
async def test_a_requests_own_timeout_goes_before_the_pools(serve: Serve) -> None:
    """`Request.timeout` bounds its request exactly, be it shorter or longer than the pool's."""
    server = await serve(silent)
    async with SessionPool(request_timeout=3) as pool:
        for timeout, seconds in [(None, 3), (0.5, 0.5), (4.5, 4.5)]:
            began = anyio.current_time()
            with pytest.raises(RequestTimeout):
                await pool.exchange(server.get(timeout=timeout))
            assert anyio.current_time() - began == pytest.approx(seconds, abs=0.01)


@virtual_time
@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_timeout_that_is_none_is_refused(
    serve: Serve, pool: SessionPool, timeout: float
) -> None:
    """A request's timeout of zero, less, or no number never means to wait without end."""
    server = await serve(silent)
    with anyio.fail_after(1000), pytest.raises((ValueError, RequestTimeout)):
        await pool.exchange(server.get(timeout=timeout))


@virtual_time
async def test_queueing_counts_towards_the_timeout(serve: Serve) -> None:
    """A request that gets no connection within its timeout ends by it, and frees nothing of it."""
    server = await serve(silent)
    async with SessionPool(limit=1, request_timeout=60) as pool:
        first = asyncio.create_task(failure_of(pool.exchange(server.get())))
        await server.was_asked()
        with pytest.raises(RequestTimeout):
            await pool.exchange(server.get(timeout=2))
        assert len(server.asked) == 1
        first.cancel()
        await first


async def test_a_connection_that_is_not_made_is_given_up(unreachable: str) -> None:
    """A host that does not answer costs `connect_timeout`, and certainly was sent nothing."""
    async with SessionPool(connect_timeout=0.1) as pool:
        with anyio.fail_after(PATIENCE), pytest.raises(ConnectFailed) as caught:
            await pool.exchange(request_to(unreachable, method="POST"))
    assert (caught.value.sent, caught.value.permanent) == (False, False)


async def test_a_tls_handshake_counts_as_connecting(serve: Serve, authority: Authority) -> None:
    """A server that takes the connection but stays silent in TLS costs `connect_timeout`."""
    server = await serve(mute)
    async with SessionPool(connect_timeout=0.1, ssl_context=authority.trusting) as pool:
        with anyio.fail_after(PATIENCE), pytest.raises(ConnectFailed) as caught:
            await pool.exchange(request_to(server.origin.replace("http:", "https:")))
    assert (caught.value.sent, caught.value.permanent) == (False, False)


# --- what is sent and what is read ------------------------------------------------------------


async def test_cookies_are_not_sent_back(serve: Serve, pool: SessionPool) -> None:
    """A cookie that one answer sets is in no later request: accounts would share it."""

    async def with_cookie(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(headers=b"Set-Cookie: session=42; Path=/\r\n")

    server = await serve(with_cookie)
    # By name: no jar of cookies keeps those of a bare address.
    named = server.origin.replace("127.0.0.1", "localhost")
    for _ in range(3):
        await pool.exchange(request_to(named))
    assert len(server.asked) == 3
    assert all(b"cookie" not in asked.headers for asked in server.asked)


@pytest.mark.parametrize("encoding", [web.ContentCoding.gzip, web.ContentCoding.deflate])
async def test_a_compressed_answer_is_decoded(
    site: Site, pool: SessionPool, encoding: web.ContentCoding
) -> None:
    """A compressed body arrives as it was before it was compressed."""

    async def compressed(_: web.Request) -> web.Response:
        response = web.Response(body=b"tea " * 10_000)
        response.enable_compression(encoding)
        return response

    answer = await pool.exchange(request_to(await site(compressed)))
    assert answer.headers["content-encoding"] == encoding.value
    assert answer.body == b"tea " * 10_000


async def test_no_encoding_is_asked_for_that_cannot_be_read(
    serve: Serve, pool: SessionPool
) -> None:
    """The encodings that a request offers include gzip, and none that the answer cannot have."""
    server = await serve(good)
    await pool.exchange(server.get())
    offered = server.asked[0].headers[b"accept-encoding"].decode().split(", ")
    assert "gzip" in offered
    for encoding in offered:
        body = {"gzip": zlib.compress(b"{}", wbits=31), "deflate": zlib.compress(b"{}")}
        assert encoding in body or encoding in {"br", "zstd"}


async def test_a_large_request_is_sent_without_a_warning(serve: Serve, pool: SessionPool) -> None:
    """Inputs of some megabytes are sent whole, and no one is warned of the caller's own data."""
    server = await serve(good)
    body = b'{"text": "' + b"x" * 3_000_000 + b'"}'
    assert (await pool.exchange(server.start(body=body))).status == 200
    assert server.asked[0].body == body


async def test_the_callers_headers_are_not_changed(serve: Serve, pool: SessionPool) -> None:
    """A request's mapping of headers is the same after it was sent."""
    server = await serve(good)
    headers = {"Authorization": "Bearer t"}
    await pool.exchange(
        Request(name="test.get", method="GET", origin=server.origin, target="/", headers=headers)
    )
    assert headers == {"Authorization": "Bearer t"}


ODD_IDS = [
    ("a/b", b"a%2Fb"),
    ("%2F", b"%252F"),
    ("%", b"%25"),
    ("../x", b"..%2Fx"),
    ("a?b=c", b"a%3Fb%3Dc"),
    ("a#b", b"a%23b"),
    ("a b+c", b"a%20b%2Bc"),
    ("a;b:c@d", b"a%3Bb%3Ac%40d"),
    ("茶", b"%E8%8C%B6"),
    ("~a_b-c.d", b"~a_b-c.d"),
]


@pytest.mark.parametrize(("text", "quoted"), ODD_IDS)
async def test_ids_are_quoted_byte_by_byte(
    serve: Serve, pool: SessionPool, text: str, quoted: bytes
) -> None:
    """Whatever an id holds, it stays one segment of the request line, and is quoted once."""
    server = await serve(good)
    coze = Coze(pool, token="t", base_url=f"{server.origin}/", max_retries=0)
    copyai = CopyAI(pool, api_key="k", base_url=f"{server.origin}/api/", max_retries=0)
    for asking in (coze.get_workflow_run(text, text), copyai.get_workflow_run(text, text)):
        with pytest.raises(Exception, match="unexpected body"):
            await asking
    assert [asked.line for asked in server.asked] == [
        b"GET /v1/workflows/%s/run_histories/%s HTTP/1.1" % (quoted, quoted),
        b"GET /api/workflow/%s/run/%s HTTP/1.1" % (quoted, quoted),
    ]


@pytest.mark.parametrize("path", ["", "/", "//", "/proxy", "/proxy/", "/proxy//"])
async def test_no_empty_segment_is_sent(serve: Serve, pool: SessionPool, path: str) -> None:
    """With any number of slashes at the end of `base_url`, no `//` is in the request line."""
    server = await serve(good)
    coze = Coze(pool, token="t", base_url=server.origin + path, max_retries=0)
    with pytest.raises(Exception, match="unexpected body"):
        await coze.get_workflow_run("1", "2")
    expected = f"{path.rstrip('/')}/v1/workflows/1/run_histories/2"
    assert server.asked[0].target.decode() == expected


@pytest.mark.parametrize("path", ["/a b", "/茶", "/a\u2028b", '/"', "/<x>"])
async def test_a_base_url_cannot_break_the_request_line(
    serve: Serve, pool: SessionPool, path: str
) -> None:
    """A `base_url` with what a request line cannot hold is quoted, or refused when it is given."""
    server = await serve(good)
    try:
        coze = Coze(pool, token="t", base_url=server.origin + path, max_retries=0)
    except ValueError as refused:
        assert "base_url" in str(refused)  # noqa: PT017  (either way is right)
        return
    with pytest.raises(Exception, match="unexpected body"):
        await coze.get_workflow_run("1", "2")
    line = server.asked[0].line
    assert line.isascii()
    assert line.count(b" ") == 2
    assert not set(line) & set(b'"<>')


async def test_trace_configs_are_used(serve: Serve) -> None:
    """Hooks of aiohttp that the caller gives see each request, to every origin."""
    seen: list[str] = []

    async def note(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        seen.append(str(params.url))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    servers: list[Server] = [await serve(good), await serve(good)]
    async with SessionPool(trace_configs=[trace]) as pool:
        for server in servers:
            await pool.exchange(server.get())
    assert seen == [f"{server.origin}/task" for server in servers]


# --- wrong use --------------------------------------------------------------------------------

NUMBERS = ["limit", "request_timeout", "connect_timeout", "keepalive", "max_body"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("-inf")])
def test_a_number_that_cannot_be_names_its_argument(name: str, value: float) -> None:
    """A setting of zero or less is refused when the pool is made, by its name."""
    with pytest.raises(ValueError, match=f"^{name}="):
        SessionPool(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["limit", "request_timeout", "keepalive", "max_body"])
def test_an_endless_setting_names_its_argument(name: str) -> None:
    """Infinity, which no timer and no counter takes, is refused when the pool is made."""
    with pytest.raises(ValueError, match=f"^{name}="):
        SessionPool(**{name: float("inf")})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["limit", "max_body"])
def test_a_count_must_be_whole(name: str) -> None:
    """Half a connection is refused: rounded down it would be none, which aiohttp reads as all."""
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        SessionPool(**{name: 0.5})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_what_is_no_number_names_its_argument(name: str, value: object) -> None:
    """A setting that is not a number is refused when the pool is made, by its name."""
    with pytest.raises(TypeError, match=f"^{name} must be"):
        SessionPool(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, False, "/etc/ssl/cert.pem"])
def test_an_ssl_context_must_be_one(value: object) -> None:
    """There is no switch to turn verification off: `ssl_context=False` is refused by name."""
    with pytest.raises(TypeError, match=r"^ssl_context must be an ssl\.SSLContext"):
        SessionPool(ssl_context=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, [object()], [None]])
def test_trace_configs_must_be_some(value: object) -> None:
    """What is no list of trace configs is refused when the pool is made, by its name."""
    with pytest.raises(TypeError, match="trace_configs"):
        SessionPool(trace_configs=value)  # type: ignore[arg-type]


async def test_a_closed_pool_says_so(serve: Serve) -> None:
    """Once closed, requests and entering fail at once and say what to do; closing again is fine."""
    server = await serve(good)
    async with SessionPool() as pool:
        await pool.exchange(server.get())
    assert repr(pool).startswith("<SessionPool closed: 0 origins, 0 requests active")
    await pool.aclose()
    with pytest.raises(RuntimeError, match="is closed: make a new one"):
        await pool.exchange(server.get())
    with pytest.raises(RuntimeError, match="is closed: make a new one"):
        await pool.__aenter__()
    assert len(server.asked) == 1


async def test_a_pool_can_be_closed_that_was_never_used() -> None:
    """Closing opens nothing, and what was closed before its first use stays closed."""
    pool = SessionPool()
    await pool.aclose()
    with pytest.raises(RuntimeError, match="is closed"):
        await pool.exchange(request_to("http://127.0.0.1:9"))


def test_another_loop_is_refused_in_words(refusing: str) -> None:
    """Use and closing from a second event loop fail at once; the first loop can still close."""
    pool = SessionPool()

    async def ask() -> None:
        with pytest.raises(ConnectFailed):
            await pool.exchange(request_to(refusing))

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(ask())
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            second.run(ask())
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            second.run(pool.aclose())
        first.run(ask())
        first.run(pool.aclose())


@pytest.mark.parametrize("used", [False, True])
def test_without_a_loop_of_asyncio_it_says_that_one_is_needed(refusing: str, *, used: bool) -> None:
    """Driven by anything but asyncio, before or after its first use, the pool asks for asyncio."""
    pool = SessionPool()

    async def ask() -> None:
        with pytest.raises(ConnectFailed):
            await pool.exchange(request_to(refusing))

    with asyncio.Runner() as runner:
        if used:
            runner.run(ask())
        stray = pool.exchange(request_to(refusing))
        with pytest.raises(RuntimeError, match="needs a running asyncio event loop"):
            stray.send(None)
        runner.run(pool.aclose())


@pytest.mark.filterwarnings("ignore:Unclosed client session:ResourceWarning")
def test_a_forgotten_pool_warns(refusing: str) -> None:
    """A pool that was used and never closed warns when it is collected, and says what to do."""

    async def forget() -> None:
        with pytest.raises(ConnectFailed):
            await SessionPool().exchange(request_to(refusing))

    def forget_and_collect() -> None:
        asyncio.run(forget())
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"unclosed <SessionPool open: 1 origins.*aclose\(\)"):
        forget_and_collect()


def test_a_pool_that_opened_nothing_may_be_forgotten() -> None:
    """A pool without a session is collected without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SessionPool().__del__()


# --- closing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_closing_fails_what_is_under_way(serve: Serve, method: str) -> None:
    """Requests that wait for their answer, or for a connection, fail at once with the reason."""
    server = await serve(silent)
    pool = SessionPool(limit=2)
    tasks = [
        asyncio.create_task(failure_of(pool.exchange(request_to(server.origin, method=method))))
        for _ in range(5)
    ]
    await server.was_asked(2)
    with anyio.fail_after(PATIENCE):
        await pool.aclose()
        errors = await asyncio.gather(*tasks)
        await server.was_left()
    for error in errors:
        assert type(error) is TransportError
        assert "the SessionPool was closed while the request was under way" in str(error)
    assert "0 requests active" in repr(pool)


async def test_closing_fails_a_request_inside_its_body(serve: Serve) -> None:
    """A request whose answer has begun to arrive fails at once with the reason."""

    async def half(peer: Peer) -> None:
        await peer.asked()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.until_left()

    server = await serve(half)
    pool = SessionPool()
    task = asyncio.create_task(failure_of(pool.exchange(server.get())))
    await server.was_asked()
    await anyio.sleep(0.01)
    with anyio.fail_after(PATIENCE):
        await pool.aclose()
        assert "the SessionPool was closed" in str(await task)


async def test_closing_fails_what_is_being_connected(unreachable: str) -> None:
    """A request whose connection is still being made fails at once, not after its timeout."""
    pool = SessionPool(connect_timeout=PATIENCE * 2)
    task = asyncio.create_task(failure_of(pool.exchange(request_to(unreachable))))
    await anyio.sleep(0.01)
    try:
        await pool.aclose()
        with anyio.fail_after(1):
            error = await asyncio.shield(task)
        assert "the SessionPool was closed" in str(error)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_closing_fails_a_handshake(serve: Serve, authority: Authority) -> None:
    """A request inside the handshake of TLS fails at once, and its socket is closed."""
    server = await serve(mute)
    pool = SessionPool(ssl_context=authority.trusting)
    url = server.origin.replace("http:", "https:")
    task = asyncio.create_task(failure_of(pool.exchange(request_to(url))))
    while not server.accepted:  # noqa: ASYNC110  (the server has no event for it)
        await anyio.sleep(0.001)
    try:
        await pool.aclose()
        with anyio.fail_after(1):
            error = await asyncio.shield(task)
            await server.was_left()
        assert "the SessionPool was closed" in str(error)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_closing_fails_what_is_being_looked_up() -> None:
    """A request whose host's name is being looked up fails with the reason, not as cancelled."""
    pool = SessionPool()
    task = asyncio.create_task(
        failure_of(pool.exchange(request_to("https://does-not-exist.invalid")))
    )
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    await pool.aclose()
    with anyio.fail_after(PATIENCE):
        assert isinstance(await task, TransportError)


async def test_closing_fails_the_clean_up_of_a_cancelled_task(serve: Serve) -> None:
    """A task that was cancelled before, and asks something to clean up, learns of the closing."""
    server = await serve(silent)
    pool = SessionPool()
    errors: list[BaseException] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            errors.append(await failure_of(pool.exchange(server.get())))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await server.was_asked()
    with anyio.fail_after(PATIENCE):
        await pool.aclose()
        await asyncio.wait([task])
    assert [type(error) for error in errors] == [TransportError]
    assert task.cancelled()


async def used_pool(servers: list[Server]) -> SessionPool:
    """Return a pool with an idle connection to each server."""
    pool = SessionPool()
    for server in servers:
        await pool.exchange(server.get())
    return pool


async def test_closing_in_a_cancelled_scope_closes_all_sockets(serve: Serve) -> None:
    """A scope of anyio that is already cancelled does not keep the pool from closing."""
    servers = [await serve(good) for _ in range(3)]
    pool = await used_pool(servers)
    before = asyncio.all_tasks()
    with anyio.move_on_after(0):
        await pool.aclose()
    assert asyncio.all_tasks() <= before
    for server in servers:
        await server.was_left()


@pytest.mark.parametrize("steps", range(6))
async def test_cancelling_the_closing_closes_all_sockets(serve: Serve, steps: int) -> None:
    """A task that is cancelled while it closes the pool still closes each origin's sockets."""
    servers = [await serve(good) for _ in range(3)]
    pool = await used_pool(servers)
    before = asyncio.all_tasks()
    closing = asyncio.create_task(pool.aclose())
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    if not steps:
        await pool.aclose()  # it had not begun
    assert asyncio.all_tasks() <= before
    for server in servers:
        await server.was_left()


async def test_a_cancelled_user_closes_its_pool(serve: Serve) -> None:
    """A task that is cancelled in a request leaves its `async with` with all sockets closed."""
    server = await serve(silent)

    async def use() -> None:
        async with SessionPool() as pool:
            await pool.exchange(server.get())

    task = asyncio.create_task(use())
    await server.was_asked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.was_left()


async def test_closing_does_not_wait_for_a_peers_farewell(
    serve: Serve, authority: Authority
) -> None:
    """A TLS server that never says goodbye does not hold up the closing."""
    gone_deaf = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.asked()
        await peer.answer()
        await gone_deaf.wait()

    server = await serve(deaf, authority.server())
    pool = SessionPool(ssl_context=authority.trusting)
    await pool.exchange(server.get())
    with anyio.fail_after(PATIENCE):
        await pool.aclose()
    gone_deaf.set()


class _Stuck:
    """A session whose closing hangs."""

    async def close(self) -> None:
        """Hang."""
        await anyio.sleep_forever()


class _Closed:
    """A session that notes that it was closed."""

    closed = False

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def test_a_session_that_cannot_be_closed_holds_no_one_up_for_long() -> None:
    """Closing is bounded to 5 s, and the others are closed meanwhile."""
    good = _Closed()

    async def close() -> float:
        await close_all([_Stuck(), good])
        return anyio.current_time()

    assert run_virtual(close) == 5.0
    assert good.closed


async def test_who_cancels_a_request_as_the_pool_closes_gets_its_cancellation(
    serve: Serve,
) -> None:
    """A request that is cancelled by its caller too, in the same instant, ends as cancelled."""
    server = await serve(silent)
    pool = SessionPool()
    task = asyncio.create_task(failure_of(pool.exchange(server.get())))
    await server.was_asked()
    asyncio.get_running_loop().call_soon(task.cancel)
    await pool.aclose()
    await asyncio.wait([task])
    assert isinstance(task.result(), asyncio.CancelledError)


async def test_entering_and_leaving_may_be_in_different_tasks(serve: Serve) -> None:
    """Web frameworks enter in one task, use in others, and leave in yet another."""
    server = await serve(good)
    pool = SessionPool()
    await asyncio.create_task(pool.__aenter__())
    answer = await asyncio.create_task(pool.exchange(server.get()))
    await asyncio.create_task(pool.__aexit__(None, None, None))
    assert answer.status == 200
    await server.was_left()


async def test_a_pool_is_shared_by_many_tasks_and_clients(site: Site, pool: SessionPool) -> None:
    """Two hundred requests at once of two clients each get their own answer."""

    async def echo(request: web.Request) -> web.Response:
        run = request.path.rpartition("/")[2]
        return web.json_response({"status": "success", "data": {"id": run, "status": "NEW"}})

    origin = await site(echo)
    clients = [CopyAI(pool, api_key="k", base_url=origin) for _ in range(2)]
    runs = await asyncio.gather(
        *(clients[n % 2].get_workflow_run("W", f"R{n}") for n in range(200))
    )
    assert [run.id for run in runs] == [f"R{n}" for n in range(200)]


async def test_tls_is_used_with_the_callers_context(serve: Serve, authority: Authority) -> None:
    """With `ssl_context=` of one's own authority, a request goes over TLS and is answered."""
    server = await serve(good, authority.server())
    context: ssl.SSLContext = authority.trusting
    async with SessionPool(ssl_context=context) as pool:
        assert (await pool.exchange(server.get())).body == b"{}"
        asked: list[Asked] = server.asked
    assert asked[0].line == b"GET /task HTTP/1.1"
