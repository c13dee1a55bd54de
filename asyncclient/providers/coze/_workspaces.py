"""Coze's workspaces, the workflows in them, and the state of documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from asyncclient._arguments import id_text, optional_id, optional_line
from asyncclient._http import Account
from asyncclient.providers._paging import Page, every_item, page_query
from asyncclient.providers.coze._answers import DocumentProgress
from asyncclient.providers.coze._bodies import document_ids_of
from asyncclient.providers.coze._documents import documents_body, documents_target
from asyncclient.providers.coze._endpoints import (
    GET_DOCUMENT_PROGRESS,
    LIST_WORKFLOWS,
    LIST_WORKSPACES,
)
from asyncclient.providers.coze._lists import Workflow, WorkflowPage, Workspace, WorkspacePage


class Workspaces:
    """The part of the client that is about workspaces and what they hold."""

    _account: Account

    async def list_workspaces(
        self,
        *,
        enterprise_id: str | None = None,
        user_id: str | None = None,
        coze_account_id: str | None = None,
        page_num: int = 1,
        page_size: int = 20,
    ) -> WorkspacePage:
        """Read one page of the workspaces that an account is in (page `list_workspace`).

        Args:
            enterprise_id: only those of this enterprise.
            user_id: only those of this user in `coze_account_id`; by default those of the token's
                account.
            coze_account_id: the organisation; Coze accepts it only together with `user_id`.
            page_num: from 1.
            page_size: workspaces a page; Coze gives at most 50. Default 20.
        """
        query = page_query(
            page_num,
            page_size,
            enterprise_id=optional_id("enterprise_id", enterprise_id),
            user_id=optional_line("user_id", user_id, "user id"),
            coze_account_id=optional_id("coze_account_id", coze_account_id),
        )
        return await self._account.call(LIST_WORKSPACES, f"/v1/workspaces{query}")

    async def iter_workspaces(
        self,
        *,
        enterprise_id: str | None = None,
        user_id: str | None = None,
        coze_account_id: str | None = None,
        page_size: int = 50,
    ) -> AsyncIterator[Workspace]:
        """Yield all workspaces of an account, each once; arguments as `list_workspaces`.

        Raises:
            AsyncClientError: a page could not be read, or the list had fewer workspaces than its
                total; the workspaces read before that were yielded.
        """

        async def read(page_num: int) -> Page[Workspace]:
            page = await self.list_workspaces(
                enterprise_id=enterprise_id,
                user_id=user_id,
                coze_account_id=coze_account_id,
                page_num=page_num,
                page_size=page_size,
            )
            return Page(page.workspaces, page.total_count)

        items = every_item("coze.iter_workspaces", read, lambda one: one.id or None)
        async for item in items:
            yield item

    async def list_workflows(
        self,
        workspace_id: str,
        *,
        workflow_mode: str | None = None,
        app_id: str | None = None,
        publish_status: str | None = None,
        page_num: int = 1,
        page_size: int = 10,
    ) -> WorkflowPage:
        """Read one page of a workspace's workflows (page `get_workflow_list`).

        Args:
            workspace_id: the workspace.
            workflow_mode: `workflow` or `chatflow`; both by default.
            app_id: only those of this app.
            publish_status: `all`, `published_online` (Coze's default), `unpublished_draft`.
            page_num: from 1.
            page_size: workflows a page; Coze gives at most 30. Default 10.
        """
        query = page_query(
            page_num,
            page_size,
            workspace_id=id_text("workspace_id", workspace_id),
            workflow_mode=optional_line("workflow_mode", workflow_mode, "mode"),
            app_id=optional_id("app_id", app_id),
            publish_status=optional_line("publish_status", publish_status, "status"),
        )
        return await self._account.call(LIST_WORKFLOWS, f"/v1/workflows{query}")

    async def iter_workflows(
        self,
        workspace_id: str,
        *,
        workflow_mode: str | None = None,
        app_id: str | None = None,
        publish_status: str | None = None,
        page_size: int = 30,
    ) -> AsyncIterator[Workflow]:
        """Yield all of a workspace's workflows, each once; arguments as `list_workflows`.

        Raises:
            AsyncClientError: a page could not be read, or the list does not end; the workflows read
                before that were yielded.
        """

        async def read(page_num: int) -> Page[Workflow]:
            page = await self.list_workflows(
                workspace_id,
                workflow_mode=workflow_mode,
                app_id=app_id,
                publish_status=publish_status,
                page_num=page_num,
                page_size=page_size,
            )
            return Page(page.items, has_more=page.has_more)

        items = every_item("coze.iter_workflows", read, lambda one: one.workflow_id or None)
        async for item in items:
            yield item

    async def get_document_progress(
        self, dataset_id: str, document_ids: Sequence[str]
    ) -> DocumentProgress:
        """Read the state of 1 to 50 documents of a dataset (page `get_dataset_progress`)."""
        target, body = documents_target(dataset_id), documents_body(document_ids_of(document_ids))
        return await self._account.call(GET_DOCUMENT_PROGRESS, target, body)
