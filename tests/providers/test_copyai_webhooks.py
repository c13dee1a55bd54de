"""Copy.ai's webhooks: registering, listing and deleting them, and reading a delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient._http import Request, Response
from asyncclient.errors import (
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    TransportError,
)
from asyncclient.providers.copyai import CopyAI, Webhook, WebhookEvent
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "copyai"
_RECORDED = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in _FOLDER.glob("*/*")}
_BASE = "https://api.copy.ai/api"
_RUN = "WRUN-dc46baf3-cb19-4424-be04-95ba6304****"
_WORKFLOW = "WCFG-84e56597-ebaf-4b49-a98c-75cacd4a****"
_HOOK = Webhook(
    id="WHK-1****",
    url="https://example.com/hooks/5d6f****",
    event_type="workflowRun.completed",
    workflow_id=_WORKFLOW,
)


def _client(
    *script: Response | Exception, repeat: bool = False
) -> tuple[CopyAI, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return CopyAI(transport, api_key="key-1"), transport


def _sent(request: Request) -> tuple[str, str, Any]:
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


# --- registrations ------------------------------------------------------------------------------


async def test_a_registration_sends_the_providers_names() -> None:
    """`eventType` and `workflowId` are spelled as the provider spells them."""
    copyai, transport = _client(reply(_RECORDED["answers/webhook.json"]))
    hook = await copyai.register_webhook(
        "https://example.com/hooks/5d6f", event_type="workflowRun.completed", workflow_id="WCFG-1"
    )
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            f"{_BASE}/webhook",
            {
                "url": "https://example.com/hooks/5d6f",
                "eventType": "workflowRun.completed",
                "workflowId": "WCFG-1",
            },
        )
    ]
    assert hook == _HOOK


async def test_a_registration_for_all_workflows_names_none() -> None:
    """No workflow given is no `workflowId` sent, not a null."""
    copyai, transport = _client(reply(_RECORDED["answers/webhook.json"]))
    await copyai.register_webhook("https://example.com/x", event_type="workflowRun.failed")
    assert _sent(transport.requests[0])[2] == {
        "url": "https://example.com/x",
        "eventType": "workflowRun.failed",
    }


async def test_a_registration_is_not_repeated_when_it_may_have_happened() -> None:
    """A second registration would deliver everything twice."""
    copyai, transport = _client(TransportError("the connection broke"), repeat=True)
    with pytest.raises(TransportError) as caught:
        await copyai.register_webhook("https://example.com/x", event_type="workflowRun.failed")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


async def test_an_event_that_no_source_shows_is_refused() -> None:
    """The page's list is whole: a misspelt event would never be delivered."""
    copyai, transport = _client()
    event = cast("Literal['workflowRun.failed']", "workflowRun.cancelled")
    with pytest.raises(ValueError, match=r"^event_type=.* 'workflowCreditLimit.reached'$"):
        await copyai.register_webhook("https://example.com/x", event_type=event)
    assert transport.requests == []


async def test_one_registration_is_read_by_its_id() -> None:
    """The id is in the path, and the answer is typed."""
    copyai, transport = _client(reply(_RECORDED["answers/webhook.json"]))
    assert await copyai.get_webhook("WHK-1") == _HOOK
    assert _sent(transport.requests[0]) == ("GET", f"{_BASE}/webhook/WHK-1", None)


async def test_the_list_of_registrations_has_no_envelope_and_begins_at_page_zero() -> None:
    """Other than the list of runs in both, and its total may be a text."""
    copyai, transport = _client(reply(_RECORDED["answers/list_webhooks.json"]))
    page = await copyai.list_webhooks()
    assert _sent(transport.requests[0]) == ("GET", f"{_BASE}/webhook?page=0&size=10", None)
    assert page.total == "2"
    assert [(hook.id, hook.workflow_id) for hook in page.data] == [
        ("WHK-1****", _WORKFLOW),
        ("WHK-2****", None),
    ]
    assert page.response is not None


async def test_a_page_of_registrations_is_chosen_by_number_and_size() -> None:
    """Both options travel under their own names."""
    copyai, transport = _client(reply({"total": 0, "data": []}))
    assert (await copyai.list_webhooks(page=2, size=100)).data == []
    assert transport.requests[0].target == "/api/webhook?page=2&size=100"


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"null", b'{"status":"success"}'])
async def test_deleting_ignores_what_comes_back(body: bytes) -> None:
    """No one knows what a deletion answers, so any good answer will do."""
    copyai, transport = _client(reply(body))
    await copyai.delete_webhook("WHK-1")
    assert _sent(transport.requests[0]) == ("DELETE", f"{_BASE}/webhook/WHK-1", None)


_CALLS: dict[str, Callable[[CopyAI], Awaitable[object]]] = {
    "register_webhook": lambda copyai: copyai.register_webhook(
        "https://example.com", event_type="workflowRun.failed"
    ),
    "get_webhook": lambda copyai: copyai.get_webhook("WHK-1"),
    "list_webhooks": lambda copyai: copyai.list_webhooks(),
    "delete_webhook": lambda copyai: copyai.delete_webhook("WHK-1"),
}


@pytest.mark.parametrize("call", _CALLS)
async def test_every_webhook_operation_reads_refusals(call: str) -> None:
    """By status, by code, and inside a 200 that says `error`, with or without an envelope."""
    copyai, transport = _client(
        reply("", status=401),
        reply(_RECORDED["answers/error.not_found.json"], status=404),
        reply(_RECORDED["answers/error.not_found.json"]),
        reply({"status": "error", "errorCode": "X", "details": {"url": "bad"}}, status=422),
    )
    for kind in (AuthenticationFailed, NotFound, NotFound, InvalidRequest):
        with pytest.raises(kind):
            await _CALLS[call](copyai)
    assert transport.left == 0


# --- deliveries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "outputs", "status"),
    [
        ("docs.json", {"Output 1": "Outputs vary with the workflow."}, None),
        ("docs_2022.json", {"output": "The text."}, None),
        (
            "flat_run.json",
            {"final_output": '{"title":"Tea","items":["{}"]}', "structured": "{}"},
            "COMPLETE",
        ),
    ],
)
def test_each_shape_of_a_delivery_is_read(
    recorded: str, outputs: object, status: str | None
) -> None:
    """The two documented shapes and the one that was seen say the same things."""
    event = CopyAI.parse_webhook(_RECORDED[f"deliveries/{recorded}"])
    assert isinstance(event, WebhookEvent)
    assert event.type == "workflowRun.completed"
    assert (event.run_id, event.workflow_id) == (_RUN, _WORKFLOW)
    assert event.outputs == outputs
    assert event.status == status
    assert event.metadata is not None


def test_a_delivery_may_be_text_or_bytes() -> None:
    """A web framework gives one or the other."""
    body = _RECORDED["deliveries/docs.json"]
    assert CopyAI.parse_webhook(body) == CopyAI.parse_webhook(body.decode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"workflowCreditLimit.reached"}',
        b'{"type":"workflowRun.failed","id":"WRUN-1","error":{"a":[1]},"metadata":null}',
        b'{"type":"brandNew.event","new":{"field":1}}',
        b'{"workflowRunId":"WRUN-1"}',
        b'{"id":"WRUN-1","result":null,"output":"text","credits":"22"}',
    ],
)
def test_deliveries_of_unknown_kinds_are_read_as_far_as_they_go(body: bytes) -> None:
    """The bodies of some events are documented nowhere: a type or a run's id is enough."""
    event = CopyAI.parse_webhook(body)
    assert event.type or event.run_id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"workflowRun.completed"',
        b"not JSON",
        b"\xff\xfe",
        b'{"type":5}',
        b'{"type":""}',
        b'{"workflowRunId":{}}',
        b'{"status":"COMPLETE"}',
        b"[" * 100_000,
        '{"type":"\ud800"}',
    ],
    ids=lambda body: repr(body)[:30],
)
def test_what_is_no_delivery_is_a_decode_error(body: bytes | str) -> None:
    """Anyone can send anything to a callback address, and it never crashes with another error."""
    with pytest.raises(DecodeError, match=r"copyai\.parse_webhook"):
        CopyAI.parse_webhook(body)


@given(st.binary() | st.text())
def test_no_bytes_crash_the_reader_of_deliveries(body: bytes | str) -> None:
    """Whatever comes is an event or a `DecodeError`."""
    try:
        event = CopyAI.parse_webhook(body)
    except DecodeError:
        return
    assert event.type or event.run_id


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "id", "workflowRunId", "workflowId", "result", "output", "metadata", "error"]
        ),
        _json,
    )
)
def test_no_object_crashes_the_reader_of_deliveries(body: dict[str, object]) -> None:
    """Fields of any type are an event or a `DecodeError`; what is not modelled is kept as it is."""
    try:
        event = CopyAI.parse_webhook(msgspec.json.encode(body))
    except DecodeError:
        return
    assert event.result == body.get("result")
    assert event.output == body.get("output")


@pytest.mark.parametrize("bad", [None, {"type": "workflowRun.completed"}, 5], ids=repr)
def test_a_delivery_that_was_parsed_already_is_refused_with_what_to_pass(bad: object) -> None:
    """What a framework made of the body is refused by name: the bytes are wanted."""
    with pytest.raises(TypeError, match=r"^body must be the bytes or the text"):
        CopyAI.parse_webhook(cast("bytes", bad))
