"""Credentials from the environment, and the clients that they make. Never from arguments."""

from __future__ import annotations

import os
from typing import Any, cast

from asyncclient._pool import SessionPool
from asyncclient._task import Task, TaskRef
from asyncclient._wire import base_of, header_value
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

__all__ = ["Accounts"]


class Accounts:
    """Makes the providers' clients over one pool; each needs its own variables alone.

    Args:
        pool: what carries their requests.
    """

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool

    def coze(self) -> Coze:
        """Return the client of `COZE_API_TOKEN` and `COZE_API_BASE` (by default `Coze.COM`).

        Raises:
            ValueError: a variable is missing or cannot be.
        """
        return Coze(
            self._pool,
            token=_credential("COZE_API_TOKEN", "a token of Coze"),
            base_url=_base("COZE_API_BASE", Coze.COM),
        )

    def copyai(self) -> CopyAI:
        """Return the client of `COPYAI_API_KEY` and `COPYAI_API_BASE` (by default Copy.ai's own).

        Raises:
            ValueError: a variable is missing or cannot be.
        """
        return CopyAI(
            self._pool,
            api_key=_credential("COPYAI_API_KEY", "an API key of Copy.ai"),
            base_url=_base("COPYAI_API_BASE", CopyAI.BASE_URL),
        )

    def task(self, ref: TaskRef) -> Task[Any]:
        """Return the task that a reference stands for; no I/O.

        Raises:
            ValueError: a variable is missing, or no provider knows such a reference.
        """
        match ref.provider:
            case "coze":
                return cast("Task[Any]", self.coze().task(ref))
            case "copyai":
                return cast("Task[Any]", self.copyai().task(ref))
            case _:
                msg = f"{ref}: this command knows the providers coze and copyai"
                raise ValueError(msg)


def _credential(name: str, what: str) -> str:
    value = os.environ.get(name)
    if not value:
        msg = f"{name} is not set: put {what} into this environment variable"
        raise ValueError(msg)
    return header_value(name, value)


def _base(name: str, default: str) -> str:
    value = os.environ.get(name) or default
    try:
        base_of(value)
    except ValueError as error:
        # What follows is advice for a program.
        msg = f"{name}: {str(error).partition(', or pass ')[0]}"
        raise ValueError(msg) from None
    return value
