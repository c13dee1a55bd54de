"""Real sockets on loopback: the real clock, and servers that follow a script.

`serve` makes a bare TCP server whose every connection is handled by a script, so that a test can
put any bytes, or none, on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

import anyio
import pytest

from asyncclient import SessionPool
from asyncclient._http import Request
from asyncclient.errors import TransportError
from tests.loops import Backend, real_backend
from tests.sockets.forward import ForwardProxy
from tests.wire import Listener, Message, Wire, full_queue, read_message

# A bound on what takes milliseconds: only a hang breaks it.
PATIENCE = 5.0
UNKNOWN = "https://does-not-exist.invalid"


@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """Put this folder on the real clock: what is tested here is what sockets do."""
    return real_backend(str(request.config.getoption("--event-loop")))


class Peer(Wire):
    """The server's end of one connection, as a script sees it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        asked: list[Message],
    ) -> None:
        super().__init__(reader, writer, number)
        self._asked = asked

    async def asked(self) -> Message:
        """Read one request and note it; raises `IncompleteReadError` if the client leaves."""
        request = await read_message(self.reader)
        self._asked.append(request)
        return request

    async def answer(
        self, body: bytes = b"{}", *, status: str = "200 OK", headers: bytes = b""
    ) -> None:
        """Send a whole answer; `headers` are lines that each end in CR LF."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        await self.send(head + headers + b"\r\n" + body)


Script = Callable[[Peer], Awaitable[None]]


def answering(
    body: bytes | Callable[[Message], bytes] = b"{}",
    *,
    status: str = "200 OK",
    headers: bytes = b"",
) -> Script:
    """Answer every request so, until the client leaves."""

    async def script(peer: Peer) -> None:
        while True:
            asked = await peer.asked()
            said = body(asked) if callable(body) else body
            await peer.answer(said, status=status, headers=headers)

    return script


good = answering()


async def silent(peer: Peer) -> None:
    """Read a request and never answer it."""
    await peer.asked()
    await peer.until_left()


def request_to(
    origin: str, target: str = "/task", *, body: bytes | None = None, timeout: float | None = None
) -> Request:
    """Make a request that may be repeated freely, or with a body, one that must not be repeated."""
    return Request(
        name="test.get" if body is None else "test.start",
        method="GET" if body is None else "POST",
        origin=origin,
        target=target,
        headers={"Authorization": "Bearer t"},
        body=body,
        timeout=timeout,
        idempotent=body is None,
    )


async def failure_of(pool: SessionPool, request: Request) -> TransportError:
    """Return how a request failed."""
    with pytest.raises(TransportError) as caught:
        await pool.exchange(request)
    return caught.value


def kind_of(error: TransportError) -> tuple[type[TransportError], bool, bool]:
    """Return what an error says by itself: its type, whether it lasts, and what was sent."""
    return type(error), error.permanent, error.sent


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds that sets no event; fails if it never does."""
    with anyio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110  (it sets no event)
            await anyio.sleep(0.001)


class Server(Listener[Peer]):
    """A TCP server on loopback whose every connection follows one script, then ends.

    Attributes:
        asked: the requests that scripts have read, in order.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        self.asked: list[Message] = []
        super().__init__(partial(Peer, asked=self.asked), script, tls)

    def get(self, target: str = "/task", *, timeout: float | None = None) -> Request:
        """Make a request that may be repeated freely."""
        return request_to(self.origin, target, timeout=timeout)

    def start(
        self, target: str = "/task", body: bytes = b"{}", *, timeout: float | None = None
    ) -> Request:
        """Make a request that starts something, and so must not be repeated."""
        return request_to(self.origin, target, body=body, timeout=timeout)

    @property
    def with_tls(self) -> str:
        """Its origin as one of TLS, which it may not speak."""
        return self.origin.replace("http:", "https:")

    async def was_asked(self, times: int = 1) -> None:
        """Wait until a number of requests have come in."""
        await until(lambda: len(self.asked) >= times)

    async def was_left(self) -> None:
        """Wait until every client has closed its end; fails if one does not."""
        await until(lambda: not self.connected)


class Serve(contextlib.AsyncExitStack):
    """Opens servers, and proxies before them, which live as long as the test."""

    async def __call__(self, script: Script, tls: ssl.SSLContext | None = None) -> Server:
        """Open a server that follows a script."""
        return await self.enter_async_context(Server(script, tls))

    async def proxy(
        self,
        server: Server,
        *,
        user: str | None = None,
        answer: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> ForwardProxy:
        """Open a forward proxy; its arguments are those of its class."""
        proxy = ForwardProxy(server.port, user=user, answer=answer, tls=tls)
        return await self.enter_async_context(proxy)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Give what opens servers."""
    async with Serve() as serve:
        yield serve


@pytest.fixture
async def pool() -> AsyncIterator[SessionPool]:
    """Open a pool with the default settings."""
    async with SessionPool() as pool:
        yield pool


@pytest.fixture
def refusing() -> str:
    """Return an origin on loopback where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def unreachable() -> Iterator[str]:
    """Give an origin on loopback that neither takes nor refuses a connection: its queue is full."""
    with full_queue() as origin:
        yield origin
