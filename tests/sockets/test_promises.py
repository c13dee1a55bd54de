"""Promises about requests on real sockets: what is logged, what hangs on an error, what is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import msgspec
import pytest

from asyncclient import Poller, SessionPool, wait_until_done
from asyncclient.errors import AsyncClientError, RequestTimeout, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing.pytest_plugin import virtual_time

if TYPE_CHECKING:
    from tests.sockets.conftest import Authority, Peer, Serve

pytestmark = virtual_time

TOKEN = "s3cret-token-0123456789abcdef"
MEBIBYTE = 1024 * 1024


class Kept(logging.Handler):
    """Keeps all that is logged anywhere, whatever its level, as a reader of it would see it."""

    def __init__(self) -> None:
        super().__init__(level=1)
        self.lines: list[str] = []
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, with its arguments and fields."""
        self.names.add(record.name)
        self.lines.append(f"{self.format(record)} {record.args!r} {vars(record)!r}")


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Have everything logged, by every library, and kept."""
    kept = Kept()
    names = ("", "asyncclient", "aiohttp", "asyncio", "anyio", "concurrent")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
    loggers[0].addHandler(kept)
    yield kept
    loggers[0].removeHandler(kept)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def sourced() -> str:
    """Give the token as a function does."""
    return TOKEN


@pytest.mark.parametrize("given", ["text", "function"])
@pytest.mark.parametrize("provider", ["coze", "copyai"])
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "503 Service Unavailable"])
async def test_no_credential_is_logged_at_any_level(
    serve: Serve, kept: Kept, status: str, provider: str, given: str
) -> None:
    """Reads, starts and waits, good and bad, log no credential, with every library at DEBUG."""

    async def answering(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.answer(b'{"code": 0, "data": [{}], "status": "?"}', status=status)

    server = await serve(answering)
    token = TOKEN if given == "text" else sourced
    async with SessionPool() as pool, Poller() as poller:
        ways: list[Callable[[], Awaitable[object]]]
        if provider == "coze":
            coze = Coze(pool, token=token, base_url=server.origin, max_retries=1)
            ways = [
                lambda: coze.get_workflow_run("1", "2"),
                lambda: coze.start_workflow("1"),
                lambda: wait_until_done(coze.workflow_run("1", "2"), timeout=20),
                lambda: poller.wait(coze.workflow_run("1", "2"), timeout=20),
            ]
        else:
            copyai = CopyAI(pool, api_key=token, base_url=server.origin, max_retries=1)
            ways = [
                lambda: copyai.get_workflow_run("1", "2"),
                lambda: copyai.start_workflow("1"),
                lambda: wait_until_done(copyai.workflow_run("1", "2"), timeout=20),
                lambda: poller.wait(copyai.workflow_run("1", "2"), timeout=20),
            ]
        for ask in ways:
            try:
                await ask()
            except AsyncClientError:
                logging.getLogger("asyncclient.test").debug("it failed", exc_info=True)
    assert TOKEN in b"".join(asked.head for asked in server.asked).decode()
    assert "asyncclient.test" in kept.names
    assert [line for line in kept.lines if TOKEN in line] == []


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error with all its causes and contexts."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__]
    return found


@pytest.mark.parametrize(
    "vice",
    ["refused", "certificate", "reset", "close", "half", "garbage", "stall", "too long", "closing"],
)
async def test_no_error_of_aiohttp_hangs_on_ours(
    serve: Serve, authority: Authority, refusing: str, vice: str
) -> None:
    """An error of aiohttp holds the request's headers: it is neither cause nor context of ours.

    Nor are they in its words.
    """

    async def vicious(peer: Peer) -> None:
        if vice == "certificate":
            await peer.hello()
            return
        await peer.asked()
        if vice == "too long":
            await peer.answer(bytes(5000))
        elif not await peer.break_off(vice):
            await peer.until_left()

    server = await serve(vicious, authority.server() if vice == "certificate" else None)
    if vice == "refused":
        server.origin = refusing
    async with SessionPool(max_body=4096, request_timeout=2) as pool:
        request = msgspec.structs.replace(server.get(), headers={"Authorization": TOKEN})
        asking = asyncio.ensure_future(pool.exchange(request))
        if vice == "closing":
            await server.was_asked()
            await pool.aclose()
        with pytest.raises(TransportError) as caught:
            await asking
    for each in chain_of(caught.value):
        assert not type(each).__module__.startswith("aiohttp"), repr(each)
        assert not hasattr(each, "request_info")
        assert TOKEN not in f"{each} {each!r} {vars(each)!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_by_default_an_answer_has_32_mebibytes_at_most(
    serve: Serve, pool: SessionPool
) -> None:
    """An answer that promises a byte more is refused at once, one that promises as much is not."""
    lengths = iter([32 * MEBIBYTE, 32 * MEBIBYTE + 1])

    async def promising(peer: Peer) -> None:
        await peer.asked()
        await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {next(lengths)}\r\n\r\n".encode())
        await peer.until_left()

    server = await serve(promising)
    with pytest.raises(RequestTimeout):
        await pool.exchange(server.get(timeout=1))
    with pytest.raises(TransportError, match="longer than max_body=33554432 bytes"):
        await pool.exchange(server.get(timeout=1))


async def test_a_start_that_was_written_in_part_counts_as_sent(
    serve: Serve, pool: SessionPool
) -> None:
    """A provider that takes in the beginning of a start, and then no more, may have acted on it."""

    async def unreading(peer: Peer) -> None:
        del peer
        await anyio.sleep_forever()

    server = await serve(unreading)
    with pytest.raises(RequestTimeout) as caught:
        await pool.exchange(server.start(body=bytes(64 * MEBIBYTE), timeout=1))
    assert caught.value.sent


async def test_a_cancelled_request_gives_its_connection_up_though_its_error_is_kept(
    serve: Serve,
) -> None:
    """Its place is free at once, and not only when no one holds the cancellation any more."""
    kept: list[BaseException] = []

    async def stalling(peer: Peer) -> None:
        if peer.number > 1:
            await peer.good_manners()
        await peer.asked()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await peer.until_left()

    async def ask() -> None:
        try:
            await pool.exchange(server.get(timeout=60))
        except asyncio.CancelledError as error:
            kept.append(error)

    server = await serve(stalling)
    async with SessionPool(limit=1) as pool:
        asking = asyncio.ensure_future(ask())
        await server.was_asked()
        await anyio.sleep(0.5)
        asking.cancel()
        await asking
        assert len(kept) == 1
        assert (await pool.exchange(server.get(timeout=2))).body == b"{}"
