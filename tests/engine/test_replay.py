"""`replay` before anything is started: what it takes, and what it refuses in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from engine.replay import main, parser
from tests import recorded_minute
from tests.recorded_minute import BEGIN_NS


@pytest.fixture
def journal(seed: int, tmp_path: Path) -> Path:
    recorded_minute.write(tmp_path / "there" / "journal", recorded_minute.made(np.random.default_rng(seed), 20))
    return tmp_path / "there" / "journal"


def test_times_are_utc_unless_they_say_otherwise() -> None:
    arguments = ["J", "--from", "2026-11-22T14:33", "--to", "2026-11-22T15:33:00.000001+01:00"]
    options = parser("replay").parse_args(arguments)
    assert options.from_wall_ns == BEGIN_NS
    assert options.to_wall_ns == BEGIN_NS + 1000


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("2.5", 2.5)])
def test_a_speed_is_a_number_or_max(text: str, speed: float | None) -> None:
    assert parser("replay").parse_args(["J", "--speed", text]).speed == speed


@pytest.mark.parametrize(
    "wrong",
    [
        ["--speed", "0"],
        ["--speed", "1e-300"],
        ["--speed", "2e6"],
        ["--speed", "fast"],
        ["--from", "noon"],
        ["--symbols", "A,,B"],
        ["--symbols", "A,B,A"],
    ],
)
def test_what_is_no_value_is_one_sentence(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["J", *wrong], "replay")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(arguments, "replay")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return status, said.err


def test_places_without_a_journal_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused([str(tmp_path / "none")], capsys)[0] == 2
    status, said = refused([str(tmp_path)], capsys)
    assert status == 2
    assert "no journal files" in said
    (tmp_path / "x.sbj").write_bytes(b"something else")
    assert refused([str(tmp_path / "x.sbj")], capsys)[0] == 2
    (tmp_path / "link.sbj").symlink_to(tmp_path / "x.sbj")
    status, said = refused([str(tmp_path / "link.sbj")], capsys)
    assert status == 2
    assert "is a symbolic link" in said


def test_a_damaged_journal_is_a_failure(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = min(journal.iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert refused([str(journal)], capsys)[0] == 1


@pytest.mark.parametrize(
    "times",
    [
        ["--to", "2020-01-01"],
        ["--to", "1960-01-01"],
        ["--from", "2026-11-22T14:34"],
        ["--from", "9999-12-31"],
        ["--from", "2026-11-22T14:32", "--to", "2026-11-22T14:33"],
    ],
)
def test_a_time_in_which_nothing_came_is_refused(
    times: list[str], journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = refused([str(journal), "--digest", "--data", str(tmp_path / "data"), *times], capsys)
    assert status == 1
    assert "nothing of MES, MNQ is in that time" in said
    assert not (tmp_path / "data").exists()


def test_times_the_wrong_way_round_are_refused(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for end in ("2026-11-22T14:33", "2026-11-22T14:32"):
        status, said = refused([str(journal), "--from", "2026-11-22T14:33", "--to", end], capsys)
        assert status == 2
        assert "--from 2026-11-22 14:33:00 is not before --to" in said


def test_an_instrument_that_the_journal_has_not_is_refused(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = refused([str(journal), "--symbols", "ES"], capsys)
    assert status == 2
    assert "the journal has MES, MNQ" in said


def test_what_is_refused_leaves_nothing(journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused([str(journal), "--symbols", "ES", "--data", str(tmp_path / "data")], capsys)[0] == 2
    assert not (tmp_path / "data").exists()


def test_bars_go_into_no_folder_that_has_something(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for data in (journal, journal.parent):
        status, said = refused([str(journal), "--data", str(data)], capsys)
        assert status == 2
        assert "the journal lies in it" in said
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "generation").write_text("4\n")
    status, said = refused([str(journal), "--data", str(tmp_path / "data")], capsys)
    assert status == 2
    assert "not empty" in said
