"""Copy.ai's webhooks: what a delivery says, and that a deletion may say anything."""

from __future__ import annotations

import pytest

from asyncclient.errors import DecodeError
from asyncclient.providers.copyai import CopyAI, WebhookEvent
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, copyai

_RUN = "WRUN-dc46baf3-cb19-4424-be04-95ba6304****"
_WORKFLOW = "WCFG-84e56597-ebaf-4b49-a98c-75cacd4a****"


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"null", b'{"status":"success"}'])
async def test_deleting_ignores_what_comes_back(body: bytes) -> None:
    """What a deletion answers is not documented, so any good answer will do."""
    client, transport = copyai(reply(body))
    await client.delete_webhook("WHK-1")
    assert transport.left == 0


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
    body = RECORDED[f"copyai/deliveries/{recorded}"]
    event = CopyAI.parse_webhook(body)
    assert event == CopyAI.parse_webhook(body.decode())
    assert isinstance(event, WebhookEvent)
    assert event.type == "workflowRun.completed"
    assert (event.run_id, event.workflow_id) == (_RUN, _WORKFLOW)
    assert event.outputs == outputs
    assert event.status == status
    assert event.metadata is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"workflowCreditLimit.reached"}',
        b'{"type":"workflowRun.failed","id":"WRUN-1","error":{"a":[1]},"metadata":null}',
        b'{"type":"brandNew.event","new":{"field":1}}',
        b'{"workflowRunId":"WRUN-1"}',
        b'{"id":"WRUN-1","result":null,"output":"text","credits":"22"}',
        b'{"type":5,"id":"WRUN-1","data":null}',
    ],
)
def test_deliveries_of_unknown_kinds_are_read_as_far_as_they_go(body: bytes) -> None:
    """The bodies of some events are documented nowhere: a type or a run's id is enough."""
    event = CopyAI.parse_webhook(body)
    assert event.type or event.run_id


@pytest.mark.parametrize("kind", ["", '"type":null,', '"type":{},', '"type":7,', '"data":null,'])
@pytest.mark.parametrize(
    ("ids", "run_id"),
    [
        ('"workflowRunId":"WRUN-1","id":5', "WRUN-1"),
        ('"workflowRunId":12345678901234567890', "12345678901234567890"),
        ('"workflowRunId":null,"id":7431', "7431"),
        ('"workflowRunId":{},"id":"WRUN-1"', "WRUN-1"),
    ],
)
def test_the_id_of_the_run_is_read_beside_anything(kind: str, ids: str, run_id: str) -> None:
    """A delivery is a hint to poll this run: it needs neither a type nor an id that is a text."""
    body = f'\ufeff{{{kind}{ids},"metadata":[],"credits":{{}},"createdAt":1}}'
    assert CopyAI.parse_webhook(body).run_id == run_id


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"null", b"[]", b'"workflowRun.completed"', b"not JSON", b"\xff\xfe"),
        *(b'{"type":null}', b'{"type":["workflowRun.completed"]}', b'{"type":""}'),
        *(b'{"workflowRunId":{}}', b'{"status":"COMPLETE"}', b"[" * 100_000),
    ],
    ids=lambda body: repr(body)[:30],
)
def test_what_is_no_delivery_is_a_decode_error(body: bytes | str) -> None:
    """Anyone can send anything to a callback address, and it never crashes with another error."""
    with pytest.raises(DecodeError, match=r"copyai\.parse_webhook"):
        CopyAI.parse_webhook(body)
