"""The page `docs/faults.md`: the table of faults with what was seen of each, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tests.adversity.faults import (
    CONNECT_TIMEOUT,
    FAULTS,
    OPERATIONS,
    REQUEST_TIMEOUT,
    TABLE,
    Fault,
    Operation,
)
from tests.adversity.scene import WAIT_TIMEOUT

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HOW_TO_WRITE = "python -m tests.adversity.write_table"

Cells: TypeAlias = Mapping[str, Mapping[Operation, str]]

_INTRODUCTION = f"""\
# What can go wrong, and what you see of it

Each fault below was met over a real TCP connection on loopback, with both providers alike, by four
operations:

* **start**: a start, the request that costs money. It is sent again only when it certainly did
  nothing.
* **poll**: one `task.poll()`, which is one request. What repeats it is a wait.
* **wait**: a whole `wait_until_done(task, timeout={WAIT_TIMEOUT:.0f})`, whose first two polls meet
  the fault.
* **list**: a read that may be repeated, and is.

A cell says how the operation ended, and how many whole requests the proxy before the provider read
for it. `ok` is the right answer. *May have started* means that the error's `may_have_started` is
true: the request was sent, nobody knows what became of it, and it was not sent a second time.
Whatever the fault, the pool answered the next request, kept no request under way, and closed every
connection when it was closed.

A poll that shows `ok; 2` was repeated by aiohttp itself: it sends a GET a second time, at once,
when the connection ends before the answer begins. It never does so with a start.

*Time* is what the fault costs one request: nothing, or the whole of `connect_timeout`
({CONNECT_TIMEOUT:g} s here) or of `request_timeout` ({REQUEST_TIMEOUT:g} s here). *Reaches the
provider* says whether the request was passed on before it went wrong.

This page is written by `{HOW_TO_WRITE}`; a test holds every cell against what it
sees.
"""
_COLUMNS = ("Fault", "Reaches the provider", "Time", *OPERATIONS)


def row(fault: Fault, outcomes: Mapping[Operation, str]) -> str:
    """Write one fault's line of the table."""
    name = f"{fault.name} ({fault.what})" if fault.what else fault.name
    time = f"`{fault.takes}`" if fault.takes else ""
    cells = (
        name,
        "yes" if fault.reaches_provider else "no",
        time,
        *(outcomes[operation] for operation in OPERATIONS),
    )
    return f"| {' | '.join(cells)} |"


def write(cells: Cells) -> str:
    """Write the whole page."""
    parts = [_INTRODUCTION]
    for heading, faults in TABLE.items():
        rows = "\n".join(row(fault, cells[fault.name]) for fault in faults)
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
        titled = f"{name} ({fault.what})" if fault.what else name
        outcomes = lines.get(titled, [""] * len(_COLUMNS))[-len(OPERATIONS) :]
        found[name] = dict(zip(OPERATIONS, outcomes, strict=True))
    return found
