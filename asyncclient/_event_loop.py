"""The event loop that an object belongs to, from its first use to its end."""

from __future__ import annotations

import asyncio


def running_loop(
    owner: str, bound: asyncio.AbstractEventLoop | None, *, closed: bool
) -> asyncio.AbstractEventLoop:
    """Return the running event loop, or raise what is wrong with using a `Poller`, say, in it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        msg = f"a {owner} needs a running asyncio event loop (not trio's, and not none)"
        raise RuntimeError(msg) from None
    if closed:
        msg = f"this {owner} is closed: make a new one, or use it inside its 'async with'"
        raise RuntimeError(msg)
    if bound is not None and bound is not loop:
        msg = (
            f"this {owner} belongs to another event loop: make one inside each asyncio.run(), "
            "and share it there"
        )
        raise RuntimeError(msg)
    return loop
