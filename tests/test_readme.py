"""Every bash and python block of the README, run as it stands there, the readers beside the engine it starts."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import NoEngine, attach
from tests.waiting import wait_for

TOP = Path(__file__).resolve().parent.parent
START_LIMIT_S = 180.0  # the first start of a fresh checkout installs packages and compiles the kernels
BLOCK_LIMIT_S = 60.0

_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(language, text) for language, text in _BLOCK.findall((TOP / "README.md").read_text())]
ENDLESS = [text for language, text in BLOCKS if "scripts/launch" in text and "--for" not in text]
BOUNDED = [text for language, text in BLOCKS if "scripts/launch" in text and "--for" in text]
BESIDE = [(language, text) for language, text in BLOCKS if "scripts/launch" not in text]

pytestmark = pytest.mark.timeout(300)


def _environ(folder: Path) -> dict[str, str]:
    """Shared memory and data of one's own: the README's engine has the default name."""
    return os.environ | {"SHARDBOOK_SHM": str(folder), "XDG_DATA_HOME": str(folder / "data")}


@pytest.fixture(scope="module")
def engine() -> Iterator[Path]:
    """The README's first command, live; it ends as a person ends it, with Ctrl-C, and has to end well."""
    with tempfile.TemporaryDirectory(prefix="shardbook-test-", dir="/dev/shm") as name:
        folder = Path(name)
        with tempfile.TemporaryFile("w+") as said:
            running = subprocess.Popen(
                ["bash", "-c", f"exec {ENDLESS[0]}"], cwd=TOP, env=_environ(folder), stdout=said, stderr=said
            )
            try:
                wait_for(lambda: running.poll() is not None or _live(folder), START_LIMIT_S, "every book is live")
                yield folder
            finally:
                running.send_signal(signal.SIGINT)
                status = running.wait(BLOCK_LIMIT_S)
                said.seek(0)
                text = said.read()
        assert status == 0, text
        assert [path.name for path in folder.iterdir()] == ["data"]


def _live(folder: Path) -> bool:
    try:
        with attach(root=folder) as market:
            return all(market[symbol].status().live for symbol in market.symbols)
    except NoEngine:
        return False


def _run(language: str, text: str, environ: dict[str, str]) -> str:
    command = ["bash", "-euc", text] if language == "bash" else [sys.executable, "-c", text]
    done = subprocess.run(
        command,
        cwd=TOP,
        env=environ,
        capture_output=True,
        text=True,
        timeout=BLOCK_LIMIT_S + START_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_has_what_these_tests_are_about() -> None:
    assert (len(ENDLESS), len(BOUNDED)) == (1, 1)
    assert {language for language, _ in BESIDE} == {"bash", "python"}


@pytest.mark.parametrize(("language", "text"), BESIDE)
def test_a_block_beside_the_running_engine(engine: Path, language: str, text: str) -> None:
    assert _run(language, text, _environ(engine)).strip()


@pytest.mark.parametrize("text", BOUNDED)
def test_a_bounded_launch(tmp_path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="shardbook-test-", dir="/dev/shm") as folder:
        assert '"wrong_levels": 0' in _run("bash", text, _environ(Path(folder)))
        assert list(Path(folder).iterdir()) == []
