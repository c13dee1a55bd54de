"""What was seen of some kinds, as a few hundred bytes for each: for later, or for others.

`ACLS`, the version, a CRC-32 of the rest, and that as MessagePack: for each kind its name, how many
tasks lived on after the last end and until where, and the ends in spans of bins, each as where it
begins (counted from the span before), how wide it is, and how many ends. The first edition had
bins of half the width, and edges are saved by its numbers still. Ends are saved in 64ths.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec

from asyncclient._learning.curve import Curve
from asyncclient._learning.memory import LAST_EDGE, Memory

_BEGIN = b"ACLS\x02"
_HEAD = len(_BEGIN) + 4
_PARTS = 64
# At most 64 kinds are read, and a thousand ends of each.
KINDS = 64
_MOST_ENDS = 1000
# Neighbouring bins are saved as one until they hold a 32nd of all ends, or are 12.
_SHARES = 32
_WIDEST = 12

_Edge: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2 * LAST_EDGE - 1)]
_Parts: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST_ENDS * _PARTS)]
_Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=_MOST_ENDS * _PARTS)]
_Saved: TypeAlias = tuple[str, _Parts, _Edge, list[tuple[_Edge, _Positive, _Positive]]]
_decoder = msgspec.msgpack.Decoder(list[_Saved])


def packed(kinds: Iterable[tuple[str, Memory, Curve]]) -> bytes:
    """Return what was seen of some kinds as bytes, by their curves."""
    body = msgspec.msgpack.encode([_saved(name, seen, curve) for name, seen, curve in kinds])
    return _header(body) + body


def unpacked(data: object, reader: str) -> list[tuple[str, Memory]]:
    """Return what `packed` made bytes of, checked; `reader` is the method that is given them."""
    if not isinstance(data, bytes):
        msg = f"{reader} takes the bytes that to_bytes returned, not {type(data).__name__}"
        raise TypeError(msg)
    header, body = data[:_HEAD], data[_HEAD:]
    reason = "it was cut off or changed, or is something else"
    if header == _header(body):
        try:
            return [(saved[0], _seen(saved)) for saved in _decoder.decode(body)[:KINDS]]
        except (msgspec.DecodeError, ValueError) as error:
            reason = str(error)
    elif header[:4] == _BEGIN[:4] and header[4:5] not in {b"", _BEGIN[4:]}:
        reason = f"it is of version {header[4:5].hex()!r}, and this library reads '02'"
    msg = f"not a saved LearnedSchedule: {reason}; pass what to_bytes returned, or learn again"
    raise ValueError(msg)


def _header(body: bytes) -> bytes:
    return _BEGIN + crc32(body).to_bytes(4, "big")


def _saved(name: str, seen: Memory, curve: Curve) -> _Saved:
    """Return what was seen of a kind: its ends in spans of bins, none where none ended."""
    edges = [max(0, 2 * edge - 1) for edge in curve.edges]
    whole = seen.size * _PARTS / (1 - curve.survival[-1])
    numbers = [round(whole * share) for share in curve.survival]
    spans: list[tuple[int, int, int]] = []
    before = first = 0
    for cell in range(1, len(edges)):
        parts = numbers[first] - numbers[cell]
        if not parts:
            first = cell
        elif parts * _SHARES >= whole or cell in (1, first + _WIDEST, len(edges) - 1):
            spans.append((edges[first] - before, edges[cell] - edges[first], parts))
            before, first = edges[first], cell
    return name, numbers[-1], edges[-1], spans


def _seen(saved: _Saved) -> Memory:
    """Return what was saved of a kind."""
    name, left, until, spans = saved
    seen, first = Memory(), 0
    for skipped, width, parts in spans:
        first += skipped
        low, number = (first + 1) // 2, parts / _PARTS
        high = max(low + 1, (first + width + 1) // 2)
        if high > LAST_EDGE or seen.size + number > _MOST_ENDS:
            msg = f"the numbers of the kind {name!r} are out of range"
            raise ValueError(msg)
        seen.add_alive(0, low, number)
        seen.add_end(low, high, number)
    seen.add_alive(0, (until + 1) // 2, left / _PARTS)
    return seen
