"""Tests of `watch`: one snapshot for each change, the same ends as a wait, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math

import anyio
import pytest

from asyncclient import Schedule, Snapshot, TaskState, Watch, polling_task, watch
from asyncclient.errors import (
    NotFound,
    PermissionDenied,
    ServerError,
    TaskBlocked,
    TaskExpired,
    UnknownStatus,
    WaitTimeout,
)
from asyncclient.testing import ScriptedTransport
from tests.waiting.scenario import (
    WORDS,
    Entry,
    Job,
    Notes,
    Report,
    ends_at,
    other_tasks,
    run_of,
    run_says,
)

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


async def words_of(watched: Watch[Report]) -> list[str | int | None]:
    """Return the words of a watch's snapshots up to its end."""
    return [snapshot.word async for snapshot in watched]


async def follow(watched: Watch[Report], notes: Notes[Report]) -> None:
    """Call a callback with each snapshot of a watch."""
    async for snapshot in watched:
        notes(snapshot)


async def test_there_is_one_snapshot_for_each_change_of_word() -> None:
    """Answers that say the same as the one before are not shown; success is the last one shown."""
    job = Job("queued", "queued", "running", "running", "running", "done")
    snapshots = [snapshot async for snapshot in watch(job, schedule=EVERY_SECOND)]
    assert [(shown.word, shown.polls, shown.elapsed) for shown in snapshots] == [
        ("queued", 1, 0),
        ("running", 3, 2),
        ("done", 6, 5),
    ]
    assert [shown.state for shown in snapshots] == [
        TaskState.PENDING,
        TaskState.RUNNING,
        TaskState.SUCCEEDED,
    ]
    assert snapshots[-1].result == Report("done")


async def test_a_change_of_progress_is_a_change() -> None:
    """The same word with another progress is shown; without one, or the same, it is not."""
    job = Job(
        Report("running", progress=0.0),
        Report("running", progress=0.0),
        Report("running", progress=0.5),
        Report("running", progress=None),
        "running",
        Report("running", progress=1),
        Report("running", progress=1.0),
        "done",
    )
    shown = [(snapshot.progress, snapshot.polls) async for snapshot in watch(job)]
    assert shown == [(0.0, 1), (0.5, 3), (None, 4), (1, 6), (None, 8)]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
async def test_a_progress_that_is_no_number_is_no_progress(odd: float) -> None:
    """NaN, which differs from itself, does not make a change of every answer."""
    job = Job(*[Report("running", progress=odd)] * 5, "done")
    shown = [(snapshot.word, snapshot.progress) async for snapshot in watch(job)]
    assert shown == [("running", None), ("done", None)]


async def test_a_word_that_comes_back_is_shown_again() -> None:
    """A task that is queued again after it was at work is shown so, and odd words are too."""
    job = Job("running", "queued", "odd", "even", "running", "done")
    assert await words_of(watch(job)) == ["running", "queued", "odd", "even", "running", "done"]


async def test_a_missing_word_is_a_change() -> None:
    """An answer without a word is shown once, with no state."""
    job = Job("running", None, None, "running", "done")
    snapshots = [snapshot async for snapshot in watch(job)]
    assert [shown.word for shown in snapshots] == ["running", None, "running", "done"]
    assert snapshots[1].state is None


async def test_failed_polls_are_not_changes() -> None:
    """A fault between two equal answers shows nothing, but is counted."""
    job = Job("running", ServerError("503", status=503), "running", "done")
    shown = [(snapshot.word, snapshot.polls) async for snapshot in watch(job)]
    assert shown == [("running", 1), ("done", 4)]


async def test_a_mutable_answer_may_be_the_same_object_each_time() -> None:
    """A fetch function that returns one object which it changes still shows each change."""
    answer: dict[str, str] = {"status": "queued"}
    words = iter(["queued", "running", "running", "done"])

    async def fetch() -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        answer["status"] = next(words)
        return answer

    task = polling_task(fetch, vocabulary=WORDS, status=lambda said: said["status"])
    assert [shown.word async for shown in watch(task)] == ["queued", "running", "done"]


@pytest.mark.parametrize("word", ["broken", "stopped", "gone"])
async def test_a_bad_end_is_shown_as_the_last_snapshot(word: str) -> None:
    """A task that ends badly ends the iteration too: its last snapshot says how."""
    watched = watch(Job("queued", Report(word, reason="out of tea")))
    snapshots = [snapshot async for snapshot in watched]
    assert [shown.word for shown in snapshots] == ["queued", word]
    assert snapshots[-1].state is not None
    assert snapshots[-1].state.is_terminal
    assert snapshots[-1].result.reason == "out of tea"
    assert await words_of(watched) == []


ENDS: dict[str, tuple[Entry, type[Exception], list[str]]] = {
    "blocked": ("asks", TaskBlocked, ["queued", "asks"]),
    "forgotten": (NotFound("404", status=404), TaskExpired, ["queued"]),
    "refused": (PermissionDenied("no", status=403), PermissionDenied, ["queued"]),
    "foreign": (ZeroDivisionError(), ZeroDivisionError, ["queued"]),
    "timeout": ("running", WaitTimeout, ["queued", "running"]),
}


@pytest.mark.parametrize(("entry", "kind", "words"), ENDS.values(), ids=ENDS)
async def test_what_is_no_end_of_the_task_is_raised(
    entry: Entry, kind: type[Exception], words: list[str]
) -> None:
    """Such an end is raised after the changes before it were shown, and the iteration is over."""
    notes: Notes[Report] = Notes()
    watched = watch(Job("queued", entry), timeout=30)
    with pytest.raises(kind):
        await follow(watched, notes)
    assert notes.words == words
    with pytest.raises(StopAsyncIteration):
        await anext(watched)


async def test_an_unknown_word_is_raised_to_the_strict() -> None:
    """With `unknown="raise"` a word in no vocabulary ends the iteration."""
    with pytest.raises(UnknownStatus, match="'odd'"):
        await words_of(watch(Job("running", "odd"), unknown="raise"))


async def test_nothing_is_asked_after_the_end() -> None:
    """A finished watch stays finished and sends nothing more."""
    job = Job("done")
    watched = watch(job)
    assert await words_of(watched) == ["done"]
    assert await words_of(watched) == []
    assert len(job.polls) == 1


async def test_nothing_is_asked_before_the_first_step() -> None:
    """Making a watch sends nothing, and its timeout runs from the first step."""
    job = Job(ends_at(1009))
    watched = watch(job, timeout=10)
    await anyio.sleep(1000)
    assert job.polls == []
    assert await words_of(watched) == ["running", "done"]
    assert job.sent[0] == 1000


async def test_the_timeout_runs_from_the_first_step() -> None:
    """It bounds the steps together, not each of them."""
    watched = watch(Job(*["queued", "running"] * 99), timeout=10, schedule=EVERY_SECOND)
    await anyio.sleep(100)
    with pytest.raises(WaitTimeout) as caught:
        await words_of(watched)
    assert anyio.current_time() == 110
    assert caught.value.elapsed == 10


async def test_following_a_task_is_finite_by_default() -> None:
    """A task that never ends is followed for ten minutes where no timeout is given."""
    began = anyio.current_time()
    with pytest.raises(WaitTimeout, match="within 600 s"):
        async for _ in watch(Job("running")):
            pass
    assert anyio.current_time() - began == pytest.approx(600, abs=1)


async def test_each_step_may_be_another_asyncio_task() -> None:
    """A watch may be carried from task to task, as a web framework or a merge of streams does."""
    watched = watch(Job("queued", "running", "running", "done"), schedule=EVERY_SECOND)
    words: list[object] = []
    while True:
        step = asyncio.create_task(_step(watched))
        try:
            words.append((await step).word)
        except StopAsyncIteration:
            pytest.fail("the end must be seen by a value here: a task cannot raise it")
        if words[-1] == "done":
            break
    assert words == ["queued", "running", "done"]
    assert await words_of(watched) == []
    assert anyio.current_time() == 3


async def _step(watched: Watch[Report]) -> Snapshot[Report]:
    return await anext(watched)


async def test_a_step_within_a_scope_leaves_the_next_one_alone() -> None:
    """A scope around one step does not reach into the next, in the same or another task."""
    watched = watch(Job("queued", "running", "done"), schedule=EVERY_SECOND)
    with anyio.fail_after(0.5):
        await anext(watched)
    await anyio.sleep(0.75)
    with anyio.fail_after(0.5):
        assert (await asyncio.create_task(_step(watched))).word == "running"
    assert await words_of(watched) == ["done"]


async def test_leaving_the_loop_leaves_nothing_behind() -> None:
    """After a `break` there is no pending task, no timer that polls, and no warning."""
    before = other_tasks()
    job = Job("queued", "running", "done")
    async for snapshot in watch(job, schedule=EVERY_SECOND):
        if snapshot.word == "running":
            break
    assert other_tasks() == before
    await anyio.sleep(1000)
    gc.collect()
    assert len(job.polls) == 2


async def test_a_slow_consumer_does_not_shift_the_schedule() -> None:
    """The gap to the next poll counts from the last poll, whatever the consumer does meanwhile."""
    job = Job(*["queued", "running"] * 3, "done")
    async for _ in watch(job, schedule=Schedule(4, 1, 4, 0)):
        await anyio.sleep(3)
    assert job.sent == [0, 4, 8, 12, 16, 20, 24]


async def test_a_very_slow_consumer_gets_the_newest_answer() -> None:
    """After a step that outlasted the gap the next poll is sent at once, and just one."""
    job = Job("queued", ends_at(50), "never asked for")
    times: list[float] = []
    async for _ in watch(job, schedule=EVERY_SECOND):
        times.append(anyio.current_time())
        await anyio.sleep(60)
    assert times == [0, 60]
    assert job.sent == [0, 60]


@pytest.mark.parametrize("gap", [1, 20, 99])
@pytest.mark.parametrize("latency", [0.0, 0.1, 1.0])
async def test_a_consumer_slower_than_the_timeout_still_gets_the_end(
    latency: float, gap: float
) -> None:
    """A task that ended in time is shown, although the consumer asked for it after the deadline."""
    job = Job(ends_at(5), latency=latency)
    words: list[object] = []
    async for snapshot in watch(job, timeout=30, schedule=Schedule(gap, 1, gap, 0)):
        words.append(snapshot.word)
        await anyio.sleep(60)
    assert words == ["running", "done"]
    assert len(job.polls) == 2


async def test_a_consumer_slower_than_the_timeout_gets_the_timeout() -> None:
    """A task that has not ended is asked once more after the deadline, and is then given up."""
    job = Job("running", latency=0.1)

    async def step_slowly() -> None:
        async for _ in watch(job, timeout=30, schedule=EVERY_SECOND):
            await anyio.sleep(60)

    with pytest.raises(WaitTimeout):
        await step_slowly()
    assert len(job.polls) == 2
    assert anyio.current_time() < 60.5


async def test_a_cancelled_step_ends_the_watch() -> None:
    """As with any async generator, cancelling a step ends the iteration, and sends nothing more."""
    job = Job("queued", "running", latency=[0, math.inf])
    watched = watch(job, schedule=EVERY_SECOND)
    await anext(watched)
    with anyio.move_on_after(5) as scope:
        await anext(watched)
    assert scope.cancelled_caught
    assert anyio.current_time() == 5
    assert await words_of(watched) == []
    assert len(job.polls) == 2


async def test_two_consumers_of_one_watch_are_refused() -> None:
    """A step while another is under way is refused, not taken for the end of the task."""
    watched = watch(Job("running", "done"), schedule=EVERY_SECOND)
    await anext(watched)
    first = asyncio.create_task(_step(watched))
    await anyio.sleep(0.5)
    with pytest.raises(RuntimeError, match="already"):
        await anext(watched)
    assert (await first).word == "done"


async def test_watches_run_side_by_side() -> None:
    """A hundred watches in one loop take as long as the longest, each with its own polls."""
    jobs = [Job(*["running"] * number, "done") for number in range(1, 101)]
    ends = await asyncio.gather(*(words_of(watch(job, schedule=EVERY_SECOND)) for job in jobs))
    assert ends == [["running", "done"]] * 100
    assert [len(job.polls) for job in jobs] == [*range(2, 102)]
    assert anyio.current_time() == 100


async def test_a_watch_is_its_own_iterator() -> None:
    """`aiter` of a watch is the watch, so that it can be stepped and looped over by turns."""
    watched = watch(Job("queued", "running", "done"))
    assert aiter(watched) is watched
    assert (await anext(watched)).word == "queued"
    assert await words_of(watched) == ["running", "done"]


async def test_a_closed_over_watch_needs_no_closing() -> None:
    """A watch that is dropped between two steps, or never stepped, leaves no warning."""
    with contextlib.suppress(StopAsyncIteration):
        await anext(watch(Job("queued", "running")))
    watch(Job("queued"))
    gc.collect()
    assert len(asyncio.all_tasks()) == 1 + len(other_tasks())


async def test_a_snapshot_keeps_the_raw_answer() -> None:
    """A provider's snapshots have the answer as it came, for what is not modelled."""
    transport = ScriptedTransport(
        [run_says("Running", {"extra": 1}), run_says("Success", {"extra": 2})]
    )
    raws = [snapshot.raw async for snapshot in watch(run_of(transport))]
    assert raws[0] is not None
    assert b'"extra":1' in raws[0]
    assert raws[1] is not None
    assert b'"extra":2' in raws[1]


@pytest.mark.parametrize("result", [None, 0, "", False, [], {}], ids=repr)
async def test_a_falsy_result_is_a_result(result: object) -> None:
    """What a fetch function returns is shown as it is, also when it is nothing."""

    async def fetch() -> object:
        await anyio.lowlevel.checkpoint()
        return result

    task = polling_task(fetch, vocabulary=WORDS, status=lambda _: "done")
    (snapshot,) = [snapshot async for snapshot in watch(task)]
    assert snapshot.result is result
