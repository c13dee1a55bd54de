"""The client of Copy.ai: a coroutine for each endpoint."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self, overload

import msgspec

from asyncclient._arguments import (
    id_text,
    mapping,
    number,
    whole_number,
)
from asyncclient._http import (
    Account,
    TokenSource,
    Transport,
    WithoutFrames,
    concealed,
    encode_argument,
    query_of,
)
from asyncclient._ref import TaskRef, checked_ref, unix_time
from asyncclient._text import even_half_made
from asyncclient.errors import AsyncClientError, DecodeError
from asyncclient.providers._environment import Variables, check_address
from asyncclient.providers._paging import Page, every_item
from asyncclient.providers._reading import as_int
from asyncclient.providers._starting import AddingAdvice, ids_or_ref, started_id
from asyncclient.providers.copyai._answers import (
    WorkflowRun,
    WorkflowRunPage,
)
from asyncclient.providers.copyai._endpoints import (
    GET_WORKFLOW_RUN,
    LIST_WORKFLOW_RUNS,
    LONGEST_WORDS,
    NO_API,
    START_WORKFLOW,
    headers_of,
)
from asyncclient.providers.copyai._tasks import WorkflowRunHandle, run_target, runs_target
from asyncclient.providers.copyai._webhooks import LARGEST_PAGE, Webhooks, page_size

# The metadata of a start that was given none, so that `find_started` can find it.
_MARKER = "asyncclient_start"
# Seconds by which the caller's clock and Copy.ai's may differ.
_CLOCKS_DIFFER = 60.0
# A time's first characters, to whole seconds.
_SECONDS = len("2026-01-01T00:00:00")


class CopyAI(Webhooks):
    """A client of Copy.ai. Making one is cheap and does no I/O; many can share one pool.

    Every `get_…` and `list_…` is repeated after a fault that may pass; a start is repeated only
    when it certainly did not happen.

    Args:
        transport: a `SessionPool`.
        api_key: the workspace's API key, or an async function that returns one within 60 s.
        base_url: Copy.ai's own by default.
        max_retries: how often a failed request is repeated, where that is safe. Default 3.
        allow_http: let plain http go to another machine.
        account: a name for the account, not a secret. Clients with equal names at one base URL are
            one account, and references carry the name. By default the key identifies the account:
            each source of keys is an account of its own, and all unnamed sources share one budget.

    Raises:
        TypeError, ValueError: an argument is not valid; nothing is sent.
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
        account: str | None = None,
    ) -> None:
        api_key = concealed(api_key)  # a traceback with locals shows this frame
        of_api = f"Copy.ai's API: pass CopyAI.BASE_URL ({self.BASE_URL!r})"
        check_address(base_url, NO_API, of_api)
        self._account = Account(
            transport,
            provider="copyai",
            base_url=base_url,
            token=api_key,
            argument="api_key",
            headers=headers_of,
            max_retries=max_retries,
            allow_http=allow_http,
            name=account,
        )

    @classmethod
    def from_env(cls, transport: Transport) -> Self:
        """Make a client of `COPYAI_API_KEY` and `COPYAI_API_BASE`, by default its own; no I/O.

        Args:
            transport: a `SessionPool`.

        Raises:
            ValueError: an environment variable is missing or not valid.
        """
        api_key = VARIABLES.read_credential()
        return cls(transport, api_key=api_key, base_url=VARIABLES.read_base_url())

    @even_half_made
    def __repr__(self) -> str:
        return f"<CopyAI {self._account.base_url}>"

    @overload
    def workflow_run(self, workflow_id: str, run_id: str) -> WorkflowRunHandle: ...

    @overload
    def workflow_run(self, ref: TaskRef, /) -> WorkflowRunHandle: ...

    def workflow_run(
        self, workflow_id: str | TaskRef, run_id: str | None = None
    ) -> WorkflowRunHandle:
        """Return the handle of a run, from its ids or from its reference alone; no I/O.

        Raises:
            TypeError: it is neither.
            ValueError: an id is not valid, or the reference is of another kind of task or another
                named account.
        """
        given = ids_or_ref(workflow_id, run_id, names="workflow_id and run_id")
        if isinstance(given, TaskRef):
            return self.task(given)
        return WorkflowRunHandle(self._account, *given, None)

    def task(self, ref: TaskRef) -> WorkflowRunHandle:
        """Return the handle that a reference stands for; no I/O.

        Raises:
            ValueError: the reference is of another provider, another named account, or an unknown
                kind.
        """
        if (checked_ref(ref).provider, ref.kind) != ("copyai", "workflow_run"):
            msg = f"{ref} is not a task of Copy.ai: pass it to its own provider's client"
            raise ValueError(msg)
        account = self._account.of(ref)
        try:
            return WorkflowRunHandle(
                account, ref.ids["workflow_id"], ref.ids["run_id"], ref.created
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
            metadata: any data of yours. It comes back with the run and its webhooks, and
                `find_started` finds a run whose id was lost by it. Default: a random marker, since
                nothing else identifies such a run; `{}` for none.

        Returns:
            the handle of the run.

        Raises:
            QuotaExceeded: the workspace is out of credits.
            AsyncClientError: it was refused. With `may_have_started` it is not known whether it was
                started; the error's notes say how to find out.
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
        target = runs_target(workflow_id)
        with AddingAdvice(_how_to_find(workflow_id, bytes(body["metadata"]))):
            started = await self._account.call(START_WORKFLOW, target, msgspec.json.encode(body))
            run_id = started_id("copyai.start_workflow", "$.data.id", started.id)
        return WorkflowRunHandle(self._account, workflow_id, run_id, unix_time())

    async def find_started(
        self,
        workflow_id: str,
        *,
        metadata: Mapping[str, object],
        since: float | None = None,
        max_pages: int = 10,
    ) -> list[WorkflowRunHandle]:
        """Find the runs that have some metadata, the newest first, after a start whose id was lost.

        Use it after a start that failed with `may_have_started`. Copy.ai does not say how soon it
        lists a run: when none is found, look again after some seconds.

        Args:
            workflow_id: the workflow.
            metadata: the metadata of the start, or a part that no other start has; the notes of the
                start's error show it.
            since: the Unix time in seconds at which it was sent: the search ends at runs that are
                over a minute older. Default None: it ends at the last run.
            max_pages: pages of 100 runs to look through, from the newest on. Default 10.

        Returns:
            the handles of all runs with this metadata; an empty list when there is no such run.

        Raises:
            AsyncClientError: no such run is on `max_pages` pages, and there are more pages; or a
                page could not be read.
            TypeError, ValueError: an argument is not valid; nothing is sent.
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
        with WithoutFrames():
            async for page, more in self._newest_runs(workflow_id, max_pages, oldest):
                looked, unread = looked + len(page), more
                for run in page:
                    if wanted.items() <= (run.metadata or {}).items():
                        found[_id_of(run)] = _moment(run)
            if unread and not found:
                raise AsyncClientError(
                    f"copyai.find_started: no run with this metadata is among the newest {looked} "
                    f"of {workflow_id}, and there are more",
                    advice="pass since=, the time of the start, or larger max_pages",
                )
        newest_first = sorted(found, key=found.__getitem__, reverse=True)
        return [self.workflow_run(workflow_id, run_id) for run_id in newest_first]

    async def _newest_runs(
        self, workflow_id: str, max_pages: int, oldest: str
    ) -> AsyncIterator[tuple[list[WorkflowRun], bool]]:
        """Yield pages of runs from the newest on, and whether there are more.

        The page `get-all-workflow-runs-2` does not say whether the list begins with the newest run.
        The times of the first page show it or, if that page covers only one second, those of the
        last page.
        """
        first = _page_of(await self.list_workflow_runs(workflow_id, size=LARGEST_PAGE))
        last = None if first.total is None else -(-first.total // LARGEST_PAGE)
        numbers: Iterable[int] = range(2, max_pages + 1)
        rises = 0
        if first.items and last is not None and last > 1:
            rises = _compared(first.items[0], first.items[-1])
            if not rises and max_pages > 1:
                tail = await self.list_workflow_runs(workflow_id, page=last, size=LARGEST_PAGE)
                rises = _compared(first.items[0], tail.data[-1]) if tail.data else 0
            if rises > 0:
                numbers = range(last, max(1, last - max_pages), -1)
        is_over = last is not None and last <= 1
        is_over = is_over or (rises <= 0 and _are_older(first.items, oldest))
        # An empty page is the end only where no total promises more.
        more = not is_over and (bool(first.items) or first.total is not None)
        yield first.items, more
        for which in numbers if more and first.items else ():
            page = _page_of(
                await self.list_workflow_runs(workflow_id, page=which, size=LARGEST_PAGE)
            )
            # Runs that come meanwhile push others on to later pages: each page says how many.
            if rises > 0:
                is_over = which == 2  # noqa: PLR2004  (the first page was read first)
            else:
                is_over = page.total is not None and which * LARGEST_PAGE >= page.total
            is_over = is_over or _are_older(page.items, oldest)
            more = not is_over and (bool(page.items) or page.total is not None)
            yield page.items, more
            if not more or not page.items:
                return

    async def get_workflow_run(self, workflow_id: str, run_id: str) -> WorkflowRun:
        """Read the state of a run (page `get-workflow-run-2`)."""
        return await self._account.call(GET_WORKFLOW_RUN, run_target(workflow_id, run_id))

    async def list_workflow_runs(
        self, workflow_id: str, *, page: int = 1, size: int = 10
    ) -> WorkflowRunPage:
        """Read one page of a workflow's runs (page `get-all-workflow-runs-2`).

        Args:
            workflow_id: the workflow.
            page: from 1.
            size: runs a page, at most 100. Default 10.
        """
        page_size(size)
        whole_number("page", page, least=1)
        target = f"{runs_target(workflow_id)}{query_of(page=page, size=size)}"
        return await self._account.call(LIST_WORKFLOW_RUNS, target)

    async def iter_workflow_runs(
        self, workflow_id: str, *, size: int = 100
    ) -> AsyncIterator[WorkflowRun]:
        """Yield all runs of a workflow, page by page, each once.

        Args:
            workflow_id: the workflow.
            size: runs a page, at most 100. Default 100.

        Raises:
            AsyncClientError: a page could not be read, or the list had fewer runs than its total;
                the runs read before that were yielded.
        """

        async def read(number: int) -> Page[WorkflowRun]:
            return _page_of(await self.list_workflow_runs(workflow_id, page=number, size=size))

        name = "copyai.iter_workflow_runs"
        items = every_item(name, read, lambda run: run.id or run.workflow_run_id)
        async for item in items:
            yield item


def _page_of(page: WorkflowRunPage) -> Page[WorkflowRun]:
    return Page(page.data, as_int(page.total))


def _how_to_find(workflow_id: str, metadata: bytes) -> str:
    """Return how to find out whether a start happened."""
    if metadata == b"{}":
        return (
            "it was given no metadata, so that only its time and its input distinguish its run "
            f"from others: look through copyai.iter_workflow_runs({workflow_id!r})"
        )
    shown = metadata.decode() if len(metadata) <= LONGEST_WORDS else "what the start was given"
    return (
        f"await copyai.find_started({workflow_id!r}, metadata=..., since={unix_time()}) returns "
        f"the handle of its run if it did start; metadata: {shown}"
    )


def _id_of(run: WorkflowRun) -> str:
    with suppress(ValueError):
        return id_text("run_id", run.id or run.workflow_run_id or "")
    msg = "copyai.find_started: a run with this metadata is listed, but run_id is not readable"
    raise DecodeError(msg, path="$.data.data.id")


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


VARIABLES = Variables(
    credential="COPYAI_API_KEY",
    what="an API key of Copy.ai",
    base="COPYAI_API_BASE",
    default=CopyAI.BASE_URL,
    places=CopyAI.BASE_URL,
    no_api=NO_API,
)
