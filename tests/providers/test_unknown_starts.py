"""A start whose outcome is not known: how its error says to find out, and Copy.ai's way to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from asyncclient import SessionPool, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import AsyncClientError, DecodeError, ServerError, TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.testing import Fault, ScriptedTransport, Simulator, reply
from tests.providers.scripted import STARTS, copyai, notes

_HOUR = "2026-02-11T20:"
_WANTED: dict[str, object] = {"order": "17"}


def _run(number: int, **fields: object) -> dict[str, object]:
    """Make a run as lists show it; the greater its number, the later it was created."""
    created = f"{_HOUR}{number // 60:02}:{number % 60:02}Z"
    return {"id": f"WRUN-{number}", "createdAt": created, "metadata": None} | fields


def _page(runs: list[dict[str, object]], total: int | str | None) -> Response:
    return reply({"status": "success", "data": {"total": total, "data": runs}})


class _Runs:
    """Answers the list of a workflow's runs, page by page."""

    def __init__(
        self, runs: list[dict[str, object]], *, has_total: bool = True, instead: int | None = None
    ) -> None:
        self.runs = runs
        self.has_total = has_total
        self.instead = instead
        self.pages: list[int] = []

    def __call__(self, request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.target).query))
        page, size = int(query["page"]), int(query["size"])
        self.pages.append(page)
        total = len(self.runs) if self.has_total else self.instead
        return _page(self.runs[(page - 1) * size : page * size], total)


# --- finding a run of Copy.ai by its metadata ---------------------------------------------------


_MARKED: list[dict[str, object]] = [
    _run(9, metadata={"order": "18"}),
    _run(6, metadata={"order": "17", "more": [1]}),
    _run(8, metadata=_WANTED),
    _run(7),
    _run(5, metadata={"orders": "17"}),
    _run(4, metadata={"order": 17}),
    {"workflowRunId": "WRUN-0", "metadata": _WANTED},
]
# The page's own samples have both forms; the letter of the zone sorts after a point.
_TIMES = ("2023-09-27T18:24:47Z", "2023-09-27T18:24:47.998Z", None)


@pytest.mark.parametrize(
    ("metadata", "runs", "found"),
    [
        (_WANTED, _MARKED, "860"),
        # Tuples and mappings of any kind arrive as lists and objects, and are found as such.
        (
            {"order": {"id": (1, 2)}, "tags": ["a"]},
            [_run(1, metadata={"order": {"id": [1, 2]}, "tags": ["a"], "other": None})],
            "1",
        ),
        (_WANTED, [_run(n, metadata=_WANTED, createdAt=at) for n, at in enumerate(_TIMES)], "102"),
    ],
    ids=["marker", "nested", "times"],
)
async def test_runs_are_found_by_their_metadata_the_newest_first(
    metadata: dict[str, object], runs: list[dict[str, object]], found: str
) -> None:
    """All runs that have the marker, also with more metadata, and none that has another."""
    client, transport = copyai(_page(runs, str(len(runs))))
    handles = await client.find_started("WCFG-1", metadata=metadata)
    assert [(run.workflow_id, run.run_id) for run in handles] == [
        ("WCFG-1", f"WRUN-{number}") for number in found
    ]
    (request,) = transport.requests
    assert request.target == "/api/workflow/WCFG-1/run?page=1&size=100"


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("order", ["newest first", "oldest first"])
async def test_the_newest_runs_are_looked_through(order: str, *, has_total: bool) -> None:
    """From either end of the list, the newest pages are read, as many as were asked for."""
    numbers = [*range(950)]
    runs = [_run(number) for number in (numbers if order == "oldest first" else numbers[::-1])]
    answers = _Runs(runs, has_total=has_total)
    client, _ = copyai(answers, repeat=True)
    with pytest.raises(AsyncClientError, match=r"among the newest \d+ of WCFG-1, and there are mo"):
        await client.find_started("WCFG-1", metadata=_WANTED, max_pages=3)
    ends_first = order == "oldest first" and has_total
    assert answers.pages == ([1, 10, 9, 8] if ends_first else [1, 2, 3])


@pytest.mark.parametrize(("has_total", "instead"), [(True, None), (False, None), (False, 0)])
@pytest.mark.parametrize("order", ["newest first", "oldest first"])
@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
async def test_a_list_is_read_to_its_end_and_no_further(
    order: str, count: int, instead: int | None, *, has_total: bool
) -> None:
    """Each page comes once; without a total, the end is the first page with nothing on it.

    A total of 0 beside a page of runs is none.
    """
    runs = [_run(number, metadata={"n": number % 7}) for number in range(count)]
    in_order = runs if order == "oldest first" else runs[::-1]
    answers = _Runs(in_order, has_total=has_total, instead=instead)
    client, _ = copyai(answers, repeat=True)
    found = await client.find_started("WCFG-1", metadata={"n": 0})
    assert [run.run_id for run in found] == [
        f"WRUN-{number}" for number in reversed(range(count)) if number % 7 == 0
    ]
    full = -(-count // 100)
    last = max(1, full) if has_total else full + 1
    assert sorted(answers.pages) == [*range(1, last + 1)]
    assert await client.find_started("WCFG-1", metadata={"n": 7}) == []


async def test_a_list_without_times_is_read_from_its_beginning() -> None:
    """Where its first run has no time, it is taken to begin with the newest."""
    runs = [_run(number) for number in range(350)]
    answers = _Runs([{"id": "WRUN-x", "metadata": _WANTED}, *runs])
    client, _ = copyai(answers, repeat=True)
    found = await client.find_started("WCFG-1", metadata=_WANTED, max_pages=2)
    assert [run.run_id for run in found] == ["WRUN-x"]
    assert answers.pages[-1] == 2


async def test_a_search_that_cannot_be_is_refused() -> None:
    """Metadata that every run has would find a run of another caller, and dates end."""
    client, transport = copyai()
    with pytest.raises(ValueError, match=r"^metadata is empty"):
        await client.find_started("WCFG-1", metadata={})
    with pytest.raises(ValueError, match=r"^since=1e\+300 must be a Unix time"):
        await client.find_started("WCFG-1", metadata=_WANTED, since=1e300)
    assert transport.requests == []


def _runs_of_one_second(count: int) -> list[dict[str, object]]:
    """Make runs, oldest first, whose times within the second are cut down now and then."""
    return [
        {
            "id": f"WRUN-{number}",
            "createdAt": f"2026-11-22T07:00:01{'' if number % 2 else f'.{number:03d}'}Z",
            "metadata": {"n": number},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("order", ["newest first", "oldest first"])
async def test_a_burst_of_runs_does_not_hide_the_order_of_the_list(order: str) -> None:
    """Where the first page lies within one second, the last page shows which end is the newest."""
    old = [_run(number) for number in range(2000)]
    runs = [*old, *_runs_of_one_second(150)]
    if order == "oldest first":
        burst = _runs_of_one_second(150)
        for run in burst:
            run["createdAt"] = str(run["createdAt"]).replace("2026", "2020")
        runs = [*burst, *old[:-1], {**old[-1], "id": "WRUN-0", "metadata": {"n": 0}}]
    answers = _Runs(runs if order == "oldest first" else runs[::-1])
    client, _ = copyai(answers, repeat=True)
    (found,) = await client.find_started("WCFG-1", metadata={"n": 0}, max_pages=3)
    assert found.run_id == "WRUN-0"


@pytest.mark.parametrize("order", ["newest first", "oldest first"])
async def test_a_search_ends_where_runs_are_older_than_the_start(order: str) -> None:
    """With the time of the start, none is the answer as soon as no run can be it."""
    runs = [_run(number) for number in range(950)]
    since = datetime.fromisoformat(str(runs[800]["createdAt"])).timestamp()
    answers = _Runs(runs if order == "oldest first" else runs[::-1])
    client, _ = copyai(answers, repeat=True)
    assert await client.find_started("WCFG-1", metadata=_WANTED, since=since) == []
    assert len(answers.pages) <= 5


async def test_runs_that_come_during_a_search_hide_none() -> None:
    """Pages that shift while they are read show a run twice, and never leave one out."""
    runs = [{**_run(number), "metadata": {"n": number}} for number in range(300)]
    answers = _Runs(runs[::-1])

    def growing(request: Request) -> Response:
        answer = answers(request)
        count = len(answers.runs)
        answers.runs[:0] = [_run(count + more) for more in range(30)][::-1]
        return answer

    client, _ = copyai(growing, repeat=True)
    (found,) = await client.find_started("WCFG-1", metadata={"n": 0})
    assert found.run_id == "WRUN-0"


@pytest.mark.parametrize("first", [[], [_run(1)], [_run(2), _run(1)]], ids=len)
async def test_an_empty_page_is_no_end_where_more_are_promised(
    first: list[dict[str, object]],
) -> None:
    """A search that could not look at all runs does not say that there is none."""
    client, _ = copyai(_page(first, 250), _page([], 250), repeat=True)
    with pytest.raises(AsyncClientError, match="and there are more"):
        await client.find_started("WCFG-1", metadata={"n": "lost"})


async def test_a_search_that_fails_is_no_answer() -> None:
    """A page that cannot be read is an error, and not "there is none"."""
    client, _ = copyai(_page([_run(1)], 200), reply("", status=500), repeat=True)
    with pytest.raises(ServerError):
        await client.find_started("WCFG-1", metadata=_WANTED)


# --- what the error of a start says -------------------------------------------------------------


def _marker_in(error: BaseException) -> Mapping[str, object]:
    """Read the metadata out of the notes, as a person would."""
    found = re.search(
        r"find_started\('WCFG-1', metadata=\.\.\., since=\d+\).*metadata: (\{.*\})", notes(error)
    )
    assert found is not None, notes(error)
    return cast("Mapping[str, object]", msgspec.json.decode(found[1]))


async def _unknown_start(
    answer: Response | None, metadata: Mapping[str, object] | None
) -> tuple[AsyncClientError, object]:
    """Return the error of a start of Copy.ai, and the metadata that it sent."""
    client, transport = copyai(answer or TransportError("the connection broke"))
    with pytest.raises(AsyncClientError) as caught:
        await client.start_workflow("WCFG-1", metadata=metadata)
    assert caught.value.may_have_started
    return caught.value, msgspec.json.decode(transport.requests[0].body or b"")["metadata"]


@pytest.mark.parametrize(
    "answer",
    [None, reply({"status": "success", "data": {"id": ""}})],
    ids=["reset", "200 without an id"],
)
async def test_the_error_of_an_unknown_start_names_the_call_and_the_marker(
    answer: Response | None,
) -> None:
    """The marker in the notes is the one that was sent, given by the caller or made for it."""
    for metadata in (None, _WANTED):
        error, sent = await _unknown_start(answer, metadata)
        assert _marker_in(error) == sent
        assert metadata is None or sent == metadata


async def test_a_start_without_a_marker_that_can_be_shown_says_what_is_left() -> None:
    """For `{}` the notes name the list; long metadata make no note of a megabyte."""
    error, _ = await _unknown_start(None, {})
    assert "iter_workflow_runs('WCFG-1')" in notes(error)
    assert "find_started" not in notes(error)
    error, _ = await _unknown_start(None, {"order": "x" * 1_000_000})
    assert "find_started('WCFG-1'" in notes(error)
    assert len(notes(error)) < 1000


# As they stand in JSON; the last has more digits than Python makes a text of.
_UNUSABLE_IDS = {
    "empty": '""',
    "blank": '" "',
    "dots": '".."',
    "line": '"7431\\n"',
    "long": f'"{"7" * 257}"',
    "half a letter": '"\\ud83c"',
    "null": "null",
    "zero": "0",
    "huge": "7" * 5000,
}
_ANSWERS = {
    "coze.start_workflow": '{"code":0,"execute_id":%s}',
    "coze.start_copy": '{"code":0,"data":{"task_id":%s}}',
    "coze.start_copy at once": '{"code":0,"data":{"copied_entity_id":%s}}',
    "coze.start_chat": '{"code":0,"data":{"id":%s,"conversation_id":"7381"}}',
    "coze.start_chat elsewhere": '{"code":0,"data":{"id":"7382","conversation_id":%s}}',
    "copyai.start_workflow": '{"status":"success","data":{"id":%s}}',
}


async def _check_unknown(start: str, answer: Response) -> None:
    words = rf"^{start}: (the answer has no \w*id, |HTTP 200 with an unexpected body)"
    with pytest.raises(DecodeError, match=words) as caught:
        await STARTS[start](ScriptedTransport([answer]))
    assert caught.value.may_have_started
    assert re.search(r"find_started|Coze's|iter_bots", notes(caught.value))


@pytest.mark.parametrize("unusable", _UNUSABLE_IDS)
@pytest.mark.parametrize("answer", _ANSWERS)
async def test_an_id_that_no_request_can_have_is_an_unknown_start(
    answer: str, unusable: str
) -> None:
    """Something was started all the same: it is our error with its advice."""
    body = _ANSWERS[answer] % _UNUSABLE_IDS[unusable]
    await _check_unknown(answer.partition(" ")[0], reply(body))


@pytest.mark.parametrize(
    "body", [{"code": 0}, {"data": {}}, {"status": "success", "data": None}, []], ids=repr
)
@pytest.mark.parametrize("start", [start for start in _ANSWERS if " " not in start])
async def test_a_good_answer_that_names_nothing_is_an_unknown_start(
    start: str, body: object
) -> None:
    """A start whose answer has no id is one like any other."""
    await _check_unknown(start, reply(body))


async def test_a_found_run_without_an_id_is_not_passed_over() -> None:
    """The marked run is there, so the answer is not that there is none; looking started nothing."""
    marked: dict[str, object] = {"metadata": _WANTED}
    for ids in ({}, {"id": ".."}, {"id": None, "workflowRunId": ""}):
        client, _ = copyai(_page([marked | ids], 1))
        with pytest.raises(DecodeError, match=r"is listed, but run_id") as caught:
            await client.find_started("WCFG-1", metadata=_WANTED)
        assert not caught.value.may_have_started


# --- against a server ---------------------------------------------------------------------------


async def test_a_start_whose_answer_was_lost_is_found_and_waited_for() -> None:
    """It is found by what the error says, and nothing is started twice."""
    async with Simulator() as sim, SessionPool() as pool:
        copyai = CopyAI(pool, api_key=sim.copyai_key, base_url=sim.copyai_url)
        for number in range(120):
            await copyai.start_workflow("WCFG-1", {"number": number})
        sim.order(Fault.RESET_AFTER_START)
        with pytest.raises(TransportError) as caught:
            await copyai.start_workflow("WCFG-1", {"Input 1": "tea"})
        for number in range(120):
            await copyai.start_workflow("WCFG-1", {"number": number})
        assert caught.value.may_have_started
        (run,) = await copyai.find_started("WCFG-1", metadata=_marker_in(caught.value))
        assert sim.tasks[run.run_id].details["input"] == {"Input 1": "tea"}
        assert "tea" in str((await wait_until_done(run)).outputs)
        assert len(sim.tasks) == 241
