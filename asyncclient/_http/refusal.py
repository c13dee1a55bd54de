"""Makes the error for an answer that refuses."""

from __future__ import annotations

from urllib.parse import urlsplit

from asyncclient._http.hint import seconds_asked
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


# The next step where the provider's client knows no better one. After a fault of the provider it is
# not to try again: a start may have happened.
_ADVICE: dict[type[APIError], str] = {
    AuthenticationFailed: "check the credential",
    PermissionDenied: "check what the credential is allowed to do",
    NotFound: "check the path and the ids in it",
    InvalidRequest: "check the arguments",
    RateLimited: "wait, and send fewer requests at a time",
    QuotaExceeded: "waiting does not help: check the account's plan and balance",
    ServerError: "the fault is the provider's: its status page may say more",
}
_NOT_MODIFIED = 304  # the one of its class that redirects nowhere


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
    """Make the error for an answer that refuses.

    `code` and `message` are given only for an answer in the provider's own form; `known` says
    whether the code is in a table. A redirect is nearly always a gateway's, as to a login.
    """
    hint = seconds_asked(response)
    message = text_of(message or "")
    code = text_of(code, LONGEST_WORD) if isinstance(code, str) else code
    log_id = None if log_id is None else text_of(log_id, LONGEST_WORD)
    words = message
    turned = ""
    if 300 <= response.status < 400 and response.status != _NOT_MODIFIED:  # noqa: PLR2004  (the class of redirects)
        turned = (
            f"; it redirects to {_place(response)}, which is not followed, because the credential "
            "would go there too"
        )
        advice = "set base_url to the right place"
    elif not words and code is None:
        words = response.excerpt.strip()
        if words and kind in {InvalidRequest, NotFound}:
            advice = "this is not an answer of the API: check base_url"
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
        advice=advice or _ADVICE.get(kind, ""),
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
