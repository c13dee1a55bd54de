"""What the pages say of benchmarks is what the scripts printed."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import cast

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


def test_the_pages_are_written_from_the_stored_results() -> None:
    """Nothing in them is typed by hand: `python benchmarks/run_all.py --write` changes neither."""
    written = runpy.run_path(str(BENCHMARKS / "run_all.py"))
    page = cast("Callable[[], str]", written["page"])
    readme = cast("Callable[[str], str]", written["readme"])
    assert (BENCHMARKS / "README.md").read_text() == page()
    text = (ROOT / "README.md").read_text()
    assert text == readme(text)
