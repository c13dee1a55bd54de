"""A shell of tests: it runs the command in this process, and reads what it writes."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from asyncclient.cli import main

# The credentials of Coze, of Copy.ai and of any other API.
TOKEN = "pat_kept_to_itself"
KEY = "key-kept-to-itself"
OTHER = "tok-kept-to-itself"
VARIABLES = ("COZE_API_TOKEN", "COZE_API_BASE", "COPYAI_API_KEY", "COPYAI_API_BASE")
# Words of the library's advice that mean nothing in a shell.
PYTHON = (
    r"\.snapshot|allow_http|await |base_url|decode|encode_ref|on_blocked|same task|workflow_run\(\)"
)


def a_terminal(*, is_live: bool) -> Callable[[object], bool]:
    """Return what says of any stream whether it is a terminal that redraws."""
    return lambda _stream: is_live


class Shell:
    """Runs the command and keeps what it wrote, which never holds a credential."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        self.out = self.err = ""

    def __call__(self, *arguments: str, stdin: str | io.BytesIO = "") -> int:
        """Run a command line and return its exit code.

        Halves of letters in the standard input stand for bytes that are no text.
        """
        raw = stdin
        if isinstance(raw, str):
            raw = io.BytesIO(raw.encode("utf-8", "surrogateescape"))
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw, "utf-8"))
        code = main(arguments)
        self.out, self.err = self._capfd.readouterr()
        for secret in (TOKEN, KEY, OTHER):
            assert secret not in self.out + self.err
        return code

    @property
    def json(self) -> Any:  # noqa: ANN401  (JSON is of any shape)
        """What it wrote, which is one line of JSON."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """Its complaint, which is one line for people at a shell."""
        assert self.err.startswith("asyncclient: ")
        assert self.err.count("\n") == 1
        assert re.search(PYTHON, self.err) is None
        return self.err
