"""How answers are typed: every field of a recorded one, and outputs of any type, opened."""

from __future__ import annotations

import json
from typing import cast

import msgspec
import pytest

from asyncclient._http import Answer
from asyncclient.providers.copyai import WorkflowRun as CopyRun, WorkflowRunHandle as CopyRunHandle
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTaskHandle,
    Parameter,
    WorkflowReply,
    WorkflowRun,
    WorkflowRunHandle,
)
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import (
    ANSWERED,
    READS,
    RECORDED,
    STARTS,
    Place,
    copyai,
    copyai_answer,
    coze,
    run_answer,
    walk,
)

_FLAT = {"coze.run_workflow", "coze.resume_workflow", "copyai.list_webhooks"}
# The ids of the handle, and the kind under which its duration is learned.
_STARTED = {
    "coze/answers/start_workflow.doc.json": ("7350 74248231312884****", "coze.workflow_run:7350"),
    "coze/answers/start_workflow.live.json": ("7350 753529864030853****", "coze.workflow_run:7350"),
    "coze/answers/start_copy.task.json": ("123e456700****", "coze.copy_task"),
    "coze/answers/start_copy.at_once.json": ("75309388087500****", "coze.copy_task"),
    "coze/chat/created.json": ("738136585609548**** 738137187639794****", "coze.chat:7379"),
    "copyai/answers/start_workflow.json": ("WCFG-1 some-UUID-1234", "copyai.workflow_run:WCFG-1"),
}
# Places of the recorded answers that are left out on purpose.
_LEFT_OUT = {
    "coze.get_bot": {"onboarding_info", "prompt_info", "model_info", "plugin_info_list"},
    "coze.resume_workflow": {"detail"},
    "coze.cancel_chat": {"usage"},  # an empty one is none
}


def _leaves(value: object) -> dict[Place, object]:
    """Return what stands at each place of a JSON value that nothing is inside of."""
    return {place: each for place, each in walk(value) if not any(walk(each))}


@pytest.mark.parametrize("name", [name for name in ANSWERED if name not in _STARTED])
async def test_every_field_of_a_recorded_answer_is_typed(name: str) -> None:
    """It stands where the provider has it, as it came or as the number that it is in quotes."""
    operation = ANSWERED[name]
    answer = await (STARTS | READS)[operation](ScriptedTransport([reply(RECORDED[name])]))
    recorded: dict[str, object] = json.loads(RECORDED[name])
    inside = [recorded[at] for at in ("ChatV3ChatDetail", "Messages", "data") if at in recorded]
    found = _leaves(msgspec.to_builtins(answer))
    for place, value in _leaves(recorded if operation in _FLAT else inside[0]).items():
        if place[0] not in _LEFT_OUT.get(operation, ()):
            assert found.get(place) == value or str(found.get(place)) == str(value), place
    if isinstance(answer, Answer):
        assert answer.response is not None
        assert answer.response.body == RECORDED[name]


@pytest.mark.parametrize("name", _STARTED)
async def test_a_recorded_start_gives_a_handle_that_knows_when_it_began(name: str) -> None:
    """Coze's starts are flat, with a code or without; a copy has one id or another.

    Its reference names the client's account.
    """
    handle = await STARTS[ANSWERED[name]](ScriptedTransport([reply(RECORDED[name])]))
    assert isinstance(handle, WorkflowRunHandle | CopyTaskHandle | ChatHandle | CopyRunHandle)
    ids, kind = _STARTED[name]
    assert " ".join(handle.ids.values()) == ids
    assert handle.kind == kind
    assert handle.created is not None
    assert handle.ref.account == "acme"


def test_numbers_are_numbers_and_ids_come_as_they_do() -> None:
    """Times in quotes are numbers; a self-hosted server sends ids as numbers."""
    run = _coze_run(execute_id=7431, bot_id=0, token=0, cost="0.0", log_id="L", create_time="17")
    assert (run.execute_id, run.bot_id, run.token, run.cost, run.log_id) == (7431, 0, 0, "0.0", "L")
    assert run.create_time == 17


@pytest.mark.parametrize(
    ("given", "number"), [(2, 2), ("9001", 9001), (None, None), ("many", None)], ids=repr
)
def test_credits_come_as_a_number_or_a_text(given: object, number: int | None) -> None:
    """Both forms are kept as they came and can be read as a number."""
    run = _copyai_run(credits=given)
    assert (run.credits, run.credits_used) == (given, number)


def _copyai_run(**fields: object) -> CopyRun:
    return copyai()[0].workflow_run("W", "R").read(copyai_answer(**fields).body).result


def _coze_run(**fields: object) -> WorkflowRun:
    answer = run_answer(execute_status="Success", **fields)
    return coze()[0].workflow_run("7350", "7431").read(answer.body).result


# An output as it comes, and opened. How JSON in text is opened is a rule of its own.
_OUTPUTS: list[tuple[object, object]] = [
    ('{"a":"[1]"}', {"a": [1]}),
    ("It rains.", "It rains."),
    ("", ""),
    ({"output": "[1]", "b": None}, {"output": [1], "b": None}),
    (["[1]"], [[1]]),
    (5, 5),
    (False, False),
]


@pytest.mark.parametrize(("given", "opened"), _OUTPUTS, ids=repr)
async def test_an_output_may_be_of_any_type_and_is_opened(given: object, opened: object) -> None:
    """Of a run, of one that is synchronous, of a node; it is kept as it came.

    Copy.ai's are an object: what is none has a name of ours.
    """
    client, _ = coze(
        reply({"code": 0, "data": given}), reply({"code": 0, "data": {"node_output": given}})
    )
    at_once = await client.run_workflow("7350")
    assert (at_once.data, at_once.outputs) == (given, opened)
    node = await client.get_node_output("7350", "7431", "63c7f6d2")
    assert (node.node_output, node.output) == (given, opened)
    run, other = _coze_run(output=given), _copyai_run(output=given)
    assert (run.output, run.outputs, run.node_status) == (given, opened, None)
    assert other.output == given
    assert other.outputs == (opened if isinstance(opened, dict) else {"output": opened})
    assert type(run.output) is type(other.output) is type(at_once.data) is type(given)


def test_no_output_is_none() -> None:
    """Copy.ai's are an object all the same."""
    assert (_coze_run(output=None).outputs, _copyai_run(output=None).outputs) == (None, {})


@pytest.mark.parametrize(
    ("output", "outputs", "node_status"),
    [
        ('{"node_status":"{}","Output":"plain"}', {"Output": "plain"}, {}),
        (
            '{"node_status":"{\\"N\\":{\\"is_finish\\":true}}","N":"text"}',
            {"N": "text"},
            {"N": {"is_finish": True}},
        ),
        ({"Output": '{"a":1}', "node_status": "{}"}, {"Output": {"a": 1}}, {}),
    ],
    ids=repr,
)
def test_cozes_own_entry_is_set_apart(output: object, outputs: object, node_status: object) -> None:
    """`node_status` is no output of the workflow."""
    run = _coze_run(output=output)
    assert (run.outputs, run.node_status) == (outputs, node_status)


@pytest.mark.parametrize(
    "beside",
    [
        {"usage": {"token_count": None, "input_count": "12"}},
        {"create_time": "1754448435", "run_mode": "2"},
        {"node_execute_status": {"End": {"loop_index": "1", "is_finish": None}}},
        {"is_output_trimmed": None, "cost": 0, "token": 0},
        {"is_output_trimmed": True},
    ],
    ids=["usage", "quoted numbers", "node", "nulls", "trimmed"],
)
def test_a_field_of_another_type_costs_no_output(beside: dict[str, object]) -> None:
    """A finished run is read although a field beside its output is of another type than usual."""
    run = _coze_run(output='{"Output":"null"}', **beside)
    assert run.outputs == {"Output": None}
    assert run.trimmed is bool(beside.get("is_output_trimmed"))


async def test_an_interrupt_is_a_good_answer_without_data() -> None:
    """Code 0 and no `data` is a run that waits; a resumed run may be interrupted again."""
    answer = reply(RECORDED["coze/answers/resume_workflow.interrupted.json"])
    for operation in ("coze.run_workflow", "coze.resume_workflow"):
        run = cast("WorkflowReply", await STARTS[operation](ScriptedTransport([answer])))
        assert (run.data, run.outputs) == (None, None)
        assert run.interrupt is not None
        assert run.interrupt.event_id == "75694987037****/2691977632****"
        assert run.interrupt.required_parameters == {"img": Parameter(type="image", required=True)}
    plain = cast("WorkflowReply", await STARTS[operation](ScriptedTransport([reply({"code": 0})])))
    assert plain.interrupt is None
