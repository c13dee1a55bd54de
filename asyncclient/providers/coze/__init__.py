"""Coze (https://docs.coze.cn, https://docs.coze.com): workflows, chats, copies, bots, documents.

Page names below are those of the developer guide, `https://docs.coze.cn/developer_guides/<page>`.
Business errors come as HTTP 200 with a `code` other than 0 (page `coze_error_codes`).
"""

from __future__ import annotations

from asyncclient.providers.coze._answers import (
    Chat,
    ChatError,
    ChatMessage,
    CopyFailure,
    CopyTask,
    Document,
    DocumentProgress,
    Interrupt,
    NodeExecuteStatus,
    NodeOutput,
    Parameter,
    RequiredAction,
    ToolCall,
    ToolOutput,
    Usage,
    WorkflowReply,
    WorkflowRun,
)
from asyncclient.providers.coze._auth import CozeJWT
from asyncclient.providers.coze._client import Coze
from asyncclient.providers.coze._documents import DocumentProgressHandle
from asyncclient.providers.coze._lists import (
    Bot,
    BotPage,
    Creator,
    Workflow,
    WorkflowPage,
    Workspace,
    WorkspacePage,
)
from asyncclient.providers.coze._tasks import ChatHandle, CopyTaskHandle, WorkflowRunHandle

__all__ = [
    "Bot",
    "BotPage",
    "Chat",
    "ChatError",
    "ChatHandle",
    "ChatMessage",
    "CopyFailure",
    "CopyTask",
    "CopyTaskHandle",
    "Coze",
    "CozeJWT",
    "Creator",
    "Document",
    "DocumentProgress",
    "DocumentProgressHandle",
    "Interrupt",
    "NodeExecuteStatus",
    "NodeOutput",
    "Parameter",
    "RequiredAction",
    "ToolCall",
    "ToolOutput",
    "Usage",
    "Workflow",
    "WorkflowPage",
    "WorkflowReply",
    "WorkflowRun",
    "WorkflowRunHandle",
    "Workspace",
    "WorkspacePage",
]
