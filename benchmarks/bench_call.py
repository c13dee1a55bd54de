"""What does an endpoint coroutine cost beside the same request written by hand?

The peer is what a careful developer writes with aiohttp and msgspec alone: one session, a lean
struct of the ten fields that are needed, the status and the business code checked. Both send the
same bytes (checked here first), 50 at a time, to a server in another process: to one URL, and to
those of 300 tasks in turn as polls do; on asyncio and on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import uvloop
from loopback import serving
from turns import in_turn, report, versions

from asyncclient import SessionPool
from asyncclient.errors import AsyncClientError
from asyncclient.providers.coze import Coze

TASKS = 300
REQUESTS = 900
ROUNDS = 40
CONCURRENT = 50
BY_HAND = "by hand, aiohttp + msgspec"
WORKFLOW = "7350583675492311040"
HEADERS = {"Authorization": "Bearer pat_benchmark", "Content-Type": "application/json"}
USER_AGENT = {"User-Agent": f"asyncclient Python/{sys.version_info.major}.{sys.version_info.minor}"}


class Run(msgspec.Struct):
    """The ten fields of a run that its user needs."""

    execute_id: str
    execute_status: str
    output: str = ""
    error_code: str = ""
    error_message: str = ""
    debug_url: str = ""
    create_time: int = 0
    update_time: int = 0
    token: str = ""
    logid: str = ""


class Envelope(msgspec.Struct):
    """The answer's declared shape, as a developer would write it."""

    data: list[Run]
    code: int = 0
    msg: str = ""


decoder = msgspec.json.Decoder(Envelope)


IDS = [str(7535298640308535332 + number) for number in range(TASKS)]


async def by_hand(session: aiohttp.ClientSession, url: str, execute_id: str) -> Run:
    """Read one run history with aiohttp and msgspec alone."""
    target = f"{url}/v1/workflows/{WORKFLOW}/run_histories/{execute_id}"
    async with session.get(target, headers=HEADERS) as response:
        response.raise_for_status()
        envelope = decoder.decode(await response.read())
    if envelope.code:
        raise RuntimeError(envelope.msg)
    return envelope.data[0]


async def sent_by(request: Callable[[str], Awaitable[object]]) -> list[bytes]:
    """Return the lines that a request puts on the wire, sorted."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # It is not answered: only what was sent matters.
    with contextlib.suppress(aiohttp.ClientError, AsyncClientError):
        await request(f"http://127.0.0.1:{port}")
    server.close()
    return sorted(line for line in heads[0].split(b"\r\n") if not line.startswith(b"Host:"))


async def check_that_both_send_the_same() -> None:
    """Fail unless the two requests are the same bytes, but for the order of headers."""

    async def ours(url: str) -> object:
        async with SessionPool() as pool:
            coze = Coze(pool, token="pat_benchmark", base_url=url, max_retries=0)
            return await coze.get_workflow_run(WORKFLOW, IDS[0])

    async def theirs(url: str) -> object:
        async with aiohttp.ClientSession(headers=USER_AGENT) as session:
            return await by_hand(session, url, IDS[0])

    assert await sent_by(ours) == await sent_by(theirs)


async def measure(url: str, ids: list[str]) -> None:
    """Measure requests to some tasks in turn, and print."""
    async with aiohttp.ClientSession(headers=USER_AGENT) as session, SessionPool() as pool:
        coze = Coze(pool, token="pat_benchmark", base_url=url)
        handles = [coze.workflow_run(WORKFLOW, each) for each in ids]
        number = len(ids)
        seconds = await in_turn(
            {
                BY_HAND: lambda n: by_hand(session, url, ids[n % number]),
                "coze.get_workflow_run()": lambda n: coze.get_workflow_run(
                    WORKFLOW, ids[n % number]
                ),
                "handle.poll()": lambda n: handles[n % number].poll(),
            },
            rounds=ROUNDS,
            requests=REQUESTS,
            concurrent=CONCURRENT,
        )
    report(seconds, to=BY_HAND, requests=REQUESTS)


def main() -> None:
    """Measure and print."""
    asyncio.run(check_that_both_send_the_same())
    print(versions("aiohttp", "msgspec", "anyio", "uvloop"))
    print(f"{ROUNDS} rounds of {REQUESTS} requests, {CONCURRENT} at a time, in turn")
    with serving() as url:
        for name, factory in (
            ("asyncio", asyncio.new_event_loop),
            ("uvloop", uvloop.new_event_loop),
        ):
            for ids in (IDS[:1], IDS):
                print(f"\n{name}, {len(ids)} URLs")
                with asyncio.Runner(loop_factory=factory) as runner:
                    runner.run(measure(url, ids))


main()
