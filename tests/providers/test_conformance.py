"""What every provider must hold to; a new one is found by itself, and fails without recordings.

For each kind of task there is a folder `tests/fixtures/<provider>/<kind>/` with one file for each
status word, `<word>.json` or `<word>.<variant>.json` (the word percent-quoted where a file name
cannot have it), and `ref.json`, the reference of the task that they are answers about. Which of
them a source shows, and which we made, is said in `tests/fixtures/README.md`, a line for each.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any, Protocol, cast
from urllib.parse import unquote

import msgspec
import pytest

import asyncclient.providers
from asyncclient import TaskRef, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Handle, Transport
from asyncclient.errors import TaskBlocked, TaskCancelled, TaskExpired, TaskFailed, WaitTimeout
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import FIXTURES, RECORDED, walk

_SECRET = "secret-7f3a9c"

# Fields of recorded answers that no struct has, known and left out on purpose. What is found and
# not listed is drift, and so is what is listed and no longer found.
_UNMODELLED: dict[str, set[str]] = {
    "coze": {
        "$.code",  # the envelope's: its struct has it, the typed answer has not
        "$.msg",
        "$.detail",
        "$.data.compleated_at",  # a misspelling in a sample
    },
    "copyai": {
        "$.status",  # the envelope's, as above
        "$.data.toolKey",
    },
}

_ERROR_OF = {
    TaskState.FAILED: TaskFailed,
    TaskState.CANCELLED: TaskCancelled,
    TaskState.EXPIRED: TaskExpired,
    TaskState.BLOCKED: TaskBlocked,
    TaskState.PENDING: WaitTimeout,
    TaskState.RUNNING: WaitTimeout,
}


class _Client(Protocol):
    def task(self, ref: TaskRef) -> Handle[Any]: ...


def _handle_types() -> set[type[Handle[Any]]]:
    """Find every class of a task."""
    package = asyncclient.providers
    return {
        cast("type[Handle[Any]]", thing)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for thing in vars(importlib.import_module(found.name)).values()
        if isinstance(thing, type) and Handle in thing.__mro__ and hasattr(thing, "vocabulary")
    }


def _client(provider: str, transport: Transport) -> _Client:
    """Make a provider's client: the one class of its module that turns a reference into a task."""
    module = importlib.import_module(f"asyncclient.providers.{provider}")
    (client,) = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and callable(getattr(thing, "task", None))
    ]
    required = [
        name
        for name, parameter in inspect.signature(client).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    return cast("_Client", client(transport, **dict.fromkeys(required, _SECRET)))


def _kind_of(recording: str) -> str:
    return recording.rpartition("/")[0]


def _word_of(recording: str) -> str:
    return unquote(recording.rpartition("/")[2].partition(".")[0])


# The reference that the recordings of each kind are about, as `coze/chat`, and the recordings.
_REFS = {
    name.removesuffix("/ref.json"): decode_ref(body)
    for name, body in sorted(RECORDED.items())
    if name.endswith("/ref.json")
}
_RECORDINGS = sorted(
    name for name in RECORDED if _kind_of(name) in _REFS and not name.endswith("/ref.json")
)
_HANDLES = _handle_types()

every_recording = pytest.mark.parametrize("recording", _RECORDINGS)
every_kind = pytest.mark.parametrize("kind", _REFS)


def _task(kind: str, transport: ScriptedTransport | None = None) -> Handle[Any]:
    ref = _REFS[kind]
    return _client(ref.provider, transport or ScriptedTransport()).task(ref)


def test_every_word_has_a_recorded_answer() -> None:
    """No handle, word or recording is without its counterpart; providers are found by looking."""
    recorded: dict[str, set[str]] = {kind: set() for kind in _REFS}
    for one in _RECORDINGS:
        recorded[_kind_of(one)].add(_word_of(one))
    assert recorded == {
        f"{handle.provider}/{handle.ref_kind}": {str(word) for word in handle.vocabulary.words}
        for handle in _HANDLES
    }


def test_every_answer_says_where_it_comes_from() -> None:
    """Each file has one line in the README: recorded, derived or made, and its source."""
    text = (FIXTURES / "README.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `([^`]+)` \| (?:recorded|derived|made) \| .*\S +\|$", text, flags=re.MULTILINE
    )
    assert sorted(listed) == sorted(name for name in RECORDED if not name.endswith("/ref.json"))
    assert text.count("\n| `") == len(listed)


def test_no_word_stands_for_an_end_in_one_spelling_and_for_no_end_in_another() -> None:
    """A word that ends a wait is no word for a running task, in small letters or capitals."""
    for handle in _HANDLES:
        ends: dict[str, bool] = {}
        for word, state in handle.vocabulary.words.items():
            assert ends.setdefault(str(word).casefold(), state.is_terminal) == state.is_terminal


@every_recording
async def test_a_recorded_answer_reads_as_its_word_and_that_words_state(recording: str) -> None:
    """A look finds the word and exactly its state, and `read` sees the same without a request.

    There is no reason where all is well, no duration before the end, and no demand but while
    blocked.
    """
    body = RECORDED[recording]
    transport = ScriptedTransport([reply(body)])
    task = _task(_kind_of(recording), transport)
    seen = await task.observe()
    assert str(seen.word) == _word_of(recording)
    state = task.vocabulary.words["" if seen.word is None else seen.word]
    assert seen.state is state
    assert seen.result.response.body == seen.raw == body
    assert task.read(body) == seen
    (request,) = transport.requests
    assert request.idempotent
    assert (request.method == "POST") is (request.body is not None)
    if state is TaskState.SUCCEEDED:
        assert seen.reason is None
    if not state.is_terminal:
        assert seen.took is None
    if state is not TaskState.BLOCKED:
        assert seen.demand is None


@every_recording
async def test_waiting_on_a_recorded_answer_ends_as_its_state_says(recording: str) -> None:
    """A wait returns on success, raises the error of any other end, and else runs out of time."""
    body, word = RECORDED[recording], _word_of(recording)
    task = _task(_kind_of(recording), ScriptedTransport([reply(body)], repeat=True))
    state = {str(word): state for word, state in task.vocabulary.words.items()}[word]
    if state is TaskState.SUCCEEDED:
        assert await wait_until_done(task, timeout=30) == task.read(body).result
        return
    with pytest.raises(_ERROR_OF[state]) as caught:
        await wait_until_done(task, timeout=30)
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.state is state
    assert caught.value.ref == task.ref
    assert _SECRET not in f"{caught.value!r} {caught.value}"


def _paths(value: object, at: str = "$") -> set[str]:
    """Name every field of a JSON value; the members of a list count as one."""
    places = ([step for step in place if isinstance(step, str)] for place, _ in walk(value))
    return {".".join([at, *names]) for names in places if names}


@pytest.mark.parametrize("provider", sorted({ref.provider for ref in _REFS.values()}))
def test_every_field_of_the_recorded_answers_is_modelled_or_listed(provider: str) -> None:
    """What a typed answer would lack when it is written again is listed as left out on purpose."""
    found: set[str] = set()
    for recording in _RECORDINGS:
        if recording.startswith(f"{provider}/"):
            result = _task(_kind_of(recording)).read(RECORDED[recording]).result
            modelled = {"$.data"} | _paths(msgspec.to_builtins(result), "$.data")
            found |= _paths(msgspec.json.decode(RECORDED[recording])) - modelled
    within = {path for path in found if path.rpartition(".")[0] in found}
    assert found - within == _UNMODELLED.get(provider, set())


@every_kind
async def test_an_answer_without_a_known_word_is_no_end(kind: str) -> None:
    """An answer with nothing in it has no word, and one with an unknown word no state."""
    task = _task(kind)
    good = [str(word) for word, state in task.vocabulary.words.items() if state == "succeeded"]
    recording = next(one for one in _RECORDINGS if _kind_of(one) == kind and _word_of(one) in good)
    result = task.read(RECORDED[recording]).result
    body: dict[str, object] = msgspec.json.decode(RECORDED[recording])
    body["data"] = [{}] if isinstance(body["data"], list) else {}
    seen = task.read(msgspec.json.encode(body))
    assert seen.result == type(result)()
    assert (seen.word, seen.state) == (None, None)
    number = _word_of(recording).isdecimal()  # of a vocabulary of numbers
    word = f'"status": {_word_of(recording)}' if number else f'"{_word_of(recording)}"'
    other = '"status": "Contemplating"' if number else '"Contemplating"'
    seen = task.read(RECORDED[recording].replace(word.encode(), other.encode()))
    assert (seen.word, seen.state) == ("Contemplating", None)


@every_kind
def test_a_reference_leads_back_to_an_equal_task(kind: str) -> None:
    """Written as text and read again, it makes a handle with an equal key, and has no secret."""
    task = _task(kind)
    text = encode_ref(task.ref)
    again = decode_ref(text)
    assert again == task.ref == _REFS[kind]
    assert hash(again) == hash(task.ref)
    assert f"{again.provider}/{again.kind}" == kind
    assert task.kind.startswith(kind.replace("/", "."))
    client = _client(again.provider, ScriptedTransport())
    assert client.task(again).key == task.key
    assert type(client.task(again)) is type(task)
    assert len(text.encode()) < 300  # with the provider's own ids
    for shown in (text, repr(task), str(task), repr(task.ref), str(task.ref), repr(client)):
        assert _SECRET not in shown


@every_kind
def test_a_reference_of_another_kind_or_provider_is_refused(kind: str) -> None:
    """A client makes no task of a reference that is not its own, or that lacks an id."""
    ref = _REFS[kind]
    client = _client(ref.provider, ScriptedTransport())
    wrong = (
        TaskRef("elsewhere", ref.kind, ref.ids),
        TaskRef(ref.provider, "no_such_kind", ref.ids),
        TaskRef(ref.provider, ref.kind, {}),
        TaskRef(ref.provider, ref.kind, dict.fromkeys(ref.ids, "")),
    )
    for reference in wrong:
        with pytest.raises(ValueError, match=r"reference|task|empty"):
            client.task(reference)
