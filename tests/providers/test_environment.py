"""Tests of clients that are made of what stands in the environment."""

from __future__ import annotations

import traceback

import pytest

from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import RUNS, TOKEN, both

CLIENTS: dict[str, tuple[type[Coze | CopyAI], str, str]] = {
    "coze": (Coze, "COZE_API_TOKEN", "COZE_API_BASE"),
    "copyai": (CopyAI, "COPYAI_API_KEY", "COPYAI_API_BASE"),
}
NO_BASE = "is not the address of the API: use https://api.co"


@both
@pytest.mark.parametrize("base", [None, "", "https://proxy.example/x"])
async def test_a_client_asks_with_what_the_environment_has(
    monkeypatch: pytest.MonkeyPatch, provider: str, base: str | None
) -> None:
    """The variables are those of the command; without a base URL it is the provider's own."""
    kind, credential, place = CLIENTS[provider]
    monkeypatch.setenv(credential, TOKEN)
    if base is not None:
        monkeypatch.setenv(place, base)
    transport = ScriptedTransport([RUNS[provider]])
    await kind.from_env(transport).get_workflow_run("1", "2")
    (request,) = transport.requests
    own = {"coze": Coze.COM, "copyai": "https://api.copy.ai"}[provider]
    assert (request.origin + request.target).startswith(base or own)
    assert any(value.endswith(TOKEN) for value in request.headers.values())


@both
@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, " is not set: put a"),
        ("", " is not set: put a"),
        (f"Bearer {TOKEN}", " begins with 'Bearer ': put a"),
        (f"{TOKEN}\n", " has a line break"),
        (f"{TOKEN}é", " has characters that are not ASCII"),
    ],
)
def test_a_credential_that_is_missing_or_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, provider: str, token: str | None, says: str
) -> None:
    """The error names the variable and what to put into it, and shows nothing of it."""
    kind, credential, _ = CLIENTS[provider]
    if token is None:
        monkeypatch.delenv(credential, raising=False)
    else:
        monkeypatch.setenv(credential, token)
    with pytest.raises(ValueError, match=f"^{credential}{says}") as caught:
        kind.from_env(ScriptedTransport([]))
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@both
@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("CN", f"'CN' {NO_BASE}"),
        ("api.example.com", f"'api.example.com' {NO_BASE}"),
        (f"https://u:{TOKEN}@x", f"what is in it {NO_BASE}"),
        (f"https://x?key={TOKEN}", f"'https://x' {NO_BASE}"),
        ("http://example.com", "'http://example.com' would send the credential in the clear"),
    ],
)
def test_a_base_url_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, provider: str, base: str, says: str
) -> None:
    """The error names the variable and the base URLs that there are; it shows no password."""
    kind, credential, place = CLIENTS[provider]
    monkeypatch.setenv(credential, TOKEN)
    monkeypatch.setenv(place, base)
    with pytest.raises(ValueError, match=f"^{place}: ") as caught:
        kind.from_env(ScriptedTransport([]))
    assert str(caught.value).startswith(f"{place}: {says}")
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("provider", "site"), [("coze", "https://www.coze.cn"), ("copyai", "https://app.copy.ai")]
)
def test_a_providers_site_is_no_base_url(
    monkeypatch: pytest.MonkeyPatch, provider: str, site: str
) -> None:
    """The error names the variable, not the argument of a client."""
    kind, credential, place = CLIENTS[provider]
    monkeypatch.setenv(credential, TOKEN)
    monkeypatch.setenv(place, site)
    with pytest.raises(ValueError, match=f"^{place}: '{site}' {NO_BASE}"):
        kind.from_env(ScriptedTransport([]))
