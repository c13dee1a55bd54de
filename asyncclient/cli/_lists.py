"""What `apis` and `bots` do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from asyncclient._http import SessionPool
from asyncclient._reading import Reading
from asyncclient.catalogue import ALL
from asyncclient.catalogue._texts import constant_of, texts
from asyncclient.cli._any_api import known_reading
from asyncclient.cli._exits import ExitCode
from asyncclient.cli._output import say, say_json, say_rows
from asyncclient.providers.coze import Coze


class API(msgspec.Struct, frozen=True, kw_only=True):
    """What the command shows of an API in the catalogue.

    Attributes:
        name: as `--api` takes it.
        provider: its first part.
        task: what such a task is.
        poll: where it is polled.
        notes: what else there is to know.
        words: the status words of each state.
        source: where the words were read.
        checked: the day on which they were.
    """

    name: str
    provider: str
    task: str
    poll: str
    notes: str
    words: dict[str, list[str | int]]
    source: str
    checked: str


def apis_of(names: Sequence[str]) -> list[API]:
    """Return APIs of the catalogue; all if no name is given.

    Raises:
        ValueError: a name is not known.
    """
    written = texts()
    readings = [known_reading(name) for name in names or sorted(ALL)]
    return [_api(each, written[constant_of(each.name)]) for each in readings]


async def list_apis(apis: Sequence[API], *, whole: bool, as_json: bool) -> int:
    """Write what is known of APIs.

    Args:
        apis: of which.
        whole: with their words, not one row each.
        as_json: as a JSON array, which is always whole.
    """
    if as_json:
        say_json(msgspec.json.encode(apis))
    elif whole:
        for api in apis:
            _say_whole(api)
    else:
        rows = [(api.name, f"{api.task}: {api.poll}") for api in apis]
        say_rows(
            ("name", "task, and where it is polled"), rows, folded="task, and where it is polled"
        )
    return ExitCode.OK


def _api(reading: Reading, text: str) -> API:
    first, _, notes = text.replace("`", "").strip().partition("\n\n")
    task, _, poll = " ".join(first.split()).rstrip(".").rpartition(": ")
    words: dict[str, list[str | int]] = {}
    for word, state in reading.vocabulary.words.items():
        words.setdefault(state, []).append(word)
    return API(
        name=reading.name,
        provider=reading.name.partition(".")[0],
        task=task,
        poll=poll,
        notes=" ".join(notes.split()),
        words=words,
        source=reading.source,
        checked=reading.checked.isoformat(),
    )


def _say_whole(api: API) -> None:
    say(api.name)
    say(f"  {api.task}: {api.poll}. {api.notes}".rstrip())
    for state, words in api.words.items():
        say(f"  {state:<9}  {', '.join(map(str, words))}")
    say(f"  {'wait':<9}  asyncclient wait URL --api {api.name}")


async def list_bots(workspace_id: str, *, publish_status: str | None, as_json: bool) -> int:
    """Write all bots of a Coze workspace."""
    async with SessionPool() as pool:
        coze = Coze.from_env(pool)
        bots = [bot async for bot in coze.iter_bots(workspace_id, publish_status=publish_status)]
    if as_json:
        say_json(msgspec.json.encode(bots))
        return ExitCode.OK
    rows = [(bot.id, bot.name, _yes_or_no(bot.is_published), _day(bot.updated_at)) for bot in bots]
    say_rows(("id", "name", "published", "updated"), rows, folded="name")
    return ExitCode.OK


def _yes_or_no(value: bool | None) -> str:  # noqa: FBT001  (the value that is shown, no switch)
    return {True: "yes", False: "no", None: ""}[value]


def _day(unix_time: int | None) -> str:
    try:
        return (
            "" if unix_time is None else datetime.fromtimestamp(unix_time, UTC).date().isoformat()
        )
    except (OverflowError, OSError, ValueError):
        return str(unix_time)
