"""A proxy on real TCP that stands between a pool and a provider, and spoils what is ordered.

It reads whole requests, passes each on over a connection of its own, and sends the whole answer
back. What is ordered is a function that does with its `Wire` (a connection) or its `Exchange` (a
request) what it likes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, TypeAlias

from tests.wire import Listener, Message, Wire, read_message

How: TypeAlias = Literal["close", "reset", "drop"]


async def hang_up(link: Wire, how: How) -> None:
    """Give a connection up: by an orderly close, a reset, or a close without TLS's farewell."""
    match how:
        case "close":
            await link.end()
        case "reset":
            link.reset()
        case "drop":
            link.drop()


@dataclass(frozen=True)
class Exchange:
    """One request on its way to the provider."""

    link: Wire  # the connection that it came on
    request: Message
    proxy: FaultProxy  # what it came to

    async def pass_on(self) -> Message:
        """Let the provider act on the request, and return its answer."""
        return await self.proxy.ask_provider(self.request)


OnConnect: TypeAlias = Callable[[Wire], Awaitable[None]]
OnRequest: TypeAlias = Callable[[Exchange], Awaitable[None]]


class FaultProxy(Listener[Wire]):
    """A TCP server on loopback in front of a provider; connections are refused until it listens."""

    def __init__(
        self, provider_port: int, tls: ssl.SSLContext | None = None, *, port: int = 0
    ) -> None:
        super().__init__(Wire, self._meet, tls, port=port)
        self._provider_port = provider_port
        # What the next connections meet before anything is read from them; None for nothing.
        self.connection_faults: Iterator[OnConnect | None] = repeat(None)
        # What the next requests meet once they have come in whole; the same.
        self.request_faults: Iterator[OnRequest | None] = repeat(None)
        self.requests: list[Message] = []  # those that came in whole, in order
        self.passed_on: list[Message] = []  # those of them that the provider got

    async def ask_provider(self, request: Message) -> Message:
        """Pass a request on over a connection of its own, and return the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._provider_port)
        try:
            writer.write(request.raw)
            self.passed_on.append(request)
            return await read_message(reader)
        finally:
            writer.close()

    async def _meet(self, link: Wire) -> None:
        if (meet_link := next(self.connection_faults)) is not None:
            await meet_link(link)
        while not link.has_left:
            exchange = Exchange(link, await read_message(link.reader), self)
            self.requests.append(exchange.request)
            meet_request = next(self.request_faults) or all_is_well
            await meet_request(exchange)


async def all_is_well(exchange: Exchange) -> None:
    """Pass the request on, and send the answer back as it is."""
    await exchange.link.send((await exchange.pass_on()).raw)
