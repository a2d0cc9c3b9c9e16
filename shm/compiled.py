"""numba, set up once: the options of every kernel, and where compiled code is kept.

numba's own cache does not notice that an imported intrinsic was edited (its issue 9483), so the folder is named by
a hash of all our kernel sources: any edit compiles anew. Reading a book needs none of this on x86-64, so nothing
that a reader imports there imports this file.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config, event

Function = TypeVar("Function", bound=Callable[..., Any])

_KERNEL_PLACES = ("shm", "workers", "engine/fan.py", "engine/simulator")
_OPTIONS: dict[str, Any] = {
    "boundscheck": False,
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}


def source_hash() -> str:
    """Sixteen hex digits over every source file that holds a kernel, or a constant of one, and over numba's version."""
    top = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(numba.__version__.encode())
    for place in _KERNEL_PLACES:
        for path in sorted((top / place).rglob("*.py")) or [top / place]:
            digest.update(str(path.relative_to(top)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels of exactly these sources lie."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "shardbook" / source_hash()


_FOLDER = str(cache_folder())


def kernel(function: Function) -> Function:
    """Compile `function` to machine code on its first call, without bounds checks and without the GIL.

    What is called from a kernel must be a kernel. Nothing in one may raise, allocate, or call Python: numba's
    counting of references is off (an option of its own, `_nrt`), because counting the arrays of every call cost half
    of the hot path; so a kernel that makes an array does not compile. A wait loop reads shared words only through
    `shm.atomics`.
    """
    return _compile(function, _nrt=False)


def kernel_part(function: Function) -> Function:
    """A kernel that stands in its callers' code: for what is cut out to be read and would cost a call each time."""
    return _compile(function, _nrt=False, forceinline=True)


def allocating_kernel(function: Function) -> Function:
    """A kernel that may make arrays: for preparation, never for what runs while somebody waits."""
    return _compile(function)


def _compile(function: Function, **options: bool) -> Function:
    before = config.CACHE_DIR
    config.CACHE_DIR = _FOLDER
    try:
        compiled: Function = numba.njit(**_OPTIONS, **options)(function)
    finally:
        config.CACHE_DIR = before
    return compiled


@contextmanager
def telling_of_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` once, before the first kernel is compiled; not at all if all of them are kept and only loaded."""
    with event.install_listener("numba:compile", _First(tell)):
        yield


class _First(event.Listener):  # type: ignore[misc]
    """Passes the first start on."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: object) -> None:
        if self._tell is not None:
            self._tell()
        self._tell = None

    def on_end(self, event: object) -> None:
        pass
