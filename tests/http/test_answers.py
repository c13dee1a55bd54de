"""Answers of an API whose form is not known: JSON, and what usual fields of a refusal say."""

from __future__ import annotations

import msgspec
import pytest

from asyncclient._http import Response, read_accepted, read_json, read_with_headers
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


def test_a_good_answer_is_its_json() -> None:
    """An empty one is None; any status of success will do."""
    assert read_json("acme.get", Response(202, {}, b'{"a": [1]}')) == {"a": [1]}
    assert read_json("acme.get", Response(200, {}, b" \n")) is None
    with pytest.raises(DecodeError, match=r"^acme.get: HTTP 200 with an unexpected body"):
        read_json("acme.get", Response(200, {}, b"<html>"))


def test_of_an_accepted_request_the_status_says_all() -> None:
    """Its answer may be any text; a refusal is one all the same."""
    assert read_accepted("acme.job.cancel", Response(202, {}, b'{"a": [1]}')) == {"a": [1]}
    for body in (b"", b"OK", b"<html>"):
        assert read_accepted("acme.job.cancel", Response(200, {}, body)) is None
    with pytest.raises(NotFound, match=r"^acme\.job\.cancel: HTTP 404"):
        read_accepted("acme.job.cancel", Response(404, {}, b"Not found"))


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_a_text_beside_headers_loses_no_start(status: int) -> None:
    """Of a 201 or 202 the headers say what was started; any other answer must be JSON."""
    response = Response(status, {"Location": "/ops/7"}, b"Accepted")
    if status in {201, 202}:
        said, headers, body = read_with_headers("acme.post", response)
        assert (said, headers["location"], body) == (status, "/ops/7", None)
        return
    with pytest.raises(DecodeError, match=rf"^acme\.post: HTTP {status}"):
        read_with_headers("acme.post", response)


REFUSALS: list[tuple[int, object, type[APIError], str, object]] = [
    (400, {"error": {"message": "no", "code": "bad"}}, InvalidRequest, "no", "bad"),
    (403, {"error": "no"}, PermissionDenied, "no", None),
    (404, {"message": "no", "code": 5}, NotFound, "no", 5),
    (402, {"detail": "no"}, QuotaExceeded, "no", None),
    (422, {"detail": [{"msg": "no"}]}, InvalidRequest, '[{"msg":"no"}]', None),
    (429, {"msg": "no"}, RateLimited, "no", None),
    (500, {"title": "no", "status": 500}, ServerError, "no", None),
    (401, [{"error": {"message": "no"}}], AuthenticationFailed, "no", None),
    (409, {"why": "no"}, InvalidRequest, '{"why":"no"}', None),
    (400, {"message": "no", "code": [1], "error_code": "", "type": "a"}, InvalidRequest, "no", "a"),
    (404, "no", NotFound, '"no"', None),
    (400, {"error": False, "message": "no"}, InvalidRequest, "no", None),
    (404, {}, NotFound, "{}", None),
]


@pytest.mark.parametrize(("status", "body", "kind", "message", "code"), REFUSALS)
def test_a_refusal_in_json_is_the_apis_own(
    status: int, body: object, kind: type[APIError], message: str, code: object
) -> None:
    """Its status says which error it is, and usual fields say why."""
    raw = msgspec.json.encode(body)
    with pytest.raises(APIError, match=r"^acme.get: HTTP") as caught:
        read_json("acme.get", Response(status, {"retry-after": "900"}, raw))
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.message, error.code) == (status, message, code)
    assert (error.known, error.foreign, error.retry_after) == (True, False, 900)


@pytest.mark.parametrize("page", [b"<html>gateway</html>", b"", b"Not found", b"\xff\xfe"])
def test_a_refusal_that_is_no_json_is_foreign(page: bytes) -> None:
    """It is a page of a gateway: a wait tolerates a few."""
    with pytest.raises(NotFound, match=r"^acme.get: HTTP 404") as caught:
        read_json("acme.get", Response(404, {}, page))
    assert (caught.value.foreign, caught.value.code, caught.value.message) == (True, None, "")
