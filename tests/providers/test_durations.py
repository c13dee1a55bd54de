"""How long an ended task took by the provider's own clock, which a schedule learns from."""

from __future__ import annotations

import pytest

from asyncclient.providers.coze import Chat, Coze, WorkflowRun
from asyncclient.testing import ScriptedTransport

COZE = Coze(ScriptedTransport(), token="pat_1")


@pytest.mark.parametrize(
    ("began", "ended", "seconds"),
    [(100, 142, 42.0), (100, 100, 0.0), (100, None, None), (None, 142, None), (142, 100, None)],
)
def test_a_run_took_from_its_creation_to_its_last_change(
    began: int | None, ended: int | None, seconds: float | None
) -> None:
    """A run's two times give its seconds; without either, or turned round, nothing is known."""
    run = WorkflowRun(create_time=began, update_time=ended)
    assert COZE.workflow_run("1", "2").duration_of(run) == seconds


@pytest.mark.parametrize(
    ("completed", "failed", "seconds"),
    [(130, None, 30.0), (None, 125, 25.0), (130, 131, 31.0), (None, None, None)],
)
def test_a_chat_took_until_it_was_completed_or_failed(
    completed: int | None, failed: int | None, seconds: float | None
) -> None:
    """A chat that failed bears both times; the failure is its end."""
    chat = Chat(created_at=100, completed_at=completed, failed_at=failed)
    assert COZE.chat("1", "2").duration_of(chat) == seconds
