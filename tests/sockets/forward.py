"""A forward proxy on real TCP, as companies have: it passes requests on, and opens tunnels."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable

import anyio

from tests.wire import Listener, Message, Wire, read_message


class ForwardProxy(Listener[Wire]):
    """An HTTP proxy on loopback before one server, for any name of the host that is asked for.

    Args:
        server_port: where the server listens on 127.0.0.1.
        user: `name:password`, without which it passes nothing on.
        answer: what it says in place of passing anything on; `ECHO` in it becomes the password
            header that it was sent.
        tls: speak TLS with the client, with this certificate.

    Attributes:
        asked: the requests to the proxy itself, in order: those for a tunnel, and those that it
            could read.
        tunnels: tunnels that it opened.
    """

    def __init__(
        self,
        server_port: int,
        *,
        user: str | None = None,
        answer: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(Wire, self._meet, tls)
        self._server_port = server_port
        self._expected = user and b"Basic " + b64encode(user.encode())
        self.answer = answer
        self.asked: list[Message] = []
        self.tunnels = 0

    @property
    def place(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def url(self, user: str = "") -> str:
        """Return its URL, with a user name and password as they stand in one."""
        return self.origin.replace("://", f"://{user}@" if user else "://")

    async def _meet(self, link: Wire) -> None:
        while not link.has_left:
            request = await read_message(link.reader)
            self.asked.append(request)
            if self.answer is not None:
                await link.send(self.answer.replace(b"ECHO", _password_in(request)))
                return
            if self._expected and _password_in(request) != self._expected:
                # As a careless one does: it repeats what it refuses.
                page = request.head
                head = f"HTTP/1.1 407 No\r\nContent-Length: {len(page)}\r\n\r\n"
                await link.send(head.encode() + page)
                continue
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            try:
                if request.method == b"CONNECT":
                    self.tunnels += 1
                    await link.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await _join(link, reader, writer)
                    return
                writer.write(_passed_on(request))
                await link.send((await read_message(reader)).raw)
            finally:
                writer.close()


def _password_in(request: Message) -> bytes:
    return request.headers.get(b"proxy-authorization", b"")


def _passed_on(request: Message) -> bytes:
    """Return a request as the server gets it: with a path for a target, without the password."""
    line, *lines = request.head.split(b"\r\n")
    method, url, version = line.split(b" ")
    line = b" ".join([method, b"/" + url.split(b"/", 3)[3], version])
    kept = [each for each in lines if not each.lower().startswith(b"proxy-")]
    return b"\r\n".join([line, *kept]) + request.body


async def _join(link: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways until one end has left."""

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def carry(source: asyncio.StreamReader, send: Callable[[bytes], Awaitable[None]]) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await send(data)
        ways.cancel_scope.cancel()

    async with anyio.create_task_group() as ways:
        ways.start_soon(carry, link.reader, write)
        ways.start_soon(carry, reader, link.send)
