"""Instruments come, go, change and roll while others stream: those never notice, and all are exact at the end."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.simulator_control import ask
from shm import Market, Status, UnknownSymbol, attach
from tests.system.running import Running, is_exact, running, wait_live
from tests.waiting import wait_for

CHANGES = int(os.environ.get("SHARDBOOK_CHANGES", "5"))
LIMIT_S = 60.0
LOOK_EVERY_S = 0.005
STEADY = ("MNQ", "MES", "ES")  # ES shares its worker process with GC, which changes
FILES = {
    "MNQ": 'contract = "CON.F.US.MNQ.Z26"',
    "MES": 'contract = "CON.F.US.MES.Z26"',
    "ES": 'process = "pair"\ncontract = "CON.F.US.EP.Z26"',
    "GC": 'process = "pair"\nlevels = 20',
    "CL": "",
}


class Lookout:
    """Looks at the steady instruments all the time, from a thread with a market of its own."""

    def __init__(self, name: str) -> None:
        self.looks = 0
        self.complaints: list[str] = []
        self._name = name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    @contextmanager
    def looking(self) -> Iterator["Lookout"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._done.set()
            self._thread.join()

    def _look(self) -> None:
        with attach(self._name) as market:
            first = {symbol: market[symbol].status() for symbol in STEADY}
            while not self._done.wait(LOOK_EVERY_S):
                self.looks += 1
                for symbol, before in first.items():
                    self._compare(before, market[symbol].status())

    def _compare(self, before: Status, now: Status) -> None:
        if not now.live:
            self.complaints.append(f"{now.symbol} was {now.state}: {now.reason}")
        if (now.dropped, now.resyncs, now.refused, now.last_gap) != (0, before.resyncs, 0, before.last_gap):
            self.complaints.append(f"{now.symbol}: {now}")


def write(path: Path, text: str) -> None:
    """As an editor does that is careful."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


class Times:
    """How long each kind of change took until it was seen, to be printed."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def until(self, kind: str, condition: Callable[[], bool], what: str) -> None:
        began_s = time.monotonic()
        wait_for(condition, LIMIT_S, what)
        self._seconds.setdefault(kind, []).append(time.monotonic() - began_s)

    def __str__(self) -> str:
        return ", ".join(
            f"{kind} {sorted(each)[len(each) // 2]:.2f} s (at most {max(each):.2f})"
            for kind, each in self._seconds.items()
        )


def is_live(market: Market, symbol: str) -> bool:
    return symbol in market.symbols and market[symbol].status().live


def change_all(engine: Running, market: Market, folder: Path, round_number: int, times: Times) -> None:
    """One of each kind."""
    write(folder / "SI.toml", "")
    times.until("added", lambda: is_live(market, "SI"), "SI is live")
    silver = market["SI"]
    assert silver.book().best_bid > 0

    levels = 21 + round_number % 2
    write(folder / "GC.toml", f'process = "pair"\nlevels = {levels}')
    times.until(
        "changed", lambda: listed_levels(engine, "GC") == levels and is_live(market, "GC"), "GC is live as it is now"
    )
    wait_for(lambda: len(market["GC"].book(allow_stale=True).bids) == levels, LIMIT_S, f"{levels} levels of GC")

    (folder / "SI.toml").unlink()
    times.until("removed", lambda: "SI" not in market.symbols, "SI is gone")
    assert not (engine.folder / f"g{engine.registry.generation}" / "SI.ring").exists()
    with pytest.raises(UnknownSymbol, match="SI"):
        silver.status()
    with pytest.raises(UnknownSymbol, match="SI"):
        silver.quote()

    before = market["CL"].status()
    url = engine.registry.simulator_url
    assert url is not None
    ask(url, "roll", symbol="CL")
    rolled = f"CL is live as another contract than {before.contract}"
    times.until("rolled", lambda: market["CL"].status().contract != before.contract and is_live(market, "CL"), rolled)
    after = market["CL"].status()
    assert (after.pid, after.dropped, after.refused) == (before.pid, 0, 0)
    assert after.last_gap is not None
    assert "rolled to the next contract" in after.last_gap.reason


def listed_levels(engine: Running, symbol: str) -> int:
    return next((each.levels for each in engine.registry.instruments if each.symbol == symbol), 0)


@pytest.mark.timeout(120 + 10 * CHANGES)
def test_others_never_notice(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    folder = tmp_path / "symbols"
    folder.mkdir()
    for symbol, text in FILES.items():
        (folder / f"{symbol}.toml").write_text(text)
    config = tmp_path / "engine.toml"
    config.write_text("[feed]\nroll_check_s = 1\n")
    arguments = ("--rate", "20000", "--symbols-dir", str(folder), "--config", str(config))
    times, lookout = Times(), Lookout(engine_name)
    with running(engine_name, *arguments) as engine, engine.attach() as market:
        wait_live(market)
        tape = market["GC"].tape()
        with lookout.looking():
            for round_number in range(CHANGES):
                change_all(engine, market, folder, round_number, times)
            seen = 0
            while tape.made <= CHANGES:  # what the first making wrote, and then the last one
                seen += len(tape.read())
            assert seen > 0
            assert tape.restarts == 1
            assert next(tape).size > 0
            made = {each.symbol: each.made for each in engine.registry.instruments}
            assert made == {"MNQ": 1, "MES": 1, "ES": 1, "GC": CHANGES + 1, "CL": 1}

            pids = {symbol: market[symbol].status().pid for symbol in market.symbols}
            write(folder / "MNQ.toml", 'levels = "many"')
            write(folder / "CL.toml", "levels = ")
            write(folder / "XX.toml", "")
            write(folder / "NQ.toml", "")  # the sign that all were looked at
            wait_for(lambda: is_live(market, "NQ"), LIMIT_S, "NQ is live")
            assert {symbol: market[symbol].status().pid for symbol in pids} == pids
            assert all(is_live(market, symbol) for symbol in pids)
            assert "XX" not in market.symbols
        summary = engine.stop()
    print(f"seen after: {times}; {lookout.looks} looks at the others")
    assert lookout.looks > 0
    assert lookout.complaints == []
    assert engine.status == 0, engine.errors
    for sentence in (
        "MNQ.toml: levels is 'many', but it must be a whole number",
        "CL.toml: is not TOML",
        "the venue has no active contract of XX",
    ):
        assert engine.errors.count(sentence) == 1, engine.errors
    rows = {row["symbol"]: row for row in summary["instruments"]}
    gone = rows.pop("SI")
    assert (gone["state"], gone["wrong_levels"], gone["lost_trades"]) == ("removed", 0, 0)
    assert gone["compared_samples"] > 0
    assert rows.keys() == {*FILES, "NQ"}
    assert is_exact({"instruments": list(rows.values())}), summary
    assert all(row["dropped"] == row["refused"] == 0 for row in rows.values())
    assert all(rows[symbol]["resyncs"] == 0 for symbol in STEADY)
