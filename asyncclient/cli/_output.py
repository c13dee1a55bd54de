"""The command's output: lines for people, JSON for programs, and no control characters."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asyncclient._state import Snapshot

# C0 and C1 controls and DEL: a provider's text must neither break a line nor steer a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ERASE = "\r\x1b[2K"  # what stands in a terminal's last line
_drawn: list[str] = []  # the line that stands there, if there is one
_GAP = 2  # between two columns
_LEAST_FOLDED = 6  # the width that a folded column needs


class OutputLost(Exception):
    """Standard output cannot be written, though it has a reader: the disk is full, perhaps."""


def clean(text: object) -> str:
    """Return a text as one line without control characters."""
    return _CONTROL.sub(" ", str(text)).strip()


def say(text: str) -> None:
    """Write a line to standard output and flush it.

    Raises:
        BrokenPipeError: no one reads it any more.
        OutputLost: it could not be written for another reason.
    """
    _write(_writable(text, sys.stdout))


def _write(line: str | bytes) -> None:
    if sys.stdout is None:  # the shell closed it
        msg = "the output cannot be written: standard output is closed"
        raise OutputLost(msg)
    if _drawn:
        redraw("")
    try:
        click.echo(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"the output cannot be written: {error.strerror or error}"
        raise OutputLost(msg) from error


def complain(text: str) -> None:
    """Write one line to standard error, under the command's name."""
    # If no one reads it, there is nothing left to write.
    line = f"asyncclient: {clean(text)}"
    with contextlib.suppress(OSError):
        click.echo(_writable(f"{_ERASE}{line}" if _drawn else line, sys.stderr), err=True)


def redraw(line: str) -> None:
    """Write a line over the last one of a terminal on standard error; empty to take it away."""
    _drawn[:] = [line] if line else []
    with contextlib.suppress(OSError):
        click.echo(_writable(f"{_ERASE}{line}", sys.stderr), err=True, nl=False)


def _writable(text: str, stream: TextIO | None) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def answer_json(snapshot: Snapshot[object]) -> bytes:
    """Return a provider's raw answer as JSON; the decoded one if other parsers would refuse it."""
    raw = snapshot.raw
    if raw is not None:
        # Parsers of JSON refuse what is read leniently, such as a lone surrogate.
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            msgspec.json.decode(raw)
            return raw
    return msgspec.json.encode(snapshot.result)


def say_json(raw: bytes, *, pretty: bool | None = None) -> None:
    """Write JSON text: in one line, or indented for people.

    Args:
        raw: the JSON.
        pretty: whether to indent; by default only on a terminal.

    Raises:
        BrokenPipeError, OutputLost: as `say`.
    """
    if pretty is None:
        pretty = sys.stdout is not None and sys.stdout.isatty()
    # Bytes go past the locale: JSON is UTF-8 everywhere.
    _write(msgspec.json.format(raw, indent=2 if pretty else -1))


def has_live_terminal(stream: TextIO | None) -> bool:
    """Return whether what is written to a standard stream can be redrawn in place."""
    console = Console(file=stream)
    # isatty as well: FORCE_COLOR makes rich see a terminal in a pipe.
    is_terminal = stream is not None and stream.isatty()
    return is_terminal and console.is_terminal and not console.is_dumb_terminal


def say_rows(heads: Sequence[str], rows: Iterable[Sequence[object]], *, folded: str) -> None:
    """Write a table on a terminal that is wide enough; elsewhere tab-separated lines.

    Args:
        heads: the columns' heads, on a terminal.
        rows: what is in them.
        folded: the head of the column that may take several lines; no other is ever cut.
    """
    texts = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, no_wrap=head != folded, overflow="fold")
    for row in texts:
        table.add_row(*map(Text, row))  # as text: a name in [brackets] is no markup
    console = Console()
    columns = zip(heads, *texts, strict=True)
    widths = [
        _LEAST_FOLDED if head == folded else max(map(cell_len, (head, *cells))) + _GAP
        for head, *cells in columns
    ]
    # What does not fit would be cut.
    if has_live_terminal(sys.stdout) and sum(widths) <= console.width:
        console.print(table)
        return
    for row in texts:
        say("\t".join(row))
