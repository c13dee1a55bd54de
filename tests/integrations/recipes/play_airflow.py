"""Play Airflow's scheduler and triggerer, as far as the recipe meets them.

The rows of triggers outlive this process, as Airflow's do: a trigger is made of its row until its
event has come. The argument is the recipe's module.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, cast

import msgspec

from asyncclient import TaskRef, encode_ref

ORDERS = Path("orders")
ROWS = Path("rows")
ENDED = Path("ended")


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
    else:
        message = "the operator did not defer"
        raise AssertionError(message)
    path, arguments = deferral.trigger.serialize()
    return Row(key, ref, timeout, deferral.method_name, path, arguments)


async def fire(module: str, row: Row) -> None:
    """Run a trigger until its event, and go on with its task."""
    where, name = row.path.rsplit(".", 1)
    make = cast("Callable[..., _Trigger]", getattr(importlib.import_module(where), name))
    async for event in make(key=row.arguments["key"], text=row.arguments["text"]).run():
        go_on(module, row, event)
        return


def go_on(module: str, row: Row, event: _Event) -> None:
    """Make the task again, and have it take the event."""
    task = operator(module, row.key, row.ref, row.timeout)
    take = cast("Callable[[object, dict[str, str]], str]", getattr(task, row.method))
    with ENDED.open("a") as ended:
        ended.write(f"{take({}, event.payload)}\n")


def rows(module: str) -> list[Row]:
    """Return what is deferred and has not ended; at first, execute what was ordered."""
    if not ROWS.exists():
        orders = msgspec.json.decode(
            ORDERS.read_bytes(), type=list[tuple[float, dict[str, TaskRef]]]
        )
        made = [
            deferred(module, key, encode_ref(ref), timeout)
            for timeout, refs in orders
            for key, ref in refs.items()
        ]
        ROWS.write_bytes(msgspec.json.encode(made))
    ended = ENDED.read_text().split() if ENDED.exists() else []
    kept = msgspec.json.decode(ROWS.read_bytes(), type=list[Row])
    return [row for row in kept if row.key not in ended]


async def main(module: str) -> None:
    """Run all triggers in one event loop."""
    await asyncio.gather(*(fire(module, row) for row in rows(module)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    while not ORDERS.exists():
        time.sleep(0.05)
    asyncio.run(main(sys.argv[1]))
