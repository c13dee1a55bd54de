"""Coze's documents as a task: how its answers are read, and its handle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from asyncclient._arguments import id_text
from asyncclient._http import Account, Handle, look_endpoint, path_segment
from asyncclient._ref import MANY_IDS
from asyncclient._state import TaskState
from asyncclient._task import Observation
from asyncclient.providers.coze._answers import Document, DocumentProgress
from asyncclient.providers.coze._bodies import document_ids_of
from asyncclient.providers.coze._endpoints import DOCUMENT_WORDS, GET_DOCUMENT_PROGRESS

# The order in which the states of several documents decide that of their task. A document with a
# missing or unknown word counts as not ended.
_DECIDES = (TaskState.RUNNING, None, TaskState.FAILED, TaskState.SUCCEEDED)


def observe_documents(
    document_ids: Sequence[str], progress: DocumentProgress
) -> Observation[DocumentProgress]:
    """Return the observation of an answer about some documents, as one task.

    It runs while any document runs; then it has failed if any has. Its progress is their mean, and
    its hint the longest time that Coze expects for one of them.

    Args:
        document_ids: the ids in the request.
        progress: the answer. No entry must repeat its id: those without one that was asked for
            stand for the others, unless there are more.
    """
    known = [one for one in progress.documents if str(one.document_id) in document_ids]
    named = {str(one.document_id) for one in known}
    missing = [each for each in document_ids if each not in named]
    others = [one for one in progress.documents if str(one.document_id) not in document_ids]
    if len(others) <= len(missing):
        known, missing = [*known, *others], missing[len(others) :]
    states = [(DOCUMENT_WORDS.state_of(one.status), one.status) for one in known]
    states += [(None, None) for _ in missing]
    state, word = min(states, key=lambda one: _DECIDES.index(one[0]), default=(None, None))
    shares = [one.progress for one in known if one.progress is not None]
    times = [
        one.remaining_time
        for one in known
        if one.remaining_time is not None
        and one.remaining_time > 0
        and DOCUMENT_WORDS.state_of(one.status) is TaskState.RUNNING
    ]
    return Observation(
        state,
        word,
        progress,
        reason=_document_reason(known, missing, alone=len(document_ids) == 1),
        progress=sum(shares) / len(shares) if shares else None,
        hint=max(times, default=None),
    )


def _document_reason(
    known: Sequence[Document], missing: Sequence[str], *, alone: bool
) -> str | None:
    """Return why documents failed, in Coze's words, and which are not in its answer."""
    reasons: list[str] = []
    for one in known:
        # The open-source server also describes documents that still run.
        if DOCUMENT_WORDS.state_of(one.status) is TaskState.FAILED:
            name = "" if alone else str(one.document_name or one.document_id)
            reasons.append(": ".join(filter(None, [name, one.status_descript])))
    if missing:
        reasons.append(f"no answer about {', '.join(missing)}")
    return "; ".join(reasons) or None


class DocumentProgressHandle(Handle[DocumentProgress]):
    """The processing of documents of one dataset, polled together. It cannot be cancelled.

    Attributes:
        document_ids: ids of 1 to 50 documents.
    """

    __slots__ = ("_body", "_look", "dataset_id", "document_ids")

    provider = "coze"
    ref_kind = "document_progress"
    group = "document"
    vocabulary = DOCUMENT_WORDS

    def __init__(
        self,
        account: Account,
        dataset_id: str,
        document_ids: Sequence[str],
        created: int | None,
    ) -> None:
        super().__init__(account, created)
        self.dataset_id = id_text("dataset_id", dataset_id)
        self.document_ids = document_ids_of(document_ids)
        observe = partial(observe_documents, self.document_ids)
        self._body = documents_body(self.document_ids)
        self._look = look_endpoint(GET_DOCUMENT_PROGRESS, observe)

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the dataset and, joined by commas, of the documents."""
        return {"dataset_id": self.dataset_id, MANY_IDS: ",".join(sorted(self.document_ids))}

    @property
    def _target(self) -> str:
        return documents_target(self.dataset_id)


def documents_target(dataset_id: str) -> str:
    return f"/v1/datasets/{path_segment('dataset_id', dataset_id)}/process"


def documents_body(document_ids: Sequence[str]) -> bytes:
    return msgspec.json.encode({"document_ids": document_ids})
