"""The session pool: the only place that opens sockets, and the only door to `aiohttp`."""

from __future__ import annotations

import asyncio
import io
import ssl
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self, cast

import aiohttp
import anyio
from aiohttp.abc import AbstractStreamWriter
from yarl import URL  # aiohttp's own word for an address; it comes with aiohttp

from asyncclient._arguments import number, whole_number
from asyncclient._event_loop import running_loop
from asyncclient._http.hiding import without_passwords
from asyncclient._http.message import Request, Response
from asyncclient._text import even_half_made, shown, text_of, type_name
from asyncclient.errors import ConnectFailed, RequestTimeout, TransportError

_USER_AGENT = f"asyncclient Python/{sys.version_info.major}.{sys.version_info.minor}"
_CLOSE_SECONDS = 5.0
_MEBIBYTE = 1024 * 1024


class SessionPool:
    """Sockets, limits and timeouts, shared by any number of clients and waits.

    One session for each origin (scheme, host and port), opened at its first request, with its own
    limit of connections, so that a slow provider cannot starve another. It belongs to the event
    loop of its first request. Use it as `async with SessionPool() as pool:`, or call `aclose()`.

    Args:
        limit: connections at most to one origin at a time. Default 100.
        request_timeout: seconds for one request, from queueing for a connection to the last byte.
            Default 30.
        connect_timeout: seconds for making a connection. Default 10.
        keepalive: seconds for which an idle connection is kept. Default 30.
        max_body: bytes of a decompressed answer at most; a longer one is refused as it streams.
            Default 32 MiB.
        ssl_context: for a certificate authority or client certificate of your own. By default
            certificates are verified against the system's; there is no switch to turn that off.
        trace_configs: aiohttp's hooks for each request, for tracing.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        request_timeout: float = 30.0,
        connect_timeout: float = 10.0,
        keepalive: float = 30.0,
        max_body: int = 32 * _MEBIBYTE,
        ssl_context: ssl.SSLContext | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        # Parsed once: parsing costs most of what is ours in a request.
        self._urls: dict[str, URL] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._active: set[asyncio.Task[object]] = set()
        # Those that `aclose` has cut, and how often each had been cancelled before that.
        self._cut: dict[asyncio.Task[object], int] = {}
        self._limit = _count("limit", limit)
        self._max_body = _count("max_body", max_body)
        self._keepalive = number("keepalive", keepalive, above=0)
        self._connect_timeout = number("connect_timeout", connect_timeout, above=0)
        self._timeout = self._timeout_of(number("request_timeout", request_timeout, above=0))
        self._ssl_context = _context(ssl_context)
        self._trace_configs = _configs(trace_configs)

    async def __aenter__(self) -> Self:
        _ = self._current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; requests under way fail at once. Closing twice is harmless."""
        if self._sessions:
            running_loop("SessionPool", self._loop, closed=False)
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        # A request may wait for an answer, a connection, a handshake or a name: each ends here.
        for task in self._active.difference(self._cut):
            self._cut[task] = task.cancelling()
            task.cancel()
        if sessions:
            closing = asyncio.ensure_future(close_all(sessions))
            with anyio.CancelScope(shield=True):
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError:
                    # A cancelled caller still gets its sockets closed.
                    await asyncio.wait({closing})
                    raise

    async def exchange(self, request: Request, /) -> Response:
        """Send a request once and read its whole answer, of any status.

        Raises:
            ConnectFailed: no connection was made; nothing was sent.
            RequestTimeout: it took longer than its timeout.
            TransportError: the connection broke, or the answer is too long. Its `sent` (and a
                timeout's) is false when the request has a body of which nothing was written yet.
            RuntimeError: the pool is closed, or belongs to another event loop.
            ValueError: `request.timeout` is not more than 0, or not finite.
        """
        task = self._current_task()
        session = self._sessions.get(request.origin)
        if session is None:
            session = self._open(request.origin)
        timeout = self._timeout
        if request.timeout is not None:
            timeout = self._timeout_of(number("timeout", request.timeout, above=0))
        content = _payload(request)
        self._active.add(task)
        try:
            return await self._send(session, request, content, timeout)
        except asyncio.CancelledError as error:
            # By `aclose`, and not by the caller too: as asyncio.timeout distinguishes them.
            closed = task in self._cut and task.uncancel() <= self._cut[task]
            if not closed and task.cancelling():
                error.with_traceback(None)  # aiohttp's frames hold the headers
                raise
            failure = _failure(error, request, content, closed=closed)
        except Exception as error:  # noqa: BLE001  (a hook of the caller's may raise anything)
            failure = _failure(error, request, content, closed=self._closed)
        finally:
            self._active.discard(task)
            if self._cut:
                self._cut.pop(task, None)
        # Raised outside of the clause, without a cause and without a frame below this one: these
        # hold the request's headers, and so the credential, and the answer.
        raise failure.with_traceback(None)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        content: _RequestBody | None,
        timeout: aiohttp.ClientTimeout,
    ) -> Response:
        response = await session.request(
            request.method,
            self._url_of(request),
            headers=request.headers,
            data=content,
            allow_redirects=False,
            timeout=timeout,
        )
        try:
            # Read within the same timeout; the connection goes back when the end is reached, and
            # is dropped if it is not.
            if self._is_short(response):
                body = await response.read()
            else:
                body = await self._read_bounded(response, request)
        except BaseException:
            response.close()
            raise
        received = time.time()  # noqa: TID251  (what HTTP dates are measured against)
        return Response(response.status, response.headers, body, received)

    def _url_of(self, request: Request) -> URL:
        # Quoted where the target was built; parsing must not change it again.
        if "?" in request.target:
            return URL(request.origin + request.target, encoded=True)
        return self._urls[request.origin].with_path(request.target, encoded=True)

    def _is_short(self, response: aiohttp.ClientResponse) -> bool:
        """Return whether the answer itself says that it is within bounds, uncompressed."""
        length = response.headers.get("Content-Length")
        return (
            length is not None
            and "Content-Encoding" not in response.headers
            and length.isdecimal()
            and int(length) <= self._max_body
        )

    async def _read_bounded(self, response: aiohttp.ClientResponse, request: Request) -> bytes:
        length = response.content_length
        chunks: list[bytes] = []
        size = 0
        if length is None or length <= self._max_body:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body:
                    break
            else:
                return b"".join(chunks)
        raise TransportError(
            f"{request.name} ({request.label}): the answer is longer than "
            f"max_body={self._max_body} bytes",
            permanent=True,
            advice="pass SessionPool(max_body=...) if it should be",
        )

    def _open(self, origin: str) -> aiohttp.ClientSession:
        """Open the session of an origin."""
        self._urls[origin] = URL(origin, encoded=True)
        session = self._sessions[origin] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit,
                keepalive_timeout=self._keepalive,
                ssl=True if self._ssl_context is None else self._ssl_context,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            trace_configs=self._trace_configs,
        )
        return session

    def _current_task(self) -> asyncio.Task[object]:
        """Return the running task, which must be of the pool's own loop."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None or self._closed or self._loop is not task.get_loop():
            self._loop = running_loop("SessionPool", self._loop, closed=self._closed)
            task = cast("asyncio.Task[object]", asyncio.current_task())
        return task

    def _timeout_of(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=seconds, sock_connect=min(self._connect_timeout, seconds)
        )

    def __del__(self) -> None:
        if getattr(self, "_sessions", None):
            warnings.warn(
                f"unclosed {self!r}: use 'async with SessionPool()', or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    @even_half_made
    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        active = len(self._active)
        return (
            f"<SessionPool {state}: {len(self._sessions)} origins, {active} requests active, "
            f"limit {self._limit} each>"
        )


class _Closable(Protocol):
    async def close(self) -> None: ...  # pragma: no cover


async def close_all(sessions: Iterable[_Closable]) -> None:
    """Close some sessions at once, within 5 s."""
    closing = [asyncio.ensure_future(session.close()) for session in sessions]
    _, stuck = await asyncio.wait(closing, timeout=_CLOSE_SECONDS)
    for task in stuck:
        task.cancel()
    await asyncio.gather(*closing, return_exceptions=True)


class _RequestBody(aiohttp.Payload):
    """A body that records when it is written: aiohttp sends a head with its body, never before."""

    is_sent = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self.is_sent = True
        await super().write_with_length(writer, content_length)


class _SmallBody(_RequestBody, aiohttp.BytesPayload):
    pass


class _LargeBody(_RequestBody, aiohttp.BytesIOPayload):
    pass


def _payload(request: Request) -> _RequestBody | None:
    """Return what records whether a request was sent; None where that makes no difference."""
    body = request.body
    if body is None:
        return None if request.idempotent else _SmallBody(b"")
    # aiohttp wants a large body as a file, so that it can be written piece by piece.
    return _SmallBody(body) if len(body) <= _MEBIBYTE else _LargeBody(io.BytesIO(body))


def _is_sent(content: _RequestBody | None) -> bool:
    """Return false only when it is certain that nothing was sent."""
    return content is None or content.is_sent


def _failure(
    error: BaseException, request: Request, content: _RequestBody | None, *, closed: bool
) -> TransportError:
    """Say what broke in our own words.

    What was sent is known apart from what failed: a hook may raise any error, and at any time.
    """
    at = f"{request.name} ({request.label})"
    said = without_passwords(text_of(error))
    was_sent = _is_sent(content)
    connected = content is not None and was_sent  # else the kind of error says that it was not
    if closed:
        return TransportError(
            f"{at}: the SessionPool was closed while the request was under way", sent=was_sent
        )
    if isinstance(error, TransportError):
        return error
    bad_certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
    if bad_certificate or isinstance(error, aiohttp.ClientConnectorSSLError):
        return ConnectFailed(
            f"{at}: TLS failed: {said}",
            sent=connected,
            permanent=bad_certificate,
            advice="check base_url, or pass SessionPool(ssl_context=...) with your own certificate "
            "authority",
        )
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectFailed(f"{at}: not a valid URL: {said}", sent=connected, permanent=True)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectFailed(
            f"{at}: no connection in time", sent=connected, advice="is the network up?"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectFailed(
            f"{at}: no connection: {said}",
            sent=connected,
            advice="check base_url and the network",
        )
    if isinstance(error, TimeoutError):
        if not was_sent:
            return RequestTimeout(
                f"{at}: not sent within its timeout, because no connection was free: is "
                "SessionPool(limit=...) too low, or the network down?",
                sent=False,
            )
        return RequestTimeout(f"{at}: no whole answer within the request's timeout")
    is_broken = isinstance(error, aiohttp.ClientError | OSError | asyncio.CancelledError)
    what = "the connection broke" if is_broken else "aiohttp or a hook of trace_configs failed"
    return TransportError(f"{at}: {what}: {type_name(error)}: {said}", sent=was_sent)


def _context(value: object) -> ssl.SSLContext | None:
    if value is None or isinstance(value, ssl.SSLContext):
        return value
    msg = f"ssl_context must be an ssl.SSLContext, not {type_name(value)}"
    raise TypeError(msg)


def _count(name: str, value: int) -> int:
    number(name, value, above=0)
    whole_number(name, value, least=1)
    return value


def _configs(value: object) -> list[aiohttp.TraceConfig]:
    given = shown(value)
    configs: list[object] = [*value] if isinstance(value, Sequence) else [value]
    if all(isinstance(config, aiohttp.TraceConfig) for config in configs):
        return cast("list[aiohttp.TraceConfig]", configs)
    msg = f"trace_configs must be a list of aiohttp.TraceConfig, not {given}"
    raise TypeError(msg)
