"""The lock files hold what pyproject.toml asks for: exact versions, hashes, nothing of any machine."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-all.lock")
CLIENTS = Path("tests") / "system" / "clients"  # what tests run beside us, in environments of its own

_PINNED = re.compile(
    r"([a-z0-9][a-z0-9-]*)==([0-9][0-9a-z.]*)( ; [^\\]*?)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def _pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package; more than one where they differ by version of Python."""
    pins: dict[str, set[str]] = {}
    for name, version, _, _ in _PINNED.findall((TOP / lock).read_text()):
        pins.setdefault(name, set()).add(version)
    return pins


@pytest.mark.parametrize("lock", [*LOCKS, str(CLIENTS / "requirements.lock")])
def test_every_line_is_a_pin_with_hashes(lock: str) -> None:
    rest = _PINNED.sub("", (TOP / lock).read_text())
    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    assert "/" not in rest.replace("scripts/lock", "")
    assert len(_pins(lock)) > 20


def test_the_locks_agree() -> None:
    small, large = (_pins(lock) for lock in LOCKS)
    assert small.items() <= large.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_what_pyproject_asks_for_is_locked(lock: str) -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    if lock == "requirements-all.lock":
        asked += [one for extra in project["optional-dependencies"].values() for one in extra]
    pins = _pins(lock)
    for text in asked:
        requirement = Requirement(text)
        assert all(requirement.specifier.contains(version) for version in pins[requirement.name]), text


def test_the_clients_are_the_ones_that_we_say() -> None:
    asked = (TOP / CLIENTS / "requirements.in").read_text().split()
    assert asked == ["project-x-py==4.4.1"]
    assert _pins(str(CLIENTS / "requirements.lock"))["project-x-py"] == {"4.4.1"}
    wanted = json.loads((TOP / CLIENTS / "package.json").read_text())["dependencies"]
    locked = json.loads((TOP / CLIENTS / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in package for name, package in locked.items() if name)
    assert not any("resolved" in package for package in locked.values()), "an address of whoever wrote it"
