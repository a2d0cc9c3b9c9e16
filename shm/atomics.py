"""Atomic loads, stores and fences for kernels, on 1-D arrays of 8-byte words, and the three system calls they need.

A plain load in a wait loop is hoisted out of it by the compiler and never sees the other process (seen in the
assembly): every word that another process writes is read with `load_acquire` or `load_relaxed`. Orders used here:

    store_release / load_acquire   what was written before the store is seen after the load
    store_relaxed / load_relaxed   the word alone, whole
    fence_release                  stores before it are seen before stores after it
    fence_acquire                  loads before it are made before loads after it
    fence_seq_cst                  also store → load: the parking handshake needs it, on x86 too
                                   (without it 52 of 100,000 wake-ups were lost)

Inline assembly aborts the process under numba; LLVM's own atomics and libc's functions are used instead.
"""

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .compiled import kernel
from .layout import Words

_I8 = ir.IntType(8)
_I64 = ir.IntType(64)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, width: int) -> Any:
    """The address of element `index` of a contiguous 1-D array."""
    view = context.make_array(array_type)(context, builder, array)
    bytes_each = builder.extract_value(view.strides, 0)
    address = builder.add(builder.ptrtoint(view.data, _I64), builder.mul(index, bytes_each))
    return builder.inttoptr(address, ir.IntType(width).as_pointer())


def _check(array: Any) -> None:
    if not (isinstance(array, types.Array) and array.ndim == 1 and isinstance(array.dtype, types.Integer)):
        raise TypingError(f"a 1-D array of integers is wanted, not {array}")


def _load(order: str) -> Callable[[Words, int], int]:
    @intrinsic  # type: ignore[untyped-decorator]
    def load(typing_context: Any, words: Any, index: Any) -> Any:
        _check(words)
        width = words.dtype.bitwidth

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            where = _pointer(context, builder, words, args[0], args[1], width)
            return builder.load_atomic(where, order, width // 8)

        return words.dtype(words, types.intp), build

    return load  # type: ignore[no-any-return]


def _store(order: str) -> Callable[[Words, int, int], None]:
    @intrinsic  # type: ignore[untyped-decorator]
    def store(typing_context: Any, words: Any, index: Any, value: Any) -> Any:
        _check(words)
        width = words.dtype.bitwidth

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            where = _pointer(context, builder, words, args[0], args[1], width)
            builder.store_atomic(args[2], where, order, width // 8)
            return context.get_dummy_value()

        return types.void(words, types.intp, words.dtype), build

    return store  # type: ignore[no-any-return]


def _fence(order: str) -> Callable[[], None]:
    @intrinsic  # type: ignore[untyped-decorator]
    def fence(typing_context: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.fence(order)
            return context.get_dummy_value()

        return types.void(), build

    return fence  # type: ignore[no-any-return]


load_acquire = _load("acquire")
load_relaxed = _load("monotonic")
store_release = _store("release")
store_relaxed = _store("monotonic")
fence_acquire = _fence("acquire")
fence_release = _fence("release")
fence_seq_cst = _fence("seq_cst")


@intrinsic  # type: ignore[untyped-decorator]
def fetch_add(typing_context: Any, words: Any, index: Any, value: Any) -> Any:
    """Add to a word that several processes write; the value before."""
    _check(words)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _pointer(context, builder, words, args[0], args[1], words.dtype.bitwidth)
        return builder.atomic_rmw("add", where, args[2], "acq_rel")

    return words.dtype(words, types.intp, words.dtype), build


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(typing_context: Any, to: Any, to_byte: Any, source: Any, source_byte: Any, count: Any) -> Any:
    """memcpy between two contiguous buffers, offsets and count in bytes whatever their element types."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(_I64, 0)
        start = _pointer(context, builder, to, args[0], zero, 8)
        first = _pointer(context, builder, source, args[2], zero, 8)
        start = builder.gep(start, [args[1]], source_etype=_I8)
        first = builder.gep(first, [args[3]], source_etype=_I8)
        cgutils.raw_memcpy(builder, start, first, args[4], 1, align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def address_of(typing_context: Any, array: Any, index: Any) -> Any:
    """The address of an element, for a system call."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(_pointer(context, builder, array, args[0], args[1], 8), _I64)

    return types.intp(array, types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def words_at(typing_context: Any, address: Any, count: Any) -> Any:
    """`count` words at an address, as an array that owns nothing."""
    kind = types.Array(types.int64, 1, "C")

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = context.make_array(kind)(context, builder)
        data = builder.inttoptr(args[0], words.data.type)
        each = context.get_constant(types.intp, 8)
        populate_array(words, data=data, shape=[args[1]], strides=[each], itemsize=each, meminfo=None)
        return words._getvalue()

    return kind(types.intp, types.intp), build


_syscall = types.ExternalFunction(
    "syscall", types.int64(types.int64, types.intp, types.int64, types.int64, types.intp, types.int64, types.int64)
)
_clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))

FUTEX_CALL = 98 if platform.machine() == "aarch64" else 202
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_EVERYONE = 0x7FFFFFFF
CLOCK_REALTIME, CLOCK_BOOTTIME = 0, 7


@kernel
def clock_ns(words: Words, at: int, clock: int) -> int:
    """A clock in nanoseconds; two words at `at` are overwritten. Age is measured by BOOTTIME: it goes on in suspend."""
    _clock_gettime(clock, address_of(words, at))
    return words[at] * 1_000_000_000 + words[at + 1]  # type: ignore[no-any-return]


@kernel
def boottime_ns(scratch: Words) -> int:
    """CLOCK_BOOTTIME; the first two words of `scratch` are overwritten."""
    return clock_ns(scratch, 0, CLOCK_BOOTTIME)


@kernel
def futex_wait(words: Words, index: int, seen: int, timeout_ns: int, scratch: Any) -> None:
    """Sleep until the word's low half is no longer `seen`, or `timeout_ns` (above 0) is over."""
    scratch[0] = timeout_ns // 1_000_000_000
    scratch[1] = timeout_ns % 1_000_000_000
    low = seen & 0xFFFFFFFF
    _syscall(FUTEX_CALL, address_of(words, index), _FUTEX_WAIT, low, address_of(scratch, 0), 0, 0)


@kernel
def futex_wake(words: Words, index: int) -> int:
    """Wake all who sleep on the word; how many that was."""
    return _syscall(FUTEX_CALL, address_of(words, index), _FUTEX_WAKE, _EVERYONE, 0, 0, 0)  # type: ignore[no-any-return]
