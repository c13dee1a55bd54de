"""Tests of one call: which failed requests are sent again, when, and what their errors say."""

from __future__ import annotations

import traceback
from typing import cast

import anyio
import pytest

from asyncclient import SessionPool, TaskAPI, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    RequestTimeout,
    ServerError,
    TransportError,
    WaitTimeout,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.testing import ScriptedTransport, reply
from tests.many.service import gaps

RUN = reply({"status": "success", "data": {"id": "R", "status": "NEW"}})
BROKEN = TransportError("broken")
REFUSED = ConnectFailed("refused")

# The ceilings of the gaps between tries, in seconds: doubling, up to a cap.
CEILINGS = [0.5, 1, 2, 4, 8]
BUDGET = 30


def copyai(transport: ScriptedTransport, *, max_retries: int = 3) -> CopyAI:
    """Return a client that asks a script."""
    return CopyAI(transport, api_key="k", max_retries=max_retries)


def always(entry: Response | Exception) -> ScriptedTransport:
    """Return a transport that gives one answer for ever."""
    return ScriptedTransport([entry], repeat=True)


def status(code: int, hint: str | None = None) -> Response:
    """Return an answer with an HTTP status."""
    headers = {} if hint is None else {"retry-after": hint}
    return reply({"message": "no"}, status=code, headers=headers)


@pytest.mark.parametrize("wrong", [None, SessionPool])
def test_a_client_is_made_with_an_open_pool(wrong: object) -> None:
    """A class of pools is none."""
    name = type(wrong).__name__
    words = rf"^copyai: the first argument must be a SessionPool, not {name}$"
    with pytest.raises(TypeError, match=words):
        CopyAI(cast("SessionPool", wrong), api_key="k")


@pytest.mark.parametrize("entry", [BROKEN, status(503), reply("<p>")], ids=["broken", "503", "p"])
@pytest.mark.parametrize("max_retries", [0, 3, 5])
async def test_a_get_is_repeated_after_what_may_pass(
    entry: Response | Exception, max_retries: int
) -> None:
    """A GET whose failure may pass is sent again, `max_retries` times; the last error is raised."""
    transport = ScriptedTransport([*[entry] * max_retries, RUN])
    client = copyai(transport, max_retries=max_retries)
    assert (await client.get_workflow_run("W", "R")).id == "R"
    assert transport.left == 0
    failing = always(entry)
    with pytest.raises((TransportError, ServerError, DecodeError)) as caught:
        await copyai(failing, max_retries=max_retries).get_workflow_run("W", "R")
    assert not caught.value.may_have_started
    assert len(failing.requests) == 1 + max_retries


async def test_gaps_double_up_to_eight_seconds() -> None:
    """Each gap is drawn from next to nothing to a ceiling that doubles, up to eight seconds."""
    seen: list[list[float]] = []
    for _ in range(100):
        transport = always(BROKEN)
        with pytest.raises(TransportError):
            await copyai(transport, max_retries=5).get_workflow_run("W", "R")
        seen.append(gaps(transport.times))
    for column, ceiling in zip(zip(*seen, strict=True), CEILINGS, strict=True):
        # That 100 draws all miss a fifth of the range happens once in 10**9 runs.
        assert 0.049 <= min(column) < ceiling * 0.2
        assert ceiling * 0.8 < max(column) <= ceiling


async def test_repeats_share_a_budget_of_time() -> None:
    """However many are allowed, they end half a minute after the first failure, slow ones too."""
    for _ in range(20):
        began = anyio.current_time()
        with pytest.raises(TransportError):
            await copyai(always(BROKEN), max_retries=10_000).get_workflow_run("W", "R")
        assert BUDGET - 8 <= anyio.current_time() - began <= BUDGET
    slow = ScriptedTransport([RequestTimeout("slow")], latency=BUDGET, repeat=True)
    with pytest.raises(RequestTimeout):
        await copyai(slow, max_retries=10).get_workflow_run("W", "R")
    assert len(slow.requests) == 2  # the first one's own time does not count


STARTS: dict[str, tuple[Response | Exception, int, bool]] = {
    # It did not happen, and may succeed later.
    "no connection": (REFUSED, 4, False),
    "429": (status(429), 4, False),
    # It did not happen, and would fail again.
    "bad certificate": (ConnectFailed("certificate", permanent=True), 1, False),
    "401": (status(401), 1, False),
    # The provider may have acted.
    "broken": (TransportError("broken"), 1, True),
    "broken before it was sent": (TransportError("broken", sent=False), 1, False),
    "timeout": (RequestTimeout("slow"), 1, True),
    "connection lost": (ConnectFailed("broke after it was made", sent=True), 1, True),
    "303": (status(303), 1, True),  # "See other" is said of what was done (RFC 9110, 15.4.4)
    "408": (status(408), 1, True),
    "503 with a hint": (status(503, "1"), 1, True),
    "no JSON": (reply("<html>"), 1, True),
}


@pytest.mark.parametrize(("entry", "tries", "started"), STARTS.values(), ids=STARTS)
async def test_a_start_is_repeated_only_if_it_did_not_happen(
    entry: Response | Exception, tries: int, *, started: bool
) -> None:
    """A start that may have happened is sent once, and its error says so."""
    transport = always(entry)
    with pytest.raises(AsyncClientError) as caught:
        await copyai(transport).start_workflow("W", {"Input 1": "tea"})
    assert caught.value.may_have_started == started
    notes = "".join(getattr(caught.value, "__notes__", ()))
    assert ("may have started something" in notes) == started
    assert [request.method for request in transport.requests] == ["POST"] * tries
    assert len({request.body for request in transport.requests}) == 1


async def test_a_start_stops_at_the_first_doubt() -> None:
    """A start that was repeated because it did not happen is not repeated once it may have."""
    transport = ScriptedTransport(
        [REFUSED, status(429), TransportError("broken"), REFUSED, REFUSED]
    )
    with pytest.raises(TransportError, match="broken") as caught:
        await copyai(transport).start_workflow("W")
    assert caught.value.may_have_started
    assert transport.left == 2


async def test_a_source_of_tokens_that_hangs_is_given_up() -> None:
    """After a minute, with nothing sent, so that a start did not happen; a wait tolerates it."""
    transport = always(RUN)
    cancelled = 0

    async def hang() -> str:
        nonlocal cancelled
        try:
            await anyio.sleep(3600)
        finally:
            cancelled += 1
        return "k"

    client = CopyAI(transport, api_key=hang, max_retries=0)
    for ask in (client.start_workflow("W"), client.get_workflow_run("W", "R")):
        began = anyio.current_time()
        with pytest.raises(RequestTimeout, match=r"api_key\(\) gave no token within 60 s") as slow:
            await ask
        assert anyio.current_time() - began == pytest.approx(60)
        assert (slow.value.sent, slow.value.may_have_started) == (False, False)
    with pytest.raises(WaitTimeout) as late:
        await wait_until_done(client.workflow_run("W", "R"), timeout=300)
    assert late.value.polls > 2
    with anyio.move_on_after(1) as scope:
        await client.start_workflow("W")
    assert scope.cancelled_caught
    assert cancelled == 3 + late.value.polls
    assert transport.requests == []


async def test_a_source_of_tokens_may_time_out_by_itself() -> None:
    """What it raises is its own error, not ours; it may be tolerated as one."""

    async def slow() -> str:
        raise TimeoutError("the vault is slow")

    with pytest.raises(TimeoutError, match="the vault is slow"):
        await CopyAI(always(RUN), api_key=slow).start_workflow("W")


async def test_an_error_of_a_sources_own_request_says_nothing_about_a_task() -> None:
    """A vault that does not know a secret ends no task, and its lost answer started none."""
    for entry, kind in ((status(404), AuthenticationFailed), (BROKEN, TransportError)):
        vault = TaskAPI(always(entry), "https://vault.example", name="vault")

        async def ask(vault: TaskAPI = vault) -> str:
            return str(await vault.post("/key"))

        transport = always(RUN)
        client = CopyAI(transport, api_key=ask)
        with pytest.raises(kind) as refused:
            await client.start_workflow("W")
        assert not refused.value.may_have_started
        if kind is AuthenticationFailed:
            assert str(refused.value).startswith("api_key() gave no token: vault.post: HTTP 404, ")
            with pytest.raises(AuthenticationFailed):
                await wait_until_done(client.workflow_run("W", "R"), timeout=600)
        assert transport.requests == []


async def test_what_the_caller_handles_meanwhile_is_left_as_it_is() -> None:
    """Our errors have no frames, which hold answers, and no credential; the caller's own do."""
    key = "pat_0123456789abcdef"
    quoting = TransportError(f"broken: {key}")
    quoting.add_note(key)
    for entry in (status(500), quoting):
        outer = LookupError(key)
        try:
            raise outer
        except LookupError:
            with pytest.raises((ServerError, TransportError)) as caught:
                await CopyAI(always(entry), api_key=key, max_retries=0).start_workflow("W")
        assert caught.value.__context__ is outer
        assert str(outer) == key
        assert key not in f"{caught.value} {vars(caught.value)}"
        for error in (outer, caught.value):
            assert len(traceback.extract_tb(error.__traceback__)) == 1  # this function
