"""Kernel files run by the plain interpreter, so that memory can be looked at between any two of their stores.

Compiled code cannot be stopped at a chosen store. The same source, run with stand-ins for `kernel` and the atomics,
can: every store to shared memory first copies that memory as it is, which is what a kill at that moment leaves.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

import shm

_MASK = (1 << 64) - 1


class Moments:
    """Called before each store; `note` says what a kill here leaves behind."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.note = note
        self.stored: dict[int, StoredWords] = {}  # by address, as kernels find them


class StoredWords:
    """A word array whose stores are noticed. Reads give Python integers, signed like the kernels' int64."""

    def __init__(self, array: Any, moments: Moments) -> None:
        self.array = array
        self.moments = moments
        self.ctypes = array.ctypes
        moments.stored[self.ctypes.data] = self

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: Any) -> Any:
        found = self.array.view(np.int64)[i]
        return found if isinstance(i, slice) else int(found)

    def __setitem__(self, i: Any, value: Any) -> None:
        if isinstance(i, slice):
            for at, each in zip(range(len(self))[i], value, strict=True):
                self[at] = each
            return
        self.moments.note()
        self.array.view(np.uint64)[i] = int(value) & _MASK


class Row:
    """One row of a structured array: its fields as attributes, as kernels see them."""

    row: Any

    def __init__(self, row: Any) -> None:
        self.__dict__["row"] = row

    def __getattr__(self, field: str) -> int:
        return int(self.row[field])

    def __setattr__(self, field: str, value: int) -> None:
        self.row[field] = value


class Rows:
    """A structured array whose rows are `Row`."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: Any) -> Row:
        return Row(self.array[i])


def _bytes_of(thing: Any) -> Any:
    if isinstance(thing, bytes):
        return np.frombuffer(thing, np.uint8)
    array = thing.array if isinstance(thing, StoredWords | Rows) else thing
    return array.reshape(-1).view(np.uint8)


def interpret(name: str, moments: Moments) -> Any:
    """The module shm.<name>, its kernels as plain functions, and those of the modules that it imports; memory copies
    are noticed before, half way and after."""
    standing = {"shm.atomics": _atomics(moments), "shm.compiled": ModuleType("shm.compiled")}
    standing["shm.compiled"].__dict__.update(dict.fromkeys(("kernel", "kernel_part"), lambda function: function))
    _load(name, standing)
    return standing[f"shm.{name}"]


def _atomics(moments: Moments) -> ModuleType:
    clock = iter(range(1, 1 << 60))

    def copy_bytes(to: Any, to_byte: int, source: Any, start: int, count: int) -> None:
        half = count // 2
        for first, end in ((0, half), (half, count)):
            moments.note()
            _bytes_of(to)[to_byte + first : to_byte + end] = _bytes_of(source)[start + first : start + end]

    def load(words: Any, i: int) -> int:
        return int(words[i])

    def store(words: Any, i: int, value: int) -> None:
        words[i] = value

    def nothing(*_: Any) -> int:
        return 0

    atomics = ModuleType("shm.atomics")
    atomics.__dict__.update(
        copy_bytes=copy_bytes,
        words_at=lambda address, count: moments.stored[address],
        **dict.fromkeys(("load_acquire", "load_relaxed"), load),
        **dict.fromkeys(("store_release", "store_relaxed"), store),
        **dict.fromkeys(("fence_acquire", "fence_release", "fence_seq_cst", "futex_wait", "futex_wake"), nothing),
        **dict.fromkeys(("boottime_ns", "realtime_ns", "clock_ns"), lambda *_: next(clock)),
        CLOCK_BOOTTIME=7,
        CLOCK_REALTIME=0,
        fetch_add=nothing,
    )
    return atomics


def _load(name: str, standing: dict[str, ModuleType]) -> None:
    """Add shm.<name> to `standing`, and before it every kernel file that it imports."""
    path = Path(shm.__file__).parent / f"{name}.py"
    source = path.read_text()
    for beneath in re.findall(r"^from \.(\w+) import", source, re.MULTILINE):
        if f"shm.{beneath}" not in standing and "from .compiled import" in (path.parent / f"{beneath}.py").read_text():
            _load(beneath, standing)
    module = ModuleType(f"shm.{name}")
    module.__dict__["__package__"] = "shm"
    with patch.dict(sys.modules, standing):
        exec(compile(source, str(path), "exec"), module.__dict__)
    standing[f"shm.{name}"] = module
