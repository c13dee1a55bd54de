"""What does a pending task take in memory, with the handles and answers of real providers?

1. How many bytes does one pending run of Coze, or of Copy.ai, take when it has been polled once?
   The peer is an asyncio task with `asyncio.timeout`, which polls the same handle by hand.
2. How many bytes does a handle take that was made from ids alone?

Memory is the resident set after less before, from /proc/self/statm (Linux only), in a fresh process
for each figure. The handles are made on the way, and count. Each answer is a running one, and
differs from all others in ids, times, addresses and outputs; no sockets are involved.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from turns import versions

from asyncclient import Poller, Schedule, Task
from asyncclient._http import Request, Response
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

NUMBERS = (50_000, 1_000_000)
# Seconds: the first polls are spread over this for each 100,000 tasks, and the next are far off.
FIRST_POLLS, SILENCE, FOR_EVER = 5.0, 3_000.0, 7_200.0

WORKFLOW = 7350583675492311040  # each handle has a text of its own of it

_draw = random.Random(1)

COZE_ANSWER = (
    '{"msg":"","data":[{"connector_uid":"%016d","logid":"20250806104715%018X","bot_id":"0",'
    '"update_time":17544%05d,"execute_status":"Running","error_code":"0","connector_id":"1024",'
    '"is_output_trimmed":false,"token":"0","run_mode":2,"debug_url":'
    '"https://www.coze.cn/work_flow?execute_id=%s&execute_mode=2","node_execute_status":{},'
    '"error_message":"","execute_id":"%s","create_time":17544%05d,"output":'
    r'"{\"node_status\":\"{}\",\"Output\":\"{\\\"content\\\":\\\"page %d of %08x\\\"}\"}",'
    '"usage":{"token_count":0,"output_count":0,"input_count":0}}],'
    '"detail":{"logid":"20250806105011%018X"},"code":0}'
)
COPYAI_ANSWER = (
    '{"status":"success","data":{"status":"PROCESSING","input":{"Input 1":'
    '"A page about tea no. %05d, for readers who know none of it yet.","Input 2":'
    '"https://shop.example/products/%010x"},"output":{"Outline":'
    '"1. The leaf %06x 2. The water 3. The pot 4. The guest"},"metadata":{"api":true,"trace":'
    '"%016x"},"error":null,"createdAt":"2025-05-07T10:20:46.%05dZ","id":"%s","workflowRunId":"%s",'
    '"workflowId":"WCFG-84e56597-ebaf-4b49-a98c-75cacd4a1234","credits":2,"toolKey":null}}'
)


def _number(digits: int) -> int:
    return int(_draw.random() * 10**digits)


def coze_answer(execute_id: str) -> bytes:
    """Return a running run of Coze, in some 660 bytes."""
    bits = _draw.getrandbits
    times, pages = (_number(5), _number(5)), (_number(2), bits(32))
    values = (_number(16), bits(72), times[0], execute_id, execute_id, times[1], *pages, bits(72))
    return (COZE_ANSWER % values).encode()


def copyai_answer(run_id: str) -> bytes:
    """Return a running run of Copy.ai, in some 570 bytes."""
    bits = _draw.getrandbits
    values = (_number(5), bits(40), bits(24), bits(64), _number(5), run_id, run_id)
    return (COPYAI_ANSWER % values).encode()


class Answering:
    """A transport that answers each request at once, with headers as a provider sends them."""

    polls = 0  # of all

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer

    async def exchange(self, request: Request) -> Response:
        """Answer one request, and count it."""
        Answering.polls += 1
        body = self._answer(request.target.rpartition("/")[2])
        headers = {
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(body)),
            "date": f"Wed, 06 Aug 2025 10:10:{_number(2)} GMT",
            "x-tt-logid": f"20250806104715{_draw.getrandbits(72):018X}",
        }
        return Response(200, headers, body)


def coze_runs(number: int) -> Iterator[Task[Any]]:
    """Make handles of Coze, each id a text of its own, as they come from a queue or a database."""
    coze = Coze(Answering(coze_answer), token="pat_benchmark", base_url=Coze.CN)
    for each in range(number):
        yield coze.workflow_run(str(WORKFLOW), str(7535298640308535332 + each))


def copyai_runs(number: int) -> Iterator[Task[Any]]:
    """Make handles of Copy.ai in the same way."""
    copyai = CopyAI(Answering(copyai_answer), api_key="benchmark")
    draw = random.Random(2)
    for _ in range(number):
        parts = (f"{draw.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12))
        yield copyai.workflow_run(f"WCFG-{WORKFLOW:x}", f"WRUN-{'-'.join(parts)}")


RUNS = {"Coze": coze_runs, "Copy.ai": copyai_runs}


async def by_poller(tasks: Iterator[Task[Any]], spread: float) -> None:
    """Wait for tasks by `as_done`."""
    schedule = Schedule(first=spread, factor=1e6, cap=SILENCE, jitter=0)
    async with Poller(schedule=schedule, rate=math.inf) as poller:
        async for done in poller.as_done(tasks, timeout=FOR_EVER):
            raise RuntimeError(f"it ended: {done}")


async def by_hand(tasks: Iterator[Task[Any]], spread: float) -> None:
    """Wait for tasks by an asyncio task with a timeout for each, which keeps the last answer."""

    async def follow(number: int, task: Task[Any]) -> None:
        async with asyncio.timeout(FOR_EVER):
            await asyncio.sleep(spread * (number * 0.6180339887498949 % 1.0))
            while True:
                seen = await task.observe()
                if seen.state is not None and seen.state.is_terminal:
                    return
                await asyncio.sleep(SILENCE)

    async with asyncio.TaskGroup() as group:
        for number, task in enumerate(tasks):
            group.create_task(follow(number, task))
            if number % 256 == 0:
                await asyncio.sleep(0)


CONTENDERS = {"Poller": by_poller, "asyncio.timeout": by_hand}


def resident() -> int:
    """Return this process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def measure_waits(provider: str, contender: str, number: int) -> float:
    """Return the bytes of one pending run when each has been polled once."""
    before = resident()
    spread = FIRST_POLLS * number / 100_000
    following = asyncio.ensure_future(CONTENDERS[contender](RUNS[provider](number), spread))
    while Answering.polls < number and not following.done():
        await asyncio.wait({following}, timeout=0.1)
    assert Answering.polls < 1.05 * number  # those that were not of the crowd are polled again
    assert not following.done()
    return (resident() - before) / number


def measure_handles(provider: str, number: int) -> float:
    """Return the bytes of one handle, its place in a list left out."""
    handles: list[Task[Any] | None] = [None] * number
    before = resident()
    for place, handle in zip(count(), RUNS[provider](number), strict=False):
        handles[place] = handle
    return (resident() - before) / number


def in_fresh_process(*question: object) -> float:
    """Put one question to a process of its own."""
    command = [sys.executable, __file__, "--ask", *map(str, question)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS, help="pending tasks")
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        provider, contender, number = options.ask
        if contender == "handle":
            size = measure_handles(provider, int(number))
        else:
            size = asyncio.run(measure_waits(provider, contender, int(number)))
        print(size, flush=True)
        os._exit(0)  # without the time that a million cancellations would take
    print(versions("msgspec"))
    contenders = ["Poller", *([] if options.alone else ["asyncio.timeout"]), "handle"]
    print(f"\nBytes for one\n\n{'':12} {'number':>10} {'':20} {'bytes':>8}")
    for number in options.numbers:
        for provider in RUNS:
            for contender in contenders:
                size = in_fresh_process(provider, contender, number)
                print(f"{provider:12} {number:10,} {contender:20} {size:8,.0f}", flush=True)


main()
