"""Loop one: which failed requests are sent again, when, and what their errors say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from asyncclient._http import Request, Response
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from asyncclient.testing.pytest_plugin import virtual_time

if TYPE_CHECKING:
    from asyncclient import SessionPool
    from tests.sockets.conftest import Peer, Serve

pytestmark = virtual_time

RUN = reply({"status": "success", "data": {"id": "R", "status": "NEW"}})
BROKEN = TransportError("broken")
REFUSED = ConnectFailed("refused")

# The ceilings of the gaps between tries, in seconds: doubling, up to a cap.
CEILINGS = [0.5, 1, 2, 4, 8, 8, 8]
BUDGET = 30


def copyai(transport: ScriptedTransport, *, max_retries: int = 3) -> CopyAI:
    """Return a client that asks a script."""
    return CopyAI(transport, api_key="k", max_retries=max_retries)


def gaps(transport: ScriptedTransport) -> list[float]:
    """Return the seconds between a script's requests."""
    return [b - a for a, b in zip(transport.times, transport.times[1:], strict=False)]


def always(entry: Response | Exception) -> ScriptedTransport:
    """Return a transport that gives one answer for ever."""
    return ScriptedTransport([entry], repeat=True)


def status(code: int, **headers: str) -> Response:
    """Return an answer with an HTTP status and `retry_after` or the like as headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply({"message": "no"}, status=code, headers=named)


TRANSIENT: list[tuple[Response | Exception, type[AsyncClientError]]] = [
    (TransportError("broken"), TransportError),
    (RequestTimeout("slow"), RequestTimeout),
    (ConnectFailed("refused"), ConnectFailed),
    (status(408), ServerError),
    (status(425), ServerError),
    (status(429), RateLimited),
    (status(500), ServerError),
    (status(502), ServerError),
    (status(503), ServerError),
    (status(504), ServerError),
    (reply("<html>", status=200), DecodeError),
    (reply(b"", status=200), DecodeError),
    (reply(b"\xff\xfe", status=200), DecodeError),
]
LASTING: list[tuple[Response | Exception, type[AsyncClientError]]] = [
    (ConnectFailed("certificate", permanent=True), ConnectFailed),
    (status(301, location="https://example.com/"), InvalidRequest),
    (status(400), InvalidRequest),
    (status(401), AuthenticationFailed),
    (status(402), QuotaExceeded),
    (status(403), PermissionDenied),
    (status(404), NotFound),
    (status(405), InvalidRequest),
]


def name_of(entry: object) -> str:
    """Name a parameter by its kind and status."""
    if isinstance(entry, Response):
        if "retry-after" in entry.headers:
            return f"{entry.status}-with-hint"
        return f"{entry.status}-{entry.body[:6]!r}" if entry.status == 200 else str(entry.status)
    return entry.__name__ if isinstance(entry, type) else type(entry).__name__


@pytest.mark.parametrize(("entry", "kind"), TRANSIENT, ids=name_of)
async def test_a_get_is_repeated_after_what_may_pass(
    entry: Response | Exception, kind: type[AsyncClientError]
) -> None:
    """A GET that fails in a way that may pass is sent again; the last try's error is raised."""
    transport = ScriptedTransport([entry, entry, RUN])
    assert (await copyai(transport).get_workflow_run("W", "R")).id == "R"
    assert len(transport.requests) == 3
    failing = always(entry)
    with pytest.raises(kind) as caught:
        await copyai(failing).get_workflow_run("W", "R")
    assert type(caught.value) is kind
    assert not caught.value.may_have_started
    assert len(failing.requests) == 4


@pytest.mark.parametrize(("entry", "kind"), LASTING, ids=name_of)
async def test_what_repeating_cannot_help_is_raised_at_once(
    entry: Response | Exception, kind: type[AsyncClientError]
) -> None:
    """A refusal that will be the same tomorrow is raised after one request, poll or start."""
    for starts in (False, True):
        transport = always(entry)
        client = copyai(transport)
        with pytest.raises(kind) as caught:
            await (client.start_workflow("W") if starts else client.get_workflow_run("W", "R"))
        assert len(transport.requests) == 1
        assert anyio.current_time() == 0
        assert not caught.value.may_have_started


@pytest.mark.parametrize("max_retries", [0, 1, 5])
async def test_max_retries_counts_the_repeats(max_retries: int) -> None:
    """A request is sent once and `max_retries` times more; with 0, only once."""
    transport = always(BROKEN)
    with pytest.raises(TransportError):
        await copyai(transport, max_retries=max_retries).get_workflow_run("W", "R")
    assert len(transport.requests) == 1 + max_retries


@pytest.mark.parametrize("max_retries", [-1, True, 1.5, "3", None])
async def test_max_retries_must_be_a_count(max_retries: object) -> None:
    """A number of repeats that cannot be is refused by its name, before anything is sent."""
    with pytest.raises((TypeError, ValueError), match=r"^max_retries"):
        copyai(ScriptedTransport(), max_retries=max_retries)  # type: ignore[arg-type]


async def test_gaps_grow_with_full_jitter() -> None:
    """Gaps are spread from next to nothing to a ceiling that doubles, up to eight seconds."""
    transports = [always(BROKEN) for _ in range(200)]

    async def fail(transport: ScriptedTransport) -> None:
        with pytest.raises(TransportError):
            await copyai(transport, max_retries=5).get_workflow_run("W", "R")

    await asyncio.gather(*map(fail, transports))
    for column, ceiling in zip(zip(*map(gaps, transports), strict=True), CEILINGS, strict=False):
        assert min(column) >= 0.049
        assert max(column) <= ceiling
        # That 200 draws all miss a fifth of the range happens once in 10**19 runs.
        assert min(column) < ceiling * 0.2
        assert max(column) > ceiling * 0.8


async def test_repeats_share_a_budget_of_time() -> None:
    """However many repeats are allowed, they end half a minute after the first failure."""
    for _ in range(20):
        transport = always(BROKEN)
        began = anyio.current_time()
        with pytest.raises(TransportError):
            await copyai(transport, max_retries=10_000).get_workflow_run("W", "R")
        assert BUDGET - 8 <= anyio.current_time() - began <= BUDGET


async def test_slow_failures_use_the_budget_up() -> None:
    """The time that failing requests take counts, but not the first one's: it was no repeat."""
    transport = ScriptedTransport([RequestTimeout("slow")], latency=29.9, repeat=True)
    with pytest.raises(RequestTimeout):
        await copyai(transport, max_retries=10).get_workflow_run("W", "R")
    assert len(transport.requests) == 2


# --- what the provider asks for ---------------------------------------------------------------

HINTS: list[tuple[dict[str, str], float]] = [
    ({"retry_after": "7"}, 7),
    ({"retry_after": "2.5"}, 2.5),
    ({"retry_after_ms": "1500", "retry_after": "20"}, 1.5),
    (
        {"retry_after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"},
        10,
    ),
]


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), HINTS)
async def test_a_hint_is_obeyed(code: int, headers: dict[str, str], seconds: float) -> None:
    """`Retry-After`, in each of its forms, is waited for, and at most a tenth longer."""
    transport = ScriptedTransport([status(code, **headers), RUN])
    await copyai(transport).get_workflow_run("W", "R")
    (gap,) = gaps(transport)
    assert seconds <= gap <= seconds * 1.1


@pytest.mark.parametrize("hint", ["0", "-5", "nan", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_a_hint_without_sense_is_survived(hint: str) -> None:
    """A hint of nothing, of the past or of no number leaves the usual gap."""
    transport = ScriptedTransport([status(429, retry_after=hint), RUN])
    await copyai(transport).get_workflow_run("W", "R")
    (gap,) = gaps(transport)
    assert 0.05 <= gap <= 0.5


@pytest.mark.parametrize("hint", ["31", "3600", "1e9"])
async def test_a_hint_over_the_budget_is_raised_at_once(hint: str) -> None:
    """A provider that asks for longer than is worth waiting is reported to the caller at once."""
    transport = always(status(429, retry_after=hint))
    with pytest.raises(RateLimited) as caught:
        await copyai(transport, max_retries=10).get_workflow_run("W", "R")
    assert caught.value.retry_after == float(hint)
    assert len(transport.requests) == 1
    assert anyio.current_time() == 0


# --- starts -----------------------------------------------------------------------------------

AMBIGUOUS: list[tuple[Response | Exception, type[AsyncClientError]]] = [
    (TransportError("broken"), TransportError),
    (RequestTimeout("slow"), RequestTimeout),
    (ConnectFailed("broke after it was made", sent=True), ConnectFailed),
    (status(408), ServerError),
    (status(500), ServerError),
    (status(502), ServerError),
    (status(503), ServerError),
    (status(504), ServerError),
    (status(503, retry_after="1"), ServerError),
    (reply("<html>", status=200), DecodeError),
    (reply(b"", status=200), DecodeError),
]


@pytest.mark.parametrize(("entry", "kind"), AMBIGUOUS, ids=name_of)
async def test_a_start_that_may_have_happened_is_not_repeated(
    entry: Response | Exception, kind: type[AsyncClientError]
) -> None:
    """A start whose outcome is not known is sent once, and its error says what to do."""
    for provider in ("coze", "copyai"):
        transport = always(entry)
        client = Coze(transport, token="t") if provider == "coze" else copyai(transport)
        with pytest.raises(kind) as caught:
            await client.start_workflow("1")
        assert caught.value.may_have_started
        assert "may have started something all the same" in caught.value.__notes__[0]
        assert len(transport.requests) == 1


@pytest.mark.parametrize("entry", [REFUSED, status(429), status(429, retry_after="2")], ids=name_of)
async def test_a_start_that_did_not_happen_is_repeated(entry: Response | Exception) -> None:
    """A start that reached no one, or was turned away at the door, is sent again."""
    transport = ScriptedTransport([entry, entry, reply({"status": "success", "data": {"id": "R"}})])
    run = await copyai(transport).start_workflow("W", {"Input 1": "tea"})
    assert run.run_id == "R"
    assert [request.method for request in transport.requests] == ["POST"] * 3
    assert len({request.body for request in transport.requests}) == 1
    failing = always(entry)
    with pytest.raises((ConnectFailed, RateLimited)) as caught:
        await copyai(failing).start_workflow("W")
    assert len(failing.requests) == 4
    assert not caught.value.may_have_started


async def test_a_start_stops_at_the_first_doubt() -> None:
    """A start that was repeated because it did not happen is not repeated once it may have."""
    transport = ScriptedTransport([REFUSED, status(429), BROKEN, REFUSED, REFUSED])
    with pytest.raises(TransportError, match="broken") as caught:
        await copyai(transport).start_workflow("W")
    assert caught.value.may_have_started
    assert transport.left == 2


async def test_cancelling_ends_the_repeats() -> None:
    """A call that is cancelled while it waits to repeat sends nothing more."""
    transport = always(status(429, retry_after="20"))
    with anyio.move_on_after(5) as scope:
        await copyai(transport).get_workflow_run("W", "R")
    assert scope.cancelled_caught
    await anyio.sleep(100)
    assert len(transport.requests) == 1


async def test_what_is_no_fault_of_the_network_is_not_repeated() -> None:
    """A programming error passes through as it is, after one request."""

    def wrong(_: Request) -> Response:
        raise KeyError

    transport = ScriptedTransport([wrong], repeat=True)
    with pytest.raises(KeyError):
        await copyai(transport).get_workflow_run("W", "R")
    assert len(transport.requests) == 1


# --- the same over sockets --------------------------------------------------------------------


async def test_a_get_survives_a_bad_minute_of_a_server(serve: Serve, pool: SessionPool) -> None:
    """Over real sockets a GET outlives a reset, garbage and a gateway's page, in this order."""

    async def bad_minute(peer: Peer) -> None:
        await peer.asked()
        if peer.number <= 2:  # aiohttp itself asks once more after a reset
            peer.reset()
        elif peer.number == 3:
            await peer.send(b"what?\r\n\r\n")
        elif peer.number == 4:
            await peer.answer(b"<html>", status="502 Bad Gateway")
        else:
            await peer.answer(RUN.body)

    server = await serve(bad_minute)
    client = CopyAI(pool, api_key="k", base_url=server.origin)
    assert (await client.get_workflow_run("W", "R")).id == "R"
    assert server.accepted == 5
    assert 0 < anyio.current_time() <= 0.5 + 1 + 2


@pytest.mark.parametrize("vice", ["reset", "close", "half", "502", "stall", "html"])
async def test_a_start_reaches_a_server_once(serve: Serve, pool: SessionPool, vice: str) -> None:
    """Over real sockets a start that was received is sent once, however its answer is spoilt."""

    async def spoiling(peer: Peer) -> None:
        await peer.asked()
        match vice:
            case "reset":
                peer.reset()
            case "half":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            case "502":
                await peer.answer(b"<html>", status="502 Bad Gateway")
            case "stall":
                await peer.until_left()
            case "html":
                await peer.answer(b"<html>")
            case _:
                pass

    server = await serve(spoiling)
    with pytest.raises((TransportError, APIError, DecodeError)) as caught:
        await CopyAI(pool, api_key="k", base_url=server.origin).start_workflow("W")
    assert caught.value.may_have_started
    assert [asked.method for asked in server.asked] == [b"POST"]


async def test_a_start_waits_for_a_server_that_comes_up(pool: SessionPool, serve: Serve) -> None:
    """A start that is refused a connection is repeated until somebody listens, and sent once."""

    async def starting(peer: Peer) -> None:
        await peer.asked()
        await peer.answer(b'{"status": "success", "data": {"id": "R"}}')

    server = await serve(starting)
    client = CopyAI(pool, api_key="k", base_url=server.origin, max_retries=20)
    server.stop_listening()
    call = asyncio.create_task(client.start_workflow("W"))
    await anyio.sleep(2)
    assert not call.done()
    await server.listen()
    assert (await call).run_id == "R"
    assert len(server.asked) == 1
