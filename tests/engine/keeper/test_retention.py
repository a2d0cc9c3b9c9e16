"""What goes beyond a limit of rows, bytes or age, and in which order what went is unlinked."""

from pathlib import Path

import pytest

from engine.keeper.retention import GRACE_NS, Limits, beyond_together, deletable, expired
from shm.sealed import FETCHED, LIVE, Batch, Listing, Name, Sealed
from tests import made_bars

DAY_NS = made_bars.DAY_NS


def _file(day: int, rows: int = 100, size: int = 1000, series: str = LIVE) -> Sealed:
    """Bars of which the last starts on `day`."""
    batches = (Batch(0, size, 200, rows, (day - 1) * DAY_NS, day * DAY_NS, 0, 0),)
    name = Name(series, day * 1000, day * 1000 + rows)
    subject = made_bars.subject()
    return Sealed(Path(name.text), name, rows, size, 0, subject.timeframe, subject.symbol, subject.scale, batches)


@pytest.mark.parametrize(
    ("limits", "days"),
    [
        (Limits(), []),
        (Limits(rows=400), []),
        (Limits(rows=301), []),  # the oldest file holds the 301st
        (Limits(rows=300), [1]),
        (Limits(rows=101), [1, 2]),
        (Limits(rows=0), [1, 2, 3]),  # the newest stays
        (Limits(bytes=4000), []),
        (Limits(bytes=3999), [1]),
        (Limits(bytes=1), [1, 2, 3]),
        (Limits(age_ns=9 * DAY_NS), []),  # of which the last bar is as old as the limit
        (Limits(age_ns=8 * DAY_NS), [1]),
        (Limits(age_ns=1), [1, 2, 3]),
        (Limits(rows=300, bytes=2000, age_ns=9 * DAY_NS), [1, 2]),
    ],
)
def test_limits(limits: Limits, days: list[int]) -> None:
    files = [_file(day) for day in (3, 1, 4, 2)]
    assert [file.last_start_ns // DAY_NS for file in expired(files, limits, 10 * DAY_NS)] == days


def test_the_oldest_of_both_series_go_first() -> None:
    files = [_file(5), _file(2, series=FETCHED), _file(3)]
    assert [file.name for file in expired(files, Limits(rows=200), 0)] == [files[1].name]


def test_what_is_unlinked_when_its_hour_is_over() -> None:
    inner, wide, other = Name(LIVE, 0, 10), Name(LIVE, 0, 30), Name(LIVE, 40, 50)
    found = Listing((), ((inner, 5),), ((wide, 7), (other, 8)), (), ())
    assert deletable(found, GRACE_NS + 4) == []
    assert deletable(found, GRACE_NS + 6) == [inner]
    assert deletable(found, GRACE_NS + 7) == [inner, wide, wide._replace(gone=True)]
    assert deletable(found._replace(replaced=((inner, 9),)), GRACE_NS + 8) == [other, other._replace(gone=True)]


@pytest.mark.parametrize(
    ("limit_bytes", "days"),
    [
        (6000, [[], []]),
        (5999, [[], [1]]),  # the oldest of all
        (5000, [[], [1]]),
        (4000, [[2], [1]]),
        (3000, [[2], [1, 3]]),
        (1, [[2, 4], [1, 3]]),  # of each timeframe the newest stays
    ],
)
def test_a_limit_of_all_together(limit_bytes: int, days: list[list[int]]) -> None:
    stores = [[_file(day) for day in (6, 4, 2)], [_file(day) for day in (1, 3, 5)]]
    gone = beyond_together(stores, limit_bytes)
    assert [[file.last_start_ns // DAY_NS for file in files] for files in gone] == days
    assert beyond_together([], limit_bytes) == []


def test_a_series_goes_from_its_beginning() -> None:
    """A file of late revisions alone holds older bars than the one before it; it is no hole in the row numbers."""
    late = _file(5)
    late = late._replace(batches=(late.batches[0]._replace(last_start_ns=DAY_NS),))
    files = [_file(3), _file(4), late, _file(6)]
    assert expired(files, Limits(rows=100), 0) == files[:3]
    assert expired(files, Limits(rows=200), 0) == files[:2]
    assert expired(files, Limits(age_ns=DAY_NS), 5 * DAY_NS) == files[:1]
    assert beyond_together([files], 2000) == [files[:2]]
