"""Which proxy an origin is reached through, and its part in error messages. No sockets."""

from __future__ import annotations

import re
from base64 import b64encode
from http.client import responses as phrases
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from asyncclient._arguments import NO_LINE, text
from asyncclient._http.failure import is_transient_status
from asyncclient._http.message import Secret, concealed
from asyncclient._http.quoting import HOST, USUAL_PORTS, bracketed, is_loopback
from asyncclient.errors import ConnectFailed

PROXY_REFUSES = 407  # only a proxy asks for a password so (RFC 9110, section 15.5.8)
_EXAMPLE = "http://proxy.example:3128"
_UNQUOTED = "its user name and password must be percent-encoded (%40 for @)"
_SCHEME = re.compile(r"[a-z][a-z0-9]{0,9}")  # anything else may be a part of a password


class Proxy(NamedTuple):
    """A proxy, and where it was named; its repr shows no password.

    Attributes:
        url: its URL without user name and password.
        place: host and port, for messages.
        headers: what it is asked with: the password, if it has one.
        setting: where it is changed: `SessionPool(proxy=...)` or `HTTPS_PROXY`, say.
    """

    url: str
    place: str
    headers: dict[str, Secret]
    setting: str

    @property
    def advice(self) -> str:
        """The next step when the proxy does not answer."""
        return f"check {self.setting}, and that the proxy runs{self._or_without}"

    def refusal(self, at: str, status: int) -> ConnectFailed:
        """Make the error for a request that the proxy itself refused to pass on."""
        if status == PROXY_REFUSES and self.headers:
            advice = f"check the user name and password in {self.setting}"
        elif status == PROXY_REFUSES:
            advice = f"put the user name and password into {self.setting}, before the host and an @"
        elif is_transient_status(status):
            advice = f"check that the proxy can reach this host{self._or_without}"
        else:
            advice = f"ask who runs the proxy to allow this host{self._or_without}"
        # In our own words: those of the proxy may repeat the password.
        return ConnectFailed(
            f"{at}: the proxy refused it: HTTP {status} {phrases.get(status, '')}".rstrip(),
            permanent=not is_transient_status(status),
            advice=advice,
        )

    @property
    def _or_without(self) -> str:
        is_argument = self.setting.startswith("SessionPool")
        return "" if is_argument else ", or name the host in NO_PROXY to go without the proxy"


def given_proxy(url: object) -> Proxy | None:
    """Check the proxy that a caller gives; None stays None."""
    url = concealed(url)  # a traceback with locals shows this frame
    if url is None:
        return None
    given = Secret(text("proxy", url))
    return _proxy("proxy", given, "SessionPool(proxy=...)")


def environment_proxy(origin: str) -> Proxy | None:
    """Return the proxy that the environment names for an origin; this very machine needs none.

    As requests and httpx do: https_proxy or http_proxy by the origin's scheme, else all_proxy, but
    not for what no_proxy names; in upper or lower case, of which the lower goes first.

    Raises:
        ValueError: the value is not the URL of an HTTP proxy.
    """
    scheme, host, port = _parts_of(origin)
    found = None if is_loopback(host) else _variable(scheme)
    if found is None or _goes_without(host, port):
        return None
    name, url = found
    # Without a scheme it is one of HTTP, as curl reads it.
    return _proxy(name, url if "://" in url else Secret(f"http://{url}"), name)


def advice_without_proxy(origin: str, *, trust_env: bool) -> str:
    """Return the next step when a host cannot be reached directly."""
    scheme, host, _ = _parts_of(origin)
    if is_loopback(host):
        return ""
    found = _variable(scheme) if trust_env else None
    if found is not None:
        return f"; {found[0]} is not used for this host: NO_PROXY names it"
    variable = f"set {scheme.upper()}_PROXY or " if trust_env else ""
    return f"; behind a proxy, {variable}pass SessionPool(proxy=...)"


def _parts_of(origin: str) -> tuple[str, str, int]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname or "", parts.port or USUAL_PORTS[parts.scheme]


def _variable(scheme: str) -> tuple[str, Secret] | None:
    """Return the name and the value of the variable for a scheme."""
    settings = getproxies()  # on Windows and macOS also the system's own
    name = scheme if scheme in settings else "all"
    return (f"{name.upper()}_PROXY", Secret(settings[name])) if name in settings else None


def _goes_without(host: str, port: int) -> bool:
    """Return whether the environment says that a host is reached without its proxy."""
    if proxy_bypass(host) or proxy_bypass(f"{bracketed(host)}:{port}"):
        return True
    # Networks as requests and curl read them: urllib compares names alone.
    networks = [each.strip() for each in getproxies().get("no", "").split(",") if "/" in each]
    return any(_is_within(host, network) for network in networks)


def _is_within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _proxy(name: str, url: Secret, setting: str) -> Proxy:
    found = _read(url, setting)
    if isinstance(found, Proxy):
        return found
    # Raised here, where no local variable holds the password; the URL itself is not shown.
    msg = f"{name} must be the URL of an HTTP proxy: {found}; pass one like {_EXAMPLE!r}"
    raise ValueError(msg)


def _read(url: str, setting: str) -> Proxy | str:
    """Return a proxy, or what is wrong with its URL."""
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator:
        return "it has no http:// before its host"
    if scheme not in USUAL_PORTS:
        named = scheme if _SCHEME.fullmatch(scheme) else "its scheme"
        return f"{named} is not supported"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or USUAL_PORTS[scheme]
    except ValueError:
        return _UNQUOTED if "@" in url else "its host or port cannot be"
    rest = f"{parts.path}{parts.query}{parts.fragment}"
    if "@" in rest:
        return _UNQUOTED
    if not HOST.fullmatch(host) and ":" not in host:
        return "it has no host"
    if NO_LINE.search(url) or " " in url:
        return "it has a space or a line break"
    if rest.strip("/"):
        return "it has a path"
    headers: dict[str, Secret] = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = b64encode(pair.encode()).decode()
        headers["Proxy-Authorization"] = Secret(f"Basic {basic}")
    place = f"{bracketed(host)}:{port}"
    return Proxy(f"{scheme}://{place}", place, headers, setting)
