"""Worker processes on one store: each runs this file, and writes down each poll and each end.

Their jobs go by the clock, so that they need no provider; a worker may hold waits on the
simulator as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from asyncclient import (
    Done,
    LearnedSchedule,
    Poller,
    Schedule,
    SessionPool,
    Task,
    TaskAPI,
    TaskRef,
    Vocabulary,
    polling_task,
)
from asyncclient._durable import Client, TicketExpired
from asyncclient.integrations._engine import DurableWaits
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

WORDS = Vocabulary(running="running", succeeded="done", failed="broken")


class Poll(NamedTuple):
    """One poll: its Unix time, who asked about which job, and the seconds since the job's end."""

    at: float
    worker: str
    job: str
    late: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works."""

    engine: str  # the adapter's name
    url: str  # where it keeps its tickets
    name: str  # of docket, or of procrastinate's queue
    rate: float | None = None  # polls a second of the account; None for no limit
    interval: float | None = None  # seconds between a job's first polls; None for what is learned
    longest: float = 0.0  # seconds between its later ones, where they are more
    hold: float = 60.0  # seconds of a slice
    redelivery: float = 30.0  # seconds after which a dead worker's waits go to others
    share_rate: bool = True  # as for `work`, and so the next
    share_learned: bool = True
    simulator: tuple[str, str, str] | None = None  # URLs of Coze, Copy.ai and a catalogue's API


def job(number: int | str, seconds: float = 1e9) -> TaskRef:
    """Make the reference of a job that has so long to go."""
    return TaskRef("fake", "job", {"id": str(number), "ends": f"{time.time() + seconds:.3f}"})


@dataclass
class Crew:
    """The workers; what they write is in a folder of their own."""

    folder: Path
    workers: dict[str, asyncio.subprocess.Process] = field(
        default_factory=dict[str, asyncio.subprocess.Process]
    )

    async def __aenter__(self) -> Self:
        for name in ("polls", "ledger", "stderr"):
            (self.folder / name).touch()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        for name in list(self.workers):
            await self.end(name, signal.SIGKILL)

    async def start(self, name: str, settings: Settings) -> None:
        """Start a worker process, and return when it begins to work."""
        arguments = name, str(self.folder), msgspec.json.encode(settings).decode()
        with (self.folder / "stderr").open("ab") as errors:
            self.workers[name] = worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integrations.crew", *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[2],
            )
        assert worker.stdout is not None
        await worker.stdout.readline()

    async def end(self, name: str, how: signal.Signals) -> None:
        """End a worker: SIGKILL as its machine might, SIGTERM as a deploy does."""
        worker = self.workers.pop(name)
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(how)
        await worker.wait()

    def polls(self) -> list[Poll]:
        """Return all polls of jobs so far, by their time."""
        lines = (line.split() for line in self._lines("polls"))
        return sorted(Poll(float(at), worker, job, float(late)) for at, worker, job, late in lines)

    def reported(self) -> dict[str, list[str]]:
        """Return how each wait was reported, once or more, by any worker."""
        reported: dict[str, list[str]] = {}
        for key, state in map(str.split, self._lines("ledger")):
            reported.setdefault(key, []).append(state)
        return reported

    def trouble(self) -> str:
        """Return what the workers logged."""
        return "\n".join(self._lines("stderr"))

    def _lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()


async def _work(name: str, folder: str, text: str) -> None:
    """Hold waits until ended."""
    settings = msgspec.json.decode(text, type=Settings)
    working = asyncio.current_task()
    assert working is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    interval = settings.interval
    schedule = (
        None if interval is None else Schedule(first=interval, cap=max(interval, settings.longest))
    )
    poller = Poller(rate=settings.rate, schedule=schedule or LearnedSchedule(), concurrency=1000)

    def note(file: str, line: str) -> None:
        with Path(folder, file).open("ab", buffering=0) as notes:  # nothing is lost by a kill
            notes.write(f"{line}\n".encode())

    async with SessionPool() as pool, poller:
        clients: dict[str, Client] = {}
        if settings.simulator is not None:
            coze_url, copyai_url, api_url = settings.simulator
            clients["coze"] = Coze(pool, token="pat_simulator", base_url=coze_url)
            clients["copyai"] = CopyAI(pool, api_key="simulator-key", base_url=copyai_url)
            clients["databricks"] = TaskAPI(pool, api_url, name="databricks")

        def task_of(ref: TaskRef) -> Task[object]:
            if ref.provider in clients:
                return clients[ref.provider].task(ref)

            async def fetch() -> str:
                late = time.time() - float(ref.ids["ends"])
                note("polls", f"{time.time()} {name} {ref.ids['id']} {late}")
                return "done" if late >= 0 else "running"

            return polling_task(fetch, vocabulary=WORDS, status=str, key=ref.ids["id"], kind="job")

        async def sink(key: str, end: Done[object] | TicketExpired) -> None:
            note("ledger", f"{key} {end.state}")

        with contextlib.suppress(asyncio.CancelledError):
            async with waits_of(settings) as waits:
                sys.stdout.write("at work\n")
                sys.stdout.flush()
                await waits.work(
                    poller,
                    task_of,
                    sink,
                    hold=settings.hold,
                    schedule=schedule,
                    redelivery=settings.redelivery,
                    share_rate=settings.share_rate,
                    share_learned=settings.share_learned,
                )


@contextlib.asynccontextmanager
async def waits_of(settings: Settings, *, lay_out: bool = False) -> AsyncGenerator[DurableWaits]:
    """Open the waits of an engine, whose module alone is imported; tables are made if asked for."""
    if settings.engine == "docket":
        from asyncclient.integrations.docket import DocketWaits  # noqa: PLC0415  (one is enough)

        async with DocketWaits(settings.url, name=settings.name) as waits:
            yield waits
    else:
        from asyncclient.integrations.procrastinate import (  # noqa: PLC0415  (as above)
            ProcrastinateWaits,
        )

        async with ProcrastinateWaits(settings.url, queue=settings.name) as held:
            if lay_out and not await held.app.check_connection_async():
                await held.app.schema_manager.apply_schema_async()
            yield held


async def submit(settings: Settings, refs: Mapping[str, TaskRef]) -> None:
    """Begin waits by a connection that is closed again."""
    async with waits_of(settings, lay_out=True) as waits:
        await waits.submit_many(refs)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(created).3f %(name)s %(message)s")
    logging.getLogger("asyncclient.workers").setLevel(logging.INFO)
    asyncio.run(_work(*sys.argv[1:]))
