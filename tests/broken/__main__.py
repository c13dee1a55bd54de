"""Breaks every promise in turn, and fails if no test notices: `python -m tests.broken`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.broken.safety import SAFETY
from tests.broken.trial import (
    Break,
    Outcome,
    Verdict,
    attempt,
    copy_tree,
    is_used,
    run_unbroken,
    staleness,
)
from tests.broken.waiting import WAITING

BREAKS = (*SAFETY, *WAITING)
_TREE = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all breaks, or some; return 0 when every one was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description=__doc__)
    parser.add_argument(
        "--only", type=int, nargs="+", metavar="N", help="the numbers of the breaks to try"
    )
    parser.add_argument("--list", action="store_true", help="show the promises with their numbers")
    options = parser.parse_args(arguments)
    numbered = dict(enumerate(BREAKS, 1))
    if options.only:
        unknown = [number for number in options.only if number not in numbered]
        if unknown:
            parser.error(f"there is no break {unknown[0]}: the last one is {len(numbered)}")
        numbered = {number: numbered[number] for number in options.only}
    if options.list:
        for number, broken in numbered.items():
            _say(f"{number:>4}  {broken.promise}")
        return 0
    stale = {number: why for number, each in numbered.items() if (why := staleness(each, _TREE))}
    for number, why in stale.items():
        _tell(number, numbered[number], Outcome(Verdict.STALE, reason=why))
    if stale:
        return 1
    with tempfile.TemporaryDirectory() as folder:
        return _try_all(numbered, Path(folder))


def _try_all(numbered: dict[int, Break], folder: Path) -> int:
    began = time.monotonic()
    # One copy for all, so that nobody's edits in the meantime are taken for the break.
    tree = folder / "unbroken"
    copy_tree(_TREE, tree)
    if not is_used(tree):
        _say("the tests would import another asyncclient than that of the copied tree")
        return 1
    tests = sorted({test for broken in numbered.values() for test in broken.noticed_by})
    exit_code, output = run_unbroken(tree, tests)
    if exit_code != 0:
        _say(output)
        _say("the tests fail, or do not run, before anything is broken")
        return 1
    _say(f"unbroken: {len(tests)} test files pass, {time.monotonic() - began:.0f} s")
    counts = dict.fromkeys(Verdict, 0)
    for number, broken in numbered.items():
        outcome = attempt(broken, tree, folder / "broken")
        counts[outcome.verdict] += 1
        _tell(number, broken, outcome)
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
    _say(f"{len(numbered)} breaks: {told}; {time.monotonic() - began:.0f} s")
    return 0 if counts[Verdict.CAUGHT] == len(numbered) else 1


def _tell(number: int, broken: Break, outcome: Outcome) -> None:
    _say(f"{number:>4}  {outcome.verdict.value}: {broken.promise}")
    if outcome.verdict is not Verdict.CAUGHT:
        _say(f"      {broken.file}: {broken.old!r} -> {broken.new!r}")
    for words in (outcome.test, outcome.reason[:300]):
        if words:
            _say(f"      {words}")


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
