"""What tests of many waits share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from asyncclient import Poller
from tests.many.service import EVERY_SECOND


@pytest.fixture
async def poller() -> AsyncGenerator[Poller]:
    """Give a poller that looks every second, and is closed after the test."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        yield poller
