"""Tests of what crosses the wire: requests, answers, hints, ids, base URLs and JSON in text."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from rich.console import Console
from rich.pretty import pretty_repr
from yarl import URL

from asyncclient._arguments import LONGEST_ID, id_text
from asyncclient._wire import (
    Answer,
    Endpoint,
    Request,
    Response,
    as_int,
    as_object,
    base_of,
    decode,
    enveloped,
    error_type,
    header_value,
    is_loopback,
    open_json,
    path_segment,
    query_of,
    read_answer,
    refusal,
    said_in,
    seconds_asked,
)
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "s3cret-token"

NOW = 1445412420.0
NOW_TEXT = "Wed, 21 Oct 2015 07:27:00 GMT"
IN_A_MINUTE = "Wed, 21 Oct 2015 07:28:00 GMT"


class Item(msgspec.Struct):
    """A member of a list in an answer."""

    execute_id: str


class Listing(Answer):
    """An answer with a list in it."""

    data: list[Item]


LISTING = msgspec.json.Decoder(Listing)
ANYTHING = msgspec.json.Decoder(object)


def answer(
    status: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    received: float = 0.0,
) -> Response:
    """Return an HTTP answer."""
    return Response(status, headers or {}, body, received)


# --- requests and responses -------------------------------------------------------------------


def shown(value: object) -> Iterator[str]:
    """Show a value in every way that people look at values."""
    yield repr(value)
    yield str(value)
    yield f"{value}"
    yield pretty_repr(value, expand_all=True)
    page = StringIO()
    Console(file=page, width=300).print([value], {"value": value})
    yield page.getvalue()


def test_a_request_never_shows_a_header_a_body_or_its_query() -> None:
    """However a request is printed, by `rich` too, its credential is not in it."""
    request = Request(
        name="coze.get_bot",
        method="GET",
        origin="https://api.coze.cn",
        target=f"/v1/bots/7?key={SECRET}",
        headers={"authorization": f"Bearer {SECRET}"},
        body=SECRET.encode(),
    )
    for text in shown(request):
        assert SECRET not in text
        assert "uthorization" not in text
        assert "coze.get_bot" in text
        assert "GET https://api.coze.cn/v1/bots/7" in text
    assert repr(request) == "<Request coze.get_bot: GET https://api.coze.cn/v1/bots/7>"


def test_a_response_never_shows_a_header_or_its_body() -> None:
    """However an answer is printed, by `rich` too, it shows its status and its size only."""
    response = answer(418, SECRET.encode(), {"set-cookie": SECRET})
    for text in shown(response):
        assert SECRET not in text
        assert "cookie" not in text
        assert "418" in text
        assert str(len(SECRET)) in text
    assert repr(response) == "<Response 418, 12 bytes>"


def test_requests_and_responses_cannot_be_changed() -> None:
    """A transport gets values: nobody changes them on their way."""
    request = Request(name="n", method="GET", origin="https://h", target="/", headers={})
    endpoint = Endpoint("n", "GET", Response.__repr__)
    for value in (request, answer(), endpoint):
        for field in value.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(value, field, None)


def test_an_answer_remembers_its_response_apart_from_its_fields() -> None:
    """The response is reachable, and is no part of the answer's repr, equality or JSON."""
    response = answer(200, b'{"data": []}', {"set-cookie": SECRET})
    received = LISTING.decode(response.body)
    assert received.response is None
    assert received.from_response(response) is received
    assert received.response is response
    assert received == Listing([])
    assert msgspec.json.encode(received) == b'{"data":[]}'
    assert all(SECRET not in text and "Response" not in text for text in shown(received))


# --- decoding ---------------------------------------------------------------------------------


def misfit(read: Callable[[], object]) -> DecodeError | None:
    """Return the error of reading an answer; None when it was read."""
    try:
        read()
    except DecodeError as error:
        return error
    return None


@given(st.binary(max_size=400))
@example(b"")
@example(b"null")
@example(b"\xff\xfe")
@example(b'{"data": [{"execute_id": "\\ud800"}]}')
@example(b'{"data": [{"execute_id": 1e999}]}')
def test_any_bytes_are_decoded_or_refused_with_an_excerpt(body: bytes) -> None:
    """Whatever a server sends, only `DecodeError` is raised, with status, path and beginning."""
    response = answer(201, body)
    for refused in (
        misfit(lambda: decode(LISTING, response, "coze.list")),
        misfit(lambda: decode(ANYTHING, response, "coze.list")),
    ):
        if refused is not None:
            assert str(refused).startswith("coze.list: HTTP 201 with an unexpected body: ")
            assert refused.status == 201
            assert len(refused.excerpt) <= 200
            assert body.decode("utf-8", "replace").startswith(refused.excerpt.rstrip("\ufffd"))
            assert refused.path == "" or refused.path.startswith("$")


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b'{"data": [{"execute_id": 5}]}', "$.data[0].execute_id", "got `int`"),
        (b'{"data": [{"execute_id": "a"}, {}]}', "$.data[1]", "missing required field"),
        (b'{"data": 1}', "$.data", "got `int`"),
        (b"[]", "", "got `array`"),
        (b"<html>no</html>", "", "malformed"),
        (b'{"data": [', "", "truncated"),
        (b"", "", "truncated"),
    ],
    ids=["field", "missing", "list", "top", "html", "cut off", "empty"],
)
def test_a_misfit_is_told_by_its_place(body: bytes, path: str, words: str) -> None:
    """The path leads to the field that does not fit; what is no JSON has none."""
    with pytest.raises(DecodeError, match=words) as refused:
        decode(LISTING, answer(200, body), "n")
    assert refused.value.path == path
    assert refused.value.excerpt == body.decode()
    assert repr(body.decode()) in str(refused.value)


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_deep_nesting_is_refused(opening: bytes, depth: int) -> None:
    """An answer nested without end is a `DecodeError` too, and its excerpt is short."""
    with pytest.raises(DecodeError) as refused:
        decode(ANYTHING, answer(200, opening * depth), "n")
    assert len(str(refused.value)) < 500


@given(st.text(st.characters(codec="utf-8", min_codepoint=0x80), min_size=100, max_size=300))
def test_an_excerpt_is_short_whatever_the_letters(text: str) -> None:
    """An excerpt has at most 200 characters, letters of several bytes included."""
    with pytest.raises(DecodeError) as refused:
        decode(LISTING, answer(200, text.encode()), "n")
    assert 1 <= len(refused.value.excerpt) <= 200


# --- what a refusal says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (100, APIError),
        (200, APIError),
        (300, InvalidRequest),
        (302, InvalidRequest),
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (402, QuotaExceeded),
        (403, PermissionDenied),
        (404, NotFound),
        (405, InvalidRequest),
        (408, ServerError),
        (409, InvalidRequest),
        (410, NotFound),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (425, ServerError),
        (429, RateLimited),
        (451, InvalidRequest),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (529, ServerError),
        (599, ServerError),
    ],
)
def test_a_status_alone_stands_for_an_error(status: int, kind: type[APIError]) -> None:
    """Each HTTP status has its error, where the provider says nothing better."""
    assert error_type(status) is kind


def test_a_refusal_carries_what_the_provider_said() -> None:
    """Status, code, words, log id and hint are in the error, and all but the hint in its text."""
    error = refusal(
        RateLimited,
        answer(429, b'{"raw": 1}', {"retry-after": "7"}),
        name="coze.get_bot",
        code=4013,
        message="too many",
        log_id="2024-X",
        advice="slow down",
    )
    assert type(error) is RateLimited
    assert str(error) == ("coze.get_bot: HTTP 429, code 4013, 'too many', log id 2024-X; slow down")
    assert error.status == 429
    assert error.code == 4013
    assert error.message == "too many"
    assert error.log_id == "2024-X"
    assert error.retry_after == 7


def test_a_refusal_without_words_shows_how_the_body_begins() -> None:
    """Where a proxy answers in place of the provider, the beginning of its page is shown."""
    error = refusal(ServerError, answer(502, b"  <html>" + b"x" * 999), name="n")
    assert str(error).startswith("n: HTTP 502, '<html>xxx")
    assert len(str(error)) < 250
    assert error.message == ""
    assert str(refusal(ServerError, answer(502, b""), name="n")) == "n: HTTP 502"
    assert str(refusal(ServerError, answer(500, b"raw"), name="n", code=0)) == "n: HTTP 500, code 0"


@pytest.mark.parametrize(
    ("headers", "given_seconds", "expected"),
    [
        ({}, None, None),
        ({}, 3.0, 3.0),
        ({"retry-after": "5"}, 3.0, 5.0),
        ({"retry-after": "0"}, 3.0, 0.0),
        ({"retry-after": "soon"}, 3.0, 3.0),
    ],
    ids=["none", "body only", "both", "header 0", "header garbage"],
)
def test_a_header_goes_before_the_hint_of_a_body(
    headers: dict[str, str], given_seconds: float | None, expected: float | None
) -> None:
    """A hint from the answer's body counts where its headers give none."""
    error = refusal(RateLimited, answer(429, b"", headers), name="n", retry_after=given_seconds)
    assert error.retry_after == expected


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://api.coze.com/v1/x", "https://api.coze.com,"),
        (f"https://api.coze.com/v1?token={SECRET}#{SECRET}", "https://api.coze.com,"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080,"),
        (f"https://{SECRET}@api.coze.com/", "https://api.coze.com,"),
        (f"https://user:{SECRET}@api.coze.com:8443/", "https://api.coze.com:8443,"),
    ],
    ids=["plain", "query and fragment", "port", "user", "password"],
)
def test_a_redirect_is_told_with_its_place_and_no_credential(location: str, place: str) -> None:
    """The error says where the redirect leads and what to set, and shows origin alone."""
    error = refusal(InvalidRequest, answer(307, b"moved", {"location": location}), name="n")
    text = str(error)
    assert f"it redirects to {place}" in text
    assert "not followed" in text
    assert "set base_url" in text
    assert SECRET not in text
    assert SECRET not in repr(error)


@pytest.mark.parametrize(
    "location",
    ["https://[", "https://[::1", "//", "https://h:port/", "\x00", "[" * 50],
    ids=repr,
)
def test_a_redirect_to_nonsense_is_a_refusal_like_any_other(location: str) -> None:
    """A `Location` that is no URL does not raise anything else than the refusal."""
    error = refusal(InvalidRequest, answer(302, b"", {"location": location}), name="n")
    assert "not followed" in str(error)


@pytest.mark.parametrize("headers", [{}, {"location": ""}, {"location": "/login"}], ids=repr)
def test_a_redirect_without_an_origin_names_none(headers: dict[str, str]) -> None:
    """A missing or relative `Location` leaves no bare `://` in the message."""
    text = str(refusal(InvalidRequest, answer(302, b"", headers), name="n"))
    assert "set base_url" in text
    assert "://" not in text


def no_refusal(_response: Response, _name: str) -> None:
    """Say of any answer that it is no refusal."""


def quota(response: Response, name: str) -> APIError:
    """Say of any answer that it is one."""
    return refusal(QuotaExceeded, response, name=name, code=4028)


def never(_answer: object) -> bool:
    """Say of no answer that it is a refusal."""
    return False


def has_no_items(listing: Listing) -> bool:
    """Say of an empty list that it is a refusal."""
    return not listing.data


def test_a_good_answer_is_decoded() -> None:
    """An answer of the declared shape is returned, whatever else could be read from it."""
    good = answer(200, b'{"data": [{"execute_id": "7"}]}')
    assert read_answer("n", LISTING, good, quota, never) == Listing([Item("7")])
    assert read_answer("n", LISTING, good, quota, has_no_items) == Listing([Item("7")])


def test_a_refusal_of_another_shape_goes_before_its_shape() -> None:
    """A 2xx that does not decode is the provider's refusal if it is one, else a misfit."""
    misfit = answer(200, b'{"code": 4028, "data": null}')
    with pytest.raises(QuotaExceeded) as refused:
        read_answer("n", LISTING, misfit, quota, never)
    assert isinstance(refused.value.__cause__, DecodeError)
    with pytest.raises(DecodeError):
        read_answer("n", LISTING, misfit, no_refusal, never)


def test_an_answer_of_the_declared_shape_may_be_a_refusal() -> None:
    """What says no is an error, the provider's own or else one of no special kind."""
    no = answer(200, b'{"data": []}')
    with pytest.raises(QuotaExceeded):
        read_answer("n", LISTING, no, quota, has_no_items)
    with pytest.raises(APIError, match="n: HTTP 200") as refused:
        read_answer("n", LISTING, no, no_refusal, has_no_items)
    assert type(refused.value) is APIError


@pytest.mark.parametrize("status", [199, 302, 404, 500])
def test_a_status_that_is_no_success_is_never_decoded(status: int) -> None:
    """Outside 2xx the answer is an error: the provider's own, else that of the status."""
    response = answer(status, b'{"data": []}')
    with pytest.raises(QuotaExceeded):
        read_answer("n", LISTING, response, quota, never)
    with pytest.raises(APIError) as refused:
        read_answer("n", LISTING, response, no_refusal, never)
    assert type(refused.value) is error_type(status)
    assert refused.value.status == status


@pytest.mark.parametrize("status", range(100, 600, 50))
def test_a_status_of_2xx_is_good(status: int) -> None:
    """Only the class of success is good."""
    assert answer(status).is_good is (status in {200, 250})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_an_answer_that_says_nothing_of_itself_is_told_apart(body: bytes) -> None:
    """A gateway's page, an empty body or nested garbage is no refusal in the provider's words."""
    assert said_in(msgspec.json.Decoder(Item), answer(502, body)) is None
    assert said_in(msgspec.json.Decoder(Item), answer(502, b'{"execute_id":"7"}')) == Item("7")


class Wrapped(msgspec.Struct):
    """An envelope."""

    data: Listing | int


def test_an_endpoint_opens_its_envelope() -> None:
    """What stands in the envelope is the answer, and remembers the response if it can."""
    wrapped = msgspec.json.Decoder(Wrapped)
    response = answer(200, b'{"data": {"data": []}}')
    endpoint = enveloped("n", "POST", lambda one: wrapped.decode(one.body), idempotent=False)
    assert (endpoint.name, endpoint.method, endpoint.idempotent) == ("n", "POST", False)
    opened = endpoint.read(response)
    assert isinstance(opened, Listing)
    assert opened.response is response
    assert endpoint.read(answer(200, b'{"data": 5}')) == 5


# --- how long the server asks to wait ---------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "received", "expected"),
    [
        ({}, NOW, None),
        ({"retry-after": "30"}, 0, 30),
        ({"retry-after": " 30 "}, 0, 30),
        ({"retry-after": "1.5"}, 0, 1.5),
        ({"retry-after": "0"}, 0, 0),
        ({"retry-after": "-1"}, 0, 0),
        ({"retry-after": "1000000000"}, 0, 1e9),
        ({"retry-after": "1e9"}, 0, 1e9),
        ({"retry-after": "nan"}, 0, None),
        ({"retry-after": "inf"}, 0, None),
        ({"retry-after": "-Infinity"}, 0, None),
        ({"retry-after": "1e999"}, 0, None),
        ({"retry-after": ""}, NOW, None),
        ({"retry-after": "soon"}, NOW, None),
        ({"retry-after": "5, 6"}, NOW, None),
        ({"retry-after": IN_A_MINUTE}, NOW, 60),
        ({"retry-after": "Wed, 21 Oct 2015 16:28:00 +0900"}, NOW, 60),
        ({"retry-after": IN_A_MINUTE}, 0, None),
        ({"retry-after": IN_A_MINUTE, "date": NOW_TEXT}, 0, 60),
        ({"retry-after": IN_A_MINUTE, "date": NOW_TEXT}, NOW + 3600, 60),
        ({"retry-after": IN_A_MINUTE, "date": "today"}, NOW, 60),
        ({"retry-after": NOW_TEXT, "date": IN_A_MINUTE}, NOW, 0),
        ({"retry-after": NOW_TEXT}, NOW + 1, 0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, NOW, None),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, NOW, None),
        ({"retry-after-ms": "1500"}, 0, 1.5),
        ({"retry-after-ms": "0"}, 0, 0),
        ({"retry-after-ms": "-5"}, 0, 0),
        ({"retry-after-ms": "2.5"}, 0, 0.0025),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 0, 1.5),
        ({"retry-after-ms": "0", "retry-after": "9"}, 0, 0),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 0, 9),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 0, 9),
        ({"retry-after-ms": "soon"}, 0, None),
        ({"date": NOW_TEXT}, NOW, None),
    ],
    ids=[
        "no hint",
        "seconds",
        "seconds in spaces",
        "float",
        "zero",
        "negative",
        "31 years",
        "31 years as a float",
        "NaN",
        "infinity",
        "minus infinity",
        "too large a float",
        "empty",
        "a word",
        "two values",
        "date against received",
        "date of another zone",
        "date against nothing",
        "date against Date",
        "Date goes before received",
        "Date is garbage",
        "date before Date",
        "date before received",
        "no such day",
        "no such year",
        "milliseconds",
        "zero milliseconds",
        "negative milliseconds",
        "float milliseconds",
        "milliseconds go first",
        "zero milliseconds go first",
        "milliseconds are NaN",
        "milliseconds are garbage",
        "only garbage milliseconds",
        "only a Date",
    ],
)
def test_a_hint_is_read_from_the_headers(
    headers: dict[str, str], received: float, expected: float | None
) -> None:
    """Seconds, milliseconds and dates are read; nonsense is no hint; nothing is under 0."""
    assert seconds_asked(answer(503, b"", headers, received)) == expected


def test_header_names_are_found_in_any_case() -> None:
    """The headers of a real client, which know no case, are read as well."""
    headers = CIMultiDict({"Retry-After-MS": "1500"})
    assert seconds_asked(answer(429, b"", cast("Mapping[str, str]", headers))) == 1.5


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into Tokyo's zone for a test."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its zone")
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize(
    "text",
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wednesday, 21-Oct-15 07:28:00 GMT",
        "Wed Oct 21 07:28:00 2015",
    ],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_every_form_of_an_http_date_is_in_gmt(text: str) -> None:
    """All three forms of RFC 9110 are read as GMT, in whatever zone this machine is."""
    assert seconds_asked(answer(503, b"", {"retry-after": text}, NOW)) == 60


HEADER_TEXTS = st.one_of(
    st.text(max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} (Jan|Feb|Oct) \d{1,5} \d\d:\d\d:\d\d( GMT| [+-]\d{4})?"),
)


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), HEADER_TEXTS),
    st.sampled_from([0.0, NOW]),
)
def test_no_header_breaks_the_reading_of_hints(headers: dict[str, str], received: float) -> None:
    """Whatever stands in the headers, the hint is None or a finite number, 0 or more."""
    hint = seconds_asked(answer(200, b"", headers, received))
    assert hint is None or 0 <= hint < math.inf


# --- ids --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("../b", "..%2Fb"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("a b", "a%20b"),
        ("WCFG-1_x.y~z", "WCFG-1_x.y~z"),
    ],
)
def test_an_id_is_quoted(value: str, segment: str) -> None:
    """What has a meaning in a URL is quoted, and real ids stay as they are."""
    assert path_segment("id", value) == segment
    assert id_text("id", value) == value


@pytest.mark.parametrize("letter", ["a", "/", "编"])
def test_a_path_bears_ids_of_a_bounded_length(letter: str) -> None:
    """An id of the greatest length is quoted, and a longer one is refused, plain or not."""
    assert unquote(path_segment("id", letter * LONGEST_ID)) == letter * LONGEST_ID
    with pytest.raises(ValueError, match=f"id has {LONGEST_ID + 1} characters"):
        path_segment("id", letter * (LONGEST_ID + 1))


@pytest.mark.parametrize("value", [7350, None, "", "..", " 7350", "7\n"], ids=repr)
def test_what_is_no_id_gets_into_no_path(value: object) -> None:
    """A path's ids are checked as `id_text` checks them."""
    with pytest.raises((TypeError, ValueError), match="bot_id"):
        path_segment("bot_id", value)


# --- credentials ------------------------------------------------------------------------------


@given(st.text())
def test_a_credential_is_refused_or_fits_one_header_line(value: str) -> None:
    """Plain ASCII on one line is taken, unchanged; all else is refused and never shown."""
    if value.isascii() and value.isprintable() and value == value.strip() != "":
        assert header_value("token", value) == value
        return
    with pytest.raises(ValueError, match=r"^token ") as refused:
        header_value("token", value)
    assert len(value.strip()) < 4 or value not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (None, TypeError, "token must be a text, not NoneType"),
        (b"s3cret-token", TypeError, "token must be a text, not bytes"),
        ("", ValueError, "token is empty: pass the text"),
        ("  ", ValueError, "token is empty: pass the text"),
        (SECRET + "\n", ValueError, "strip what the file or the environment added"),
        (" " + SECRET, ValueError, "strip what the file or the environment added"),
        (SECRET + "\r\nx: y", ValueError, "strip what"),
        (SECRET + "\x00", ValueError, "strip what"),
        (SECRET + "–", ValueError, "not ASCII: copy it again"),
    ],
    ids=["None", "bytes", "empty", "blank", "newline", "space", "injected", "null", "dash"],
)
def test_a_credential_that_cannot_be_sent_is_never_shown(
    value: object, kind: type[Exception], words: str
) -> None:
    """The error names the argument and the way out, and keeps the credential to itself."""
    with pytest.raises(kind, match=words) as refused:
        header_value("token", value)
    assert SECRET not in str(refused.value)


def test_an_accepted_credential_is_hidden_in_a_repr() -> None:
    """Where a container with a credential in it is printed, the credential is not."""
    value = header_value("token", SECRET)
    assert value == SECRET
    assert SECRET not in repr(value)
    assert SECRET not in repr({"authorization": [value]})


# --- base URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "origin", "path"),
    [
        ("https://api.coze.cn", "https://api.coze.cn", ""),
        ("https://api.coze.cn/", "https://api.coze.cn", ""),
        ("https://api.copy.ai/api/", "https://api.copy.ai", "/api"),
        ("HTTPS://API.Coze.CN/Api", "https://api.coze.cn", "/Api"),
        ("https://h:8443/a/b//", "https://h:8443", "/a/b"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "/x"),
        ("http://localhost", "http://localhost", ""),
        ("http://localhost:8080/x", "http://localhost:8080", "/x"),
        ("http://coze.localhost", "http://coze.localhost", ""),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", ""),
        ("http://127.1.2.3", "http://127.1.2.3", ""),
        ("http://[::1]:8080", "http://[::1]:8080", ""),
        ("http://LOCALHOST", "http://localhost", ""),
    ],
)
def test_a_base_url_is_split_into_origin_and_path(base_url: str, origin: str, path: str) -> None:
    """Https anywhere and plain http on loopback are taken, with or without a final slash."""
    assert base_of(base_url) == (origin, path)


PLAIN = [
    "http://api.coze.cn",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://128.0.0.1",
    "http://[2001:db8::1]",
    "http://localhost.evil.example",
    "http://notlocalhost",
    "http://127.0.0.1.evil.example",
]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("app.localhost", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("0.0.0.0", False),  # noqa: S104  (asked about, not listened on)
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_other_machines(host: str, here: bool) -> None:  # noqa: FBT001  (a table's column)
    """Addresses and names of this very machine, and nothing that only looks like them."""
    assert is_loopback(host) is here


@pytest.mark.parametrize("base_url", PLAIN)
def test_plain_http_to_another_machine_must_be_meant(base_url: str) -> None:
    """Plain http off loopback is refused with both ways out, and taken with `allow_http`."""
    with pytest.raises(ValueError, match="in the clear: use https, or pass allow_http=True"):
        base_of(base_url)
    assert base_of(base_url, allow_http=True) == (base_url, "")


@pytest.mark.parametrize("allow_http", [False, True])
@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("", "is not an http"),
        ("api.coze.cn", "is not an http.* pass one like 'https://"),
        ("//api.coze.cn", "is not an http"),
        ("ftp://api.coze.cn", "is not an http"),
        ("file:///etc/passwd", "is not an http"),
        ("https://", "is not an http"),
        ("https://:80", "is not an http"),
        ("https:///v1", "is not an http"),
        ("https://api.coze.cn\n", "is not"),
        ("https://api.coze.cn/\r\nx", "is not"),
        ("https://api\t.coze.cn", "is not"),
        ("https://api.coze.cn ", "is not"),
        ("https://api coze.cn", "is not"),
        ("https://api.coze.cn\\.evil.example", "is not"),
        ("https://api.coze.cn\u00a0", "is not"),
        ("https://h:99999", "is not a URL"),
        ("https://h:port", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://h?x=1", "query or a fragment"),
        ("https://h/#top", "query or a fragment"),
        ("https://user@h", "must not hold a user name or password: pass the token"),
        ("https://@h", "must not hold a user name or password"),
        ("https://api.coze.cn\\@evil.example", "must not hold a user name or password"),
    ],
    ids=repr,
)
def test_what_is_no_base_url_is_refused(base_url: str, words: str, *, allow_http: bool) -> None:
    """A base URL that cannot be raises at once, and the message says what one looks like."""
    with pytest.raises(ValueError, match=words) as refused:
        base_of(base_url, allow_http=allow_http)
    assert "base_url" in str(refused.value)


@pytest.mark.parametrize("wrong", [None, 443, b"https://api.coze.cn", URL("https://h")], ids=repr)
def test_a_base_url_is_a_text(wrong: object) -> None:
    """Anything but a text raises with the argument's name and what it is."""
    with pytest.raises(TypeError, match=f"base_url must be a text, not {type(wrong).__name__}"):
        base_of(wrong)


@pytest.mark.parametrize(
    "base_url",
    [
        f"https://user:{SECRET}@h",
        f"https://{SECRET}@h",
        f"ftp://user:{SECRET}@h",
        f"https://user:{SECRET}@h?x=1",
        f"https://user:{SECRET}@h:port",
        f"https://user:{SECRET}@[::1",
        f"https://user:{SECRET}/x@h",
        f"https://user:7?{SECRET}@h",
        f"https://user:x?{SECRET}@h",
        f"https://user:x#{SECRET}@h",
    ],
)
def test_a_password_in_a_base_url_is_not_shown(base_url: str) -> None:
    """A base URL with a password is refused without repeating the password."""
    with pytest.raises(ValueError, match="base_url") as refused:
        base_of(base_url)
    assert SECRET not in str(refused.value)


@given(
    st.sampled_from(["https://", "http://"]),
    st.one_of(
        st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5}){0,3}", fullmatch=True),
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map("[{}]".format),
    ),
    st.sampled_from(["", ":1", ":8443", ":65535"]),
    st.from_regex(r"(/[a-z0-9._~-]{1,8}){0,3}", fullmatch=True),
    st.sampled_from(["", "/"]),
)
def test_a_base_url_is_put_together_as_it_was(
    scheme: str, host: str, port: str, path: str, slash: str
) -> None:
    """Origin and path together are the base URL, and splitting them again changes nothing."""
    origin, prefix = base_of(f"{scheme}{host}{port}{path}{slash}", allow_http=True)
    assert (origin, prefix) == (f"{scheme}{host}{port}", path)
    assert base_of(origin + prefix, allow_http=True) == (origin, prefix)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,10}", fullmatch=True),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        max_size=6,
    )
)
def test_a_query_reads_back_as_it_was_given(values: dict[str, str | int | bool | None]) -> None:
    """All values but None arrive, in their order, with truth values in JSON's spelling."""
    query = query_of(**values)
    expected = [
        (name, json.dumps(value) if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None
    ]
    assert parse_qsl(query[1:], keep_blank_values=True, strict_parsing=bool(expected)) == expected
    assert query == "" if not expected else query.startswith("?")
    assert "#" not in query
    assert query.isascii()


@pytest.mark.parametrize(
    ("values", "query"),
    [
        ({}, ""),
        ({"a": None}, ""),
        ({"a": 1, "b": None, "c": "x y&z"}, "?a=1&c=x+y%26z"),
        ({"on": True, "off": False}, "?on=true&off=false"),
        ({"empty": "", "zero": 0}, "?empty=&zero=0"),
    ],
    ids=["nothing", "None", "some", "truth", "falsy"],
)
def test_a_query_is_written_so(values: dict[str, str | int | bool | None], query: str) -> None:
    """A query is empty or begins with its question mark; falsy values are values."""
    assert query_of(**values) == query


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, None),
        (7, 7),
        ("7", 7),
        ("0", 0),
        ("", None),
        ("-7", None),
        ("7.5", None),
        (" 7", None),
        ("seven", None),
        ("\u0667", None),
        ("²", None),
        ("9" * 5000, None),
    ],
    ids=[
        "None",
        "number",
        "quoted",
        "quoted 0",
        "empty",
        "negative",
        "float",
        "space",
        "word",
        "other digits",
        "superscript",
        "longer than Python reads",
    ],
)
def test_a_number_may_come_quoted(value: int | str | None, number: int | None) -> None:
    """A number in text is a number, and any other text is none, without an error."""
    assert as_int(value) == number


@pytest.mark.parametrize("value", [None, [], "{}", 1], ids=repr)
def test_only_an_object_is_an_object(value: object) -> None:
    """A decoded JSON object is returned itself, and any other value is None."""
    assert as_object(value) is None
    decoded: dict[str, object] = {}
    assert as_object(decoded) is decoded


# --- JSON in text -----------------------------------------------------------------------------

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text("abc 123-é", max_size=8)
)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Draw arrays and objects of what is given."""
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)


# Any JSON value without JSON in its texts.
VALUES = st.recursive(cast("st.SearchStrategy[object]", LEAVES), containers, max_leaves=12)


def is_open(text: str) -> bool:
    """Return whether a text is JSON of a kind that is opened."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return value is None or isinstance(value, dict | list)


@given(st.text())
@example("{not json}")
@example("[1, 2")
@example("{'a': 1}")
@example("nul")
@example("nullnull")
@example("[1] [2]")
@example("[")
def test_a_text_that_is_no_json_stays_as_it_is(text: str) -> None:
    """Plain text comes back untouched, spaces around it included."""
    assume(not is_open(text))
    assert open_json(text) == text
    assert open_json({"a": [text]}) == {"a": [text]}


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "12345678901234567890123",
        "-1.5",
        "1e5",
        "true",
        "false",
        '"text"',
        '"{}"',
        "",
        " ",
        "NaN",
        "None",
    ],
    ids=repr,
)
def test_a_lone_value_in_text_stays_text(text: str) -> None:
    """A number, a truth value or a quoted text may be an id or an answer: it stays text."""
    assert open_json(text) == text


@given(VALUES)
def test_a_value_without_json_in_it_stays_as_it_is(value: object) -> None:
    """Nothing else than JSON in text is changed."""
    assert open_json(value) == value


@given(st.lists(VALUES) | st.dictionaries(st.text(max_size=5), VALUES), st.integers(0, 3))
def test_an_array_or_object_in_text_is_opened(value: object, spaces: int) -> None:
    """JSON in text, and in texts inside it, is opened to the value that was written."""
    once = " " * spaces + json.dumps(value) + "\n" * spaces
    assert open_json(once) == value
    twice = json.dumps({"output": once, "plain": "words"})
    assert open_json(twice) == {"output": value, "plain": "words"}
    assert open_json([{"data": twice}]) == [{"data": {"output": value, "plain": "words"}}]


@pytest.mark.parametrize("text", ["null", " null\n"], ids=repr)
def test_a_null_in_text_is_none(text: str) -> None:
    """The text `null` means that there is nothing, at the top and inside."""
    assert open_json(text) is None
    assert open_json({"output": text}) == {"output": None}


def layers(number: int) -> str:
    """Write JSON in JSON in JSON, so many times."""
    text = "core"
    for _ in range(number):
        text = json.dumps({"in": text})
    return text


@pytest.mark.parametrize(
    ("written", "bound", "opened"),
    [(1, 8, 1), (8, 8, 8), (9, 8, 8), (12, 8, 8), (3, 1, 1), (3, 0, 0), (3, 3, 3)],
)
def test_only_so_many_layers_are_opened(written: int, bound: int, opened: int) -> None:
    """Opening stops at the bound of layers, eight by default, and leaves the rest as text."""
    value = open_json(layers(written), bound)
    if bound == 8:
        assert value == open_json(layers(written))
    for _ in range(opened):
        inside = as_object(value)
        assert inside is not None
        value = inside["in"]
    assert value == layers(written - opened)


def test_the_caller_keeps_its_own_value() -> None:
    """Opening makes a new value, and leaves the given one alone."""
    value: dict[str, object] = {"a": ["[1]"], "b": "null"}
    assert open_json(value) == {"a": [[1]], "b": None}
    assert value == {"a": ["[1]"], "b": "null"}


@pytest.mark.parametrize("depth", [100, 400, 600, 900, 5_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"]
)
def test_deep_nesting_in_text_is_opened_or_left(opening: str, closing: str, depth: int) -> None:
    """Text nested deeper than Python can follow stays text, and raises nothing."""
    text = opening * depth + "1" + closing * depth
    value = open_json({"output": text})
    inside = as_object(value)
    assert inside is not None
    assert inside["output"] == text or isinstance(inside["output"], list | dict)


@pytest.mark.parametrize("depth", [600, 5_000])
def test_a_value_nested_too_deeply_to_follow_is_left(depth: int) -> None:
    """A value that is nested deeper than Python can follow comes back, and raises nothing."""
    value: object = "core"
    for _ in range(depth):
        value = [value]
    assert isinstance(open_json(value), list)


@pytest.mark.parametrize("depth", [600, 5_000])
def test_one_deep_text_does_not_keep_the_others_closed(depth: int) -> None:
    """What can be opened is, beside a text that is nested too deeply."""
    value = {"deep": "[" * depth + "]" * depth, "plain": '{"a": 1}'}
    opened = as_object(open_json(value))
    assert opened is not None
    assert opened["plain"] == {"a": 1}
