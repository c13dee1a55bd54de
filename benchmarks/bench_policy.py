"""How many polls does a schedule make, and how late does it see the end, beside the best possible?

Each schedule follows the same tasks one after another in virtual time, where a poll takes no time.
Tasks are drawn from four laws, or read from a file with one duration in seconds a line. The best
possible is dynamic programming with the law known (for a file: with all its tasks known before).
The first 400 tasks (a third of a file at most) are for learning and do not count. The peers are
restated in `policies.py`, with their sources; the server gives none of them a hint.

"times the best" is the mean delay against that of the best possible at the same number of polls.
"cost" is polls at `--price` and delay, in seconds; the last line is the least there can be. The
best possible knows no longest gap. `LearnedSchedule` keeps to one, which by default is 60 s or the
age by which nine of ten tasks have ended; a line says what 60 s for all tasks would cost.

    python benchmarks/bench_policy.py                       # four laws, and docs/policy.svg
    python benchmarks/bench_policy.py --durations runs.txt  # what was recorded, in its order
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from policies import (
    PEERS,
    Law,
    Policy,
    at_ages,
    best_ages,
    by_gaps,
    by_learning,
    default_schedule,
    laws,
    recorded,
)
from turns import versions

from asyncclient._learning import LearnedSchedule

TASKS = 4_000
LEARNING = 400
# Durations that must be in a file at least.
LEAST = 10
# The best possible is worked out for these prices of a poll, in seconds of delay …
PRICES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
# … and learning is tried at these.
LEARNED_PRICES = (0.2, 1.0, 5.0)


@dataclass(frozen=True)
class Figures:
    """How one schedule did.

    Attributes:
        name: as it is called.
        polls: of one task, on average.
        delay: in seconds, on average.
        late: the delay in seconds that a twentieth of the tasks exceed.
    """

    name: str
    polls: float
    delay: float
    late: float


# --- the tasks ---


def tried(name: str, policy: Policy, durations: Sequence[float], learning: int) -> Figures:
    """Let a schedule follow all tasks, and count those after the first ones."""
    follow = policy(Random(name))
    for duration in durations[:learning]:
        follow(duration)
    ends = [follow(duration) for duration in durations[learning:]]
    delays = sorted(delay for _, delay in ends)
    return Figures(
        name,
        statistics.fmean(polls for polls, _ in ends),
        statistics.fmean(delays),
        delays[len(delays) * 19 // 20],
    )


def frontier(law: Law, durations: Sequence[float], learning: int) -> list[Figures]:
    """Return the best possible at each price."""
    ages = law.grid()
    return [
        tried(
            f"best possible, a poll is worth {price:g} s",
            at_ages(best_ages(law.ended, ages, price)),
            durations,
            learning,
        )
        for price in PRICES
    ]


def contenders() -> dict[str, Policy]:
    """Return the schedules that are compared."""
    policies = {name: by_gaps(gaps) for name, gaps in PEERS.items()}
    policies["Schedule()"] = by_gaps(default_schedule)
    for price in LEARNED_PRICES:
        policies[f"LearnedSchedule({price:g})"] = by_learning(price)
    policies["… (1), time stamps"] = by_learning(1.0, stamped=True)
    policies["… (1), longest_gap=60"] = by_learning(1.0, longest_gap=60.0)
    return policies


def times_the_best(figures: Figures, best: Sequence[Figures]) -> float:
    """Return the delay against the best possible's at the same number of polls.

    Between two prices it is read off a straight line in logarithms; beyond the first and last, by
    the law that holds at low prices: polls times delay is constant.
    """
    line = sorted((math.log(each.polls), math.log(max(each.delay, 1e-9))) for each in best)
    at = math.log(figures.polls)
    right = bisect_right(line, (at, math.inf))
    if right == 0:
        least = line[0][1] + line[0][0] - at
    elif right == len(line):
        least = line[-1][1] + line[-1][0] - at
    else:
        (low, before), (high, after) = line[right - 1], line[right]
        least = before + (after - before) * (at - low) / (high - low)
    return figures.delay / math.exp(least)


def report(name: str, found: Sequence[Figures], best: Sequence[Figures], price: float) -> None:
    """Print one law's table."""
    print(f"\n{name}\n")
    print(f"{'':34}{'polls':>8}{'delay s':>9}{'95 %':>8}{'cost':>8}{'times the best':>16}")
    for each in found:
        cost = each.polls * price + each.delay
        print(
            f"{each.name:34}{each.polls:8.2f}{each.delay:9.2f}{each.late:8.2f}{cost:8.2f}"
            f"{times_the_best(each, best):15.2f}x"
        )
    least = min(best, key=lambda each: each.polls * price + each.delay)
    cost = least.polls * price + least.delay
    print(f"{least.name:34}{least.polls:8.2f}{least.delay:9.2f}{least.late:8.2f}{cost:8.2f}")


# --- the picture ---

WIDTH, HEIGHT = 460, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 40, 46
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #59636e; }
  .title { font-size: 13px; font-weight: 600; fill: #1f2328; }
  .paper { fill: #ffffff; } .halo { stroke: #ffffff; stroke-width: 4px; }
  .peer { fill: #a8480f; } .ours { fill: #0757ba; }
  .grid { stroke: #d8dee4; } .best { stroke: #59636e; } .line { stroke: #0757ba; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa4af; }
    .title { fill: #f0f6fc; }
    .paper { fill: #0d1117; } .halo { stroke: #0d1117; }
    .peer { fill: #f0a36b; } .ours { fill: #6cb3ff; }
    .grid { stroke: #30363d; } .best { stroke: #9aa4af; } .line { stroke: #6cb3ff; }
  }
"""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Axes:
    """Two logarithmic axes that hold all figures of one panel."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, figures: Sequence[Figures]) -> Axes:
        """Return axes for some figures."""
        polls = [each.polls for each in figures]
        delays = [max(each.delay, 0.01) for each in figures]
        return cls(min(polls) / 1.25, max(polls) * 1.4, min(delays) / 1.4, max(delays) * 1.4)

    def at(self, polls: float, delay: float) -> tuple[float, float]:
        """Return where a figure lies in the panel."""
        across = math.log(polls / self.left) / math.log(self.right / self.left)
        up = math.log(max(delay, 0.01) / self.low) / math.log(self.high / self.low)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )


def ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten in a range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [tick for tick in found if low <= tick <= high]


def is_free(box: Box, taken: Sequence[Box]) -> bool:
    """Return whether a box (left, top, right, bottom) lies in the panel and touches no other."""
    left, top, right, bottom = box
    inside = left > LEFT and right < WIDTH and top > TOP - 18 and bottom < HEIGHT - BOTTOM
    return inside and not any(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        for other in taken
    )


def beside(x: float, y: float, text: str, taken: list[Box]) -> Box:
    """Return where beside a point there is room for a label, and note the place as taken."""
    width = 6.2 * len(text)
    places = [
        (across, down)
        for down in (0, -11, 11, -22, 22, -33, 33)
        for across in (8.0, -8 - width, -width / 2)
        if down or across != -width / 2
    ]
    boxes = [
        (x + across, y + down - 6, x + across + width, y + down + 6) for across, down in places
    ]
    box = next((each for each in boxes if is_free(each, taken)), boxes[0])
    taken.append(box)
    return box


def panel(name: str, found: Sequence[Figures], best: Sequence[Figures]) -> list[str]:
    """Return the picture of one law."""
    axes = Axes.around(found)
    parts = [f'<text class="title" x="{LEFT}" y="22">{name}</text>']
    for tick in ticks(axes.left, axes.right):
        x, _ = axes.at(tick, axes.low)
        parts.append(
            f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in ticks(axes.low, axes.high):
        _, y = axes.at(axes.left, tick)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">'
        "polls of a task, on average</text>"
        f'<text transform="translate(13 {(HEIGHT - BOTTOM + TOP) / 2:.0f}) rotate(-90)" '
        'text-anchor="middle">delay in seconds, on average</text>'
    )
    inside = [each for each in best if axes.left <= each.polls <= axes.right]
    parts.append(polyline("best", [axes.at(each.polls, each.delay) for each in inside], "5 4"))
    ours = [each for each in found if each.name.startswith("LearnedSchedule")]
    parts.append(polyline("line", [axes.at(each.polls, each.delay) for each in ours]))
    shown = [each for each in found if not each.name.startswith("…")]
    places = [axes.at(each.polls, each.delay) for each in shown]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    halos: list[str] = []
    marks: list[str] = []
    for each, (x, y) in zip(shown, places, strict=True):
        style = "peer" if each.name in PEERS else "ours"
        text = each.name.replace("LearnedSchedule(", "learned (")
        left, _, _, bottom = beside(x, y, text, taken)
        place = f'x="{left:.1f}" y="{bottom - 2:.1f}"'
        halos.append(f'<text class="halo" {place}>{text}</text>')
        marks.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        marks.append(f'<text class="{style}" {place}>{text}</text>')
    return [*parts, *halos, *marks]


def polyline(style: str, points: Sequence[tuple[float, float]], dashes: str = "none") -> str:
    """Return a line through points."""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return (
        f'<path class="{style}" d="M{path}" fill="none" stroke-width="1.5" '
        f'stroke-dasharray="{dashes}"/>'
    )


def picture(panels: Sequence[Sequence[str]]) -> str:
    """Return panels two by two as SVG, readable on light and dark."""
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = WIDTH * columns, HEIGHT * rows + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Polls and delay of polling schedules, beside the best possible</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    for number, content in enumerate(panels):
        x, y = number % columns * WIDTH, number // columns * HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *content, "</g>"]
    parts.append(polyline("best", [(LEFT, height - 18), (LEFT + 34, height - 18)], "5 4"))
    parts.append(
        f'<text x="{LEFT + 42}" y="{height - 14}">the best possible, where the law is known. Lower '
        "left is better. In brackets: the seconds of delay that a poll is worth.</text>\n</svg>\n"
    )
    return "\n".join(parts)


# --- what learning itself takes ---


def report_speed() -> None:
    """Print how long the learned schedule takes to answer, and to plan again."""
    rng = Random(1)
    schedule = LearnedSchedule()
    fits: list[float] = []
    plans: list[float] = []
    for _ in range(40):
        for _ in range(100):
            duration = rng.lognormvariate(3.1, 0.8)
            since = duration * rng.uniform(0.6, 1)
            schedule.observe(duration * rng.uniform(1, 1.2), since=since)
        begun = time.process_time()
        schedule.gap(1.0, 1)
        fitted = time.process_time()
        schedule.gap(1.0, 1, price=3.0)
        fits.append(fitted - begun)
        plans.append(time.process_time() - fitted)
    ages = [rng.uniform(0, 60) for _ in range(10_000)]
    rounds: list[float] = []
    for _ in range(7):
        begun = time.process_time()
        for age in ages:
            schedule.gap(age, 3)
        rounds.append((time.process_time() - begun) / len(ages))
    print(
        "\nCPU, with 500 ends: a new curve and its first plan take "
        f"{statistics.median(fits[5:]) * 1e3:.2f} ms, a plan for another price "
        f"{statistics.median(plans) * 1e3:.2f} ms, a gap {statistics.median(rounds) * 1e6:.2f} us; "
        f"saved in {len(schedule.to_bytes())} bytes."
    )


def read(path: Path) -> list[float]:
    """Read durations in seconds, one a line."""
    try:
        durations = [float(line) for line in path.read_text().split()]
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from None
    if len(durations) < LEAST or not all(0 < each < math.inf for each in durations):
        raise SystemExit(f"{path}: it takes {LEAST} durations, each more than 0 seconds")
    return durations


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--durations", type=Path, help="a file with one duration a line")
    parser.add_argument("--price", type=float, default=1.0, help="seconds that a poll is worth")
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks that count, for each law")
    parser.add_argument(
        "--svg", type=Path, default=Path(__file__).parents[1] / "docs" / "policy.svg"
    )
    options = parser.parse_args()
    print(versions("msgspec"))
    tries: list[tuple[Law, list[float], int]] = []
    if options.durations is not None:
        durations = read(options.durations)
        learning = min(LEARNING, len(durations) // 3)
        law = recorded(options.durations.name, durations[learning:])
        tries.append((law, durations, learning))
    else:
        for law in laws():
            rng = Random(law.name)
            tasks = [*law.draw(LEARNING, rng), *law.draw(options.tasks, rng)]
            tries.append((law, tasks, LEARNING))
    panels: list[list[str]] = []
    for law, durations, learning in tries:
        best = frontier(law, durations, learning)
        found = [tried(name, policy, durations, learning) for name, policy in contenders().items()]
        report(law.name, found, best, options.price)
        panels.append(panel(law.name, found, best))
    report_speed()
    options.svg.write_text(picture(panels), encoding="utf-8")
    print(f"\nThe picture is in {os.path.relpath(options.svg, Path(__file__).parents[1])}")


main()
