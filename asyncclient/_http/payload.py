"""A request's body, which knows whether it was written: whether a start may have happened."""

from __future__ import annotations

import io

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from asyncclient._http.message import Request

_MEBIBYTE = 1024 * 1024


class RequestBody(aiohttp.Payload):
    """A body that records when it is written: aiohttp sends a head with its body, never before."""

    is_sent = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self.is_sent = True
        await super().write_with_length(writer, content_length)


class _SmallBody(RequestBody, aiohttp.BytesPayload):
    pass


class _LargeBody(RequestBody, aiohttp.BytesIOPayload):
    pass


def payload_of(request: Request) -> RequestBody:
    """Return the body that a request sends, perhaps an empty one."""
    body = request.body or b""
    # aiohttp wants a large body as a file, so that it can be written piece by piece.
    return _SmallBody(body) if len(body) <= _MEBIBYTE else _LargeBody(io.BytesIO(body))


def is_sent(content: RequestBody | None) -> bool:
    """Return false only when it is certain that nothing was sent."""
    return content is None or content.is_sent
