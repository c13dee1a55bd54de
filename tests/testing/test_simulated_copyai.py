"""The simulated Copy.ai, operation by operation, and its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from asyncclient.testing import Simulator
from tests.testing.conftest import CopyAIClient, asking

_RUNS = "workflow/WCFG-1/run"
_NO_CREDITS = {"startVariables": {"simulate": {"outcome": "out_of_credits"}}}
_HOOK = {"url": "http://127.0.0.1:9/", "eventType": "workflowRun.completed"}


async def test_a_run_walks_through_its_words(copyai: CopyAIClient) -> None:
    """It is new, waits, is processed, sometimes retried, and complete when its seconds are over."""
    paths = [await copyai.started(seconds=100) for _ in range(10)]
    course = [(0, {"NEW"}), (20, {"WAITING"}), (20, {"PROCESSING"})]
    for seconds, words in (*course, (30, {"PROCESSING", "RETRYING"}), (30, {"COMPLETE"})):
        await asyncio.sleep(seconds)
        assert {(await copyai.record(path))["status"] for path in paths} == words


async def test_a_run_ends_with_outputs_or_an_error(copyai: CopyAIClient) -> None:
    """A complete run has texts, one of them JSON; a failed one an error and no output."""
    done = await copyai.record(await copyai.started(seconds=0))
    inputs = msgspec.json.decode(done["output"]["final_output"])
    assert inputs == {"input": {"Input 1": "tea"}}
    failed = await copyai.record(await copyai.started(seconds=0, outcome="fail"))
    assert (failed["status"], failed["output"]) == ("FAILED", None)
    assert failed["error"]
    plain = await copyai.record(await copyai.started(seconds=0, outcome="plain_text"))
    assert plain["output"] == {"Output 1": "Plain text."}


async def test_loose_fields_of_a_run_come_in_two_ways(copyai: CopyAIClient) -> None:
    """Credits are a number or text, the time has milliseconds or not, some fields are missing.

    The metadata are what the caller gave, and their marker counts the start.
    """
    runs = [await copyai.record(await copyai.started()) for _ in range(4)]
    assert {repr(run["credits"]) for run in runs} == {"2", "'2'"}
    assert {"." in run["createdAt"] for run in runs} == {True, False}
    assert {"workflowRunId" in run for run in runs} == {True, False}
    for run in runs:
        assert run["createdAt"].endswith("Z")
        assert datetime.fromisoformat(run["createdAt"]).tzinfo is not None
        assert run["metadata"] is None
    metadata = {"marker": "abc", "n": 1}
    run = await copyai.record(await copyai.started(metadata))
    assert run["metadata"] == copyai.sim.tasks[run["id"]].start_marker == metadata
    assert copyai.sim.starts["abc"] == 1


async def test_runs_are_listed_from_page_one(copyai: CopyAIClient) -> None:
    """The newest comes first, without outputs, in data.data."""
    paths = [await copyai.started() for _ in range(12)]
    pages = [(await copyai.get(_RUNS + query))["data"] for query in ("", "?page=2")]
    assert {repr(page["total"]) for page in pages} == {"12", "'12'"}
    runs = [run for page in pages for run in page["data"]]
    assert [f"{_RUNS}/{run['id']}" for run in runs] == paths[::-1]
    assert all("output" not in run for run in runs)


_CODES = {400: "WORKFLOW_CREDIT_LIMIT_REACHED", 404: "NOT_FOUND", 422: "VALIDATION_ERROR"}
# What no webhook may have instead of `_HOOK`'s: webhooks are for this machine.
_NO_HOOKS = (
    {"url": "https://example.com/hook"},
    {"url": "http://127.0.0.1.example.com/"},
    {"url": "http://localhost@example.com/"},
    {"url": "http://10.0.0.1/"},
    {"url": "http://[half"},
    {"url": "ftp://127.0.0.1/"},
    {"eventType": "workflowRun.cancelled"},
)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", _RUNS, _NO_CREDITS, 400),
        ("POST", _RUNS, {}, 422),
        ("POST", _RUNS, {"startVariables": {"simulate": {"outcome": "interrupt"}}}, 422),
        ("POST", "workflow/missing/run", {"startVariables": {}}, 404),
        ("GET", f"{_RUNS}/WRUN-1", None, 404),
        *(("GET", f"{_RUNS}?{query}", None, 422) for query in ("page=0", "size=101", "size=0")),
        ("GET", "webhook/1", None, 404),
        ("GET", "webhook?size=200", None, 422),
        ("DELETE", "webhook/1", None, 404),
        ("POST", "webhook", _HOOK | {"workflowId": "missing"}, 404),
        *(("POST", "webhook", _HOOK | change, 422) for change in _NO_HOOKS),
    ],
)
async def test_errors_have_their_statuses(
    method: str, path: str, body: object, status: int, copyai: CopyAIClient
) -> None:
    """Out of credits is 400, what is unknown 404, what does not fit 422; a wrong key goes first."""
    answer = await copyai.ask(method, path, body)
    assert (copyai.status, answer["status"]) == (status, "error")
    assert answer["errorCode"] == _CODES[status]
    assert answer.get("details", {}).keys() == ({"message"} if status == 422 else set())
    assert not copyai.sim.tasks
    # Nothing is documented for a wrong key.
    await copyai.ask(method, path, body, sent={"x-copy-ai-api-key": "wrong"})
    assert (copyai.status, copyai.body) == (401, b"")


async def test_webhooks_are_kept_listed_and_deleted(copyai: CopyAIClient) -> None:
    """Their list starts at page 0 and has no status; a deleted one is gone."""
    hooks = [(await copyai.post("webhook", _HOOK))["data"] for _ in range(3)]
    listed = await copyai.get("webhook?size=2&page=0")
    assert listed.keys() == {"total", "data"}
    assert listed["data"] == hooks[:2]
    assert (await copyai.get("webhook?size=2&page=1"))["data"] == hooks[2:]
    one = f"webhook/{hooks[0]['id']}"
    assert (await copyai.get(one))["data"] == _HOOK | {"id": hooks[0]["id"]}
    for method, status in (("DELETE", 200), ("GET", 404)):
        await copyai.ask(method, one)
        assert copyai.status == status


class _Receiver(TestServer):
    """Receives webhooks, and redirects each."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_post("/", self.receive)
        super().__init__(app)
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(self, request: web.Request) -> web.Response:
        self.events.put_nowait(await request.json())
        return web.Response(status=307, headers={"Location": "/elsewhere"})


@pytest.fixture
async def receiver() -> AsyncGenerator[_Receiver]:
    """Run a receiver of webhooks."""
    receiver = _Receiver()
    async with receiver:
        yield receiver


async def _register(copyai: CopyAIClient, url: object, event: str, **more: str) -> None:
    await copyai.post("webhook", {"url": str(url), "eventType": f"workflowRun.{event}"} | more)


async def test_webhooks_report_starts_and_ends_in_three_shapes(
    copyai: CopyAIClient, receiver: _Receiver
) -> None:
    """Deliveries come at the start and at the end, flat, with a result, or with its text."""
    events = receiver.events
    for event in ("started", "completed", "failed"):
        await _register(copyai, receiver.make_url("/"), event)
    await copyai.started({"n": 1}, seconds=50)
    assert (await events.get())["type"] == "workflowRun.started"
    before = anyio.current_time()
    completed = await events.get()
    assert anyio.current_time() - before == pytest.approx(50, abs=0.1)
    await copyai.started(seconds=1, outcome="fail")
    await events.get()
    failed = await events.get()
    assert completed["type"] == "workflowRun.completed"
    assert completed["result"]["Output 1"]
    assert completed["metadata"] == {"n": 1}
    assert (failed["type"], failed["status"]) == ("workflowRun.failed", "FAILED")
    await copyai.started(seconds=1)
    await events.get()
    first, second = completed.keys(), (await events.get()).keys()
    assert first == second == {"type", "workflowRunId", "workflowId", "result", "metadata"}


async def test_a_webhook_hears_of_runs_under_way_and_of_its_workflow_only(
    copyai: CopyAIClient, receiver: _Receiver
) -> None:
    """Registered after a start it gets the end; and that the credits are out, if it is for that."""
    await copyai.started(seconds=0)
    path = await copyai.started(seconds=10)
    url = receiver.make_url("/")
    for workflow_id in ("WCFG-1", "WCFG-2"):
        await _register(copyai, url, "completed", workflowId=workflow_id)
    assert (await receiver.events.get())["workflowRunId"] == path.rpartition("/")[2]
    await asyncio.sleep(10)
    assert receiver.events.empty()
    event = "workflowCreditLimit.reached"
    await copyai.post("webhook", {"url": str(url), "eventType": event})
    await copyai.post(_RUNS, _NO_CREDITS)
    assert (await receiver.events.get())["type"] == event


async def test_closing_does_not_wait_for_webhooks() -> None:
    """A delivery that no one answers, one that no one receives, and timers not due disturb none."""
    before = asyncio.all_tasks()
    arrived = asyncio.Queue[asyncio.StreamWriter]()
    server = await asyncio.start_server(
        lambda _, writer: arrived.put_nowait(writer), "127.0.0.1", 0
    )
    async with server:
        sim = Simulator()
        async with asking(sim) as (_, copyai):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            await _register(copyai, url, "started")
            for event in ("started", "completed"):
                await _register(copyai, "http://127.0.0.1:9/", event)
            await copyai.started(seconds=1)
            writers = [await arrived.get()]
            await asyncio.sleep(2)
            await copyai.started(seconds=1000)
            writers.append(await arrived.get())
            closing = anyio.current_time()
            await sim.close()
            assert anyio.current_time() == closing
        for writer in writers:
            writer.close()
    await asyncio.sleep(2000)
    assert asyncio.all_tasks() == before
