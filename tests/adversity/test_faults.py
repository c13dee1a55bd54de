"""Every fault of the table, met by every operation of each provider over real TCP."""

from __future__ import annotations

import pytest

from asyncclient.errors import AsyncClientError, ConnectFailed, TransportError
from tests.adversity.faults import (
    CONNECT_TIMEOUT,
    FAULTS,
    OPERATIONS,
    REQUEST_TIMEOUT,
    TABLE,
    Fault,
    Operation,
)
from tests.adversity.scene import (
    PROVIDERS,
    REAL_TIME,
    SECRET,
    TIMES,
    WAIT_TIMEOUT,
    Observed,
    Provider,
    observe,
)
from tests.adversity.write_table import HOW_TO_WRITE, PAGE, introduction, read, write

# Repeats and the gaps between them: a request is tried four times at most, within half a minute.
MOST_SECONDS = {"start": 45.0, "poll": REQUEST_TIMEOUT, "wait": WAIT_TIMEOUT + 5, "list": 45.0}
# A real clock runs on while a busy machine does something else.
SLACK = 10.0 if REAL_TIME else 0.1

text = PAGE.read_text(encoding="utf-8")
documented = read(text)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_ends_as_the_page_says(
    fault: Fault, provider: Provider, operation: Operation
) -> None:
    """It ends in time and as written, a start is never doubled or denied, and the pool goes on."""
    seen = await observe(fault, operation, provider)
    assert seen.outcome == documented[fault.name][operation], (
        f"docs/faults.md says otherwise of {seen.error!r}: if this is right, run {HOW_TO_WRITE}"
    )
    spoilt = 0 if fault.passed_on or fault.on_request is None else TIMES[operation]
    assert seen.passed_on == seen.requests - min(spoilt, seen.requests)
    _check_start(seen, by=operation)
    _check_time(seen, fault, operation)
    assert SECRET not in f"{seen.error!r} {seen.error}"
    if fault.most_offered is not None:
        assert seen.offered < fault.most_offered


def _check_start(seen: Observed, *, by: Operation) -> None:
    """Check that nothing was started twice, and that an error says so if it may have been once."""
    error = seen.error
    if error is None:
        assert seen.started == (by == "start")
        return
    assert seen.started <= (by == "start")
    assert isinstance(error, AsyncClientError)
    assert not seen.started or error.may_have_started
    if isinstance(error, TransportError):
        assert error.sent == (not isinstance(error, ConnectFailed))


def _check_time(seen: Observed, fault: Fault, operation: Operation) -> None:
    """Check that it took no longer than its timeouts allow, and as long as the fault makes it."""
    assert seen.elapsed <= MOST_SECONDS[operation] + SLACK
    if fault.takes:
        timeout = {"request_timeout": REQUEST_TIMEOUT, "connect_timeout": CONNECT_TIMEOUT}
        assert seen.elapsed >= timeout[fault.takes] - 0.1
    elif operation == "poll" and not REAL_TIME:
        assert seen.elapsed < CONNECT_TIMEOUT + 0.1


def test_the_page_is_that_of_the_table() -> None:
    """The page has the faults of the table in their order and words, each of another name."""
    above = introduction(text)
    assert text == write(above, documented), f"it is of another table: run {HOW_TO_WRITE}"
    assert f"timeout={WAIT_TIMEOUT:.0f})" in above
    assert f"`connect_timeout`\n({CONNECT_TIMEOUT:g} s here)" in above
    assert f"`request_timeout` ({REQUEST_TIMEOUT:g} s here)" in above
    assert len(FAULTS) == sum(len(faults) for faults in TABLE.values())
