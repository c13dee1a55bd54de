"""A simulator for each test, and a client of each of its providers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from asyncclient.testing import Simulator
from tests.testing.clients import CopyAIClient, CozeClient, asking


@pytest.fixture
async def clients() -> AsyncGenerator[tuple[CozeClient, CopyAIClient]]:
    """Give a client of each provider."""
    async with asking(Simulator()) as both:
        yield both


@pytest.fixture
def coze(clients: tuple[CozeClient, CopyAIClient]) -> CozeClient:
    """Give a client of Coze."""
    return clients[0]


@pytest.fixture
def copyai(clients: tuple[CozeClient, CopyAIClient]) -> CopyAIClient:
    """Give a client of Copy.ai."""
    return clients[1]
