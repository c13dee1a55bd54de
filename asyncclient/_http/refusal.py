"""From an answer that says no to the error it stands for."""

from __future__ import annotations

import math
from calendar import timegm
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from asyncclient._http.message import Response
from asyncclient._http.quoting import bracketed
from asyncclient._text import LONGEST_WORD, shown, text_of
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

_BY_STATUS: dict[int, type[APIError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    408: ServerError,  # the server gave up on reading: worth repeating, as 425 is
    410: NotFound,
    425: ServerError,
    429: RateLimited,
}


def error_type(status: int) -> type[APIError]:
    """Return the error that an HTTP status alone stands for (RFC 9110, section 15)."""
    if status >= 500:  # noqa: PLR2004  (the class of server errors)
        return ServerError
    return _BY_STATUS.get(status, InvalidRequest if status >= 300 else APIError)  # noqa: PLR2004


def refusal_error(
    kind: type[APIError],
    response: Response,
    *,
    name: str,
    code: int | str | None = None,
    message: str | None = None,
    log_id: str | None = None,
    advice: str = "",
    retry_after: float | None = None,
    known: bool = True,
) -> APIError:
    """Make the error for an answer that says no.

    A provider gives a code or words only where they are in its own form; `known` is whether its
    code is in a table.
    """
    hint = seconds_asked(response)
    message = text_of(message or "")
    code = text_of(code, LONGEST_WORD) if isinstance(code, str) else code
    log_id = None if log_id is None else text_of(log_id, LONGEST_WORD)
    words = message
    turned = ""
    if 300 <= response.status < 400:  # noqa: PLR2004  (the class of redirects)
        turned = (
            f"; it redirects to {_place(response)}, which is not followed, because the credential "
            "would go there too"
        )
        advice = "set base_url to the right place"
    elif not words and code is None:
        words = response.excerpt.strip()
    parts = [f"{name}: HTTP {response.status}"]
    parts += [f"code {text_of(code, LONGEST_WORD)}"] if code is not None else []
    parts += [repr(words)] if words else []
    parts += [f"log id {log_id}"] if log_id else []
    return kind(
        ", ".join(parts) + turned,
        status=response.status,
        code=code,
        message=message,
        log_id=log_id,
        retry_after=retry_after if hint is None else hint,
        foreign=code is None and not message,
        known=known,
        advice=advice,
    )


def _place(response: Response) -> str:
    """Return where a redirect points, without what may be secret in it."""
    try:
        parts = urlsplit(response.headers.get("location", ""))
        host, port = parts.hostname, parts.port
    except ValueError:
        return "another page"
    if not host:
        return shown(parts.path) if parts.path.isascii() and parts.path else "another page"
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return text_of(f"{scheme}{bracketed(host)}{f':{port}' if port else ''}")


def seconds_asked(response: Response) -> float | None:
    """Return how long the server asks to wait, in seconds from its answer.

    `retry-after-ms` (milliseconds, as the OpenAI family sends it) goes before `Retry-After`, which
    may be seconds or an HTTP date (RFC 9110, section 10.2.3). A date is measured against the
    answer's own `Date`, so that a skewed local clock does no harm.
    """
    headers = response.headers
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is None:
        until = _unix_time(text)
        now = unix_time_of(response)
        seconds = until - now if until and now else None
    return None if seconds is None else max(0.0, seconds)


def unix_time_of(response: Response) -> float:
    """Return the Unix time of an answer: by its own `Date`, else by our clock; 0 without both."""
    return _unix_time(response.headers.get("date")) or response.received


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unix_time(text: str | None) -> float:
    """Return the Unix time of an HTTP date; 0 when it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        # A date without a zone is in GMT (RFC 9110, section 5.6.7), not in this machine's.
        return moment.timestamp() if moment.tzinfo else float(timegm(moment.timetuple()))
    except (ValueError, OverflowError):
        return 0.0
