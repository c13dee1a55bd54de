"""The client of Coze: a coroutine for each endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, cast, get_args

import msgspec

from asyncclient._arguments import (
    id_text,
    list_of,
    mapping,
    mapping_of_texts,
    number,
    one_of,
    optional_id,
    optional_line,
    optional_truth,
    text,
    text_line,
    whole_number,
)
from asyncclient._call import (
    Account,
    TokenSource,
    answered_id,
    encode_argument,
    telling,
    unix_time,
)
from asyncclient._task import Handle, TaskRef, checked_ref
from asyncclient._wire import Transport, path_segment, query_of
from asyncclient.providers.coze._answers import (
    Bot,
    BotPage,
    Chat,
    ChatMessage,
    CopyTask,
    NodeOutput,
    ToolOutput,
    WorkflowReply,
    WorkflowRun,
)
from asyncclient.providers.coze._auth import CozeJWT
from asyncclient.providers.coze._endpoints import (
    GET_BOT,
    GET_CHAT,
    GET_COPY_TASK,
    GET_NODE_OUTPUT,
    GET_WORKFLOW_RUN,
    LIST_BOTS,
    RESUME_WORKFLOW,
    RUN_WORKFLOW,
    START_CHAT,
    START_COPY,
    START_WORKFLOW,
    SUBMIT_TOOL_OUTPUTS,
    headers_of,
)
from asyncclient.providers.coze._tasks import (
    ChatHandle,
    CopyTaskHandle,
    WorkflowRunHandle,
    chat_target,
    copy_target,
    read_messages,
    run_target,
    send_cancel,
)

# Page `copy_resource_task`, which gives these as the whole list.
EntityType = Literal["app", "bot", "workflow"]
_ENTITY_TYPES: tuple[EntityType, ...] = get_args(EntityType)

# What a caller whose start has an unknown outcome can do: Coze's API lists neither runs nor chats.
_RUN_LOST = (
    "Coze's API has no list of runs: look at the workflow on Coze's own site before you start it "
    "again; the execute_id there (also in the query of a debug_url) is what workflow_run() takes"
)
_RESUME_LOST = (
    "poll the run: if it still shows this event_id under .interrupt after some seconds, it was not "
    "resumed; one that has ended cannot be resumed again (code 4315)"
)
_COPY_LOST = (
    "a copied bot is among iter_bots(workspace_id, publish_status='all') of the workspace that it "
    "was copied to; an app or a workflow is seen on Coze's own site only"
)
_CHAT_LOST = (
    "Coze's API has no list of chats; as long as it runs, another chat in the same conversation is "
    "refused (code 4016), which tells you where conversation_id was your own"
)
_TOOLS_LOST = (
    "poll the chat: if it still is requires_action after some seconds, it has not got the outputs"
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


class _ChatBody(msgspec.Struct, omit_defaults=True):
    bot_id: str
    user_id: str
    additional_messages: msgspec.Raw | None = None
    custom_variables: msgspec.Raw | None = None
    meta_data: msgspec.Raw | None = None
    parameters: msgspec.Raw | None = None
    extra_params: msgspec.Raw | None = None
    shortcut_command: msgspec.Raw | None = None
    enable_card: bool | None = None
    publish_status: str | None = None
    bot_version: str | None = None
    stream: bool | None = None
    auto_save_history: bool | None = None


class Coze:
    """A client of Coze: cheap to make, no I/O, as many as you like over one pool.

    Every `get_…` and `list_…` is repeated after a fault that may pass; a start is repeated only
    when it certainly did not happen. Ids are texts: they exceed what JSON numbers can hold.

    Args:
        transport: a `SessionPool`.
        token: a personal or service access token, an async function that returns one, or a
            `CozeJWT`.
        base_url: `Coze.COM` (default) or `Coze.CN`; tokens, bots and ids of one are unknown in the
            other.
        max_retries: how often a failed request is repeated, where that is safe. Default 3.
        allow_http: let plain http go to another machine, for a self-hosted server.

    Raises:
        TypeError, ValueError: an argument cannot be; nothing is sent.
    """

    COM = "https://api.coze.com"
    CN = "https://api.coze.cn"

    def __init__(
        self,
        transport: Transport,
        *,
        token: str | TokenSource | CozeJWT,
        base_url: str = COM,
        max_retries: int = 3,
        allow_http: bool = False,
    ) -> None:
        if "://" not in text("base_url", base_url):
            msg = (
                f"base_url={base_url!r} is no region of Coze: pass Coze.CN ({self.CN!r}) or "
                f"Coze.COM ({self.COM!r})"
            )
            raise ValueError(msg)
        if isinstance(token, str) and token.lower().startswith("bearer "):
            msg = "token: pass the token alone, without 'Bearer '"
            raise ValueError(msg)
        if isinstance(token, CozeJWT):
            token = token.source(transport, base_url, allow_http=allow_http)
        self._account = Account(
            transport,
            provider="coze",
            base_url=base_url,
            token=token,
            argument="token",
            headers=headers_of,
            max_retries=max_retries,
            allow_http=allow_http,
        )

    def __repr__(self) -> str:
        return f"<Coze {self._account.base_url}>"

    # handles

    def workflow_run(self, workflow_id: str, execute_id: str) -> WorkflowRunHandle:
        """Return the handle of a run whose ids are known; no I/O."""
        return WorkflowRunHandle(self._account, workflow_id, execute_id, None)

    def copy_task(self, task_id: str) -> CopyTaskHandle:
        """Return the handle of a copy task whose id is known; no I/O."""
        return CopyTaskHandle(self._account, id_text("task_id", task_id), None)

    def chat(self, conversation_id: str, chat_id: str) -> ChatHandle:
        """Return the handle of a chat whose ids are known; no I/O."""
        return ChatHandle(self._account, conversation_id, chat_id, None)

    def task(self, ref: TaskRef) -> Handle[WorkflowRun | CopyTask | Chat]:
        """Return the handle that a reference stands for; no I/O.

        It is a `WorkflowRunHandle`, a `CopyTaskHandle` or a `ChatHandle`: whichever the reference
        is of. It can be waited for as it is, and the answer's type tells what ran.

        Raises:
            ValueError: the reference is of another provider, or of a kind that is not known here.
        """
        return cast("Handle[WorkflowRun | CopyTask | Chat]", self._handle(checked_ref(ref)))

    def _handle(self, ref: TaskRef) -> WorkflowRunHandle | CopyTaskHandle | ChatHandle:
        ids = ref.ids
        try:
            match (ref.provider, ref.kind):
                case ("coze", "workflow_run"):
                    return WorkflowRunHandle(
                        self._account, ids["workflow_id"], ids["execute_id"], ref.created
                    )
                case ("coze", "copy_task"):
                    return CopyTaskHandle(
                        self._account,
                        ids.get("task_id"),
                        ref.created,
                        None if "task_id" in ids else ids["copied_entity_id"],
                    )
                case ("coze", "chat"):
                    return ChatHandle(
                        self._account, ids["conversation_id"], ids["chat_id"], ref.created
                    )
                case _:
                    msg = f"{ref} is not a task of Coze: decode it with its own provider's client"
                    raise ValueError(msg)
        except KeyError as error:
            msg = f"{ref}: the reference lacks {error}"
            raise ValueError(msg) from None

    # workflows

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
            AsyncClientError: it was refused, or with `may_have_started` it is not known whether
                it was started.
        """
        body = self._run_body(
            workflow_id, parameters, bot_id, app_id, ext, workflow_version, connector_id
        )
        body.is_async = True
        with telling(_RUN_LOST):
            reply = await self._account.call(
                START_WORKFLOW, "/v1/workflow/run", msgspec.json.encode(body)
            )
            execute_id = answered_id("coze.start_workflow", "$.execute_id", reply.execute_id)
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
        """Run a workflow and stay on the line until it ends (page `workflow_run`).

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
            timeout: seconds to stay on the line. Default 100, a little more than Coze itself.

        Returns:
            the answer; `.outputs` is its data, and `.interrupt` is set if it waits for its caller.
        """
        body = self._run_body(
            workflow_id, parameters, bot_id, app_id, ext, workflow_version, connector_id
        )
        seconds = number("timeout", timeout, unit="seconds", above=0)
        with telling(_RUN_LOST):
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
        """Give an interrupted run what it waits for (page `resume_workflow`).

        Args:
            workflow_id: the workflow.
            event_id: the interrupt's `event_id`, as it is.
            interrupt_type: the interrupt's `type`.
            resume_data: what its `required_parameters` ask for: text, or a mapping to be sent as
                JSON in text. If something lacks, the run interrupts again.

        Returns:
            the answer; an asynchronous run goes on, so wait again with the same handle.
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
        with telling(_RESUME_LOST):
            # The plural is the page's own.
            return await self._account.call(
                RESUME_WORKFLOW, "/v1/workflows/resume", msgspec.json.encode(body)
            )

    async def get_workflow_run(self, workflow_id: str, execute_id: str) -> WorkflowRun:
        """Read how a run stands (page `workflow_history`)."""
        return await self._account.call(GET_WORKFLOW_RUN, run_target(workflow_id, execute_id))

    async def get_node_output(
        self, workflow_id: str, execute_id: str, node_execute_uuid: str
    ) -> NodeOutput:
        """Read what one output node put out (page `get_node_execute_history_response`).

        For runs whose output is `.trimmed`; Coze keeps it for 24 hours.
        """
        node = path_segment("node_execute_uuid", node_execute_uuid)
        return await self._account.call(
            GET_NODE_OUTPUT, f"{run_target(workflow_id, execute_id)}/execute_nodes/{node}"
        )

    # bots

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
        whole_number("page_num", page_num, least=1)
        whole_number("page_size", page_size, least=1)
        query = query_of(
            workspace_id=id_text("workspace_id", workspace_id),
            publish_status=optional_line("publish_status", publish_status, "status"),
            connector_id=optional_id("connector_id", connector_id),
            page_num=page_num,
            page_size=page_size,
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
        """Yield all of a workspace's bots, page by page; arguments as `list_bots`."""
        seen: set[str | None] = set()
        page_num = 1
        while True:
            page = await self.list_bots(
                workspace_id,
                publish_status=publish_status,
                connector_id=connector_id,
                page_num=page_num,
                page_size=page_size,
            )
            # There is no `has_more`: the end is an empty page, the total, or a page that brings
            # nothing new (a server that does not know `page_num` answers the first for ever).
            new = [bot for bot in page.items if bot.id not in seen]
            seen.update(bot.id for bot in new)
            for bot in new:
                yield bot
            if not new or (page.total is not None and len(seen) >= page.total):
                return
            page_num += 1

    async def get_bot(self, bot_id: str, *, is_published: bool | None = None) -> Bot:
        """Read one bot; `is_published=False` for its draft."""
        query = query_of(is_published=optional_truth("is_published", is_published))
        return await self._account.call(
            GET_BOT, f"/v1/bots/{path_segment('bot_id', bot_id)}{query}"
        )

    # copies

    async def start_copy(
        self,
        entity_id: str,
        *,
        entity_type: EntityType,
        to_workspace_id: str | None = None,
    ) -> CopyTaskHandle:
        """Copy a bot, an app or a workflow (page `copy_resource_task`).

        Coze copies some at once and some by a task; the handle can be waited for either way.

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
        with telling(_COPY_LOST):
            started = await self._account.call(
                START_COPY, "/v1/entities/copy_tasks", msgspec.json.encode(body)
            )
            if started.copied_entity_id and not started.task_id:
                path, copied = "$.data.copied_entity_id", started.copied_entity_id
                entity = answered_id("coze.start_copy", path, copied)
                return CopyTaskHandle(self._account, None, unix_time(), entity)
            task_id = answered_id("coze.start_copy", "$.data.task_id", started.task_id)
        return CopyTaskHandle(self._account, task_id, unix_time())

    async def get_copy_task(self, task_id: str) -> CopyTask:
        """Read how a copy stands (page `query_resource_copy_execution_result`)."""
        return await self._account.call(GET_COPY_TASK, copy_target(task_id))

    # chats

    async def start_chat(
        self,
        bot_id: str,
        *,
        user_id: str,
        additional_messages: Sequence[ChatMessage | Mapping[str, object]] | None = None,
        conversation_id: str | None = None,
        custom_variables: Mapping[str, str] | None = None,
        meta_data: Mapping[str, str] | None = None,
        parameters: Mapping[str, object] | None = None,
        extra_params: Mapping[str, str] | None = None,
        shortcut_command: Mapping[str, object] | None = None,
        enable_card: bool | None = None,
        publish_status: str | None = None,
        bot_version: str | None = None,
    ) -> ChatHandle:
        """Begin a chat with a bot, without streaming (page `chat_v3`).

        Args:
            bot_id: a bot published to the API.
            user_id: your own name for the user; Coze keeps conversations apart by it.
            additional_messages: what was said, the question last, at most 100.
            conversation_id: the conversation to go on with; only one chat runs in it at a time.
            custom_variables: the bot's variables.
            meta_data: at most 16 pairs of your own.
            parameters: inputs for a bot's chat flow.
            extra_params: Coze's own extras.
            shortcut_command: a shortcut command to run.
            enable_card: let answers be cards.
            publish_status: which version of the bot.
            bot_version: which version of the bot, by number.

        Returns:
            the handle of the chat; `.messages()` reads the answer once it has ended.
        """
        if additional_messages is not None:
            what = "ChatMessage objects or mappings"
            list_of("additional_messages", additional_messages, (ChatMessage, Mapping), what)
        body = _ChatBody(
            bot_id=id_text("bot_id", bot_id),
            user_id=text_line("user_id", user_id, "user id"),
            additional_messages=_encoded("additional_messages", additional_messages),
            custom_variables=_texts("custom_variables", custom_variables),
            meta_data=_texts("meta_data", meta_data),
            parameters=_inputs("parameters", parameters),
            extra_params=_texts("extra_params", extra_params),
            shortcut_command=_inputs("shortcut_command", shortcut_command),
            enable_card=optional_truth("enable_card", enable_card),
            publish_status=optional_line("publish_status", publish_status, "status"),
            bot_version=optional_line("bot_version", bot_version, "version"),
            stream=False,
            auto_save_history=True,  # 4007 otherwise: without a stream the history is the answer
        )
        query = ""
        if conversation_id is not None:
            query = query_of(conversation_id=id_text("conversation_id", conversation_id))
        with telling(_CHAT_LOST):
            chat = await self._account.call(
                START_CHAT, f"/v3/chat{query}", msgspec.json.encode(body)
            )
            conversation = answered_id(
                "coze.start_chat", "$.data.conversation_id", chat.conversation_id
            )
            chat_id = answered_id("coze.start_chat", "$.data.id", chat.id)
        return ChatHandle(self._account, conversation, chat_id, unix_time(), bot_id)

    async def get_chat(self, conversation_id: str, chat_id: str) -> Chat:
        """Read how a chat stands (page `retrieve_chat`; at most once a second)."""
        return await self._account.call(
            GET_CHAT, chat_target("/v3/chat/retrieve", conversation_id, chat_id)
        )

    async def cancel_chat(self, conversation_id: str, chat_id: str) -> Chat:
        """Stop a chat; one that has ended or waits for its caller cannot be (code 4104)."""
        return await send_cancel(self._account, conversation_id, chat_id)

    async def list_chat_messages(self, conversation_id: str, chat_id: str) -> list[ChatMessage]:
        """Read a chat's messages: questions, tool calls, answers, follow-ups."""
        return await read_messages(self._account, conversation_id, chat_id)

    async def submit_tool_outputs(
        self,
        conversation_id: str,
        chat_id: str,
        *,
        tool_outputs: Sequence[ToolOutput | Mapping[str, str]],
    ) -> Chat:
        """Give a chat the results of the calls that it waits for; it goes on."""
        target = chat_target("/v3/chat/submit_tool_outputs", conversation_id, chat_id)
        what = "ToolOutput objects or mappings"
        list_of("tool_outputs", tool_outputs, (ToolOutput, Mapping), what)
        body = {"tool_outputs": encode_argument("tool_outputs", tool_outputs), "stream": False}
        with telling(_TOOLS_LOST):
            return await self._account.call(SUBMIT_TOOL_OUTPUTS, target, msgspec.json.encode(body))

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
            _inputs("parameters", parameters),
            optional_id("bot_id", bot_id),
            optional_id("app_id", app_id),
            _texts("ext", ext),
            optional_line("workflow_version", workflow_version, "version"),
            optional_id("connector_id", connector_id),
        )


def _encoded(name: str, value: object) -> msgspec.Raw | None:
    return None if value is None else encode_argument(name, value)


def _inputs(name: str, inputs: Mapping[str, object] | None) -> msgspec.Raw | None:
    if inputs is not None:
        mapping(name, inputs)
    return _encoded(name, inputs)


def _texts(name: str, texts: Mapping[str, str] | None) -> msgspec.Raw | None:
    if texts is not None:
        mapping_of_texts(name, texts)
    return _encoded(name, texts)
