"""How the answers of one task API are read, as data: its words, and the places of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any, TypeAlias, cast

from asyncclient._arguments import is_async, optional_function, text_line
from asyncclient._state import Vocabulary, Word, number_of, word_of
from asyncclient._task import DECIDES_NOTHING, Finders, Observation
from asyncclient._text import even_half_made, shown, text_of, type_name

Json: TypeAlias = Any  # a decoded answer: what is in it, its provider decides
TextAt: TypeAlias = str | Callable[[Json], str | None]
NumberAt: TypeAlias = str | Callable[[Json], float | None]

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_STEP = re.compile(r"\[([0-9]{1,9})\]|([\w-]+)")
_PATH = re.compile(r"([\w-]+|\[[0-9]{1,9}\])(\.[\w-]+|\[[0-9]{1,9}\])*")
_Steps: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Reading:
    """How the answers of one task API are read, checked when it is made.

    A path is names joined by dots, with `[n]` for the member of a list: `data.runs[0].status`.
    A value that is absent or null on the way is read as None, and so is any path in an answer of
    another shape.

    Args:
        name: as `replicate.prediction`: letters, digits, `_` and `-`, in parts joined by dots.
        vocabulary: the API's status words.
        status: where the status word stands: a path, or a function from an answer to it, as
            `polling_task` takes one. Several paths joined by `/` are read together, without those
            that are absent, null or empty: `status/conclusion` reads `completed/success`, or
            `queued`. A path with a `?` stands for its own text where its value is there (not
            absent, null, false or an empty text): `status/error?` reads `COMPLETED/error`. A
            joined word that the vocabulary does not know is read as its first part alone.
        reason: where the API says what went wrong: a path, a function, or several of them, of
            which the first that leads to a text is taken. Default: nowhere.
        progress: where a number says how far the task has come: a path or a function.
        hint: where a number of seconds to wait stands, or a point in time: a path or a function.
        took: a function from the last answer to the seconds that the task took.
        source: the page or file that this was read from.
        checked: the day on which that page or file was read: a date or ISO text.

    Raises:
        ValueError: a text is no path, no name, no date, empty, or has a line break.
        TypeError: an argument is of another type.
    """

    name: str
    vocabulary: Vocabulary
    status: str | Callable[[Json], Word | None]
    reason: tuple[TextAt, ...]
    progress: NumberAt | None
    hint: NumberAt | None
    took: Callable[[Json], float | None] | None
    source: str
    checked: date
    _finders: Finders[Json] = field(init=False, compare=False)

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        *,
        status: str | Callable[[Json], Word | None],
        reason: TextAt | Sequence[TextAt] | None = None,
        progress: NumberAt | None = None,
        hint: NumberAt | None = None,
        took: Callable[[Json], float | None] | None = None,
        source: str,
        checked: date | str,
    ) -> None:
        reasons: tuple[object, ...] = () if reason is None else (reason,)
        if isinstance(reason, tuple | list):
            reasons = tuple(cast("Sequence[object]", reason))
        parts = status.split("/") if isinstance(status, str) else [status]
        for part in parts:
            _check("status", part.removesuffix("?") if isinstance(part, str) else part)
        for each in reasons:
            _check("reason", each)
        optional_function("took", took, "an answer")  # it is no path
        for argument, where in (("progress", progress), ("hint", hint), ("took", took)):
            if where is not None:
                _check(argument, where)
        fields: dict[str, object] = {
            "name": _named(name),
            "vocabulary": vocabulary,
            "status": status,
            "reason": reasons,
            "progress": progress,
            "hint": hint,
            "took": took,
            "source": text_line("source", source, "source"),
            "checked": _day(checked),
            "_finders": Finders(
                vocabulary,
                self._word,
                self._reason,
                partial(_number, progress),
                partial(_number, hint),
                partial(_number, took),
            ),
        }
        for each, value in fields.items():
            object.__setattr__(self, each, value)

    def read(self, answer: object) -> Observation[Json]:
        """Return all that any answer says; the answer is the result."""
        return self._finders.observed(answer)

    def _word(self, answer: Json) -> Word | None:
        if not isinstance(self.status, str):
            return self.status(answer)
        parts = [_part(answer, path) for path in self.status.split("/")]
        found = [part for part in parts if part is not None and part != ""]
        if len(found) > 1:
            word = "/".join(
                part if isinstance(part, str) else text_of(part).lower() for part in found
            )
            if self.vocabulary.state_of(word) is not None:
                return word
        return next(iter(found), None)

    def _reason(self, answer: Json) -> str | None:
        for where in self.reason:
            try:
                text = _found(answer, where)
            except DECIDES_NOTHING:  # the next may be there
                continue
            if isinstance(text, str) and text:
                return text
        return None

    def __hash__(self) -> int:
        return hash(self.name)  # its functions may be objects without a hash

    @even_half_made
    def __repr__(self) -> str:
        return f"<Reading {self.name}>"


def readings_by_name(readings: object) -> dict[str, Reading]:
    """Check readings, and return them by their names."""
    if not isinstance(readings, Iterable):
        msg = f"readings must be a list of Readings, not {type_name(readings)}"
        raise TypeError(msg)
    found: dict[str, Reading] = {}
    for reading in cast("Iterable[object]", readings):
        if not isinstance(reading, Reading):
            msg = f"readings must be a list of Readings, and has {type_name(reading)} in it"
            raise TypeError(msg)
        if found.setdefault(reading.name, reading) != reading:
            msg = f"two readings are named {shown(reading.name)}: give each its own name"
            raise ValueError(msg)
    return found


@lru_cache(maxsize=1024)
def _steps(path: str) -> _Steps:
    return tuple(int(index) if index else name for index, name in _STEP.findall(path))


def value_at(answer: Json, path: str) -> object:
    """Return what stands at a path; None where it ends early."""
    for step in _steps(path):
        if isinstance(step, str) and isinstance(answer, dict):
            answer = cast("dict[str, Json]", answer).get(step)
        elif isinstance(step, int) and isinstance(answer, list):
            answer = next(iter(cast("list[object]", answer)[step : step + 1]), None)
        else:
            return None
    return answer


def _found(answer: Json, where: TextAt | NumberAt) -> object:
    return value_at(answer, where) if isinstance(where, str) else where(answer)


def _part(answer: Json, path: str) -> str | int | None:
    """Return one part of a status word."""
    found = value_at(answer, path)  # a `?` is no step of it
    if not path.endswith("?"):
        return word_of(found)
    is_there = found is not None and found is not False and found != ""
    return path.removesuffix("?") if is_there else None


def _number(where: NumberAt | None, answer: Json) -> float | None:
    return None if where is None else number_of(_found(answer, where))


def _check(argument: str, where: object) -> None:
    """Check a path, which must be of the grammar, or a function."""
    if not isinstance(where, str):
        of_async = is_async(where)
        if of_async or not callable(where):
            what = "an async one" if of_async else type_name(where)
            msg = f"{argument} must be a path or a function of an answer, not {what}"
            raise TypeError(msg)
    elif not _PATH.fullmatch(where):
        msg = f"{argument}: {shown(where)} is not a path: write it like data.runs[0].status"
        raise ValueError(msg)


def _named(name: object) -> str:
    """Check a name, which stands in references and logs."""
    named = text_line("name", name, "name")
    if not _NAME.fullmatch(named):
        msg = f"name={shown(named)} is not a name: write it like replicate.prediction"
        raise ValueError(msg)
    return named


def _day(checked: object) -> date:
    if isinstance(checked, str):
        try:
            return date.fromisoformat(checked)
        except ValueError:
            msg = f"checked={shown(checked)} is not a date: write it like 2026-11-29"
            raise ValueError(msg) from None
    if not isinstance(checked, date) or isinstance(checked, datetime):
        msg = f"checked must be a date or its ISO text, not {type_name(checked)}"
        raise TypeError(msg)
    return checked
