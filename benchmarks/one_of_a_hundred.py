"""Does one worker of the plan for ten million waits keep what the plan says of it?

`docs/ten_million.md` has a hundred workers with 100,000 waits each. This runs one of them, whole,
in virtual time: a coroutine with its ticket for each wait, slices of an hour, ten of the thousand
accounts (or a hundredth of the rate of each of them). In the midst of it one of the others dies,
and its hundredth part of those waits arrives at once. Only the store and the network are missing.
It fails if an account is asked more often than it allows, or if a wait starves.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import anyio
from turns import versions

from asyncclient import Observation, Poller, Schedule, TaskRef, TaskState
from asyncclient._durable import Handover, Ticket, poll_slice
from asyncclient.testing import run_virtual

POLLS = 500.0  # polls a second of the worker's part of all accounts
HOLD = 3600.0
LONGEST = 15.0  # seconds between two polls, where the budget allows it
SECONDS = 4500.0
DEATH_AT = 2700.0
# Nothing that the plan says of the steady state holds while the waits come in.
STEADY_FROM = 900.0
REF = TaskRef("copyai", "workflow_run", {"workflow_id": "WCFG-1", "run_id": "WRUN-1"})


@dataclass
class Seen:
    """What happened, in counts that do not grow with the polls.

    Attributes:
        polls: by account and second.
        turns: when each slice ended, by second.
        gaps: between two polls of one task, in whole seconds.
        first: seconds from a wait's arrival after the death to its first poll.
    """

    polls: list[Counter[int]]
    turns: Counter[int] = field(default_factory=Counter[int])
    gaps: Counter[int] = field(default_factory=Counter[int])
    first: list[float] = field(default_factory=list[float])


class Item:
    """One task that never ends, of one account.

    Args:
        number: its own.
        seen: where its polls are counted.
    """

    __slots__ = ("_account", "_last", "_number", "_seen", "came")

    kind = "fake.item"

    def __init__(self, number: int, seen: Seen) -> None:
        self._account = number % len(seen.polls)
        self._number = number
        self._seen = seen
        self._last = -1.0
        self.came: float | None = None

    @property
    def key(self) -> int:
        """Its number."""
        return self._number

    @property
    def budget(self) -> tuple[str, int]:
        """Its account."""
        return "fake", self._account

    @property
    def documented_rate(self) -> float:
        """What this worker may ask of its account, in polls a second."""
        return POLLS / len(self._seen.polls)

    async def observe(self) -> Observation[str]:
        """Answer at once."""
        now = anyio.current_time()
        self._seen.polls[self._account][int(now)] += 1
        if self._last >= STEADY_FROM:
            self._seen.gaps[round(now - self._last)] += 1
        if self.came is not None and self._last < self.came:
            self._seen.first.append(now - self.came)
        self._last = now
        return Observation(TaskState.RUNNING, "running", "running")


def quantile(counts: Counter[int], share: float) -> int:
    """Return the number that so large a share of those counted does not exceed."""
    left = share * counts.total()
    for number in sorted(counts):
        left -= counts[number]
        if left <= 0:
            return number
    return max(counts)


async def run(waits: int, accounts: int) -> Seen:
    """Be one worker for an hour and a quarter."""
    seen = Seen([Counter() for _ in range(accounts)])
    rng = Random(1)

    async def hold_on(item: Item) -> None:
        ticket = Ticket.begin(REF, timeout=10 * 86_400, clock=anyio.current_time)
        # They did not begin their slices all at once.
        hold = rng.uniform(0, HOLD)
        while anyio.current_time() < SECONDS:
            end = await poll_slice(
                poller, lambda _: item, ticket, hold=hold, rng=rng, clock=anyio.current_time
            )
            hold = HOLD
            assert isinstance(end, Handover)
            seen.turns[int(anyio.current_time())] += 1
            ticket = end.ticket
            await anyio.sleep(end.delay)

    poller = Poller(schedule=Schedule(first=1.0, cap=LONGEST), concurrency=1000)
    async with poller, asyncio.TaskGroup() as group:
        tasks = [group.create_task(hold_on(Item(number, seen))) for number in range(waits)]
        await anyio.sleep(DEATH_AT)
        inherited = [Item(waits + number, seen) for number in range(waits // 100)]
        for item in inherited:
            item.came = anyio.current_time()
            tasks.append(group.create_task(hold_on(item)))
        await anyio.sleep(SECONDS - DEATH_AT)
        for task in tasks:
            task.cancel()
    return seen


def main(waits: int, accounts: int) -> list[str]:
    """Run it, print what was seen, and return what is wrong with it."""
    began = time.process_time()
    seen = run_virtual(run, waits, accounts)
    cpu = time.process_time() - began
    wrong: list[str] = []
    total = sum(counts.total() for counts in seen.polls)
    steady = range(int(STEADY_FROM), int(SECONDS))
    per_second = [counts[second] for counts in seen.polls for second in steady]
    expected_gap = max(LONGEST, waits / POLLS)
    print(f"{waits} waits of {accounts} accounts, {SECONDS:.0f} s, {total} polls")
    print(
        f"polls a second of an account: {sum(per_second) / len(per_second):.1f}, most in one "
        f"second {max(per_second)}"
    )
    print(
        f"gap: median {quantile(seen.gaps, 0.5)} s, p99 {quantile(seen.gaps, 0.99)} s, "
        f"worst {max(seen.gaps)} s; the plan says {expected_gap:.0f}"
    )
    late_turns = [seen.turns[second] for second in steady]
    print(f"turns a second: {sum(late_turns) / len(late_turns):.1f}, most {max(late_turns)}")
    print(f"{len(seen.first)} inherited waits: first polled within {max(seen.first):.1f} s")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{cpu / total * 1e6:.0f} µs of CPU a poll; {rss:.0f} MiB at most, "
        f"{rss * 1024 / waits:.1f} KiB a wait"
    )
    if max(per_second) > POLLS / accounts * 1.05 + 1:
        wrong.append(f"an account was asked {max(per_second)} times in a second")
    if max(seen.gaps) > 3 * expected_gap:
        wrong.append(f"a wait was not polled for {max(seen.gaps)} s")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=100_000, help="how many, default 100000")
    parser.add_argument(
        "--accounts",
        type=int,
        default=10,
        help="10 (the default) of its own at 50 a second, or 1000 that all share at 0.5",
    )
    options = parser.parse_args()
    print(versions("anyio", "msgspec"))
    found = main(options.waits, options.accounts)
    for sentence in found:
        print(f"WRONG: {sentence}")
    sys.exit(bool(found))
