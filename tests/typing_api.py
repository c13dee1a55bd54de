"""What type checkers make of the public surface; it is checked by them and never run.

What must not pass has a `type: ignore` on its line: both checkers say when there is nothing to
ignore.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from enum import Enum
from random import Random
from typing import Literal, assert_type

from asyncclient import (
    AsDone,
    Done,
    Handle,
    Observation,
    Poller,
    PollerStats,
    Reading,
    Schedule,
    SessionPool,
    Snapshot,
    Task,
    TaskAPI,
    TaskRef,
    TaskState,
    Vocabulary,
    Watch,
    catalogue,
    decode_ref,
    encode_ref,
    polling_task,
    wait_until_done,
    watch,
)
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    ConnectFailed,
    DecodeError,
    RateLimited,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskFailed,
    WaitTimeout,
)
from asyncclient.providers.copyai import (
    CopyAI,
    WorkflowRun as CopyRun,
    WorkflowRunHandle as CopyRunHandle,
)
from asyncclient.providers.coze import (
    Chat,
    ChatHandle,
    CopyTask,
    CopyTaskHandle,
    Coze,
    DocumentProgress,
    DocumentProgressHandle,
    Workflow,
    WorkflowRun,
    WorkflowRunHandle,
    Workspace,
)

MYPY: bool = False  # mypy takes what has this name for true
WORDS = Vocabulary(running=["busy", 1], succeeded="done", failed={"error", 2})


class Phase(Enum):
    """Words of the user's own, which are no texts."""

    BUSY = "busy"
    DONE = "done"
    ERROR = "error"


PHASES = Vocabulary(running=Phase.BUSY, succeeded=[Phase.DONE], failed="error", ignore_case=True)
READING = Reading(
    "tea.brew",
    PHASES,
    status="phase/end",
    reason=["error.message", "error"],
    progress=lambda answer: answer["percent"],
    source="https://tea.example/docs",
    checked="2026-11-29",
)


async def fetch() -> dict[str, str]:
    """Ask an API."""
    return {"status": "busy"}


class Job:
    """A task of the user's own, which derives from nothing."""

    key: Hashable = "job"
    kind: str = "job"

    async def observe(self) -> Observation[list[int]]:
        """Look once."""
        return Observation(TaskState.RUNNING, 1, [1], progress=0.5)


async def handles_know_what_they_end_with() -> None:
    """Waiting for a provider's task gives that task's typed answer, and a pool is its context."""
    proxy: str | None = None
    async with SessionPool(proxy=proxy, trust_env=False, headers={"User-Agent": "x"}) as pool:
        assert_type(pool, SessionPool)
    coze = Coze(pool, token="pat_x", base_url=Coze.CN)
    copyai = CopyAI(pool, api_key="x")
    assert_type(Coze.from_env(pool), Coze)
    assert_type(CopyAI.from_env(pool), CopyAI)

    run = await coze.start_workflow("7350", {"topic": "tea"})
    assert_type(run, WorkflowRunHandle)
    assert_type(await wait_until_done(run), WorkflowRun)
    assert_type(await run.poll(), WorkflowRun)
    assert_type(await run.observe(), Observation[WorkflowRun])
    assert_type(run.read(b"{}"), Observation[WorkflowRun])
    assert_type(run.ref, TaskRef)
    found = coze.task(run.ref)
    assert_type(found, Handle[WorkflowRun | CopyTask | Chat | DocumentProgress])
    assert_type(await wait_until_done(found), WorkflowRun | CopyTask | Chat | DocumentProgress)
    assert_type(found.ref, TaskRef)
    if isinstance(answer := await wait_until_done(found), WorkflowRun):
        assert_type(answer.outputs, object)

    chat = await coze.start_chat("7350", user_id="me")
    assert_type(chat, ChatHandle)
    assert_type(await wait_until_done(chat, timeout=60, on_cancel="cancel"), Chat)
    assert_type(await wait_until_done(coze.copy_task("7350")), CopyTask)
    assert_type(coze.copy_task("7350"), CopyTaskHandle)
    documents = coze.document_progress("7442", ("1", "2"))
    assert_type(documents, DocumentProgressHandle)
    assert_type((await wait_until_done(documents)).documents[0].status, int | str | None)
    assert_type([one async for one in coze.iter_workspaces()], list[Workspace])
    async for workspace in coze.iter_workspaces():
        flows = [one async for one in coze.iter_workflows(workspace.id)]
        assert_type(flows, list[Workflow])
        assert_type(await coze.start_workflow(flows[0].workflow_id), WorkflowRunHandle)

    job = await copyai.start_workflow("WCFG-1", {"Input 1": "tea"})
    assert_type(job, CopyRunHandle)
    assert_type(await wait_until_done(job), CopyRun)
    assert_type((await wait_until_done(job)).outputs, dict[str, object])


async def functions_know_what_they_return() -> None:
    """Waiting for a function, or for a class with the right methods, gives its answer."""
    done = await wait_until_done(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert_type(done, dict[str, str])
    assert_type(READING.read(done).state, TaskState | None)
    assert_type(READING.read(done).reason, str | None)
    assert_type(catalogue.ALL["dbt.run"], Reading)
    by_member = await wait_until_done(
        fetch, vocabulary=PHASES, status=lambda answer: Phase(answer["status"])
    )
    assert_type(by_member, dict[str, str])

    task = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer.get("status"))
    assert_type(await wait_until_done(task), dict[str, str])
    assert_type(await task.poll(), dict[str, str])
    assert_type(await task.observe(), Observation[dict[str, str]])
    assert_type(task.key, Hashable)

    async def stop() -> None: ...

    durable = polling_task(
        fetch,
        vocabulary=WORDS,
        status=lambda answer: answer["status"],
        budget=("acme", "mine", "jobs"),
        ref=TaskRef("acme", "job", {"id": "7"}),
        cancel=stop,
    )
    assert_type(await wait_until_done(durable, on_timeout="cancel"), dict[str, str])
    assert_type(durable.ref, TaskRef | None)

    job: Task[list[int]] = Job()
    assert_type(await wait_until_done(Job()), list[int])
    assert_type(await wait_until_done(job), list[int])


async def looks_are_typed(run: Task[WorkflowRun]) -> None:
    """What a look saw has the type of the task's answer, and the rest its own."""
    seen = await run.observe()
    assert_type(seen, Observation[WorkflowRun])
    assert_type(seen.state, TaskState | None)
    assert_type(seen.word, str | int | None)
    assert_type(seen.result, WorkflowRun)
    assert_type(seen.raw, bytes | None)
    assert_type(seen.reason, str | None)
    assert_type(seen.progress, float | None)
    assert_type(seen.demand, Hashable)
    assert_type(seen.hint, float | None)
    assert_type(seen.took, float | None)
    assert_type(Observation(None, None, 7), Observation[int])


def what_is_read_is_covariant(
    run: Task[WorkflowRun], handle: WorkflowRunHandle, seen: Observation[bool], kept: Snapshot[bool]
) -> tuple[
    Task[object],
    Task[WorkflowRun | CopyRun],
    Task[object],
    Handle[object],
    Task[Mapping[str, str]],
    Observation[int],
    Snapshot[int],
]:
    """Answers are read and never passed in: tasks, handles, looks and snapshots may be wider."""
    made = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    return run, run, handle, handle, made, seen, kept


def a_task_of_another_answer_is_a_mistake(
    anything: Task[object], other: Task[CopyRun]
) -> Iterator[Task[WorkflowRun]]:
    """A wider answer does not fit, nor another provider's, though it has the same name."""
    yield anything  # type: ignore[misc]
    yield other  # type: ignore[misc]


async def changes_are_typed(run: WorkflowRunHandle) -> None:
    """`watch` yields snapshots of the task's answers, and callbacks get the same."""
    changes = watch(run)
    assert_type(changes, Watch[WorkflowRun])
    iterator: AsyncIterator[Snapshot[WorkflowRun]] = changes
    async for snapshot in iterator:
        assert_type(snapshot, Snapshot[WorkflowRun])
        assert_type(snapshot.state, TaskState | None)
        assert_type(snapshot.word, str | int | None)
        assert_type(snapshot.result, WorkflowRun)
        assert_type(snapshot.progress, float | None)
        assert_type(snapshot.raw, bytes | None)
        assert_type(snapshot.polls, int)
        assert_type(snapshot.elapsed, float)
    assert_type(watch(run, timeout=60, unknown="raise"), Watch[WorkflowRun])
    made = watch(fetch, vocabulary=WORDS, status=lambda found: found["status"])
    assert_type(made, Watch[dict[str, str]])

    def show(snapshot: Snapshot[WorkflowRun]) -> None:
        assert_type(snapshot.result.outputs, object)

    async def resume(snapshot: Snapshot[WorkflowRun]) -> None:
        assert_type(snapshot.result, WorkflowRun)

    assert_type(await wait_until_done(run, on_change=show, on_blocked=resume), WorkflowRun)


def states_and_words_are_typed(state: TaskState, word: str | None) -> str:
    """States are texts, a vocabulary may not know a word, and a `match` needs no default."""
    assert_type(state.is_terminal, bool)
    text: str = state
    assert_type(WORDS.state_of(word), TaskState | None)
    assert_type(WORDS.state_of(text), TaskState | None)
    assert_type(WORDS.words, Mapping[str | int, TaskState])
    match state:
        case TaskState.PENDING | TaskState.RUNNING:
            return "wait"
        case TaskState.BLOCKED:
            return "act"
        case TaskState.SUCCEEDED:
            return "use"
        case TaskState.FAILED | TaskState.CANCELLED | TaskState.EXPIRED:
            return "mourn"


async def any_api_is_typed(pool: SessionPool, reading: Reading, poller: Poller) -> None:
    """A task of any API ends with its whole answer, whose type the caller knows."""

    async def headers() -> Mapping[str, str]:
        return {"X-Key": "k"}

    acme = TaskAPI(pool, "https://api.acme.example", name="acme", headers=headers, hosts=["*.b.ai"])
    started = await acme.post("/jobs", {"topic": "tea"})
    status, sent, body = await acme.request("DELETE", "/jobs/7")
    assert_type(status, int)
    assert_type(sent, Mapping[str, str])
    task = acme.task(started["urls"]["get"], reading, cancel="DELETE /jobs/7")
    answers: list[dict[str, str]] = [
        body,
        await acme.get("/jobs"),
        await wait_until_done(task),
        await poller.wait(task),
        await task.poll(),
    ]
    assert_type(answers[0], dict[str, str])
    assert_type(task.ref, TaskRef)
    again: Task[object] = acme.task(task.ref)
    assert_type(again.key, Hashable)
    assert_type(acme.task("/query", reading, method="POST", body={"id": 7}).ref, TaskRef | None)
    acme.task(started)
    acme.task("/jobs/7")  # type: ignore[call-overload]


def references_are_typed(coze: Coze, copyai: CopyAI, ref: TaskRef) -> None:
    """A reference is written as text and read back; it leads to the very handle that ids do."""
    assert_type(encode_ref(ref), str)
    assert_type(decode_ref(encode_ref(ref)), TaskRef)
    assert_type(ref.ids, dict[str, str])
    assert_type(ref.created, int | None)
    assert_type(ref.account, str | None)
    assert_type(coze.workflow_run(ref), WorkflowRunHandle)
    assert_type(coze.workflow_run("1", "2"), WorkflowRunHandle)
    assert_type(coze.workflow_run(workflow_id="1", execute_id="2"), WorkflowRunHandle)
    assert_type(coze.copy_task(ref), CopyTaskHandle)
    assert_type(coze.copy_task(task_id="1"), CopyTaskHandle)
    assert_type(coze.document_progress(ref), DocumentProgressHandle)
    assert_type(coze.chat(ref), ChatHandle)
    assert_type(coze.chat(conversation_id="1", chat_id="2"), ChatHandle)
    assert_type(copyai.workflow_run(ref), CopyRunHandle)
    assert_type(copyai.workflow_run(workflow_id="1", run_id="2"), CopyRunHandle)
    assert_type(copyai.task(ref), CopyRunHandle)


def a_reference_stands_alone(coze: Coze, copyai: CopyAI, ref: TaskRef) -> None:
    """Ids come in pairs, and a reference brings all of them: half of either is a mistake."""
    coze.workflow_run("1")  # type: ignore[call-overload]
    coze.workflow_run(ref, "2")  # type: ignore[call-overload]
    coze.workflow_run("1", ref)  # type: ignore[call-overload]
    coze.workflow_run(ref, None)  # type: ignore[call-overload]
    coze.workflow_run(workflow_id=ref)  # type: ignore[call-overload]
    coze.copy_task(ref, "2")  # type: ignore[call-arg]
    coze.copy_task(7)  # type: ignore[arg-type]
    coze.document_progress("1")  # type: ignore[call-overload]
    coze.chat("1")  # type: ignore[call-overload]
    coze.chat(ref, "2")  # type: ignore[call-overload]
    copyai.workflow_run("1")  # type: ignore[call-overload]
    copyai.workflow_run(ref, "2")  # type: ignore[call-overload]


async def errors_carry_typed_evidence(wait: Callable[[], Awaitable[object]]) -> None:
    """What an `except` clause reads of an error has its type."""
    try:
        await wait()
    except (ConnectFailed, DecodeError) as error:
        assert_type(error, ConnectFailed | DecodeError)
        assert_type(error.may_have_started, bool)
    except RateLimited as error:
        assert_type(error.retry_after, float | None)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.code, int | str | None)
        assert_type(error.message, str)
        assert_type(error.log_id, str | None)
    except (TaskFailed, TaskCancelled) as error:
        assert_type(error.snapshot, Snapshot[object])
        assert_type(error.snapshot.result, object)
    except (TaskExpired, TaskError) as error:
        assert_type(error.snapshot, Snapshot[object] | None)
    except WaitTimeout as error:
        timeout: TimeoutError = error
        assert_type(error.retry_after, float | None)
        raise timeout from None
    except AsyncClientError as error:
        assert_type(error.ref, TaskRef | None)
        assert_type(error.snapshot, Snapshot[object] | None)
        assert_type(error.polls, int)
        assert_type(error.elapsed, float)
        assert_type(error.last_error, BaseException | None)


def evidence_is_given_and_may_be_missing(
    error: AsyncClientError,
    failed: TaskFailed,
    expired: TaskExpired,
    snapshot: Snapshot[WorkflowRun] | None,
) -> Iterator[object]:
    """A wait gives an error its snapshot, which is looked at before it is used."""
    yield error.snapshot.result  # type: ignore[union-attr]
    yield expired.snapshot.result  # type: ignore[union-attr]
    yield failed.snapshot.result
    error.snapshot = snapshot
    failed.snapshot = snapshot
    failed.snapshot = "done"  # type: ignore[assignment]


async def options_are_words(run: WorkflowRunHandle, unknown: Literal["wait", "raise"]) -> None:
    """An option of a few words is typed so, and a schedule, of seconds, is one by its shape."""
    assert_type(Schedule().delays(Random(1)), Iterator[float])

    class EverySecond:
        def delays(self, rng: Random | None = None) -> Iterator[float]:
            while rng is None or rng.random() >= 0:
                yield 1.0

    await wait_until_done(run, unknown=unknown, on_cancel="leave", schedule=EverySecond())


async def many_waits(poller: Poller, run: WorkflowRunHandle, copied: CopyRunHandle) -> None:
    """A Poller gives what the task's own answer is, alone and in a crowd."""
    async with Poller(rate={"coze": 50}, concurrency=10, schedule=Schedule()) as made:
        assert_type(made, Poller)
    assert_type(await poller.wait(run, timeout=60.0, weight=2.0), WorkflowRun)
    assert_type(await poller.wait(Job()), list[int])
    assert_type(poller.as_done([run]), AsDone[WorkflowRun])
    async with poller.as_done([copied], timeout=5) as ends:
        async for done in ends:
            assert_type(done, Done[CopyRun])
            assert_type(done.result, CopyRun | None)
            assert_type(done.value, CopyRun)
            assert_type(done.value.outputs, dict[str, object])
            assert_type(done.error, Exception | None)
            assert_type(done.state, TaskState | None)
    assert_type(poller.wake(run.key), bool)
    assert_type(poller.wake(run.ref), bool)
    assert_type(poller.stats(), PollerStats)


async def shared_waits_report_what_their_task_answers(
    poller: Poller, run: WorkflowRunHandle, either: Task[WorkflowRun | CopyRun]
) -> None:
    """The callbacks of each wait take snapshots of its own task, or of anything wider."""

    def show(snapshot: Snapshot[WorkflowRun]) -> None:
        assert_type(snapshot.result.outputs, object)

    async def answer(snapshot: Snapshot[WorkflowRun]) -> None:
        assert_type(snapshot.result, WorkflowRun)

    def log(snapshot: Snapshot[object]) -> int:
        return snapshot.polls

    assert_type(await poller.wait(run, on_change=show, on_blocked=answer), WorkflowRun)
    assert_type(await poller.wait(run, on_change=log, on_blocked=log), WorkflowRun)
    assert_type(await poller.wait(either, on_change=log), WorkflowRun | CopyRun)
    assert_type(await poller.wait(Job(), on_change=lambda now: now.result[0]), list[int])
    assert_type(
        await poller.wait(
            run,
            timeout=60,
            weight=2,
            unknown="raise",
            on_cancel="cancel",
            on_timeout="cancel",
            poll_timeout=5,
            max_outage=60,
        ),
        WorkflowRun,
    )
    changes = poller.watch(run, timeout=60, weight=2, on_blocked=answer, on_cancel="cancel")
    assert_type(changes, Watch[WorkflowRun])
    iterator: AsyncIterator[Snapshot[WorkflowRun]] = changes
    async for snapshot in iterator:
        assert_type(snapshot.result, WorkflowRun)
    async with aclosing(poller.watch(either)) as closed:
        assert_type(closed, Watch[WorkflowRun | CopyRun])


async def callbacks_of_another_task_are_a_mistake(
    poller: Poller, run: WorkflowRunHandle, show: Callable[[Snapshot[CopyRun]], None]
) -> None:
    """So is a word that an option does not have, what is no function, and what is no task."""
    await poller.wait(run, on_change=show)  # type: ignore[arg-type]
    await poller.wait(run, on_blocked=show)  # type: ignore[arg-type]
    await poller.wait(run, on_change="log")  # type: ignore[arg-type]
    await poller.wait(run, unknown="maybe")  # type: ignore[arg-type]
    await poller.wait(run, on_cancel="raise")  # type: ignore[arg-type]
    poller.watch(run, on_blocked=show)  # type: ignore[arg-type]
    poller.watch(run, on_timeout="raise")  # type: ignore[arg-type]
    poller.watch(run, on_change=print)  # type: ignore[call-arg]
    poller.watch(fetch)  # type: ignore[arg-type]


async def tasks_of_several_answers(
    poller: Poller, run: WorkflowRunHandle, copied: CopyRunHandle, chat: ChatHandle
) -> None:
    """Each end of a tuple has any of its answers; of a list, mypy takes what all have in common."""
    job = Job()
    made = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert_type(poller.as_done((run, copied)), AsDone[WorkflowRun | CopyRun])
    assert_type(poller.as_done(tasks=(run, copied)), AsDone[WorkflowRun | CopyRun])
    assert_type(poller.as_done((run, job), timeout=5), AsDone[WorkflowRun | list[int]])
    assert_type(poller.as_done((run, made, job)), AsDone[WorkflowRun | dict[str, str] | list[int]])
    assert_type(poller.as_done((run,)), AsDone[WorkflowRun])

    runs, mixed = poller.as_done([run, copied]), poller.as_done([run, made, job])
    assert_type(mixed, AsDone[object])  # pyright: ignore[reportAssertTypeFailure]
    if not MYPY:
        assert_type(runs, AsDone[WorkflowRun | CopyRun])
        assert_type(mixed, AsDone[WorkflowRun | dict[str, str] | list[int]])
        assert_type(poller.as_done(tasks=[run, job]), AsDone[WorkflowRun | list[int]])
    wider: list[AsDone[object]] = [runs, mixed]
    async for each in wider[0]:
        assert_type(each.task.key, Hashable)
        if isinstance(each.result, CopyRun):
            assert_type(each.result.outputs, dict[str, object])
    assert_type(poller.as_done([run, run]), AsDone[WorkflowRun])
    assert_type(poller.as_done(tasks=[job, job]), AsDone[list[int]])

    either: list[Task[WorkflowRun | CopyRun]] = [run, copied]
    every: list[Task[object]] = [run, copied, chat, job]
    assert_type(poller.as_done(either), AsDone[WorkflowRun | CopyRun])
    assert_type(poller.as_done(every), AsDone[object])
    assert_type(await poller.wait(either[0]), WorkflowRun | CopyRun)
    assert_type(await wait_until_done(every[0]), object)


def tasks_alone_can_be_waited_for(poller: Poller, run: WorkflowRunHandle) -> None:
    """What holds no tasks is a mistake, and so is a task outside of any list."""
    poller.as_done([3])  # type: ignore[arg-type]
    poller.as_done((run, 3))  # type: ignore[arg-type]
    poller.as_done(run)  # type: ignore[call-overload]
    poller.as_done([run], 5.0)  # type: ignore[call-overload]


def many_are_handed_on(
    poller: Poller,
    tasks: Iterable[Task[CopyRun]] | AsyncIterable[Task[CopyRun]],
    jobs: AsyncIterator[Job],
) -> AsDone[object]:
    """Tasks keep their type, from an async iterable too, and ends are covariant as tasks are."""
    assert_type(poller.as_done(jobs), AsDone[list[int]])
    assert_type(poller.as_done(tasks=tasks), AsDone[CopyRun])
    return poller.as_done(tasks)
