"""`history`: wrong use is one sentence, before anybody is asked for anything."""

from pathlib import Path

import pytest

from engine.history_command import main


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_X_USERNAME", "me")
    monkeypatch.setenv("PROJECT_X_API_KEY", "canary-key-0123456789")


def status_of(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"timeframe": "1fortnight"}, "is no timeframe"),
        ({"timeframe": "1day"}, "do not follow the exchange's trading days"),
        ({"timeframe": "500vol"}, "keeps no 500vol bars"),
        ({"symbol": "M N Q"}, "cannot be a symbol"),
        ({"--out": "x.csv"}, "does not end in .arrow or .parquet"),
        ({"--out": "nowhere/x.arrow"}, "is no folder"),
        ({"--days": "0"}, "is not a number of days"),
        ({"--days": "nan"}, "is not a number of days"),
        ({"--days": "many"}, "invalid"),
        ({"--contract": "MNQZ6"}, "contract is 'MNQZ6'"),
        ({"--rolls": "never"}, "choose from"),
        ({"--url": "http://example.com"}, "api_url"),
        ({"--config": "none.toml"}, "none.toml"),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2(
    changed: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"symbol": "MNQ", "timeframe": "1min", "--out": "x.arrow", "--url": "http://127.0.0.1:1"} | changed
    options = [text for key, value in given.items() if key.startswith("--") for text in (key, value)]
    assert status_of([given["symbol"], given["timeframe"], *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("scripts/history: ")
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_credentials_it_says_which_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PROJECT_X_API_KEY")
    assert status_of(["MNQ", "1min", "--out", str(tmp_path / "x.arrow")]) == 2
    assert "PROJECT_X_API_KEY is not set" in capsys.readouterr().err


def test_a_venue_that_is_not_there_is_a_sentence_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["MNQ", "1min", "--url", "http://127.0.0.1:1", "--out", str(tmp_path / "x.arrow")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("scripts/history: POST http://127.0.0.1:1/api/Auth/loginKey failed: no connection")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
