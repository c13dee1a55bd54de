"""What does a task cost before anything is known of its kind?

Costs are polls at 1 s each and seconds of delay, over those of the best possible, which knows the
law of durations before. Plain schedules follow tasks of four laws, on eight scales from 2 s to an
hour on average, in virtual time, where a poll takes none. What the first tasks cost a schedule that
learns is in `bench_learning.py`.

    python benchmarks/bench_first_tasks.py
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from random import Random

from policies import Law, Policy, at_ages, best_ages, by_gaps, laws
from turns import versions

from asyncclient._schedule import Schedule

SCALES = [2 * 1800 ** (step / 7) for step in range(8)]
SCHEDULES = {
    "Schedule()": Schedule(),
    "first=1, factor=1.5, cap=15 (was the default)": Schedule(first=1, factor=1.5, cap=15),
    "first=2, factor=1.15, cap=60": Schedule(first=2, factor=1.15, cap=60),
    "first=3, factor=1.2, cap=60": Schedule(first=3, factor=1.2, cap=60),
    "first=3, factor=1.1, cap=120": Schedule(first=3, factor=1.1, cap=120),
    "first=5, factor=1, cap=5": Schedule(first=5, factor=1, cap=5),
}


def scaled(law: Law, factor: float) -> Law:
    """Return the law of tasks that take some times as long."""
    return Law(law.name, lambda age: law.ended(age / factor), lambda share: law.age(share) * factor)


def even(law: Law, number: int, rng: Random) -> list[float]:
    """Return durations that stand for the whole law, in a random order."""
    durations = [law.age((each + 0.5) / number) for each in range(number)]
    rng.shuffle(durations)
    return durations


def costs(policy: Policy, durations: Sequence[float], rng: Random) -> list[float]:
    """Return what each task costs."""
    follow = policy(rng)
    return [polls + delay for polls, delay in map(follow, durations)]


def least(law: Law) -> float:
    """Return what a task costs by the best possible."""
    policy = at_ages(best_ages(law.ended, law.grid(), 1.0))
    return statistics.fmean(costs(policy, even(law, 1000, Random(0)), Random(0)))


def plain(schedule: Schedule) -> Policy:
    """Return the policy of a plain schedule: at once, and then by its gaps."""
    return by_gaps(lambda rng: (gap for gaps in ((0.0,), schedule.delays(rng)) for gap in gaps))


def report_plain() -> None:
    """Print what plain schedules cost on all scales."""
    tries = [
        scaled(law, scale / statistics.fmean(even(law, 400, Random(0))))
        for law in laws()
        for scale in SCALES
    ]
    best = [least(law) for law in tries]
    print(f"\nplain schedules, 2 s to 1 h{'':18}{'at worst':>10}{'geometric mean':>16}")
    for name, schedule in SCHEDULES.items():
        ratios = [
            statistics.fmean(costs(plain(schedule), even(law, 60, Random(1)), Random(1))) / cost
            for law, cost in zip(tries, best, strict=True)
        ]
        print(f"{name:48}{max(ratios):10.1f}{statistics.geometric_mean(ratios):16.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    print(versions("msgspec"))
    report_plain()


if __name__ == "__main__":
    main()
