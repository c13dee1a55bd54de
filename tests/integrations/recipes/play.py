"""Play what is around a recipe: who submits waits, and the engines that no test can run whole.

The arguments are a part of `PARTS` and the recipe's module. What an engine keeps is in files here,
which outlive this process: when it is killed and runs again, it goes on from them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from asyncclient import TaskRef, Ticket, encode_ref

ORDERS = Path("orders")
ROWS = Path("rows")
ENDED = Path("ended")
TICKETS = Path("tickets")
EVENTS = Path("events")
HISTORY = Path("history")


def ordered() -> list[tuple[float, dict[str, TaskRef]]]:
    """Return pairs of a timeout and references, as the test wrote them."""
    return msgspec.json.decode(ORDERS.read_bytes(), type=list[tuple[float, dict[str, TaskRef]]])


async def submit(module: str) -> None:
    """Submit all that is ordered, through the recipe."""
    recipe = importlib.import_module(module)
    for timeout, refs in ordered():
        await recipe.submit(refs, timeout)


class Row(msgspec.Struct, frozen=True):
    """What Airflow keeps of a deferred task: how to make it again, and its trigger."""

    key: str
    ref: str
    timeout: float
    method: str
    path: str
    arguments: dict[str, str]


def deferred(module: str, key: str, ref: str, timeout: float) -> Row:
    """Execute a task until it defers, and return what is kept of it."""
    wait = importlib.import_module(module).Wait
    try:
        wait(task_id=key, key=key, ref=ref, timeout=timeout).execute({})
    except BaseException as stop:
        if type(stop).__name__ != "TaskDeferred":
            raise
        deferral = cast("Any", stop)
        path, arguments = deferral.trigger.serialize()
        return Row(key, ref, timeout, deferral.method_name, path, arguments)
    message = "the operator did not defer"
    raise AssertionError(message)


async def fire(module: str, row: Row) -> None:
    """Run a trigger until its event; then make its task again, and have it take the event."""
    where, name = row.path.rsplit(".", 1)
    trigger = getattr(importlib.import_module(where), name)(**row.arguments)
    event = await anext(trigger.run())
    wait = importlib.import_module(module).Wait
    task = wait(task_id=row.key, key=row.key, ref=row.ref, timeout=row.timeout)
    with ENDED.open("a") as ended:  # noqa: ASYNC230  (a line)
        ended.write(f"{getattr(task, row.method)({}, event.payload)}\n")


def rows(module: str) -> list[Row]:
    """Return what is deferred and has not ended; at first, execute what is ordered."""
    if not ROWS.exists():
        made = [
            deferred(module, key, encode_ref(ref), timeout)
            for timeout, refs in ordered()
            for key, ref in refs.items()
        ]
        ROWS.write_bytes(msgspec.json.encode(made))
    ended = ENDED.read_text().split() if ENDED.exists() else []
    kept = msgspec.json.decode(ROWS.read_bytes(), type=list[Row])
    return [row for row in kept if row.key not in ended]


async def airflow(module: str) -> None:
    """Run all triggers in one event loop."""
    await asyncio.gather(*(fire(module, row) for row in rows(module)))
    await asyncio.Event().wait()


def tickets() -> dict[str, str]:
    """Return the first ticket of each wait, as its workflow would have it."""
    if not TICKETS.exists():
        begun = {
            key: Ticket.begin(ref, timeout=timeout).encode()
            for timeout, refs in ordered()
            for key, ref in refs.items()
        }
        TICKETS.write_bytes(msgspec.json.encode(begun))
    return msgspec.json.decode(TICKETS.read_bytes(), type=dict[str, str])


def note(kind: str, key: str, ticket: str = "") -> None:
    """Keep what the server would."""
    with EVENTS.open("ab", buffering=0) as events:
        events.write(msgspec.json.encode((kind, key, ticket)) + b"\n")


async def temporal(module: str) -> None:
    """Run the activities that are not completed, from their last heartbeats."""
    texts, details = tickets(), dict[str, str]()
    for line in EVENTS.read_bytes().splitlines() if EVENTS.exists() else ():  # noqa: ASYNC240  (nothing else runs yet)
        kind, key, ticket = msgspec.json.decode(line, type=tuple[str, str, str])
        if kind == "completed":
            del texts[key]
        else:
            details[key] = ticket
    recipe = importlib.import_module(module)
    testing = importlib.import_module("temporalio.testing")

    async def execute(key: str, text: str) -> None:
        environment = testing.ActivityEnvironment()
        kept = [details[key]] if key in details else []
        environment.info = dataclasses.replace(environment.info, heartbeat_details=kept)
        environment.on_heartbeat = partial(note, "heartbeat", key)
        await environment.run(recipe.hold, key, text)
        note("completed", key)

    async with recipe.turns() as recipe.opened["turn"]:
        await asyncio.gather(*(execute(key, text) for key, text in texts.items()))
        await asyncio.Event().wait()


async def replay(module: str) -> None:
    """Run the workflow of the recipe along a history, and print whether it did the same."""
    worker = importlib.import_module("temporalio.worker")
    reads = importlib.import_module("temporalio.client").WorkflowHistory
    history = reads.from_json("order-17", HISTORY.read_text())  # noqa: ASYNC240  (as above)
    replayer = worker.Replayer(workflows=[importlib.import_module(module).Wait])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    sys.stdout.write(f"{result.replay_failure or 'replayed'}\n")


PARTS = {each.__name__: each for each in (submit, airflow, temporal, replay)}

if __name__ == "__main__":
    part, of = sys.argv[1:]
    while part != "replay" and not ORDERS.exists():
        time.sleep(0.05)
    asyncio.run(PARTS[part](of))
