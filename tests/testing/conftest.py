"""A simulator for each test, and plain clients of its providers, which keep their last answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from asyncclient.testing import Simulator


class Client:
    """Asks one provider, and keeps status, type (without parameters), headers and body."""

    def __init__(
        self, sim: Simulator, base: str, session: aiohttp.ClientSession, sent: Mapping[str, str]
    ) -> None:
        self.sim = sim
        self._base = base
        self._session = session
        self._sent = sent
        self.status = 0
        self.kind = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    async def ask(
        self,
        method: str,
        path: str,
        json: object = None,
        sent: Mapping[str, str] | None = None,
        seconds: float = 300,
    ) -> Any:
        """Send a request; return the JSON of its answer, or None where there is none."""
        url, headers = self._base + path, sent or self._sent
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._session.request(
            method, url, json=json, headers=headers, timeout=timeout
        ) as response:
            self.status, self.headers = response.status, dict(response.headers)
            self.kind = self.headers.get("Content-Type", "").partition(";")[0]
            self.body = await response.read()
        return msgspec.json.decode(self.body) if self.body and "json" in self.kind else None

    async def get(self, path: str) -> Any:
        """Ask by GET."""
        return await self.ask("GET", path)

    async def post(self, path: str, json: object = None) -> Any:
        """Ask by POST."""
        return await self.ask("POST", path, json)


class CozeClient(Client):
    """Asks Coze."""

    async def start(self, *, is_async: bool = True, **simulate: Any) -> Any:
        """Start a run whose fate is ordered."""
        parameters = {"topic": "tea", "simulate": simulate}
        body = {"workflow_id": "7350", "is_async": is_async, "parameters": parameters}
        return await self.post("/v1/workflow/run", body)

    async def run(self, **simulate: Any) -> Any:
        """Start a run whose fate is ordered, and wait for the answer at its end."""
        return await self.start(is_async=False, **simulate)

    async def started(self, **simulate: Any) -> str:
        """Start a run; return its path."""
        answer = await self.start(**simulate)
        return f"/v1/workflows/7350/run_histories/{answer['execute_id']}"

    async def record(self, path: str) -> Any:
        """Return the record of a run."""
        answer = await self.get(path)
        assert answer["code"] == 0
        (record,) = answer["data"]
        return record

    async def chat(self, **simulate: object) -> Any:
        """Start a chat whose fate is ordered."""
        variables = {"simulate": msgspec.json.encode(simulate).decode()}
        body = {"bot_id": "1", "user_id": "u", "custom_variables": variables}
        return (await self.post("/v3/chat", body))["data"]

    async def retrieve(self, chat: Any, method: str = "GET") -> Any:
        """Look a chat up."""
        return (await self.ask(method, f"/v3/chat/retrieve{of(chat)}"))["data"]


def of(chat: Any) -> str:
    """Return the query that names a chat."""
    return f"?conversation_id={chat['conversation_id']}&chat_id={chat['id']}"


class CopyAIClient(Client):
    """Asks Copy.ai."""

    async def started(self, metadata: object = None, **simulate: object) -> str:
        """Start a run whose fate is ordered; return its path."""
        body: dict[str, object] = {"startVariables": {"Input 1": "tea", "simulate": simulate}}
        if metadata is not None:
            body["metadata"] = metadata
        answer = await self.post("workflow/WCFG-1/run", body)
        assert answer["status"] == "success"
        return f"workflow/WCFG-1/run/{answer['data']['id']}"

    async def record(self, path: str) -> Any:
        """Return a run."""
        answer = await self.get(path)
        assert answer["status"] == "success"
        return answer["data"]


Clients = tuple[CozeClient, CopyAIClient]


@contextlib.asynccontextmanager
async def asking(sim: Simulator) -> AsyncGenerator[Clients]:
    """Run a simulator; give a client of each provider."""
    async with sim, aiohttp.ClientSession() as session:
        token = {"Authorization": "Bearer pat_simulator"}
        key = {"x-copy-ai-api-key": "simulator-key"}
        coze = CozeClient(sim, sim.coze_url, session, token)
        yield coze, CopyAIClient(sim, sim.copyai_url, session, key)


@pytest.fixture
async def clients() -> AsyncGenerator[Clients]:
    """Give a client of each provider."""
    async with asking(Simulator()) as both:
        yield both


@pytest.fixture
def coze(clients: Clients) -> CozeClient:
    """Give a client of Coze."""
    return clients[0]


@pytest.fixture
def copyai(clients: Clients) -> CopyAIClient:
    """Give a client of Copy.ai."""
    return clients[1]
