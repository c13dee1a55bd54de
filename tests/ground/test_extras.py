"""Tests of what an optional part says when what it needs is not installed."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from asyncclient._extras import needs

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
ASKS_BY_JWT = """
import asyncio
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport
token = CozeJWT("1", "k", "-----BEGIN PRIVATE KEY-----")
asyncio.run(Coze(ScriptedTransport(), token=token).get_bot("1"))
"""


@pytest.mark.parametrize(
    ("extra", "package", "line"),
    [
        ("cli", "click", "import asyncclient.cli; asyncclient.cli.main([])"),
        ("cli", "rich", "import asyncclient.cli; asyncclient.cli.main([])"),
        ("docket", "docket", "import asyncclient.integrations.docket"),
        ("procrastinate", "procrastinate", "import asyncclient.integrations.procrastinate"),
        ("opentelemetry", "opentelemetry", "import asyncclient.integrations.opentelemetry"),
        ("coze-jwt", "jwt", ASKS_BY_JWT),
    ],
)
def test_each_part_says_what_is_missing_and_the_command_that_brings_it(
    extra: str, package: str, line: str
) -> None:
    """In one sentence, the same for all; the extra is one that the package has."""
    program = f"import sys; sys.modules['{package}'] = None\n{line}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    command = f'in a clone of asyncclient-tasks, run pip install ".[{extra}]"'
    assert last.endswith(f" needs {package}, which is not installed: {command}")
    assert extra in PROJECT["optional-dependencies"]


def test_what_else_cannot_be_imported_is_its_own_error() -> None:
    """A package that is broken, or one that no extra brings."""
    with (
        pytest.raises(ModuleNotFoundError, match="No module named 'not_there'"),
        needs("cli", "this command"),
    ):
        importlib.import_module("not_there")


def test_a_defect_of_the_command_is_no_missing_extra() -> None:
    """What of its own cannot be imported is a traceback, which a report of the defect needs."""
    program = "import sys; sys.modules['asyncclient.cli._waits'] = None; "
    program += "import asyncclient.cli; asyncclient.cli.main([])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "Traceback" in done.stderr
