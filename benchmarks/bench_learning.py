"""What does a `Poller` that learns cost, beside the best possible, which knows the law before?

Costs are polls at 1 s each and seconds of delay, over those of the best possible: dynamic
programming over the true law, without a longest gap. Each figure is the mean of ten seeds, and all
go through the real `Poller` in virtual time, where a look takes none. Tasks of one kind follow each
other; a provider that gives no times is the rule.

1. The tasks after the first 400, also where the provider says how long each one took. The last
   two laws were never tuned on.
2. The tasks after 500 that followed a change: all take five times as long, or a fifth.
3. The first tasks of a kind, by their number.
4. Tasks of 300 s, lognormal, of which none or 2 % end after 3 s. No such early end was seen before.
5. How often curves and plans are made for 1,000 tasks, and the CPU that one takes.

    python benchmarks/bench_learning.py            # ten seeds, all five
    python benchmarks/bench_learning.py --seeds 2 --only 1 4
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import NormalDist

import anyio
from policies import Law, at_ages, best_ages, laws
from turns import versions

from asyncclient import LearnedSchedule, Observation, Poller, TaskState
from asyncclient.testing import run_virtual

LEARNING, AFTER_A_JUMP, COUNTED = 400, 500, 300
JUMPS = (5.0, 0.2)
BANDS = ((0, 10), (10, 25), (25, 50))
EARLY = 4.0  # seconds by which early ends have come
SILENT = 60.0  # where no task ends by then, the first look may be later in parts 1 and 2

End = tuple[float, int, float]  # seconds that a task took, polls, seconds of delay


@dataclass(eq=False)
class Timed:
    """A task that takes some seconds, and counts its polls."""

    seconds: float
    says_when: bool
    kind: str = "timed"
    polls: int = 0
    key: Hashable = field(default_factory=object)

    def __post_init__(self) -> None:
        self.ends = anyio.current_time() + self.seconds

    async def observe(self) -> Observation[None]:
        """Look whether it is done."""
        self.polls += 1
        if anyio.current_time() < self.ends:
            return Observation(TaskState.RUNNING, "running", None)
        took = self.seconds if self.says_when else None
        return Observation(TaskState.SUCCEEDED, "done", None, took=took)


async def _waited(
    schedule: LearnedSchedule, tasks: Sequence[tuple[float, bool]], seed: int
) -> list[End]:
    ends: list[End] = []
    async with Poller(schedule=schedule, rng=Random(seed)) as poller:
        for seconds, says_when in tasks:
            task = Timed(seconds, says_when)
            await poller.wait(task, timeout=1e7)
            ends.append((seconds, task.polls, anyio.current_time() - task.ends))
    return ends


def waited(
    durations: Sequence[float],
    seed: int,
    *,
    longest_gap: float | None = None,
    says_when: bool = False,
) -> list[End]:
    """Let a `Poller` that knows nothing yet wait for tasks, one after the other."""
    schedule = LearnedSchedule(longest_gap=longest_gap)
    return run_virtual(_waited, schedule, [(each, says_when) for each in durations], seed)


def cost(ends: Sequence[End]) -> float:
    """Return what a task costs, on average."""
    return statistics.fmean(polls + delay for _, polls, delay in ends)


def least(law: Law) -> float:
    """Return what a task costs by the best possible."""
    follow = at_ages(best_ages(law.ended, law.grid(), 1.0))(Random(0))
    found = [follow(law.age((task + 0.5) / 2000)) for task in range(2000)]
    return statistics.fmean(polls + delay for polls, delay in found)


# --- how long tasks take ---


def weibull(shape: float) -> Law:
    """Return a law of 30 s on average whose hazard grows (shape over 1) or falls."""
    scale = 30 / math.gamma(1 + 1 / shape)
    return Law(
        f"Weibull {shape:g}, mean 30 s",
        lambda age: -math.expm1(-((max(age, 0.0) / scale) ** shape)),
        lambda share: scale * (-math.log1p(-share)) ** (1 / shape),
    )


def inverted(name: str, parts: Sequence[tuple[float, Law]]) -> Law:
    """Return the law of tasks of which each share follows a law of its own."""

    def ended(age: float) -> float:
        return sum(share * law.ended(age) for share, law in parts)

    def age(share: float) -> float:
        low, high = 1e-6, 1e7
        while high - low > 1e-9 * high:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if ended(middle) < share else (low, middle)
        return high

    return Law(name, ended, age)


def lognormal(mean: float, sigma: float) -> Law:
    """Return a smooth law with one mode."""
    normal, mu = NormalDist(), math.log(mean) - sigma**2 / 2
    return Law(
        f"lognormal, {mean:g} s, sigma {sigma:g}",
        lambda age: normal.cdf((math.log(age) - mu) / sigma) if age > 0 else 0.0,
        lambda share: math.exp(mu + sigma * normal.inv_cdf(share)),
    )


def untuned() -> list[Law]:
    """Return the laws that no constant was chosen by."""
    quick = Law("", lambda age: -math.expm1(-((age / 13.2) ** 4)), lambda _: math.nan)
    return [
        inverted("60 % about 12 s, 40 % 75 s", [(0.6, quick), (0.4, lognormal(75, 0.35))]),
        Law(
            "even, 20 s to 100 s",
            lambda age: min(1.0, max(0.0, (age - 20) / 80)),
            lambda share: 20 + 80 * share,
        ),
    ]


def stretched(law: Law, factor: float) -> Law:
    """Return the law of tasks that take some times as long."""
    return Law(law.name, lambda age: law.ended(age / factor), lambda share: law.age(share) * factor)


def by_chance(law: Law, tasks: int, rng: Random) -> list[float]:
    """Return durations that are drawn one by one."""
    return [law.age(rng.uniform(1e-9, 1 - 1e-9)) for _ in range(tasks)]


def longest_gap(law: Law) -> float | None:
    """Return the default, or ten minutes where the look within a minute would find none."""
    return 600.0 if law.age(1e-6) > SILENT else None


# --- the five tables ---


def report_learned(tried: Sequence[Law], seeds: int) -> None:
    """Print what tasks cost after 400."""
    print("\n1. after 400 tasks, over the best       polls alone   with times")
    for law in tried:
        best = least(law)
        row: list[float] = []
        for says_when in (False, True):
            found: list[float] = []
            for seed in range(seeds):
                rng = Random(seed)
                tasks = [*by_chance(law, LEARNING, rng), *law.draw(COUNTED, rng)]
                ends = waited(tasks, seed, longest_gap=longest_gap(law), says_when=says_when)[
                    LEARNING:
                ]
                found.append(cost(ends) / best)
            row.append(statistics.fmean(found))
        print(f"{law.name[:38]:38}" + "".join(f"{ratio:13.3f}" for ratio in row), flush=True)


def report_jumps(tried: Sequence[Law], seeds: int) -> None:
    """Print what tasks cost 500 tasks after a change."""
    print("\n2. 500 tasks after a change, over the best    5 times      a fifth")
    for law in tried:
        row: list[float] = []
        for factor in JUMPS:
            after = stretched(law, factor)
            best, found = least(after), list[float]()
            for seed in range(seeds):
                rng = Random(seed)
                tasks = [
                    *by_chance(law, LEARNING, rng),
                    *by_chance(after, AFTER_A_JUMP, rng),
                    *after.draw(COUNTED, rng),
                ]
                ends = waited(tasks, seed, longest_gap=longest_gap(after))
                found.append(cost(ends[-COUNTED:]) / best)
            row.append(statistics.fmean(found))
        print(f"{law.name[:38]:38}" + "".join(f"{ratio:13.3f}" for ratio in row), flush=True)


def report_first(tried: Sequence[Law], seeds: int) -> None:
    """Print what the first tasks cost: the mean of four times the seeds, since these are few."""
    print("\n3. the first tasks, over the best" + "".join(f"{f'{a} to {b}':>13}" for a, b in BANDS))
    rows: list[list[float]] = []
    for law in tried:
        best = least(law)
        runs = [waited(by_chance(law, BANDS[-1][1], Random(s)), s) for s in range(4 * seeds)]
        rows.append(
            [statistics.fmean(cost(run[low:high]) for run in runs) / best for low, high in BANDS]
        )
        print(f"{law.name[:33]:33}" + "".join(f"{ratio:13.2f}" for ratio in rows[-1]), flush=True)
    means = [statistics.fmean(row) for row in zip(*rows, strict=True)]
    print(f"{'mean':33}" + "".join(f"{ratio:13.2f}" for ratio in means))


def report_early(seeds: int) -> None:
    """Print what one early look costs, and how soon it finds early ends."""
    print("\n4. early ends, over the best     none early   2 % early   these seen after, 95 %")
    early = Law("", lambda age: min(1.0, max(0.0, age - 2.5)), lambda share: 2.5 + share)
    for sigma in (0.1, 0.2, 0.3, 0.5):
        usual = lognormal(300, sigma)
        some = inverted(usual.name, [(0.02, early), (0.98, usual)])
        row: list[float] = []
        seen: list[float] = []
        for law in (usual, some):
            best, found = least(law), list[float]()
            for seed in range(seeds):
                rng = Random(seed)
                tasks = [*by_chance(usual, COUNTED, rng), *law.draw(LEARNING, rng)]
                ends = waited(tasks, seed)[COUNTED:]
                found.append(cost(ends) / best)
                seen += [seconds + delay for seconds, _, delay in ends if seconds < EARLY]
            row.append(statistics.fmean(found))
        late = sorted(seen)[len(seen) * 19 // 20]
        print(f"{usual.name:30}{row[0]:13.3f}{row[1]:12.3f}{late:18.0f} s", flush=True)


def report_cpu() -> None:
    """Print how often a curve and a plan are made, and how long one takes."""
    rng = Random(1)
    durations = by_chance(lognormal(30, 0.8), 1000, rng)
    schedule = LearnedSchedule()
    took: list[float] = []
    gap = schedule.gap

    def timed(age: float, polls: int) -> float:
        begun = time.process_time()
        found = gap(age, polls, draw=lambda width: rng.uniform(0.0, width))
        took.append(time.process_time() - begun)
        return found

    cpu = time.process_time()
    for seconds in durations:
        age = before = 0.0
        polls = 0
        while age < seconds or not polls:
            before, age, polls = age, age + timed(age, polls), polls + 1
            if age < seconds:
                schedule.survived(age, since=before)
        schedule.observe(age, since=before, told=before)
    cpu = time.process_time() - cpu
    gap_took = statistics.median(took)
    plans = [each for each in took if each > 50 * gap_took]
    print(
        f"\n5. CPU: of 1,000 lognormal tasks {cpu / 1000 * 1e6:.0f} us each; {len(plans)} times a "
        f"new curve and plan, {statistics.median(plans) * 1e3:.1f} ms each; a gap "
        f"{gap_took * 1e6:.1f} us; saved in {len(schedule.to_bytes())} bytes"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="runs of each law")
    parser.add_argument("--only", type=int, nargs="*", default=[1, 2, 3, 4, 5], help="these tables")
    options = parser.parse_args()
    print(f"{versions('msgspec')}; means of {options.seeds} seeds, through Poller in virtual time")
    tuned = [*laws(), weibull(1.5), weibull(0.7)]
    tables: list[Callable[[int], None]] = [
        lambda seeds: report_learned([*tuned, *untuned()], seeds),
        lambda seeds: report_jumps(tuned[:4], seeds),
        lambda seeds: report_first(tuned, seeds),
        report_early,
        lambda _seeds: report_cpu(),
    ]
    for number in options.only:
        tables[number - 1](options.seeds)


if __name__ == "__main__":
    main()
