"""Tests of refusals: which error an answer stands for, and how long it asks to wait."""

from __future__ import annotations

import pytest

from asyncclient._http.message import Response
from asyncclient._http.refusal import error_type, refusal_error
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

SECRET = "s3cret-token"


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    """Return an HTTP answer; of a header's name dashes are underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body)


def test_the_words_of_a_provider_are_bounded() -> None:
    """Of megabytes, 500 characters of a message are kept, 80 of a code and of a log id."""
    long = "x" * (2 << 20)
    error = refusal_error(
        APIError, answer(400), name="n", code=f"c{long}", message=f"m{long}", log_id=f"l{long}"
    )
    assert error.message == f"m{long[:499]}…"
    assert error.code == f"c{long[:79]}…"
    assert error.log_id == f"l{long[:79]}…"
    assert str(error) == f"n: HTTP 400, code {error.code}, '{error.message}', log id {error.log_id}"
    for place in (f"https://{long}.example", f"/{long}"):
        turned = refusal_error(APIError, answer(302, location=place), name="n")
        assert len(str(turned)) < 1000
    assert len(str(refusal_error(APIError, answer(400), name="n", code=10**200))) < 100
    assert "code <int without" in str(refusal_error(APIError, answer(400), name="n", code=10**5000))


STATUSES: dict[type[APIError], list[int]] = {
    APIError: [100, 200],
    InvalidRequest: [300, 302, 400, 405, 409, 413, 422, 451],
    AuthenticationFailed: [401],
    QuotaExceeded: [402],
    PermissionDenied: [403],
    NotFound: [404, 410],
    RateLimited: [429],
    ServerError: [408, 425, 500, 502, 503, 504, 529, 599],
}


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_a_status_alone_stands_for_an_error(kind: type[APIError]) -> None:
    """Each HTTP status has its error, where the provider says nothing better."""
    assert {error_type(status) for status in STATUSES[kind]} == {kind}


def test_a_refusal_carries_what_the_provider_said() -> None:
    """Status, code, words, log id and hint are in the error, and all but the hint in its text."""
    error = refusal_error(
        RateLimited,
        answer(429, b'{"raw": 1}', retry_after="7"),
        name="coze.get_bot",
        code=4013,
        message="too many",
        log_id="2024-X",
        advice="slow down",
    )
    assert type(error) is RateLimited
    assert str(error) == ("coze.get_bot: HTTP 429, code 4013, 'too many', log id 2024-X; slow down")
    assert (error.status, error.code, error.message) == (429, 4013, "too many")
    assert (error.log_id, error.retry_after) == ("2024-X", 7)
    strange = refusal_error(APIError, answer(400), name="n", log_id="X\udcff")  # as such bytes come
    assert str(strange) == "n: HTTP 400, log id X\ufffd"


def test_a_refusal_without_words_shows_how_the_body_begins() -> None:
    """Where a proxy answers in place of the provider, the beginning of its page is shown."""
    error = refusal_error(ServerError, answer(502, b"  <html>" + b"x" * 999), name="n")
    assert str(error).startswith("n: HTTP 502, '<html>xxx")
    assert len(error.text) < 250
    assert error.message == ""
    assert refusal_error(ServerError, answer(502, b""), name="n").text == "n: HTTP 502"
    coded = refusal_error(ServerError, answer(500, b"raw"), name="n", code=0)
    assert coded.text == "n: HTTP 500, code 0"


def test_every_refusal_has_a_next_step() -> None:
    """That of its client, else one for its kind; a page in place of an answer is at a wrong URL."""
    for kind in STATUSES.keys() - {APIError}:
        error = refusal_error(kind, answer(400), name="n", code=1, message="no")
        assert str(error) == f"{error.text}; {error.advice}"
        assert refusal_error(kind, answer(400), name="n", code=1, advice="do").advice == "do"
    for kind, is_at_a_wrong_url in ((NotFound, True), (InvalidRequest, True), (ServerError, False)):
        page = refusal_error(kind, answer(404, b"<html>"), name="n", advice="check the id")
        wrong = "this is not an answer of the API: check base_url"
        assert page.advice == (wrong if is_at_a_wrong_url else "check the id")
        empty = refusal_error(kind, answer(404), name="n", advice="check the id")
        assert empty.advice == "check the id"
    assert refusal_error(APIError, answer(418), name="n", code=1).advice == ""


def test_a_header_goes_before_the_hint_of_a_body() -> None:
    """A hint from the answer's body counts where its headers give none."""

    def hint(said: str | None, seconds: float | None) -> float | None:
        response = answer(429) if said is None else answer(429, retry_after=said)
        return refusal_error(RateLimited, response, name="n", retry_after=seconds).retry_after

    assert (hint(None, None), hint(None, 3), hint("soon", 3)) == (None, 3, 3)
    assert (hint("5", 3), hint("0", 3)) == (5, 0)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (f"https://api.coze.com/v1?token={SECRET}#{SECRET}", "https://api.coze.com,"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080,"),
        (f"https://{SECRET}@api.coze.com/", "https://api.coze.com,"),
        (f"https://user:{SECRET}@api.coze.com:8443/", "https://api.coze.com:8443,"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1],"),
        ("//evil.example/x", "evil.example,"),
        (f"/login?token={SECRET}", "'/login',"),
        (f"login?token={SECRET}", "'login',"),
        (f"/login#t={SECRET}", "'/login',"),
        (f"?token={SECRET}", "another page,"),
        ("", "another page,"),
        (None, "another page,"),
        *((none, "another page,") for none in ("https://[::1", "//", "\x00", "https://h:port/")),
        ("\udcff\udcfe", "another page,"),
        ("https://h\udcff.example/x", "https://h\ufffd.example,"),  # as bytes of no letter come
    ],
)
def test_a_redirect_is_reported_with_its_place_and_no_credential(
    location: str | None, place: str
) -> None:
    """The error says where the redirect leads and what to set, and shows origin or path alone."""
    moved = answer(307, b"moved") if location is None else answer(307, b"moved", location=location)
    error = refusal_error(InvalidRequest, moved, name="n")
    text = str(error)
    assert text == (
        f"n: HTTP 307; it redirects to {place} which is not followed, because the credential "
        "would go there too; set base_url to the right place"
    )
    assert SECRET not in f"{error} {error!r} {vars(error)!r}"


def test_only_the_class_of_redirects_redirects() -> None:
    """A status of 3xx says where it leads, and no other does."""
    for status in (299, 300, 304, 399, 400):
        redirects = status in {300, 399}
        page = answer(status, b"moved")
        error = refusal_error(InvalidRequest, page, name="n", code=7, known=False)
        assert ("redirects" in str(error)) is redirects
        assert not error.known
    login = refusal_error(InvalidRequest, answer(302, location="/login"), name="n")
    assert login.foreign  # as any other page of a gateway's


def test_what_has_neither_code_nor_words_is_foreign() -> None:
    """A page of a gateway is not in the provider's own form, and its bad letters are marked."""
    for code, message in ((None, None), (None, "no"), (0, None), (0, "no")):
        foreign = (code, message) == (None, None)
        page = answer(502, b"bad \xff")
        error = refusal_error(ServerError, page, name="n", code=code, message=message)
        assert error.foreign is foreign
        assert ("'bad \ufffd'" in str(error)) is foreign
