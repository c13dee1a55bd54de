"""Tests of what OpenTelemetry is told: one span a wait, metrics of all, and no secret in either."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

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
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from asyncclient import (
    Poller,
    Schedule,
    SessionPool,
    Snapshot,
    Task,
    Vocabulary,
    Watch,
    polling_task,
    wait_until_done,
    watch,
)
from asyncclient._http import Response
from asyncclient.errors import AuthenticationFailed, DecodeError, RateLimited, ServerError
from asyncclient.integrations.opentelemetry import instrument, uninstrument
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Fault, ScriptedTransport, Simulator, reply, virtual_time_loop
from tests.waiting.scenario import Job, Report, outcome_of, run_of, run_says

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
FAULT = ServerError("HTTP 503", status=503)
SECRET = "s3cret-0123456789abcdef"
OF_THE_JOB: dict[str, object] = {
    "asyncclient.provider.name": "fake",
    "asyncclient.task.kind": "job",
}


@dataclass
class Told:
    """What OpenTelemetry was told since it listens."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended."""
        return list(self.exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.spans
        return span

    @property
    def metrics(self) -> dict[str, Metric]:
        """All metrics by their names."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[dict[str, object], object]]:
        """Return a metric's attributes and sums; an unknown metric has none."""
        metric = self.metrics.get(name)
        found: list[tuple[dict[str, object], object]] = []
        for point in metric.data.data_points if metric else ():
            assert isinstance(point, NumberDataPoint | HistogramDataPoint)
            value = point.value if isinstance(point, NumberDataPoint) else point.sum
            found.append((dict(point.attributes or {}), value))
        return found

    def counts(self, name: str) -> list[tuple[dict[str, object], int]]:
        """Return a histogram's attributes, and how many values each has."""
        metric = self.metrics.get(name)
        found: list[tuple[dict[str, object], int]] = []
        for point in metric.data.data_points if metric else ():
            assert isinstance(point, HistogramDataPoint)
            found.append((dict(point.attributes or {}), point.count))
        return found

    def everything(self) -> str:
        """Return all that was told, as text."""
        data = self.reader.get_metrics_data()
        told = [span.to_json() for span in self.spans]
        return "\n".join([*told, data.to_json() if data else ""])


@pytest.fixture
def told() -> Iterator[Told]:
    """Listen until the end of the test."""
    told = Told()
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    yield told
    uninstrument()
    told.tracers.shutdown()
    told.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, object]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> list[tuple[str, dict[str, object]]]:
    """Return a span's events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


class Waits(Protocol):
    """What waits for a task to its end."""

    def __call__(self, task: Task[T], *, timeout: float = 600.0) -> Awaitable[object]:
        """Wait for a task, polling every second."""
        ...


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


@pytest.fixture(params=[by_wait, by_watch, by_poller, by_as_done], ids=lambda waits: waits.__name__)
def waits(request: pytest.FixtureRequest) -> Waits:
    """Give one way to wait after the other."""
    ways: dict[str, Waits] = {
        "by_wait": by_wait,
        "by_watch": by_watch,
        "by_poller": by_poller,
        "by_as_done": by_as_done,
    }
    return ways[request.param.__name__]


# --- spans ---


async def test_a_wait_is_a_span(told: Told, waits: Waits) -> None:
    """Each way to wait is one span, with what was waited for and how it went."""
    await waits(Job("queued", "running", FAULT, "running", "done"))
    span = told.span
    assert (span.name, span.kind) == ("wait fake.job", SpanKind.INTERNAL)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        **OF_THE_JOB,
        "asyncclient.task.id.id": "7",
        "asyncclient.task.state": "succeeded",
        "asyncclient.task.status_word": "done",
        "asyncclient.task.unseen_seconds": pytest.approx(1.0),
        "asyncclient.wait.outcome": "succeeded",
        "asyncclient.wait.polls": 5,
        "asyncclient.wait.failed_polls": 1,
        "asyncclient.wait.last_poll_error": "ServerError",
    }


async def test_changes_and_failed_polls_are_events(told: Told, waits: Waits) -> None:
    """Each change and each failed poll is an event; a poll that shows nothing new is none."""
    half = Report("running", progress=0.5)
    await waits(Job(half, FAULT, half, "odd", "odd", "done"))
    assert events(told.span) == [
        (
            "asyncclient.task.changed",
            {
                "asyncclient.poll.number": 1,
                "asyncclient.task.state": "running",
                "asyncclient.task.status_word": "running",
                "asyncclient.task.progress": 0.5,
            },
        ),
        (
            "asyncclient.poll.failed",
            {
                "asyncclient.poll.number": 2,
                "error.type": "ServerError",
                "http.response.status_code": 503,
            },
        ),
        (
            "asyncclient.task.changed",
            {"asyncclient.poll.number": 4, "asyncclient.task.status_word": "odd"},
        ),
        (
            "asyncclient.task.changed",
            {
                "asyncclient.poll.number": 6,
                "asyncclient.task.state": "succeeded",
                "asyncclient.task.status_word": "done",
            },
        ),
    ]


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("broken", "TaskFailed"),
        ("stopped", "TaskCancelled"),
        ("gone", "TaskExpired"),
        ("asks", "TaskBlocked"),
        ("running", "WaitTimeout"),
    ],
)
async def test_a_bad_end_is_an_error(told: Told, waits: Waits, word: str, error: str) -> None:
    """Whatever the caller gets instead of a result is the span's error, by its type."""
    await outcome_of(waits(Job("queued", word), timeout=10))
    span = told.span
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == error
    assert attributes(span)["asyncclient.wait.outcome"] == "failed"
    assert events(span)[-1] == ("exception", {"exception.type": f"asyncclient.errors.{error}"})


async def test_a_refusal_tells_its_code(told: Told, waits: Waits) -> None:
    """What the provider's support asks for stands beside the type of its error."""
    error = AuthenticationFailed("no", status=401, code=4100, log_id="2026LOG")
    await outcome_of(waits(Job("running", error)))
    refused = {
        "error.type": "AuthenticationFailed",
        "http.response.status_code": 401,
        "asyncclient.error.code": "4100",
        "asyncclient.error.log_id": "2026LOG",
    }
    assert attributes(told.span).items() >= refused.items()
    assert events(told.span)[-2] == (
        "asyncclient.poll.failed",
        {"asyncclient.poll.number": 2, **refused},
    )


async def test_a_fault_of_ones_own_is_told_by_its_type(told: Told, waits: Waits) -> None:
    """An error of the caller's own function is told by its class, built in or not."""

    class Odd(Exception):
        pass

    await outcome_of(waits(Job("running", ValueError("odd"))))
    await outcome_of(waits(Job("running", Odd("odd"))))
    one, other = told.spans
    assert attributes(one)["error.type"] == "ValueError"
    assert events(one)[-1] == ("exception", {"exception.type": "ValueError"})
    assert attributes(other)["error.type"] == Odd.__qualname__
    assert events(other)[-1] == ("exception", {"exception.type": f"{__name__}.{Odd.__qualname__}"})


async def test_a_cancelled_wait_is_no_error(told: Told, waits: Waits) -> None:
    """Whoever waits may go: the span ends there, and says so without an error."""
    wait = asyncio.ensure_future(waits(Job("running")))
    await asyncio.sleep(3.5)
    wait.cancel()
    await asyncio.wait([wait])
    span = told.span
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        **OF_THE_JOB,
        "asyncclient.task.id.id": "7",
        "asyncclient.task.state": "running",
        "asyncclient.task.status_word": "running",
        "asyncclient.wait.outcome": "cancelled",
        "asyncclient.wait.polls": 4,
        "asyncclient.wait.failed_polls": 0,
    }
    assert [name for name, _ in events(span)] == ["asyncclient.task.changed"]


@pytest.mark.parametrize("then", ["a poll", "uninstrument"])
async def test_a_watch_that_is_left_ends_its_span(
    told: Told, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A `watch` that is left early is told soon after as cancelled, as it was when it was left."""
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
        instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    left = told.spans[0]
    assert left.end_time is not None
    assert left.end_time <= left_at
    assert left.status.status_code is StatusCode.UNSET
    assert attributes(left) == {
        **OF_THE_JOB,
        "asyncclient.task.id.id": "7",
        "asyncclient.task.state": "running",
        "asyncclient.task.status_word": "running",
        "asyncclient.wait.outcome": "cancelled",
        "asyncclient.wait.polls": 3,
        "asyncclient.wait.failed_polls": 1,
    }
    running = {"asyncclient.task.state": "running", "asyncclient.wait.outcome": "cancelled"}
    cancelled = {**OF_THE_JOB, **running}
    assert (cancelled, pytest.approx(seconds)) in told.points("asyncclient.wait.duration")
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 1)]
    other.cancel()
    await asyncio.wait([other])


def test_a_watch_that_outlives_its_loop_ends_its_span(told: Told) -> None:
    """Where there is no clock left, the span ends all the same, and no duration is made up."""

    async def begin() -> Watch[Report]:
        following = watch(Job("queued", "running", "done"))
        await anext(following)
        return following

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        following = runner.run(begin())
    del following
    gc.collect()
    uninstrument()
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    assert attributes(told.span)["asyncclient.wait.outcome"] == "cancelled"
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 0)]
    assert told.points("asyncclient.wait.duration") == []


async def test_a_poll_that_the_deadline_cuts_off_is_counted_in_the_span(
    told: Told, waits: Waits
) -> None:
    """A request that hangs until the deadline is one of the wait's polls."""
    await outcome_of(waits(Job("running", latency=[0, math.inf]), timeout=5))
    assert attributes(told.span)["asyncclient.wait.polls"] == 2
    assert attributes(told.span)["asyncclient.wait.last_poll_error"] == "RequestTimeout"


async def test_a_span_is_a_child_of_the_callers(told: Told, waits: Waits) -> None:
    """The wait belongs to what the caller was doing when it began."""
    tracer = told.tracers.get_tracer("caller")
    with tracer.start_as_current_span("request") as request:
        await waits(Job("running", "done"))
        assert trace.get_current_span() is request
    wait, caller = told.spans
    assert wait.parent == caller.context


async def test_a_shared_task_is_one_span(told: Told) -> None:
    """Who waits for the same task shares the polls and the span, which is the first one's child."""
    job = Job("queued", "running", "done")

    async def request(poller: Poller, number: int) -> None:
        await asyncio.sleep(number * 0.1)
        with told.tracers.get_tracer("caller").start_as_current_span(f"request-{number}"):
            await poller.wait(job)

    async with Poller(schedule=EVERY_SECOND) as poller:
        await asyncio.gather(*(request(poller, number) for number in range(5)))
    spans = {span.name: span for span in told.spans}
    assert sorted(spans) == [*(f"request-{number}" for number in range(5)), "wait fake.job"]
    assert spans["wait fake.job"].parent == spans["request-0"].context
    assert told.points("asyncclient.polls") == [(OF_THE_JOB, 3)]


async def test_events_are_bounded(told: Told, waits: Waits) -> None:
    """A wait of a thousand changes keeps the first hundred, and tells how many it did not."""
    changes = [Report("running", progress=number) for number in range(1000)]
    await waits(Job(*changes, "done"), timeout=2000)
    kept = events(told.span)
    assert len(kept) == 100
    assert kept[-1][1]["asyncclient.task.progress"] == 99
    assert attributes(told.span)["asyncclient.wait.dropped_events"] == 901


async def test_a_long_word_is_cut(told: Told, waits: Waits) -> None:
    """A provider that puts a page into its status does not fill the spans."""
    await waits(Job("x" * 10_000, "done"))
    assert events(told.span)[0][1]["asyncclient.task.status_word"] == "x" * 128


async def test_a_task_of_ones_own_is_named_by_its_kind(told: Told, waits: Waits) -> None:
    """Without a reference the kind names it; what follows a colon may be one of many, and goes."""
    answers = iter(["running", "done"])

    async def fetch() -> str:
        return next(answers)

    words = Vocabulary(running="running", succeeded="done", failed="broken")
    await waits(
        polling_task(
            fetch, vocabulary=words, status=str, kind="render:model-7", key=f"https://x/?{SECRET}"
        )
    )
    assert told.span.name == "wait render"
    assert attributes(told.span)["asyncclient.task.kind"] == "render"
    assert "asyncclient.provider.name" not in attributes(told.span)
    assert SECRET not in told.everything()


async def test_a_budget_names_the_provider(told: Told, waits: Waits) -> None:
    """A task without a reference that has a budget is of the provider that stands first in it."""

    class Budgeted(Job):
        budget = ("acme", "account-1")

    await waits(Budgeted("running", "done", ref=None))
    assert told.span.name == "wait acme.fake.job"
    assert attributes(told.span)["asyncclient.provider.name"] == "acme"


async def test_a_providers_run_bears_its_ids(told: Told) -> None:
    """The ids by which the provider knows a run are in its span, and in nothing else."""
    await wait_until_done(run_of(ScriptedTransport([run_says("Running"), run_says("Success")])))
    assert told.span.name == "wait coze.workflow_run"
    ids = {"asyncclient.task.id.workflow_id": "7350", "asyncclient.task.id.execute_id": "42"}
    assert attributes(told.span).items() >= ids.items()
    coze = {"asyncclient.provider.name": "coze", "asyncclient.task.kind": "workflow_run"}
    ended = {"asyncclient.task.state": "succeeded", "asyncclient.wait.outcome": "succeeded"}
    for name in told.metrics:
        labels = {**coze, **ended} if name == "asyncclient.wait.duration" else coze
        assert [found for found, _ in told.points(name)] == [labels]


async def test_what_is_not_sampled_is_still_measured(waits: Waits) -> None:
    """A sampler may drop every span; the metrics tell the same."""
    told = Told()
    told.tracers = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    told.tracers.add_span_processor(SimpleSpanProcessor(told.exporter))
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    await outcome_of(waits(Job("running", FAULT, "broken")))
    uninstrument()
    assert told.spans == []
    assert sum(count for _, count in told.counts("asyncclient.poll.duration")) == 3
    ((ended, count),) = told.counts("asyncclient.wait.duration")
    assert (ended["error.type"], count) == ("TaskFailed", 1)


# --- metrics ---


async def test_waits_are_counted_while_they_go_on(told: Told, waits: Waits) -> None:
    """A wait counts from its beginning to its end, however it ends."""
    jobs = [Job("running", "done"), Job("running", "broken"), Job("running"), Job("running")]
    for number, job in enumerate(jobs):
        job.key = number
    tasks = [asyncio.ensure_future(outcome_of(waits(job, timeout=10))) for job in jobs]
    await asyncio.sleep(0.5)
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 4)]
    await asyncio.sleep(2)
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 2)]
    tasks[-1].cancel()
    await asyncio.wait(tasks)
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 0)]


async def test_polls_are_counted_and_timed(told: Told, waits: Waits) -> None:
    """Every poll is counted and timed, a failed one under the type of its error."""
    limited = RateLimited("busy", status=429)
    job = Job("queued", FAULT, limited, FAULT, "running", "done", latency=[0.25, 0.5, 0.5, 0.5, 2])
    await waits(job)
    unavailable = {**OF_THE_JOB, "error.type": "ServerError"}
    refused = {**OF_THE_JOB, "error.type": "RateLimited"}
    assert told.points("asyncclient.polls") == [(OF_THE_JOB, 3), (unavailable, 2), (refused, 1)]
    assert told.counts("asyncclient.poll.duration") == told.points("asyncclient.polls")
    assert told.points("asyncclient.poll.duration") == [
        (OF_THE_JOB, pytest.approx(0.25 + 2 + 2)),
        (unavailable, pytest.approx(1.0)),
        (refused, pytest.approx(0.5)),
    ]


async def test_a_wait_is_timed_by_its_end(told: Told, waits: Waits) -> None:
    """How long waits took is told for each way to end, with the task's last state."""
    await waits(Job("running", "running", "done"))
    await outcome_of(waits(Job("running", "broken")))
    await outcome_of(waits(Job("running"), timeout=7))
    outcome = "asyncclient.wait.outcome"
    state = "asyncclient.task.state"
    assert told.points("asyncclient.wait.duration") == [
        ({**OF_THE_JOB, state: "succeeded", outcome: "succeeded"}, pytest.approx(2.0)),
        (
            {**OF_THE_JOB, state: "failed", outcome: "failed", "error.type": "TaskFailed"},
            pytest.approx(1.0),
        ),
        (
            {**OF_THE_JOB, state: "running", outcome: "failed", "error.type": "WaitTimeout"},
            pytest.approx(7.0),
        ),
    ]


async def test_what_may_have_gone_unseen_is_measured(told: Told, waits: Waits) -> None:
    """The gap before the answer that showed the end is measured; without an end there is none."""
    await waits(Job("running", "running", "done", latency=0.25))
    await outcome_of(waits(Job("running"), timeout=7))
    unseen = told.points("asyncclient.task.unseen.duration")
    assert unseen == [(OF_THE_JOB, pytest.approx(1.0))]


async def test_metrics_bear_units_and_buckets_of_seconds(told: Told) -> None:
    """Names, units and descriptions are there; a tenth of a second and ten are told apart."""
    await wait_until_done(Job("running", "done", latency=[0.1, 7]), schedule=EVERY_SECOND)
    assert {name: metric.unit for name, metric in told.metrics.items()} == {
        "asyncclient.polls": "{poll}",
        "asyncclient.poll.duration": "s",
        "asyncclient.task.unseen.duration": "s",
        "asyncclient.wait.active": "{wait}",
        "asyncclient.wait.duration": "s",
    }
    assert all(metric.description for metric in told.metrics.values())
    (point,) = told.metrics["asyncclient.poll.duration"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert sorted(point.bucket_counts, reverse=True)[:3] == [1, 1, 0]
    assert max(point.explicit_bounds) == 30


async def test_measurements_point_to_the_waits_own_span(told: Told, waits: Waits) -> None:
    """A histogram's exemplars lead to the span of the wait, whoever's turn it is."""
    await waits(Job("running", "done"))
    assert told.span.context is not None
    metrics = told.metrics
    for name in ("poll", "wait", "task.unseen"):
        (point,) = metrics[f"asyncclient.{name}.duration"].data.data_points
        assert isinstance(point, HistogramDataPoint)
        spans = {exemplar.span_id for exemplar in point.exemplars}
        assert spans == {told.span.context.span_id}


# --- secrets ---


def failures() -> list[Exception]:
    """Return errors of every kind that bear a secret, as a careless provider or caller would."""
    decoding = DecodeError(f"it begins {SECRET}", excerpt=SECRET, status=200)
    refusing = RateLimited(SECRET, status=429, message=f"no {SECRET}")
    caused = ValueError(f"https://x/?key={SECRET}")
    caused.__cause__ = RuntimeError(SECRET)
    caused.add_note(SECRET)
    return [decoding, refusing, TimeoutError(SECRET), ConnectionError(SECRET), caused]


@pytest.mark.parametrize("failure", failures(), ids=lambda failure: type(failure).__name__)
async def test_no_text_of_an_error_is_told(told: Told, waits: Waits, failure: Exception) -> None:
    """What an error says stays with the caller, whether it is borne, raised or the last of many."""
    await outcome_of(waits(Job("running", failure, "done")))
    await outcome_of(waits(Job("running", failure), timeout=30))
    assert SECRET not in told.everything()
    assert type(failure).__name__ in told.everything()


async def test_no_reason_or_answer_is_told(told: Told, waits: Waits) -> None:
    """The provider's words for a failure may repeat what it was given: they are not told."""
    await outcome_of(waits(Job(Report("running", reason=SECRET), Report("broken", reason=SECRET))))
    assert SECRET not in told.everything()


@pytest.mark.parametrize(
    "answer",
    [
        reply({"code": 4100, "msg": f"the token {SECRET} is invalid"}, status=401),
        reply({"code": 4000, "msg": SECRET}, status=400),
        reply({"code": 5000, "msg": SECRET}, status=500),
        reply(SECRET),
        run_says("Fail", {"error_message": SECRET}),
    ],
    ids=["401", "400", "500", "no JSON", "failed"],
)
async def test_a_credential_that_a_provider_repeats_is_not_told(
    told: Told, waits: Waits, answer: Response
) -> None:
    """A token in play, even one that the provider shows in its answers, is in nothing."""

    async def token() -> str:
        return SECRET

    for source in (SECRET, token):
        transport = ScriptedTransport([answer], repeat=True)
        run = Coze(transport, token=source).workflow_run("7350", "42")
        await outcome_of(waits(run, timeout=30))
        assert SECRET in transport.requests[0].headers["Authorization"]
    assert len(told.spans) == 2
    assert SECRET not in told.everything()


# --- requests, by the instrumentation of aiohttp ---


@pytest.mark.parametrize("fault", [each for each in Fault if each.may_meet("poll")])
async def test_spans_of_requests_show_no_credential(told: Told, fault: Fault) -> None:
    """However a request ends, what aiohttp's own instrumentation tells bears ids, and no secret."""

    async def source() -> str:
        return SECRET

    config = create_trace_config(tracer_provider=told.tracers, meter_provider=told.meters)
    async with Simulator() as sim, SessionPool(request_timeout=5, trace_configs=[config]) as pool:
        for token in (SECRET, source):
            run = await Coze(pool, token=token, base_url=sim.coze_url).start_workflow("7350")
            sim.order(fault)
            await outcome_of(by_wait(run, timeout=60))
        copyai = CopyAI(pool, api_key=SECRET, base_url=sim.copyai_url)
        job = await copyai.start_workflow("7350")
        sim.order(fault)
        await outcome_of(by_wait(job, timeout=60))
        assert sim.faults_served == {fault.value: 3}
    requests = [span for span in told.spans if span.kind is SpanKind.CLIENT]
    assert {span.name for span in requests} == {"GET", "POST"}
    assert all("/7350/run" in str(attributes(span)) for span in requests if span.name == "GET")
    assert SECRET not in told.everything()


async def test_requests_are_children_of_their_wait(told: Told) -> None:
    """In a Poller too, where one loop polls for all, each request is in its own waiter's trace."""
    config = create_trace_config(tracer_provider=told.tracers, meter_provider=told.meters)
    tracer = told.tracers.get_tracer("caller")

    async def request(poller: Poller, coze: Coze, number: int) -> None:
        await asyncio.sleep(number * 0.1)
        run = await coze.start_workflow("7350", {"simulate": {"seconds": 3}})
        with tracer.start_as_current_span("request"):
            await poller.wait(run)

    async with (
        Simulator() as sim,
        SessionPool(trace_configs=[config]) as pool,
        Poller(schedule=EVERY_SECOND) as poller,
    ):
        coze = Coze(pool, token=sim.coze_token, base_url=sim.coze_url)
        await asyncio.gather(*(request(poller, coze, number) for number in range(5)))
        runs = list(sim.tasks)
    waits = {
        span.context.span_id: str(attributes(span)["asyncclient.task.id.execute_id"])
        for span in told.spans
        if span.context and span.name.startswith("wait")
    }
    polls = [span for span in told.spans if span.name == "GET"]
    assert sorted(waits.values()) == sorted(runs)
    assert len(polls) >= 15
    for poll in polls:
        assert poll.parent is not None
        assert str(attributes(poll)["http.url"]).endswith(f"/{waits[poll.parent.span_id]}")


async def test_what_a_callback_does_is_in_the_waits_trace(told: Told) -> None:
    """Spans of `on_change` are children of the wait's; the caller's own span is untouched."""
    tracer = told.tracers.get_tracer("caller")

    def save(_: Snapshot[Report]) -> None:
        tracer.start_span("save").end()

    await wait_until_done(Job("running", "done"), on_change=save)
    assert not trace.get_current_span().get_span_context().is_valid
    *saved, wait = told.spans
    assert [span.parent for span in saved] == [wait.context] * 2


# --- turning it on and off ---


async def test_a_wait_that_goes_on_is_told_to_its_end(told: Told, waits: Waits) -> None:
    """What began before `uninstrument` still ends its span, and is no longer counted as active."""
    wait = asyncio.ensure_future(waits(Job("queued", FAULT, "done")))
    await asyncio.sleep(0.5)
    uninstrument()
    await wait
    assert attributes(told.span)["asyncclient.wait.outcome"] == "succeeded"
    assert told.points("asyncclient.wait.active") == [(OF_THE_JOB, 0)]
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)


class Failing(SpanProcessor):
    """An exporter gone wrong."""

    def on_end(self, span: ReadableSpan) -> None:
        """Fail."""
        raise ConnectionError(span.name)


async def test_a_failing_exporter_breaks_no_wait(
    told: Told, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    """What a processor of spans raises is logged once; the wait goes on."""
    told.tracers.add_span_processor(Failing())
    for _ in range(3):
        assert (await outcome_of(waits(Job("running", FAULT, "done")))).error is None
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


async def test_a_second_call_changes_nothing(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """As with OpenTelemetry's own instrumentations, the first call holds, and a warning says so."""
    other = Told()
    with caplog.at_level(logging.WARNING, "asyncclient"):
        instrument(tracer_provider=other.tracers, meter_provider=other.meters)
    await wait_until_done(Job("done"))
    assert len(told.spans) == 1
    assert other.spans == []
    assert "uninstrument()" in caplog.text


async def test_nothing_is_told_after_the_end(
    told: Told, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    """After `uninstrument` waits are told to nobody; a second call is a warning."""
    uninstrument()
    await waits(Job("running", "done"))
    assert told.everything() == ""
    with caplog.at_level(logging.WARNING, "asyncclient"):
        uninstrument()
    assert "not instrumented" in caplog.text
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)


async def test_a_wait_that_goes_on_already_is_not_told(waits: Waits) -> None:
    """Who listens in the middle of a wait hears nothing of it, and does it no harm."""
    told = Told()
    wait = asyncio.ensure_future(waits(Job("queued", "running", FAULT, "running", "done")))
    await asyncio.sleep(0.5)
    instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    await wait
    uninstrument()
    assert told.everything() == ""


def in_a_fresh_process(script: str) -> str:
    """Run a script, and return what it printed."""
    done = subprocess.run(  # noqa: S603  (runs this Python with the lines of a test)
        [sys.executable, "-W", "error", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=15,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_programs_own_providers_are_used() -> None:
    """Without arguments all goes to the providers that the program sets, even if it does later."""
    printed = in_a_fresh_process("""
import asyncio
from asyncclient import Vocabulary, polling_task, wait_until_done
from asyncclient.integrations.opentelemetry import instrument
instrument()
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
metrics.set_meter_provider(MeterProvider([reader]))
async def fetch(): return "done"
words = Vocabulary(succeeded="done", failed="broken")
asyncio.run(wait_until_done(polling_task(fetch, vocabulary=words, status=str, kind="job")))
print([span.name for span in spans.get_finished_spans()])
print("asyncclient.polls" in reader.get_metrics_data().to_json())
""")
    assert printed == "['wait job']\nTrue\n"


def test_without_the_extra_one_sentence_says_what_to_do() -> None:
    """Without OpenTelemetry everything else works, and this says how to install it."""
    printed = in_a_fresh_process("""
import sys
sys.modules["opentelemetry"] = None
import asyncclient, asyncclient.integrations
try:
    import asyncclient.integrations.opentelemetry
except ImportError as error:
    print(error)
""")
    assert printed == (
        "asyncclient.integrations.opentelemetry needs OpenTelemetry's API: in a clone of "
        'asyncclient-tasks, pip install ".[opentelemetry]"\n'
    )


def test_nothing_of_it_is_imported_before_it_is_asked_for() -> None:
    """Neither the package nor its testing brings OpenTelemetry in."""
    script = "import sys, asyncclient, asyncclient.testing, asyncclient.integrations; "
    modules = in_a_fresh_process(script + "print(*sys.modules)").split()
    assert "asyncclient.testing" in modules
    assert not [name for name in modules if name.partition(".")[0] == "opentelemetry"]


async def test_without_a_provider_nothing_happens(waits: Waits) -> None:
    """With the API alone, which has no spans and no metrics, waits go as ever."""
    instrument(tracer_provider=NoOpTracerProvider())
    outcome = await outcome_of(waits(Job("running", FAULT, "done")))
    uninstrument()
    assert outcome.error is None
    assert outcome.elapsed >= 1


# --- the page ---

ON_VIRTUAL_TIME = """
import asyncio
from asyncclient.testing import virtual_time_loop
asyncio.run = lambda main: asyncio.Runner(loop_factory=virtual_time_loop).run(main)
"""


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "INFO asyncclient.wait: coze workflow_run 7350583675492311040/"),
        (1, '"name": "wait coze.workflow_run"'),
        (1, '"name": "asyncclient.poll.duration"'),
        (2, '"name": "POST"'),
    ],
    ids=["logs", "spans", "metrics", "requests"],
)
def test_each_example_runs_as_it_stands(number: int, printed: str) -> None:
    """The blocks of docs/observability.md are whole programs, and print what they are there for."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 3
    assert printed in in_a_fresh_process(ON_VIRTUAL_TIME + blocks[number])


async def test_the_page_names_all_that_is_told(told: Told) -> None:
    """Its tables name each metric, event and attribute that there is, and no other."""
    error = AuthenticationFailed("no", status=401, code=4100, log_id="2026LOG")
    progress = [Report("running", progress=number) for number in range(150)]
    await outcome_of(by_wait(Job(FAULT, *progress, error)))
    await outcome_of(by_wait(Job("broken")))
    names = set(told.metrics)
    for name in told.metrics:
        names.update(*(labels for labels, _ in told.points(name)))
    for span in told.spans:
        names.update(attributes(span))
        for event, details in events(span):
            names.update([event], details)
    names = {re.sub(r"^(asyncclient\.task\.id)\..*", r"\1.<name>", name) for name in names}
    section = PAGE.partition("\n### One span a wait\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)) == names


async def test_the_page_tells_units_and_instruments(told: Told) -> None:
    """The page's table of metrics has each one's unit, and its kind as the SDK has it."""
    await wait_until_done(Job("running", "done"))
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| `([^`]+)` \|", PAGE, flags=re.MULTILINE)
    kinds = {"Histogram": "Histogram", "Counter": "Sum", "UpDownCounter": "Sum"}
    assert {(name, kinds[instrument], unit) for name, instrument, unit in rows} == {
        (name, type(metric.data).__name__, metric.unit) for name, metric in told.metrics.items()
    }
