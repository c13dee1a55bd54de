"""Typed answers leave the library: from FastAPI routes, in pydantic models, as JSON and pickles."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from asyncclient import (
    BudgetStats,
    Done,
    Handover,
    Observation,
    PollerStats,
    Snapshot,
    TaskRef,
    TaskState,
    Ticket,
    TicketExpired,
    decode_ref,
)
from asyncclient._http import Answer, Response
from asyncclient._portable import Portable
from asyncclient.errors import TaskFailed, WaitTimeout
from asyncclient.integrations._outcome import Outcome
from asyncclient.providers import copyai as copyai_module, coze as coze_module
from asyncclient.providers.copyai import CopyAI, WorkflowRun as CopyRun
from asyncclient.providers.coze import (
    Chat,
    CopyTask,
    Coze,
    DocumentProgress,
    Interrupt,
    Usage,
    WorkflowRun,
)
from tests.providers.scripted import RECORDED, copyai, coze

REF = TaskRef("coze", "chat", {"conversation_id": "1", "chat_id": "2"}, 1_700_000_000)
TICKET = Ticket(REF, 1_700_000_100.5, 1_700_000_000, 3)


def looks() -> Iterator[tuple[str, Observation[Answer]]]:
    """Yield what a look sees in each recorded answer about a task."""
    for name, body in RECORDED.items():
        provider, folder, file = name.split("/")
        ref = RECORDED.get(f"{provider}/{folder}/ref.json")
        if ref is not None and provider != "catalogue" and file != "ref.json":
            client: Coze | CopyAI = coze()[0] if provider == "coze" else copyai()[0]
            seen = client.task(decode_ref(ref)).read(body)
            yield name, cast("Observation[Answer]", seen)


LOOKS = dict(looks())
RUN = cast("WorkflowRun", LOOKS["coze/workflow_run/Success.live.json"].result)
COPIED = cast("CopyRun", LOOKS["copyai/workflow_run/FAILED.json"].result)
SNAPSHOT = Snapshot(state=TaskState.RUNNING, word="Running", result=RUN, polls=2, raw=b"{\xff}")
DONE = Done(
    task=coze()[0].task(REF),
    state=TaskState.FAILED,
    result=None,
    error=TaskFailed("it failed"),
    polls=4,
    elapsed=1.5,
)
# What equals itself after any way out and in.
WHOLE: dict[str, Portable] = {
    **{name: seen.result for name, seen in LOOKS.items()},
    **{f"look at {name}": seen for name, seen in LOOKS.items()},
    "reference": REF,
    "ticket": TICKET,
    "handover": Handover(delay=2.5, ticket=TICKET, state=TaskState.RUNNING),
    "outcome": Outcome(how="done", ref=REF, result={"a": [1]}, error="no"),
    "snapshot": SNAPSHOT,
}
whole = pytest.mark.parametrize("value", WHOLE.values(), ids=WHOLE)


def kinds(base: type[object] = Portable) -> Iterator[type[object]]:
    """Yield each struct that may leave the library."""
    subclasses: list[type[object]] = base.__subclasses__()
    for each in subclasses:
        yield from (each, *kinds(each))


OBSERVED: dict[type[object], TypeAdapter[object]] = {
    WorkflowRun: TypeAdapter[object](Observation[WorkflowRun]),
    CopyTask: TypeAdapter[object](Observation[CopyTask]),
    DocumentProgress: TypeAdapter[object](Observation[DocumentProgress]),
    Chat: TypeAdapter[object](Observation[Chat]),
    CopyRun: TypeAdapter[object](Observation[CopyRun]),
}


def adapter_of(value: Portable) -> TypeAdapter[object]:
    """Return what a route or a model has for a value, by the type that it declares."""
    if isinstance(value, Observation):
        return OBSERVED[type(cast("Observation[object]", value).result)]
    return TypeAdapter[object](
        Snapshot[WorkflowRun] if isinstance(value, Snapshot) else type(value)
    )


@whole
def test_a_value_equals_itself_after_any_trip(value: Portable) -> None:
    """As JSON, by pydantic in both of its modes, pickled by any protocol, and copied."""
    adapter = adapter_of(value)
    plain = json.loads(msgspec.json.encode(value))
    assert (
        dict(value) == adapter.dump_python(value) == json.loads(adapter.dump_json(value)) == plain
    )
    assert adapter.validate_python(value) is value
    assert adapter.validate_python(plain) == value
    assert adapter.validate_json(msgspec.json.encode(value)) == value
    assert copy.copy(value) == copy.deepcopy(value) == value
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value  # noqa: S301  (of our own)
    if not isinstance(value, Observation | Snapshot):  # a look's result may be of any type
        assert msgspec.convert(msgspec.to_builtins(value), type(value)) == value


def test_a_copy_remembers_its_response_and_a_pickle_does_not() -> None:
    """Headers may hold what is not for another process; a copy's parts are its own."""
    run = msgspec.structs.replace(RUN, usage=Usage(1)).from_response(Response(200, {}, b"{}"))
    assert copy.copy(run).response is copy.deepcopy(run).response is run.response is not None
    assert copy.copy(run).usage is run.usage
    assert copy.deepcopy(run).usage is not run.usage
    assert copy.deepcopy(run) == run
    assert cast("WorkflowRun", pickle.loads(pickle.dumps(run))).response is None  # noqa: S301


def test_every_public_struct_may_leave() -> None:
    """A new answer, or a part of one, is held to it; each has a JSON schema for both directions."""
    found = set(kinds())
    public = {
        thing
        for module in (coze_module, copyai_module)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, msgspec.Struct)
    }
    assert public <= found
    assert found >= {Done, Snapshot, Observation, TaskRef, Ticket, TicketExpired, PollerStats}
    for kind in found:
        adapter = TypeAdapter[object](kind)
        for mode in ("validation", "serialization"):
            schema = adapter.json_schema(mode=mode)
            assert schema["type"] == "object"
            assert "#/$defs" not in json.dumps(schema)


class Report(BaseModel):
    """A user's own model."""

    run: WorkflowRun
    other: CopyRun | None = None
    parts: list[Usage | Interrupt] = []
    seen: Snapshot[WorkflowRun] | None = None
    anything: dict[str, object] = {}


def test_a_pydantic_model_holds_answers() -> None:
    """It validates the instance, its JSON and a plain dict, and says what does not fit."""
    report = Report(run=RUN, other=COPIED, parts=[Usage(1), Usage(2)], seen=SNAPSHOT)
    assert report.run is RUN
    assert Report.model_validate(report.model_dump()) == report
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert Report(run=RUN, anything={"run": RUN}).model_dump()["anything"] == {"run": dict(RUN)}
    loose = Report.model_validate({"run": {"execute_id": 7, "update_time": "1730174065"}})
    assert loose.run == WorkflowRun(execute_id=7, update_time=1_730_174_065)
    bad: list[object] = [5, None, [1], {"execute_status": 5}, "{}", COPIED]
    for wrong in bad:
        with pytest.raises(ValidationError, match="run"):
            Report.model_validate({"run": wrong})
    assert set(Report.model_json_schema()["$defs"]) >= {"Interrupt", "Usage"}


def test_pydantic_leaves_out_what_is_not_wanted() -> None:
    """As of its own models: by name, and what is None."""
    adapter, run = TypeAdapter(WorkflowRun), WorkflowRun(execute_id="7", debug_url="https://x")
    assert adapter.dump_python(run, include={"execute_id"}) == {"execute_id": "7"}
    assert adapter.dump_python(run, exclude={"debug_url": True}, exclude_none=True) == {
        "execute_id": "7"
    }
    assert "usage" in adapter.dump_python(run, exclude={"usage": {"token_count"}})
    dumped = Report(run=run).model_dump(include={"run": {"debug_url"}})
    assert dumped == {"run": {"debug_url": "https://x"}}


def test_what_is_made_of_no_json_stays_an_instance() -> None:
    """An end is written with its reference and its error's text; it is not read from JSON."""
    expired = TicketExpired(ticket=TICKET, error=WaitTimeout("too late"))
    for value, error in ((DONE, "TaskFailed: it failed"), (expired, "WaitTimeout: too late")):
        adapter = TypeAdapter[object](type(value))
        written = json.loads(adapter.dump_json(value))
        assert written == dict(value)
        assert written["error"] == error
        assert adapter.validate_python(value) is value
        with pytest.raises(ValidationError):
            adapter.validate_python(written)
        schema = adapter.json_schema(mode="serialization")
        assert set(schema["required"]) <= set(written) == set(schema["properties"])
    assert TypeAdapter(Done[WorkflowRun]).json_schema()["properties"]["error"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }
    assert dict(DONE)["ref"] == dict(REF)
    assert "task" not in dict(DONE)
    assert cast("TicketExpired", pickle.loads(pickle.dumps(expired))).ticket == TICKET  # noqa: S301


def test_what_json_has_no_form_for_is_written_all_the_same() -> None:
    """A result of a task of one's own may be anything; a rate may be infinite."""
    own = Report(run=RUN)
    seen = Snapshot(state=None, word=None, result={"report": own, "who": DONE.task.key, "x": 1j})
    result = cast("dict[str, object]", dict(seen)["result"])
    assert result["report"] == own.model_dump(mode="json")
    assert result["x"] == "1j"
    stats = BudgetStats(
        name="coze", rate=math.inf, polls_per_second=0, ready=0, in_flight=0, refused=0, price=None
    )
    assert dict(stats)["rate"] is None


def app() -> FastAPI:
    """Make an app whose routes return what this library gives, in every way to declare it."""
    made = FastAPI()
    answers: dict[str, tuple[object, object]] = {
        "run": (RUN, WorkflowRun),
        "either": (COPIED, CopyRun | WorkflowRun),
        "list": ([RUN, RUN], list[WorkflowRun]),
        "part": (Usage(1), Usage),
        "inside": ({"run": RUN}, dict[str, WorkflowRun]),
        "any": ({"run": RUN}, dict[str, object]),
        "snapshot": (SNAPSHOT, Snapshot[WorkflowRun]),
        "done": (DONE, Done[WorkflowRun]),
        "ref": (REF, TaskRef),
        "ticket": (TICKET, Ticket),
        "model": (Report(run=RUN), Report),
    }

    def route(given: object) -> Callable[[], Awaitable[object]]:
        async def answer() -> object:
            return given

        return answer

    for name, (value, kind) in answers.items():
        made.get(f"/bare/{name}", response_model=None)(route(value))
        made.get(f"/declared/{name}", response_model=kind)(route(value))

    @made.get("/annotated")
    async def annotated() -> WorkflowRun:
        return RUN

    @made.get("/short", response_model_exclude_none=True, response_model_include={"output", "cost"})
    async def short() -> WorkflowRun:
        return RUN

    @made.post("/body")
    async def body(report: Report) -> Report:
        return report

    return made


async def test_a_route_returns_what_the_library_gives() -> None:
    """Bare or declared, the JSON is the same; the page of the app names each answer."""
    transport = httpx.ASGITransport(app())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        page = (await client.get("/openapi.json")).json()
        for path in page["paths"]:
            if path.startswith("/bare/"):
                bare = await client.get(path)
                other = await client.get(path.replace("bare", "declared"))
                assert (bare.status_code, other.status_code) == (200, 200), path
                assert bare.json() == other.json()
        run = json.loads(msgspec.json.encode(RUN))
        for path in ("/bare/run", "/declared/run", "/annotated"):
            assert (await client.get(path)).json() == run
        assert (await client.get("/short")).json() == {"output": run["output"]}
        sent = {"run": run, "parts": [{"input_count": 3}]}
        back = (await client.post("/body", json=sent)).json()
        assert back["run"] == run
        assert back["parts"] == [{"input_count": 3, "output_count": 0, "token_count": 0}]
        assert (await client.post("/body", json={"run": 5})).status_code == 422
    named = page["components"]["schemas"]
    assert {"TaskRef", "Ticket", "Usage", "Snapshot_WorkflowRun_"} <= set(named)
    assert sum(name.endswith("WorkflowRun") for name in named) == 2
    assert named["TaskRef"]["properties"]["provider"] == {"type": "string"}


def test_neither_is_imported_before_it_asks() -> None:
    """An application without pydantic pays nothing for it."""
    code = (
        "import sys, asyncclient\n"
        "from asyncclient.providers import copyai, coze\n"
        "dict(coze.WorkflowRun())\n"
        "sys.exit('pydantic' in sys.modules or 'fastapi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
