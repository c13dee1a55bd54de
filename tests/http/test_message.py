"""Tests of what crosses the wire: requests, answers, and the operations that read them."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from asyncclient._http.message import Answer, Endpoint, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET = "s3cret-token"


class Listing(Answer):
    """An answer with a list in it."""

    data: list[str]


LISTING = msgspec.json.Decoder(Listing)


def answer(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """Return an HTTP answer."""
    return Response(status, headers or {}, body)


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
    """A transport gets values: no one changes them on their way."""
    request = Request(name="n", method="GET", origin="https://h", target="/", headers={})
    endpoint = Endpoint("n", "GET", Response.__repr__)
    for value in (request, answer(), endpoint):
        for field in value.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(value, field, None)


@pytest.mark.parametrize("status", range(100, 600, 50))
def test_a_status_of_2xx_is_good(status: int) -> None:
    """Only the class of success is good."""
    assert answer(status).is_good is (status in {200, 250})


# --- answers and endpoints --------------------------------------------------------------------


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
