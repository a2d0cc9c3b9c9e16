"""The fences that plain Python has not, for machines that reorder loads and stores.

x86-64 makes loads in program order, so a reader there needs no fence and this file is not imported (numba takes
a second to import). On aarch64 a copy could be made before the word that says which cell to copy was loaded.
Aligned 8-byte words are single loads in CPython on both, so the fence between them is all that is missing.
"""

from .atomics import fence_acquire, fence_release
from .compiled import kernel


@kernel
def fence() -> None:
    """Loads before it are made before loads after it."""
    fence_acquire()


@kernel
def store_fence() -> None:
    """Stores before it are seen before stores after it."""
    fence_release()
