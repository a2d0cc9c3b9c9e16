"""What is read of an instrument once its processes are gone: its end, or that it did not come to it."""

from pathlib import Path

import pytest

from engine.config import SymbolSettings
from engine.replay_digest import Ended, Unfinished, digest
from shm import layout
from shm.layout import Kind
from shm.segment import Segment, create
from tests.workers.bar_rig import SECOND, TICKS, BarRig

SETTINGS = SymbolSettings("MNQ", timeframes=())


@pytest.fixture
def made(tmp_path: Path) -> tuple[Segment, Segment]:
    """A ring of 16 KiB that came to position 800, and a book."""
    regions = (Kind.RING, layout.ring_regions(1 << 14)), (Kind.BOOK, layout.book_regions(4, 8, 4, 4))
    ring, book = (
        create(tmp_path / f"MNQ.{kind.name.lower()}", kind, each, generation=3, symbol="MNQ") for kind, each in regions
    )
    ring.array("words")[layout.TAIL] = 800
    return ring, book


def checkpoint(book: Segment, number: int, position: int, book_digest: int) -> None:
    slot = book.array("slots")[number % 2]
    slot["state"]["position"], slot["state"]["book_digest"], slot["state"]["wall_ns"] = position, book_digest, number
    slot["begin"] = slot["end"] = number


def test_the_newest_whole_checkpoint_counts_even_when_its_file_is_gone(
    made: tuple[Segment, Segment], tmp_path: Path
) -> None:
    ended = Ended(tmp_path, SETTINGS)
    assert ended.wall_ns == 0
    for path in tmp_path.iterdir():
        path.unlink()
    checkpoint(made[1], 1, 400, 5)
    with pytest.raises(Unfinished, match="MNQ"):
        ended.digests()
    checkpoint(made[1], 2, 800, 6)
    assert ended.digests() == (6, 0)
    assert ended.wall_ns == 2
    made[1].array("slots")[0]["begin"] = 3  # the next one is begun, and never ended
    with pytest.raises(Unfinished):
        ended.digests()


def test_how_far_a_worker_has_come(made: tuple[Segment, Segment], tmp_path: Path) -> None:
    ended = Ended(tmp_path, SETTINGS)
    assert (ended.released, ended.played) == (0, 800)
    made[0].array("words")[layout.HEAD] = 400
    assert (ended.released, ended.played) == (400, 800)


def test_bars_that_are_lost_make_no_digest(made: tuple[Segment, Segment], tmp_path: Path) -> None:
    ended = Ended(tmp_path, SymbolSettings("MNQ", timeframes=("1s",)))
    checkpoint(made[1], 1, 800, 5)
    rig = BarRig(tmp_path / "bars" / "MNQ", "1s", hot_rows=256)
    rig.snapshot()
    found = []
    for wanted in (256, 257):
        while rig.slot(0)["count"] + rig.slot(0)["lost"] < wanted:
            rig.trades([(rig.wall_ns, TICKS, 1, 0)])
            rig.later(2 * SECOND)
            rig.clock()
            rig.drain()
        found.append(int(rig.slot(0)["lost"]))
        if found == [0]:
            digest([ended], tmp_path)
    assert found == [0, 1]
    with pytest.raises(Unfinished, match=r"^1 1s bars of MNQ are lost.*hot_rows"):
        digest([ended], tmp_path)


def test_another_book_is_another_number(made: tuple[Segment, Segment], tmp_path: Path) -> None:
    ended, found = Ended(tmp_path, SETTINGS), []
    for book_digest in (6, 7, 6):
        checkpoint(made[1], 2, 800, book_digest)
        found.append(digest([ended], tmp_path))
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == 32
