"""Tests of references: written, read, equal or not, and how old a task is by its own."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, strategies as st
from rich.pretty import pretty_repr

from asyncclient._arguments import LONGEST_ID
from asyncclient._ref import (
    TaskRef,
    age_of,
    checked_ref,
    decode_ref,
    encode_ref,
    is_same_task,
    task_key,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport

if TYPE_CHECKING:
    from asyncclient._http import Handle

REF = TaskRef("coze", "chat", {"conversation_id": "7350", "chat_id": "7351"}, 1_700_000_000)

REFS = st.builds(
    TaskRef,
    provider=st.text(),
    kind=st.text(),
    ids=st.dictionaries(st.text(), st.text(), max_size=5),
    created=st.none() | st.integers(-(2**63), 2**63 - 1),
    account=st.none() | st.text(),
)


def test_a_signed_address_is_shown_without_its_query() -> None:
    """By `str`, `repr` and rich; what it is asked with may be long, and is not shown either."""
    ids = {"path": "https://x.example/7?sig=s1gned", "body": '"s1gned"', "cancel": "POST /?s1gned"}
    ref = TaskRef("acme", "acme.job", ids, 7)
    assert str(ref) == "acme job https://x.example/7"
    assert repr(ref) == (
        "TaskRef(provider='acme', kind='acme.job', ids={'path': 'https://x.example/7'}, "
        "created=7, account=None)"
    )
    assert "s1gned" not in pretty_repr(ref)
    assert "s1gned" in encode_ref(ref)
    assert str(REF) == "coze chat 7350/7351"


@given(REFS)
def test_a_reference_reads_back_as_it_was_written(ref: TaskRef) -> None:
    """What `encode_ref` writes is one line, and `decode_ref` makes an equal reference of it."""
    text = encode_ref(ref)
    assert "\n" not in text
    assert decode_ref(text) == decode_ref(text.encode()) == ref
    assert hash(decode_ref(text)) == hash(ref)
    assert encode_ref(decode_ref(text)) == text


def handles(identity: str, account: str | None = None) -> list[Handle[object]]:
    """Make a handle of each kind of task, with this one for each of its ids."""
    transport = ScriptedTransport([])
    coze = Coze(transport, token="pat_s3cret", account=account)
    copyai = CopyAI(transport, api_key="key_s3cret", account=account)
    return [
        coze.workflow_run(identity, identity),
        coze.copy_task(identity),
        coze.task(TaskRef("coze", "copy_task", {"copied_entity_id": identity})),
        coze.chat(identity, identity),
        copyai.workflow_run(identity, identity),
    ]


# The longest that a provider gives.
REAL_ID = "WRUN-6b1c3e2a-8d54-4c2f-9a3e-1f2d3c4b5a69"
LETTERS = {"digit": "7", "quote": '"', "backslash": "\\", "four bytes": "\U0001f375"}


@pytest.mark.parametrize(
    ("identity", "most"),
    [(REAL_ID, 300), *((letter * LONGEST_ID, 2300) for letter in LETTERS.values())],
    ids=["real", *LETTERS],
)
@pytest.mark.parametrize(
    "account", [None, "a" * 90, '"' * 25, "\\" * 25, "\U0001f375" * 22], ids=[None, *LETTERS]
)
def test_a_reference_is_as_small_as_its_ids_and_its_account(
    identity: str, most: int, account: str | None
) -> None:
    """It adds 121 bytes at most to what they take as JSON, and nothing of the credential."""
    for handle in handles(identity, account):
        assert handle.ref is not None
        ref = msgspec.structs.replace(handle.ref, created=1_700_000_000)
        text = encode_ref(ref)
        ids = sum(len(msgspec.json.encode(one)) - 2 for one in ref.ids.values())
        assert len(text.encode()) <= ids + len(msgspec.json.encode(account)) + 121
        assert len(text.encode()) < most
        assert decode_ref(text) == ref
        assert "s3cret" not in text + repr(handle)


def test_equal_references_are_one_key() -> None:
    """The ids may stand in any order, as PostgreSQL's jsonb gives them; no field can be changed."""
    other = TaskRef("coze", "chat", {"conversation_id": "7350", "chat_id": "7352"}, 1_700_000_000)
    stored = TaskRef("coze", "chat", {"chat_id": "7351", "conversation_id": "7350"}, 1_700_000_000)
    assert stored == REF
    assert {REF: "one", other: "two"} == {stored: "one", other: "two"}
    assert len({REF, stored, other}) == 2
    # The ids are in the hash, or a million tasks would be looked up one by one.
    refs = [TaskRef("coze", "copy_task", {"task_id": str(number)}, 7) for number in range(100)]
    assert len({hash(ref) for ref in refs}) > 90
    for field in TaskRef.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(REF, field, None)


def test_a_value_that_is_no_reference_is_refused_with_what_to_pass() -> None:
    """The error says what it got: a handle is not its reference, and neither is a text."""
    assert checked_ref(REF) is REF
    for wrong in (None, "{}", {"provider": "coze"}, 7, handles("7350")[3]):
        name = type(wrong).__name__
        with pytest.raises(TypeError, match=rf"takes a TaskRef \(a handle's \.ref\), not {name}$"):
            encode_ref(wrong)
        with pytest.raises(
            TypeError, match=rf"^task\(\) takes a TaskRef, not {name}: .* with decode_ref first$"
        ):
            checked_ref(wrong)
    for no_text in (None, 7, REF, ["{}"], bytearray(b"{}")):
        words = f"takes the text that encode_ref wrote, not {type(no_text).__name__}"
        with pytest.raises(TypeError, match=words):
            decode_ref(no_text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(('{"v":0}', "0"), ('{"v":"1"}', "'1'"), ('{"v":null}', "None"), ('{"v":[1]}', "[1]")),
        ('{"provider":"coze","kind":"chat","ids":{}}', "None"),
        ('{"v":3,"job":["coze"],"account":7}', "3"),
    ],
)
def test_an_unknown_version_says_what_to_do(text: str, shown: str) -> None:
    """The version is read first, so that a newer form is not taken for garbage."""
    with pytest.raises(ValueError, match="this library reads version 2; update it") as refused:
        decode_ref(text)
    assert f"of version {shown}: " in str(refused.value)


def test_the_form_of_a_reference_is_fixed() -> None:
    """It lies in the tables of users, as this release writes it or as the first one did."""
    first = (
        '{"provider":"coze","kind":"chat","ids":{"conversation_id":"7350","chat_id":"7351"},'
        '"created":1700000000,"v":1}'
    )
    made = TaskRef(REF.provider, REF.kind, REF.ids, REF.created, v=1)
    for old in (decode_ref(first), made):
        assert (old, old.v, hash(old)) == (REF, 2, hash(REF))
    with pytest.raises(ValueError, match=r"of version 3, and this library knows 2$"):
        TaskRef(REF.provider, REF.kind, REF.ids, v=3)
    assert encode_ref(REF) == first.replace('"v":1', '"account":null,"v":2')


def test_references_are_of_one_task_unless_ids_or_two_named_accounts_differ() -> None:
    """A reference that names no account may be of any; when it was made makes no difference."""
    replace = msgspec.structs.replace
    acme = replace(REF, account="acme")
    for same in (acme, REF, replace(REF, created=None), replace(acme, created=None)):
        assert is_same_task(acme, same)
        assert is_same_task(same, acme)
        assert is_same_task(REF, same)
    fields = (
        {"account": "zenith"},
        {"provider": "other"},
        {"kind": "x"},
        {"ids": {"chat_id": "1"}},
    )
    for other in (replace(REF, **field) for field in fields):
        assert not is_same_task(acme, other)
        assert not is_same_task(acme, replace(other, created=None))


@given(st.permutations(["conversation_id", "chat_id", "section_id"]), REFS)
def test_a_key_is_the_account_the_kind_and_the_ids_in_any_order(
    names: list[str], other: TaskRef
) -> None:
    """Two tasks are one where all of these are equal; when a task began makes no difference."""
    ids = {"conversation_id": "1", "chat_id": "2", "section_id": "3"}
    ref = TaskRef("coze", "chat", ids, 1_700_000_000)
    mixed = TaskRef("coze", "chat", {name: ids[name] for name in names})
    assert task_key("acme", mixed) == task_key("acme", ref) == ("acme", "chat", "2", "1", "3")
    assert task_key("zenith", ref) != task_key("acme", ref)
    assert task_key("acme", msgspec.structs.replace(ref, kind="bot")) != task_key("acme", ref)
    key: Hashable = task_key("acme", other)
    assert hash(key) == hash(task_key("acme", msgspec.structs.replace(other, created=7)))


WRITTEN = encode_ref(REF)
# What any text at all does is shown in `tests/test_fuzz.py`.
GARBAGE: dict[str, str | bytes] = {
    **{text or "empty": text for text in ("", " ", "coze chat 7350/7351", "[]", "null", '"v"')},
    "cut off": WRITTEN[:-1],
    "too long": WRITTEN + "x",
    "unknown field": WRITTEN[:-1] + ',"token":"x"}',
    "number as id": WRITTEN.replace('"7350"', "7350"),
    "no provider": WRITTEN.replace('"coze"', "null"),
    "created is a text": WRITTEN.replace("1700000000", '"today"'),
    "created is a float": WRITTEN.replace("1700000000", "1.5"),
    "account is a number": WRITTEN.replace('"account":null', '"account":7'),
    **{text: text for text in ('{"v":1}', '{"v":2}')},
    "version is a truth value": '{"v":true,"provider":"coze","kind":"chat","ids":{}}',
    "nested": "[" * 100_000,
    "nested inside": '{"v":1,"provider":' + "[" * 100_000,
    "no UTF-8": b"\xff\xfe",
    "half a letter": "\ud800",
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_reference(text: str | bytes) -> None:
    """Any other text raises `ValueError` that says what is wrong and what to pass."""
    with pytest.raises(ValueError, match=r"^not a task reference: .+; pass the whole text"):
        decode_ref(text)


def test_a_task_is_not_thought_older_than_it_may_be() -> None:
    """The later end of the whole second counts; none where that is not known, or in our future."""
    for created in (100, 10_000):
        made = int(time.time()) - created
        before = time.time() - made
        age = age_of(TaskRef("fake", "job", {"id": "7"}, created=made))
        assert before - 1 <= age <= time.time() - made - 1
    for ref in (None, TaskRef("fake", "job", {}), TaskRef("fake", "job", {}, 2**60)):
        assert age_of(ref) == 0
