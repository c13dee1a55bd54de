"""Copy.ai's status words, error codes and operations, as tables and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeVar

import msgspec

from asyncclient._http import Endpoint, Response, Secret, decode, error_type, refusal_error
from asyncclient._state import Vocabulary
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
)
from asyncclient.providers._reading import as_text, decode_or_none, enveloped, reader
from asyncclient.providers.copyai._answers import (
    Envelope,
    Refusal,
    Started,
    Webhook,
    WebhookPage,
    WorkflowRun,
    WorkflowRunPageEnvelope,
)

T = TypeVar("T")

# Page `get-workflow-run-2`, "Run status types". The page's own recipe forgets FAILED.
WORKFLOW_WORDS = Vocabulary(
    pending=("NEW", "WAITING"),
    running=("PROCESSING", "RETRYING"),
    succeeded="COMPLETE",
    failed="FAILED",
)

_ERRORS: dict[str, type[APIError]] = {
    "WORKFLOW_CREDIT_LIMIT_REACHED": QuotaExceeded,  # comes as HTTP 400
    "NOT_FOUND": NotFound,
}
LONGEST_WORDS = 500
# Where people use Copy.ai in a browser, and other paths than that of its API.
NO_API = re.compile(
    r"https?://(?:(?:(?:www|app)\.)?copy\.ai(?:[:/]|$)|api\.copy\.ai(?::\d+)?(?!/+api/*$))",
    re.IGNORECASE,
)
_ADVICE: dict[type[APIError], str] = {
    AuthenticationFailed: "check the API key: it may be disabled, expired (12 months) or cut short",
    NotFound: "check the id (WCFG-…, WRUN-…), and that the key is of the same workspace",
    InvalidRequest: (
        "look at the arguments; at a start, startVariables must have the workflow's own input names"
    ),
    QuotaExceeded: "the workspace is out of credits: waiting does not help",
}


def refused_by(response: Response, name: str) -> APIError | None:
    """Make the error that an answer stands for; None if the answer does not say that it is one."""
    said = decode_or_none(_refusal_decoder, response) or Refusal()
    if response.is_good and said.status != "error":
        return None
    code = said.error_code if isinstance(said.error_code, str | int) else None
    kind = InvalidRequest if response.is_good else error_type(response.status)
    if isinstance(code, str):
        kind = _ERRORS.get(code, kind)
    words = " ".join((as_text(each) or "")[:LONGEST_WORDS] for each in (said.message, said.details))
    is_own = said.status == "error" or code is not None  # else it is the form of a gateway
    return refusal_error(
        kind,
        response,
        name=name,
        code=code,
        message=words.strip() if is_own else "",
        advice=_ADVICE.get(kind, ""),
        known=code in _ERRORS,
    )


_refusal_decoder = msgspec.json.Decoder(Refusal)


class _HasStatus(Protocol):
    @property
    def status(self) -> str | None: ...  # pragma: no cover


HasStatusT = TypeVar("HasStatusT", bound=_HasStatus)


def _reader(name: str, kind: type[HasStatusT]) -> Callable[[Response], HasStatusT]:
    return reader(name, kind, refused_by, lambda envelope: envelope.status == "error")


def _enveloped(
    name: str, method: Literal["GET", "POST"], kind: type[Envelope[T]], *, idempotent: bool = True
) -> Endpoint[T]:
    return enveloped(name, method, _reader(name, kind), idempotent=idempotent)


def _read_webhook_page(response: Response) -> WebhookPage:
    # This list alone comes without an envelope, so only the refusal's own form shows one.
    name = "copyai.list_webhooks"
    refused = refused_by(response, name)
    if refused is not None:
        raise refused
    return decode(_webhook_page_decoder, response, name).from_response(response)


def _read_nothing(response: Response) -> None:
    refused = refused_by(response, "copyai.delete_webhook")
    if refused is not None:
        raise refused


_webhook_page_decoder = msgspec.json.Decoder(WebhookPage)

START_WORKFLOW = _enveloped("copyai.start_workflow", "POST", Envelope[Started], idempotent=False)
GET_WORKFLOW_RUN = _enveloped("copyai.get_workflow_run", "GET", Envelope[WorkflowRun])
LIST_WORKFLOW_RUNS = enveloped(
    "copyai.list_workflow_runs",
    "GET",
    _reader("copyai.list_workflow_runs", WorkflowRunPageEnvelope),
)
REGISTER_WEBHOOK = _enveloped(
    "copyai.register_webhook", "POST", Envelope[Webhook], idempotent=False
)
GET_WEBHOOK = _enveloped("copyai.get_webhook", "GET", Envelope[Webhook])
LIST_WEBHOOKS = Endpoint("copyai.list_webhooks", "GET", _read_webhook_page)
DELETE_WEBHOOK = Endpoint("copyai.delete_webhook", "DELETE", _read_nothing)


def headers_of(api_key: str) -> Mapping[str, str]:
    # The docs want Content-Type on every call, GET included.
    return {"x-copy-ai-api-key": Secret(api_key), "Content-Type": "application/json"}
