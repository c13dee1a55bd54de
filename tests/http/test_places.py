"""Where a credential may go: which paths and URLs are asked, and which hosts are named."""

from __future__ import annotations

from typing import cast
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from asyncclient._http.message import Secret
from asyncclient._http.places import LONGEST_TARGET, Places, named_hosts

ORIGIN = "https://api.acme.example"
V1 = f"{ORIGIN}/v1"
SIGNED = "https://poll.acme.example/v1/jobs/7?sig=s1gned%2F0123456789abcdef&exp=9"


def places(*hosts: str, prefix: str = "/v1", allow_http: bool = False) -> Places:
    """Return where an API's credential may go."""
    return Places(ORIGIN, prefix, named_hosts(hosts), allow_http)


def url_of(target: str) -> str:
    """Return the URL that is asked for a target."""
    return V1 + target if target.startswith("/") else target


# What is given, and the URL that is asked.
ASKED = {
    "/jobs/7": f"{V1}/jobs/7",
    "jobs/7": f"{V1}/jobs/7",
    "/jobs/a b?q=t\u00e9": f"{V1}/jobs/a%20b?q=t%C3%A9",
    f"{V1}/jobs/7": f"{V1}/jobs/7",
    "HTTPS://API.acme.example:443/v1/jobs/7": f"{V1}/jobs/7",
    ORIGIN: f"{ORIGIN}/",
    f"{ORIGIN}?x=1": f"{ORIGIN}/?x=1",
    **{f"{path}": f"{V1}{path}" for path in ("/jobs/a%2Fb?x=%20", "/jobs:run?a=b:c/d?e@f")},
    **{url: url for url in (f"{ORIGIN}/v2/x", f"{ORIGIN}/v11/x", f"{V1}//x", SIGNED)},
    "https://poll.acme.example/a://b@c/d": "https://poll.acme.example/a://b@c/d",
}
REFUSED = [
    *(f"http://{host}/v1" for host in ("api.acme.example", "poll.acme.example", "localhost")),
    *(f"https://{host}.acme.example:8443/v1" for host in ("api", "poll")),
    *("https://poll.acme.example./v1", "https://x.poll.acme.example/v1", "https://acme.example/v1"),
    *(f"{ORIGIN}.evil.example/v1", f"{ORIGIN}@evil.example/v1", f"{ORIGIN}\\@evil.example/v1"),
    *("https://evil.example\\.acme.example/v1", "//evil.example/jobs"),
    *("https://u:p@api.acme.example/v1", "https://u:p@api.acme.example"),
    *(f"{ORIGIN}:99999/", "https:///v1", "ftp://api.acme.example/v1", "file:///etc/passwd"),
    *("/../admin", "/jobs/%2E%2e/admin", "/jobs/.", "/jobs/..%2fadmin", "/jobs#7"),
    *("", " /jobs", "/jobs\r\nHost: evil", "/jobs\ud800", f"/{8000 * 'x'}"),
]


@pytest.mark.parametrize("given", ASKED)
def test_what_is_asked_is_behind_the_base_url_or_at_a_named_host(given: str) -> None:
    """Quoted where that is needed."""
    named = places("poll.acme.example")
    target = named.target("where", given)
    assert url_of(target) == ASKED[given]
    assert isinstance(target, Secret) == ("?" in given)
    assert named.target("where", target) == target
    assert "s1gned" not in repr(target)


@pytest.mark.parametrize("given", REFUSED, ids=[*map(ascii, range(len(REFUSED)))])
def test_all_else_is_refused_by_its_name(given: str) -> None:
    """Another origin, a path that leads out of the base URL, what is no URL or too long."""
    with pytest.raises(ValueError, match=r"^where\b"):
        places("poll.acme.example").target("where", given)


def test_the_error_says_what_does_not_go_where() -> None:
    """And how to name a host that is the provider's own; it shows no user name or password."""
    unnamed = (
        rf"^path: the credential of {ORIGIN} does not go to https://\S+: pass "
        r"hosts=\[\.\.\.\] if that host is the provider's, and check the URL if not$"
    )
    for wrong, words in (
        ("https://evil.example/x", unnamed),
        ("https://api.acme.example:8443/v1", unnamed),
        ("https://acme.example/", unnamed),
        ("/jobs#7", "^path='/jobs#7' has a fragment"),
        ("//u:s3cret@evil.example/x", "^path='//evil.example/x' begins with two slashes"),
        ("https://[::1/x", r"^path='https://\[::1/x' is not a URL: Invalid IPv6 URL"),
        ("ftp://api.acme.example/v1", "^path='ftp://api.acme.example/v1' is not an http"),
    ):
        with pytest.raises(ValueError, match=words):
            places().target("path", wrong)
    with pytest.raises(TypeError, match=r"^path must be a text, not int: pass a path or a URL"):
        places().target("path", 7)


def test_plain_http_is_for_those_who_mean_it() -> None:
    """To another machine with `allow_http` alone, and to a named host alone even then."""
    named = "http://poll.acme.example/x"
    assert places("poll.acme.example", allow_http=True).target("path", named) == named
    with pytest.raises(ValueError, match="in the clear"):
        places("poll.acme.example").target("path", named)
    with pytest.raises(ValueError, match="does not go to http://evil"):
        places("poll.acme.example", allow_http=True).target("path", "http://evil.example/x")


@given(st.text(max_size=60))
def test_no_text_leads_elsewhere(text: str) -> None:
    """Any text is refused, or asked behind the base URL; ids in it may be anything."""
    try:
        target = places().target("path", text)
    except ValueError:
        return
    url = url_of(target)
    assert url.startswith(f"{ORIGIN}/")
    assert url.isascii()
    assert url.isprintable()
    assert ".." not in unquote(url.partition("?")[0]).split("/")


@given(st.text(min_size=1, max_size=60))
def test_no_host_is_taken_for_another(host: str) -> None:
    """A URL at any other host is refused."""
    with pytest.raises(ValueError, match=r"^where\b"):
        places("a.example", "*.b.example").target("where", f"https://{host}.evil.example/")


def test_a_target_is_of_a_bounded_length() -> None:
    """Of as many octets as every server takes in a request line."""
    longest = f"/{(LONGEST_TARGET - 1) * 'x'}"
    assert places().target("path", longest) == longest
    with pytest.raises(ValueError, match=r"^path has 8001 characters: at most 8000 are sent"):
        places().target("path", f"{longest}x")


# A name, where the credential goes then, and where it does not go.
HOSTS: dict[str, tuple[list[str], list[str]]] = {
    "*.bfl.ai": (
        ["https://api.us1.bfl.ai/x", "https://api.bfl.ai/x", "https://a.bfl.ai/x"],
        ["https://bfl.ai/x", "https://evilbfl.ai/x", "https://api.bfl.ai.evil.example/x"],
    ),
    "*.BFL.ai": (["https://API.bfl.ai/x"], []),
    "bfl.ai": (["https://bfl.ai:443/x"], ["https://api.bfl.ai/x", "https://bfl.ai:8443/x"]),
    "bfl.ai:443": (["https://bfl.ai/x"], []),
    "bfl.ai:8443": (["https://bfl.ai:8443/x"], ["https://bfl.ai/x"]),
    "127.0.0.1": (["http://127.0.0.1:8000/x"], []),
    "localhost:80": (["http://localhost/x"], ["https://localhost/x", "http://localhost:8000/x"]),
    "localhost:443": (["https://localhost/x"], ["http://localhost/x", "http://localhost:8000/x"]),
    "*.B\u00fccher.example": (["https://a.xn--bcher-kva.example/x"], []),
    "localhost:8000": (["http://localhost:8000/x"], ["http://localhost:8001/x"]),
    "[::1]": (["http://[::1]:8000/x"], []),
    "10.0.0.1": ([], ["http://10.0.0.1/x"]),
}


@pytest.mark.parametrize("named", HOSTS)
def test_a_host_is_named_by_itself_or_by_what_it_is_below(named: str) -> None:
    """With its usual port, or with the one that is named; of this machine with any."""
    goes, stays = HOSTS[named]
    for url in goes:
        assert places(named).target("path", url) == url.lower().replace(":443", "")
    for url in stays:
        with pytest.raises(ValueError, match=r"does not go to|in the clear"):
            places(named).target("path", url)


def test_a_host_that_cannot_be_is_refused() -> None:
    """It is a name alone; a whole top-level domain is no provider's."""
    one = "name one alone, as 'api.example.com', 'localhost:8000' or '*.example.com'"
    for wrong in ("*", "*.ai", "a.*.ai", "*bfl.ai", "https://bfl.ai", "bfl.ai/x", "u@bfl.ai", ""):
        with pytest.raises(ValueError, match=r"^hosts: ") as refused:
            named_hosts([wrong])
        assert str(refused.value) == f"hosts: {wrong!r} is no host: {one}"
    with pytest.raises(ValueError, match="is no host"):
        named_hosts(["bfl.ai:x"])
    with pytest.raises(ValueError, match="is no host"):
        named_hosts([f"{64 * chr(0xFC)}.example"])
    with pytest.raises(TypeError, match=r"^hosts must be a list of names, not str"):
        named_hosts("bfl.ai")
    with pytest.raises(TypeError, match=r"^a host in hosts must be a text, not int"):
        named_hosts([cast("str", 7)])
