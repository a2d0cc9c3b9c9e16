"""What scripts/inspect says of hot bars: whole, damaged, set aside, foreign."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shm import layout
from tests.made_bars import BEGIN_NS, plain
from tests.made_hot import MadeHot

HOUR_NS = 3600 * 10**9
Said = Callable[[Path], tuple[int, str]]


def test_hot_bars_are_printed_and_whole(hot: MadeHot, said: Said) -> None:
    status, text = said(hot.path)
    assert status == 0
    for part in (
        *("kind            bars", "price step  0.25", "row 60 is next, sealed to 40, 1 forming"),
        *("6, 2 of them regular hours", "2026-03-01 23:00 to 2026-03-03 22:00 UTC", "1hr: 20 hot rows"),
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 100


def test_what_is_damaged_in_hot_bars_is_named(hot: MadeHot, said: Said) -> None:
    hot.segment.array("rows")["volume"][45] += 1
    hot.segment.array("sessions")["rows"]["close_ns"][1, 0] = 0
    status, text = said(hot.path)
    assert status == 1
    assert "BAD  1hr: 20 hot rows" not in text
    assert "BAD  1hr: 19 hot rows with their checksums: 1 torn" in text
    assert "0, 0 of them" in text  # hours that are not whole count as none
    bad = plain(1, 60, BEGIN_NS + 60 * HOUR_NS, HOUR_NS)
    bad["low"] = bad["high"] + 1
    hot.append(bad)
    assert "prices, volumes and times of a bar fit: 1 rows" in said(hot.path)[1]
    hot.segment.array("slots")["count"] += 1
    assert "BAD  1hr: one of its two copies is whole" in said(hot.path)[1]
    hot.segment.array("frames")["amount"] = 2  # hours of two would be sound: only the checksum tells
    assert "BAD  what it says of itself: " in said(hot.path)[1]
    assert "table of timeframes is damaged: a checksum does not fit" in said(hot.path)[1]


def test_a_damaged_scale_in_hot_bars_is_named(hot: MadeHot, said: Said) -> None:
    hot.segment.array("control")[layout.BARS_SCALE + 1] += 1
    status, text = said(hot.path)
    assert status == 1
    assert "scale of prices and sizes is damaged" in text


def test_a_file_set_aside_is_read_and_said_to_be_one(hot: MadeHot, said: Said) -> None:
    aside = hot.path.with_name("hot.aside-1")
    hot.path.rename(aside)
    status, text = said(aside)
    assert status == 0
    for part in ("set aside", "another file took its place", "row 60 is next, sealed to 40"):
        assert part in text
    aside.write_bytes(aside.read_bytes()[:-1])
    status, text = said(aside)
    assert status == 1
    assert "set aside" in text
    assert "BAD  a whole file of hot bars" in text


@pytest.mark.parametrize("what", ["a folder", "a fifo", "text"])
def test_what_is_no_file_of_hot_bars_is_bad_and_the_rest_is_told(hot: MadeHot, what: str, said: Said) -> None:
    hot.path.unlink()
    if what == "a folder":
        hot.path.mkdir()
    elif what == "a fifo":
        os.mkfifo(hot.path)
    else:
        hot.path.write_text("bars")
    for path in (hot.path, hot.path.parent):
        status, text = said(path)
        assert status == 1
        assert f"{hot.path}: DAMAGED" in text
        assert "BAD  a whole file of hot bars: " in text
    assert f"{hot.path.parent / '1hr'}: whole" in text
