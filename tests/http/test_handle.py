"""Tests of a provider's task by its ids: its names, and what a look at it sends and gives."""

from __future__ import annotations

import pytest

from asyncclient import Observation, TaskRef, TaskState
from asyncclient._http import Endpoint, Response, look_endpoint
from asyncclient.errors import ServerError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply

RUN = reply({"status": "success", "data": {"id": "R", "status": "PROCESSING"}})


def test_a_handle_has_the_names_of_its_task_and_its_account() -> None:
    """What its key and its budget are is shown in `tests/providers/test_accounts.py`."""
    ref = TaskRef("coze", "copy_task", {"task_id": "7"}, 17, "a")
    handle = Coze(ScriptedTransport(), token="s3cret", account="a").copy_task(ref)
    assert (handle.kind, handle.ref) == ("coze.copy_task", ref)
    assert repr(handle) == f"<CopyTaskHandle {ref}>"
    assert handle.budget[-1] == handle.group


async def test_a_look_is_one_request_and_changes_nothing() -> None:
    """It sends one GET without a body, the next one sends the same, and none is repeated."""
    transport = ScriptedTransport([*[RUN] * 3, *[reply("", status=502)] * 2])
    handle = CopyAI(transport, api_key="k").workflow_run("W", "R")
    first = await handle.poll()
    assert await handle.poll() == (await handle.observe()).result == first
    for look in (handle.poll, handle.observe):
        with pytest.raises(ServerError):
            await look()
    one = transport.requests[0]
    assert transport.requests == [one] * 5
    assert (one.method, one.body, one.idempotent) == ("GET", None, True)
    assert one.target == "/api/workflow/W/run/R"
    assert handle.read(RUN.body).result == first
    assert len(transport.requests) == 5


def test_a_look_keeps_the_body_and_how_long_to_wait() -> None:
    """What an answer itself asks for goes before what its headers do."""
    seconds: Endpoint[float | None] = Endpoint(
        "n", "GET", lambda answer: float(answer.body) or None
    )
    look = look_endpoint(seconds, lambda own: Observation(TaskState.RUNNING, "busy", own, hint=own))
    for body, hint in ((b"5", 5), (b"0", 9)):
        found = look.read(Response(200, {"retry-after": "9"}, body))
        assert (found.state, found.raw, found.hint) == (TaskState.RUNNING, body, hint)
    assert look.read(Response(200, {}, b"0")).hint is None
