"""What waits in these tests: each driver of one wait, for the rules that all of them obey."""

from __future__ import annotations

from typing import cast

import pytest

from asyncclient import wait_until_done
from tests.waiting.scenario import Driver


# As wide as the session, so that property tests may use it too.
@pytest.fixture(scope="session", params=[wait_until_done], ids=["wait_until_done"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give one driver after the other."""
    return cast("Driver", request.param)
