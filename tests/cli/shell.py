"""A shell of tests: it runs the command in this process, and reads what it writes."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest

from asyncclient import TaskRef, encode_ref
from asyncclient.cli import main

# The credentials of Coze, of Copy.ai and of any other API, and the query of a signed URL.
TOKEN = "pat_kept_to_itself"
KEY = "key-kept-to-itself"
OTHER = "tok-kept-to-itself"
SIGNED = "sig=s1gned-kept-to-itself"
VARIABLES = ("COZE_API_TOKEN", "COZE_API_BASE", "COPYAI_API_KEY", "COPYAI_API_BASE")
REPLICATE = ("--api", "replicate.prediction")
# A reference to a run that no one has started.
NOWHERE = encode_ref(TaskRef("coze", "workflow_run", {"workflow_id": "1", "execute_id": "2"}))
# Words of the library's advice that mean nothing in a shell.
PYTHON = (
    r"\.snapshot|allow_http|await |base_url|decode|encode_ref|on_blocked|same task|workflow_run\(\)"
)


class Shell:
    """Runs the command and keeps what it wrote, which never holds a credential."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self.monkeypatch = monkeypatch
        self.out = self.err = ""

    def __call__(self, *arguments: str, stdin: str | io.BytesIO = "") -> int:
        """Run a command line and return its exit code.

        Halves of letters in the standard input stand for bytes that are no text.
        """
        raw = stdin
        if isinstance(raw, str):
            raw = io.BytesIO(raw.encode("utf-8", "surrogateescape"))
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw, "utf-8"))
        code = main(arguments)
        self.out, self.err = self._capfd.readouterr()
        for secret in (TOKEN, KEY, OTHER, SIGNED):
            assert secret not in self.out + self.err
        return code

    def start(self, command: str = "coze-workflow", **fate: object) -> str:
        """Start a run of a given fate at the simulator, and return its reference."""
        inputs = json.dumps({"simulate": fate})
        assert self("start", command, "7350", "--params-json", "-", stdin=inputs) == 0
        return self.out.strip()

    def is_terminal(self, columns: int, *, is_live: bool = True) -> None:
        """Let it be a terminal of some width, which redraws or not."""

        def has_live_terminal(_stream: object) -> bool:
            return is_live

        self.monkeypatch.setenv("COLUMNS", str(columns))
        for module in ("_output", "_demo_view"):
            name = f"asyncclient.cli.{module}.has_live_terminal"
            self.monkeypatch.setattr(name, has_live_terminal)

    @property
    def lines(self) -> list[Any]:
        """What it wrote, which is a line of JSON for each of several."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:  # noqa: ANN401  (JSON is of any shape)
        """What it wrote, which is one line of JSON."""
        assert self.out.count("\n") == 1
        return self.lines[0]

    @property
    def complaint(self) -> str:
        """Its complaint, which is one line for people at a shell."""
        assert self.err.startswith("asyncclient: ")
        assert self.err.count("\n") == 1
        assert re.search(PYTHON, self.err) is None
        return self.err
