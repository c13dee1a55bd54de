"""What `wait` and `watch` take beside references and URLs: a kind of task and its ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asyncclient import Handle, SessionPool, TaskRef
from asyncclient.cli._any_api import How
from asyncclient.cli._targets import KINDS, targets_of
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from tests.cli.shell import KEY, TOKEN, Shell

if TYPE_CHECKING:
    from asyncclient.testing import Simulator

PAGE = Path(__file__).parents[2] / "docs" / "command.md"

pytestmark = pytest.mark.usefixtures("environment")


# Of each kind that is started: its last word, and what starts one.
STARTED: dict[str, tuple[str, Callable[[Coze, CopyAI], Awaitable[Handle[Any]]]]] = {
    "coze-workflow": ("Success", lambda coze, _: coze.start_workflow("7350")),
    "coze-chat": ("completed", lambda coze, _: coze.start_chat("7", user_id="u")),
    "coze-copy": (
        "successful",
        lambda coze, _: coze.start_copy("b", entity_type="workflow", to_workspace_id="2"),
    ),
    "copyai-workflow": ("COMPLETE", lambda _, copyai: copyai.start_workflow("WCFG-1", {})),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_found_by_its_ids(
    shell: Shell, loop: asyncio.Runner, sim: Simulator, kind: str
) -> None:
    """The ids alone are enough, in the order in which help gives them; `watch` takes them too."""
    word, start = STARTED.get(kind, (1, None))

    async def started() -> list[str]:
        async with SessionPool() as pool:
            coze = Coze(pool, token=TOKEN, base_url=sim.coze_url)
            copyai = CopyAI(pool, api_key=KEY, base_url=sim.copyai_url)
            return [*(await start(coze, copyai)).ids.values()] if start else ["7442", "7446"]

    ids = loop.run(started())
    assert shell("wait", kind, *ids, "--json") == 0
    end = shell.json
    assert (end["state"], end["word"]) == ("succeeded", word)
    assert [*end["ref"]["ids"].values()] == ids
    assert end["result"]
    assert shell("wait", "-", "--json", stdin=json.dumps(end["ref"])) == 0
    assert (shell.json["word"], shell.json["ref"]) == (word, end["ref"])
    assert shell("watch", kind, *ids) == 0
    assert "succeeded" in shell.out


def test_documents_of_a_dataset_are_found_by_their_ids(shell: Shell) -> None:
    """One or more; their outputs are the documents, and one that fails is the end of all."""
    assert shell("wait", "coze-documents", "1", "7", "8", "--json", "--outputs") == 0
    end = shell.json
    assert (end["state"], end["progress"]) == ("succeeded", 100)
    assert [one["document_id"] for one in end["result"]] == ["7", "8"]
    assert shell("wait", "coze-documents", "1", "9", "fail-1") == 1
    assert "The file has no text." in shell.complaint


def test_several_ids_are_one_task() -> None:
    """Documents of a dataset are looked at together, up to fifty of them."""
    words = ("coze-documents", "1", *map(str, range(10**18, 10**18 + 50)))
    ids = {"dataset_id": "1", "document_ids": ",".join(words[2:])}
    assert targets_of(words, How()) == TaskRef("coze", "document_progress", ids)


@pytest.mark.parametrize("kind", KINDS)
def test_help_and_the_page_show_each_kind_with_its_ids(shell: Shell, kind: str) -> None:
    """In a terminal of any width it is one line."""
    usage = f"{kind} {KINDS[kind].usage}"
    assert shell("wait", "--help") == 0
    assert f"    {usage}\n" in shell.out
    assert f"`asyncclient wait {usage.replace('...', '…')}`" in PAGE.read_text(encoding="utf-8")
