"""The simulator against Coze's official SDK, which checks every answer against its own models."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from asyncclient.testing import Simulator
from asyncclient.testing.pytest_plugin import real_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

with warnings.catch_warnings(record=True):
    # Importing it warns of a dependency of its own, past all filters.
    cozepy = pytest.importorskip("cozepy")

# The SDK waits by itself: on the real clock.
pytestmark = [pytest.mark.anyio, real_time]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Run a simulator."""
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def coze(sim: Simulator) -> AsyncIterator[Any]:
    """Make the SDK's asynchronous client, whose sockets only its caller can close."""
    auth = cozepy.AsyncTokenAuth("pat_simulator")
    async with cozepy.AsyncHTTPClient() as http:
        yield cozepy.AsyncCoze(auth=auth, base_url=sim.coze_url, http_client=http)


@pytest.fixture
def sync_coze(sim: Simulator) -> Iterator[Any]:
    """Make the SDK's synchronous client."""
    auth = cozepy.TokenAuth("pat_simulator")
    with cozepy.SyncHTTPClient() as http:
        yield cozepy.Coze(auth=auth, base_url=sim.coze_url, http_client=http)


async def run(coze: Any, **fate: object) -> dict[str, str]:
    """Start a run of a given fate, and return its ids."""
    started = await coze.workflows.runs.create(
        workflow_id="7350", parameters={"simulate": fate}, is_async=True
    )
    return {"workflow_id": "7350", "execute_id": started.execute_id or ""}


async def start_chat(coze: Any, fate: str = "{}") -> tuple[Any, dict[str, str]]:
    """Create a chat, and return it and its ids."""
    chat = await coze.chat.create(bot_id="1", user_id="u", custom_variables={"simulate": fate})
    return chat, {"conversation_id": chat.conversation_id, "chat_id": chat.id}


async def test_the_sdk_follows_a_run_and_reads_its_node(coze: Any) -> None:
    """It polls a run from Running to Success, and fetches an output that was trimmed.

    It can read both shapes of answer that the simulator gives in turn.
    """
    retrieve = coze.workflows.runs.run_histories.retrieve
    for _ in range(2):
        ids = await run(coze, seconds=0.03, outcome="trimmed", words=["Running"])
        history = await retrieve(**ids)
        assert history.execute_status.value == "Running"
        while history.execute_status.value == "Running":
            await anyio.sleep(0.005)
            history = await retrieve(**ids)
        assert history.execute_status.value == "Success"
        assert history.is_output_trimmed
        (node,) = history.node_execute_status.values()
        output = await coze.workflows.runs.run_histories.execute_nodes.retrieve(
            **ids, node_execute_uuid=node.node_execute_uuid
        )
        assert output.is_finish


async def test_the_synchronous_sdk_runs_a_workflow_to_its_end(sync_coze: Any) -> None:
    """A synchronous run gives it the output as text, in either shape of answer."""
    soon = {"simulate": {"seconds": 0.03}}
    create = partial(sync_coze.workflows.runs.create, workflow_id="7350", parameters=soon)
    for _ in range(2):
        assert (await anyio.to_thread.run_sync(create)).data == '{"output":{}}'


async def test_the_sdk_reads_a_failed_run_but_not_the_pages_own_sample(coze: Any) -> None:
    """A failed run is an answer to it; the page's shape lacks is_output_trimmed for its models."""
    retrieve = coze.workflows.runs.run_histories.retrieve
    history = await retrieve(**await run(coze, seconds=0, outcome="fail"))
    assert (history.execute_status.value, history.error_code) == ("Fail", 720701002)
    with pytest.raises(ValueError, match="is_output_trimmed"):
        await retrieve(**await run(coze, shape="doc"))


async def test_the_sdk_chats_and_cancels(coze: Any) -> None:
    """It follows a chat and lists its messages; to cancel twice is its error with the code."""
    chat, ids = await start_chat(coze, '{"seconds":0.03}')
    while chat.status == cozepy.ChatStatus.IN_PROGRESS:
        await anyio.sleep(0.005)
        chat = await coze.chat.retrieve(**ids)
    assert chat.status == cozepy.ChatStatus.COMPLETED
    messages = await coze.chat.messages.list(**ids)
    assert [message.type.value for message in messages] == ["answer", "verbose"]

    _, ids = await start_chat(coze)
    assert (await coze.chat.cancel(**ids)).status.value == "canceled"
    with pytest.raises(cozepy.CozeAPIError) as caught:
        await coze.chat.cancel(**ids)
    assert caught.value.code == 4104


async def test_the_synchronous_sdk_answers_tool_calls(coze: Any, sync_coze: Any) -> None:
    """It reads the action that a chat requires, submits the outputs, and the chat goes on."""
    _, ids = await start_chat(coze, '{"seconds":0,"outcome":"interrupt"}')
    action = (await coze.chat.retrieve(**ids)).required_action
    outputs = [
        cozepy.ToolOutput(tool_call_id=call.id, output="sunny")
        for call in action.submit_tool_outputs.tool_calls
    ]
    # The asynchronous one takes an answer as a stream alone.
    submit = partial(sync_coze.chat.submit_tool_outputs, **ids, tool_outputs=outputs, stream=False)
    await anyio.to_thread.run_sync(submit)
    assert (await coze.chat.retrieve(**ids)).status == cozepy.ChatStatus.COMPLETED


@pytest.mark.parametrize(("version", "listed"), [(1, (45, 45)), (2, (60, 20))])
async def test_the_sdk_lists_and_reads_bots(
    coze: Any, version: int, listed: tuple[int, int]
) -> None:
    """By the older operation it finds every bot; by the newer one the first page, thrice.

    It pages by a name that the newer operation's page does not know.
    """
    page = await coze.bots.list(space_id="1", use_api_version=version)
    first = page.items[0]
    assert (len(page.items), page.total, first.bot_name) == (20, 45, "Bot 1")
    bot = await coze.bots.retrieve(bot_id=first.bot_id, use_api_version=version)
    assert bot.name == "Bot 1"
    bots = [bot.bot_id async for bot in page]
    assert (len(bots), len(set(bots))) == listed


async def test_the_sdk_finds_workspaces_workflows_and_documents(coze: Any) -> None:
    """All pages, and how documents stand."""
    spaces = await coze.workspaces.list(page_size=2)
    assert [one.name async for one in spaces] == [f"Workspace {number}" for number in (1, 2, 3)]
    flows = await coze.workflows.list(workspace_id="1")
    assert len([one.workflow_id async for one in flows]) == 65
    (document,) = await coze.datasets.process(dataset_id="7442", document_ids=["7446"])
    assert (document.document_id, int(document.status), document.progress) == ("7446", 0, 0)


async def test_the_sdk_raises_its_error_for_a_wrong_token(sim: Simulator) -> None:
    """Both refusals, in HTTP 200 and in HTTP 401, reach its caller as an error with the code."""
    auth = cozepy.AsyncTokenAuth("pat_wrong")
    async with cozepy.AsyncHTTPClient() as http:
        runs = cozepy.AsyncCoze(auth=auth, base_url=sim.coze_url, http_client=http).workflows.runs
        with pytest.raises(cozepy.CozeAPIError) as start:
            await runs.create(workflow_id="7350", is_async=True)
        with pytest.raises(cozepy.CozeAPIError) as poll:
            await runs.run_histories.retrieve(workflow_id="1", execute_id="1")
    assert (start.value.code, poll.value.code) == (4101, 700012006)
    assert start.value.logid
