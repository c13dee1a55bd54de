"""A provider, or a proxy that spoils its answers, in a process of its own.

`python -m benchmarks.adversity_serve provider JOURNAL PORT` runs the simulator's Copy.ai on a port
(0: a free one) until standard input ends, then reports what it has seen, in this life and in those
before it that had the same journal. With `proxy PROVIDER_PORT PORT SEED SHARE` it is a proxy until
it is killed, and names each fault as it comes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from random import Random

import anyio
import msgspec

from asyncclient.testing import Simulator
from tests.adversity.faults import FAULTS
from tests.adversity.proxy import FaultProxy, OnRequest

# Those that a wait survives, of every kind. A stall costs a whole timeout, and so there is one.
# A 429 is no fault but an order, by which a whole account slows down.
TRANSIENT = (
    "request lost, reset",
    "closed before the head",
    "closed inside the head",
    "closed inside the body",
    "reset before the head",
    "reset inside the body",
    "stalled inside the body",
    "byte by byte",
    "twice the promised length",
    "garbage instead of HTTP",
    "a chunk of no size",
    "a header of 100 MB",
    "gzip broken at its beginning",
    "200 without a body",
    "half of the JSON",
    "invalid UTF-8",
    "200 with a page",
    "502 with a page",
    "503",
    "404",
)


def drawn(rng: Random, share: float, note: Callable[[str], object]) -> Iterator[OnRequest | None]:
    """Draw for each request in turn whether it meets a fault, and which; note each by its name."""
    kinds: list[str] = []
    while True:
        if rng.random() >= share:
            yield None
            continue
        # None comes again before all have come.
        kinds = kinds or rng.sample(TRANSIENT, len(TRANSIENT))
        name = kinds.pop()
        note(name)
        yield FAULTS[name].on_request


class Report(msgspec.Struct):
    """What the provider has seen."""

    starts: dict[str, int]  # by their markers
    ends: dict[str, float]  # of each task by its marker, on the machine's monotonic clock


def say(line: str) -> None:
    """Write a line at once: the process may be killed after it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def provider(journal: str, port: int) -> None:
    """Run the simulator until standard input ends, then report what it has seen."""
    sim = Simulator(journal=journal)
    await sim.start(copyai_port=port)
    say(sim.copyai_url)
    await anyio.to_thread.run_sync(sys.stdin.read)
    ends = {task.marker: task.ends_at for task in sim.tasks.values()}
    say(msgspec.json.encode(Report(dict(sim.starts), ends)).decode())
    await sim.close()


async def proxy(provider_port: int, port: int, seed: int, share: float) -> None:
    """Run a proxy of whose answers a share is spoilt, until it is killed."""
    async with FaultProxy(provider_port, port=port) as proxy:
        proxy.request_faults = drawn(Random(seed), share, say)
        say("listening")
        await anyio.sleep_forever()


def main() -> None:
    """Run what the arguments say."""
    match sys.argv[1:]:
        case ["provider", journal, port]:
            asyncio.run(provider(journal, int(port)))
        case ["proxy", provider_port, port, seed, share]:
            asyncio.run(proxy(int(provider_port), int(port), int(seed), float(share)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
