"""`--venue projectx`: the simulator alone stands in for the gateway, which is found through a settings file.

There is no truth to compare with, so the summary has nulls; and what does not work at the venue is one sentence.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import processes_of
from tests.system.alone import KEY, USER
from tests.system.running import TOP, running, wait_live
from tests.system.venue import Venue, venue_alone

LIMIT_S = 90.0
NOT_MEASURED = ("lost_trades", "compared_samples", "compared_levels", "wrong_levels")


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue") / "temporary"
    with venue_alone(folder, "--symbols", "MNQ,MES", "--rate", "1000") as alone:
        alone.resume()
        yield alone


def settings(folder: Path, api: str, hub: str) -> tuple[str, str]:
    """The option that names a settings file with these addresses."""
    file = folder / "engine.toml"
    file.write_text(
        f'[venue]\nname = "projectx"\napi_url = "{api}/api"\nmarket_hub_url = "{hub}/hubs/market"\n'
        "[feed]\nbackoff_max_ms = 500\n"
    )
    return "--config", str(file)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right ones; what is said to wrong ones is in test_refusals.py."""
    monkeypatch.setenv("PROJECT_X_USERNAME", USER)
    monkeypatch.setenv("PROJECT_X_API_KEY", KEY)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens, and nobody can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_it_runs_and_what_is_not_measured_is_null(
    left_nothing: Path, engine_name: str, tmp_path: Path, venue: Venue
) -> None:
    at_venue = settings(tmp_path, venue.url, venue.url)
    with running(engine_name, *at_venue, "--symbols", "MNQ,MES") as engine, engine.attach() as market:
        wait_live(market)
        assert engine.registry.simulator_url is None
        assert all(market[symbol].book().best_bid > 0 for symbol in ("MNQ", "MES"))
        commands = b" ".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(left_nothing))
        assert b"engine.supervisor" in commands
        assert b"engine.simulator" not in commands
        summary = engine.stop()
    assert (engine.status, engine.errors) == (0, "")
    for row in summary["instruments"]:
        assert row["state"] == "live"
        assert row["records"] >= row["applied"] > 0
        assert row["contract"] == f"CON.F.US.{row['symbol']}.Z26"
        assert [row[name] for name in NOT_MEASURED] == [None] * 4
    assert [summary["totals"][name] for name in NOT_MEASURED] == [None] * 4
    assert summary["totals"]["offered_entries_per_s"] is None


@pytest.mark.parametrize("missing", ["PROJECT_X_USERNAME", "PROJECT_X_API_KEY"])
def test_without_credentials_nothing_is_started(
    left_nothing: Path, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    command = [sys.executable, "-m", "engine.launch", "--venue", "projectx", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=TOP, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{missing} is not set" in done.stderr
    assert KEY not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_symbol_without_an_active_contract_is_one_sentence(
    left_nothing: Path, engine_name: str, tmp_path: Path, venue: Venue
) -> None:
    at_venue = settings(tmp_path, venue.url, venue.url)
    with running(engine_name, *at_venue, "--symbols", "MNQ,ES") as engine:
        engine.wait(LIMIT_S)
    assert (engine.status, engine.errors.count("\n")) == (2, 1)
    assert "no active contract of ES" in engine.errors
    assert "ES.toml" in engine.errors


@pytest.mark.parametrize(("what", "says"), [("api", "no login"), ("hub", "no connection")])
def test_a_venue_that_cannot_be_reached_is_said_while_it_is_tried_again(
    left_nothing: Path, engine_name: str, tmp_path: Path, venue: Venue, nowhere: str, what: str, says: str
) -> None:
    """The engine goes on trying, as it does after any outage; a run in which no book was ever live is a failure."""
    at_venue = settings(tmp_path, nowhere if what == "api" else venue.url, nowhere)
    with running(engine_name, *at_venue, "--symbols", "MNQ") as engine:
        said = engine.next_error_line(LIMIT_S)
        assert said.startswith("no book is live yet: "), said
        assert says in said
        assert nowhere.removeprefix("http://") in said or what == "hub"
        summary = engine.stop()
    assert engine.status == 1
    assert engine.errors.startswith("scripts/launch: no book was ever live: ")
    assert KEY not in said + engine.errors
    assert summary["instruments"][0]["state"] == "syncing"
