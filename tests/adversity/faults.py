"""The faults that a pool must survive, as a table: what each does, and how each operation ends.

A fault is met by the first request of an operation (by the first two of a whole wait); all that
comes after it finds everything well. Faults of a place (a name, a certificate) are met by every
request.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel

from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
    WaitTimeout,
)
from tests.adversity.proxy import Exchange, Message, OnConnect, OnRequest, all_is_well
from tests.wire import Wire

REQUEST_TIMEOUT = 3.0
CONNECT_TIMEOUT = 1.0
MEBIBYTE = 1024 * 1024
MAX_BODY = MEBIBYTE
FLOOD = 100_000_000

Operation: TypeAlias = Literal["start", "poll", "wait", "list"]
OPERATIONS: tuple[Operation, ...] = ("start", "poll", "wait", "list")

Place: TypeAlias = Literal[
    "unknown name",
    "unknown name at first",
    "nobody listens",
    "nobody listens at first",
    "nobody accepts",
    "good certificate",
    "certificate for another name",
    "expired certificate",
    "certificate of a stranger",
    "plain http on a TLS port",
]


@dataclass(frozen=True)
class Ends:
    """How an operation ends.

    Attributes:
        error: the class of its error; None for a good answer.
        requests: requests that the proxy read whole.
        maybe: whether the error says that the task may have started.
    """

    error: type[AsyncClientError] | None
    requests: int
    maybe: bool = False


@dataclass(frozen=True)
class Fault:
    """One way for things to go wrong.

    Attributes:
        name: what it is called in the table.
        what: what it does, in a few words; empty where the name says it.
        ends: how each operation ends.
        place: where the client is sent; None for the proxy.
        on_connect: what the first connections meet.
        on_request: what the first requests meet.
        kept: what an earlier request meets, whose connection is kept; None for no such request.
        passed_on: whether the provider gets the requests that meet it.
        takes: what it costs: nothing, or the whole of a timeout.
        most_offered: bytes that may be written to a connection before the client closes it.
    """

    name: str
    ends: dict[Operation, Ends]
    what: str = ""
    place: Place | None = None
    on_connect: OnConnect | None = None
    on_request: OnRequest | None = None
    kept: OnRequest | None = None
    passed_on: bool = True
    takes: Literal["no time", "request_timeout", "connect_timeout"] = "no time"
    most_offered: int | None = None

    @property
    def reaches_provider(self) -> bool:
        """Whether the provider gets a request that meets it."""
        return self.passed_on and self.on_connect is None


# --- how things end ---------------------------------------------------------------------------


def fails(error: type[AsyncClientError], *, maybe: bool = True) -> dict[Operation, Ends]:
    """Say: it fails once, and a request that may be repeated is repeated."""
    return {
        "start": Ends(error, 1, maybe=maybe),
        "poll": Ends(error, 1),
        "wait": Ends(None, 3),
        "list": Ends(None, 2),
    }


def fails_for_good(error: type[AsyncClientError]) -> dict[Operation, Ends]:
    """Say: it fails once, and asking again would not help."""
    return dict.fromkeys(OPERATIONS, Ends(error, 1))


def never_connects(wait: type[AsyncClientError]) -> dict[Operation, Ends]:
    """Say: no request ever leaves; a wait tries until such an error ends it."""
    nothing = Ends(ConnectFailed, 0)
    return {"start": nothing, "poll": nothing, "wait": Ends(wait, 0), "list": nothing}


# Nothing was sent: even a start is repeated. A poll alone is one try.
CONNECTS_LATER: dict[Operation, Ends] = {
    "start": Ends(None, 1),
    "poll": Ends(ConnectFailed, 0),
    "wait": Ends(None, 1),
    "list": Ends(None, 1),
}
# It is refused, and so has done nothing: even a start is repeated.
REFUSED_FOR_NOW: dict[Operation, Ends] = {
    "start": Ends(None, 2),
    "poll": Ends(RateLimited, 1),
    "wait": Ends(None, 3),
    "list": Ends(None, 2),
}
# aiohttp itself repeats a GET once when its connection ends before the answer begins.
REPEATED_BELOW: dict[Operation, Ends] = {
    "start": Ends(TransportError, 1, maybe=True),
    "poll": Ends(None, 2),
    "wait": Ends(None, 3),
    "list": Ends(None, 2),
}
# The same where the proxy read no whole request before the connection ended.
REPEATED_UNREAD: dict[Operation, Ends] = {
    "start": Ends(TransportError, 0, maybe=True),
    "poll": Ends(None, 1),
    "wait": Ends(None, 1),
    "list": Ends(None, 1),
}
BORNE: dict[Operation, Ends] = dict.fromkeys(OPERATIONS, Ends(None, 1))
BROKEN = fails(TransportError)
TOO_LATE = fails(RequestTimeout)
UNREADABLE = fails(DecodeError)
GATEWAY = fails(ServerError)


# --- what happens to a connection -------------------------------------------------------------


async def ends_at_once(link: Wire) -> None:
    """Close it as soon as it is there."""
    await link.end()


async def resets_at_once(link: Wire) -> None:
    """Reset it as soon as it is there."""
    link.reset()


async def never_answers(link: Wire) -> None:
    """Take what comes, and say nothing."""
    await link.until_left()


def ends_within_request(*, reset: bool) -> OnConnect:
    """Read some bytes of the request, then give the connection up."""

    async def meet(link: Wire) -> None:
        await link.reader.readexactly(40)
        if reset:
            link.reset()
        else:
            await link.end()

    return meet


async def ends_handshake(link: Wire) -> None:
    """Read the client's greeting, then close."""
    await link.reader.read(65536)
    await link.end()


async def resets_handshake(link: Wire) -> None:
    """Read the client's greeting, then reset."""
    await link.reader.read(65536)
    link.reset()


async def alerts_handshake(link: Wire) -> None:
    """Answer the client's greeting with TLS's fatal `internal_error`, as a broken balancer does."""
    await link.reader.read(65536)
    await link.send(b"\x15\x03\x03\x00\x02\x02\x50")
    await link.until_left()


# --- what happens to an answer ----------------------------------------------------------------

Cut: TypeAlias = Callable[[Message], int]

CUTS: dict[str, Cut] = {
    "before the head": lambda answer: 0,  # noqa: ARG005  (one shape for all cuts)
    "inside the head": lambda answer: len(answer.head) // 2,
    "after the head": lambda answer: len(answer.head),
    "inside the body": lambda answer: len(answer.head) + len(answer.body) // 2,
    "after the body": lambda answer: len(answer.raw),
}


def cut(at: Cut, how: Literal["close", "reset", "drop"]) -> OnRequest:
    """Send the answer up to a point, then give the connection up."""

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        await exchange.link.send(answer.raw[: at(answer)])
        match how:
            case "close":
                await exchange.link.end()
            case "drop":
                exchange.link.drop()
            case "reset":
                await anyio.sleep(0.005)  # a reset may overtake what was not read yet
                exchange.link.reset()

    return meet


async def lost_request(exchange: Exchange) -> None:
    """Close the connection instead of passing the request on."""
    await exchange.link.end()


async def reset_request(exchange: Exchange) -> None:
    """Reset the connection instead of passing the request on."""
    exchange.link.reset()


async def then_garbage(exchange: Exchange) -> None:
    """Send the answer, and something else once the connection is idle."""
    await all_is_well(exchange)
    await anyio.sleep(0.005)
    await exchange.link.send(b"\x00\x16\xff no such thing\r\n\r\n")


async def lost_after_a_while(exchange: Exchange) -> None:
    """Close the connection a second after the request, as a balancer that gives up does."""
    await exchange.pass_on()
    await anyio.sleep(1)
    await exchange.link.end()


def stall(at: Cut) -> OnRequest:
    """Send the answer up to a point, then nothing more."""

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        await exchange.link.send(answer.raw[: at(answer)])
        await exchange.link.until_left()

    return meet


async def byte_by_byte(exchange: Exchange) -> None:
    """Send the answer one byte at a time."""
    answer = await exchange.pass_on()
    for number in range(len(answer.raw)):
        await exchange.link.send(answer.raw[number : number + 1])
        await anyio.lowlevel.checkpoint()


async def trickle(exchange: Exchange) -> None:
    """Send the answer so slowly that it would take minutes, with never half a second of silence."""
    answer = await exchange.pass_on()
    for number in range(len(answer.raw)):
        await exchange.link.send(answer.raw[number : number + 1])
        await anyio.sleep(0.45)


def instead(data: bytes) -> OnRequest:
    """Send these bytes instead of the answer, then nothing more."""

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(data)
        await exchange.link.until_left()

    return meet


def flood(start: bytes, block: bytes) -> OnRequest:
    """Send a start, then the same block over and over, 100 MB of it."""
    many = block * (65536 // len(block))

    async def meet(exchange: Exchange) -> None:
        await exchange.pass_on()
        await exchange.link.send(start)
        for _ in range(FLOOD // len(many)):
            await exchange.link.send(many)

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
    promised: Callable[[int], int] = lambda length: length,
) -> OnRequest:
    """Send the provider's answer with another body, status, headers or promised length."""

    async def meet(exchange: Exchange) -> None:
        answer = await exchange.pass_on()
        sent = body(answer.body)
        head = f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {promised(len(sent))}\r\n\r\n"
        await exchange.link.send(head.encode() + sent)

    return meet


def refusal(status: str, body: bytes = b"", headers: str = "Content-Type: text/html") -> OnRequest:
    """Answer in the provider's place."""

    async def meet(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
        await exchange.link.send(head.encode() + body)

    return meet


def gzipped(size: int) -> bytes:
    """Return so many zeros, a thousand times smaller by gzip."""
    squeeze = zlib.compressobj(9, wbits=31)
    return squeeze.compress(bytes(size)) + squeeze.flush()


BOMB = gzipped(64 * MEBIBYTE)
NESTED = b'{"code":0,"status":"success","x":' + b"[" * 200_000 + b"]" * 200_000 + b',"data":{}}'
PAGE = b"<html><head><title>%s</title></head><body><center>nginx</center></body></html>"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UTF_16 = '{"code": 0, "status": "success", "data": {"id": "R"}}'.encode("utf-16")


async def redirect(exchange: Exchange) -> None:
    """Send the client to another origin, where the same proxy would see it come."""
    location = f"Location: http://localhost:{exchange.proxy.port}/elsewhere"
    await refusal("307 Temporary Redirect", headers=location)(exchange)


def first_half(body: bytes) -> bytes:
    """Return the first half of a body."""
    return body[: len(body) // 2]


# --- the table --------------------------------------------------------------------------------

TABLE: dict[str, tuple[Fault, ...]] = {
    "No connection": (
        Fault(
            "unknown name",
            never_connects(WaitTimeout),
            "for ever",
            place="unknown name",
            passed_on=False,
        ),
        Fault(
            "unknown name at first",
            CONNECTS_LATER,
            "found from the second try on",
            place="unknown name at first",
        ),
        Fault(
            "connection refused",
            never_connects(WaitTimeout),
            "nobody listens, for ever",
            place="nobody listens",
            passed_on=False,
        ),
        Fault(
            "connection refused at first",
            CONNECTS_LATER,
            "somebody listens from the second try on",
            place="nobody listens at first",
        ),
        Fault(
            "connection not taken",
            never_connects(WaitTimeout),
            "the queue of connections is full, for ever",
            place="nobody accepts",
            passed_on=False,
            takes="connect_timeout",
        ),
        Fault("accepted, then closed", REPEATED_UNREAD, on_connect=ends_at_once),
        Fault("accepted, then reset", REPEATED_UNREAD, on_connect=resets_at_once),
        Fault(
            "accepted, then silent",
            {
                "start": Ends(RequestTimeout, 0, maybe=True),
                "poll": Ends(RequestTimeout, 0),
                "wait": Ends(None, 1),
                "list": Ends(None, 1),
            },
            on_connect=never_answers,
            takes="request_timeout",
        ),
    ),
    "TLS": (
        Fault(
            "certificate for another name",
            never_connects(ConnectFailed),
            place="certificate for another name",
            passed_on=False,
        ),
        Fault(
            "certificate that has expired",
            never_connects(ConnectFailed),
            place="expired certificate",
            passed_on=False,
        ),
        Fault(
            "certificate of an unknown authority",
            never_connects(ConnectFailed),
            place="certificate of a stranger",
            passed_on=False,
        ),
        Fault(
            "plain http on a TLS port",
            never_connects(WaitTimeout),
            place="plain http on a TLS port",
            passed_on=False,
        ),
        Fault(
            "handshake closed",
            never_connects(WaitTimeout),
            place="plain http on a TLS port",
            on_connect=ends_handshake,
            passed_on=False,
        ),
        Fault(
            "handshake reset",
            never_connects(WaitTimeout),
            place="plain http on a TLS port",
            on_connect=resets_handshake,
            passed_on=False,
        ),
        Fault(
            "handshake answered with an alert",
            never_connects(WaitTimeout),
            place="plain http on a TLS port",
            on_connect=alerts_handshake,
            passed_on=False,
        ),
        Fault(
            "handshake not answered",
            never_connects(WaitTimeout),
            place="plain http on a TLS port",
            on_connect=never_answers,
            passed_on=False,
            takes="connect_timeout",
        ),
        Fault(
            "TLS cut inside the body",
            BROKEN,
            "without TLS's farewell",
            place="good certificate",
            on_request=cut(CUTS["inside the body"], "drop"),
        ),
    ),
    "The request is lost": (
        Fault(
            "closed inside the request",
            REPEATED_UNREAD,
            "after 40 bytes of it",
            on_connect=ends_within_request(reset=False),
        ),
        Fault(
            "reset inside the request",
            REPEATED_UNREAD,
            "after 40 bytes of it",
            on_connect=ends_within_request(reset=True),
        ),
        Fault("request lost, closed", REPEATED_BELOW, on_request=lost_request, passed_on=False),
        Fault("request lost, reset", REPEATED_BELOW, on_request=reset_request, passed_on=False),
        Fault(
            "closed at the reuse of a kept connection",
            REPEATED_BELOW,
            on_request=lost_request,
            kept=all_is_well,
            passed_on=False,
        ),
        Fault(
            "reset at the reuse of a kept connection",
            REPEATED_BELOW,
            on_request=reset_request,
            kept=all_is_well,
            passed_on=False,
        ),
    ),
    "A kept connection": (
        Fault("closed while idle", BORNE, kept=cut(CUTS["after the body"], "close")),
        Fault("reset while idle", BORNE, kept=cut(CUTS["after the body"], "reset")),
        Fault("garbage while idle", BORNE, kept=then_garbage),
    ),
    "The answer is cut": (
        Fault(
            "closed before the head",
            REPEATED_BELOW,
            on_request=cut(CUTS["before the head"], "close"),
        ),
        Fault(
            "closed before the head, a second later",
            REPEATED_BELOW,
            "as a balancer that gives up",
            on_request=lost_after_a_while,
        ),
        Fault(
            "closed inside the head",
            REPEATED_BELOW,
            on_request=cut(CUTS["inside the head"], "close"),
        ),
        Fault("closed after the head", BROKEN, on_request=cut(CUTS["after the head"], "close")),
        Fault("closed inside the body", BROKEN, on_request=cut(CUTS["inside the body"], "close")),
        Fault("closed after the body", BORNE, on_request=cut(CUTS["after the body"], "close")),
        Fault(
            "reset before the head",
            REPEATED_BELOW,
            on_request=cut(CUTS["before the head"], "reset"),
        ),
        Fault(
            "reset inside the head",
            REPEATED_BELOW,
            on_request=cut(CUTS["inside the head"], "reset"),
        ),
        Fault("reset after the head", BROKEN, on_request=cut(CUTS["after the head"], "reset")),
        Fault("reset inside the body", BROKEN, on_request=cut(CUTS["inside the body"], "reset")),
        Fault("reset after the body", BORNE, on_request=cut(CUTS["after the body"], "reset")),
    ),
    "The answer is slow": (
        Fault(
            "stalled before the head",
            TOO_LATE,
            on_request=stall(CUTS["before the head"]),
            takes="request_timeout",
        ),
        Fault(
            "stalled inside the head",
            TOO_LATE,
            on_request=stall(CUTS["inside the head"]),
            takes="request_timeout",
        ),
        Fault(
            "stalled after the head",
            TOO_LATE,
            on_request=stall(CUTS["after the head"]),
            takes="request_timeout",
        ),
        Fault(
            "stalled inside the body",
            TOO_LATE,
            on_request=stall(CUTS["inside the body"]),
            takes="request_timeout",
        ),
        Fault("byte by byte", BORNE, on_request=byte_by_byte),
        Fault(
            "a byte every 0.45 s",
            TOO_LATE,
            "never long silent, never done",
            on_request=trickle,
            takes="request_timeout",
        ),
        Fault(
            "interim answers without end",
            TOO_LATE,
            "HTTP 103, a thousand at a time",
            on_request=interim_answers,
            takes="request_timeout",
        ),
    ),
    "The answer is too long, or no HTTP": (
        Fault(
            "twice the promised length",
            BROKEN,
            on_request=spoilt(lambda body: body + body, promised=lambda length: length // 2),
        ),
        Fault(
            "garbage instead of HTTP",
            BROKEN,
            on_request=instead(b"\x00\x16\xff no such thing\r\n\r\n"),
        ),
        Fault(
            "another protocol",
            BROKEN,
            "SSH's greeting",
            on_request=instead(b"SSH-2.0-OpenSSH_9.2\r\n"),
        ),
        Fault(
            "two lengths",
            BROKEN,
            on_request=instead(HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
        ),
        Fault("a chunk of no size", BROKEN, on_request=instead(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n")),
        Fault(
            "100 MB of headers",
            BROKEN,
            "the client leaves before a tenth of it has come",
            on_request=flood(HEAD, b"a: b\r\n"),
            most_offered=FLOOD // 10,
        ),
        Fault(
            "a header of 100 MB",
            BROKEN,
            "the client leaves before a tenth of it has come",
            on_request=flood(HEAD + b"a: ", b"b" * 64),
            most_offered=FLOOD // 10,
        ),
        Fault(
            "chunks without end",
            BROKEN,
            "100 MB; the client leaves before a tenth of it has come",
            on_request=flood(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),
            most_offered=FLOOD // 10,
        ),
        Fault(
            "a body without end",
            BROKEN,
            "100 MB, no promised length; the client leaves before a tenth of it has come",
            on_request=flood(b"HTTP/1.0 200 OK\r\n\r\n", b" "),
            most_offered=FLOOD // 10,
        ),
        Fault(
            "a promise over `max_body`",
            BROKEN,
            "100 MB; the client leaves before a tenth of it has come",
            on_request=flood(HEAD + b"Content-Length: 100000000\r\n\r\n", b" "),
            most_offered=FLOOD // 10,
        ),
        Fault(
            "a gzip bomb",
            BROKEN,
            "64 MiB in 64 KiB",
            on_request=spoilt(lambda _: BOMB, headers="Content-Encoding: gzip"),
        ),
    ),
    "The answer cannot be read": (
        Fault("gzip that is none", BROKEN, on_request=spoilt(headers="Content-Encoding: gzip")),
        Fault(
            "gzip broken at its beginning",
            BROKEN,
            on_request=spoilt(
                lambda body: gzip.compress(body)[:10] + b"\xff" * 20,
                headers="Content-Encoding: gzip",
            ),
        ),
        Fault(
            "gzip with a wrong checksum",
            BROKEN,
            on_request=spoilt(
                lambda body: gzip.compress(body)[:-8] + bytes(8), headers="Content-Encoding: gzip"
            ),
        ),
        Fault(
            "half of a gzip",
            UNREADABLE,
            on_request=spoilt(
                lambda body: first_half(gzip.compress(body)), headers="Content-Encoding: gzip"
            ),
        ),
        Fault(
            "good gzip", BORNE, on_request=spoilt(gzip.compress, headers="Content-Encoding: gzip")
        ),
        Fault("200 without a body", UNREADABLE, on_request=spoilt(lambda _: b"")),
        Fault("204", UNREADABLE, on_request=spoilt(lambda _: b"", status="204 No Content")),
        Fault(
            "200 with a page",
            UNREADABLE,
            "HTML of a gateway",
            on_request=spoilt(lambda _: PAGE % b"Welcome"),
        ),
        Fault("half of the JSON", UNREADABLE, on_request=spoilt(first_half)),
        Fault("JSON `null`", UNREADABLE, on_request=spoilt(lambda _: b"null")),
        Fault("JSON `[]`", UNREADABLE, on_request=spoilt(lambda _: b"[]")),
        Fault("JSON 200,000 deep", UNREADABLE, on_request=spoilt(lambda _: NESTED)),
        Fault(
            "invalid UTF-8",
            UNREADABLE,
            on_request=spoilt(lambda body: body.replace(b':"', b':"\xff\xfe')),
        ),
        Fault("UTF-16", UNREADABLE, on_request=spoilt(lambda _: UTF_16)),
        Fault(
            "wrong content type",
            BORNE,
            "`text/html; charset=utf-7`",
            on_request=spoilt(headers="Content-Type: text/html; charset=utf-7"),
        ),
        Fault("no content type", BORNE, on_request=spoilt(headers="X-A: b")),
    ),
    "The answer is a refusal, or no answer at all": (
        Fault(
            "500", GATEWAY, on_request=spoilt(lambda _: b"{}", status="500 Internal Server Error")
        ),
        Fault(
            "502 with a page",
            GATEWAY,
            on_request=spoilt(
                lambda _: PAGE % b"502", status="502 Bad Gateway", headers="Content-Type: text/html"
            ),
        ),
        Fault(
            "503", GATEWAY, on_request=refusal("503 Service Unavailable", b"busy"), passed_on=False
        ),
        Fault(
            "504 with a page",
            GATEWAY,
            on_request=spoilt(
                lambda _: PAGE % b"504",
                status="504 Gateway Time-out",
                headers="Content-Type: text/html",
            ),
        ),
        Fault(
            "429",
            REFUSED_FOR_NOW,
            "`Retry-After: 1`",
            on_request=refusal("429 Too Many Requests", headers="Retry-After: 1"),
            passed_on=False,
        ),
        Fault(
            "401",
            fails_for_good(AuthenticationFailed),
            on_request=refusal("401 Unauthorized"),
            passed_on=False,
        ),
        Fault(
            "403",
            fails_for_good(PermissionDenied),
            on_request=refusal("403 Forbidden"),
            passed_on=False,
        ),
        Fault(
            "404",
            {**fails_for_good(NotFound), "wait": Ends(None, 3)},
            "a wait bears it for 10 s",
            on_request=refusal("404 Not Found"),
            passed_on=False,
        ),
        Fault(
            "a redirect",
            fails_for_good(InvalidRequest),
            "to another origin, which would get the credential",
            on_request=redirect,
            passed_on=False,
        ),
    ),
}

FAULTS = {fault.name: fault for faults in TABLE.values() for fault in faults}

# --- chance -----------------------------------------------------------------------------------

# Those that a wait bears, of every kind. A stall costs a whole timeout, and so there is one of it.
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
    "a gzip bomb",
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
    """Draw for each request in turn whether it meets a fault, and which; tell each by its name."""
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
