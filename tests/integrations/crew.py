"""Worker processes of one account, and the service that they poll: it records each request.

The service is a process of its own, so it sees what a provider would see. Each process runs this
file, with the arguments of `_serve` or `_work`. A worker holds waits on the simulator as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
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
FOR_EVER = 1e9


class Poll(msgspec.Struct, array_like=True, frozen=True):
    """One request as the service saw it.

    Attributes:
        at: Unix time in seconds.
        worker: who asked.
        job: about which job.
        late: seconds since the job's end; negative before it.
    """

    at: float
    worker: str
    job: str
    late: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works.

    Attributes:
        engine: the adapter's name.
        url: where it keeps its tickets.
        name: of docket, or of procrastinate's queue.
        rate: polls a second of the account; None for no limit.
        interval: seconds between the first polls of a job; None for what is learned.
        longest: seconds between its later ones, where they are more.
        hold: seconds of a slice.
        redelivery: seconds after which a dead worker's waits go to others.
        share_rate: as for `work`.
        share_learned: as for `work`.
        simulator: the URLs of Coze, Copy.ai and an API of the catalogue, where they take part.
    """

    engine: str
    url: str
    name: str
    rate: float | None = None
    interval: float | None = None
    longest: float = 0.0
    hold: float = 60.0
    redelivery: float = 30.0
    share_rate: bool = True
    share_learned: bool = True
    simulator: tuple[str, str, str] | None = None


def job(number: int | str, seconds: float = FOR_EVER) -> TaskRef:
    """Make the reference of a job that has so long to go."""
    return TaskRef("fake", "job", {"id": str(number), "ends": f"{time.time() + seconds:.3f}"})


@dataclass
class Crew:
    """The service, and the workers that ask it.

    Args:
        folder: for what they write.
    """

    folder: Path
    workers: dict[str, asyncio.subprocess.Process] = field(
        default_factory=dict[str, asyncio.subprocess.Process]
    )
    _service: str = ""

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncGenerator[Crew]:
        """Run the service; kill it and all workers in the end."""
        service = await self._run("serve", str(self.folder / "polls"))
        assert service.stdout is not None
        self._service = (await service.stdout.readline()).decode().strip()
        try:
            yield self
        finally:
            for name in list(self.workers):
                await self.end(name, signal.SIGKILL)
            service.kill()
            await service.wait()

    async def start(self, name: str, settings: Settings) -> None:
        """Start a worker process, and return when it begins to work."""
        text = msgspec.json.encode(settings).decode()
        ledger = str(self.folder / "ledger")
        worker = await self._run("work", name, self._service, ledger, text)
        self.workers[name] = worker
        assert worker.stdout is not None
        await worker.stdout.readline()

    async def end(self, name: str, how: signal.Signals) -> None:
        """End a worker: SIGKILL as its machine might, SIGTERM as a deploy does."""
        worker = self.workers.pop(name)
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(how)
        await worker.wait()

    def polls(self) -> list[Poll]:
        """Return all requests so far, in their order."""
        path = self.folder / "polls"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return [_decoder.decode(line) for line in lines if line.endswith(b"\n")]

    def reported(self) -> dict[str, list[str]]:
        """Return how each wait was reported, once or more, by any worker."""
        path = self.folder / "ledger"
        reported: dict[str, list[str]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            key, state = line.split()
            reported.setdefault(key, []).append(state)
        return reported

    def trouble(self) -> str:
        """Return what the workers logged."""
        path = self.folder / "stderr"
        return path.read_text() if path.exists() else ""

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        with (self.folder / "stderr").open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.integrations.crew", *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[2],
            )


_decoder = msgspec.json.Decoder(Poll)


async def _serve(path: str) -> None:
    """Answer `GET /worker/job/ends`, and write each one down before it is answered."""
    with Path(path).open("ab", buffering=0) as notes:  # noqa: ASYNC230  (once, before it serves)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    now = time.time()
                    _, worker, job, ends = head.split(b" ", 2)[1].decode().split("/")
                    notes.write(msgspec.json.encode(Poll(now, worker, job, now - float(ends))))
                    notes.write(b"\n")
                    word = b"done" if now >= float(ends) else b"running"
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(word))
                    writer.write(word)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()


async def _work(name: str, service: str, ledger: str, text: str) -> None:
    """Hold waits until ended."""
    settings = msgspec.json.decode(text, type=Settings)
    loop = asyncio.get_running_loop()
    working = asyncio.current_task()
    assert working is not None
    loop.add_signal_handler(signal.SIGTERM, working.cancel)
    interval = settings.interval
    schedule = (
        None if interval is None else Schedule(first=interval, cap=max(interval, settings.longest))
    )
    poller = Poller(
        rate=settings.rate,
        schedule=LearnedSchedule() if schedule is None else schedule,
        concurrency=1000,
    )

    notes = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async with SessionPool() as pool, aiohttp.ClientSession() as session, poller:
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
                url = f"{service}/{name}/{ref.ids['id']}/{ref.ids['ends']}"
                async with session.get(url) as answer:
                    return await answer.text()

            return polling_task(
                fetch, vocabulary=WORDS, status=lambda word: word, key=ref.ids["id"], kind="job"
            )

        async def sink(key: str, end: Done[object] | TicketExpired) -> None:
            os.write(notes, f"{key} {end.state}\n".encode())

        with contextlib.suppress(asyncio.CancelledError):
            async with waits_of(settings.engine, settings.url, name=settings.name) as waits:
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


async def submit(settings: Settings, refs: Mapping[str, TaskRef]) -> None:
    """Keep waits, as any process may."""
    store = settings.engine, settings.url
    async with waits_of(*store, name=settings.name, lay_out=True) as waits:
        await waits.submit_many(refs)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(created).3f %(name)s %(message)s")
    logging.getLogger("asyncclient.workers").setLevel(logging.INFO)
    part, *arguments = sys.argv[1:]
    asyncio.run(_serve(*arguments) if part == "serve" else _work(*arguments))
