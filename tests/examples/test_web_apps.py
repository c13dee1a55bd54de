"""The example web apps, asked with real requests: under uvicorn, and under aiohttp's own server.

Server, client and simulator share a loop on virtual time; the scripts are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

import aiohttp
import aiohttp_app
import pytest
from aiohttp import web
from remote_runs import Runs
from yarl import URL

from asyncclient import Schedule, TaskRef, encode_ref
from asyncclient.testing import SimulatedTask, Simulator
from asyncclient.testing.pytest_plugin import real_time

Provider = Literal["coze", "copyai"]

FAST = Schedule(first=0.02, factor=1.0, cap=0.02)
# One poll at once, and the next long after any of these tests is over.
SLOW = Schedule(first=50.0, factor=1.0, cap=50.0)
# A bound on what takes no virtual time to speak of: only a hang breaks it.
PATIENCE = 5.0
# The same for a process, in real seconds, however slow the machine is.
PROCESS_PATIENCE = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"
POLLS = {"coze": "coze.run_histories", "copyai": "copyai.get_run"}


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds that sets no event."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  (the apps set no event)
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class _Site:
    """A running app, the providers behind it, and a client."""

    url: str
    runs: Runs
    sim: Simulator
    client: aiohttp.ClientSession
    stop: Callable[[], Awaitable[None]]

    async def ask(self, method: str, path: str, body: bytes | None = None) -> _Answer:
        headers = {"Content-Type": "application/json"}
        # The path is quoted already.
        address = URL(self.url + path, encoded=True)
        async with self.client.request(method, address, data=body, headers=headers) as response:
            text = await response.text()
            found = json.loads(text) if text.startswith("{") else text
            return _Answer(response.status, dict(response.headers), found)

    async def start(
        self,
        provider: Provider,
        workflow_id: str = "W-1",
        *,
        seconds: float = 0,
        outcome: str = "success",
    ) -> _Answer:
        inputs = {"topic": "tea", "simulate": {"seconds": seconds, "outcome": outcome}}
        order = {"provider": provider, "workflow_id": workflow_id, "inputs": inputs}
        return await self.ask("POST", "/runs", json.dumps(order).encode())

    async def started(
        self, provider: Provider, *, seconds: float = 0, outcome: str = "success"
    ) -> tuple[str, SimulatedTask]:
        """Start a run; return the path of its result, and the provider's side of it."""
        answer = await self.start(provider, seconds=seconds, outcome=outcome)
        assert answer.status == 201
        return answer.body["result"], list(self.sim.tasks.values())[-1]

    async def waiters(self, count: int) -> None:
        """Wait until this is the number of clients that wait, and no poll is under way."""

        def calm() -> bool:
            stats = self.runs.poller.stats()
            return stats.waiters == count and not stats.in_flight and stats.polls > 0

        await until(calm)

    def asking(
        self, tasks: asyncio.TaskGroup, path: str, timeout: float = 30
    ) -> asyncio.Task[_Answer]:
        return tasks.create_task(self.ask("GET", f"{path}?timeout={timeout}"))

    @contextlib.asynccontextmanager
    async def stream(self, path: str) -> AsyncGenerator[AsyncGenerator[tuple[str, Any]]]:
        """Follow a run; give the names of its events, and what they say; "" for a comment."""

        async def events() -> AsyncGenerator[tuple[str, Any]]:
            while part := await response.content.readuntil(b"\n\n"):
                lines = dict(line.split(": ", 1) for line in part.decode().strip().split("\n"))
                yield lines.get("event", ""), json.loads(lines.get("data", "null"))

        address = URL(self.url + path.replace("/result", "/events"), encoded=True)
        async with self.client.get(address) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            async with contextlib.aclosing(events()) as coming:
                yield coming

    async def deliver(self, body: object) -> int:
        """Post a webhook's body, as JSON unless it is bytes; return the status of the answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return (await self.ask("POST", "/webhooks/copyai", raw)).status


Running = tuple[int, Callable[[], Runs], Callable[[], Awaitable[None]]]


async def run_fastapi(schedule: Schedule) -> Running:
    """Run the FastAPI app under the example's uvicorn; return its port, `Runs` and end."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    example: Any = importlib.import_module("fastapi_app")
    app = example.make_app(schedule=schedule)
    server = example.Server(app, 0)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started or serving.done())

    async def stop() -> None:
        server.should_exit = True
        await serving

    port = server.servers[0].sockets[0].getsockname()[1]
    return port, lambda: cast("Runs", app.state.runs), stop


async def run_aiohttp(schedule: Schedule) -> Running:
    """Run the aiohttp app, set up and cleaned up in tasks of their own, as some runners do."""
    app = aiohttp_app.make_app(schedule=schedule)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await asyncio.create_task(runner.setup())
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    return port, lambda: app[aiohttp_app.RUNS], lambda: asyncio.create_task(runner.cleanup())


RUNNERS = {"fastapi": run_fastapi, "aiohttp": run_aiohttp}
Open = Callable[[Schedule], contextlib.AbstractAsyncContextManager[_Site]]


@pytest.fixture(params=RUNNERS)
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Give what opens an app before a simulator of its own, and finds what it leaves behind."""
    run = RUNNERS[str(request.param)]

    @contextlib.asynccontextmanager
    async def open_site(schedule: Schedule) -> AsyncGenerator[_Site]:
        before = asyncio.all_tasks()
        async with Simulator() as sim:
            monkeypatch.setenv("COZE_API_BASE", sim.coze_url)
            monkeypatch.setenv("COZE_API_TOKEN", sim.coze_token)
            monkeypatch.setenv("COPYAI_API_BASE", sim.copyai_url)
            monkeypatch.setenv("COPYAI_API_KEY", sim.copyai_key)
            port, runs, stop = await run(schedule)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(stop)
                client = await stack.enter_async_context(aiohttp.ClientSession())
                yield _Site(f"http://127.0.0.1:{port}", runs(), sim, client, stop)
        await until(lambda: asyncio.all_tasks() <= before)  # what is cancelled needs a turn

    return open_site


@pytest.mark.parametrize("provider", ["coze", "copyai"])
async def test_a_run_is_started_and_its_result_waited_for(opened: Open, provider: Provider) -> None:
    """A client gets a reference for a workflow's run, and by it the outputs."""
    async with opened(FAST) as site:
        path, task = await site.started(provider, seconds=0.05)
        answer = await site.ask("GET", path)
        assert answer.status == 200
        assert "tea" in str(answer.body["outputs"])
        assert task.polls >= 2
        stats = site.runs.poller.stats()
        assert (stats.waiters, stats.pending) == (0, 0)


async def test_a_client_that_leaves_takes_only_its_own_wait_along(opened: Open) -> None:
    """Two clients cost the polls of one; a disconnect ends one wait, the last one the polling.

    So do two browsers that follow a run.
    """
    async with opened(SLOW) as site, asyncio.TaskGroup() as tasks:
        path, task = await site.started("copyai", seconds=60)
        leaver, stayer = site.asking(tasks, path), site.asking(tasks, path)
        await site.waiters(2)
        assert site.sim.requests[POLLS["copyai"]] == 1
        leaver.cancel()
        await site.waiters(1)
        task.ends_at = task.clock()
        site.runs.poller.wake(site.runs.copyai.workflow_run(task.place, task.id).key)
        async with asyncio.timeout(PATIENCE):
            assert (await stayer).status == 200
        path, _ = await site.started("copyai", seconds=60)
        last = site.asking(tasks, path)
        await site.waiters(1)
        last.cancel()
        await site.waiters(0)
        assert site.runs.poller.stats().pending == 0
        async with site.stream(path) as stays:
            await anext(stays)
            async with site.stream(path) as leaves:
                await anext(leaves)
                await site.waiters(2)
            await site.waiters(1)
        await site.waiters(0)
        assert site.runs.poller.stats().pending == 0


async def test_browsers_follow_a_run_with_one_look(opened: Open) -> None:
    """Each gets each change and the end; one that comes later gets the last change at once."""
    async with opened(SLOW) as site:
        path, task = await site.started("copyai", seconds=60)
        async with contextlib.AsyncExitStack() as stack:
            first, second = [await stack.enter_async_context(site.stream(path)) for _ in "12"]
            change = await anext(first)
            assert await anext(second) == change
            assert (change[0], change[1]["state"]) == ("change", "pending")
            assert site.sim.requests[POLLS["copyai"]] == 1
            third = await stack.enter_async_context(site.stream(path))
            assert await anext(third) == change
            assert site.sim.requests[POLLS["copyai"]] == 1
            task.ends_at = task.clock()
            site.runs.poller.wake(site.runs.copyai.workflow_run(task.place, task.id).key)
            for each in (first, second, third):
                (last, seen), (end, said) = [event async for event in each]
                assert (last, seen["state"], end, said["state"]) == (
                    *("change", "succeeded"),
                    *("end", "succeeded"),
                )
                assert "tea" in str(said["outputs"])
        assert site.sim.requests[POLLS["copyai"]] == 2


ENDS = [("coze", "fail"), ("copyai", "fail"), ("coze", "interrupt")]


@pytest.mark.parametrize(("provider", "outcome"), ENDS)
async def test_a_stream_says_how_a_run_ends(opened: Open, provider: Provider, outcome: str) -> None:
    """A bad end and a demand are the end of a stream, in the words of the result's own answer."""
    async with opened(FAST) as site:
        path, _ = await site.started(provider, outcome=outcome)
        async with site.stream(path) as coming:
            events = [event async for event in coming]
        assert [name for name, _ in events[-2:]] == ["change", "end"]
        said = events[-1][1]
        assert said["state"] == ("blocked" if outcome == "interrupt" else "failed")
        assert said["detail"]
        assert "advice" not in said["detail"]
        answer = await site.ask("GET", "/runs/x/events")
        assert answer.status == 400


async def test_a_silent_stream_has_heartbeats(opened: Open) -> None:
    """While nothing changes, a comment keeps proxies from closing it; a shutdown ends it."""
    async with opened(Schedule(first=600, factor=1, cap=600)) as site:
        path, _ = await site.started("coze", seconds=1000)
        async with site.stream(path) as coming:
            names = [(await anext(coming))[0] for _ in range(4)]
            assert names == ["change", "", "", ""]
            async with asyncio.timeout(2):
                await site.stop()
            assert [event async for event in coming] == []


async def test_a_webhook_makes_the_end_known_at_once(opened: Open) -> None:
    """The provider's own delivery has the run polled long before its schedule would."""
    async with opened(SLOW) as site:
        url = f"{site.url}/webhooks/copyai"
        await site.runs.copyai.register_webhook(url, event_type="workflowRun.completed")
        path, _ = await site.started("copyai", seconds=0.2)
        async with asyncio.timeout(PATIENCE):
            answer = await site.ask("GET", f"{path}?timeout=60")
        assert answer.status == 200
        assert site.sim.requests[POLLS["copyai"]] == 2


async def test_a_forged_or_doubled_webhook_changes_nothing_but_the_next_poll(opened: Open) -> None:
    """A delivery that lies costs polls; the result is what the provider says when it is asked."""
    async with opened(SLOW) as site, asyncio.TaskGroup() as tasks:
        path, task = await site.started("copyai", seconds=60)
        waiting = site.asking(tasks, path)
        await site.waiters(1)
        forged = {
            "type": "workflowRun.completed",
            "workflowRunId": task.id,
            "workflowId": task.place,
            "status": "COMPLETE",
            "result": {"Output 1": "forged"},
        }
        for polls in (2, 3):
            assert await site.deliver(forged) == 204
            await until(lambda: task.polls >= polls)  # noqa: B023  (awaited within the turn)
            await site.waiters(1)
        assert await site.deliver(forged | {"workflowRunId": "WRUN-unknown"}) == 204
        bodies: tuple[object, ...] = (b"", [], {}, {"type": "x", "workflowId": ".", "id": ".."})
        for body in bodies:
            assert await site.deliver(body) == 400
        assert not waiting.done()
        assert site.sim.requests[POLLS["copyai"]] == 3
        task.ends_at = task.clock()
        await site.deliver(forged)
        async with asyncio.timeout(PATIENCE):
            outputs = (await waiting).body["outputs"]
        assert "forged" not in str(outputs)


async def test_the_end_of_a_wait_has_its_status(opened: Open) -> None:
    """202 for a run that goes on, 502 for a failed one, 409 for one that asks, 404 for no run."""
    async with opened(FAST) as site:
        path, _ = await site.started("coze", seconds=60)
        answer = await site.ask("GET", f"{path}?timeout=0.1")
        assert answer.status == 202
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.body["state"] == "running"
        path, _ = await site.started("copyai", seconds=0, outcome="fail")
        answer = await site.ask("GET", path)
        assert (answer.status, answer.body["state"]) == (502, "failed")
        assert "A step failed, and so did its retries." in answer.body["detail"]
        assert ".snapshot" not in answer.body["detail"]  # advice for the app, not for its clients
        path, _ = await site.started("coze", seconds=0, outcome="interrupt")
        assert (await site.ask("GET", path)).status == 409
        assert (await site.start("copyai", "missing-1")).status == 404
        forgotten = TaskRef("coze", "workflow_run", {"workflow_id": "1", "execute_id": "2"}, 1)
        path = f"/runs/{quote(encode_ref(forgotten), safe='')}/result"
        assert (await site.ask("GET", path)).status == 404


async def test_bad_requests_are_refused_before_anything_is_sent(opened: Open) -> None:
    """A forged reference, a timeout that cannot be and a malformed start are the client's fault."""
    async with opened(FAST) as site:
        chat = TaskRef("coze", "chat", {"conversation_id": "1", "chat_id": "2"})
        refs = ("{}", "x/y", '{"provider":"z","kind":"k","ids":{},"v":1}', encode_ref(chat))
        for ref in refs:
            answer = await site.ask("GET", f"/runs/{quote(ref, safe='')}/result")
            assert answer.status == 400, ref
        for timeout in ("0", "-1", "61", "nan", "inf", "soon", ""):
            assert (await site.ask("GET", f"/runs/x/result?timeout={timeout}")).status == 422
        for body in (b"", b"[]", b'{"provider": "other", "workflow_id": "1"}'):
            assert (await site.ask("POST", "/runs", body)).status == 422
        assert (await site.start("coze", "..")).status == 422
        assert not site.sim.requests


async def test_what_the_provider_does_not_take_has_its_status(opened: Open) -> None:
    """Wrong credentials are 500, and no business of the client; a start in doubt is 502 and one."""
    async with opened(FAST) as site:
        path, _ = await site.started("coze", seconds=60)
        site.sim.order("unauthorized", times=2)
        for answer in (await site.start("coze"), await site.ask("GET", path)):
            assert answer.status == 500
            assert answer.body == {"detail": "the provider does not take this server's credentials"}
        starts = site.sim.requests["coze.run"]
        site.sim.order("html_502")
        answer = await site.start("coze")
        assert (answer.status, answer.body["may_have_started"]) == (502, True)
        assert site.sim.requests["coze.run"] == starts + 1


async def test_a_start_outlives_the_client_that_asked_for_it(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A start whose client leaves is brought to its end, and what was started is in the log."""
    caplog.set_level(logging.INFO, "remote_runs")
    async with opened(FAST) as site, asyncio.TaskGroup() as tasks:
        site.sim.order("busy")
        leaver = tasks.create_task(site.start("coze"))
        await until(lambda: site.sim.requests["coze.run"] > 0)
        leaver.cancel()
        await until(lambda: len(site.sim.tasks) == 1)
        (task_id,) = site.sim.tasks
        await until(lambda: task_id in caplog.text)


async def test_a_shutdown_ends_pending_waits_with_an_answer(opened: Open) -> None:
    """A server that stops answers each wait with "ask again", and does not wait for the runs."""
    async with opened(SLOW) as site, asyncio.TaskGroup() as tasks:
        path, _ = await site.started("coze", seconds=60)
        asked = [site.asking(tasks, path, timeout=60) for _ in range(3)]
        await site.waiters(3)
        async with asyncio.timeout(2):
            await site.stop()
        for answer in await asyncio.gather(*asked):
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
        assert site.runs.poller.stats().waiters == 0
        assert "closed" in repr(site.runs.poller)


@real_time
@pytest.mark.timeout(4 * PROCESS_PATIENCE)
@pytest.mark.parametrize("script", ["fastapi_app.py", "aiohttp_app.py"])
async def test_each_script_runs_with_no_account(script: str) -> None:
    """With `--simulate` a script serves both providers, webhooks included, until it is stopped.

    The FastAPI one is on uvloop then, which `uvicorn[standard]` brings.
    """
    if script == "fastapi_app.py":
        pytest.importorskip("fastapi")
        pytest.importorskip("uvicorn")
        pytest.importorskip("uvloop")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-u", str(EXAMPLES / script), "--simulate", "--port", str(port))
    clean = {name: value for name, value in os.environ.items() if "_API_" not in name}
    process = await asyncio.create_subprocess_exec(
        *command, env=clean, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}"
    order = {"provider": "copyai", "workflow_id": "WCFG-1", "inputs": {"simulate": {"seconds": 1}}}
    try:
        async with asyncio.timeout(PROCESS_PATIENCE), aiohttp.ClientSession() as client:
            assert process.stdout is not None
            output = b""
            while f"unning on {url}".encode() not in output:
                line = await process.stdout.readline()
                assert line, f"it ended with {output.decode()}"
                output += line

            async def got(what: str) -> tuple[int, bytes]:
                """Start a run; ask for its result, or follow its events."""
                async with client.post(f"{url}/runs", json=order) as response:
                    path = (await response.json())[what]
                async with client.get(URL(url + path, encoded=True)) as response:
                    return response.status, await response.read()

            ends = await asyncio.gather(*(got("result") for _ in range(20)))
            assert [status for status, _ in ends] == [200] * 20
            # It has learned that there is nothing to see for a second: one change may be all.
            _, events = await got("events")
            assert re.findall(rb"event: (\w+)", events)[-2:] == [b"change", b"end"]
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PROCESS_PATIENCE):
            rest, _ = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in output + rest
        assert b"Unclosed" not in output + rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
