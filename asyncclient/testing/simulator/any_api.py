"""The simulator of any HTTP task API: its `Reading`, its paths and its words make the server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from asyncclient._arguments import number, text
from asyncclient._reading import Json, Reading
from asyncclient._state import TaskState
from asyncclient._text import shown, type_name
from asyncclient.testing.simulator.faults import Kind
from asyncclient.testing.simulator.server import Call, Endpoint, Provider, Route
from asyncclient.testing.simulator.servers import SimulatedServers
from asyncclient.testing.simulator.tasks import (
    Fate,
    Habits,
    NoSuchTask,
    Outcome,
    SimulatedTask,
    Word,
    World,
    usual_duration,
)
from asyncclient.testing.simulator.writing import answer_with, merged

Words: TypeAlias = Sequence[tuple[str | int | Mapping[str, object], float | None]]

# What a task says for which no words are given, and for how many seconds.
_USUAL = ((TaskState.PENDING, 1.0), (TaskState.RUNNING, 4.0), (TaskState.SUCCEEDED, None))
_OUTCOMES: dict[TaskState | None, Outcome] = {
    TaskState.FAILED: "fail",
    TaskState.EXPIRED: "fail",
    TaskState.CANCELLED: "cancel",
}
_KINDS: dict[str, Kind] = {"start": "start", "poll": "poll"}


class SimulatedAPI(SimulatedServers):
    """A real HTTP server on loopback that speaks any task API, made from its `Reading`.

    A task shows one word after the other, each for its seconds of the event loop's time: under a
    virtual clock an hour passes in milliseconds. It never sends anything to another machine. It
    listens once it is entered or started.

    In `started`, `answer`, `headers` and whole answers `{id}` stands for the task's id, `{url}` for
    this server's base URL, and `{poll}` for the URL at which the task is looked at.

    Args:
        reading: how the API's answers are read; status words are written at the same places.
        start: method and path of a start, as `POST /v1/jobs`; by POST where it has no method.
        poll: method and path of a look; by GET where it has no method. `{id}` stands in the path,
            in the query, or nowhere: then the id is a value of the JSON that a look sends.
        words: what a task answers in turn, and for how many seconds: a status word, or a whole
            answer as a dict. The last one has None for its seconds, and stays. Or a function that
            returns this list from the JSON of the start. Default: the vocabulary's first word of
            `PENDING` for 1 s, of `RUNNING` for 4 s, then of `SUCCEEDED`.
        started: what a start answers. Default: what a look would.
        answer: fields that are added to the last of `words`.
        result: method and path of a second request, which answers `answer` once the task has
            ended, and 404 before. Default None: `answer` is in the last look.
        cancel: method and path of a cancel; by POST where it has no method. Default None: there is
            none.
        headers: sent with each answer about a task.
        credentials: headers that each request must have, as `{"Authorization": "Bearer k"}`; a
            request without them gets 401. Default None: every request is accepted.
        seed: seed of the random generator. Default 0.
        fault_share: the share (0 to 1) of looks that meet a random transient fault. Default 0.
        not_found_seconds: how long a fresh task cannot be found. Default 0.

    Attributes:
        requests: numbers of requests by operation: `start`, `poll`, `result`, `cancel`,
            `unknown_path`.
        faults_served: numbers of faults by name, such as `html_502`.
        tasks: every task, by its id: `job-1`, `job-2`, and so on.

    Raises:
        TypeError, ValueError: an argument is not valid, or a word cannot be written at its place.
    """

    def __init__(
        self,
        reading: Reading,
        *,
        start: str = "POST /jobs",
        poll: str = "/jobs/{id}",
        words: Words | Callable[[Json], Words] | None = None,
        started: object = None,
        answer: object = None,
        result: str | None = None,
        cancel: str | None = None,
        headers: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
        seed: int = 0,
        fault_share: float = 0.0,
        not_found_seconds: float = 0.0,
    ) -> None:
        if not isinstance(cast("object", reading), Reading):
            msg = f"reading must be a Reading, not {type_name(reading)}"
            raise TypeError(msg)
        habits = Habits(
            durations=usual_duration,
            fail_share=0.0,
            interrupt_share=0.0,
            not_found_seconds=not_found_seconds,
        )
        super().__init__(seed, habits, fault_share)
        operations = {
            "start": _operation("start", start, "POST"),
            "poll": _operation("poll", poll, "GET"),
        }
        if result is not None:
            operations["result"] = _operation("result", result, "GET")
        if cancel is not None:
            operations["cancel"] = _operation("cancel", cancel, "POST")
        api = _AnyAPI(
            world=self._world,
            reading=reading,
            words=_usual(reading) if words is None else words,
            started=started,
            answer=answer,
            operations=operations,
            headers=dict(headers or {}),
            credentials=dict(credentials or {}),
        )
        self._api = self._serve(api)

    @property
    def url(self) -> str:
        """The base URL of the API; it has no path."""
        return self._url(self._api)

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on a host and a port; a port of 0, the default, is a free one."""
        await self._listen(host, port)


@dataclass(slots=True, kw_only=True)
class _AnyAPI(Provider):
    """The API as its server sees it: what it is asked, and what it answers."""

    world: World
    reading: Reading
    words: Words | Callable[[Json], Words]
    started: object
    answer: object
    operations: dict[str, tuple[str, str]]
    headers: dict[str, str]
    credentials: dict[str, str]

    def __post_init__(self) -> None:
        if not callable(self.words):
            _timed(self.reading, self.words)
        if "cancel" in self.operations:
            _first_word(self.reading, TaskState.CANCELLED)

    def routes(self) -> Iterator[Route]:
        """Return every operation with its handler."""
        handlers = {"start": self._start, "poll": self._look}
        handlers |= {"result": self._result, "cancel": self._cancel}
        for name, (method, path) in self.operations.items():
            endpoint = Endpoint(name, method, urlsplit(path).path, _KINDS.get(name, "other"))
            yield endpoint, handlers[name]

    # -- what it is asked ---------------------------------------------------------------------

    async def _start(self, call: Call) -> web.Response:
        given = call.decode(object)
        words = self.words(given) if callable(self.words) else self.words
        task_id = f"job-{self.world.turn('id') + 1}"
        timed = [
            (merged({"id": task_id}, answer), until)
            for answer, until in _timed(self.reading, words)
        ]
        last, seconds = timed.pop()[0], timed[-1][1] if timed else 0.0
        state = self.reading.read(last).state
        if "result" not in self.operations and self.answer is not None:
            last = merged(last, self.answer)
        task = self.world.start(
            self.reading.name,
            Fate(seconds=seconds, outcome=_OUTCOMES.get(state, "success")),
            task_id=task_id,
            place="",
            start_marker=cast("dict[str, object]", given) if isinstance(given, dict) else {},
            outcomes=frozenset(("success", "fail", "cancel")),
        )
        if state is None or not state.is_terminal:
            task.ends_at = math.inf
        task.details = {"says": [*timed, (last, math.inf)]}
        started = self._current_answer(task) if self.started is None else self.started
        return self._send(call, task, started)

    async def _look(self, call: Call) -> web.Response:
        task = self._find(call)
        answer = self._current_answer(task)
        word = self.reading.read(answer).word
        said, _ = call.show(task, word, is_done=task.is_done)
        if said != word:  # a fault, or what a test has put into the task's `words`
            answer = self._unusual_answer(task, said)
        return self._send(call, task, answer)

    async def _result(self, call: Call) -> web.Response:
        task = self._find(call)
        if not task.is_done:
            return self._refuse(HTTPStatus.NOT_FOUND, "the task has not ended")
        return self._send(call, task, self.answer)

    async def _cancel(self, call: Call) -> web.Response:
        task = self._find(call)
        if not task.is_done:
            task.cancel()
            word = _first_word(self.reading, TaskState.CANCELLED)
            answer = merged({"id": task.id}, answer_with(self.reading, word))
            task.details = {"says": [(answer, math.inf)]}
        return self._send(call, task, self._current_answer(task))

    def _find(self, call: Call) -> SimulatedTask:
        """Find the task that a request names in its path, its query or its body."""
        named: list[object] = [*call.request.match_info.values(), *call.request.query.values()]
        body = call.decode(object)
        if isinstance(body, dict):
            named += cast("dict[str, object]", body).values()
        for each in named:
            with suppress(NoSuchTask):
                return self.world.find(self.reading.name, str(each), "")
        raise NoSuchTask

    # -- what it answers ----------------------------------------------------------------------

    def _current_answer(self, task: SimulatedTask) -> Json:
        """Return what a task says by now."""
        says: list[tuple[Json, float]] = task.details["says"]
        now = self.world.now()
        return next(answer for answer, until in says if now < task.started + until)

    def _unusual_answer(self, task: SimulatedTask, word: Word) -> Json:
        """Return an answer with another word than the task's, or without one."""
        if word is None or not isinstance(self.reading.status, str):
            return {}
        return merged({"id": task.id}, answer_with(self.reading, word))

    def _send(self, call: Call, task: SimulatedTask, answer: Json) -> web.Response:
        """Answer about a task, with its id and the URLs where texts name them."""
        url = str(call.request.url.origin())
        poll = url + self.operations["poll"][1].replace("{id}", task.id)
        names = {"{id}": task.id, "{url}": url, "{poll}": poll}

        def filled(text: str) -> str:
            for name, value in names.items():
                text = text.replace(name, value)
            return text

        body = filled(msgspec.json.encode(answer).decode())
        headers = {name: filled(value) for name, value in self.headers.items()}
        return web.Response(text=body, content_type="application/json", headers=headers)

    def _refuse(self, status: HTTPStatus, message: str = "") -> web.Response:
        body = msgspec.json.encode({"error": message or status.phrase})
        return web.Response(status=status, body=body, content_type="application/json")

    def admit(self, call: Call) -> web.Response | None:
        """Check the credential."""
        given = call.request.headers
        is_right = all(given.get(name) == value for name, value in self.credentials.items())
        return None if is_right else self.unauthorized()

    def invalid(self, message: str) -> web.Response:
        """Answer a body that is no JSON."""
        return self._refuse(HTTPStatus.BAD_REQUEST, message)

    def unknown_path(self) -> web.Response:
        """Answer a path that does not exist."""
        return self._refuse(HTTPStatus.NOT_FOUND, "there is no such path")

    def rate_limited(self, retry_after: str) -> web.Response:
        """Answer 429."""
        response = self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
        response.headers["Retry-After"] = retry_after
        return response

    def unavailable(self) -> web.Response:
        """Answer 503."""
        return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def unauthorized(self) -> web.Response:
        """Answer 401."""
        return self._refuse(HTTPStatus.UNAUTHORIZED)

    def missing(self, endpoint: Endpoint) -> web.Response:
        """Answer that there is no such task."""
        del endpoint
        return self._refuse(HTTPStatus.NOT_FOUND, "there is no such task")


def _operation(name: str, given: str, usual: str) -> tuple[str, str]:
    """Return method and path of an operation."""
    method, space, path = text(name, given).strip().rpartition(" ")
    if not path.startswith("/"):
        msg = f"{name}={shown(given)} must be a method and a path, as {usual} /v1/jobs"
        raise ValueError(msg)
    return method.upper() if space else usual, path


def _first_word(reading: Reading, state: TaskState) -> str | int:
    """Return the first of a reading's words of a state."""
    words = reading.vocabulary.words.items()
    word = next((word for word, means in words if means is state), None)
    if word is None:
        msg = f"{reading.name} has no word for {state}"
        raise ValueError(msg)
    return word


def _usual(reading: Reading) -> Words:
    """Return what a task says for which no words are given."""
    states = reading.vocabulary.words.values()
    return [(_first_word(reading, state), by) for state, by in _USUAL if state in states]


def _timed(reading: Reading, words: Words) -> list[tuple[Json, float]]:
    """Return the answer of each word with the seconds from a start until which it is given."""
    timed: list[tuple[Json, float]] = []
    until = 0.0
    for place, (word, seconds) in enumerate(words, 1):
        if (seconds is None) != (place == len(words)):
            msg = f"words: the last one, and only that, has None for its seconds: see {shown(word)}"
            raise ValueError(msg)
        until += math.inf if seconds is None else number("words", seconds, unit="seconds", above=0)
        answer = dict(word) if isinstance(word, Mapping) else answer_with(reading, word)
        timed.append((answer, until))
    if not timed:
        msg = "words is empty: give the last one at least, as [('succeeded', None)]"
        raise ValueError(msg)
    return timed
