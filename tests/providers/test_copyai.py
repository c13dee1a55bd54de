"""Copy.ai's workflow runs: what is sent, how answers and refusals are read, what is repeated."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from asyncclient import TaskState, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    TaskExpired,
    TaskFailed,
    TransportError,
    UnknownStatus,
)
from asyncclient.providers.copyai import CopyAI, WorkflowRun, WorkflowRunHandle
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "copyai"
_RECORDED = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in _FOLDER.glob("*/*")}
_STARTED = _RECORDED["answers/start_workflow.json"]
_KEY = "key-secret-7f3a9c"
_BASE = "https://api.copy.ai/api"
_RUN_URL = f"{_BASE}/workflow/WCFG-1/run/WRUN-1"


def _client(
    *script: Response | Exception, repeat: bool = False, max_retries: int = 3
) -> tuple[CopyAI, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return CopyAI(transport, api_key=_KEY, max_retries=max_retries), transport


def _sent(request: Request) -> tuple[str, str, Any]:
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


def _run(**fields: object) -> Response:
    return reply({"status": "success", "data": {"id": "WRUN-1"} | fields})


def _page(*ids: str, total: int | str | None = None) -> Response:
    runs = [{"id": one} for one in ids]
    return reply({"status": "success", "data": {"total": total, "data": runs}})


# --- starting -----------------------------------------------------------------------------------


async def test_a_start_sends_its_variables_under_the_providers_name() -> None:
    """`startVariables` and `metadata` are the body, and the path has no final slash."""
    copyai, transport = _client(reply(_STARTED))
    run = await copyai.start_workflow("WCFG-1", {"Input 1": "tea"}, metadata={"order": 17})
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            f"{_BASE}/workflow/WCFG-1/run",
            {"startVariables": {"Input 1": "tea"}, "metadata": {"order": 17}},
        )
    ]
    assert isinstance(run, WorkflowRunHandle)
    assert (run.workflow_id, run.run_id) == ("WCFG-1", "some-UUID-1234")
    assert run.ref is not None
    assert run.ref.created is not None


@pytest.mark.parametrize("given", [(), ({},), (None,)], ids=repr)
async def test_a_start_without_variables_sends_an_empty_object(given: tuple[Any, ...]) -> None:
    """`startVariables` is required, so it is sent also when there are none."""
    copyai, transport = _client(reply(_STARTED))
    await copyai.start_workflow("WCFG-1", *given)
    assert _sent(transport.requests[0])[2]["startVariables"] == {}


async def test_a_start_without_metadata_has_a_marker_of_its_own() -> None:
    """Copy.ai has no other means to find a run again; each start has its own, `{}` has none."""
    copyai, transport = _client(reply(_STARTED), repeat=True)
    await copyai.start_workflow("WCFG-1")
    await copyai.start_workflow("WCFG-1", metadata=None)
    await copyai.start_workflow("WCFG-1", metadata={})
    one, two, none = (_sent(request)[2]["metadata"] for request in transport.requests)
    assert one.keys() == two.keys() == {"asyncclient_start"}
    assert one != two
    assert re.fullmatch("[0-9a-f]{32}", one["asyncclient_start"])
    assert none == {}


async def test_a_repeated_start_has_the_same_marker() -> None:
    """A start that certainly did not happen is sent again as the same start."""
    copyai, transport = _client(reply("", status=429), reply(_STARTED))
    await copyai.start_workflow("WCFG-1")
    one, two = (_sent(request)[2]["metadata"] for request in transport.requests)
    assert one == two


async def test_every_request_has_the_key_and_the_content_type() -> None:
    """The key is in its own header, with no `Authorization`; GETs have the content type too."""
    copyai, transport = _client(reply(_STARTED), _run(status="NEW"))
    await (await copyai.start_workflow("WCFG-1")).poll()
    for request in transport.requests:
        assert request.headers == {
            "x-copy-ai-api-key": _KEY,
            "Content-Type": "application/json",
        }


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.copy.ai/api/", "https://api.copy.ai/api/workflow/W/run/R"),
        ("https://api.copy.ai/api", "https://api.copy.ai/api/workflow/W/run/R"),
        ("https://proxy.example/a/b/", "https://proxy.example/a/b/workflow/W/run/R"),
        ("https://proxy.example:8443", "https://proxy.example:8443/workflow/W/run/R"),
    ],
)
async def test_the_path_of_the_base_url_is_kept(base_url: str, expected: str) -> None:
    """With a final slash or without, `/api` is not lost and not doubled."""
    transport = ScriptedTransport([_run(status="NEW")])
    await CopyAI(transport, api_key=_KEY, base_url=base_url).workflow_run("W", "R").poll()
    assert _sent(transport.requests[0])[1] == expected


async def test_a_base_url_with_and_without_a_slash_is_one_account() -> None:
    """The same run of both is one task."""
    one, two = (
        CopyAI(ScriptedTransport(), api_key=_KEY, base_url=url).workflow_run("W", "R")
        for url in (f"{_BASE}/", _BASE)
    )
    assert one.key == two.key


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "success", "data": {}},
        {"status": "success", "data": {"id": ""}},
        {"status": "success", "data": None},
        {"status": "success"},
        [],
    ],
    ids=repr,
)
async def test_a_start_without_an_id_may_have_started_something(answer: object) -> None:
    """A good answer that names no run is a `DecodeError` that warns of a second start."""
    copyai, transport = _client(reply(answer), repeat=True)
    with pytest.raises(DecodeError) as caught:
        await copyai.start_workflow("WCFG-1")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


async def test_the_callers_inputs_are_not_changed() -> None:
    """Variables and metadata are encoded and left as they were."""
    copyai, _ = _client(reply(_STARTED))
    variables, metadata = {"a": {"b": [1]}}, {"order": 17}
    await copyai.start_workflow("WCFG-1", variables, metadata=metadata)
    assert (variables, metadata) == ({"a": {"b": [1]}}, {"order": 17})


async def test_inputs_may_be_any_mapping() -> None:
    """A read-only view of a mapping is a mapping of names to values, as the signature says."""
    copyai, transport = _client(reply(_STARTED))
    await copyai.start_workflow("WCFG-1", MappingProxyType({"Input 1": "tea"}))
    assert _sent(transport.requests[0])[2]["startVariables"] == {"Input 1": "tea"}


# --- reading a run ------------------------------------------------------------------------------


async def test_reading_a_run_asks_for_it_and_types_the_answer() -> None:
    """Both ids are in the path, and all fields that deliveries have are typed."""
    copyai, transport = _client(reply(_RECORDED["workflow_run/COMPLETE.live.json"]))
    run = await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert _sent(transport.requests[0]) == ("GET", _RUN_URL, None)
    assert (run.status, run.id) == ("COMPLETE", run.workflow_run_id)
    assert run.workflow_id == "WCFG-84e56597-ebaf-4b49-a98c-75cacd4a****"
    assert run.metadata == {"webapp": True}
    assert run.created_at == "2025-05-07T10:20:46.998Z"
    assert run.error is None
    assert run.outputs == {"final_output": {"title": "Tea", "items": [{}]}, "structured": {}}
    assert run.response is not None
    assert b"toolKey" in run.response.body


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("NEW", TaskState.PENDING),
        ("WAITING", TaskState.PENDING),
        ("PROCESSING", TaskState.RUNNING),
        ("RETRYING", TaskState.RUNNING),
        ("COMPLETE", TaskState.SUCCEEDED),
        ("FAILED", TaskState.FAILED),
        ("COMPLETED", None),
        ("complete", None),
        ("success", None),
        ("error", None),
        ("", None),
        (None, None),
    ],
)
async def test_each_word_of_a_run_has_its_state(word: str | None, state: TaskState | None) -> None:
    """The six documented words are known; the envelope's own words are none of them."""
    copyai, _ = _client(_run(status=word))
    seen = await copyai.workflow_run("WCFG-1", "WRUN-1").observe()
    assert (seen.word, seen.state) == (word, state)


async def test_the_envelopes_status_is_not_the_runs() -> None:
    """The published example has no `data.status`: it is no end, and its output is no proof."""
    answer = reply(_RECORDED["answers/get_workflow_run.without_status.json"])
    copyai, transport = _client(answer, answer, answer, _run(status="COMPLETE"))
    handle = copyai.workflow_run("WCFG-1", "WRUN-1")
    seen = await handle.observe()
    assert (seen.result.status, seen.word, seen.state) == (None, None, None)
    assert seen.result.outputs == {"text": "workflow run output"}
    assert (await wait_until_done(handle)).status == "COMPLETE"
    assert len(transport.requests) == 4


async def test_a_status_that_never_comes_ends_the_wait_with_the_body() -> None:
    """After several answers without a status the wait gives up, with the answer as evidence."""
    copyai, _ = _client(
        reply(_RECORDED["answers/get_workflow_run.without_status.json"]), repeat=True
    )
    with pytest.raises(UnknownStatus) as caught:
        await wait_until_done(copyai.workflow_run("WCFG-1", "WRUN-1"))
    assert caught.value.snapshot is not None
    assert b"doublelyInterestingValue" in (caught.value.snapshot.raw or b"")


async def test_output_while_a_run_is_at_work_is_no_end() -> None:
    """Partial output and a step that is retried are waited through."""
    copyai, transport = _client(
        reply(_RECORDED["workflow_run/PROCESSING.json"]),
        reply(_RECORDED["workflow_run/RETRYING.json"]),
        reply(_RECORDED["workflow_run/COMPLETE.prose.json"]),
    )
    done = await wait_until_done(copyai.workflow_run("WCFG-1", "WRUN-1"))
    assert done.outputs == {"Output 1": "Outputs vary with the workflow.", "Output 2": "Try it."}
    assert len(transport.requests) == 3


@pytest.mark.parametrize(
    ("given", "number"),
    [(2, 2), ("9001", 9001), ("22", 22), (None, None), ("many", None), ("", None), ("-1", None)],
    ids=repr,
)
async def test_credits_come_as_a_number_or_a_text(given: object, number: int | None) -> None:
    """Both forms are kept as they came and can be read as a number."""
    copyai, _ = _client(_run(status="NEW", credits=given))
    run = await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert (run.credits, run.credits_used) == (given, number)


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        (None, {}),
        ({}, {}),
        ({"a": "plain"}, {"a": "plain"}),
        ({"a": "42"}, {"a": "42"}),
        ({"a": '{"b": "[1]"}'}, {"a": {"b": [1]}}),
        ({"a": '{"cut of'}, {"a": '{"cut of'}),
        ({"a": 5, "b": None, "c": {"d": "{}"}}, {"a": 5, "b": None, "c": {"d": {}}}),
    ],
    ids=repr,
)
async def test_outputs_open_json_in_text(output: object, outputs: object) -> None:
    """Each output is opened where it is JSON, and left as it is where it is not."""
    copyai, _ = _client(_run(status="COMPLETE", output=output))
    assert (await copyai.get_workflow_run("WCFG-1", "WRUN-1")).outputs == outputs


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        (["a", '{"b":1}'], {"output": ["a", {"b": 1}]}),
        ("plain text", {"output": "plain text"}),
        ('{"final_output": "[1]"}', {"final_output": [1]}),
        ('["a"]', {"output": ["a"]}),
        ("", {"output": ""}),
        (5, {"output": 5}),
        (1.5, {"output": 1.5}),
        (False, {"output": False}),
    ],
    ids=repr,
)
async def test_an_output_of_another_type_costs_no_result(output: object, outputs: object) -> None:
    """A finished run is read though its output is no object: as it came, and under a name."""
    copyai, transport = _client(_run(status="COMPLETE", output=output))
    done = await wait_until_done(copyai.workflow_run("WCFG-1", "WRUN-1"))
    assert (done.output, done.outputs) == (output, outputs)
    assert type(done.output) is type(output)
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "odd",
    [{"message": {"a": 1}}, {"message": ["no"]}, {"details": "plain"}, {"errorCode": None}],
    ids=repr,
)
async def test_a_refusal_of_an_odd_form_is_a_refusal(odd: dict[str, object]) -> None:
    """`status: error` in a 200 is an error, whatever the type of what stands beside it."""
    said = {"status": "error", "errorCode": "NOT_FOUND", "data": {"status": "COMPLETE"}} | odd
    copyai, transport = _client(reply(said), repeat=True)
    with pytest.raises(APIError) as caught:
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert caught.value.code == said["errorCode"]
    assert len(transport.requests) == 1


@pytest.mark.parametrize("opening", [b"[", b'{"message":', b'{"details":[', b'{"x":'])
@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
async def test_a_refusal_nested_too_deeply_is_the_refusal_of_its_status(
    opening: bytes, depth: int
) -> None:
    """What cannot be read of a refusal leaves the refusal, and is no error of the decoder."""
    copyai, _ = _client(reply(opening * depth, status=503), max_retries=0)
    with pytest.raises(ServerError, match="503"):
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")


@pytest.mark.parametrize("absent", ["input", "output", "metadata", "createdAt", "error", "id"])
async def test_every_field_of_a_run_may_be_null_or_missing(absent: str) -> None:
    """The published pages disagree about all of them."""
    whole: dict[str, object] = {
        "id": "WRUN-1",
        "status": "COMPLETE",
        "input": {},
        "output": {},
        "metadata": {},
        "createdAt": "2023-04-06T22:34:47Z",
        "error": "",
    }
    missing = {name: value for name, value in whole.items() if name != absent}
    copyai, _ = _client(
        reply({"status": "success", "data": whole | {absent: None}}),
        reply({"status": "success", "data": missing}),
    )
    for _ in range(2):
        assert (await copyai.get_workflow_run("WCFG-1", "WRUN-1")).status == "COMPLETE"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("A step failed.", "A step failed."),
        ({"message": "A step failed."}, '"message":"A step failed."'),
        (["a", 1], r'\["a",1\]'),
        (None, "FAILED"),
    ],
    ids=repr,
)
async def test_a_failed_run_gives_its_error_in_whatever_form_it_has(
    error: object, said: str
) -> None:
    """`data.error` is documented nowhere: text, object, list or null, it is in the message."""
    copyai, _ = _client(_run(status="FAILED", error=error))
    with pytest.raises(TaskFailed, match=said) as caught:
        await wait_until_done(copyai.workflow_run("WCFG-1", "WRUN-1"))
    assert caught.value.snapshot is not None
    assert isinstance(caught.value.snapshot.result, WorkflowRun)


# --- lists --------------------------------------------------------------------------------------


async def test_the_list_of_runs_has_two_envelopes_and_begins_at_page_one() -> None:
    """`data.data` holds the runs, whose numbers may be texts; the first page is 1."""
    copyai, transport = _client(reply(_RECORDED["answers/list_workflow_runs.json"]))
    page = await copyai.list_workflow_runs("WCFG-1")
    assert _sent(transport.requests[0]) == (
        "GET",
        f"{_BASE}/workflow/WCFG-1/run?page=1&size=10",
        None,
    )
    assert page.total == "3"
    assert [(run.id, run.credits_used, run.output) for run in page.data] == [
        ("WRUN-dc46baf3-cb19-4424-be04-95ba6304****", 22, None),
        ("WRUN-2", 9001, None),
    ]
    assert page.response is not None


async def test_a_page_of_runs_is_chosen_by_number_and_size() -> None:
    """Both options travel under their own names."""
    copyai, transport = _client(_page())
    await copyai.list_workflow_runs("WCFG-1", page=3, size=100)
    query = dict(parse_qsl(urlsplit(transport.requests[0].target).query))
    assert query == {"page": "3", "size": "100"}


@pytest.mark.parametrize("size", [0, 101])
async def test_a_page_of_runs_holds_a_hundred_at_most(size: int) -> None:
    """What is no size is refused by the argument's name, and nothing is sent."""
    copyai, transport = _client()
    with pytest.raises(ValueError, match=f"^size={size} "):
        await copyai.list_workflow_runs("WCFG-1", size=size)
    assert transport.requests == []


@pytest.mark.parametrize("total", [3, "3"], ids=repr)
async def test_all_runs_end_at_the_total(total: int | str) -> None:
    """The total counts, as a number or as a text, and no page after it is asked for."""
    copyai, transport = _client(_page("1", "2", total=total), _page("3", total=total))
    runs = [run.id async for run in copyai.iter_workflow_runs("WCFG-1", size=2)]
    assert runs == ["1", "2", "3"]
    assert [urlsplit(request.target).query for request in transport.requests] == [
        "page=1&size=2",
        "page=2&size=2",
    ]


async def test_all_runs_end_at_an_empty_page_or_one_that_brings_nothing_new() -> None:
    """Neither a total that is missing or wrong nor a repeated page makes it ask for ever."""
    copyai, transport = _client(_page("1"), _page())
    assert [run.id async for run in copyai.iter_workflow_runs("WCFG-1")] == ["1"]
    assert transport.left == 0
    copyai, transport = _client(_page("1", "2", total=99), repeat=True)
    assert [run.id async for run in copyai.iter_workflow_runs("WCFG-1")] == ["1", "2"]
    assert len(transport.requests) == 2


async def test_a_run_that_moves_to_the_next_page_comes_once() -> None:
    """A run that begins while the pages are read shifts the others; none comes twice."""
    copyai, _ = _client(_page("3", "2", total=4), _page("2", "1", total=4), _page(total=4))
    runs = [run.id async for run in copyai.iter_workflow_runs("WCFG-1", size=2)]
    assert runs == ["3", "2", "1"]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"status": "error", "errorCode": "BAD"}, InvalidRequest, "BAD"),
        (400, "", InvalidRequest, None),
        (
            400,
            _RECORDED["answers/error.credits.json"],
            QuotaExceeded,
            "WORKFLOW_CREDIT_LIMIT_REACHED",
        ),
        (401, "", AuthenticationFailed, None),
        (401, "<html>Unauthorized</html>", AuthenticationFailed, None),
        (403, "", PermissionDenied, None),
        (404, _RECORDED["answers/error.not_found.json"], NotFound, "NOT_FOUND"),
        (404, "not JSON", NotFound, None),
        (422, _RECORDED["answers/error.validation.json"], InvalidRequest, "VALIDATION_ERROR"),
        (429, "Too Many Requests", RateLimited, None),
        (500, "", ServerError, None),
        (502, "<html>", ServerError, None),
        (504, "<html>", ServerError, None),
        (200, {"status": "error", "errorCode": "NOT_FOUND"}, NotFound, "NOT_FOUND"),
        (200, {"status": "error", "errorCode": "ODD", "data": {}}, InvalidRequest, "ODD"),
        (200, {"status": "error"}, InvalidRequest, None),
        (200, {"status": "error", "data": {"status": "COMPLETE"}}, InvalidRequest, None),
    ],
)
async def test_each_refusal_has_its_error(
    status: int, body: object, kind: type[APIError], code: str | None
) -> None:
    """HTTP status and error code decide, also inside a 200; an empty body does no harm."""
    copyai, _ = _client(reply(body, status=status), max_retries=0)
    with pytest.raises(kind) as caught:
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert code is None or code in str(error)
    assert _KEY not in f"{error} {error!r}"


async def test_being_out_of_credits_is_said_and_never_retried() -> None:
    """HTTP 400 with the credit limit's code is `QuotaExceeded`: one request, nothing started."""
    copyai, transport = _client(
        reply(_RECORDED["answers/error.credits.json"], status=400), repeat=True
    )
    with pytest.raises(QuotaExceeded, match="credits") as caught:
        await copyai.start_workflow("WCFG-1")
    assert not caught.value.may_have_started
    assert len(transport.requests) == 1


async def test_the_details_of_a_validation_error_are_shown() -> None:
    """A 422 has no message, so its details are in the error's text, bounded in length."""
    copyai, _ = _client(
        reply(_RECORDED["answers/error.validation.json"], status=422),
        reply({"status": "error", "errorCode": "X", "details": ["y" * 5000]}, status=422),
    )
    with pytest.raises(InvalidRequest, match="Input 1 is required"):
        await copyai.start_workflow("WCFG-1")
    with pytest.raises(InvalidRequest, match="yyy") as caught:
        await copyai.start_workflow("WCFG-1")
    assert len(str(caught.value)) < 1000


async def test_the_hint_of_a_429_is_in_the_error_and_is_obeyed() -> None:
    """`Retry-After` is documented nowhere here, and honoured where it comes."""
    busy = reply("Too Many Requests", status=429, headers={"Retry-After": "7"})
    copyai, transport = _client(busy, reply(_STARTED))
    await copyai.start_workflow("WCFG-1")
    assert 7 <= transport.times[1] - transport.times[0] <= 7.7
    copyai, _ = _client(busy, max_retries=0)
    with pytest.raises(RateLimited) as caught:
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert caught.value.retry_after == 7


async def test_a_redirect_is_refused_and_names_the_place() -> None:
    """The key's header would go along to another host, so it is not followed."""
    copyai, transport = _client(
        reply("", status=302, headers={"Location": "https://elsewhere.example/x"}), repeat=True
    )
    with pytest.raises(InvalidRequest, match=r"https://elsewhere\.example"):
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert len(transport.requests) == 1


async def test_a_run_that_is_gone_ends_a_wait_as_expired() -> None:
    """After a good answer, "not found" is the end of the run, not of one poll."""
    copyai, _ = _client(
        _run(status="NEW"), reply(_RECORDED["answers/error.not_found.json"], status=404)
    )
    with pytest.raises(TaskExpired):
        await wait_until_done(copyai.workflow_run("WCFG-1", "WRUN-1"))


async def test_a_fresh_run_may_not_be_found_yet() -> None:
    """Right after the start, "not found" is tolerated for a moment."""
    copyai, _ = _client(
        reply(_STARTED),
        reply(_RECORDED["answers/error.not_found.json"], status=404),
        _run(status="COMPLETE"),
    )
    assert (await wait_until_done(await copyai.start_workflow("WCFG-1"))).status == "COMPLETE"


# --- repeats ------------------------------------------------------------------------------------

_AMBIGUOUS: dict[str, Callable[[], Response | Exception]] = {
    "timeout": lambda: RequestTimeout("no answer in time"),
    "reset": lambda: TransportError("the connection broke"),
    "500": lambda: reply("", status=500),
    "HTML 502": lambda: reply("<html>", status=502),
    "HTML 504": lambda: reply("<html>", status=504),
    "empty 200": lambda: reply(b""),
    "cut-off 200": lambda: reply(b'{"status":"succ'),
}
_HARMLESS: dict[str, Callable[[], Response | Exception]] = {
    "refused connection": lambda: ConnectFailed("refused"),
    "429": lambda: reply("", status=429),
}


@pytest.mark.parametrize("fault", _AMBIGUOUS)
async def test_a_start_is_never_repeated_when_it_may_have_happened(fault: str) -> None:
    """A run costs credits: one request, and an error that says that it may have started."""
    copyai, transport = _client(_AMBIGUOUS[fault](), repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await copyai.start_workflow("WCFG-1")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


@pytest.mark.parametrize("fault", _HARMLESS)
async def test_a_start_is_repeated_when_it_certainly_did_not_happen(fault: str) -> None:
    """No connection, or refused for the rate: it is sent again and succeeds."""
    copyai, transport = _client(_HARMLESS[fault](), reply(_STARTED))
    assert (await copyai.start_workflow("WCFG-1")).run_id == "some-UUID-1234"
    assert len(transport.requests) == 2


@pytest.mark.parametrize("fault", [*_AMBIGUOUS, *_HARMLESS])
async def test_a_read_is_repeated_a_bounded_number_of_times(fault: str) -> None:
    """Three repeats by default, then the last fault is the error."""
    copyai, transport = _client((_AMBIGUOUS | _HARMLESS)[fault](), repeat=True)
    with pytest.raises(AsyncClientError) as caught:
        await copyai.get_workflow_run("WCFG-1", "WRUN-1")
    assert not caught.value.may_have_started
    assert len(transport.requests) == 4


async def test_a_key_of_a_function_is_renewed_once_after_a_refusal() -> None:
    """The function is asked for each request, and once more when its key was refused."""
    keys = iter(["old", "new"])

    async def api_key() -> str:
        return next(keys)

    transport = ScriptedTransport([reply("", status=401), _run(status="NEW")])
    await CopyAI(transport, api_key=api_key).get_workflow_run("WCFG-1", "WRUN-1")
    assert [request.headers["x-copy-ai-api-key"] for request in transport.requests] == [
        "old",
        "new",
    ]


# --- arguments ----------------------------------------------------------------------------------


# Each id that an operation has in its path, and a call with it.
_PATH_CALLS: dict[str, Callable[[CopyAI, str], Awaitable[object]]] = {
    "start_workflow workflow_id": lambda copyai, one: copyai.start_workflow(one),
    "get_workflow_run workflow_id": lambda copyai, one: copyai.get_workflow_run(one, "R"),
    "get_workflow_run run_id": lambda copyai, one: copyai.get_workflow_run("W", one),
    "list_workflow_runs workflow_id": lambda copyai, one: copyai.list_workflow_runs(one),
    "get_webhook webhook_id": lambda copyai, one: copyai.get_webhook(one),
    "delete_webhook webhook_id": lambda copyai, one: copyai.delete_webhook(one),
}


async def _target(call: str, identity: str) -> str:
    """Return the target of the one request that a call makes."""
    copyai, transport = _client(reply("", status=404))
    with pytest.raises(NotFound):
        await _PATH_CALLS[call](copyai, identity)
    (request,) = transport.requests
    return request.target


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("../W", "..%2FW"),
        ("a/b", "a%2Fb"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
    ],
)
@pytest.mark.parametrize("call", _PATH_CALLS)
async def test_an_id_stays_one_segment_of_the_path(call: str, given: str, quoted: str) -> None:
    """With any text in an id, the request's path has as many segments as with a plain one."""
    plain = await _target(call, "PLAIN")
    assert plain.count("PLAIN") == 1
    assert await _target(call, given) == plain.replace("PLAIN", quoted)


def test_a_key_that_no_header_can_have_is_refused_without_showing_it() -> None:
    """The error says what is wrong with the key by the argument's name, and never the key."""
    with pytest.raises(ValueError, match=r"^api_key ") as caught:
        CopyAI(ScriptedTransport(), api_key=f"{_KEY}\n")
    assert "secret" not in str(caught.value)


def test_plain_http_to_another_machine_is_refused() -> None:
    """It would show the key to everyone on the way."""
    with pytest.raises(ValueError, match="base_url"):
        CopyAI(ScriptedTransport(), api_key=_KEY, base_url="http://api.copy.ai/api/")


async def test_nothing_that_a_client_makes_shows_its_key() -> None:
    """Clients, handles, keys, references and requests show where they ask, not as whom."""
    copyai, transport = _client(_run(status="NEW"))
    handle = copyai.workflow_run("WCFG-1", "WRUN-1")
    await handle.poll()
    for thing in (copyai, handle, handle.key, handle.ref, transport, *transport.requests):
        assert _KEY not in f"{thing!r} {thing}"
    assert repr(copyai) == "<CopyAI https://api.copy.ai/api>"
