"""The command line of launch: what is refused, with which status and in how many words; what it prints at the end.

Whole runs are in tests/system.
"""

import json
import os
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Credentials
from engine.launch import main, parser
from engine.launching import _settings, _simulator_job, report
from engine.run import Outcome
from engine.simulator.__main__ import Job
from engine.summary import Result, Verdict
from engine.tables import KEY_VARIABLE, USER_VARIABLE

RESULT = Result(
    *("MNQ", "CON.F.US.MNQ.Z26", 1, "live", ""),
    *(100, 100, 0, 0, 0, 20, 0),
    latency_us=(12.3, 88.4),
    uss_mib=5.23,
    verdict=Verdict(1234, 12_345, 0, 0, 0, 0, False, 20.0),
)
LATER = {"supervisor_pid": None}
OUTCOME = Outcome([RESULT], 20.0, 6000.0)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, and nothing of this machine's own settings."""
    for variable in (KEY_VARIABLE, USER_VARIABLE, "SHARDBOOK_SHM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


def _status(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "--nonsense"),
        (["--simulator"], "--simulator"),  # no option is guessed from its beginning
        (["--for", "abc"], "abc is not a number of seconds: above 0"),
        (["--rate", "abc"], "abc is not a rate"),
        (["--seed", "abc"], "abc is not a seed"),
        (["--seed", "1.5"], "1.5 is not a seed"),
        (["--port", "abc"], "abc is not a port"),
        (["--pace", "abc", "--flow", __file__], "abc is not a pace"),
        (["--token-lifetime", "abc"], "abc is not a lifetime"),
        (["--json"], "--check"),
        (["--json", "--simulator-only"], "--json"),
        (["--quiet", "ZZ"], "--quiet ZZ is none of the instruments"),
        (["--quiet", "MNQ", "--symbols", "MES"], "--quiet MNQ is none of the instruments"),
        (["--data", "/etc/passwd"], "/etc/passwd"),
        (["--flow", __file__], "does not begin as a DBN capture"),
        (["--for", "0"], "0 is not a number of seconds: above 0"),
        (["--for", "1e10"], "at most 1,000,000,000"),
        (["--token-lifetime", "0"], "whole seconds"),
        (["--token-lifetime", "1.5"], "1.5"),
        (["--single-prints", "--bursts"], "--bursts"),
        (["--single-prints", "--flow", __file__], "--flow"),
        (["--single-prints", "--rate", "1001", "--symbols", "MNQ,MES"], "500 entries/s an instrument"),
        (["--venue", "projectx", "--bursts"], "--bursts is about the simulator"),
        (["--venue", "projectx", "--rate", "100"], "--rate is about the simulator"),
        (["--venue", "projectx", "--simulator-only"], "--simulator-only is about the simulator"),
        (["--simulator-only", "--for", "3"], "--for"),
        (["--rate", "0.5"], "1 to 200,000"),
        (["--rate", "200001"], "1 to 200,000"),
        (["--port", "65536"], "65536"),
        (["--symbols", "MNQ,,ES"], "MNQ,,ES"),
        (["--symbols", "MNX"], "did you mean MNQ"),
        (["--venue", "nyse"], "nyse"),
        (["--pace", "20"], "--flow"),
        (["--crossed"], "--flow"),
        (["--flow", "/nonexistent"], "no such file"),
        (["--flow", __file__, "--symbols", "MNQ"], "ES"),
        (["--config", "/nonexistent"], "/nonexistent"),
        (["--symbols-dir", "/nonexistent"], "/nonexistent"),
        (["--name", "../x"], "../x"),
        (["--venue", "projectx"], USER_VARIABLE),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status([*arguments, "--check"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("scripts/launch: ")
    assert said in printed.err


def test_check_reads_all_and_starts_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "MNQ.toml").write_text("levels = 10\n")
    (tmp_path / "engine.toml").write_text("[feed]\nping_interval_ms = 5000\n")
    assert _status(["--check", "--symbols-dir", str(tmp_path), "--config", str(tmp_path / "engine.toml")]) == 2
    capsys.readouterr()
    (tmp_path / "engine.toml").rename(tmp_path / "engine.conf")
    assert _status(["--check", "--symbols-dir", str(tmp_path), "--config", str(tmp_path / "engine.conf")]) == 0
    assert capsys.readouterr().out == "the settings are good: default on simulator with MNQ\n"
    assert not (tmp_path / "home").exists()


def test_a_real_venue_is_good_with_credentials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USER_VARIABLE, "somebody")
    monkeypatch.setenv(KEY_VARIABLE, "canary-5b1c")
    assert _status(["--check", "--venue", "projectx"]) == 0
    printed = capsys.readouterr()
    assert "projectx" in printed.out
    assert "canary" not in printed.out + printed.err


@pytest.mark.parametrize("beginning", [b"DBN\x03", b"\x28\xb5\x2f\xfd"])
def test_a_recorded_flow_is_es_alone_unless_more_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, beginning: bytes
) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(beginning)
    assert _status(["--check", "--flow", str(capture)]) == 0
    assert capsys.readouterr().out.endswith("with ES\n")
    assert _status(["--check", "--flow", str(capture), "--symbols", "ES,MNQ"]) == 0
    assert capsys.readouterr().out.endswith("with ES, MNQ\n")


def test_another_system_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert _status(["--check"]) == 1
    assert "WSL2" in capsys.readouterr().err


def test_a_data_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for mode in (["--for", "1"], ["--check"]):
        assert _status([*mode, "--data", str(tmp_path / "file" / "data")]) == 2
        assert "--data" in capsys.readouterr().err


def test_shared_memory_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path / "absent"))
    assert _status(["--check"]) == 2
    assert f"{tmp_path}/absent: nothing can be made there" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert _status(["--help"]) == 0
    text = capsys.readouterr().out
    options = set(re.findall(r"--[a-z-]+", text))
    assert options >= {"--for", "--json", "--check", "--venue", "--symbols", "--symbols-dir", "--data", "--rate"}
    assert options >= {"--bursts", "--single-prints", "--deflate", "--token-lifetime"}
    assert KEY_VARIABLE in text
    assert USER_VARIABLE in text
    assert options >= {"--name", "--config", "--flow", "--pace", "--crossed", "--port", "--simulator-only", "--seed"}


def test_json_is_all_that_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(OUTCOME, as_json=True, command="scripts/launch") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["totals"]["records"] == 100
    assert printed.err == ""


def test_a_failure_is_said_on_stderr_and_in_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert RESULT.verdict is not None
    wrong = replace(RESULT, verdict=replace(RESULT.verdict, wrong_levels=3))
    assert report(Outcome([RESULT, wrong], 20.0, 6000.0), as_json=True, command="scripts/launch") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["totals"]["wrong_levels"] == 3
    assert printed.err == "scripts/launch: MNQ: 3 of 12,345 compared levels were wrong in a live book\n"


def test_a_run_without_a_live_book_is_a_failure_in_the_engines_words(capsys: pytest.CaptureFixture[str]) -> None:
    unmeasured = Outcome([replace(RESULT, verdict=None)], 20.0, None, "no login: nobody there")
    assert report(unmeasured, as_json=True, command="scripts/launch") == 1
    assert capsys.readouterr().err == "scripts/launch: no book was ever live: no login: nobody there\n"
    assert report(replace(unmeasured, trouble=""), as_json=True, command="scripts/launch") == 0


@pytest.mark.parametrize("as_json", [True, False])
def test_a_reader_of_the_result_that_is_gone_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert report(OUTCOME, as_json=as_json, command="scripts/launch") == 1
    said = capsys.readouterr().err
    assert said.startswith("scripts/launch: nobody reads its standard output")
    assert said.count("\n") == 1


def test_the_table_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(OUTCOME, as_json=False, command="scripts/launch") == 0
    assert "MNQ" in capsys.readouterr().out


def _job(arguments: list[str]) -> Job:
    """What the simulator is told of a command line."""
    options = parser().parse_args(arguments)
    settings = _settings(options, None)
    return Job.read(json.dumps(_simulator_job(options, settings, Credentials("me", "a-key"), Path("truth")) | LATER))


def test_the_simulator_is_told_what_was_asked_for() -> None:
    plain = _job([])
    assert (plain.rate_entries_per_s, plain.prints, plain.bursts, plain.deflate) == (6000, "lists", False, False)
    assert plain.token_lifetime_s == 86_400
    told = _job(["--bursts", "--deflate", "--token-lifetime", "60", "--rate", "70"])
    assert (told.rate_entries_per_s, told.bursts, told.deflate, told.token_lifetime_s) == (70, True, True, 60)
    single = _job(["--single-prints", "--symbols", "MNQ,MES"])
    assert (single.prints, single.rate_entries_per_s) == ("single", 100)


def test_a_journal_is_not_launched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('[venue]\nname = "replay"\n')
    assert main(["--check", "--config", str(config)]) == 2
    assert "scripts/replay" in capsys.readouterr().err
