"""Names, listings, and what damaged, cut and foreign files do to a reader: a sentence, never a signal."""

import os
import random
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.keeper.sealing import file_bytes
from engine.keeper.store import Store
from shm.bars_frame import DamagedBars, frame, scan
from shm.errors import LayoutError
from shm.sealed import BATCH, BATCH_ROWS, FETCHED, LIVE, SEAL, Name, listing, open_sealed, parse_name, verify
from shm.timeframe import parse
from shm.values import Scale
from tests import made_bars

MINUTE = parse("1min")
NAME = Name(LIVE, 0, 300)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / NAME.text
    path.write_bytes(_bytes())
    return path


def _bytes(count: int = 300, scale: Scale = made_bars.QUARTERS) -> bytes:
    bars = frame(made_bars.plain(count), scale)
    return file_bytes(bars, Name(LIVE, 0, count), made_bars.subject(scale=scale), 1)


def test_a_file_says_what_it_holds_and_any_arrow_library_reads_it(path: Path) -> None:
    sealed = open_sealed(path, MINUTE, "MNQ")
    assert (sealed.rows, sealed.name, sealed.symbol, sealed.scale) == (300, NAME, "MNQ", made_bars.QUARTERS)
    assert (sealed.first_start_ns, sealed.last_start_ns) == (
        made_bars.BEGIN_NS,
        made_bars.BEGIN_NS + 299 * 60 * made_bars.SECOND_NS,
    )
    assert sealed.bytes == path.stat().st_size
    assert pl.read_ipc(path).equals(frame(made_bars.plain(300), made_bars.QUARTERS))
    arrow = pytest.importorskip("pyarrow.ipc")
    assert pl.DataFrame(arrow.open_file(str(path)).read_all()).equals(pl.read_ipc(path))


def test_a_file_of_many_batches_has_the_bounds_of_each(tmp_path: Path) -> None:
    count = BATCH_ROWS * 2 + 5
    path = tmp_path / Name(LIVE, 0, count).text
    path.write_bytes(_bytes(count))
    sealed = open_sealed(path)
    assert [batch.rows for batch in sealed.batches] == [BATCH_ROWS, BATCH_ROWS, 5]
    starts = made_bars.plain(count)["start_ns"]
    assert [batch.first_start_ns for batch in sealed.batches] == starts[::BATCH_ROWS].tolist()
    assert [batch.last_start_ns for batch in sealed.batches] == [
        *starts[BATCH_ROWS - 1 :: BATCH_ROWS].tolist(),
        int(starts[-1]),
    ]
    assert [fault for _, fault in verify(sealed)] == ["", "", ""]


def test_no_byte_that_polars_parses_can_be_changed_unseen(path: Path) -> None:
    """Every byte is flipped: one of the columns is found by `verify`, any other is refused on open."""
    whole = path.read_bytes()
    sealed = open_sealed(path)
    columns = range(
        sealed.batches[0].offset + sealed.batches[0].header_bytes,
        sealed.batches[0].offset + sealed.batches[0].bytes,
    )
    unused = range(columns.stop, len(whole) - 10 - _footer_bytes(whole) - SEAL.itemsize - BATCH.itemsize)
    places = [at for at in range(len(whole)) if at not in columns or at % 97 == 0]
    for at in places:
        _replace(path, whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        if at in columns:
            assert [fault != "" for _, fault in verify(open_sealed(path))] == [True]
        elif at not in unused:  # the mark that ends an Arrow stream, and padding
            with pytest.raises(LayoutError, match=path.name):
                open_sealed(path)
    assert len(unused) <= 16


def test_damaged_columns_can_be_read_without_a_signal(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = np.concatenate([made_bars.plain(100), made_bars.repaired(100, 100), made_bars.marked(100, 200)])
    path.write_bytes(file_bytes(frame(rows, made_bars.QUARTERS), NAME, made_bars.subject(), 1))  # with nulls
    whole = path.read_bytes()
    batch = open_sealed(path).batches[0]
    begin, end = batch.offset + batch.header_bytes, batch.offset + batch.bytes
    for _ in range(40):
        at = chance.randrange(begin, end - 64)
        _replace(path, whole[:at] + chance.randbytes(64) + whole[at + 64 :])
        bars = scan(path.parent, MINUTE).filter(pl.col("close") > 0).with_columns(pl.col("start").dt.hour().alias("h"))
        assert len(bars.collect()) <= 300
        every = scan(path.parent, MINUTE).collect()
        assert len(every) == 300
        every.drop_nulls().sort("vwap").select(pl.all().max())


def test_a_file_cut_anywhere_is_refused_and_nothing_else_is_lost(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    store = Store(tmp_path / "bars", made_bars.subject())
    for first in (0, 300, 600):
        store.seal(made_bars.plain(300, first, made_bars.BEGIN_NS + first * 60 * made_bars.SECOND_NS), 1)
    middle = store.folder / Name(LIVE, 300, 600).text
    whole = middle.read_bytes()
    for length in [0, 1, 6, 9, 10, *(chance.randrange(len(whole)) for _ in range(100)), len(whole) - 1]:
        _replace(middle, whole[:length])
        found = listing(store.folder, MINUTE)
        assert [str(middle) in str(error) for error in found.refused] == [True]
        assert found.through_of(LIVE) == 900
        with pytest.warns(DamagedBars, match=r"1 file of bars is left out.*scripts/inspect"):
            bars = scan(store.folder, "1min")
        assert bars.select("number").collect()["number"].to_list() == [*range(300), *range(600, 900)]


@pytest.mark.parametrize(
    "content",
    [b"", b"ARROW1", b"ARROW1\0\0" + bytes(400) + b"ARROW1", os.urandom(5000), b"\x7fELF" * 100],
)
def test_a_foreign_file_under_a_name_of_ours_is_refused(path: Path, content: bytes) -> None:
    _replace(path, content)
    with pytest.raises(LayoutError, match=path.name):
        open_sealed(path)


def test_arrow_and_parquet_files_of_others_are_refused(path: Path) -> None:
    other = pl.DataFrame({"start": [1, 2], "text": ["a", "b"]})
    other.write_ipc(path)
    with pytest.raises(LayoutError, match="none that shardbook sealed"):
        open_sealed(path)
    other.write_parquet(path)
    with pytest.raises(LayoutError, match="foreign"):
        open_sealed(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(_bytes())
    odds = [tmp_path / Name(LIVE, i, i + 1).text for i in range(3)]
    odds[0].mkdir()
    os.mkfifo(odds[1])
    odds[2].symlink_to(target)
    for odd in odds:
        with pytest.raises(LayoutError, match="regular"):
            open_sealed(odd)


def test_a_file_that_lies_in_the_wrong_place_is_refused(path: Path) -> None:
    with pytest.raises(LayoutError, match="5min was expected"):
        open_sealed(path, parse("5m"))
    with pytest.raises(LayoutError, match="'ES' was expected"):
        open_sealed(path, MINUTE, "ES")
    renamed = path.with_name(Name(LIVE, 0, 301).text)
    path.rename(renamed)
    with pytest.raises(LayoutError, match="its name does not say"):
        open_sealed(renamed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("version", 2), ("batches", 0), ("batches", 1 << 30), ("rows", 299), ("rows", -1), ("first", 1)),
        *(("unit", 77), ("amount", 0), ("price_scale", 19), ("price_increment", 0), ("head_bytes", -4)),
        *(("head_bytes", 1 << 30), ("total_bytes", 1), ("size_scale", -1), ("symbol", b"\xff")),
    ],
)
def test_a_seal_that_passes_its_checksum_and_lies_is_refused(path: Path, field: str, value: int | bytes) -> None:
    whole = bytearray(path.read_bytes())
    at = len(whole) - 10 - _footer_bytes(whole) - SEAL.itemsize
    seal = np.frombuffer(bytes(whole[at : at + SEAL.itemsize]), SEAL).copy()
    seal[field] = value
    seal["crc32"] = zlib.crc32(seal.tobytes()[:-4])
    whole[at : at + SEAL.itemsize] = seal.tobytes()
    _replace(path, bytes(whole))
    with pytest.raises(LayoutError, match=path.name):
        open_sealed(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("offset", 1 << 40), ("bytes", 1 << 40), ("bytes", 1), ("header_bytes", 0), ("header_bytes", 1 << 20)),
        *(("rows", 0), ("rows", 299), ("first_start_ns", (1 << 62))),
    ],
)
def test_a_table_that_passes_its_checksum_and_lies_is_refused(path: Path, field: str, value: int) -> None:
    whole = bytearray(path.read_bytes())
    at = len(whole) - 10 - _footer_bytes(whole) - SEAL.itemsize
    table = np.frombuffer(bytes(whole[at - BATCH.itemsize : at]), BATCH).copy()
    table[field] = value
    seal = np.frombuffer(bytes(whole[at : at + SEAL.itemsize]), SEAL).copy()
    seal["table_crc32"] = zlib.crc32(table.tobytes())
    seal["crc32"] = zlib.crc32(seal.tobytes()[:-4])
    whole[at - BATCH.itemsize : at + SEAL.itemsize] = table.tobytes() + seal.tobytes()
    _replace(path, bytes(whole))
    with pytest.raises(LayoutError, match=path.name):
        open_sealed(path)


def test_names(tmp_path: Path) -> None:
    for name in (Name("", 0, 7), Name("f", 12, 10**15), Name("", 3, 4, gone=True)):
        assert parse_name(name.text) == name
    for text in ("0-7.arrow", "000000000007-000000000007.arrow", "000000000000-000000000007.parquet", "hot", ".x.tmp"):
        assert parse_name(text) is None
    (tmp_path / "notes.txt").write_text("mine")
    found = listing(tmp_path, MINUTE)
    assert found == ((), (), (), (), (), ())
    assert listing(tmp_path / "absent", MINUTE) == found


def test_a_file_is_checked_again_only_after_it_changed(path: Path) -> None:
    first = open_sealed(path)
    assert open_sealed(path) is first
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LayoutError):
        open_sealed(path)


def _footer_bytes(whole: bytes | bytearray) -> int:
    return int.from_bytes(whole[-10:-6], "little")


def _replace(path: Path, content: bytes) -> None:
    """Another file under the name: what was checked before is not believed of it."""
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(1, int.from_bytes(os.urandom(6), "little")))


def _named(folder: Path, *names: tuple[int, int, bool], series: str = LIVE) -> Path:
    """A folder of empty files: what of the rows is there says their names alone."""
    folder.mkdir()
    for first, last, gone in names:
        (folder / Name(series, first, last, gone).text).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "holes"),
    [
        ([], []),
        ([(0, 10, False), (10, 30, False)], []),
        ([(20, 30, False)], []),  # what was before went long ago
        ([(0, 10, False), (20, 30, False), (35, 40, False)], [(10, 20), (30, 35)]),
        ([(0, 10, False), (10, 20, True), (20, 30, False)], []),  # retention took it
        ([(0, 50, False), (10, 20, False), (50, 60, False)], []),  # one went into another
        ([(0, 10, False), (3 << 32, (3 << 32) + 5, False), (5 << 32, (5 << 32) + 9, False)], []),
        ([(0, 10, False), ((3 << 32) + (2 << 24), (3 << 32) + (2 << 24) + 5, False)], []),  # two were set aside
        ([(0, 10, False), ((3 << 32) + 7, (3 << 32) + 9, False)], [(3 << 32, (3 << 32) + 7)]),
    ],
)
def test_rows_that_no_file_has(
    tmp_path: Path, names: list[tuple[int, int, bool]], holes: list[tuple[int, int]]
) -> None:
    assert list(listing(_named(tmp_path / "live", *names), MINUTE).holes) == holes
    assert listing(_named(tmp_path / "told", *names, series=FETCHED), MINUTE).holes == ()
