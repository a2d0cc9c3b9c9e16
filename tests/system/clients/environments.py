"""Where clients that are not ours run: Pythons and a Node with packages of locked versions, each in a folder of its
own under `.clients` in the checkout.

Each is built once and kept, named by a hash of its lock file; two test runs queue for it. What a machine cannot
give, an interpreter or a package, is Missing: tests skip and say so.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE.parents[2] / ".clients"
BUILD_LIMIT_S = 600
LOOK_LIMIT_S = 20
OLDEST_NODE = 18  # the first with fetch


class Missing(Exception):
    """This machine cannot run the client; the message says what it lacks."""


def python_with_project_x() -> Path:
    """The interpreter of an environment that has project-x-py. Raises Missing."""
    return _python_with("python", HERE / "requirements.lock", _python_312)


def python_with_hftbacktest() -> Path:
    """The interpreter of an environment that has hftbacktest, without what only its plots need. Raises Missing."""
    return _python_with("backtest", HERE / "backtest.lock", lambda: Path(sys.executable), "--no-deps")


def _python_with(name: str, lock: Path, interpreter: Callable[[], Path], *arguments: str) -> Path:
    with _kept(name, lock) as (folder, is_built):
        python = folder / "bin" / "python"
        if not is_built:
            _run([str(interpreter()), "-m", "venv", "--clear", str(folder)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            _run([*pip, *arguments, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)])
    return python


def node_with_signalr() -> tuple[str, Path]:
    """The `node` to run, and the folder in which it finds @microsoft/signalr. Raises Missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("there is no node with npm on the PATH")
    version = _says([node, "--version"])
    if int(version.lstrip("v").split(".")[0] or "0") < OLDEST_NODE:
        raise Missing(f"node is {version or 'broken'}, and {OLDEST_NODE} is the oldest that will do")
    with _kept("node", HERE / "package-lock.json") as (folder, is_built):
        if not is_built:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
    return node, folder


@contextmanager
def _kept(name: str, lock: Path) -> Iterator[tuple[Path, bool]]:
    """The folder for a lock file, and whether it is whole; it is so once the body has ended well."""
    KEPT.mkdir(exist_ok=True)
    folder = KEPT / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    whole = folder / "whole"
    with open(KEPT / f"{name}.lock", "w") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        for outdated in KEPT.glob(f"{name}-*"):
            if outdated != folder:
                shutil.rmtree(outdated, ignore_errors=True)
        yield folder, whole.exists()
        whole.touch()


def _python_312() -> Path:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    named = [shutil.which(name) for name in ("python3.12", "python3", "python")]
    found = [*(Path(path) for path in named if path), *sorted(pyenv.glob("versions/3.12*/bin/python"))]
    for python in found:
        if _says([str(python), "-c", "import sys, ensurepip; print(sys.version_info[:2])"]) == "(3, 12)":
            return python
    raise Missing("there is no Python 3.12 on the PATH or among pyenv's versions")


def _says(command: list[str]) -> str:
    """What a command prints, "" if it fails: a name on the PATH may be a shim with nothing behind it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOOK_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: list[str], cwd: Path | None = None) -> None:
    """One step of a build. Raises Missing with the last line that it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_LIMIT_S, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise Missing(f"{Path(command[0]).name} did not end within {BUILD_LIMIT_S} s") from None
    if done.returncode:
        *_, last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Missing(f"packages could not be installed: {last}")
