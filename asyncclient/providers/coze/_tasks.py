"""Coze's kinds of task: how their answers are read, and their handles."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from asyncclient._arguments import id_text, optional_id, shared_id
from asyncclient._http import Account, Handle, kept, look_endpoint, path_segment, query_of
from asyncclient._state import TaskState
from asyncclient._task import Observation
from asyncclient.providers._ids import slim_id
from asyncclient.providers.coze._answers import (
    Chat,
    ChatMessage,
    CopyTask,
    WorkflowRun,
)
from asyncclient.providers.coze._endpoints import (
    CANCEL_CHAT,
    CHAT_WORDS,
    COPY_WORDS,
    GET_CHAT,
    GET_COPY_TASK,
    GET_WORKFLOW_RUN,
    LIST_CHAT_MESSAGES,
    WORKFLOW_WORDS,
)


def observe_run(run: WorkflowRun) -> Observation[WorkflowRun]:
    """Return the observation of an answer about a run (page `workflow_history`).

    An interrupt blocks a run with any word, unless it has ended: the page names no word for an
    interrupted run, only `interrupt_data`. The times are whole seconds of Coze's clock, and
    `update_time` is the last change of an ended run.
    """
    state = WORKFLOW_WORDS.state_of(run.execute_status)
    ended = state is not None and state.is_terminal
    interrupt = None if ended else run.interrupt
    if interrupt is not None:
        return Observation(
            TaskState.BLOCKED,
            run.execute_status,
            run,
            reason=f"interrupt type {interrupt.type}: {interrupt.data or ''}",
            demand=interrupt.event_id or interrupt.data,
        )
    return Observation(
        state,
        run.execute_status,
        run,
        reason=None if state is TaskState.SUCCEEDED else _run_reason(run),
        took=_seconds_between(run.create_time, run.update_time) if ended else None,
    )


def _run_reason(run: WorkflowRun) -> str | None:
    code = run.error_code if run.error_code not in {"", "0", 0, None} else ""
    return f"{code} {run.error_message or run.error_msg or ''}".strip() or None


def observe_copy(copy: CopyTask) -> Observation[CopyTask]:
    """Return the observation of an answer about a copy; its reason joins those of Coze."""
    reasons = "; ".join(
        f"{reason.entity_type} {reason.entity_name or reason.entity_id}: {reason.failed_reason}"
        for reason in copy.failed_reasons or ()
    )
    state = COPY_WORDS.state_of(copy.task_status)
    reason = None if state is TaskState.SUCCEEDED else reasons or None
    return Observation(state, copy.task_status, copy, reason=reason)


def observe_chat(chat: Chat) -> Observation[Chat]:
    """Return the observation of an answer about a chat; its reason is an error, or open calls."""
    state = CHAT_WORDS.state_of(chat.status)
    ended = state is not None and state.is_terminal
    took = _seconds_between(chat.created_at, chat.failed_at or chat.completed_at)
    return Observation(
        state,
        chat.status,
        chat,
        reason=None if state is TaskState.SUCCEEDED else _chat_reason(chat),
        demand=None if ended else tuple(call.id for call in chat.tool_calls) or None,
        took=took if ended else None,
    )


def _chat_reason(chat: Chat) -> str | None:
    if chat.tool_calls:
        names = (call.function.name if call.function else None for call in chat.tool_calls)
        return f"wants {', '.join(str(name) for name in names)} called"
    error = chat.last_error
    if error is None:
        return None
    code = "" if error.code in {None, 0, "0", ""} else error.code
    return f"{code} {error.msg or ''}".strip() or None


class WorkflowRunHandle(Handle[WorkflowRun]):
    """One asynchronous run of a workflow. Coze's API cannot cancel it."""

    __slots__ = ("_execute_id", "workflow_id")

    provider = "coze"
    ref_kind = "workflow_run"
    group = "workflow"
    vocabulary = WORKFLOW_WORDS
    _look = look_endpoint(GET_WORKFLOW_RUN, observe_run)
    # Page `coze_api_overview`: starts, polls and node outputs share one limit, 100 a second on the
    # smallest plan that has asynchronous runs. Half of it is left for everything but polls.
    documented_rate: ClassVar[float | None] = 50.0

    def __init__(
        self, account: Account, workflow_id: str, execute_id: str, created: int | None
    ) -> None:
        super().__init__(account, created)
        self.workflow_id = shared_id("workflow_id", workflow_id)
        self._execute_id = slim_id(id_text("execute_id", execute_id))

    @property
    def execute_id(self) -> str:
        """The id of the run."""
        return str(self._execute_id)

    @property
    def ids(self) -> dict[str, str]:
        """The ids of workflow and run."""
        return {"workflow_id": self.workflow_id, "execute_id": self.execute_id}

    @property
    def kind(self) -> str:
        """Runs of one workflow are alike."""
        return f"coze.workflow_run:{self.workflow_id}"

    @property
    def _target(self) -> str:
        return run_target(self.workflow_id, str(self._execute_id))


class CopyTaskHandle(Handle[CopyTask]):
    """One copy of a bot, an app or a workflow.

    Attributes:
        task_id: None when Coze copied at once, without a task.
        copied_entity_id: the copy, when Coze copied at once.
    """

    __slots__ = ("copied_entity_id", "task_id")

    provider = "coze"
    ref_kind = "copy_task"
    group = "copy"
    vocabulary = COPY_WORDS
    _look = look_endpoint(GET_COPY_TASK, observe_copy)

    def __init__(
        self,
        account: Account,
        task_id: str | None,
        created: int | None,
        copied_entity_id: str | None = None,
    ) -> None:
        super().__init__(account, created)
        self.task_id = optional_id("task_id", task_id)
        # A missing id must not count as a copy that was made at once.
        at_once = task_id is None
        self.copied_entity_id = id_text("copied_entity_id", copied_entity_id) if at_once else None

    @property
    def ids(self) -> dict[str, str]:
        """The id of the copy task, or of the copy that was made at once."""
        if self.task_id is not None:
            return {"task_id": self.task_id}
        return {"copied_entity_id": self.copied_entity_id or ""}

    async def observe(self) -> Observation[CopyTask]:
        """Look once at the copy; without a request if it was made at once."""
        if self.task_id is None:
            return observe_copy(
                CopyTask(task_status="successful", target_entity_id=self.copied_entity_id)
            )
        return await super().observe()

    @property
    def _target(self) -> str:
        return copy_target(self.task_id or "")


class ChatHandle(Handle[Chat]):
    """One chat with a bot."""

    __slots__ = ("bot_id", "chat_id", "conversation_id")

    provider = "coze"
    ref_kind = "chat"
    group = "chat"
    vocabulary = CHAT_WORDS
    _look = look_endpoint(GET_CHAT, observe_chat)

    def __init__(
        self,
        account: Account,
        conversation_id: str,
        chat_id: str,
        created: int | None,
        bot_id: str | None = None,
    ) -> None:
        super().__init__(account, created)
        self.conversation_id = id_text("conversation_id", conversation_id)
        self.chat_id = id_text("chat_id", chat_id)
        self.bot_id = bot_id

    @property
    def ids(self) -> dict[str, str]:
        """The ids of conversation and chat."""
        return {"conversation_id": self.conversation_id, "chat_id": self.chat_id}

    @property
    def kind(self) -> str:
        """Chats with one bot are alike."""
        return f"coze.chat:{self.bot_id}" if self.bot_id else "coze.chat"

    @property
    def _target(self) -> str:
        return chat_target("/v3/chat/retrieve", self.conversation_id, self.chat_id)

    async def cancel(self) -> Chat:
        """Ask Coze to stop the chat."""
        return await send_cancel(self._account, self.conversation_id, self.chat_id)

    async def messages(self) -> list[ChatMessage]:
        """Read the chat's messages; after it has ended, the answer is among them."""
        return await read_messages(self._account, self.conversation_id, self.chat_id)


def _seconds_between(began: int | None, ended: int | None) -> float | None:
    return None if began is None or ended is None or ended < began else ended - began


@kept
def run_target(workflow_id: str, execute_id: str) -> str:
    workflow = path_segment("workflow_id", workflow_id)
    return f"/v1/workflows/{workflow}/run_histories/{path_segment('execute_id', execute_id)}"


def copy_target(task_id: str) -> str:
    return f"/v1/entities/copy_tasks/{path_segment('task_id', task_id)}"


def chat_target(path: str, conversation_id: str, chat_id: str) -> str:
    query = query_of(
        conversation_id=id_text("conversation_id", conversation_id),
        chat_id=id_text("chat_id", chat_id),
    )
    return f"{path}{query}"


async def read_messages(account: Account, conversation_id: str, chat_id: str) -> list[ChatMessage]:
    target = chat_target("/v3/chat/message/list", conversation_id, chat_id)
    return await account.call(LIST_CHAT_MESSAGES, target)


async def send_cancel(account: Account, conversation_id: str, chat_id: str) -> Chat:
    body = {
        "conversation_id": id_text("conversation_id", conversation_id),
        "chat_id": id_text("chat_id", chat_id),
    }
    return await account.call(CANCEL_CHAT, "/v3/chat/cancel", msgspec.json.encode(body))
