"""Entries into journal files: blocks closed by size and time, files by size and UTC day, and nothing lost unmarked.

Each file begins with its lanes and with what stands in them, and can be read without those before it.

While the disk takes nothing, what comes in is counted and forgotten, and the first block after it begins with LOSS
entries that say what is missing. Time is an input: who runs this passes both clocks in, and calls `tick` each 100 ms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, NamedTuple

from shm.journal import MAX_BLOCKS, Name, parse_name
from shm.journal_entries import Dropped, Entry, Lane, Loss, Piece, Span, Standing

from .disk import Disk
from .gathering import Gathering
from .heads import Heads
from .health import Health, State
from .losses import Losses
from .open_file import DAY_NS, OpenFile, SyncFailed
from .predecessor import Left, readable_span
from .retention import Limits, expired

RETAIN_NS: Final = 60_000_000_000


class Moment(NamedTuple):
    """CLOCK_REALTIME, by which files are named and kept, and CLOCK_BOOTTIME, by which anything is waited for."""

    wall_ns: int
    boot_ns: int


@dataclass(frozen=True, slots=True)
class Options:
    block_bytes: int = 256 << 10  # of a body, before it is packed
    block_ns: int = 100_000_000
    file_bytes: int = 256 << 20
    sync_ns: int = 1_000_000_000
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Counts:
    """What became of it, since this process began. Taken is written, lost, or still gathered."""

    taken: int = 0  # entries
    written: int = 0
    lost: int = 0
    jumps: int = 0  # stretches that were missing in what came
    doubles: int = 0  # what came and had been taken before: none of the above
    blocks: int = 0
    body_bytes: int = 0
    stored_bytes: int = 0
    files: int = 0
    unfinished: int = 0  # files that got no index
    failed_syncs: int = 0
    deleted: int = 0
    failed_deletes: int = 0

    def rows(self) -> list[tuple[str, int]]:
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


class Recorder:
    """Writes the journal of one generation into a folder. No method raises OSError: see `health` and `counts`."""

    def __init__(
        self, folder: Path, generation: int, options: Options, disk: Disk | None = None, left: Left | None = None
    ) -> None:
        """`left`: what a predecessor had written of this generation."""
        left = left or Left()
        self.health = Health()
        self.counts = Counts()
        self._folder = folder
        self._generation = generation
        self._options = options
        self._disk = disk or Disk()
        self._number = -1  # of the last file that was begun; -1 until the folder was looked at
        self._file: OpenFile | None = None
        self._lanes = dict(left.lanes)
        self._through = dict(left.through)
        self._dropped = dict(left.dropped)
        self._heads = Heads(left.heads.values())
        self._gathered = Gathering()
        self._since_ns = 0  # when its first entry came
        self._losses = Losses()
        self._owes_marks = False  # it failed: entries were lost, lanes among them perhaps
        self._synced_ns = self._retained_ns = 0

    @property
    def unwritten(self) -> int:
        """Entries that are only in this process: what they were taken from should not be released before this is 0."""
        return self._gathered.count

    def take(self, entries: Iterable[Entry], now: Moment) -> None:
        """Take entries over, in order. What they are views of is copied, or counted as lost, when this returns."""
        for entry in entries:
            if isinstance(entry, Lane):
                self._enter(entry, None, now)
                self._name(entry)
            elif isinstance(entry, Piece):
                self._take_piece(entry, now)
            elif isinstance(entry, Dropped) and entry.sequence <= self._dropped.get(entry.lane, 0):
                self.counts.doubles += 1
            else:
                if isinstance(entry, Dropped):
                    self._dropped[entry.lane] = entry.sequence
                self._enter(entry, None, now)

    def tick(self, now: Moment) -> None:
        """What time asks for: a block that waited long enough, a sync, a try after a failure, old files deleted."""
        self.health.turned(now.boot_ns)
        is_due = self._gathered.count > 0 and now.boot_ns - self._since_ns >= self._options.block_ns
        if is_due or (self._owes_marks and self.health.may_try(now.boot_ns)):
            self._flush(now)
        if now.boot_ns - self._synced_ns >= self._options.sync_ns:
            self._sync(now)
        if now.boot_ns - self._retained_ns >= RETAIN_NS:
            self._retain(now)

    def close(self, now: Moment) -> None:
        """Write what is gathered, and close the file in order."""
        self._flush(now)
        self._finish()

    def _name(self, lane: Lane) -> None:
        if self._lanes.get(lane.lane) != lane:
            self._lanes[lane.lane] = lane
            self._through[lane.lane] = 0, 0
            self._dropped.pop(lane.lane, None)
            self._heads.forget(lane.lane)

    def _take_piece(self, piece: Piece, now: Moment) -> None:
        """What is new of it. If it does not touch the piece before, what is missing is marked."""
        position, sequence = self._through.get(piece.lane, (piece.begin, 0))
        ends = readable_span(piece.data)
        stand = ends.standing if ends else ()  # of all of it: a predecessor may have been killed before it wrote a head
        if piece.begin < position:
            self.counts.doubles += 1
            if piece.end <= position:
                self._stand(piece.lane, stand, now)
                return
            piece = Piece(piece.lane, position, piece.end, piece.data[position - piece.begin :])
            ends = readable_span(piece.data)
        if piece.begin > position:
            known = ends is not None and 0 < sequence < ends.first_sequence - 1
            missing = (sequence + 1, ends.first_sequence - 1) if known and ends is not None else (0, 0)
            self.counts.jumps += 1
            self._enter(Loss(piece.lane, position, piece.begin, *missing), None, now)
        if piece.data:  # one of no length says where a ring ended
            self._enter(piece, ends, now)
        self._through[piece.lane] = piece.end, sequence if ends is None else ends.last_sequence
        self._stand(piece.lane, stand, now)

    def _stand(self, lane: int, records: tuple[Standing, ...], now: Moment) -> None:
        """Put a head behind a piece with such records, if they are new."""
        if self._heads.take(lane, records):
            self._enter(self._heads.head(lane, self._through[lane][0]), None, now)

    def _enter(self, entry: Entry, ends: Span | None, now: Moment) -> None:
        self.counts.taken += 1
        if not self._gathered.count:
            self._gathered = self._fresh()
            self._since_ns = now.boot_ns
        self._gathered.if_lost.note(self._lanes, entry, ends)
        self._gathered.add(entry, ends)
        if len(self._gathered.body) >= self._options.block_bytes or not self.health.may_try(now.boot_ns):
            self._flush(now)

    def _flush(self, now: Moment) -> None:
        """Write the block, behind the marks of what was lost before it; or lose it too."""
        if not self._gathered.count and not self._owes_marks:
            return
        gathered = self._gathered if self._gathered.count else self._fresh()
        self._gathered = Gathering()
        if self.health.may_try(now.boot_ns) and self._is_written(gathered, now):
            self.counts.written += gathered.count
        else:
            self.counts.lost += gathered.count
            self._losses.take(gathered.if_lost)

    def _fresh(self) -> Gathering:
        """An empty block, and what holds before it. Of a lane whose position is not known nothing comes any more."""
        known = [lane for lane in self._heads.lanes() if lane in self._through]
        heads = [self._heads.head(lane, self._through[lane][0]) for lane in known]
        return Gathering(self._lanes.values(), heads)

    def _is_written(self, gathered: Gathering, now: Moment) -> bool:
        try:
            file = self._ready(now)
            if self._owes_marks or not file.blocks:
                self._append(file, _preface(self._losses, gathered))
                self._losses.clear()
                self._owes_marks = False
            if gathered.count:
                self._append(file, gathered)
        except OSError as error:
            self._fail(error, now)
            return False
        self.health.wrote()
        return True

    def _append(self, file: OpenFile, gathered: Gathering) -> None:
        block = file.append(gathered)
        self.counts.blocks += 1
        self.counts.body_bytes += block.body_bytes
        self.counts.stored_bytes += block.stored_bytes

    def _ready(self, now: Moment) -> OpenFile:
        """The file that the next block goes into: a new one at first, when the last is large enough, and each day."""
        if not self.health.is_writable:
            self._retain(now)  # it may be what there is no room for
        file = self._file
        if file is not None and (
            file.end >= self._options.file_bytes
            or file.day != now.wall_ns // DAY_NS
            or len(file.blocks) + 2 > MAX_BLOCKS  # a preface and a block
        ):
            self._finish()
        if self._file is None:
            self._disk.make_folder(self._folder)
            self._number = max(self._number, self._last_number()) + 1
            self._file = OpenFile(self._disk, self._folder, Name(self._generation, self._number), now.wall_ns)
            self.counts.files += 1
            self._retain(now)
        return self._file

    def _last_number(self) -> int:
        names = [parse_name(kept.path.name) for kept in self._disk.files(self._folder)]
        return max((name.number for name in names if name and name.generation == self._generation), default=-1)

    def _sync(self, now: Moment) -> None:
        self._synced_ns = now.boot_ns
        if self._file is None or self._file.is_synced:
            return
        try:
            self._file.sync()
        except OSError as error:
            self._fail(error, now)
            self._drop()

    def _fail(self, error: OSError, now: Moment) -> None:
        """Recording stops until the next try. Only a file that met a full disk is what it was, and goes on."""
        self.health.failed(error, now.boot_ns)
        self.counts.failed_syncs += isinstance(error, SyncFailed)
        self._owes_marks = True  # so that it is tried again even if nothing comes
        if self.health.state != State.FULL:
            self._drop()

    def _drop(self) -> None:
        """Leave the file as it is, without an index, for good."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.counts.unfinished += 1

    def _finish(self) -> None:
        """Close the file in order. One that gets no index is read from block to block, and nothing of it is lost."""
        if self._file is None:
            return
        try:
            self._file.finish()
        except OSError as error:
            self.counts.failed_syncs += isinstance(error, SyncFailed)
            self._drop()
        else:
            self._file.close()
            self._file = None

    def _retain(self, now: Moment) -> None:
        self._retained_ns = now.boot_ns
        try:
            for kept in expired(self._disk.files(self._folder), self._options.limits, now.wall_ns):
                self._disk.unlink(kept.path)
                self.counts.deleted += 1
        except OSError:
            self.counts.failed_deletes += 1


def _preface(losses: Losses, following: Gathering) -> Gathering:
    """What comes before a block that begins a file or follows a loss: which lanes there are, what stands in them, and
    what was lost.

    Heads come before the losses, because what stands may lie in a loss, and be the first that does.
    """
    made = Gathering()
    marks = losses.marks()
    lanes = following.lanes
    for entry in (*lanes, *following.heads, *marks, *(lanes if marks else ())):  # a mark may be of a lane that was
        made.add(entry)
    return made
