"""Copy.ai's webhooks: the registrations and the deliveries, on this machine only."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from asyncclient._http import is_loopback
from asyncclient.testing.simulator.tasks import SimulatedTask, Word, World

EVENTS = (
    "workflowRun.started",
    "workflowRun.completed",
    "workflowRun.failed",
    "workflowCreditLimit.reached",
)

_DELIVERY_SECONDS = 30.0
_log = logging.getLogger(__name__)


class _RunObject(Protocol):
    def __call__(self, task: SimulatedTask, word: Word, *, is_done: bool) -> dict[str, Any]: ...


def leads_here(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and is_loopback(parts.hostname or "")
    except ValueError:
        return False


class Webhooks:
    """The registrations, a timer for each run that someone waits for, and the deliveries."""

    def __init__(self, world: World, run_object: _RunObject) -> None:
        self.registered: dict[str, dict[str, Any]] = {}
        self._world = world
        self._run_object = run_object
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def register(self, url: str, event_type: str, workflow_id: str | None) -> dict[str, Any]:
        """Keep a registration; runs under way are followed from now on."""
        hook: dict[str, Any] = {"id": self._world.uuid(), "url": url, "eventType": event_type}
        if workflow_id is not None:
            hook["workflowId"] = workflow_id
        self.registered[hook["id"]] = hook
        for task in self._world.tasks.values():
            if task.kind == "copyai.workflow_run" and not task.is_done:
                self._watch(task)
        return hook

    def follow(self, task: SimulatedTask) -> None:
        """Report that a run has started, and be ready to report its end."""
        self._report("workflowRun.started", task, "NEW", is_done=False)
        self._watch(task)

    def credits_are_out(self, workflow_id: str, metadata: dict[str, Any] | None) -> None:
        """Report that the credits are spent; what the real body holds is unknown."""
        event = "workflowCreditLimit.reached"
        self._send(event, workflow_id, {"workflowId": workflow_id, "metadata": metadata})

    def _watch(self, task: SimulatedTask) -> None:
        """Set a timer for a run's end, if anyone asked for a report of it."""
        ends = {"workflowRun.completed", "workflowRun.failed"}
        if task.id in self._timers or not any(self._urls(event, task.place) for event in ends):
            return
        loop = asyncio.get_running_loop()
        self._timers[task.id] = loop.call_at(task.ends_at, self._ended, task)

    def _ended(self, task: SimulatedTask) -> None:
        self._timers.pop(task.id, None)
        if task.outcome == "fail":
            self._report("workflowRun.failed", task, "FAILED", is_done=True)
        else:
            self._report("workflowRun.completed", task, "COMPLETE", is_done=True)

    def _report(self, event: str, task: SimulatedTask, word: str, *, is_done: bool) -> None:
        if not self._urls(event, task.place):
            return
        run = self._run_object(task, word, is_done=is_done)
        self._send(event, task.place, self._payload(run, task))

    def _payload(self, run: dict[str, Any], task: SimulatedTask) -> dict[str, Any]:
        """Return one of the three shapes that are documented or observed, in turn."""
        turn = self._world.turn("copyai.webhook") % 3
        if turn == 0:
            extra = {
                "workflowRunId": task.id,
                "workflowId": task.place,
                "error": None,
                "toolKey": None,
            }
            return extra | run
        result: object = run["output"]
        if turn == 2:
            result = {"output": msgspec.json.encode(result).decode()}
        return {
            "workflowRunId": task.id,
            "workflowId": task.place,
            "result": result,
            "metadata": run["metadata"],
        }

    def _urls(self, event: str, workflow_id: str) -> list[str]:
        return [
            hook["url"]
            for hook in self.registered.values()
            if hook["eventType"] == event and hook.get("workflowId", workflow_id) == workflow_id
        ]

    def _send(self, event: str, workflow_id: str, payload: dict[str, Any]) -> None:
        body = msgspec.json.encode({"type": event, **payload})
        for url in self._urls(event, workflow_id):
            delivery = asyncio.get_running_loop().create_task(self._deliver(url, body))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def _deliver(self, url: str, body: bytes) -> None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_DELIVERY_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        headers = {"Content-Type": "application/json"}
        try:
            # A redirect could lead off this machine.
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # No retries are documented: a delivery that fails is lost.
            _log.debug("A webhook could not be delivered to %s: %s", url, error)

    async def close(self) -> None:
        """Cancel timers and deliveries, and close the session."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        deliveries = list(self._deliveries)
        for delivery in deliveries:
            delivery.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None
