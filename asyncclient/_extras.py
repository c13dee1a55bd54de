"""The error of an optional part whose extra is not installed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

# The packages that each extra of pyproject.toml brings, by the names that are imported.
_PACKAGES = {
    "cli": {"click", "rich"},
    "coze-jwt": {"cryptography", "jwt"},
    "docket": {"docket", "redis"},
    "opentelemetry": {"opentelemetry"},
    "procrastinate": {"procrastinate", "psycopg", "psycopg_pool"},
}


class MissingExtra(ImportError):
    """An extra is not installed; the text says which command installs it."""


@contextmanager
def needs(extra: str, who: str) -> Generator[None]:
    """Import a package of an extra, or raise an error with the command that installs it.

    Args:
        extra: its name in pyproject.toml.
        who: what does not work without it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES[extra]:
            raise
        msg = (
            f"{who} needs {package}, which is not installed: "
            f'in a clone of asyncclient-tasks, run pip install ".[{extra}]"'
        )
        raise MissingExtra(msg, name=error.name) from None
