"""Coze's lists, in pages: bots, workspaces, workflows."""

from __future__ import annotations

import msgspec

from asyncclient._http import Answer
from asyncclient._portable import Portable


class Bot(Answer):
    """A bot, as the list shows it (page `bots_list_draft_published`) and as `get_bot` does.

    The list fills `id`, `get_bot` fills `bot_id`; times are Unix seconds. What is not modelled
    (plugins, model settings, onboarding, whose spelling differs between samples) is in
    `bot.response.body`.
    """

    id: str | None = None
    bot_id: str | None = None
    name: str | None = None
    description: str | None = None
    icon_url: str | None = None
    folder_id: str | None = None
    owner_user_id: str | int | None = None
    is_published: bool | None = None
    published_at: int | str | None = None
    updated_at: int | None = None
    create_time: int | None = None
    update_time: int | None = None
    version: str | None = None
    bot_mode: int | None = None
    default_user_input_type: str | None = None


class BotPage(Answer):
    """One page of bots; there is no `has_more`, only the `total` of all pages."""

    items: list[Bot]
    total: int | None = None


class Workspace(Answer):
    """A workspace that an account is in (page `list_workspace`).

    Attributes:
        id: the `workspace_id` of other calls; empty where it cannot be read.
        role_type: `owner`, `admin`, `member`; open.
        workspace_type: `personal`, `team`; open.
        enterprise_id: empty for a workspace of a personal account.
    """

    id: str = ""
    name: str | None = None
    description: str | None = None
    icon_url: str | None = None
    role_type: str | None = None
    workspace_type: str | None = None
    enterprise_id: str | None = None
    owner_uid: str | int | None = None
    admin_uids: list[str] | None = None
    joined_status: str | None = None


class WorkspacePage(Answer):
    """One page of workspaces; there is no `has_more`, only the `total_count` of all pages."""

    workspaces: list[Workspace]
    total_count: int | None = None


class Creator(Portable, msgspec.Struct):
    """Who made a workflow."""

    id: str | int | None = None
    name: str | None = None


class Workflow(Answer):
    """A workflow, as the list shows it (page `get_workflow_list`).

    Attributes:
        workflow_id: what `start_workflow` takes; empty where it cannot be read.
        app_id: the app that it belongs to; `0` where it belongs to none.
        created_at: Unix time in seconds, as `updated_at`.
    """

    workflow_id: str = ""
    workflow_name: str | None = None
    description: str | None = None
    icon_url: str | None = None
    app_id: str | None = None
    created_at: int | None = None
    updated_at: int | None = None
    creator: Creator | None = None


class WorkflowPage(Answer):
    """One page of workflows; there is no total, only whether there are more."""

    items: list[Workflow]
    has_more: bool | None = None
