"""Tests of references: written, read, equal or not, and how old a task is by its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

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


@given(REFS)
def test_a_reference_reads_back_as_it_was_written(ref: TaskRef) -> None:
    """What `encode_ref` writes is one line, and `decode_ref` makes an equal reference of it."""
    text = encode_ref(ref)
    assert "\n" not in text
    assert decode_ref(text) == decode_ref(text.encode()) == ref
    assert hash(decode_ref(text)) == hash(ref)
    assert encode_ref(decode_ref(text)) == text


def handles() -> dict[str, Handle[object]]:
    """Make a handle of each kind of task, with ids as long as real ones are."""
    transport = ScriptedTransport([])
    coze = Coze(transport, token="pat_s3cret")
    copyai = CopyAI(transport, api_key="key_s3cret")
    number = "7350" + "9" * 16
    uuid = "6b1c3e2a-8d54-4c2f-9a3e-1f2d3c4b5a69"
    made = {
        "coze workflow": coze.workflow_run(number, number),
        "coze copy": coze.copy_task(number),
        "coze chat": coze.chat(number, number),
        "copyai workflow": copyai.workflow_run(f"WCFG-{uuid}", f"WRUN-{uuid}"),
    }
    return cast("dict[str, Handle[object]]", made)


@pytest.mark.parametrize("name", list(handles()))
def test_a_reference_is_small_and_holds_no_secret(name: str) -> None:
    """With real ids a reference is under 300 bytes, and the credential is not in it."""
    ref = handles()[name].ref
    assert ref is not None
    text = encode_ref(msgspec.structs.replace(ref, created=1_700_000_000))
    assert len(text.encode()) < 300
    assert "s3cret" not in text
    assert decode_ref(text).ids == ref.ids


LONGEST = ["7" * LONGEST_ID, '"' * LONGEST_ID, "\\" * LONGEST_ID, "\U0001f375" * LONGEST_ID]


@pytest.mark.parametrize("identity", LONGEST, ids=["digits", "quotes", "backslashes", "four bytes"])
@pytest.mark.parametrize("kind", ["workflow", "copy", "copy at once", "chat", "copyai"])
def test_a_reference_is_bounded_by_its_ids(kind: str, identity: str) -> None:
    """With the longest ids that are taken a handle's reference is 2300 bytes at most."""
    transport = ScriptedTransport([])
    coze, copyai = Coze(transport, token="pat_1"), CopyAI(transport, api_key="key-1")
    made: dict[str, Callable[[], Handle[Any]]] = {
        "workflow": lambda: coze.workflow_run(identity, identity),
        "copy": lambda: coze.copy_task(identity),
        "copy at once": lambda: coze.task(
            TaskRef("coze", "copy_task", {"copied_entity_id": identity})
        ),
        "chat": lambda: coze.chat(identity, identity),
        "copyai": lambda: copyai.workflow_run(identity, identity),
    }
    ref = made[kind]().ref
    text = encode_ref(msgspec.structs.replace(ref, created=1_700_000_000))
    ids = sum(len(msgspec.json.encode(one)) - 2 for one in ref.ids.values())
    assert len(text.encode()) - ids <= 125
    assert len(text.encode()) <= 2300


@pytest.mark.parametrize(
    "letter", ["a", '"', "\\", "\U0001f375"], ids=["a", "quote", "backslash", "tea"]
)
def test_a_reference_is_bounded_by_its_accounts_name(letter: str) -> None:
    """A name, whose length is bounded, adds its own bytes to a reference, and nothing else."""
    transport = ScriptedTransport([])
    name = letter * 25
    coze = Coze(transport, token="pat_1", account=name)
    copyai = CopyAI(transport, api_key="key-1", account=name)
    for ref in (coze.workflow_run("7", "7").ref, copyai.workflow_run("7", "7").ref):
        text = encode_ref(msgspec.structs.replace(ref, created=1_700_000_000))
        named = len(msgspec.json.encode(name)) - 2
        assert len(text.encode()) - named - 2 <= 125


def test_a_longer_id_makes_no_reference() -> None:
    """No handle has an id without bound, or its reference would have none."""
    longer = "7" * (LONGEST_ID + 1)
    for make in (
        lambda: Coze(ScriptedTransport(), token="pat_1").chat("7350", longer),
        lambda: CopyAI(ScriptedTransport(), api_key="key-1").workflow_run(longer, "WRUN-1"),
    ):
        with pytest.raises(ValueError, match="257 characters"):
            make()


def test_a_reference_is_written_by_provider_kind_and_ids() -> None:
    """As text a reference is short enough for a log line."""
    assert str(REF) == "coze chat 7350/7351"


@pytest.mark.parametrize("name", list(handles()))
def test_a_handle_reads_as_its_reference(name: str) -> None:
    """A handle's repr has its class, provider, kind and ids, and no credential."""
    handle = handles()[name]
    assert repr(handle) == f"<{type(handle).__name__} {handle.ref}>"
    assert "s3cret" not in repr(handle)


def test_a_reference_can_be_a_key() -> None:
    """Equal references are one key of a dict, and other ids make another key."""
    other = TaskRef("coze", "chat", {"conversation_id": "7350", "chat_id": "7352"}, 1_700_000_000)
    again = decode_ref(encode_ref(REF))
    assert {REF: "one", other: "two"} == {again: "one", other: "two"}
    assert len({REF, again, other}) == 2


def test_equal_references_are_one_key_in_whatever_order_their_ids_stand() -> None:
    """A database may write an object's fields in another order (PostgreSQL's jsonb does)."""
    stored = TaskRef("coze", "chat", {"chat_id": "7351", "conversation_id": "7350"}, 1_700_000_000)
    assert stored == REF
    assert hash(stored) == hash(REF)
    assert len({stored, REF}) == 1


def test_references_are_found_quickly() -> None:
    """The ids are in the hash, or a million tasks would be looked up one by one."""
    refs = [TaskRef("coze", "copy_task", {"task_id": str(number)}, 7) for number in range(100)]
    assert len({hash(ref) for ref in refs}) > 90


def test_a_reference_cannot_be_changed() -> None:
    """Every field of a reference is read-only."""
    for field in TaskRef.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(REF, field, None)


@pytest.mark.parametrize("wrong", [None, "{}", {"provider": "coze"}, 7], ids=repr)
def test_only_a_reference_is_written(wrong: object) -> None:
    """Anything else raises, says what it got, and where a reference is found."""
    with pytest.raises(TypeError, match=r"takes a TaskRef \(a handle's \.ref\), not ") as refused:
        encode_ref(wrong)
    assert type(wrong).__name__ in str(refused.value)


def test_a_handle_is_not_its_reference() -> None:
    """A handle given in place of its reference raises the same, by the handle's name."""
    with pytest.raises(TypeError, match="ChatHandle"):
        encode_ref(handles()["coze chat"])


@pytest.mark.parametrize("wrong", [None, 7, REF, {}, bytearray(b"{}")], ids=repr)
def test_only_text_is_read(wrong: object) -> None:
    """Anything but text or bytes raises, and says what it got."""
    with pytest.raises(TypeError, match="takes the text that encode_ref wrote, not ") as refused:
        decode_ref(wrong)
    assert type(wrong).__name__ in str(refused.value)


@pytest.mark.parametrize("wrong", [None, '{"provider":"coze"}', {"provider": "coze"}, 7], ids=repr)
def test_what_is_no_reference_is_refused_with_what_to_pass(wrong: object) -> None:
    """A text must be read first; a reference is returned as it is."""
    assert checked_ref(REF) is REF
    with pytest.raises(
        TypeError, match=r"^task\(\) takes a TaskRef, not .*decode_ref first$"
    ) as caught:
        checked_ref(wrong)
    assert type(wrong).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("version", "shown"),
    [("0", "0"), ("3", "3"), ('"1"', "'1'"), ("null", "None"), ("[1]", r"\[1\]")],
)
def test_an_unknown_version_says_what_to_do(version: str, shown: str) -> None:
    """A reference of another version raises with it, with what is read, and the way out."""
    text = encode_ref(REF).replace('"v":2', f'"v":{version}')
    with pytest.raises(
        ValueError, match=f"of version {shown}: this library reads version 2; update it"
    ):
        decode_ref(text)


def test_a_future_version_may_have_other_fields() -> None:
    """The version is looked at first, so that a newer form is not taken for garbage."""
    with pytest.raises(ValueError, match="of version 3"):
        decode_ref('{"v":3,"job":["coze"],"account":7}')


@given(REFS.map(lambda ref: msgspec.structs.replace(ref, account=None)))
def test_the_first_version_is_read_as_todays(ref: TaskRef) -> None:
    """What an older release wrote, without an account, equals what this one writes."""
    fields = msgspec.to_builtins(ref)
    del fields["account"]
    old = msgspec.json.encode(fields | {"v": 1})
    assert decode_ref(old) == ref
    assert decode_ref(old).v == 2
    assert hash(decode_ref(old)) == hash(ref)
    assert encode_ref(decode_ref(old)) == encode_ref(ref)


def test_the_text_of_the_first_version_is_read() -> None:
    """A text as it lies in the tables of those who used the first release."""
    old = (
        '{"provider":"coze","kind":"chat","ids":{"conversation_id":"7350","chat_id":"7351"},'
        '"created":1700000000,"v":1}'
    )
    assert decode_ref(old) == REF
    assert encode_ref(REF) == old.replace('"v":1', '"account":null,"v":2')


def test_a_reference_made_as_of_the_first_version_is_todays() -> None:
    """A program that says the version itself gets a reference that equals the others."""
    assert TaskRef(REF.provider, REF.kind, REF.ids, REF.created, v=1) == REF


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        ("acme", "acme", True),
        ("acme", None, True),
        (None, "acme", True),
        ("acme", "zenith", False),
    ],
)
def test_two_references_are_of_one_task_unless_they_name_two_accounts(
    one: str | None,
    other: str | None,
    same: bool,  # noqa: FBT001  (a table's column)
) -> None:
    """A reference that names no account may be of any."""
    mine, yours = (msgspec.structs.replace(REF, account=account) for account in (one, other))
    assert is_same_task(mine, yours) is same
    later = msgspec.structs.replace(yours, created=None)
    assert is_same_task(mine, later) is same


@pytest.mark.parametrize("field", ["provider", "kind", "ids"])
def test_references_of_other_ids_are_of_other_tasks(field: str) -> None:
    """Provider, kind and ids must all be equal."""
    other = msgspec.structs.replace(REF, **{field: {"chat_id": "1"} if field == "ids" else "other"})
    assert not is_same_task(REF, other)


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


def test_a_text_without_a_version_is_refused() -> None:
    """A JSON object that has no version is no reference."""
    with pytest.raises(ValueError, match="of version None"):
        decode_ref('{"provider":"coze","kind":"chat","ids":{}}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "coze chat 7350/7351",
        "[]",
        "null",
        '"v"',
        encode_ref(REF)[:-1],
        encode_ref(REF) + "x",
        encode_ref(REF)[:-1] + ',"token":"x"}',
        encode_ref(REF).replace('"7350"', "7350"),
        encode_ref(REF).replace('"coze"', "null"),
        encode_ref(REF).replace("1700000000", '"today"'),
        encode_ref(REF).replace("1700000000", "1.5"),
        encode_ref(REF).replace('"account":null', '"account":7'),
        '{"v":1}',
        '{"v":2}',
        '{"v":true,"provider":"coze","kind":"chat","ids":{}}',
        "[" * 100_000,
        '{"v":1,"provider":' + "[" * 100_000,
        b"\xff\xfe",
        "\ud800",
    ],
    ids=[
        "empty",
        "blank",
        "words",
        "array",
        "null",
        "text",
        "cut off",
        "too long",
        "unknown field",
        "number as id",
        "no provider",
        "created is a text",
        "created is a float",
        "account is a number",
        "first version alone",
        "version alone",
        "version is a truth value",
        "nested",
        "nested inside",
        "no UTF-8",
        "half a letter",
    ],
)
def test_garbage_is_no_reference(text: str | bytes) -> None:
    """Any other text raises `ValueError` that says what is wrong and what to pass."""
    with pytest.raises(ValueError, match=r"^not a task reference: .+; pass the whole text"):
        decode_ref(text)


@given(st.binary() | st.text())
def test_no_text_breaks_the_reading_of_references(text: str | bytes) -> None:
    """From any text, a reference comes back or `ValueError` is raised."""
    with pytest.raises(ValueError, match="task reference"):
        decode_ref(text)


@pytest.mark.parametrize("created", [100, 10_000])
def test_a_task_is_not_thought_older_than_it_may_be(created: int) -> None:
    """A reference says when its task was made to the whole second; the later end counts."""
    made = int(time.time()) - created
    before = time.time() - made
    age = age_of(TaskRef("fake", "job", {"id": "7"}, created=made))
    assert before - 1 <= age <= time.time() - made - 1


@pytest.mark.parametrize(
    "ref", [None, TaskRef("fake", "job", {"id": "7"}), TaskRef("fake", "job", {}, 2**60)], ids=repr
)
def test_a_task_whose_start_is_not_known_has_no_age(ref: TaskRef | None) -> None:
    """Nor has one that a clock ahead of ours has started in our future."""
    assert age_of(ref) == 0
