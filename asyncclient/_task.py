"""The tasks that can be waited for: the `Task` protocol, and the result of one look."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Generic, NamedTuple, Protocol, TypeGuard, TypeVar, cast

import msgspec

from asyncclient._arguments import hashable, is_async, optional_function, seconds, text
from asyncclient._portable import Portable
from asyncclient._ref import TaskRef, checked_ref
from asyncclient._state import TaskState, Vocabulary, Word, word_of
from asyncclient._text import plain, shown, text_of, type_name

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Found = TypeVar("Found")

# What a function or a property of a caller's may raise where it decides nothing. A CancelledError
# comes from a future in it: a request to cancel reaches an asyncio task where it awaits.
DECIDES_NOTHING = (Exception, asyncio.CancelledError)


class _Seen(Portable, msgspec.Struct, Generic[T_co], frozen=True):
    state: TaskState | None
    word: str | int | None
    result: T_co


class Observation(_Seen[T_co], frozen=True, kw_only=True):
    """The result of one look at a task; the first three arguments may be positional.

    Args:
        state: our state; None when the provider's word is in no vocabulary.
        word: the provider's own word; None when its answer had none.
        result: the typed answer.
        raw: the answer's bytes; None where they are not kept.
        reason: the provider's words for what went wrong or what it waits for.
        progress: how far the task has come, in any unit that grows.
        demand: what identifies a demand on the caller, while the task is blocked.
        hint: seconds that the provider asks to wait before the next look.
        took: seconds that an ended task took by the provider's own clock.
    """

    raw: bytes | None = None
    reason: str | None = None
    progress: float | None = None
    demand: Hashable = None
    hint: float | None = None
    took: float | None = None

    def __repr__(self) -> str:
        return f"<Observation {self.state or 'unknown'} ({shown(self.word)})>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the answer, which may be long, and hold anything.
        return [("state", self.state), ("word", self.word)]


class Task(Protocol[T_co]):
    """Anything with a state that can be polled until it ends. Every provider's handle is one.

    A task may also have any of these:

    * `ref`: a `TaskRef`, by which another process finds it again.
    * `budget`: a tuple, the provider first; a `Poller` counts looks of equal budgets together.
    * `async cancel()`: asks the provider to stop the job.
    * `read(raw)`: returns the same as `observe`, from the bytes of an answer, without I/O.
    * `transient`: exceptions of `observe` that are worth repeating: classes, or a predicate.
    * `documented_rate`: the provider's limit of looks a second.
    * `credential`: identifies the credential of its looks, where tasks with equal keys may use
      several. When it is refused, only waits with an equal one end.
    """

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """Identity: tasks with equal keys are one task, and are looked at once."""
        ...  # pragma: no cover

    @property
    def kind(self) -> str:
        """Which tasks are alike: they share what is learned of their durations."""
        ...  # pragma: no cover

    async def observe(self) -> Observation[T_co]:
        """Look once, with one request, and return all that was seen."""
        ...  # pragma: no cover


def trait(task: object, name: str) -> object:
    """Return an optional attribute of a task; None if it has none, or a property of it raises."""
    try:
        found: object = getattr(task, name, None)
    except DECIDES_NOTHING:
        return None
    return found


def ref_of(task: object) -> TaskRef | None:
    """Return a task's portable reference, if it has one."""
    ref = trait(task, "ref")
    return ref if isinstance(ref, TaskRef) else None


def checked_budget(name: str, budget: object) -> tuple[Hashable, ...]:
    """Return a budget, checked: what looks are counted against.

    Raises:
        TypeError: it is not a tuple, or has a part that is not hashable.
    """
    parts = cast("tuple[Hashable, ...]", budget if isinstance(budget, tuple) else ([],))
    try:
        hash(parts)
    except Exception as error:
        msg = f"{name} must be a tuple of hashable parts, as (provider, account, group)"
        raise TypeError(msg) from error
    return parts


class Transient(NamedTuple):
    """Which exceptions of a task mean that the poll failed, and not the task."""

    classes: tuple[type[Exception], ...] = ()
    predicate: Callable[[Exception], bool] | None = None  # has the last word


def transient_of(declared: object) -> Transient:
    """Read what a task declares: exception classes, or a predicate of an exception.

    Raises:
        TypeError: it is neither.
    """
    if callable(declared) and not isinstance(declared, type) and not is_async(declared):
        return Transient(predicate=cast("Callable[[Exception], bool]", declared))
    kinds = cast("tuple[object, ...]", declared) if isinstance(declared, tuple) else (declared,)
    classes = tuple(
        kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)
    )
    if len(classes) == len(kinds):
        return Transient(classes)
    msg = (
        "transient must be a tuple of exception classes, as (httpx.TransportError,), or a function "
        "(not async) from an exception to whether the poll is worth repeating"
    )
    raise TypeError(msg)


class Finders(msgspec.Struct, Generic[T], frozen=True):
    """The functions that read an answer; all but the status decide nothing.

    Raises:
        TypeError: one of them has the wrong type.
    """

    vocabulary: Vocabulary
    status: Callable[[T], Word | None]
    reason: Callable[[T], str | None] | None
    progress: Callable[[T], float | None] | None
    hint: Callable[[T], float | None] | None
    duration: Callable[[T], float | None] | None

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.vocabulary), Vocabulary):
            msg = f"vocabulary must be a Vocabulary, not {type_name(self.vocabulary)}"
            raise TypeError(msg)
        for name in self.__struct_fields__[1:]:
            find: object = getattr(self, name)
            of_async = is_async(find)
            if of_async or not (callable(find) or (find is None and name != "status")):
                msg = f"{name} must be a function from an answer to its {name}, not "
                raise TypeError(msg + ("an async one" if of_async else type_name(find)))

    def observed(self, answer: T) -> Observation[T]:
        """Return what the functions find in an answer; some are called only in some states."""
        try:
            word = word_of(self.status(answer))
        except (LookupError, AttributeError, TypeError, ValueError, StopIteration):
            # An answer without a status field, with null on the way to it, or with a word that is
            # not in the caller's Enum: a wait tolerates a few.
            word = None
        state = self.vocabulary.state_of(word)
        ended = state is not None and state.is_terminal
        return Observation(
            state,
            word,
            answer,
            reason=None if state is TaskState.SUCCEEDED else _found(self.reason, answer),
            progress=_found(self.progress, answer),
            hint=None if ended else _found(self.hint, answer),
            took=_found(self.duration, answer) if ended else None,
        )


def _found(find: Callable[[T], Found] | None, answer: T) -> Found | None:
    """Return what a function finds in an answer; it decides nothing, also if it raises."""
    try:
        return None if find is None else find(answer)
    except DECIDES_NOTHING:
        return None


class LookTimedOut(TimeoutError):
    """A look took longer than its task allows: a failed poll, of which no caller decides."""


class PollingTask(msgspec.Struct, Generic[T_co], frozen=True, eq=False, weakref=True):
    """A task of one async function, made by `polling_task`; it keeps its arguments."""

    fetch: Callable[[], Awaitable[T_co]]
    finders: Finders[T_co]
    key: Hashable
    kind: str
    transient: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
    given_budget: tuple[Hashable, ...] | None
    ref: TaskRef | None
    cancel: Callable[[], Awaitable[object]] | None
    poll_timeout: float

    @property
    def budget(self) -> tuple[Hashable, ...]:
        """What its looks are counted against; by default its kind, made in the same module."""
        return self.given_budget or ("", module_of(_unwrapped(self.fetch)), self.kind)

    async def poll(self) -> T_co:
        """Call the function once and return what it returned."""
        answer = self.fetch()
        if not isawaitable(answer):
            msg = (
                f"{self.kind}: fetch() returned {type_name(answer)}, not an awaitable: "
                "pass an async function of no arguments"
            )
            raise TypeError(msg)
        if self.poll_timeout == math.inf:
            return await answer
        limit = asyncio.timeout(self.poll_timeout)
        try:
            async with limit:
                return await answer
        except TimeoutError as error:
            if not limit.expired():
                raise
            msg = f"no answer within {plain(self.poll_timeout)} s"
            raise LookTimedOut(msg) from error

    async def observe(self) -> Observation[T_co]:
        """Look once, and return what the caller's functions find in the answer."""
        return self.finders.observed(await self.poll())

    def __repr__(self) -> str:
        return f"<PollingTask {self.kind} {shown(self.key)}>"


def polling_task(
    fetch: Callable[[], Awaitable[T]],
    *,
    vocabulary: Vocabulary,
    status: Callable[[T], Word | None],
    key: Hashable = None,
    kind: str | None = None,
    reason: Callable[[T], str | None] | None = None,
    progress: Callable[[T], float | None] | None = None,
    hint: Callable[[T], float | None] | None = None,
    duration: Callable[[T], float | None] | None = None,
    transient: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = (),
    budget: tuple[Hashable, ...] | None = None,
    ref: TaskRef | None = None,
    cancel: Callable[[], Awaitable[object]] | None = None,
    poll_timeout: float = math.inf,
) -> PollingTask[T]:
    """Make a task of an async function, to wait for a job of any API.

    Args:
        fetch: an async function of no arguments that asks once and returns the answer.
        vocabulary: the API's status words.
        status: from an answer to its status word, or to a member of an Enum of them. A
            `LookupError`, `AttributeError`, `TypeError` or `ValueError` in it counts as an answer
            without a word. The four functions below decide nothing: what they raise counts as None.
        key: what identifies the task: equal keys are one task. Default: `fetch` itself.
        kind: which tasks are alike: they share what is learned, and in a `Poller` a budget.
            Default: the function's name, and the line of a lambda.
        reason: from an answer to the API's words for a failure, for the error's message.
        progress: from an answer to how far the job has come; a new value counts as a change.
        hint: from an answer to the seconds that the API asks to wait, where its body says so. A
            Unix time (seconds or milliseconds) is also accepted.
        duration: from the last answer to the seconds that the job took by the API's own clock, for
            a schedule that learns.
        transient: more exceptions that mean "the poll failed, not the job": classes, or a
            function from an exception to a bool, which has the last word. The network errors of
            Python, aiohttp, httpx and requests, and their 408, 425, 429 and 5xx, always do.
        budget: what a `Poller` counts its looks against, as (provider, account, group of
            endpoints).
        ref: the reference by which another process finds the task again, for errors, a `Ticket` and
            an engine.
        cancel: an async function of no arguments that stops the remote job.
        poll_timeout: seconds for one call of `fetch`; a longer one is a failed poll. Default: only
            the wait's own limit, which always holds.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `poll_timeout` is not more than 0.
    """
    if iscoroutine(fetch):
        fetch.close()
        msg = "polling_task takes the async function itself, not a call of it: drop the '()'"
        raise TypeError(msg)
    if not callable(fetch):
        msg = f"polling_task takes an async function of no arguments, not {type_name(fetch)}"
        raise TypeError(msg)
    transient_of(transient)
    if kind is not None:
        text("kind", kind)
    if budget is not None:
        checked_budget("budget", budget)
    return PollingTask(
        fetch,
        Finders(vocabulary, status, reason, progress, hint, duration),
        fetch if key is None else hashable("key", key),
        kind or _kind_of(fetch),
        transient,
        budget,
        None if ref is None else checked_ref(ref, "ref="),
        optional_function("cancel", cancel, "no arguments"),
        seconds("poll_timeout", poll_timeout),
    )


def _kind_of(fetch: object) -> str:
    function = _unwrapped(fetch)
    name = text_of(getattr(function, "__qualname__", type(function).__name__))
    if not name.endswith("<lambda>"):
        return name
    # Two in one place would be one kind, and learn from each other.
    return f"{name}:{getattr(getattr(function, '__code__', None), 'co_firstlineno', 0)}"


def _unwrapped(fetch: object) -> object:
    while isinstance(fetch, partial):
        fetch = cast("partial[object]", fetch).func
    return fetch


def module_of(thing: object) -> str:
    """Return the name of the module in which a function or a class was defined."""
    module = trait(thing, "__module__")
    return module if isinstance(module, str) else ""


def task_of(
    task: Task[T] | Callable[[], Awaitable[T]],
    vocabulary: Vocabulary | None,
    status: Callable[[T], Word | None] | None,
) -> Task[T]:
    """Return a caller's argument as a task.

    Raises:
        TypeError: it is neither a task nor an async function with a vocabulary.
    """
    if is_task(task):
        if vocabulary is not None or status is not None:
            msg = "vocabulary= and status= go with an async function; a task has its own"
            raise TypeError(msg)
        return cast("Task[T]", task)
    if iscoroutine(task):
        task.close()  # else Python would also warn that it was never awaited
    if vocabulary is None or status is None or isinstance(task, type | TaskRef):
        raise no_task(task, "an async function of no arguments with vocabulary= and status=")
    fetch = cast("Callable[[], Awaitable[T]]", task)
    return polling_task(fetch, vocabulary=vocabulary, status=status)


def no_task(wrong: object, other: str) -> TypeError:
    """Make the error for an argument that is not a task; it says what to pass."""
    how = f"pass a task (what start_...() returns; await it first), or {other}"
    if isinstance(wrong, TaskRef):
        how = f"a reference is waited for as its provider's task: pass {wrong.provider}.task(ref)"
    return TypeError(f"cannot wait for {type_name(wrong)}: {how}")


def is_task(task: object) -> TypeGuard[Task[object]]:
    """Return whether an object is a task."""
    return hasattr(task, "observe") and not isinstance(task, type)
