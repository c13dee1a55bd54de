"""A start is sent once, wherever its connection is cut and however its answer is spoilt."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal

import anyio
from hypothesis import given, strategies as st

from asyncclient import SessionPool
from asyncclient.errors import APIError, AsyncClientError
from tests.adversity.proxy import How, OnConnect, hang_up
from tests.adversity.scene import PROVIDERS, Provider, client_of
from tests.wire import BLANK_LINE, Listener, Wire, promised, read_message

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
    """Where a connection is cut."""

    within: Literal["request", "answer"]  # what starts something, or the answer to it
    at: int  # how many bytes come, at most; where negative, how many are left out at the end
    how: How
    kept: bool  # whether the connection has served a request before
    every: bool  # whether later connections are cut alike


@dataclass
class _CuttingProvider:
    """Cuts its connections, and counts the starts that came whole."""

    cut: Cut
    answer: bytes
    whole_starts: int = 0
    cuts: int = 0

    async def serve(self, link: Wire) -> None:
        if self.cut.kept and not self.cuts:
            await read_message(link.reader)
            await link.send(_whole(b"{}"))
        if self.cut.every or not self.cuts:
            await self._serve_and_cut(link)
            return
        while True:
            await read_message(link.reader)
            self.whole_starts += 1
            await link.send(_whole(self.answer))

    async def _serve_and_cut(self, link: Wire) -> None:
        self.cuts += 1
        if self.cut.within == "request":
            self.whole_starts += await receive(link.reader, self.cut.at)
        else:
            await read_message(link.reader)
            self.whole_starts += 1
            await link.send(_whole(self.answer)[: self.cut.at])
        if self.cut.how == "reset":
            await anyio.sleep(0.005)
        await hang_up(link, self.cut.how)


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def receive(reader: asyncio.StreamReader, at: int) -> bool:
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


async def start(
    serve: OnConnect, provider: Provider, padding: int = 0, *, kept: bool = False
) -> AsyncClientError | None:
    """Start something at a provider that serves connections so; return its error, if any."""
    async with (
        Listener(Wire, serve) as server,
        SessionPool(limit=1, request_timeout=3, connect_timeout=1) as pool,
    ):
        client = client_of(provider, pool, server.origin)
        if kept:
            with contextlib.suppress(AsyncClientError):
                await client.workflow_run("1", "2").poll()
        try:
            await client.start_workflow("1", {"text": "x" * padding})
        except AsyncClientError as error:
            return error
    return None


CUTS = st.builds(
    Cut,
    within=st.sampled_from(["request", "answer"]),
    at=st.integers(0, MOST_BYTES) | st.integers(-60, -1),
    how=st.sampled_from(["close", "reset", "drop"]),
    kept=st.booleans(),
    every=st.booleans(),
)


@given(cut=CUTS, provider=st.sampled_from(PROVIDERS), padding=st.sampled_from(PADDINGS))
async def test_a_start_is_never_doubled_or_denied(
    cut: Cut, provider: Provider, padding: int
) -> None:
    """At most one start comes whole; an error for one says so, and its "not started" is true."""
    cutting = _CuttingProvider(cut, ANSWERS[provider])
    error = await start(cutting.serve, provider, padding, kept=cut.kept)
    assert cutting.whole_starts <= 1
    if error is None:
        assert cutting.whole_starts == 1
    else:
        assert error.may_have_started or not cutting.whole_starts


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


@given(data=BYTES)
async def test_any_answer_is_to_one_start(data: bytes) -> None:
    """Any bytes for an answer end a start as one of our errors, and it is not sent again."""
    starts: list[object] = []

    async def serve(link: Wire) -> None:
        starts.append(await read_message(link.reader))
        await link.send(data)
        await link.end()

    error = await start(serve, "coze")
    assert len(starts) == 1
    assert error is not None
    assert error.may_have_started or isinstance(error, APIError)
