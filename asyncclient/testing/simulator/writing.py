"""Writes answers of any API from its reading: the way back from a status word to an answer."""

from __future__ import annotations

import re
from typing import cast

from asyncclient._reading import Json, Reading
from asyncclient._text import shown

_STEP = re.compile(r"([\w-]+)|\[(\d+)\]")


def answer_with(reading: Reading, word: str | int) -> Json:
    """Make the smallest answer in which a reading finds a status word, known to it or not.

    Args:
        reading: where the word is written: one of `asyncclient.catalogue`, or of your own.
        word: as the API writes it; a word of several parts as in the vocabulary, like
            `completed/success`.

    Raises:
        ValueError: the reading finds its word by a function: write the answer yourself.
    """
    if not isinstance(reading.status, str):
        msg = (
            f"{reading.name} finds its status word by a function: write the answers of"
            f" {shown(word)} out, as dicts"
        )
        raise ValueError(msg)  # noqa: TRY004  (the reading is one, and of another shape)
    paths = reading.status.split("/")
    parts = word.split("/", len(paths) - 1) if isinstance(word, str) else [word]
    answer: Json = {}
    for path, part in zip(paths, parts, strict=False):
        answer = merged(answer, written(path.removesuffix("?"), part))
    return answer


def written(path: str, value: object) -> Json:
    """Make an answer that has a value at a path."""
    for name, index in reversed(_STEP.findall(path)):
        value = {name: value} if name else [None] * int(index) + [value]
    return value


def merged(below: object, above: object) -> Json:
    """Merge two answers: objects are joined; of any other value the upper one counts."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    both = dict(cast("dict[str, object]", below))
    for name, value in cast("dict[str, object]", above).items():
        both[name] = merged(both[name], value) if name in both else value
    return both
