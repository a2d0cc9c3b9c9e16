"""Sealed bar files: their names, what lies in one besides Arrow, and the checks before one is believed.

`<data>/bars/<SYMBOL>/<timeframe>/<first>-<last>.arrow` holds the bars of the row numbers [first, last) of that
timeframe, sorted by key, no key twice. It is an Arrow IPC file (never compressed) that any Arrow library opens.
Between its last batch and its footer, where file readers do not look, lie a table with a checksum for each batch
(BATCH rows) and one SEAL row. The listing of the folder is the whole truth, there is no manifest:

- `f<first>-<last>.arrow` is of the second series: bars fetched from the venue, with row numbers of their own.
- A file whose range lies in that of a whole other one of its series was compacted into that one and is not read.
- `<name>.gone` beside a file says that retention took it; it is not read. `.<name>.tmp` is half written.
- Row numbers of the first series go on from file to file, and retention takes a series from its beginning. So rows
  between two files that no file has are lost, but for those before a new hot file's first one.

Whoever planned a read before such a file was replaced still finds it under its name for an hour; who has it mapped
keeps it for as long as he likes, because an unlinked file lives until its last mapping goes.

On open the footer, the seal, the table, the file's head and each batch's own header pass their checksums, and all
sizes must fit. What is then left unchecked is column data of fixed width, in which every bit pattern is a value: a
damaged number is possible there (`verify` and scripts/inspect find it), a crash is not. A file that loses its end
while it is mapped is beyond this: nothing of ours ever shortens one.
"""

import functools
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from .errors import LayoutError
from .timeframe import MAX_COUNT, Timeframe, Unit
from .values import Scale

MAGIC: Final = b"SBSEALED"
SEAL_VERSION: Final = 1
MAX_BATCHES: Final = 1 << 10  # of a file
MAX_FILE_ROWS: Final = 1 << 19  # about 60 MB: what a compaction holds in memory is a few times that
BATCH_ROWS: Final = 1 << 16  # what a reader must look through for a bar that was revised later
MAX_FOOTER_BYTES: Final = 1 << 16
LIVE, FETCHED = "", "f"  # the series
FILE_NUMBERS_BITS: Final = 24  # a new hot file begins with a multiple of 2^24, so before such a row none is missing

_ARROW: Final = b"ARROW1"
_TRAILER_BYTES: Final = 4 + len(_ARROW)  # the footer's length and the mark, at the end of every Arrow file
_NAME: Final = re.compile(r"(f?)([0-9]{12,18})-([0-9]{12,18})\.arrow(\.gone)?")

BATCH = np.dtype(
    [
        ("offset", "<i8"),  # in the file
        ("bytes", "<i8"),  # its header and its columns
        ("header_bytes", "<i8"),
        ("rows", "<i8"),
        ("first_start_ns", "<i8"),  # of its first bar
        ("last_start_ns", "<i8"),  # of its last one
        ("header_crc32", "<u4"),
        ("crc32", "<u4"),  # of all its bytes
    ]
)
SEAL = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("batches", "<u4"),
        ("total_bytes", "<i8"),  # of the file
        ("rows", "<i8"),
        ("first", "<i8"),  # the row numbers [first, last) that it stands for; a lower revision is not among its rows
        ("last", "<i8"),
        ("unit", "<i8"),  # its timeframe
        ("amount", "<i8"),
        ("price_scale", "<i8"),  # those of the instrument when it was sealed
        ("price_increment", "<i8"),
        ("size_scale", "<i8"),
        ("size_increment", "<i8"),
        ("sealed_wall_ns", "<i8"),
        ("symbol", "S32"),
        ("spare", "V100"),
        ("head_bytes", "<i4"),  # what lies before the first batch
        ("head_crc32", "<u4"),
        ("footer_crc32", "<u4"),
        ("table_crc32", "<u4"),
        ("crc32", "<u4"),  # of the seal's own bytes before
    ]
)
assert SEAL.itemsize == 256


class Batch(NamedTuple):
    """A row of the table, as plain numbers: see BATCH."""

    offset: int
    bytes: int
    header_bytes: int
    rows: int
    first_start_ns: int
    last_start_ns: int
    header_crc32: int
    crc32: int


class Name(NamedTuple):
    """What the name of a file says."""

    series: str
    first: int
    last: int
    gone: bool = False

    @property
    def text(self) -> str:
        return f"{self.series}{self.first:012d}-{self.last:012d}.arrow{'.gone' if self.gone else ''}"


class Sealed(NamedTuple):
    """A file that was checked."""

    path: Path
    name: Name
    rows: int
    bytes: int
    modified_wall_ns: int
    timeframe: Timeframe
    symbol: str
    scale: Scale
    batches: tuple[Batch, ...]

    @property
    def first_start_ns(self) -> int:
        return self.batches[0].first_start_ns

    @property
    def last_start_ns(self) -> int:
        return self.batches[-1].last_start_ns


class Listing(NamedTuple):
    """A folder as it was at one moment."""

    read: tuple[Sealed, ...]  # what a reader takes, by series and row number
    replaced: tuple[tuple[Name, int], ...]  # compacted into a file that is read, and when that one came (wall ns)
    gone: tuple[tuple[Name, int], ...]  # taken by retention, and when (wall ns)
    refused: tuple[LayoutError, ...]  # files with a name of ours that cannot be believed
    through: tuple[tuple[str, int], ...]  # for each series the row number after the last one ever sealed
    holes: tuple[tuple[int, int], ...] = ()  # row numbers [first, last) of the hot series that no file has

    def through_of(self, series: str) -> int:
        """The number after the last row that was sealed in `series`; 0 if none was."""
        return dict(self.through).get(series, 0)


def parse_name(text: str) -> Name | None:
    """None for a file that is not ours."""
    found = _NAME.fullmatch(text)
    if found is None or int(found[2]) >= int(found[3]):
        return None
    return Name(found[1], int(found[2]), int(found[3]), found[4] is not None)


def listing(folder: Path, timeframe: Timeframe, symbol: str = "") -> Listing:
    """Look through a timeframe's folder; one that does not exist is empty. Files with other names are not ours.

    A file that fails a check is told in `refused` and nothing else is lost with it: if what it was compacted from is
    still there, that is read.
    """
    names: list[Name] = []
    modified: dict[Name, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = parse_name(entry.name)
                if name is not None:
                    names.append(name)
                    modified[name] = entry.stat(follow_symlinks=False).st_mtime_ns if name.gone else 0
    except FileNotFoundError:
        return Listing((), (), (), (), ())
    marks = {name._replace(gone=False): modified[name] for name in names if name.gone}
    read: list[Sealed] = []
    replaced: list[tuple[Name, int]] = []
    refused: list[LayoutError] = []
    through: dict[str, int] = {}
    covered: dict[str, tuple[int, int]] = {}  # of a series: up to which number, and since when
    # The widest of those that begin alike comes first, so a file is met after the one that it went into.
    for name in sorted(
        (name for name in names if not name.gone), key=lambda name: (name.series, name.first, -name.last)
    ):
        through[name.series] = max(through.get(name.series, 0), name.last)
        if name.gone:
            continue
        end, since_ns = covered.get(name.series, (0, 0))
        if name.last <= end:
            if name not in marks:
                replaced.append((name, since_ns))
            continue
        if name in marks:
            covered[name.series] = name.last, marks[name]
            continue
        try:
            sealed = open_sealed(folder / name.text, timeframe, symbol)
        except FileNotFoundError:  # deleted after it was listed: it was replaced an hour ago
            continue
        except LayoutError as error:
            refused.append(error)
            continue
        read.append(sealed)
        covered[name.series] = name.last, sealed.modified_wall_ns
    holes = tuple(_holes(names))
    return Listing(tuple(read), tuple(replaced), tuple(marks.items()), tuple(refused), tuple(through.items()), holes)


def _holes(names: Iterable[Name]) -> Iterator[tuple[int, int]]:
    """Row numbers between those that are, or were until retention took them, in the files of the hot series."""
    end = -1
    for first, last in sorted((name.first, name.last) for name in names if name.series == LIVE):
        of_file = first % (1 << FILE_NUMBERS_BITS)
        if 0 <= end < first and of_file:
            yield max(end, first - of_file), first
        end = max(end, last)


def open_sealed(path: Path, timeframe: Timeframe | None = None, symbol: str = "") -> Sealed:
    """Check a file and say what it holds. One that did not change since is not checked again in this process.

    `timeframe` and `symbol` are those expected, if given. Raises LayoutError, one sentence that names the file;
    FileNotFoundError passes.
    """
    try:
        status = os.lstat(path)
    except NotADirectoryError as error:
        raise LayoutError(f"{path} is no bar file: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise LayoutError(f"{path} is no bar file: it is not a regular file")
    sealed = _checked(path, status.st_ino, status.st_size, status.st_mtime_ns)
    if timeframe is not None and sealed.timeframe != timeframe:
        raise LayoutError(f"{path} holds bars of {sealed.timeframe.name}, and {timeframe.name} was expected")
    if symbol and sealed.symbol != symbol:
        raise LayoutError(f"{path} is of the instrument {sealed.symbol!r}, and {symbol!r} was expected")
    return sealed


def verify(sealed: Sealed) -> Iterator[tuple[int, str]]:
    """(index, fault or "") of each batch whose checksum was compared with all of its bytes: reads the whole file."""
    with open(sealed.path, "rb", buffering=0) as file:
        for i, batch in enumerate(sealed.batches):
            data = os.pread(file.fileno(), batch.bytes, batch.offset)
            yield i, "" if zlib.crc32(data) == batch.crc32 else "its checksum does not fit its bytes"


@functools.lru_cache(maxsize=4096)
def _checked(path: Path, inode: int, size: int, modified_wall_ns: int) -> Sealed:
    """The file as it is under that inode, size and time; a damaged one raises, and is looked at again each time."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise LayoutError(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or (found.st_ino, found.st_size) != (inode, size):
            raise LayoutError(f"{path} changes while it is read: no bar file of ours does")
        seal, batches = _seal_of(path, descriptor, size)
    finally:
        os.close(descriptor)
    name = parse_name(path.name)
    if name is None or name.gone or (name.first, name.last) != (seal["first"], seal["last"]):
        raise LayoutError(f"{path} holds rows {seal['first']} to {seal['last']}, which its name does not say")
    timeframe = Timeframe(Unit(seal["unit"]), seal["amount"])
    scale = Scale(*(seal[field] for field in Scale._fields))
    return Sealed(path, name, seal["rows"], size, modified_wall_ns, timeframe, seal["symbol"].decode(), scale, batches)


def _seal_of(path: Path, descriptor: int, size: int) -> tuple[dict[str, Any], tuple[Batch, ...]]:
    """The seal and the table, after every check that does not read the columns."""
    tail = os.pread(descriptor, _TRAILER_BYTES, max(0, size - _TRAILER_BYTES))
    if size < _TRAILER_BYTES + SEAL.itemsize or tail[-len(_ARROW) :] != _ARROW:
        raise LayoutError(f"{path} is no bar file: it does not end as an Arrow file does, it is cut off or foreign")
    footer_bytes = int.from_bytes(tail[: -len(_ARROW)], "little")
    if not 0 < footer_bytes <= min(MAX_FOOTER_BYTES, size - _TRAILER_BYTES - SEAL.itemsize):
        raise LayoutError(f"{path} is no bar file: its footer cannot have {footer_bytes} bytes")
    seal_at = size - _TRAILER_BYTES - footer_bytes - SEAL.itemsize
    end = os.pread(descriptor, SEAL.itemsize + footer_bytes, seal_at)
    if len(end) != SEAL.itemsize + footer_bytes:
        raise LayoutError(f"{path} changes while it is read: no bar file of ours does")
    seal = dict(zip(SEAL.names or (), np.frombuffer(end, SEAL, 1).tolist()[0], strict=True))
    if seal["magic"] != MAGIC:
        raise LayoutError(f"{path} is an Arrow file, but none that shardbook sealed")
    if zlib.crc32(end[: SEAL.itemsize - 4]) != seal["crc32"]:
        raise LayoutError(f"{path} has a seal that its checksum does not fit: it is damaged")
    if seal["version"] != SEAL_VERSION:
        raise LayoutError(f"{path} is of sealing version {seal['version']}, this program reads {SEAL_VERSION}")
    if zlib.crc32(end[SEAL.itemsize :]) != seal["footer_crc32"]:
        raise LayoutError(f"{path} has a footer that its checksum does not fit: it is damaged")
    table_bytes = seal["batches"] * BATCH.itemsize
    _require(path, 1 <= seal["batches"] <= MAX_BATCHES and seal["total_bytes"] == size and seal_at > table_bytes)
    table = os.pread(descriptor, table_bytes, seal_at - table_bytes)
    if zlib.crc32(table) != seal["table_crc32"]:
        raise LayoutError(f"{path} has a table of batches that its checksum does not fit: it is damaged")
    batches = tuple(Batch(*row) for row in np.frombuffer(table, BATCH).tolist())
    _check_seal(path, seal)
    _check_places(path, seal, batches, seal_at - table_bytes)
    if zlib.crc32(os.pread(descriptor, seal["head_bytes"], 0)) != seal["head_crc32"]:
        raise LayoutError(f"{path} has a head that its checksum does not fit: it is damaged")
    for batch in batches:
        if zlib.crc32(os.pread(descriptor, batch.header_bytes, batch.offset)) != batch.header_crc32:
            raise LayoutError(f"{path} has a batch header at {batch.offset} that its checksum does not fit")
    return seal, batches


def _check_seal(path: Path, seal: dict[str, Any]) -> None:
    """Its numbers are possible ones."""
    _require(path, 0 < seal["head_bytes"] <= MAX_FOOTER_BYTES and 0 < seal["rows"] <= MAX_FILE_ROWS)
    _require(path, seal["unit"] in tuple(Unit) and 1 <= seal["amount"] <= MAX_COUNT and seal["symbol"].isascii())
    for what in ("price", "size"):
        _require(path, 0 <= seal[f"{what}_scale"] <= 18 and seal[f"{what}_increment"] > 0)


def _check_places(path: Path, seal: dict[str, Any], batches: tuple[Batch, ...], limit: int) -> None:
    """The batches lie one after the other between head and table, in order of time, and their rows add up."""
    at, rows, last_start_ns = seal["head_bytes"], 0, batches[0].first_start_ns
    for batch in batches:
        _require(path, batch.offset == at and batch.rows > 0)
        _require(path, 0 < batch.header_bytes <= min(MAX_FOOTER_BYTES, batch.bytes))
        _require(path, last_start_ns <= batch.first_start_ns <= batch.last_start_ns)
        at, rows, last_start_ns = at + batch.bytes, rows + batch.rows, batch.last_start_ns
    _require(path, at <= limit and rows == seal["rows"])


def _require(path: Path, holds: bool) -> None:
    if not holds:
        raise LayoutError(f"{path} has a seal that contradicts itself or the file: it is damaged or foreign")
