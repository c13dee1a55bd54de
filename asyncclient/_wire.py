"""What crosses the wire: requests, responses, hints and decoding. No I/O, no clock."""

from __future__ import annotations

import math
import re
from calendar import timegm
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from asyncclient._arguments import LONGEST_ID, id_text, text
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

__all__ = [
    "JSON",
    "Answer",
    "Endpoint",
    "Enveloped",
    "Request",
    "Response",
    "Secret",
    "Transport",
    "as_int",
    "as_object",
    "base_of",
    "decode",
    "enveloped",
    "error_type",
    "header_value",
    "is_loopback",
    "open_json",
    "path_segment",
    "query_of",
    "read_answer",
    "refusal",
    "said_in",
    "seconds_asked",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# What a provider may send where its page names one type and its answers do not keep to it.
JSON: TypeAlias = str | int | float | bool | dict[str, object] | list[object] | None

_EXCERPT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")
_NUMBER = re.compile(r"[0-9]{1,30}")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
_HOST = re.compile(r"[\w.-]+")
_URL_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")  # RFC 3986, section 3.3
_PATH_IN_MESSAGE = re.compile(r" - at `(.+)`$")


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request, ready to send; its repr shows no header, since one bears the credential.

    Attributes:
        name: the endpoint, as `coze.get_workflow_run`, for messages and logs.
        method: the HTTP method.
        origin: scheme, host and port, as `https://api.coze.cn`.
        target: path and query, already quoted, with a leading slash.
        headers: header names and values.
        body: the encoded body, if any.
        timeout: seconds for the whole exchange; None is the transport's own setting.
        idempotent: true when sending it twice does the same as sending it once.
    """

    name: str
    method: str
    origin: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout: float | None = None
    idempotent: bool = True

    @property
    def label(self) -> str:
        """Method and URL without the query, for messages."""
        return f"{self.method} {self.origin}{self.target.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"<Request {self.name}: {self.label}>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the headers.
        return [("name", self.name), ("label", self.label)]


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, read to its end.

    Attributes:
        status: the HTTP status.
        headers: looked up in lower case: either case-insensitive, or with lower-case names.
        body: the decompressed body.
        received: Unix time of arrival in seconds; 0 when the transport does not say.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the status says that the request succeeded (RFC 9110, section 15.3)."""
        return 200 <= self.status < 300  # noqa: PLR2004  (the class of success)

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # A provider may echo a credential in a header.
        return [("status", self.status), ("bytes", len(self.body))]


class Transport(Protocol):
    """What carries a request and brings the answer: a `SessionPool`, or a fake."""

    async def exchange(self, request: Request, /) -> Response:
        """Send the request once and read the whole answer, whatever its status.

        Raises:
            TransportError: nothing usable came back.
        """
        ...  # pragma: no cover


class Answer(msgspec.Struct, dict=True):
    """A decoded answer that remembers the response it came from."""

    @property
    def response(self) -> Response | None:
        """The HTTP answer as it came; None for an object that was not received."""
        response = vars(self).get("_response")
        return response if isinstance(response, Response) else None

    def from_response(self, response: Response) -> Self:
        """Remember where this answer came from, and return it."""
        vars(self)["_response"] = response
        return self


class Endpoint(msgspec.Struct, Generic[T], frozen=True):
    """One operation of a provider, as a value: what to send, and how to read the answer.

    Attributes:
        name: as `coze.get_workflow_run`.
        method: the HTTP method.
        read: from the response to the typed answer; raises `APIError` or `DecodeError`.
        idempotent: true when it may be repeated freely.
    """

    name: str
    method: str
    read: Callable[[Response], T]
    idempotent: bool = True


def decode(decoder: msgspec.json.Decoder[T], response: Response, name: str) -> T:
    """Decode a body into its declared type.

    Args:
        decoder: made once, for the declared type.
        response: the answer.
        name: the endpoint's name, for the message.

    Raises:
        DecodeError: the body is not JSON, is nested too deeply, or is of another shape.
    """
    try:
        return decoder.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    excerpt = response.body[:_EXCERPT].decode("utf-8", "replace")
    where = _PATH_IN_MESSAGE.search(reason)
    msg = f"{name}: HTTP {response.status} with an unexpected body: {reason}; it begins {excerpt!r}"
    raise DecodeError(msg, path=where[1] if where else "", excerpt=excerpt, status=response.status)


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


def refusal(
    kind: type[APIError],
    response: Response,
    *,
    name: str,
    code: int | str | None = None,
    message: str | None = None,
    log_id: str | None = None,
    advice: str = "",
    retry_after: float | None = None,
) -> APIError:
    """Make the error for an answer that says no.

    Args:
        kind: its class.
        response: the answer.
        name: the endpoint's name.
        code: the provider's own code.
        message: the provider's own words.
        log_id: what the provider's support asks for.
        advice: the next step, in our words.
        retry_after: seconds to wait, where the answer itself gives none.
    """
    hint = seconds_asked(response)
    words = message or ""
    turned = ""
    if 300 <= response.status < 400:  # noqa: PLR2004  (the class of redirects)
        turned = (
            f"; it redirects to {_place(response)}, which is not followed, because the credential "
            "would go there too"
        )
        advice = "set base_url to the right place"
    elif not words and code is None:
        words = response.body[:_EXCERPT].decode("utf-8", "replace").strip()
    parts = [f"{name}: HTTP {response.status}"]
    parts += [f"code {code}"] if code is not None else []
    parts += [repr(words)] if words else []
    parts += [f"log id {log_id}"] if log_id else []
    return kind(
        ", ".join(parts) + turned,
        status=response.status,
        code=code,
        message=message or "",
        log_id=log_id,
        retry_after=retry_after if hint is None else hint,
        foreign=code is None and not message,
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
        return (
            repr(parts.path[:_EXCERPT]) if parts.path.isascii() and parts.path else "another page"
        )
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{_host(host)}{f':{port}' if port else ''}"


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def said_in(decoder: msgspec.json.Decoder[T], response: Response) -> T | None:
    """Return what an answer says of itself, None where it says nothing that can be read.

    Args:
        decoder: for the words of a refusal, in which every field is optional.
        response: the answer, which may be a good one, a gateway's page or nothing at all.
    """
    try:
        return decoder.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_answer(
    name: str,
    decoder: msgspec.json.Decoder[T],
    response: Response,
    refused_by: Callable[[Response, str], APIError | None],
    says_no: Callable[[T], bool],
) -> T:
    """Decode a good answer, or raise what the answer says instead.

    Args:
        name: the endpoint's name.
        decoder: for the declared type.
        response: the answer.
        refused_by: the provider's own reading of a refusal, from the answer and the name; None
            when it is not one.
        says_no: whether an answer of the declared type, in a good response, is a refusal.

    Raises:
        APIError: the answer is a refusal.
        DecodeError: it is not, but not of the declared shape either.
    """
    if not response.is_good:
        raise refused_by(response, name) or refusal(
            error_type(response.status), response, name=name
        )
    try:
        answer = decode(decoder, response, name)
    except DecodeError as error:
        # A refusal's `data` has any shape: what it says of itself goes before its shape.
        refused = refused_by(response, name)
        if refused is None:
            raise
        raise refused from error
    if says_no(answer):
        raise refused_by(response, name) or refusal(APIError, response, name=name)
    return answer


class Enveloped(Protocol[T_co]):
    """An answer in an envelope, whatever else the provider puts on it."""

    @property
    def data(self) -> T_co: ...  # pragma: no cover


def enveloped(
    name: str,
    method: Literal["GET", "POST"],
    read: Callable[[Response], Enveloped[T]],
    *,
    idempotent: bool = True,
) -> Endpoint[T]:
    """Make an endpoint whose answer is in an envelope.

    Args:
        name: as `coze.get_bot`.
        method: the HTTP method.
        read: from the response to the envelope; raises `APIError` or `DecodeError`.
        idempotent: true when it may be repeated freely.
    """

    def unwrapped(response: Response) -> T:
        data = read(response).data
        return data.from_response(response) if isinstance(data, Answer) else data

    return Endpoint(name, method, unwrapped, idempotent)


def seconds_asked(response: Response) -> float | None:
    """Return how long the server asks to wait, in seconds from its answer.

    `retry-after-ms` (milliseconds, as the OpenAI family sends it) goes before `Retry-After`, which
    may be seconds or an HTTP date (RFC 9110, section 10.2.3). A date is measured against the
    answer's own `Date`, so that a skewed local clock does no harm.

    Returns:
        seconds, 0 or more (a negative number or a past date is 0); None when there is no hint or
        it makes no sense.
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
        now = _unix_time(headers.get("date")) or response.received
        seconds = until - now if until and now else None
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unix_time(text: str | None) -> float:
    """Return the Unix time of an HTTP date; 0 when it is none."""
    try:
        moment = parsedate_to_datetime(text) if text else None
        if moment is None:
            return 0.0
        # A date without a zone is in GMT (RFC 9110, section 5.6.7), not in this machine's.
        return moment.timestamp() if moment.tzinfo else float(timegm(moment.timetuple()))
    except (ValueError, OverflowError):
        return 0.0


def path_segment(name: str, value: object) -> str:
    """Quote an id so that it stays one segment of a path, whatever is in it.

    Args:
        name: the argument's name, for the message.
        value: the id.

    Raises:
        TypeError, ValueError: it is not an id, as `id_text` says.
    """
    # Nearly every id is of these characters, and is asked for at each poll.
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value
    return quote(id_text(name, value), safe="")


def as_int(value: int | str | None) -> int | None:
    """Return a number that may have come quoted; None when it is none."""
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else None
    return value


def open_json(value: object, depth: int = 8) -> object:
    """Open JSON in text as far as it goes.

    Objects, arrays and the text `null` are opened; a text that is a lone number or truth value
    stays text, since it may be an id or an answer. What is nested too deeply is left as it is.

    Args:
        value: any decoded JSON value.
        depth: how many layers of text are opened at most. Default 8.
    """
    try:
        return _open_json(value, depth)
    except RecursionError:
        return value


def _open_json(value: object, layers: int) -> object:
    if layers and isinstance(value, str):
        stripped = value.strip()
        if stripped != "null" and stripped[:1] not in {"{", "["}:
            return value
        try:
            return _open_json(msgspec.json.decode(stripped), layers - 1)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return value
    members = as_object(value)
    if members is not None:
        return {name: _open_json(inner, layers) for name, inner in members.items()}
    if isinstance(value, list):
        return [_open_json(inner, layers) for inner in cast("list[object]", value)]
    return value


def as_object(value: object) -> dict[str, object] | None:
    """Return a decoded JSON object with its type, None for any other value."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def query_of(**values: str | int | bool | None) -> str:
    """Return `?a=1&b=2` for the values that are not None, or an empty text."""
    # Providers read JSON's spelling of a truth value, not Python's.
    pairs = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
    return f"?{urlencode(pairs)}" if pairs else ""


class Secret(str):
    """A text that is not shown by `repr`, and so in no log, traceback or debugger's view."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def header_value(name: str, value: object) -> Secret:
    """Check a credential that goes into a header, and return it; never show it.

    Raises:
        TypeError: it is not a text.
        ValueError: it is empty, or has a character that a header cannot bear.
    """
    value = text(name, value)
    if not value.strip():
        msg = f"{name} is empty: pass the text that the provider gave you"
        raise ValueError(msg)
    if _CONTROL.search(value) or value != value.strip():
        msg = (
            f"{name} has a line break, a control character or spaces around it: "
            "strip what the file or the environment added"
        )
        raise ValueError(msg)
    if not value.isascii():
        msg = f"{name} has characters that are not ASCII: copy it again from the provider"
        raise ValueError(msg)
    return Secret(value)


def base_of(base_url: object, *, allow_http: bool = False) -> tuple[str, str]:
    """Split a base URL into its origin and its path.

    Args:
        base_url: as `https://api.coze.cn` or `https://api.copy.ai/api/`; with or without a final
            slash.
        allow_http: let plain http go to a host that is not loopback.

    Returns:
        the origin (`https://api.copy.ai`) and the path without a final slash (`/api`, or empty).

    Raises:
        TypeError: it is not a text.
        ValueError: it is no URL for an API, or plain http to another machine.
    """
    url = text("base_url", base_url)
    if "@" in url:
        msg = "base_url must not hold a user name or password: pass the token as an argument"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        msg = f"base_url={url!r} is not a URL: {error}"
        raise ValueError(msg) from None
    good = host is not None and (_HOST.fullmatch(host) or ":" in host)
    if parts.scheme not in {"http", "https"} or not host or not good or _SPACE.search(url):
        msg = f"base_url={url!r} is not an http(s) URL: pass one like 'https://api.example.com'"
        raise ValueError(msg)
    if not _URL_PATH.fullmatch(parts.path):
        msg = f"base_url={url!r} has characters in its path that must be quoted, as %20"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = f"base_url={url!r} must not have a query or a fragment"
        raise ValueError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        msg = (
            f"base_url={url!r} would send the credential in the clear: "
            "use https, or pass allow_http=True if you mean it"
        )
        raise ValueError(msg)
    return f"{parts.scheme}://{_host(host)}{f':{port}' if port else ''}", parts.path.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine (RFC 6761, section 6.3, for the names)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
