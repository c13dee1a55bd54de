"""A transport that answers from a script: fast tests without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import anyio
import msgspec

from asyncclient._http import Request, Response

Script: TypeAlias = Response | Exception | Callable[[Request], Response]


def reply(
    body: object = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    date: str | None = None,
) -> Response:
    """Make an answer for a script.

    Args:
        body: bytes and text are sent as they are, anything else as JSON.
        status: the HTTP status.
        headers: in any case.
        date: the `Date` header, against which an HTTP date in `Retry-After` is measured.
    """
    if isinstance(body, str):
        body = body.encode()
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    if date is not None:
        lower["date"] = date
    return Response(status, lower, raw)


class ScriptedTransport:
    """Answers requests in the order of a script, and keeps the requests.

    Use it where a `SessionPool` goes: `Coze(ScriptedTransport([reply({...})]), token="t")`.

    Args:
        script: what to answer, in order: a `Response` (see `reply`), an exception to raise, or a
            function from the request to the response. The last one is repeated if `repeat`.
        latency: seconds that each exchange takes, on the loop's clock. Default 0.
        repeat: answer all further requests with the last entry, instead of failing when the script
            is over.

    Attributes:
        requests: the requests so far, in order.
        times: when each was sent, on the loop's clock.
    """

    def __init__(
        self, script: Iterable[Script] = (), *, latency: float = 0.0, repeat: bool = False
    ) -> None:
        self._script = list(script)
        self._latency = latency
        self._repeat = repeat
        self.requests: list[Request] = []
        self.times: list[float] = []

    def then(self, *script: Script) -> None:
        """Add to the script."""
        self._script.extend(script)

    async def exchange(self, request: Request, /) -> Response:
        """Answer with the script's next entry.

        Raises:
            AssertionError: the script is over.
        """
        self.requests.append(request)
        self.times.append(anyio.current_time())
        await anyio.sleep(self._latency)
        if not self._script:
            msg = f"the script has no answer left, but {request!r} was sent"
            raise AssertionError(msg)
        entry = self._script[0] if self._repeat and len(self._script) == 1 else self._script.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return entry if isinstance(entry, Response) else entry(request)

    @property
    def left(self) -> int:
        """Entries of the script that are still unused."""
        return len(self._script)

    def __repr__(self) -> str:
        return f"<ScriptedTransport {len(self.requests)} asked, {self.left} left>"
