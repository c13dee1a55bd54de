"""Copy.ai's webhooks: register, read and delete them, and read what they deliver."""

from __future__ import annotations

import re
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

import msgspec

from asyncclient._arguments import NO_LINE, one_of, optional_id, text, whole_number
from asyncclient._http import Account, Response, decode, path_segment, query_of
from asyncclient._text import shown, type_name
from asyncclient.errors import DecodeError
from asyncclient.providers._starting import AddingAdvice, started_id
from asyncclient.providers.copyai._answers import Webhook, WebhookEvent, WebhookPage
from asyncclient.providers.copyai._endpoints import (
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    REGISTER_WEBHOOK,
)

# Page `register-webhook-2`, which gives these as the whole list.
EventType = Literal[
    "workflowRun.started",
    "workflowRun.completed",
    "workflowRun.failed",
    "workflowCreditLimit.reached",
]
_EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

LARGEST_PAGE = 100
_LONGEST_URL = 2048
_SPACE = re.compile(r"\s")
_event_decoder = msgspec.json.Decoder(WebhookEvent)


class Webhooks:
    """The part of the client that is about webhooks."""

    _account: Account

    async def register_webhook(
        self, url: str, *, event_type: EventType, workflow_id: str | None = None
    ) -> Webhook:
        """Ask for deliveries of one kind of event (page `register-webhook-2`).

        A registration is for the whole workspace and stays until it is deleted. Deliveries are
        not signed: use an address that cannot be guessed, and let them only speed up a poll.

        Args:
            url: where to; https.
            event_type: the kind of event.
            workflow_id: the workflow; all of the workspace by default.
        """
        body: dict[str, str] = {
            "url": url_text("url", url),
            "eventType": one_of("event_type", event_type, _EVENT_TYPES),
        }
        chosen = optional_id("workflow_id", workflow_id)
        if chosen is not None:
            body["workflowId"] = chosen
        with AddingAdvice("await copyai.list_webhooks() shows whether it was registered"):
            hook = await self._account.call(REGISTER_WEBHOOK, "/webhook", msgspec.json.encode(body))
            started_id("copyai.register_webhook", "$.data.id", hook.id)  # it is deleted by its id
        return hook

    async def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one registration (page `get-webhook-2`)."""
        return await self._account.call(GET_WEBHOOK, _webhook_target(webhook_id))

    async def list_webhooks(self, *, page: int = 0, size: int = 10) -> WebhookPage:
        """Read one page of registrations (page `get-all-webhooks-2`).

        Args:
            page: from 0, unlike the list of runs.
            size: registrations a page, at most 100. Default 10.
        """
        page_size(size)
        whole_number("page", page, least=0)
        return await self._account.call(LIST_WEBHOOKS, f"/webhook{query_of(page=page, size=size)}")

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete a registration.

        Raises:
            NotFound: there is no such registration, or an earlier try whose answer was lost has
                deleted it.
        """
        await self._account.call(DELETE_WEBHOOK, _webhook_target(webhook_id))

    @staticmethod
    def parse_webhook(body: bytes | str) -> WebhookEvent:
        """Read the body of a delivery, in any of its three known shapes; no I/O.

        Anyone can send one: treat it as a hint to poll now, never as a result.

        Raises:
            DecodeError: it is not a delivery.
            TypeError: it is neither bytes nor a text.
        """
        raw = bytes_of("body", body)
        event = decode(_event_decoder, Response(0, {}, raw), "copyai.parse_webhook")
        if not event.type and event.run_id is None:
            msg = "copyai.parse_webhook: the body names neither an event type nor a run"
            raise DecodeError(msg, path="$.type", excerpt=raw[:200].decode("utf-8", "replace"))
        return event


def _webhook_target(webhook_id: str) -> str:
    return f"/webhook/{path_segment('webhook_id', webhook_id)}"


def page_size(size: int) -> None:
    """Check how many items a page is to have, at most 100."""
    whole_number("size", size, least=1)
    if size > LARGEST_PAGE:
        msg = f"size={size} must be at most {LARGEST_PAGE}"
        raise ValueError(msg)


def bytes_of(name: str, value: object) -> bytes:
    """Return the body of a request that a caller received, as bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")  # the decoder refuses a lone surrogate
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(cast("bytes", value))
    msg = f"{name} must be the bytes or the text of a request, not {type_name(value)}"
    raise TypeError(msg)


def url_text(name: str, value: object) -> str:
    """Check an address that a provider is to call, and return it."""
    url = text(name, value)
    if len(url) > _LONGEST_URL:
        msg = f"{name} has {len(url)} characters: at most {_LONGEST_URL} are allowed"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        good = False
    if not good or _SPACE.search(url) or NO_LINE.search(url):
        msg = f"{name}={shown(url)} is not a URL: pass one like 'https://example.com/hooks/5d6f'"
        raise ValueError(msg)
    return url
