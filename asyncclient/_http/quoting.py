"""From what a caller passes to what may stand in a URL, a header or a body."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import cast
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

import msgspec

from asyncclient._arguments import LONGEST_ID, NO_LINE, id_text, text
from asyncclient._http.message import Address, Secret, concealed
from asyncclient._text import shown, text_of, type_name

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
_HOST = re.compile(r"[\w.-]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_IS_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"//[^/]*@")
# `*.` stands before two labels at least: a whole top-level domain is no provider's.
_NAMED_HOST = re.compile(
    r"(?P<name>\*(?:\.[\w-]+){2,}|[\w-]+(?:\.[\w-]+)*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
# What stands in a path or a query as it is, beside letters and digits (RFC 3986, sections 3.3 and
# 3.4); the percent sign begins what was quoted before.
_AS_IT_IS = "-._~!$&'()*+,;=:@/?%"
# Octets of a request line that every server takes (RFC 9112, section 3).
LONGEST_TARGET = 8000
_URL_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")  # RFC 3986, section 3.3


def path_segment(name: str, value: object) -> str:
    """Quote an id so that it stays one segment of a path."""
    # Nearly every id is of these characters, and is asked for at each poll.
    if isinstance(value, str) and _PLAIN_ID.fullmatch(value):
        return value
    return quote(id_text(name, value), safe="")


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


# Headers that are no secret, and whose values may rightly stand in an answer.
_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "prefer", "user-agent"})
# Headers that belong to the connection, which is the pool's.
_POOL_HEADERS = frozenset({"connection", "content-length", "host", "te", "transfer-encoding"})


def header_values(name: str, values: object) -> dict[str, str]:
    """Check headers, and return them: secret are all that are not known to be none."""
    values = concealed(values)
    if not isinstance(values, Mapping):
        msg = f"{name} must be a mapping of names to values, not {type_name(values)}"
        raise TypeError(msg)
    headers: dict[str, str] = {}
    for each, value in cast("Mapping[object, object]", values).items():
        header = text(f"the name of a header in {name}", each)
        lower = header.lower()
        if not _HEADER.fullmatch(header) or lower in _POOL_HEADERS:
            msg = f"{name}: {shown(header)} cannot be given as a header: leave it out"
            raise ValueError(msg)
        checked = header_value(f"{name}[{header!r}]", value)
        is_plain = lower in _PLAIN_HEADERS or lower.endswith("version")
        # By the one spelling that a request with a body looks for.
        header = "Content-Type" if lower == "content-type" else header
        headers[header] = str(checked) if is_plain else checked
    return headers


_USUAL_PORTS = {"http": 80, "https": 443}


def base_of(base_url: object, *, allow_http: bool = False) -> tuple[str, str]:
    """Split a base URL into its origin and its path."""
    url = text("base_url", base_url)
    seen = shown(url.partition("?")[0].partition("#")[0])  # a query may hold a key
    if "@" in url:
        msg = "base_url must not hold a user name or password: pass the token as an argument"
        raise ValueError(msg)
    origin, _, parts = _parts_of("base_url", url, seen, allow_http=allow_http)
    if not _URL_PATH.fullmatch(parts.path):
        msg = f"base_url={seen} has characters in its path that must be quoted, as %20"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = f"base_url={seen} must not have a query or a fragment"
        raise ValueError(msg)
    return origin, parts.path.rstrip("/")


def _parts_of(
    name: str, url: str, seen: str, *, allow_http: bool
) -> tuple[str, tuple[str, int | None], SplitResult]:
    """Return a URL's origin, its host with a port that is not the usual one, and all its parts."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        msg = f"{name}={seen} is not a URL: {text_of(error)}"
        raise ValueError(msg) from None
    good = host is not None and (_HOST.fullmatch(host) or ":" in host)
    if parts.scheme not in {"http", "https"} or not host or not good or _SPACE.search(url):
        msg = f"{name}={seen} is not an http(s) URL: pass one like 'https://api.example.com'"
        raise ValueError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        msg = (
            f"{name}={seen} would send the credential in the clear: "
            "use https, or pass allow_http=True if you mean it"
        )
        raise ValueError(msg)
    if port == _USUAL_PORTS[parts.scheme]:
        port = None  # or one place would be two
    origin = f"{parts.scheme}://{bracketed(host)}{f':{port}' if port else ''}"
    return origin, (host, port), parts


class Places(msgspec.Struct, frozen=True):
    """Where a credential may go: to one origin, and to hosts that are named.

    Args:
        origin: scheme, host and port.
        prefix: the path before all paths there.
        hosts: pairs of a name, which may begin with `*.`, and of a port that is not the usual one.
        allow_http: whether plain http may go to another machine.
    """

    origin: str
    prefix: str
    hosts: tuple[tuple[str, int | None], ...]
    allow_http: bool

    def target(self, name: str, path_or_url: object) -> str:
        """Return what to ask for: a path behind the base URL, or a URL at a named host.

        Raises:
            TypeError: it is no text.
            ValueError: it is at another origin, or cannot be.
        """
        given = Secret(text(name, concealed(path_or_url), ": pass a path or a URL"))
        path, mark, query = map(Secret, given.partition("?"))
        seen = shown(_USER.sub("//", path))
        if not given.strip() or given != given.strip() or NO_LINE.search(given):
            msg = f"{name}={seen} is empty, or has spaces around it or a control character"
            raise ValueError(msg)
        if len(given) > LONGEST_TARGET:
            msg = f"{name} has {len(given)} characters, and at most {LONGEST_TARGET} are sent"
            raise ValueError(msg)
        if "#" in given:
            msg = f"{name}={seen} has a fragment, which is never sent: quote a # in an id as %23"
            raise ValueError(msg)
        if path.startswith("//"):
            msg = f"{name}={seen} begins with two slashes: pass a path with one, or a whole URL"
            raise ValueError(msg)
        elsewhere, rest = self._split(name, path) if _IS_URL.match(path) else ("", str(path))
        quoted = quote(rest if rest.startswith("/") else f"/{rest}", safe=_AS_IT_IS)
        if not {".", ".."}.isdisjoint(unquote(quoted).split("/")):
            msg = f"{name}={seen} has . or .. in it, which would change the request's path"
            raise ValueError(msg)
        target = elsewhere + quoted
        return Address(f"{target}?{quote(query, safe=_AS_IT_IS)}") if mark else target

    def _split(self, name: str, url: str) -> tuple[str, str]:
        """Split a URL into its origin, empty for what is behind the base URL, and the rest."""
        if "@" in url.partition("://")[2].partition("/")[0]:
            msg = f"{name} must not hold a user name or password, nor an @ in its host"
            raise ValueError(msg)
        origin, host, parts = _parts_of(name, url, shown(str(url)), allow_http=self.allow_http)
        if origin != self.origin and not _is_named(host, self.hosts):
            msg = (
                f"{name}: the credential of {self.origin} does not go to {origin}, which is not "
                "named: pass hosts=[...] if it is the provider's own, and look at the URL if not"
            )
            raise ValueError(msg)
        path = parts.path or "/"
        behind = path.removeprefix(self.prefix)
        if origin == self.origin and path.startswith(f"{self.prefix}/") and behind[:2] != "//":
            return "", behind
        return origin, path


def named_hosts(hosts: object) -> tuple[tuple[str, int | None], ...]:
    """Check the hosts that may get a credential: pairs of a name and of a port if it is given."""
    if isinstance(hosts, str | bytes) or not isinstance(hosts, Iterable):
        msg = f"hosts must be a list of names, not {type_name(hosts)}: pass ['api.example.com']"
        raise TypeError(msg)
    named: list[tuple[str, int | None]] = []
    for host in cast("Iterable[object]", hosts):
        found = _NAMED_HOST.fullmatch(text("a host in hosts", host))
        if found is None:
            msg = (
                f"hosts: {shown(host)} is no host: name one alone, as 'api.example.com', "
                "'localhost:8000' or '*.example.com'"
            )
            raise ValueError(msg)
        port = int(found["port"]) if found["port"] else None
        named.append((found["name"].lower().strip("[]"), None if port == 443 else port))  # noqa: PLR2004  (the usual port)
    return tuple(named)


def _is_named(host: tuple[str, int | None], hosts: Iterable[tuple[str, int | None]]) -> bool:
    name, port = host
    for named, its_port in hosts:
        star = named.startswith("*.")
        same = name.endswith(named[1:]) and len(name) >= len(named) if star else name == named
        # On this machine the name alone stands for all ports.
        if same and (port == its_port or (its_port is None and is_loopback(name))):
            return True
    return False


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
    try:
        plain: object = msgspec.to_builtins(value, builtin_types=[msgspec.Raw], enc_hook=_as_dict)
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
    if isinstance(plain, float):
        return math.isfinite(plain)
    if isinstance(plain, dict):
        pairs = cast("dict[object, object]", plain).items()
        return all(_is_finite(inner) for pair in pairs for inner in pair)
    if isinstance(plain, list | tuple):
        return all(_is_finite(inner) for inner in cast("Sequence[object]", plain))
    return True


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    msg = f"{type_name(value)} has no form in JSON"
    raise TypeError(msg)
