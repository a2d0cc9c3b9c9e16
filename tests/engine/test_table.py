"""What a run looks like on a terminal: read as a person would, with the colours taken off."""

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from engine import table
from engine.summary import Result, Verdict
from engine.table import Heading, Quote, Row

HEADING = Heading("default", 3, "simulator at 6,000/s", 72.4, None)
LIVE = Row(
    symbol="MNQ",
    state="live",
    reason="",
    bid=Quote(24513.25, 3, 2),
    ask=Quote(24513.5, 11, 2),
    last=Quote(24513.25, 2, 2),
    records_per_s=1234.4,
    latency_us=(12.34, 1288.4),
    dropped=0,
    resyncs=1,
    uss_mib=5.24,
)
STALE = replace(LIVE, symbol="MES", state="stale", reason="the venue's socket is down", dropped=12_345)
NEW = Row("6E", "syncing", "waiting for the first snapshot", None, None, None, 0.0, None, 0, 0, None)


def _printed(renderable: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_one_line_an_instrument_and_one_a_reason(width: int) -> None:
    lines = _printed(table.draw(HEADING, [LIVE, STALE, NEW], width), width)
    assert len(lines) == 7
    assert lines[0].rstrip() == "shardbook default g3 · simulator at 6,000/s · 1 of 3 live · 1:12, Ctrl-C ends"
    assert lines[1].split()[:6] == ["symbol", "state", "best", "bid", "best", "ask"]
    assert lines[2].split()[:2] == ["MNQ", "live"]
    for shown in ("24513.25", "24513.50", "1,234", "12.3", "1,288", "5.2"):
        assert shown in lines[2]
    assert "12,345" in lines[3]
    assert lines[4].split()[:3] == ["6E", "syncing", "–"]
    assert lines[5].rstrip() == "MES stale: the venue's socket is down"
    assert lines[6].rstrip() == "6E syncing: waiting for the first snapshot"
    assert not any("…" in line for line in lines)


def test_sizes_are_shown_where_there_is_room() -> None:
    assert "24513.25 × 3" in _printed(table.draw(HEADING, [LIVE], 120), 120)[2]
    assert "×" not in _printed(table.draw(HEADING, [LIVE], 80), 80)[2]


@pytest.mark.parametrize(
    ("up_s", "for_s", "shown"),
    [(3.9, 20, "0:03 of 0:20"), (3725, None, "1:02:05, Ctrl-C ends"), (60, 3600, "1:00 of 1:00:00")],
)
def test_the_heading_says_how_long(up_s: float, for_s: float | None, shown: str) -> None:
    assert shown in _printed(table.draw(replace(HEADING, up_s=up_s, for_s=for_s), [], 120), 120)[0]


def test_a_log_line_says_what_matters() -> None:
    line = table.line(HEADING, [LIVE, STALE, NEW])
    assert "live 1 of 3" in line
    assert "2,469 records/s" in line
    assert "dropped 12,345" in line
    assert "p99 1,288 µs" in line
    assert "MES stale: the venue's socket is down" in line
    assert "\n" not in line


RESULT = Result(
    *("MNQ", "CON.F.US.MNQ.Z26", 1, "live", ""),
    *(123_456, 123_456, 0, 0, 0, 5321, 0),
    latency_us=(12.3, 88.4),
    uss_mib=5.23,
    verdict=Verdict(1234, 12_345_600, 0, 0, 0, 0, False, 20.0),
)


def test_the_result_is_a_table_of_80_columns() -> None:
    lines = _printed(table.draw_result([RESULT, RESULT], seconds=20.1, offered_entries_per_s=6000.2), 80)
    assert lines[0].rstrip() == "2 instruments · 20.1 s · 246,912 records · 6,000 depth entries/s offered"
    assert len(lines) == 4
    assert "wrong" in lines[1]
    assert "12,346k" in lines[2]
    assert not any("…" in line for line in lines)


def test_without_a_judge_the_result_does_not_speak_of_one() -> None:
    lines = _printed(table.draw_result([replace(RESULT, verdict=None)], seconds=20.1, offered_entries_per_s=None), 80)
    assert "offered" not in lines[0]
    assert "wrong" not in lines[1]
    assert "123,456" in lines[2]


def test_one_instrument_is_one() -> None:
    result = Result(
        *("MNQ", "CON.F.US.MNQ.Z26", 1, "live", ""),
        *(100, 100, 0, 0, 0, 20, 0),
        latency_us=None,
        uss_mib=None,
        verdict=None,
    )
    shown = _printed(table.draw_result([result], seconds=20.1, offered_entries_per_s=None), 120)
    assert shown[0].startswith("1 instrument · ")
