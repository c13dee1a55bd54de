"""Each named break has something to replace: `nox -s breaks` shows that the tests notice it."""

from __future__ import annotations

import pytest

from tests.breaks import BREAKS, Break, place_of


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.says)
def test_what_a_break_replaces_is_there(broken: Break) -> None:
    """It stands where its place says, and not in a class above."""
    owner, name = place_of(broken)
    assert name in vars(owner)
