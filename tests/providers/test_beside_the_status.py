"""A status, an id or a list decides: nothing beside it in an answer can change or hide it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from asyncclient import decode_ref
from asyncclient.errors import APIError, AsyncClientError, DecodeError
from asyncclient.providers.copyai import CopyAI, WebhookPage, WorkflowRunPage
from asyncclient.providers.coze import BotPage, WorkflowPage, WorkspacePage
from asyncclient.providers.coze._endpoints import GET_TOKEN
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import ANSWERED, READS, RECORDED, STARTS, Place, client_of, walk

if TYPE_CHECKING:
    from asyncclient._http import Handle

# Raw JSON, or nearly so.
_VALUES = [
    *("null", "true", "false", "0", "1", "-1", "1.5", "-0.0"),
    *("1e999", "-1e999", "1e300", "7.431e18"),
    *("12345678901234567890", "9" * 400, "NaN", "-Infinity"),
    *('""', '" "', '"x"', '"0"', '"7"', '"null"', '"[]"', '"{}"', r'"{\"a\":1}"', '"1.5"'),
    *(r'"cut \ud83d"', r'"\u0000"', '"nan"', f'"{"9" * 400}"', '"2025-05-07T10:20:46Z"'),
    *("[]", "[null]", "[1]", '["a"]', "[{}]", "[[[]]]", "{}", '{"":null}', '{"a":1}'),
    *('{"id":5}', '{"a":{"b":[1,{"c":null}]}}', '{"event_id":""}'),
]


def _with(plain: object, place: Place, value: str | None) -> bytes:
    """Write an answer with other JSON in one place; None leaves that place out."""
    copied = json.loads(json.dumps(plain))
    holder = copied
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = "@"
    if value is None:
        del holder[place[-1]]
    return json.dumps(copied).replace('"@"', value or "").encode()


# An error's code decides, and what holds a status word does.
_DECIDE = {"code", "data", "status", "execute_status", "task_status"}
# Each recorded answer about a task, with the reference of that task.
_POLLED = {
    name: decode_ref(ref)
    for name in sorted(RECORDED)
    if (ref := RECORDED.get(f"{name.rpartition('/')[0]}/ref.json")) is not None
    and not name.endswith("/ref.json")
}


@pytest.mark.parametrize("name", _POLLED)
def test_no_value_beside_the_status_changes_the_state(name: str) -> None:
    """Any field but those that decide may be any JSON, or missing: an id, too, is the handle's."""
    ref, plain = _POLLED[name], json.loads(RECORDED[name])
    handle: Handle[object] = client_of(ref.provider, ScriptedTransport()).task(ref)
    state = handle.read(RECORDED[name]).state
    for place, _ in walk(plain):
        # An interrupt decides as well: it blocks a run whose word does not say so.
        decides = place[-1] in _DECIDE or isinstance(place[-1], int) or "interrupt_data" in place
        for value in () if decides else (*_VALUES, None):
            assert handle.read(_with(plain, place, value)).state is state, (place, value)


# Places in recorded answers that decide, beside those of their envelopes.
_OWN: dict[str, set[Place]] = {
    "coze/answers/start_workflow.doc.json": {("execute_id",)},
    "coze/answers/start_workflow.live.json": {("execute_id",)},
    "coze/answers/start_copy.at_once.json": {("data", "copied_entity_id")},
    "coze/answers/start_copy.task.json": {("data", "task_id")},
    "coze/chat/created.json": {("data", "id"), ("data", "conversation_id")},
    "copyai/answers/start_workflow.json": {("data", "id")},
    "copyai/answers/webhook.json": {("data", "id")},
    "coze/answers/cancel_chat.json": {("data", "status")},
    "coze/answers/cancel_chat.self_hosted.json": {
        ("ChatV3ChatDetail",),
        ("ChatV3ChatDetail", "status"),
    },
    "coze/answers/list_bots.json": {("data", "items")},
    "coze/answers/list_workspaces.json": {("data", "workspaces")},
    "coze/answers/list_workflows.json": {("data", "items")},
    "coze/answers/list_chat_messages.self_hosted.json": {("Messages",)},
    "copyai/answers/list_workflow_runs.json": {("data", "data"), ("data", "data", 0, "status")},
}
_FLAT = {"coze.start_workflow", "coze.run_workflow", "coze.resume_workflow"}


@pytest.mark.parametrize("name", ANSWERED)
async def test_no_value_beside_what_decides_costs_an_answer(name: str) -> None:
    """Ids of starts and lists decide; where they cannot be read, the error is ours and says so."""
    operation = ANSWERED[name]
    decide: set[Place] = {("code",), ("status",), *_OWN.get(name, ())}
    if operation not in _FLAT:
        decide.add(("data",))
    plain = json.loads(RECORDED[name])
    for place, _ in walk(plain):
        for value in (*_VALUES, None):
            over = ScriptedTransport([reply(_with(plain, place, value))], repeat=True)
            failed = None
            try:
                await (STARTS | READS)[operation](over)
            except AsyncClientError as error:
                failed = error
            if failed is not None:
                assert place in decide, (place, value)
                assert isinstance(failed, DecodeError | APIError)
                # A refusal did nothing, unless it is a fault of the server.
                in_doubt = operation in STARTS and isinstance(failed, DecodeError)
                assert failed.may_have_started or not in_doubt, (place, value)


@pytest.mark.parametrize("name", [name for name in RECORDED if "/deliveries/" in name])
def test_no_value_beside_the_run_costs_a_delivery(name: str) -> None:
    """A webhook says which run to look at, beside anything else."""
    plain = json.loads(RECORDED[name])
    run_id = CopyAI.parse_webhook(RECORDED[name]).run_id
    for place, _ in walk(plain):
        if place[-1] not in {"workflowRunId", "id"}:
            for value in (*_VALUES, None):
                assert CopyAI.parse_webhook(_with(plain, place, value)).run_id == run_id


def test_no_value_beside_a_token_costs_it() -> None:
    """Only an error's own fields turn the answer into a refusal."""
    recorded = RECORDED["coze/answers/oauth_token.json"]
    plain = json.loads(recorded) | {"token_type": "Bearer", "msg": "", "detail": {"logid": "1"}}
    token = GET_TOKEN.read(reply(recorded)).access_token
    for place, _ in walk(plain):
        for value in (*_VALUES, None) if place != ("access_token",) else ():
            assert GET_TOKEN.read(reply(_with(plain, place, value))).access_token == token


# How each list is read, its envelope around what stands for it, and the place of the list alone.
_LISTS: dict[str, tuple[str, ...]] = {
    "coze.list_bots": (
        *('{"code":0,"msg":"","data":null}', '{"code":0,"msg":""}', '{"code":0,"data":{}}'),
        *('{"code":0,"data":{"items":null,"total":0}}', '{"data":{"items":[null,5,"x"]}}'),
    ),
    "coze.list_workspaces": (
        *('{"code":0,"msg":"","data":null}', '{"code":0,"msg":""}', '{"code":0,"data":{}}'),
        '{"code":0,"data":{"workspaces":null,"total_count":0}}',
    ),
    "coze.list_workflows": (
        *('{"code":0,"msg":"","data":null}', '{"code":0,"msg":""}', '{"code":0,"data":{}}'),
        '{"code":0,"data":{"items":null,"has_more":false}}',
    ),
    "coze.list_chat_messages": (
        *('{"code":0,"msg":"","data":null}', '{"code":0,"msg":""}', '{"code":0,"data":[]}'),
        *('{"Messages":null,"code":0}', '{"data":null,"Messages":[],"BaseResp":null}', "{}"),
    ),
    "copyai.list_workflow_runs": (
        *('{"status":"success","data":null}', '{"status":"success"}', '{"data":{}}'),
        *('{"status":"success","data":{"total":0,"data":null}}', '{"data":{"total":"0"}}'),
    ),
    "copyai.list_webhooks": ("{}", '{"data":null}', '{"total":"0"}', '{"total":0,"data":[]}'),
}


@pytest.mark.parametrize("name", _LISTS)
async def test_a_list_that_is_null_or_absent_is_empty(name: str) -> None:
    """In every envelope, also behind a byte order mark."""
    for body in _LISTS[name]:
        for mark in ("", "\ufeff", "\n\ufeff\ufeff "):
            found = await READS[name](ScriptedTransport([reply(mark + body)]))
            items = found.items if isinstance(found, BotPage | WorkflowPage) else found
            items = items.workspaces if isinstance(items, WorkspacePage) else items
            items = items.data if isinstance(items, WorkflowRunPage | WebhookPage) else items
            assert items == []
