"""What people get who install shardbook: the three packages, their data, the command, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "shm", "workers")
BUILD_LIMIT_S = 100.0
LIMIT_S = 60.0
COMMAND = "import sys; from engine.console import main; sys.exit(main())"  # as the installed script has it


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    done = subprocess.run(
        [*pip, "-w", str(folder), str(TOP)], capture_output=True, text=True, timeout=BUILD_LIMIT_S, check=False
    )
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("the wheel's build backend cannot be installed here")
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_it_holds_every_file_of_the_packages_and_no_other(wheel: zipfile.ZipFile) -> None:
    files = [path for package in PACKAGES for path in (TOP / package).rglob("*") if "__pycache__" not in path.parts]
    wanted = {str(path.relative_to(TOP)) for path in files if path.is_file()}
    assert {"engine/py.typed", "shm/py.typed", "workers/py.typed", "workers/symbols/MNQ.toml"} <= wanted
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == wanted


def test_it_has_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert wheel.read(name).decode().split() == ["[console_scripts]", "shardbook", "=", "engine.console:main"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--version"], 0, "shardbook 0."),
        (["launch", "--check"], 0, "the settings are good: default on simulator with CL, ES, GC, MES, MNQ, NQ"),
        (["inspect", "--name", "nobody"], 1, "shardbook inspect: no engine runs"),
    ],
)
def test_it_runs_from_any_folder_and_writes_nothing_beside_itself(
    wheel: zipfile.ZipFile, tmp_path: Path, shm_root: Path, arguments: list[str], status: int, said: str
) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    wheel.extractall(site)
    elsewhere.mkdir()
    before = sorted(site.rglob("*"))
    environ = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments],
        cwd=elsewhere,
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stdout + done.stderr
    assert sorted(site.rglob("*")) == before
    assert list(elsewhere.iterdir()) == []
