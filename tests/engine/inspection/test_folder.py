"""What scripts/inspect says of a folder of bars: all that is in it, whole, damaged, with a file missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.keeper.store import Store
from shm.sealed import LIVE, Name, open_sealed
from tests import made_bars
from tests.made_hot import MadeHot

Said = Callable[[Path], tuple[int, str]]


@pytest.mark.parametrize("below", ["bars", "bars/MNQ"])
def test_a_folder_of_bars_is_all_that_is_in_it(hot: MadeHot, tmp_path: Path, below: str, said: Said) -> None:
    status, text = said(tmp_path / below)
    assert (status, text.count(": whole\n")) == (0, 2)
    assert f"{hot.path}: whole" in text
    assert f"{hot.path.parent / '1hr'}: whole" in text
    assert "1 files, 40 bars, 2026-03-02 00:00:00 UTC to 2026-03-03 15:00:00 UTC, rows to 40" in text


def test_a_damaged_file_in_a_folder_is_named(hot: MadeHot, said: Said) -> None:
    folder = hot.path.parent / "1hr"
    live, fetched = sorted(folder.iterdir())
    data = bytearray(live.read_bytes())
    batch = open_sealed(live).batches[0]
    data[batch.offset + batch.header_bytes + 16] ^= 8
    live.write_bytes(data)
    fetched.write_bytes(fetched.read_bytes()[:-1])
    status, text = said(folder)
    assert status == 1
    assert f"{live.name}: checksums of batches: 0 hold: batch 0" in text
    assert f"BAD  files with a name of ours: 1 believed: {fetched}" in text


def test_a_folder_without_bars_is_one_sentence(tmp_path: Path, said: Said) -> None:
    (tmp_path / "any").mkdir()
    status, text = said(tmp_path)
    assert (status, text.count("\n")) == (1, 1)
    assert "holds no bars" in text


def test_a_missing_file_of_a_folder_is_a_fault(tmp_path: Path, said: Said) -> None:
    store = Store(tmp_path / "bars" / "MNQ" / "1min", made_bars.subject())
    for first in (0, 10, 20):
        store.seal(made_bars.plain(10, first, made_bars.BEGIN_NS + first * 60 * made_bars.SECOND_NS), 1)
    assert said(store.folder)[0] == 0
    (store.folder / Name(LIVE, 10, 20).text).unlink()
    status, text = said(store.folder)
    assert status == 1
    assert "BAD  row numbers: none is missing between files: 10 to 19" in text
