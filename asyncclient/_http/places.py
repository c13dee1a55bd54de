"""Where a credential may go: behind a base URL, and to hosts that are named. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast
from urllib.parse import quote, unquote

import msgspec

from asyncclient._arguments import NO_LINE, text
from asyncclient._http.message import Address, Secret, concealed
from asyncclient._http.quoting import USUAL_PORTS, ascii_host, is_loopback, parts_of
from asyncclient._text import shown, type_name

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
        """Return the target of a request: a path after the base URL, or a URL at a named host.

        Raises:
            TypeError: it is not a text.
            ValueError: it is at another origin, or is not valid.
        """
        given = Secret(text(name, concealed(path_or_url), ": pass a path or a URL"))
        path, mark, query = map(Secret, given.partition("?"))
        seen = shown(_USER.sub("//", path))
        if not given.strip() or given != given.strip() or NO_LINE.search(given):
            msg = f"{name}={seen} is empty, has spaces around it, or has a control character"
            raise ValueError(msg)
        if len(given) > LONGEST_TARGET:
            msg = f"{name} has {len(given)} characters: at most {LONGEST_TARGET} are sent"
            raise ValueError(msg)
        if "#" in given:
            msg = f"{name}={seen} has a fragment, which is never sent: write a # in an id as %23"
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
            msg = f"{name} must not hold a user name, a password or an @ in its host"
            raise ValueError(msg)
        origin, host, parts = parts_of(name, url, shown(str(url)), allow_http=self.allow_http)
        if origin != self.origin and not _is_named(parts.scheme, host, self.hosts):
            msg = (
                f"{name}: the credential of {self.origin} does not go to {origin}: pass "
                "hosts=[...] if that host is the provider's, and check the URL if not"
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
        star, name = ("", "") if found is None else found["name"].lower().rpartition("*.")[1:]
        try:
            name = ascii_host(name.strip("[]"))
        except ValueError:
            found = None
        if found is None:
            msg = (
                f"hosts: {shown(host)} is no host: name one alone, as 'api.example.com', "
                "'localhost:8000' or '*.example.com'"
            )
            raise ValueError(msg)
        named.append((star + name, int(found["port"]) if found["port"] else None))
    return tuple(named)


def _is_named(
    scheme: str, host: tuple[str, int | None], hosts: Iterable[tuple[str, int | None]]
) -> bool:
    name, port = host
    # The usual port is also the one that is asked where none is named.
    ports = {port, USUAL_PORTS[scheme] if port is None else port}
    for named, its_port in hosts:
        star = named.startswith("*.")
        same = name.endswith(named[1:]) and len(name) >= len(named) if star else name == named
        # On this machine the name alone stands for all ports.
        if same and (its_port in ports or (its_port is None and is_loopback(name))):
            return True
    return False
