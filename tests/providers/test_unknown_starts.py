"""A start whose outcome is not known: how its error says to find out, and Copy.ai's way to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from asyncclient import Handle, SessionPool, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import AsyncClientError, DecodeError, ServerError, TransportError
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle
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
    """Answers the list of a workflow's runs, page by page, given from the oldest run on."""

    def __init__(
        self,
        runs: list[dict[str, object]],
        order: str = "newest first",
        *,
        has_total: bool = True,
        instead: int | None = None,
    ) -> None:
        self.runs = runs if order == "oldest first" else runs[::-1]
        self.has_total = has_total
        self.instead = instead
        self.pages: list[int] = []

    def __call__(self, request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.target).query))
        page, size = int(query["page"]), int(query["size"])
        self.pages.append(page)
        total = len(self.runs) if self.has_total else self.instead
        return _page(self.runs[(page - 1) * size : page * size], total)


async def _found(
    *answers: Response | Callable[[Request], Response],
    metadata: Mapping[str, object] = MappingProxyType(_WANTED),
    **options: float,
) -> list[str]:
    """Look for runs in a list; return their ids."""
    client, _ = copyai(*answers, repeat=True)
    find = cast("Callable[..., Awaitable[list[WorkflowRunHandle]]]", client.find_started)
    return [run.run_id for run in await find("WCFG-1", metadata=metadata, **options)]


in_each_order = pytest.mark.parametrize("order", ["newest first", "oldest first"])
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
@in_each_order
async def test_the_newest_runs_are_looked_through(order: str, *, has_total: bool) -> None:
    """From either end of the list, the newest pages are read, as many as were asked for."""
    answers = _Runs([_run(number) for number in range(950)], order, has_total=has_total)
    with pytest.raises(AsyncClientError, match=r"among the newest \d+ of WCFG-1, and there are mo"):
        await _found(answers, max_pages=3)
    ends_first = order == "oldest first" and has_total
    assert answers.pages == ([1, 10, 9, 8] if ends_first else [1, 2, 3])


@pytest.mark.parametrize(("has_total", "instead"), [(True, None), (False, None), (False, 0)])
@in_each_order
@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
async def test_a_list_is_read_to_its_end_and_no_further(
    order: str, count: int, instead: int | None, *, has_total: bool
) -> None:
    """Each page comes once; without a total, the end is the first page with nothing on it.

    A total of 0 beside a page of runs is none.
    """
    runs = [_run(number, metadata={"n": number % 7}) for number in range(count)]
    answers = _Runs(runs, order, has_total=has_total, instead=instead)
    assert await _found(answers, metadata={"n": 0}) == [
        f"WRUN-{number}" for number in reversed(range(0, count, 7))
    ]
    full = -(-count // 100)
    last = max(1, full) if has_total else full + 1
    assert sorted(answers.pages) == [*range(1, last + 1)]
    assert await _found(answers, metadata={"n": 7}) == []


async def test_a_list_without_times_is_read_from_its_beginning() -> None:
    """Where its first run has no time, it is taken to begin with the newest."""
    first = _run(0, id="WRUN-x", createdAt=None, metadata=_WANTED)
    answers = _Runs([first, *(_run(number) for number in range(350))], "oldest first")
    assert await _found(answers, max_pages=2) == ["WRUN-x"]
    assert answers.pages[-1] == 2


@pytest.mark.parametrize(
    ("metadata", "since", "words"),
    [({}, 1, "metadata is empty"), (_WANTED, 1e300, r"since=1e\+300 must be a Unix time")],
)
async def test_a_search_that_cannot_be_is_refused(
    metadata: dict[str, object], since: float, words: str
) -> None:
    """Metadata that every run has would find a run of another caller, and dates end."""
    with pytest.raises(ValueError, match=f"^{words}"):
        await _found(metadata=metadata, since=since)


@in_each_order
async def test_a_burst_of_runs_does_not_hide_the_order_of_the_list(order: str) -> None:
    """Where the first page lies within one second, the last page shows which end is the newest."""
    year = 2026 if order == "newest first" else 2020
    # Times within the second are cut down now and then.
    cut = ["" if number % 2 else f".{number:03}" for number in range(150)]
    burst = [_run(0, createdAt=f"{year}-11-22T07:00:01{each}Z") for each in cut]
    old = [_run(number) for number in range(2000)]
    runs, wanted = ([*old, *burst], burst[0]) if year == 2026 else ([*burst, *old], old[-1])
    wanted |= {"id": "WRUN-x", "metadata": _WANTED}
    assert await _found(_Runs(runs, order), max_pages=3) == ["WRUN-x"]


@in_each_order
async def test_a_search_ends_where_runs_are_older_than_the_start(order: str) -> None:
    """With the time of the start, none is the answer as soon as no run can be it."""
    runs = [_run(number) for number in range(950)]
    since = datetime.fromisoformat(str(runs[800]["createdAt"])).timestamp()
    answers = _Runs(runs, order)
    assert await _found(answers, since=since) == []
    assert len(answers.pages) <= 5


async def test_runs_that_come_during_a_search_hide_none() -> None:
    """Pages that shift while they are read show a run twice, and never leave one out."""
    answers = _Runs([_run(number, metadata={"n": number}) for number in range(300)])

    def growing(request: Request) -> Response:
        answer = answers(request)
        count = len(answers.runs)
        answers.runs[:0] = [_run(count + more) for more in range(30)][::-1]
        return answer

    assert await _found(growing, metadata={"n": 0}) == ["WRUN-0"]


@pytest.mark.parametrize(
    ("first", "second", "error", "words"),
    [
        *(
            (_page(runs, 250), _page([], 250), AsyncClientError, "and there are more")
            for runs in ([], [_run(1)], [_run(2), _run(1)])
        ),
        (_page([_run(1)], 200), reply("", status=500), ServerError, "HTTP 500"),
    ],
)
async def test_a_search_that_could_not_look_at_all_runs_does_not_say_that_there_is_none(
    first: Response, second: Response, error: type[Exception], words: str
) -> None:
    """An empty page is no end where more are promised, and one that cannot be read is an error."""
    with pytest.raises(error, match=words):
        await _found(first, second)


async def test_a_found_run_without_an_id_is_not_passed_over() -> None:
    """The marked run is there, so the answer is not that there is none; looking started nothing."""
    for ids in ({}, {"id": ".."}, {"id": None, "workflowRunId": ""}):
        with pytest.raises(DecodeError, match=r"is listed, but run_id") as caught:
            await _found(_page([{"metadata": _WANTED, **ids}], 1))
        assert not caught.value.may_have_started


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


# Ids that no request can have, as they stand in JSON: they have lost digits or letters, are blank,
# too long or of another type; the last has more digits than Python makes a text of.
_UNUSABLE_IDS = [
    *("null", "0", "7.431e18", "true", "[7431]", '{"id":7431}', '""', '"0"', '" "', '".."'),
    *(r'"7431\n"', r'"\ud83c"', r'"cut \ud83d"', f'"{"7" * 257}"', "7" * 5000),
]
_ANSWERS = {
    "coze.start_workflow": '{"code":0,"execute_id":%s}',
    "coze.start_copy": '{"code":0,"data":{"task_id":%s}}',
    "coze.start_copy at once": '{"code":0,"data":{"task_id":"0","copied_entity_id":%s}}',
    "coze.start_chat": '{"code":0,"data":{"id":%s,"conversation_id":"7381","status":{}}}',
    "coze.start_chat elsewhere": '{"code":0,"data":{"id":"7382","conversation_id":%s}}',
    "copyai.start_workflow": '{"status":"success","data":{"id":%s}}',
    "copyai.register_webhook": '{"status":"success","data":{"id":%s,"url":5}}',
}


@pytest.mark.parametrize("written", ['"7431000000000000000123"', "7431000000000000000123"])
@pytest.mark.parametrize("answer", [name for name in _ANSWERS if "webhook" not in name])
async def test_the_id_of_a_start_may_be_a_number(answer: str, written: str) -> None:
    """Its digits are kept, as a text, however many they are."""
    over = ScriptedTransport([reply(_ANSWERS[answer] % written)])
    handle = cast("Handle[object]", await STARTS[answer.partition(" ")[0]](over))
    assert "7431000000000000000123" in handle.ids.values()


@pytest.mark.parametrize("unusable", _UNUSABLE_IDS, ids=lambda text: text[:12])
@pytest.mark.parametrize("answer", _ANSWERS)
async def test_a_start_without_an_id_that_can_be_asked_for_is_an_unknown_start(
    answer: str, unusable: str
) -> None:
    """Something was started all the same: it is our error with its advice, after one request."""
    start = answer.partition(" ")[0]
    whole = ['{"code":0}', '{"data":{}}', '{"status":"success","data":null}', "[]"]
    for body in (_ANSWERS[answer] % unusable, *whole):
        words = rf"^{start}: (the answer has no \w*id, |HTTP 200 with an unexpected body)"
        with pytest.raises(DecodeError, match=words) as caught:
            await STARTS[start](ScriptedTransport([reply(body)]))
        assert caught.value.may_have_started
        assert re.search(r"find_started|Coze's|iter_bots|list_webhooks", notes(caught.value))


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
