"""The web app: it starts jobs, hands their waits over, and shows them live. It holds no wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncGenerator
from typing import Annotated, Literal

import anyio
import msgspec
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from jobs import Board, clients
from pydantic import BaseModel

from asyncclient import SessionPool
from asyncclient.errors import AsyncClientError
from asyncclient.integrations.docket import DocketWaits
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

LOOK_GAP = 0.3  # seconds between two looks at the board
PAGE = """<!doctype html>
<title>Jobs</title>
<style>
  body { font: 16px system-ui; margin: 2em auto; max-width: 60em }
  td, th { padding: .3em .8em; text-align: left } .failed { color: #b00 } .succeeded { color: #070 }
</style>
<h1>Jobs</h1>
<button data-provider="coze">Start at Coze</button>
<button data-provider="copyai">Start at Copy.ai</button>
<span id="line"></span>
<table>
  <thead><tr><th>job<th>provider<th>state<th>polls<th>outputs</thead><tbody id="jobs"></tbody>
</table>
<script>
  const line = document.getElementById("line"), body = document.getElementById("jobs");
  for (const button of document.querySelectorAll("button"))
    button.onclick = () => fetch("/jobs", {method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({provider: button.dataset.provider, inputs: {topic: "tea"}})});
  const events = new EventSource("/events");     // the browser connects again by itself
  events.onopen = () => line.textContent = "";
  events.onerror = () => line.textContent = "the app is away; the waits go on";
  events.onmessage = event => body.replaceChildren(...JSON.parse(event.data).map(job => {
    const row = document.createElement("tr");
    row.className = job.state;
    const shown = job.error ?? (job.outputs === null ? "" : JSON.stringify(job.outputs));
    for (const text of [job.key.slice(0, 8), job.provider, job.state, job.polls, shown])
      row.insertCell().textContent = text;
    return row;
  }));
</script>
"""

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
async def page() -> HTMLResponse:
    """Show all jobs live."""
    return HTMLResponse(PAGE)


@routes.post("/jobs", status_code=201)
async def start_job(start: Start, site: SharedSite) -> dict[str, str]:
    """Start a job, once: a start that may have happened is never made again."""
    client: Coze | CopyAI = site.clients[start.provider]

    async def start_and_hand_over() -> str:
        run = await client.start_workflow(start.workflow_id, start.inputs)
        key = uuid.uuid4().hex
        await site.board.add(key, run.ref)
        return key

    try:
        # A client that leaves must not lose what it has paid for.
        key = await asyncio.shield(start_and_hand_over())
    except AsyncClientError as error:
        raise HTTPException(502, str(error)) from error
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
                yield b"data: " + now + b"\n\n"
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
