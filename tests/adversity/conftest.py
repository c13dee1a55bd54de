"""Faults on real sockets, on the clock of their scenes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adversity.scene import scene_loop


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Put this folder on the clock of its scenes."""
    return "asyncio", {"loop_factory": scene_loop}
