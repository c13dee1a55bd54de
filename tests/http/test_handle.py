"""Tests of a provider's task by its ids: its names, and what a look at it sends and gives."""

from __future__ import annotations

import pytest

from asyncclient import Observation, TaskRef, Vocabulary
from asyncclient._http import Answer, Endpoint, Handle, Response, look_endpoint, refusal_error
from asyncclient._http.call import Account
from asyncclient._ref import task_key
from asyncclient.errors import ServerError
from asyncclient.testing import ScriptedTransport, reply

WORDS = Vocabulary(running="busy", succeeded="done", failed="broken")


class Said(Answer):
    """What is said of a job."""

    status: str


def read(response: Response) -> Said:
    """Read an answer whose body is a status word; any other status than 200 is a refusal."""
    if response.status != 200:
        raise refusal_error(ServerError, response, name="fake.get_job")
    return Said(response.body.decode()).from_response(response)


def observe(said: Said) -> Observation[Said]:
    """See the word, and an interval of its own while the job is busy."""
    hint = 5.0 if said.status == "busy" else None
    return Observation(WORDS.state_of(said.status), said.status, said, hint=hint)


class JobHandle(Handle[Said]):
    """A job by its id."""

    provider = "fake"
    ref_kind = "job"
    group = "jobs"
    vocabulary = WORDS
    _look = look_endpoint(Endpoint("fake.get_job", "GET", read), observe)

    @property
    def ids(self) -> dict[str, str]:
        """The job's id."""
        return {"id": "7"}

    @property
    def _target(self) -> str:
        return "/jobs/7"


def account(*script: Response, name: str | None = None) -> tuple[Account, ScriptedTransport]:
    """Make an account, and the script that it asks."""
    transport = ScriptedTransport(script)
    made = Account(
        transport,
        provider="fake",
        base_url="https://api.example",
        token="s3cret-token",
        argument="token",
        headers=lambda token: {"Authorization": token},
        max_retries=3,
        allow_http=False,
        name=name,
    )
    return made, transport


def test_a_handle_has_the_names_of_its_task_and_its_account() -> None:
    """Its kind, reference, key, budget and repr follow from them, and no credential is in any."""
    acme, _ = account(name="acme")
    handle = JobHandle(acme, 1_700_000_000)
    assert handle.kind == "fake.job"
    assert handle.ref == TaskRef("fake", "job", {"id": "7"}, 1_700_000_000, "acme")
    assert handle.key == task_key(acme.identity, handle.ref) == JobHandle(acme, None).key
    assert handle.key != JobHandle(account(name="zenith")[0], None).key
    assert handle.budget == acme.budget("jobs")
    assert repr(handle) == f"<JobHandle {handle.ref}>"
    assert "s3cret" not in f"{handle!r} {handle.key!r} {handle.budget!r}"


async def test_a_look_is_one_request_and_changes_nothing() -> None:
    """It sends one GET without a body, the next one sends the same, and none is repeated."""
    asked, transport = account(*[reply(b"done")] * 3, *[reply("", status=502)] * 2)
    handle = JobHandle(asked, None)
    first = await handle.poll()
    assert await handle.poll() == (await handle.observe()).result == first
    for look in (handle.poll, handle.observe):
        with pytest.raises(ServerError):
            await look()
    one = transport.requests[0]
    assert transport.requests == [one] * 5
    assert (one.method, one.target, one.body, one.idempotent) == ("GET", "/jobs/7", None, True)


async def test_what_is_read_is_what_a_look_sees() -> None:
    """`read` sends nothing; the body is kept, and what an answer itself asks for goes first."""
    headers = {"Retry-After": "9"}
    for word, hint in (("busy", 5.0), ("done", 9.0)):
        asked, transport = account(reply(word, headers=headers))
        handle = JobHandle(asked, None)
        raw = word.encode()
        seen = await handle.observe()
        assert (seen.state, seen.raw, seen.hint) == (WORDS.state_of(word), raw, hint)
        assert handle.read(raw).state is seen.state
        assert handle.read(raw).raw == raw
        assert handle.read(b"done").hint is None
        assert len(transport.requests) == 1
