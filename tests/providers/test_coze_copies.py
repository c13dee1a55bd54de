"""Coze's copies: made at once or by a task, and waited for all the same."""

from __future__ import annotations

from typing import cast

import pytest

from asyncclient import TaskRef, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import TaskFailed
from asyncclient.providers.coze import CopyFailure, CopyTask, CopyTaskHandle
from asyncclient.providers.coze._bots import EntityType
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, coze, sent

_TASK = reply(RECORDED["coze/answers/start_copy.task.json"])
_AT_ONCE = reply(RECORDED["coze/answers/start_copy.at_once.json"])
_COPIES_URL = "https://api.coze.cn/v1/entities/copy_tasks"


def _failed(**fields: object) -> Response:
    return reply({"code": 0, "data": {"task_status": "failed"} | fields})


@pytest.mark.parametrize("entity_type", ["app", "bot", "workflow"])
async def test_a_copy_names_what_to_copy(entity_type: EntityType) -> None:
    """Id and type are sent, and no target workspace unless one is given."""
    client, transport = coze(_TASK, repeat=True)
    handle = await client.start_copy("7530", entity_type=entity_type)
    await client.start_copy("7530", entity_type=entity_type, to_workspace_id="7498")
    body = {"entity_id": "7530", "entity_type": entity_type}
    assert [sent(request) for request in transport.requests] == [
        ("POST", _COPIES_URL, body),
        ("POST", _COPIES_URL, body | {"to_workspace_id": "7498"}),
    ]
    assert isinstance(handle, CopyTaskHandle)
    assert (handle.task_id, handle.copied_entity_id) == ("123e456700****", None)


async def test_a_copy_made_at_once_is_already_done() -> None:
    """`copied_entity_id` instead of `task_id`: waiting returns the copy without a request.

    Its reference leads to an equal task in another process, which is done there too.
    """
    client, _ = coze(_AT_ONCE)
    handle = await client.start_copy("7530", entity_type="bot")
    assert (handle.task_id, handle.copied_entity_id) == (None, "75309388087500****")
    other, transport = coze()
    again = other.task(decode_ref(encode_ref(handle.ref)))
    assert again.key == handle.key
    for task in (handle, again):
        done = await wait_until_done(task)
        assert isinstance(done, CopyTask)
        assert done.target_entity_id == "75309388087500****"
        assert (await task.observe()).state is TaskState.SUCCEEDED
    assert transport.requests == []


async def test_a_copy_task_id_may_come_as_a_number() -> None:
    """The handle's id is a text, with all of its digits."""
    client, _ = coze(reply(b'{"data":{"task_id":7535298640308535332},"code":0}'))
    handle = await client.start_copy("7530", entity_type="app")
    assert handle.task_id == "7535298640308535332"


async def test_reading_a_copy_asks_for_its_task() -> None:
    """An id that is no plain number is in the path, and the answer is typed."""
    client, transport = coze(
        reply(RECORDED["coze/copy_task/successful.json"]),
        reply(RECORDED["coze/copy_task/failed.json"]),
    )
    task = await client.get_copy_task("123e456700")
    assert sent(transport.requests[0]) == ("GET", f"{_COPIES_URL}/123e456700", None)
    assert (task.task_status, task.entity_type) == ("successful", "bot")
    assert (task.source_entity_id, task.target_entity_id, task.target_workspace_id) == (
        "7530938808750080****",
        "7530938808750067****",
        "74982048832804****",
    )
    assert task.response is not None
    assert (await client.get_copy_task("123e456700")).failed_reasons == [
        CopyFailure(
            entity_id="7530938808750080****",
            entity_name="单词学习助手",
            entity_type="bot",
            failed_reason="The quota does not suffice",
        )
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {
                "failed_reasons": [
                    {"entity_name": "Words", "entity_type": "bot", "failed_reason": "quota"},
                    {"entity_id": "2", "entity_type": "plugin", "failed_reason": "gone"},
                ]
            },
            "bot Words: quota; plugin 2: gone",
        ),
        ({}, "failed"),
        ({"failed_reasons": None}, "failed"),
        ({"failed_reasons": []}, "failed"),
    ],
    ids=["two", "missing", "null", "none"],
)
async def test_a_failed_copy_gives_every_reason(fields: dict[str, object], said: str) -> None:
    """All are in the error of the wait, by the entity's name or else its id; none will do too."""
    client, _ = coze(_failed(**fields))
    with pytest.raises(TaskFailed, match=said) as caught:
        await wait_until_done(client.copy_task("123e456700"))
    assert caught.value.snapshot is not None


@pytest.mark.parametrize("bad", [None, "", 7350], ids=repr)
def test_a_lost_task_id_is_no_copy_that_was_made_at_once(bad: object) -> None:
    """A handle needs an id: a missing one is refused, and never waited for as done."""
    client, _ = coze()
    with pytest.raises((TypeError, ValueError), match="task_id"):
        client.copy_task(cast("str", bad))
    with pytest.raises((TypeError, ValueError), match="copied_entity_id"):
        client.task(TaskRef("coze", "copy_task", {"copied_entity_id": ""}))
