"""Readers of hot bars: what they get, what they are told when there is none, and rows that go while they are copied."""

import math
from pathlib import Path

import numpy as np
import pytest

from shm import BarFlag, LayoutError, UnknownTimeframe, layout
from shm.bars import Bars, HotBars
from tests.workers.bar_rig import SECOND, TICKS, BarRig


@pytest.fixture
def rig(tmp_path: Path) -> BarRig:
    made = BarRig(tmp_path / "bars" / "MNQ", "1s 5s=marked 1m 3tick", hot_rows=256)
    made.snapshot()
    for n in range(12):
        made.later(SECOND)
        if n % 12 < 4:
            made.trades([(made.wall_ns, TICKS + n, 2, 0), (made.wall_ns, TICKS, 1, 1)])
        made.clock()
    made.drain()
    return made


def test_forming_and_last_in_prices_and_exact(rig: BarRig, tmp_path: Path) -> None:
    bars = Bars(tmp_path, "MNQ", "1sec")
    last = bars.last(2)
    assert last["number"].tolist() == [2, 3]
    assert last["open"].tolist() == [21000.5, 21000.75]
    assert last["open_ticks"].tolist() == [TICKS + 2, TICKS + 3]
    assert last["volume"].tolist() == [3.0, 3.0]
    assert last["buy_volume_units"].tolist() == [2, 2]
    assert last["vwap"].tolist() == pytest.approx([(2 * 21000.5 + 21000) / 3, (2 * 21000.75 + 21000) / 3])
    assert len(bars.last(100)) == 4
    assert len(bars.last(0)) == len(bars.forming()) == bars.lost == bars.unplaced == 0
    minute = Bars(tmp_path, "MNQ", "1m").forming()
    assert (minute["number"].tolist(), minute["trades"].tolist()) == ([-1], [8])
    assert minute["flags"][0] & BarFlag.FORMING


def test_of_a_bar_that_came_again_the_highest_revision_counts(rig: BarRig, tmp_path: Path) -> None:
    rig.trades([(rig.wall_ns - 9 * SECOND, TICKS + 50, 7, 0)])
    rig.drain()
    last = Bars(tmp_path, "MNQ", "1s").last(2)
    assert last["revision"].tolist() == [1, 0]
    assert (last["close_ticks"].tolist()[0], last["volume_units"].tolist()[0]) == (TICKS + 50, 10)


def test_a_bar_marked_as_empty_has_no_prices(rig: BarRig, tmp_path: Path) -> None:
    last = Bars(tmp_path, "MNQ", "5s").last(1)
    assert last["flags"][0] & BarFlag.NO_TRADE
    assert math.isnan(last["close"][0])
    assert math.isnan(last["vwap"][0])


@pytest.mark.parametrize(
    ("name", "told"), [("1min ute", "is no timeframe"), ("7m", "divide"), ("10s", "it has|did you mean"), ("2m", "did")]
)
def test_what_there_is_not_is_refused_with_what_there_is(rig: BarRig, tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(UnknownTimeframe, match=told):
        Bars(tmp_path, "MNQ", name)
    with pytest.raises(UnknownTimeframe, match="has no bars"):
        Bars(tmp_path, "MES", "1m")


def test_rows_that_are_gone_or_torn_are_left_out(rig: BarRig, tmp_path: Path) -> None:
    rows = rig.hot.array("rows")  # type: ignore[union-attr]
    rows["number"][0] += 256  # overwritten
    rows["volume"][2] += 1  # torn
    assert Bars(tmp_path, "MNQ", "1s").last(10)["number"].tolist() == [1, 3]


def test_the_older_copy_of_a_slot_does_and_none_is_an_error(rig: BarRig, tmp_path: Path) -> None:
    hot = HotBars(tmp_path / "bars" / "MNQ" / "hot", "MNQ")
    through = hot.slot(2).through
    pair = rig.hot.array("slots")[2]  # type: ignore[union-attr]
    pair["count"][int(np.argmax(pair["begin"]))] += 1
    assert hot.slot(2).through < through
    pair["count"][int(np.argmin(pair["begin"]))] += 1
    with pytest.raises(LayoutError, match="damaged"):
        hot.slot(2)


def test_a_file_that_was_made_anew_is_found(rig: BarRig, tmp_path: Path) -> None:
    bars = Bars(tmp_path, "MNQ", "1s")
    rig.hot.rescale((9, 125_000_000, 0, 1))  # type: ignore[union-attr]
    assert len(bars.last(5)) == 0
    assert len(list((tmp_path / "bars" / "MNQ").glob("hot.aside-*"))) == 1


def test_the_file_says_its_rows_in_its_own_words(rig: BarRig, tmp_path: Path) -> None:
    regions = rig.hot._segment.regions  # type: ignore[union-attr]
    assert layout.read_description(layout.describe(regions)) == regions
