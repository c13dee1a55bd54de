"""Run benchmarks, store what they print, and write the pages that show it.

Without names, all `bench_*.py` are run; with `--write` none. What a script printed is kept in
`results/`, with its date and machine. `README.md` here, and the table in the project's README, are
written from that alone.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE / "README.md"
README = HERE.parent / "README.md"
# The project's README shows the table of this script between these two lines.
SHOWN = "bench_end_to_end"
BEGIN, END = "<!-- written by benchmarks/run_all.py -->", "<!-- end -->"
# Those that look for what goes wrong, or take long, come last.
LAST = ("adversity", "one_of_a_hundred", "soak")
INTRODUCTION = """# Benchmarks

One script a question, each with its peer in the same run. Contenders take turns, and figures are
ratios and medians: absolute times on a shared machine are no results. A server is a process of its
own, so that a client's CPU time is the client's alone.

```console
pip install "nox[uv]" && nox -s bench
nox -s bench -- bench_call.py
```

This page is written by that command, from what the scripts printed when they last ran.
"""


class Result(msgspec.Struct):
    """What one script printed.

    Attributes:
        date: the day, as 2026-11-29.
        machine: cores, system and Python.
        load: processes that were ready to run, on average over a minute, before and after; None
            where that was not recorded.
        output: all that it printed.
    """

    date: str
    machine: str
    load: tuple[float, float] | None
    output: str


def run(script: Path) -> Result:
    """Run one script, show what it prints, and return it."""
    load = os.getloadavg()[0]
    lines: list[str] = []
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
    if process.returncode:
        sys.exit(f"{script.name} ended with {process.returncode}: what it printed is not kept")
    return Result(
        date=dt.date.today().isoformat(),  # noqa: DTZ011  (the day where it was measured)
        machine=f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        load=(round(load, 1), round(os.getloadavg()[0], 1)),
        output="".join(lines).strip(),
    )


def names() -> list[str]:
    """Return the scripts that have a result, in the order of the page."""
    found = sorted(path.stem for path in RESULTS.glob("*.json"))
    return sorted(found, key=lambda name: (LAST.index(name) + 1 if name in LAST else 0, name))


def result_of(name: str) -> Result:
    """Return what a script printed when it last ran."""
    return msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Result)


def section(name: str, result: Result) -> str:
    """Write what the page says of one script: its question, its method, and what it printed."""
    question, _, method = (
        ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or ""
    ).partition("\n")
    load = "not recorded" if result.load is None else " before, then ".join(map(str, result.load))
    measured = f"Measured on {result.date}: {result.machine}; load {load}."
    return "\n\n".join(
        (f"## `{name}.py`", f"**{question}**", method.strip(), measured, *blocks(result.output))
    )


def blocks(output: str) -> Iterator[str]:
    """Write tables as they are, and everything else as it was printed."""
    for is_table, lines in groupby(output.splitlines(), key=lambda line: line.startswith("|")):
        text = "\n".join(line.rstrip() for line in lines)
        if is_table:
            yield text
        elif text.strip():
            yield "```text\n" + text.strip("\n") + "\n```"


def page() -> str:
    """Write the page of all benchmarks."""
    return (
        "\n\n".join((INTRODUCTION.strip(), *(section(name, result_of(name)) for name in names())))
        + "\n"
    )


def readme(text: str) -> str:
    """Write the project's README, with the table of one script in its place."""
    (table,) = (block for block in blocks(result_of(SHOWN).output) if block.startswith("|"))
    above, _, rest = text.partition(BEGIN)
    _, _, below = rest.partition(END)
    return f"{above}{BEGIN}\n\n{table}\n\n{END}{below}"


def main() -> None:
    """Run, store and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", help="names in this folder; default: bench_*.py")
    parser.add_argument("--write", action="store_true", help="write the pages alone")
    options = parser.parse_args()
    given = [HERE / Path(name).name for name in options.scripts]
    scripts = given or sorted(HERE.glob("bench_*.py"))
    for script in [] if options.write else scripts:
        sys.stdout.write(f"\n== {script.name}\n")
        kept = msgspec.json.format(msgspec.json.encode(run(script)), indent=2)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{script.stem}.json").write_bytes(kept + b"\n")
    PAGE.write_text(page())
    README.write_text(readme(README.read_text()))


if __name__ == "__main__":
    main()
