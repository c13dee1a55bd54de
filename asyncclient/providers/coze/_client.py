"""The client of Coze: a coroutine for each endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self, TypeVar, cast, overload

from asyncclient._arguments import id_text
from asyncclient._http import Account, Handle, TokenSource, Transport, concealed
from asyncclient._ref import MANY_IDS, TaskRef, checked_ref
from asyncclient._text import even_half_made
from asyncclient.providers._environment import Variables, check_address
from asyncclient.providers._starting import ids_or_ref
from asyncclient.providers.coze._answers import Chat, CopyTask, DocumentProgress, WorkflowRun
from asyncclient.providers.coze._auth import CozeJWT
from asyncclient.providers.coze._bots import Bots
from asyncclient.providers.coze._chats import Chats
from asyncclient.providers.coze._documents import DocumentProgressHandle
from asyncclient.providers.coze._endpoints import headers_of
from asyncclient.providers.coze._tasks import ChatHandle, CopyTaskHandle, WorkflowRunHandle
from asyncclient.providers.coze._workflows import Workflows
from asyncclient.providers.coze._workspaces import Workspaces

# What has no host, where people use Coze in a browser, and a path of the API's.
_NO_API = re.compile(
    r"(?!.*://)|https?://(?:(?:www\.)?coze\.(?:cn|com)(?:[:/]|$)"
    r"|api\.coze\.(?:cn|com)(?::\d+)?/+[^/?#])",
    re.IGNORECASE,
)

H = TypeVar("H", WorkflowRunHandle, CopyTaskHandle, ChatHandle, DocumentProgressHandle)


class Coze(Workflows, Chats, Bots, Workspaces):
    """A client of Coze. Making one is cheap and does no I/O; many can share one pool.

    Every `get_…` and `list_…` is repeated after a fault that may pass; a start is repeated only
    when it certainly did not happen. Ids are texts: they exceed what JSON numbers can hold.

    Args:
        transport: a `SessionPool`.
        token: a personal or service access token, an async function that returns one within 60 s,
            or a `CozeJWT`.
        base_url: `Coze.COM` (default) or `Coze.CN`; tokens, bots and ids of one region are unknown
            in the other.
        max_retries: how often a failed request is repeated, where that is safe. Default 3.
        allow_http: let plain http go to another machine, for a self-hosted server.
        account: a name for the account, not a secret. Clients with equal names at one base URL are
            one account, and references carry the name. By default the token identifies the account:
            each source of tokens is an account of its own, and all unnamed sources share one
            budget.

    Raises:
        TypeError, ValueError: an argument is not valid; nothing is sent.
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
        account: str | None = None,
    ) -> None:
        token = concealed(token)  # a traceback with locals shows this frame
        of_api = f"Coze.CN ({self.CN!r}) or Coze.COM ({self.COM!r})"
        check_address(base_url, _NO_API, f"Coze's API: pass {of_api}")
        if isinstance(token, str) and token.lower().startswith("bearer "):
            msg = "token: pass the token alone, without 'Bearer '"
            raise ValueError(msg)
        credential = token.credential if isinstance(token, CozeJWT) else None
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
            name=account,
            credential=credential,
        )

    @classmethod
    def from_env(cls, transport: Transport) -> Self:
        """Make a client of `COZE_API_TOKEN` and `COZE_API_BASE`, by default `Coze.COM`; no I/O.

        Args:
            transport: a `SessionPool`.

        Raises:
            ValueError: an environment variable is missing or not valid.
        """
        token = VARIABLES.read_credential()
        return cls(transport, token=token, base_url=VARIABLES.read_base_url())

    @even_half_made
    def __repr__(self) -> str:
        return f"<Coze {self._account.base_url}>"

    @overload
    def workflow_run(self, workflow_id: str, execute_id: str) -> WorkflowRunHandle: ...

    @overload
    def workflow_run(self, ref: TaskRef, /) -> WorkflowRunHandle: ...

    def workflow_run(
        self, workflow_id: str | TaskRef, execute_id: str | None = None
    ) -> WorkflowRunHandle:
        """Return the handle of a run, from its ids or from its reference alone; no I/O.

        Raises:
            TypeError: it is neither.
            ValueError: an id is not valid, or the reference is of another kind of task or another
                named account.
        """
        given = ids_or_ref(workflow_id, execute_id, names="workflow_id and execute_id")
        if isinstance(given, TaskRef):
            return self._handle_of(WorkflowRunHandle, given)
        return WorkflowRunHandle(self._account, *given, None)

    def copy_task(self, task_id: str | TaskRef) -> CopyTaskHandle:
        """Return the handle of a copy task, from its id or its reference; no I/O.

        Raises:
            TypeError: it is neither.
            ValueError: the id is not valid, or the reference is of another kind of task or another
                named account.
        """
        if isinstance(task_id, TaskRef):
            return self._handle_of(CopyTaskHandle, task_id)
        return CopyTaskHandle(self._account, id_text("task_id", task_id), None)

    @overload
    def chat(self, conversation_id: str, chat_id: str) -> ChatHandle: ...

    @overload
    def chat(self, ref: TaskRef, /) -> ChatHandle: ...

    def chat(self, conversation_id: str | TaskRef, chat_id: str | None = None) -> ChatHandle:
        """Return the handle of a chat, from its ids or from its reference alone; no I/O.

        Raises:
            TypeError: it is neither.
            ValueError: an id is not valid, or the reference is of another kind of task or another
                named account.
        """
        given = ids_or_ref(conversation_id, chat_id, names="conversation_id and chat_id")
        if isinstance(given, TaskRef):
            return self._handle_of(ChatHandle, given)
        return ChatHandle(self._account, *given, None)

    @overload
    def document_progress(
        self, dataset_id: str, document_ids: Sequence[str]
    ) -> DocumentProgressHandle: ...

    @overload
    def document_progress(self, ref: TaskRef, /) -> DocumentProgressHandle: ...

    def document_progress(
        self, dataset_id: str | TaskRef, document_ids: Sequence[str] | None = None
    ) -> DocumentProgressHandle:
        """Return one handle for the processing of 1 to 50 documents, as one task; no I/O.

        One look reads all of them (page `get_dataset_progress`). The task runs while any document
        is processed; then it has failed if any document failed. Its progress is the mean of theirs,
        in percent.

        Args:
            dataset_id: the dataset (Coze's knowledge base) that holds them all.
            document_ids: ids of 1 to 50 documents, each once; or pass a reference alone.

        Raises:
            TypeError: it is neither, or `document_ids` is no list of texts.
            ValueError: an id is not valid, there is no id, there are more than 50, or one occurs
                twice; or the reference is of another kind of task or another named account.
        """
        given = ids_or_ref(dataset_id, document_ids, names="dataset_id and document_ids")
        if isinstance(given, TaskRef):
            return self._handle_of(DocumentProgressHandle, given)
        return DocumentProgressHandle(self._account, *given, None)

    def task(self, ref: TaskRef) -> Handle[WorkflowRun | CopyTask | Chat | DocumentProgress]:
        """Return the handle of a reference's task; no I/O.

        It is a `WorkflowRunHandle`, `CopyTaskHandle`, `ChatHandle` or `DocumentProgressHandle`, by
        the kind of the reference. You can wait for it as it is; the answer's type shows what ran.
        If you know the kind, `workflow_run(ref)`, `copy_task(ref)`, `chat(ref)` and
        `document_progress(ref)` return a precise type.

        Raises:
            ValueError: the reference is of another provider, another named account, or an unknown
                kind.
        """
        handle: object = self._handle(checked_ref(ref))
        return cast("Handle[WorkflowRun | CopyTask | Chat | DocumentProgress]", handle)

    def _handle_of(self, kind: type[H], ref: TaskRef) -> H:
        """Return the handle that a reference stands for, if it is of this kind."""
        handle = self._handle(ref)
        if isinstance(handle, kind):
            return handle
        msg = f"{ref} is not a {kind.ref_kind}: task() takes a reference of any kind"
        raise ValueError(msg)

    def _handle(
        self, ref: TaskRef
    ) -> WorkflowRunHandle | CopyTaskHandle | ChatHandle | DocumentProgressHandle:
        account = self._account.of(ref) if ref.provider == "coze" else self._account
        ids = ref.ids
        try:
            match (ref.provider, ref.kind):
                case ("coze", "workflow_run"):
                    return WorkflowRunHandle(
                        account, ids["workflow_id"], ids["execute_id"], ref.created
                    )
                case ("coze", "copy_task"):
                    return CopyTaskHandle(
                        account,
                        ids.get("task_id"),
                        ref.created,
                        None if "task_id" in ids else ids["copied_entity_id"],
                    )
                case ("coze", "chat"):
                    return ChatHandle(account, ids["conversation_id"], ids["chat_id"], ref.created)
                case ("coze", "document_progress"):
                    documents = ids[MANY_IDS].split(",")
                    return DocumentProgressHandle(
                        account, ids["dataset_id"], documents, ref.created
                    )
                case _:
                    msg = f"{ref} is not a task of Coze: pass it to its own provider's client"
                    raise ValueError(msg)
        except KeyError as error:
            msg = f"{ref}: the reference lacks {error}"
            raise ValueError(msg) from None


VARIABLES = Variables(
    credential="COZE_API_TOKEN",
    what="a token of Coze",
    base="COZE_API_BASE",
    default=Coze.COM,
    places=f"{Coze.COM} or {Coze.CN}, the region of your token",
    no_api=_NO_API,
)
