"""What scripts/inspect says of a keeper, and of the files that it writes for others and for itself."""

import re
from pathlib import Path

import pytest

from engine import hours
from engine.inspection.__main__ import main
from engine.inspection.report import render
from engine.inspection.segment import examine, open_segment
from engine.keeper.doubts import FILE_NAME, Doubts
from shm import layout
from shm.layout import Kind
from shm.segment import create
from shm.timeframe import Unit
from tests.engine.test_hours import rows_of
from tests.made_bars import BEGIN_NS

HOUR_NS = 3600 * 10**9


def test_a_keepers_counters_and_wishes_are_shown(tmp_path: Path) -> None:
    segment = create(tmp_path / "keeper", Kind.KEEPER, layout.keeper_regions(), generation=1)
    segment.array("words")[layout.KEEPER_WORDS.index("sealed_rows") * layout.WORDS_A_LINE] = 4711
    wishes = segment.array("wishes")
    wishes[:2] = [
        (9, Unit.MINUTE, 5, 1_795_300_200 * 10**9, 1_795_300_800 * 10**9, b"MNQ", (0,) * 7),
        (8, 77, 5, 10**9, 2 * 10**9, b"MES", (0,) * 7),
    ]
    report = examine(open_segment(segment.path))
    text = render(report)
    assert report.whole, text
    assert re.search(r"sealed_rows +4,711\n", text)
    assert "  8  MES unit 77, 1970-01-01 00:00:01 to 1970-01-01 00:00:02\n" in text
    assert "  9  MNQ 5min, 2026-11-21 22:30:00 to 2026-11-21 22:40:00\n" in text
    wishes["number"][2:4], wishes["start_ns"][3] = 9, 1
    assert examine(segment).faults == ["9", "9, 9"]


def test_trading_hours_are_shown_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = hours.path_of(tmp_path, "MNQ")
    hours.write(path, rows_of(3))
    assert main([str(path)]) == 0
    said = capsys.readouterr().out
    for part in ("3, 0 of them with regular hours", "1970-01-03 23:00:00", "3, 1970-01-01 to 1970-01-03"):
        assert part in said
    path.write_bytes(b"nonsense")
    assert main([str(path)]) == 1
    assert "holds no trading hours" in capsys.readouterr().err


def test_what_it_asks_the_venue_for_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(Doubts(60, open=((BEGIN_NS, BEGIN_NS + HOUR_NS),)).to_json())
    assert main([str(path)]) == 0
    said = capsys.readouterr().out
    assert "what the keeper asks the venue for" in said
    assert "1, from 2026-03-02 00:00:00 UTC to 2026-03-02 01:00:00 UTC" in said
    path.write_text("{")
    assert main([str(path)]) == 1
    assert "BAD  a list of what the venue is to be asked for" in capsys.readouterr().out
