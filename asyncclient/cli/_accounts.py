"""Credentials from the environment, and the clients that they make. Never from arguments."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias, cast

from asyncclient._http import SessionPool, base_of, header_value
from asyncclient._ref import TaskRef
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle as CopyAIRunHandle
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTaskHandle,
    Coze,
    DocumentProgressHandle,
    WorkflowRunHandle as CozeRunHandle,
)

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
        credential: the environment variable that holds the token or key.
        what: what that is.
        base: the environment variable that holds the base URL.
        default: the base URL unless it is set.
        places: the base URLs that there are, in words.
        runs: where a person finds what was started, in words.
    """

    credential: str
    what: str
    base: str
    default: str
    places: str
    runs: str


PROVIDERS = {
    "coze": Provider(
        credential="COZE_API_TOKEN",
        what="a token of Coze",
        base="COZE_API_BASE",
        default=Coze.COM,
        places=f"{Coze.COM} or {Coze.CN}, whichever the token is of",
        runs="the workflow's runs on Coze's own site",
    ),
    "copyai": Provider(
        credential="COPYAI_API_KEY",
        what="an API key of Copy.ai",
        base="COPYAI_API_BASE",
        default=CopyAI.BASE_URL,
        places=CopyAI.BASE_URL,
        runs="the workflow's runs at Copy.ai",
    ),
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
        provider = PROVIDERS["coze"]
        return Coze(self._pool, token=_credential(provider), base_url=_base(provider))

    def copyai(self) -> CopyAI:
        """Return the client of `COPYAI_API_KEY` and `COPYAI_API_BASE` (by default Copy.ai's own).

        Raises:
            ValueError: a variable is missing or cannot be.
        """
        provider = PROVIDERS["copyai"]
        return CopyAI(self._pool, api_key=_credential(provider), base_url=_base(provider))

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


def _credential(provider: Provider) -> str:
    name = provider.credential
    value = os.environ.get(name)
    if not value:
        msg = f"{name} is not set: put {provider.what} into this environment variable"
        raise ValueError(msg)
    if value.lower().startswith("bearer "):
        msg = f"{name} begins with 'Bearer ': put {provider.what} alone into it"
        raise ValueError(msg)
    return header_value(name, value)


def _base(provider: Provider) -> str:
    name = provider.base
    value = os.environ.get(name) or provider.default
    try:
        base_of(value, allow_http=True)
    except ValueError:
        # A URL with a password in it is not shown.
        shown = "what is in it" if "@" in value else repr(value)
        msg = (
            f"{name}: {shown} is not a base URL (https, a host, perhaps a path): "
            f"use {provider.places}"
        )
        raise ValueError(msg) from None
    try:
        base_of(value)
    except ValueError:
        # Plain http to another machine is all that the first call allows and this one does not.
        msg = f"{name}: {value!r} would send the credential in the clear: use https"
        raise ValueError(msg) from None
    return value
