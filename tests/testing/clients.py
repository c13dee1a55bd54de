"""Plain clients of the simulator, which keep their last answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from asyncclient.testing import Simulator


class Client:
    """Asks one provider.

    Attributes:
        sim: the simulator.
        status: the status of the last answer.
        kind: its content type, without parameters.
        headers: its headers.
        body: its body.
    """

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

    async def start(self, **simulate: object) -> Any:
        """Start a run whose fate is ordered."""
        return await self._start(simulate, is_async=True)

    async def run(self, **simulate: object) -> Any:
        """Start a run whose fate is ordered, and wait for the answer at its end."""
        return await self._start(simulate, is_async=False)

    async def _start(self, simulate: object, *, is_async: bool) -> Any:
        parameters = {"topic": "tea", "simulate": simulate}
        body = {"workflow_id": "7350", "is_async": is_async, "parameters": parameters}
        return await self.post("/v1/workflow/run", body)

    async def started(self, **simulate: object) -> str:
        """Start a run; return its path."""
        answer = await self.start(**simulate)
        return f"/v1/workflows/7350/run_histories/{answer['execute_id']}"

    async def record(self, path: str) -> Any:
        """Return the record of a run."""
        answer = await self.get(path)
        assert answer["code"] == 0
        (record,) = answer["data"]
        return record

    async def resume(self, interrupt: Any, resume_data: str) -> Any:
        """Give a run what it waits for."""
        body = {
            "workflow_id": "7350",
            "event_id": interrupt["event_id"],
            "interrupt_type": interrupt["type"],
            "resume_data": resume_data,
        }
        return await self.post("/v1/workflows/resume", body)

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

    async def register(self, url: str, event: str, **more: str) -> Any:
        """Register a webhook for an event of runs."""
        body = {"url": url, "eventType": f"workflowRun.{event}"}
        return await self.post("webhook", body | more)


def new_key() -> tuple[str, str]:
    """Make a private and a public key in PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return (
        private.private_bytes(pem, form, bare).decode(),
        private.public_key().public_bytes(pem, spki).decode(),
    )


@contextlib.asynccontextmanager
async def asking(sim: Simulator) -> AsyncGenerator[tuple[CozeClient, CopyAIClient]]:
    """Run a simulator; give a client of each provider."""
    async with sim, aiohttp.ClientSession() as session:
        token = {"Authorization": "Bearer pat_simulator"}
        key = {"x-copy-ai-api-key": "simulator-key"}
        yield (
            CozeClient(sim, sim.coze_url, session, token),
            CopyAIClient(sim, sim.copyai_url, session, key),
        )
