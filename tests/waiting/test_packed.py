"""Tests of packed answers: what is opened equals what was packed, and accounts keep apart."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from asyncclient import Observation, Snapshot, Task, TaskState, decode_ref
from asyncclient._http import Handle
from asyncclient._waiting import Packed, Packing
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.waiting.scenario import Thing

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED = sorted(
    path
    for provider in ("coze", "copyai")
    for path in (FIXTURES / provider).glob("*/*.json")
    if path.name != "ref.json" and (path.parent / "ref.json").exists()
)


def handle_of(path: Path, token: str) -> Handle[object]:
    """Make the handle that a recorded answer is of, of a client that sends nothing."""
    ref = decode_ref((path.parent / "ref.json").read_bytes())
    if ref.provider == "coze":
        return Coze(ScriptedTransport(), token=token).task(ref)
    return CopyAI(ScriptedTransport(), api_key=token).task(ref)


class Plain(Thing):
    """A task whose answer is its bytes.

    Args:
        credential: what stands for its credential.
        error: what `read` raises.
    """

    def __init__(self, credential: Hashable = "one", error: BaseException | None = None) -> None:
        super().__init__("plain", "plain")
        self.credential = credential
        self.error = error

    def read(self, raw: bytes) -> Observation[bytes]:
        """Return the bytes as the answer."""
        if self.error is not None:
            raise self.error
        return Observation(TaskState.RUNNING, "running", raw, raw=raw)


def packed_of(packing: Packing, snapshot: Snapshot[Any], task: Task[Any]) -> Packed:
    """Pack an answer that can be packed."""
    packed = packing.packed(snapshot, task)
    assert isinstance(packed, Packed)
    return packed


def seen(
    raw: bytes | None, *, word: str = "running", progress: float | None = None
) -> Snapshot[bytes]:
    """Return what an answer of a `Plain` task shows."""
    return Snapshot(
        state=TaskState.RUNNING,
        word=word,
        result=raw or b"",
        polls=3,
        elapsed=0.1 + 0.2,
        progress=progress,
        reason="why",
        raw=raw,
    )


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_answer_of_a_provider_is_opened_as_it_was(path: Path) -> None:
    """Of each recorded answer: its type, its bytes and all that is beside them."""
    handle, other = handle_of(path, "one"), handle_of(path, "two")
    raw = path.read_bytes()
    read = handle.read(raw)
    snapshot = Snapshot(
        state=read.state, word=read.word, result=read.result, polls=7, elapsed=12.345,
        progress=read.progress, reason=read.reason, raw=read.raw,
    )  # fmt: skip
    for first in (b"{}", raw):  # as the first answer of its account, or not
        packing = Packing()
        packing.packed(seen(first), Plain(handle.credential))
        for task in (handle, other):
            packed = packed_of(packing, snapshot, task)
            assert packed.open(task) == snapshot
            for name in ("state", "word", "progress", "reason", "elapsed"):
                assert getattr(packed, name) == getattr(snapshot, name)


@given(st.lists(st.binary(max_size=300) | st.just(b"\xff" * 20_000), min_size=1, max_size=6))
def test_any_bytes_are_opened_as_they_were(answers: list[bytes]) -> None:
    """Also empty, hostile and long ones, of two accounts by turns."""
    packing = Packing()
    for number, raw in enumerate(answers):
        task = Plain(credential="two" if number % 2 else "one")
        packed = packed_of(packing, seen(raw, progress=number), task)
        assert packed.open(task) == seen(raw, progress=number)


def test_many_words_are_kept_each_as_it_is() -> None:
    """More than an account keeps in common."""
    packing = Packing()
    for number in range(200):
        packed = packing.packed(seen(b"{}", word=f"step {number}"), Plain())
        assert packed == packing.packed(seen(b"{}", word=f"step {number}"), Plain())
        assert packed.word == f"step {number}"


def test_what_is_alike_takes_few_bytes() -> None:
    """The second answer of an account goes by the first."""
    packing = Packing()
    raw = b'{"data": [{"status": "Running", "id": "%d", "url": "https://www.coze.cn/run"}]}'
    packing.packed(seen(raw % 7), Plain())
    assert len(packed_of(packing, seen(raw % 8), Plain()).data) < 40


@pytest.mark.parametrize("credential", ["two", None])
def test_an_answer_stands_beside_none_of_another_credential(credential: str | None) -> None:
    """Tenants may share a budget, and share no bytes."""
    packing = Packing()
    secret = b"the first tenant's own words, which are long enough to be referred to"
    packing.packed(seen(secret), Plain())
    theirs = packed_of(packing, seen(secret), Plain(credential))
    assert theirs.view.first is None
    assert theirs.open(Plain(credential)).raw == secret
    mine = packed_of(packing, seen(secret), Plain())
    assert mine.view.first == secret
    assert len(mine.data) < len(theirs.data)


def test_an_answer_that_cannot_be_read_again_stays_whole() -> None:
    """A task without `read`, and an answer without bytes."""
    whole = seen(b"{}")
    assert Packing().packed(whole, Thing("unread", "unread")) is whole
    no_bytes = seen(None)
    assert Packing().packed(no_bytes, Plain()) is no_bytes


def test_what_was_opened_is_a_snapshot_as_any() -> None:
    """It is pickled; a caller's own task decides no outcome by what its `read` raises then."""
    packed = packed_of(Packing(), seen(b"{}"), Plain())
    opened = packed.open(Plain())
    assert pickle.loads(pickle.dumps(opened)) == opened == seen(b"{}")  # noqa: S301  (of our own)
    for error in (ValueError("of the caller's own"), asyncio.CancelledError()):
        opened = packed.open(Plain(error=error))
        assert (opened.result, opened.raw, opened.word) == (None, b"{}", "running")
