"""Who may import whom. The three packages meet in `shm` only, and no other distribution owns their names."""

import ast
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
MAY_IMPORT = {"shm": {"shm"}, "engine": {"engine", "shm"}, "workers": {"workers", "shm"}}

# A reader's process must not pay for a compiler: what `import shm` and a read on x86-64 may not bring in.
HEAVY = ("numba", "llvmlite", "polars", "aiohttp", "uvloop", "engine", "workers")


def _sources() -> list[Path]:
    return sorted(path for package in MAY_IMPORT for path in (TOP / package).rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Line, dotted name and level of every import statement, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level


def _wrong_imports(path: Path, text: str) -> list[str]:
    """What a source file of ours imports against the rules, as sentences."""
    package = path.relative_to(TOP).parts[0]
    depth = len(path.relative_to(TOP).parts) - 1
    wrong = []
    for line, name, level in _imports(ast.parse(text)):
        first = name.partition(".")[0]
        where = f"{path.relative_to(TOP)}:{line}"
        if level > depth:
            wrong.append(f"{where} imports from above its package")
        elif level == 0 and first in MAY_IMPORT and first not in MAY_IMPORT[package]:
            wrong.append(f"{where}: {package} must not import {first}")
        elif level == 0 and first == package:
            wrong.append(f"{where}: inside {package}, import relatively")
        elif level == 0 and first == "tests":
            wrong.append(f"{where}: a package must not import its tests")
    return wrong


def test_import_direction() -> None:
    assert len(_sources()) > 20
    assert [wrong for path in _sources() for wrong in _wrong_imports(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("shm/ring.py", "import engine"),
        ("shm/ring.py", "def f():\n    from workers.decode import scan"),
        ("engine/router.py", "from workers import job"),
        ("workers/pump.py", "import engine.config"),
        ("workers/pump.py", "from workers.job import Job"),
        ("workers/decode/scan.py", "from ...engine import config"),
        ("engine/router.py", "from tests.model import Book"),
    ],
)
def test_a_wrong_import_is_seen(file: str, text: str) -> None:
    assert len(_wrong_imports(TOP / file, text)) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("engine/router.py", "from shm.ring import RingWriter"),
        ("engine/feeds/projectx.py", "from ..http import get"),
        ("workers/decode/scan.py", "from ..rules import x\nfrom . import rows"),
        ("shm/ring.py", "from . import layout\nimport numpy"),
    ],
)
def test_a_right_import_passes(file: str, text: str) -> None:
    assert _wrong_imports(TOP / file, text) == []


def test_a_reader_imports_no_compiler() -> None:
    code = f"import sys, shm; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_modules_are_imported_without_side_effects(package: str) -> None:
    """Importing prints nothing, starts no thread, and needs no environment."""
    paths = [path.relative_to(TOP) for path in _sources() if path.name != "__main__.py"]  # those are programs
    modules = [".".join(path.with_suffix("").parts) for path in paths if path.parts[0] == package]
    code = f"import threading, {', '.join(modules)}; assert threading.active_count() == 1"
    done = subprocess.run(
        [sys.executable, "-c", code.replace(".__init__", "")],
        cwd=TOP,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nobody_else_owns_our_package_names() -> None:
    """A second distribution with a top-level `engine` or `workers` would overwrite ours, and pip says nothing."""
    owners = importlib.metadata.packages_distributions()
    for package in MAY_IMPORT:
        assert set(owners.get(package, [])) <= {"shardbook"}


def test_the_wheel_holds_the_three_packages() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(MAY_IMPORT)
    for package in MAY_IMPORT:
        assert (TOP / package / "py.typed").is_file()
        assert (TOP / package / "__init__.py").is_file()
