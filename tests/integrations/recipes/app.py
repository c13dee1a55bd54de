"""The module `app` that the recipes import: a service that goes by the clock, and a ledger.

A reference says how its job ends, and how many seconds after the moment that the file `RELEASED`
holds; before there is such a file, none ends. To the file `LEDGER` each poll and each end adds a
line, whichever process makes it. The environment says where both are.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from asyncclient import Done, SessionPool, Task, TaskRef, TicketExpired, Vocabulary, polling_task
from asyncclient._durable import TaskOf

LEDGER = Path(os.environ["LEDGER"])
RELEASED = Path(os.environ["RELEASED"])
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")


def note(line: str) -> None:
    """Add a line at once, which stays when this process is killed."""
    with LEDGER.open("ab", buffering=0) as ledger:
        ledger.write(f"{line} {time.time():.3f}\n".encode())


def over(ref: TaskRef) -> bool:
    """Return whether a job has ended."""
    released = float(RELEASED.read_text()) if RELEASED.exists() else math.inf
    return time.time() >= released + float(ref.ids["ends"])


def refuses(key: str) -> bool:
    """Return whether the sink is to fail, which it does once, for one wait."""
    return key == "stubborn" and f"refused {key} " not in LEDGER.read_text()


def clients(pool: SessionPool) -> TaskOf:
    """Return a function from a reference to its job; no connection is opened."""
    del pool

    def task_of(ref: TaskRef) -> Task[object]:
        async def fetch() -> str:
            note(f"poll {ref.ids['id']}")
            return ref.ids["word"] if over(ref) else "running"

        return polling_task(
            fetch, vocabulary=WORDS, status=lambda word: word, key=ref.ids["id"], kind="fake.job"
        )

    return task_of


async def sink(key: str, end: Done[object] | TicketExpired) -> None:
    """Write an end down; a stubborn one only when it comes again."""
    if refuses(key):
        note(f"refused {key}")
        raise OSError("the sink's own trouble")
    note(f"reported {key} {'expired' if isinstance(end, TicketExpired) else end.state} {end.polls}")
