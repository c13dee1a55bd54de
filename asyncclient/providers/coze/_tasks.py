"""The three kinds of task that Coze has, as handles that can be waited for."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

import msgspec

from asyncclient._arguments import id_text, optional_id
from asyncclient._call import Account
from asyncclient._state import TaskState
from asyncclient._task import Handle, TaskRef
from asyncclient._wire import path_segment, query_of
from asyncclient.providers.coze._answers import Chat, ChatMessage, CopyTask, WorkflowRun
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


class WorkflowRunHandle(Handle[WorkflowRun]):
    """One asynchronous run of a workflow. Coze has no way to cancel one."""

    __slots__ = ("_account", "execute_id", "workflow_id")

    vocabulary = WORKFLOW_WORDS
    # Page `coze_api_overview`: starts, polls and node outputs share one limit, 100 a second on the
    # smallest plan that has asynchronous runs. Half of it is left for everything but polls.
    documented_rate: ClassVar[float | None] = 50.0

    def __init__(
        self, account: Account, workflow_id: str, execute_id: str, created: int | None
    ) -> None:
        self._account = account
        self.workflow_id = id_text("workflow_id", workflow_id)
        self.execute_id = id_text("execute_id", execute_id)
        super().__init__(
            account.key,
            f"coze.workflow_run:{workflow_id}",
            TaskRef(
                "coze",
                "workflow_run",
                {"workflow_id": workflow_id, "execute_id": execute_id},
                created,
            ),
            account.budget("workflow"),
        )

    async def poll(self) -> WorkflowRun:
        """Ask once how the run stands (page `workflow_history`)."""
        return await self._account.once(
            GET_WORKFLOW_RUN, run_target(self.workflow_id, self.execute_id)
        )

    def word_of(self, result: WorkflowRun) -> str | None:
        """Return `execute_status`."""
        return result.execute_status

    def state_of(self, result: WorkflowRun) -> TaskState | None:
        """Return the state; an interrupt blocks a run whatever its word, unless it has ended.

        The page names no word for an interrupted run, only `interrupt_data`.
        """
        state = self.vocabulary.state_of(result.execute_status)
        ended = state is not None and state.is_terminal
        return TaskState.BLOCKED if result.interrupt and not ended else state

    def reason_of(self, result: WorkflowRun) -> str | None:
        """Return the run's error code and message, or what it asks for."""
        if result.interrupt is not None and self.state_of(result) is TaskState.BLOCKED:
            return f"interrupt type {result.interrupt.type}: {result.interrupt.data or ''}"
        code = result.error_code if result.error_code not in {"", "0", 0, None} else ""
        return f"{code} {result.error_message or result.error_msg or ''}".strip()

    def duration_of(self, result: WorkflowRun) -> float | None:
        """Return the seconds from `create_time` to `update_time`, the last change of an ended run.

        Both are whole seconds of Coze's clock.
        """
        return _seconds_between(result.create_time, result.update_time)

    def block_of(self, result: WorkflowRun) -> Hashable:
        """Return the id of the event that the run waits for."""
        return result.interrupt.event_id if result.interrupt else None


class CopyTaskHandle(Handle[CopyTask]):
    """One copy of a bot, an app or a workflow.

    Attributes:
        task_id: None when Coze copied at once and has no task to ask for.
        copied_entity_id: the copy, when Coze copied at once.
    """

    __slots__ = ("_account", "copied_entity_id", "task_id")

    vocabulary = COPY_WORDS

    def __init__(
        self,
        account: Account,
        task_id: str | None,
        created: int | None,
        copied_entity_id: str | None = None,
    ) -> None:
        self._account = account
        self.task_id = None if task_id is None else id_text("task_id", task_id)
        self.copied_entity_id = optional_id("copied_entity_id", copied_entity_id)
        if task_id is None:  # a lost id must not pass for a copy that was made at once
            id_text("copied_entity_id", copied_entity_id)
        ids = {"task_id": task_id} if task_id else {"copied_entity_id": copied_entity_id or ""}
        super().__init__(
            account.key,
            "coze.copy_task",
            TaskRef("coze", "copy_task", ids, created),
            account.budget("copy"),
        )

    async def poll(self) -> CopyTask:
        """Ask once how the copy stands; without a request when it was made at once."""
        if self.task_id is None:
            return CopyTask(task_status="successful", target_entity_id=self.copied_entity_id)
        return await self._account.once(GET_COPY_TASK, copy_target(self.task_id))

    def word_of(self, result: CopyTask) -> str | None:
        """Return `task_status`."""
        return result.task_status

    def reason_of(self, result: CopyTask) -> str | None:
        """Return the reasons that Coze gives, joined."""
        reasons = result.failed_reasons or ()
        return "; ".join(
            f"{reason.entity_type} {reason.entity_name or reason.entity_id}: {reason.failed_reason}"
            for reason in reasons
        )


class ChatHandle(Handle[Chat]):
    """One chat with a bot."""

    __slots__ = ("_account", "chat_id", "conversation_id")

    vocabulary = CHAT_WORDS

    def __init__(
        self,
        account: Account,
        conversation_id: str,
        chat_id: str,
        created: int | None,
        bot_id: str | None = None,
    ) -> None:
        self._account = account
        self.conversation_id = id_text("conversation_id", conversation_id)
        self.chat_id = id_text("chat_id", chat_id)
        super().__init__(
            account.key,
            f"coze.chat:{bot_id}" if bot_id else "coze.chat",
            TaskRef(
                "coze", "chat", {"conversation_id": conversation_id, "chat_id": chat_id}, created
            ),
            account.budget("chat"),
        )

    async def poll(self) -> Chat:
        """Ask once how the chat stands (page `retrieve_chat`)."""
        return await self._account.once(
            GET_CHAT, chat_target("/v3/chat/retrieve", self.conversation_id, self.chat_id)
        )

    async def cancel(self) -> Chat:
        """Ask Coze to stop the chat."""
        return await send_cancel(self._account, self.conversation_id, self.chat_id)

    async def messages(self) -> list[ChatMessage]:
        """Read the chat's messages; after it has ended, the answer is among them."""
        return await read_messages(self._account, self.conversation_id, self.chat_id)

    def word_of(self, result: Chat) -> str | None:
        """Return `status`."""
        return result.status

    def reason_of(self, result: Chat) -> str | None:
        """Return the chat's own error, or the calls that it waits for."""
        if result.tool_calls:
            names = (call.function.name if call.function else None for call in result.tool_calls)
            return f"wants {', '.join(str(name) for name in names)} called"
        error = result.last_error
        if error is None:
            return None
        code = "" if error.code in {None, 0, "0", ""} else error.code
        return f"{code} {error.msg or ''}".strip() or None

    def duration_of(self, result: Chat) -> float | None:
        """Return the seconds from `created_at` to `completed_at` or `failed_at`, whole ones."""
        return _seconds_between(result.created_at, result.failed_at or result.completed_at)

    def block_of(self, result: Chat) -> Hashable:
        """Return the ids of the calls that the chat waits for."""
        return tuple(call.id for call in result.tool_calls) or None


def _seconds_between(began: int | None, ended: int | None) -> float | None:
    return None if began is None or ended is None or ended < began else float(ended - began)


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
