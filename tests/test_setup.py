"""What scripts/setup refuses before it touches anything."""

import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def test_the_packages_of_another_checkout_are_left_as_they_are(tmp_path: Path) -> None:
    """As in a second working tree whose .venv is a link to that of the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    for top in (first, second):
        (top / "scripts").mkdir(parents=True)
        shutil.copy(TOP / "scripts" / "setup", top / "scripts")
        (top / "requirements.lock").write_text("")
    python = first / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch {first}/touched\n")
    python.chmod(0o755)
    (second / ".venv").symlink_to("../first/.venv")
    done = subprocess.run([second / "scripts" / "setup"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"shardbook: {second}/.venv is a link to the .venv of another checkout, which setting up here would rewrite:"
        " remove the link and start again.\n"
    )
    assert not (first / "touched").exists()
    assert [path.name for path in (first / ".venv").iterdir()] == ["bin"]
