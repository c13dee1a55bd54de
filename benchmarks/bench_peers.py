"""How much does a poll cost beside Coze's own SDK and beside bare httpx?

Each contender reads the same run history into its own typed objects (httpx: with this project's
structs), to 300 tasks in turn, from a server in another process.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable
from operator import attrgetter
from typing import Protocol, cast

import httpx
import msgspec
from loopback import serving
from turns import Request, in_turn, report, versions

from asyncclient import SessionPool
from asyncclient.providers.coze import Coze, WorkflowRun

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # one of its dependencies warns when it is imported
    from cozepy import AsyncCoze, AsyncTokenAuth

TASKS = 300
REQUESTS = 400
ROUNDS = 12
CONCURRENT = (50, 1)  # and one at a time, since httpx's pool costs more the more wait for it
WORKFLOW = "7350583675492311040"


class Retrieve(Protocol):
    """What is called of the SDK."""

    def __call__(self, *, workflow_id: str, execute_id: str) -> Awaitable[object]:
        """Read one run history."""
        ...


class Envelope(msgspec.Struct):
    """The answer's declared shape."""

    data: list[WorkflowRun]
    code: int = 0


decoder = msgspec.json.Decoder(Envelope)


def execute_id(number: int) -> str:
    """Return the id of one of the tasks."""
    return str(7535298640308535332 + number % TASKS)


async def by_httpx(client: httpx.AsyncClient, number: int) -> WorkflowRun:
    """Read one run history with httpx and msgspec."""
    path = f"/v1/workflows/{WORKFLOW}/run_histories/{execute_id(number)}"
    response = await client.get(path)
    response.raise_for_status()
    return decoder.decode(response.content).data[0]


async def main() -> None:
    """Measure and print."""
    print(versions("aiohttp", "msgspec", "httpx", "cozepy"))
    with serving() as url:
        theirs = AsyncCoze(auth=AsyncTokenAuth("pat_benchmark"), base_url=url)
        # Its `**kwargs` have no types.
        retrieve = cast("Retrieve", attrgetter("retrieve")(theirs.workflows.runs.run_histories))
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        headers = {"Authorization": "Bearer pat_benchmark"}
        async with (
            SessionPool() as pool,
            httpx.AsyncClient(base_url=url, headers=headers, limits=limits) as client,
        ):
            coze = Coze(pool, token="pat_benchmark", base_url=url)
            handles = [coze.workflow_run(WORKFLOW, execute_id(n)) for n in range(TASKS)]
            contenders: dict[str, Request] = {
                "asyncclient": lambda n: handles[n % TASKS].poll(),
                "bare httpx + msgspec": lambda n: by_httpx(client, n),
                "cozepy": lambda n: retrieve(workflow_id=WORKFLOW, execute_id=execute_id(n)),
            }
            for concurrent in CONCURRENT:
                print(
                    f"\n{ROUNDS} rounds of {REQUESTS} requests, {concurrent} at a time, in turn\n"
                )
                seconds = await in_turn(
                    contenders, rounds=ROUNDS, requests=REQUESTS, concurrent=concurrent
                )
                report(seconds, to="asyncclient", requests=REQUESTS)


asyncio.run(main())
