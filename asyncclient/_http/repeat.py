"""Whether, and when, a failed request is sent again. No clock, no I/O."""

from __future__ import annotations

from asyncclient._http.failure import is_transient, retry_after_of
from asyncclient.errors import AsyncClientError, ConnectFailed, RateLimited

# Seconds. The longest wait before a request is sent again, also where the provider asks for longer:
# one request an hour does no harm.
LONGEST_HINT = 3600.0
# A crowd that was refused together must not come back together: a hint is stretched by up to this
# share of it.
_SPREAD = 0.1


def delay_after(error: BaseException, backoff: float) -> tuple[float, float | None]:
    """Return the seconds to wait after a failed request, and the hint that they follow.

    The provider's hint counts where it is longer than the backoff; otherwise it is None.
    """
    hint = retry_after_of(error)
    if hint is None or hint < backoff:
        return backoff, None
    return min(hint + min(backoff, hint * _SPREAD), LONGEST_HINT), hint


def seconds_to_repeat(
    error: AsyncClientError,
    *,
    idempotent: bool,
    repeats_left: int,
    backoff: float,
    seconds_left: float,
) -> float | None:
    """Return the seconds after which a failed request is sent again; None when it is not."""
    harmless = idempotent or isinstance(error, RateLimited)
    harmless = harmless or (isinstance(error, ConnectFailed) and not error.sent)
    seconds, hint = delay_after(error, backoff)
    in_time = max(seconds, hint or 0.0) <= seconds_left
    return seconds if repeats_left > 0 and harmless and is_transient(error) and in_time else None
