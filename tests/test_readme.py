"""What the README shows is run, and what it says to type is what CI types."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from pathlib import Path

import pytest

from asyncclient.testing import virtual_time_loop

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def run_in_virtual_time(main: Coroutine[object, object, object]) -> object:
    """Stand in for `asyncio.run`, so that the blocks' waits take no time."""
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(main)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block-{n}" for n in range(len(BLOCKS))])
def test_each_code_block_runs_as_it_stands(
    block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python block of the README is a whole program that prints something."""
    monkeypatch.setattr(asyncio, "run", run_in_virtual_time)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102  (the README is ours)
    assert capsys.readouterr().out.strip()


def test_a_reader_finds_code_by_line_ten_and_the_command_that_ci_runs() -> None:
    """The command that the README gives for the tests is the one of `.ci/run`."""
    assert "```python" in "\n".join(README.splitlines()[:10])
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    test_command = next(line for line in commands if "nox" in line)
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()
