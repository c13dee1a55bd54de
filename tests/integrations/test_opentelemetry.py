"""What OpenTelemetry receives: one span a wait, metrics of all, and no secret in either."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import aiohttp
import anyio
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from asyncclient import (
    Poller,
    SessionPool,
    Task,
    TaskAPI,
    Vocabulary,
    polling_task,
    wait_until_done,
    watch,
)
from asyncclient.catalogue import REPLICATE_PREDICTION
from asyncclient.errors import AuthenticationFailed, DecodeError, RateLimited, ServerError
from asyncclient.integrations import opentelemetry as telemetry
from asyncclient.integrations.opentelemetry import instrument, uninstrument
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Fault, ScriptedTransport, Simulator, reply, virtual_time_loop
from tests.many.service import EVERY_SECOND
from tests.waiting.scenario import Job, Report, outcome_of, run_of, run_says

T = TypeVar("T")
Points: TypeAlias = list[tuple[dict[str, object], object]]
# Waits for a task to its end, polling every second.
Waits: TypeAlias = Callable[..., Awaitable[object]]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
FAULT = ServerError("HTTP 503", status=503)
REFUSAL = AuthenticationFailed("no", status=401, code=4100, log_id="2026LOG")
REFUSED = {
    "http.response.status_code": 401,
    "asyncclient.error.code": "4100",
    "asyncclient.error.log_id": "2026LOG",
}
SECRET = "s3cret-0123456789abcdef"
STATE = "asyncclient.task.state"
OUTCOME = "asyncclient.wait.outcome"
ACTIVE = "asyncclient.wait.active"
OF_THE_JOB: dict[str, object] = {
    "asyncclient.provider.name": "fake",
    "asyncclient.task.kind": "job",
}


class _Collected:
    """What OpenTelemetry has received."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.sampler = sampler
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self) -> None:
        instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    def trace_config(self) -> aiohttp.TraceConfig:
        """Return aiohttp's own instrumentation, whose spans are collected too."""
        return create_trace_config(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def metrics(self) -> dict[str, Metric]:
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def histograms(self, name: str) -> list[HistogramDataPoint]:
        points = self.metrics[name].data.data_points
        return [point for point in points if isinstance(point, HistogramDataPoint)]

    def sums(self, name: str) -> Points:
        metric = self.metrics.get(name)
        return [
            (
                dict(point.attributes or {}),
                point.value if isinstance(point, NumberDataPoint) else point.sum,
            )
            for point in (metric.data.data_points if metric else ())
        ]

    def counts(self, name: str) -> Points:
        """Return how many values a histogram has for each set of attributes."""
        return [(dict(point.attributes or {}), point.count) for point in self.histograms(name)]

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.spans), data.to_json() if data else ""])


@pytest.fixture
def collected(request: pytest.FixtureRequest) -> Iterator[_Collected]:
    """Collect until the end of the test; a parameter is the sampler of spans."""
    collected = _Collected(cast("Sampler | None", getattr(request, "param", None)))
    collected.instrument()
    yield collected
    uninstrument()
    collected.tracers.shutdown()
    collected.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, object]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> list[tuple[str, dict[str, object]]]:
    """Return a span's events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


async def secret() -> str:
    """Give a secret, as a source of tokens does."""
    return SECRET


# The attributes of a span whose wait was left while its job ran, but for the numbers of its polls.
LEFT: dict[str, object] = {
    **OF_THE_JOB,
    "asyncclient.task.id.id": "7",
    STATE: "running",
    "asyncclient.task.status_word": "running",
    OUTCOME: "cancelled",
}


async def by_wait(task: Task[T], *, timeout: float = 600.0) -> object:
    """Wait by `wait_until_done`."""
    return await wait_until_done(task, timeout=timeout, schedule=EVERY_SECOND)


async def by_watch(task: Task[T], *, timeout: float = 600.0) -> object:
    """Wait by `watch`."""
    return [each async for each in watch(task, timeout=timeout, schedule=EVERY_SECOND)]


async def by_poller(task: Task[T], *, timeout: float = 600.0) -> object:
    """Wait by a `Poller`'s `wait`."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        return await poller.wait(task, timeout=timeout)


async def by_as_done(task: Task[T], *, timeout: float = 600.0) -> object:
    """Wait by a `Poller`'s `as_done`."""
    async with (
        Poller(schedule=EVERY_SECOND) as poller,
        poller.as_done([task], timeout=timeout) as ends,
    ):
        return [done async for done in ends]


each_way = pytest.mark.parametrize(
    "waits", [by_wait, by_watch, by_poller, by_as_done], ids=lambda waits: waits.__name__
)


# --- spans ---


@each_way
async def test_a_wait_is_a_span(collected: _Collected, waits: Waits) -> None:
    """Its attributes say what was waited for; each change and failed poll is an event."""
    half = Report("running", progress=0.5)
    await waits(Job(half, FAULT, half, "strange", "strange", "done"))
    span = collected.span
    assert (span.name, span.kind) == ("wait fake.job", SpanKind.INTERNAL)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        **OF_THE_JOB,
        "asyncclient.task.id.id": "7",
        STATE: "succeeded",
        "asyncclient.task.status_word": "done",
        "asyncclient.task.unseen_seconds": pytest.approx(1.0),
        OUTCOME: "succeeded",
        "asyncclient.wait.polls": 6,
        "asyncclient.wait.failed_polls": 1,
        "asyncclient.wait.last_poll_error": "ServerError",
    }
    number = "asyncclient.poll.number"
    word = "asyncclient.task.status_word"
    assert events(span) == [
        (
            "asyncclient.task.changed",
            {number: 1, STATE: "running", word: "running", "asyncclient.task.progress": 0.5},
        ),
        (
            "asyncclient.poll.failed",
            {number: 2, "error.type": "ServerError", "http.response.status_code": 503},
        ),
        ("asyncclient.task.changed", {number: 4, word: "strange"}),
        ("asyncclient.task.changed", {number: 6, STATE: "succeeded", word: "done"}),
    ]


class Own(Exception):
    """An error of the caller's own function, of a class that stands in another one."""

    __qualname__ = "Service.Own"


@each_way
@pytest.mark.parametrize(
    ("last", "error", "details"),
    [
        ("broken", "asyncclient.errors TaskFailed", {}),
        ("stopped", "asyncclient.errors TaskCancelled", {}),
        ("gone", "asyncclient.errors TaskExpired", {}),
        ("asks", "asyncclient.errors TaskBlocked", {}),
        ("running", "asyncclient.errors WaitTimeout", {}),
        (REFUSAL, "asyncclient.errors AuthenticationFailed", REFUSED),
        (Own("no"), f"{__name__} Service.Own", {}),
        (ValueError("no"), " ValueError", {}),
    ],
)
async def test_a_bad_end_is_an_error(
    collected: _Collected,
    waits: Waits,
    last: str | Exception,
    error: str,
    details: dict[str, object],
) -> None:
    """What the caller gets instead of a result is the span's error: its type, and its codes."""
    module, _, name = error.partition(" ")
    await outcome_of(waits(Job("running", last), timeout=10))
    span = collected.span
    assert span.status.status_code is StatusCode.ERROR
    said = {"error.type": name, **details}
    assert attributes(span).items() >= {**said, OUTCOME: "failed"}.items()
    *_, before, after = events(span)
    if isinstance(last, Exception):
        assert before == ("asyncclient.poll.failed", {"asyncclient.poll.number": 2, **said})
    assert after == ("exception", {"exception.type": f"{module}.{name}".lstrip(".")})


@each_way
async def test_a_cancelled_wait_is_no_error(collected: _Collected, waits: Waits) -> None:
    """The span ends where its caller leaves the wait, and says so; it is counted until then."""
    wait = asyncio.ensure_future(waits(Job("running")))
    await asyncio.sleep(3.5)
    assert collected.sums(ACTIVE) == [(OF_THE_JOB, 1)]
    wait.cancel()
    await asyncio.wait([wait])
    span = collected.span
    assert span.status.status_code is StatusCode.UNSET
    polls = {"asyncclient.wait.polls": 4, "asyncclient.wait.failed_polls": 0}
    assert attributes(span) == {**LEFT, **polls}
    assert [name for name, _ in events(span)] == ["asyncclient.task.changed"]
    assert collected.sums(ACTIVE) == [(OF_THE_JOB, 0)]


@pytest.mark.parametrize("then", ["a poll", "uninstrument"])
async def test_a_watch_that_is_left_ends_its_span(
    collected: _Collected, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A `watch` that is left early ends soon after as cancelled, as it was when it was left."""
    # Neither an error that other tests know nor a log may hold on to the frames of this one.
    caplog.set_level(logging.ERROR, "asyncclient")
    fault = ServerError("HTTP 503", status=503)
    other = asyncio.ensure_future(by_wait(Job("running")))
    began = anyio.current_time()
    following = watch(Job("queued", fault, "running", "done"), schedule=EVERY_SECOND)
    await anext(following)
    await anext(following)
    seconds = anyio.current_time() - began
    del following, fault
    gc.collect()
    left_at = time.time_ns()
    if then == "a poll":
        await asyncio.sleep(1)
    else:
        uninstrument()
        collected.instrument()
    left = collected.spans[0]
    assert left.end_time is not None
    assert left.end_time <= left_at
    assert left.status.status_code is StatusCode.UNSET
    polls = {"asyncclient.wait.polls": 3, "asyncclient.wait.failed_polls": 1}
    assert attributes(left) == {**LEFT, **polls}
    labels = {**OF_THE_JOB, STATE: "running", OUTCOME: "cancelled"}
    assert (labels, pytest.approx(seconds)) in collected.sums("asyncclient.wait.duration")
    assert collected.sums(ACTIVE) == [(OF_THE_JOB, 1)]
    other.cancel()
    await asyncio.wait([other])


def test_a_watch_that_outlives_its_loop_ends_its_span(collected: _Collected) -> None:
    """Where there is no clock left, the span ends all the same, and no duration is made up."""
    kept = [watch(Job("queued", "running", "done"))]
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        runner.run(anext(kept[0]))
    kept.clear()
    gc.collect()
    uninstrument()
    assert attributes(collected.span)[OUTCOME] == "cancelled"
    assert collected.sums(ACTIVE) == [(OF_THE_JOB, 0)]
    assert collected.sums("asyncclient.wait.duration") == []


@each_way
async def test_a_span_is_a_child_of_the_callers(collected: _Collected, waits: Waits) -> None:
    """The wait belongs to what the caller was doing when it began; its measurements point to it."""
    tracer = collected.tracers.get_tracer("caller")
    with tracer.start_as_current_span("request") as request:
        await waits(Job("running", "done"))
        assert trace.get_current_span() is request
    wait, caller = collected.spans
    assert wait.parent == caller.context
    assert wait.context is not None
    metrics = collected.metrics
    for name in ("poll", "wait", "task.unseen"):
        (histogram,) = metrics[f"asyncclient.{name}.duration"].data.data_points
        assert isinstance(histogram, HistogramDataPoint)
        assert {exemplar.span_id for exemplar in histogram.exemplars} == {wait.context.span_id}


async def test_a_shared_task_is_one_span(collected: _Collected) -> None:
    """Waits for the same task share the polls and the span, which is the first one's child."""
    job = Job("queued", "running", "done")

    async def request(poller: Poller, number: int) -> None:
        await asyncio.sleep(number * 0.1)
        with collected.tracers.get_tracer("caller").start_as_current_span(f"request-{number}"):
            await poller.wait(job)

    async with Poller(schedule=EVERY_SECOND) as poller:
        await asyncio.gather(*(request(poller, number) for number in range(5)))
    spans = {span.name: span for span in collected.spans}
    assert sorted(spans) == [*(f"request-{number}" for number in range(5)), "wait fake.job"]
    assert spans["wait fake.job"].parent == spans["request-0"].context
    assert collected.sums("asyncclient.polls") == [(OF_THE_JOB, 3)]


async def test_events_and_words_are_bounded(collected: _Collected) -> None:
    """Of many changes the first hundred are kept, and the others counted; words are cut."""
    changes = [Report("running", progress=number) for number in range(150)]
    await by_wait(Job("x" * 10_000, *changes, "done"))
    kept = events(collected.span)
    assert kept[0][1]["asyncclient.task.status_word"] == "x" * 128
    assert len(kept) == 100
    assert kept[-1][1]["asyncclient.task.progress"] == 98
    assert attributes(collected.span)["asyncclient.wait.dropped_events"] == 52


async def test_a_span_names_its_task_without_a_secret(collected: _Collected) -> None:
    """By its reference, or its budget and kind; no key, query, body or cancel is exported."""

    class Budgeted(Job):
        budget = ("acme", "account-1")

    async def fetch() -> str:
        return "done"

    words = Vocabulary(running="running", succeeded="done", failed="broken")
    key, path = f"https://x/?{SECRET}", f"/7?sig={SECRET}"
    answers = ScriptedTransport([reply({"status": "succeeded"})])
    acme = TaskAPI(answers, "https://x.example", name="a")
    await by_wait(Budgeted("running", "done", ref=None))
    await by_wait(polling_task(fetch, vocabulary=words, status=str, kind="render:m-7", key=key))
    await by_wait(
        acme.task(path, REPLICATE_PREDICTION, body=SECRET, method="POST", cancel=f"/?{SECRET}")
    )
    names = ["wait acme.fake.job", "wait render", "wait a.replicate.prediction"]
    assert [span.name for span in collected.spans] == names
    budgeted, render, run = map(attributes, collected.spans)
    assert budgeted["asyncclient.provider.name"] == "acme"
    assert render["asyncclient.task.kind"] == "render"
    assert "asyncclient.provider.name" not in render
    assert run["asyncclient.task.id.path"] == "/7"
    assert SECRET not in collected.everything()


async def test_the_kinds_that_metrics_tell_apart_are_bounded(
    collected: _Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind for each of thousands of tasks: only the first thousand have a name."""
    assert vars(telemetry)["_MOST_KINDS"] == 1000
    monkeypatch.setattr(telemetry, "_MOST_KINDS", 10)
    for number in range(15):
        job = Job("done", ref=None)
        job.kind = f"kind {number}"
        await by_wait(job)
    names = Counter(span.name for span in collected.spans)
    assert names["wait other"] == 5
    assert len(names) == 11


# --- metrics ---


@each_way
@pytest.mark.parametrize("collected", [None, ALWAYS_OFF], indirect=True, ids=["all", "no spans"])
async def test_polls_are_counted_and_timed(collected: _Collected, waits: Waits) -> None:
    """Every poll is, a failed one by the type of its error, also where a sampler drops spans."""
    limited = RateLimited("busy", status=429)
    job = Job("queued", FAULT, limited, FAULT, "running", "done", latency=[0.25, 0.5, 0.5, 0.5, 2])
    await waits(job)
    unavailable = {**OF_THE_JOB, "error.type": "ServerError"}
    refused = {**OF_THE_JOB, "error.type": "RateLimited"}
    assert collected.sums("asyncclient.polls") == [(OF_THE_JOB, 3), (unavailable, 2), (refused, 1)]
    assert collected.counts("asyncclient.poll.duration") == collected.sums("asyncclient.polls")
    assert collected.sums("asyncclient.poll.duration") == [
        (OF_THE_JOB, pytest.approx(0.25 + 2 + 2)),
        (unavailable, pytest.approx(1.0)),
        (refused, pytest.approx(0.5)),
    ]
    ended = {**OF_THE_JOB, STATE: "succeeded", OUTCOME: "succeeded"}
    assert collected.counts("asyncclient.wait.duration") == [(ended, 1)]
    assert len(collected.spans) == (collected.sampler is None)


@each_way
async def test_a_wait_is_timed_by_its_end(collected: _Collected, waits: Waits) -> None:
    """How long waits took is measured for each way to end, and what went unseen for each end."""
    await waits(Job("running", "running", "done", latency=0.25))
    await outcome_of(waits(Job("running", "broken")))
    await outcome_of(waits(Job("running", latency=[0, math.inf]), timeout=7))
    interrupted = {**OF_THE_JOB, "error.type": "RequestTimeout"}
    assert (interrupted, 1) in collected.sums("asyncclient.polls")
    cut_off = attributes(collected.spans[-1])
    assert cut_off["asyncclient.wait.polls"] == 2
    assert cut_off["asyncclient.wait.last_poll_error"] == "RequestTimeout"
    succeeded, failed, running = (
        {**OF_THE_JOB, STATE: state, OUTCOME: "succeeded" if state == "succeeded" else "failed"}
        for state in ("succeeded", "failed", "running")
    )
    assert collected.sums("asyncclient.wait.duration") == [
        (succeeded, pytest.approx(2.25)),
        ({**failed, "error.type": "TaskFailed"}, pytest.approx(1.0)),
        ({**running, "error.type": "WaitTimeout"}, pytest.approx(12.0)),  # and its grace
    ]
    # The gap before the answer that showed an end; a wait that ran out of time has seen none.
    unseen = "asyncclient.task.unseen.duration"
    assert collected.sums(unseen) == [(OF_THE_JOB, pytest.approx(1.0 + 1.0))]
    assert collected.counts(unseen) == [(OF_THE_JOB, 2)]


# --- secrets ---


@each_way
async def test_no_text_of_an_error_or_an_answer_is_exported(
    collected: _Collected, waits: Waits
) -> None:
    """What an error or a reason says stays with the caller; it may repeat a credential in use."""
    caused = ValueError(f"https://x/?key={SECRET}")
    caused.__cause__ = RuntimeError(SECRET)
    caused.add_note(SECRET)
    failures = [
        DecodeError(f"it begins {SECRET}", excerpt=SECRET, status=200),
        RateLimited(SECRET, status=429, message=f"no {SECRET}"),
        TimeoutError(SECRET),
        ConnectionError(SECRET),
        caused,
    ]
    answers = [
        reply({"code": 4100, "msg": f"the token {SECRET} is invalid"}, status=401),
        reply({"code": 5000, "msg": SECRET}, status=500),
        reply(SECRET),
        run_says("Fail", {"error_message": SECRET}),
    ]
    reasons = Report("running", reason=SECRET), Report("broken", reason=SECRET)
    tasks: list[Task[object]] = [Job(*reasons)]
    for failure in failures:
        tasks += [Job("running", failure, "done"), Job("running", failure)]
    for answer in answers:
        tasks.append(run_of(ScriptedTransport([answer], repeat=True), secret))
    for task in tasks:
        await outcome_of(waits(task, timeout=30))
    exported = collected.everything()
    assert len(collected.spans) == len(tasks)
    assert SECRET not in exported
    assert all(type(failure).__name__ in exported for failure in failures)


# --- requests, by the instrumentation of aiohttp ---


@pytest.mark.parametrize("fault", [each for each in Fault if each.may_meet("poll")])
async def test_spans_of_requests_show_no_credential(collected: _Collected, fault: Fault) -> None:
    """However a request ends, aiohttp's own instrumentation exports ids, and no secret."""
    configs = [collected.trace_config()]
    async with Simulator() as sim, SessionPool(request_timeout=5, trace_configs=configs) as pool:
        copyai = CopyAI(pool, api_key=SECRET, base_url=sim.copyai_url)
        one, other = (Coze(pool, token=each, base_url=sim.coze_url) for each in (SECRET, secret))
        for client in (one, other, copyai):
            run = await client.start_workflow("7350")
            sim.order(fault)
            await outcome_of(by_wait(run, timeout=60))
        assert sim.faults_served == {fault.value: 3}
    requests = [span for span in collected.spans if span.kind is SpanKind.CLIENT]
    assert {span.name for span in requests} == {"GET", "POST"}
    assert all("/7350/run" in str(attributes(span)) for span in requests if span.name == "GET")
    assert SECRET not in collected.everything()


async def test_requests_are_children_of_their_wait(collected: _Collected) -> None:
    """In a Poller too, where one loop polls for all, each request is in its waiter's trace."""
    tracer = collected.tracers.get_tracer("caller")

    async def request(poller: Poller, coze: Coze, number: int) -> None:
        await asyncio.sleep(number * 0.1)
        run = await coze.start_workflow("7350", {"simulate": {"seconds": 3}})
        with tracer.start_as_current_span("request"):
            await poller.wait(run)

    async with (
        Simulator() as sim,
        SessionPool(trace_configs=[collected.trace_config()]) as pool,
        Poller(schedule=EVERY_SECOND) as poller,
    ):
        coze = Coze(pool, token=sim.coze_token, base_url=sim.coze_url)
        await asyncio.gather(*(request(poller, coze, number) for number in range(5)))
        runs = list(sim.tasks)
    waits = {
        span.context.span_id: str(attributes(span)["asyncclient.task.id.execute_id"])
        for span in collected.spans
        if span.context and span.name.startswith("wait")
    }
    polls = [span for span in collected.spans if span.name == "GET"]
    assert sorted(waits.values()) == sorted(runs)
    assert len(polls) >= 15
    for poll in polls:
        assert poll.parent is not None
        assert str(attributes(poll)["http.url"]).endswith(f"/{waits[poll.parent.span_id]}")


# --- turning it on and off ---


@each_way
async def test_waits_that_begin_while_it_is_on_are_exported_to_their_end(
    collected: _Collected, waits: Waits
) -> None:
    """What goes on before `instrument`, or begins after `uninstrument`, is not exported."""
    uninstrument()
    before = asyncio.ensure_future(waits(Job("queued", "running", FAULT, "running", "done")))
    await asyncio.sleep(0.5)
    collected.instrument()
    between = asyncio.ensure_future(waits(Job("queued", FAULT, "done")))
    await asyncio.sleep(0.5)
    uninstrument()
    await waits(Job("running", "done"))
    await asyncio.gather(before, between)
    assert attributes(collected.span)[OUTCOME] == "succeeded"
    assert collected.sums(ACTIVE) == [(OF_THE_JOB, 0)]
    failed = {**OF_THE_JOB, "error.type": "ServerError"}
    assert collected.sums("asyncclient.polls") == [(OF_THE_JOB, 2), (failed, 1)]


async def test_a_second_call_changes_nothing(
    collected: _Collected, caplog: pytest.LogCaptureFixture
) -> None:
    """The first `instrument` and the first `uninstrument` hold; a warning says so."""
    other = _Collected()
    with caplog.at_level(logging.WARNING, "asyncclient"):
        other.instrument()
        assert "uninstrument()" in caplog.text
        await by_wait(Job("done"))
        uninstrument()
        assert "not instrumented" not in caplog.text
        uninstrument()
    assert "not instrumented" in caplog.text
    assert (len(collected.spans), other.spans) == (1, [])


async def test_without_a_provider_nothing_happens() -> None:
    """With the API alone, which has no spans and no metrics, waits are as ever."""
    instrument(tracer_provider=NoOpTracerProvider())
    assert await by_wait(Job("running", FAULT, "done")) == Report("done")
    uninstrument()


# --- the page ---


ON_VIRTUAL_TIME = """
import asyncio
from asyncclient.testing import virtual_time_loop
asyncio.run = lambda main: asyncio.Runner(loop_factory=virtual_time_loop).run(main)
"""
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
# The program may set its providers later as well.
LATER = BLOCKS[1].replace("\ninstrument()\n", "").replace("tracers =", "instrument()\ntracers =", 1)
EXPORTED = ['"name": "wait coze.workflow_run"', '"name": "asyncclient.poll.duration"']


@pytest.mark.parametrize(
    ("block", "printed"),
    [
        (BLOCKS[0], ["INFO asyncclient.wait: coze workflow_run 7350583675492311040/"]),
        (BLOCKS[1], EXPORTED),
        (LATER, EXPORTED),
        (BLOCKS[2], ['"name": "POST"']),
    ],
    ids=["logs", "spans and metrics", "providers set later", "requests"],
)
def test_each_example_runs_as_it_stands(block: str, printed: list[str]) -> None:
    """The blocks of docs/observability.md are whole programs, and print what they are there for."""
    assert len(BLOCKS) == 3
    done = subprocess.run(  # noqa: S603  (runs this Python with the lines of the page)
        [sys.executable, "-W", "error", "-c", ON_VIRTUAL_TIME + block],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert all(each in done.stdout for each in printed)


async def test_the_page_names_all_that_is_exported(collected: _Collected) -> None:
    """Its tables name each metric, event and attribute that there is, and no other.

    Units and kinds are theirs; the buckets of polls are bounded in seconds.
    """
    progress = [Report("running", progress=number) for number in range(150)]
    await outcome_of(by_wait(Job(FAULT, *progress, REFUSAL)))
    await outcome_of(by_wait(Job("broken")))
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| `([^`]+)` \|", PAGE, flags=re.MULTILINE)
    kinds = {"Histogram": "Histogram", "Counter": "Sum", "UpDownCounter": "Sum"}
    assert {(name, kinds[instrument], unit) for name, instrument, unit in rows} == {
        (name, type(each.data).__name__, each.unit) for name, each in collected.metrics.items()
    }
    assert all(metric.description for metric in collected.metrics.values())
    bounds = collected.histograms("asyncclient.poll.duration")[0].explicit_bounds
    assert (bounds[0], bounds[-1]) == (0.005, 30)
    names = set(collected.metrics)
    for name in collected.metrics:
        names.update(*(labels for labels, _ in collected.sums(name)))
    for span in collected.spans:
        names.update(attributes(span))
        for event, details in events(span):
            names.update([event], details)
    names = {re.sub(r"^(asyncclient\.task\.id)\..*", r"\1.<name>", name) for name in names}
    section = PAGE.partition("\n### One span a wait\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)) == names
