"""Tests of what a Poller keeps of many tasks: in few bytes, and all that is promised is there."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import suppress

import pytest

from asyncclient import Poller, Snapshot, TaskState
from asyncclient._http import Request, Response
from asyncclient._waiting import Packed
from asyncclient.errors import WaitTimeout
from asyncclient.providers.coze import Coze, WorkflowRun
from asyncclient.providers.coze._tasks import WorkflowRunHandle

CROWD = 80  # tasks of one account, more than those from which on answers are packed
LONG = 600.0


class Service:
    """A transport whose runs are at work until they are finished."""

    finished = False

    async def exchange(self, request: Request) -> Response:
        """Answer one request."""
        return Response(200, {}, self.body(request.target.rpartition("/")[2]))

    def body(self, execute_id: str) -> bytes:
        """Return the answer about a run."""
        word = "Success" if self.finished else "Running"
        return (
            f'{{"code": 0, "data": [{{"execute_id": "{execute_id}", "execute_status": "{word}", '
            f'"output": "{{\\"Output\\": \\"tea no. {execute_id}\\"}}"}}]}}'
        ).encode()


def runs_of(service: Service) -> list[WorkflowRunHandle]:
    """Make the handles of a crowd."""
    coze = Coze(service, token="pat")
    return [coze.workflow_run("73505", str(number)) for number in range(1, CROWD + 1)]


def check(snapshot: Snapshot[object] | None, run: WorkflowRunHandle, service: Service) -> None:
    """Check that a snapshot is that of a run, whole."""
    assert snapshot is not None
    assert isinstance(snapshot.result, WorkflowRun)
    assert snapshot.result.execute_id == run.execute_id
    assert snapshot.raw == service.body(run.execute_id)
    assert (snapshot.state, snapshot.word) == (TaskState.RUNNING, "Running")


async def test_an_error_has_the_last_answer_with_its_type_and_bytes() -> None:
    """Opened from what was kept, also when the error has been to another process."""
    service = Service()
    runs = runs_of(service)
    count = 0
    async with Poller() as poller:
        async for done in poller.as_done(runs, timeout=LONG):
            [run] = [run for run in runs if run is done.task]
            assert isinstance(done.error, WaitTimeout)
            copied: WaitTimeout = pickle.loads(pickle.dumps(done.error))  # noqa: S301  (of our own)
            for error in (done.error, copied):
                check(error.snapshot, run, service)
            assert done.error.snapshot is not None
            assert done.error.snapshot.polls == done.polls
            assert "last status 'Running' (running)" in str(done.error)
            count += 1
    assert count == CROWD


async def test_who_comes_later_is_shown_the_typed_answer() -> None:
    """`on_change` and `watch` of a late joiner begin with the last snapshot, whole."""
    service = Service()
    runs = runs_of(service)
    shown: list[Snapshot[WorkflowRun]] = []
    async with Poller() as poller, poller.as_done(runs, timeout=LONG) as ends:
        reading = asyncio.ensure_future(anext(ends))
        await asyncio.sleep(60)
        assert all(isinstance(each.latest, Packed) for each in poller.running().registry)
        with pytest.raises(WaitTimeout) as caught:
            await poller.wait(runs[7], timeout=0.2, on_change=shown.append)
        watching = poller.watch(runs[8])
        check(await anext(watching), runs[8], service)
        check(caught.value.snapshot, runs[7], service)
        [first] = shown
        check(first, runs[7], service)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
