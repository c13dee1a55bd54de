"""Run the workflow of the recipe along a history, and say whether it did the same.

The arguments are the recipe's module and the history's file.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol, cast


class Result(Protocol):
    """What a replay comes to."""

    replay_failure: Exception | None


class Replayer(Protocol):
    """The engine's own."""

    def replay_workflow(
        self, history: object, *, raise_on_replay_failure: bool
    ) -> Awaitable[Result]:
        """Replay one."""
        ...


class MakesReplayer(Protocol):
    """The replayer's class."""

    def __call__(self, *, workflows: list[object]) -> Replayer:
        """Make one."""
        ...


class ReadsHistory(Protocol):
    """The history's class."""

    def from_json(self, workflow_id: str, history: str) -> object:
        """Read one."""
        ...


async def main(module: str, text: str) -> None:
    """Replay it."""
    replayer = cast("MakesReplayer", importlib.import_module("temporalio.worker").Replayer)
    reads = cast("ReadsHistory", importlib.import_module("temporalio.client").WorkflowHistory)
    result = await replayer(workflows=[importlib.import_module(module).Wait]).replay_workflow(
        reads.from_json("order-17", text), raise_on_replay_failure=False
    )
    failure = result.replay_failure
    sys.stdout.write("replayed\n" if failure is None else f"{failure}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_text()))
