"""A provider's task, named by its ids: what its client's `start_…` returns."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar, TypeVar

import msgspec

from asyncclient._http.call import Account
from asyncclient._http.hint import seconds_asked
from asyncclient._http.message import Endpoint, Response
from asyncclient._ref import TaskRef, task_key
from asyncclient._state import Vocabulary
from asyncclient._task import Observation, Task
from asyncclient._text import even_half_made

A = TypeVar("A")
T_co = TypeVar("T_co", covariant=True)


class RemoteTask(Task[T_co]):
    """A task that an account polls, in a group of endpoints.

    Args:
        account: who asks.
        created: Unix time in whole seconds at which the task was started; None when not known.
    """

    __slots__ = ("_account", "created")

    group: ClassVar[str]
    _look: Endpoint[Observation[T_co]]
    _body: bytes | None = None  # what a look sends

    def __init__(self, account: Account, created: int | None) -> None:
        self._account = account
        self.created = created

    @property
    def _target(self) -> str:
        """Path and query of a look, quoted."""
        raise NotImplementedError  # pragma: no cover

    @property
    def credential(self) -> Hashable:
        """What identifies the credential of its looks; it is not a secret."""
        return self._account.credential

    @property
    def budget(self) -> tuple[Hashable, ...]:
        """What its looks are counted against: provider, account and group of endpoints."""
        return self._account.budget(self.group)

    async def observe(self) -> Observation[T_co]:
        """Look once, with one request, and return all that was seen.

        Raises:
            AsyncClientError: the look failed.
        """
        return await self._account.call(self._look, self._target, self._body, max_retries=0)

    async def poll(self) -> T_co:
        """Look once, and return the provider's typed answer alone; raises as `observe`."""
        return (await self.observe()).result

    def read(self, raw: bytes) -> Observation[T_co]:
        """Return what a look with this answer sees; no I/O.

        Raises:
            APIError, DecodeError: as the look would.
        """
        return self._look.read(Response(200, {}, raw))


class Handle(RemoteTask[T_co]):
    """A provider's task, named by its ids: what `start_…` returns. Making one does no I/O.

    A provider's handle names its `provider`, its `ref_kind`, the `group` of endpoints that its
    looks are counted with, its `vocabulary`, and how it is looked at (`_look`). It adds its `ids`,
    the target of a look, and its optional traits.

    Args:
        account: who asks.
        created: Unix time in whole seconds at which the task was started; None when not known.
    """

    __slots__ = ()

    provider: ClassVar[str]
    ref_kind: ClassVar[str]
    vocabulary: ClassVar[Vocabulary]
    documented_rate: ClassVar[float | None] = None

    @property
    def ids(self) -> dict[str, str]:
        """The provider's ids by their names."""
        raise NotImplementedError  # pragma: no cover

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        return f"{self.provider}.{self.ref_kind}"

    @property
    def ref(self) -> TaskRef:
        """Its portable reference."""
        return TaskRef(self.provider, self.ref_kind, self.ids, self.created, self._account.name)

    @property
    def key(self) -> Hashable:
        """Identity: the account that asks, and the ids."""
        return task_key(self._account.identity, self.ref)

    @even_half_made
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ref}>"


def look_endpoint(
    endpoint: Endpoint[A], observe: Callable[[A], Observation[A]]
) -> Endpoint[Observation[A]]:
    """Make the operation of a look from the endpoint that it asks."""

    def look(response: Response) -> Observation[A]:
        seen = observe(endpoint.read(response))
        hint = seconds_asked(response) if seen.hint is None else seen.hint
        return msgspec.structs.replace(seen, raw=response.body, hint=hint)

    return Endpoint(endpoint.name, endpoint.method, look, endpoint.idempotent)
