"""Tests of the error tree: its drawing, its evidence, and its way to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import TYPE_CHECKING, cast

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from asyncclient import errors
from asyncclient._http import Answer, Response
from asyncclient._ref import TaskRef
from asyncclient._state import Snapshot, TaskState
from asyncclient._text import counted
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    ConnectFailed,
    DecodeError,
    RequestTimeout,
    ServerError,
    TaskCancelled,
    TaskFailed,
    TransportError,
    WaitTimeout,
)
from tests.hostile import Raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CLASSES: list[type[AsyncClientError]] = [getattr(errors, name) for name in errors.__all__]

REF = TaskRef("coze", "chat", {"conversation_id": "1", "chat_id": "2"})


class Job(Answer):
    """An answer about a task."""

    status: str


def drawn() -> Iterator[tuple[str, str | None, bool]]:
    """Read the drawing in the module's docstring: name, parent, and whether it is a timeout."""
    drawing = inspect.cleandoc((errors.__doc__ or "").split("\n\n")[2])
    above: list[str] = []
    for line in drawing.splitlines():
        branch = re.fullmatch(r"((?:│   |    )*(?:├── |└── )?)(\w+)(?: +(\S.*))?", line)
        assert branch is not None, f"not a branch of the tree: {line!r}"
        depth = len(branch[1]) // 4
        del above[depth:]
        yield branch[2], above[-1] if above else None, "TimeoutError" in (branch[3] or "")
        above.append(branch[2])


def test_the_tree_is_exactly_as_drawn() -> None:
    """Each class stands under the one it derives from, and timeouts are `TimeoutError` too."""
    branches = list(drawn())
    family = {
        name: next((base.__name__ for base in kind.__bases__ if base is not Exception), None)
        for name, kind in zip(errors.__all__, CLASSES, strict=True)
    }
    assert {name: parent for name, parent, _ in branches} == family
    assert len(branches) == len(errors.__all__)
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    defined = [each.__name__ for each in classes if each.__module__ == "asyncclient.errors"]
    assert sorted(defined) == errors.__all__
    timeouts = {name for name, _, is_timeout in branches if is_timeout}
    assert timeouts == {"RequestTimeout", "WaitTimeout"}
    assert {kind.__name__ for kind in CLASSES if issubclass(kind, TimeoutError)} == timeouts


def test_without_a_wait_there_is_no_evidence() -> None:
    """Evidence has defaults on the class, so that `except` clauses may read it at once."""
    for kind in CLASSES:
        error = kind()
        assert str(error) == error.text == error.advice == ""
        assert error.ref is None
        if not isinstance(error, TaskFailed | TaskCancelled):
            assert error.snapshot is None
        assert (error.polls, error.elapsed, error.last_error) == (0, 0, None)
        assert error.may_have_started is False
    one, two = APIError("one"), APIError("two")
    one.polls = 3
    assert two.polls == AsyncClientError.polls == 0


def test_an_end_that_an_answer_shows_has_that_answer() -> None:
    """There is always a snapshot, so it is never None: one made without an answer says so."""
    for error in (TaskFailed("it ended"), TaskCancelled("it ended")):
        with pytest.raises(AttributeError, match=r"^no snapshot: this error came without an answ"):
            _ = error.snapshot
        error.snapshot = None
        assert not hasattr(error, "snapshot")
        snapshot = Snapshot(state=TaskState.FAILED, word="no", result=1, polls=1)
        error.snapshot = snapshot
        assert vars(error)["snapshot"] is error.snapshot is snapshot


_NOTHING = dict.fromkeys(("code", "log_id", "retry_after"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError(), {"sent": True, "permanent": False}),
        (ConnectFailed(), {"sent": False, "permanent": False}),
        (RequestTimeout(), {"sent": True, "permanent": False}),
        (APIError(), {**_NOTHING, "status": 0, "message": "", "foreign": False, "known": True}),
        (DecodeError(), {"path": "", "excerpt": "", "status": 0}),
        (WaitTimeout(), {"retry_after": None}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_has_its_attributes_from_the_start(
    error: AsyncClientError, expected: Mapping[str, object]
) -> None:
    """An error raised with its message only has every documented attribute, at its default."""
    assert vars(error) == expected


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        ("", "no answer yet"),
        ("ask again", "no answer yet; ask again"),
        ("It may go on: ask again", "no answer yet. It may go on: ask again"),
    ],
    ids=["none", "clause", "sentence"],
)
def test_an_error_says_what_happened_and_then_the_advice(advice: str, words: str) -> None:
    """Both can be had alone, and a program that knows better sets another advice."""
    for kind in CLASSES:
        error = kind("no answer yet", advice=advice)
        assert str(error) == words
        assert (error.text, error.advice) == ("no answer yet", advice)
        error.advice = "press F5"
        assert str(error) == "no answer yet; press F5"


def test_one_is_counted_in_the_singular() -> None:
    """Counts in messages are English."""
    assert [counted(number, "poll") for number in (0, 1, 2)] == ["0 polls", "1 poll", "2 polls"]


def complete(kind: type[AsyncClientError]) -> AsyncClientError:
    """Make an error with every attribute it can have, none at its default."""
    api = {"status": 418, "code": "teapot", "message": "short and stout", "log_id": "x-7"}
    options: dict[type[AsyncClientError], dict[str, object]] = {
        ConnectFailed: {"sent": True, "permanent": True},
        TransportError: {"sent": False, "permanent": True},
        APIError: {**api, "retry_after": 2.5, "foreign": True},
        DecodeError: {"path": "$.data", "excerpt": "{", "status": 200},
        WaitTimeout: {"retry_after": 2.5},
        AsyncClientError: {},
    }
    own = next(values for base, values in options.items() if issubclass(kind, base))
    make = cast("Callable[..., AsyncClientError]", kind)
    error = make("what happened", advice="what to do", **own)
    headers = CIMultiDictProxy(CIMultiDict({"Set-Cookie": "x"}))
    job = Job("busy").from_response(Response(200, headers, b"{}"))
    error.ref = REF
    error.snapshot = Snapshot(state=TaskState.RUNNING, word="busy", result=job, polls=3, raw=b"{}")
    error.polls = 4
    error.elapsed = 5.5
    error.last_error = ServerError("once", status=502)
    error.may_have_started = True
    error.add_note("and more")
    return error


def pickled(error: AsyncClientError) -> object:
    """Send an error to another process and back."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301  (what was pickled a line before)


@pytest.mark.parametrize("twin_of", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_to_another_process(
    kind: type[AsyncClientError], twin_of: Callable[[AsyncClientError], object]
) -> None:
    """A pickled or copied error has its class, its text, its notes and all its attributes."""
    error = complete(kind)
    twin = twin_of(error)
    assert type(twin) is kind
    assert str(twin) == "what happened; what to do"
    ours, theirs = dict(vars(error)), dict(vars(twin))
    assert repr(ours.pop("last_error")) == repr(theirs.pop("last_error"))
    assert theirs == ours
    assert ours["__notes__"] == ["and more"]


class Refusal(Exception):
    """An error of another library, made of what pickle does not give back, as httpx's."""

    def __init__(self, words: str, *, request: object) -> None:
        super().__init__(words)
        self.request = request


class Unread(TaskFailed):
    """An error of a user's own, with another constructor."""

    def __init__(self, job: int) -> None:
        super().__init__(f"job {job} failed")


class Shy(Raising):
    """An object that is neither pickled nor shown."""

    def __reduce__(self) -> str:
        raise RuntimeError("never")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_cannot_be_pickled_is_its_text(protocol: int) -> None:
    """An error of ours always gets to another process, with any evidence of a caller's task."""

    class Local(AsyncClientError):
        """A class that another process has not."""

    error = complete(TaskFailed)
    error.add_note("and more")
    error.snapshot = Snapshot(state=None, word=1, result=Shy(), raw=b"{}")
    given = [Refusal("403 Forbidden", request=7), Local("here"), OSError("gone")]
    for last, text in zip(given, ["Refusal: 403 Forbidden", "Local: here", ""], strict=True):
        error.last_error = last
        twin = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301  (of our own)
        assert isinstance(twin, TaskFailed)
        assert (str(twin), twin.polls, twin.ref) == (str(error), error.polls, error.ref)
        assert twin.snapshot.result == "<Shy without a text>"
        assert str(twin.last_error) == (text or str(last))
        assert type(twin.last_error) is (AsyncClientError if text else OSError)
        assert copy.copy(error).last_error is last
        assert str(copy.deepcopy(error).last_error) == (text or str(last))


def test_an_error_that_names_itself_survives_too() -> None:
    """It is not looked into without end, nor made with the arguments of ours.

    A wait that gives up raises the last failed poll itself, which names itself as such.
    """
    for error, text in ((Unread(7), "job 7 failed"), (ServerError("again", status=500), "again")):
        error.last_error = error
        for twin in (pickled(error), copy.copy(error)):
            assert isinstance(twin, type(error))
            assert (str(twin), twin.args) == (text, (text,))
        twin = pickled(error)
        assert isinstance(twin, AsyncClientError)
        assert twin.last_error is twin
    one, other = WaitTimeout("one"), Refusal("other", request=None)
    one.last_error, other.request = other, one
    assert isinstance(pickled(one), WaitTimeout)
