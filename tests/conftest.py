"""What all tests share: virtual time by default, no blocking call in a loop, Hypothesis settings.

A module that needs the real clock says `pytestmark = real_time`; a folder of them defines its own
fixture `anyio_backend` in its `conftest.py`. Both names are in `asyncclient.testing.pytest_plugin`.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.loops import Backend, virtual_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline: a shared machine stalls now and then. A failure prints what reproduces it.
settings.register_profile("ci", deadline=None, derandomize=False, print_blob=True)
# For what runs the same tests once more, on another Python or with other versions.
settings.register_profile("brief", settings.get_profile("ci"), max_examples=25)
# For `nox -s fuzz`.
settings.register_profile("long", settings.get_profile("ci"), max_examples=5_000)
settings.load_profile("ci")

# What lies here costs much of the time that measuring coverage takes, and adds nothing to it.
_UNTRACED = ("adversity", "examples", "simulation", "test_fuzz.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole suite run on another event loop."""
    loops = ["asyncio", "uvloop", "eager"]
    parser.addoption("--event-loop", choices=loops, default="asyncio", help="what the tests run on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by its place what is run without measuring coverage."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here).parts[0] if here in item.path.parents else ""
        if place in _UNTRACED:
            item.add_marker(pytest.mark.untraced)


def pytest_collection_finish() -> None:
    """Leave all that is loaded out of each search for garbage: it is much, and it stays."""
    gc.collect()
    gc.freeze()


# As wide as the session, so that async fixtures of any scope may run on this loop.
@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """Make virtual time the default for async tests."""
    return virtual_backend(str(request.config.getoption("--event-loop")))


@pytest.fixture(scope="session", autouse=True)
def no_proxies() -> Iterator[None]:
    """Take the proxies of the machine that runs the tests out of the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            environment.delenv(name)
        yield


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail a test when the package blocks its event loop, by `time.sleep` or by reading a file."""
    with blockbuster_ctx("asyncclient"):
        yield
