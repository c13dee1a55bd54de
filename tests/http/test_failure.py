"""Tests of what an exception says of a request, whichever library raised it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import gzip
import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from itertools import count
from types import SimpleNamespace
from typing import cast
from urllib.error import HTTPError, URLError

import aiohttp
import anyio
import httpx
import msgspec
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from asyncclient._http.failure import is_rate_limited, is_transient, retry_after_of, status_of
from asyncclient.errors import RateLimited, TaskFailed
from tests.http.test_repeat import FINAL, TRANSIENT, name_of

ASKED = httpx.Request("GET", "https://api.example.com/jobs/7")
CERTIFICATE = ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")


def refused(status: int, headers: Mapping[str, str] | None = None) -> httpx.HTTPStatusError:
    """Return what httpx raises for a status."""
    answer = httpx.Response(status, headers=dict(headers or {}), request=ASKED)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        answer.raise_for_status()
    return caught.value


def refused_aiohttp(status: int, kind: type[aiohttp.ClientResponseError]) -> Exception:
    """Return what aiohttp raises for a status."""
    headers = CIMultiDictProxy(CIMultiDict({"Retry-After": "7"}))
    url = URL("https://api.example.com")
    asked = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict[str]()), url)
    return kind(asked, (), status=status, headers=headers)


def caused(error: Exception, cause: BaseException) -> Exception:
    """Return an exception that was raised from another."""
    error.__cause__ = cause
    return error


# The classes of requests, which is not among the test's dependencies, with their bases:
# https://github.com/psf/requests/blob/main/src/requests/exceptions.py
class RequestException(OSError):
    """Its root."""

    response: object = None


RequestsConnectionError = type("ConnectionError", (RequestException,), {})
RequestsHTTPError = type("HTTPError", (RequestException,), {})
ReadTimeout = type("ReadTimeout", (type("Timeout", (RequestException,), {}),), {})
RetryError = type("RetryError", (RequestException,), {})
ChunkedEncodingError = type("ChunkedEncodingError", (RequestException,), {})
MissingSchema = type("MissingSchema", (RequestException, ValueError), {})


def refused_requests(status: int) -> Exception:
    """Return what requests raises for a status."""
    error = cast("RequestException", RequestsHTTPError(f"{status} Error"))
    error.response = SimpleNamespace(status_code=status, headers={"RETRY-AFTER": "7"})
    return error


class Hostile(Exception):
    """An exception of a caller's, whose attributes cannot be read."""

    @property
    def status(self) -> int:
        """Fail."""
        raise RuntimeError

    response = status


class MaxRetryError(Exception):
    """What urllib3 raises after its own repeats, for any reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("Max retries exceeded")  # else Python keeps the reason as an argument
        self.reason = reason


# Of urllib3, simplejson, and of the SDKs that Stainless makes:
# https://github.com/openai/openai-python/blob/main/src/openai/_exceptions.py
SSLError = type("SSLError", (type("HTTPError", (Exception,), {}),), {})
SimpleJSONError = type("JSONDecodeError", (ValueError,), {})
APIConnectionError = type("APIConnectionError", (type("APIError", (Exception,), {}),), {})
APITimeoutError = type("APITimeoutError", (APIConnectionError,), {})


def refused_google(status: HTTPStatus) -> Exception:
    """Return what Google's libraries raise for a status, as Tornado's client does."""
    return cast("Exception", type("GoogleAPICallError", (Exception,), {"code": status})())


KEY = ConnectionKey("api.example.com", 443, True, True, None, None, None)  # noqa: FBT003

WORTH_REPEATING: list[BaseException] = [
    *TRANSIENT,
    *(TimeoutError(), ConnectionResetError(), BrokenPipeError()),
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    *(OSError(number, "no") for number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)),
    *(OSError(number, "no") for number in (errno.EMFILE, errno.ENFILE, errno.EPROTO)),
    *(ssl.SSLEOFError(8, "unexpected"), ssl.SSLZeroReturnError(6, "closed")),
    *(http.client.IncompleteRead(b"{"), http.client.RemoteDisconnected("closed")),
    *(http.client.LineTooLong("header line"), http.client.HTTPException("more than 100 headers")),
    EOFError("Compressed file ended before the end-of-stream marker was reached"),
    *(OSError("Multiple exceptions: refused, no route"), OSError("Tunnel connection failed: 502")),
    *(asyncio.IncompleteReadError(b"{", 9), msgspec.DecodeError("JSON is malformed")),
    *(gzip.BadGzipFile("<h"), zlib.error("header"), anyio.EndOfStream()),
    *(concurrent.futures.CancelledError(), URLError(OSError("Tunnel connection failed: 502"))),
    type("JSONDecodeError", (ValueError,), {})("ujson"),
    type("ValidationError", (ValueError,), {})("pydantic"),
    json.JSONDecodeError("Expecting value", "<html>", 0),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    URLError(ConnectionRefusedError()),
    URLError(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")),
    URLError("timed out"),
    *(HTTPError("https://x", status, "no", Message(), None) for status in (408, 425, 429, 503)),
    *(kind("no") for kind in (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ProxyError)),
    *(kind("no") for kind in (httpx.ReadTimeout, httpx.PoolTimeout, httpx.DecodingError)),
    *(refused(status) for status in (408, 425, 429, 500, 502, 503, 504, 529)),
    *(
        aiohttp.ServerDisconnectedError(),
        aiohttp.ServerTimeoutError(),
        aiohttp.ClientPayloadError(),
    ),
    aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused")),
    refused_aiohttp(503, aiohttp.ClientResponseError),
    *(
        refused_aiohttp(502, aiohttp.ClientHttpProxyError),
        refused_aiohttp(200, aiohttp.ContentTypeError),
    ),
    *(kind("no") for kind in (RequestsConnectionError, ReadTimeout, ChunkedEncodingError)),
    *(kind("no") for kind in (RetryError, SSLError, SimpleJSONError)),
    *(kind("no") for kind in (APIConnectionError, APITimeoutError)),
    *(refused_requests(429), refused_google(HTTPStatus.SERVICE_UNAVAILABLE)),
    MaxRetryError(ConnectionRefusedError()),
    ExceptionGroup("all addresses", [ConnectionResetError(), ConnectionRefusedError()]),
    ExceptionGroup("", [ExceptionGroup("", [TimeoutError()]), httpx.ReadError("closed")]),
]

CLEAR: list[BaseException] = [
    *FINAL,
    TaskFailed("no"),
    *(ValueError("bug"), KeyError("bug"), http.client.InvalidURL("no host")),
    *(OSError(number, "no") for number in (errno.EIO, errno.ENOSPC, errno.EACCES, errno.ENOENT)),
    *(CERTIFICATE, MaxRetryError(CERTIFICATE), URLError(CERTIFICATE)),
    caused(httpx.ConnectError("no"), caused(httpx.NetworkError("x"), CERTIFICATE)),
    aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE),
    RequestsConnectionError(CERTIFICATE),
    aiohttp.ServerFingerprintMismatch(b"a", b"b", "api.example.com", 443),
    *(kind("no") for kind in (httpx.UnsupportedProtocol, httpx.LocalProtocolError)),
    *(httpx.InvalidURL("no host"), httpx.TooManyRedirects("loop")),
    *(refused(status) for status in (302, 400, 401, 403, 404, 409, 422)),
    *(refused_aiohttp(status, aiohttp.ClientResponseError) for status in (400, 401, 404)),
    *(refused_aiohttp(status, aiohttp.ClientHttpProxyError) for status in (403, 407)),
    *(refused_requests(401), refused_google(HTTPStatus.FORBIDDEN)),
    *(http.client.InvalidURL("no host"), SSLError(CERTIFICATE)),
    HTTPError("https://x", 404, "no", Message(), None),
    MissingSchema("no scheme"),
    Hostile(),
    cast("Hostile", type("Argless", (Hostile,), {"args": Hostile.status})()),
    ExceptionGroup("", [ConnectionResetError(), ValueError("bug")]),
]


def label(number: int, error: BaseException) -> str:
    """Return the id of a row."""
    return f"{number} {type(error).__module__} {name_of(error)}"


@pytest.mark.parametrize(
    "error", [*WORTH_REPEATING, *CLEAR], ids=map(label, count(), [*WORTH_REPEATING, *CLEAR])
)
def test_a_broken_exchange_is_transient_in_any_library(error: BaseException) -> None:
    """Broken connections, timeouts, incomplete and undecodable answers, 408, 425, 429 and 5xx.

    A clear no, a bad certificate and a mistake are not, whichever library says so.
    """
    assert is_transient(error) is (error in WORTH_REPEATING)


REFUSALS: list[tuple[Exception, bool, int | None, float | None]] = [
    (refused(429, {"Retry-After": "7"}), True, 429, 7),
    (refused(503, {"Retry-After": "7"}), False, 503, 7),
    (refused(429), True, 429, None),
    (refused(429, {"Retry-After": "900000"}), True, 429, None),
    (refused_aiohttp(429, aiohttp.ClientResponseError), True, 429, 7),
    (refused_requests(429), True, 429, 7),
    (HTTPError("https://x", 429, "no", Message(), None), True, 429, None),
    (RateLimited("no", status=429, retry_after=7), True, 429, 7),
    (RateLimited("no", status=200, retry_after=1e9), True, None, None),
    (httpx.ConnectError("refused"), False, None, None),
    (Hostile(), False, None, None),
    (TaskFailed("no"), False, None, None),
]


@pytest.mark.parametrize(
    ("error", "limited", "status", "hint"),
    REFUSALS,
    ids=[label(number, row[0]) for number, row in enumerate(REFUSALS)],
)
def test_status_and_hint_are_read_in_any_library(
    error: Exception, *, limited: bool, status: int | None, hint: float | None
) -> None:
    """An exception or its response carries the status and `Retry-After`."""
    assert is_rate_limited(error) is limited
    assert status_of(error) == status
    assert retry_after_of(error) == hint
