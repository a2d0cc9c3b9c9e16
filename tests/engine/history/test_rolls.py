"""engine/history/rolls.py: which contract was before, when the next one takes over, and prices across the join."""

from itertools import islice

import numpy as np
import pytest

from engine.history.page import Rows
from engine.history.rolls import DAY_NS, earlier, join, join_ns
from shm.layout import BAR, BarFlag

HOUR_NS = DAY_NS // 24


def bars(*made: tuple[int, int, int, int]) -> Rows:
    """Bars of an hour by (day, hour, close, volume)."""
    rows = np.zeros(len(made), BAR)
    for row, (day, hour, close, volume) in zip(rows, made, strict=True):
        row["start_ns"] = day * DAY_NS + hour * HOUR_NS
        row["end_ns"] = row["start_ns"] + HOUR_NS
        row["open"], row["high"], row["low"], row["close"] = close - 1, close + 2, close - 2, close
        row["volume"] = volume
    return rows


OLD = bars((1, 1, 10, 9), (1, 5, 11, 9), (2, 1, 12, 4), (2, 5, 13, 4), (3, 1, 14, 1))
NEW = bars((1, 5, 21, 2), (2, 1, 22, 5), (2, 6, 23, 4), (3, 1, 24, 9), (4, 1, 25, 9))


@pytest.mark.parametrize(
    ("contract", "symbol", "before"),
    [
        ("CON.F.US.MNQ.Z26", "MNQ", ["U26", "M26", "H26", "Z25", "U25"]),
        ("CON.F.US.MNQ.H26", "MNQ", ["Z25", "U25"]),
        ("CON.F.US.CLE.F27", "CL", ["Z26", "X26", "V26"]),
        ("CON.F.US.GCE.G27", "GC", ["Z26", "Q26", "M26", "J26", "G26", "Z25"]),
        ("CON.F.US.SIE.F27", "SI", ["Z26", "U26"]),
        ("CON.F.US.EP.H01", "ES", ["Z00", "U00", "M00", "H00"]),
    ],
)
def test_the_months_before(contract: str, symbol: str, before: list[str]) -> None:
    stem = contract.rpartition(".")[0]
    assert list(islice(earlier(contract, symbol), len(before))) == [f"{stem}.{month}" for month in before]


def test_they_end_with_the_year_2000() -> None:
    assert list(earlier("CON.F.US.EP.M01", "ES"))[-1] == "CON.F.US.EP.H00"


def test_the_next_contract_takes_over_the_day_after_it_traded_more() -> None:
    assert join_ns(OLD, NEW) == 3 * DAY_NS


def test_a_contract_that_is_never_overtaken_is_followed_to_its_end() -> None:
    assert join_ns(OLD, bars((1, 1, 20, 1), (9, 1, 20, 50))) == 3 * DAY_NS + 2 * HOUR_NS
    assert join_ns(OLD, bars((9, 1, 20, 50))) == 3 * DAY_NS + 2 * HOUR_NS


def test_joined_at_their_own_prices_with_the_join_marked() -> None:
    made = join(OLD, NEW, 3 * DAY_NS, adjusted=False)
    assert made["close"].tolist() == [10, 11, 12, 13, 24, 25]
    assert [bool(flags & BarFlag.JOINED) for flags in made["flags"]] == [False] * 4 + [True, False]
    assert made["start_ns"].tolist() == sorted(made["start_ns"].tolist())
    assert not (NEW["flags"] & BarFlag.JOINED).any(), "the bars that were given are not changed"


def test_adjusted_by_the_difference_in_the_last_bar_that_both_have() -> None:
    made = join(OLD, NEW, 3 * DAY_NS, adjusted=True)  # day 2, hour 1: 22 - 12
    assert made["close"].tolist() == [20, 21, 22, 23, 24, 25]
    assert made["open"].tolist() == [19, 20, 21, 22, 23, 24]
    assert made["high"].tolist() == [22, 23, 24, 25, 26, 27]
    assert made["low"].tolist() == [18, 19, 20, 21, 22, 23]
    assert made["volume"].tolist() == [9, 9, 4, 4, 9, 9]


def test_a_vwap_that_is_known_moves_with_the_prices() -> None:
    old = OLD.copy()
    old["trades"][0], old["notional"][0] = 3, 90
    made = join(old, NEW, 3 * DAY_NS, adjusted=True)
    assert made["notional"].tolist() == [90 + 10 * 9, 0, 0, 0, 0, 0]


def test_joins_add_up_from_the_newest_back() -> None:
    newest = bars((4, 1, 125, 1), (5, 1, 126, 50), (6, 1, 127, 50))
    made = join(join(OLD, NEW, 3 * DAY_NS, adjusted=True), newest, 6 * DAY_NS, adjusted=True)
    assert made["close"].tolist() == [120, 121, 122, 123, 124, 125, 127]
    assert np.count_nonzero(made["flags"] & BarFlag.JOINED) == 2


def test_without_a_bar_in_common_prices_cannot_be_adjusted() -> None:
    with pytest.raises(ValueError, match="no bar before the join"):
        join(OLD, NEW[3:], 3 * DAY_NS, adjusted=True)
    assert len(join(OLD, NEW[3:], 3 * DAY_NS, adjusted=False)) == 6
    assert len(join(OLD, NEW, DAY_NS, adjusted=True)) == len(NEW), "nothing older, nothing to adjust"
