"""Write `docs/faults.md` from what each fault does: `python -m tests.adversity.write_table`."""

from __future__ import annotations

import asyncio
import sys

from tests.adversity.faults import FAULTS, OPERATIONS, Fault, Operation
from tests.adversity.page import PAGE, write
from tests.adversity.scene import PROVIDERS, observe, scene_loop


def outcome(fault: Fault, operation: Operation) -> str:
    """Return what is seen of a fault, which must be the same with each provider."""
    seen: dict[str, str] = {}
    for provider in PROVIDERS:
        with asyncio.Runner(loop_factory=scene_loop) as runner:
            seen[provider] = runner.run(observe(fault, operation, provider)).outcome
    if len({*seen.values()}) > 1:
        sys.exit(f"{fault.name}, {operation}: the providers differ: {seen}")
    return seen[PROVIDERS[0]]


def main() -> None:
    """Meet every fault with every operation of every provider, and write the page."""
    cells: dict[str, dict[Operation, str]] = {
        name: {operation: outcome(fault, operation) for operation in OPERATIONS}
        for name, fault in FAULTS.items()
    }
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(write(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
