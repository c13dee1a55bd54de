"""Breaks one promise at a time, in a copy of the tree, and sees whether a test notices."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

# What takes seconds gets minutes: only what hangs, and stops its own time-out, is cut off.
_TEST_SECONDS = 30
_RUN_SECONDS = 180
_UNBROKEN_SECONDS = 900
# Not copied: caches, environments, the repository.
_HIDDEN = "."
# Exit codes of pytest: all passed, and some failed. All others say that it did not get so far.
_PASSED = 0
_FAILED = 1
_FAILED_LINE = re.compile(r"^FAILED (?P<test>.+?)(?: - (?P<reason>.*))?$", re.MULTILINE)
# These tell that the break broke the code, which any test sees, and not the promise.
_NOT_THE_PROMISE = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")


@dataclass(frozen=True)
class Break:
    """One promise, and the smallest edit that breaks it.

    Attributes:
        promise: what holds, in one sentence.
        file: what keeps it, from the top of the tree.
        old: text that is in that file exactly once.
        new: what stands in its place when the promise is broken.
        noticed_by: test files, from the top of the tree; a test in one of them must fail.
    """

    promise: str
    file: str
    old: str
    new: str
    noticed_by: tuple[str, ...]


class Verdict(Enum):
    """How a trial ended."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    STALE = "STALE"
    NOT_TRIED = "NOT TRIED"


@dataclass(frozen=True)
class Outcome:
    """What a trial showed.

    Attributes:
        verdict: how it ended.
        test: the first test that failed.
        reason: why it failed, or why there is no verdict.
    """

    verdict: Verdict
    test: str = ""
    reason: str = ""


def staleness(broken: Break, tree: Path) -> str:
    """Return why a break does not fit the tree any more; empty when it does."""
    file = tree / broken.file
    if not file.is_file():
        return f"there is no {broken.file}"
    source = file.read_text()
    times = source.count(broken.old)
    if times != 1:
        return f"its old text is in {broken.file} {times} times, not once"
    try:
        ast.parse(source.replace(broken.old, broken.new))
    except SyntaxError as error:
        return f"{broken.file} would be no Python any more: {error.msg} in line {error.lineno}"
    missing = [test for test in broken.noticed_by if not (tree / test).is_file()]
    return f"there is no {', '.join(missing)}" if missing else ""


def judge(exit_code: int | None, output: str) -> Outcome:
    """Say what a run of pytest over a broken tree shows.

    Args:
        exit_code: pytest's; None when it had to be stopped.
        output: what it wrote.
    """
    if exit_code is None:
        return Outcome(Verdict.NOT_TRIED, reason="pytest had to be stopped")
    if exit_code == _PASSED:
        return Outcome(Verdict.SURVIVED)
    last = output.strip().rpartition("\n")[2]
    if exit_code != _FAILED:
        return Outcome(Verdict.NOT_TRIED, reason=f"pytest ended with {exit_code}: {last}")
    failed = _FAILED_LINE.search(output)
    if failed is None:
        return Outcome(Verdict.NOT_TRIED, reason=f"no test failed, but something did: {last}")
    reason = failed["reason"] or ""
    if reason.startswith(_NOT_THE_PROMISE):
        return Outcome(Verdict.NOT_TRIED, failed["test"], f"the break is no good: {reason}")
    return Outcome(Verdict.CAUGHT, failed["test"], reason)


def copy_tree(tree: Path, target: Path) -> None:
    """Copy all that is needed to run tests."""

    def unneeded(_folder: str, names: list[str]) -> Iterable[str]:
        return [name for name in names if name.startswith(_HIDDEN)]

    shutil.copytree(tree, target, ignore=unneeded)


def run_unbroken(tree: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Run tests over a tree as it is; return pytest's exit code, None if stopped, and its words."""
    return _pytest(tree, tests, _UNBROKEN_SECONDS)


def attempt(broken: Break, tree: Path, scratch: Path) -> Outcome:
    """Break a promise in a copy, and run the tests that must notice.

    Args:
        broken: the break.
        tree: what is copied; it stays as it is.
        scratch: where the copy is made, and removed again.
    """
    reason = staleness(broken, tree)
    if reason:
        return Outcome(Verdict.STALE, reason=reason)
    copy_tree(tree, scratch)
    try:
        file = scratch / broken.file
        file.write_text(file.read_text().replace(broken.old, broken.new))
        # What was compiled before the break must not be taken for it.
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()
        return judge(*_pytest(scratch, broken.noticed_by, _RUN_SECONDS))
    finally:
        shutil.rmtree(scratch)


def is_used(tree: Path) -> bool:
    """Return whether tests in a tree import the package from that tree, and from nowhere else."""
    told = subprocess.run(
        [sys.executable, "-c", "import asyncclient; print(asyncclient.__file__)"],
        cwd=tree,
        env=_environment(tree),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return Path(told.strip()).resolve().is_relative_to(tree.resolve())


def _environment(tree: Path) -> Mapping[str, str]:
    """Return this environment without what would steer the tests, and with the tree to import."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "COVERAGE", "COV_"))
    }
    return {**kept, "PYTHONPATH": str(tree), "COLUMNS": "400"}


def _pytest(tree: Path, tests: Sequence[str], seconds: float) -> tuple[int | None, str]:
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rf", "--color=no"),
        *("-p", "no:randomly", "-p", "no:cacheprovider", "-n", "0"),
        *("--hypothesis-seed=0", f"--timeout={_TEST_SECONDS}", *tests),
    ]
    running = subprocess.Popen(  # noqa: S603  (this Python, with arguments of its own)
        command,
        cwd=tree,
        env=_environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with running:
        try:
            output, _ = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return None, ""
    return running.returncode, output
