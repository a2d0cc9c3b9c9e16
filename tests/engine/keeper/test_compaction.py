"""Which files become one: finished days, then finished months, neighbours only, within a file's limit."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.keeper.compaction import plan
from shm.sealed import FETCHED, LIVE, MAX_FILE_ROWS, Batch, Name, Sealed
from shm.values import Scale
from tests import made_bars

SECOND_NS = made_bars.SECOND_NS
NOW_NS = int(datetime(2026, 3, 20, 15, tzinfo=UTC).timestamp()) * SECOND_NS


def _file(first: int, last: int, when: str, series: str = LIVE, scale: Scale = made_bars.QUARTERS) -> Sealed:
    """Rows [first, last) of which the last bar starts at `when`."""
    end_ns = int(datetime.fromisoformat(when + "+00:00").timestamp()) * SECOND_NS
    batches = (Batch(0, 1000, 200, last - first, end_ns - 60 * SECOND_NS, end_ns, 0, 0),)
    subject = made_bars.subject()
    name = Name(series, first, last)
    return Sealed(Path(name.text), name, last - first, 1000, 0, subject.timeframe, subject.symbol, scale, batches)


@pytest.mark.parametrize(
    ("times", "ranges"),
    [
        (["2026-03-20T01", "2026-03-20T02"], []),  # today
        (["2026-03-20T01", "2026-03-21T02"], []),  # a clock that is ahead
        (["2026-03-19T01", "2026-03-19T23", "2026-03-20T00"], [(0, 20)]),
        (["2026-03-18T01", "2026-03-18T02", "2026-03-19T01", "2026-03-19T23"], [(0, 20), (20, 40)]),
        (["2026-02-01T00", "2026-02-28T23", "2026-03-01T00"], [(0, 20)]),
        (["2025-03-01T00", "2026-03-01T00"], []),  # a year apart
        (["2025-12-31T23", "2025-12-30T01", "2026-01-01T00"], [(0, 20)]),
    ],
)
def test_days_and_months(times: list[str], ranges: list[tuple[int, int]]) -> None:
    files = [_file(10 * i, 10 * i + 10, when) for i, when in enumerate(times)]
    found = plan(list(reversed(files)), NOW_NS)
    assert [(group[0].name.first, group[-1].name.last) for group in found] == ranges


def test_only_neighbours_of_one_series_and_one_scale() -> None:
    when = "2026-01-05T00"
    assert plan([_file(0, 10, when), _file(11, 20, when)], NOW_NS) == []
    assert plan([_file(0, 10, when), _file(10, 20, when, FETCHED)], NOW_NS) == []
    assert plan([_file(0, 10, when), _file(10, 20, when, scale=Scale(0, 1, 0, 1))], NOW_NS) == []
    assert len(plan([_file(0, 10, when), _file(10, 20, when)], NOW_NS)) == 1


def test_a_file_never_holds_more_than_its_limit() -> None:
    third = MAX_FILE_ROWS // 3
    files = [_file(third * i, third * i + third, "2026-01-05T00") for i in range(5)]
    assert [len(group) for group in plan(files, NOW_NS)] == [3, 2]
    assert plan([_file(0, 3 * third, "2026-01-05T00"), _file(3 * third, 5 * third, "2026-01-09T00")], NOW_NS) == []
