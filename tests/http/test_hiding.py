"""Tests of hiding: a credential that an answer repeats is in no text, in whichever spelling."""

from __future__ import annotations

import html
import json
import sys
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from types import FrameType
from typing import NoReturn
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from asyncclient._http import Response, Secret
from asyncclient._http.hiding import Hiding
from asyncclient.errors import ServerError, TransportError

# Of all characters that a token, a key or a signed JWT may have.
KEY = "pat_Zx81/kQ+w=.7~Gh-aa" * 2
LONG = b64encode(bytes(number * number % 251 for number in range(500))).decode()
LETTERS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=", min_size=8
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda key: json.dumps(key).strip('"').replace("/", "\\/"),
    "JSON in JSON": lambda key: json.dumps(key.replace("/", "\\/")).strip('"'),
    "JSON, each letter": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "repr of bytes": lambda key: "".join(f"\\x{ord(letter):02x}" for letter in key),
    "percent": lambda key: quote(key, safe=""),
    "percent, lower": lambda key: quote(key, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "percent, in part": lambda key: quote(key, safe="/"),
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent, each letter": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "HTML": lambda key: html.escape(key).replace("+", "&#43;").replace("/", "&#x2F;"),
}


def hiding(key: str, scheme: str = "Bearer ") -> Hiding:
    """Return what hides a key that is sent in a header, beside headers that are no secret."""
    return Hiding({"Authorization": Secret(scheme + key), "Accept": "application/json"})


def parts_of(key: str, text: str) -> list[str]:
    """Return the parts of 12 characters that are in a text; the whole, if it is shorter."""
    size = min(12, len(key))
    parts = (key[start : start + size] for start in range(len(key) - size + 1))
    return [part for part in parts if part in text]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("scheme", ["", "Bearer ", "Token "])
def test_any_spelling_is_hidden(scheme: str, spelling: str) -> None:
    """A mask stands in place of the key, and the rest is as it was, escaped letters included."""
    spelled = SPELLINGS[spelling](KEY)
    text = f'{{"msg": "a\\tkey%20 {spelled}\\u00fc &amp; {spelled}!"}}'
    assert hiding(KEY, scheme).text(text) == '{"msg": "a\\tkey%20 ***\\u00fc &amp; ***!"}'


@given(LETTERS, st.sampled_from(sorted(SPELLINGS)), st.text(max_size=50), st.text(max_size=50))
def test_no_part_of_any_key_is_left(key: str, spelling: str, before: str, after: str) -> None:
    """In any surroundings, no 12 characters in a row are left of it."""
    shown = hiding(key).text(before + SPELLINGS[spelling](key) + after)
    assert parts_of(key, shown) == []


@given(LETTERS.filter(lambda key: len(key) >= 12), st.booleans(), st.data())
def test_a_long_part_is_hidden(key: str, long: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """However it was cut, 12 characters in a row are hidden; fewer may be words."""
    if long:  # as a signed JWT, which is looked for in another way
        key = data.draw(st.randoms()).choice((LONG + key, key + LONG, LONG[:300] + key + LONG))
    start = data.draw(st.integers(0, len(key) - 12))
    end = data.draw(st.integers(start + 12, len(key)))
    part, rest = key[start:end], data.draw(st.text("ab0", max_size=20))
    shown = hiding(key).text(f"<{rest}{part}>")
    assert parts_of(part, shown) == []
    if len(set(part)) > 6 and not rest:  # without a block that stands in many places
        assert shown == "<***>"
    assert hiding(KEY).text(f"<{KEY[3:14]}>") == f"<{KEY[3:14]}>"


@given(LETTERS.filter(lambda key: len(key) >= 12), st.binary(max_size=9), st.binary(max_size=9))
def test_base64_of_it_is_hidden(key: str, before: bytes, after: bytes) -> None:
    """A page may show it as the password of `Basic`, at any place of what was encoded."""
    for encode in (b64encode, urlsafe_b64encode):
        text = encode(before + key.encode() + after).decode()
        shown = hiding(key).text(text)
        assert "***" in shown
        assert len(shown) <= len(text) - len(key) * 4 // 3 + 3 + 6


# Of letters that look like escapes of URLs, of JSON and of HTML, as a password may have them.
LIKE_ESCAPES = [
    "ab%cd%2Fef%25gh%41ij",
    "ab\\cdefg\\hij",
    "abc&amp;def&#65;ghi&jk",
    'a"bc"d"e"fghij',
]


@pytest.mark.parametrize("spelling", [each for each in SPELLINGS if each != "JSON in JSON"])
@pytest.mark.parametrize("key", LIKE_ESCAPES, ids=range(4))
def test_letters_that_look_like_an_escape_are_hidden(key: str, spelling: str) -> None:
    """As they are, and in any spelling; an answer is read without them, also in UTF-16."""
    spelled = SPELLINGS[spelling](key)
    assert hiding(key).text(f"<{spelled}>") == "<***>"
    body = json.dumps({"a": [key, 1]})
    for encoding in ("utf-8", "utf-16"):
        clean = hiding(key).answer(Response(200, {}, body.encode(encoding))).body
        assert json.loads(clean) == {"a": ["***", 1]}


def test_a_phrase_is_hidden_though_its_words_are_short() -> None:
    """Of a header that is no scheme and its token, all after the first word."""
    assert hiding("horse battery staple", "correct ").text("<horse battery staple>") == "<***>"
    assert hiding("a0123456 b0123456").text("<b0123456> <a0123456>") == "<***> <***>"


def test_a_password_is_hidden_where_it_is_sent_in_base64() -> None:
    """The pair, the password alone, and the password of any URL, as a proxy's."""
    pair = f"user:{KEY}"
    basic = hiding(b64encode(pair.encode()).decode(), "Basic ")
    for secret in (pair, KEY, b64encode(pair.encode()).decode()):
        assert basic.text(f"<{secret}>") == "<***>"
    other = hiding(b64encode("user:p\u00e4ssw\u00f6rt-1".encode()).decode(), "Basic ")
    for body in ('{"a": "p\u00e4ssw\u00f6rt-1"}', '{"a": "p\\u00e4ssw\\u00f6rt-1"}'):
        assert other.answer(Response(401, {}, body.encode())).body == b'{"a": "***"}'
    assert basic.text("at http://me:word@proxy:80/ or a@b") == "at http://***@proxy:80/ or a@b"
    assert hiding("no base64", "Basic ").text("no base64") == "***"


def test_the_values_of_a_secret_query_are_hidden_beside_it() -> None:
    """In texts, and not in answers, where what a query names may rightly stand."""
    hiding = Hiding({"Authorization": Secret("Bearer t0ken-0123456789")})
    target = Secret("/jobs/7?sig=s1gned%2F01234&name=a+b%20c&to=an-other-name&n=1")
    beside = hiding.beside(target)
    said = "t0ken-0123456789: s1gned/01234, s1gned%2F01234, an-other-name, name, 1"
    assert beside.text(said) == "***: ***, ***, ***, name, 1"
    assert hiding.text(said) == "***: s1gned/01234, s1gned%2F01234, an-other-name, name, 1"
    assert hiding.beside("/jobs/7?sig=s1gned%2F01234") is hiding


def test_a_short_word_is_no_credential() -> None:
    """A key of a few letters would take all their likes out of every message."""
    assert hiding("running").text("running") == "running"
    assert hiding("running1").text("running running1") == "running ***"
    assert Hiding({"Accept": KEY}).text(KEY) == KEY


def test_what_repeats_it_without_end_is_hidden_each_time() -> None:
    """A text is looked through up to 20,000 characters, an answer to its end."""
    for part in (KEY, KEY[:-1], KEY[3:20]):
        assert hiding(KEY).text(f"{part} " * 300) == "*** " * 300
        body = f"{part} ".encode() * 5000
        assert hiding(KEY).answer(Response(200, {}, body)).body == b"*** " * 5000
    assert len(hiding(KEY).text("x" * 100_000)) == 20_000


@pytest.mark.parametrize("end", [None, 9, 5])
@pytest.mark.parametrize("key", [KEY, LONG, "0" * 50, "0" * 5000, "ab" * 2000], ids=range(5))
def test_the_work_grows_with_the_text_alone(key: str, end: int | None) -> None:
    """Letters are compared a few times each, for any key and any answer that repeats it."""
    compared = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal compared
        compared += event == "call"

    part = key[3:end]
    body = part.encode() * (20_000 // len(part))
    sys.setprofile(count)
    try:
        hiding(key).answer(Response(200, {}, body))
    finally:
        sys.setprofile(None)
    assert compared < 10 * len(body)


def test_a_long_credential_of_each_of_many_clients_takes_little_memory() -> None:
    """At most 10 bytes a character; what finds it at once is kept for 64 of them alone."""
    taken: list[int] = []
    tracemalloc.start()
    kept = [hiding(f"{number:04}{LONG}") for number in range(164)]
    for each in kept:
        each.answer(Response(200, {}, b"{}" * 100))
        taken.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert taken[-1] - taken[63] < 100 * 10 * len(LONG)


def test_an_answer_without_it_is_the_same_one() -> None:
    """An answer as it should be is not copied, of any bytes."""
    for body in (b"", b'{"a":"\\u00e9 \\/ \\"b\\""}', bytes(range(256)), b"\\" * 1000):
        response = Response(200, {}, body)
        assert hiding(KEY).answer(response) is response


@pytest.mark.parametrize("spelling", ["as it is", "JSON", "JSON in JSON", "JSON, each letter"])
def test_an_answer_is_read_without_it(spelling: str) -> None:
    """What JSON makes of an answer has no part of the key; all else in it is as it was."""
    body = f'{{"\u00fc": "\\u00fc{SPELLINGS[spelling](KEY)}\\n", "b": [1]}}'.encode()
    clean = hiding(KEY).answer(Response(200, {}, body)).body
    assert json.loads(clean) == {"\u00fc": "\u00fc***\n", "b": [1]}


@pytest.mark.parametrize("number", ["12345678", "-12345678.5e7", "9123456789", "[12345678,1.5]"])
def test_a_number_in_an_answer_is_hidden_as_null(number: str) -> None:
    """A credential of digits may be a number in JSON, which stays JSON; in texts a mask stands."""
    body = f'{{"a":{number},"b": {number} ,"c":["x: 12345678, \\"12345678"],"d":1}}'.encode()
    clean = json.loads(hiding("12345678", "").answer(Response(200, {}, body)).body)
    null = [None, 1.5] if "[" in number else None
    assert clean == {"a": null, "b": null, "c": ['x: ***, "***'], "d": 1}


class _Closed(Exception):
    """An error of a transport's own that takes no attribute."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise NotImplementedError


def test_an_error_is_without_it_and_without_its_frames() -> None:
    """Its texts, notes and causes repeat nothing; what the caller handled before is not touched."""
    outer, closed = ValueError(KEY), _Closed(KEY)
    error = ServerError(f"say {KEY}", status=500, message=KEY, code=KEY)
    error.add_note(f"note {KEY}")
    cause = TransportError(KEY)
    for link, after in ((closed, outer), (cause, closed), (error, cause)):
        with pytest.raises(type(link)):
            raise link from after
    hiding(KEY).error(error, outer)
    assert str(error) == "say ***"
    assert vars(error)["__notes__"] == ["note ***"]
    assert (error.message, error.code, error.status) == ("***", "***", 500)
    assert str(cause) == str(closed) == "***"
    assert error.__traceback__ is cause.__traceback__ is closed.__traceback__ is None
    assert str(outer) == KEY

    cause.__cause__ = error  # a ring of errors comes to an end
    hiding(KEY).error(error)
