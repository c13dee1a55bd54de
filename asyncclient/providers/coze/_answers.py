"""Coze's answers, as they really are: fields that vary are declared loosely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from asyncclient._http import JSON, STRICT, Answer, Response, StatusWord
from asyncclient._portable import Portable
from asyncclient.providers._reading import (
    as_int,
    as_object,
    as_text,
    decode_or_none,
    open_json,
)
from asyncclient.providers._starting import NO_ID

# Every field that any source shows missing or null is optional, numbers that some source quotes
# are `int | str`, and status words are plain text: a new word must not break a deployed client.


class Usage(Portable, msgspec.Struct):
    """Tokens used; Coze calls its own figures approximate."""

    input_count: int | None = 0
    output_count: int | None = 0
    token_count: int | None = 0


class Parameter(Portable, msgspec.Struct):
    """What an interrupt asks for (page `workflow_history`, RequiredParameters)."""

    type: str | None = None
    required: bool | None = None
    description: str | None = None
    default_value: object = None
    items: Parameter | None = None
    properties: dict[str, Parameter] | None = None


class Interrupt(Portable, msgspec.Struct):
    """Why a workflow waits for its caller.

    Attributes:
        event_id: to be passed back as it is; it may hold a slash. Empty where there was none.
        type: 2 question node, 5 input node, 6 client-side plugin, 7 OAuth plugin; open.
        data: what to show or ask, often JSON in text.
        required_parameters: what `resume_data` must hold, by name.
    """

    event_id: str
    type: int = 0
    data: str | None = None
    required_parameters: dict[str, Parameter] | None = None


class InterruptData(msgspec.Struct):
    """An interrupt as Coze sends it; an empty one counts as none."""

    event_id: JSON = None
    type: JSON = None
    data: JSON = None
    required_parameters: dict[str, Parameter] | None = None

    @property
    def interrupt(self) -> Interrupt | None:
        """The interrupt, if it is one."""
        given = (None if each in NO_ID else each for each in (self.event_id, self.type))
        if not (any(given) or self.data or self.required_parameters):
            return None
        event_id = "" if self.event_id in NO_ID else as_text(self.event_id or None) or ""
        kind = as_int(self.type) if isinstance(self.type, int | str) else None
        return Interrupt(event_id, int(kind or 0), as_text(self.data), self.required_parameters)


# Documented is one object; a list of them, or JSON in text, is read as well.
_Interrupts: TypeAlias = InterruptData | list[InterruptData] | str | None


def _first_interrupt(data: _Interrupts) -> Interrupt | None:
    if data is None:
        return None
    if isinstance(data, str):
        in_text = Response(0, {}, data.encode("utf-8", "replace"))
        data = decode_or_none(_interrupts_decoder, in_text)
    each = data if isinstance(data, list) else [data] if isinstance(data, InterruptData) else []
    return next((found for one in each if (found := one.interrupt) is not None), None)


_interrupts_decoder = msgspec.json.Decoder(InterruptData | list[InterruptData])


class NodeExecuteStatus(Portable, msgspec.Struct):
    """One run of one output node; `node_execute_uuid` is what `get_node_output` takes."""

    node_id: str | int | None = None
    is_finish: bool | None = None
    loop_index: int | None = None
    batch_index: int | None = None
    update_time: int | None = None
    sub_execute_id: str | int | None = None
    node_execute_uuid: str | None = None


class WorkflowRun(Answer):
    """The state of a workflow run (page `workflow_history`): what waiting for one returns.

    Attributes:
        execute_status: `Running`, `Success`, `Fail`; open.
        output: as Coze sent it: a text, usually JSON, whose values may be JSON texts themselves.
        error_code: text or number; `""` and `"0"` mean none.
        create_time: Unix time in seconds, as `update_time`.
    """

    execute_id: str | int | None = None
    execute_status: StatusWord = None
    output: JSON = None
    create_time: int | None = None
    update_time: int | None = None
    error_code: str | int | None = None
    error_message: str | None = None
    interrupt_data: _Interrupts = None
    is_output_trimmed: bool | None = None
    node_execute_status: dict[str, NodeExecuteStatus] | str | None = None
    debug_url: str | None = None
    usage: Usage | None = None
    run_mode: int | None = None
    bot_id: str | int | None = None
    connector_id: str | int | None = None
    connector_uid: str | int | None = None
    logid: str | None = None
    log_id: str | None = None
    error_msg: str | None = None
    token: str | int | None = None
    cost: str | float | None = None

    @property
    def outputs(self) -> object:
        """The outputs of the nodes, by node title, with JSON in texts decoded.

        That of the end node is under `Output`. Coze's own entry `node_status` is left out. If
        `output` is not a JSON object, this is the decoded value, or the text as it is.
        """
        value = open_json(self.output)
        nodes = as_object(value)
        if nodes is None:
            return value
        return {title: output for title, output in nodes.items() if title != "node_status"}

    @property
    def node_status(self) -> object:
        """Coze's own entry `node_status` of `output`, decoded; None when there is none."""
        nodes = as_object(open_json(self.output))
        return None if nodes is None else nodes.get("node_status")

    @property
    def trimmed(self) -> bool:
        """True when `output` is cut: read the nodes one by one with `get_node_output`."""
        return bool(self.is_output_trimmed)

    @property
    def interrupt(self) -> Interrupt | None:
        """What the run waits for, if it waits for its caller."""
        return _first_interrupt(self.interrupt_data)


class WorkflowReply(Answer):
    """The flat answer of a start, a synchronous run or a resume (page `workflow_run`).

    Attributes:
        data: the output of a synchronous run, as Coze sent it: any text, usually JSON.
        execute_id: of an asynchronous or interrupted run.
    """

    code: int | str | None = 0
    msg: str | None = None
    data: JSON = None
    execute_id: str | int | None = None
    debug_url: str | None = None
    usage: Usage | None = None
    interrupt_data: _Interrupts = None
    token: int | str | None = None
    cost: str | float | None = None

    @property
    def outputs(self) -> object:
        """`data`, with JSON in texts decoded; a text that is not JSON as it is."""
        return open_json(self.data)

    @property
    def interrupt(self) -> Interrupt | None:
        """What the run waits for, if it waits for its caller."""
        return _first_interrupt(self.interrupt_data)


class NodeOutput(Answer):
    """The output of one node (page `get_node_execute_history_response`)."""

    is_finish: bool | None = None
    node_output: JSON = None

    @property
    def output(self) -> object:
        """`node_output`, with JSON in texts decoded."""
        return open_json(self.node_output)


class CopyFailure(Portable, msgspec.Struct):
    """Why one entity could not be copied."""

    entity_id: str | int | None = None
    entity_name: str | None = None
    entity_type: str | None = None
    failed_reason: str | None = None


class CopyTask(Answer):
    """The state of a copy (page `query_resource_copy_execution_result`).

    Attributes:
        task_status: `in_progress`, `successful`, `failed`; open.
        target_entity_id: the copy, once there is one.
    """

    task_id: str | int | None = None
    task_status: StatusWord = None
    entity_type: str | None = None
    source_entity_id: str | int | None = None
    target_entity_id: str | int | None = None
    target_workspace_id: str | int | None = None
    failed_reasons: list[CopyFailure] | None = None


class CopyStarted(Answer):
    """Either `task_id` (asynchronous) or `copied_entity_id` (already done)."""

    task_id: str | int | None = None
    copied_entity_id: str | int | None = None


class Document(Portable, msgspec.Struct):
    """The state of one document of a dataset.

    Attributes:
        status: 0 in progress, 1 done, 9 failed; open.
        progress: in percent.
        remaining_time: seconds that Coze expects it to take.
        status_descript: why it failed.
        size: in bytes.
    """

    document_id: str | int | None = None
    document_name: str | None = None
    status: Annotated[int | str | None, STRICT] = None
    progress: float | None = None
    remaining_time: float | None = None
    status_descript: str | None = None
    type: str | None = None
    size: int | None = None
    url: str | None = None
    update_type: int | None = None
    update_interval: int | None = None


class DocumentProgress(Answer):
    """The state of the documents of a `document_progress` task (page `get_dataset_progress`).

    Attributes:
        documents: one entry for each that Coze knows, in Coze's order.
    """

    documents: list[Document] = msgspec.field(name="data", default_factory=list[Document])


class ChatError(Portable, msgspec.Struct):
    """Why a chat failed; code 0 with an empty text means no error."""

    code: int | str | None = None
    msg: str | None = None


class ToolFunction(Portable, msgspec.Struct):
    """The function that a chat wants called; `arguments` is JSON in text."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Portable, msgspec.Struct):
    """One call that a chat waits for."""

    id: str = ""
    type: str | None = None
    function: ToolFunction | None = None


class _SubmitToolOutputs(msgspec.Struct):
    tool_calls: list[ToolCall] | None = None


class RequiredAction(Portable, msgspec.Struct):
    """What a chat waits for. A finished chat may have an empty one: look at the status too."""

    type: str | None = None
    submit_tool_outputs: _SubmitToolOutputs | None = None

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        """The calls to make, whose results go to `submit_tool_outputs`."""
        action = self.submit_tool_outputs
        return (action.tool_calls or ()) if action else ()


# The second is a misspelling in Coze's own page `retrieve_chat`.
WAITING_WORDS = ("requires_action", "required_action")


class Chat(Answer):
    """The state of a chat (page `retrieve_chat`).

    Attributes:
        status: `created`, `in_progress`, `completed`, `failed`, `requires_action`, `canceled`;
            open.
        completed_at: Unix time in seconds; also set for `requires_action`, so it does not mean the
            end.
    """

    id: str = ""
    conversation_id: str = ""
    bot_id: str | int | None = None
    status: StatusWord = None
    created_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    last_error: ChatError | None = None
    required_action: RequiredAction | None = None
    usage: Usage | None = None
    meta_data: dict[str, str] | None = None
    section_id: str | int | None = None

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        """The calls that this chat waits for, if it does."""
        waiting = self.status in WAITING_WORDS
        return self.required_action.tool_calls if self.required_action and waiting else ()


class ChatStarted(msgspec.Struct):
    """The part of a chat that a start needs; the status may have any type."""

    id: str | int | None = None
    conversation_id: str | int | None = None


class ChatMessage(Answer, omit_defaults=True):
    """One message of a chat, as sent (`role`, `content`) and as received.

    Attributes:
        role: `user` or `assistant`.
        content: text, or JSON in text for `object_string`.
        content_type: `text`, `object_string`, `card`, `audio`.
        type: `question`, `answer`, `function_call`, `tool_response`, `follow_up`, `verbose`, …
    """

    role: str | None = None
    content: str | None = None
    content_type: str | None = None
    type: str | None = None
    meta_data: dict[str, str] | None = None
    id: str | None = None
    conversation_id: str | None = None
    chat_id: str | None = None
    bot_id: str | int | None = None
    section_id: str | int | None = None
    created_at: int | None = None
    updated_at: int | None = None
    reasoning_content: str | None = None


class ToolOutput(Portable, msgspec.Struct):
    """The result of one `ToolCall`, for `submit_tool_outputs`."""

    tool_call_id: str
    output: str
