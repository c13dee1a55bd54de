"""Coze's status words, error codes and operations, as tables and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeVar

import msgspec

from asyncclient._http import (
    Answer,
    Endpoint,
    Response,
    Secret,
    decode,
    error_type,
    header_value,
    refusal_error,
    unix_time_of,
)
from asyncclient._state import Vocabulary
from asyncclient._text import LONGEST_TEXT
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from asyncclient.providers._reading import as_int, decode_or_none, enveloped, reader
from asyncclient.providers.coze._answers import (
    WAITING_WORDS,
    Chat,
    ChatStarted,
    CopyStarted,
    CopyTask,
    DocumentProgress,
    NodeOutput,
    WorkflowReply,
    WorkflowRun,
)
from asyncclient.providers.coze._envelopes import (
    ChatEnvelope,
    Envelope,
    MessagesEnvelope,
    PageEnvelope,
    Refusal,
)
from asyncclient.providers.coze._lists import Bot, BotPage, WorkflowPage, WorkspacePage

T = TypeVar("T")
P = TypeVar("P", bound=Answer)

# Page `workflow_history` names Running, Success and Fail. The open-source server also has Cancel,
# and prints an interrupted run as <UNSET>; third-party clients test for Failed.
WORKFLOW_WORDS = Vocabulary(
    running="Running",
    blocked="<UNSET>",
    succeeded="Success",
    failed=("Fail", "Failed"),
    cancelled="Cancel",
)
# Page `query_resource_copy_execution_result`.
COPY_WORDS = Vocabulary(running="in_progress", succeeded="successful", failed="failed")
# Page `get_dataset_progress`, of each document.
DOCUMENT_WORDS = Vocabulary(running=0, succeeded=1, failed=9)
# Page `retrieve_chat`; `compleated` is a misspelling in its own samples. `cancelled`, `expired` and
# `deleted` are the open-source server's (its backend/domain/conversation/agentrun/entity).
CHAT_WORDS = Vocabulary(
    pending="created",
    running="in_progress",
    blocked=WAITING_WORDS,
    succeeded=("completed", "compleated"),
    failed="failed",
    cancelled=("canceled", "cancelled"),
    expired=("expired", "deleted"),
)

_REGION = (
    "check the token or the app's key, and that base_url is its region (Coze.CN for coze.cn, "
    "Coze.COM for coze.com: tokens, keys and ids of one are unknown in the other)"
)
# The open-source server wants its own site's cookie at each path that it does not have for tokens
# (its backend/api/middleware/openapi_auth.go; coze-studio#1950).
_REGION_OR_SERVER = (
    f"{_REGION}. A self-hosted coze-studio also answers so for an endpoint that it does not have: "
    "the history of workflow runs, resuming, lists of bots, copies"
)

# Page `coze_error_codes`, and codes seen outside of it.
_ERRORS: dict[int, type[APIError]] = {
    # The open-source server repeats the HTTP status (its backend/api/internal/httputil).
    400: InvalidRequest,
    401: AuthenticationFailed,
    500: ServerError,
    4000: InvalidRequest,
    **dict.fromkeys((4001, 4002, 4005, 4006), NotFound),
    **dict.fromkeys((4003, 4004, 4007, 4010, 4012, 4014, 4015, 4016, 4021), InvalidRequest),
    4008: QuotaExceeded,  # the bot's daily allowance: waiting within a task does not help
    4009: RateLimited,  # the whole system is at its cap
    # Page `realtime_error_codes`: 4027, payment is overdue; 4028, too few credits (coze-py#203).
    **dict.fromkeys((4011, 4019, 4022, 4027, 4028), QuotaExceeded),
    4013: ServerError,  # the model's service failed
    4020: RateLimited,  # over the purchased requests a minute
    4100: AuthenticationFailed,
    4101: PermissionDenied,
    4102: RateLimited,  # risk control: "retry later"
    **dict.fromkeys((4104, 4105, 4201, 4300, 4301, 4302, 4303, 4304), InvalidRequest),
    4200: NotFound,
    4314: NotFound,
    4315: InvalidRequest,
    5000: ServerError,
    6003: PermissionDenied,  # is_async is for paid plans
    **dict.fromkeys((6031, 6039, 702242001), InvalidRequest),
    700012006: AuthenticationFailed,
    **dict.fromkeys((720701001, 720701002, 720701013, 720702085), ServerError),
    **dict.fromkeys((720702001, 720702002, 720702004, 720702011), InvalidRequest),
    # Ends of a run, not faults of the server: asking for the same again would run it again.
    **dict.fromkeys((6023, 777777776, 777777777), APIError),
}
_ADVICE_OF: dict[int, str] = {
    **dict.fromkeys((401, 700012006), _REGION_OR_SERVER),
    6023: "the workflow ran out of its time: 10 minutes for run_workflow, 24 h for start_workflow",
    777777776: "a node of the workflow ran out of time: look at its settings",
    777777777: "somebody cancelled the run",
}
_FAULTS_OF_NODES = 720712  # 720712xxx
# The OAuth endpoint has words instead (page `oauth_jwt`).
_OAUTH_ERRORS: dict[str, type[APIError]] = {
    "invalid_request": InvalidRequest,
    "unsupported_grant_type": InvalidRequest,
    "invalid_client": AuthenticationFailed,
    "access_deny": PermissionDenied,
    "internal_error": ServerError,
}
_ADVICE: dict[type[APIError], str] = {
    AuthenticationFailed: _REGION,
    PermissionDenied: "check the token's permissions, and the plan of its account",
    NotFound: "check the id, that it is published, and that it is of this account and region",
    QuotaExceeded: "waiting does not help: look at the account's plan and balance",
}
_SLOWLY = {4020, 4102}  # over the purchased requests a minute, and risk control: wait a minute
_A_MINUTE = 60.0
# Page `workflow_run`: `debug_url`, which error answers have too.
_URL = re.compile(r"https?://[!-~]{1,500}")
# What is about the token or the key, though its code is not: by code, the words that say so.
_WRONG_TOKEN: dict[int | str | None, tuple[str, ...]] = {
    4101: ("token", "incorrect"),  # seen live, for any wrong token
    # Seen live for a key of the other region: "invalid jwt: kid not been registred".
    "invalid_request": (" kid ", " regist"),
}


def refused_by(response: Response, name: str) -> APIError | None:
    """Make the error that an answer stands for; None if the answer does not say that it is one."""
    said = decode_or_none(_refusal_decoder, response) or Refusal()
    code = said.number_or_word
    if response.is_good and not code:
        return None
    kind = _kind_of(response, code, said.words)
    known = code in _ERRORS or code in _OAUTH_ERRORS or _is_of_a_node(code)
    error = refusal_error(
        kind,
        response,
        name=name,
        code=code,
        message="" if code is None else said.words,  # Coze's own form has a code
        log_id=response.headers.get("x-tt-logid") or said.log_id,
        advice=_ADVICE_OF.get(as_int(code) or 0) or _ADVICE.get(kind, ""),
        retry_after=_A_MINUTE if code in _SLOWLY else None,
        known=known,
    )
    if isinstance(said.debug_url, str) and _URL.fullmatch(said.debug_url):
        error.add_note(f"Coze shows what happened, for 7 days: {said.debug_url}")
    return error


def _kind_of(response: Response, code: int | str | None, words: str) -> type[APIError]:
    kind = error_type(response.status)
    if isinstance(code, str):
        kind = _OAUTH_ERRORS.get(code, kind)
    elif code is not None and kind is not RateLimited:
        kind = _ERRORS.get(code, InvalidRequest if _is_of_a_node(code) else kind)
    said = words[:LONGEST_TEXT].lower()
    about_the_token = _WRONG_TOKEN.get(code)
    is_wrong = about_the_token is not None and all(word in said for word in about_the_token)
    return AuthenticationFailed if is_wrong else kind


def _is_of_a_node(code: int | str | None) -> bool:
    return isinstance(code, int) and code // 1000 == _FAULTS_OF_NODES


class _HasCode(Protocol):
    @property
    def code(self) -> int | str | None: ...  # pragma: no cover


HasCodeT = TypeVar("HasCodeT", bound=_HasCode)

_refusal_decoder = msgspec.json.Decoder(Refusal)


def _reader(name: str, kind: type[HasCodeT]) -> Callable[[Response], HasCodeT]:
    return reader(name, kind, refused_by, lambda answer: answer.code not in {None, 0, "0", ""})


def _enveloped(
    name: str, method: Literal["GET", "POST"], kind: type[Envelope[T]], *, idempotent: bool = True
) -> Endpoint[T]:
    return enveloped(name, method, _reader(name, kind), idempotent=idempotent)


def _flat(name: str) -> Endpoint[WorkflowReply]:
    read = _reader(name, WorkflowReply)
    return Endpoint(
        name, "POST", lambda response: read(response).from_response(response), idempotent=False
    )


def _page(name: str, kind: type[PageEnvelope[P]], empty: Callable[[], P]) -> Endpoint[P]:
    read = _reader(name, kind)
    return Endpoint(
        name, "GET", lambda response: (read(response).data or empty()).from_response(response)
    )


_RUNNING = re.compile(rb'"execute_status"\s*:\s*"Running"')
# Documented is a list of one; the run itself in its place is read as well.
_read_runs = _reader("coze.get_workflow_run", Envelope[list[WorkflowRun] | WorkflowRun])


def _read_run(response: Response) -> WorkflowRun:
    try:
        found = _read_runs(response).data
    except DecodeError as error:
        # Reported by a client of workflows with output nodes: while such a run is not over, the
        # quotes in `output` are escaped wrongly and the whole body is no JSON. Only "Running" is
        # believed from such a body: an end must be read from an answer that decodes.
        if not error.path and response.is_good and _RUNNING.search(response.body):
            return WorkflowRun(execute_status="Running").from_response(response)
        raise
    runs = found if isinstance(found, list) else [found]
    if not runs:
        msg = f"coze.get_workflow_run: HTTP {response.status} with an empty list instead of one run"
        raise DecodeError(msg, path="$.data", excerpt="[]", status=response.status)
    return runs[0].from_response(response)


START_WORKFLOW = _flat("coze.start_workflow")
RUN_WORKFLOW = _flat("coze.run_workflow")
RESUME_WORKFLOW = _flat("coze.resume_workflow")
GET_WORKFLOW_RUN = Endpoint("coze.get_workflow_run", "GET", _read_run)
GET_NODE_OUTPUT = _enveloped("coze.get_node_output", "GET", Envelope[NodeOutput])
LIST_BOTS = _page("coze.list_bots", PageEnvelope[BotPage], lambda: BotPage([]))
LIST_WORKSPACES = _page(
    "coze.list_workspaces", PageEnvelope[WorkspacePage], lambda: WorkspacePage([])
)
LIST_WORKFLOWS = _page("coze.list_workflows", PageEnvelope[WorkflowPage], lambda: WorkflowPage([]))
GET_BOT = _enveloped("coze.get_bot", "GET", Envelope[Bot])
START_COPY = _enveloped("coze.start_copy", "POST", Envelope[CopyStarted], idempotent=False)
GET_COPY_TASK = _enveloped("coze.get_copy_task", "GET", Envelope[CopyTask])
# Not a GET, and yet it reads only.
GET_DOCUMENT_PROGRESS = _enveloped("coze.get_document_progress", "POST", Envelope[DocumentProgress])


def _chat(name: str, method: Literal["GET", "POST"], *, idempotent: bool = True) -> Endpoint[Chat]:
    return enveloped(name, method, _reader(name, ChatEnvelope), idempotent=idempotent)


START_CHAT = _enveloped("coze.start_chat", "POST", Envelope[ChatStarted], idempotent=False)
GET_CHAT = _chat("coze.get_chat", "GET")
# Cancelling twice does no more than cancelling once.
CANCEL_CHAT = _chat("coze.cancel_chat", "POST")
SUBMIT_TOOL_OUTPUTS = _chat("coze.submit_tool_outputs", "POST", idempotent=False)
LIST_CHAT_MESSAGES = enveloped(
    "coze.list_chat_messages", "GET", _reader("coze.list_chat_messages", MessagesEnvelope)
)


class Token(msgspec.Struct):
    """An access token; never shown."""

    access_token: str
    expires_in: object = None
    answered: float = (
        0.0  # Unix time of the answer, by the server's clock if it says so; 0: unknown
    )

    def __repr__(self) -> str:
        return "<Token>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


def _read_token(response: Response) -> Token:
    name = "coze.oauth_token"
    refused = refused_by(response, name)
    if refused is not None and refused.foreign and b'token"' in response.body:
        # It would show the beginning of the body, with the token.
        refused = refusal_error(
            type(refused), Response(response.status, response.headers, b""), name=name
        )
    if refused is not None:
        raise refused
    try:
        token = decode(_token_decoder, response, name)
        header_value("access_token", token.access_token)  # a request with it would fail
    except DecodeError as error:
        reason = error.path or "not JSON"
    except ValueError:
        reason = "$.access_token"
    else:
        token.answered = unix_time_of(response)
        return token
    # Without the excerpt, the cause and the context, which may hold the token.
    raise DecodeError(
        f"{name}: HTTP {response.status} with an unexpected body ({reason})",
        path=reason,
        status=response.status,
    )


_token_decoder = msgspec.json.Decoder(Token)
# A repeat is signed again, so it may be repeated freely.
GET_TOKEN = Endpoint("coze.oauth_token", "POST", _read_token)


def headers_of(token: str) -> Mapping[str, str]:
    # The docs list Content-Type on every call, GET included.
    return {"Authorization": Secret(f"Bearer {token}"), "Content-Type": "application/json"}
