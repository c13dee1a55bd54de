"""The providers, and their tasks by references; credentials come from the environment alone."""

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

KnownTask: TypeAlias = (
    CozeRunHandle | CopyTaskHandle | ChatHandle | DocumentProgressHandle | CopyAIRunHandle
)
"""What this command can start or wait for."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What a person at a shell must know about a provider.

    Attributes:
        variables: the environment variables of its client.
        runs: where a person finds the started job, in words.
    """

    variables: Variables
    runs: str


PROVIDERS = {
    "coze": Provider(COZE, "the workflow's runs on Coze's own site"),
    "copyai": Provider(COPYAI, "the workflow's runs at Copy.ai"),
}
"""By the names that references have."""


def task_of(pool: SessionPool, ref: TaskRef) -> KnownTask:
    """Return the task that a reference stands for, with the client of its variables; no I/O.

    Raises:
        ValueError: a variable is missing, or no provider knows such a reference.
    """
    match ref.provider:
        case "coze":
            client: Coze | CopyAI = Coze.from_env(pool)
        case "copyai":
            client = CopyAI.from_env(pool)
        case _:
            msg = f"{str(ref).strip()}: this command knows the providers coze and copyai"
            raise ValueError(msg)
    try:
        return cast("KnownTask", client.task(ref))  # one of these, at run time
    except ValueError:
        msg = (
            f"{str(ref).strip()} is not a reference of a {ref.provider} task: "
            "give the whole line that 'start' wrote"
        )
        raise ValueError(msg) from None
