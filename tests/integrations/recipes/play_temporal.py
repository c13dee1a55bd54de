"""Play Temporal's server and worker, as far as the recipe's activity meets them.

What it heartbeats outlives this process, and is given to it when it is run again. The argument is
the recipe's module.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, Protocol, cast

import msgspec

from asyncclient import TaskRef, Ticket

Activity = Callable[[str, str], Awaitable[None]]
Turn = Callable[[str, str], Awaitable[tuple[float, str] | None]]
ORDERS = Path("orders")
TICKETS = Path("tickets")
EVENTS = Path("events")


class _Info(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


class _Environment(Protocol):
    info: _Info
    on_heartbeat: Callable[[str], None]

    async def run(self, activity: Activity, key: str, text: str) -> None: ...


async def execute(activity: Activity, key: str, text: str, details: str | None) -> None:
    """Run an activity as the server would have it run, and note what it would keep."""
    make = cast(
        "Callable[[], _Environment]",
        importlib.import_module("temporalio.testing").ActivityEnvironment,
    )
    environment = make()
    kept = [] if details is None else [details]
    environment.info = dataclasses.replace(environment.info, heartbeat_details=kept)

    def note(kind: str, ticket: str) -> None:
        with EVENTS.open("ab", buffering=0) as events:
            events.write(msgspec.json.encode((kind, key, ticket)) + b"\n")

    environment.on_heartbeat = lambda ticket: note("heartbeat", ticket)
    await environment.run(activity, key, text)
    note("completed", "")


def tickets() -> dict[str, str]:
    """Return the first ticket of each wait, as its workflow would have it."""
    if not TICKETS.exists():
        orders = msgspec.json.decode(
            ORDERS.read_bytes(), type=list[tuple[float, dict[str, TaskRef]]]
        )
        begun = {
            key: Ticket.begin(ref, timeout=timeout).encode()
            for timeout, refs in orders
            for key, ref in refs.items()
        }
        TICKETS.write_bytes(msgspec.json.encode(begun))
    return msgspec.json.decode(TICKETS.read_bytes(), type=dict[str, str])


async def main(module: str) -> None:
    """Run the activities that are not completed."""
    texts, details = tickets(), dict[str, str]()
    for line in EVENTS.read_bytes().splitlines() if EVENTS.exists() else ():  # noqa: ASYNC240  (nothing else runs yet)
        kind, key, ticket = msgspec.json.decode(line, type=tuple[str, str, str])
        if kind == "completed":
            del texts[key]
        else:
            details[key] = ticket
    recipe = importlib.import_module(module)
    opened = cast("dict[str, Turn]", recipe.opened)
    turns = cast("Callable[[], AbstractAsyncContextManager[Turn]]", recipe.turns)
    hold = cast("Activity", recipe.hold)
    async with turns() as opened["turn"]:
        await asyncio.gather(
            *(execute(hold, key, text, details.get(key)) for key, text in texts.items())
        )
        await asyncio.Event().wait()


if __name__ == "__main__":
    while not ORDERS.exists():
        time.sleep(0.05)
    asyncio.run(main(sys.argv[1]))
