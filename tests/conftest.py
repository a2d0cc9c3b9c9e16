"""What all tests share: a place in shared memory of one's own, and the check that nothing is left in it."""

import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.waiting import wait_for

ORPHAN_LIMIT_S = 5.0

# The machine is shared: how long an example takes says nothing.
hypothesis.settings.register_profile("shared machine", deadline=None, print_blob=True)
hypothesis.settings.load_profile("shared machine")


def processes_of(root: Path) -> list[int]:
    """The processes, besides this one, that were started to use `root` as the place of their shared memory."""
    wanted = f"SHARDBOOK_SHM={root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # it ended, or is another user's
                continue
    return found


@pytest.fixture
def shm_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in a tmpfs, named in SHARDBOOK_SHM; at the end no process that was started for it may live."""
    root = Path(tempfile.mkdtemp(prefix="shardbook-test-", dir="/dev/shm"))
    monkeypatch.setenv("SHARDBOOK_SHM", str(root))
    try:
        yield root
        wait_for(lambda: not processes_of(root), ORPHAN_LIMIT_S, f"the end of every process of {root}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def left_nothing(shm_root: Path) -> Iterator[Path]:
    """`shm_root`, with the check that the test leaves no file in it either."""
    yield shm_root
    left = sorted(str(path.relative_to(shm_root)) for path in shm_root.rglob("*"))
    assert left == [], f"left in shared memory: {left}"


@pytest.fixture
def engine_name() -> str:
    """A name that no other engine has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def seed() -> int:
    """A random test's seed: from SHARDBOOK_SEED, or new; printed, so that a failure can be had again."""
    given = os.environ.get("SHARDBOOK_SEED")
    chosen = int(given) if given else random.SystemRandom().randrange(1 << 32)
    print(f"SHARDBOOK_SEED={chosen}")
    return chosen
