"""Every atomic is there in the code that the compiler emitted, in kernels too; and the fence that parking needs works.

x86-64 is run and read; aarch64 gets the same LLVM text, its machine code is not run here.
"""

import os
import platform
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import types
from numba.core.errors import TypingError

from shm import atomics, cells, checkpoint, layout, ring, rows
from shm.atomics import fence_seq_cst, load_acquire, load_relaxed, store_relaxed, store_release
from tests.shm.emitted import PUBLICATION, assembly, atomic_operations, compile_anew, publications
from tests.shm.stress import parking

WORDS = types.Array(types.int64, 1, "C")
ROUNDS = 200_000
PARKING_ROUNDS = 60_000
ON_X86 = platform.machine() == "x86_64"


def _records(dtype: np.dtype[np.void], dimensions: int) -> Any:
    from numba.np.numpy_support import from_dtype

    return types.Array(from_dtype(dtype), dimensions, "C")


LEVELS = _records(layout.LEVEL, 1)
SIDES = _records(layout.LEVEL, 2)
STATE = _records(layout.STATE, 1)


def _load_acquire(words: Any) -> Any:
    return atomics.load_acquire(words, 3)


def _load_relaxed(words: Any) -> Any:
    return atomics.load_relaxed(words, 3)


def _store_release(words: Any) -> None:
    atomics.store_release(words, 3, 7)


def _store_relaxed(words: Any) -> None:
    atomics.store_relaxed(words, 3, 7)


def _fence_acquire(words: Any) -> None:
    atomics.fence_acquire()


def _fence_release(words: Any) -> None:
    atomics.fence_release()


def _fence_seq_cst(words: Any) -> None:
    atomics.fence_seq_cst()


def _fetch_add(words: Any) -> Any:
    return atomics.fetch_add(words, 3, 5)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (_load_acquire, "load acquire"),
        (_load_relaxed, "load monotonic"),
        (_store_release, "store release"),
        (_store_relaxed, "store monotonic"),
        (_fence_acquire, "fence acquire"),
        (_fence_release, "fence release"),
        (_fence_seq_cst, "fence seq_cst"),
        (_fetch_add, "add acq_rel"),
    ],
)
def test_each_atomic_is_the_operation_it_is_named_after(function: Callable[..., Any], operation: str) -> None:
    assert atomic_operations(function, WORDS) == [operation]


@pytest.mark.skipif(not ON_X86, reason="reads x86-64 machine code")
@pytest.mark.parametrize(
    ("function", "instruction"),
    [(_fence_seq_cst, r"\bmfence\b|\block\s+or|\block\b"), (_fetch_add, r"\block\b[\s;]*xadd|\block\b[\s;]*add")],
)
def test_what_x86_does_not_order_by_itself_is_a_locked_instruction(
    function: Callable[..., Any], instruction: str
) -> None:
    assert re.search(instruction, _own_assembly(function))


@pytest.mark.skipif(not ON_X86, reason="reads x86-64 machine code")
@pytest.mark.parametrize("function", [_load_acquire, _store_release, _fence_acquire, _fence_release])
def test_what_x86_orders_by_itself_costs_no_locked_instruction(function: Callable[..., Any]) -> None:
    assert not re.search(r"\bmfence\b|\block\b", _own_assembly(function))


def _own_assembly(function: Callable[..., Any]) -> str:
    """The function's own code, without numba's wrappers and run-time library."""
    text = assembly(function, WORDS)
    start = re.search(rf"^_ZN\S*{function.__name__}\S*:$", text, re.MULTILINE)
    assert start, text
    return text[start.end() : text.index(".cfi_endproc", start.end())]


@pytest.mark.parametrize(
    ("kernel", "arguments", "operations"),
    [
        pytest.param(
            cells.publish_cell,
            (
                *(WORDS, WORDS, _records(layout.CELL, 1), _records(layout.LEVEL, 3), STATE, LEVELS, LEVELS),
                *(types.int64, types.int64),
            ),
            ["store monotonic", "fence release", "store release", "store release"],
            id="publish_cell",
        ),
        pytest.param(
            checkpoint.write_slot,
            (WORDS, _records(layout.SLOT, 1), _records(layout.LEVEL, 3), STATE, SIDES),
            ["store monotonic", "fence release", "store release"],
            id="write_slot",
        ),
        pytest.param(
            rows.announce, (WORDS, types.int64, types.int64), ["store monotonic", "fence release"], id="announce"
        ),
        pytest.param(rows.commit, (WORDS, types.int64, types.int64), ["store release"], id="commit"),
        pytest.param(cells.move_through, (WORDS, types.int64), ["store release"], id="move_through"),
        pytest.param(ring.release, (WORDS, types.int64), ["store release"], id="release"),
        pytest.param(
            ring.park,
            (WORDS, types.int64, types.int64, WORDS),
            ["load acquire", "store monotonic", "fence seq_cst", "load acquire", "store monotonic", "load acquire"],
            id="park",
        ),
    ],
)
def test_kernels_keep_their_stores_and_fences_in_order(
    kernel: Callable[..., Any], arguments: tuple[Any, ...], operations: list[str]
) -> None:
    """On x86 most fences cost nothing and their loss shows in no run: so their place in the code is asked for."""
    found = atomic_operations(kernel, *arguments)
    if kernel is checkpoint.write_slot:  # the marks of both slots are loaded first, in a loop that may be unrolled
        while found[0] == "load acquire":
            del found[0]
    assert found == operations


def test_publish_raises_the_tail_after_the_commit_slot_and_fences_before_it_looks_at_parked() -> None:
    assert publications(atomic_operations(ring.publish, WORDS)) == 2 * PUBLICATION


def test_words_at_an_address_are_the_memory_itself() -> None:
    def change(address: int, count: int) -> int:
        words = atomics.words_at(address, count)
        atomics.store_release(words, 3, 7)
        return len(words)

    words = np.arange(8, dtype=np.int64)
    assert compile_anew(change, types.intp, types.intp)(words.ctypes.data + 8, 5) == 5
    assert words.tolist() == [0, 1, 2, 3, 7, 5, 6, 7]


def test_loads_and_stores_reach_the_word_that_is_named() -> None:
    words = np.arange(8, dtype=np.int64)
    assert compile_anew(_load_acquire, WORDS)(words) == 3
    assert compile_anew(_fetch_add, WORDS)(words) == 3
    compile_anew(_store_release, WORDS)(words[1:5])
    assert words.tolist() == [0, 1, 2, 8, 7, 5, 6, 7]


@pytest.mark.parametrize(
    "wrong", [types.Array(types.float64, 1, "C"), types.Array(types.int64, 2, "C"), types.int64], ids=str
)
def test_what_is_not_a_row_of_integers_is_refused_when_it_is_compiled(wrong: Any) -> None:
    with pytest.raises(TypingError, match="1-D array of integers"):
        compile_anew(_load_acquire, wrong)


@pytest.mark.parametrize(("start", "count", "to"), [(0, 0, 0), (3, 5, 1), (0, 24, 0), (1, 23, 0)])
def test_bytes_are_copied_from_and_to_the_offsets(start: int, count: int, to: int) -> None:
    def copy(target: Any, to_byte: int, source: Any, from_byte: int, n: int) -> None:
        atomics.copy_bytes(target, to_byte, source, from_byte, n)

    target = np.full(4, -1, np.int64)
    source = bytes(range(24))
    kernel = compile_anew(copy, WORDS, types.int64, types.Bytes(types.uint8, 1, "C"), types.int64, types.int64)
    kernel(target, to, source, start, count)
    expected = bytearray(b"\xff" * 32)
    expected[to : to + count] = source[start : start + count]
    assert target.tobytes() == bytes(expected)


# ── the parking litmus: store, then load, on both sides ─────────────────────────────────────────────────────

Turn = Callable[[Any, Any, int], None]


def _side(mine: int, other: int, fenced: bool) -> Turn:
    def both(words: Any, seen: Any, rounds: int) -> None:
        for i in range(1, rounds + 1):
            store_release(words, parking.ARRIVED + 16 * mine, i)
            parking.wait_until(words, parking.ARRIVED + 16 * other, i)
            store_relaxed(words, parking.FLAG + 16 * mine, i)
            fence_seq_cst()
            seen[i - 1] = load_relaxed(words, parking.FLAG + 16 * other)

    def neither(words: Any, seen: Any, rounds: int) -> None:
        for i in range(1, rounds + 1):
            store_release(words, parking.ARRIVED + 16 * mine, i)
            parking.wait_until(words, parking.ARRIVED + 16 * other, i)
            store_relaxed(words, parking.FLAG + 16 * mine, i)
            seen[i - 1] = load_acquire(words, parking.FLAG + 16 * other)

    return both if fenced else neither


def _lost(fenced: bool) -> int:
    words = np.zeros(128, np.int64)
    seen = [np.zeros(ROUNDS, np.int64) for _ in range(2)]
    turns = [compile_anew(_side(i, 1 - i, fenced), WORDS, WORDS, types.int64) for i in range(2)]
    run_pinned([lambda i=i: turns[i](words, seen[i], ROUNDS) for i in range(2)])  # type: ignore[misc]
    wanted = np.arange(1, ROUNDS + 1)
    return int(((seen[0] < wanted) & (seen[1] < wanted)).sum())


def run_pinned(sides: list[Callable[[], object]]) -> None:
    """Run both in threads of their own, each on a processor of its own; kernels do not hold the GIL."""
    allowed = sorted(os.sched_getaffinity(0))
    failures: list[BaseException] = []

    def run(side: Callable[[], object], processor: int) -> None:
        os.sched_setaffinity(0, {processor})  # of this thread alone
        try:
            side()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(side, allowed[-i])) for i, side in enumerate(sides)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


two_processors = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two processors must race")


@two_processors
def test_with_the_full_fence_no_round_is_lost() -> None:
    without = _lost(fenced=False)
    print(f"store → load without the fence: {without} of {ROUNDS:,} rounds lost (how many is the machine's affair)")
    assert _lost(fenced=True) == 0


@two_processors
def test_no_wake_up_is_lost_between_publish_and_park() -> None:
    """The real pair, racing: each round the worker parks just when the engine publishes the record it waits for.

    A lost wake-up is a wait that ran into its time limit though the tail had moved and nobody had signalled.
    """
    from tests.shm.consumer import ring_words

    words = ring_words().view(np.int64)
    ring.resume(words, 1 << layout.GENERATION_SHIFT, int(layout.Venue.PROJECTX))
    counts = np.zeros(parking.COUNTS, np.int64)
    engine = parking.engine_side
    worker = parking.worker_side
    engine(words, np.zeros(8, np.uint8), 0)
    worker(words, np.zeros(4, np.int64), counts, 0)
    run_pinned(
        [
            lambda: engine(words, np.zeros(8, np.uint8), PARKING_ROUNDS),
            lambda: worker(words, np.zeros(4, np.int64), counts, PARKING_ROUNDS),
        ]
    )
    slept = int(words[layout.SIGNAL])
    print(f"{PARKING_ROUNDS:,} rounds, {slept:,} with a wake-up")
    assert counts[parking.LOST] == 0
    assert slept > 0, "the two never met: nothing was tested"
