"""The file of an instrument's hot bars: opened, checked, made, and what a worker's kernels need of it, the desk.

The worker makes the file itself, and not the supervisor, because it outlives generations: what lies there has to be
checked, and perhaps carried over, by the one process that may write to it, and a lock beside it says which that is. It
is made when a worker starts and finds none.

- A file that is damaged, or of another layout, is set aside (renamed) and a new one begun, whose rows are numbered
  above all that the old one can have had.
- A file with other timeframes, or smaller rings, is made anew with all that the old one had of those that are wanted;
  if it had others it is kept beside.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shm import bar_rows, layout
from shm.bars import ASIDE
from shm.errors import LayoutError
from shm.layout import BarFlag, Kind, Rows, Words
from shm.life import AlreadyHeld, LifeLock
from shm.sealed import FILE_NUMBERS_BITS
from shm.segment import NoRoom, Segment, attach, create
from shm.timeframe import Timeframe, Unit, parse

from . import bars

log = logging.getLogger("worker")

HOT = "hot"
_LOCK = "writer.lock"
_NEW = "hot.new"
_MIN_ROWS = 256
_YEAR_NS = 366 * 86_400_000_000_000
_NUMBERS_A_GENERATION = 32  # bits: rows that a new file may hold before the next generation's numbers begin
_NEVER_CLOSED = -(1 << 63)
_EMPTY = {"none": bars.EMPTY_NONE, "flat": bars.EMPTY_FLAT, "marked": bars.EMPTY_MARKED}


class Plan(NamedTuple):
    """What an instrument's bars shall be, out of its task."""

    timeframes: tuple[Timeframe, ...]
    empty: tuple[str, ...]  # for each: none, flat or marked
    grace_ns: int
    hot_rows: int


def plan(timeframes: str, close_grace_ms: int, hot_rows: int) -> Plan:
    """Of a task's words: names with a space between, and behind a name perhaps "=flat" or "=marked"."""
    pairs = [word.partition("=") for word in timeframes.split()]
    named = tuple(parse(name) for name, _, _ in pairs)
    return Plan(named, tuple(empty or "none" for _, _, empty in pairs), close_grace_ms * 1_000_000, hot_rows)


def ring_rows(timeframe: Timeframe, hot_rows: int) -> int:
    """Rows of one timeframe's ring: `hot_rows`, but of bars that are long no more than a year has."""
    if not timeframe.is_time:
        return hot_rows
    length_ns = 86_400_000_000_000 if timeframe.is_session else timeframe.length_ns
    year = max(_MIN_ROWS, 1 << (_YEAR_NS // length_ns).bit_length())
    return min(hot_rows, year)


class HotFile:
    """A mapped file of hot bars whose only writer is this process, until it is closed."""

    def __init__(self, folder: Path, symbol: str, generation: int, wanted: Plan) -> None:
        """Raises OSError and NoRoom where the disk refuses, AlreadyHeld if another process writes there."""
        self._folder = folder
        self._symbol = symbol
        self._generation = generation
        self._plan = wanted
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = LifeLock.take(folder / _LOCK)
        with ExitStack() as unless_open:
            unless_open.callback(self._lock.release)
            self._segment = self._open()
            unless_open.pop_all()

    def close(self) -> None:
        """Let another process write to it."""
        self._segment.close()
        self._lock.release()

    def array(self, name: str) -> Any:
        return self._segment.array(name)

    # ── what lies there ───────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Segment:
        path = self._folder / HOT
        for leftover in (HOT, _NEW):
            path.with_name(f"{leftover}.tmp").unlink(missing_ok=True)  # of a worker that was killed making it
        (self._folder / _NEW).unlink(missing_ok=True)
        try:
            found = attach(path, Kind.BARS, writable=True, symbol=self._symbol)
            complaint = self._complaint(found)
        except FileNotFoundError:
            return self._make(None)
        except LayoutError as error:
            complaint = str(error)
        if complaint:
            aside = self._aside()
            path.rename(aside)
            log.warning("%s: its hot bars are set aside as %s and begun anew: %s", self._symbol, aside.name, complaint)
            return self._make(None)
        if not self._suits(found):
            return self._make(found)
        found.claim()
        return found

    def _complaint(self, found: Segment) -> str:
        """What is wrong with a segment that is one of ours; empty if nothing is."""
        if fault := bar_rows.frames_fault(found.array("frames"), len(found.array("rows"))):
            return fault
        scale = found.array("control")[layout.BARS_SCALE : layout.BARS_SCALE_CHECKSUM + 1].tolist()
        if scale[-1] != bar_rows.scale_checksum(scale[:-1]):
            return "its scale of prices and sizes is damaged: its checksum does not fit"
        for pair in found.array("slots"):
            newest = bar_rows.newest(pair)
            if newest < 0 and any(_was_committed(slot) for slot in pair):
                return "what it says of a timeframe fits neither of its two checksums"
            if newest >= 0 and int(pair[newest]["through"]) >> layout.GENERATION_SHIFT > self._generation:
                return "it goes through records of a generation that is still to come"
        return ""

    def _aside(self) -> Path:
        """A name that no file set aside has or had: the keeper deletes old ones, but never that of the highest."""
        return self._folder / f"{ASIDE}{self._asides() + 1}"

    def _asides(self) -> int:
        """How many files were set aside."""
        found = (path.name.removeprefix(ASIDE) for path in self._folder.glob(f"{ASIDE}*"))
        return max((int(number) for number in found if number.isascii() and number.isdigit()), default=0)

    def _suits(self, found: Segment) -> bool:
        frames = found.array("frames")
        if [(int(each["unit"]), int(each["amount"])) for each in frames] != list(self._plan.timeframes):
            return False
        wanted = [ring_rows(each, self._plan.hot_rows) for each in self._plan.timeframes]
        return all(int(each["rows"]) >= rows for each, rows in zip(frames, wanted, strict=True))

    def _first_number(self) -> int:
        """Of the rows of a new file: above those of all files that were there before it."""
        used = sum(1 for path in self._folder.iterdir() if path.name != _LOCK and not path.name.startswith(HOT))
        aside = self._asides()
        if not used and not aside:
            return 0
        return (self._generation << _NUMBERS_A_GENERATION) + (aside << FILE_NUMBERS_BITS)

    def _make(self, old: Segment | None) -> Segment:
        """A file with all that is wanted, and in it what `old` has of that; under its name when it is whole."""
        held = {} if old is None else {(int(f["unit"]), int(f["amount"])): i for i, f in enumerate(old.array("frames"))}
        sizes = [ring_rows(each, self._plan.hot_rows) for each in self._plan.timeframes]
        if old is not None:
            for i, each in enumerate(self._plan.timeframes):
                if each in held:
                    sizes[i] = max(sizes[i], int(old.array("frames")[held[each]]["rows"]))
        made = create(
            self._folder / _NEW,
            Kind.BARS,
            layout.bars_regions(len(sizes), sum(sizes)),
            generation=self._generation,
            symbol=self._symbol,
        )
        made.claim()
        first_number, first = self._first_number(), 0
        for i, (each, size) in enumerate(zip(self._plan.timeframes, sizes, strict=True)):
            row = made.array("frames")[i]
            row["unit"], row["amount"], row["first"], row["rows"] = int(each.unit), each.amount, first, size
            row["first_number"] = first_number
            made.array("control")[layout.sealed_line(i)] = first_number
            if old is not None and each in held:
                _carry(old, held[each], made, i)
            first += size
        bar_rows.seal_frames(made.array("frames"))
        if old is not None:
            made.array("sessions")[:] = old.array("sessions")
            made.array("control")[: layout.WORDS_A_LINE] = old.array("control")[: layout.WORDS_A_LINE]
            if others := [Timeframe(Unit(each[0]), each[1]).name for each in held.keys() - set(self._plan.timeframes)]:
                aside = self._aside()
                os.link(self._folder / HOT, aside)
                log.warning(
                    "%s: its hot bars are kept as %s too: %s are wanted no more",
                    *(self._symbol, aside.name, " ".join(sorted(others))),
                )
        (self._folder / _NEW).rename(self._folder / HOT)
        made.path = self._folder / HOT
        return made

    def rescale(self, scale: Sequence[int]) -> bool:
        """Say what one tick and one unit are. True if rows of another scale were there: they are set aside."""
        words = self._scale_words()
        other = words.any() and words[:-1].tolist() != list(scale)
        if other:
            aside = self._aside()
            (self._folder / HOT).rename(aside)
            log.warning(
                "%s: its tick or its unit changed: its hot bars are set aside as %s and begun anew",
                *(self._symbol, aside.name),
            )
            self._segment = self._make(None)
            words = self._scale_words()
        words[:] = [*scale, bar_rows.scale_checksum(scale)]
        return bool(other)

    def _scale_words(self) -> Words:
        words: Words = self.array("control")[layout.BARS_SCALE : layout.BARS_SCALE_CHECKSUM + 1]
        return words

    # ── the desk ──────────────────────────────────────────────────────────────────────────────────────────

    def desk(self, through: int = 0) -> Words:
        """The kernels' private memory, with every timeframe as its newest slot has it; see bars.py.

        `through`: of what nothing is known yet; records up to it are none of its.
        """
        frames, words = self.array("frames"), self._segment.memory.cast("q")
        n = len(frames)
        at_work = bars.HEAD_WORDS + n * bars.FRAME_WORDS
        at_bar = at_work + n * bar_rows.FORMING_WORDS
        at_sessions = at_bar + bar_rows.BAR_WORDS
        desk = np.zeros(at_sessions + layout.KEPT_SESSIONS * bars.SESSION_WORDS, np.int64)
        desk[bars.FRAMES], desk[bars.GRACE_NS], desk[bars.BROKEN], desk[bars.APPENDED] = n, self._plan.grace_ns, 1, 1
        desk[bars.FILE] = np.frombuffer(self._segment.memory, np.int64, 1).ctypes.data
        desk[bars.FILE_WORDS] = len(words)
        desk[bars.AT_SLOTS] = self._segment.regions["slots"].offset // 8
        desk[bars.AT_ROWS] = self._segment.regions["rows"].offset // 8
        desk[bars.AT_WORK], desk[bars.AT_BAR], desk[bars.AT_SESSIONS] = at_work, at_bar, at_sessions
        for i, (frame, pair) in enumerate(zip(frames, self.array("slots"), strict=True)):
            row = desk[bars.HEAD_WORDS + i * bars.FRAME_WORDS :]
            timeframe = self._plan.timeframes[i]
            row[bars.UNIT], row[bars.AMOUNT] = int(timeframe.unit), timeframe.amount
            by_clock = timeframe.is_time and not timeframe.is_session
            row[bars.LENGTH_NS] = timeframe.length_ns if by_clock else 0
            row[bars.EMPTY] = _EMPTY[self._plan.empty[i]]
            row[bars.FIRST], row[bars.ROWS], row[bars.FIRST_NUMBER] = (
                frame["first"],
                frame["rows"],
                frame["first_number"],
            )
            row[bars.MEASURE] = {Unit.VOLUME: bars.VOLUME, Unit.DOLLAR: bars.NOTIONAL}.get(timeframe.unit, bars.TRADES)
            work = desk[at_work + i * bar_rows.FORMING_WORDS :][: bar_rows.FORMING_WORDS]
            work[:] = self._newest(timeframe, frame, pair, through).view(np.int64)
            # What was committed, if its writer died before it said so.
            self.array("control")[layout.bars_line(i)] = work[bars.COUNT]
        self._load_sessions(desk)
        self.scale(desk, self.array("control")[layout.BARS_SCALE : layout.BARS_SCALE + 4].tolist())
        return desk

    def _newest(self, timeframe: Timeframe, frame: Rows, pair: Rows, through: int) -> Rows:
        """A timeframe as it was left, or as one begins: with a gap before it that reaches back for ever."""
        newest = bar_rows.newest(pair)
        slot = np.zeros(1, layout.FORMING)
        if newest < 0:
            slot["count"] = frame["first_number"]
            slot["closed_ns"] = slot["gap_ns"] = _NEVER_CLOSED
            slot["whole_ns"] = layout.NEVER_NS
            slot["through"] = through
            return slot
        slot[0] = pair[newest]
        other = pair[1 - newest]
        if int(other["begin"]) == int(other["end"]) != 0 and not _was_before(pair, newest):
            log.warning(
                "%s: one of two copies of its %s bars is damaged: they are suspect", self._symbol, timeframe.name
            )
            for bar in slot["bars"][0]:
                if bar["flags"]:
                    bar["flags"] |= BarFlag.SUSPECT
            slot["pending"] |= int(BarFlag.SUSPECT)
        return slot

    def scale(self, desk: Words, scale: Sequence[int]) -> None:
        """How many ticks times units, or units, reach the amount of a bar by count."""
        price_scale, price_increment, size_scale, size_increment = scale
        for i, timeframe in enumerate(self._plan.timeframes):
            amount = timeframe.amount
            if timeframe.unit == Unit.VOLUME:
                amount = -(-amount * 10**size_scale // max(size_increment, 1))
            elif timeframe.unit == Unit.DOLLAR:
                step = max(price_increment * size_increment, 1)
                amount = -(-amount * 10 ** (price_scale + size_scale) // step)
            desk[bars.HEAD_WORDS + i * bars.FRAME_WORDS + bars.REACH] = min(amount, layout.NEVER_NS)

    # ── trading hours ─────────────────────────────────────────────────────────────────────────────────────

    def take_sessions(self, desk: Words, rows: Rows, sequence: int) -> bool:
        """Take over trading hours, after every timeframe has gone through their record: False if they are no table."""
        pair = self.array("sessions")
        newest = bar_rows.newest(pair)
        if newest >= 0 and int(pair[newest]["through"]) >= sequence:
            return True
        if not _is_table(rows):
            return False
        kept = pair[newest]["rows"][: int(pair[newest]["count"])] if newest >= 0 else rows[:0]
        before = kept[kept["close_ns"] <= rows["open_ns"][0]]
        after = kept[kept["open_ns"] >= rows["close_ns"][-1]]
        table = np.concatenate((before, rows, after))[-layout.KEPT_SESSIONS :]
        made = np.zeros(1, layout.SESSIONS)
        number = int(pair[newest]["begin"]) + 1 if newest >= 0 else 1
        made["begin"] = made["end"] = number
        made["through"], made["count"] = sequence, len(table)
        made["rows"][0, : len(table)] = table
        made["checksum"] = bar_rows.seal_sessions(made)
        pair[number & 1] = made[0]
        self._load_sessions(desk)
        return True

    def _load_sessions(self, desk: Words) -> None:
        pair = self.array("sessions")
        newest = bar_rows.newest(pair)
        if newest < 0:
            return
        table = pair[newest]["rows"][: int(pair[newest]["count"])]
        at = int(desk[bars.AT_SESSIONS])
        words = desk[at : at + len(table) * bars.SESSION_WORDS].reshape(-1, bars.SESSION_WORDS)
        for column, name in enumerate(("open_ns", "close_ns", "trading_day")):
            words[:, column] = table[name]
        desk[bars.SESSIONS] = len(table)


def _was_committed(slot: Rows) -> bool:
    """Whether there was a whole slot once: in this one, or, if this one is of a later commit, in the other."""
    begin = int(slot["begin"])
    return begin > 1 or begin == int(slot["end"]) != 0


def _was_before(pair: Rows, newest: int) -> bool:
    """Whether the other slot is the whole one before the newest."""
    other = pair[1 - newest : 2 - newest].copy()
    alone = np.zeros(2, layout.FORMING)
    alone[0] = other[0]
    return bar_rows.newest(alone) == 0


def _is_table(rows: Rows) -> bool:
    """Sessions are in order, and apart from each other."""
    opens, closes = rows["open_ns"], rows["close_ns"]
    return bool(len(rows) > 0 and opens[0] >= 0 and (opens < closes).all() and (closes[:-1] <= opens[1:]).all())


def _carry(old: Segment, i: int, made: Segment, j: int) -> None:
    """Timeframe `i` of one file as `j` of another, whose ring is at least as large: slots, rows, what is sealed."""
    was, now = old.array("frames")[i], made.array("frames")[j]
    now["first_number"] = was["first_number"]
    made.array("slots")[j] = old.array("slots")[i]
    for line in (layout.bars_line, layout.sealed_line):
        made.array("control")[line(j) : line(j) + 2] = old.array("control")[line(i) : line(i) + 2]
    source = old.array("rows")[int(was["first"]) : int(was["first"] + was["rows"])]
    rows = source[bar_rows.whole_bars(source)]
    made.array("rows")[int(now["first"]) + rows["number"] % int(now["rows"])] = rows


def open_bars(folder: Path, symbol: str, generation: int, wanted: Plan) -> HotFile | None:
    """The hot bars of an instrument. None, and a word of why, if there can be none now: the book goes on without."""
    if not wanted.timeframes:
        return None
    try:
        return HotFile(folder, symbol, generation, wanted)
    except AlreadyHeld as held:
        log.error("%s: it has no bars: process %d writes to %s", symbol, held.pid, folder)
    except NoRoom:
        log.error("%s: it has no bars: there is no room on the disk of %s", symbol, folder)
    except OSError as error:
        log.error("%s: it has no bars: %s cannot be used (%s)", symbol, folder, error.strerror)
    return None
