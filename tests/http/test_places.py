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


# What is given, and the URL that is asked; None where it is refused.
ASKED = {
    "/jobs/7": f"{V1}/jobs/7",
    "jobs/7": f"{V1}/jobs/7",
    "/jobs/a%2Fb?x=%20": f"{V1}/jobs/a%2Fb?x=%20",
    "/jobs/a b?q=t\u00e9": f"{V1}/jobs/a%20b?q=t%C3%A9",
    "/jobs:run?a=b:c/d?e@f": f"{V1}/jobs:run?a=b:c/d?e@f",
    f"{V1}/jobs/7": f"{V1}/jobs/7",
    "HTTPS://API.acme.example:443/v1/jobs/7": f"{V1}/jobs/7",
    "https://api.acme.example/v2/x": "https://api.acme.example/v2/x",
    "https://api.acme.example/v11/x": "https://api.acme.example/v11/x",
    "https://api.acme.example/v1//x": "https://api.acme.example/v1//x",
    "https://api.acme.example": "https://api.acme.example/",
    "https://api.acme.example?x=1": "https://api.acme.example/?x=1",
    "https://poll.acme.example/a://b@c/d": "https://poll.acme.example/a://b@c/d",
    SIGNED: SIGNED,
    "http://api.acme.example/v1/jobs": None,
    "http://localhost/v1/jobs": None,
    "http://poll.acme.example/v1/jobs": None,
    "https://api.acme.example:8443/v1": None,
    "https://poll.acme.example:8443/v1": None,
    "https://poll.acme.example./v1": None,
    "https://x.poll.acme.example/v1": None,
    "https://acme.example/v1": None,
    "https://api.acme.example.evil.example/v1": None,
    "https://api.acme.example@evil.example/v1": None,
    "https://u:p@api.acme.example/v1": None,
    "https://u:p@api.acme.example": None,
    "https://api.acme.example\\@evil.example/v1": None,
    "https://evil.example\\.acme.example/v1": None,
    "https://api.acme.example:99999/": None,
    "https:///v1": None,
    "ftp://api.acme.example/v1": None,
    "file:///etc/passwd": None,
    "//evil.example/jobs": None,
    "/../admin": None,
    "/jobs/%2E%2e/admin": None,
    "/jobs/.": None,
    "/jobs/..%2fadmin": None,
    "/jobs#7": None,
    "": None,
    " /jobs": None,
    "/jobs\r\nHost: evil": None,
    "/jobs\ud800": None,
    "/" + 8000 * "x": None,
}


@pytest.mark.parametrize("given", ASKED, ids=[*map(ascii, range(len(ASKED)))])
def test_what_is_asked_is_behind_the_base_url_or_at_a_named_host(given: str) -> None:
    """Quoted where that is needed; all else is refused by its name."""
    url = ASKED[given]
    named = places("poll.acme.example")
    if url is None:
        with pytest.raises(ValueError, match=r"^where\b"):
            named.target("where", given)
        return
    target = named.target("where", given)
    assert url_of(target) == url
    assert isinstance(target, Secret) == ("?" in given)
    assert named.target("where", target) == target
    assert "s1gned" not in repr(target)


def test_the_error_says_what_does_not_go_where() -> None:
    """And how to name a host that is the provider's own; it shows no user name or password."""
    unnamed = (
        rf"^path: the credential of {ORIGIN} does not go to https://\S+, which is not named: pass "
        r"hosts=\[\.\.\.\] if it is the provider's own, and look at the URL if not$"
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
    with pytest.raises(ValueError, match=r"^path has 8001 characters, and at most 8000 are sent"):
        places().target("path", f"{longest}x")


HOSTS = [
    ("*.bfl.ai", "https://api.us1.bfl.ai/x", True),
    ("*.bfl.ai", "https://api.bfl.ai/x", True),
    ("*.bfl.ai", "https://a.bfl.ai/x", True),
    ("*.BFL.ai", "https://API.bfl.ai/x", True),
    ("*.bfl.ai", "https://bfl.ai/x", False),
    ("*.bfl.ai", "https://evilbfl.ai/x", False),
    ("*.bfl.ai", "https://api.bfl.ai.evil.example/x", False),
    ("bfl.ai", "https://bfl.ai:443/x", True),
    ("bfl.ai:443", "https://bfl.ai/x", True),
    ("bfl.ai", "https://api.bfl.ai/x", False),
    ("bfl.ai", "https://bfl.ai:8443/x", False),
    ("bfl.ai:8443", "https://bfl.ai:8443/x", True),
    ("bfl.ai:8443", "https://bfl.ai/x", False),
    ("127.0.0.1", "http://127.0.0.1:8000/x", True),
    ("localhost:8000", "http://localhost:8000/x", True),
    ("localhost:8000", "http://localhost:8001/x", False),
    ("[::1]", "http://[::1]:8000/x", True),
    ("10.0.0.1", "http://10.0.0.1/x", False),
]


@pytest.mark.parametrize(("named", "url", "goes"), HOSTS)
def test_a_host_is_named_by_itself_or_by_what_it_is_below(
    named: str, url: str, *, goes: bool
) -> None:
    """With its usual port, or with the one that is named; of this machine with any."""
    if goes:
        assert places(named).target("path", url) == url.lower().replace(":443", "")
        return
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
    with pytest.raises(TypeError, match=r"^hosts must be a list of names, not str"):
        named_hosts("bfl.ai")
    with pytest.raises(TypeError, match=r"^a host in hosts must be a text, not int"):
        named_hosts([cast("str", 7)])
