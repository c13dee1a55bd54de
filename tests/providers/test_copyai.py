"""Copy.ai's workflow runs: what is sent, and how answers are read."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import pytest

from asyncclient import Observation, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import TaskExpired, TaskFailed, UnknownStatus
from asyncclient.providers.copyai import WorkflowRun, WorkflowRunHandle
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, copyai, sent

_STARTED = reply(RECORDED["copyai/answers/start_workflow.json"])
_WITHOUT_STATUS = reply(RECORDED["copyai/answers/get_workflow_run.without_status.json"])
_RUNS_URL = "https://api.copy.ai/api/workflow/WCFG-1/run"


def _run(**fields: object) -> Response:
    return reply({"status": "success", "data": {"id": "WRUN-1"} | fields})


def _page(*ids: str, total: int | str | None = None) -> Response:
    runs = [{"id": one} for one in ids]
    return reply({"status": "success", "data": {"total": total, "data": runs}})


def _handle(*script: Response, repeat: bool = False) -> WorkflowRunHandle:
    client, _ = copyai(*script, repeat=repeat)
    return client.workflow_run("WCFG-1", "WRUN-1")


def _seen(**fields: object) -> Observation[WorkflowRun]:
    return _handle().read(_run(**fields).body)


# --- starting -----------------------------------------------------------------------------------


async def test_a_start_sends_its_variables_under_the_providers_name() -> None:
    """`startVariables` and `metadata` are the body; any mapping will do, and none is changed."""
    client, transport = copyai(_STARTED)
    variables, metadata = MappingProxyType({"Input 1": {"b": [1]}}), {"order": 17}
    run = await client.start_workflow("WCFG-1", variables, metadata=metadata)
    assert [sent(request) for request in transport.requests] == [
        ("POST", _RUNS_URL, {"startVariables": {"Input 1": {"b": [1]}}, "metadata": {"order": 17}})
    ]
    assert (dict(variables), metadata) == ({"Input 1": {"b": [1]}}, {"order": 17})
    assert isinstance(run, WorkflowRunHandle)
    assert (run.workflow_id, run.run_id) == ("WCFG-1", "some-UUID-1234")
    assert run.created is not None


@pytest.mark.parametrize("given", [(), ({},), (None,)], ids=repr)
async def test_a_start_without_variables_sends_an_empty_object(given: tuple[Any, ...]) -> None:
    """`startVariables` is required, so it is sent also when there are none."""
    client, transport = copyai(_STARTED)
    await client.start_workflow("WCFG-1", *given)
    assert sent(transport.requests[0])[2]["startVariables"] == {}


async def test_a_start_without_metadata_has_a_marker_of_its_own() -> None:
    """Copy.ai has no other means to find a run again; each start has its own, `{}` has none."""
    client, transport = copyai(_STARTED, repeat=True)
    await client.start_workflow("WCFG-1")
    await client.start_workflow("WCFG-1", metadata=None)
    await client.start_workflow("WCFG-1", metadata={})
    one, two, none = (sent(request)[2]["metadata"] for request in transport.requests)
    assert one.keys() == two.keys() == {"asyncclient_start"}
    assert one != two
    assert re.fullmatch("[0-9a-f]{32}", one["asyncclient_start"])
    assert none == {}


# --- reading a run ------------------------------------------------------------------------------


async def test_reading_a_run_asks_for_it_and_types_the_answer() -> None:
    """Both ids are in the path, and all fields that deliveries have are typed."""
    client, transport = copyai(reply(RECORDED["copyai/workflow_run/COMPLETE.live.json"]))
    run = await client.get_workflow_run("WCFG-1", "WRUN-1")
    assert sent(transport.requests[0]) == ("GET", f"{_RUNS_URL}/WRUN-1", None)
    assert (run.status, run.id) == ("COMPLETE", run.workflow_run_id)
    assert run.workflow_id == "WCFG-84e56597-ebaf-4b49-a98c-75cacd4a****"
    assert run.metadata == {"webapp": True}
    assert run.created_at == "2025-05-07T10:20:46.998Z"
    assert run.error is None
    assert run.outputs == {"final_output": {"title": "Tea", "items": [{}]}, "structured": {}}
    assert run.response is not None
    assert b"toolKey" in run.response.body


async def test_the_envelopes_status_is_not_the_runs() -> None:
    """The published example has no `data.status`: it is no end, and its output is no proof."""
    seen = _handle().read(_WITHOUT_STATUS.body)
    assert (seen.result.status, seen.word, seen.state) == (None, None, None)
    assert seen.result.outputs == {"text": "workflow run output"}
    handle = _handle(_WITHOUT_STATUS, _WITHOUT_STATUS, _run(status="COMPLETE"))
    assert (await wait_until_done(handle)).status == "COMPLETE"
    # Where it never comes, the wait gives up, with the answer as evidence.
    with pytest.raises(UnknownStatus) as caught:
        await wait_until_done(_handle(_WITHOUT_STATUS, repeat=True))
    assert caught.value.snapshot is not None
    assert b"doublelyInterestingValue" in (caught.value.snapshot.raw or b"")


@pytest.mark.parametrize(
    ("given", "number"), [(2, 2), ("9001", 9001), (None, None), ("many", None)], ids=repr
)
def test_credits_come_as_a_number_or_a_text(given: object, number: int | None) -> None:
    """Both forms are kept as they came and can be read as a number."""
    run = _seen(status="NEW", credits=given).result
    assert (run.credits, run.credits_used) == (given, number)


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        (None, {}),
        ({"a": "42"}, {"a": "42"}),
        ({"a": '{"b": "[1]"}'}, {"a": {"b": [1]}}),
        ({"a": '{"cut of'}, {"a": '{"cut of'}),
        ({"a": 5, "b": None, "c": {"d": "{}"}}, {"a": 5, "b": None, "c": {"d": {}}}),
        # What is no object has a name of ours, and costs no result.
        ('{"final_output": "[1]"}', {"final_output": [1]}),
        (["a", '{"b":1}'], {"output": ["a", {"b": 1}]}),
        ("plain text", {"output": "plain text"}),
        ("", {"output": ""}),
        (5, {"output": 5}),
        (False, {"output": False}),
    ],
    ids=repr,
)
def test_outputs_open_json_in_text(output: object, outputs: object) -> None:
    """An output of any type is kept as it came, and opened where it is JSON."""
    run = _seen(status="COMPLETE", output=output).result
    assert (run.output, run.outputs) == (output, outputs)
    assert type(run.output) is type(output)


def test_every_field_of_a_run_may_be_null_or_missing() -> None:
    """The published pages disagree about all of them."""
    for absent in ("id", "input", "output", "metadata", "createdAt", "error"):
        assert _seen(status="COMPLETE", **{absent: None}).word == "COMPLETE"
    assert _handle().read(reply({"data": {"status": "COMPLETE"}}).body).word == "COMPLETE"


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
async def test_a_failed_run_gives_its_error_in_each_form(error: object, said: str) -> None:
    """`data.error` is documented nowhere: text, object, list or null, it is in the message."""
    with pytest.raises(TaskFailed, match=said) as caught:
        await wait_until_done(_handle(_run(status="FAILED", error=error)))
    assert caught.value.snapshot is not None
    assert isinstance(caught.value.snapshot.result, WorkflowRun)


async def test_a_run_that_is_gone_ends_a_wait_as_expired() -> None:
    """After a good answer, "not found" is the end of the run, not of one poll."""
    gone = reply(RECORDED["copyai/answers/error.not_found.json"], status=404)
    with pytest.raises(TaskExpired):
        await wait_until_done(_handle(_run(status="NEW"), gone))


# --- lists --------------------------------------------------------------------------------------


async def test_the_list_of_runs_has_two_envelopes_and_begins_at_page_one() -> None:
    """`data.data` holds the runs, whose numbers may be texts; the first page is 1."""
    client, transport = copyai(
        reply(RECORDED["copyai/answers/list_workflow_runs.json"]), repeat=True
    )
    page = await client.list_workflow_runs("WCFG-1")
    await client.list_workflow_runs("WCFG-1", page=3, size=100)
    assert [sent(request) for request in transport.requests] == [
        ("GET", f"{_RUNS_URL}?page=1&size=10", None),
        ("GET", f"{_RUNS_URL}?page=3&size=100", None),
    ]
    assert page.total == "3"
    assert [(run.id, run.credits_used, run.output) for run in page.data] == [
        ("WRUN-dc46baf3-cb19-4424-be04-95ba6304****", 22, None),
        ("WRUN-2", 9001, None),
    ]
    assert page.response is not None


@pytest.mark.parametrize(
    ("pages", "ids"),
    [
        # At the total, as a number or a text; no page after it is asked for.
        ([_page("1", "2", total=3), _page("3", total=3)], "123"),
        ([_page("1", "2", total="3"), _page("3", total="3")], "123"),
        # At an empty page, where the total is missing.
        ([_page("1"), _page()], "1"),
        # A run that begins while the pages are read shifts the others; none comes twice.
        ([_page("3", "2", total=3), _page("2", "1", total=3)], "321"),
    ],
    ids=["total", "total in text", "no total", "shifted page"],
)
async def test_all_runs_come_once_and_end(pages: list[Response], ids: str) -> None:
    """The pages are read in order up to the last run, and no further."""
    client, transport = copyai(*pages)
    assert [run.id async for run in client.iter_workflow_runs("WCFG-1", size=2)] == [*ids]
    assert [sent(request)[1] for request in transport.requests] == [
        f"{_RUNS_URL}?page={number + 1}&size=2" for number in range(len(pages))
    ]
