"""The file of hot bars when it is opened: damaged, foreign, of other timeframes, or in another's hands."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shm import bar_rows, layout
from shm.bars import HotBars
from shm.errors import LayoutError
from shm.layout import Kind
from shm.segment import create
from tests.workers.bar_rig import SECOND, TICKS, BarRig
from workers.hotfile import HotFile, open_bars, plan

WANTED = plan("1s 3tick", 250, 256)
HEAD = layout.HEADER_BYTES
DAMAGES = 300


def fill(folder: Path, bars: int) -> BarRig:
    rig = BarRig(folder, "1s 3tick", hot_rows=256)
    rig.snapshot()
    for _ in range(bars):
        rig.trades([(rig.wall_ns, TICKS, 2, 0)])
        rig.later(2 * SECOND)
        rig.clock()
    rig.trades([(rig.wall_ns, TICKS, 2, 0)])
    rig.drain()
    return rig


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def _flip_both_slots(data: bytes) -> bytes:
    at = layout.bars_regions(2, 512)["slots"].offset + 40
    return _flip(at)(_flip(at + layout.FORMING.itemsize)(data))


def _tear_both_slots(data: bytes) -> bytes:
    at = layout.bars_regions(2, 512)["slots"].offset + layout.FORMING.itemsize - 8
    return _flip(at)(_flip(at + layout.FORMING.itemsize)(data))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_flip(3), id="its mark"),
        pytest.param(_flip(HEAD - 1), id="its description"),
        pytest.param(_flip(layout.bars_regions(2, 512)["frames"].offset + 16), id="its table of timeframes"),
        pytest.param(_flip(layout.bars_regions(2, 512)["frames"].offset + 8), id="the length of its bars"),
        pytest.param(_flip(layout.HEADER_BYTES + 8 * (layout.BARS_SCALE + 1)), id="its tick"),
        pytest.param(_flip_both_slots, id="both slots"),
        pytest.param(_tear_both_slots, id="the ends of both slots"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut off"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    rig = fill(tmp_path, 5)
    assert rig.hot is not None
    rig.hot.close()
    path = tmp_path / "hot"
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    hot = HotFile(tmp_path, "MNQ", 1, WANTED)
    assert (tmp_path / "hot.aside-1").read_bytes() == broken
    first = hot.array("frames")["first_number"].tolist()
    assert first[0] > 5  # no number is given twice
    assert not hot.array("rows")["number"].any()
    hot.close()


def test_amounts_that_no_timeframe_has_are_damage(tmp_path: Path) -> None:
    """With a checksum that fits: of a worker that never was."""
    rig = fill(tmp_path, 1)
    assert rig.hot is not None
    frames = rig.hot.array("frames")
    for unit, amount in ((1, 7), (4, 2), (7, 0), (7, 10**12 + 1), (99, 1)):
        frames["unit"][0], frames["amount"][0] = unit, amount
        bar_rows.seal_frames(frames)
        with pytest.raises(LayoutError, match="its table of timeframes is damaged"):
            HotBars(tmp_path / "hot", "MNQ")
    rig.hot.close()
    HotFile(tmp_path, "MNQ", 1, WANTED).close()
    assert (tmp_path / "hot.aside-1").exists()


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes that are others, a page that is empty, a piece cut off, too much behind it, or noise."""
    meta = layout.bars_regions(2, 512)["rows"].offset  # half of all damage is where it can do most harm
    at = rng.randrange(meta if rng.random() < 0.5 else len(data))
    length = rng.choice((1, 8, 100, 4096))
    what = rng.random()
    if what < 0.4:
        return data[:at] + rng.randbytes(len(data[at : at + length])) + data[at + length :]
    if what < 0.6:
        return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
    if what < 0.8:
        return data[:at]
    return data + rng.randbytes(length) if what < 0.9 else rng.randbytes(at)


def _shown(path: Path) -> dict[tuple[str, int], bytes]:
    """What a reader gets of closed rows, by timeframe and number; nothing where it is told of damage."""
    try:
        hot = HotBars(path, "MNQ")
    except LayoutError:
        return {}
    found: dict[tuple[str, int], bytes] = {}
    for i, timeframe in enumerate(hot.timeframes):
        try:
            end = hot.slot(i).end
        except LayoutError:
            continue
        found |= {(timeframe.name, int(row["number"])): row.tobytes() for row in hot.rows(i, 0, end)}
    hot.segment.close()
    return found


def test_damage_anywhere_is_told_or_costs_rows_and_changes_none(tmp_path: Path, seed: int) -> None:
    """A reader first, as when no engine runs; then a worker, which goes on with the file or sets it aside whole."""
    rng = random.Random(seed)
    rig = fill(tmp_path / "whole", 400)
    assert rig.hot is not None
    rig.hot.array("control")[layout.sealed_line(0)] = 200
    rig.hot.close()
    data, right = (tmp_path / "whole" / "hot").read_bytes(), _shown(tmp_path / "whole" / "hot")
    taken_over = 0
    for case in range(DAMAGES):
        folder = tmp_path / str(case)
        folder.mkdir()
        broken = _damaged(data, rng)
        (folder / "hot").touch(0o600)
        (folder / "hot").write_bytes(broken)
        assert _shown(folder / "hot").items() <= right.items()
        after = BarRig(folder, "1s 3tick", hot_rows=256, generation=2)
        after.later(900 * SECOND)
        after.snapshot()
        after.trades([(after.wall_ns - late * SECOND, TICKS, 2, 0) for late in (0, 100, 300)])
        after.drain()
        aside = folder / "hot.aside-1"
        taken_over += not aside.exists()
        assert not aside.exists() or aside.stat().st_size in (len(broken), len(data))
        assert after.hot is not None
        after.hot.close()
        new = {key: row for key, row in _shown(folder / "hot").items() if key not in right or right[key] != row}
        assert all(_generation(row) == 2 for row in new.values())
    assert 0 < taken_over < DAMAGES


def _generation(row: bytes) -> int:
    return int(np.frombuffer(row, layout.BAR)["sequence"][0]) >> layout.GENERATION_SHIFT


@pytest.mark.parametrize("foreign", ["a ring", "of another instrument"])
def test_what_is_no_file_of_these_bars_is_left_as_it_is(tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "hot"
    if foreign == "a ring":
        create(path, Kind.RING, layout.ring_regions(1 << 16), generation=1, symbol="MNQ").close()
    else:
        HotFile(tmp_path, "MES", 1, WANTED).close()
    theirs = path.read_bytes()
    with pytest.raises(LayoutError):
        HotBars(path, "MNQ")
    HotFile(tmp_path, "MNQ", 1, WANTED).close()
    assert (tmp_path / "hot.aside-1").read_bytes() == theirs
    HotBars(path, "MNQ").segment.close()


def test_one_damaged_slot_costs_trust_and_no_bar(tmp_path: Path) -> None:
    rig = fill(tmp_path, 5)
    rows = rig.rows(0).tobytes()
    newest = int(rig.slot(0)["begin"]) & 1
    rig.hot.array("slots")["lost"][0, newest] += 1  # type: ignore[union-attr]
    rig.restart()
    assert int(rig.slot(0)["begin"]) & 1 != newest
    rig.trades([(rig.wall_ns, TICKS, 2, 0)])
    rig.drain()
    assert rig.forming(0)["flags"][0] & layout.BarFlag.SUSPECT
    assert rig.rows(0).tobytes()[: len(rows)] == rows


def test_other_timeframes_keep_what_the_file_had_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = fill(tmp_path, 5)
    rows, forming = rig.rows(0).tobytes(), rig.forming(0).tobytes()
    assert rig.hot is not None
    rig.hot.close()
    rig._plan, rig.hot = plan("1m 1s", 250, 1024), None
    rig.restart()
    assert rig.rows(1).tobytes() == rows
    assert rig.forming(1).tobytes() == forming
    assert len(rig.rows(0)) == 0
    assert [path.name for path in tmp_path.glob("hot.aside-*")] == ["hot.aside-1"]  # it has the bars of three ticks
    assert "its hot bars are kept as hot.aside-1 too: 3tick are wanted no more" in caplog.text
    rig.trades([(rig.wall_ns, TICKS, 2, 0)])
    rig.drain()
    assert int(rig.forming(1)["trades"][0]) == 2


def test_numbers_are_never_given_twice_though_files_set_aside_are_deleted(tmp_path: Path) -> None:
    given = set()
    for _ in range(4):
        hot = HotFile(tmp_path, "MNQ", 1, WANTED)
        given.add(int(hot.array("frames")["first_number"][0]))
        hot.close()
        (tmp_path / "hot").write_bytes(b"")
        for path in sorted(tmp_path.glob("hot.aside-*"))[:-1]:
            path.unlink()
    assert len(given) == 4


def test_two_processes_never_write_to_one_file(tmp_path: Path) -> None:
    held = (
        "import sys, pathlib; from workers.hotfile import HotFile, plan;"
        "hot = HotFile(pathlib.Path(sys.argv[1]), 'MNQ', 1, plan('1s', 250, 256)); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert open_bars(tmp_path, "MNQ", 1, WANTED) is None
        other.communicate("\n")
    hot = open_bars(tmp_path, "MNQ", 1, WANTED)
    assert hot is not None
    hot.close()


def test_what_a_killed_maker_left_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("hot.new", "hot.new.tmp"):
        (tmp_path / name).write_bytes(b"half")
    hot = HotFile(tmp_path, "MNQ", 1, WANTED)
    hot.close()
    assert sorted(os.listdir(tmp_path)) == ["hot", "writer.lock"]


def test_no_timeframes_make_no_file(tmp_path: Path) -> None:
    assert open_bars(tmp_path / "bars", "MNQ", 1, plan("", 250, 256)) is None
    assert not (tmp_path / "bars").exists()
