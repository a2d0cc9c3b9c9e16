"""A command's first moments: Ctrl-C, a terminal of little encoding, a machine that will not do; all without imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
HEAVY = ("numpy", "numba", "rich", "polars", "aiohttp", "shm", "engine.config")


def run(code: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
    command = [sys.executable, *arguments, "-c", code]
    done = subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, timeout=LIMIT_S, env=os.environ | environ, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("module", ["engine.launch", "engine.console"])
def test_nothing_heavy_is_imported_with_a_command(module: str) -> None:
    """So that what follows is in force from the first moments on."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert run(code) == (0, "\n", "")


def test_ctrl_c_while_importing_is_a_sentence() -> None:
    code = (
        "import os, signal\nfrom engine.entry import early\nwith early('scripts/launch'):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n    except BaseException:\n        pass\n"
        "print('went on')"
    )
    assert run(code) == (1, "", "scripts/launch: ended before it began\n")


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    """What it was is set here: whoever runs the tests in the background has them ignore it."""
    own = "import signal\nfrom engine.entry import early\nsignal.signal(2, own := lambda *_: None)\n"
    assert run(f"{own}with early('x'): pass\nprint(signal.getsignal(2) is own)") == (0, "True\n", "")


def test_what_a_terminal_cannot_show_is_a_question_mark() -> None:
    code = "import sys\nfrom engine.entry import early\nwith early('x'): print('a…b'); print('c×d', file=sys.stderr)"
    assert run(code, PYTHONIOENCODING="ascii") == (0, "a?b\n", "c?d\n")


@pytest.mark.parametrize(
    ("system", "machine", "named"),
    [("Windows", "AMD64", "WSL2"), ("Darwin", "arm64", "Linux"), ("Linux", "riscv64", "riscv64")],
)
def test_another_machine_is_a_sentence_and_no_traceback(system: str, machine: str, named: str) -> None:
    """As `python -m engine.launch` begins there: nothing of ours was imported before."""
    code = (
        f"import platform, runpy, sys\nplatform.system, platform.machine = lambda: {system!r}, lambda: {machine!r}\n"
        "sys.argv = ['launch', '--for', '1']\nrunpy.run_module('engine.launch', run_name='__main__')"
    )
    status, out, said = run(code)
    assert (status, out, said.count("\n")) == (1, "", 1)
    assert said.startswith("scripts/launch: shardbook runs on ")
    assert named in said
