"""What was seen of some kinds, as a few hundred bytes for each: for later, or for others."""

from __future__ import annotations

import math
from binascii import crc32
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec

from asyncclient._learning.curve import Curve
from asyncclient._learning.memory import LAST_EDGE, Memory

_HEADER = b"ACLS"
_VERSION = b"\x02"
_HEAD = len(_HEADER) + len(_VERSION) + 4
# Ends are saved in 64ths, a thousand of them at most, and of 64 kinds at most.
_PARTS = 64
_MOST_PARTS = 1000 * _PARTS
KINDS = 64
# Neighbouring bins are saved as one until they hold a 32nd of all ends, or are 12.
_SHARES = 32
_WIDEST = 12

_Edge: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2 * LAST_EDGE - 1)]
_Parts: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST_PARTS)]
_Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=_MOST_PARTS)]


class _Span(msgspec.Struct, array_like=True, frozen=True):
    """Ends between two edges, in small numbers: where it begins counts from the span before."""

    skipped: _Edge
    width: _Positive
    parts: _Positive


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    """One kind of task: its ends, and how many tasks lived until an edge after all of them."""

    kind: str
    left: _Parts
    until: _Edge
    spans: list[_Span]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Saved])


def packed(kinds: Iterable[tuple[str, Memory, Curve | None]]) -> bytes:
    """Return what was seen of some kinds as bytes, by their curves where there are any."""
    body = _encoder.encode([_saved(name, seen, curve) for name, seen, curve in kinds])
    return _HEADER + _VERSION + crc32(body).to_bytes(4, "big") + body


def unpacked(data: object, reader: str) -> list[tuple[str, Memory]]:
    """Return what `packed` made bytes of, checked; `reader` is the method that is given them."""
    if not isinstance(data, bytes):
        msg = f"{reader} takes the bytes that to_bytes returned, not {type(data).__name__}"
        raise TypeError(msg)
    version, body = data[len(_HEADER) :][:1], data[_HEAD:]
    if not data.startswith(_HEADER):
        reason = "it does not begin as one"
    elif version != _VERSION:
        reason = f"it is of version {version.hex()!r}, and this library reads {_VERSION.hex()!r}"
    elif data[len(_HEADER) + 1 : _HEAD] != crc32(body).to_bytes(4, "big"):
        reason = "its checksum does not fit: it was cut off or changed"
    else:
        try:
            return [(each.kind, _seen(each)) for each in _decoder.decode(body)[:KINDS]]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            reason = str(error)
    msg = f"not a saved LearnedSchedule: {reason}; pass what to_bytes returned, or learn again"
    raise ValueError(msg)


def _saved(name: str, seen: Memory, curve: Curve | None) -> _Saved:
    """Return what was seen of a kind: its ends in spans of bins, or one by one while few."""
    ends, left, until = seen.ends, 0.0, 0
    if curve is not None:
        ends, edges = {}, curve.edges
        whole = seen.size / (1 - curve.survival[-1])
        numbers = [whole * share for share in curve.survival]
        first = 0
        for cell in range(1, len(edges)):
            number = numbers[first] - numbers[cell]
            if number * _PARTS < 1:  # where none ended, nothing is saved
                first = cell
            elif number * _SHARES >= whole or cell in (1, first + _WIDEST, len(edges) - 1):
                ends[edges[first], edges[cell]] = number
                first = cell
        left, until = numbers[-1], edges[-1]
    spans: list[_Span] = []
    before = 0
    for (first, last), number in sorted(ends.items()):
        if parts := round(number * _PARTS):
            spans.append(_Span(_stored(first) - before, _stored(last) - _stored(first), parts))
            before = _stored(first)
    return _Saved(name, round(left * _PARTS), _stored(until), spans)


def _seen(saved: _Saved) -> Memory:
    """Return what was saved of a kind."""
    seen = Memory()
    first = total = 0
    for span in saved.spans:
        first += span.skipped
        last, number = first + span.width, span.parts / _PARTS
        total += span.parts
        if last > 2 * LAST_EDGE - 1 or total > _MOST_PARTS:
            msg = f"the numbers of the kind {saved.kind!r} are out of range"
            raise ValueError(msg)
        low = _edge(first)
        seen.add_alive(0, low, number)
        seen.add_end(low, max(low + 1, _edge(last)), number)
    seen.add_alive(0, _edge(saved.until), saved.left / _PARTS)
    return seen


# The first edition had bins of half the width, and its edges are saved still.
def _stored(edge: int) -> int:
    return max(0, 2 * edge - 1)


def _edge(stored: int) -> int:
    return math.ceil(stored / 2)
