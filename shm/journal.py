"""Journal files: everything that came in, in blocks of entries with checksums, to read while it is written or later.

`<data>/journal/<generation>-<number>.sbj`, in the order of its name:

    ├ FILE ┼ BLOCK ┼ body ┼ BLOCK ┼ body ┼ … ┼ BLOCK ┼ index ┼ END
    A body is the entries of a block (journal_entries.py), as one lz4 block if that is shorter. The last BLOCK, with a
    magic of its own, has no entries: its body is an INDEX row for each block before it. It and END are there once a
    file is closed; a file that is being written, or whose recorder was killed, ends anywhere.

Every byte lies under a CRC-32. What follows the last whole block of an unfinished file was being written and counts
for nothing; any other byte that is wrong is damage, and refused. Only who asks for it (`salvage=True`) gets what lies
before the damage, and nothing after it: a stream with a hole in it would be taken for a whole one.

A power loss takes pages that were not synced, in any order: the file has its length, and zeros where they were. The
first block that lacks such a page is where an unfinished file ends. It lacks none that was synced, so a file's header
is synced before its first block is written, and all blocks before its index is.

Stamps of a block are the least and greatest of the records in it, and 0 if it has none.
"""

import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import lz4.block
import numpy as np

from .errors import JournalDamaged, LayoutError
from .journal_bytes import InMemory, OnDisk, Source
from .journal_entries import Entry, RecordReader, RingRecord, parse_block

FILE_MAGIC: Final = b"SBJOURNL"
BLOCK_MAGIC: Final = b"SBJBLOCK"
INDEX_MAGIC: Final = b"SBJINDEX"
END_MAGIC: Final = b"SBJEND\0\0"
VERSION: Final = 1
MAX_BODY_BYTES: Final = 1 << 26
MAX_BLOCKS: Final = MAX_BODY_BYTES // 128  # of a file: the index is one body
SUFFIX: Final = ".sbj"
PAGE_BYTES: Final = 4096  # the least that a disk or file system writes as one

_NAME: Final = re.compile(r"([0-9]{12})-([0-9]{8})\.sbj")

FILE = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<i8"),
        ("generation", "<i8"),
        ("number", "<i8"),
        ("begun_wall_ns", "<i8"),
        ("spare", "V16"),
        ("zero", "<u4"),
        ("crc32", "<u4"),  # of the bytes before, in every row of this file
    ]
)
BLOCK = np.dtype(
    [
        ("magic", "S8"),
        ("number", "<i8"),  # from 0 in each file
        ("entries", "<i8"),
        ("lanes", "<i8"),  # how many of them are lanes or heads: such a block is read whatever time is asked for
        ("body_bytes", "<i8"),
        ("stored_bytes", "<i8"),  # as many as body_bytes: not packed
        ("first_wall_ns", "<i8"),
        ("last_wall_ns", "<i8"),
        ("first_recv_ns", "<i8"),
        ("last_recv_ns", "<i8"),
        ("body_crc32", "<u4"),  # of the stored bytes
        ("crc32", "<u4"),
    ]
)
INDEX = np.dtype([("offset", "<i8"), ("block", BLOCK)])
END = np.dtype([("magic", "S8"), ("index_at", "<i8"), ("bytes", "<i8"), ("zero", "<u4"), ("crc32", "<u4")])


class Name(NamedTuple):
    generation: int
    number: int

    @property
    def text(self) -> str:
        return f"{self.generation:012d}-{self.number:08d}{SUFFIX}"


class Block(NamedTuple):
    """A row of the index: see BLOCK. `offset` is that of its header in the file."""

    offset: int
    number: int
    entries: int
    lanes: int
    body_bytes: int
    stored_bytes: int
    first_wall_ns: int
    last_wall_ns: int
    first_recv_ns: int
    last_recv_ns: int
    body_crc32: int

    @property
    def end(self) -> int:
        return self.offset + BLOCK.itemsize + self.stored_bytes

    def overlaps(self, start_wall_ns: int | None, end_wall_ns: int | None) -> bool:
        """Whether it may hold something of [start, end); lanes and what has no time belong to every time."""
        if self.lanes or self.last_wall_ns == 0:
            return True
        late = end_wall_ns is not None and self.first_wall_ns >= end_wall_ns
        return not late and (start_wall_ns is None or self.last_wall_ns >= start_wall_ns)


def seal(row: np.ndarray[tuple[int, ...], np.dtype[np.void]]) -> bytes:
    """The bytes of a row of this file, its checksum put in."""
    row["crc32"] = zlib.crc32(row.tobytes()[:-4])
    return row.tobytes()


def parse_name(text: str) -> Name | None:
    """None for a file that is not ours."""
    found = _NAME.fullmatch(text)
    return Name(int(found[1]), int(found[2])) if found else None


def journal_files(folder: Path) -> list[Path]:
    """The journal files of a folder, oldest first; none if it does not exist."""
    try:
        return sorted(path for path in folder.iterdir() if parse_name(path.name) is not None)
    except FileNotFoundError:
        return []


def files_of(places: Iterable[Path]) -> list[Path]:
    """The journal files that are named, and those of folders that are; of a data folder those of its journal.

    In the order in which they were written. FileNotFoundError for what is not there, LayoutError for a folder
    without any.
    """
    found: set[Path] = set()
    for place in places:
        if not place.is_dir():
            place.stat()
            found.add(place)
        elif files := journal_files(place) or journal_files(place / "journal"):
            found.update(files)
        else:
            raise LayoutError(f"{place} has no journal files: name a folder that has, or the files")
    return sorted(found, key=lambda path: path.name)


class JournalFile:
    """One file, open and looked through: its blocks are known, and each is checked when it is read.

    `finished`: it was closed in order. `tail_bytes`: of a file that was not, what lies behind its last whole block.
    `fault`: with salvage, the damage at which reading ends; empty if there is none.
    """

    def __init__(
        self, path: Path, *, salvage: bool = False, data: bytes | bytearray | memoryview | None = None
    ) -> None:
        """`data`: what is in the file, if it is in memory already; `path` is only its name then.

        Raises LayoutError for what is no journal, JournalDamaged; FileNotFoundError and OSError pass.
        """
        self.path = path
        self.fault = ""
        self.finished = False
        self.name: Name | None = None  # None if not even its header is whole
        self.begun_wall_ns = 0
        self.blocks: tuple[Block, ...] = ()
        self._source: Source = OnDisk(path) if data is None else InMemory(data)
        self.bytes = self._source.size
        try:
            self._open(salvage)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "JournalFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._source.close()

    @property
    def tail_bytes(self) -> int:
        """What belongs to no block: the closed file's index and end, an unfinished one's half block."""
        return self.bytes - (self.blocks[-1].end if self.blocks else min(FILE.itemsize, self.bytes))

    def entries(self, start_wall_ns: int | None = None, end_wall_ns: int | None = None) -> Iterator[Entry]:
        """The entries of every block that may hold something of [start, end). Raises JournalDamaged."""
        for block in self.blocks:
            if block.overlaps(start_wall_ns, end_wall_ns):
                yield from self.entries_of(block)

    def entries_of(self, block: Block, parse: Callable[[memoryview, int], list[Entry]] = parse_block) -> list[Entry]:
        """The entries of one block, checked, and that its header is the one by which it is known. `parse`: from its
        body and their number. Raises JournalDamaged."""
        if self._header(block.offset) != block:
            raise JournalDamaged(f"{self.path}: the block at byte {block.offset:,} is not what the index says")
        body = memoryview(self._body(block))
        try:
            return parse(body, block.entries)
        except JournalDamaged as error:
            raise JournalDamaged(f"{self.path}: the block at byte {block.offset:,}: {error}") from None

    def raw(self, begin: int, end: int) -> bytes:
        """The bytes of the file from `begin` to `end`, unchecked. Raises JournalDamaged if it ends before."""
        return self._read(end - begin, begin)

    def verify(self) -> Iterator[str]:
        """What is wrong with each block, as a sentence; all bytes are read. What opening checks holds already."""
        for block in self.blocks:
            try:
                self.entries_of(block)
            except JournalDamaged as error:
                yield str(error)

    def _open(self, salvage: bool) -> None:
        head = self._source.read(FILE.itemsize, 0)
        if self.bytes <= FILE.itemsize and not any(head):  # the power was lost as it began
            return
        if head[: len(FILE_MAGIC)] != FILE_MAGIC[: len(head)]:
            raise LayoutError(f"{self.path} is no journal: it does not begin as one")
        if len(head) < FILE.itemsize:  # its recorder was killed as it began
            return
        row = np.frombuffer(head, FILE)[0]
        if zlib.crc32(head[:-4]) != row["crc32"]:
            raise JournalDamaged(f"{self.path} has a header that its checksum does not fit: it is damaged")
        if row["version"] != VERSION:
            raise LayoutError(f"{self.path} is of journal version {row['version']}, this program reads {VERSION}")
        self.name = Name(int(row["generation"]), int(row["number"]))
        self.begun_wall_ns = int(row["begun_wall_ns"])
        if salvage:
            self._salvage()
            return
        if parse_name(self.path.name) not in (None, self.name):  # its records would come before or behind others
            raise LayoutError(f"{self.path} was {self.name.text} when it was written: give it that name again")
        if not self._open_by_index():
            self.blocks = tuple(self._scan())

    def _open_by_index(self) -> bool:
        """Take the blocks from the index; False if the file does not end with a whole one."""
        end = self._source.read(END.itemsize, max(0, self.bytes - END.itemsize))
        index_at = _index_at(end, self.bytes)
        if index_at is None:
            return False
        try:
            self.blocks = self._indexed(index_at)
        except JournalDamaged:
            if self._was_not_written(index_at, self.bytes):
                return False
            raise
        self.finished = True
        return True

    def _indexed(self, index_at: int) -> tuple[Block, ...]:
        index = self._header(index_at, INDEX_MAGIC)
        if index.end + END.itemsize != self.bytes or index.body_bytes % INDEX.itemsize:
            raise JournalDamaged(f"{self.path} has an index that does not fit the file")
        rows = np.frombuffer(self._body(index), INDEX)
        blocks = tuple(map(_block, rows["offset"].tolist(), rows["block"].tolist()))
        places = [FILE.itemsize, *(block.end for block in blocks)]
        if [block.offset for block in blocks] != places[:-1] or places[-1] != index_at:
            raise JournalDamaged(f"{self.path} has an index of blocks that do not follow one another")
        return blocks

    def _scan(self) -> Iterator[Block]:
        """The whole blocks of a file, from header to header. Raises JournalDamaged where one is none."""
        at = FILE.itemsize
        while self.bytes - at >= BLOCK.itemsize:
            is_index = self._source.read(len(INDEX_MAGIC), at) == INDEX_MAGIC
            through = at + BLOCK.itemsize
            try:
                block = self._header(at, INDEX_MAGIC if is_index else BLOCK_MAGIC)
                if block.end > self.bytes:
                    return
                through = block.end + END.itemsize if is_index else block.end
                self._stored(block)
                if is_index:
                    self._check_end(block)
                    return
            except JournalDamaged:
                if self._was_not_written(at, through):
                    return
                raise
            yield block
            at = block.end

    def _check_end(self, index: Block) -> None:
        """Behind the index of a closed file comes its end, or as much of it as the file was cut down to."""
        size = self.bytes - index.end
        if size < END.itemsize:
            return
        if size > END.itemsize or _index_at(self._read(END.itemsize, index.end), self.bytes) != index.offset:
            raise JournalDamaged(f"{self.path} has an end that its checksum does not fit, or bytes behind it")
        self.finished = True

    def _was_not_written(self, begin: int, end: int) -> bool:
        """Whether a page of [begin, end) is missing: from `begin` or its own first byte on there are only zeros."""
        for page in range(begin - begin % PAGE_BYTES, end, PAGE_BYTES):
            start = max(page, begin)
            if not any(self._source.read(page + PAGE_BYTES - start, start)):
                return True
        return False

    def _salvage(self) -> None:
        """Take the blocks before the first damaged byte, each read and checked."""
        whole: list[Block] = []
        try:
            for block in self._scan():
                self.entries_of(block)
                whole.append(block)
        except JournalDamaged as error:
            self.fault = str(error)
        self.blocks = tuple(whole)

    def _header(self, offset: int, magic: bytes = BLOCK_MAGIC) -> Block:
        data = self._read(BLOCK.itemsize, offset)
        fields = np.frombuffer(data, BLOCK)[0].item()
        if zlib.crc32(data[:-4]) != fields[-1] or fields[0] != magic:
            raise JournalDamaged(f"{self.path} has a block header at byte {offset:,} that its checksum does not fit")
        block = _block(offset, fields)
        if not 0 <= block.stored_bytes <= block.body_bytes <= MAX_BODY_BYTES:
            raise JournalDamaged(f"{self.path} has a block at byte {offset:,} of {block.body_bytes:,} bytes")
        return block

    def _stored(self, block: Block) -> bytes:
        """The body as it lies in the file."""
        stored = self._read(block.stored_bytes, block.offset + BLOCK.itemsize)
        if zlib.crc32(stored) != block.body_crc32:
            raise JournalDamaged(
                f"{self.path}: the block at byte {block.offset:,} has a body that its checksum does not fit"
            )
        return stored

    def _body(self, block: Block) -> bytes:
        stored = self._stored(block)
        if block.stored_bytes == block.body_bytes:
            return stored
        try:
            body: bytes = lz4.block.decompress(stored, uncompressed_size=block.body_bytes)
        except lz4.block.LZ4BlockError:
            body = b""
        if len(body) != block.body_bytes:
            raise JournalDamaged(
                f"{self.path}: the block at byte {block.offset:,} does not unpack to what its header says"
            )
        return body

    def _read(self, size: int, offset: int) -> bytes:
        data = self._source.read(size, offset)
        if len(data) != size:
            raise JournalDamaged(f"{self.path} ends before byte {offset + size:,}: it was shortened")
        return data


def records(
    files: Sequence[JournalFile],
    start_wall_ns: int | None = None,
    end_wall_ns: int | None = None,
    symbols: Collection[str] | None = None,
) -> Iterator[RingRecord]:
    """The ring records of files in their order, received in [start, end) of the engine's time of day, of these symbols.

    Each once, however often it was taken down. Raises JournalDamaged.
    """
    reader = RecordReader()
    for file in files:
        for entry in file.entries(start_wall_ns, end_wall_ns):
            for record in reader.read(entry):
                if start_wall_ns is not None and record.wall_ns < start_wall_ns:
                    continue
                if end_wall_ns is not None and record.wall_ns >= end_wall_ns:
                    continue
                if symbols is None or record.symbol in symbols:
                    yield record


def _block(offset: int, fields: tuple[Any, ...]) -> Block:
    """Out of a row of BLOCK: all but its magic and its own checksum."""
    return Block(offset, *fields[1:-1])


def _index_at(end: bytes, size: int) -> int | None:
    """Where an END row says that the index is; None for bytes that are no END of a file of `size` bytes."""
    if len(end) != END.itemsize or not end.startswith(END_MAGIC):
        return None
    row = np.frombuffer(end, END)[0]
    if zlib.crc32(end[:-4]) != row["crc32"] or row["bytes"] != size:
        return None
    index_at = int(row["index_at"])
    return index_at if FILE.itemsize <= index_at < size else None
