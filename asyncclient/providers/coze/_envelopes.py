"""The envelopes of Coze's answers and refusals."""

from __future__ import annotations

from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

from asyncclient._http import STRICT
from asyncclient.providers._reading import as_int, as_object
from asyncclient.providers.coze._answers import Chat, ChatMessage

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T]):
    """`code` is missing from several of Coze's own samples of success: 0 is meant."""

    data: T
    code: int | str | None = 0


# What may be absent or null, and is not passed over where it is neither.
_IfAny: TypeAlias = Annotated[T | None, STRICT]


class PageEnvelope(msgspec.Struct, Generic[T]):
    """A page of a list; None for an empty page."""

    data: _IfAny[T] = None
    code: int | str | None = 0


class ChatEnvelope(msgspec.Struct):
    """A chat; the open-source server cancels one under a name of its own.

    `CancelChatApiResponse` in its idl/conversation/run.thrift.
    """

    in_data: _IfAny[Chat] = msgspec.field(name="data", default=None)
    in_own_name: _IfAny[Chat] = msgspec.field(name="ChatV3ChatDetail", default=None)
    code: int | str | None = 0

    def __post_init__(self) -> None:
        if self.in_data is None and self.in_own_name is None:
            msg = "Object missing required field `data`"
            raise ValueError(msg)

    @property
    def data(self) -> Chat:
        """The chat, under any of its names."""
        return self.in_data or self.in_own_name or Chat()


class MessagesEnvelope(msgspec.Struct):
    """A chat's messages; the open-source server lists them under a name of its own.

    `ListChatMessageApiResponse` in its idl/conversation/message.thrift.
    """

    in_data: _IfAny[list[ChatMessage]] = msgspec.field(name="data", default=None)
    in_own_name: _IfAny[list[ChatMessage]] = msgspec.field(name="Messages", default=None)
    code: int | str | None = 0

    @property
    def data(self) -> list[ChatMessage]:
        """The messages, under any of their names."""
        return self.in_data or self.in_own_name or []


class Refusal(msgspec.Struct):
    """The fields of an error answer; the OAuth endpoint has its own names.

    Of any type: an unexpected field beside the code must not hide the code.
    """

    code: object = None
    msg: object = None
    detail: object = None
    debug_url: object = None
    error_code: object = None
    error_message: object = None
    error: object = None
    error_description: object = None

    @property
    def number_or_word(self) -> int | str | None:
        """The code: a number wherever it is one, quoted or not; None where there is none."""
        code = self.error_code if self.code is None else self.code
        if isinstance(code, bool) or not isinstance(code, int | str):
            return None
        number = as_int(code)
        return code if number is None else number

    @property
    def words(self) -> str:
        """Its message, under any of its names."""
        given = (self.msg, self.error_message, self.error_description, self.error)
        return next((text for text in given if isinstance(text, str) and text), "")

    @property
    def log_id(self) -> str | None:
        """The id that Coze's support asks for."""
        log_id = (as_object(self.detail) or {}).get("logid")
        return log_id if isinstance(log_id, str) else None
