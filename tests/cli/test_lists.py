"""`bots` and `apis`: lists for people and for programs."""

from __future__ import annotations

import pytest

from asyncclient.catalogue import ALL
from tests.cli.shell import Shell


@pytest.mark.usefixtures("environment")
def test_bots_are_listed_page_after_page(shell: Shell) -> None:
    """Outside of a terminal a bot is a line of tab-separated fields, or all are one JSON array."""
    assert shell("bots", "123") == 0
    rows = [line.split("\t") for line in shell.out.splitlines()]
    assert len(rows) == 45
    assert rows[0] == ["7493066380997000000", "Bot 1", "no", "2024-06-13"]
    assert shell("bots", "123", "--json", "--publish-status", "all") == 0
    assert [bot["name"] for bot in shell.json][:2] == ["Bot 1", "Bot 2"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("columns", [80, 50, 20])
def test_bots_are_a_table_on_a_terminal(shell: Shell, columns: int) -> None:
    """On a terminal there is a heading and columns are aligned, if no id is cut by that."""
    shell.is_terminal(columns)
    assert shell("bots", "123") == 0
    heads = shell.out.splitlines()[0].split()
    assert (heads == ["id", "name", "published", "updated"]) is (columns > 20)
    assert ("\t" in shell.out) is (columns == 20)
    assert "7493066380997000044" in shell.out
    assert "Bot 45" in shell.out


def test_programs_get_all_that_is_known_of_each_api(shell: Shell) -> None:
    """Each name with its provider, where it is polled, and the words of each state."""
    assert shell("apis", "--json") == 0
    apis = {each["name"]: each for each in shell.json}
    assert [*apis] == sorted(ALL)
    for name, reading in ALL.items():
        assert apis[name]["provider"] == name.partition(".")[0]
        assert apis[name]["task"][:1].isupper()
        assert apis[name]["poll"].startswith("GET ")
        words = {word: state for state, row in apis[name]["words"].items() for word in row}
        assert words == reading.vocabulary.words
        assert apis[name]["source"].startswith("https://")
    assert shell("apis", "dbt.run", "--json") == 0
    assert shell.json[0]["words"]["succeeded"] == [10]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_people_get_a_table_of_apis_that_fits(shell: Shell, columns: int) -> None:
    """In a pipe each is a line of fields; names are never cut."""
    assert shell("apis") == 0
    assert shell.out.splitlines()[0] == "airbyte.job\tA job of Airbyte: GET /v1/jobs/{jobId}"
    shell.is_terminal(columns)
    assert shell("apis") == 0
    lines = shell.out.splitlines()
    assert lines[0].split()[:2] == ["name", "task,"]
    assert max(map(len, lines)) <= columns
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == {"name", *ALL}


def test_a_named_api_is_shown_whole(shell: Shell) -> None:
    """With its words, what else there is to know, and how it is waited for."""
    assert shell("apis", "replicate.prediction") == 0
    how = "asyncclient wait URL --api replicate.prediction"
    poll = "A prediction of Replicate: GET the urls.get"
    for said in (poll, "canceled, aborted", "30 minutes", how):
        assert said in shell.out
    assert shell("apis", "replicat") == 2
    assert "did you mean replicate.prediction?" in shell.complaint
