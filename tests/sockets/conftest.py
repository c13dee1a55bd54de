"""Real sockets on loopback: the real clock, servers that follow a script, and certificates.

`serve` makes a bare TCP server whose every connection is handled by a script, so that a test can
put any bytes, or none, on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import anyio
import pytest
import trustme

from asyncclient import SessionPool
from asyncclient._http import Request
from tests.loops import Backend, real_backend
from tests.wire import Wire, full_queue

# A bound on what takes milliseconds: only a hang breaks it.
PATIENCE = 5.0


@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """Put this folder on the real clock: what is tested here is what sockets do."""
    return real_backend(str(request.config.getoption("--event-loop")))


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.partition(b"\r\n")[0]

    @property
    def method(self) -> bytes:
        """The request's method."""
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """What stands between the method and the version, spaces and all."""
        return self.line.partition(b" ")[2].rpartition(b" ")[0]

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Header values by lower-case names."""
        lines = self.head.split(b"\r\n")[1:]
        pairs = (line.partition(b":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in pairs}


class Peer(Wire):
    """The server's end of one connection, as a script sees it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        asked: list[Asked],
    ) -> None:
        super().__init__(reader, writer, number)
        self._asked = asked

    async def asked(self) -> Asked:
        """Read one request and note it; raises `IncompleteReadError` if the client leaves."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(Asked(head, b"").headers.get(b"content-length", b"0"))
        request = Asked(head, await self.reader.readexactly(length))
        self._asked.append(request)
        return request

    async def answer(
        self, body: bytes = b"{}", *, status: str = "200 OK", headers: bytes = b""
    ) -> None:
        """Send a whole answer; `headers` are lines that each end in CR LF."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        await self.send(head + headers + b"\r\n" + body)


Script = Callable[[Peer], Awaitable[None]]


async def good(peer: Peer) -> None:
    """Answer every request with `{}` until the client leaves."""
    while True:
        await peer.asked()
        await peer.answer()


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


class Server:
    """A TCP server on loopback whose every connection follows one script, then ends.

    Attributes:
        origin: its URL without a path.
        asked: the requests that scripts have read, in order.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        self._script = script
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: list[Peer] = []
        self.origin = ""
        self.asked: list[Asked] = []

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return len(self._peers)

    @property
    def connected(self) -> int:
        """Connections whose client's end is still open."""
        return sum(not peer.has_left for peer in self._peers)

    def get(self, target: str = "/task", *, timeout: float | None = None) -> Request:
        """Make a request that may be repeated freely."""
        return request_to(self.origin, target, timeout=timeout)

    def start(
        self, target: str = "/task", body: bytes = b"{}", *, timeout: float | None = None
    ) -> Request:
        """Make a request that starts something, and so must not be repeated."""
        return request_to(self.origin, target, body=body, timeout=timeout)

    async def listen(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    async def was_asked(self, times: int = 1) -> None:
        """Wait until a number of requests have come in."""
        with anyio.fail_after(PATIENCE):
            while len(self.asked) < times:  # noqa: ASYNC110  (scripts set no event)
                await anyio.sleep(0.001)

    async def was_left(self) -> None:
        """Wait until every client has closed its end; fails if one does not."""
        with anyio.fail_after(PATIENCE):
            while self.connected:  # noqa: ASYNC110  (as above)
                await anyio.sleep(0.001)

    async def close(self) -> None:
        """Stop listening, and every script."""
        if self._server is not None:
            self._server.close()
        for peer in self._peers:
            peer.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Not a coroutine function: asyncio would report each script that is cancelled.
    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, self.accepted + 1, self.asked)
        self._peers.append(peer)
        task = asyncio.get_running_loop().create_task(self._follow_script(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow_script(self, peer: Peer) -> None:
        try:
            # The client may leave at any point of a script.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._script(peer)
        finally:
            await peer.end()


class Serve(Protocol):
    """The fixture `serve`."""

    async def __call__(self, script: Script, tls: ssl.SSLContext | None = None) -> Server:
        """Open a server that lives as long as the test."""
        ...


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Give what opens servers that follow a script."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_server(script: Script, tls: ssl.SSLContext | None = None) -> Server:
            server = Server(script, tls)
            stack.push_async_callback(server.close)
            await server.listen()
            return server

        yield open_server


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


class Authority:
    """A certificate authority, and what it vouches for."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @property
    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and no other."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=self._authority.cert_pem.bytes().decode())
        return context

    def server(self, name: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """Make a server's context with a certificate for a name."""
        past = datetime(2001, 1, 1, tzinfo=UTC)
        certificate = (
            self._authority.issue_cert(name, not_before=past, not_after=past.replace(year=2002))
            if expired
            else self._authority.issue_cert(name)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with certificate.private_key_and_cert_chain_pem.tempfile() as path:
            context.load_cert_chain(path)
        return context


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Give a certificate authority that only a test's own context trusts."""
    return Authority()
