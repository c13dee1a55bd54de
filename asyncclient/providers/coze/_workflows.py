"""Coze's workflows: start, run, resume and read them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from asyncclient._arguments import (
    id_text,
    mapping,
    number,
    optional_id,
    optional_line,
    whole_number,
)
from asyncclient._http import Account, encode_argument, path_segment
from asyncclient._ref import unix_time
from asyncclient.providers._starting import AddingAdvice, started_id
from asyncclient.providers.coze._answers import NodeOutput, WorkflowReply, WorkflowRun
from asyncclient.providers.coze._bodies import inputs, texts
from asyncclient.providers.coze._endpoints import (
    GET_NODE_OUTPUT,
    GET_WORKFLOW_RUN,
    RESUME_WORKFLOW,
    RUN_WORKFLOW,
    START_WORKFLOW,
)
from asyncclient.providers.coze._tasks import WorkflowRunHandle, run_target

# What a caller whose start has an unknown outcome can do: Coze's API does not list runs.
_RUN_LOST = (
    "Coze's API has no list of runs: look at the workflow on Coze's own site before you start it "
    "again; the execute_id there (also in the query of a debug_url) is what workflow_run() takes"
)
_RESUME_LOST = (
    "poll the run: if it still shows this event_id under .interrupt after some seconds, it was not "
    "resumed; one that has ended cannot be resumed again (code 4315)"
)


class _RunBody(msgspec.Struct, omit_defaults=True):
    workflow_id: str
    parameters: msgspec.Raw | None = None
    bot_id: str | None = None
    app_id: str | None = None
    ext: msgspec.Raw | None = None
    workflow_version: str | None = None
    connector_id: str | None = None
    is_async: bool = False


class Workflows:
    """The part of the client that is about workflows."""

    _account: Account

    async def start_workflow(
        self,
        workflow_id: str,
        parameters: Mapping[str, object] | None = None,
        *,
        bot_id: str | None = None,
        app_id: str | None = None,
        ext: Mapping[str, str] | None = None,
        workflow_version: str | None = None,
        connector_id: str | None = None,
    ) -> WorkflowRunHandle:
        """Start an asynchronous run (page `workflow_run`, `is_async`; paid plans only).

        Args:
            workflow_id: a published workflow.
            parameters: its inputs by name. A file is its URL, or the text `{"file_id": "…"}`.
            bot_id: for workflows that use a bot's database or variables; not with `app_id`.
            app_id: for workflows inside an app; not with `bot_id`.
            ext: `latitude`, `longitude`, `user_id`, as texts.
            workflow_version: as `v0.0.5`, for library workflows; the latest by default.
            connector_id: the channel; 1024 (API) by default.

        Returns:
            the handle of the run.

        Raises:
            AsyncClientError: it was refused. With `may_have_started` it is not known whether it was
                started.
        """
        body = self._run_body(
            workflow_id, parameters, bot_id, app_id, ext, workflow_version, connector_id
        )
        body.is_async = True
        with AddingAdvice(_RUN_LOST):
            reply = await self._account.call(
                START_WORKFLOW, "/v1/workflow/run", msgspec.json.encode(body)
            )
            execute_id = started_id("coze.start_workflow", "$.execute_id", reply.execute_id)
        return WorkflowRunHandle(self._account, workflow_id, execute_id, unix_time())

    async def run_workflow(
        self,
        workflow_id: str,
        parameters: Mapping[str, object] | None = None,
        *,
        bot_id: str | None = None,
        app_id: str | None = None,
        ext: Mapping[str, str] | None = None,
        workflow_version: str | None = None,
        connector_id: str | None = None,
        timeout: float = 100.0,
    ) -> WorkflowReply:
        """Run a workflow in one request that lasts until it ends (page `workflow_run`).

        Coze drops the connection after 90 s without an answer: for longer work use
        `start_workflow`, which has the same arguments.

        Args:
            workflow_id: a published workflow.
            parameters: its inputs by name.
            bot_id: for workflows that use a bot's database or variables; not with `app_id`.
            app_id: for workflows inside an app; not with `bot_id`.
            ext: `latitude`, `longitude`, `user_id`, as texts.
            workflow_version: as `v0.0.5`, for library workflows; the latest by default.
            connector_id: the channel; 1024 (API) by default.
            timeout: seconds for that request. Default 100, a little longer than Coze's own limit.

        Returns:
            the answer; `.outputs` is its data, and `.interrupt` is set if it waits for its caller.
        """
        body = self._run_body(
            workflow_id, parameters, bot_id, app_id, ext, workflow_version, connector_id
        )
        seconds = number("timeout", timeout, unit="seconds", above=0)
        with AddingAdvice(_RUN_LOST):
            return await self._account.call(
                RUN_WORKFLOW, "/v1/workflow/run", msgspec.json.encode(body), timeout=seconds
            )

    async def resume_workflow(
        self,
        workflow_id: str,
        *,
        event_id: str,
        interrupt_type: int,
        resume_data: str | Mapping[str, object],
    ) -> WorkflowReply:
        """Answer an interrupted run (page `resume_workflow`).

        Args:
            workflow_id: the workflow.
            event_id: the interrupt's `event_id`, as it is.
            interrupt_type: the interrupt's `type`.
            resume_data: what its `required_parameters` ask for: a text, or a mapping that is sent
                as JSON in text. If something is missing, the run is interrupted again.

        Returns:
            the answer. An asynchronous run continues: wait again with the same handle.
        """
        if not isinstance(resume_data, str):
            mapping("resume_data", resume_data)
            resume_data = bytes(encode_argument("resume_data", resume_data)).decode()
        whole_number("interrupt_type", interrupt_type, least=0)
        body = {
            "workflow_id": id_text("workflow_id", workflow_id),
            "event_id": id_text("event_id", event_id),
            "interrupt_type": interrupt_type,
            "resume_data": encode_argument("resume_data", resume_data),
        }
        with AddingAdvice(_RESUME_LOST):
            # The plural is the page's own.
            return await self._account.call(
                RESUME_WORKFLOW, "/v1/workflows/resume", msgspec.json.encode(body)
            )

    async def get_workflow_run(self, workflow_id: str, execute_id: str) -> WorkflowRun:
        """Read the state of a run (page `workflow_history`)."""
        return await self._account.call(GET_WORKFLOW_RUN, run_target(workflow_id, execute_id))

    async def get_node_output(
        self, workflow_id: str, execute_id: str, node_execute_uuid: str
    ) -> NodeOutput:
        """Read the output of one output node (page `get_node_execute_history_response`).

        For runs whose output is `.trimmed`; Coze keeps these outputs for 24 hours.
        """
        node = path_segment("node_execute_uuid", node_execute_uuid)
        return await self._account.call(
            GET_NODE_OUTPUT, f"{run_target(workflow_id, execute_id)}/execute_nodes/{node}"
        )

    @staticmethod
    def _run_body(
        workflow_id: str,
        parameters: Mapping[str, object] | None,
        bot_id: str | None,
        app_id: str | None,
        ext: Mapping[str, str] | None,
        workflow_version: str | None,
        connector_id: str | None,
    ) -> _RunBody:
        if bot_id is not None and app_id is not None:
            msg = "pass bot_id or app_id, not both: Coze refuses them together (code 4000)"
            raise ValueError(msg)
        return _RunBody(
            id_text("workflow_id", workflow_id),
            inputs("parameters", parameters),
            optional_id("bot_id", bot_id),
            optional_id("app_id", app_id),
            texts("ext", ext),
            optional_line("workflow_version", workflow_version, "version"),
            optional_id("connector_id", connector_id),
        )
