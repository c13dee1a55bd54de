"""The session pool: sends requests over its sessions, and names failures in our own words."""

from __future__ import annotations

import asyncio
import functools
import math
import ssl
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import NoReturn, Self

import aiohttp
import anyio
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL  # aiohttp's own word for an address; it comes with aiohttp

from asyncclient._arguments import number, whole_number
from asyncclient._event_loop import running_loop
from asyncclient._http.cutting import LATE_SECONDS, Cutting
from asyncclient._http.message import GOOD, Request, Response, concealed
from asyncclient._http.payload import RequestBody, is_sent, payload_of
from asyncclient._http.proxy import PROXY_REFUSES, given_proxy
from asyncclient._http.quoting import pool_headers
from asyncclient._http.sessions import Origin, Sessions, checked_configs, checked_context
from asyncclient._text import even_half_made, plain, text_of, type_name
from asyncclient.errors import ConnectFailed, RequestTimeout, TransportError

_MEBIBYTE = 1024 * 1024
# Seconds. A shorter timeout of a request has a timer of its own, and so is exact.
_SHORT_SECONDS = 5.0
_MOST_URLS = 1024  # that are kept parsed, of all pools
# Characters of an error's text in which the query is looked for, which may have 8,000.
_LONGEST_WORDS = 20_000
# Without a body aiohttp would name a type for it, which servers that take JSON alone refuse (415).
_NO_TYPE = ("Content-Type",)


class SessionPool:
    """Sockets, limits and timeouts, shared by any number of clients and waits.

    It has one session for each origin (scheme, host and port), opened at the first request, with
    its own limit of connections: a slow provider cannot block another. Of the idle sessions the
    last 100 are kept. The pool belongs to the event loop of its first request. Use it as `async
    with SessionPool() as pool:`, or call `aclose()`.

    Args:
        limit: most connections to one origin at a time. Default 100.
        request_timeout: seconds for one request, from waiting for a connection to the last byte.
            Default 30. A timeout of 5 s or more may come up to 0.25 s late.
        connect_timeout: seconds for making a connection. Default 10.
        keepalive: seconds for which an idle connection is kept. Default 30.
        max_body: most bytes of a decompressed answer; a longer one is refused while it streams.
            Default 32 MiB.
        ssl_context: for your own certificate authority or client certificate. By default
            certificates are verified against the system's; this cannot be turned off.
        trace_configs: aiohttp's hooks for each request, for tracing.
        proxy: the URL of an HTTP proxy for all requests, with its user name and password if it
            needs them: `http://user:password@host:port`.
        trust_env: without `proxy`, take the proxy of each origin from the environment, as other
            HTTP libraries do: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Requests to
            this machine use none. Default true. A `.netrc` is never read.
        headers: headers of every request, in addition to its client's: your own `User-Agent`, for
            example. They go to every origin, so credentials are refused.

    Raises:
        TypeError, ValueError: an argument is not valid.
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
        proxy: str | None = None,
        trust_env: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        proxy = concealed(proxy)  # a traceback with locals shows this frame
        headers = concealed(headers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._requests = Cutting(LATE_SECONDS)
        self._max_body = _count("max_body", max_body)
        self._connect_timeout = number("connect_timeout", connect_timeout, above=0)
        self._request_timeout = number("request_timeout", request_timeout, above=0)
        self._limits = self._limits_of(self._request_timeout)
        self._is_traced = bool(trace_configs)
        self._sessions = Sessions(
            limit=_count("limit", limit),
            keepalive=number("keepalive", keepalive, above=0),
            ssl_context=checked_context(ssl_context),
            trace_configs=checked_configs(trace_configs),
            proxy=given_proxy(proxy),
            trust_env=trust_env,
            headers=pool_headers(headers),
        )

    async def __aenter__(self) -> Self:
        self._loop = running_loop("SessionPool", self._loop, closed=self._closed)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; requests under way fail at once. Closing twice is harmless."""
        if self._sessions:
            running_loop("SessionPool", self._loop, closed=False)
        self._closed = True
        self._requests.cut_all()
        if self._sessions:
            closing = asyncio.ensure_future(self._sessions.close())
            with anyio.CancelScope(shield=True):
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError:
                    # A cancelled caller still gets its sockets closed.
                    await asyncio.wait({closing})
                    raise

    @property
    def _own_secrets(self) -> Mapping[str, str]:
        """What is sent beside a request's own headers, and so is in no text of an answer."""
        return self._sessions.secrets

    async def exchange(self, request: Request, /) -> Response:
        """Send a request once and read its whole answer, of any status.

        Raises:
            ConnectFailed: no connection was made; nothing was sent.
            RequestTimeout: it took longer than its timeout.
            TransportError: the connection broke, or the answer is too long. Its `sent` (and a
                timeout's) is false when the request has a body of which nothing was written yet.
            RuntimeError: the pool is closed, or belongs to another event loop.
            ValueError: `request.timeout` is not more than 0, or not finite; or the environment
                names a proxy that is not valid.
        """
        loop = self._loop = running_loop("SessionPool", self._loop, closed=self._closed)
        seconds, timeout = self._limits
        if request.timeout is not None:
            seconds, timeout = self._limits_of(number("timeout", request.timeout, above=0))
        content = None if request.body is None and request.idempotent else payload_of(request)
        origin, headers = self._sessions.take(request.origin), request.headers
        task = self._requests.begin(loop, loop.time() + seconds)
        response: aiohttp.ClientResponse | None = None
        body: bytes | None = None
        try:
            response = await origin.session.request(
                request.method,
                # A query may hold a signature, which is not kept.
                URL(request.origin + request.target, encoded=True)
                if "?" in request.target
                else _url(request.origin, request.target),
                headers={**origin.headers, **headers} if origin.headers else headers,
                data=content,
                skip_auto_headers=_NO_TYPE
                if request.body is None and request.method != "GET"
                else None,
                allow_redirects=False,
                timeout=timeout,
                proxy_headers=origin.tunnel,
            )
            if response.content.is_eof() and not self._is_traced:
                body = response.content.read_nowait()  # it came with its head
            else:
                body = await self._body_of(response)
            if body is None or len(body) > self._max_body:
                response.close()
                self._refuse_length(request)
            received = time.time()  # noqa: TID251  (what HTTP dates are measured against)
            if response.status in GOOD:
                return Response(response.status, response.headers, body, received)
            return _refusal(response, body, received, request, origin)
        except (Exception, asyncio.CancelledError) as error:  # a hook may raise any
            failure = await self._failure_of(error, task, request, origin, content)
            if failure is None:
                raise
        finally:
            self._requests.end(task)
            origin.requests -= 1
            if not origin.requests:
                self._sessions.rest(origin)
        response = body = None  # as the frames below, which hold the headers, too, are left out
        raise failure.with_traceback(None)

    async def _failure_of(
        self,
        error: Exception | asyncio.CancelledError,
        task: asyncio.Task[object],
        request: Request,
        origin: Origin,
        content: RequestBody | None,
    ) -> TransportError | None:
        """Return what broke, in our own words; None where it is the caller who cancels.

        Whether it was sent is known independently of the error: a hook may raise any at any time.
        """
        if isinstance(error, asyncio.CancelledError):
            error.with_traceback(None)  # aiohttp's frames hold the headers
            if await self._requests.is_own(task):
                error = TimeoutError()
            elif task.cancelling():
                return None
        at = _name_of(request, origin)
        was_sent = is_sent(content)
        if self._closed:
            return TransportError(
                f"{at}: the SessionPool was closed during the request", sent=was_sent
            )
        if isinstance(error, TransportError):
            return error
        # aiohttp's words may have the whole URL, whose query may be signed.
        _, mark, query = request.target.partition("?")
        words = text_of(error, _LONGEST_WORDS).replace(mark + query, "")
        said = text_of(origin.hiding.text(words))
        failure = _connect_failure(error, at, said, origin)
        if failure is not None:
            failure.sent = content is not None and was_sent  # else the kind of error decides that
            return failure
        if isinstance(error, TimeoutError):
            seconds = plain(request.timeout or self._request_timeout)
            if not was_sent:
                slow = "the network" if origin.proxy is None else "the proxy"
                return RequestTimeout(
                    f"{at}: not sent within {seconds} s: no connection was free, or none was made",
                    sent=False,
                    advice=f"check that {slow} is not down, or pass a larger "
                    "SessionPool(limit=...)",
                )
            longer = "timeout" if request.timeout else "SessionPool(request_timeout=...)"
            return RequestTimeout(
                f"{at}: no whole answer within {seconds} s",
                advice=f"check the network, or pass a larger {longer}",
            )
        is_broken = isinstance(error, aiohttp.ClientError | OSError | asyncio.CancelledError)
        what = "the connection broke" if is_broken else "aiohttp or a hook of trace_configs failed"
        return TransportError(f"{at}: {what}: {type_name(error)}: {said}", sent=was_sent)

    async def _body_of(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read an answer to its end; None as soon as it is too long."""
        length = response.headers.get("Content-Length") or ""
        is_known = length.isdecimal() and "Content-Encoding" not in response.headers
        chunks: list[bytes] = []
        size = 0
        # The connection goes back when the end is reached, and is dropped if it is not.
        try:
            if is_known and int(length) <= self._max_body:
                return await response.read()
            # The length of an answer to HEAD, or of a 304, is of what does not come.
            is_over = response.content.is_eof()
            if not is_over and (response.content_length or 0) > self._max_body:
                return None
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body:
                    return None
        except BaseException:
            response.close()
            raise
        return b"".join(chunks)

    def _refuse_length(self, request: Request) -> NoReturn:
        raise TransportError(
            f"{request.name} ({request.label}): the answer is longer than "
            f"max_body={self._max_body} bytes",
            permanent=True,
            advice="pass SessionPool(max_body=...) if it should be",
        )

    def _limits_of(self, seconds: float) -> tuple[float, aiohttp.ClientTimeout]:
        """Return the seconds that `Cutting` keeps, for all requests at once, and aiohttp's own."""
        connect = min(self._connect_timeout, seconds)
        if seconds < _SHORT_SECONDS:
            return math.inf, aiohttp.ClientTimeout(total=seconds, sock_connect=connect)
        return seconds, aiohttp.ClientTimeout(total=None, sock_connect=connect)

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
        active = len(self._requests)
        return (
            f"<SessionPool {state}: {len(self._sessions)} origins, {active} requests active, "
            f"limit {self._sessions.limit} each>"
        )

    def __reduce__(self) -> NoReturn:
        msg = "a SessionPool holds sockets, and so is not pickled: make one in each process"
        raise TypeError(msg)


@functools.lru_cache(_MOST_URLS)
def _url(origin: str, target: str) -> URL:
    # Quoted where the target was built; parsing must not change it again.
    return _origin(origin).with_path(target, encoded=True)


@functools.lru_cache(_MOST_URLS)
def _origin(origin: str) -> URL:
    return URL(origin, encoded=True)


def _refusal(
    response: aiohttp.ClientResponse,
    body: bytes,
    received: float,
    request: Request,
    origin: Origin,
) -> Response:
    """Return an answer that refuses, without the pool's secrets, which a proxy's page may repeat.

    Raises:
        ConnectFailed: the proxy refuses.
    """
    if response.status == PROXY_REFUSES and origin.proxy is not None:
        raise origin.proxy.refusal(_name_of(request, origin), response.status)
    hiding = origin.hiding
    headers = CIMultiDict((name, hiding.text(value)) for name, value in response.headers.items())
    answer = Response(response.status, CIMultiDictProxy(headers), body, received)
    return hiding.answer(answer)


def _name_of(request: Request, origin: Origin) -> str:
    """Return the request and its proxy, for messages."""
    through = "" if origin.proxy is None else f" through the proxy {origin.proxy.place}"
    return f"{request.name} ({request.label}){through}"


def _connect_failure(
    error: BaseException, at: str, said: str, origin: Origin
) -> ConnectFailed | None:
    """Return why there is no connection; None where that is not what failed."""
    proxy = origin.proxy
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return proxy.refusal(at, error.status)
    is_bad = isinstance(error, aiohttp.ClientConnectorCertificateError)
    if is_bad or isinstance(error, aiohttp.ClientConnectorSSLError):
        own = "or pass SessionPool(ssl_context=...) with your own certificate authority"
        place = "base_url" if proxy is None else f"base_url and {proxy.setting}"
        advice = f"check {place}, {own}"
        return ConnectFailed(f"{at}: TLS failed: {said}", permanent=is_bad, advice=advice)
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectFailed(f"{at}: not a valid URL: {said}", permanent=True)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectFailed(f"{at}: no connection in time", advice=origin.advice)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectFailed(f"{at}: no connection: {said}", advice=origin.advice)
    return None


def _count(name: str, value: int) -> int:
    number(name, value, above=0)
    whole_number(name, value, least=1)
    return value
