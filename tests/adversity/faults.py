"""The faults that a pool must survive, as a table: what each does, and what it costs.

A fault is met by the first request of an operation (by the first two of a whole wait); all that
comes after it finds everything well. Faults of a place (a name, a certificate) are met by every
request. How each operation ends is in `docs/faults.md`, one cell for each.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio

from tests.adversity.proxy import Exchange, How, OnConnect, OnRequest, all_is_well, hang_up
from tests.wire import Wire

REQUEST_TIMEOUT = 3.0
CONNECT_TIMEOUT = 1.0
_MEBIBYTE = 1024 * 1024
MAX_BODY = _MEBIBYTE
_FLOOD = 100_000_000

Operation: TypeAlias = Literal["start", "poll", "wait", "list"]
OPERATIONS: tuple[Operation, ...] = ("start", "poll", "wait", "list")

Timeout: TypeAlias = Literal["", "request_timeout", "connect_timeout"]
# Named as its fault, but for the last two.
Place: TypeAlias = Literal[
    "unknown name",
    "unknown name at first",
    "connection refused",
    "connection refused at first",
    "connection not taken",
    "certificate for another name",
    "certificate that has expired",
    "certificate of an unknown authority",
    "no TLS",
    "good certificate",
]
# Where requests do arrive, at last.
GOOD_PLACES = (None, "unknown name at first", "connection refused at first", "good certificate")


@dataclass(frozen=True)
class Fault:
    """One way for things to go wrong."""

    name: str  # what it is called in the table
    on_request: OnRequest | None = None  # what the first requests meet
    what: str = ""  # what it does, in a few words; empty where the name says it
    place: Place | None = None  # where the client is sent; None for the proxy
    # What the first connections meet; every connection at a place without TLS.
    on_connect: OnConnect | None = None
    # What an earlier request meets, whose connection is kept; None for no such request.
    kept: OnRequest | None = None
    passed_on: bool = True  # whether the provider gets the requests that meet it
    takes: Timeout = ""  # the timeout that it costs, if it does
    most_offered: int | None = None  # bytes that a connection may get before the client closes it

    @property
    def reaches_provider(self) -> bool:
        """Whether the provider gets a request that meets it."""
        return self.passed_on and self.on_connect is None and self.place in GOOD_PLACES


# --- what happens to a connection -------------------------------------------------------------


async def _never_answers(link: Wire) -> None:
    await link.until_left()


def _ends_after(size: int, how: How) -> OnConnect:
    """Read some bytes of what comes, then give the connection up."""

    async def meet(link: Wire) -> None:
        await link.reader.readexactly(size)
        await hang_up(link, how)

    return meet


async def _alerts_handshake(link: Wire) -> None:
    """Answer the client's greeting with TLS's fatal `internal_error`, as a broken balancer does."""
    await link.reader.read(65536)
    await link.send(b"\x15\x03\x03\x00\x02\x02\x50")
    await link.until_left()


# --- what happens to an answer ----------------------------------------------------------------

# Where an answer may be cut: after none, one or two halves of its head, and then of its body.
_POINTS = {
    "before the head": (0, 0),
    "inside the head": (1, 0),
    "after the head": (2, 0),
    "inside the body": (2, 1),
    "after the body": (2, 2),
}


def _cut(at: str, how: How | Literal["stall"]) -> OnRequest:
    """Send the answer up to a point, then give the connection up, or say nothing more."""
    of_head, of_body = _POINTS[at]

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        size = len(answer.head) * of_head // 2 + len(answer.body) * of_body // 2
        await exchange.link.send(answer.raw[:size])
        if how == "stall":
            await exchange.link.until_left()
            return
        if how == "reset":
            await anyio.sleep(0.005)  # a reset may overtake what was not read yet
        await hang_up(exchange.link, how)

    return meet


async def _then_garbage(exchange: Exchange) -> None:
    """Send the answer, and something else once the connection is idle."""
    await all_is_well(exchange)
    await anyio.sleep(0.005)
    await exchange.link.send(_GARBAGE)


async def _lost_after_a_while(exchange: Exchange) -> None:
    """Close the connection a second after the request, as a balancer that gives up does."""
    await exchange.pass_on()
    await anyio.sleep(1)
    await exchange.link.end()


def _byte_by_byte(gap: float) -> OnRequest:
    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        for byte in answer.raw:
            await exchange.link.send(bytes([byte]))
            await anyio.sleep(gap)

    return meet


def _instead(data: bytes) -> OnRequest:
    """Send these bytes instead of the answer, then nothing more."""

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(data)
        await exchange.link.until_left()

    return meet


async def _interim_answers(exchange: Exchange) -> None:
    """Send interim answers, and never a final one."""
    await exchange.pass_on()
    while True:
        await exchange.link.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
        await anyio.sleep(0.25)


def _spoilt(
    body: Callable[[bytes], bytes] = lambda body: body,
    *,
    status: str = "200 OK",
    headers: str = "Content-Type: application/json",
    promised: float = 1,
) -> OnRequest:
    """Send the provider's answer with another body, status, headers or share of it promised."""

    async def meet(exchange: Exchange) -> None:
        sent = body((await exchange.pass_on()).body)
        await exchange.link.send(_answer_of(status, headers, sent, int(len(sent) * promised)))

    return meet


def _packed(spoil: Callable[[bytes], bytes]) -> OnRequest:
    return _spoilt(lambda body: spoil(gzip.compress(body)), headers=_GZIP)


def _page(status: str) -> OnRequest:
    """Send a gateway's page instead of the provider's answer."""
    return _spoilt(lambda _: _PAGE % status[:3].encode(), status=status, headers=_HTML)


def _answer_of(status: str, headers: str, body: bytes, promised: int) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {promised}\r\n\r\n"
    return head.encode() + body


async def _redirect(exchange: Exchange) -> None:
    """Send the client to another origin, where the same proxy would see it come."""
    at = f"Location: http://localhost:{exchange.proxy.port}/elsewhere"
    await exchange.link.send(_answer_of("307 Temporary Redirect", at, b"", 0))


def _first_half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _with_field(value: bytes) -> OnRequest:
    """Add a field that no page names, before all others."""
    return _spoilt(lambda body: body.replace(b"{", b'{"note":' + value + b",", 1))


_GZIP = "Content-Encoding: gzip"
_HTML = "Content-Type: text/html"
_BOMB = gzip.compress(bytes(64 * _MEBIBYTE))
_NESTED = b"[" * 200_000 + b"]" * 200_000
_PAGE = b"<html><head><title>%s</title></head><body><center>nginx</center></body></html>"
_BUSY = b'{"code":700000,"msg":"busy","status":"error","message":"busy"}'
_HEAD = b"HTTP/1.1 200 OK\r\n"
_PROMISE = _HEAD + b"Content-Length: 100000000\r\n\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_GARBAGE = b"\x00\x16\xff no such thing\r\n\r\n"
_UTF_7 = "`text/html; charset=utf-7`"

# --- the table --------------------------------------------------------------------------------


def _cuts(word: str, how: How | Literal["stall"], takes: Timeout = "") -> list[Fault]:
    """Cut the answer at each point."""
    return [Fault(f"{word} {at}", _cut(at, how), takes=takes) for at in _POINTS]


def _flood(name: str, start: bytes, block: bytes, what: str = "") -> Fault:
    """Send a start, then the same block over and over, 100 MB of it."""
    many = block * (65536 // len(block))

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(start)
        for _ in range(_FLOOD // len(many)):
            await exchange.link.send(many)

    what += "the client leaves before a tenth of it has come"
    return Fault(name, meet, what, most_offered=_FLOOD // 10)


def _endless(name: str, on_request: OnRequest, what: str) -> Fault:
    return Fault(name, on_request, what, takes="request_timeout")


def _at(place: Place, what: str = "", takes: Timeout = "") -> Fault:
    return Fault(place, what=what, place=place, takes=takes)


def _handshake(name: str, on_connect: OnConnect, takes: Timeout = "") -> Fault:
    return Fault(f"handshake {name}", place="no TLS", on_connect=on_connect, takes=takes)


def _idle(name: str, first: OnRequest) -> Fault:
    """Spoil a kept connection after an earlier request."""
    return Fault(f"{name} while idle", kept=first)


def _lost(name: str, how: How, first: OnRequest | None = None) -> Fault:
    """Lose the request; `first` is what an earlier one meets, whose connection is kept."""
    return Fault(name, lambda exchange: hang_up(exchange.link, how), kept=first, passed_on=False)


def _refused(
    name: str, status: str, headers: str = _HTML, what: str = "", body: bytes = b""
) -> Fault:
    """Answer in the provider's place."""
    answer = _answer_of(status, headers, body, len(body))
    return Fault(name, lambda exchange: exchange.link.send(answer), what, passed_on=False)


def _gateway(status: str) -> Fault:
    return _refused(f"{status[:3]} with a page", status, body=_PAGE % status[:3].encode())


def _asked_to_wait(hint: str) -> Fault:
    """Refuse for too many requests, with a hint that cannot be taken as it is."""
    headers = f"Retry-After: {hint}\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT"
    what = f"`Retry-After: {hint}`"
    return _refused(f"429 for {hint} s", "429 Too Many Requests", headers, what)


_CLOSED = _cuts("closed", "close")
_PART = "after 40 bytes of it"
_BALANCER = "as a balancer that gives up"
_ELSEWHERE = "to another origin, which would get the credential"

TABLE: dict[str, tuple[Fault, ...]] = {
    "No connection": (
        _at("unknown name", "for ever"),
        _at("unknown name at first", "found from the second try on"),
        _at("connection refused", "the port stays closed"),
        _at("connection refused at first", "somebody listens from the second try on"),
        _at(
            "connection not taken", "the queue of connections is full, for ever", "connect_timeout"
        ),
        Fault("accepted, then closed", on_connect=_ends_after(0, "close")),
        Fault("accepted, then reset", on_connect=_ends_after(0, "reset")),
        Fault("accepted, then silent", on_connect=_never_answers, takes="request_timeout"),
    ),
    "TLS": (
        _at("certificate for another name"),
        _at("certificate that has expired"),
        _at("certificate of an unknown authority"),
        Fault("plain http on a TLS port", place="no TLS"),
        _handshake("closed", _ends_after(40, "close")),
        _handshake("reset", _ends_after(40, "reset")),
        _handshake("answered with an alert", _alerts_handshake),
        _handshake("not answered", _never_answers, "connect_timeout"),
        Fault(
            "TLS cut inside the body",
            _cut("inside the body", "drop"),
            "without TLS's farewell",
            place="good certificate",
        ),
    ),
    "The request is lost": (
        Fault("closed inside the request", None, _PART, on_connect=_ends_after(40, "close")),
        Fault("reset inside the request", None, _PART, on_connect=_ends_after(40, "reset")),
        _lost("request lost, closed", "close"),
        _lost("request lost, reset", "reset"),
        _lost("closed at the reuse of a kept connection", "close", all_is_well),
        _lost("reset at the reuse of a kept connection", "reset", all_is_well),
    ),
    "A kept connection": (
        _idle("closed", _cut("after the body", "close")),
        _idle("reset", _cut("after the body", "reset")),
        _idle("garbage", _then_garbage),
    ),
    "The answer is cut": (
        _CLOSED[0],
        Fault("closed before the head, a second later", _lost_after_a_while, _BALANCER),
        *_CLOSED[1:],
        *_cuts("reset", "reset"),
    ),
    "The answer is slow": (
        *_cuts("stalled", "stall", "request_timeout")[:-1],
        Fault("byte by byte", _byte_by_byte(0)),
        # It would take minutes.
        _endless("a byte every 0.45 s", _byte_by_byte(0.45), "never long silent, never done"),
        _endless("interim answers without end", _interim_answers, "HTTP 103, a thousand at a time"),
    ),
    "The answer is too long, or no HTTP": (
        Fault("twice the promised length", _spoilt(lambda body: body + body, promised=0.5)),
        Fault("garbage instead of HTTP", _instead(_GARBAGE)),
        Fault("another protocol", _instead(b"SSH-2.0-OpenSSH_9.2\r\n"), "SSH's greeting"),
        Fault("two lengths", _instead(_HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}")),
        Fault("a chunk of no size", _instead(_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n")),
        _flood("100 MB of headers", _HEAD, b"a: b\r\n"),
        _flood("a header of 100 MB", _HEAD + b"a: ", b"b" * 64),
        _flood("chunks without end", _CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n", "100 MB; "),
        _flood(
            "a body without end", b"HTTP/1.0 200 OK\r\n\r\n", b" ", "100 MB, no promised length; "
        ),
        _flood("a promise over `max_body`", _PROMISE, b" ", "100 MB; "),
        Fault("a gzip bomb", _spoilt(lambda _: _BOMB, headers=_GZIP), "64 MiB in 64 KiB"),
    ),
    "The answer cannot be read": (
        Fault("gzip that is none", _spoilt(headers=_GZIP)),
        Fault("gzip broken at its beginning", _packed(lambda sent: sent[:10] + b"\xff" * 20)),
        Fault("gzip with a wrong checksum", _packed(lambda sent: sent[:-8] + bytes(8))),
        Fault("half of a gzip", _packed(_first_half)),
        Fault("good gzip", _packed(lambda sent: sent)),
        Fault("200 without a body", _spoilt(lambda _: b"")),
        Fault("204", _spoilt(lambda _: b"", status="204 No Content")),
        Fault("200 with a page", _spoilt(lambda _: _PAGE % b"Welcome"), "HTML of a gateway"),
        Fault("half of the JSON", _spoilt(_first_half)),
        Fault("JSON `null`", _spoilt(lambda _: b"null")),
        Fault("JSON `[]`", _spoilt(lambda _: b"[]")),
        Fault("JSON 200,000 deep", _spoilt(lambda _: _NESTED)),
        Fault("invalid UTF-8", _spoilt(lambda body: body.replace(b':"', b':"\xff\xfe'))),
        Fault("wrong content type", _spoilt(headers=f"{_HTML}; charset=utf-7"), _UTF_7),
        Fault("no content type", _spoilt(headers="X-A: b")),
    ),
    "Something beside the status is not as it should be": (
        Fault("a byte order mark", _spoilt(lambda body: b"\xef\xbb\xbf" + body)),
        Fault("UTF-16", _spoilt(lambda body: body.decode().encode("utf-16"))),
        Fault("200,000 lists in each other", _with_field(_NESTED)),
        Fault("half an emoji", _with_field(b'"cut \\ud83d"'), "a lone surrogate"),
        Fault("a number of 400 digits", _with_field(b"9" * 400)),
        Fault("a number of no size", _with_field(b"1e999")),
        Fault("a field that is there twice", _with_field(b'1,"note":null')),
        Fault("200,000 empty lists", _with_field(b"[" + b"[]," * 200_000 + b"0]"), "in 600 kB"),
    ),
    "The answer is a refusal, or no answer at all": (
        Fault("500", _spoilt(lambda _: b"{}", status="500 Internal Server Error")),
        Fault("502 with a page", _page("502 Bad Gateway")),
        _refused("503", "503 Service Unavailable"),
        Fault("504 with a page", _page("504 Gateway Time-out")),
        _refused("429", "429 Too Many Requests", "Retry-After: 1", what="`Retry-After: 1`"),
        _asked_to_wait("3600"),
        _asked_to_wait("900000"),
        _asked_to_wait("1771404540"),
        *map(_gateway, ("401 Unauthorized", "403 Forbidden", "409 Conflict", "423 Locked")),
        _refused("400 with a code in no table", "400 Bad Request", what="700000, busy", body=_BUSY),
        _refused("401", "401 Unauthorized"),
        _refused("403", "403 Forbidden"),
        _refused("404", "404 Not Found", what="a wait tolerates it for 10 s"),
        Fault("a redirect", _redirect, _ELSEWHERE, passed_on=False),
    ),
}

FAULTS = {fault.name: fault for faults in TABLE.values() for fault in faults}
