"""What do the first tasks of a kind cost, and what to see early failures within a minute?

Costs are polls at 1 s each and seconds of delay, over those of the best possible, which knows the
law of durations before. Tasks follow each other in virtual time, where a poll takes none.

1. Before anything is known: plain schedules with tasks of four laws, on eight scales from 2 s to an
   hour on average.
2. The first tasks that `LearnedSchedule` sees, by their number.
3. Tasks of 300 s, lognormal, of which none or 2 % end after 3 s. The provider gives no times, and
   such early ends were never seen before.

    python benchmarks/bench_first_tasks.py
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from random import Random
from statistics import NormalDist

from policies import Law, Policy, at_ages, best_ages, by_gaps, by_learning, laws
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
BANDS = ((0, 10), (10, 25), (25, 50), (50, 100))
EARLY = 4.0  # seconds by which early failures have ended


def scaled(law: Law, factor: float) -> Law:
    """Return the law of tasks that take some times as long."""
    return Law(law.name, lambda age: law.ended(age / factor), lambda share: law.age(share) * factor)


def lognormal(mean: float, sigma: float, early: float) -> Law:
    """Return a law of which a share ends evenly between 2.5 s and 3.5 s."""
    normal, mu = NormalDist(), math.log(mean) - sigma**2 / 2

    def ended(age: float) -> float:
        usual = normal.cdf((math.log(age) - mu) / sigma) if age > 0 else 0.0
        return early * min(1.0, max(0.0, age - 2.5)) + (1 - early) * usual

    def age(share: float) -> float:
        if share < early:
            return 2.5 + share / early
        return math.exp(mu + sigma * normal.inv_cdf((share - early) / (1 - early)))

    return Law(f"300 s, sigma {sigma:g}, {early:.0%} early", ended, age)


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
    print(f"\n1. plain schedules, 2 s to 1 h{'':18}{'at worst':>10}{'geometric mean':>16}")
    for name, schedule in SCHEDULES.items():
        ratios = [
            statistics.fmean(costs(plain(schedule), even(law, 60, Random(1)), Random(1))) / cost
            for law, cost in zip(tries, best, strict=True)
        ]
        print(f"{name:48}{max(ratios):10.1f}{statistics.geometric_mean(ratios):16.2f}")


def report_first(seeds: int) -> None:
    """Print what the first tasks cost."""
    print("\n2. the first tasks" + "".join(f"{f'{low} to {high}':>12}" for low, high in BANDS))
    found: list[list[float]] = []
    for law in laws():
        best = least(law)
        runs = [
            costs(by_learning(1.0), law.draw(BANDS[-1][1], rng), rng)
            for rng in map(Random, range(seeds))
        ]
        found.append(
            [
                statistics.fmean(statistics.fmean(run[low:high]) for run in runs) / best
                for low, high in BANDS
            ]
        )
        print(f"{law.name[:30]:31}" + "".join(f"{ratio:12.2f}" for ratio in found[-1]))
    print(
        f"{'mean':31}"
        + "".join(f"{statistics.fmean(row):12.2f}" for row in zip(*found, strict=True))
    )


def report_early(seeds: int) -> None:
    """Print what one early look costs, and how soon it finds early ends."""
    print("\n3. early failures              over the best   seen after, 95 %")
    for sigma in (0.1, 0.2, 0.3, 0.5):
        usual = lognormal(300, sigma, 0.0)
        for law in (usual, lognormal(300, sigma, 0.02)):
            ratios: list[float] = []
            seen: list[float] = []
            for rng in map(Random, range(seeds)):
                follow = by_learning(1.0)(rng)
                for duration in usual.draw(300, rng):
                    follow(duration)
                ends = [(duration, *follow(duration)) for duration in even(law, 400, rng)]
                ratios.append(statistics.fmean(polls + delay for _, polls, delay in ends))
                seen += [age + delay for age, _, delay in ends if age < EARLY]
            late = f"{sorted(seen)[len(seen) * 19 // 20]:14.0f} s" if seen else ""
            print(f"{law.name:31}{statistics.fmean(ratios) / least(law):13.2f}{late}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="runs of each law")
    options = parser.parse_args()
    print(versions("msgspec"))
    report_plain()
    report_first(options.seeds)
    report_early(options.seeds)


if __name__ == "__main__":
    main()
