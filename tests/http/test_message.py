"""Tests of what crosses the wire: requests, answers, and the operations that read them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import StringIO
from pprint import pformat
from reprlib import repr as saferepr

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from asyncclient._http.message import Address, Answer, Endpoint, Request, Response, Secret

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


def test_a_header_a_body_or_a_query_is_never_shown() -> None:
    """However a request or an answer is printed, by `rich` too, no credential is in it."""
    assert repr(REQUEST) == "<Request coze.get_bot: GET https://api.coze.cn/v1/bots/7>"
    assert repr(RESPONSE) == "<Response 418, 12 bytes>"
    for value, visible in ((REQUEST, ("coze.get_bot", "/v1/bots/7")), (RESPONSE, ("418", "12"))):
        for text in shown(value):
            assert not any(each in text for each in (SECRET, "uthorization", "cookie"))
            assert all(each in text for each in visible)


@pytest.mark.parametrize("length", [12, 79, 81, 2000])
def test_a_secret_is_shown_by_no_viewer_of_locals(length: int) -> None:
    """A long one neither, of which some show only the beginning; what is cut of it is secret."""
    secret = Secret(SECRET * length)[:length]
    short, shorter = partial(pretty_repr, max_string=80), partial(pretty_repr, max_string=5)
    for value in (secret, {"authorization": secret}, [secret]):
        for view in (repr, pformat, saferepr, short, partial(shorter, max_length=5)):
            assert "s3c" not in view(value)
            assert "***" in view(value)
    assert str(secret) == (SECRET * length)[:length]


def test_what_stands_before_a_secret_text_leaves_it_secret() -> None:
    """A path behind a base URL's own is an address, too."""
    for made in ("/v1" + Address("/x?sig=1"), "https://x" + ("/v1" + Address("/x?sig=1"))):
        assert repr(made).endswith("/v1/x'")
        assert str(made).endswith("/v1/x?sig=1")
    assert repr("Bearer " + Secret("t")) == "'***'"


def test_requests_and_responses_cannot_be_changed() -> None:
    """A transport gets values: no one changes them on their way."""
    for value in (REQUEST, RESPONSE, Endpoint("n", "GET", Response.__repr__)):
        for field in value.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(value, field, None)


def test_a_status_of_2xx_is_good() -> None:
    """Only the class of success is good."""
    for status in (100, 199, 200, 250, 299, 300, 404, 599):
        assert Response(status, {}, b"").is_good is (status in {200, 250, 299})


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
