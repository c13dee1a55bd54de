"""How long an ended task took by the provider's own clock, which a schedule learns from."""

from __future__ import annotations

import pytest

from asyncclient.providers.coze import Chat, WorkflowRun
from asyncclient.providers.coze._tasks import observe_chat, observe_run


@pytest.mark.parametrize(
    ("began", "ended", "seconds"),
    [(100, 142, 42.0), (100, 100, 0.0), (100, None, None), (None, 142, None), (142, 100, None)],
)
def test_a_run_took_from_its_creation_to_its_last_change(
    began: int | None, ended: int | None, seconds: float | None
) -> None:
    """A run's two times give its seconds; without either, or turned round, nothing is known."""
    run = WorkflowRun(execute_status="Success", create_time=began, update_time=ended)
    assert observe_run(run).took == seconds


@pytest.mark.parametrize(
    ("completed", "failed", "seconds"),
    [(130, None, 30.0), (None, 125, 25.0), (130, 131, 31.0), (None, None, None)],
)
def test_a_chat_took_until_it_was_completed_or_failed(
    completed: int | None, failed: int | None, seconds: float | None
) -> None:
    """A chat that failed has both times; the failure is its end."""
    chat = Chat(status="failed", created_at=100, completed_at=completed, failed_at=failed)
    assert observe_chat(chat).took == seconds


@pytest.mark.parametrize("word", ["Running", "<UNSET>", "odd", None])
def test_a_run_that_has_not_ended_took_no_time_yet(word: str | None) -> None:
    """`update_time` is the last change of a run at work too, and no duration."""
    run = WorkflowRun(execute_status=word, create_time=100, update_time=142)
    assert observe_run(run).took is None


@pytest.mark.parametrize("word", ["created", "in_progress", "requires_action", "odd", None])
def test_a_chat_that_has_not_ended_took_no_time_yet(word: str | None) -> None:
    """Coze fills `completed_at` for a chat that waits for its caller as well."""
    assert observe_chat(Chat(status=word, created_at=100, completed_at=130)).took is None
