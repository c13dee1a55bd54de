"""Coze's bots, and copies of bots, apps and workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, get_args

import msgspec

from asyncclient._arguments import id_text, one_of, optional_id, optional_line
from asyncclient._http import Account, path_segment, query_of
from asyncclient._ref import unix_time
from asyncclient.providers._paging import Page, every_item, page_query
from asyncclient.providers._starting import NO_ID, AddingAdvice, started_id
from asyncclient.providers.coze._answers import CopyTask
from asyncclient.providers.coze._bodies import optional_truth
from asyncclient.providers.coze._endpoints import GET_BOT, GET_COPY_TASK, LIST_BOTS, START_COPY
from asyncclient.providers.coze._lists import Bot, BotPage
from asyncclient.providers.coze._tasks import CopyTaskHandle, copy_target

# Page `copy_resource_task`, which gives these as the whole list.
EntityType = Literal["app", "bot", "workflow"]
_ENTITY_TYPES: tuple[EntityType, ...] = get_args(EntityType)
# What a caller whose start has an unknown outcome can do.
_COPY_LOST = (
    "a copied bot is among iter_bots(workspace_id, publish_status='all') of the workspace that it "
    "was copied to; an app or a workflow is seen on Coze's own site only"
)


class Bots:
    """The part of the client that is about bots, and about copies."""

    _account: Account

    async def list_bots(
        self,
        workspace_id: str,
        *,
        publish_status: str | None = None,
        connector_id: str | None = None,
        page_num: int = 1,
        page_size: int = 20,
    ) -> BotPage:
        """Read one page of a workspace's bots (page `bots_list_draft_published`).

        Args:
            workspace_id: the workspace.
            publish_status: `all`, `published_online` (Coze's default), `published_draft`,
                `unpublished_draft`.
            connector_id: the channel; 1024 (API) by default.
            page_num: from 1.
            page_size: bots a page. Default 20.
        """
        query = page_query(
            page_num,
            page_size,
            workspace_id=id_text("workspace_id", workspace_id),
            publish_status=optional_line("publish_status", publish_status, "status"),
            connector_id=optional_id("connector_id", connector_id),
        )
        return await self._account.call(LIST_BOTS, f"/v1/bots{query}")

    async def iter_bots(
        self,
        workspace_id: str,
        *,
        publish_status: str | None = None,
        connector_id: str | None = None,
        page_size: int = 20,
    ) -> AsyncIterator[Bot]:
        """Yield all of a workspace's bots, page by page, each once; arguments as `list_bots`.

        Raises:
            AsyncClientError: a page could not be read, or the list had fewer bots than its total;
                the bots read before that were yielded.
        """

        async def read(page_num: int) -> Page[Bot]:
            page = await self.list_bots(
                workspace_id,
                publish_status=publish_status,
                connector_id=connector_id,
                page_num=page_num,
                page_size=page_size,
            )
            return Page(page.items, page.total)

        items = every_item("coze.iter_bots", read, lambda bot: bot.id or bot.bot_id)
        async for item in items:
            yield item

    async def get_bot(self, bot_id: str, *, is_published: bool | None = None) -> Bot:
        """Read one bot; `is_published=False` for its draft."""
        query = query_of(is_published=optional_truth("is_published", is_published))
        return await self._account.call(
            GET_BOT, f"/v1/bots/{path_segment('bot_id', bot_id)}{query}"
        )

    async def start_copy(
        self,
        entity_id: str,
        *,
        entity_type: EntityType,
        to_workspace_id: str | None = None,
    ) -> CopyTaskHandle:
        """Copy a bot, an app or a workflow (page `copy_resource_task`).

        Coze makes some copies at once and others by a task; you can wait for the handle in both
        cases.

        Args:
            entity_id: what to copy.
            entity_type: what it is.
            to_workspace_id: where to; the same workspace by default.
        """
        body = {
            "entity_id": id_text("entity_id", entity_id),
            "entity_type": one_of("entity_type", entity_type, _ENTITY_TYPES),
        }
        if to_workspace_id is not None:
            body["to_workspace_id"] = id_text("to_workspace_id", to_workspace_id)
        with AddingAdvice(_COPY_LOST):
            started = await self._account.call(
                START_COPY, "/v1/entities/copy_tasks", msgspec.json.encode(body)
            )
            if started.copied_entity_id not in NO_ID and started.task_id in NO_ID:
                path, copied = "$.data.copied_entity_id", started.copied_entity_id
                entity = started_id("coze.start_copy", path, copied)
                return CopyTaskHandle(self._account, None, unix_time(), entity)
            task_id = started_id("coze.start_copy", "$.data.task_id", started.task_id)
        return CopyTaskHandle(self._account, task_id, unix_time())

    async def get_copy_task(self, task_id: str) -> CopyTask:
        """Read the state of a copy (page `query_resource_copy_execution_result`)."""
        return await self._account.call(GET_COPY_TASK, copy_target(task_id))
