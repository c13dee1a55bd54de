"""Credentials from the environment, and the clients that they make. Never from arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

from asyncclient._http import SessionPool
from asyncclient._ref import TaskRef
from asyncclient.providers._environment import Variables
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle as CopyAIRunHandle
from asyncclient.providers.copyai._client import VARIABLES as COPYAI
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTaskHandle,
    Coze,
    DocumentProgressHandle,
    WorkflowRunHandle as CozeRunHandle,
)
from asyncclient.providers.coze._client import VARIABLES as COZE

__all__ = [
    "PROVIDERS",
    "Accounts",
    "CopyAIRunHandle",
    "CozeRunHandle",
    "KnownTask",
    "Provider",
]

KnownTask: TypeAlias = (
    CozeRunHandle | CopyTaskHandle | ChatHandle | DocumentProgressHandle | CopyAIRunHandle
)
"""What this command can start or wait for."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What a person at a shell must know of a provider.

    Attributes:
        variables: the environment variables of its client.
        runs: where a person finds what was started, in words.
    """

    variables: Variables
    runs: str


PROVIDERS = {
    "coze": Provider(COZE, "the workflow's runs on Coze's own site"),
    "copyai": Provider(COPYAI, "the workflow's runs at Copy.ai"),
}
"""By the names that references bear."""


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
        return Coze.from_env(self._pool)

    def copyai(self) -> CopyAI:
        """Return the client of `COPYAI_API_KEY` and `COPYAI_API_BASE` (by default Copy.ai's own).

        Raises:
            ValueError: a variable is missing or cannot be.
        """
        return CopyAI.from_env(self._pool)

    def task(self, ref: TaskRef) -> KnownTask:
        """Return the task that a reference stands for; no I/O.

        Raises:
            ValueError: a variable is missing, or no provider knows such a reference.
        """
        match ref.provider:
            case "coze":
                client: Coze | CopyAI = self.coze()
            case "copyai":
                client = self.copyai()
            case _:
                msg = f"{str(ref).strip()}: this command knows the providers coze and copyai"
                raise ValueError(msg)
        try:
            return cast("KnownTask", client.task(ref))  # one of these, at run time
        except ValueError:
            msg = (
                f"{str(ref).strip()}: no {ref.provider} task has such a reference: "
                "give the whole line that 'start' wrote"
            )
            raise ValueError(msg) from None
