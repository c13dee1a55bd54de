"""The command `asyncclient`, for people and scripts; it needs the extra `cli` (click and rich)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from asyncclient._extras import MissingExtra, needs

__all__ = ["main"]

_BAD_USE = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `asyncclient --help` says what each one means.

    Args:
        arguments: without the program's name; those of this process by default.
    """
    try:
        # Imported here, so that a missing extra, or Ctrl-C meanwhile, is a sentence and not a
        # traceback.
        with needs("cli", "this command"):
            from asyncclient.cli._commands import run  # noqa: PLC0415
        return run(sys.argv[1:] if arguments is None else list(arguments))
    except MissingExtra as error:
        sys.stderr.write(f"asyncclient: {error}\n")
        return _BAD_USE
    except KeyboardInterrupt:
        sys.stderr.write("asyncclient: interrupted\n")
        return _INTERRUPTED
