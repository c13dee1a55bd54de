"""Coze copies: made at once or by a task, and waited for all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import pytest

from asyncclient import TaskRef, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import DecodeError, TaskFailed
from asyncclient.providers.coze import CopyFailure, CopyTask, CopyTaskHandle, Coze
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "coze"
_RECORDED = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in _FOLDER.glob("*/*.*")}


def _client(*script: Response) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script)
    return Coze(transport, token="pat_1", base_url=Coze.CN), transport


def _sent(request: Request) -> tuple[str, str, Any]:
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


@pytest.mark.parametrize("entity_type", ["app", "bot", "workflow"])
async def test_a_copy_names_what_to_copy(entity_type: Literal["app", "bot", "workflow"]) -> None:
    """Id and type are sent, and no target workspace unless one is given."""
    coze, transport = _client(reply(_RECORDED["answers/start_copy.task.json"]))
    handle = await coze.start_copy("7530", entity_type=entity_type)
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            "https://api.coze.cn/v1/entities/copy_tasks",
            {"entity_id": "7530", "entity_type": entity_type},
        )
    ]
    assert isinstance(handle, CopyTaskHandle)
    assert (handle.task_id, handle.copied_entity_id) == ("123e456700****", None)


async def test_a_copy_to_another_workspace_names_it() -> None:
    """The target workspace reaches the body."""
    coze, transport = _client(reply(_RECORDED["answers/start_copy.task.json"]))
    await coze.start_copy("7530", entity_type="bot", to_workspace_id="7498")
    assert _sent(transport.requests[0])[2]["to_workspace_id"] == "7498"


async def test_a_copy_made_at_once_is_already_done() -> None:
    """`copied_entity_id` instead of `task_id`: waiting returns the copy without a request."""
    coze, transport = _client(reply(_RECORDED["answers/start_copy.at_once.json"]))
    handle = await coze.start_copy("7530", entity_type="bot")
    assert (handle.task_id, handle.copied_entity_id) == (None, "75309388087500****")
    done = await wait_until_done(handle)
    assert done.target_entity_id == "75309388087500****"
    assert len(transport.requests) == 1


async def test_a_copy_made_at_once_has_a_reference_like_any_other() -> None:
    """Its reference leads to an equal task in another process, which is done there too."""
    coze, _ = _client(reply(_RECORDED["answers/start_copy.at_once.json"]))
    handle = await coze.start_copy("7530", entity_type="bot")
    assert handle.ref is not None
    other, transport = _client()
    again = other.task(decode_ref(encode_ref(handle.ref)))
    assert again.key == handle.key
    assert isinstance(again, CopyTaskHandle)
    done = await again.poll()
    assert isinstance(done, CopyTask)
    assert done.target_entity_id == "75309388087500****"
    assert (await again.observe()).state is TaskState.SUCCEEDED
    assert transport.requests == []


async def test_a_copy_task_id_may_come_as_a_number() -> None:
    """The handle's id is a text, with all of its digits."""
    coze, _ = _client(reply(b'{"data":{"task_id":7535298640308535332},"code":0}'))
    assert (await coze.start_copy("7530", entity_type="app")).task_id == "7535298640308535332"


async def test_a_copy_answer_with_neither_id_may_have_started_something() -> None:
    """Neither `task_id` nor `copied_entity_id` is a `DecodeError` that warns of a second copy."""
    coze, transport = _client(reply({"code": 0, "data": {}}))
    with pytest.raises(DecodeError, match="task_id") as caught:
        await coze.start_copy("7530", entity_type="bot")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


async def test_reading_a_copy_asks_for_its_task() -> None:
    """An id that is no plain number is in the path, and the answer is typed."""
    coze, transport = _client(reply(_RECORDED["copy_task/successful.json"]))
    task = await coze.get_copy_task("123e456700")
    assert _sent(transport.requests[0]) == (
        "GET",
        "https://api.coze.cn/v1/entities/copy_tasks/123e456700",
        None,
    )
    assert (task.task_status, task.entity_type) == ("successful", "bot")
    assert (task.source_entity_id, task.target_entity_id, task.target_workspace_id) == (
        "7530938808750080****",
        "7530938808750067****",
        "74982048832804****",
    )
    assert task.response is not None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("in_progress", TaskState.RUNNING),
        ("successful", TaskState.SUCCEEDED),
        ("failed", TaskState.FAILED),
        ("success", None),
        ("Failed", None),
        (None, None),
    ],
)
async def test_each_word_of_a_copy_has_its_state(word: str | None, state: TaskState | None) -> None:
    """The three documented words are known, all others are not."""
    coze, _ = _client(reply({"code": 0, "data": {"task_status": word}}))
    seen = await coze.copy_task("123e456700").observe()
    assert (seen.word, seen.state) == (word, state)


async def test_a_failed_copy_gives_every_reason() -> None:
    """All reasons are in the error of the wait, by the entity's name or else its id."""
    reasons = [
        {"entity_id": "1", "entity_name": "Words", "entity_type": "bot", "failed_reason": "quota"},
        {"entity_id": "2", "entity_type": "plugin", "failed_reason": "gone"},
    ]
    coze, _ = _client(
        reply({"code": 0, "data": {"task_status": "failed", "failed_reasons": reasons}})
    )
    with pytest.raises(TaskFailed, match="bot Words: quota; plugin 2: gone") as caught:
        await wait_until_done(coze.copy_task("123e456700"))
    assert caught.value.snapshot is not None


@pytest.mark.parametrize("fields", [{}, {"failed_reasons": None}, {"failed_reasons": []}])
async def test_a_failed_copy_may_give_no_reason(fields: dict[str, object]) -> None:
    """No list of reasons, a null or an empty one is a failure all the same."""
    coze, _ = _client(reply({"code": 0, "data": {"task_status": "failed"} | fields}))
    with pytest.raises(TaskFailed):
        await wait_until_done(coze.copy_task("123e456700"))


async def test_the_reasons_of_a_failed_copy_are_typed() -> None:
    """Each reason of the recorded failure is a struct of its own."""
    coze, _ = _client(reply(_RECORDED["copy_task/failed.json"]))
    task = await coze.get_copy_task("123e456700")
    assert task.failed_reasons == [
        CopyFailure(
            entity_id="7530938808750080****",
            entity_name="单词学习助手",
            entity_type="bot",
            failed_reason="The quota does not suffice",
        )
    ]


@pytest.mark.parametrize("bad", [None, "", 7350], ids=repr)
def test_a_lost_task_id_is_no_copy_that_was_made_at_once(bad: object) -> None:
    """A handle needs an id: a missing one is refused, and never waited for as done."""
    coze = Coze(ScriptedTransport(), token="t")
    with pytest.raises((TypeError, ValueError), match="task_id"):
        coze.copy_task(cast("str", bad))
    with pytest.raises((TypeError, ValueError), match="copied_entity_id"):
        coze.task(TaskRef("coze", "copy_task", {"copied_entity_id": ""}))
