"""The tasks that a command line names: a reference, ids, a URL, or lines of input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple, TypeAlias

import click

from asyncclient._arguments import id_text
from asyncclient._http import SessionPool
from asyncclient._ref import ADDRESS, TaskRef, decode_ref
from asyncclient._task import Task
from asyncclient._text import counted, shown
from asyncclient.cli._accounts import task_of
from asyncclient.cli._any_api import How, TaskURL, authority_of, is_url, seen
from asyncclient.cli._output import complain

Target: TypeAlias = TaskRef | TaskURL


class Kind(NamedTuple):
    """One kind of task, which is found by its ids.

    Attributes:
        provider: the provider, by its name in references.
        ref_kind: its kind of task, by its name in references.
        ids: the names of its ids, in the order in which they are given.
        most: how many ids the last one may be, which a reference joins by commas.
    """

    provider: str
    ref_kind: str
    ids: tuple[str, ...]
    most: int = 1

    @property
    def usage(self) -> str:
        """Its ids, as help shows them."""
        names = " ".join(map(str.upper, self.ids))
        return f"{names.removesuffix('S')}..." if self.most > 1 else names


KINDS = {
    "coze-workflow": Kind("coze", "workflow_run", ("workflow_id", "execute_id")),
    "coze-chat": Kind("coze", "chat", ("conversation_id", "chat_id")),
    "coze-copy": Kind("coze", "copy_task", ("task_id",)),
    "coze-documents": Kind("coze", "document_progress", ("dataset_id", "document_ids"), most=50),
    "copyai-workflow": Kind("copyai", "workflow_run", ("workflow_id", "run_id")),
}
"""By the words that stand before the ids."""


def found(pool: SessionPool, target: Target) -> tuple[Task[object], TaskRef | None]:
    """Return the task of a target, and its reference if it may be written; no I/O.

    Raises:
        ValueError: a variable or the URL is not valid.
    """
    if isinstance(target, TaskURL):
        task = target.task(pool)
        return task, target.ref(task)
    handle = task_of(pool, target)
    return handle, handle.ref


def targets_of(words: tuple[str, ...], how: How) -> Target | list[Target]:
    """Return the targets of a command line; a list for the lines of standard input.

    Args:
        words: a reference, a kind with its ids, a URL, or `-`.
        how: how a URL is asked and its answers are read.

    Raises:
        click.UsageError, ValueError: they name nothing that can be waited for.
    """
    first, *others = words
    if words == ("-",):
        return list(_lines(how))
    if is_url(first):
        if others:
            msg = f"more follows the URL {seen(first)}: put it in single quotes"
            raise ValueError(msg)
        return how.at(first)
    if how != How():
        msg = f"--api, --status, --header and --allow-http go with a URL: {seen(first)} is none"
        raise ValueError(msg)
    if first in KINDS:
        return _ref_by_ids(first, others)
    near = [] if first.startswith("{") else get_close_matches(first, KINDS, n=1)
    if near:
        msg = f"no kind of task is called {shown(first)}: did you mean {near[0]}?"
        raise ValueError(msg)
    if others:
        msg = "it came in several pieces: put the reference in single quotes"
        raise click.BadParameter(msg, param_hint="TASK")
    return _ref(
        first, "TASK", f", in single quotes; or a URL, or one of {', '.join(KINDS)} with ids"
    )


def _ref_by_ids(kind: str, words: list[str]) -> TaskRef:
    """Return the reference of the task of some ids."""
    provider, ref_kind, names, most = KINDS[kind]
    if not len(names) <= len(words) < len(names) + most:
        many = f" (at most {most})" if most > 1 else ""
        msg = f"{kind} takes {KINDS[kind].usage}{many}, and got {counted(len(words), 'id')}"
        raise ValueError(msg)
    ids: dict[str, list[str]] = {name: [] for name in names}
    for place, word in enumerate(words):
        name = names[min(place, len(names) - 1)]
        ids[name].append(id_text(name, word))
    return TaskRef(provider, ref_kind, {name: ",".join(each) for name, each in ids.items()})


def _lines(how: How) -> Iterator[Target]:
    """Read what to wait for from standard input: references, or URLs at one place.

    Raises:
        click.BadParameter, ValueError: a line cannot be one, or there is none.
    """
    # Bytes: what is no text at all is no reference either. Closed by the shell, it is empty.
    lines = sys.stdin.buffer if sys.stdin else ()
    if sys.stdin and sys.stdin.isatty():
        complain("reading references or URLs, one a line; Ctrl-D ends the list")
    given = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not given:
        msg = (
            "standard input is empty: pipe in what 'start' wrote, one reference a line, "
            "or URLs with --api"
        )
        raise ValueError(msg)
    places: set[str] = set()
    for number, line in given:
        if not is_url(text := line.decode(errors="replace")):
            yield _ref(line, f"line {number}")
            continue
        places.add(authority_of(text).lower())
        if len(places) > 1:
            msg = f"line {number}: {seen(text)} is at another host or port than the lines before"
            raise ValueError(msg)
        yield how.at(text)


def _ref(text: str | bytes, place: str, advice: str = "") -> TaskRef:
    try:
        ref = decode_ref(text.strip())
    except ValueError as error:
        # The reason speaks of JSON, and the next step of Python.
        msg = (
            "not a task reference that this command can read: "
            f"give the whole line that 'start' wrote{advice}"
        )
        raise click.BadParameter(msg, param_hint=place) from error
    if ADDRESS in ref.ids:
        wait = f"asyncclient wait URL --api {ref.kind}"
        msg = f"{ref} is a task of another API, which is found by its URL: {wait}"
        raise ValueError(msg)
    return ref
