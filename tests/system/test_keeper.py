"""A keeper beside a running engine: what it brings, and that neither its standing still nor its end is noticed."""

import os
import signal
from functools import partial
from pathlib import Path

from shm import Market, layout
from shm.layout import Kind
from shm.registry import generation_folder
from shm.segment import attach
from tests.system.running import Running, all_live, is_exact, running, wait_live
from tests.system.staging import Stage, staged
from tests.waiting import wait_for

LIMIT_S = 30.0
STOPPED_BARS = 5  # of a second each
ALL = 1 << 20


def keeper_pid(engine: Running) -> int:
    """Of a keeper that has taken over its segment."""
    wait_for(lambda: engine.registry.keeper_pid, LIMIT_S, "a keeper")
    path = generation_folder(engine.folder, engine.registry.generation) / "keeper"
    found = attach(path, Kind.KEEPER)
    rounds = found.array("words")[layout.KEEPER_WORDS.index("rounds") * layout.WORDS_A_LINE :][:1]
    wait_for(lambda: found.writer()[0] == engine.registry.keeper_pid and rounds[0], LIMIT_S, "it is at work")
    return engine.registry.keeper_pid


def seconds_closed(market: Market, symbol: str) -> int:
    """How many bars of a second there are, and none was lost."""
    bars = market[symbol].bars("1s")
    assert bars.lost == 0
    return len(bars.last(ALL))


def test_trading_hours_reach_the_workers_and_days_form(left_nothing: Path, tmp_path: Path, engine_name: str) -> None:
    folder = tmp_path / "symbols"
    folder.mkdir()
    (folder / "MNQ.toml").write_text('calendar = "24/7"\nring_mib = 1\ntimeframes = ["1s", "1d"]')
    data = tmp_path / "data"
    with running(engine_name, "--symbols-dir", str(folder), data=data) as engine, engine.attach() as market:
        wait_live(market)
        days = market["MNQ"].bars("1d")
        wait_for(lambda: len(days.forming()), LIMIT_S, "a bar of today")
        unplaced = days.unplaced  # what was traded before the hours came, and nothing since
        before = int(days.forming()["trades"].sum())
        wait_for(lambda: days.forming()["trades"].sum() > before, LIMIT_S, "it grows")
        assert days.unplaced == unplaced

        (folder / "MES.toml").write_text('calendar = "24/7"\nring_mib = 1\ntimeframes = ["1s", "1d"]')
        wait_for(lambda: "MES" in market.symbols and all_live(market), LIMIT_S, "one more instrument")
        wait_for(lambda: len(market["MES"].bars("1d").forming()), LIMIT_S, "its bar of today")
        assert engine.stop()["totals"]["wrong_levels"] == 0
    assert engine.status == 0, engine.errors


def test_a_keeper_that_stands_still_for_seconds_changes_nothing() -> None:
    """As it does on a disk that hangs. Levels, prints and bars are compared before and after."""
    with staged(("ES", "MNQ"), 20_000, 8) as going, Stage(going) as stage:
        pid = keeper_pid(stage.engine)
        closed = {symbol: seconds_closed(stage.market, symbol) for symbol in stage.market.symbols}
        os.kill(pid, signal.SIGSTOP)
        try:
            for symbol, before in closed.items():
                more = partial(lambda one, least: seconds_closed(stage.market, one) >= least, symbol)
                stage.wait(partial(more, before + STOPPED_BARS), "bars close")
            stage.is_as_before()
            assert all(len(seen) == 1 for seen in stage.watch.seen.values()), stage.watch.seen
        finally:
            os.kill(pid, signal.SIGCONT)
        stage.is_as_before()
        assert stage.watch.gaps == {"ES": [], "MNQ": []}
        assert stage.engine.registry.keeper_pid == pid
        for symbol in stage.market.symbols:
            seconds = stage.market[symbol].bars("1s")
            assert (seconds.last(ALL)["number"][1:] - seconds.last(ALL)["number"][:-1] == 1).all()


def test_a_killed_keeper_is_replaced_and_nobody_else_notices(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--symbols", "MNQ,MES") as engine, engine.attach() as market:
        wait_live(market)
        pid = keeper_pid(engine)
        before = engine.registry
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: engine.registry.keeper_pid not in (0, pid), LIMIT_S, "another keeper")
        keeper_pid(engine)
        assert (engine.registry.engine_pid, engine.registry.instruments) == (before.engine_pid, before.instruments)
        assert [event.detail for event in market.events().last(99) if event.kind == "restart"] == ["keeper"]
        summary = engine.stop()
    assert is_exact(summary), summary
    assert engine.status == 0, engine.errors
