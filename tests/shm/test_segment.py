"""Segments: made whole or not at all, and no damaged, foreign or older one is ever taken for good."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shm import layout, segment
from shm.errors import LayoutError
from shm.layout import HEADER, Kind, Regions
from shm.life import start_ticks
from shm.segment import NoRoom, Segment

RING = layout.ring_regions(layout.MIN_RING_BYTES)
BOOK = layout.book_regions(8, 16, 32, 64)
REGIONS = {
    Kind.RING: RING,
    Kind.BOOK: BOOK,
    Kind.ENGINE: layout.engine_regions(),
    Kind.CHANGED: layout.changed_regions(),
    Kind.BELL: layout.bell_regions(),
    Kind.ACCOUNT: layout.account_regions(),
    Kind.EVENTS: layout.events_regions(8),
    Kind.BARS: layout.bars_regions(2, 8),
    Kind.KEEPER: layout.keeper_regions(),
    Kind.RECORDER: layout.recorder_regions(),
}


@pytest.fixture
def path(shm_root: Path) -> Path:
    return shm_root / "MNQ.book"


def make(path: Path, kind: Kind = Kind.BOOK, regions: Regions = BOOK, symbol: str = "MNQ") -> Segment:
    return segment.create(path, kind, regions, generation=7, symbol=symbol)


def attach(path: Path, kind: Kind = Kind.BOOK, symbol: str = "MNQ", writable: bool = False) -> Segment:
    return segment.attach(path, kind, generation=7, symbol=symbol, writable=writable)


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def field(name: str) -> int:
    return int(HEADER.fields[name][1])  # type: ignore[index]


def mappings_of(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_segment_is_read_as_it_was_made(path: Path, kind: Kind) -> None:
    made = make(path, kind, REGIONS[kind])
    name = next(iter(made.regions))
    made.array(name).reshape(-1).view("<u8")[3] = 12345
    found = attach(path, kind)
    assert (found.kind, found.generation, found.symbol, found.writer()) == (kind, 7, "MNQ", (0, 0))
    assert found.regions == REGIONS[kind]
    assert found.array(name).reshape(-1).view("<u8")[3] == 12345
    for each, region in found.regions.items():
        array = found.array(each)
        assert (array.dtype, array.shape) == (region.dtype, region.shape)
        assert not array.flags.writeable
    assert found.memory.readonly
    assert path.stat().st_mode & 0o7777 == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_a_new_segment_is_zero_behind_its_header(path: Path) -> None:
    made = make(path)
    assert not bytes(made.memory[layout.HEADER_BYTES :]).strip(b"\0")


def test_a_ring_knows_its_capacity(path: Path) -> None:
    made = make(path, Kind.RING, RING)
    assert made.array("words")[layout.CAPACITY] == layout.MIN_RING_BYTES
    assert np.count_nonzero(made.array("words")) == 1


def test_a_read_only_mapping_cannot_be_written_or_claimed(path: Path) -> None:
    make(path)
    found = attach(path)
    with pytest.raises(ValueError, match="read-only"):
        found.claim()
    with pytest.raises(ValueError, match="read-only"):
        found.array("control")[0] = 1


def test_a_read_only_mapping_is_protected_by_the_kernel(path: Path) -> None:
    make(path).close()
    gc.collect()
    found = attach(path)
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(path) in line]
    assert [line[1] for line in lines] == ["r--s"]
    found.close()


def test_claiming_names_this_process(path: Path) -> None:
    make(path)
    attach(path, writable=True).claim()
    assert attach(path).writer() == (os.getpid(), start_ticks(os.getpid()))


def test_a_view_outlives_close_and_the_mapping_ends_with_it(path: Path) -> None:
    make(path).close()
    found = attach(path)
    view = found.array("control")
    found.close()
    found.close()
    assert view[0] == 0
    assert mappings_of(path) == 1
    del view, found
    gc.collect()
    assert mappings_of(path) == 0


def test_a_replaced_file_leaves_old_mappings_alone(path: Path) -> None:
    old = make(path)
    old.array("control")[0] = 1
    new = make(path)
    assert new.array("control")[0] == 0
    assert old.array("control")[0] == 1


def test_a_missing_file_is_not_a_damaged_one(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        attach(path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("magic", b"SHARDBK\1", "no segment of shardbook"),
        ("magic", b"\0", "no segment of shardbook"),
        ("layout_version", b"\0" * 8, "half built"),
        ("layout_version", (layout.LAYOUT_VERSION - 1 or 1 << 40).to_bytes(8, "little"), "layout version"),
        ("layout_version", (layout.LAYOUT_VERSION + 1).to_bytes(8, "little"), "newer layout version.*update"),
        ("kind", b"\1", r"of kind 1 \(ring\), and 2 \(book\) was expected"),
        ("kind", b"\0", r"of kind 0 \(which there is not\)"),
        ("generation", b"\6", "generation 6, and generation 7"),
        ("generation", b"\0", "generation 0"),
        ("writer_pid", b"\xff" * 8, "a writer that cannot exist"),
        ("writer_start_ticks", b"\xff" * 8, "a writer that cannot exist"),
        ("total_bytes", b"\1", "its header says"),
        ("description_bytes", b"\0" * 8, "a description of 0 bytes"),
        ("description_bytes", b"\xff" * 8, "its header is damaged"),
        ("description_bytes", b"\1\0", "damaged"),
        ("description_crc32", b"\0" * 8, "its checksum does not fit"),
        ("symbol", b"MES\0", "instrument b'MES'"),
        ("symbol", b"MNQ\0x", "instrument b'MNQ"),
        ("symbol", b"\xff" * 32, "instrument b'.xff"),
        ("made", b"\0" * 8, "was made 0 times"),
        ("made", b"\xff" * 8, "which cannot be"),
    ],
)
def test_each_field_of_the_header_is_checked(path: Path, name: str, value: bytes, says: str) -> None:
    make(path)
    damage(path, field(name), value)
    with pytest.raises(LayoutError, match=says) as caught:
        attach(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_field_is_in_the_table_above() -> None:
    marks = [mark for mark in test_each_field_of_the_header_is_checked.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in marks[0].args[1]} == set(HEADER.names or ())


def test_an_older_version_says_which_and_the_cure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr(layout, "LAYOUT_VERSION", layout.LAYOUT_VERSION + 1)
    with pytest.raises(LayoutError, match=r"an older layout version, .*restart the engine"):
        attach(path)


def test_any_generation_that_can_be_is_taken_if_none_is_asked_for(path: Path) -> None:
    make(path)
    assert segment.attach(path, Kind.BOOK, symbol="MNQ").generation == 7
    damage(path, field("generation"), b"\xff" * 8)
    with pytest.raises(LayoutError, match=r"one from 1 to 8,388,607 was expected"):
        segment.attach(path, Kind.BOOK, symbol="MNQ")


@pytest.mark.parametrize("offset", [HEADER.itemsize, layout.DESCRIPTION_OFFSET - 1, layout.HEADER_BYTES - 1])
def test_bytes_where_none_belong(path: Path, offset: int) -> None:
    make(path)
    damage(path, offset, b"\1")
    with pytest.raises(LayoutError, match="where none belong"):
        attach(path)


def describe_anew(path: Path, change: Callable[[dict[str, dict[str, dict[str, object]]]], object]) -> None:
    """Write another description into a segment, and its length."""
    with path.open("r+b") as file:
        header = np.frombuffer(file.read(HEADER.itemsize), HEADER)
        file.seek(layout.DESCRIPTION_OFFSET)
        described = json.loads(file.read(int(header["description_bytes"][0])))
        change(described)
        text = json.dumps(described, separators=(",", ":")).encode()
        file.seek(layout.DESCRIPTION_OFFSET)
        file.write(text.ljust(layout.HEADER_BYTES - layout.DESCRIPTION_OFFSET, b"\0"))
        file.seek(field("description_bytes"))
        file.write(len(text).to_bytes(8, "little"))


@pytest.mark.parametrize(
    "change",
    [
        lambda described: described["regions"].pop("tape"),
        lambda described: described["regions"].update(more=described["regions"]["tape"]),
        lambda described: described["regions"]["tape"].update(offset=0),
        lambda described: described["regions"]["tape"].update(offset=1 << 60),
        lambda described: described["regions"]["tape"].update(offset=float("inf")),
        lambda described: described["regions"]["tape"].update(dtype="QUOTE"),
        lambda described: described["regions"]["tape"].update(dtype="O"),
        lambda described: described["regions"]["tape"].update(dtype="f8,(("),
        lambda described: described["regions"]["tape"].update(dtype=["a", "b"]),
        lambda described: described["regions"]["tape"].update(shape=[1 << 62]),
        lambda described: described["regions"]["tape"].update(shape=[128]),
        lambda described: described["regions"]["tape"].update(shape=[33]),
        lambda described: described["regions"]["tape"].update(shape=[-32]),
        lambda described: described["regions"]["tape"].update(shape=[]),
        lambda described: described["regions"]["tape"].update(shape=32),
        lambda described: described["regions"]["levels"].update(shape=[2, 1 << 40]),
        lambda described: described["regions"]["cell_levels"].update(shape=[8, 2, 0]),
        lambda described: described["dtypes"]["TRADE"].pop(),
        lambda described: described.update(regions=[]),
        lambda described: described.update(regions={}),
        lambda described: described.clear(),
    ],
)
def test_a_description_must_be_exactly_ours(path: Path, change: Callable[[object], object]) -> None:
    make(path)
    describe_anew(path, change)
    with pytest.raises(LayoutError, match="damaged"):
        attach(path)


@pytest.mark.parametrize("text", [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 7000, b'{"regions":' + b"9" * 5000 + b"}"])
def test_a_description_that_is_none(path: Path, text: bytes) -> None:
    make(path)
    damage(path, layout.DESCRIPTION_OFFSET, text.ljust(layout.HEADER_BYTES - layout.DESCRIPTION_OFFSET, b"\0"))
    damage(path, field("description_bytes"), len(text).to_bytes(8, "little"))
    with pytest.raises(LayoutError, match="damaged"):
        attach(path)


@pytest.mark.parametrize("size", [0, 1, layout.HEADER_BYTES - 1, layout.HEADER_BYTES, layout.total_bytes(BOOK) - 4096])
def test_a_cut_off_file(path: Path, size: int) -> None:
    make(path)
    os.truncate(path, size)
    with pytest.raises(LayoutError, match=r"cut off|its header says"):
        attach(path)


def test_a_file_with_something_behind_it(path: Path) -> None:
    make(path)
    os.truncate(path, layout.total_bytes(BOOK) + 4096)
    with pytest.raises(LayoutError, match="its header says"):
        attach(path)


def test_an_honest_looking_header_over_a_smaller_file(path: Path) -> None:
    """Size and header agree, only the regions do not fit."""
    make(path)
    size = layout.total_bytes(BOOK) - 4096
    os.truncate(path, size)
    damage(path, field("total_bytes"), size.to_bytes(8, "little"))
    with pytest.raises(LayoutError, match="its regions take"):
        attach(path)


def test_a_link_is_not_followed(path: Path) -> None:
    make(path)
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(LayoutError, match=r"link is no segment of ours: Too many levels of symbolic links"):
        attach(link)


@pytest.mark.parametrize("writable", [False, True])
def test_what_is_no_regular_file(path: Path, writable: bool) -> None:
    path.mkdir()
    with pytest.raises(LayoutError, match=r"not a regular file|Is a directory"):
        attach(path, writable=writable)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(LayoutError, match="not a regular file"):
        attach(path, writable=writable)


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o400, 0o4600])
def test_a_mode_that_lets_others_in(path: Path, mode: int) -> None:
    make(path)
    path.chmod(mode)
    with pytest.raises(LayoutError, match=r"has mode .*0600|Permission denied"):
        attach(path)


def test_another_users_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(LayoutError, match=r"belongs to user .* not to user 4242"):
        attach(path)


def test_a_half_built_segment_has_another_name_or_no_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right before the rename: what is there says that it is no segment yet."""
    seen = []

    def killed(self: Path, target: Path) -> None:
        seen.append((self.name, target.name, layout.total_bytes(BOOK) == self.stat().st_size))
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        make(path)
    assert seen == [("MNQ.book.tmp", "MNQ.book", True)]
    assert os.listdir(path.parent) == []


def test_two_builders_of_one_segment(path: Path) -> None:
    path.with_name("MNQ.book.tmp").touch()
    with pytest.raises(FileExistsError):
        make(path)


@pytest.mark.parametrize("symbol", ["x" * 33, "a\0b"])
def test_a_symbol_that_does_not_fit(path: Path, symbol: str) -> None:
    with pytest.raises(ValueError, match="symbol"):
        make(path, symbol=symbol)
    make(path, symbol="x" * 32)
    assert attach(path, symbol="x" * 32).symbol == "x" * 32


@pytest.mark.parametrize("generation", [0, segment.MAX_GENERATION])
def test_a_generation_that_does_not_fit(path: Path, generation: int) -> None:
    with pytest.raises(ValueError, match="generation"):
        segment.create(path, Kind.BOOK, BOOK, generation=generation)
    segment.create(path, Kind.BOOK, BOOK, generation=segment.MAX_GENERATION - 1)


def test_no_room_for_the_sum(shm_root: Path) -> None:
    segment.check_room(shm_root, 1)
    with pytest.raises(NoRoom, match=r"MiB are needed and .* MiB are free in .*SHARDBOOK_SHM"):
        segment.check_room(shm_root, 1 << 62)


FULL_TMPFS = """
import os, subprocess, sys
from pathlib import Path
from shm import layout, segment
from shm.layout import Kind
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], check=True)
try:
    segment.create(folder / "MNQ.ring", Kind.RING, layout.ring_regions(1 << 20), generation=1, symbol="MNQ")
except segment.NoRoom as error:
    print(os.listdir(folder), error)
"""


def test_a_full_tmpfs_is_an_error_and_not_a_bus_error(shm_root: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace is forbidden here")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FULL_TMPFS, str(shm_root)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("[] shared memory is full: 1.0 MiB are needed and 0.1 MiB are free in"), done
    assert str(shm_root) in done.stdout
    assert "SHARDBOOK_SHM" in done.stdout


# What may hold any number: who claimed it last; and which making it is, which a reader compares with the registry.
FREE = (slice(field("writer_pid"), field("total_bytes")), slice(field("made"), HEADER.itemsize))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2 * layout.HEADER_BYTES), start=st.integers(0, layout.HEADER_BYTES - 1))
@example(data=b"", start=0)
def test_random_bytes_in_the_header_never_crash(path: Path, data: bytes, start: int) -> None:
    whole = make(path)
    before = bytes(whole.memory[: layout.HEADER_BYTES])
    whole.close()
    damage(path, start, data[: layout.HEADER_BYTES - start])
    try:
        attach(path).close()
        taken = True
    except LayoutError:
        taken = False
    if taken:
        after = bytearray(path.read_bytes()[: layout.HEADER_BYTES])
        for free in FREE:
            after[free] = before[free]
        assert bytes(after) == before, "a damaged header was taken for a good one"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 4095), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_in_the_used_part_of_the_header_never_crash(path: Path, flips: list[tuple[int, int]]) -> None:
    whole = make(path)
    before = bytes(whole.memory[: layout.HEADER_BYTES])
    used = [*range(HEADER.itemsize), *range(layout.DESCRIPTION_OFFSET, len(before.rstrip(b"\0")))]
    for place, flip in flips:
        whole.memory[used[place % len(used)]] ^= flip
    after = bytearray(whole.memory[: layout.HEADER_BYTES])
    for free in FREE:
        after[free] = before[free]
    whole.close()
    if bytes(after) != before:
        with pytest.raises(LayoutError):
            attach(path)
