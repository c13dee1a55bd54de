"""Makes a caller's arguments fit for a URL, a header or a body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import cast
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec
from yarl import URL  # aiohttp's own word for an address; it comes with aiohttp

from asyncclient._arguments import LONGEST_ID, id_text, text
from asyncclient._http.message import Secret, concealed
from asyncclient._text import shown, text_of, type_name

_MOST_TARGETS = 1024  # that are kept, of each function that makes them
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
HOST = re.compile(r"[\w.-]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_URL_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")  # RFC 3986, section 3.3


def path_segment(name: str, value: object) -> str:
    """Quote an id so that it stays one segment of a path."""
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value  # as nearly every id
    return quote(id_text(name, value), safe="")


def kept(target: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Keep the last 1,024 targets that a function made of two ids: most are asked for again."""
    known = lru_cache(_MOST_TARGETS)(target)

    def kept_target(one: str, other: str) -> str:
        # An id of another type may have no hash: then the function says what is wrong with it.
        return (known if type(one) is str and type(other) is str else target)(one, other)

    return kept_target


def query_of(**values: str | int | bool | None) -> str:
    """Return `?a=1&b=2` for the values that are not None, or an empty text."""
    # Providers read JSON's spelling of a truth value, not Python's.
    pairs = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
    return f"?{urlencode(pairs)}" if pairs else ""


def header_value(name: str, value: object) -> Secret:
    """Check a credential that goes into a header, and return it; never show it."""
    value = concealed(value)  # a traceback with locals shows this frame
    value = Secret(text(name, value))
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
    return value


# Headers that are not secret: an answer may repeat their values.
_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "prefer", "user-agent"})
# Headers that belong to the connection, which is the pool's.
_POOL_HEADERS = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


def header_values(name: str, values: object) -> dict[str, str]:
    """Check headers, and return them: all count as secret that are not known to be harmless."""
    given, values = type_name(values), concealed(values)
    if not isinstance(values, Mapping):
        msg = f"{name} must be a mapping of names to values, not {given}"
        raise TypeError(msg)
    headers: dict[str, str] = {}
    for each, value in cast("Mapping[object, object]", values).items():
        header = text(f"the name of a header in {name}", each)
        lower = header.lower()
        if not _HEADER.fullmatch(header) or lower in _POOL_HEADERS:
            msg = f"{name}: {shown(header)} cannot be set here: leave it out"
            raise ValueError(msg)
        checked = header_value(f"{name}[{header!r}]", value)
        is_plain = lower in _PLAIN_HEADERS or lower.endswith("version")
        # By the one spelling that a request with a body looks for.
        header = "Content-Type" if lower == "content-type" else header
        headers[header] = str(checked) if is_plain else checked
    return headers


# Headers that only a client may send: it alone knows to which origin its credential goes.
_CLIENT_HEADERS = frozenset({"authorization", "content-type", "cookie"})


def pool_headers(values: object) -> dict[str, str]:
    """Check the headers of all requests of a pool; None stands for none."""
    headers = header_values("headers", {} if values is None else values)
    for name in headers:
        if name.lower() in _CLIENT_HEADERS:
            msg = (
                f"headers: {name} would go to every origin: pass it to its client "
                "(token=..., or headers=... of a TaskAPI)"
            )
            raise ValueError(msg)
    return headers


USUAL_PORTS = {"http": 80, "https": 443}


def base_of(base_url: object, *, allow_http: bool = False) -> tuple[str, str]:
    """Split a base URL into its origin and its path."""
    url = text("base_url", base_url)
    seen = shown(url.partition("?")[0].partition("#")[0])  # a query may hold a key
    if "@" in url:
        msg = "base_url must not hold a user name or password: pass the token as an argument"
        raise ValueError(msg)
    origin, _, parts = parts_of("base_url", url, seen, allow_http=allow_http)
    if not _URL_PATH.fullmatch(parts.path):
        msg = f"base_url={seen} has characters in its path that must be quoted, as %20"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = f"base_url={seen} must not have a query or a fragment"
        raise ValueError(msg)
    return origin, parts.path.rstrip("/")


def parts_of(
    name: str, url: str, seen: str, *, allow_http: bool
) -> tuple[str, tuple[str, int | None], SplitResult]:
    """Return a URL's origin, its host with a port that is not the usual one, and all its parts."""
    try:
        parts = urlsplit(url)
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError as error:
        msg = f"{name}={seen} is not a URL: {text_of(error)}"
        raise ValueError(msg) from None
    good = HOST.fullmatch(host) or ":" in host
    if parts.scheme not in {"http", "https"} or not good or _SPACE.search(url):
        msg = f"{name}={seen} is not an http(s) URL: pass one like 'https://api.example.com'"
        raise ValueError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        msg = (
            f"{name}={seen} would send the credential in the clear: "
            "use https, or pass allow_http=True if you mean it"
        )
        raise ValueError(msg)
    if port == USUAL_PORTS[parts.scheme]:
        port = None  # or one place would be two
    origin = f"{parts.scheme}://{bracketed(host)}{'' if port is None else f':{port}'}"
    return origin, (host, port), parts


def ascii_host(host: str) -> str:
    """Return a host as a request names it: an international name in ASCII (RFC 5891).

    Raises:
        ValueError: it has no such form.
    """
    return host if host.isascii() else URL.build(scheme="https", host=host).raw_host or ""


def bracketed(host: str) -> str:
    """Return a host as a URL has it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine (RFC 6761, section 6.3, for the names)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def encode_argument(name: str, value: object) -> msgspec.Raw:
    """Encode one argument as JSON, to stand in a request's body as it is."""
    if isinstance(value, bytes | bytearray):
        msg = f"{name} is {type_name(value)}, which would be sent in base64: decode it first"
        raise TypeError(msg)
    try:
        plain: object = msgspec.to_builtins(
            value, builtin_types=[msgspec.Raw], enc_hook=_as_builtin
        )
        encoded, finite = msgspec.json.encode(plain), _is_finite(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        msg = (
            f"{name} cannot be written as JSON: {text_of(error)}; "
            "pass texts, numbers, lists and mappings"
        )
        raise TypeError(msg) from None
    if not finite:
        msg = f"{name}: NaN and infinity have no form in JSON: leave them out, or send a text"
        raise ValueError(msg)
    return msgspec.Raw(encoded)


def _is_finite(plain: object) -> bool:
    try:
        json.dumps(plain, allow_nan=False, default=lambda _raw: None)
    except ValueError:
        return False
    return True


def _as_builtin(value: object) -> object:
    """Return a mapping, text or number of another class, as numpy's, as a built-in one."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    msg = f"{type_name(value)} has no form in JSON"
    raise TypeError(msg)
