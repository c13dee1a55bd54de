"""The waits of each engine by its name, for worker processes and for tests on real servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from asyncclient.integrations._engine import DurableWaits


@contextlib.asynccontextmanager
async def waits_of(
    engine: str, url: str, *, name: str, lay_out: bool = False
) -> AsyncGenerator[DurableWaits]:
    """Open the waits of an engine, whose module alone is imported.

    Args:
        engine: `docket` or `procrastinate`.
        url: where it keeps its tickets.
        name: of docket, or of procrastinate's queue.
        lay_out: whether tables are made where there are none.
    """
    if engine == "docket":
        from asyncclient.integrations.docket import DocketWaits  # noqa: PLC0415  (one is enough)

        async with DocketWaits(url, name=name) as waits:
            yield waits
    else:
        from asyncclient.integrations.procrastinate import (  # noqa: PLC0415  (as above)
            ProcrastinateWaits,
        )

        async with ProcrastinateWaits(url, queue=name) as held:
            if lay_out and not await held.app.check_connection_async():
                await held.app.schema_manager.apply_schema_async()
            yield held
