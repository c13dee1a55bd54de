"""Servers on loopback for tests that put any bytes on the wire, and their certificates."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Self, TypeVar

import trustme

L = TypeVar("L", bound="Wire")

BLANK_LINE = b"\r\n\r\n"
# Thousands of waits may all connect at once.
_BACKLOG = 4096
_SEND_BUFFER = 64 * 1024


@dataclass(frozen=True)
class Message:
    """One HTTP request or answer as it came over the wire."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """All of its bytes."""
        return self.head + self.body

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
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line)
        return {name.lower(): value.strip() for name, _, value in pairs}


def promised(head: bytes) -> int:
    """Return how long a body is by its head's `Content-Length`."""
    return int(Message(head, b"").headers.get(b"content-length", b"0"))


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read a head, and the body that it promises."""
    head = await reader.readuntil(BLANK_LINE)
    return Message(head, await reader.readexactly(promised(head)))


class Wire:
    """One connection as a server sees it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.reader = reader  # what the client sends
        self._writer = writer
        self.number = number  # which connection to the server this is, from 1
        self.offered = 0  # bytes that were written to it, those in the kernel's buffers included

    @property
    def has_left(self) -> bool:
        """Whether the client has closed its end, or this end was given up."""
        broken = self.reader.exception() is not None
        return self.reader.at_eof() or broken or self._writer.transport.is_closing()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are; raises `OSError` when the client has left."""
        if self._writer.transport.is_closing():
            raise ConnectionResetError  # uvloop's own would be a RuntimeError
        self._writer.write(data)
        await self._writer.drain()
        self.offered += len(data)

    async def until_left(self) -> None:
        """Say nothing until the client has closed its end."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Reset the connection: the client gets a TCP reset, not an orderly end."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def drop(self) -> None:
        """Give the connection up: an orderly end in TCP, without TLS's farewell."""
        self._writer.transport.abort()

    async def end(self) -> None:
        """Close the connection in an orderly way, as far as the client lets it."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Listener(Generic[L]):
    """A TCP server on loopback; it refuses connections until it listens, and ends each at last.

    Args:
        link: makes what a connection is to its server, from its streams and its number.
        serve: what is done with each connection.
        tls: speak TLS with the client, with this certificate.
        port: where it listens; 0 for a free port.
    """

    def __init__(
        self,
        link: Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], L],
        serve: Callable[[L], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
        *,
        port: int = 0,
    ) -> None:
        self._link = link
        self._serve = serve
        self._tls = tls
        # Bound from the first, so that no one else gets the port while connections are refused.
        # With its protocol said, or asyncio would leave Nagle's algorithm on.
        self._listener = socket.socket(proto=socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        # Accepted connections inherit it: what is offered is then nearly what the client has read.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._links: set[L] = set()
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0  # connections so far
        self.offered = 0  # the most bytes that were written to one connection before its end

    @property
    def origin(self) -> str:
        """Its URL without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connected(self) -> int:
        """Connections that neither end has given up."""
        return sum(not link.has_left for link in self._links)

    async def listen(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(
            self._accept, sock=self._listener, ssl=self._tls, backlog=_BACKLOG
        )

    async def close(self) -> None:
        """Stop listening, and give every connection up."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for link in self._links:
            link.drop()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Not a coroutine function: asyncio would report each connection that is cancelled.
    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = self._link(reader, writer, self.accepted)
        self._links.add(link)
        task = asyncio.get_running_loop().create_task(self._serve_and_end(link))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve_and_end(self, link: L) -> None:
        try:
            # The client may leave at any point.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(link)
        finally:
            self.offered = max(self.offered, link.offered)
            await link.end()
            self._links.discard(link)


@functools.cache
def authority(name: str) -> trustme.CA:
    """Make a certificate authority."""
    return trustme.CA(organization_name=name)


@functools.cache
def trusting() -> ssl.SSLContext:
    """Make a client's context that trusts the authority `friend` alone."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority("friend").cert_pem.bytes().decode())
    return context


@functools.cache
def certificate(
    name: str = "127.0.0.1", *, expired: bool = False, by: str = "friend"
) -> ssl.SSLContext:
    """Make a server's context with a certificate for a name."""
    end = datetime(2002, 1, 1, tzinfo=UTC) if expired else None
    begin = datetime(2001, 1, 1, tzinfo=UTC) if expired else None
    issued = authority(by).issue_cert(name, not_before=begin, not_after=end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with issued.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def full_queue() -> Generator[str]:
    """Give an origin on loopback that neither takes nor refuses a connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
