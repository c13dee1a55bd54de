"""The simulated Copy.ai, operation by operation, and its webhooks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from asyncclient.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

_RUNS = "workflow/WCFG-1/run"


class _CopyAI:
    """A plain client that remembers the last answer's status and body."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session
        self.status = 0
        self.body = b""

    async def ask(self, method: str, path: str, json: object = None) -> Any:
        url = self.sim.copyai_url + path
        async with self.session.request(method, url, json=json) as response:
            self.status, self.body = response.status, await response.read()
            return msgspec.json.decode(self.body) if self.body else None

    async def start(self, metadata: object = None, **simulate: object) -> str:
        """Start a run and return its path."""
        body: dict[str, object] = {"startVariables": {"Input 1": "tea", "simulate": simulate}}
        if metadata is not None:
            body["metadata"] = metadata
        answer = await self.ask("POST", _RUNS, body)
        assert answer["status"] == "success"
        return f"{_RUNS}/{answer['data']['id']}"

    async def run(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer["status"] == "success"
        return answer["data"]


@asynccontextmanager
async def _open() -> AsyncGenerator[_CopyAI]:
    headers = {"x-copy-ai-api-key": "simulator-key"}
    async with Simulator() as sim, aiohttp.ClientSession(headers=headers) as session:
        yield _CopyAI(sim, session)


async def test_a_run_walks_through_its_words() -> None:
    """It is new, waits, is processed, sometimes retried, and complete when its seconds are over."""
    async with _open() as copyai:
        paths = [await copyai.start(seconds=100) for _ in range(10)]
        seen = [await copyai.run(path) for path in paths]
        assert {run["status"] for run in seen} == {"NEW"}
        await asyncio.sleep(20)
        assert {(await copyai.run(path))["status"] for path in paths} == {"WAITING"}
        await asyncio.sleep(20)
        assert {(await copyai.run(path))["status"] for path in paths} == {"PROCESSING"}
        await asyncio.sleep(30)
        words = {(await copyai.run(path))["status"] for path in paths}
        assert words == {"PROCESSING", "RETRYING"}
        await asyncio.sleep(30)
        assert {(await copyai.run(path))["status"] for path in paths} == {"COMPLETE"}


async def test_a_run_ends_with_outputs_or_an_error() -> None:
    """A complete run has texts, one of them JSON; a failed one an error and no output."""
    async with _open() as copyai:
        done = await copyai.run(await copyai.start(seconds=0))
        inputs = msgspec.json.decode(done["output"]["final_output"])
        assert inputs == {"input": {"Input 1": "tea"}}
        failed = await copyai.run(await copyai.start(seconds=0, outcome="fail"))
        assert (failed["status"], failed["output"]) == ("FAILED", None)
        assert failed["error"]
        plain = await copyai.run(await copyai.start(seconds=0, outcome="plain_text"))
        assert plain["output"] == {"Output 1": "Plain text."}


async def test_loose_fields_of_a_run_come_now_so_now_so() -> None:
    """Credits are a number or text, the time has milliseconds or not, some fields are missing."""
    async with _open() as copyai:
        runs = [await copyai.run(await copyai.start()) for _ in range(4)]
        assert {repr(run["credits"]) for run in runs} == {"2", "'2'"}
        assert {"." in run["createdAt"] for run in runs} == {True, False}
        assert {"workflowRunId" in run for run in runs} == {True, False}
        for run in runs:
            assert run["createdAt"].endswith("Z")
            assert datetime.fromisoformat(run["createdAt"]).tzinfo is not None
            assert run["metadata"] is None


async def test_metadata_is_echoed_and_counts_as_a_marker() -> None:
    """What the caller gave comes back on the run, and its marker counts the start."""
    async with _open() as copyai:
        metadata = {"marker": "abc", "n": 1}
        run = await copyai.run(await copyai.start(metadata))
        assert run["metadata"] == metadata
        assert copyai.sim.starts == {"abc": 1}
        assert copyai.sim.tasks[run["id"]].start_marker == metadata


async def test_a_null_word_leaves_the_status_out() -> None:
    """A run may be ordered to answer without a status."""
    async with _open() as copyai:
        path = await copyai.start(words=[None])
        assert "status" not in await copyai.run(path)
        assert "status" in await copyai.run(path)


async def test_runs_are_listed_from_page_one() -> None:
    """The newest comes first, without outputs, in data.data; page 0 and size 101 are refused."""
    async with _open() as copyai:
        paths = [await copyai.start() for _ in range(12)]
        first = (await copyai.ask("GET", _RUNS))["data"]
        second = (await copyai.ask("GET", f"{_RUNS}?page=2"))["data"]
        assert {repr(page["total"]) for page in (first, second)} == {"12", "'12'"}
        ids = [run["id"] for page in (first, second) for run in page["data"]]
        assert [f"{_RUNS}/{run_id}" for run_id in ids] == paths[::-1]
        assert all("output" not in run for run in first["data"])
        for query in ("page=0", "size=101", "size=0"):
            assert (await copyai.ask("GET", f"{_RUNS}?{query}"))["errorCode"]
            assert copyai.status == 422


async def test_errors_have_their_statuses() -> None:
    """Out of credits is 400, what is unknown 404, what does not fit 422 with details."""
    async with _open() as copyai:
        body = {"startVariables": {"simulate": {"outcome": "out_of_credits"}}}
        answer = await copyai.ask("POST", _RUNS, body)
        expected = {"status": "error", "errorCode": "WORKFLOW_CREDIT_LIMIT_REACHED"}
        assert (copyai.status, answer) == (400, expected)
        for method, path in (
            ("GET", f"{_RUNS}/WRUN-1"),
            ("GET", "webhook/1"),
            ("DELETE", "webhook/1"),
        ):
            answer = await copyai.ask(method, path)
            assert (copyai.status, answer["errorCode"]) == (404, "NOT_FOUND")
        hook = {"url": "http://[::1]/", "eventType": "workflowRun.failed", "workflowId": "missing"}
        await copyai.ask("POST", "webhook", hook)
        assert copyai.status == 404
        await copyai.ask("POST", "workflow/missing/run", {"startVariables": hook})
        assert copyai.status == 404
        for body in ({}, {"startVariables": {"simulate": {"outcome": "interrupt"}}}):
            answer = await copyai.ask("POST", _RUNS, body)
            assert (copyai.status, answer["details"].keys()) == (422, {"message"})
        assert not copyai.sim.tasks


async def test_a_wrong_key_gets_an_empty_401() -> None:
    """Nothing is documented for a wrong key: the body is empty."""
    async with _open() as copyai:
        copyai.session.headers["x-copy-ai-api-key"] = "wrong"
        await copyai.ask("GET", _RUNS)
        assert (copyai.status, copyai.body) == (401, b"")


async def test_webhooks_are_kept_listed_and_deleted() -> None:
    """Their list starts at page 0 and has no status; a deleted one is gone."""
    async with _open() as copyai:
        body = {"url": "http://127.0.0.1:9/", "eventType": "workflowRun.completed"}
        hooks = [(await copyai.ask("POST", "webhook", body))["data"] for _ in range(3)]
        listed = await copyai.ask("GET", "webhook?size=2&page=0")
        assert listed.keys() == {"total", "data"}
        assert listed["data"] == hooks[:2]
        assert (await copyai.ask("GET", "webhook?size=2&page=1"))["data"] == hooks[2:]
        one = f"webhook/{hooks[0]['id']}"
        assert (await copyai.ask("GET", one))["data"] == body | {"id": hooks[0]["id"]}
        await copyai.ask("DELETE", one)
        assert copyai.status == 200
        await copyai.ask("GET", one)
        assert copyai.status == 404
        await copyai.ask("GET", "webhook?size=200")
        assert copyai.status == 422


@pytest.mark.parametrize(
    ("url", "event"),
    [
        ("https://example.com/hook", "workflowRun.completed"),
        ("http://127.0.0.1.example.com/", "workflowRun.completed"),
        ("http://localhost@example.com/", "workflowRun.completed"),
        ("http://10.0.0.1/", "workflowRun.completed"),
        ("http://[half", "workflowRun.completed"),
        ("ftp://127.0.0.1/", "workflowRun.completed"),
        ("http://127.0.0.1/", "workflowRun.cancelled"),
    ],
)
async def test_webhooks_lead_nowhere_but_here(url: str, event: str) -> None:
    """A URL that is not loopback and an unknown event are refused with 422."""
    async with _open() as copyai:
        await copyai.ask("POST", "webhook", {"url": url, "eventType": event})
        assert copyai.status == 422


@asynccontextmanager
async def _receiver() -> AsyncGenerator[tuple[str, asyncio.Queue[Any]]]:
    """Receive webhooks: a URL and the queue of what was delivered to it; redirect each."""
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        events.put_nowait(await request.json())
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/{tail:.*}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}/", events
    finally:
        await runner.cleanup()


async def test_webhooks_report_starts_and_ends_in_three_shapes() -> None:
    """Deliveries come at the start and at the end, flat, with a result, or with its text."""
    loop = asyncio.get_running_loop()
    async with _open() as copyai, _receiver() as (url, events):
        for event in ("started", "completed", "failed"):
            hook = {"url": url, "eventType": f"workflowRun.{event}"}
            await copyai.ask("POST", "webhook", hook)
        await copyai.start({"n": 1}, seconds=50)
        assert (await events.get())["type"] == "workflowRun.started"
        before = loop.time()
        completed = await events.get()
        assert loop.time() - before == pytest.approx(50, abs=0.1)
        await copyai.start(seconds=1, outcome="fail")
        await events.get()
        failed = await events.get()
        assert (completed["type"], failed["type"]) == (
            "workflowRun.completed",
            "workflowRun.failed",
        )
        assert completed["result"]["Output 1"]
        assert completed["metadata"] == {"n": 1}
        assert failed["status"] == "FAILED"
        await copyai.start(seconds=1)
        await events.get()
        first, second = completed.keys(), (await events.get()).keys()
        assert first == second == {"type", "workflowRunId", "workflowId", "result", "metadata"}


async def test_a_webhook_hears_of_runs_under_way_and_of_its_workflow_only() -> None:
    """Registered after the start it gets the end, but not another workflow's runs."""
    async with _open() as copyai, _receiver() as (url, events):
        await copyai.start(seconds=0)
        path = await copyai.start(seconds=10)
        hook = {"url": url, "eventType": "workflowRun.completed"}
        await copyai.ask("POST", "webhook", hook | {"workflowId": "WCFG-1"})
        await copyai.ask("POST", "webhook", hook | {"workflowId": "WCFG-2"})
        assert (await events.get())["workflowRunId"] == path.rpartition("/")[2]
        await asyncio.sleep(10)
        assert events.empty()


async def test_a_webhook_reports_that_the_credits_are_out() -> None:
    """A start refused for lack of credits is reported to those who registered for it."""
    async with _open() as copyai, _receiver() as (url, events):
        hook = {"url": url, "eventType": "workflowCreditLimit.reached"}
        await copyai.ask("POST", "webhook", hook)
        body = {"startVariables": {"simulate": {"outcome": "out_of_credits"}}}
        await copyai.ask("POST", _RUNS, body)
        assert (await events.get())["type"] == "workflowCreditLimit.reached"


async def test_closing_does_not_wait_for_a_webhook_to_be_heard() -> None:
    """A delivery whose receiver never answers is cancelled at closing."""
    before, loop = asyncio.all_tasks(), asyncio.get_running_loop()
    arrived = asyncio.Queue[asyncio.StreamWriter]()

    def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        async with _open() as copyai:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            hook = {"url": url, "eventType": "workflowRun.started"}
            await copyai.ask("POST", "webhook", hook)
            await copyai.start()
            writer = await arrived.get()
            closing = loop.time()
        assert loop.time() == closing
        writer.close()
    assert asyncio.all_tasks() == before


async def test_a_webhook_that_no_one_receives_is_lost_in_silence() -> None:
    """A delivery that fails, and timers not yet due at closing, disturb no one."""
    before = asyncio.all_tasks()
    async with _open() as copyai:
        for event in ("started", "completed"):
            hook = {"url": "http://127.0.0.1:9/", "eventType": f"workflowRun.{event}"}
            await copyai.ask("POST", "webhook", hook)
        await copyai.start(seconds=1)
        await asyncio.sleep(2)
        await copyai.start(seconds=1000)
    await asyncio.sleep(2000)
    assert asyncio.all_tasks() == before
