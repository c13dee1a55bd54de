"""Tests of what crosses the wire: requests, answers, and the operations that read them."""

from __future__ import annotations

from io import StringIO
from pprint import pformat
from reprlib import repr as saferepr
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from asyncclient._http.message import Answer, Endpoint, Request, Response, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cret-token"


class Listing(Answer):
    """An answer with a list in it."""

    data: list[str]


LISTING = msgspec.json.Decoder(Listing)


def shown(value: object) -> Iterator[str]:
    """Show a value in every way that people look at values."""
    yield repr(value)
    yield str(value)
    yield f"{value}"
    yield pretty_repr(value, expand_all=True)
    page = StringIO()
    Console(file=page, width=300).print([value], {"value": value})
    yield page.getvalue()


REQUEST = Request(
    name="coze.get_bot",
    method="GET",
    origin="https://api.coze.cn",
    target=f"/v1/bots/7?key={SECRET}",
    headers={"authorization": f"Bearer {SECRET}"},
    body=SECRET.encode(),
)
RESPONSE = Response(418, {"set-cookie": SECRET}, SECRET.encode())


@pytest.mark.parametrize(
    ("value", "whole", "visible"),
    [
        (
            REQUEST,
            "<Request coze.get_bot: GET https://api.coze.cn/v1/bots/7>",
            ("coze.get_bot", "GET https://api.coze.cn/v1/bots/7"),
        ),
        (RESPONSE, "<Response 418, 12 bytes>", ("418", "12")),
    ],
    ids=["request", "response"],
)
def test_a_header_a_body_or_a_query_is_never_shown(
    value: object, whole: str, visible: tuple[str, str]
) -> None:
    """However a request or an answer is printed, by `rich` too, no credential is in it."""
    for text in shown(value):
        assert SECRET not in text
        assert "uthorization" not in text
        assert "cookie" not in text
        assert all(each in text for each in visible)
    assert repr(value) == whole


@pytest.mark.parametrize("length", [12, 79, 81, 2000])
def test_a_secret_is_shown_by_no_viewer_of_locals(length: int) -> None:
    """A long one neither, of which some show only the beginning; what is cut of it is secret."""
    secret = Secret("s3cret-token" * length)[:length]
    for value in (secret, {"authorization": secret}, [secret]):
        for text in (
            repr(value),
            pformat(value),
            saferepr(value),
            pretty_repr(value, max_string=80),
            pretty_repr(value, max_string=5, max_length=5),
        ):
            assert "s3c" not in text
            assert "***" in text
    assert str(secret) == ("s3cret-token" * length)[:length]


def test_requests_and_responses_cannot_be_changed() -> None:
    """A transport gets values: no one changes them on their way."""
    for value in (REQUEST, RESPONSE, Endpoint("n", "GET", Response.__repr__)):
        for field in value.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(value, field, None)


@pytest.mark.parametrize("status", range(100, 600, 50))
def test_a_status_of_2xx_is_good(status: int) -> None:
    """Only the class of success is good."""
    assert Response(status, {}, b"").is_good is (status in {200, 250})


def test_an_answer_remembers_its_response_apart_from_its_fields() -> None:
    """The response is reachable, and is no part of the answer's repr, equality or JSON."""
    response = Response(200, {"set-cookie": SECRET}, b'{"data": []}')
    received = LISTING.decode(response.body)
    assert received.response is None
    assert received.from_response(response) is received
    assert received.response is response
    assert received == Listing([])
    assert msgspec.json.encode(received) == b'{"data":[]}'
    assert all(SECRET not in text and "Response" not in text for text in shown(received))
