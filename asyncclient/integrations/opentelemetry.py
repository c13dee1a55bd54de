"""Reports every wait to OpenTelemetry, as a span and in metrics. Needs the extra `opentelemetry`.

::

    from asyncclient.integrations.opentelemetry import instrument

    instrument()  # from now on, with the providers that the program has set

Reports hold names, numbers, the provider's status words, codes and ids. They hold no text of a
provider or of a caller's function, so no message of an error: no secret can be in them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio

from asyncclient._extras import needs
from asyncclient._state import Snapshot
from asyncclient._version import __version__
from asyncclient._waiting import Record, listen
from asyncclient.integrations._attributes import (
    ERROR_TYPE,
    KIND,
    OUTCOME,
    PROVIDER,
    STATE,
    error_attributes,
    full_type_of,
    provider_of,
    short,
    snapshot_attributes,
    type_of,
)

with needs("opentelemetry", "asyncclient.integrations.opentelemetry"):
    from opentelemetry import context as otel_context
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import (
        Span,
        SpanKind,
        StatusCode,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )

__all__ = ["instrument", "uninstrument"]

T = TypeVar("T")

_log = logging.getLogger("asyncclient.opentelemetry")

_SCOPE = "asyncclient"

# A wait may make thousands of polls: this many of its events are kept, the first ones, and the
# others are counted. It is less than the SDK's own limit (128), and holds for other makers of spans
# too.
_MOST_EVENTS = 100
# Kinds of task that metrics distinguish: each is kept as long as the process lives, here and in the
# exporter. The waits of others are counted together.
_MOST_KINDS = 1000
_OTHERS: Mapping[str, str] = {KIND: "other"}
# The bounds of the buckets, in seconds. The SDK's own are made for milliseconds.
# A request: those of the conventions for HTTP, and the default `request_timeout` of a SessionPool.
_POLL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30)
# A wait: up to its default timeout, and some hours beyond.
_WAIT_BUCKETS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
# What went unseen: mostly one gap of the default schedule, 3 s to 60 s.
_UNSEEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 7.5, 10, 15, 20, 30, 60, 300)


@dataclass(slots=True, eq=False)
class _Wait:
    """What is remembered of one wait."""

    span: Span
    labels: Mapping[str, str]  # what its metrics say of the task
    # In which its polls are made, and its measurements taken: that of the caller who began it, with
    # its span as the current one.
    context: Context
    began: float  # on the loop's clock
    left: deque[_Wait]  # where it is put aside when it is collected without an end
    polls: int = 0  # those that were reported
    failed_polls: int = 0
    events: int = 0  # of its span, those that were not kept included
    snapshot: Snapshot[object] | None = None  # of the last change
    seconds: float | None = None  # how long it took; None while it goes on, or when that is unknown
    ended: int = 0  # Unix time in nanoseconds; 0 while it goes on

    def stop(self) -> None:
        """Note when it ended."""
        self.ended = time.time_ns()
        # There is no running loop, and so no clock, when a watch is collected; the error that
        # anyio 4.12 then raises is no RuntimeError.
        with suppress(Exception):
            self.seconds = anyio.current_time() - self.began

    def __del__(self) -> None:
        # A `watch` that was left early says nothing. It is put aside until any wait polls next: a
        # span and a meter have locks, which the code that is collected under may hold.
        if not self.ended:
            self.stop()
            self.left.append(self)


@contextmanager
def _current(context: Context) -> Generator[None]:
    """Make a context the current one."""
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


class _Telemetry:
    """The listener: one span a wait, and the metrics of all.

    Args:
        tracer_provider: makes the tracer; None for the program's own.
        meter_provider: makes the meter; None for the program's own.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
    ) -> None:
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        meter = get_meter(_SCOPE, __version__, meter_provider)
        self._active = meter.create_up_down_counter(
            "asyncclient.wait.active", "{wait}", "Waits that go on."
        )
        self._wait_seconds = meter.create_histogram(
            "asyncclient.wait.duration",
            "s",
            "How long waits took.",
            explicit_bucket_boundaries_advisory=_WAIT_BUCKETS,
        )
        self._unseen_seconds = meter.create_histogram(
            "asyncclient.task.unseen.duration",
            "s",
            "For how long the ends of tasks may have gone unseen.",
            explicit_bucket_boundaries_advisory=_UNSEEN_BUCKETS,
        )
        self._polls = meter.create_counter("asyncclient.polls", "{poll}", "Polls that came back.")
        self._poll_seconds = meter.create_histogram(
            "asyncclient.poll.duration",
            "s",
            "How long polls took.",
            explicit_bucket_boundaries_advisory=_POLL_BUCKETS,
        )
        # One for each kind of task, for all of its tasks.
        self._labels: dict[tuple[str | None, str], dict[str, str]] = {}
        self._left: deque[_Wait] = deque()

    def began(self, record: Record[T]) -> object:
        """Begin a span, as a child of the caller's."""
        labels = self._labels_of(record)
        attributes = dict(labels)
        if record.ref is not None:
            for name, value in record.ref.shown_ids.items():
                attributes[f"asyncclient.task.id.{short(name)}"] = short(value)
        # As the conventions have it: the operation, and what it is done to; no id.
        target = ".".join(labels.values())
        span = self._tracer.start_span(
            f"wait {target}", kind=SpanKind.INTERNAL, attributes=attributes
        )
        context = set_span_in_context(span)
        self._active.add(1, labels, context)
        return _Wait(span, labels, context, record.began, self._left)

    def around(self, memo: object) -> AbstractContextManager[object]:
        """Return what makes a wait's span the current one, for its requests to be its children."""
        return _current(memo.context) if isinstance(memo, _Wait) else nullcontext()

    def polled(
        self, memo: object, record: Record[T], *, seconds: float, error: Exception | None
    ) -> None:
        """Count a poll; a failed one is an event."""
        if self._left:
            self.end_left()
        if not isinstance(memo, _Wait):
            return  # it began before anybody listened
        labels = memo.labels
        memo.polls = record.polls
        if error is not None:
            memo.failed_polls += 1
            labels = {**labels, ERROR_TYPE: type_of(error)}
            _event(memo, "asyncclient.poll.failed", memo.polls, error_attributes(error))
        self._polls.add(1, labels, memo.context)
        self._poll_seconds.record(seconds, labels, memo.context)

    def changed(self, memo: object, record: Record[T], snapshot: Snapshot[T]) -> None:
        """Add an event."""
        if not isinstance(memo, _Wait):
            return
        memo.snapshot = snapshot
        attributes: dict[str, str | int | float] = {**snapshot_attributes(snapshot)}
        if snapshot.progress is not None:
            attributes["asyncclient.task.progress"] = snapshot.progress
        _event(memo, "asyncclient.task.changed", record.polls, attributes)

    def ended(self, memo: object, record: Record[T], error: BaseException | None) -> None:
        """End the span."""
        if not isinstance(memo, _Wait) or memo.ended:
            return
        memo.stop()
        memo.snapshot = record.snapshot
        if record.rare.unseen is not None:
            memo.span.set_attribute("asyncclient.task.unseen_seconds", record.rare.unseen)
            self._unseen_seconds.record(record.rare.unseen, memo.labels, memo.context)
        if record.last_error is not None:
            memo.span.set_attribute("asyncclient.wait.last_poll_error", type_of(record.last_error))
        self._end(memo, error)

    def end_left(self) -> None:
        """End the spans of watches that were left early."""
        while self._left:
            try:
                left = self._left.popleft()
            except IndexError:  # another thread, with a loop of its own, was faster
                return
            self._end(left, GeneratorExit())

    def _end(self, wait: _Wait, error: BaseException | None) -> None:
        span, snapshot = wait.span, wait.snapshot
        labels = dict(wait.labels)
        if snapshot is not None and snapshot.state is not None:
            labels[STATE] = snapshot.state.value
        if error is None:
            labels[OUTCOME] = "succeeded"
        elif isinstance(error, Exception):
            labels[OUTCOME] = "failed"
            labels[ERROR_TYPE] = type_of(error)
        else:
            # The caller has gone: that is no error, neither of the task nor of the wait.
            labels[OUTCOME] = "cancelled"
        self._active.add(-1, wait.labels, wait.context)
        if wait.seconds is not None:
            self._wait_seconds.record(wait.seconds, labels, wait.context)
        span.set_attributes(labels)
        span.set_attributes(snapshot_attributes(snapshot))
        span.set_attribute("asyncclient.wait.polls", wait.polls)
        span.set_attribute("asyncclient.wait.failed_polls", wait.failed_polls)
        if wait.events > _MOST_EVENTS:
            dropped = wait.events - _MOST_EVENTS
            span.set_attribute("asyncclient.wait.dropped_events", dropped)
        if isinstance(error, Exception):
            span.set_attributes(error_attributes(error))
            # Not by `record_exception`, which adds the messages of the error and of its causes.
            span.add_event("exception", {"exception.type": full_type_of(error)})
            span.set_status(StatusCode.ERROR)
        span.end(wait.ended)

    def _labels_of(self, record: Record[T]) -> Mapping[str, str]:
        """Return what metrics say of a task: no id, and none of the provider's words."""
        provider: str | None
        if record.ref is not None:
            provider, kind = record.ref.provider, record.ref.shown_kind
        else:
            provider = provider_of(record.task)
            # As `coze.workflow_run:73…`: what follows the colon is one of many.
            kind = record.kind.partition(":")[0]
        labels = self._labels.get((provider, kind))
        if labels is None:
            if len(self._labels) >= _MOST_KINDS:
                return _OTHERS
            labels = {} if provider is None else {PROVIDER: short(provider)}
            labels[KIND] = short(kind)
            self._labels[provider, kind] = labels
        return labels


def _event(wait: _Wait, name: str, poll: int, attributes: Mapping[str, str | int | float]) -> None:
    wait.events += 1
    if wait.events <= _MOST_EVENTS and wait.span.is_recording():
        wait.span.add_event(name, {"asyncclient.poll.number": poll, **attributes})


# Who listens, in a list of at most one.
_listening: Final[list[_Telemetry]] = []


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Report all waits of this process that begin from now on, until `uninstrument`.

    As with OpenTelemetry's own instrumentations, a second call changes nothing and logs a warning.

    Args:
        tracer_provider: where spans go. Default: the program's own, also if it is set later.
        meter_provider: where metrics go. Default: as above.
    """
    if _listening:
        _log.warning("already instrumented: call uninstrument() first to change the providers")
        return
    telemetry = _Telemetry(tracer_provider, meter_provider)
    _listening.append(telemetry)
    listen(telemetry)


def uninstrument() -> None:
    """Stop reporting waits; without `instrument` before it, change nothing and log a warning."""
    if not _listening:
        _log.warning("not instrumented: there is nothing to undo")
        return
    listen(None)
    _listening.pop().end_left()
