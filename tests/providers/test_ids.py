"""Tests of ids in few bytes: each is spelled as it was."""

from __future__ import annotations

import sys
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from asyncclient.providers._ids import slim_id, spelled_id
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport

NUMBERS = ["7535298640308535332", "0", "007", "9" * 40, "9" * 41, "١٢", "1_0", "+1", "-1", "1.0"]
UUID_TEXT = "dc46baf3-cb19-4424-be04-95ba63041234"
RUNS = [
    "WRUN-",
    "WRUN-7",
    UUID_TEXT,
    f"WRUN-{UUID_TEXT}",
    f"WRUN-{UUID_TEXT.upper()}",
    f"WRUN-{UUID_TEXT.replace('-', '')}",
    "WRUN-00000000-0000-0000-0000-000000000000",
]


@pytest.mark.parametrize("text", [*NUMBERS, *RUNS])
@pytest.mark.parametrize("uuid_after", [None, "WRUN-", ""])
def test_an_id_is_spelled_as_it_was(text: str, uuid_after: str | None) -> None:
    """Also one that is nearly a number, or nearly a UUID."""
    assert spelled_id(slim_id(text, uuid_after), uuid_after) == text


@given(st.text(st.sampled_from("0123456789abcdef-"), max_size=45) | st.text(max_size=20))
def test_any_text_is_spelled_as_it_was(text: str) -> None:
    """Whichever characters it has."""
    assert spelled_id(slim_id(text)) == text
    assert spelled_id(slim_id(text, "WRUN-"), "WRUN-") == text


@given(st.integers(1, 10**20), st.uuids())
def test_numbers_and_uuids_are_kept_as_numbers(number: int, uuid: UUID) -> None:
    """They take half the bytes so."""
    assert slim_id(str(number)) == number
    assert slim_id(f"WRUN-{uuid}", "WRUN-") == uuid.int
    assert sys.getsizeof(slim_id(f"WRUN-{uuid}", "WRUN-")) < 50


def test_handles_of_one_workflow_share_its_id() -> None:
    """However often its text was made."""
    coze = Coze(ScriptedTransport(), token="pat")
    one, other = (
        coze.workflow_run(str(workflow), run) for workflow, run in ((735052, "1"), (735052, "2"))
    )
    assert one.workflow_id is other.workflow_id
