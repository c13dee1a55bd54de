"""`apis`: what the catalogue knows, for people and for programs."""

from __future__ import annotations

import pytest

from asyncclient.catalogue import ALL
from tests.cli.shell import Shell, a_terminal


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
def test_people_get_a_table_that_fits(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """In a pipe each is a line of fields; names are never cut."""
    assert shell("apis") == 0
    rows = [line.split("\t") for line in shell.out.splitlines()]
    assert rows[0] == ["airbyte.job", "A job of Airbyte: GET /v1/jobs/{jobId}"]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("asyncclient.cli._output.has_live_terminal", a_terminal(is_live=True))
    assert shell("apis") == 0
    lines = shell.out.splitlines()
    assert lines[0].split()[:2] == ["name", "task,"]
    assert max(map(len, lines)) <= columns
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == {"name", *ALL}


def test_a_named_api_is_shown_whole(shell: Shell) -> None:
    """With its words, what else there is to know, and how it is waited for."""
    assert shell("apis", "replicate.prediction") == 0
    for said in ("A prediction of Replicate: GET the urls.get", "canceled, aborted", "30 minutes"):
        assert said in shell.out
    assert "asyncclient wait URL --api replicate.prediction" in shell.out
    assert shell("apis", "replicat") == 2
    assert "did you mean replicate.prediction?" in shell.complaint
