"""docs/operations.md and its examples: the unit is one that systemd reads, and every option in them exists."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.arguments import WRONG_USE
from engine.launch import parser

DOCS = Path(__file__).resolve().parent.parent / "docs"
UNIT = DOCS / "examples" / "shardbook.service"
CONTAINER = DOCS / "examples" / "Containerfile"
LIMIT_S = 30.0


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/shardbook/bin/shardbook", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_launch_takes() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    program, verb, *arguments = shlex.split(line)
    assert (Path(program).name, verb) == ("shardbook", "launch")
    options = parser().parse_args(arguments)
    assert options.venue == "projectx"
    assert "PROJECT_X_API_KEY" not in line


def test_the_unit_is_not_started_again_for_ever() -> None:
    text = UNIT.read_text()
    assert "Restart=on-failure\n" in text
    assert f"RestartPreventExitStatus={WRONG_USE}\n" in text
    (every_s,), (pause_s,), (most,) = (
        [int(number) for number in re.findall(rf"^{key}=(\d+)$", text, re.MULTILINE)]
        for key in ("StartLimitIntervalSec", "RestartSec", "StartLimitBurst")
    )
    assert every_s > most * (pause_s + LIMIT_S), "starts that fail late count too"


def test_the_container_starts_what_launch_takes() -> None:
    text = CONTAINER.read_text()
    built = re.findall(r"^RUN shardbook launch (.*)$", text, re.MULTILINE)
    assert len(built) == 1
    assert parser().parse_args(shlex.split(built[0])).for_s == 1
    entry, command = (re.findall(rf"^{word} (\[.*\])$", text, re.MULTILINE)[0] for word in ("ENTRYPOINT", "CMD"))
    program, verb, *arguments = re.findall(r'"([^"]*)"', entry + command)
    assert (program, verb) == ("shardbook", "launch")
    parser().parse_args(arguments)
    assert re.search(r"^USER shardbook$", text, re.MULTILINE)
    for source in re.findall(r"^COPY (.*) /source/\S*$", text, re.MULTILINE):
        assert all((DOCS.parent / name).exists() for name in source.split())


def test_every_option_in_the_page_exists() -> None:
    text = (DOCS / "operations.md").read_text()
    known = set(re.findall(r"--[a-z-]+", parser().format_help()))
    ours = set(re.findall(r"(?:launch |`)(--[a-z-]+)", text)) - {"--cpuset-cpus"}
    assert len(ours) >= 8
    assert ours <= known, ours - known


def test_the_simulators_key_is_the_one_that_its_page_names() -> None:
    source = (DOCS.parent / "engine" / "launching.py").read_text()
    (key,) = re.findall(r'key = "([^"]+)" if options.simulator_only', source)
    (user,) = re.findall(r'environ.get\(USER_VARIABLE\) or "([^"]+)"', source)
    text = " ".join((DOCS / "simulator.md").read_text().split())
    assert f"The user is `{user}` and the key `{key}`, unless" in text
