"""The web app: it starts jobs, hands their waits over, and shows them live. It holds no wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Literal

import anyio
import msgspec
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from jobs import Board, clients, in_words
from pydantic import BaseModel

from asyncclient import SessionPool
from asyncclient.errors import AsyncClientError
from asyncclient.integrations.docket import DocketWaits
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

LOOK_GAP = 0.3  # seconds between two looks at the board
PAGE = Path(__file__).with_name("page.html")

routes = APIRouter()


class Start(BaseModel):
    """The body of `POST /jobs`."""

    provider: Literal["coze", "copyai"]
    workflow_id: str = "7350"
    inputs: dict[str, object] = {}


class Site:
    """What all requests share."""

    def __init__(self, pool: SessionPool, waits: DocketWaits) -> None:
        self.clients = clients(pool)
        self.board = Board(waits)


def site_of(request: Request) -> Site:
    """Give a route what the whole app shares."""
    site: Site = request.app.state.site
    return site


SharedSite = Annotated[Site, Depends(site_of)]


@routes.get("/")
async def page() -> FileResponse:
    """Show all jobs live."""
    return FileResponse(PAGE)


@routes.post("/jobs", status_code=201)
async def start_job(start: Start, site: SharedSite) -> dict[str, str]:
    """Start a job, once: a start that may have happened is never made again."""
    client: Coze | CopyAI = site.clients[start.provider]

    async def start_and_hand_over() -> str:
        run = await client.start_workflow(start.workflow_id, start.inputs)
        return await site.board.add(run.ref)

    try:
        # A client that leaves must not lose what it has paid for.
        key = await asyncio.shield(start_and_hand_over())
    except AsyncClientError as error:
        unsure = "it is not known whether a job was started"
        said = unsure if error.may_have_started else "no job was started"
        raise HTTPException(502, f"{said}: {in_words(error)}") from error
    return {"key": key}


@routes.get("/jobs")
async def list_jobs(site: SharedSite) -> list[dict[str, object]]:
    """Return all jobs."""
    return [msgspec.to_builtins(job) for job in await site.board.jobs()]


@routes.get("/events")
async def events(site: SharedSite) -> StreamingResponse:
    """Send all jobs as they stand, again at each change."""

    async def stream() -> AsyncGenerator[bytes]:
        shown = b""
        yield b"retry: 500\n\n"
        while True:
            now = msgspec.json.encode(await site.board.jobs())
            if now != shown:
                shown = now
                # The time is the event's id, so that the page knows by how much its clock differs.
                yield f"id: {time.time():.3f}\n".encode() + b"data: " + now + b"\n\n"  # noqa: TID251
            else:
                yield b":\n\n"  # or a client that has gone would not be noticed
            await anyio.sleep(LOOK_GAP)

    return StreamingResponse(stream(), media_type="text/event-stream")


def make_app(url: str) -> FastAPI:
    """Make the app; `url` is the server's that keeps the tickets."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with SessionPool() as pool, DocketWaits(url) as waits:
            app.state.site = Site(pool, waits)
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(routes)
    return app


app = make_app(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
