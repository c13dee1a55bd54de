"""The server's end of a connection on loopback, for tests that put any bytes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Generator


class Wire:
    """One connection as a server sees it.

    Attributes:
        number: which connection to the server this is, from 1.
        reader: what the client sends.
        offered: bytes that were written to it, those in the kernel's buffers included.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.reader = reader
        self._writer = writer
        self.number = number
        self.offered = 0

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
