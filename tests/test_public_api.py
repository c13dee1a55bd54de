"""Tests of the public surface: its names, their docstrings, and what importing it costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, cast

import pytest

import asyncclient

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "asyncclient",
    "asyncclient.errors",
    "asyncclient.integrations.opentelemetry",
    "asyncclient.testing",
    "asyncclient.providers.coze",
    "asyncclient.providers.copyai",
)

# What a program may import from the root for as long as there is no new major version.
PROMISED = {
    "AsDone",
    "BudgetStats",
    "Done",
    "TicketExpired",
    "Handle",
    "KindStats",
    "LearnedSchedule",
    "Observation",
    "Handover",
    "Poller",
    "PollerStats",
    "Schedule",
    "SessionPool",
    "Snapshot",
    "Task",
    "TaskRef",
    "TaskState",
    "Ticket",
    "Vocabulary",
    "Watch",
    "decode_ref",
    "encode_ref",
    "errors",
    "poll_slice",
    "polling_task",
    "wait_until_done",
    "watch",
}


def exported(module: ModuleType) -> list[str]:
    """Return the names that a module exports."""
    return cast("list[str]", module.__all__)


def public_names() -> Iterator[tuple[str, str]]:
    """Return every public name of the package with its module."""
    for module in MODULES:
        for name in exported(importlib.import_module(module)):
            yield module, name


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_sorted_names_that_exist(name: str) -> None:
    """`__all__` is sorted, names nothing twice and nothing private, and all of it is there."""
    module = importlib.import_module(name)
    names = exported(module)
    assert names == sorted(set(names))
    assert all(hasattr(module, each) for each in names)
    assert not [each for each in names if each.startswith("_")]


def test_the_root_exports_all_that_it_binds() -> None:
    """A public name that the root binds is exported; submodules and plain imports are not."""
    bound = {
        name
        for name, value in vars(asyncclient).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }
    assert set(asyncclient.__all__) == bound | {"errors"}


def test_the_promised_names_are_there() -> None:
    """No name that programs rely on has gone."""
    assert set(asyncclient.__all__) >= PROMISED


@pytest.mark.parametrize("module", MODULES)
def test_a_star_import_brings_the_exported_names(module: str) -> None:
    """`from … import *` brings exactly `__all__`."""
    names: dict[str, object] = {}
    exec(f"from {module} import *", names)  # noqa: S102  (the only place for it is a function)
    del names["__builtins__"]
    assert sorted(names) == exported(importlib.import_module(module))


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_is_documented(name: str) -> None:
    """Each public module begins with one sentence."""
    assert_documented(importlib.import_module(name).__doc__)


@pytest.mark.parametrize(("module", "name"), list(public_names()))
def test_a_public_name_is_documented(module: str, name: str) -> None:
    """Each public class and function has a docstring of its own, and so have its methods."""
    value: object = getattr(importlib.import_module(module), name)
    assert_documented(vars(value)["__doc__"] if inspect.isclass(value) else inspect.getdoc(value))
    if not inspect.isclass(value):
        return
    for method, member in vars(value).items():
        if inspect.isfunction(member) and not method.startswith("_"):
            assert member.__doc__, f"{name}.{method}"


def assert_documented(docstring: str | None) -> None:
    """Check that a docstring begins with a summary of one line."""
    assert docstring
    summary, _, rest = docstring.strip().partition("\n")
    assert summary.endswith((".", ":"))
    assert not rest.strip() or rest.startswith("\n")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import asyncclient",
            [
                "aiohttp.web",
                "asyncclient.cli",
                "asyncclient.providers",
                "asyncclient.testing",
                "click",
                "docket",
                "jwt",
                "pytest",
                "rich",
            ],
        ),
        (
            "import asyncclient.providers.coze, asyncclient.providers.copyai",
            ["aiohttp.web", "asyncclient.testing", "click", "docket", "jwt", "pytest", "rich"],
        ),
        ("import asyncclient.testing", ["click", "docket", "pytest", "rich"]),
    ],
    ids=["root", "providers", "testing"],
)
def test_an_import_brings_no_more_than_it_needs(statement: str, absent: list[str]) -> None:
    """What only some users have or need is imported where they need it, and not before."""
    script = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603  (runs this Python with a line from the table above)
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=15
    )
    modules = loaded.stdout.split()
    assert "asyncclient" in modules
    assert sorted(set(modules).intersection(absent)) == []
