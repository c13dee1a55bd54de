"""A wait's callbacks, and the remote cancel at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import anyio
import msgspec

from asyncclient._arguments import one_of, optional_function
from asyncclient._event_loop import failure_of
from asyncclient._state import Snapshot
from asyncclient._task import Task, trait
from asyncclient._waiting.record import Record
from asyncclient._waiting.report import Report

T = TypeVar("T")

Reaction: TypeAlias = Literal["leave", "cancel"]

# A remote cancel must not delay the caller's own cancellation for long: it has 5 s, and one more to
# end. They are counted in turns, of which only one passes while the event loop stands still.
_TURN_SECONDS, _CANCEL_TURNS, _CLEAN_UP_TURNS = 0.5, 10, 2
# Seconds. A callback that hangs when its wait has ended must not keep the result for ever.
_LAST_CALLBACK_SECONDS = 5.0


class Callbacks(msgspec.Struct, Generic[T], frozen=True):
    """The callbacks of one wait, and whether its remote job is cancelled with it."""

    on_change: Callable[[Snapshot[T]], object] | None
    on_blocked: Callable[[Snapshot[T]], object] | None
    on_cancel: Reaction
    on_timeout: Reaction

    def cancel_after(self, error: BaseException, *, is_out_of_time: bool) -> bool:
        """Return whether the remote job is cancelled after a wait that ended with this error."""
        reaction = self.on_timeout if is_out_of_time else self.on_cancel
        by_caller = isinstance(error, anyio.get_cancelled_exc_class())
        return reaction == "cancel" and (
            by_caller or (is_out_of_time and isinstance(error, Exception))
        )


def callbacks_of(
    on_change: Callable[[Snapshot[T]], object] | None,
    on_blocked: Callable[[Snapshot[T]], object] | None,
    on_cancel: Reaction,
    on_timeout: Reaction,
) -> Callbacks[T]:
    """Return what a caller wants to be called, checked."""
    return Callbacks(
        optional_function("on_change", on_change, "a snapshot"),
        optional_function("on_blocked", on_blocked, "a snapshot"),
        one_of("on_cancel", on_cancel, ("leave", "cancel")),
        one_of("on_timeout", on_timeout, ("leave", "cancel")),
    )


def end_of_callbacks(now: float, deadline: float) -> float:
    """Return the time limit of the callbacks of a wait that ends now: 5 s past its deadline."""
    return max(now, deadline) + _LAST_CALLBACK_SECONDS


async def call(
    callback: Callable[[Snapshot[T]], object] | None,
    snapshot: Snapshot[T],
    *,
    report: Report,
    record: Record[Any],
) -> None:
    """Call a callback, in the context that the listener sets."""
    if callback is None:
        return
    task = asyncio.current_task()
    asked = 0 if task is None else task.cancelling()
    with report.around(record):
        try:
            outcome = callback(snapshot)
            if isawaitable(outcome):
                await outcome
        except (StopAsyncIteration, asyncio.CancelledError) as error:
            raise failure_of(error, "a callback", asked=asked) from error


async def cancel_remote(task: Task[T], *, report: Report, record: Record[Any]) -> None:
    """Cancel a remote job, if its task can do that; a failure is logged.

    Raises:
        CancelledError: the caller was asked to stop meanwhile, which breaks off nothing here.
    """
    cancel = cast("Callable[[], object] | None", trait(task, "cancel"))
    if cancel is None:
        return

    async def send() -> None:
        try:
            outcome = cancel()
            if isawaitable(outcome):
                await outcome
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (it changes no end)
            late = TimeoutError(f"it took over {_CANCEL_TURNS * _TURN_SECONDS:g} s")
            report.not_cancelled(record, late if turns >= _CANCEL_TURNS else error)

    turns, asked = 0, None
    # A task of its own, since a second cancellation of the caller would break it off here.
    sending = asyncio.ensure_future(send())
    with anyio.CancelScope(shield=True):
        while turns < _CANCEL_TURNS + _CLEAN_UP_TURNS and not sending.done():
            try:
                await asyncio.wait({sending}, timeout=_TURN_SECONDS)
                turns += 1
            except asyncio.CancelledError as error:
                asked = error
            if turns == _CANCEL_TURNS:
                sending.cancel()
    if asked is not None:
        raise asked
