"""An aiohttp app whose clients start remote runs and wait for them; see the README beside it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from remote_runs import (
    EVENT_HEADERS,
    EVENT_STREAM,
    LONGEST_WAIT,
    Problem,
    Runs,
    problem_of,
    simulated,
)

from asyncclient import Poller, Schedule, SessionPool
from asyncclient.errors import AsyncClientError

RUNS = web.AppKey("RUNS", Runs)

routes = web.RouteTableDef()


class Start(msgspec.Struct):
    """The body of `POST /runs`."""

    provider: Literal["coze", "copyai"]
    workflow_id: str
    inputs: dict[str, object] = {}


@routes.post("/runs")
async def start_run(request: web.Request) -> web.Response:
    """Start a workflow."""
    try:
        start = msgspec.json.decode(await request.read(), type=Start)
    except msgspec.DecodeError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    starting = request.app[RUNS].start(start.provider, start.workflow_id, start.inputs)
    # A client that leaves cancels this handler, but a start half made may have cost something.
    return web.json_response(await asyncio.shield(starting), status=HTTPStatus.CREATED)


@routes.get("/runs/{ref:.+}/result")
async def result_of_run(request: web.Request) -> web.Response:
    """Wait for a run; 202 if it has not ended in time."""
    try:
        timeout = float(request.query.get("timeout", "30"))
    except ValueError:
        timeout = 0.0
    if not 0 < timeout <= LONGEST_WAIT:
        reason = f"timeout must be a number of seconds, at most {LONGEST_WAIT}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, reason)
    outputs = await request.app[RUNS].outputs(request.match_info["ref"], timeout)
    return web.json_response({"outputs": outputs})


@routes.get("/runs/{ref:.+}/events")
async def events_of_run(request: web.Request) -> web.StreamResponse:
    """Follow a run, until it ends or the client leaves, which cancels this handler."""
    async with contextlib.aclosing(request.app[RUNS].events(request.match_info["ref"])) as events:
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, **EVENT_HEADERS})
        await response.prepare(request)
        async for event in events:
            await response.write(event.encode())
    return response


@routes.post("/webhooks/copyai")
async def copyai_webhook(request: web.Request) -> web.Response:
    """Take a delivery, which may be anyone's."""
    request.app[RUNS].wake(await request.read())
    return web.Response(status=HTTPStatus.NO_CONTENT)


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (AsyncClientError, Problem) as error:
        problem = error if isinstance(error, Problem) else problem_of(error)
        return web.json_response(problem.body, status=problem.status, headers=problem.headers)


def make_app(
    *,
    schedule: Schedule | None = None,
    around: contextlib.AbstractAsyncContextManager[object] | None = None,
) -> web.Application:
    """Make the app; `around` is entered before anything else and left last."""

    async def shared(app: web.Application) -> AsyncGenerator[None]:
        async with (
            around or contextlib.nullcontext(),
            SessionPool() as pool,
            Poller(schedule=schedule) as poller,
        ):
            app[RUNS] = Runs(pool, poller)
            yield

    app = web.Application(middlewares=[_refuse])
    app.add_routes(routes)
    app.cleanup_ctx.append(shared)
    app.on_shutdown.append(_end_waits)  # comes before aiohttp waits for its requests to end
    return app


async def _end_waits(app: web.Application) -> None:
    await app[RUNS].aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--simulate", action="store_true", help="play the providers on loopback")
    options = parser.parse_args()
    played = simulated(options.port) if options.simulate else None
    # Without `handler_cancellation` a client that leaves goes unnoticed until its wait is over.
    web.run_app(
        make_app(around=played), host="127.0.0.1", port=options.port, handler_cancellation=True
    )
