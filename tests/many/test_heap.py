"""The heap of due times and turns: in order, also while others are forgotten."""

from __future__ import annotations

from hypothesis import given, strategies as st

from asyncclient._many.heap import Heap


@given(
    st.lists(
        st.one_of(st.floats(0, 100), st.sampled_from(["pop", "sweep", "leave"])), max_size=2000
    )
)
def test_what_holds_comes_in_order(steps: list[float | str]) -> None:
    """Items come by their number, and by their age where that is equal; none is lost or doubled."""
    heap: Heap[tuple[float, int]] = Heap()
    live: dict[int, float] = {}
    for number, step in enumerate(steps):
        if isinstance(step, float):
            heap.push((step, number))
            live[number] = step
        elif step == "leave" and live:
            del live[next(iter(live))]
        elif step == "sweep":
            heap.sweep(len(live), lambda entry: entry[1] in live)
        elif step == "pop" and heap:
            least, item = heap.pop()
            assert live.pop(item, least) == least
            assert all(least <= other for other in live.values())
    assert set(live) <= {item for _, item in heap}
    left = [heap.pop() for _ in range(len(heap))]
    assert left == sorted(left)
    assert heap.first() is None


def test_what_no_longer_holds_goes_in_time() -> None:
    """Of ten thousand that leave one after the other few are kept; each call does a little."""
    heap: Heap[tuple[float, int]] = Heap()
    for number in range(10_000):
        heap.push((1.0, number))
    looked_at: list[int] = []

    def holds(entry: tuple[float, int]) -> bool:
        looked_at.append(entry[1])
        return entry[1] > left

    for left in range(10_000):
        before = len(looked_at)
        heap.sweep(10_000 - left - 1, holds)
        assert len(looked_at) <= before + 4
        assert len(heap) <= 2.5 * (10_000 - left) + 256
    assert len(looked_at) <= 30_000
