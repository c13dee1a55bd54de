"""Clients of both providers over a script, and the recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from asyncclient._http import Request, Response, TokenSource, Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply

FIXTURES = Path(__file__).parents[1] / "fixtures"
# By provider, folder and name, as `coze/answers/get_bot.json`.
RECORDED = {
    path.relative_to(FIXTURES).as_posix(): path.read_bytes() for path in FIXTURES.glob("*/*/*")
}
TOKEN = "pat_s3cret-token-7f3a9c"

PROVIDERS = ("coze", "copyai")
both = pytest.mark.parametrize("provider", PROVIDERS)

Client = Coze | CopyAI
Entry = Response | Exception

# Good answers to a look at a run, by provider, and one to a start that both can read.
RUNS = {
    "coze": reply({"code": 0, "data": [{"execute_status": "Running"}]}),
    "copyai": reply({"status": "success", "data": {"status": "NEW"}}),
}
STARTED = reply({"execute_id": "7431", "data": {"id": "7431"}})


def client_of(
    provider: str,
    transport: Transport,
    *,
    token: str | TokenSource | CozeJWT = TOKEN,
    base_url: str = "https://proxy.example",
    max_retries: int = 3,
    allow_http: bool = False,
    account: str | None = None,
) -> Client:
    """Make a provider's client with options that both have."""
    if provider == "coze":
        return Coze(
            transport,
            token=token,
            base_url=base_url,
            max_retries=max_retries,
            allow_http=allow_http,
            account=account,
        )
    assert not isinstance(token, CozeJWT)
    return CopyAI(
        transport,
        api_key=token,
        base_url=base_url,
        max_retries=max_retries,
        allow_http=allow_http,
        account=account,
    )


def coze(
    *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[Coze, ScriptedTransport]:
    """Make a client of Coze in China, and the script that it talks to."""
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token=TOKEN, base_url=Coze.CN, max_retries=max_retries), transport


def copyai(
    *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[CopyAI, ScriptedTransport]:
    """Make a client of Copy.ai, and the script that it talks to."""
    transport = ScriptedTransport(script, repeat=repeat)
    return CopyAI(transport, api_key=TOKEN, max_retries=max_retries), transport


def scripted(
    provider: str, *script: Entry, repeat: bool = False, max_retries: int = 3
) -> tuple[Client, ScriptedTransport]:
    """Make a client of either provider, and the script that it talks to."""
    make = coze if provider == "coze" else copyai
    return make(*script, repeat=repeat, max_retries=max_retries)


def sent(request: Request) -> tuple[str, str, Any]:
    """Return method, URL and decoded body of a request."""
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


def notes(error: BaseException) -> str:
    """Return what was noted on an error."""
    return "\n".join(getattr(error, "__notes__", []))
