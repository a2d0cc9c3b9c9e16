"""The keeper turn by turn, with a worker and an engine that do as the test says: repairs, the past, limits, faults."""

import errno
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine import hours
from engine.config import SymbolSettings
from engine.keeper import doubts
from engine.keeper.disk import Disk
from engine.keeper.instrument import REST_NS
from engine.keeper.keeper import Keeper
from engine.keeper.repairs import AGAIN_NS, LATER_NS
from engine.keeper.upkeep import TIDY_NS
from engine.sessions import sessions_of
from shm.bars_frame import Hot, scan
from shm.layout import Answered, BarFlag, Rows
from shm.sealed import FETCHED, listing
from shm.timeframe import Unit, parse
from shm.trading_days import periods
from tests import made_bars
from tests.engine.keeper.running import Stage
from tests.engine.keeper.writing import HotWriter
from tests.made_bars import BEGIN_NS, DAY_NS, QUARTERS, SECOND_NS, highest, seen

MINUTE = parse("1m")
MINUTE_NS = MINUTE.length_ns
HOUR_NS = 60 * MINUTE_NS
AT_NOON_NS = BEGIN_NS + DAY_NS // 2 + DAY_NS  # a Tuesday, while CME trades
NOW_NS = AT_NOON_NS + DAY_NS
MNQ = SymbolSettings("MNQ", timeframes=("1m",), history_bars=0)


class Turning:
    """A keeper, a stage, and the two clocks."""

    def __init__(self, folder: Path, settings: SymbolSettings = MNQ, disk: Disk | None = None, **keeper: int) -> None:
        self.stage = Stage(folder, settings, **keeper)
        self.writer = HotWriter(self.stage.data, "MNQ", " ".join(settings.timeframes))
        self.folder = self.writer.folder / "1min"
        self.now_ns, self.wall_ns = SECOND_NS, NOW_NS
        self.disk = disk
        self.keeper = Keeper(self.stage.job, self.now_ns, disk)

    def turn(self, later_ns: int = SECOND_NS) -> None:
        self.now_ns += later_ns
        self.wall_ns += later_ns
        self.keeper.turn(self.now_ns, self.wall_ns)

    def again(self) -> None:
        """A keeper in place of that one."""
        self.keeper.close()
        self.keeper = Keeper(self.stage.job, self.now_ns, self.disk)

    def fill(self, rows: Rows) -> None:
        """Put all these, whenever there is room for more."""
        while len(rows):
            room = self.writer.room(int(rows["number"][0]))
            self.writer.put(rows[:room])
            rows = rows[room:]
            self.turn()

    def wish(self) -> Any:
        (row,) = self.stage.wishes()
        return row

    def bars(self, rows: Rows) -> pl.DataFrame:
        """What a reader sees, with these as the hot rows."""
        return scan(self.folder, MINUTE, hot=Hot(rows, QUARTERS)).collect()


class NotingDisk(Disk):
    """The real one, and the names of what was synced, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def sync(self, path: Path) -> None:
        self.steps.append(path.name)
        super().sync(path)


def suspect(rows: Rows, first: int, last: int) -> Rows:
    rows["flags"][first:last] |= np.uint32(BarFlag.SUSPECT)
    return rows


def told(rows: Rows) -> Rows:
    """The same bars as the venue tells them."""
    made = rows.copy()
    for name in ("number", "sequence", "revision", "trading_day", "buy_volume", "sell_volume", "trades", "notional"):
        made[name] = 0
    made["flags"] = BarFlag.COMPLETE | BarFlag.REPAIRED
    return made


def test_an_outage_is_asked_for_and_repaired(tmp_path: Path) -> None:
    """Ten suspect minutes, of which two are missing, one is as the venue has it, and the others are not."""
    made = Turning(tmp_path)
    whole = made_bars.plain(60, start_ns=AT_NOON_NS)
    rows = suspect(whole.copy(), 20, 30)
    rows["volume"][21:30] += 5
    rows = np.delete(rows, [24, 25])
    rows["number"] = np.arange(len(rows))
    made.writer.put(rows)
    made.turn()
    wish = made.wish()
    assert (wish["symbol"], wish["unit"], wish["amount"]) == (b"MNQ", 2, 1)
    assert (wish["start_ns"], wish["end_ns"]) == (whole["start_ns"][20], whole["end_ns"][29])
    made.turn()
    assert len(made.stage.wishes()) == 1
    made.stage.answer(wish["number"], Answered.MORE, told(whole[20:26]))
    made.stage.answer(wish["number"], Answered.DONE, told(whole[26:30]))
    made.turn()
    assert len(made.stage.wishes()) == 0
    bars = made.bars(rows)
    assert bars["start"].to_physical().to_list() == whole["start_ns"].tolist()
    assert bars["volume"].to_list() == whole["volume"].tolist()
    assert bars["close"].to_list() == (whole["close"] / 4).tolist()
    assert (bars["flags"] & int(BarFlag.SUSPECT)).sum() == 0
    assert (bars["flags"] & int(BarFlag.REPAIRED)).to_numpy().astype(bool).nonzero()[0].tolist() == [*range(20, 30)]
    assert bars["revision"][20:30].to_list() == [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]
    assert bars["trades"][20] == whole["trades"][20]  # which the venue does not tell: it agreed in all else
    assert bars["trading_day"].n_unique() == 1
    assert [made.stage.count(name) for name in ("wishes", "answers", "added_rows", "repaired_rows")] == [1, 1, 2, 8]
    made.turn(2 * AGAIN_NS)
    made.again()
    made.turn()
    assert len(made.stage.wishes()) == 0


def test_what_is_not_settled_is_asked_for_again_and_nothing_is_there_twice(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    rows = suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 10, 20)
    made.writer.put(rows)
    made.turn()
    made.stage.answer(made.wish()["number"], Answered.DONE, told(rows[10:16]), settled_ns=rows["start_ns"][14])
    made.turn()
    assert len(made.stage.wishes()) == 0
    made.turn(AGAIN_NS)
    assert made.wish()["start_ns"] == rows["start_ns"][14]
    made.stage.answer(made.wish()["number"], Answered.DONE, told(rows[14:20]))
    made.turn()
    bars = made.bars(rows)
    assert len(bars) == 40
    assert bars["revision"].to_list() == [0] * 10 + [1] * 10 + [0] * 20
    assert made.stage.count("repaired_rows") == 10


def test_a_venue_that_cannot_be_asked_is_asked_later_and_one_that_refuses_no_more(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    rows = suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 10, 20)
    made.writer.put(rows)
    made.turn()
    made.stage.answer(made.wish()["number"], Answered.LATER, told(rows[10:12]))
    made.turn()
    assert len(made.stage.wishes()) == 0
    made.turn(LATER_NS)
    made.stage.answer(made.wish()["number"], Answered.NEVER, rows[:0])
    made.turn()
    made.turn(2 * AGAIN_NS)
    made.again()
    made.turn()
    assert len(made.stage.wishes()) == 0
    assert made.stage.count("refusals") == 1
    assert listing(made.folder, MINUTE).read == ()


def test_doubts_outlive_the_keeper_and_the_hot_rows(tmp_path: Path) -> None:
    """An engine that is not there answers nothing; meanwhile the rows are sealed and overwritten."""
    made = Turning(tmp_path)
    rows = suspect(made_bars.plain(600, start_ns=AT_NOON_NS), 10, 20)
    made.fill(rows)
    assert made.writer.sealed_to() >= 256
    made.again()
    made.turn()
    assert (made.wish()["start_ns"], made.wish()["end_ns"]) == (rows["start_ns"][10], rows["end_ns"][19])
    made.stage.answer(made.wish()["number"], Answered.DONE, told(rows[10:20]))
    made.turn()
    bars = made.bars(rows[made.writer.sealed_to() :])
    assert len(bars) == 600
    assert (bars["flags"] & int(BarFlag.SUSPECT)).sum() == 0


def test_rows_that_a_power_cut_tore_are_asked_for(tmp_path: Path) -> None:
    """Before the first suspect row three good ones are torn; the venue is asked for all from there on."""
    made = Turning(tmp_path)
    whole = made_bars.plain(60, start_ns=AT_NOON_NS)
    rows = suspect(whole.copy(), 30, 33)
    made.writer.put(rows)
    for number in (27, 28, 29):
        made.writer.damage(number)
    made.turn()
    assert (made.wish()["start_ns"], made.wish()["end_ns"]) == (whole["start_ns"][26], whole["end_ns"][32])
    made.stage.answer(made.wish()["number"], Answered.DONE, told(whole[26:33]))
    made.turn()
    bars = made.bars(np.delete(rows, [27, 28, 29]))
    assert bars["start"].to_physical().to_list() == whole["start_ns"].tolist()
    assert (bars["flags"] & int(BarFlag.SUSPECT)).sum() == 0


def test_rows_that_a_power_cut_took_with_their_count_are_asked_for(tmp_path: Path) -> None:
    """The keeper has looked at rows 20 to 39 and written that down; then they go, and others get their numbers."""
    made = Turning(tmp_path)
    whole = made_bars.plain(60, start_ns=AT_NOON_NS)
    made.writer.put(suspect(whole[:40].copy(), 38, 39))
    made.turn()
    made.keeper.close()
    made.writer.forget(20)
    after = suspect(whole[50:].copy(), 0, 1)
    after["number"] = np.arange(20, 30)
    made.writer.put(after)
    made.again()
    made.turn()
    (wish,) = made.stage.wishes()
    assert (wish["start_ns"], wish["end_ns"]) == (whole["end_ns"][19], whole["end_ns"][50])


def test_rows_that_are_sealed_and_overwritten_are_no_hole(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    made.writer.put(suspect(made_bars.plain(20, start_ns=AT_NOON_NS), 5, 6))
    made.turn()
    made.stage.answer(made.wish()["number"], Answered.DONE, made_bars.plain(0))
    made.turn()
    made.fill(made_bars.plain(600, start_ns=AT_NOON_NS)[20:])
    made.again()  # what it had written down is of row 20
    made.turn()
    assert len(made.stage.wishes()) == 0


def test_the_past_is_asked_for_once_and_after_the_outages(tmp_path: Path) -> None:
    made = Turning(tmp_path, replace(MNQ, history_bars=500))
    rows = suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 0, 1)  # the first bar of a new file always is
    made.writer.put(rows)
    made.turn()
    assert (made.wish()["start_ns"], made.wish()["end_ns"]) == (rows["start_ns"][0], rows["end_ns"][0])
    made.stage.answer(made.wish()["number"], Answered.DONE, told(rows[:1]))
    made.turn()
    past = made_bars.plain(500, start_ns=AT_NOON_NS - 500 * MINUTE_NS)
    assert (made.wish()["start_ns"], made.wish()["end_ns"]) == (past["start_ns"][0], past["end_ns"][-1])
    made.stage.answer(made.wish()["number"], Answered.DONE, told(past))
    made.turn()
    assert len(made.bars(rows)) == 540
    assert made.stage.count("added_rows") == 500
    made.again()
    made.turn(2 * AGAIN_NS)
    assert len(made.stage.wishes()) == 0


def test_prices_in_another_tick_are_not_taken(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    rows = suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 10, 20)
    made.writer.put(rows)
    made.turn()
    made.writer.rescale(QUARTERS._replace(price_increment=50))
    made.again()
    made.turn()
    made.stage.answer(made.wish()["number"], Answered.DONE, told(rows[10:20]))
    made.turn()
    assert made.stage.count("refused_rows") == 10
    assert listing(made.folder, MINUTE).through_of(FETCHED) == 0


def test_bars_by_count_are_not_asked_for(tmp_path: Path) -> None:
    made = Turning(tmp_path, replace(MNQ, timeframes=("1m", "9tick"), history_bars=100))
    for t in range(2):
        made.writer.put(suspect(made_bars.plain(20, start_ns=AT_NOON_NS), 5, 9), t)
    made.turn()
    assert made.wish()["unit"] == 2


@pytest.mark.parametrize("name", ["1d", "1w", "1mo"])
def test_days_and_longer_are_made_of_the_venues_hours(tmp_path: Path, name: str) -> None:
    """An engine that began within a bar: those before it come, and it is raised to what the venue's hours say once
    they are settled; each is there once, and none is missing at the seam."""
    timeframe = parse(name)
    sessions = sessions_of("CME_Equity", date(2025, 1, 1), date(2026, 12, 31))
    found = periods(sessions, timeframe.unit)
    first = int(np.searchsorted(found["open_ns"], AT_NOON_NS, "right")) - 1
    rows = made_bars.plain(2)
    for ours, theirs in (("start_ns", "open_ns"), ("end_ns", "close_ns"), ("trading_day", "trading_day")):
        rows[ours] = found[theirs][first : first + 2]
    made = Turning(tmp_path, replace(MNQ, timeframes=(name,), history_bars=5))
    hours = made_bars.plain((int(rows["end_ns"][1]) - made.wall_ns) // HOUR_NS + 9000, step_ns=HOUR_NS)
    hours["start_ns"] += found["open_ns"][first - 6] - BEGIN_NS
    hours["end_ns"] += found["open_ns"][first - 6] - BEGIN_NS

    def answer(settled_ns: int) -> tuple[int, int]:
        wish = made.wish()
        assert (wish["unit"], wish["amount"]) == (3, 1)
        window = int(wish["start_ns"]), int(wish["end_ns"])
        its = hours[(hours["start_ns"] >= window[0]) & (hours["start_ns"] < window[1])]
        made.stage.answer(wish["number"], Answered.DONE, told(its), settled_ns=settled_ns)
        made.turn()
        return window

    made.writer.put(suspect(rows[:1].copy(), 0, 1))
    made.turn()
    over_ns = int(rows["end_ns"][0])
    assert answer(over_ns - HOUR_NS)[0] == rows["start_ns"][0]
    assert made.stage.count("added_rows") + made.stage.count("repaired_rows") == 0
    assert answer(over_ns) == (found["open_ns"][first - 5], found["open_ns"][first])
    made.turn(AGAIN_NS)
    assert len(made.stage.wishes()) == 0, "it is not asked for before it can be told"
    made.again()
    made.turn(HOUR_NS)
    assert answer(over_ns)[0] == rows["start_ns"][0]
    made.writer.put(rows[1:])
    made.turn()
    bars = scan(made.writer.folder / timeframe.name, timeframe, hot=Hot(rows, QUARTERS)).collect()
    its = found[first - 5 : first + 2]
    assert bars["start"].to_physical().to_list() == its["open_ns"].tolist()
    assert bars["end"].to_physical().to_list() == its["close_ns"].tolist()
    assert bars["trading_day"].to_physical().to_list() == its["trading_day"].tolist()
    assert bars["revision"].to_list() == [0] * 5 + [1, 0]
    venues = int(BarFlag.COMPLETE | BarFlag.REPAIRED)
    assert bars["flags"].to_list() == [venues] * 6 + [int(BarFlag.COMPLETE)]
    for i, period in enumerate(found[first - 5 : first + 1]):
        its = hours[(hours["start_ns"] >= period["open_ns"]) & (hours["start_ns"] < found["open_ns"][first - 4 + i])]
        assert bars["volume"][i] == its["volume"].sum()
        assert (bars["open"][i], bars["close"][i]) == (its["open"][0] / 4, its["close"][-1] / 4)
    made.again()
    made.turn(2 * AGAIN_NS)
    assert len(made.stage.wishes()) == 0


def test_days_that_an_outage_left_out_are_made_and_those_beside_it_stay(tmp_path: Path) -> None:
    """Monday to Friday; the engine was gone from Tuesday to Thursday, so that of Wednesday there is nothing. In
    the first hour of Tuesday nothing was traded."""
    found = periods(sessions_of("CME_Equity", date(2026, 3, 2), date(2026, 3, 6)), Unit.DAY)
    rows = made_bars.plain(5)
    for ours, theirs in (("start_ns", "open_ns"), ("end_ns", "close_ns"), ("trading_day", "trading_day")):
        rows[ours] = found[theirs]
    hours = made_bars.plain(5 * 24, start_ns=int(found["open_ns"][0]), step_ns=HOUR_NS)
    rows = np.delete(suspect(rows, 1, 4), [2])
    rows["number"] = np.arange(4)
    made = Turning(tmp_path, replace(MNQ, timeframes=("1d",)))
    made.writer.put(rows)
    made.turn()
    wish = made.wish()
    assert (wish["start_ns"], wish["end_ns"]) == (found["open_ns"][1], found["open_ns"][4])
    made.stage.answer(wish["number"], Answered.DONE, told(hours[25 : 4 * 24]))
    made.turn()
    bars = scan(made.writer.folder / "1day", parse("1d"), hot=Hot(rows, QUARTERS)).collect()
    assert bars["start"].to_physical().to_list() == found["open_ns"].tolist()
    assert bars["revision"].to_list() == [0, 1, 0, 1, 0]
    assert bars["volume"].to_list() == [
        rows["volume"][0],
        *(hours["volume"][first:last].sum() for first, last in ((25, 48), (48, 72), (72, 96))),
        rows["volume"][3],
    ]
    known = doubts.from_json((made.writer.folder / "1day" / doubts.FILE_NAME).read_bytes())
    assert known.open == known.past == ()


def test_an_instrument_that_goes_takes_its_wishes_along(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    made.writer.put(suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 10, 20))
    made.turn()
    assert len(made.stage.wishes()) == 1
    made.keeper.take(replace(made.stage.settings, symbols=(replace(MNQ, symbol="ES"),)))
    made.turn()
    assert len(made.stage.wishes()) == 0
    assert [path.name for path in made.stage.here.glob("*.sessions")] == ["ES.sessions"]


def test_other_settings_of_an_instrument_are_followed(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    made.writer.put(suspect(made_bars.plain(40, start_ns=AT_NOON_NS), 10, 20))
    made.turn()
    before = hours.read(hours.path_of(made.stage.here, "MNQ"))
    made.keeper.take(replace(made.stage.settings, symbols=(replace(MNQ, calendar="24/7"),)))
    made.turn()
    after = hours.read(hours.path_of(made.stage.here, "MNQ"))
    open_ns, more_ns = (int((rows["close_ns"] - rows["open_ns"]).sum()) for rows in (before, after))
    assert more_ns > open_ns
    assert len(made.stage.wishes()) == 1


def test_a_hot_file_in_place_of_another_is_found(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    made.writer.put(made_bars.plain(230))
    made.turn()
    assert made.writer.sealed_to() == 128
    made.writer = HotWriter(made.stage.data, "MNQ", "1m", size=512)
    made.turn()
    made.writer.put(made_bars.plain(128))
    made.turn()
    assert made.writer.sealed_to() == 128  # what was sealed of those numbers is told to the new one


def test_a_hot_file_in_place_of_another_is_synced_at_once(tmp_path: Path) -> None:
    disk = NotingDisk()
    made = Turning(tmp_path, disk=disk, sync_s=3600)
    made.turn()
    HotWriter(made.stage.data, "MNQ", "1m")
    disk.steps.clear()
    made.turn()
    assert disk.steps[:2] == ["hot", "MNQ"]  # and its name
    made.turn()
    assert disk.steps[2:] == []


def test_what_a_worker_set_aside_is_sealed_before_what_came_after_it(tmp_path: Path) -> None:
    """Its rows were not looked at in time either: what is doubted in them is asked for."""
    made = Turning(tmp_path)
    rows = suspect(made_bars.plain(430, start_ns=AT_NOON_NS), 60, 62)
    made.keeper.close()
    made.writer.put(rows[:50])
    made.again()
    made.turn()
    made.keeper.close()
    made.writer.put(rows[50:200])
    made.writer.damage(150)
    made.writer.set_aside(1)
    rows["number"][200:] += 1 << 24
    made.writer = HotWriter(made.stage.data, "MNQ", "1m", first=200 + (1 << 24))
    made.writer.put(rows[200:])
    made.again()
    made.turn()
    assert seen(made.bars(rows[:0])) == highest(rows[[*range(150), *range(151, 200), *range(200, 328)]], MINUTE)
    assert made.stage.count("sealed_rows") == 199 + 128
    assert made.stage.count("disk_errors") == 0
    (wish,) = made.stage.wishes()
    assert (wish["start_ns"], wish["end_ns"]) == (rows["start_ns"][149], rows["end_ns"][151])
    made.again()
    made.turn()
    assert made.stage.count("sealed_rows") == 199 + 128


def test_a_full_disk_is_counted_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Filling(Disk):
        full = True

        def write(self, path: Path, data: bytes) -> None:
            if self.full and path.name.endswith(".arrow.tmp"):
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(path, data)

    disk = Filling()
    made = Turning(tmp_path, disk=disk)
    made.writer.put(made_bars.plain(230))
    for _ in range(3):
        made.turn()
    made.turn(REST_NS)
    assert made.stage.count("disk_errors") == 2
    assert made.writer.sealed_to() == 0
    assert caplog.text.count("cannot be sealed") == 1
    disk.full = False
    made.turn(REST_NS)
    assert made.writer.sealed_to() == 128
    assert len(scan(made.folder, MINUTE).collect()) == 128


def test_rows_that_were_damaged_hold_up_nothing(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    made.writer.put(made_bars.plain(230))
    made.writer.damage(50)
    made.turn()
    assert made.writer.sealed_to() == 128
    assert made.stage.count("sealed_files") == 2
    numbers = scan(made.folder, MINUTE).collect()["number"].to_list()
    assert numbers == [*range(50), *range(51, 128)]


def test_the_hot_file_is_synced_before_its_rows_are_sealed(tmp_path: Path) -> None:
    disk = NotingDisk()
    made = Turning(tmp_path, disk=disk, sync_s=3600)
    made.turn()
    disk.steps.clear()
    made.writer.put(made_bars.plain(230))
    made.turn()
    sealed = next(name for name in disk.steps if name.endswith(".arrow.tmp"))
    assert disk.steps.index("hot") < disk.steps.index(sealed)


def test_limits_of_a_timeframe_and_of_the_disk(tmp_path: Path) -> None:
    made = Turning(tmp_path, replace(MNQ, keep_rows={"1min": 300}))
    rows = made_bars.plain(1000, start_ns=NOW_NS)
    made.fill(rows)
    before = len(listing(made.folder, MINUTE).read)
    made.turn(TIDY_NS)
    assert sum(file.rows for file in listing(made.folder, MINUTE).read) == 384
    assert made.stage.count("retired_files") == before - 3
    made.stage.settings = replace(
        made.stage.settings, keeper=replace(made.stage.settings.keeper, disk_mib=1), symbols=(MNQ,)
    )
    made.keeper.take(made.stage.settings)
    made.turn(TIDY_NS)
    assert sum(file.rows for file in listing(made.folder, MINUTE).read) == 384  # far below a MiB


def test_hot_files_that_were_set_aside_go_in_time_and_are_counted(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    for number in range(1, 7):
        (made.writer.folder / f"hot.aside-{number}").touch()
    made.turn()
    assert made.stage.count("deleted_asides") == 2
    assert sorted(path.name for path in made.writer.folder.glob("hot.aside-*")) == [
        f"hot.aside-{number}" for number in (3, 4, 5, 6)
    ]


def test_two_keepers_do_not_write_to_one_instrument(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Turning(tmp_path)
    made.writer.put(made_bars.plain(230))
    made.turn()
    other = Stage(tmp_path / "other", MNQ)
    other.settings = replace(other.settings, data_folder=made.stage.data)
    keeper = Keeper(other.job, 1)
    keeper.turn(made.now_ns, NOW_NS)
    assert "keeper.lock" in caplog.text
    assert other.count("sealed_rows") == 0


def test_hours_are_written_when_the_day_changes_and_only_then(tmp_path: Path) -> None:
    made = Turning(tmp_path)
    path = hours.path_of(made.stage.here, "MNQ")
    made.turn()
    before = path.stat()
    made.turn(DAY_NS)  # the same months
    made.again()
    made.turn()
    assert path.stat() == before
    made.turn(31 * DAY_NS)
    assert path.stat().st_ino != before.st_ino
    rows = hours.read(path)
    assert rows["open_ns"][0] < made.wall_ns - 29 * DAY_NS
    assert rows["close_ns"][-1] > made.wall_ns + 29 * DAY_NS
