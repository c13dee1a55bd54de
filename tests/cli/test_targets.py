"""What `wait` and `watch` take beside references and URLs: a kind of task and its ids."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncclient import SessionPool, TaskRef, encode_ref
from asyncclient.cli._any_api import How
from asyncclient.cli._targets import KINDS, targets_of
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from tests.cli.shell import KEY, TOKEN, Shell

if TYPE_CHECKING:
    from asyncclient.testing import Simulator

PAGE = Path(__file__).parents[2] / "docs" / "command.md"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("coze-workflow", "Success"),
        ("coze-chat", "completed"),
        ("coze-copy", "successful"),
        ("coze-documents", 1),
        ("copyai-workflow", "COMPLETE"),
    ],
)
def test_a_task_is_found_by_its_ids(
    shell: Shell, loop: asyncio.Runner, sim: Simulator, kind: str, word: str | int
) -> None:
    """The ids alone are enough, in the order in which help gives them; `watch` takes them too."""

    async def start() -> list[str]:
        async with SessionPool() as pool:
            coze = Coze(pool, token=TOKEN, base_url=sim.coze_url)
            copyai = CopyAI(pool, api_key=KEY, base_url=sim.copyai_url)
            if kind == "coze-workflow":
                return [*(await coze.start_workflow("7350")).ids.values()]
            if kind == "coze-chat":
                return [*(await coze.start_chat("7", user_id="u")).ids.values()]
            if kind == "coze-copy":
                copying = coze.start_copy("b", entity_type="workflow", to_workspace_id="2")
                return [*(await copying).ids.values()]
            if kind == "coze-documents":
                return ["7442", "7446"]
            return [*(await copyai.start_workflow("WCFG-1", {})).ids.values()]

    ids = loop.run(start())
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["coze-workflow", "1"],
            "coze-workflow takes WORKFLOW_ID EXECUTE_ID, and 1 id came",
        ),
        (
            ["coze-copy", "1", "2"],
            "coze-copy takes TASK_ID, and 2 ids came",
        ),
        (["coze-documents", "1"], "takes DATASET_ID DOCUMENT_ID... (at most 50), and 1 id came"),
        (["coze-documents", *map(str, range(52))], "(at most 50), and 52 ids came"),
        (["coze-workflow", "1", ".."], "execute_id='..' is not an id"),
        (["coze-workflow", "1", ""], "execute_id is empty"),
        (["coze-workfow", "1", "2"], "did you mean coze-workflow?"),
        (["copyai-workflows"], "did you mean copyai-workflow?"),
        (["coze-copy", "1", "--api", "replicate.prediction"], "go with a URL: 'coze-copy' is none"),
        (["-", "--header", "accept: text/plain"], "standard input has no line"),
    ],
)
def test_what_is_no_task_is_named(shell: Shell, words: list[str], said: str) -> None:
    """With what to write instead, before anything is sent."""
    assert shell("wait", *words) == 2
    assert said in shell.complaint


def test_watch_follows_one_task(shell: Shell) -> None:
    """Lines of standard input are for `wait`."""
    ref = encode_ref(TaskRef("coze", "copy_task", {"task_id": "1"}))
    assert shell("watch", "-", stdin=ref) == 2
    assert "watch follows one task" in shell.complaint
