"""How numbers and counts are written in messages."""

from __future__ import annotations

import math


def counted(number: int, thing: str) -> str:
    """Write a count as an English reader would: `1 poll`, `2 polls`, `0 polls`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def plain(seconds: float) -> str:
    """Write seconds as a reader would, without exponents or needless digits."""
    return str(int(seconds)) if seconds == seconds // 1 < math.inf else f"{seconds:.3g}"
