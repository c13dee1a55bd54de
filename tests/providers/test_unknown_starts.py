"""A start whose outcome is not known: how its error says to find out, and Copy.ai's way to."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import anyio
import msgspec
import pytest

from asyncclient import SessionPool, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import (
    AsyncClientError,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    RequestTimeout,
    ServerError,
    TransportError,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Fault, ScriptedTransport, Simulator, reply

_HOUR = "2026-02-11T20:"


def _copyai(
    *script: Response | Exception | Callable[[Request], Response], repeat: bool = False
) -> tuple[CopyAI, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return CopyAI(transport, api_key="key-1"), transport


def _run(number: int, **fields: object) -> dict[str, object]:
    """Make a run as lists show it; the greater its number, the later it was created."""
    created = f"{_HOUR}{number // 60:02}:{number % 60:02}Z"
    return {"id": f"WRUN-{number}", "createdAt": created, "metadata": None} | fields


def _page(runs: list[dict[str, object]], total: int | str | None) -> Response:
    return reply({"status": "success", "data": {"total": total, "data": runs}})


class _Runs:
    """Answers the list of a workflow's runs, page by page."""

    def __init__(self, runs: list[dict[str, object]], *, has_total: bool = True) -> None:
        self.runs = runs
        self.has_total = has_total
        self.pages: list[int] = []

    def __call__(self, request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.target).query))
        page, size = int(query["page"]), int(query["size"])
        self.pages.append(page)
        total = len(self.runs) if self.has_total else None
        return _page(self.runs[(page - 1) * size : page * size], total)


def _notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


# --- finding a run of Copy.ai by its metadata ---------------------------------------------------


async def test_runs_are_found_by_their_metadata_the_newest_first() -> None:
    """All runs that have the marker, also with more metadata, and none that has another."""
    marker = {"order": "17"}
    copyai, transport = _copyai(
        _page(
            [
                _run(9, metadata={"order": "18"}),
                _run(6, metadata={"order": "17", "more": [1]}),
                _run(8, metadata=marker),
                _run(7),
                _run(5, metadata={"orders": "17"}),
                _run(4, metadata={"order": 17}),
                {"workflowRunId": "WRUN-0", "metadata": marker},
            ],
            "8",
        )
    )
    found = await copyai.find_started("WCFG-1", metadata=marker)
    assert [(run.workflow_id, run.run_id) for run in found] == [
        ("WCFG-1", "WRUN-8"),
        ("WCFG-1", "WRUN-6"),
        ("WCFG-1", "WRUN-0"),
    ]
    (request,) = transport.requests
    assert request.target == "/api/workflow/WCFG-1/run?page=1&size=100"


async def test_nested_metadata_is_compared_as_it_was_sent() -> None:
    """Tuples and mappings of any kind arrive as lists and objects, and are found as such."""
    sent = {"order": {"id": (1, 2)}, "tags": ["a"]}
    arrived = {"order": {"id": [1, 2]}, "tags": ["a"], "other": None}
    copyai, _ = _copyai(_page([_run(1, metadata=arrived)], 1))
    assert len(await copyai.find_started("WCFG-1", metadata=sent)) == 1


async def test_a_run_that_is_not_there_is_not_found() -> None:
    """Neither an empty list nor one of other runs is an error."""
    for runs in ([], [_run(1, metadata={"order": "18"})]):
        copyai, _ = _copyai(_page(runs, len(runs)))
        assert await copyai.find_started("WCFG-1", metadata={"order": "17"}) == []


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("order", ["newest first", "oldest first"])
async def test_the_newest_runs_are_looked_through(order: str, *, has_total: bool) -> None:
    """Whichever end the list begins with, the newest pages are read, as many as were asked for."""
    numbers = [*range(950)]
    runs = [_run(number) for number in (numbers if order == "oldest first" else numbers[::-1])]
    answers = _Runs(runs, has_total=has_total)
    copyai, _ = _copyai(answers, repeat=True)
    with pytest.raises(AsyncClientError, match=r"among the newest \d+ of WCFG-1, and there are mo"):
        await copyai.find_started("WCFG-1", metadata={"order": "17"}, max_pages=3)
    ends_first = order == "oldest first" and has_total
    assert answers.pages == ([1, 10, 9, 8] if ends_first else [1, 2, 3])


@pytest.mark.parametrize("order", ["newest first", "oldest first"])
@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
async def test_a_list_is_read_to_its_end_and_no_further(order: str, count: int) -> None:
    """No page after the last is asked for, each page comes once, and the marked runs are found."""
    runs = [_run(number, metadata={"n": number % 7}) for number in range(count)]
    answers = _Runs(runs if order == "oldest first" else runs[::-1])
    copyai, _ = _copyai(answers, repeat=True)
    found = await copyai.find_started("WCFG-1", metadata={"n": 0})
    assert [run.run_id for run in found] == [
        f"WRUN-{number}" for number in reversed(range(count)) if number % 7 == 0
    ]
    assert sorted(answers.pages) == [*range(1, -(-count // 100) + 1)]


async def test_a_list_without_times_is_read_from_its_beginning() -> None:
    """Where its first run has no time, it is taken to begin with the newest."""
    runs = [_run(number) for number in range(350)]
    answers = _Runs([{"id": "WRUN-x", "metadata": {"order": "0"}}, *runs])
    copyai, _ = _copyai(answers, repeat=True)
    found = await copyai.find_started("WCFG-1", metadata={"order": "0"}, max_pages=2)
    assert [run.run_id for run in found] == ["WRUN-x"]
    assert answers.pages[-1] == 2


async def test_a_list_without_a_total_ends_at_an_empty_page() -> None:
    """Without a total the end is the first page with nothing on it."""
    answers = _Runs([_run(number) for number in range(150)][::-1], has_total=False)
    copyai, _ = _copyai(answers, repeat=True)
    await copyai.find_started("WCFG-1", metadata={"order": "17"})
    assert answers.pages == [1, 2, 3]


async def test_times_with_and_without_milliseconds_sort_as_times() -> None:
    """The page's own samples have both forms; the letter of the zone sorts after a point."""
    marked: dict[str, object] = {"metadata": {"order": "17"}}
    runs: list[dict[str, object]] = [
        {"id": "WRUN-1", "createdAt": "2023-09-27T18:24:47Z"} | marked,
        {"id": "WRUN-2", "createdAt": "2023-09-27T18:24:47.998Z"} | marked,
        {"id": "WRUN-3", "createdAt": None} | marked,
    ]
    copyai, _ = _copyai(_page(runs, 3))
    found = await copyai.find_started("WCFG-1", metadata={"order": "17"})
    assert [run.run_id for run in found] == ["WRUN-2", "WRUN-1", "WRUN-3"]


@pytest.mark.parametrize(
    ("argument", "bad"),
    [
        ("metadata", {}),
        ("since", 1e300),
    ],
    ids=["empty metadata", "beyond all dates"],
)
async def test_a_search_that_cannot_be_is_refused(argument: str, bad: object) -> None:
    """Metadata that every run has would find a run of somebody else: nothing is sent."""
    copyai, transport = _copyai()
    given: dict[str, Any] = {"workflow_id": "WCFG-1", "metadata": {"order": "17"}, argument: bad}
    with pytest.raises((TypeError, ValueError), match=f"^{argument}"):
        await copyai.find_started(**given)
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
    copyai, _ = _copyai(answers, repeat=True)
    (found,) = await copyai.find_started("WCFG-1", metadata={"n": 0}, max_pages=3)
    assert found.run_id == "WRUN-0"


@pytest.mark.parametrize("order", ["newest first", "oldest first"])
async def test_a_search_ends_where_runs_are_older_than_the_start(order: str) -> None:
    """With the time of the start, none is the answer as soon as no run can be it."""
    runs = [_run(number) for number in range(950)]
    since = datetime.fromisoformat(str(runs[800]["createdAt"])).timestamp()
    answers = _Runs(runs if order == "oldest first" else runs[::-1])
    copyai, _ = _copyai(answers, repeat=True)
    assert await copyai.find_started("WCFG-1", metadata={"order": "17"}, since=since) == []
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

    copyai, _ = _copyai(growing, repeat=True)
    (found,) = await copyai.find_started("WCFG-1", metadata={"n": 0})
    assert found.run_id == "WRUN-0"


async def test_a_search_that_fails_is_no_answer() -> None:
    """A page that cannot be read is an error, and not "there is none"."""
    copyai, _ = _copyai(_page([_run(1)], 200), reply("", status=500), repeat=True)
    with pytest.raises(ServerError):
        await copyai.find_started("WCFG-1", metadata={"order": "17"})


# --- what the error of a start says -------------------------------------------------------------


def _marker_in(error: BaseException) -> Mapping[str, object]:
    """Read the metadata out of the notes, as a person would."""
    found = re.search(
        r"find_started\('WCFG-1', metadata=\.\.\., since=\d+\).*metadata: (\{.*\})", _notes(error)
    )
    assert found is not None, _notes(error)
    return cast("Mapping[str, object]", msgspec.json.decode(found[1]))


_UNKNOWN: dict[str, Callable[[], Response | Exception]] = {
    "timeout": lambda: RequestTimeout("no answer in time"),
    "reset": lambda: TransportError("the connection broke"),
    "HTML 502": lambda: reply("<html>", status=502),
    "cut-off 200": lambda: reply(b'{"status":"succ'),
    "200 without an id": lambda: reply({"status": "success", "data": {"id": ""}}),
}


@pytest.mark.parametrize("fault", _UNKNOWN)
async def test_the_error_of_an_unknown_start_names_the_call_and_the_marker(fault: str) -> None:
    """The marker in the notes is the one that was sent, given by the caller or made for it."""
    for metadata in (None, {"order": "17"}):
        copyai, transport = _copyai(_UNKNOWN[fault]())
        with pytest.raises(AsyncClientError) as caught:
            await copyai.start_workflow("WCFG-1", metadata=metadata)
        assert caught.value.may_have_started
        sent = msgspec.json.decode(transport.requests[0].body or b"")["metadata"]
        assert _marker_in(caught.value) == sent
        assert metadata is None or sent == metadata


async def test_a_start_without_any_metadata_says_what_is_left() -> None:
    """`{}` is the caller's own choice: the notes name the list, not a search that cannot find."""
    copyai, _ = _copyai(TransportError("the connection broke"))
    with pytest.raises(TransportError) as caught:
        await copyai.start_workflow("WCFG-1", metadata={})
    assert "iter_workflow_runs('WCFG-1')" in _notes(caught.value)
    assert "find_started" not in _notes(caught.value)


async def test_long_metadata_is_not_repeated_in_a_note() -> None:
    """What the caller has anyway makes no error of a megabyte."""
    copyai, _ = _copyai(TransportError("the connection broke"))
    with pytest.raises(TransportError) as caught:
        await copyai.start_workflow("WCFG-1", metadata={"order": "x" * 1_000_000})
    assert "find_started('WCFG-1'" in _notes(caught.value)
    assert len(_notes(caught.value)) < 1000


@pytest.mark.parametrize(
    "fault", [ConnectFailed("refused"), reply({"status": "error"}, status=422)], ids=repr
)
async def test_a_start_that_did_not_happen_has_nothing_to_be_found(
    fault: Response | Exception,
) -> None:
    """An error of a start that certainly started nothing sends no one to look for it."""
    copyai, _ = _copyai(fault, repeat=True)
    with pytest.raises((ConnectFailed, InvalidRequest)) as caught:
        await copyai.start_workflow("WCFG-1")
    assert not caught.value.may_have_started
    assert "find_started" not in _notes(caught.value)


async def test_an_unknown_registration_names_the_list_of_them() -> None:
    """A webhook that may have been registered is looked for in their list."""
    copyai, _ = _copyai(TransportError("the connection broke"))
    with pytest.raises(TransportError) as caught:
        await copyai.register_webhook("https://example.com/x", event_type="workflowRun.failed")
    assert "list_webhooks()" in _notes(caught.value)


_COZE: dict[str, tuple[Callable[[Coze], Awaitable[object]], str]] = {
    "start_workflow": (lambda coze: coze.start_workflow("7350"), "no list of runs.*execute_id"),
    "run_workflow": (lambda coze: coze.run_workflow("7350"), "no list of runs.*execute_id"),
    "resume_workflow": (
        lambda coze: coze.resume_workflow("7", event_id="1/2", interrupt_type=2, resume_data=""),
        "poll the run.*event_id",
    ),
    "start_copy": (
        lambda coze: coze.start_copy("7530", entity_type="bot"),
        r"iter_bots\(workspace_id, publish_status='all'\)",
    ),
    "start_chat": (lambda coze: coze.start_chat("7379", user_id="ann"), "code 4016"),
    "submit_tool_outputs": (
        lambda coze: coze.submit_tool_outputs("1", "2", tool_outputs=[]),
        "poll the chat.*requires_action",
    ),
}


@pytest.mark.parametrize("start", _COZE)
async def test_cozes_unknown_starts_say_what_there_is_to_look_at(start: str) -> None:
    """Coze lists neither runs nor chats: each operation's note says what can be seen instead."""
    call, words = _COZE[start]
    for fault in (TransportError("the connection broke"), reply(b"")):
        with pytest.raises((TransportError, DecodeError)) as caught:
            await call(Coze(ScriptedTransport([fault]), token="pat_1"))
        assert caught.value.may_have_started
        assert re.search(words, _notes(caught.value))
    refused = ScriptedTransport([reply({"code": 4200, "msg": ""})])
    with pytest.raises(AsyncClientError) as caught:
        await call(Coze(refused, token="pat_1"))
    assert _notes(caught.value) == ""


@pytest.mark.parametrize("answer", [{"code": 0}, {"code": 0, "data": {}}], ids=repr)
@pytest.mark.parametrize("start", ["start_workflow", "start_copy", "start_chat"])
async def test_a_good_answer_that_names_nothing_says_so_too(start: str, answer: object) -> None:
    """A start whose answer has no id is an unknown start like any other."""
    call, words = _COZE[start]
    with pytest.raises(DecodeError) as caught:
        await call(Coze(ScriptedTransport([reply(answer)]), token="pat_1"))
    assert caught.value.may_have_started
    assert re.search(words, _notes(caught.value))


# As they stand in JSON; the last has more digits than Python makes a text of.
_UNUSABLE_IDS = {
    "empty": '""',
    "blank": '" "',
    "dots": '".."',
    "line": '"7431\\n"',
    "spaces": '" 7431"',
    "long": f'"{"7" * 257}"',
    "half a letter": '"\\ud83c"',
    "null": "null",
    "zero": "0",
    "huge": "7" * 5000,
}
_ANSWERS = {
    "start_workflow": '{"code":0,"execute_id":%s}',
    "start_copy": '{"code":0,"data":{"task_id":%s}}',
    "start_copy at once": '{"code":0,"data":{"copied_entity_id":%s}}',
    "start_chat": '{"code":0,"data":{"id":%s,"conversation_id":"7381"}}',
    "start_chat elsewhere": '{"code":0,"data":{"id":"7382","conversation_id":%s}}',
    "copyai": '{"status":"success","data":{"id":%s}}',
}


@pytest.mark.parametrize("unusable", _UNUSABLE_IDS)
@pytest.mark.parametrize("answer", _ANSWERS)
async def test_an_id_that_no_request_can_have_is_an_unknown_start(
    answer: str, unusable: str
) -> None:
    """Something was started all the same: it is our error with its advice, and no one else's."""
    transport = ScriptedTransport([reply(_ANSWERS[answer] % _UNUSABLE_IDS[unusable])])
    start: Awaitable[object]
    if answer == "copyai":
        start = CopyAI(transport, api_key="key-1").start_workflow("WCFG-1")
    else:
        start = _COZE[answer.partition(" ")[0]][0](Coze(transport, token="pat_1"))
    with pytest.raises(DecodeError) as caught:
        await start
    assert caught.value.may_have_started
    assert re.search(r"find_started|Coze's|iter_bots", _notes(caught.value))


async def test_a_found_run_without_an_id_is_not_passed_over() -> None:
    """The marked run is there, so the answer is not that there is none; looking started nothing."""
    marked: dict[str, object] = {"metadata": {"order": "17"}}
    for odd in ({}, {"id": ".."}, {"id": None, "workflowRunId": ""}):
        copyai, _ = _copyai(_page([marked | odd], 1))
        with pytest.raises(DecodeError, match=r"is listed, but run_id") as caught:
            await copyai.find_started("WCFG-1", metadata={"order": "17"})
        assert not caught.value.may_have_started


async def test_the_page_of_a_run_that_may_have_started_is_in_the_notes() -> None:
    """Where the answer to a start has a debug_url, the run's execute_id is in it."""
    url = "https://www.coze.cn/work_flow?execute_id=7431&workflow_id=7350"
    answer = reply({"code": 720701013, "msg": "server issues", "debug_url": url})
    with pytest.raises(ServerError) as caught:
        await Coze(ScriptedTransport([answer]), token="pat_1").start_workflow("7350")
    assert caught.value.may_have_started
    assert url in _notes(caught.value)


# --- against a server ---------------------------------------------------------------------------


async def test_a_start_whose_answer_was_lost_is_found_and_waited_for() -> None:
    """Started once, found by what the error says, and waited for: nothing is started twice."""
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


async def test_a_start_that_never_arrived_is_not_found() -> None:
    """The request was lost on its way, so that starting it again is no second start."""
    async with Simulator() as sim, SessionPool() as pool:
        copyai = CopyAI(pool, api_key=sim.copyai_key, base_url=sim.copyai_url)
        order = {"order": "17"}
        sim.order(Fault.RESET)
        with pytest.raises(TransportError) as caught:
            await copyai.start_workflow("WCFG-1", metadata=order)
        assert caught.value.may_have_started
        await anyio.sleep(5)
        assert await copyai.find_started("WCFG-1", metadata=order) == []
        run = await copyai.start_workflow("WCFG-1", metadata=order)
        assert [one.key for one in await copyai.find_started("WCFG-1", metadata=order)] == [run.key]
