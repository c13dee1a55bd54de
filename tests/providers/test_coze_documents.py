"""Coze's documents: many of one dataset are one task, with one look for all."""

from __future__ import annotations

from typing import cast

import pytest

from asyncclient import TaskState, Ticket, decode_ref, encode_ref
from asyncclient._http import Response
from asyncclient.testing import reply
from tests.providers.scripted import coze


def _answer(*documents: dict[str, object]) -> Response:
    return reply({"code": 0, "data": {"data": documents}})


def _one(identity: object, status: object, **fields: object) -> dict[str, object]:
    return {"document_id": identity, "status": status} | fields


@pytest.mark.parametrize(
    ("documents", "state", "word"),
    [
        ([_one("1", 1), _one("2", 1), _one("3", 1)], TaskState.SUCCEEDED, 1),
        ([_one("1", 1), _one("2", 0), _one("3", 9)], TaskState.RUNNING, 0),
        ([_one("1", 1), _one("2", 9), _one("3", 1)], TaskState.FAILED, 9),
        # One of which nothing is known has not ended, nor has one whose word is not known.
        ([_one("1", 1), _one("2", 1)], None, None),
        ([_one("1", 9), _one("2", 7), _one("3", 1)], None, 7),
        ([_one("1", 9), _one("2", None), _one("3", 1)], None, None),
        ([_one("1", 0), _one("2", 7)], TaskState.RUNNING, 0),
        ([], None, None),
        # An id may be a number, be missing, or have lost its digits.
        ([_one(1, 1), _one(2, 1), _one(3, 1)], TaskState.SUCCEEDED, 1),
        ([_one(None, 1), _one("2", 1), _one(7.4e18, 1)], TaskState.SUCCEEDED, 1),
        ([_one(None, 9), _one("1", 1)], None, None),
        # More than were asked for: of the others, none is known to be meant.
        ([_one(str(number), 0 if number > 3 else 1) for number in range(1, 60)], "succeeded", 1),
        ([_one("1", 1), _one("2", 1), _one("4", 1), _one("5", 1)], None, None),
    ],
)
def test_the_state_of_several_documents(
    documents: list[dict[str, object]], state: TaskState | None, word: int | None
) -> None:
    """Any that goes on: it goes on; else any that failed: it failed; else it succeeded."""
    client, _ = coze()
    seen = client.document_progress("7442", ["1", "2", "3"]).read(_answer(*documents).body)
    assert (seen.state, seen.word) == (state, word)


def test_progress_and_hint_of_several_documents() -> None:
    """The progress is the mean of theirs, in percent; the hint, the longest of those that go on."""
    client, _ = coze()
    handle = client.document_progress("7442", ["1", "2", "3"])
    documents = [
        _one("1", 1, progress=100, remaining_time=900),
        _one("2", 0, progress="50", remaining_time=40),
        _one("3", 0, remaining_time=70),
    ]
    seen = handle.read(_answer(*documents).body)
    assert (seen.progress, seen.hint, seen.reason) == (75.0, 70.0, None)
    documents = [_one("1", 0, progress=None, remaining_time=0), _one("2", 0, progress={})]
    seen = handle.read(_answer(*documents).body)
    assert (seen.progress, seen.hint) == (None, None)


@pytest.mark.parametrize(
    ("ids", "documents", "reason"),
    [
        ("1", [_one("1", 9, status_descript="切片失败")], "切片失败"),
        ("1", [_one("1", 9)], None),
        (
            "123",
            [
                _one("1", 9, status_descript="too large", document_name="tea.pdf"),
                _one("2", 9, status_descript="no text"),
                # The open-source server describes documents that did not fail, too.
                _one("3", 1, status_descript="生效"),
            ],
            "tea.pdf: too large; 2: no text",
        ),
        ("12", [_one("1", 9, status_descript="too large")], "1: too large; no answer about 2"),
        ("12", [_one("1", 9), _one("2", 9, document_name="tea.pdf")], "1; tea.pdf"),
        ("1", [_one("1", 0, status_descript="上传中")], None),
    ],
)
def test_the_reason_is_in_cozes_words(
    ids: str, documents: list[dict[str, object]], reason: str | None
) -> None:
    """Each failed document is named, unless there is only one; so is each that lacks."""
    client, _ = coze()
    assert client.document_progress("7442", [*ids]).read(_answer(*documents).body).reason == reason


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], r"document_ids has 0 ids: one task is of 1 to 50 documents"),
        ([str(number) for number in range(51)], r"document_ids has 51 ids: one task is of 1 to 50"),
        (["1", "2", "1"], r"document_ids\[2\]='1' is there already: pass each id once"),
        (["1,2"], r"document_ids\[0\]='1,2' has a comma"),
        (["1", ""], r"document_ids\[1\] is empty"),
    ],
)
async def test_what_is_no_list_of_documents_is_refused_at_once(ids: list[str], words: str) -> None:
    """Before anything is sent, by the handle and by the direct call."""
    client, transport = coze()
    with pytest.raises(ValueError, match=f"^{words}"):
        client.document_progress("7442", ids)
    with pytest.raises(ValueError, match=f"^{words}"):
        await client.get_document_progress("7442", ids)
    for wrong in ("1", [1], {"1": 1}, None):
        with pytest.raises(TypeError, match="document_ids"):
            client.document_progress("7442", cast("list[str]", wrong))
    assert transport.requests == []


def test_documents_travel_as_a_reference_and_a_ticket() -> None:
    """Fifty ids fit, and they are one task in any order."""
    client, _ = coze()
    ids = [str(7_446_670_805_219_090_000 + number) for number in range(50)]
    handle = client.document_progress("7442585813587680000", ids)
    again = client.document_progress(decode_ref(encode_ref(handle.ref)))
    assert again.key == handle.key == client.task(handle.ref).key
    assert handle.key == client.document_progress("7442585813587680000", ids[::-1]).key
    assert handle.key != client.document_progress("7442585813587680000", ids[1:]).key
    assert set(again.document_ids) == set(ids)
    assert len(encode_ref(handle.ref)) < 1200
    ticket = Ticket.begin(handle.ref)
    assert Ticket.decode(ticket.encode()) == ticket
