"""A reference in place of ids: where the kind is known, it leads to a handle of that kind."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from asyncclient import Handle, TaskRef, decode_ref, encode_ref
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle as CopyRunHandle
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTaskHandle,
    Coze,
    DocumentProgressHandle,
    WorkflowRunHandle,
)
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import client_of

RUN = TaskRef("coze", "workflow_run", {"workflow_id": "7350", "execute_id": "7431"}, 1_700_000_000)
COPY = TaskRef("coze", "copy_task", {"task_id": "123e4567"}, 1_700_000_000)
COPIED = TaskRef("coze", "copy_task", {"copied_entity_id": "7530"}, 1_700_000_000)
CHAT = TaskRef("coze", "chat", {"conversation_id": "7381", "chat_id": "7382"}, 1_700_000_000)
DOCUMENTS = TaskRef("coze", "document_progress", {"dataset_id": "7442", "document_ids": "1,2"}, 17)
COPYAI_RUN = TaskRef("copyai", "workflow_run", {"workflow_id": "WCFG-1", "run_id": "WRUN-1"}, None)

COZE = Coze(ScriptedTransport(), token="pat_1", account="acme")
COPYAI = CopyAI(ScriptedTransport(), api_key="key-1", account="acme")

# Each method that takes a reference, the references that it takes, and what it returns for them.
TAKEN: list[tuple[Callable[[TaskRef], Handle[object]], TaskRef, type[Handle[object]]]] = [
    (COZE.workflow_run, RUN, WorkflowRunHandle),
    (COZE.copy_task, COPY, CopyTaskHandle),
    (COZE.copy_task, COPIED, CopyTaskHandle),
    (COZE.chat, CHAT, ChatHandle),
    (COZE.document_progress, DOCUMENTS, DocumentProgressHandle),
    (COPYAI.workflow_run, COPYAI_RUN, CopyRunHandle),
]
each_taken = pytest.mark.parametrize(
    ("take", "ref", "kind"), TAKEN, ids=[str(ref) for _, ref, _ in TAKEN]
)


@each_taken
def test_a_reference_leads_to_the_handle_of_its_kind(
    take: Callable[[TaskRef], Handle[object]], ref: TaskRef, kind: type[Handle[object]]
) -> None:
    """It is the handle that `task()` returns, and knows when its task began."""
    handle = take(decode_ref(encode_ref(ref)))
    client = COPYAI if ref.provider == "copyai" else COZE
    assert type(handle) is kind
    assert handle.key == client.task(ref).key
    assert handle.ref == msgspec.structs.replace(ref, account="acme")
    assert handle.created == ref.created


@each_taken
def test_a_client_without_a_name_keeps_that_of_a_reference(
    take: Callable[[TaskRef], Handle[object]], ref: TaskRef, kind: type[Handle[object]]
) -> None:
    """A worker finds its client by the name; the task is that of the client's own account."""
    del take, kind
    unnamed = client_of(ref.provider, ScriptedTransport())
    named = msgspec.structs.replace(ref, account="zenith")
    handle, plain = unnamed.task(named), unnamed.task(ref)
    assert (handle.ref, plain.ref) == (named, ref)
    assert (handle.key, handle.budget) == (plain.key, plain.budget)


@each_taken
def test_a_reference_that_is_not_ones_own_is_refused(
    take: Callable[[TaskRef], Handle[object]], ref: TaskRef, kind: type[Handle[object]]
) -> None:
    """Of another name, kind or provider, or without an id: the error says which."""
    replace = msgspec.structs.replace
    assert type(take(replace(ref, account="acme"))) is kind
    with pytest.raises(ValueError, match=rf"^{ref} .*'zenith'.*'acme'"):
        take(replace(ref, account="zenith"))
    with pytest.raises(ValueError, match=r"the reference lacks '\w+_ids?'"):
        take(replace(ref, ids={}))
    with pytest.raises(ValueError, match="empty"):
        take(replace(ref, ids=dict.fromkeys(ref.ids, "")))
    for other in (RUN, COPY, COPIED, CHAT, DOCUMENTS, COPYAI_RUN):
        if (other.provider, other.kind) != (ref.provider, ref.kind):
            with pytest.raises(ValueError, match=f"^{other} is (no |not a )"):
                take(other)


EITHER = "pass %s, or a TaskRef alone"
RUN_IDS = EITHER % "workflow_id and execute_id"
CHAT_IDS = EITHER % "conversation_id and chat_id"
DOCUMENT_IDS = EITHER % "dataset_id and document_ids"
COPYAI_IDS = EITHER % "workflow_id and run_id"
# What no type checker lets pass: the method, what it is given, and what its error says.
MIXED: list[tuple[Callable[..., object], tuple[object, ...], str]] = [
    (COZE.workflow_run, (RUN, "7431"), RUN_IDS),
    (COZE.workflow_run, ("7350", RUN), "execute_id must be a text, not TaskRef"),
    (COZE.workflow_run, ("7350",), RUN_IDS),
    (COZE.workflow_run, (encode_ref(RUN),), RUN_IDS),
    (COZE.workflow_run, (None, None), RUN_IDS),
    (COZE.chat, (CHAT, "7382"), CHAT_IDS),
    (COZE.chat, (CHAT, CHAT), CHAT_IDS),
    (COZE.chat, ("7381",), CHAT_IDS),
    (COZE.document_progress, ("7442",), DOCUMENT_IDS),
    (COZE.document_progress, (DOCUMENTS, ["1"]), DOCUMENT_IDS),
    (COZE.document_progress, ("7442", "1"), "document_ids must be a list of ids"),
    (COZE.copy_task, (CHAT.ids,), "task_id must be a text"),
    (COPYAI.workflow_run, (COPYAI_RUN, "WRUN-1"), COPYAI_IDS),
    (COPYAI.workflow_run, ("WCFG-1",), COPYAI_IDS),
    (COZE.task, (encode_ref(RUN),), ".*decode_ref"),
    (COPYAI.task, (encode_ref(RUN),), ".*decode_ref"),
]


@pytest.mark.parametrize(("call", "given", "words"), MIXED)
def test_ids_and_a_reference_do_not_mix(
    call: Callable[..., object], given: tuple[object, ...], words: str
) -> None:
    """Half of the ids, or a reference beside one, is a `TypeError` that says what to pass."""
    with pytest.raises(TypeError, match=f"^{words}"):
        call(*given)


def test_ids_may_be_given_by_their_names() -> None:
    """The two ways in are one handle; only the reference knows when the task began."""
    run = COZE.workflow_run(workflow_id="7350", execute_id="7431")
    chat = COZE.chat(conversation_id="7381", chat_id="7382")
    copied = COPYAI.workflow_run(workflow_id="WCFG-1", run_id="WRUN-1")
    assert (run.key, run.created) == (COZE.workflow_run(RUN).key, None)
    assert (chat.key, chat.created) == (COZE.chat(CHAT).key, None)
    assert COZE.copy_task(task_id="123e4567").key == COZE.copy_task(COPY).key
    assert (copied.key, copied.created) == (COPYAI.workflow_run(COPYAI_RUN).key, None)
