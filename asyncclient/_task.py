"""What can be waited for: the `Task` protocol, its optional traits, and its portable reference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable, iscoroutine
from typing import ClassVar, Generic, Protocol, TypeVar, cast

import msgspec

from asyncclient._state import TaskState, Vocabulary

__all__ = ["Handle", "PollingTask", "Task", "TaskRef", "decode_ref", "encode_ref", "polling_task"]

T = TypeVar("T")
Found = TypeVar("Found")

REF_VERSION = 1


class TaskRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to find a task again, in this process or another; there is no secret in it.

    Attributes:
        provider: as `coze`.
        kind: as `workflow_run`.
        ids: the provider's ids by their names.
        created: Unix time in whole seconds at which it was started; None when not known.
        v: version of this form.
    """

    provider: str
    kind: str
    ids: dict[str, str]
    created: int | None = None
    v: int = msgspec.field(default=REF_VERSION)

    def __hash__(self) -> int:
        return hash((self.provider, self.kind, frozenset(self.ids.items())))

    def __str__(self) -> str:
        return f"{self.provider} {self.kind} {'/'.join(self.ids.values())}"


_ref_encoder = msgspec.json.Encoder()
_ref_decoder = msgspec.json.Decoder(TaskRef)
_version_decoder = msgspec.json.Decoder(dict[str, object])


def encode_ref(ref: object) -> str:
    """Write a reference as one line of JSON, for a queue, a database or a URL.

    Its ids and some 110 bytes more: under 300 bytes with ids as Coze (20 digits) and Copy.ai (41
    characters) give them, and never more than 2200 for a provider's handle, whose ids are bounded.

    Raises:
        TypeError: it is not a `TaskRef`.
    """
    if not isinstance(ref, TaskRef):
        msg = f"encode_ref takes a TaskRef (a handle's .ref), not {type(ref).__name__}"
        raise TypeError(msg)
    return _ref_encoder.encode(ref).decode()


def decode_ref(text: object) -> TaskRef:
    """Read what `encode_ref` wrote.

    Raises:
        TypeError: it is neither text nor bytes.
        ValueError: it is not such a text, or of a version that this library does not know.
    """
    return read_versioned(
        text,
        _ref_decoder,
        REF_VERSION,
        what="a task reference",
        reader="decode_ref",
        writer="encode_ref",
        advice="update it, or start the wait where the reference was made",
    )


def read_versioned(
    text: object,
    decoder: msgspec.json.Decoder[T],
    version: int,
    *,
    what: str,
    reader: str,
    writer: str,
    advice: str,
) -> T:
    """Read JSON that another process wrote, and that says of which version it is.

    Args:
        text: what was passed.
        decoder: for that version.
        version: the only one that is known here.
        what: what the text is to be, with its article.
        reader: the function that reads it, for messages.
        writer: the function that wrote it.
        advice: what to do about another version.

    Raises:
        TypeError: it is neither text nor bytes.
        ValueError: it is not such a text, or of another version.
    """
    if not isinstance(text, str | bytes):
        msg = f"{reader} takes the text that {writer} wrote, not {type(text).__name__}"
        raise TypeError(msg)
    try:
        found = _version_decoder.decode(text).get("v")
        if found == version:
            return decoder.decode(text)
        reason = ""
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        found, reason = None, str(error)
    if reason:
        msg = f"not {what}: {reason}; pass the whole text that {writer} wrote"
    else:
        msg = f"{what} of version {found!r}: this library reads version {version}; {advice}"
    raise ValueError(msg)


def key_of(account: Hashable, ref: TaskRef) -> tuple[Hashable, ...]:
    """Return the identity of a task by its reference, whatever the order of its ids."""
    return (account, ref.kind, *(ref.ids[name] for name in sorted(ref.ids)))


def checked_ref(ref: object) -> TaskRef:
    """Return a reference, or say what to do with what is none.

    Raises:
        TypeError: it is not a `TaskRef`.
    """
    if not isinstance(ref, TaskRef):
        msg = f"task() takes a TaskRef, not {type(ref).__name__}: read a text with decode_ref first"
        raise TypeError(msg)
    return ref


class Task(Protocol[T]):
    """Anything whose end can be waited for. Every provider's handle is one.

    A task may also have any of these, found by their names:

    * `ref`: a `TaskRef`, by which it can be found again in another process.
    * `async cancel()`: asks the provider to stop the job.
    * `reason_of(result)`: the provider's words for what went wrong, a text or None.
    * `progress_of(result)`: how far it has come, a number in any unit that grows, or None.
    * `hint_of(result)`: the seconds that the answer asks to wait, or None.
    * `duration_of(result)`: the seconds that an ended task took by the provider's own clock, or
      None. A schedule that learns sees by them more than by its polls.
    * `block_of(result)`: what tells one demand on the caller from the next, any hashable, or None.
    * `transient`: a tuple of exception types of `poll` that are worth repeating.
    * `budget`: a tuple, the provider first; a `Poller` counts polls of equal budgets together.
    """

    @property
    def key(self) -> Hashable:
        """Identity: tasks with equal keys are one task, and are polled once."""
        ...  # pragma: no cover

    @property
    def kind(self) -> str:
        """Which tasks are alike: they share what is learned of their durations."""
        ...  # pragma: no cover

    async def poll(self) -> T:
        """Ask once, with one request, and return the answer."""
        ...  # pragma: no cover

    def state_of(self, result: T) -> TaskState | None:
        """Return the state that an answer shows; None when its word is not known."""
        ...  # pragma: no cover

    def word_of(self, result: T) -> str | int | None:
        """Return the provider's own word for it; None when the answer has none."""
        ...  # pragma: no cover


class Handle(Generic[T]):
    """A provider's task by its ids: what `start_…` returns. Making one does no I/O.

    A provider's handle adds `poll` and `word_of`, names its `vocabulary`, and whichever optional
    traits it has. `documented_rate` is the limit of its polls in requests a second, where the
    provider documents one.

    Args:
        account: the provider and the place where it is asked.
        kind: which tasks are alike.
        ref: its portable reference.
        budget: what its polls are counted against, the provider first and then the account. By
            default just these two.
    """

    __slots__ = ("budget", "key", "kind", "ref")

    vocabulary: ClassVar[Vocabulary]
    documented_rate: ClassVar[float | None] = None

    def __init__(
        self,
        account: Hashable,
        kind: str,
        ref: TaskRef,
        budget: tuple[Hashable, ...] | None = None,
    ) -> None:
        self.key = key_of(account, ref)
        self.kind = kind
        self.ref = ref
        self.budget = budget or (ref.provider, account)

    async def poll(self) -> T:
        """Ask the provider once, with one request, and return its typed answer."""
        raise NotImplementedError  # pragma: no cover

    def word_of(self, result: T) -> str | int | None:
        """Return the provider's own status word in an answer."""
        raise NotImplementedError  # pragma: no cover

    def state_of(self, result: T) -> TaskState | None:
        """Return the state that an answer shows; None when its word is not known."""
        return self.vocabulary.state_of(self.word_of(result))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ref}>"


class PollingTask(Generic[T]):
    """A task made of one coroutine function, by `polling_task`."""

    __slots__ = (
        "_duration",
        "_fetch",
        "_hint",
        "_progress",
        "_reason",
        "_status",
        "_vocabulary",
        "key",
        "kind",
        "ref",
        "transient",
    )

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        vocabulary: Vocabulary,
        status: Callable[[T], str | int | None],
        *,
        key: Hashable,
        kind: str,
        reason: Callable[[T], str | None] | None,
        progress: Callable[[T], float | None] | None,
        hint: Callable[[T], float | None] | None,
        duration: Callable[[T], float | None] | None,
        transient: tuple[type[Exception], ...],
    ) -> None:
        self._fetch = fetch
        self._vocabulary = vocabulary
        self._status = status
        self._reason = reason
        self._progress = progress
        self._hint = hint
        self._duration = duration
        self.key = key
        self.kind = kind
        self.ref: TaskRef | None = None
        self.transient = transient

    async def poll(self) -> T:
        """Call the function once and return what it returned."""
        answer = self._fetch()
        if not isawaitable(answer):
            msg = (
                f"{self.kind}: fetch() returned {type(answer).__name__}, not an awaitable: "
                "pass an async function of no arguments"
            )
            raise TypeError(msg)
        return await answer

    def word_of(self, result: T) -> str | int | None:
        """Return what `status` found in an answer; None where it finds nothing."""
        return _found(self._status, result)

    def state_of(self, result: T) -> TaskState | None:
        """Return the state that an answer shows; None when its word is not known."""
        return self._vocabulary.state_of(self.word_of(result))

    def reason_of(self, result: T) -> str | None:
        """Return what `reason` found in an answer."""
        return _found(self._reason, result)

    def progress_of(self, result: T) -> float | None:
        """Return what `progress` found in an answer."""
        return _found(self._progress, result)

    def hint_of(self, result: T) -> float | None:
        """Return what `hint` found in an answer."""
        return _found(self._hint, result)

    def duration_of(self, result: T) -> float | None:
        """Return what `duration` found in an answer."""
        return _found(self._duration, result)

    def __repr__(self) -> str:
        return f"<PollingTask {self.kind} {self.key!r}>"


def _found(find: Callable[[T], Found] | None, result: T) -> Found | None:
    """Return what a caller's function finds in an answer; None where there is no such field."""
    try:
        return None if find is None else find(result)
    except (LookupError, AttributeError):
        # An answer without a status field is a missing word, which a wait knows to bear.
        return None


def polling_task(
    fetch: Callable[[], Awaitable[T]],
    *,
    vocabulary: Vocabulary,
    status: Callable[[T], str | int | None],
    key: Hashable = None,
    kind: str | None = None,
    reason: Callable[[T], str | None] | None = None,
    progress: Callable[[T], float | None] | None = None,
    hint: Callable[[T], float | None] | None = None,
    duration: Callable[[T], float | None] | None = None,
    transient: tuple[type[Exception], ...] = (),
) -> PollingTask[T]:
    """Make a task of any coroutine function, so that the end of any API's job can be waited for.

    Args:
        fetch: an async function of no arguments that asks once and returns the answer.
        vocabulary: the API's status words.
        status: from an answer to its status word. A `KeyError`, `IndexError` or `AttributeError`
            in it, as in the functions below, counts as an answer without that field.
        key: identity; tasks with equal keys are one task. Default: `fetch` itself.
        kind: which tasks are alike. Default: the function's name.
        reason: from an answer to the API's words for a failure, for the error's message.
        progress: from an answer to how far the job has come; a change of it is a change.
        hint: from an answer to the seconds that the API asks to wait, where its body says so.
        duration: from the last answer to the seconds that the job took by the API's own clock, for
            a schedule that learns.
        transient: exceptions of your HTTP library that mean "the poll failed, not the job", as
            `(httpx.TransportError,)`. `TimeoutError` and `ConnectionError` always do.

    Raises:
        TypeError: `fetch`, `status` or `vocabulary` is not of its kind.
    """
    if iscoroutine(fetch):
        fetch.close()
        msg = "polling_task takes the async function itself, not a call of it: drop the '()'"
        raise TypeError(msg)
    if not callable(fetch):
        msg = f"polling_task takes an async function of no arguments, not {type(fetch).__name__}"
        raise TypeError(msg)
    _check("vocabulary", vocabulary, Vocabulary)
    for name, what, function in (
        ("status", "status word", status),
        ("reason", "reason", reason or status),
        ("progress", "progress", progress or status),
        ("hint", "hint", hint or status),
        ("duration", "duration", duration or status),
    ):
        if not callable(function):
            kind_of = type(function).__name__
            msg = f"{name} must be a function from an answer to its {what}, not {kind_of}"
            raise TypeError(msg)
    _check_transient(transient)
    _check("key", key, Hashable)
    return PollingTask(
        fetch,
        vocabulary,
        status,
        key=fetch if key is None else key,
        kind=kind or str(getattr(fetch, "__qualname__", type(fetch).__name__)),
        reason=reason,
        progress=progress,
        hint=hint,
        duration=duration,
        transient=transient,
    )


def _check_transient(types: object) -> None:
    kinds = cast("tuple[object, ...]", types) if isinstance(types, tuple) else (None,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        msg = "transient must be a tuple of exception classes, as (httpx.TransportError,)"
        raise TypeError(msg)


def _check(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        msg = f"{name} must be a {kind.__name__}, not {type(value).__name__}"
        raise TypeError(msg)
