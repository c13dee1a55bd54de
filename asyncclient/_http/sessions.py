"""One session for each origin that is asked: the only place that opens sockets."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Iterable, Mapping, Sequence
from http.cookies import SimpleCookie
from typing import ClassVar, Protocol, cast

import aiohttp
import anyio.lowlevel
from yarl import URL

from asyncclient._http.hiding import Hiding
from asyncclient._http.proxy import Proxy, advice_without_proxy, environment_proxy
from asyncclient._text import shown, type_name

_AGENT = "User-Agent"
_OUR_AGENT = f"asyncclient Python/{sys.version_info.major}.{sys.version_info.minor}"
_CLOSE_SECONDS = 5.0
# Sessions without a request that are kept: signed poll URLs and tenants' own servers lead to any
# number of origins, and each session takes memory and, for `keepalive` seconds, connections.
MOST_IDLE = 100
# Of one answer. aiohttp's own bounds, 128 headers of 8 KiB, are less than what gateways add. Its
# parser in Python counts the first and the last line of a head, too.
_MOST_HEADERS = 200 + 2
_LONGEST_HEADER = 64 * 1024  # bytes


class Origin:
    """One origin, its session, and how it is reached.

    Attributes:
        name: scheme, host and port.
        session: where its requests are sent.
        proxy: what they go through; None where they go directly.
        headers: what goes with each request to it, beside the request's own.
        tunnel: what goes with the request for a tunnel, to the proxy alone.
        hiding: takes the secrets among both out of texts.
        advice: the next step when it cannot be reached.
        requests: those under way.
    """

    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        proxy: Proxy | None,
        headers: Mapping[str, str],
        advice: str,
    ) -> None:
        password = {} if proxy is None else proxy.headers
        is_tunnelled = name.startswith("https:")
        self.name = name
        self.session = session
        self.proxy = proxy
        self.headers = headers if is_tunnelled else {**headers, **password}
        self.tunnel = password if is_tunnelled else None
        self.hiding = Hiding({**headers, **password})
        self.advice = advice
        self.requests = 0


class Sessions:
    """Sessions by their origins, opened at the first request; at most 100 idle ones are kept.

    The arguments are those of `SessionPool`, checked.

    Attributes:
        limit: most connections to one origin.
        secrets: headers of the pool's own that were sent, and passwords of its proxies; each change
            makes a new mapping.
    """

    def __init__(
        self,
        *,
        limit: int,
        keepalive: float,
        ssl_context: ssl.SSLContext | None,
        trace_configs: list[aiohttp.TraceConfig],
        proxy: Proxy | None,
        trust_env: bool,
        headers: Mapping[str, str],
    ) -> None:
        self.limit = limit
        self._keepalive = keepalive
        self._ssl_context = ssl_context
        self._trace_configs = trace_configs
        self._proxy = proxy
        self._trust_env = trust_env
        # The User-Agent also goes to the proxy of a tunnel; the other headers go to the origins
        # alone.
        own = {name: value for name, value in headers.items() if name.lower() != _AGENT.lower()}
        agents = [value for name, value in headers.items() if name not in own]
        self._agent = {_AGENT: agents[-1] if agents else _OUR_AGENT}
        self._headers = own
        self.secrets: Mapping[str, str] = {f"pool {name}": value for name, value in own.items()}
        self._origins: dict[str, Origin] = {}
        # Those without a request, the longest unused one first.
        self._idle: dict[str, Origin] = {}
        self._closing: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._origins)

    def take(self, name: str) -> Origin:
        """Return an origin for one request, and count the request; `rest` must follow."""
        origin = self._origins.get(name)
        if origin is None:
            origin = self._origins[name] = self._opened(name)
        elif not origin.requests:
            del self._idle[name]
        origin.requests += 1
        return origin

    def rest(self, origin: Origin) -> None:
        """Count the end of one request."""
        if self._origins.get(origin.name) is not origin:
            return  # all were closed meanwhile
        self._idle[origin.name] = origin
        if len(self._idle) > MOST_IDLE:
            oldest = next(iter(self._idle.values()))
            del self._idle[oldest.name], self._origins[oldest.name]
            closing = asyncio.ensure_future(close_all([oldest.session]))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all sessions, within 5 s; their origins are unknown at once."""
        sessions = [origin.session for origin in self._origins.values()]
        self._origins.clear()
        self._idle.clear()
        # Cancelled requests end first, also where tasks are eager: a closed connector of aiohttp
        # does not close a connection to a proxy whose tunnel is not there yet.
        await anyio.lowlevel.checkpoint()
        await asyncio.gather(close_all(sessions), *self._closing)

    def _opened(self, name: str) -> Origin:
        proxy = self._proxy
        if proxy is None and self._trust_env:
            proxy = environment_proxy(name)
        if proxy is not None:
            password = {f"{proxy.place} {name}": value for name, value in proxy.headers.items()}
            if not password.items() <= self.secrets.items():
                self.secrets = {**self.secrets, **password}
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.limit,
                keepalive_timeout=self._keepalive,
                ssl=True if self._ssl_context is None else self._ssl_context,
            ),
            cookie_jar=_NoCookies(),
            headers=self._agent,
            # Never aiohttp's own trust_env: it reads ~/.netrc, for the origin and for the proxy.
            proxy=None if proxy is None else proxy.url,
            trace_configs=self._trace_configs,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        further = advice_without_proxy(name, trust_env=self._trust_env)
        advice = f"check base_url and the network{further}" if proxy is None else proxy.advice
        return Origin(name, session, proxy, self._headers, advice)


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none; aiohttp's own makes a set of them for each request, and it is empty."""

    _none: ClassVar[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:  # noqa: ARG002  (of any URL)
        return self._none


class _Closable(Protocol):
    async def close(self) -> None: ...  # pragma: no cover


async def close_all(sessions: Iterable[_Closable]) -> None:
    """Close some sessions at once, within 5 s."""
    closing = [asyncio.ensure_future(session.close()) for session in sessions]
    if not closing:
        return
    _, stuck = await asyncio.wait(closing, timeout=_CLOSE_SECONDS)
    for task in stuck:
        task.cancel()
    await asyncio.gather(*closing, return_exceptions=True)


def checked_context(value: object) -> ssl.SSLContext | None:
    """Check what verifies certificates: there is no switch to turn that off."""
    if value is None or isinstance(value, ssl.SSLContext):
        return value
    msg = f"ssl_context must be an ssl.SSLContext, not {type_name(value)}"
    raise TypeError(msg)


def checked_configs(value: object) -> list[aiohttp.TraceConfig]:
    """Check the hooks for each request."""
    given = shown(value)
    configs: list[object] = [*value] if isinstance(value, Sequence) else [value]
    if all(isinstance(config, aiohttp.TraceConfig) for config in configs):
        return cast("list[aiohttp.TraceConfig]", configs)
    msg = f"trace_configs must be a list of aiohttp.TraceConfig, not {given}"
    raise TypeError(msg)
