"""A pytest plugin that puts async tests on virtual time; opt in, since pytest is no dependency.

In the `conftest.py` at the top of the test suite::

    pytest_plugins = ["asyncclient.testing.pytest_plugin"]

From then on every async test that anyio's pytest plugin runs (all, with `anyio_mode = "auto"`)
waits in virtual time. A module, class or test asks for the real clock with the mark `real_time`.
Where the real clock is the default, `virtual_time` asks for the virtual one::

    from asyncclient.testing.pytest_plugin import real_time

    pytestmark = real_time
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from asyncclient.testing._virtual_time import virtual_time_loop

__all__ = [
    "REAL_TIME_BACKEND",
    "VIRTUAL_TIME_BACKEND",
    "anyio_backend",
    "real_time",
    "virtual_time",
]

VIRTUAL_TIME_BACKEND: Final[tuple[str, dict[str, Any]]] = (
    "asyncio",
    {"loop_factory": virtual_time_loop},
)
"""What a fixture called `anyio_backend` returns to have its tests run on virtual time."""

REAL_TIME_BACKEND: Final[tuple[str, dict[str, Any]]] = ("asyncio", {"debug": True})
"""The same for the real clock, with asyncio's debug mode on."""

virtual_time: Final = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(VIRTUAL_TIME_BACKEND, id="virtual")], scope="module"
)
"""Marks a test, class or module that runs on virtual time no matter what the default is."""

real_time: Final = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(REAL_TIME_BACKEND, id="real")], scope="module"
)
"""Marks a test, class or module that runs on the real clock no matter what the default is."""


# As wide as the session, so that async fixtures of any scope may run on this loop.
@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Make virtual time the default for async tests."""
    return VIRTUAL_TIME_BACKEND
