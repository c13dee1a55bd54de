"""What both clients take, where their requests go, and what they never show."""

from __future__ import annotations

from typing import cast

import pytest

from asyncclient._http import TokenSource, Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import RUNS, STARTED, TOKEN, both, client_of, scripted

_PLACE = "https://proxy.example"
_RUN_PATH = {"coze": "/v1/workflows/W/run_histories/R", "copyai": "/workflow/W/run/R"}
_ARGUMENT = {"coze": "token", "copyai": "api_key"}
# What the providers' pages want on every request, GETs included.
_HEADERS = {
    "coze": {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    "copyai": {"x-copy-ai-api-key": TOKEN, "Content-Type": "application/json"},
}


@pytest.mark.parametrize(
    ("base_url", "allow_http"),
    [
        (f"{_PLACE}/a/b/", False),
        (f"{_PLACE}:8443", False),
        ("http://127.0.0.1:8888", False),
        ("http://self-hosted.internal/sub/", True),
    ],
)
@both
async def test_requests_go_below_the_base_url(
    provider: str, base_url: str, *, allow_http: bool
) -> None:
    """Its path is not lost and not doubled; plain http goes to loopback or where it is allowed."""
    transport = ScriptedTransport([RUNS[provider]])
    client = client_of(provider, transport, base_url=base_url, allow_http=allow_http)
    await client.workflow_run("W", "R").poll()
    (request,) = transport.requests
    assert request.origin + request.target == base_url.rstrip("/") + _RUN_PATH[provider]


@both
async def test_every_request_has_the_credential_and_the_content_type(provider: str) -> None:
    """A start and a look have exactly the headers that the pages ask for."""
    client, transport = scripted(provider, STARTED, RUNS[provider])
    await (await client.start_workflow("W")).poll()
    assert [request.headers for request in transport.requests] == [_HEADERS[provider]] * 2


def test_each_client_has_a_default_place() -> None:
    """The international region of Coze, and the one place of Copy.ai."""
    transport = ScriptedTransport()
    assert repr(Coze(transport, token=TOKEN)) == "<Coze https://api.coze.com>"
    assert repr(CopyAI(transport, api_key=TOKEN)) == "<CopyAI https://api.copy.ai/api>"


def test_an_unknown_region_is_refused_and_names_the_known() -> None:
    """A region is a base URL; the error names both, and where they are."""
    words = (
        r"^base_url='cn' .*Coze\.CN \('https://api.coze.cn'\) "
        r"or Coze\.COM \('https://api.coze.com'\)$"
    )
    with pytest.raises(ValueError, match=words):
        Coze(ScriptedTransport(), token=TOKEN, base_url="cn")


@both
def test_what_makes_no_client_is_refused(provider: str) -> None:
    """Each argument is checked: plain http to another machine would show the credential."""
    transport = ScriptedTransport()
    with pytest.raises(TypeError, match="SessionPool"):
        client_of(provider, cast("Transport", "pool"))
    with pytest.raises(ValueError, match=r"^base_url"):
        client_of(provider, transport, base_url="http://proxy.example")
    with pytest.raises(ValueError, match=r"^max_retries"):
        client_of(provider, transport, max_retries=-1)
    with pytest.raises(TypeError, match=r"^max_retries"):
        client_of(provider, transport, max_retries=cast("int", "3"))


# --- credentials --------------------------------------------------------------------------------


@both
async def test_a_credential_that_no_header_can_have_is_refused_without_showing_it(
    provider: str,
) -> None:
    """A text is checked at once, and what a function returns before anything is sent."""

    async def token() -> str:
        return f"{TOKEN}\n"

    transport = ScriptedTransport()
    with pytest.raises(ValueError, match=f"^{_ARGUMENT[provider]} ") as refused:
        client_of(provider, transport, token=f"{TOKEN}\n")
    with pytest.raises(ValueError, match=f"^{_ARGUMENT[provider]} ") as later:
        await client_of(provider, transport, token=token).get_workflow_run("W", "R")
    assert TOKEN not in f"{refused.value} {later.value}"
    assert transport.requests == []


@both
async def test_a_token_function_that_is_not_async_is_refused(provider: str) -> None:
    """A plain function that returns the text is refused, and its text is not shown."""
    transport = ScriptedTransport()
    client = client_of(provider, transport, token=cast("TokenSource", lambda: TOKEN))
    with pytest.raises(TypeError, match=f"^{_ARGUMENT[provider]} .*async function") as caught:
        await client.get_workflow_run("W", "R")
    assert TOKEN not in str(caught.value)
    assert transport.requests == []


def test_a_token_with_its_scheme_is_refused_without_showing_it() -> None:
    """`Bearer …` is what goes out, not what is passed in."""
    with pytest.raises(ValueError, match="without 'Bearer '") as caught:
        Coze(ScriptedTransport(), token=f"Bearer {TOKEN}")
    assert TOKEN not in str(caught.value)
