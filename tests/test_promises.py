"""Promises of the pure parts that a broken line would break without a sound."""

from __future__ import annotations

import pytest

from asyncclient import TaskState
from asyncclient._decide import Course, Facts, Rules, Sleep
from asyncclient._wire import Response, base_of, error_type, refusal
from asyncclient.errors import ServerError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply


@pytest.mark.parametrize(
    "location",
    ["/login?token=s3cret", "login?token=s3cret", "?token=s3cret", "/login#token=s3cret"],
)
def test_a_redirect_within_the_server_is_told_without_its_query(location: str) -> None:
    """What stands behind the path of a redirect may be a credential, and is not told."""
    error = refusal(error_type(302), Response(302, {"location": location}, b""), name="x.get")
    assert "redirects to" in str(error)
    assert "s3cret" not in f"{error} {error!r} {vars(error)!r}"


@pytest.mark.parametrize("path", ["/ä", "/a{b}", '/a"b', "/a<b>", "/a\\b", "/a|b", "/a^b", "/a`b"])
def test_a_base_url_needs_no_quoting(path: str) -> None:
    """A letter that a path cannot bear is told when the client is made, and not sent as it is."""
    with pytest.raises(ValueError, match="must be quoted"):
        base_of(f"https://api.example.com{path}")


@pytest.mark.parametrize("opening", [b"[", b'{"msg":', b'{"message":', b'{"details":[', b'{"x":'])
@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
async def test_a_refusal_nested_too_deeply_is_the_refusal_of_its_status(
    opening: bytes, depth: int
) -> None:
    """What cannot be read of a refusal leaves the refusal, and is no error of the decoder."""
    transport = ScriptedTransport([reply(opening * depth, status=503)] * 2)
    with pytest.raises(ServerError, match="503"):
        await Coze(transport, token="t", max_retries=0).get_bot("1")
    with pytest.raises(ServerError, match="503"):
        await CopyAI(transport, api_key="k", max_retries=0).get_webhook("1")


@pytest.mark.parametrize("delay", [0.0, -5.0, float("-inf"), float("nan")])
@pytest.mark.parametrize("took", [0.0, 3.0])
def test_a_gap_is_never_nothing(delay: float, took: float) -> None:
    """Whatever a schedule of the caller's own says, a service gets a rest between two polls."""
    course: Course[str] = Course("a job", Rules(), 0.0)
    facts = Facts(TaskState.RUNNING, "running", "running")
    step = course.after_answer(facts, delay=delay, took=took, now=took)
    assert isinstance(step, Sleep)
    assert 0.001 <= step.seconds < 1


def test_a_counter_for_a_status_does_not_fill_the_memory() -> None:
    """Of a provider that never says the same word twice, a few words are kept and told."""
    course: Course[str] = Course("a job", Rules(), 0.0)
    for number in range(1000):
        facts = Facts(None, f"{number} %", "working")
        assert isinstance(course.after_answer(facts, delay=1, took=0, now=number), Sleep)
    assert course.unknown_words == tuple(f"{number} %" for number in range(20))
    assert len(str(course.out_of_time(1000, timeout=1000))) < 500
