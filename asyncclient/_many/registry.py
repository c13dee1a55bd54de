"""The tasks with waiters, by their keys and references. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TypeVar, cast

from asyncclient._arguments import hashable
from asyncclient._many.shared import SharedRecord
from asyncclient._ref import TaskRef, is_same_task, task_key
from asyncclient._task import Task, is_task, no_task
from asyncclient._text import type_name

T = TypeVar("T")

# As many places as an int of two digits has: one of three takes 16 bytes more, a task.
_PLACES = (1 << 60) - 1


class Registry:
    """Pending tasks by their keys: one record for each task and all of its waiters.

    Keys that differ only in their first part stand at one place: those of a provider's job, about
    which several accounts ask, so that its reference, which may name no account, finds them all.
    """

    def __init__(self) -> None:
        # A place mostly has one record, which then needs no dict.
        self._places: dict[int, SharedRecord | dict[Hashable, SharedRecord]] = {}
        # Where records of a caller's tasks stand by their references: another waiter's task may
        # have none.
        self._by_ref: dict[SharedRecord, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[SharedRecord]:
        for place in self._places:
            yield from self._at(place)

    def get(self, key: Hashable) -> SharedRecord | None:
        """Return the record of a key."""
        found = self._places.get(_place_of(key))
        if isinstance(found, dict):
            return found.get(key)
        same = found is not None and (found.key is key or found.key == key)
        return found if same else None

    def add(self, record: SharedRecord) -> None:
        """Keep a record."""
        self._size += 1
        places, ref = {_place_of(record.key)}, record.ref
        if ref is not None and (by_ref := _place_of(task_key(None, ref))) not in places:
            places.add(by_ref)
            self._by_ref[record] = by_ref
        for place in places:
            there = self._places.setdefault(place, record)
            if isinstance(there, dict):
                there[record.key] = record
            elif there is not record:
                self._places[place] = {there.key: there, record.key: record}

    def remove(self, record: SharedRecord) -> bool:
        """Remove a record; return false when it was not there."""
        if self.get(record.key) is not record:
            return False
        self._size -= 1
        by_key = _place_of(record.key)
        for place in {by_key, self._by_ref.pop(record, by_key)}:
            there = self._places.get(place)
            if isinstance(there, dict):
                there.pop(record.key, None)
            if there is record or not there:
                self._places.pop(place, None)
        return True

    def find(self, key: Hashable) -> list[SharedRecord]:
        """Return the records of a task, by its key or its reference.

        A reference may find several: one for each account that asks about the task.
        """
        if not isinstance(key, TaskRef):
            record = self.get(key)
            return [] if record is None else [record]
        return [
            record
            for record in self._at(_place_of(task_key(None, key)))
            if record.ref is not None and is_same_task(record.ref, key)
        ]

    def is_awaited(self, record: SharedRecord) -> bool:
        """Return whether anyone waits for a record's job, as another account, too."""
        api = _api_of(record)
        apis = {_api_of(each) for each in self.find(record.ref or record.key)}
        return bool(apis) if api is None else not apis.isdisjoint({api, None})

    def _at(self, place: int) -> list[SharedRecord]:
        there = self._places.get(place)
        if isinstance(there, dict):
            return [*there.values()]
        return [] if there is None else [there]


def _api_of(record: SharedRecord) -> tuple[Hashable, ...] | None:
    """Return provider and base URL of a client's task, as its key has them; None for others.

    A reference does not say it, and another server may have a job of the same ids.
    """
    if record.own_key is not None:
        return None
    account, *_ = cast("tuple[tuple[Hashable, ...], ...]", record.key)
    return account[:2]


def _place_of(key: Hashable) -> int:
    if isinstance(key, tuple):
        parts = cast("tuple[Hashable, ...]", key)
        key = parts[1:] if len(parts) > 1 else parts
    return hash(key) & _PLACES


def key_of(task: Task[T]) -> Hashable:
    """Return the key of a task."""
    if not is_task(task):
        raise no_task(task, "make one of an async function with polling_task()")
    key: object = getattr(task, "key", None)
    if key is None:
        return id(task)
    return hashable(f"the key of a {type_name(task)}", key)
