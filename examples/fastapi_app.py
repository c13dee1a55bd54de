"""A FastAPI app whose clients start remote runs and wait for them; see the README beside it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from socket import socket
from typing import Annotated, Literal, TypeVar

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
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

T = TypeVar("T")

routes = APIRouter()


def runs_of(request: Request) -> Runs:
    """Give a route what the whole app shares."""
    runs: Runs = request.app.state.runs
    return runs


SharedRuns = Annotated[Runs, Depends(runs_of)]


class Start(BaseModel):
    """The body of `POST /runs`."""

    provider: Literal["coze", "copyai"]
    workflow_id: str
    inputs: dict[str, object] = {}


@routes.post("/runs", status_code=201)
async def start_run(start: Start, runs: SharedRuns) -> dict[str, str]:
    """Start a workflow."""
    return await runs.start(start.provider, start.workflow_id, start.inputs)


@routes.get("/runs/{ref:path}/result")
async def result_of_run(
    request: Request,
    ref: str,
    runs: SharedRuns,
    timeout: Annotated[float, Query(gt=0, le=LONGEST_WAIT)] = 30.0,
) -> dict[str, object]:
    """Wait for a run; 202 if it has not ended in time."""
    return {"outputs": await while_connected(request, runs.outputs(ref, timeout))}


@routes.get("/runs/{ref:path}/events")
async def events_of_run(ref: str, runs: SharedRuns) -> StreamingResponse:
    """Follow a run; Starlette ends the stream when its client leaves."""
    return StreamingResponse(runs.events(ref), headers=EVENT_HEADERS, media_type=EVENT_STREAM)


@routes.post("/webhooks/copyai", status_code=204)
async def copyai_webhook(request: Request, runs: SharedRuns) -> None:
    """Take a delivery, which may be anyone's."""
    runs.wake(await request.body())


async def while_connected(request: Request, wait: Coroutine[object, object, T]) -> T:
    """Wait for as long as the client does.

    Neither Starlette nor uvicorn cancels a route when its client leaves: they only say so to
    those that listen.
    """
    waiting = asyncio.ensure_future(wait)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise Problem(499, "the client has left")  # which no one reads
    finally:
        waiting.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # what comes before it is the request's body


async def _refuse(_request: Request, error: Exception) -> Response:
    problem = problem_of(error) if isinstance(error, AsyncClientError) else error
    if not isinstance(problem, Problem):
        raise error
    return JSONResponse(problem.body, problem.status, problem.headers)


def make_app(
    *,
    schedule: Schedule | None = None,
    around: contextlib.AbstractAsyncContextManager[object] | None = None,
) -> FastAPI:
    """Make the app; `around` is entered before anything else and left last."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with (
            around or contextlib.nullcontext(),
            SessionPool() as pool,
            Poller(schedule=schedule) as poller,
        ):
            app.state.runs = Runs(pool, poller)
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(routes)
    app.add_exception_handler(AsyncClientError, _refuse)
    app.add_exception_handler(Problem, _refuse)
    return app


class Server(uvicorn.Server):
    """Uvicorn, but ending the app's waits before it waits for its requests to end.

    By itself it leaves the lifespan only when the last request has been answered.
    """

    def __init__(self, app: FastAPI, port: int) -> None:
        super().__init__(uvicorn.Config(app, port=port, timeout_graceful_shutdown=5, ws="none"))
        self.app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop."""
        runs: Runs = self.app.state.runs
        await runs.aclose()
        await super().shutdown(sockets)


app = make_app()  # for `uvicorn --timeout-graceful-shutdown 5 fastapi_app:app`

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--simulate", action="store_true", help="play the providers on loopback")
    options = parser.parse_args()
    played = simulated(options.port) if options.simulate else None
    with contextlib.suppress(KeyboardInterrupt):
        Server(make_app(around=played), options.port).run()
