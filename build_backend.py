"""hatchling, after a check of the Python: with an old one, pip would search for minutes."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (any Python may run this)
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"asyncclient needs Python 3.11 or later, and this is Python {found}. "
        # Without --clear, a folder that is there keeps its old Python.
        "Make the virtual environment with a newer one: python3.12 -m venv --clear .venv"
    )

from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]
