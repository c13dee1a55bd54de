"""Write `docs/catalogue.md` from the catalogue: `python -m tests.catalogue.write_page`.

What stands above the first reading is kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asyncclient import Reading, TaskState, catalogue
from asyncclient.catalogue._texts import constant_of, texts

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"
HOW_TO_WRITE = "python -m tests.catalogue.write_page"


def _source(reading: Reading) -> str:
    return ", ".join(f"<{url}>" for url in reading.source.split(", "))


def _places(reading: Reading) -> Iterator[str]:
    where = "a function" if callable(reading.status) else f"`{reading.status}`"
    yield f"status: {where}"
    for name, value in (
        ("reason", reading.reason),
        ("progress", (reading.progress,)),
        ("hint", (reading.hint,)),
    ):
        paths = ", ".join(f"`{path}`" for path in value if path is not None)
        if paths:
            yield f"{name}: {paths}"


def entry(reading: Reading, text: str) -> str:
    """Write what the page says of one reading."""
    words: dict[TaskState, list[str]] = {}
    for word, state in reading.vocabulary.words.items():
        words.setdefault(state, []).append(f"`{word}`")
    rows = "\n".join(f"| {state} | {' '.join(words[state])} |" for state in words)
    paragraphs = [" ".join(each.split()) for each in text.strip().split("\n\n")]
    return "\n\n".join(
        (
            f"## `{reading.name}`",
            *paragraphs,
            f"| state | words |\n|---|---|\n{rows}",
            f"`catalogue.{constant_of(reading.name)}` reads {'; '.join(_places(reading))}.",
            f"Source: {_source(reading)}, checked on {reading.checked}.",
        )
    )


def introduction(text: str) -> str:
    """Return what stands above the first reading."""
    return text.partition("\n## ")[0]


def write(above: str) -> str:
    """Write the whole page."""
    below = texts()
    entries = (
        entry(catalogue.ALL[name], below[constant_of(name)]) for name in sorted(catalogue.ALL)
    )
    return "\n\n".join((above.rstrip(), *entries)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(write(introduction(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
