"""Tests of the public surface: its names, their docstrings, and what importing it costs."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from types import ModuleType
from typing import cast

import pytest

import asyncclient

MODULES = (
    "asyncclient",
    "asyncclient.catalogue",
    "asyncclient.errors",
    "asyncclient.integrations.opentelemetry",
    "asyncclient.testing",
    "asyncclient.providers.coze",
    "asyncclient.providers.copyai",
)

# What a program may import from the root for as long as there is no new major version.
PROMISED = set(
    re.findall(
        r"\w+",
        """
        AsDone BudgetStats catalogue decode_ref Done encode_ref errors Handle Handover KindStats
        LearnedSchedule Observation poll_slice Poller PollerStats polling_task Reading
        Schedule SessionPool Snapshot Task TaskAPI TaskRef TaskState Ticket TicketExpired Vocabulary
        wait_until_done Watch watch
        """,
    )
)


def exported(module: ModuleType) -> list[str]:
    """Return the names that a module exports."""
    return cast("list[str]", module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_sorted_names_that_exist(name: str) -> None:
    """`from … import *` brings exactly `__all__`, which names nothing twice and nothing private."""
    module = importlib.import_module(name)
    names = exported(module)
    assert names == sorted(set(names))
    assert not [each for each in names if each.startswith("_")]
    brought: dict[str, object] = {}
    exec(f"from {name} import *", brought)  # noqa: S102  (the only place for it is a function)
    del brought["__builtins__"]
    assert sorted(brought) == names


def test_the_root_exports_all_that_it_has_and_has_promised() -> None:
    """A public name that it lists is exported, and no name that programs rely on has gone."""
    listed = {
        name
        for name in dir(asyncclient)
        if not name.startswith("_")
        and name not in {"annotations", "TYPE_CHECKING"}
        and not isinstance(getattr(asyncclient, name), ModuleType)
    }
    assert set(asyncclient.__all__) == listed | {"catalogue", "errors"} >= PROMISED


def test_the_root_says_what_it_lacks() -> None:
    """A name that is not there is missing as from any module, for each way to ask."""
    assert not hasattr(asyncclient, "Pooler")
    with pytest.raises(AttributeError, match="module 'asyncclient' has no attribute 'Pooler'"):
        getattr(asyncclient, "Pooler")  # noqa: B009  (a checker would see that it is not there)
    with pytest.raises(ImportError, match="cannot import name 'Pooler'"):
        exec("from asyncclient import Pooler", {})  # noqa: S102  (as above)


@pytest.mark.parametrize("name", MODULES)
def test_all_that_is_public_is_documented(name: str) -> None:
    """A module, and each class and function in it, has a docstring, and so has each method."""
    module = importlib.import_module(name)
    assert_documented(module.__doc__)
    for each in exported(module):
        value: object = getattr(module, each)
        if inspect.isfunction(value) or inspect.ismodule(value):
            assert_documented(inspect.getdoc(value))
        if not inspect.isclass(value):
            continue
        assert_documented(vars(value)["__doc__"])
        for method, member in vars(value).items():
            if inspect.isfunction(member) and not method.startswith("_"):
                assert member.__doc__, f"{each}.{method}"


def assert_documented(docstring: str | None) -> None:
    """Check that a docstring begins with a summary of one line."""
    assert docstring
    summary, _, rest = docstring.strip().partition("\n")
    assert summary.endswith((".", ":"))
    assert not rest.strip() or rest.startswith("\n")


# What only some users have, and what only some need.
EXTRAS = {"click", "docket", "pytest", "rich"}
ENGINES = {"opentelemetry", "docket", "redis", "procrastinate"}
CLIENTS = {*EXTRAS, "aiohttp.web", "asyncclient.testing", "jwt"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import asyncclient", CLIENTS | {"aiohttp", "anyio", "asyncclient.errors", "msgspec"}),
        ("from asyncclient import *", CLIENTS | {"asyncclient.cli", "asyncclient.providers"}),
        ("import asyncclient.providers.coze, asyncclient.providers.copyai", CLIENTS),
        ("import asyncclient.testing, asyncclient.integrations", EXTRAS | ENGINES),
    ],
    ids=["root", "its names", "providers", "testing and integrations"],
)
def test_an_import_brings_no_more_than_it_needs(statement: str, absent: set[str]) -> None:
    """A module is imported where it is needed, and not before."""
    script = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603  (runs this Python with a line from the table above)
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=100
    )
    modules = loaded.stdout.split()
    assert "asyncclient" in modules
    assert absent.intersection(modules) == set()
