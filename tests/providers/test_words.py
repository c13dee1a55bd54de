"""What each provider's status words mean."""

from __future__ import annotations

from typing import Any

import pytest

from asyncclient import Handle, TaskState
from asyncclient.providers.copyai import WorkflowRunHandle as CopyAIRunHandle
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTaskHandle,
    DocumentProgressHandle,
    WorkflowRunHandle,
)

_STATES: dict[type[Handle[Any]], dict[TaskState | None, set[str | int]]] = {
    WorkflowRunHandle: {
        TaskState.RUNNING: {"Running"},
        TaskState.BLOCKED: {"<UNSET>"},
        TaskState.SUCCEEDED: {"Success"},
        TaskState.FAILED: {"Fail", "Failed"},
        TaskState.CANCELLED: {"Cancel"},
        None: {"running", "Queued", "Interrupted"},
    },
    CopyTaskHandle: {
        TaskState.RUNNING: {"in_progress"},
        TaskState.SUCCEEDED: {"successful"},
        TaskState.FAILED: {"failed"},
        None: {"success", "Failed"},
    },
    DocumentProgressHandle: {
        TaskState.RUNNING: {0},
        TaskState.SUCCEEDED: {1},
        TaskState.FAILED: {9},
        None: {2, 3, "1", True},
    },
    ChatHandle: {
        TaskState.PENDING: {"created"},
        TaskState.RUNNING: {"in_progress"},
        TaskState.BLOCKED: {"requires_action", "required_action"},
        TaskState.SUCCEEDED: {"completed", "compleated"},
        TaskState.FAILED: {"failed"},
        TaskState.CANCELLED: {"canceled", "cancelled"},
        TaskState.EXPIRED: {"expired", "deleted"},
        None: {"Completed", "queued"},
    },
    CopyAIRunHandle: {
        TaskState.PENDING: {"NEW", "WAITING"},
        TaskState.RUNNING: {"PROCESSING", "RETRYING"},
        TaskState.SUCCEEDED: {"COMPLETE"},
        TaskState.FAILED: {"FAILED"},
        # The last two are the envelope's own.
        None: {"COMPLETED", "complete", "success", "error"},
    },
}


@pytest.mark.parametrize("handle_type", _STATES, ids=lambda one: f"{one.provider}-{one.ref_kind}")
def test_each_word_has_its_state(handle_type: type[Handle[Any]]) -> None:
    """The documented words and the pages' misspellings are known; all others are no ends."""
    for state, words in _STATES[handle_type].items():
        assert {handle_type.vocabulary.state_of(word) for word in words} == {state}
