"""The simulated Copy.ai: its seven operations, with their quirks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.server import Call, Endpoint, Provider, Route
from asyncclient.testing.simulator.tasks import (
    Fate,
    Outcome,
    SimulatedTask,
    Word,
    World,
    is_right,
    read_fate,
)
from asyncclient.testing.simulator.webhooks import EVENTS, Webhooks, leads_here

RUN = "copyai.workflow_run"

_OUTCOMES = frozenset[Outcome](("success", "fail", "plain_text"))
# Share of its seconds after which a run says the next word.
_WALK = ((0.1, "NEW"), (0.3, "WAITING"))
_RETRYING = (0.6, 0.8)
_MAX_SIZE = 100


class _RunBody(msgspec.Struct, rename="camel"):
    start_variables: dict[str, Any]
    metadata: dict[str, Any] | None = None


class _WebhookBody(msgspec.Struct, rename="camel"):
    url: str
    event_type: str
    workflow_id: str | None = None


class SimulatedCopyAI(Provider):
    """Copy.ai as the simulator speaks it."""

    prefix = "/api"

    def __init__(self, world: World, key: str | None) -> None:
        """Take what the providers share, and the key that is right (None: any)."""
        self._world = world
        self._key = key
        self.webhooks = Webhooks(world, self._run_object)

    def routes(self) -> Iterator[Route]:
        """Return every operation with its handler."""
        runs, hooks = "/workflow/{workflow_id}/run", "/webhook"
        yield Endpoint("copyai.run", "POST", runs, "start"), self._start
        yield Endpoint("copyai.get_run", "GET", runs + "/{run_id}", "poll"), self._get
        yield Endpoint("copyai.list_runs", "GET", runs, "list"), self._list
        yield Endpoint("copyai.register_webhook", "POST", hooks), self._register
        yield Endpoint("copyai.get_webhook", "GET", hooks + "/{webhook_id}"), self._get_webhook
        yield Endpoint("copyai.list_webhooks", "GET", hooks, "list"), self._list_webhooks
        yield Endpoint("copyai.delete_webhook", "DELETE", hooks + "/{webhook_id}"), self._delete

    # -- answers ------------------------------------------------------------------------------

    def _answer(self, payload: object, status: int = HTTPStatus.OK) -> web.Response:
        body = msgspec.json.encode(payload)
        return web.Response(status=status, body=body, content_type="application/json")

    def _data(self, data: object) -> web.Response:
        return self._answer({"status": "success", "data": data})

    def _refuse(self, status: int, code: str, **details: str) -> web.Response:
        payload: dict[str, object] = {"status": "error", "errorCode": code}
        return self._answer(payload | ({"details": details} if details else {}), status)

    def admit(self, call: Call) -> web.Response | None:
        """Check the key; no limits of rate are documented."""
        key = call.request.headers.get("x-copy-ai-api-key", "")
        if key == self._key if self._key is not None else is_right(key):
            return None
        return self.unauthorized()

    def invalid(self, message: str) -> web.Response:
        """Answer a validation error; the code's own name is documented nowhere."""
        return self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", message=message)

    def unknown_path(self) -> web.Response:
        """Answer a path that does not exist."""
        return self._refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND")

    def rate_limited(self, retry_after: str) -> web.Response:
        """Answer 429, of which nothing is documented: the body is not JSON."""
        headers = {"Retry-After": retry_after}
        return web.Response(
            status=HTTPStatus.TOO_MANY_REQUESTS, text="Too Many Requests", headers=headers
        )

    def unavailable(self) -> web.Response:
        """Answer 503."""
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="Service Unavailable")

    def unauthorized(self) -> web.Response:
        """Answer 401, of which nothing is documented: the body is empty."""
        return web.Response(status=HTTPStatus.UNAUTHORIZED)

    def missing(self, endpoint: Endpoint) -> web.Response:
        """Answer that there is no such thing."""
        del endpoint
        return self.unknown_path()

    # -- runs ---------------------------------------------------------------------------------

    async def _start(self, call: Call) -> web.Response:
        body = call.decode(_RunBody)
        workflow_id = call.path("workflow_id")
        if workflow_id.startswith("missing"):
            return self.missing(call.endpoint)
        fate = read_fate(body.start_variables)
        if fate.outcome == "out_of_credits":
            self.webhooks.credits_are_out(workflow_id, body.metadata)
            return self._refuse(HTTPStatus.BAD_REQUEST, "WORKFLOW_CREDIT_LIMIT_REACHED")
        task = self._world.start(
            RUN,
            _with_marker(fate, body.metadata),
            task_id=f"WRUN-{self._world.uuid()}",
            place=workflow_id,
            start_marker=body.start_variables if body.metadata is None else body.metadata,
            outcomes=_OUTCOMES,
        )
        task.details = {
            "input": body.start_variables,
            "metadata": body.metadata,
            "retries": self._world.random.random() < 0.3,
        }
        self.webhooks.follow(task)
        return self._data({"id": task.id})

    async def _get(self, call: Call) -> web.Response:
        task = self._world.find(RUN, call.path("run_id"), call.path("workflow_id"))
        is_done = task.is_done
        word, is_done = call.show(task, _word(task, is_done=is_done), is_done=is_done)
        return self._data(self._run_object(task, word, is_done=is_done))

    async def _list(self, call: Call) -> web.Response:
        # The list of runs counts its pages from 1, that of webhooks from 0.
        page = _page(call, first=1)
        place = call.path("workflow_id")
        runs = [
            task for task in self._world.tasks.values() if (task.kind, task.place) == (RUN, place)
        ]
        rows = [self._listed(task) for task in runs[::-1][page]]
        return self._data({"total": self._number(len(runs)), "data": rows})

    def _listed(self, task: SimulatedTask) -> dict[str, Any]:
        is_done = task.is_done
        run = self._run_object(task, _word(task, is_done=is_done), is_done=is_done)
        del run["output"]  # the page's example has none in a list
        return run

    def _number(self, number: int) -> int | str:
        # Integers by the schema, text in its examples.
        return str(number) if self._world.turn("copyai.number") % 2 else number

    def _run_object(self, task: SimulatedTask, word: Word, *, is_done: bool) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._world.wall(task.started), UTC)
        precision = "seconds" if task.number % 2 else "milliseconds"
        run: dict[str, Any] = {
            "id": task.id,
            "status": word,
            "input": task.details["input"],
            "output": {"Output 1": "The first step is done."} if task.share > 0.5 else {},
            "metadata": task.details["metadata"],
            "createdAt": created.isoformat(timespec=precision).replace("+00:00", "Z"),
            "credits": self._number(2),
        }
        if word is None:
            del run["status"]
        # Observed deliveries have these four, the page's example has not.
        if task.shape != "doc" and (task.shape == "live" or task.number % 2 == 0):
            run |= {
                "workflowRunId": task.id,
                "workflowId": task.place,
                "error": None,
                "toolKey": None,
            }
        if is_done and task.outcome == "fail":
            run |= {"output": None, "error": "A step failed, and so did its retries."}
        elif is_done:
            run["output"] = _output(task)
        return run

    # -- webhooks -----------------------------------------------------------------------------

    async def _register(self, call: Call) -> web.Response:
        body = call.decode(_WebhookBody)
        if body.event_type not in EVENTS:
            return self.invalid(f"eventType must be one of {', '.join(EVENTS)}")
        if not leads_here(body.url):
            return self.invalid("the simulator delivers to loopback addresses only")
        if (body.workflow_id or "").startswith("missing"):
            return self.missing(call.endpoint)
        hook = self.webhooks.register(body.url, body.event_type, body.workflow_id)
        return self._data(hook)

    async def _get_webhook(self, call: Call) -> web.Response:
        hook = self.webhooks.registered.get(call.path("webhook_id"))
        return self.missing(call.endpoint) if hook is None else self._data(hook)

    async def _list_webhooks(self, call: Call) -> web.Response:
        page = _page(call, first=0)
        hooks = list(self.webhooks.registered.values())
        # This answer alone comes without the status envelope.
        return self._answer({"total": self._number(len(hooks)), "data": hooks[page]})

    async def _delete(self, call: Call) -> web.Response:
        hook = self.webhooks.registered.pop(call.path("webhook_id"), None)
        # What the real answer holds is unknown: no one reads it.
        return self.missing(call.endpoint) if hook is None else web.Response()


def _with_marker(fate: Fate, metadata: dict[str, Any] | None) -> Fate:
    """Take the marker from the metadata unless the order has one."""
    marker = (metadata or {}).get("marker")
    if fate.marker or not isinstance(marker, str):
        return fate
    return msgspec.structs.replace(fate, marker=marker)


def _word(task: SimulatedTask, *, is_done: bool) -> str:
    if is_done:
        return "FAILED" if task.outcome == "fail" else "COMPLETE"
    share = task.share
    if task.details["retries"] and _RETRYING[0] <= share < _RETRYING[1]:
        return "RETRYING"
    return next((word for until, word in _WALK if share < until), "PROCESSING")


def _output(task: SimulatedTask) -> dict[str, str]:
    if task.outcome == "plain_text":
        return {"Output 1": "Plain text."}
    inputs = {name: value for name, value in task.details["input"].items() if name != "simulate"}
    # Values are text, and often JSON text.
    structured = msgspec.json.encode({"input": inputs}).decode()
    return {"Output 1": "The first step is done.", "final_output": structured}


def _page(call: Call, *, first: int) -> slice:
    size, page = call.query("size", "10"), call.query("page", str(first))
    are_numbers = size.isdecimal() and page.isdecimal()
    if not (are_numbers and 1 <= int(size) <= _MAX_SIZE and int(page) >= first):
        message = f"size must be 1 to {_MAX_SIZE} and page at least {first}"
        raise msgspec.ValidationError(message)
    start = (int(page) - first) * int(size)
    return slice(start, start + int(size))
