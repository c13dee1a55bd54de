"""A file that simulated tasks are written to before they are answered for: they outlive a kill."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as it was after a request; its times are Unix times in seconds."""

    id: str
    kind: str
    place: str
    started: float
    seconds: float
    ends_at: float | None
    """None while it waits, or will wait, for input."""
    outcome: str
    turns: dict[str, int]
    """What the simulator has counted by then, so that no id comes twice."""
    start_marker: dict[str, Any] = {}
    shape: str = ""
    words: list[str | int | None] = []
    marker: str = ""
    interrupt_at: float | None = None
    interrupts: int = 0
    resumed_at: float | None = None
    details: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(Entry)
_encoder = msgspec.json.Encoder()


class Journal:
    """The entries of all lives of a simulator, one a line.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._file: int | None = None

    def open(self) -> list[Entry]:
        """Return what was written before, oldest first, and open the file to go on.

        Raises:
            OSError: the file cannot be read or written.
            ValueError: it is something else than a simulator's journal.
        """
        written = self._path.read_bytes() if self._path.exists() else b""
        # A kill in the middle of a line: its task was not answered for.
        whole = written[: written.rfind(b"\n") + 1]
        entries: list[Entry] = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entries.append(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                msg = (
                    f"{self._path}, line {number} is no simulated task ({error}): name another file"
                )
                raise ValueError(msg) from None
        if written and not entries:
            msg = f"{self._path} is no simulator's journal: name another file"
            raise ValueError(msg)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.truncate(self._path, len(whole))
        return entries

    def write(self, entries: Iterable[Entry]) -> None:
        """Add entries; they are the system's before this returns, so that a kill does no harm."""
        if self._file is not None:
            os.write(self._file, _encoder.encode_lines(entries))

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
