"""The status decides: nothing beside it in a recorded answer can change or hide the state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from asyncclient import TaskState, decode_ref
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport

if TYPE_CHECKING:
    from asyncclient._http import Handle

_FIXTURES = Path(__file__).parents[1] / "fixtures"
# What decides: the status, an error's code, and the two that hold a status word.
_DECIDE = {"code", "data", "status", "execute_status", "task_status"}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
Place = tuple[str | int, ...]


class _Recorded(NamedTuple):
    """A recorded answer, its handle, and where in it something else may stand."""

    handle: Handle[object]
    plain: object
    state: TaskState | None
    places: list[Place]


def _handle(folder: Path) -> Handle[object]:
    ref = decode_ref((folder / "ref.json").read_text())
    transport = ScriptedTransport([])
    if ref.provider == "coze":
        return cast("Handle[object]", Coze(transport, token="pat_1").task(ref))
    return cast("Handle[object]", CopyAI(transport, api_key="key-1").task(ref))


def _places(plain: object, here: Place = ()) -> Iterator[Place]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(plain, dict):
        inner = list(cast("dict[str | int, object]", plain).items())
    elif isinstance(plain, list):
        inner = list(enumerate(cast("list[object]", plain)))
    for name, value in inner:
        if name not in _DECIDE and not isinstance(plain, list):
            yield (*here, name)
        yield from _places(value, (*here, name))


def _with(plain: object, place: Place, value: object) -> bytes:
    copied = json.loads(json.dumps(plain))
    holder = copied
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return json.dumps(copied).encode()


def _recorded(path: Path) -> _Recorded:
    handle = _handle(path.parent)
    plain = json.loads(path.read_bytes())
    state = handle.read(path.read_bytes()).state
    # An interrupt decides as well: it blocks a run whose word does not say so.
    blocked = state is TaskState.BLOCKED
    places = [place for place in _places(plain) if not (blocked and "interrupt_data" in place)]
    return _Recorded(handle, plain, state, places)


_ANSWERS = sorted(
    path
    for path in _FIXTURES.glob("*/*/*.json")
    if path.name != "ref.json" and (path.parent / "ref.json").exists()
)


@pytest.mark.parametrize("path", _ANSWERS, ids=lambda path: f"{path.parent.name} {path.stem}")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_beside_the_status_changes_the_state(path: Path, data: st.DataObject) -> None:
    """Any field but those that decide may be any JSON: the state is as it was recorded."""
    recorded = _recorded(path)
    place = data.draw(st.sampled_from(recorded.places))
    body = _with(recorded.plain, place, data.draw(_JSON))
    assert recorded.handle.read(body).state is recorded.state
