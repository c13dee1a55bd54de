"""The last answer of a pending task in few bytes, unpacked on demand. No clock, no I/O."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import msgspec

from asyncclient._state import Snapshot, TaskState
from asyncclient._task import DECIDES_NOTHING, Observation, Task, trait

T = TypeVar("T")

# Of a packed answer: the seconds since the wait began, the polls, and how its bytes are kept.
_HEAD = struct.Struct("<dIB")
_AS_IT_CAME, _DEFLATED, _BESIDE_FIRST = range(3)
# Raw deflate (RFC 1951) with a window of 4 KiB, of which 262 bytes are the algorithm's own: the
# rest is how much of the first answer can be referred to.
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 4, 12, 4
_FIRST = (1 << _WINDOW_BITS) - 262
# Bytes. A longer answer would hold up the event loop for more than 100 µs.
_LONGEST_DEFLATED = 16_384
# Views that tasks of one account share; with a provider that counts progress there are too many.
_VIEWS = 64


class _View(msgspec.Struct, frozen=True, gc=False):
    """The common part of answers that look the same."""

    state: TaskState | None
    word: str | int | None
    progress: float | None
    reason: str | None
    first: bytes | None  # the answer beside which the bytes are deflated


class Packed(msgspec.Struct, frozen=True, gc=False):
    """What one answer said about a task, as a `Snapshot`, without the answer."""

    view: _View
    data: bytes

    @property
    def state(self) -> TaskState | None:
        """As the snapshot's."""
        return self.view.state

    @property
    def word(self) -> str | int | None:
        """As the snapshot's."""
        return self.view.word

    @property
    def progress(self) -> float | None:
        """As the snapshot's."""
        return self.view.progress

    @property
    def reason(self) -> str | None:
        """As the snapshot's."""
        return self.view.reason

    @property
    def elapsed(self) -> float:
        """As the snapshot's."""
        return cast("float", _HEAD.unpack_from(self.data)[0])

    def open(self, task: Task[T]) -> Snapshot[T]:
        """Return the whole snapshot; its result is read again from the answer's bytes."""
        elapsed, polls, kept = _HEAD.unpack_from(self.data)
        raw = self.data[_HEAD.size :]
        if kept != _AS_IT_CAME:
            first = (self.view.first or b"") if kept == _BESIDE_FIRST else b""
            raw = zlib.decompressobj(-_WINDOW_BITS, first).decompress(raw)
        return Snapshot(
            state=self.view.state,
            word=self.view.word,
            result=_result_of(task, raw),
            polls=polls,
            elapsed=elapsed,
            progress=self.view.progress,
            reason=self.view.reason,
            raw=raw,
        )


class Packing:
    """How the answers of one account are packed: the first is the pattern of all the others.

    Several credentials may share a budget. Only answers of the first answer's credential are
    deflated with it.
    """

    def __init__(self) -> None:
        self._owner: object = None
        self._first: bytes | None = None
        self._views: dict[Hashable, _View] = {}

    def packed(self, snapshot: Snapshot[T], task: Task[T]) -> Snapshot[T] | Packed:
        """Return a snapshot packed, where its task can read the answer again."""
        raw = snapshot.raw
        if raw is None or not callable(trait(task, "read")):
            return snapshot
        owner = trait(task, "credential")
        if self._first is None:
            self._owner, self._first = owner, raw[:_FIRST]
        is_owner = owner is not None and owner == self._owner
        first = self._first if is_owner else None
        kept, data = _deflated(raw, first)
        seen = (snapshot.state, snapshot.word, snapshot.progress, snapshot.reason)
        view = self._views.get((*seen, is_owner))
        if view is None:
            view = _View(*seen, first)
            if len(self._views) < _VIEWS:
                self._views[(*seen, is_owner)] = view
        return Packed(view, _HEAD.pack(snapshot.elapsed, snapshot.polls, kept) + data)


def _deflated(raw: bytes, first: bytes | None) -> tuple[int, bytes]:
    """Return an answer's bytes in fewer, and how they are kept."""
    if len(raw) > _LONGEST_DEFLATED:
        return _AS_IT_CAME, raw
    deflate = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, first or b""
    )
    data = deflate.compress(raw) + deflate.flush()
    if len(data) >= len(raw):
        return _AS_IT_CAME, raw
    return _DEFLATED if first is None else _BESIDE_FIRST, data


def _result_of(task: Task[T], raw: bytes) -> T:
    """Read an answer again; an exception of a caller's own task here does not end its wait."""
    read = cast("Callable[[bytes], Observation[T]]", trait(task, "read"))
    try:
        return read(raw).result
    except DECIDES_NOTHING:
        return cast("T", None)
