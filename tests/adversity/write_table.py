"""Write the tables of `docs/faults.md` from what is seen: `python -m tests.adversity.write_table`.

What stands above the first table is kept as it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tests.adversity.faults import FAULTS, OPERATIONS, TABLE, Fault, Operation
from tests.adversity.scene import PROVIDERS, observe, scene_loop

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HOW_TO_WRITE = "python -m tests.adversity.write_table"

Cells: TypeAlias = Mapping[str, Mapping[Operation, str]]
_COLUMNS = ("Fault", "Reaches the provider", "Time", *OPERATIONS)


def _title(fault: Fault) -> str:
    return f"{fault.name} ({fault.what})" if fault.what else fault.name


def _row(fault: Fault, outcomes: Mapping[Operation, str]) -> str:
    reaches = "yes" if fault.reaches_provider else "no"
    time = f"`{fault.takes}`" if fault.takes else ""
    cells = (_title(fault), reaches, time, *(outcomes[operation] for operation in OPERATIONS))
    return f"| {' | '.join(cells)} |"


def introduction(text: str) -> str:
    """Return what stands above the first table."""
    return text.partition("\n## ")[0]


def write(above: str, cells: Cells) -> str:
    """Write the whole page."""
    parts = [above]
    for heading, faults in TABLE.items():
        rows = "\n".join(_row(fault, cells[fault.name]) for fault in faults)
        rule = "|".join("---" for _ in _COLUMNS)
        parts.append(f"## {heading}\n\n| {' | '.join(_COLUMNS)} |\n|{rule}|\n{rows}\n")
    return "\n".join(parts)


def read(text: str) -> dict[str, dict[Operation, str]]:
    """Read the outcomes of every fault back out of the page; empty where it has none."""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        columns = [column.strip() for column in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(columns) == len(_COLUMNS):
            lines[columns[0]] = columns
    found: dict[str, dict[Operation, str]] = {}
    for name, fault in FAULTS.items():
        outcomes = lines.get(_title(fault), [""] * len(_COLUMNS))[-len(OPERATIONS) :]
        found[name] = dict(zip(OPERATIONS, outcomes, strict=True))
    return found


def seen(fault: Fault, operation: Operation) -> str:
    """Return what is seen of a fault, which must be the same with each provider."""
    outcomes: set[str] = set()
    for provider in PROVIDERS:
        with asyncio.Runner(loop_factory=scene_loop) as runner:
            outcomes.add(runner.run(observe(fault, operation, provider)).outcome)
    if len(outcomes) > 1:
        sys.exit(f"{fault.name}, {operation}: the providers differ: {outcomes}")
    return outcomes.pop()


if __name__ == "__main__":
    above = introduction(PAGE.read_text(encoding="utf-8"))
    cells: dict[str, dict[Operation, str]] = {
        name: {operation: seen(fault, operation) for operation in OPERATIONS}
        for name, fault in FAULTS.items()
    }
    PAGE.write_text(write(above, cells), encoding="utf-8")
