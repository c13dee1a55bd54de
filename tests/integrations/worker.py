"""A worker process for the tests that kill one: it holds waits on the simulator, with a ledger.

Its arguments are the engine, its URL, the simulator's two URLs, the ledger's path, and the seconds
of redelivery. Each line of the ledger is a wait's key, how it ended, in which process and when.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

from asyncclient import Done, Poller, Schedule, SessionPool
from asyncclient._durable import Client, TicketExpired
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from tests.integrations.engines import waits_of

SCHEDULE = Schedule(first=0.5, cap=2.0)
HOLD = 5.0


async def main(
    engine: str, url: str, coze_url: str, copyai_url: str, path: str, lease: str
) -> None:
    """Work until killed."""
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def sink(key: str, end: Done[object] | TicketExpired) -> None:
        line = f"{key} {end.state} {os.getpid()} {time.time():.3f}\n"
        os.write(ledger, line.encode())

    async with SessionPool() as pool, Poller(schedule=SCHEDULE) as poller:
        clients: dict[str, Client] = {
            "coze": Coze(pool, token="pat_simulator", base_url=coze_url),
            "copyai": CopyAI(pool, api_key="simulator-key", base_url=copyai_url),
        }
        async with waits_of(engine, url, concurrency=2000) as waits:
            await waits.work(
                poller, clients, sink, hold=HOLD, schedule=SCHEDULE, redelivery=float(lease)
            )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(relativeCreated)d %(name)s %(message)s")
    asyncio.run(main(*sys.argv[1:]))
