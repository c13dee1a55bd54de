"""The event loop that an object belongs to, and what its tasks raise."""

from __future__ import annotations

import asyncio

from asyncclient._text import type_name

# Exceptions that are looked at, each raised while the next one was handled.
_LONGEST_CHAIN = 20


def running_loop(
    owner: str, bound: asyncio.AbstractEventLoop | None, *, closed: bool
) -> asyncio.AbstractEventLoop:
    """Return the running event loop; raise an error where its owner cannot be used in it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        msg = f"a {owner} needs a running asyncio event loop: use it inside asyncio.run(), not trio"
        raise RuntimeError(msg) from None
    if closed:
        msg = f"this {owner} is closed: make a new one, or use it inside its 'async with'"
        raise RuntimeError(msg)
    if bound is not None and bound is not loop:
        raise _elsewhere(owner)
    return loop


def check_thread(owner: str, bound: asyncio.AbstractEventLoop | None) -> None:
    """Raise if an object's event loop runs in another thread: nothing here has locks."""
    if runs_elsewhere(bound):
        raise _elsewhere(owner)


def runs_elsewhere(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Return whether an event loop runs in another thread than this one."""
    if loop is None or not loop.is_running():
        return False
    try:
        return asyncio.get_running_loop() is not loop
    except RuntimeError:
        return True


def _elsewhere(owner: str) -> RuntimeError:
    return RuntimeError(
        f"this {owner} belongs to another event loop: make one inside each asyncio.run(), and "
        "share it there; from another thread, pass its methods to loop.call_soon_threadsafe, and "
        "its coroutines to asyncio.run_coroutine_threadsafe"
    )


def _cancellation_behind(error: BaseException) -> asyncio.CancelledError | None:
    """Return the CancelledError in whose handling an error was raised, itself included."""
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None or isinstance(link, asyncio.CancelledError):
            return link
        link = link.__context__
    return None


def failure_of(error: BaseException, what: str, *, asked: int = 0) -> Exception:
    """Return an exception of the caller's code in a form that ends only its own wait.

    A CancelledError without a request to cancel this asyncio task means that something inside was
    cancelled, such as a future of an HTTP library: a broken connection. With one, an error that was
    made of the CancelledError counts as that; but a TimeoutError is what a time limit makes of its
    own. An end of iteration would end, in silence, the loop that iterates over the wait, and what
    else is no `Exception` an asyncio task of ours.

    Args:
        error: what was raised.
        what: which code raised it.
        asked: how often this asyncio task had been asked to stop before that ran: who cleans up
            after a cancellation may wait for more.

    Raises:
        CancelledError: this task was asked to stop.
        KeyboardInterrupt, SystemExit: the program stops.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    task = asyncio.current_task()
    if (task is None or task.cancelling() > asked) and not isinstance(error, TimeoutError):
        cancellation = _cancellation_behind(error)
        if cancellation is not None:
            raise cancellation
    if isinstance(error, asyncio.CancelledError):
        failure: Exception = ConnectionAbortedError(f"{what} was cancelled from inside")
    elif isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    else:
        failure = RuntimeError(f"{what} raised {type_name(error)}")
    failure.__cause__ = error
    return failure
