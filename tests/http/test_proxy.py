"""Tests of proxies: which one an origin is reached through, its URL, and what is said of it."""

from __future__ import annotations

import traceback
from base64 import b64decode
from functools import partial

import pytest

from asyncclient._http.proxy import advice_without_proxy, environment_proxy, given_proxy

HTTP = "http://plain.example:3128"
HTTPS = "http://secure.example:3128"
ALL = "http://any.example:3128"
PASSWORD = "hunter2-hunter2"


# The environment, and the proxies of http and of https there.
ENVIRONMENTS: list[tuple[dict[str, str], str | None, str | None]] = [
    ({}, None, None),
    ({"HTTPS_PROXY": HTTPS}, None, "secure.example:3128"),
    ({"https_proxy": HTTPS}, None, "secure.example:3128"),
    ({"https_proxy": HTTPS, "HTTPS_PROXY": HTTP}, None, "secure.example:3128"),
    ({"HTTP_PROXY": HTTP}, "plain.example:3128", None),
    ({"ALL_PROXY": ALL}, "any.example:3128", "any.example:3128"),
    ({"all_proxy": ALL}, "any.example:3128", "any.example:3128"),
    ({"ALL_PROXY": ALL, "HTTPS_PROXY": HTTPS}, "any.example:3128", "secure.example:3128"),
    ({"HTTPS_PROXY": ""}, None, None),
    # A CGI script's HTTP_PROXY is a header of its visitor's (https://httpoxy.org).
    ({"HTTP_PROXY": HTTP, "REQUEST_METHOD": "GET"}, None, None),
    ({"HTTPS_PROXY": "secure.example:3128"}, None, "secure.example:3128"),
    ({"HTTPS_PROXY": "http://secure.example/"}, None, "secure.example:80"),
    ({"HTTPS_PROXY": "https://secure.example"}, None, "secure.example:443"),
    ({"HTTPS_PROXY": "HTTP://[2001:DB8::1]:8080"}, None, "[2001:db8::1]:8080"),
]


@pytest.mark.parametrize(("variables", "http", "https"), ENVIRONMENTS)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], http: str | None, https: str | None
) -> None:
    """By the scheme of what is asked, in upper and lower case, as other libraries read it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for scheme, place in (("http", http), ("https", https)):
        proxy = environment_proxy(f"{scheme}://api.example")
        assert (proxy and proxy.place) == place


def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback never goes through one that the environment names; what is not used may be wrong."""
    monkeypatch.setenv("ALL_PROXY", "socks5://x")
    monkeypatch.setenv("HTTP_PROXY", HTTP)
    assert environment_proxy("http://api.example") is not None
    for host in ("127.0.0.1", "127.8.9.1:80", "localhost:80", "api.localhost", "[::1]", "[::1]:80"):
        assert environment_proxy(f"http://{host}") is environment_proxy(f"https://{host}") is None


# What NO_PROXY is, what is reached directly then, and what is not.
NO_PROXY: dict[str, tuple[list[str], list[str]]] = {
    "*": (["api.example"], []),
    "api.example": (["api.example", "api.example:8443"], []),
    "API.Example": (["api.example"], []),
    "example": (["api.example"], []),
    ".example": (["api.example"], []),
    "ample": ([], ["api.example"]),
    "other.example, api.example ,": (["api.example"], []),
    "other.example": ([], ["api.example"]),
    "api.example:443": (["api.example"], []),
    "api.example:8443": (["api.example:8443"], ["api.example"]),
    "10.1.2.3": (["10.1.2.3"], ["10.1.2.4:8080"]),
    "10.0.0.0/8": (["10.1.2.3:8080"], ["ten.example"]),
    "192.168.0.0/16,10.1.0.1/16": (["10.1.2.3"], []),
    "192.168.0.0/16": ([], ["10.1.2.3"]),
    "10.0.0.0/99,a/b": ([], ["10.1.2.3"]),
    "2001:db8::1": (["[2001:db8::1]"], []),
    "[2001:db8::1]": (["[2001:db8::1]:8443"], []),
    "2001:db8::/32": (["[2001:db8::1]"], ["10.1.2.3"]),
}


@pytest.mark.parametrize("no_proxy", NO_PROXY)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_what_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, name: str, no_proxy: str
) -> None:
    """Names with all below them, with or without a port, addresses and networks."""
    monkeypatch.setenv("HTTPS_PROXY", HTTPS)
    monkeypatch.setenv(name, no_proxy)
    directly, through = NO_PROXY[no_proxy]
    assert all(environment_proxy(f"https://{host}") is None for host in directly)
    assert all(environment_proxy(f"https://{host}") is not None for host in through)


@pytest.mark.parametrize(
    ("user", "pair"),
    [
        ("ada:tea", "ada:tea"),
        ("ada", "ada:"),
        (":tea", ":tea"),
        ("ada:a%40b%3A%2F%23%25", "ada:a@b:/#%"),
        ("ada:p@ss", "ada:p@ss"),
        ("%E8%8C%B6:%C3%A9", "茶:é"),
    ],
)
def test_a_password_is_sent_as_it_is_meant(user: str, pair: str) -> None:
    """What stands quoted in the URL goes as RFC 7617 has it, and stands in no text."""
    proxy = given_proxy(f"http://{user}@proxy.example:8080")
    assert proxy is not None
    assert (proxy.url, proxy.place) == ("http://proxy.example:8080", "proxy.example:8080")
    kind, _, encoded = proxy.headers["Proxy-Authorization"].partition(" ")
    assert (kind, b64decode(encoded).decode()) == ("Basic", pair)
    assert encoded not in repr(proxy)


USER = f"u:{PASSWORD}"
# What the error says, and what is refused so.
NO_PROXIES = {
    "socks5 is not supported": [f"socks5://{USER}@proxy.example:1080"],
    "socks5h is not supported": [f"socks5h://{USER}@proxy.example:1080"],
    "ftp is not supported": ["ftp://proxy.example"],
    "its scheme is not supported": [f"{USER}@http://proxy.example", "://proxy.example"],
    "it has no host": [
        *("http://", "http://:80", f"http://{USER}@", f"http://{USER}@:80", f"http://{USER}@a_b!c"),
    ],
    "its user name and password must be percent-encoded (%40 for @)": [
        *(f"http://{USER}#x@h", f"http://{USER}/x@h:3128", f"http://u:12?{PASSWORD}@h:3128"),
    ],
    "its host or port cannot be": ["http://h:port", "http://h:99999", "http://[::1"],
    "it has a space or a line break": ["http://h:3128\n", f"http://{USER} @h"],
    "it has a path": ["http://h/proxy.pac", "http://h/X", "http://h://x", "http://h?x=1"],
}


@pytest.mark.parametrize(
    ("says", "url"), [(says, url) for says, urls in NO_PROXIES.items() for url in urls]
)
def test_a_url_that_is_none_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    """The error names where it stands, the reason and what would be right, not the password."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    of_environment = partial(environment_proxy, "https://api.example")
    for name, read in (("proxy", partial(given_proxy, url)), ("HTTPS_PROXY", of_environment)):
        with pytest.raises(ValueError, match=name) as caught:
            read()
        must_be, pass_one = "must be the URL of an HTTP proxy", "pass one like"
        assert str(caught.value) == (
            f"{name} {must_be}: {says}; {pass_one} 'http://proxy.example:3128'"
        )
        assert caught.value.__context__ is None
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_that_is_given_is_none_or_has_a_scheme() -> None:
    """The environment's may lack it, by old custom."""
    assert given_proxy(None) is None
    for wrong in ("", "proxy.example:3128", "127.0.0.1"):
        with pytest.raises(ValueError, match=": it has no http:// before its host; pass"):
            given_proxy(wrong)
    with pytest.raises(TypeError, match=r"^proxy must be a text, not bytes"):
        given_proxy(b"http://proxy.example")


WANTED = "407 Proxy Authentication Required"
ASK, CHECK = "ask who runs the proxy to allow this host", "check that the proxy can reach this host"


@pytest.mark.parametrize(
    ("user", "status", "permanent", "says"),
    [
        ("", WANTED, True, "put the user name and password into SessionPool(proxy=...)"),
        ("u:p@", WANTED, True, "check the user name and password in SessionPool(proxy=...)"),
        ("", "403 Forbidden", True, ASK),
        ("", "302 Found", True, ASK),
        ("", "429 Too Many Requests", False, CHECK),
        ("", "502 Bad Gateway", False, CHECK),
        ("", "599", False, CHECK),
    ],
)
def test_what_a_proxy_refuses_is_the_users_or_an_outage(
    user: str, status: str, *, permanent: bool, says: str
) -> None:
    """A password that is wanted, or a host that is not allowed, is not worth a repeat."""
    proxy = given_proxy(f"http://{user}proxy.example:3128")
    assert proxy is not None
    error = proxy.refusal("coze.get", int(status[:3]))
    assert (error.permanent, error.sent) == (permanent, False)
    assert error.text == f"coze.get: the proxy refused it: HTTP {status}"
    assert says in error.advice
    assert "NO_PROXY" not in str(error)  # which counts for the environment's alone


def test_of_the_environments_proxy_its_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to change stands where it was read, and how to go without it."""
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, HTTPS)
        proxy = environment_proxy("https://api.example")
        assert proxy is not None
        for advice in (proxy.advice, proxy.refusal("", 502).advice):
            assert advice.endswith(", or name the host in NO_PROXY to go without the proxy")
        assert proxy.advice.startswith(f"check {name}, and that the proxy runs")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("origin", "trust_env", "says"),
    [
        ("http://a.b", True, "; behind a proxy, set HTTP_PROXY or pass SessionPool(proxy=...)"),
        ("https://a.b", True, "; HTTPS_PROXY is not used for this host: NO_PROXY names it"),
        ("https://a.b", False, "; behind a proxy, pass SessionPool(proxy=...)"),
        ("http://127.0.0.1:80", True, ""),
    ],
)
def test_who_is_behind_a_proxy_learns_how_to_name_it(
    monkeypatch: pytest.MonkeyPatch, origin: str, *, trust_env: bool, says: str
) -> None:
    """Of what cannot be reached directly, except for this very machine."""
    monkeypatch.setenv("HTTPS_PROXY", HTTPS)
    monkeypatch.setenv("NO_PROXY", "a.b")
    assert advice_without_proxy(origin, trust_env=trust_env) == says
