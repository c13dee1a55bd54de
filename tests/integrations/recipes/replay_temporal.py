"""Run the workflow of the recipe along a history, and say whether it did the same.

The arguments are the recipe's module and the history's file.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, cast


class _Result(Protocol):
    replay_failure: Exception | None


class _Replayer(Protocol):
    def replay_workflow(
        self, history: object, *, raise_on_replay_failure: bool
    ) -> Awaitable[_Result]: ...


class _ReadsHistory(Protocol):
    def from_json(self, workflow_id: str, history: str) -> object: ...


async def main(module: str, text: str) -> None:
    """Replay it."""
    replayer = cast(
        "Callable[..., _Replayer]", importlib.import_module("temporalio.worker").Replayer
    )
    reads = cast("_ReadsHistory", importlib.import_module("temporalio.client").WorkflowHistory)
    result = await replayer(workflows=[importlib.import_module(module).Wait]).replay_workflow(
        reads.from_json("order-17", text), raise_on_replay_failure=False
    )
    failure = result.replay_failure
    sys.stdout.write("replayed\n" if failure is None else f"{failure}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_text()))
