"""What both clients take, where their requests go, and what they never show."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncclient._http import TokenSource, Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import RUNS, TOKEN, both, client_of

_PLACE = "https://proxy.example"
_RUN_PATH = {"coze": "/v1/workflows/W/run_histories/R", "copyai": "/workflow/W/run/R"}
_ARGUMENT = {"coze": "token", "copyai": "api_key"}


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


def test_each_client_has_a_default_place() -> None:
    """The international region of Coze, and the one place of Copy.ai."""
    transport = ScriptedTransport()
    assert repr(Coze(transport, token=TOKEN)) == "<Coze https://api.coze.com>"
    assert repr(CopyAI(transport, api_key=TOKEN)) == "<CopyAI https://api.copy.ai/api>"


_NO_COZE = [
    *("cn", "https://www.coze.cn", "HTTPS://Coze.com/", "www.coze.com"),
    *(
        "https://api.coze.cn/v1",
        "https://API.coze.com:443//open_api/",
        "http://api.coze.cn/v3/chat",
    ),
]
_NO_COPYAI = [
    *("https://api.copy.ai", "https://api.copy.ai/", "https://api.copy.ai/api/workflow"),
    *(
        "https://www.copy.ai",
        "https://app.copy.ai/api",
        "https://api.copy.ai/v1",
        "https://copy.ai",
    ),
]


@pytest.mark.parametrize("given", [*_NO_COZE, *_NO_COPYAI])
def test_an_address_that_is_not_the_apis_is_refused_and_names_it(given: str) -> None:
    """A region is a base URL, not a site, nor a path of the API; the error names what to pass."""
    words = (
        r"Copy\.ai's API: pass CopyAI\.BASE_URL \('https://api.copy.ai/api/'\)$"
        if given in _NO_COPYAI
        else r"Coze's API: pass Coze\.CN \('https://api.coze.cn'\) "
        r"or Coze\.COM \('https://api.coze.com'\)$"
    )
    with pytest.raises(ValueError, match=rf"^base_url='{given}' is not the address of {words}"):
        client_of("copyai" if given in _NO_COPYAI else "coze", ScriptedTransport(), base_url=given)


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_slash_at_the_end_of_an_address_says_nothing(end: str) -> None:
    """Each names the same place, and so does a gateway with a path of its own."""
    for provider, given in (("coze", Coze.CN), ("copyai", "https://api.copy.ai/api")):
        assert given in repr(client_of(provider, ScriptedTransport(), base_url=given + end))
        gateway = f"https://gateway.example/{provider}/v1{end}"
        assert "gateway" in repr(client_of(provider, ScriptedTransport(), base_url=gateway))


@both
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        # Plain http to another machine would show the credential.
        ({"base_url": "http://proxy.example"}, ValueError, "base_url"),
        ({"max_retries": -1}, ValueError, "max_retries"),
        ({"max_retries": "3"}, TypeError, "max_retries"),
        ({"token": f"{TOKEN}\n"}, ValueError, "(token|api_key) "),
    ],
)
def test_what_makes_no_client_is_refused(
    provider: str, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """Each argument is checked, by its name; nothing of a credential is shown."""
    with pytest.raises(kind, match=f"^{words}") as caught:
        client_of(provider, ScriptedTransport(), **options)
    assert TOKEN not in str(caught.value)
    with pytest.raises(TypeError, match="SessionPool"):
        client_of(provider, cast("Transport", "pool"))


def test_a_token_with_its_scheme_is_refused_without_showing_it() -> None:
    """`Bearer …` is what goes out, not what is passed in."""
    with pytest.raises(ValueError, match="without 'Bearer '") as caught:
        Coze(ScriptedTransport(), token=f"Bearer {TOKEN}")
    assert TOKEN not in str(caught.value)


async def _broken() -> str:
    return f"{TOKEN}\n"


@both
@pytest.mark.parametrize(
    ("token", "kind", "words"),
    [(_broken, ValueError, ""), (lambda: TOKEN, TypeError, ".*async function")],
)
async def test_what_a_token_function_gives_is_checked(
    provider: str, token: TokenSource, kind: type[Exception], words: str
) -> None:
    """Before anything is sent, and without showing it."""
    transport = ScriptedTransport()
    client = client_of(provider, transport, token=token)
    with pytest.raises(kind, match=f"^{_ARGUMENT[provider]} {words}") as caught:
        await client.get_workflow_run("W", "R")
    assert TOKEN not in str(caught.value)
    assert transport.requests == []
