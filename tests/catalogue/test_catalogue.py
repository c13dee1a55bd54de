"""Tests of the catalogue: each word at its place, each recorded answer, and the page about it."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from asyncclient import Reading, catalogue
from asyncclient.catalogue._texts import texts
from asyncclient.testing import answer_with
from asyncclient.testing.simulator.writing import merged
from tests.catalogue.write_page import HOW_TO_WRITE, PAGE, introduction, write

FIXTURES = Path(__file__).parents[1] / "fixtures" / "catalogue"
RECORDED = sorted(FIXTURES.glob("*/*.json"))
ALL = sorted(catalogue.ALL.values(), key=lambda each: each.name)

every_reading = pytest.mark.parametrize(
    "reading", [pytest.param(each, id=each.name) for each in ALL]
)

# Answers of those whose word is made by a function.
MADE: dict[str, dict[str, object]] = {
    "anthropic.message_batch": {
        "in_progress": {"processing_status": "in_progress", "request_counts": {"errored": 3}},
        "canceling": {"processing_status": "canceling"},
        "ended": {"processing_status": "ended", "request_counts": {"succeeded": 0, "errored": 0}},
        "ended/succeeded": {
            "processing_status": "ended",
            "request_counts": {"succeeded": 1, "errored": 9, "canceled": 9, "expired": 9},
        },
        "ended/errored": {
            "processing_status": "ended",
            "request_counts": {"succeeded": 0, "errored": 1, "canceled": 9, "expired": 9},
        },
        "ended/canceled": {
            "processing_status": "ended",
            "request_counts": {"succeeded": 0, "errored": 0, "canceled": 1, "expired": 9},
        },
        "ended/expired": {"processing_status": "ended", "request_counts": {"expired": 1}},
    },
    "google.operation": {
        "running": {"name": "operations/7"},
        "done/response": {"name": "operations/7", "done": True, "response": {}},
        "done/error": {"done": True, "error": {"code": 3, "message": "no tea"}},
        "done/cancelled": {"done": True, "error": {"code": 1}},
    },
}


def answer_of(reading: Reading, word: str | int) -> object:
    """Write a word at its place."""
    if isinstance(reading.status, str):
        return merged({"id": "7"}, answer_with(reading, word))
    return MADE[reading.name][str(word)]


def test_each_reading_is_a_constant_of_its_name() -> None:
    """`provider.task` is in capitals with `_`, exported, documented, and in `ALL`, read-only."""
    constants = {name.upper().replace(".", "_"): each for name, each in catalogue.ALL.items()}
    assert {name: getattr(catalogue, name) for name in constants} == constants
    assert set(catalogue.__all__) == {*constants, "ALL"}
    assert set(texts()) == set(constants)
    assert len(constants) >= 25
    for name, each in catalogue.ALL.items():
        assert name == each.name
        assert re.fullmatch(r"[a-z0-9]+\.[a-z_]+", name)
    with pytest.raises(TypeError):
        cast("dict[str, Reading]", catalogue.ALL)["tea.brew"] = ALL[0]


@every_reading
def test_each_reading_says_where_it_comes_from(reading: Reading) -> None:
    """By the address of a page or a file, and the day on which it was read.

    It can be sent to another process, as it is data, and its functions have names.
    """
    for url in reading.source.split(", "):
        assert re.fullmatch(r"https://[\w.-]+/\S+", url)
    assert reading.checked.year >= 2026
    assert pickle.loads(pickle.dumps(reading)) == reading  # noqa: S301  (of our own)


@every_reading
def test_each_word_at_its_place_is_read_as_its_state(reading: Reading) -> None:
    """The word is kept as the provider wrote it, and the answer is not changed.

    None is an end in one spelling, in small letters or capitals, and no end in another.
    """
    ends: dict[str, bool] = {}
    for word, state in reading.vocabulary.words.items():
        answer = answer_of(reading, word)
        before = copy.deepcopy(answer)
        seen = reading.read(answer)
        assert (seen.word, seen.state, seen.result) == (word, state, before)
        assert type(seen.word) is type(word)
        assert ends.setdefault(str(word).casefold(), state.is_terminal) == state.is_terminal


@pytest.mark.parametrize(
    "reading", [pytest.param(one, id=one.name) for one in ALL if isinstance(one.status, str)]
)
def test_a_word_of_another_spelling_is_unknown(reading: Reading) -> None:
    """Words are compared exactly, those of Azure without case; a new word is no error."""
    for word, state in reading.vocabulary.words.items():
        other = word.swapcase() if isinstance(word, str) else str(word)
        seen = reading.read(answer_of(reading, other))
        assert seen.state is (state if reading.name == "azure.operation" else None)
    seen = reading.read(answer_of(reading, "Contemplating"))
    assert (seen.word, seen.state) == ("Contemplating", None)


def test_a_word_is_written_over_what_stood_at_its_place() -> None:
    """So an answer of one's own is turned into that of each word."""
    own = {"status": "starting", "urls": {"get": "x"}}
    failed = merged(own, answer_with(catalogue.REPLICATE_PREDICTION, "failed"))
    assert failed == own | {"status": "failed"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["status", "data", "state", "error", "done"]), inner)
    ),
    max_leaves=12,
)


def _has_fields(answer: object) -> bool:
    return isinstance(answer, dict) and answer != {}


@given(answer=JSON)
def test_every_answer_can_be_read(answer: object) -> None:
    """Of any answer, what is not there is a missing word."""
    for reading in ALL:
        seen = reading.read(answer)
        assert seen.state is reading.vocabulary.state_of(seen.word)
        assert seen.word is None or _has_fields(answer)


PROVISIONED = {"properties": {"provisioningState": "FAILED"}}


def run(life_cycle: str, result: str) -> dict[str, object]:
    """Make a run of Databricks."""
    return {"state": {"life_cycle_state": life_cycle, "result_state": result}}


def _ended(counts: object) -> dict[str, object]:
    return {"processing_status": "ended", "request_counts": counts}


# Answers of a reading, and the word and state that are read from them.
TWO_FIELDS: dict[str, list[tuple[dict[str, object], str | int | None, str | None]]] = {
    "fal.request": [
        ({"status": "COMPLETED", "error": None}, "COMPLETED", "succeeded"),
        ({"status": "COMPLETED", "error": ""}, "COMPLETED", "succeeded"),
        ({"status": "IN_PROGRESS", "error": "x"}, "IN_PROGRESS", "running"),
    ],
    "github.workflow_run": [
        ({"status": "queued", "conclusion": None}, "queued", "pending"),
        ({"status": "completed", "conclusion": None}, "completed", None),
        ({"status": "in_progress", "conclusion": "failure"}, "in_progress", "running"),
    ],
    "databricks.run": [
        (run("TERMINATED", "NEW"), "TERMINATED", "failed"),
        (run("SKIPPED", "FAILED"), "SKIPPED", "failed"),
        (run("RUNNING", ""), "RUNNING", "running"),
    ],
    "gemini.batch": [
        ({"metadata": {"state": "BATCH_STATE_FAILED"}}, "BATCH_STATE_FAILED", "failed")
    ],
    "azure.operation": [
        ({**PROVISIONED}, "FAILED", "failed"),
        ({"status": "Succeeded", **PROVISIONED}, "Succeeded", "succeeded"),
    ],
    "anthropic.message_batch": [
        (_ended(None), "ended", "succeeded"),
        (_ended([]), "ended", "succeeded"),
        (_ended({"succeeded": "9", "errored": None}), "ended", "succeeded"),
        ({"processing_status": "pausing"}, "pausing", None),
    ],
    "google.operation": [
        ({"done": False}, "running", "running"),
        ({"name": "x", "done": None}, "running", "running"),
        ({"done": True}, "done", None),
        ({"done": True, "error": {}}, "done/error", "failed"),
        ({"done": "true", "response": {}}, None, None),
        ({"error": {"code": 5}}, None, None),
    ],
    "dbt.run": [({"data": {"status": "10"}}, "10", None), ({"data": {"status": True}}, True, None)],
}


@pytest.mark.parametrize("name", TWO_FIELDS)
def test_an_end_in_two_fields_is_read_from_both(name: str) -> None:
    """A neutral word is none alone, and what is beside a word that is no end changes nothing."""
    for answer, word, state in TWO_FIELDS[name]:
        seen = catalogue.ALL[name].read(answer)
        assert (seen.word, seen.state) == (word, state), answer


REASONS = {
    "apify.run/ABORTED": "Actor was aborted",
    "fal.request/COMPLETED%2Ferror.disconnected": "Runner disconnected",
    "fal.request/COMPLETED%2Ferror.timeout": "Request timed out",
    "heygen.video/failed": "Video is too long",
}
# In the provider's own unit: percent, or requests.
PROGRESS = {
    "meshy.task/IN_PROGRESS": 45,
    "openai.batch/completed": 95,
    "openai.batch/validating": 0,
}


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in RECORDED]
)
def test_a_recorded_answer_reads_as_its_word(path: Path) -> None:
    """As the file is named, with its reason; an unknown state is a word that we lack."""
    reading = catalogue.ALL[path.parent.name]
    seen = reading.read(json.loads(path.read_bytes()))
    assert seen.word == unquote(path.name.partition(".")[0])
    assert seen.state is not None
    name = f"{path.parent.name}/{path.stem}"
    assert (seen.reason, seen.progress) == (REASONS.get(name), PROGRESS.get(name))


def test_more_than_ten_readings_are_tried_against_published_answers() -> None:
    """Each answer is listed with the address at which it was found."""
    listed = (FIXTURES.parent / "README.md").read_text(encoding="utf-8")
    row = r"\| `catalogue/([\w.]+)/[^`]+` \| (\w+) \| (.+) \|\n"
    rows: list[tuple[str, str, str]] = re.findall(row, listed)
    assert len(rows) == len(RECORDED)
    assert all("<https://" in source for _, _, source in rows)
    assert len({name for name, how, _ in rows if how == "recorded"}) > 10


def test_the_page_is_up_to_date() -> None:
    """It is what the catalogue says."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == write(introduction(text)), f"write it again: {HOW_TO_WRITE}"
