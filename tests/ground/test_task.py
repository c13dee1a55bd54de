"""Tests of what can be waited for: references to tasks, and tasks made of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient._arguments import LONGEST_ID
from asyncclient._ref import TaskRef, decode_ref, encode_ref, is_same_task
from asyncclient._state import TaskState, Vocabulary
from asyncclient._task import Observation, PollingTask, polling_task, ref_of
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport

if TYPE_CHECKING:
    from asyncclient._http import Handle

WORDS = Vocabulary(running="busy", succeeded="done", failed="error")

REF = TaskRef("coze", "chat", {"conversation_id": "7350", "chat_id": "7351"}, 1_700_000_000)

# As a program without a type checker calls it.
unchecked = cast("Callable[..., PollingTask[object]]", polling_task)


# --- references -------------------------------------------------------------------------------

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
    """Whatever is given, a reference comes back or `ValueError` is raised."""
    with pytest.raises(ValueError, match="task reference"):
        decode_ref(text)


# --- tasks made of a function -----------------------------------------------------------------


class Job(msgspec.Struct):
    """An answer of some API."""

    status: str | None = None
    done: float | None = None
    why: str | None = None
    wait: float | None = None
    took: float | None = None


async def fetch() -> dict[str, str]:
    """Ask an API that is always busy."""
    return {"status": "busy"}


def task_of(answer: object, **options: Hashable) -> PollingTask[object]:
    """Make a task whose answer has its word under `status`."""

    async def ask() -> object:
        return answer

    def status(found: object) -> str:
        return cast("dict[str, str]", found)["status"]

    return unchecked(ask, vocabulary=WORDS, status=status, **options)


async def test_a_poll_calls_the_function_once() -> None:
    """Each poll is one call, and its answer is returned itself."""
    calls: list[Job] = []

    async def ask() -> Job:
        calls.append(Job("busy"))
        return calls[-1]

    task = polling_task(ask, vocabulary=WORDS, status=lambda job: job.status)
    assert calls == []
    first = await task.poll()
    second = await task.poll()
    assert len(calls) == 2
    assert (first, second) == (calls[0], calls[1])
    assert first is calls[0]


async def test_an_error_of_the_function_is_the_polls() -> None:
    """What the function raises comes out of `poll` and `observe` as it is."""

    async def ask() -> Job:
        raise ConnectionResetError("gone")

    task = polling_task(ask, vocabulary=WORDS, status=lambda job: job.status)
    for look in (task.poll, task.observe):
        with pytest.raises(ConnectionResetError, match="gone"):
            await look()


def test_an_observation_is_a_value() -> None:
    """State, word and result may be given by position, and nothing of it can be changed."""
    seen = Observation(TaskState.RUNNING, "busy", 7, progress=0.5)
    assert (seen.state, seen.word, seen.result) == (TaskState.RUNNING, "busy", 7)
    assert seen == Observation(state=TaskState.RUNNING, word="busy", result=7, progress=0.5)
    assert seen != Observation(TaskState.RUNNING, "busy", 7)
    with pytest.raises(TypeError):
        cast("Any", Observation)(TaskState.RUNNING, "busy", 7, b"7")
    for field in seen.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(seen, field, None)


async def test_a_look_is_one_call_whose_answer_is_the_result() -> None:
    """`observe` calls the function once, and has its answer itself; no bytes are kept."""
    calls: list[Job] = []

    async def ask() -> Job:
        calls.append(Job("busy"))
        return calls[-1]

    seen = await polling_task(ask, vocabulary=WORDS, status=lambda job: job.status).observe()
    assert len(calls) == 1
    assert seen.result is calls[0]
    assert seen == Observation(TaskState.RUNNING, "busy", calls[0])
    assert seen.raw is None
    assert seen.demand is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("busy", TaskState.RUNNING),
        ("done", TaskState.SUCCEEDED),
        ("error", TaskState.FAILED),
        ("odd", None),
        (None, None),
    ],
)
async def test_a_word_is_read_by_status_and_meant_by_the_vocabulary(
    word: str | None, state: TaskState | None
) -> None:
    """An observation has the word that `status` finds, and the state that it means."""
    seen = await task_of({"status": word}).observe()
    assert seen.word == word
    assert seen.state is state


@pytest.mark.parametrize("answer", [{}, {"other": 1}], ids=repr)
async def test_a_missing_field_is_a_missing_word(answer: object) -> None:
    """A `KeyError` in `status` counts as an answer without a word."""
    seen = await task_of(answer).observe()
    assert seen.word is None
    assert seen.state is None


async def test_a_missing_item_or_attribute_is_a_missing_word_too() -> None:
    """So do an `IndexError` and an `AttributeError`."""

    async def empty() -> object:
        return []

    async def nothing() -> object:
        return None

    def first(found: object) -> str:
        return cast("list[str]", found)[0]

    def status(found: object) -> str:
        return cast("str", cast("Job", found).status)

    assert (await unchecked(empty, vocabulary=WORDS, status=first).observe()).word is None
    assert (await unchecked(nothing, vocabulary=WORDS, status=status).observe()).word is None


@pytest.mark.parametrize("word", ["busy", "error", "odd"])
async def test_a_missing_field_is_nothing_to_find(word: str) -> None:
    """Where the field for reason, progress, hint or duration is missing, there is none of it."""

    async def ask() -> dict[str, str]:
        return {"status": word}

    seen = await polling_task(
        ask,
        vocabulary=WORDS,
        status=lambda answer: answer["status"],
        reason=lambda answer: answer["why"],
        progress=lambda answer: float(answer["done"]),
        hint=lambda answer: float(answer["wait"]),
        duration=lambda answer: float(answer["took"]),
    ).observe()
    assert seen.word == word
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (None, None, None, None)


async def test_any_other_error_of_status_is_the_callers() -> None:
    """A mistake in `status` itself is not taken for an answer without a word."""

    def status(_found: object) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unchecked(fetch, vocabulary=WORDS, status=status).observe()


@pytest.mark.parametrize(
    ("word", "reason", "hint", "took"),
    [
        ("busy", "no tea", 7, None),
        ("odd", "no tea", 7, None),
        (None, "no tea", 7, None),
        ("error", "no tea", None, 9),
        ("done", None, None, 9),
    ],
)
async def test_reason_progress_hint_and_duration_are_the_callers_functions(
    word: str | None, reason: str | None, hint: float | None, took: float | None
) -> None:
    """What the given functions find in an answer is what the wait gets, as its state allows.

    Where all went well there is no reason, an ended task has no next look, and no other took its
    time yet.
    """

    async def ask() -> Job:
        return Job(word, done=0.5, why="no tea", wait=7, took=9)

    task = polling_task(
        ask,
        vocabulary=WORDS,
        status=lambda job: job.status,
        reason=lambda job: job.why,
        progress=lambda job: job.done,
        hint=lambda job: job.wait,
        duration=lambda job: job.took,
        transient=(KeyError,),
    )
    seen = await task.observe()
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (reason, 0.5, hint, took)
    assert task.transient == (KeyError,)


@pytest.mark.parametrize("word", ["busy", "done", "error", "odd", None])
async def test_without_those_functions_there_is_nothing_to_find(word: str | None) -> None:
    """Reason, progress, hint and duration are None by default; no further error is transient."""
    task = task_of({"status": word})
    seen = await task.observe()
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (None, None, None, None)
    assert task.transient == ()
    assert ref_of(task) is None


def test_by_default_a_task_is_its_function() -> None:
    """The key is the function, so that two tasks of one function are one; its name is the kind."""
    task = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    again = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert task.key == again.key == fetch
    assert task.kind == "fetch"
    assert task_of({}).key != task_of({}).key


@pytest.mark.parametrize("key", [0, "", ("job", 7), frozenset[int]()], ids=repr)
def test_a_key_is_kept_as_given(key: Hashable) -> None:
    """Any key but None is the task's, a falsy one included, and so is a kind."""
    task = task_of({}, key=key, kind="tea")
    assert task.key == key
    assert task.kind == "tea"
    assert repr(task) == f"<PollingTask tea {key!r}>"


async def test_any_callable_that_returns_an_awaitable_will_do() -> None:
    """A partial, a bound method and a lambda around a coroutine function are taken."""

    async def ask(number: int) -> dict[str, int]:
        return {"n": number}

    class Api:
        async def job(self) -> dict[str, int]:
            return {"n": 3}

    def status(_answer: dict[str, int]) -> str:
        return "busy"

    asked = [
        await polling_task(function, vocabulary=WORDS, status=status).poll()
        for function in (functools.partial(ask, 1), lambda: ask(2), Api().job)
    ]
    assert asked == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_function_that_is_not_async_is_refused_at_its_first_poll() -> None:
    """A plain function raises with the task's kind, what it returned and what to pass."""

    def ask() -> dict[str, str]:
        return {"status": "busy"}

    task = unchecked(ask, vocabulary=WORDS, status=len, kind="tea")
    for look in (task.poll, task.observe):
        with pytest.raises(
            TypeError, match=r"^tea: fetch\(\) returned dict, not an awaitable: pass an async func"
        ):
            await look()


def test_a_call_in_place_of_the_function_is_refused() -> None:
    """A coroutine raises with what to drop, and is closed: nothing warns of it later."""
    called = fetch()
    with pytest.raises(TypeError, match=r"the async function itself, not a call of it: drop"):
        unchecked(called, vocabulary=WORDS, status=len)
    assert inspect.getcoroutinestate(called) == inspect.CORO_CLOSED


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"fetch": None}, "takes an async function of no arguments, not NoneType"),
        ({"fetch": "fetch"}, "takes an async function of no arguments, not str"),
        ({"vocabulary": {"done": "succeeded"}}, "vocabulary must be a Vocabulary, not dict"),
        ({"vocabulary": None}, "vocabulary must be a Vocabulary, not NoneType"),
        ({"vocabulary": Vocabulary}, "vocabulary must be a Vocabulary, not type"),
        ({"status": "status"}, "status must be a function from an answer.*, not str"),
        ({"status": None}, "status must be a function from an answer.*, not NoneType"),
        ({"reason": "why"}, "reason must be a function from an answer.*, not str"),
        ({"progress": 7}, "progress must be a function from an answer.*, not int"),
        ({"hint": "wait"}, "hint must be a function from an answer.*, not str"),
        ({"transient": KeyError}, "transient must be a tuple of exception classes"),
        ({"transient": [KeyError]}, "transient must be a tuple of exception classes"),
        ({"transient": ("KeyError",)}, "transient must be a tuple of exception classes"),
        ({"transient": (KeyError, BaseException)}, "transient must be a tuple of exception"),
    ],
    ids=[
        "fetch is None",
        "fetch is a text",
        "vocabulary is a dict",
        "vocabulary is None",
        "vocabulary is the class",
        "status is a text",
        "status is None",
        "reason is a text",
        "progress is a number",
        "hint is a text",
        "transient is a class",
        "transient is a list",
        "transient holds a text",
        "transient holds what is no Exception",
    ],
)
def test_a_task_is_not_made_of_wrong_parts(wrong: dict[str, object], words: str) -> None:
    """A wrong argument raises at once, by its name, and not at the first poll."""
    with pytest.raises(TypeError, match=words):
        unchecked(**{"fetch": fetch, "vocabulary": WORDS, "status": len} | wrong)


@pytest.mark.parametrize("name", list(handles()))
def test_a_handle_reads_as_its_reference(name: str) -> None:
    """A handle's repr has its class, provider, kind and ids, and no credential."""
    handle = handles()[name]
    assert repr(handle) == f"<{type(handle).__name__} {handle.ref}>"
    assert "s3cret" not in repr(handle)
