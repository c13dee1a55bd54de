"""Ids in few bytes: a handle keeps a number where a text takes twice the memory."""

from __future__ import annotations

import re
from uuid import UUID

# Digits. One with a leading zero, or of another alphabet, is a text and no number.
_NUMBER = re.compile(r"[1-9][0-9]{0,39}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def slim_id(text: str, uuid_after: str | None = None) -> str | int:
    """Return an id as it is kept.

    Args:
        text: the id, as its provider spells it.
        uuid_after: what stands before the UUID in it; None for a decimal number.
    """
    if uuid_after is None:
        return int(text) if _NUMBER.fullmatch(text) else text
    uuid = text.removeprefix(uuid_after)
    is_uuid = text.startswith(uuid_after) and _UUID.fullmatch(uuid) is not None
    return UUID(uuid).int if is_uuid else text


def spelled_id(kept: str | int, uuid_after: str | None = None) -> str:
    """Return an id as its provider spells it."""
    if isinstance(kept, str):
        return kept
    return str(kept) if uuid_after is None else f"{uuid_after}{UUID(int=kept)}"
