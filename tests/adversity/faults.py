"""The faults that a pool must survive, as a table: what each does, and what it costs.

A fault is met by the first request of an operation (by the first two of a whole wait); all that
comes after it finds everything well. Faults of a place (a name, a certificate) are met by every
request. How each operation ends is in `docs/faults.md`, one cell for each.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

import anyio

from tests.adversity.proxy import Exchange, How, OnConnect, OnRequest, all_is_well, hang_up
from tests.wire import Message, Wire

REQUEST_TIMEOUT = 3.0
CONNECT_TIMEOUT = 1.0
MEBIBYTE = 1024 * 1024
MAX_BODY = MEBIBYTE
FLOOD = 100_000_000

Operation: TypeAlias = Literal["start", "poll", "wait", "list"]
OPERATIONS: tuple[Operation, ...] = ("start", "poll", "wait", "list")

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
    """One way for things to go wrong.

    Attributes:
        name: what it is called in the table.
        on_request: what the first requests meet.
        what: what it does, in a few words; empty where the name says it.
        place: where the client is sent; None for the proxy.
        on_connect: what the first connections meet; every connection at a place without TLS.
        kept: what an earlier request meets, whose connection is kept; None for no such request.
        passed_on: whether the provider gets the requests that meet it.
        takes: the timeout that it costs, if it does.
        most_offered: bytes that may be written to a connection before the client closes it.
    """

    name: str
    on_request: OnRequest | None = None
    what: str = ""
    place: Place | None = None
    on_connect: OnConnect | None = None
    kept: OnRequest | None = None
    passed_on: bool = True
    takes: Literal["", "request_timeout", "connect_timeout"] = ""
    most_offered: int | None = None

    @property
    def reaches_provider(self) -> bool:
        """Whether the provider gets a request that meets it."""
        return self.passed_on and self.on_connect is None and self.place in GOOD_PLACES


# --- what happens to a connection -------------------------------------------------------------


async def never_answers(link: Wire) -> None:
    """Take what comes, and say nothing."""
    await link.until_left()


def ends_after(size: int, how: How) -> OnConnect:
    """Read some bytes of what comes, then give the connection up."""

    async def meet(link: Wire) -> None:
        await link.reader.readexactly(size)
        await hang_up(link, how)

    return meet


async def alerts_handshake(link: Wire) -> None:
    """Answer the client's greeting with TLS's fatal `internal_error`, as a broken balancer does."""
    await link.reader.read(65536)
    await link.send(b"\x15\x03\x03\x00\x02\x02\x50")
    await link.until_left()


# --- what happens to an answer ----------------------------------------------------------------


def points(answer: Message) -> dict[str, int]:
    """Return where an answer may be cut, in bytes from its beginning."""
    head, body = len(answer.head), len(answer.body)
    return {
        "before the head": 0,
        "inside the head": head // 2,
        "after the head": head,
        "inside the body": head + body // 2,
        "after the body": head + body,
    }


def cut(at: str, how: How | Literal["stall"]) -> OnRequest:
    """Send the answer up to a point, then give the connection up, or say nothing more."""

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        await exchange.link.send(answer.raw[: points(answer)[at]])
        if how == "stall":
            await exchange.link.until_left()
            return
        if how == "reset":
            await anyio.sleep(0.005)  # a reset may overtake what was not read yet
        await hang_up(exchange.link, how)

    return meet


def lose(how: How) -> OnRequest:
    """Give the connection up instead of passing the request on."""
    return lambda exchange: hang_up(exchange.link, how)


async def then_garbage(exchange: Exchange) -> None:
    """Send the answer, and something else once the connection is idle."""
    await all_is_well(exchange)
    await anyio.sleep(0.005)
    await exchange.link.send(GARBAGE)


async def lost_after_a_while(exchange: Exchange) -> None:
    """Close the connection a second after the request, as a balancer that gives up does."""
    await exchange.pass_on()
    await anyio.sleep(1)
    await exchange.link.end()


def byte_by_byte(gap: float) -> OnRequest:
    """Send the answer one byte at a time, with a gap in seconds between two of them."""

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        for byte in answer.raw:
            await exchange.link.send(bytes([byte]))
            await anyio.sleep(gap)

    return meet


def instead(data: bytes) -> OnRequest:
    """Send these bytes instead of the answer, then nothing more."""

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(data)
        await exchange.link.until_left()

    return meet


async def interim_answers(exchange: Exchange) -> None:
    """Send interim answers, and never a final one."""
    await exchange.pass_on()
    while True:
        await exchange.link.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
        await anyio.sleep(0.25)


def spoilt(
    body: Callable[[bytes], bytes] = lambda body: body,
    *,
    status: str = "200 OK",
    headers: str = "Content-Type: application/json",
    promised: float = 1,
) -> OnRequest:
    """Send the provider's answer with another body, status, headers or share of it promised."""

    async def meet(exchange: Exchange) -> None:
        sent = body((await exchange.pass_on()).body)
        await exchange.link.send(answer_of(status, headers, sent, int(len(sent) * promised)))

    return meet


def packed(spoil: Callable[[bytes], bytes]) -> OnRequest:
    """Send the provider's answer packed, then spoilt."""
    return spoilt(lambda body: spoil(gzip.compress(body)), headers=GZIP)


def page(status: str) -> OnRequest:
    """Send a gateway's page instead of the provider's answer."""
    body = PAGE % status[:3].encode()
    return spoilt(lambda _: body, status=status, headers="Content-Type: text/html")


def refusal(status: str, headers: str = "Content-Type: text/html", body: bytes = b"") -> OnRequest:
    """Answer in the provider's place."""
    return lambda exchange: exchange.link.send(answer_of(status, headers, body, len(body)))


def answer_of(status: str, headers: str, body: bytes, promised: int) -> bytes:
    """Return an answer as it goes over the wire."""
    head = f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {promised}\r\n\r\n"
    return head.encode() + body


async def redirect(exchange: Exchange) -> None:
    """Send the client to another origin, where the same proxy would see it come."""
    location = f"Location: http://localhost:{exchange.proxy.port}/elsewhere"
    await refusal("307 Temporary Redirect", location)(exchange)


def first_half(body: bytes) -> bytes:
    """Return the first half of a body."""
    return body[: len(body) // 2]


def with_field(value: bytes) -> OnRequest:
    """Add a field that no page names, before all others."""
    return spoilt(lambda body: body.replace(b"{", b'{"note":' + value + b",", 1))


def asked_to_wait(hint: str) -> Fault:
    """Refuse for too many requests, with a hint that cannot be taken as it is."""
    headers = f"Retry-After: {hint}\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT"
    return refused(
        f"429 for {hint} s", "429 Too Many Requests", headers, what=f"`Retry-After: {hint}`"
    )


GZIP = "Content-Encoding: gzip"
BOMB = gzip.compress(bytes(64 * MEBIBYTE))
NESTED = b"[" * 200_000 + b"]" * 200_000
PAGE = b"<html><head><title>%s</title></head><body><center>nginx</center></body></html>"
BUSY = b'{"code":700000,"msg":"busy","status":"error","message":"busy"}'
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GARBAGE = b"\x00\x16\xff no such thing\r\n\r\n"
UTF_16 = '{"code": 0, "status": "success", "data": {"id": "R"}}'.encode("utf-16")


# --- the table --------------------------------------------------------------------------------


def cuts(word: str, how: How) -> list[Fault]:
    """Cut the answer at each point."""
    return [Fault(f"{word} {at}", cut(at, how)) for at in points(Message(b"", b""))]


def flood(name: str, start: bytes, block: bytes, what: str = "") -> Fault:
    """Send a start, then the same block over and over, 100 MB of it."""
    many = block * (65536 // len(block))

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(start)
        for _ in range(FLOOD // len(many)):
            await exchange.link.send(many)

    what += "the client leaves before a tenth of it has come"
    return Fault(name, meet, what, most_offered=FLOOD // 10)


def at(place: Place, what: str = "", takes: Literal["", "connect_timeout"] = "") -> Fault:
    """Send the client to a place."""
    return Fault(place, what=what, place=place, takes=takes)


def handshake(name: str, on_connect: OnConnect) -> Fault:
    """Spoil the handshake of TLS."""
    takes: Literal["", "connect_timeout"] = "connect_timeout" if on_connect is never_answers else ""
    return Fault(f"handshake {name}", place="no TLS", on_connect=on_connect, takes=takes)


def kept(name: str, first: OnRequest) -> Fault:
    """Spoil a kept connection after an earlier request."""
    return Fault(f"{name} while idle", kept=first)


def lost(name: str, how: How, first: OnRequest | None = None) -> Fault:
    """Lose the request; `first` is what an earlier one meets, whose connection is kept."""
    return Fault(name, lose(how), kept=first, passed_on=False)


def refused(
    name: str,
    status: str,
    headers: str = "Content-Type: text/html",
    what: str = "",
    body: bytes = b"",
) -> Fault:
    """Answer in the provider's place."""
    return Fault(name, refusal(status, headers, body), what, passed_on=False)


def stalled(name: str, on_request: OnRequest, what: str = "") -> Fault:
    """Never come to the end of the answer."""
    return Fault(name, on_request, what, takes="request_timeout")


CLOSED = cuts("closed", "close")
ELSEWHERE = "to another origin, which would get the credential"
IN_PART = "after 40 bytes of it"

TABLE: dict[str, tuple[Fault, ...]] = {
    "No connection": (
        at("unknown name", "for ever"),
        at("unknown name at first", "found from the second try on"),
        at("connection refused", "the port stays closed"),
        at("connection refused at first", "somebody listens from the second try on"),
        at("connection not taken", "the queue of connections is full, for ever", "connect_timeout"),
        Fault("accepted, then closed", on_connect=ends_after(0, "close")),
        Fault("accepted, then reset", on_connect=ends_after(0, "reset")),
        Fault("accepted, then silent", on_connect=never_answers, takes="request_timeout"),
    ),
    "TLS": (
        at("certificate for another name"),
        at("certificate that has expired"),
        at("certificate of an unknown authority"),
        Fault("plain http on a TLS port", place="no TLS"),
        handshake("closed", ends_after(40, "close")),
        handshake("reset", ends_after(40, "reset")),
        handshake("answered with an alert", alerts_handshake),
        handshake("not answered", never_answers),
        Fault(
            "TLS cut inside the body",
            cut("inside the body", "drop"),
            "without TLS's farewell",
            place="good certificate",
        ),
    ),
    "The request is lost": (
        Fault("closed inside the request", None, IN_PART, on_connect=ends_after(40, "close")),
        Fault("reset inside the request", None, IN_PART, on_connect=ends_after(40, "reset")),
        lost("request lost, closed", "close"),
        lost("request lost, reset", "reset"),
        lost("closed at the reuse of a kept connection", "close", all_is_well),
        lost("reset at the reuse of a kept connection", "reset", all_is_well),
    ),
    "A kept connection": (
        kept("closed", cut("after the body", "close")),
        kept("reset", cut("after the body", "reset")),
        kept("garbage", then_garbage),
    ),
    "The answer is cut": (
        CLOSED[0],
        Fault(
            f"{CLOSED[0].name}, a second later", lost_after_a_while, "as a balancer that gives up"
        ),
        *CLOSED[1:],
        *cuts("reset", "reset"),
    ),
    "The answer is slow": (
        stalled("stalled before the head", cut("before the head", "stall")),
        stalled("stalled inside the head", cut("inside the head", "stall")),
        stalled("stalled after the head", cut("after the head", "stall")),
        stalled("stalled inside the body", cut("inside the body", "stall")),
        Fault("byte by byte", byte_by_byte(0)),
        # It would take minutes.
        stalled("a byte every 0.45 s", byte_by_byte(0.45), "never long silent, never done"),
        stalled("interim answers without end", interim_answers, "HTTP 103, a thousand at a time"),
    ),
    "The answer is too long, or no HTTP": (
        Fault("twice the promised length", spoilt(lambda body: body + body, promised=0.5)),
        Fault("garbage instead of HTTP", instead(GARBAGE)),
        Fault("another protocol", instead(b"SSH-2.0-OpenSSH_9.2\r\n"), "SSH's greeting"),
        Fault("two lengths", instead(HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}")),
        Fault("a chunk of no size", instead(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n")),
        flood("100 MB of headers", HEAD, b"a: b\r\n"),
        flood("a header of 100 MB", HEAD + b"a: ", b"b" * 64),
        flood("chunks without end", CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n", "100 MB; "),
        flood(
            "a body without end", b"HTTP/1.0 200 OK\r\n\r\n", b" ", "100 MB, no promised length; "
        ),
        flood(
            "a promise over `max_body`",
            HEAD + b"Content-Length: 100000000\r\n\r\n",
            b" ",
            "100 MB; ",
        ),
        Fault("a gzip bomb", spoilt(lambda _: BOMB, headers=GZIP), "64 MiB in 64 KiB"),
    ),
    "The answer cannot be read": (
        Fault("gzip that is none", spoilt(headers=GZIP)),
        Fault("gzip broken at its beginning", packed(lambda sent: sent[:10] + b"\xff" * 20)),
        Fault("gzip with a wrong checksum", packed(lambda sent: sent[:-8] + bytes(8))),
        Fault("half of a gzip", packed(first_half)),
        Fault("good gzip", packed(lambda sent: sent)),
        Fault("200 without a body", spoilt(lambda _: b"")),
        Fault("204", spoilt(lambda _: b"", status="204 No Content")),
        Fault("200 with a page", spoilt(lambda _: PAGE % b"Welcome"), "HTML of a gateway"),
        Fault("half of the JSON", spoilt(first_half)),
        Fault("JSON `null`", spoilt(lambda _: b"null")),
        Fault("JSON `[]`", spoilt(lambda _: b"[]")),
        Fault("JSON 200,000 deep", spoilt(lambda _: NESTED)),
        Fault("invalid UTF-8", spoilt(lambda body: body.replace(b':"', b':"\xff\xfe'))),
        Fault("UTF-16", spoilt(lambda _: UTF_16)),
        Fault(
            "wrong content type",
            spoilt(headers="Content-Type: text/html; charset=utf-7"),
            "`text/html; charset=utf-7`",
        ),
        Fault("no content type", spoilt(headers="X-A: b")),
    ),
    "Something beside the status is not as it should be": (
        Fault("a byte order mark", spoilt(lambda body: b"\xef\xbb\xbf" + body)),
        Fault("200,000 lists in each other", with_field(NESTED)),
        Fault("half an emoji", with_field(b'"cut \\ud83d"'), "a lone surrogate"),
        Fault("a number of 400 digits", with_field(b"9" * 400)),
        Fault("a number of no size", with_field(b"1e999")),
        Fault("a field that is there twice", with_field(b'1,"note":null')),
        Fault("200,000 empty lists", with_field(b"[" + b"[]," * 200_000 + b"0]"), "in 600 kB"),
    ),
    "The answer is a refusal, or no answer at all": (
        Fault("500", spoilt(lambda _: b"{}", status="500 Internal Server Error")),
        Fault("502 with a page", page("502 Bad Gateway")),
        refused("503", "503 Service Unavailable"),
        Fault("504 with a page", page("504 Gateway Time-out")),
        refused("429", "429 Too Many Requests", "Retry-After: 1", what="`Retry-After: 1`"),
        asked_to_wait("3600"),
        asked_to_wait("900000"),
        asked_to_wait("1771404540"),
        *(
            refused(f"{status[:3]} with a page", status, body=PAGE % status[:3].encode())
            for status in ("401 Unauthorized", "403 Forbidden", "409 Conflict", "423 Locked")
        ),
        refused("400 with a code in no table", "400 Bad Request", what="700000, busy", body=BUSY),
        refused("401", "401 Unauthorized"),
        refused("403", "403 Forbidden"),
        refused("404", "404 Not Found", what="a wait tolerates it for 10 s"),
        Fault("a redirect", redirect, ELSEWHERE, passed_on=False),
    ),
}

FAULTS = {fault.name: fault for faults in TABLE.values() for fault in faults}

# --- chance -----------------------------------------------------------------------------------

# Those that a wait survives, of every kind. A stall costs a whole timeout, and so there is one.
# A 429 is no fault but an order, by which a whole account slows down.
TRANSIENT = (
    "request lost, reset",
    "closed before the head",
    "closed inside the head",
    "closed inside the body",
    "reset before the head",
    "reset inside the body",
    "stalled inside the body",
    "byte by byte",
    "twice the promised length",
    "garbage instead of HTTP",
    "a chunk of no size",
    "a header of 100 MB",
    "gzip broken at its beginning",
    "200 without a body",
    "half of the JSON",
    "invalid UTF-8",
    "200 with a page",
    "502 with a page",
    "503",
    "404",
)


def drawn(rng: Random, share: float, note: Callable[[str], object]) -> Iterator[OnRequest | None]:
    """Draw for each request in turn whether it meets a fault, and which; note each by its name."""
    kinds: list[str] = []
    while True:
        if rng.random() >= share:
            yield None
            continue
        # None comes again before all have come.
        kinds = kinds or rng.sample(TRANSIENT, len(TRANSIENT))
        name = kinds.pop()
        note(name)
        yield FAULTS[name].on_request
