"""Copy.ai (https://support.fullcast.com/apidocs, once https://docs.copy.ai): workflow runs.

The whole documented surface: seven operations. There is no way to cancel a run, and no limit of
requests is documented.
"""

from __future__ import annotations

from asyncclient.providers.copyai._answers import (
    Webhook,
    WebhookEvent,
    WebhookPage,
    WorkflowRun,
    WorkflowRunPage,
)
from asyncclient.providers.copyai._client import CopyAI
from asyncclient.providers.copyai._tasks import WorkflowRunHandle

__all__ = [
    "CopyAI",
    "Webhook",
    "WebhookEvent",
    "WebhookPage",
    "WorkflowRun",
    "WorkflowRunHandle",
    "WorkflowRunPage",
]
