"""Coze (https://docs.coze.cn, https://docs.coze.com): workflows, chats, copies and bots.

Page names below are those of the developer guide, `https://docs.coze.cn/developer_guides/<page>`.
Business errors come as HTTP 200 with a `code` other than 0 (page `coze_error_codes`).
"""

from __future__ import annotations

from asyncclient.providers.coze._answers import (
    Bot,
    BotPage,
    Chat,
    ChatError,
    ChatMessage,
    CopyFailure,
    CopyTask,
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
    "Interrupt",
    "NodeExecuteStatus",
    "NodeOutput",
    "Parameter",
    "RequiredAction",
    "ToolCall",
    "ToolOutput",
    "Usage",
    "WorkflowReply",
    "WorkflowRun",
    "WorkflowRunHandle",
]
