"""Faults: what can go wrong with one request, and which request meets it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from asyncio.trsock import TransportSocket
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal, NoReturn

from aiohttp import web

from asyncclient._arguments import number, whole_number
from asyncclient._text import shown

Kind = Literal["start", "poll", "list", "other"]
"""What a request does: a start makes or moves on a task, a poll asks for the state of one."""


class Fault(StrEnum):
    """One way for a request to go wrong, as real bytes on the socket (or none).

    Before the request is looked at, so that a start starts nothing:

    - `RESET`: the connection is reset before any answer.
    - `STALL`: nothing comes until the client leaves.
    - `HTML_502`, `HTML_504`: a gateway's HTML page, without a log id.
    - `RATE_LIMITED`: 429 with `Retry-After: 1`; `RATE_LIMITED_DATE`: the same with a date.
    - `UNAVAILABLE`: 503. `EMPTY_200`: 200 without a body. `UNAUTHORIZED`: 401.
    - `NOT_FOUND`: the provider's answer for an unknown task.
    - `BUSY`: Coze's code 4009 in HTTP 200, Copy.ai's 503.

    After it, so that a start did start:

    - `RESET_AFTER_START`: the connection is reset before any answer; meets only starts.
    - `RESET_MID_BODY`, `TRUNCATE`: half of the promised body, then a reset or a close.
    - `UNDECODABLE`: HTTP 200 with JSON that is cut off.
    - `UNKNOWN_WORD`: a good answer whose status word is in no vocabulary; meets only polls.
    """

    RESET = auto()
    RESET_AFTER_START = auto()
    RESET_MID_BODY = auto()
    STALL = auto()
    TRUNCATE = auto()
    HTML_502 = auto()
    HTML_504 = auto()
    UNDECODABLE = auto()
    RATE_LIMITED = auto()
    RATE_LIMITED_DATE = auto()
    UNAVAILABLE = auto()
    UNKNOWN_WORD = auto()
    NOT_FOUND = auto()
    UNAUTHORIZED = auto()
    BUSY = auto()
    EMPTY_200 = auto()

    @property
    def is_after(self) -> bool:
        """Whether the request is carried out first, and only its answer is spoilt."""
        return self in _AFTER

    def may_meet(self, kind: Kind) -> bool:
        """Whether this fault makes sense for such a request."""
        if self is Fault.RESET_AFTER_START:
            return kind == "start"
        return self is not Fault.UNKNOWN_WORD or kind == "poll"


_AFTER = frozenset(
    {
        Fault.RESET_AFTER_START,
        Fault.RESET_MID_BODY,
        Fault.TRUNCATE,
        Fault.UNDECODABLE,
        Fault.UNKNOWN_WORD,
    }
)

# What a client must survive on its own. Not among them: what ends a wait (401, 404), and a stall,
# which costs a client its whole time-out and is therefore only ever ordered.
_TRANSIENT = (
    Fault.RESET,
    Fault.RESET_MID_BODY,
    Fault.TRUNCATE,
    Fault.HTML_502,
    Fault.HTML_504,
    Fault.UNDECODABLE,
    Fault.RATE_LIMITED,
    Fault.RATE_LIMITED_DATE,
    Fault.UNAVAILABLE,
    Fault.UNKNOWN_WORD,
    Fault.BUSY,
    Fault.EMPTY_200,
)


@dataclass(slots=True)
class _Order:
    fault: Fault
    left: int
    path: str


class FaultPlan:
    """Decides which request meets which fault: the ordered ones first, then chance."""

    def __init__(self, rng: random.Random, share: float) -> None:
        """Take the generator to draw from and the share (0 to 1) of looks that meet a fault."""
        self._random = rng
        self._share = checked_share("fault_share", share)
        self._orders: list[_Order] = []

    def order(self, fault: Fault, *, times: int, path: str) -> None:
        """Let the next `times` requests whose path contains `path` meet this fault."""
        whole_number("times", times, least=1)
        self._orders.append(_Order(fault, times, path))

    def draw(self, request: web.Request, kind: Kind) -> Fault | None:
        """Return the fault that this request meets, or None."""
        for order in self._orders:
            if order.path in request.path and order.fault.may_meet(kind):
                order.left -= 1
                if not order.left:
                    self._orders.remove(order)
                return order.fault
        if kind not in {"poll", "list"} or not self._share or self._random.random() >= self._share:
            return None
        return self._random.choice([fault for fault in _TRANSIENT if fault.may_meet(kind)])


def checked_share(name: str, share: float) -> float:
    """Check a share, from 0 to 1, and return it: percent would be always."""
    if number(name, share, most=1) < 0:
        msg = f"{name}={shown(share)} must be from 0 to 1"
        raise ValueError(msg)
    return share


def gateway_page(status: int, reason: str) -> web.Response:
    """Return the HTML page of a gateway; it has no log id (measured for HTTP 504)."""
    text = (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {reason}</h1></center>\r\n"
        "<hr/>Powered by Tengine<hr><center>tengine</center>\r\n</body>\r\n</html>\r\n"
    )
    return web.Response(status=status, text=text, content_type="text/html")


def reset_transport(transport: asyncio.BaseTransport | None) -> None:
    """Reset a connection: the peer gets a TCP reset, not an orderly end."""
    if transport is None or not isinstance(transport, asyncio.Transport):
        return
    raw: object = transport.get_extra_info("socket")
    # Lingering for zero seconds turns the close into a reset.
    if isinstance(raw, TransportSocket):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def stall() -> NoReturn:
    """Wait until the connection is gone; the server then cancels the handler."""
    while True:
        await asyncio.get_running_loop().create_future()


async def reset(request: web.Request) -> NoReturn:
    """Reset the connection of a request instead of answering it."""
    reset_transport(request.transport)
    await stall()


async def spoil(fault: Fault, request: web.Request, response: web.Response) -> web.Response:
    """Send a good answer as such a fault would leave it."""
    body = response.body if isinstance(response.body, bytes) else b""
    half = body[: len(body) // 2]
    if fault is Fault.UNDECODABLE:
        response.body = half
        response.set_status(200)
    if fault is Fault.RESET_AFTER_START:
        await reset(request)
    if fault in {Fault.RESET_MID_BODY, Fault.TRUNCATE}:
        await _send_half(request, promised=len(body), sent=half, abrupt=fault != Fault.TRUNCATE)
    return response


async def _send_half(request: web.Request, *, promised: int, sent: bytes, abrupt: bool) -> None:
    transport = request.transport
    if transport is not None:
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Content-Length: {promised}\r\n\r\n"
        )
        transport.write(head.encode() + sent)
        if abrupt:
            reset_transport(transport)
        else:
            transport.close()
    await stall()
