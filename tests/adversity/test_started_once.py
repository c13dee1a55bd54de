"""A start is sent once: wherever its connection is cut, and whatever its error then says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import anyio
from hypothesis import given, settings, strategies as st

from asyncclient import SessionPool
from asyncclient.errors import APIError, AsyncClientError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from tests.adversity.proxy import BLANK_LINE, Message, promised, read_message
from tests.adversity.scene import PROVIDERS, Provider, virtual_loop
from tests.wire import Wire

How = Literal["close", "reset", "drop"]
Call = Callable[[], Awaitable[object]]

ANSWERS: dict[Provider, bytes] = {
    "coze": b'{"code":0,"msg":"","execute_id":"7","debug_url":"https://www.coze.cn/work_flow?e=7"}',
    "copyai": b'{"status":"success","data":{"id":"WRUN-7"}}',
}
# More bytes than a request or an answer here has, but for the largest inputs.
MOST_BYTES = 700
# Inputs of some kilobytes, and such as no buffer of the kernel holds at once.
PADDINGS = (0, 0, 0, 5_000, 3_000_000)


@dataclass(frozen=True)
class Cut:
    """Where a connection is cut.

    Attributes:
        within: the request that starts something, or the answer to it.
        at: after so many bytes of it, all of it where it is shorter; so many before its end where
            it is negative.
        how: an orderly close, a reset, or a close that leaves what has come unread.
        kept: whether the start goes over a connection that has served a request before.
        every: whether later connections are cut alike.
    """

    within: Literal["request", "answer"]
    at: int
    how: How
    kept: bool
    every: bool


@dataclass
class CuttingProvider:
    """A provider on real TCP that cuts its connections, and counts the starts that came whole."""

    cut: Cut
    answer: bytes
    whole_starts: int = 0
    cuts: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.get_running_loop().create_task(self._serve(Wire(reader, writer, 0)))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def _serve(self, link: Wire) -> None:
        try:
            if self.cut.kept and not self.cuts:
                await read_message(link.reader)
                await link.send(self._whole(b"{}"))
            while self.cut.every or not self.cuts:
                await self._serve_and_cut(link)
            while True:
                await read_message(link.reader)
                self.whole_starts += 1
                await link.send(self._whole(self.answer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            await link.end()

    async def _serve_and_cut(self, link: Wire) -> None:
        self.cuts += 1
        if self.cut.within == "request":
            self.whole_starts += await _receive(link.reader, self.cut.at)
        else:
            await read_message(link.reader)
            self.whole_starts += 1
            await link.send(self._whole(self.answer)[: self.cut.at])
        match self.cut.how:
            case "close":
                await link.end()
            case "drop":
                link.drop()
            case "reset":
                await anyio.sleep(0.005)
                link.reset()
        raise asyncio.IncompleteReadError(b"", None)

    def _whole(self, body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def _receive(reader: asyncio.StreamReader, at: int) -> bool:
    """Read a request up to a point; return whether that was all of it."""
    if at < 0:
        head = await reader.readuntil(BLANK_LINE)
        await reader.readexactly(max(0, promised(head) + at))
        return not promised(head)
    received = b""
    while len(received) < at:
        received += await reader.read(at - len(received))
        head, blank, body = received.partition(BLANK_LINE)
        if blank and len(body) == promised(head):
            return True
    return False


@dataclass(frozen=True)
class Seen:
    """What came of one start: starts that came whole, and what the client was told."""

    whole_starts: int
    handle: object
    error: AsyncClientError | None


def calls(
    provider: Provider, pool: SessionPool, origin: str, inputs: dict[str, object]
) -> tuple[Call, Call]:
    """Return a poll and a start."""
    if provider == "coze":
        coze = Coze(pool, token="t", base_url=origin)
        return coze.workflow_run("1", "2").poll, lambda: coze.start_workflow("1", inputs)
    copyai = CopyAI(pool, api_key="k", base_url=origin)
    return copyai.workflow_run("1", "2").poll, lambda: copyai.start_workflow("1", inputs)


async def start_once(cut: Cut, provider: Provider, padding: int) -> Seen:
    """Start something at a provider that cuts connections."""
    cutting = CuttingProvider(cut, ANSWERS[provider])
    server = await asyncio.start_server(cutting.accept, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    handle: object = None
    error: AsyncClientError | None = None
    try:
        async with SessionPool(limit=1, request_timeout=3, connect_timeout=1) as pool:
            poll, start = calls(provider, pool, origin, {"text": "x" * padding})
            if cut.kept:
                with contextlib.suppress(AsyncClientError):
                    await poll()
            try:
                handle = await start()
            except AsyncClientError as caught:
                error = caught
    finally:
        server.close()
        for task in cutting.serving:
            task.cancel()
        await asyncio.gather(*cutting.serving, return_exceptions=True)
    return Seen(cutting.whole_starts, handle, error)


CUTS = st.builds(
    Cut,
    within=st.sampled_from(["request", "answer"]),
    at=st.integers(0, MOST_BYTES) | st.integers(-60, -1),
    how=st.sampled_from(["close", "reset", "drop"]),
    kept=st.booleans(),
    every=st.booleans(),
)


@settings(max_examples=150)
@given(cut=CUTS, provider=st.sampled_from(PROVIDERS), padding=st.sampled_from(PADDINGS))
def test_a_start_is_never_doubled_or_denied(cut: Cut, provider: Provider, padding: int) -> None:
    """Whole starts are one at most; one without a handle is owned up to, "not started" is true."""
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        seen = runner.run(start_once(cut, provider, padding))
    assert seen.whole_starts <= 1
    assert (seen.handle is None) == (seen.error is not None)
    if seen.handle is not None:
        assert seen.whole_starts == 1
    if seen.error is not None and seen.whole_starts:
        assert seen.error.may_have_started
    if seen.error is not None and not seen.error.may_have_started:
        assert not seen.whole_starts


# --- any bytes for an answer ------------------------------------------------------------------

PARTS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n",
    b"Content-Length: 15\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip, deflate\r\n",
    b"Content-Encoding: br\r\n",
    b"Content-Type: ;;charset=\xff\r\n",
    b"Set-Cookie: \x80=;;=,\r\n",
    b"Location: http://[::1/\r\n",
    b"Retry-After: Wed, 99 Foo 0000\r\n",
    b"\r\n",
    b"0\r\n\r\n",
    b"5\r\n",
    b'{"code":0,"d":1',
    b"}",
    b"\0",
)
BYTES = st.lists(st.sampled_from(PARTS) | st.binary(max_size=20), max_size=8).map(b"".join)


async def answered_with(data: bytes) -> Seen:
    """Start something where the answer is so many bytes, whatever they are."""
    starts: list[Message] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Wire(reader, writer, 0)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            starts.append(await read_message(reader))
            await link.send(data)
        await link.end()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SessionPool(limit=1, request_timeout=3) as pool:
            _, start = calls("coze", pool, origin, {})
            try:
                handle = await start()
            except AsyncClientError as error:
                return Seen(len(starts), None, error)
    return Seen(len(starts), handle, None)


@settings(max_examples=200)
@given(data=BYTES)
def test_whatever_the_answer_is_it_is_one_start(data: bytes) -> None:
    """Any bytes for an answer end a start as one of our errors, and it is not sent again."""
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        seen = runner.run(answered_with(data))
    error = seen.error
    assert seen.whole_starts == 1
    assert error is not None
    assert error.may_have_started or isinstance(error, APIError)
