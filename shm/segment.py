"""One mapped file: made whole or not at all, and checked in every part before it is used.

Plain files and mmap, never multiprocessing.shared_memory: before Python 3.13 the exit of an unrelated reader
deletes a segment made with that. The rules here:

- The space is claimed with posix_fallocate, so that a full tmpfs is an error at creation and not a SIGBUS later.
- A segment is built under a temporary name; its version is written last and the rename comes after that. So a
  half-built one has either the wrong name or no version.
- A segment never shrinks and its inode is never used again: a new generation makes new files in a new folder, and
  whoever still maps an old one keeps seeing that one.
- A reader believes nothing: owner, mode, size, every header field, and the description byte for byte.
"""

import errno
import math
import mmap
import os
import stat
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import layout
from .errors import LayoutError, ShardbookError
from .layout import HEADER, Kind, Region, Regions
from .life import start_ticks

MAX_PID = 1 << 22  # the kernel's PID_MAX_LIMIT
MAX_GENERATION = 1 << 23  # sequences start at generation << GENERATION_SHIFT and are signed 64-bit numbers
MAX_MADE = 1 << 32
MAX_SYMBOL_BYTES = HEADER["symbol"].itemsize
_HEADER = Region(0, HEADER, ())

# What open() answers for a name that is no segment of ours, as against a machine that is out of something.
_FOREIGN = (errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM)

assert MAX_GENERATION << layout.GENERATION_SHIFT <= 1 << 63


class NoRoom(ShardbookError):
    """The shared memory that a segment needs is not there; the message says how much, where, and what to do."""


class Segment:
    """A mapped and checked file. It is written by one process at a time, the one that last called `claim`."""

    def __init__(self, path: Path, mapping: mmap.mmap, regions: Regions, writable: bool) -> None:
        self.path = path
        self.regions = regions
        self.writable = writable
        self.memory = memoryview(mapping)
        self._mapping = mapping
        header = _header(self.memory)
        self.kind = Kind(int(header["kind"]))
        self.generation = int(header["generation"])
        self.symbol = header["symbol"].item().decode()
        self.made = int(header["made"])

    def __repr__(self) -> str:
        way = "writable" if self.writable else "read-only"
        return f"Segment({str(self.path)!r}, {self.kind.name}, generation {self.generation}, {way})"

    def array(self, name: str) -> npt.NDArray[Any]:
        """The region `name` with its dtype and shape, in the mapping itself; read-only if the mapping is."""
        return _region_of(self.memory, self.regions[name])

    def writer(self) -> tuple[int, int]:
        """Process id and start ticks (see `life.start_ticks`) of who claimed it last; (0, 0) if nobody did."""
        header = _header(self.memory)
        return int(header["writer_pid"]), int(header["writer_start_ticks"])

    def claim(self) -> None:
        """Say in the header that this process is the writer from now on. ValueError on a read-only mapping."""
        if not self.writable:
            raise ValueError(f"{self.path} is mapped read-only: it cannot be claimed for writing")
        header = _header(self.memory)
        header["writer_start_ticks"] = start_ticks(os.getpid()) or 0
        header["writer_pid"] = os.getpid()

    def close(self) -> None:
        """Let go of the mapping. Arrays and views taken from it stay valid: it is unmapped with the last of them."""
        try:
            self.memory.release()
            self._mapping.close()
        except BufferError:
            pass  # somebody still looks at it


def create(path: Path, kind: Kind, regions: Regions, *, generation: int, symbol: str = "", made: int = 1) -> Segment:
    """Make the segment `path`, zero but for its header, and map it writable.

    Its folder must exist. A file of that name is replaced: its own mappings stay. Raises NoRoom if the file system
    is full, FileExistsError if another process is building it, ValueError for a symbol or generation that does
    not fit the header.
    """
    name = symbol.encode()
    if len(name) > MAX_SYMBOL_BYTES or b"\0" in name:
        raise ValueError(f"the symbol {symbol!r} has more than {MAX_SYMBOL_BYTES} bytes or a zero byte")
    if not 1 <= generation < MAX_GENERATION:
        raise ValueError(f"generation is {generation}, it must be between 1 and {MAX_GENERATION - 1}")
    size = layout.total_bytes(regions)
    building = path.with_name(f"{path.name}.tmp")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(building, flags, 0o600)
    with ExitStack() as unless_whole:
        unless_whole.callback(building.unlink, missing_ok=True)
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
            _allocate(descriptor, size, path)
            mapping = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        description = layout.describe(regions)
        mapping[layout.DESCRIPTION_OFFSET : layout.DESCRIPTION_OFFSET + len(description)] = description
        memory = memoryview(mapping)
        header = _header(memory)
        header["magic"] = layout.MAGIC
        header["kind"] = kind
        header["generation"] = generation
        header["total_bytes"] = size
        header["description_bytes"] = len(description)
        header["description_crc32"] = zlib.crc32(description)
        header["symbol"] = name
        header["made"] = made
        if kind == Kind.RING:
            _region_of(memory, regions["words"])[layout.CAPACITY] = _ring_capacity(regions)
        header["layout_version"] = layout.LAYOUT_VERSION
        building.rename(path)
        unless_whole.pop_all()
    return Segment(path, mapping, regions, writable=True)


def attach(
    path: Path, kind: Kind, *, writable: bool = False, generation: int | None = None, symbol: str = ""
) -> Segment:
    """Map the segment `path` after checking all of it; read-only unless `writable`.

    Raises LayoutError, one sentence that names the file, if it is anything but a whole segment of ours, of this
    layout version, of that kind and symbol, and of that generation unless None is given. FileNotFoundError passes.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in _FOREIGN:
            raise LayoutError(f"{path} is no segment of ours: {os.strerror(error.errno or 0)}") from None
        raise
    try:
        size = _checked_size(descriptor, path)
        mapping = mmap.mmap(descriptor, size, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
    finally:
        os.close(descriptor)
    regions = _checked_regions(path, memoryview(mapping), kind, generation, symbol)
    return Segment(path, mapping, regions, writable)


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raise NoRoom unless the file system of `folder` has `needed_bytes` free."""
    free = free_bytes(folder)
    if free < needed_bytes:
        raise NoRoom(_no_room(needed_bytes, free, folder))


def free_bytes(folder: Path) -> int:
    """What the file system of `folder` can still hold for this user."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _allocate(descriptor: int, size: int, path: Path) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoom(_no_room(size, free_bytes(path.parent), path.parent)) from None


def _no_room(needed: int, free: int, folder: Path) -> str:
    return (
        f"shared memory is full: {needed / 2**20:.1f} MiB are needed and {free / 2**20:.1f} MiB are free in {folder};"
        " make /dev/shm larger (in a container: --shm-size) or name a larger tmpfs in SHARDBOOK_SHM"
    )


def _region_of(memory: memoryview, region: Region) -> npt.NDArray[Any]:
    # frombuffer keeps the buffer exported, so that nothing unmaps it under the array; np.ndarray(buffer=…) does not.
    count = math.prod(region.shape)
    return np.frombuffer(memory, region.dtype, count, region.offset).reshape(region.shape)


def _header(memory: memoryview) -> npt.NDArray[np.void]:
    return _region_of(memory, _HEADER)


def _checked_size(descriptor: int, path: Path) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise LayoutError(f"{path} is no segment: it is not a regular file")
    if status.st_uid != os.geteuid():
        raise LayoutError(f"{path} belongs to user {status.st_uid}, not to user {os.geteuid()}: it is not read")
    if stat.S_IMODE(status.st_mode) != 0o600:
        mode = stat.S_IMODE(status.st_mode)
        raise LayoutError(f"{path} has mode {mode:04o}, a segment has 0600: others may have written to it")
    if status.st_size < layout.HEADER_BYTES:
        raise LayoutError(
            f"{path} has {status.st_size} bytes, less than a segment's header: it is cut off or half built"
        )
    return status.st_size


def _checked_regions(path: Path, memory: memoryview, kind: Kind, generation: int | None, symbol: str) -> Regions:
    header = _header(memory)
    if bytes(memory[: len(layout.MAGIC)]) != layout.MAGIC:
        raise LayoutError(f"{path} is no segment of shardbook: it does not begin with its mark")
    _check_version(path, int(header["layout_version"]))
    if int(header["kind"]) != kind:
        raise LayoutError(f"{path} is of kind {_kind(int(header['kind']))}, and {_kind(kind)} was expected")
    found = int(header["generation"])
    if not 1 <= found < MAX_GENERATION or (generation is not None and found != generation):
        wanted = f"generation {generation}" if generation is not None else f"one from 1 to {MAX_GENERATION - 1:,}"
        raise LayoutError(f"{path} says that it is of generation {found}, and {wanted} was expected")
    named = header["symbol"].item()
    if named != symbol.encode():
        raise LayoutError(f"{path} is of the instrument {named!r}, and {symbol!r} was expected")
    if int(header["writer_pid"]) > MAX_PID or int(header["writer_start_ticks"]) >= 1 << 63:
        raise LayoutError(f"{path} names a writer that cannot exist: its header is damaged")
    if not 1 <= int(header["made"]) < MAX_MADE:
        raise LayoutError(f"{path} was made {int(header['made'])} times, which cannot be: its header is damaged")
    if int(header["total_bytes"]) != len(memory):
        raise LayoutError(f"{path} has {len(memory)} bytes, its header says {int(header['total_bytes'])}")
    return _described_regions(path, memory, kind, int(header["description_bytes"]), int(header["description_crc32"]))


def _kind(number: int) -> str:
    return f"{number} ({Kind(number).name.lower() if number in tuple(Kind) else 'which there is not'})"


def _check_version(path: Path, version: int) -> None:
    if version == layout.LAYOUT_VERSION:
        return
    if version == 0:
        raise LayoutError(f"{path} is half built: its layout version was never written")
    age, cure = (
        ("an older", "restart the engine") if version < layout.LAYOUT_VERSION else ("a newer", "update shardbook")
    )
    raise LayoutError(
        f"{path} has {age} layout version, {version}, and this program reads {layout.LAYOUT_VERSION}: {cure}"
        " so that both are of one version"
    )


def _described_regions(path: Path, memory: memoryview, kind: Kind, described_bytes: int, crc32: int) -> Regions:
    """The regions as this program lays them out, after the file's own description was found to say exactly that."""
    start = layout.DESCRIPTION_OFFSET
    if not 0 < described_bytes <= layout.HEADER_BYTES - start:
        raise LayoutError(f"{path} has a description of {described_bytes} bytes: its header is damaged")
    text = bytes(memory[start : start + described_bytes])
    unused = bytes(memory[HEADER.itemsize : start]) + bytes(memory[start + described_bytes : layout.HEADER_BYTES])
    if zlib.crc32(text) != crc32:
        raise LayoutError(f"{path} has a description that its checksum does not fit: it is damaged")
    if unused.strip(b"\0"):
        raise LayoutError(f"{path} has bytes in its header where none belong: it is damaged")
    try:
        described = layout.read_description(text)
        regions = _laid_out(kind, described)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, SyntaxError, RecursionError) as error:
        raise LayoutError(f"{path} has a damaged description of its layout ({type(error).__name__})") from None
    if layout.describe(regions) != text:
        raise LayoutError(f"{path} is laid out otherwise than layout version {layout.LAYOUT_VERSION}: it is damaged")
    if layout.total_bytes(regions) != len(memory):
        raise LayoutError(
            f"{path} has {len(memory)} bytes, its regions take {layout.total_bytes(regions)}: it is damaged"
        )
    return regions


def _laid_out(kind: Kind, described: Regions) -> Regions:
    """What `layout` makes of the few numbers in which two segments of a kind may differ."""
    if kind == Kind.RING:
        return layout.ring_regions(_ring_capacity(described))
    if kind == Kind.BOOK:
        return layout.book_regions(
            levels=described["cell_levels"].shape[2],
            max_depth=described["levels"].shape[1],
            tape_rows=described["tape"].shape[0],
            quote_rows=described["quotes"].shape[0],
            event_rows=described["events"].shape[0],
        )
    if kind == Kind.BELL:
        return layout.bell_regions()
    if kind == Kind.ACCOUNT:
        return layout.account_regions()
    if kind == Kind.EVENTS:
        return layout.events_regions(described["events"].shape[0])
    if kind == Kind.KEEPER:
        return layout.keeper_regions()
    if kind == Kind.RECORDER:
        return layout.recorder_regions()
    if kind == Kind.BARS:
        return layout.bars_regions(described["frames"].shape[0], described["rows"].shape[0])
    return layout.engine_regions() if kind == Kind.ENGINE else layout.changed_regions()


def _ring_capacity(regions: Regions) -> int:
    return math.prod(regions["words"].shape) * 8 - layout.CONTROL_BYTES - layout.RING_SLACK
