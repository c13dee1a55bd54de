"""Coze's chats: start, read, answer and cancel them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from asyncclient._arguments import id_text, optional_id, optional_line, text_line
from asyncclient._http import Account, encode_argument, query_of
from asyncclient._ref import unix_time
from asyncclient.providers._starting import AddingAdvice, started_id
from asyncclient.providers.coze._answers import Chat, ChatMessage, ToolOutput
from asyncclient.providers.coze._bodies import encoded, inputs, list_of, optional_truth, texts
from asyncclient.providers.coze._endpoints import GET_CHAT, START_CHAT, SUBMIT_TOOL_OUTPUTS
from asyncclient.providers.coze._tasks import ChatHandle, chat_target, read_messages, send_cancel

# What a caller whose start has an unknown outcome can do: Coze's API does not list chats.
_CHAT_LOST = (
    "Coze's API has no list of chats. If you passed conversation_id, start another chat in it: "
    "that is refused with code 4016 while the lost one runs"
)
_TOOLS_LOST = (
    "poll the chat: if it still is requires_action after some seconds, the outputs did not arrive"
)


class _ChatBody(msgspec.Struct, omit_defaults=True):
    bot_id: str
    user_id: str
    additional_messages: msgspec.Raw | None = None
    custom_variables: msgspec.Raw | None = None
    meta_data: msgspec.Raw | None = None
    parameters: msgspec.Raw | None = None
    extra_params: msgspec.Raw | None = None
    shortcut_command: msgspec.Raw | None = None
    enable_card: bool | None = None
    publish_status: str | None = None
    bot_version: str | None = None
    stream: bool | None = None
    auto_save_history: bool | None = None


class Chats:
    """The part of the client that is about chats."""

    _account: Account

    async def start_chat(
        self,
        bot_id: str,
        *,
        user_id: str,
        additional_messages: Sequence[ChatMessage | Mapping[str, object]] | None = None,
        conversation_id: str | None = None,
        custom_variables: Mapping[str, str] | None = None,
        meta_data: Mapping[str, str] | None = None,
        parameters: Mapping[str, object] | None = None,
        extra_params: Mapping[str, str] | None = None,
        shortcut_command: Mapping[str, object] | None = None,
        enable_card: bool | None = None,
        publish_status: str | None = None,
        bot_version: str | None = None,
    ) -> ChatHandle:
        """Begin a chat with a bot (page `chat_v3`, no stream); read `.messages()` once it is done.

        Args:
            bot_id: a bot published to the API.
            user_id: your own name for the user; Coze separates conversations by it.
            additional_messages: the messages so far, the question last; at most 100.
            conversation_id: the conversation to continue; only one chat runs in it at a time.
            custom_variables: the bot's variables.
            meta_data: at most 16 pairs of your own.
            parameters: inputs for a bot's chat flow.
            extra_params: extra parameters as Coze documents them.
            shortcut_command: a command to run.
            enable_card: let answers be cards.
            publish_status: which version of the bot.
            bot_version: which version of the bot, by number.
        """
        if additional_messages is not None:
            what = "ChatMessage objects or mappings"
            list_of("additional_messages", additional_messages, (ChatMessage, Mapping), what)
        body = _ChatBody(
            bot_id=id_text("bot_id", bot_id),
            user_id=text_line("user_id", user_id, "user id"),
            additional_messages=encoded("additional_messages", additional_messages),
            custom_variables=texts("custom_variables", custom_variables),
            meta_data=texts("meta_data", meta_data),
            parameters=inputs("parameters", parameters),
            extra_params=texts("extra_params", extra_params),
            shortcut_command=inputs("shortcut_command", shortcut_command),
            enable_card=optional_truth("enable_card", enable_card),
            publish_status=optional_line("publish_status", publish_status, "status"),
            bot_version=optional_line("bot_version", bot_version, "version"),
            stream=False,
            auto_save_history=True,  # 4007 otherwise: without a stream the history is the answer
        )
        query = query_of(conversation_id=optional_id("conversation_id", conversation_id))
        target = f"/v3/chat{query}"
        with AddingAdvice(_CHAT_LOST):
            chat = await self._account.call(START_CHAT, target, msgspec.json.encode(body))
            conversation = started_id(
                "coze.start_chat", "$.data.conversation_id", chat.conversation_id
            )
            chat_id = started_id("coze.start_chat", "$.data.id", chat.id)
        return ChatHandle(self._account, conversation, chat_id, unix_time(), bot_id)

    async def get_chat(self, conversation_id: str, chat_id: str) -> Chat:
        """Read the state of a chat (page `retrieve_chat`; at most once a second)."""
        return await self._account.call(
            GET_CHAT, chat_target("/v3/chat/retrieve", conversation_id, chat_id)
        )

    async def cancel_chat(self, conversation_id: str, chat_id: str) -> Chat:
        """Stop a chat; one that has ended or waits for its caller is refused (code 4104)."""
        return await send_cancel(self._account, conversation_id, chat_id)

    async def list_chat_messages(self, conversation_id: str, chat_id: str) -> list[ChatMessage]:
        """Read a chat's messages: questions, tool calls, answers, follow-ups."""
        return await read_messages(self._account, conversation_id, chat_id)

    async def submit_tool_outputs(
        self,
        conversation_id: str,
        chat_id: str,
        *,
        tool_outputs: Sequence[ToolOutput | Mapping[str, str]],
    ) -> Chat:
        """Give a chat the results of the calls that it waits for; then it continues."""
        target = chat_target("/v3/chat/submit_tool_outputs", conversation_id, chat_id)
        what = "ToolOutput objects or mappings"
        list_of("tool_outputs", tool_outputs, (ToolOutput, Mapping), what)
        body = {"tool_outputs": encode_argument("tool_outputs", tool_outputs), "stream": False}
        with AddingAdvice(_TOOLS_LOST):
            return await self._account.call(SUBMIT_TOOL_OUTPUTS, target, msgspec.json.encode(body))
