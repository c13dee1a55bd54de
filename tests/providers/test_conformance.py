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
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import unquote

import msgspec
import pytest

import asyncclient.providers
from asyncclient import TaskRef, TaskState, decode_ref, encode_ref, wait_until_done
from asyncclient._http import Handle, Transport
from asyncclient.errors import (
    ServerError,
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    WaitTimeout,
)
from asyncclient.testing import ScriptedTransport, reply

_FIXTURES = Path(__file__).parents[1] / "fixtures"
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


class _Recording(NamedTuple):
    """One recorded answer, and where it belongs."""

    provider: str
    kind: str
    word: str
    path: Path

    @property
    def body(self) -> bytes:
        return _BODIES[self.path]


class _Kind(NamedTuple):
    """One kind of task of one provider, with the reference that its recordings are about."""

    provider: str
    kind: str
    ref: TaskRef


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def _provider_of(package: ModuleType, module: str) -> str:
    return module.removeprefix(f"{package.__name__}.").partition(".")[0]


def _handle_types(package: ModuleType) -> dict[type[Handle[Any]], str]:
    """Find every class of a task, with its provider's name."""
    classes: dict[type[Handle[Any]], str] = {}
    for module in _modules(package):
        for thing in vars(module).values():
            if not isinstance(thing, type) or thing.__module__ != module.__name__:
                continue
            if Handle in thing.__mro__ and hasattr(thing, "vocabulary"):
                handle = cast("type[Handle[Any]]", thing)
                classes[handle] = _provider_of(package, module.__name__)
    return classes


def _client(
    package: ModuleType, provider: str, transport: Transport, secret: str, **options: str
) -> _Client:
    """Make a provider's client: the one class of its module that turns a reference into a task."""
    module = importlib.import_module(f"{package.__name__}.{provider}")
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
    return cast("_Client", client(transport, **dict.fromkeys(required, secret), **options))


def _recordings(fixtures: Path) -> Iterator[_Recording]:
    for ref in sorted(fixtures.glob("*/*/ref.json")):
        for path in sorted(ref.parent.glob("*.json")):
            if path != ref:
                word = unquote(path.name.partition(".")[0])
                yield _Recording(ref.parts[-3], ref.parts[-2], word, path)


def _kinds(fixtures: Path) -> Iterator[_Kind]:
    for path in sorted(fixtures.glob("*/*/ref.json")):
        yield _Kind(path.parts[-3], path.parts[-2], decode_ref(path.read_bytes()))


def _complaints(package: ModuleType, fixtures: Path) -> list[str]:
    """Say what lacks a recording, and which recordings are of nothing."""
    classes = _handle_types(package)
    providers = set(classes.values())
    said: list[str] = []
    covered: set[type[Handle[Any]]] = set()
    words: dict[tuple[str, str], set[str]] = {}
    for recording in _recordings(fixtures):
        words.setdefault((recording.provider, recording.kind), set()).add(recording.word)
    for kind in _kinds(fixtures):
        if kind.provider not in providers:
            said.append(f"{kind.provider}: recordings, but no provider")
            continue
        handle = _client(package, kind.provider, ScriptedTransport(), _SECRET).task(kind.ref)
        covered.add(type(handle))
        known = {str(word) for word in handle.vocabulary.words}
        there = words.get((kind.provider, kind.kind), set())
        where = f"{kind.provider}/{kind.kind}"
        said += [f"{where}: no recorded answer for {word}" for word in sorted(known - there)]
        said += [f"{where}: {word} is in no vocabulary" for word in sorted(there - known)]
    for lacking in sorted(classes.keys() - covered, key=str):
        said.append(f"{classes[lacking]}: no recorded answers for {lacking.__name__}")
    return said


_LINE = re.compile(r"\| `(?P<file>[^`]+)` \| (?P<kind>\w+) \| (?P<source>.*\S) +\|")
_KINDS_OF_SOURCE = {"recorded", "derived", "made"}


def _origin_complaints(fixtures: Path) -> list[str]:
    """Name the answers that do not say where they come from, and the lines that are of none."""
    found = {
        path.relative_to(fixtures).as_posix()
        for path in fixtures.glob("*/*/*")
        if path.name != "ref.json"
    }
    listed: list[str] = []
    said: list[str] = []
    for line in (fixtures / "README.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        row = _LINE.fullmatch(line)
        if row is None or row["kind"] not in _KINDS_OF_SOURCE:
            said.append(f"not recorded, derived or made, with a source: {line}")
        else:
            listed.append(row["file"])
    said += [f"{file}: not listed" for file in sorted(found.difference(listed))]
    said += [f"{file}: no such answer" for file in sorted(set(listed) - found)]
    said += [f"{file}: listed twice" for file in sorted({f for f in listed if listed.count(f) > 1})]
    return said


_PACKAGE = asyncclient.providers
_RECORDINGS = list(_recordings(_FIXTURES))
_BODIES = {recording.path: recording.path.read_bytes() for recording in _RECORDINGS}
_KINDS = list(_kinds(_FIXTURES))
_HANDLES = _handle_types(_PACKAGE)

every_recording = pytest.mark.parametrize(
    "recording",
    [pytest.param(one, id=str(one.path.relative_to(_FIXTURES))) for one in _RECORDINGS],
)
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(one, id=f"{one.provider}-{one.kind}") for one in _KINDS]
)
every_handle = pytest.mark.parametrize(
    "handle_type",
    [pytest.param(one, id=f"{provider}-{one.__name__}") for one, provider in _HANDLES.items()],
)


def _task(kind: _Kind | _Recording, transport: ScriptedTransport) -> Handle[Any]:
    (ref,) = [one.ref for one in _KINDS if one[:2] == kind[:2]]
    return _client(_PACKAGE, kind.provider, transport, _SECRET).task(ref)


# --- what is found ------------------------------------------------------------------------------


def test_every_word_has_a_recorded_answer_that_says_where_it_comes_from() -> None:
    """No handle, word or recording is without its counterpart, and no file without its line."""
    assert _complaints(_PACKAGE, _FIXTURES) == []
    assert _origin_complaints(_FIXTURES) == []


def test_an_answer_of_unknown_origin_is_complained_of(tmp_path: Path) -> None:
    """A file without a line, a line without a file, a second line, another word: all are named."""
    folder = tmp_path / "newcomer" / "job"
    folder.mkdir(parents=True)
    for name in ("ref", "busy", "done", "broken"):
        (folder / f"{name}.json").write_text("{}")
    lines = (
        "| file | is | source |",
        "| `newcomer/job/busy.json` | recorded | page `jobs` |",
        "| `newcomer/job/busy.json` | made | after itself |",
        "| `newcomer/job/done.json` | guessed | page `jobs` |",
        "| `newcomer/job/broken.json` | made |  |",
        "| `newcomer/job/lost.json` | made | after `busy.json` |",
    )
    (tmp_path / "README.md").write_text("\n".join(lines))
    assert _origin_complaints(tmp_path) == [
        "not recorded, derived or made, with a source: " + lines[3],
        "not recorded, derived or made, with a source: " + lines[4],
        "newcomer/job/broken.json: not listed",
        "newcomer/job/done.json: not listed",
        "newcomer/job/lost.json: no such answer",
        "newcomer/job/busy.json: listed twice",
    ]


_NEWCOMER = """
from asyncclient import Handle, TaskRef, Vocabulary


class JobHandle(Handle[str]):
    provider = "newcomer"
    ref_kind = "job"
    group = "job"
    vocabulary = Vocabulary(running="busy", succeeded="done", failed="broken")


class Newcomer:
    def __init__(self, transport: object, *, api_key: str) -> None:
        pass

    def task(self, ref: TaskRef) -> JobHandle:
        return JobHandle(None, ref.created)
"""


@pytest.fixture
def newcomer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> ModuleType:
    """Return a package of providers with one file in it, which nothing else names."""
    name = f"providers_of_{request.node.name}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "newcomer.py").write_text(_NEWCOMER)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    module = importlib.import_module(name)
    for imported in (name, f"{name}.newcomer"):
        monkeypatch.delitem(sys.modules, imported, raising=False)
    return module


def test_a_new_provider_without_all_recordings_is_complained_of(
    newcomer: ModuleType, tmp_path: Path
) -> None:
    """Its file alone is enough: each word needs its recording, and each recording its word."""
    fixtures = tmp_path / "fixtures"
    assert _complaints(newcomer, fixtures) == ["newcomer: no recorded answers for JobHandle"]
    folder = fixtures / "newcomer" / "job"
    folder.mkdir(parents=True)
    (folder / "ref.json").write_text(encode_ref(TaskRef("newcomer", "job", {"job": "1"})))
    for word in ("busy", "done", "lost"):
        (folder / f"{word}.json").write_text("{}")
    assert _complaints(newcomer, fixtures) == [
        "newcomer/job: no recorded answer for broken",
        "newcomer/job: lost is in no vocabulary",
    ]


# --- words and answers --------------------------------------------------------------------------


@every_handle
def test_no_word_stands_for_an_end_in_one_spelling_and_for_no_end_in_another(
    handle_type: type[Handle[Any]],
) -> None:
    """A word that ends a wait is no word for a running task, in small letters or capitals."""
    ends: dict[str, bool] = {}
    for word, state in handle_type.vocabulary.words.items():
        assert ends.setdefault(str(word).casefold(), state.is_terminal) == state.is_terminal


@every_recording
async def test_a_recorded_answer_reads_as_its_word_and_that_words_state(
    recording: _Recording,
) -> None:
    """A look finds the word and exactly its state, and `read` sees the same without a request.

    There is no reason where all is well, no duration before the end, and no demand but while
    blocked.
    """
    transport = ScriptedTransport([reply(recording.body)])
    task = _task(recording, transport)
    seen = await task.observe()
    assert str(seen.word) == recording.word
    state = task.vocabulary.words[seen.word or ""]
    assert seen.state is state
    assert seen.result.response.body == seen.raw == recording.body
    assert _task(recording, transport).read(recording.body) == seen
    assert len(transport.requests) == 1
    if state is TaskState.SUCCEEDED:
        assert seen.reason is None
    if not state.is_terminal:
        assert seen.took is None
    if state is not TaskState.BLOCKED:
        assert seen.demand is None


@every_recording
async def test_waiting_on_a_recorded_answer_ends_as_its_state_says(recording: _Recording) -> None:
    """A wait returns on success, raises the error of any other end, and else runs out of time."""
    task = _task(recording, ScriptedTransport([reply(recording.body)], repeat=True))
    state = {str(word): state for word, state in task.vocabulary.words.items()}[recording.word]
    if state is TaskState.SUCCEEDED:
        seen = task.read(recording.body)
        assert await wait_until_done(task, timeout=30) == seen.result
        assert seen.word == recording.word
        return
    with pytest.raises(_ERROR_OF[state]) as caught:
        await wait_until_done(task, timeout=30)
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.state is state
    assert caught.value.ref == task.ref
    assert _SECRET not in f"{caught.value!r} {caught.value}"


@every_kind
async def test_a_look_is_one_request_and_changes_nothing(kind: _Kind) -> None:
    """It sends one GET without a body, the next one sends the same, and none is repeated."""
    recording = next(one for one in _RECORDINGS if one[:2] == kind[:2])
    transport = ScriptedTransport([reply(recording.body)] * 3 + [reply("", status=502)] * 2)
    task = _task(recording, transport)
    first = await task.poll()
    assert await task.poll() == (await task.observe()).result == first
    for look in (task.poll, task.observe):
        with pytest.raises(ServerError):
            await look()
    one = transport.requests[0]
    assert transport.requests == [one] * 5
    assert (one.method, one.body, one.idempotent) == ("GET", None, True)


def _unmodelled(raw: object, typed: object, path: str) -> Iterator[str]:
    """Name the fields of a JSON value that the struct decoded from it does not have."""
    if isinstance(typed, msgspec.Struct) and isinstance(raw, dict):
        attributes = dict(zip(typed.__struct_encode_fields__, typed.__struct_fields__, strict=True))
        for name, inner in cast("dict[str, object]", raw).items():
            if name not in attributes:
                yield f"{path}.{name}"
            else:
                yield from _unmodelled(inner, getattr(typed, attributes[name]), f"{path}.{name}")
    elif isinstance(typed, dict) and isinstance(raw, dict):
        members = cast("dict[str, object]", typed)
        for name, inner in cast("dict[str, object]", raw).items():
            yield from _unmodelled(inner, members[name], f"{path}.*")
    elif isinstance(typed, list) and isinstance(raw, list):
        rows = cast("list[object]", typed)
        for inner, row in zip(cast("list[object]", raw), rows, strict=True):
            yield from _unmodelled(inner, row, f"{path}[]")


def _is_of(raw: object, typed: object) -> bool:
    """Return whether a JSON value is the one that a typed answer was decoded from."""
    try:
        return bool(msgspec.convert(raw, type(typed)) == typed)
    except msgspec.ValidationError:
        return False


def _unmodelled_around(raw: object, typed: object, path: str) -> Iterator[str]:
    """Do the same for a whole body, in which the typed answer stands somewhere inside."""
    if _is_of(raw, typed):
        yield from _unmodelled(raw, typed, path)
    elif isinstance(raw, dict):
        for name, inner in cast("dict[str, object]", raw).items():
            if name == "data":
                yield from _unmodelled_around(inner, typed, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(raw, list) and raw:
        yield from _unmodelled_around(cast("list[object]", raw)[0], typed, path)
    else:
        pytest.fail(f"the typed answer is nowhere in the body: {path}")


def _hollowed(raw: object, typed: object) -> object:
    """Return a whole body as it is, but for an empty object in place of the typed answer."""
    if _is_of(raw, typed):
        return {}
    if isinstance(raw, list):
        return [_hollowed(inner, typed) for inner in cast("list[object]", raw)]
    return cast("dict[str, object]", raw) | {
        "data": _hollowed(cast("dict[str, object]", raw)["data"], typed)
    }


@pytest.mark.parametrize("provider", sorted({one.provider for one in _KINDS}))
async def test_every_field_of_the_recorded_answers_is_modelled_or_listed(provider: str) -> None:
    """With unknown fields forbidden, only those fail that are listed as left out on purpose."""
    found: set[str] = set()
    for recording in _RECORDINGS:
        if recording.provider == provider:
            task = _task(recording, ScriptedTransport([reply(recording.body)]))
            result = await task.poll()
            found.update(_unmodelled_around(msgspec.json.decode(recording.body), result, "$"))
    assert found == _UNMODELLED.get(provider, set())


# --- handles and references ---------------------------------------------------------------------


@every_kind
async def test_an_answer_without_a_known_word_is_no_end(kind: _Kind) -> None:
    """An answer with nothing in it has no word, and one with an unknown word no state."""
    task = _task(kind, ScriptedTransport())
    good = [str(word) for word, state in task.vocabulary.words.items() if state == "succeeded"]
    recording = next(one for one in _RECORDINGS if one[:2] == kind[:2] and one.word in good)
    result = task.read(recording.body).result
    seen = task.read(msgspec.json.encode(_hollowed(msgspec.json.decode(recording.body), result)))
    assert seen.result == type(result)()
    assert (seen.word, seen.state) == (None, None)
    word = f'"{recording.word}"'.encode()
    seen = task.read(recording.body.replace(word, b'"Contemplating"'))
    assert (seen.word, seen.state) == ("Contemplating", None)


@every_kind
def test_a_reference_leads_back_to_an_equal_task(kind: _Kind) -> None:
    """Written as text and read again, it makes a handle with an equal key, and has no secret."""
    transport = ScriptedTransport()
    task = _task(kind, transport)
    text = encode_ref(task.ref)
    again = decode_ref(text)
    assert again == task.ref == kind.ref
    assert hash(again) == hash(task.ref)
    assert (again.provider, again.kind) == (kind.provider, kind.kind)
    assert task.kind.startswith(f"{kind.provider}.{kind.kind}")
    client = _client(_PACKAGE, kind.provider, transport, _SECRET)
    assert client.task(again).key == task.key
    assert type(client.task(again)) is type(task)
    assert len(text.encode()) < 300  # with the provider's own ids
    for shown in (text, repr(task), str(task), repr(task.ref), str(task.ref), repr(client)):
        assert _SECRET not in shown


@every_kind
def test_a_reference_of_another_kind_or_provider_is_refused(kind: _Kind) -> None:
    """A client makes no task of a reference that is not its own, or that lacks an id."""
    client = _client(_PACKAGE, kind.provider, ScriptedTransport(), _SECRET)
    ref = kind.ref
    wrong = (
        TaskRef("elsewhere", ref.kind, ref.ids),
        TaskRef(ref.provider, "no_such_kind", ref.ids),
        TaskRef(ref.provider, ref.kind, {}),
        TaskRef(ref.provider, ref.kind, dict.fromkeys(ref.ids, "")),
    )
    for reference in wrong:
        with pytest.raises(ValueError, match=r"reference|task|empty"):
            client.task(reference)
