"""What an exception says about a failed request, whether ours or another library's. No I/O.

Other libraries' exceptions are recognised without importing them: by the names of their classes,
and by the HTTP status that they carry.
"""

from __future__ import annotations

import concurrent.futures
import errno
import gzip
import http.client
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from typing import cast
from urllib.error import URLError

import msgspec

from asyncclient._http.hint import seconds_asked_in, usable_hint
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    DecodeError,
    RateLimited,
    ServerError,
    TransportError,
)

# Statuses below 500 that are worth repeating: request timeout, too early, too many requests.
_REPEATED = frozenset({408, 425, 429})
_RATE_LIMITED = 429
_STATUSES = range(400, 600)
# Causes of an exception that are looked at.
_LONGEST_CHAIN = 20

# Error numbers of the operating system that are faults of the network, or say that no socket can be
# opened just now; Windows names them differently.
_NETWORK_FAULTS = frozenset(
    number
    for name in [
        "EADDRNOTAVAIL",
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "EMFILE",
        "ENETDOWN",
        "ENETRESET",
        "ENETUNREACH",
        "ENFILE",
        "ENOBUFS",
        "ENONET",
        "ENOTCONN",
        "EPIPE",
        "EPROTO",
        "ESHUTDOWN",
        "ETIMEDOUT",
    ]
    for number in (getattr(errno, name, None), getattr(errno, f"WSA{name[1:]}", None))
    if number is not None
)
# Broken connections, incomplete answers and answers that cannot be decoded; and a call in a thread
# that was cancelled from inside.
_TRANSIENT = (
    TimeoutError,
    ConnectionError,
    EOFError,  # asyncio's IncompleteReadError, and what gzip says of a body that was cut
    socket.gaierror,
    socket.herror,
    http.client.HTTPException,
    msgspec.DecodeError,
    UnicodeDecodeError,
    gzip.BadGzipFile,
    zlib.error,
    concurrent.futures.CancelledError,
)
_TRANSIENT_NAMES = frozenset(
    {
        # https://www.python-httpx.org/exceptions/ (and httpcore, on which it stands)
        *("TimeoutException", "NetworkError", "ProtocolError", "ProxyError", "DecodingError"),
        # https://docs.aiohttp.org/en/stable/client_reference.html#client-exceptions
        *("ClientConnectionError", "ClientPayloadError", "ContentTypeError"),
        # https://requests.readthedocs.io/en/latest/api/#exceptions (and urllib3, as before)
        *("ConnectionError", "Timeout", "ChunkedEncodingError", "ContentDecodingError"),
        *("InvalidJSONError", "MaxRetryError", "NewConnectionError", "RetryError", "TimeoutError"),
        # Of Python, and of others by the same name.
        *("JSONDecodeError", "SSLError"),
        # The SDKs that Stainless makes, as openai's and anthropic's (src/openai/_exceptions.py).
        "APIConnectionError",
        "ValidationError",  # of pydantic
        *("BrokenResourceError", "EndOfStream"),  # of anyio
    }
)
# Among the classes above these are the caller's mistakes, or a certificate that does not verify.
_PERMANENT_NAMES = frozenset(
    {"InvalidURL", "LocalProtocolError", "ServerFingerprintMismatch", "UnsupportedProtocol"}
)


def is_transient(error: BaseException) -> bool:
    """Return whether a request that failed so may go through when it is sent again."""
    if isinstance(error, AsyncClientError):
        if isinstance(error, TransportError | DecodeError):
            return not error.permanent
        return isinstance(error, RateLimited | ServerError)
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(is_transient, group.exceptions))
    status = status_of(error)
    if status is not None:
        return is_transient_status(status)
    names = {kind.__name__ for kind in type(error).__mro__}
    bad_certificate = any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error))
    if bad_certificate or names & _PERMANENT_NAMES:
        return False
    if isinstance(error, _TRANSIENT) or names & _TRANSIENT_NAMES:
        return True
    if isinstance(error, URLError):
        return not isinstance(error.reason, Exception) or is_transient(error.reason)
    # One without a number says that none of a host's addresses took the connection, or a proxy.
    has_none = type(error) is OSError and error.errno is None
    return has_none or (isinstance(error, OSError) and error.errno in _NETWORK_FAULTS)


def is_transient_status(status: int) -> bool:
    """Return whether a server that refuses with this status may take the request later."""
    return status in _REPEATED or status >= 500  # noqa: PLR2004  (the class of server errors)


def is_rate_limited(error: BaseException) -> bool:
    """Return whether a request was refused because there were too many."""
    return isinstance(error, RateLimited) or (
        not isinstance(error, AsyncClientError) and status_of(error) == _RATE_LIMITED
    )


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of 400 to 599 that an exception carries, itself or its response."""
    for owner in (error, _attribute(error, "response")):
        for name in ("status", "status_code", "code"):  # the last is Google's and Tornado's
            status = _attribute(owner, name)
            if isinstance(status, int) and status in _STATUSES:
                return int(status)
    return None


def retry_after_of(error: BaseException) -> float | None:
    """Return the seconds that a refusal asks to wait; None where it does not say."""
    if isinstance(error, APIError):
        return usable_hint(error.retry_after)
    if status_of(error) is None:
        return None
    for owner in (error, _attribute(error, "response")):
        headers = cast("Mapping[object, object]", _attribute(owner, "headers") or {})
        try:
            found = {str(name).lower(): str(value) for name, value in headers.items()}
        except Exception:  # noqa: BLE001  (another library's object; its hint is advice)
            found = {}
        if found:
            return seconds_asked_in(found)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go through an exception and those that it was made of."""
    found = [error]
    for number in range(_LONGEST_CHAIN):
        if number == len(found):
            return
        link = found[number]
        yield link
        args = _attribute(link, "args")
        parts = [_attribute(link, "reason"), link.__cause__, link.__context__]
        parts += cast("tuple[object, ...]", args) if isinstance(args, tuple) else ()
        found += [part for part in parts if isinstance(part, BaseException)]


def _attribute(owner: object, name: str) -> object:
    try:
        found: object = getattr(owner, name)
    except Exception:  # noqa: BLE001  (there is none, or it is a property that raises)
        return None
    return found
