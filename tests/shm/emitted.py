"""What the compiler made of a kernel: its atomic operations in order, read from LLVM's own text."""

import re
from collections.abc import Callable
from typing import Any

import numba

from shm import compiled

_OPTIONS = {key: value for key, value in compiled._OPTIONS.items() if key != "cache"}
_PATTERNS = (
    ("load", re.compile(r"= load atomic i64, .* (\w+), align")),
    ("store", re.compile(r"^store atomic i64 .* (\w+), align")),
    ("fence", re.compile(r"^fence (\w+)")),
    ("add", re.compile(r"= atomicrmw add .* (\w+), align")),
)

# A publication: the commit slot, `tail`, the fence, `parked`, and the sleeper's word. Where the ring is recorded, the
# recorder's ring is published behind it in the same order.
PUBLICATION = ["store release", "store release", "fence seq_cst", "load monotonic", "store release"]


def publications(found: list[str]) -> list[str]:
    """Both of them. Left out are loads of `head`, and the fence behind what is given up for want of room, which may
    stand in their code or be called."""
    return [name for name in found if name not in ("load acquire", "fence release")][: 2 * len(PUBLICATION)]


def compile_anew(function: Callable[..., Any], *types: Any) -> Any:
    """`function`, a kernel too, compiled for these numba types outside the cache: cached code cannot be inspected."""
    plain = getattr(function, "py_func", function)
    fresh = numba.njit(**_OPTIONS)(plain)
    fresh.compile(types)
    return fresh


def atomic_operations(function: Callable[..., Any], *types: Any) -> list[str]:
    """ "load acquire", "fence seq_cst" and so on, in the order in which the function's code has them."""
    text = next(iter(compile_anew(function, *types).inspect_llvm().values()))
    found: list[str] = []
    ours = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("define "):
            # numba's run-time library and its wrappers for Python callers have atomics of their own
            ours = "NRT_" not in line and "@_ZN7cpython" not in line and "@cfunc" not in line
        elif ours:
            for name, pattern in _PATTERNS:
                if match := pattern.search(line):
                    found.append(f"{name} {match[1]}")
    return found


def assembly(function: Callable[..., Any], *types: Any) -> str:
    """The machine code as text."""
    return str(next(iter(compile_anew(function, *types).inspect_asm().values())))
