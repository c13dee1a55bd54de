"""Submit waits through a recipe: its module, and a file of pairs of a timeout and references."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import msgspec

from asyncclient import TaskRef


class _Recipe(Protocol):
    async def submit(self, refs: Mapping[str, TaskRef], timeout: float = ...) -> None: ...


async def main(module: str, orders: list[tuple[float, dict[str, TaskRef]]]) -> None:
    """Submit them all."""
    recipe = cast("_Recipe", importlib.import_module(module))
    for timeout, refs in orders:
        await recipe.submit(refs, timeout)


if __name__ == "__main__":
    written = Path(sys.argv[2]).read_bytes()
    ordered = msgspec.json.decode(written, type=list[tuple[float, dict[str, TaskRef]]])
    asyncio.run(main(sys.argv[1], ordered))
