"""Compiled code is found again only for exactly these sources, and kernels have the options that kernels need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import config

from shm import compiled
from shm.compiled import kernel

TOP = Path(compiled.__file__).resolve().parent.parent

INTRINSIC = """
from numba import types
from numba.extending import intrinsic

@intrinsic
def answer(typing_context):
    def build(context, builder, signature, args):
        return context.get_constant(types.int64, {value})
    return types.int64(), build
"""
CALLER = """
from shm.compiled import kernel
from shm.told import answer

@kernel
def ask():
    return answer()

print(ask(), sum(ask.stats.cache_hits.values()))
"""


def test_the_cache_folder_is_named_by_the_sources_and_obeys_xdg(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.cache_folder() == tmp_path / "shardbook" / compiled.source_hash()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compiled.cache_folder() == tmp_path / ".cache" / "shardbook" / compiled.source_hash()


def test_an_edited_intrinsic_is_compiled_anew_though_numba_would_not_notice(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for place in compiled._KERNEL_PLACES:  # all but empty, so that importing them is quick
        file = tree / place if place.endswith(".py") else tree / place / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    shutil.copy(TOP / "shm" / "compiled.py", tree / "shm" / "compiled.py")
    (tree / "shm" / "asked.py").write_text(CALLER)
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",  # Python too would not notice an edit within a second
    }

    def ask(value: int) -> list[int]:
        (tree / "shm" / "told.py").write_text(INTRINSIC.format(value=value))
        command = [sys.executable, "-m", "shm.asked"]
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return [int(word) for word in done.stdout.split()]

    assert ask(41) == [41, 0]
    assert ask(41) == [41, 1]
    assert ask(42) == [42, 0]


def test_a_kernel_runs_without_the_gil_and_leaves_numbas_own_cache_folder_alone() -> None:
    before = config.CACHE_DIR

    @kernel
    def nothing() -> int:
        return 0

    assert before == config.CACHE_DIR
    options = nothing.targetoptions  # type: ignore[attr-defined]
    assert options["nogil"] is True
    assert options["boundscheck"] is False
    assert options["nopython"] is True
    assert options["error_model"] == "numpy"


def test_division_by_zero_in_a_kernel_raises_nothing() -> None:
    """An exception in a write section would leave it open for ever."""
    options = {key: value for key, value in compiled._OPTIONS.items() if key != "cache"}

    def divide(numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        return numbers[0] / numbers[1]  # type: ignore[no-any-return]

    assert np.isinf(numba.njit(**options)(divide)(np.array([1.0, 0.0])))


TOLD = """
from shm.compiled import kernel, telling_of_compiling

@kernel
def one(): return 1

@kernel
def two(): return 2

with telling_of_compiling(lambda: print("compiling", flush=True)):
    one(), two()
"""


def test_compiling_is_told_once_and_loading_is_not(tmp_path: Path) -> None:
    script = tmp_path / "told.py"
    script.write_text(TOLD)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(TOP)}

    def said() -> str:
        return subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    assert said() == "compiling\n"
    assert said() == ""
