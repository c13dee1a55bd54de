"""How the simulated Coze answers and refuses: envelope, log ids, tokens, rate limits."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.server import Call, Endpoint, Provider
from asyncclient.testing.simulator.tasks import Fate, Outcome, SimulatedTask, World, is_right

Plan = Literal["free", "personal", "team", "enterprise"]

# Requests a second by plan and group (page `coze_api_overview`). Polls of a workflow run spend
# the same budget as its starts.
_LIMITS: dict[Plan, dict[str, int]] = {
    "free": {"chat": 20, "workflow": 50},
    "personal": {"chat": 100, "workflow": 100},
    "team": {"chat": 200, "workflow": 200},
    "enterprise": {"chat": 500, "workflow": 500},
}
_NAMED_OUTCOMES = frozenset[Outcome](("success", "fail"))
_SLOWNESS = 10


class CozeAnswers(Provider):
    """Makes Coze's answers; most refusals are HTTP 200 with a code that is not 0."""

    def __init__(
        self, world: World, token: str | None, plan: Plan | None, counts: Counter[str]
    ) -> None:
        """Take the token that is right (None: any), the plan and where to count 429s."""
        self.plan: Plan | None = plan
        self._world = world
        self._counts = counts
        self._windows: dict[str, deque[float]] = {"chat": deque(), "workflow": deque()}
        # Token → loop time until which it is good.
        self._tokens = {} if token is None else {token: float("inf")}
        self._any = token is None

    def start_named(
        self, kind: str, name: str, *, task_id: str, place: str, start_marker: Mapping[str, Any]
    ) -> SimulatedTask:
        """Start a task whose name orders its fate.

        `fail-…` fails, and `slow-…` takes ten times as long.
        """
        prefix = name.partition("-")[0]
        task = self._world.start(
            kind,
            Fate(outcome="fail" if prefix == "fail" else None, marker=name),
            task_id=task_id,
            place=place,
            start_marker=start_marker,
            outcomes=_NAMED_OUTCOMES,
        )
        if prefix == "slow":
            task.ends_at += task.seconds * (_SLOWNESS - 1)
            task.seconds *= _SLOWNESS
        return task

    def add_token(self, token: str, seconds: float) -> None:
        """Let a token be good for this many seconds from now."""
        self._tokens[token] = self._world.now() + seconds

    def log_id(self) -> str:
        """Make a log id as Coze's: the time, then hexadecimal digits."""
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self._world.wall()))
        return f"{stamp}{self._world.turn('logid'):018X}"

    def answer(
        self, payload: dict[str, Any], *, status: int = HTTPStatus.OK, detail: bool = True
    ) -> web.Response:
        """Answer a JSON object; samples of runs and chats show no `detail`."""
        log_id = self.log_id()
        if detail:
            payload = payload | {"detail": {"logid": log_id}}
        return web.Response(
            status=status,
            body=msgspec.json.encode(payload),
            content_type="application/json",
            charset="utf-8",
            headers={"X-Tt-Logid": log_id},
        )

    def data(self, data: object, *, detail: bool = True) -> web.Response:
        """Answer the usual envelope."""
        return self.answer({"code": 0, "msg": "", "data": data}, detail=detail)

    def refuse(self, code: int, message: str, *, status: int = HTTPStatus.OK) -> web.Response:
        """Answer a business error."""
        return self.answer({"code": code, "msg": message}, status=status)

    def admit(self, call: Call) -> web.Response | None:
        """Check the rate of the request's group, then its token."""
        if self._is_over_limit(call.endpoint.group):
            self._counts["coze.429"] += 1
            return self.rate_limited("1")
        scheme, _, token = call.request.headers.get("Authorization", "").partition(" ")
        is_good = scheme == "Bearer" and self._is_good(token)
        # The token endpoint looks at its own kind of bearer.
        if is_good or call.endpoint.name == "coze.token":
            return None
        if call.endpoint.refusal == HTTPStatus.OK:
            return self.refuse(
                4101, "The token you entered is incorrect. Please check and try again."
            )
        return self.unauthorized()

    def _is_good(self, token: str) -> bool:
        until = self._tokens.get(token)
        if until is not None:
            return self._world.now() < until
        # `czs_…` comes from the token endpoint only: an unknown one was never issued.
        return self._any and not token.startswith("czs_") and is_right(token)

    def _is_over_limit(self, group: str) -> bool:
        if self.plan is None or not group:
            return False
        now, window = self._world.now(), self._windows[group]
        while window and window[0] <= now - 1.0:
            window.popleft()
        if len(window) >= _LIMITS[self.plan][group]:
            return True
        window.append(now)
        return False

    def invalid(self, message: str) -> web.Response:
        """Answer a request whose parameters do not fit."""
        return self.refuse(4000, f"Request parameter error: {message}")

    def unknown_path(self) -> web.Response:
        """Answer a path that does not exist (measured: HTTP 404 with code 4000)."""
        return self.refuse(4000, "Request path not found", status=HTTPStatus.NOT_FOUND)

    def rate_limited(self, retry_after: str) -> web.Response:
        """Answer 429; its body is documented nowhere, so it has the code for a busy system."""
        response = self.refuse(4009, "Too many requests", status=HTTPStatus.TOO_MANY_REQUESTS)
        response.headers["Retry-After"] = retry_after
        return response

    def unavailable(self) -> web.Response:
        """Answer 503 as a gateway does."""
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="upstream connect error")

    def busy(self) -> web.Response:
        """Answer code 4009 (page `coze_error_codes`): a cap on everyone's requests."""
        return self.refuse(4009, "The system has too many requests. Please try again later.")

    def unauthorized(self) -> web.Response:
        """Answer a wrong token (measured: HTTP 401)."""
        return self.refuse(700012006, "access token invalid", status=HTTPStatus.UNAUTHORIZED)

    def missing(self, endpoint: Endpoint) -> web.Response:
        """Answer that there is no such thing, with the endpoint's own code."""
        return self.refuse(endpoint.missing or 4200, "The resource does not exist or no permission")


def page_of(
    call: Call, number_name: str, items: Sequence[int], *, usual: str = "20", most: int = 10_000
) -> Sequence[int]:
    """Return the numbers of what is on the page that is asked for.

    Raises:
        ValidationError: there is no such page.
    """
    number, size = call.query(number_name, "1"), call.query("page_size", usual)
    if not (number.isdecimal() and size.isdecimal() and int(number) and int(size)):
        message = f"{number_name} and page_size must be positive numbers"
        raise msgspec.ValidationError(message)
    length = min(int(size), most)
    first = (int(number) - 1) * length
    return items[first : first + length]
