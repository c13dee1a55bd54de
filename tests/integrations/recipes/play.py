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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, cast

import msgspec

from asyncclient import TaskRef, Ticket, encode_ref

ORDERS = Path("orders")
ROWS = Path("rows")
ENDED = Path("ended")
TICKETS = Path("tickets")
EVENTS = Path("events")
HISTORY = Path("history")

Activity: TypeAlias = Callable[[str, str], Awaitable[None]]
Turn: TypeAlias = Callable[[str, str], Awaitable[tuple[float, str] | None]]


def ordered() -> list[tuple[float, dict[str, TaskRef]]]:
    """Return pairs of a timeout and references, as the test wrote them."""
    return msgspec.json.decode(ORDERS.read_bytes(), type=list[tuple[float, dict[str, TaskRef]]])


# --- a process that submits ---


class _Recipe(Protocol):
    async def submit(self, refs: Mapping[str, TaskRef], timeout: float = ...) -> None: ...


async def submit(module: str) -> None:
    """Submit all that is ordered, through the recipe."""
    recipe = cast("_Recipe", importlib.import_module(module))
    for timeout, refs in ordered():
        await recipe.submit(refs, timeout)


# --- Airflow's scheduler and triggerer ---


class Row(msgspec.Struct, frozen=True):
    """What Airflow keeps of a deferred task: how to make it again, and its trigger."""

    key: str
    ref: str
    timeout: float
    method: str
    path: str
    arguments: dict[str, str]


class _Event(Protocol):
    payload: dict[str, str]


class _Trigger(Protocol):
    def serialize(self) -> tuple[str, dict[str, str]]: ...

    def run(self) -> AsyncIterator[_Event]: ...


class _Deferral(Protocol):
    trigger: _Trigger
    method_name: str


class _Operator(Protocol):
    def execute(self, context: object) -> None: ...


def operator(module: str, key: str, ref: str, timeout: float) -> _Operator:
    """Make the task of a DAG."""
    make = cast("Callable[..., _Operator]", importlib.import_module(module).Wait)
    return make(task_id=key, key=key, ref=ref, timeout=timeout)


def deferred(module: str, key: str, ref: str, timeout: float) -> Row:
    """Execute a task until it defers, and return what is kept of it."""
    try:
        operator(module, key, ref, timeout).execute({})
    except BaseException as stop:
        if type(stop).__name__ != "TaskDeferred":
            raise
        deferral = cast("_Deferral", stop)
        path, arguments = deferral.trigger.serialize()
        return Row(key, ref, timeout, deferral.method_name, path, arguments)
    message = "the operator did not defer"
    raise AssertionError(message)


async def fire(module: str, row: Row) -> None:
    """Run a trigger until its event, and go on with its task."""
    where, name = row.path.rsplit(".", 1)
    make = cast("Callable[..., _Trigger]", getattr(importlib.import_module(where), name))
    go_on(module, row, await anext(make(**row.arguments).run()))


def go_on(module: str, row: Row, event: _Event) -> None:
    """Make the task again, and have it take the event."""
    task = operator(module, row.key, row.ref, row.timeout)
    take = cast("Callable[[object, dict[str, str]], str]", getattr(task, row.method))
    with ENDED.open("a") as ended:
        ended.write(f"{take({}, event.payload)}\n")


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


# --- Temporal's server and worker ---


class _Info(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


class _Environment(Protocol):
    info: _Info
    on_heartbeat: Callable[[str], None]

    async def run(self, activity: Activity, key: str, text: str) -> None: ...


async def execute(activity: Activity, key: str, text: str, details: str | None) -> None:
    """Run an activity as the server would have it run, and note what it would keep."""
    testing = importlib.import_module("temporalio.testing")
    environment = cast("Callable[[], _Environment]", testing.ActivityEnvironment)()
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
        begun = {
            key: Ticket.begin(ref, timeout=timeout).encode()
            for timeout, refs in ordered()
            for key, ref in refs.items()
        }
        TICKETS.write_bytes(msgspec.json.encode(begun))
    return msgspec.json.decode(TICKETS.read_bytes(), type=dict[str, str])


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
    opened = cast("dict[str, Turn]", recipe.opened)
    turns = cast("Callable[[], AbstractAsyncContextManager[Turn]]", recipe.turns)
    hold = cast("Activity", recipe.hold)
    async with turns() as opened["turn"]:
        await asyncio.gather(
            *(execute(hold, key, text, details.get(key)) for key, text in texts.items())
        )
        await asyncio.Event().wait()


# --- Temporal's replayer ---


class _Result(Protocol):
    replay_failure: Exception | None


class _Replayer(Protocol):
    def replay_workflow(
        self, history: object, *, raise_on_replay_failure: bool
    ) -> Awaitable[_Result]: ...


class _ReadsHistory(Protocol):
    def from_json(self, workflow_id: str, history: str) -> object: ...


async def replay(module: str) -> None:
    """Run the workflow of the recipe along a history, and print whether it did the same."""
    worker = importlib.import_module("temporalio.worker")
    replayer = cast("Callable[..., _Replayer]", worker.Replayer)
    reads = cast("_ReadsHistory", importlib.import_module("temporalio.client").WorkflowHistory)
    history = reads.from_json("order-17", HISTORY.read_text())  # noqa: ASYNC240  (as above)
    workflows = [importlib.import_module(module).Wait]
    result = await replayer(workflows=workflows).replay_workflow(
        history, raise_on_replay_failure=False
    )
    failure = result.replay_failure
    sys.stdout.write("replayed\n" if failure is None else f"{failure}\n")


PARTS = {each.__name__: each for each in (submit, airflow, temporal, replay)}

if __name__ == "__main__":
    part, of = sys.argv[1:]
    while part != "replay" and not ORDERS.exists():
        time.sleep(0.05)
    asyncio.run(PARTS[part](of))
