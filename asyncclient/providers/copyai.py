"""Copy.ai (https://support.fullcast.com/apidocs, once https://docs.copy.ai): workflow runs.

The whole documented surface: seven operations. There is no way to cancel a run, and no limit of
requests is documented.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar, get_args

import msgspec

from asyncclient._arguments import (
    bytes_of,
    id_text,
    mapping,
    number,
    one_of,
    optional_id,
    url_text,
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
from asyncclient._state import Vocabulary
from asyncclient._task import Handle, TaskRef, checked_ref
from asyncclient._wire import (
    JSON,
    Answer,
    Endpoint,
    Response,
    Secret,
    Transport,
    as_int,
    as_object,
    decode,
    enveloped,
    error_type,
    open_json,
    path_segment,
    query_of,
    read_answer,
    refusal,
    said_in,
)
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
)

__all__ = [
    "CopyAI",
    "Webhook",
    "WebhookEvent",
    "WebhookPage",
    "WorkflowRun",
    "WorkflowRunHandle",
    "WorkflowRunPage",
]

T = TypeVar("T")

# Page `register-webhook-2`, which gives these as the whole list.
EventType = Literal[
    "workflowRun.started",
    "workflowRun.completed",
    "workflowRun.failed",
    "workflowCreditLimit.reached",
]
_EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
# What a start bears that was given no metadata, so that `find_started` can tell it from others.
_MARKER = "asyncclient_start"
_LARGEST_PAGE = 100
# The caller's clock and Copy.ai's may differ by so many seconds.
_CLOCKS_DIFFER = 60.0
# A time's first characters, to whole seconds.
_SECONDS = len("2026-01-01T00:00:00")

# --- answers ----------------------------------------------------------------------------------
# The published schema, its own examples and real deliveries disagree about most fields, so all
# but the id are optional, and numbers may come quoted.


class WorkflowRun(Answer, rename="camel"):
    """How a workflow run stands (page `get-workflow-run-2`): what waiting for one returns.

    Attributes:
        status: `NEW`, `WAITING`, `PROCESSING`, `RETRYING`, `COMPLETE`, `FAILED`; open.
        output: by the workflow's own names, as it came; may be partial while it runs.
        metadata: what the start gave.
        created_at: ISO 8601.
        credits: what it cost; a number, or a number in text.
        error: why it failed; not documented.
    """

    id: str | None = None
    workflow_run_id: str | None = None
    workflow_id: str | None = None
    status: str | None = None
    input: dict[str, object] | None = None
    output: JSON = None
    metadata: dict[str, object] | None = None
    created_at: str | None = None
    credits: int | str | None = None
    error: object = None

    @property
    def outputs(self) -> dict[str, object]:
        """`output` with JSON in text opened as far as it goes; empty when there is none.

        Where it is something else than an object, that stands under the name `output`, as in the
        older webhooks.
        """
        if self.output is None:
            return {}
        opened = open_json(self.output)
        return {"output": opened} if (named := as_object(opened)) is None else named

    @property
    def credits_used(self) -> int | None:
        """`credits` as a number, whichever way it came."""
        return as_int(self.credits)


class WorkflowRunPage(Answer):
    """One page of runs; its items may lack their output."""

    data: list[WorkflowRun] = msgspec.field(default_factory=list[WorkflowRun])
    total: int | str | None = None


class Webhook(Answer, rename="camel"):
    """One registration; without a `workflow_id` it is for all workflows of the workspace."""

    id: str | None = None
    url: str | None = None
    event_type: str | None = None
    workflow_id: str | None = None


class WebhookPage(Answer):
    """One page of registrations."""

    data: list[Webhook] = msgspec.field(default_factory=list[Webhook])
    total: int | str | None = None


class WebhookEvent(msgspec.Struct, rename="camel"):
    """What a webhook said, whichever of the three shapes it had.

    It is not signed, so anyone may have sent it: use it to poll at once, and let the poll decide.

    Attributes:
        type: as `workflowRun.completed`; open.
        run_id: the run that it speaks of.
        outputs: the outputs, whether they came under `result` or `output`.
        status: the run's status word, in the shape that has one.
    """

    type: str = ""
    id: str | None = None
    workflow_run_id: str | None = None
    workflow_id: str | None = None
    result: object = None
    output: object = None
    metadata: dict[str, object] | None = None
    status: str | None = None
    error: object = None
    created_at: str | None = None
    credits: int | str | None = None

    @property
    def run_id(self) -> str | None:
        """The id of the run."""
        return self.workflow_run_id or self.id

    @property
    def outputs(self) -> object:
        """What the run put out."""
        return self.output if self.result is None else self.result


class _Started(msgspec.Struct):
    id: str | int | None = None


class _Envelope(msgspec.Struct, Generic[T]):
    data: T
    status: str | None = None


class _Refusal(msgspec.Struct, rename="camel"):
    status: object = None
    error_code: object = None
    message: object = None
    details: object = None


# --- words ------------------------------------------------------------------------------------

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
_LONGEST_WORDS = 500
_ADVICE: dict[type[APIError], str] = {
    AuthenticationFailed: "check the API key: it may be disabled, expired (12 months) or cut short",
    NotFound: "check the id (WCFG-…, WRUN-…), and that the key is of the same workspace",
    InvalidRequest: (
        "look at the arguments; at a start, startVariables must bear the workflow's own input names"
    ),
    QuotaExceeded: "the workspace is out of credits: waiting does not help",
}


def _refused_by(response: Response, name: str) -> APIError | None:
    """Make the error that an answer stands for; None if it is not an error by its own account."""
    said = said_in(_refusal_decoder, response) or _Refusal()
    if response.is_good and said.status != "error":
        return None
    code = said.error_code if isinstance(said.error_code, str | int) else None
    kind = InvalidRequest if response.is_good else error_type(response.status)
    if isinstance(code, str):
        kind = _ERRORS.get(code, kind)
    return refusal(
        kind,
        response,
        name=name,
        code=code,
        message=" ".join(filter(None, (_as_text(said.message), _as_text(said.details)))),
        advice=_ADVICE.get(kind, ""),
    )


def _as_text(value: object) -> str:
    """Return what a refusal says in any form as a text of bounded length."""
    if value is None or isinstance(value, str):
        return (value or "")[:_LONGEST_WORDS]
    return msgspec.json.encode(value).decode()[:_LONGEST_WORDS]


_refusal_decoder = msgspec.json.Decoder(_Refusal)


def _read(
    name: str, decoder: msgspec.json.Decoder[_Envelope[T]], response: Response
) -> _Envelope[T]:
    return read_answer(
        name, decoder, response, _refused_by, lambda envelope: envelope.status == "error"
    )


def _enveloped(
    name: str,
    method: Literal["GET", "POST"],
    decoder: msgspec.json.Decoder[_Envelope[T]],
    *,
    idempotent: bool = True,
) -> Endpoint[T]:
    read = functools.partial(_read, name, decoder)
    return enveloped(name, method, read, idempotent=idempotent)


def _read_webhook_page(response: Response) -> WebhookPage:
    # This list alone comes without an envelope, so nothing but the refusal's own form tells it.
    name = "copyai.list_webhooks"
    refused = _refused_by(response, name)
    if refused is not None:
        raise refused
    return decode(_webhook_page_decoder, response, name).from_response(response)


def _read_nothing(response: Response) -> None:
    refused = _refused_by(response, "copyai.delete_webhook")
    if refused is not None:
        raise refused


_webhook_page_decoder = msgspec.json.Decoder(WebhookPage)
_webhook_decoder = msgspec.json.Decoder(_Envelope[Webhook], strict=False)
_event_decoder = msgspec.json.Decoder(WebhookEvent)

_START_WORKFLOW = _enveloped(
    "copyai.start_workflow",
    "POST",
    msgspec.json.Decoder(_Envelope[_Started], strict=False),
    idempotent=False,
)
_GET_WORKFLOW_RUN = _enveloped(
    "copyai.get_workflow_run", "GET", msgspec.json.Decoder(_Envelope[WorkflowRun], strict=False)
)
_LIST_WORKFLOW_RUNS = _enveloped(
    "copyai.list_workflow_runs",
    "GET",
    msgspec.json.Decoder(_Envelope[WorkflowRunPage], strict=False),
)
_REGISTER_WEBHOOK = _enveloped(
    "copyai.register_webhook", "POST", _webhook_decoder, idempotent=False
)
_GET_WEBHOOK = _enveloped("copyai.get_webhook", "GET", _webhook_decoder)
_LIST_WEBHOOKS = Endpoint("copyai.list_webhooks", "GET", _read_webhook_page)
_DELETE_WEBHOOK = Endpoint("copyai.delete_webhook", "DELETE", _read_nothing)


def _headers(api_key: str) -> Mapping[str, str]:
    # The docs want Content-Type on every call, GET included.
    return {"x-copy-ai-api-key": Secret(api_key), "Content-Type": "application/json"}


# --- tasks ------------------------------------------------------------------------------------


class WorkflowRunHandle(Handle[WorkflowRun]):
    """One run of a workflow. Copy.ai has no way to cancel one."""

    __slots__ = ("_account", "run_id", "workflow_id")

    vocabulary = WORKFLOW_WORDS

    def __init__(
        self, account: Account, workflow_id: str, run_id: str, created: int | None
    ) -> None:
        self._account = account
        self.workflow_id = id_text("workflow_id", workflow_id)
        self.run_id = id_text("run_id", run_id)
        super().__init__(
            account.key,
            f"copyai.workflow_run:{workflow_id}",
            TaskRef(
                "copyai", "workflow_run", {"workflow_id": workflow_id, "run_id": run_id}, created
            ),
            account.budget("workflow"),
        )

    async def poll(self) -> WorkflowRun:
        """Ask once how the run stands (page `get-workflow-run-2`)."""
        return await self._account.once(
            _GET_WORKFLOW_RUN, _run_target(self.workflow_id, self.run_id)
        )

    def word_of(self, result: WorkflowRun) -> str | None:
        """Return the run's `status`, which is not the envelope's."""
        return result.status

    def reason_of(self, result: WorkflowRun) -> str | None:
        """Return the run's `error`, as text."""
        if result.error is None or isinstance(result.error, str):
            return result.error
        return msgspec.json.encode(result.error).decode()


def _runs_target(workflow_id: str) -> str:
    return f"/workflow/{path_segment('workflow_id', workflow_id)}/run"


def _run_target(workflow_id: str, run_id: str) -> str:
    return f"{_runs_target(workflow_id)}/{path_segment('run_id', run_id)}"


# --- the client -------------------------------------------------------------------------------


class CopyAI:
    """A client of Copy.ai: cheap to make, no I/O, as many as you like over one pool.

    Every `get_…` and `list_…` is repeated after a fault that may pass; a start is repeated only
    when it certainly did not happen.

    Args:
        transport: a `SessionPool`.
        api_key: the workspace's API key, or an async function that returns one.
        base_url: Copy.ai's own by default.
        max_retries: how often a failed request is repeated, where that is safe. Default 3.
        allow_http: let plain http go to another machine.

    Raises:
        TypeError, ValueError: an argument cannot be; nothing is sent.
    """

    BASE_URL = "https://api.copy.ai/api/"

    def __init__(
        self,
        transport: Transport,
        *,
        api_key: str | TokenSource,
        base_url: str = BASE_URL,
        max_retries: int = 3,
        allow_http: bool = False,
    ) -> None:
        self._account = Account(
            transport,
            provider="copyai",
            base_url=base_url,
            token=api_key,
            argument="api_key",
            headers=_headers,
            max_retries=max_retries,
            allow_http=allow_http,
        )

    def __repr__(self) -> str:
        return f"<CopyAI {self._account.base_url}>"

    def workflow_run(self, workflow_id: str, run_id: str) -> WorkflowRunHandle:
        """Return the handle of a run whose ids are known; no I/O."""
        return WorkflowRunHandle(self._account, workflow_id, run_id, None)

    def task(self, ref: TaskRef) -> WorkflowRunHandle:
        """Return the handle that a reference stands for; no I/O.

        Raises:
            ValueError: the reference is of another provider, or of a kind that is not known here.
        """
        if (checked_ref(ref).provider, ref.kind) != ("copyai", "workflow_run"):
            msg = f"{ref} is not a task of Copy.ai: give it to its own provider's client"
            raise ValueError(msg)
        try:
            return WorkflowRunHandle(
                self._account, ref.ids["workflow_id"], ref.ids["run_id"], ref.created
            )
        except KeyError as error:
            msg = f"{ref}: the reference lacks {error}"
            raise ValueError(msg) from None

    async def start_workflow(
        self,
        workflow_id: str,
        start_variables: Mapping[str, object] | None = None,
        *,
        metadata: Mapping[str, object] | None = None,
    ) -> WorkflowRunHandle:
        """Start a run, which costs credits (page `start-a-workflow-run-2`).

        Args:
            workflow_id: as `WCFG-…`.
            start_variables: the workflow's inputs by its own names.
            metadata: anything of your own, which comes back with the run and its webhooks, and by
                which `find_started` finds a run whose id was lost. By default a random marker,
                since Copy.ai has nothing else to find it by; `{}` for none.

        Returns:
            the handle of the run.

        Raises:
            QuotaExceeded: the workspace is out of credits.
            AsyncClientError: it was refused, or with `may_have_started` it is not known whether
                it was started; its notes then say how to find out.
        """
        if start_variables is None:
            start_variables = {}
        if metadata is None:
            metadata = {_MARKER: uuid.uuid4().hex}
        mapping("start_variables", start_variables)
        mapping("metadata", metadata)
        body = {
            "startVariables": encode_argument("start_variables", start_variables),
            "metadata": encode_argument("metadata", metadata),
        }
        target = _runs_target(workflow_id)
        with telling(_how_to_find(workflow_id, bytes(body["metadata"]))):
            started = await self._account.call(_START_WORKFLOW, target, msgspec.json.encode(body))
            run_id = answered_id("copyai.start_workflow", "$.data.id", started.id)
        return WorkflowRunHandle(self._account, workflow_id, run_id, unix_time())

    async def find_started(
        self,
        workflow_id: str,
        *,
        metadata: Mapping[str, object],
        since: float | None = None,
        max_pages: int = 10,
    ) -> list[WorkflowRunHandle]:
        """Find the runs that bear some metadata, the newest first: what did a lost start start?

        For a start that failed with `may_have_started`. Copy.ai does not say how soon it lists a
        run: look again after some seconds before you take none for an answer.

        Args:
            workflow_id: the workflow.
            metadata: what the start gave, or the part of it that no other start gave; the start's
                error names it in its notes.
            since: the Unix time in seconds at which it was sent: the search ends where runs are
                a minute older, or more. Default None: at the last run.
            max_pages: pages of 100 runs to look through, from the newest on. Default 10.

        Returns:
            the handles of all runs among those whose metadata hold all of it; none when there is
            no such run.

        Raises:
            AsyncClientError: there is none among `max_pages`, and there are more; or a page could
                not be read.
            TypeError, ValueError: an argument cannot be; nothing is sent.
        """
        mapping("metadata", metadata)
        wanted: dict[str, object] = msgspec.json.decode(encode_argument("metadata", metadata))
        if not wanted:
            msg = "metadata is empty, which every run has: pass what the start gave"
            raise ValueError(msg)
        oldest = "" if since is None else _moment_at(since)
        whole_number("max_pages", max_pages, least=1)
        found: dict[str, str] = {}
        looked = 0
        unread = False
        async for page, more in self._newest_runs(workflow_id, max_pages, oldest):
            looked, unread = looked + len(page), more
            for run in page:
                if wanted.items() <= (run.metadata or {}).items():
                    found[_id_of(run)] = _moment(run)
        if unread and not found:
            raise AsyncClientError(
                f"copyai.find_started: no run with this metadata is among the newest {looked} of "
                f"{workflow_id}, and there are more",
                advice="pass since=, the time of the start, or larger max_pages",
            )
        newest_first = sorted(found, key=found.__getitem__, reverse=True)
        return [self.workflow_run(workflow_id, run_id) for run_id in newest_first]

    async def _newest_runs(
        self, workflow_id: str, max_pages: int, oldest: str
    ) -> AsyncIterator[tuple[list[WorkflowRun], bool]]:
        """Yield pages of runs from the newest on, and whether there are more, unread ones.

        Which end the list begins with, the page `get-all-workflow-runs-2` does not say. The times
        of the first page do; where it lies within one second, those of the last page.
        """
        first = await self.list_workflow_runs(workflow_id, size=_LARGEST_PAGE)
        total = as_int(first.total)
        last = None if total is None else -(-total // _LARGEST_PAGE)
        numbers: Iterable[int] = range(2, max_pages + 1)
        rises = 0
        if first.data and last is not None and last > 1:
            rises = _compared(first.data[0], first.data[-1])
            if not rises and max_pages > 1:
                tail = await self.list_workflow_runs(workflow_id, page=last, size=_LARGEST_PAGE)
                rises = _compared(first.data[0], tail.data[-1]) if tail.data else 0
            if rises > 0:
                numbers = range(last, max(1, last - max_pages), -1)
        is_over = not first.data or (last is not None and last <= 1)
        is_over = is_over or (rises <= 0 and _are_older(first.data, oldest))
        yield first.data, not is_over
        for which in () if is_over else numbers:
            page = await self.list_workflow_runs(workflow_id, page=which, size=_LARGEST_PAGE)
            # Runs that come meanwhile push others on to later pages: each page says how many.
            total = as_int(page.total)
            if rises > 0:
                is_over = which == 2  # noqa: PLR2004  (the first page was read first)
            else:
                is_over = total is not None and which * _LARGEST_PAGE >= total
            is_over = is_over or not page.data or _are_older(page.data, oldest)
            yield page.data, not is_over
            if is_over:
                return

    async def get_workflow_run(self, workflow_id: str, run_id: str) -> WorkflowRun:
        """Read how a run stands (page `get-workflow-run-2`)."""
        return await self._account.call(_GET_WORKFLOW_RUN, _run_target(workflow_id, run_id))

    async def list_workflow_runs(
        self, workflow_id: str, *, page: int = 1, size: int = 10
    ) -> WorkflowRunPage:
        """Read one page of a workflow's runs (page `get-all-workflow-runs-2`).

        Args:
            workflow_id: the workflow.
            page: from 1.
            size: runs a page, at most 100. Default 10.
        """
        _page_size(size)
        whole_number("page", page, least=1)
        target = f"{_runs_target(workflow_id)}{query_of(page=page, size=size)}"
        return await self._account.call(_LIST_WORKFLOW_RUNS, target)

    async def iter_workflow_runs(
        self, workflow_id: str, *, size: int = 100
    ) -> AsyncIterator[WorkflowRun]:
        """Yield all runs of a workflow, page by page.

        Args:
            workflow_id: the workflow.
            size: runs a page, at most 100. Default 100.
        """
        seen: set[str | None] = set()
        page_number = 1
        while True:
            page = await self.list_workflow_runs(workflow_id, page=page_number, size=size)
            # A run that begins while we read moves the others to the next page: each comes once.
            new = [run for run in page.data if run.id not in seen]
            seen.update(run.id for run in new)
            for run in new:
                yield run
            total = as_int(page.total)
            if not new or (total is not None and len(seen) >= total):
                return
            page_number += 1

    async def register_webhook(
        self, url: str, *, event_type: EventType, workflow_id: str | None = None
    ) -> Webhook:
        """Ask to be told of one kind of event (page `register-webhook-2`).

        A registration is for the whole workspace and stays until it is deleted. Deliveries are
        not signed: use an address that cannot be guessed, and let them only speed up a poll.

        Args:
            url: where to; https.
            event_type: the kind of event.
            workflow_id: the workflow; all of the workspace by default.
        """
        body: dict[str, str] = {
            "url": url_text("url", url),
            "eventType": one_of("event_type", event_type, _EVENT_TYPES),
        }
        chosen = optional_id("workflow_id", workflow_id)
        if chosen is not None:
            body["workflowId"] = chosen
        with telling("await copyai.list_webhooks() shows whether it was registered"):
            return await self._account.call(
                _REGISTER_WEBHOOK, "/webhook", msgspec.json.encode(body)
            )

    async def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one registration (page `get-webhook-2`)."""
        return await self._account.call(_GET_WEBHOOK, _webhook_target(webhook_id))

    async def list_webhooks(self, *, page: int = 0, size: int = 10) -> WebhookPage:
        """Read one page of registrations (page `get-all-webhooks-2`).

        Args:
            page: from 0, other than the list of runs.
            size: registrations a page, at most 100. Default 10.
        """
        _page_size(size)
        whole_number("page", page, least=0)
        return await self._account.call(_LIST_WEBHOOKS, f"/webhook{query_of(page=page, size=size)}")

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete a registration.

        Raises:
            NotFound: there is none (also when a try whose answer was lost did delete it).
        """
        await self._account.call(_DELETE_WEBHOOK, _webhook_target(webhook_id))

    @staticmethod
    def parse_webhook(body: bytes | str) -> WebhookEvent:
        """Read the body of a delivery, in any of its three known shapes; no I/O.

        Anyone can send one: treat it as a hint to poll now, never as a result.

        Raises:
            DecodeError: it is not a delivery.
            TypeError: it is neither bytes nor a text.
        """
        raw = bytes_of("body", body)
        event = decode(_event_decoder, Response(0, {}, raw), "copyai.parse_webhook")
        if not event.type and event.run_id is None:
            msg = "copyai.parse_webhook: the body names neither an event type nor a run"
            raise DecodeError(msg, path="$.type", excerpt=raw[:200].decode("utf-8", "replace"))
        return event


def _webhook_target(webhook_id: str) -> str:
    return f"/webhook/{path_segment('webhook_id', webhook_id)}"


def _how_to_find(workflow_id: str, metadata: bytes) -> str:
    """Say how to find out whether a start happened."""
    if metadata == b"{}":
        return (
            "it was given no metadata, so that only its time and its input tell its run from "
            f"others: look through copyai.iter_workflow_runs({workflow_id!r})"
        )
    shown = metadata.decode() if len(metadata) <= _LONGEST_WORDS else "what the start was given"
    return (
        f"await copyai.find_started({workflow_id!r}, metadata=..., since={unix_time()}) returns "
        f"the handle of its run if it did start; metadata: {shown}"
    )


def _id_of(run: WorkflowRun) -> str:
    try:
        return id_text("run_id", run.id or run.workflow_run_id or "")
    except ValueError as error:
        msg = f"copyai.find_started: a run with this metadata is listed, but {error}"
        raise DecodeError(msg, path="$.data.data.id") from None


def _moment(run: WorkflowRun) -> str:
    """Return when a run was created, as a text that sorts: with or without milliseconds, in UTC."""
    return (run.created_at or "").removesuffix("Z")


def _moment_at(since: object) -> str:
    seconds = number("since", since, unit="seconds", above=0) - _CLOCKS_DIFFER
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")[:_SECONDS]
    except (OverflowError, ValueError, OSError):
        msg = f"since={since!r} must be a Unix time in seconds, as time.time() gives it"
        raise ValueError(msg) from None


def _are_older(runs: list[WorkflowRun], moment: str) -> bool:
    return "" < max(map(_moment, runs), default="") < moment


def _compared(one: WorkflowRun, other: WorkflowRun) -> int:
    """Return 1 if the other was created in a later second, -1 if in an earlier one, else 0.

    Some times come cut down to whole seconds, and so would seem to be earlier than others.
    """
    before, after = _moment(one)[:_SECONDS], _moment(other)[:_SECONDS]
    return (before < after) - (before > after) if before and after else 0


def _page_size(size: int) -> None:
    whole_number("size", size, least=1)
    if size > _LARGEST_PAGE:
        msg = f"size={size} must be at most {_LARGEST_PAGE}"
        raise ValueError(msg)
