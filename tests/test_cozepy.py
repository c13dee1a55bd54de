"""The simulator against Coze's official SDK, which checks every answer against its own models."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from asyncclient.testing import Simulator
from asyncclient.testing.pytest_plugin import real_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

with warnings.catch_warnings(record=True):
    # Importing it warns of a dependency of its own, whatever the filters say.
    cozepy = pytest.importorskip("cozepy")

# The SDK waits by itself, in a thread: on the real clock.
pytestmark = [pytest.mark.anyio, real_time]

_SOON = {"simulate": {"seconds": 0.03}}
_SOON_TEXT = {"simulate": '{"seconds":0.03}'}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Run a simulator."""
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sync_coze(sim: Simulator) -> Iterator[Any]:
    """Make the SDK's synchronous client."""
    auth = cozepy.TokenAuth("pat_simulator")
    with cozepy.SyncHTTPClient() as http:
        yield cozepy.Coze(auth=auth, base_url=sim.coze_url, http_client=http)


@pytest.fixture
async def async_coze(sim: Simulator) -> AsyncIterator[Any]:
    """Make the SDK's asynchronous client, whose sockets only its caller can close."""
    auth = cozepy.AsyncTokenAuth("pat_simulator")
    async with cozepy.AsyncHTTPClient() as http:
        yield cozepy.AsyncCoze(auth=auth, base_url=sim.coze_url, http_client=http)


async def test_the_sync_sdk_follows_a_run(sync_coze: Any) -> None:
    """It starts a run in either shape of answer and polls it from Running to Success."""

    def follow() -> list[str]:
        runs = sync_coze.workflows.runs
        started = runs.create(
            workflow_id="7350",
            parameters={"simulate": {"seconds": 0.03, "words": ["Running"]}},
            is_async=True,
        )
        words: list[str] = []
        while "Success" not in words:
            history = runs.run_histories.retrieve(
                workflow_id="7350", execute_id=started.execute_id or ""
            )
            words.append(history.execute_status.value)
            time.sleep(0.005)
        return words

    for _ in range(2):
        words = await anyio.to_thread.run_sync(follow)
        assert words[0] == "Running"
        assert words[-1] == "Success"


async def test_the_sync_sdk_runs_a_workflow_to_its_end(sync_coze: Any) -> None:
    """A synchronous run gives it the output as text, in either shape of answer."""

    def run() -> Any:
        return sync_coze.workflows.runs.create(workflow_id="7350", parameters=_SOON).data

    for _ in range(2):
        assert await anyio.to_thread.run_sync(run) == '{"output":{}}'


async def test_the_sync_sdk_chats(sync_coze: Any) -> None:
    """It creates a chat, retrieves it until completed, and lists its messages."""

    def chat() -> list[str]:
        chats = sync_coze.chat
        created = chats.create(bot_id="1", user_id="u", custom_variables=_SOON_TEXT)
        while created.status == cozepy.ChatStatus.IN_PROGRESS:
            time.sleep(0.005)
            created = chats.retrieve(conversation_id=created.conversation_id, chat_id=created.id)
        assert created.status == cozepy.ChatStatus.COMPLETED
        ids = {"conversation_id": created.conversation_id, "chat_id": created.id}
        return [str(message.type.value) for message in chats.messages.list(**ids)]

    assert await anyio.to_thread.run_sync(chat) == ["answer", "verbose"]


async def test_the_sync_sdk_cancels_a_chat(sync_coze: Any) -> None:
    """Cancelling answers a chat that it can read, and a second time its error with the code."""

    def cancel() -> tuple[str, int | None]:
        chat = sync_coze.chat.create(bot_id="1", user_id="u")
        ids = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
        word = sync_coze.chat.cancel(**ids).status.value
        with pytest.raises(cozepy.CozeAPIError) as caught:
            sync_coze.chat.cancel(**ids)
        return word, caught.value.code

    assert await anyio.to_thread.run_sync(cancel) == ("canceled", 4104)


async def test_the_sync_sdk_answers_tool_calls(sync_coze: Any) -> None:
    """It reads the action that a chat requires, submits the outputs, and the chat goes on."""

    def submit() -> Any:
        order = {"simulate": '{"seconds":0,"outcome":"interrupt"}'}
        chat = sync_coze.chat.create(bot_id="1", user_id="u", custom_variables=order)
        ids = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
        action = sync_coze.chat.retrieve(**ids).required_action
        assert action is not None
        assert action.submit_tool_outputs is not None
        outputs = [
            cozepy.ToolOutput(tool_call_id=call.id, output="sunny")
            for call in action.submit_tool_outputs.tool_calls
        ]
        sync_coze.chat.submit_tool_outputs(
            conversation_id=chat.conversation_id,
            chat_id=chat.id,
            tool_outputs=outputs,
            stream=False,
        )
        return sync_coze.chat.retrieve(**ids)

    assert (await anyio.to_thread.run_sync(submit)).status == cozepy.ChatStatus.COMPLETED


@pytest.mark.parametrize("version", [1, 2])
async def test_the_sync_sdk_lists_and_reads_bots(sync_coze: Any, version: int) -> None:
    """It lists a page of bots and reads one, by the older and by the newer operations."""

    def read() -> tuple[int, int, str, str | None]:
        page = sync_coze.bots.list(space_id="1", use_api_version=version)
        first = page.items[0]
        bot = sync_coze.bots.retrieve(bot_id=first.bot_id, use_api_version=version)
        return len(page.items), page.total, first.bot_name, bot.name

    assert await anyio.to_thread.run_sync(read) == (20, 45, "Bot 1", "Bot 1")


async def test_the_sdk_pages_bots_by_a_name_the_page_does_not_know(
    sync_coze: Any,
) -> None:
    """By the older operation it finds every bot; by the newer one the first page, thrice."""

    def count(version: int) -> tuple[int, int]:
        bots = list(sync_coze.bots.list(space_id="1", use_api_version=version))
        return len(bots), len({bot.bot_id for bot in bots})

    assert await anyio.to_thread.run_sync(count, 1) == (45, 45)
    assert await anyio.to_thread.run_sync(count, 2) == (60, 20)


async def test_the_async_sdk_follows_a_run_and_reads_its_node(
    async_coze: Any,
) -> None:
    """It polls a trimmed run to Success and fetches the output of the node that it lists."""
    runs = async_coze.workflows.runs
    fate = {"seconds": 0.03, "outcome": "trimmed", "words": ["Running"]}
    parameters = {"simulate": fate}
    started = await runs.create(workflow_id="7350", parameters=parameters, is_async=True)
    ids = {"workflow_id": "7350", "execute_id": started.execute_id or ""}
    history = await runs.run_histories.retrieve(**ids)
    assert history.execute_status.value == "Running"
    while history.execute_status.value == "Running":
        await anyio.sleep(0.005)
        history = await runs.run_histories.retrieve(**ids)
    assert history.is_output_trimmed
    (node,) = history.node_execute_status.values()
    output = await runs.run_histories.execute_nodes.retrieve(
        **ids, node_execute_uuid=node.node_execute_uuid
    )
    assert output.is_finish


async def test_the_async_sdk_reads_a_failed_run(async_coze: Any) -> None:
    """A failed run is an answer to it, with the run's own code."""
    runs = async_coze.workflows.runs
    parameters = {"simulate": {"seconds": 0, "outcome": "fail"}}
    started = await runs.create(workflow_id="7350", parameters=parameters, is_async=True)
    history = await runs.run_histories.retrieve(
        workflow_id="7350", execute_id=started.execute_id or ""
    )
    assert (history.execute_status.value, history.error_code) == ("Fail", 720701002)


async def test_the_sdk_cannot_read_the_pages_own_sample(async_coze: Any) -> None:
    """A run history in the page's shape fails in its models, for want of is_output_trimmed."""
    runs = async_coze.workflows.runs
    parameters = {"simulate": {"shape": "doc"}}
    started = await runs.create(workflow_id="7350", parameters=parameters, is_async=True)
    with pytest.raises(ValueError, match="is_output_trimmed"):
        await runs.run_histories.retrieve(workflow_id="7350", execute_id=started.execute_id)


async def test_the_async_sdk_chats_and_lists_bots(async_coze: Any) -> None:
    """It creates and retrieves a chat, and lists a page of bots."""
    chat = await async_coze.chat.create(bot_id="1", user_id="u", custom_variables=_SOON_TEXT)
    while chat.status == cozepy.ChatStatus.IN_PROGRESS:
        await anyio.sleep(0.005)
        chat = await async_coze.chat.retrieve(conversation_id=chat.conversation_id, chat_id=chat.id)
    assert chat.status == cozepy.ChatStatus.COMPLETED
    page = await async_coze.bots.list(space_id="1", use_api_version=2)
    assert (len(page.items), page.total) == (20, 45)


async def test_the_sdk_raises_its_error_for_a_wrong_token(sim: Simulator) -> None:
    """Both refusals, in HTTP 200 and in HTTP 401, reach its caller as an error with the code."""
    auth = cozepy.AsyncTokenAuth("pat_wrong")
    async with cozepy.AsyncHTTPClient() as http:
        coze = cozepy.AsyncCoze(auth=auth, base_url=sim.coze_url, http_client=http)
        with pytest.raises(cozepy.CozeAPIError) as start:
            await coze.workflows.runs.create(workflow_id="7350", is_async=True)
        with pytest.raises(cozepy.CozeAPIError) as poll:
            await coze.workflows.runs.run_histories.retrieve(workflow_id="1", execute_id="1")
    assert (start.value.code, poll.value.code) == (4101, 700012006)
    assert start.value.logid
