"""Tests of what a caller's arguments become: ids, queries, credentials, URLs, JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import cast
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from hypothesis import example, given, strategies as st
from yarl import URL

from asyncclient._arguments import LONGEST_ID, id_text
from asyncclient._http.message import Secret
from asyncclient._http.quoting import (
    base_of,
    encode_argument,
    header_value,
    header_values,
    is_loopback,
    kept,
    path_segment,
    pool_headers,
    query_of,
)

SECRET = "s3cret-token"


def accepted(value: str) -> bool:
    """Return whether a text counts as an id."""
    try:
        id_text("id", value)
    except ValueError:
        return False
    return True


@given(st.text(min_size=1).filter(accepted))
@example("7350000000000000000")
@example("WCFG-6b1c3e2a/../../admin")
@example("../..")
@example("a?b=c#d")
@example("%2e%2e")
@example("%2E%2E%2Fadmin")
@example("a b+c")
@example("...")
@example("a\u2028\x85b")
@example("编号")
def test_an_accepted_id_stays_one_segment(value: str) -> None:
    """After parsing, by `urllib` and by `yarl`, the path has the same segments, the id whole."""
    segment = path_segment("id", value)
    target = f"/v1/{segment}/end"
    assert segment.isascii()
    assert unquote(segment, errors="strict") == value
    parts = urlsplit(f"https://h{target}?q=1")
    assert (parts.path, parts.query, parts.fragment) == (target, "q=1", "")
    assert parts.path.split("/") == ["", "v1", segment, "end"]
    for encoded in (True, False):  # as the pool builds it, and as a server reads it
        url = URL(f"https://h{target}?q=1", encoded=encoded)
        assert url.parts == ("/", "v1", value, "end")
        assert url.query_string == "q=1"
        assert url.host == "h"


def test_an_id_is_quoted_and_checked() -> None:
    """What has a meaning in a URL is quoted; the checks are those of `id_text`."""
    assert path_segment("id", "../b?c#d%2F e") == "..%2Fb%3Fc%23d%252F%20e"
    assert path_segment("id", "WCFG-1_x.y~z") == "WCFG-1_x.y~z"
    for letter in ("a", "/", "编"):
        assert unquote(path_segment("id", letter * LONGEST_ID)) == letter * LONGEST_ID
        with pytest.raises(ValueError, match=f"id has {LONGEST_ID + 1} characters"):
            path_segment("id", letter * (LONGEST_ID + 1))
    for wrong in (7350, "", ".."):
        with pytest.raises((TypeError, ValueError), match="bot_id"):
            path_segment("bot_id", wrong)


def test_a_target_is_made_once_and_ids_that_cannot_be_are_refused_each_time() -> None:
    """A list has no hash, and is named all the same."""
    made: list[str] = []

    @kept
    def target(one: str, other: str) -> str:
        made.append(one)
        return f"/{path_segment('one', one)}/{path_segment('other', other)}"

    assert target("a", "b c") == target("a", "b c") == "/a/b%20c"
    assert target("b c", "a") == "/b%20c/a"
    assert made == ["a", "b c"]
    for number in range(1024):
        target(str(number), "b")
    assert target("a", "b c") == "/a/b%20c"
    assert made[-1] == "a"  # of many, the last 1,024 are kept
    unchecked = cast("Callable[[object, object], str]", target)
    wrongs: list[object] = [7350, [], b"a"]
    for wrong in wrongs:
        for ids in ((wrong, "a"), ("a", wrong)):
            with pytest.raises(TypeError, match=r"^(one|other) must be a text, not"):
                unchecked(*ids)


def test_only_none_is_left_out_of_a_query() -> None:
    """Other falsy values are values; without any there is no mark."""
    assert query_of() == query_of(a=None) == ""
    assert query_of(a=1, b=None, c="X y&z") == "?a=1&c=X+y%26z"
    assert query_of(on=True, off=False) == "?on=true&off=false"
    assert query_of(empty="", zero=0) == "?empty=&zero=0"


def test_an_accepted_credential_is_hidden_in_a_repr() -> None:
    """Where a container with a credential in it is printed, the credential is not."""
    value = header_value("token", SECRET)
    assert value == SECRET
    assert SECRET not in f"{value!r} {[value]!r}"


def test_headers_are_secret_unless_they_are_known_to_be_none() -> None:
    """A type, a language or a version may rightly stand in an answer."""
    plain = {"ACCEPT": "a", "Accept-Language": "b", "Prefer": "wait", "X-Api-Version": "2024-11-06"}
    secret = {"X-Key": "k", "Authorization": "Key a:b", "X-Version-Key": "v"}
    found = header_values("headers", {**plain, **secret, "content-type": "text/x"})
    assert found == {**plain, **secret, "Content-Type": "text/x"}
    assert {name for name, value in found.items() if isinstance(value, Secret)} == set(secret)


ADDED = "strip what the file or the environment added$"
NO_HEADERS = ("X y", "X\n", "", "hOst", "Content-Length", "proxy-authorization", "Expect")
NOT_SENT: list[tuple[str, object]] = [
    ("token must be a text, not bytes", SECRET.encode()),
    *(("token is empty: pass the text", blank) for blank in ("", "  ")),
    *((f"token .*{ADDED}", f"{SECRET}{added}") for added in ("\n", "\r\nx: y", "\x00")),
    (f"token .*{ADDED}", f" {SECRET}"),
    ("token has characters that are not ASCII: copy it again", f"{SECRET}–"),
    ("headers must be a mapping of names to values, not list", [SECRET]),
    ("headers must be a mapping of names to values, not str", f"X-Key: {SECRET}"),
    ("the name of a header in headers must be a text", {7: SECRET}),
    *((f"headers: {re.escape(repr(name))} cannot be set", {name: SECRET}) for name in NO_HEADERS),
    (r"headers\['X'\] must be a text, not int", {"X": 7}),
    (r"headers\['X'\] is empty", {"X": ""}),
    (r"headers\['X'\] has a line break", {"X": f"{SECRET}\r\nY: b"}),
    (r"headers\['X'\] has characters that are not ASCII", {"X": f"{SECRET}\xe9"}),
]


@pytest.mark.parametrize(("words", "value"), NOT_SENT)
def test_a_credential_that_cannot_be_sent_is_never_shown(words: str, value: object) -> None:
    """The error names the argument or the header and the way out."""
    name, check = ("token", header_value) if words[:5] == "token" else ("headers", header_values)
    with pytest.raises(TypeError if "must be" in words else ValueError, match=f"^{words}") as error:
        check(name, value)
    assert SECRET not in str(error.value)


def test_a_pools_headers_are_those_of_no_client() -> None:
    """What every request has, to every origin, is no credential and describes no body."""
    assert pool_headers(None) == {}
    assert pool_headers({"X-Team": "42"}) == {"X-Team": "42"}
    for name in ("Authorization", "COOKIE", "Content-Type"):
        with pytest.raises(ValueError, match=f"^headers: {name} would go to every origin") as error:
            pool_headers({"X-Team": "42", name: SECRET})
        assert str(error.value).endswith("(token=..., or headers=... of a TaskAPI)")
        assert SECRET not in str(error.value)
    with pytest.raises(ValueError, match=r"^headers: 'Host' cannot be set here"):
        pool_headers({"Host": "x"})


@pytest.mark.parametrize(
    ("base_url", "origin", "path"),
    [
        ("https://api.coze.cn", "https://api.coze.cn", ""),
        ("https://api.coze.cn/", "https://api.coze.cn", ""),
        ("https://api.copy.ai/api/", "https://api.copy.ai", "/api"),
        ("HTTPS://API.Coze.CN/Api", "https://api.coze.cn", "/Api"),
        ("https://h:8443/a/X//", "https://h:8443", "/a/X"),
        ("https://h//", "https://h", ""),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "/x"),
        ("http://localhost", "http://localhost", ""),
        ("http://localhost:8080/x", "http://localhost:8080", "/x"),
        ("http://[::1]:8080", "http://[::1]:8080", ""),
        ("http://LOCALHOST", "http://localhost", ""),
        ("https://B\u00fccher.example/x", "https://xn--bcher-kva.example", "/x"),
        ("https://h:0", "https://h:0", ""),
    ],
)
def test_a_base_url_is_split_into_origin_and_path(base_url: str, origin: str, path: str) -> None:
    """Https anywhere and plain http on loopback are taken, with or without a final slash."""
    assert base_of(base_url) == (origin, path)


HERE = ["127.0.0.1", "127.8.9.10", "[::1]", "localhost", "app.localhost"]
ELSEWHERE = [
    *("api.coze.cn", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example"),
    *("10.0.0.1", "0.0.0.0", "127.1", "2130706433", "[2001:db8::1]"),  # noqa: S104
]


@pytest.mark.parametrize("host", [*HERE, *ELSEWHERE])
def test_plain_http_leaves_this_machine_only_where_it_is_meant(host: str) -> None:
    """Elsewhere it is refused with both ways out, and taken with `allow_http`."""
    assert is_loopback(host.strip("[]")) is (host in HERE)
    if host not in HERE:
        with pytest.raises(ValueError, match="in the clear: use https, or pass allow_http=True"):
            base_of(f"http://{host}")
    assert base_of(f"http://{host}", allow_http=host not in HERE) == (f"http://{host}", "")


# What the error says, and what is refused so.
NO_BASE = {
    "is not an http.* pass one like 'https://": ["", "api.coze.cn", "//api.coze.cn", "ftp://h"],
    "is not .*": [
        *("https://api.coze.cn/\r\nx", "https://api\t.coze.cn", "https://api coze.cn"),
        *("https://h/a b", "https://h/a\u2028b", "https://h\u00a0", "https://h\\.evil.example"),
    ],
    "is not a URL": ["https://h:99999", "https://[::1", f"https://{64 * chr(0xFC)}.example"],
    "query or a fragment": ["https://h?x=1", "https://h/#top"],
    "must not hold a user name or password: pass the token": [
        *("https://user@h", "https://@h", "https://h\\@evil.example", f"https://{SECRET}@h"),
        *(f"https://user:{SECRET}@h{rest}" for rest in ("", "?x=1", ":port")),
        *(f"https://user:{rest}@h" for rest in (f"{SECRET}/x", f"7?{SECRET}", f"x#{SECRET}")),
    ],
    "must be quoted": [f"https://api.example.com/a{letter}b" for letter in 'ä茶{}"<>\\|^`'],
}


@pytest.mark.parametrize("allow_http", [False, True])
@pytest.mark.parametrize(
    ("words", "url"), [(words, url) for words, urls in NO_BASE.items() for url in urls]
)
def test_what_is_no_base_url_is_refused(words: str, url: str, *, allow_http: bool) -> None:
    """At once; the message says what one looks like, and repeats no password."""
    with pytest.raises(ValueError, match=f"^base_url.*{words}") as refused:
        base_of(url, allow_http=allow_http)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("rest", ["", f"?key={SECRET}#top", f"#{SECRET}?key", f"?{SECRET}"])
def test_a_refused_base_url_is_shown_without_what_may_be_a_key(rest: str) -> None:
    """The message has all up to its query or fragment."""
    with pytest.raises(ValueError, match=r"^base_url='ftp://h/x' is not") as refused:
        base_of(f"ftp://h/x{rest}")
    assert SECRET not in str(refused.value)


def test_a_base_url_is_a_text() -> None:
    """Anything but a text raises with the argument's name and what it is."""
    with pytest.raises(TypeError, match="base_url must be a text, not URL"):
        base_of(URL("https://h"))


class Amount(msgspec.Struct):
    """An object of a caller's own."""

    euros: float


@dataclass
class Weight:
    """Another object of a caller's own."""

    kilograms: float


def nested(depth: int) -> object:
    """Return lists in lists."""
    value: object = "tea"
    for _ in range(depth):
        value = [value]
    return value


class Text(str):
    """A text of another class, as numpy and templates have them."""

    __slots__ = ()


class Whole(int):
    """A whole number of another class."""


class Real(float):
    """A number of another class."""


WRITTEN: dict[str, tuple[object, str]] = {
    "other classes": ({Text("a"): [Text("b"), Whole(7), Real(0.5)]}, '{"a":["b",7,0.5]}'),
    "nested": ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
    "mappings": (MappingProxyType({"a": MappingProxyType({"b": 1})}), '{"a":{"b":1}}'),
    "struct": (Amount(2.5), '{"euros":2.5}'),
    "dataclass": (Weight(2.5), '{"kilograms":2.5}'),
    "set": ({2.5}, "[2.5]"),
    "date": ({2.5: date(2026, 1, 31)}, '{"2.5":"2026-01-31"}'),
    "raw": ({"a": msgspec.Raw(b"[1]")}, '{"a":[1]}'),
    "large": (2**70, "1180591620717411303424"),
}


@pytest.mark.parametrize(("value", "written"), WRITTEN.values(), ids=WRITTEN.keys())
def test_an_argument_is_written_as_json(value: object, written: str) -> None:
    """Texts, numbers, lists, mappings of any type and msgspec's structs have a form in JSON."""
    assert bytes(encode_argument("parameters", value)).decode() == written


NOT_WRITTEN: dict[str, tuple[object, str]] = {
    "object": (object(), "object has no form in JSON"),
    "deep in it": ({"deep": [{"x": 1j}]}, "complex has no form in JSON"),
    "key": ({(1, 2): "x"}, "Only dicts with"),
    "letter": ({"topic": "tea\udfff"}, "'utf-8' codec can't encode"),
    "nesting": (nested(100_000), "maximum recursion depth exceeded"),
}


@pytest.mark.parametrize(("value", "reason"), NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_what_has_no_form_in_json_is_refused_by_name(value: object, reason: str) -> None:
    """The error names the argument, the reason and what could be passed in its place."""
    words = rf"^ext cannot be written as JSON: {re.escape(reason)}.*; pass texts, numbers, lists"
    with pytest.raises(TypeError, match=words):
        encode_argument("ext", value)
    words = "^ext is bytearray, which would be sent in base64: decode it first$"
    with pytest.raises(TypeError, match=words):
        encode_argument("ext", bytearray(b"tea"))


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, {"x": [1.0, math.inf]}, {"x": {"y": (-math.inf,)}}, {math.nan: "x"}),
        *(
            [Real(math.nan)],
            [Amount(math.nan)],
            [Weight(math.nan)],
            MappingProxyType({"x": math.inf}),
            {math.inf},
        ),
    ],
)
def test_numbers_that_json_would_lose_are_refused_by_name(value: object) -> None:
    """NaN and infinity, which would arrive as null, are an error."""
    with pytest.raises(ValueError, match=r"^parameters: NaN and infinity have no form in JSON"):
        encode_argument("parameters", value)
