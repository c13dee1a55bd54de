"""Tests of what breaks promises: it fits the tree, and takes nothing else for a noticed break."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.broken.__main__ import BREAKS
from tests.broken.trial import Break, Verdict, attempt, is_used, judge, run_unbroken, staleness

TREE = Path(__file__).parents[2]
NOTICED = "FAILED tests/test_a.py::test_b[a - b] - AssertionError: told\n1 failed in 0.1s\n"


@pytest.mark.parametrize("number", range(1, len(BREAKS) + 1))
def test_each_break_fits_the_tree(number: int) -> None:
    """Its old text is there exactly once, what it makes is Python, and its tests are there."""
    assert staleness(BREAKS[number - 1], TREE) == ""


def test_each_promise_is_told_once_and_in_a_sentence() -> None:
    """A promise is one sentence, and no two breaks are told in the same words."""
    promises = [broken.promise for broken in BREAKS]
    assert [promise for promise in promises if promises.count(promise) > 1] == []
    assert [promise for promise in promises if not promise.endswith(".")] == []
    assert [promise for promise in promises if ". " in promise] == []


@pytest.mark.parametrize(
    ("exit_code", "output", "verdict"),
    [
        (1, NOTICED, Verdict.CAUGHT),
        (0, "1 passed in 0.1s\n", Verdict.SURVIVED),
        # Neither a test that cannot be collected, nor a fixture that fails, is one that notices.
        (2, "ERROR tests/test_a.py\n1 error in 0.1s\n", Verdict.NOT_TRIED),
        (1, "ERROR tests/test_a.py::test_b\n1 error in 0.1s\n", Verdict.NOT_TRIED),
        (1, "FAILED tests/test_a.py::test_b - NameError: name 'x' is not\n", Verdict.NOT_TRIED),
        (1, "FAILED tests/test_a.py::test_b - ImportError: cannot\n", Verdict.NOT_TRIED),
        (3, "INTERNALERROR\n", Verdict.NOT_TRIED),
        (4, "ERROR: file or directory not found\n", Verdict.NOT_TRIED),
        (5, "no tests ran in 0.1s\n", Verdict.NOT_TRIED),
        (-9, "", Verdict.NOT_TRIED),
        (None, NOTICED, Verdict.NOT_TRIED),
    ],
)
def test_only_a_failing_test_counts(exit_code: int | None, output: str, verdict: Verdict) -> None:
    """A break is caught when pytest ran, and a test failed for what it looked at."""
    assert judge(exit_code, output).verdict is verdict


def test_what_noticed_is_told() -> None:
    """The first failing test is named, with its reason."""
    outcome = judge(1, NOTICED)
    assert (outcome.test, outcome.reason) == (
        "tests/test_a.py::test_b[a",
        "b] - AssertionError: told",
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree with a promise, a test that holds it, and one that does not."""
    files = {
        "asyncclient/__init__.py": "def half(number: float) -> float:\n    return number / 2\n",
        "tests/test_half.py": (
            "from asyncclient import half\n\ndef test_half():\n    assert half(6) == 3\n"
        ),
        "tests/test_blind.py": (
            "from asyncclient import half\n\ndef test_blind():\n    assert half(0) == 0\n"
        ),
    }
    for name, text in files.items():
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "tree"


HALVES = Break(
    "A half is a half.", "asyncclient/__init__.py", "/ 2", "/ 3", ("tests/test_half.py",)
)


@pytest.mark.heavy
def test_a_break_is_tried_in_a_copy(tree: Path, tmp_path: Path) -> None:
    """A test that holds the promise notices, one that does not lets it survive; the tree stays."""
    assert is_used(tree)
    assert run_unbroken(tree, ["tests/test_half.py", "tests/test_blind.py"])[0] == 0
    blind = replace(HALVES, noticed_by=("tests/test_blind.py",))
    caught = attempt(HALVES, tree, tmp_path / "copy")
    assert (caught.verdict, caught.test) == (Verdict.CAUGHT, "tests/test_half.py::test_half")
    assert attempt(blind, tree, tmp_path / "copy").verdict is Verdict.SURVIVED
    assert "/ 2" in (tree / HALVES.file).read_text()
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("stale", "words"),
    [
        (replace(HALVES, file="asyncclient/gone.py"), "there is no asyncclient/gone.py"),
        (replace(HALVES, old="/ 4"), "0 times"),
        (replace(HALVES, old="number"), "2 times"),
        (replace(HALVES, new="/"), "no Python any more"),
        (replace(HALVES, noticed_by=("tests/test_gone.py",)), "there is no tests/test_gone.py"),
    ],
    ids=["file", "old gone", "old twice", "new", "tests"],
)
def test_what_does_not_fit_is_stale(tree: Path, tmp_path: Path, stale: Break, words: str) -> None:
    """What does not fit the tree any more is told, and not taken for a noticed break."""
    outcome = attempt(stale, tree, tmp_path / "copy")
    assert outcome.verdict is Verdict.STALE
    assert words in outcome.reason
