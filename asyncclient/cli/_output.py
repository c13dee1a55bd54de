"""What the command writes: lines for people, JSON for machines, and nothing a terminal obeys."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asyncclient._state import Snapshot
from asyncclient._wire import Answer

__all__ = [
    "answer_json",
    "clean",
    "complain",
    "has_live_terminal",
    "json_line",
    "say",
    "say_json",
    "say_rows",
    "snapshot_fields",
]

# C0 and C1 controls and DEL: a provider's text must neither break a line nor steer a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def clean(text: object) -> str:
    """Return a text as one line without control characters."""
    return _CONTROL.sub(" ", str(text)).strip()


def say(text: str) -> None:
    """Write a line to standard output and flush it."""
    click.echo(_writable(text, sys.stdout))


def complain(text: str) -> None:
    """Write one line to standard error, under the command's name."""
    # With nobody to read it there is nothing left to say.
    with contextlib.suppress(OSError):
        click.echo(_writable(f"asyncclient: {clean(text)}", sys.stderr), err=True)


def _writable(text: str, stream: TextIO | None) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def json_line(value: object) -> bytes:
    """Write a value as JSON in one line."""
    return msgspec.json.encode(value)


def answer_json(result: object) -> bytes:
    """Return a provider's raw answer, or the typed one where nothing was received, as JSON."""
    response = result.response if isinstance(result, Answer) else None
    return json_line(result) if response is None else response.body


def say_json(raw: bytes, *, pretty: bool | None = None) -> None:
    """Write JSON text: in one line, or indented for people.

    Args:
        raw: the JSON.
        pretty: whether to indent; by default only on a terminal.
    """
    if pretty is None:
        pretty = sys.stdout is not None and sys.stdout.isatty()
    # Bytes go past the locale: JSON is UTF-8 everywhere.
    click.echo(msgspec.json.format(raw, indent=2 if pretty else -1))


def snapshot_fields(snapshot: Snapshot[object]) -> dict[str, object]:
    """Return a snapshot as fields of a JSON object."""
    return {
        "state": snapshot.state,
        "word": snapshot.word,
        "progress": snapshot.progress,
        "polls": snapshot.polls,
        "elapsed": round(snapshot.elapsed, 3),
    }


def has_live_terminal() -> bool:
    """Return whether standard output can be redrawn in place."""
    console = Console()
    # isatty as well: FORCE_COLOR makes rich see a terminal in a pipe.
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and console.is_terminal and not console.is_dumb_terminal


def say_rows(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table on a terminal, and tab-separated lines without a heading elsewhere."""
    texts = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    if not has_live_terminal():
        for row in texts:
            say("\t".join(row))
        return
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in texts:
        table.add_row(*map(Text, row))  # as text: a name in [brackets] is no markup
    Console().print(table)
