"""The read side of one book segment: whole private copies of what another process keeps rewriting.

Every read here has the same shape, and its order is what makes it right (the writer's is in layout.py):
load the word that says where, copy, then load the mark that says whether the copy was still that. Retries are
bounded; who is lapped MAX_TRIES times running is told so. `fence` stands where loads must stay in order: it does
nothing on x86-64, which keeps them in order by itself.
"""

import platform
import struct
from pathlib import Path
from typing import NamedTuple, NoReturn, cast

import numpy as np
import numpy.typing as npt

from . import layout
from .errors import Stale
from .layout import CELL, CELLS, LEVEL, SLOT, STATE, Kind, Region, State
from .registry import Listed, generation_folder
from .segment import Segment, attach
from .values import Scale
from .wake import Word

ORDERED_LOADS = platform.machine() == "x86_64"
if ORDERED_LOADS:

    def fence() -> None:
        """Nothing: this machine makes loads in program order."""

else:
    from .fenced import fence

# One more try costs the writer having made CELLS - 1 publications, or two checkpoints, during one copy.
MAX_TRIES = 64

CONTROL = layout.HEADER_BYTES // 8  # the control words are the first region of a book segment
PUBLISHED = CONTROL + layout.PUBLISHED
THROUGH = CONTROL + layout.THROUGH_NS
WAKE = CONTROL + layout.WAKE
_LATENCY = CONTROL + layout.LATENCY
_LIVE = int(layout.State.LIVE)
_END = 1  # `begin` is word 0 of a cell and of a slot, `end` word 1

assert layout.book_regions(1, 1)["control"].offset == layout.HEADER_BYTES
assert CELLS & (CELLS - 1) == 0
for _row in (CELL, SLOT):
    assert (_row.names or ())[: _END + 1] == ("begin", "end")


def integer_fields(dtype: np.dtype[np.void], *names: str) -> struct.Struct:
    """A Struct as long as a row that unpacks just these 8-byte fields of it; "state.x" is a field of its STATE.

    They are named in memory order.
    """
    form = "<"
    end = 0
    for name in names:
        outer, _, inner = name.partition(".")
        offset = _offset(dtype, outer) + (_offset(STATE, inner) if inner else 0)
        assert offset >= end, f"{name} lies before the field named ahead of it"
        form += f"{offset - end}xq"
        end = offset + 8
    return struct.Struct(f"{form}{dtype.itemsize - end}x")


def _offset(dtype: np.dtype[np.void], name: str) -> int:
    assert dtype.fields is not None
    return dtype.fields[name][1]


_STATE_WORD = (_offset(CELL, "state") + _offset(STATE, "state")) // 8


def _starts(region: Region) -> tuple[int, ...]:
    """Where each element of the first axis lies."""
    size = region.nbytes // region.shape[0]
    return tuple(region.offset + i * size for i in range(region.shape[0]))


QUOTE_FIELDS = integer_fields(
    CELL,
    "state.sequence",
    "state.recv_ns",
    "state.state",
    "state.venue_ns",
    "state.best_bid",
    "state.best_bid_size",
    "state.best_ask",
    "state.best_ask_size",
    "state.price_scale",
    "state.price_increment",
    "state.size_scale",
    "state.size_increment",
)
TOP_FIELDS = integer_fields(CELL, "n_bids", "n_asks", "state.sequence", "state.state", "state.venue_ns")
_SCALE_FIELDS = integer_fields(
    CELL, "state.price_scale", "state.price_increment", "state.size_scale", "state.size_increment"
)
_STATE_FIELD = integer_fields(CELL, "state.state")
_SLOT_COUNTS = integer_fields(SLOT, "state.n_bids", "state.n_asks")


class Glimpse(NamedTuple):
    """One publication, copied whole, and what was known of the engine's life before it was read."""

    through_ns: int  # CLOCK_BOOTTIME: the engine lived then, and the worker had read up to there
    published: int
    cell: bytes  # one layout.CELL
    levels: bytes  # layout.LEVEL[2, levels], or nothing if they were not asked for

    @property
    def scale(self) -> Scale:
        return Scale._make(_SCALE_FIELDS.unpack(self.cell))


class Checkpoint(NamedTuple):
    """One whole checkpoint slot, levels best last."""

    number: int  # 0: there is none yet
    slot: bytes  # one layout.SLOT
    bids: bytes  # layout.LEVEL[n_bids]
    asks: bytes


class _Closed:
    """In the place of what reads of a closed page begin with."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __getitem__(self, index: object) -> NoReturn:
        raise ValueError(self._why)


class _FirstLevels(dict[int, tuple[npt.NDArray[np.int64], ...]]):
    """By a count of levels, for each cell: [side, rank, (ticks, units)] of so many, as arrays in the memory itself."""

    def __init__(self, segment: Segment) -> None:
        super().__init__()
        self._segment = segment

    def __missing__(self, count: int) -> tuple[npt.NDArray[np.int64], ...]:
        levels = self._segment.regions["cell_levels"].shape[2]
        if not 1 <= count <= levels:
            raise ValueError(f"{self._segment.symbol} publishes {levels} levels a side; {count} were asked for")
        whole = self._segment.array("cell_levels").view(np.int64).reshape(CELLS, 2, levels, 2)
        views = self[count] = tuple(whole[i, :, :count] for i in range(CELLS))
        return views


class Page:
    """A mapped book segment of one generation, with the ring beside it for the count of what was delivered."""

    __slots__ = (
        "_cell_levels",
        "_ring",
        "_side_bytes",
        "_slot_levels",
        "_slots",
        "cells",
        "first_levels",
        "fresh_until_ns",
        "generation",
        "made",
        "max_lag_ns",
        "memory",
        "segment",
        "symbol",
        "words",
    )

    def __init__(self, segment: Segment, ring: Segment, max_lag_ms: int) -> None:
        self.segment = segment
        self.symbol = segment.symbol
        self.generation = segment.generation
        self.made = segment.made
        self.max_lag_ns = max_lag_ms * 1_000_000
        # CLOCK_BOOTTIME up to which the stamp that `newest` last loaded is new enough. Stamps never go back, so until
        # then a quick read need not load one; later it goes the long way, which renews this. It stays 0 where loads
        # need fences: there no read is quick.
        self.fresh_until_ns = 0
        self.memory = segment.memory
        self.words = segment.memory.cast("q")
        self._ring = ring
        regions = segment.regions
        # For each cell the word that holds its `begin`, the cell, and its levels of both sides.
        self.cells = tuple((start // 8, self._piece(start, CELL.itemsize)) for start in _starts(regions["cells"]))
        self._cell_levels = tuple(
            self._piece(start, regions["cell_levels"].nbytes // CELLS) for start in _starts(regions["cell_levels"])
        )
        self._slots = tuple((start // 8, self._piece(start, SLOT.itemsize)) for start in _starts(regions["slots"]))
        self._side_bytes = regions["slot_levels"].nbytes // 4
        self._slot_levels = tuple(self._piece(start, 2 * self._side_bytes) for start in _starts(regions["slot_levels"]))
        self.first_levels = _FirstLevels(segment)

    @classmethod
    def open(cls, folder: Path, generation: int, listed: Listed) -> "Page":
        """Map an instrument of a generation. Raises LayoutError; FileNotFoundError if it is gone, or is made anew and
        the registry does not say so yet."""
        place = generation_folder(folder, generation)
        symbol = listed.symbol
        segment = attach(place / f"{symbol}.book", Kind.BOOK, generation=generation, symbol=symbol)
        ring = attach(place / f"{symbol}.ring", Kind.RING, generation=generation, symbol=symbol)
        if segment.made != listed.made or ring.made != listed.made:
            raise FileNotFoundError(f"{segment.path} was made {segment.made} times, and {listed.made} was looked for")
        return cls(segment, ring, listed.max_lag_ms)

    def close(self, why: str) -> None:
        """Unmap. Every later read raises ValueError with `why`; arrays that views gave out stay valid."""
        self.first_levels = cast(_FirstLevels, _Closed(why))  # every read begins with one of these two
        for _, piece in self.cells + self._slots:
            piece.release()
        for piece in self._cell_levels + self._slot_levels:
            piece.release()
        self.words.release()
        self.words = cast(memoryview, _Closed(why))
        self.segment.close()
        self._ring.close()

    def live(self, now_ns: int) -> bool:
        """Whether the newest publication says live and the engine was heard of; of two words, so it costs little."""
        words = self.words
        through_ns: int = words[THROUGH]  # first, as in `newest`
        fence()
        begin, _ = self.cells[words[PUBLISHED] % CELLS]
        # One word of a cell that may be rewritten meanwhile: then it is the state of a newer publication.
        state: int = words[begin + _STATE_WORD]
        return state == _LIVE and now_ns - through_ns <= self.max_lag_ns

    def newest(self, levels: bool = True) -> Glimpse:
        """The newest publication, whole. Raises Stale if the writer laps every try."""
        words = self.words
        for _ in range(MAX_TRIES):
            through_ns = words[THROUGH]  # first: so it is never newer than the cell that is then copied
            fence()
            published = words[PUBLISHED]
            fence()
            i = published % CELLS
            begin, cell = self.cells[i]
            copied = cell.tobytes()
            copied_levels = self._cell_levels[i].tobytes() if levels else b""
            fence()
            if words[begin] == published:
                if ORDERED_LOADS:
                    self.fresh_until_ns = through_ns + self.max_lag_ns
                return Glimpse(through_ns, published, copied, copied_levels)
        raise self._lapped("publications")

    def wake_word(self) -> Word:
        """What the worker changes after whatever it writes here, as it is now. To be loaded before looking for news."""
        return self.memory, WAKE * 8, self.words[WAKE]

    @property
    def seems_closed(self) -> bool:
        """Whether the newest publication says that its feed was closed. A hint: it is not checked for being whole."""
        _, cell = self.cells[self.words[PUBLISHED] % CELLS]
        state: int = _STATE_FIELD.unpack(cell)[0]
        return state == State.CLOSED

    def newest_checkpoint(self) -> Checkpoint:
        """The newest whole checkpoint slot; its number is 0 if there is none. Raises Stale as `newest` does."""
        words = self.words
        for _ in range(MAX_TRIES):
            ends = [words[begin + _END] for begin, _ in self._slots]
            number = max(ends)
            if number == 0:
                return Checkpoint(0, bytes(SLOT.itemsize), b"", b"")
            i = ends.index(number)
            fence()
            begin, slot = self._slots[i]
            copied = slot.tobytes()
            bids, asks = (min(max(n, 0) * LEVEL.itemsize, self._side_bytes) for n in _SLOT_COUNTS.unpack(copied))
            levels = self._slot_levels[i]
            copied_bids = levels[:bids].tobytes()
            copied_asks = levels[self._side_bytes : self._side_bytes + asks].tobytes()
            fence()
            if words[begin] == number:
                return Checkpoint(number, copied, copied_bids, copied_asks)
        raise self._lapped("checkpoints")

    def latency_counts(self) -> list[int]:
        """How many records took how long from receive to publish; the steps are those of `status.step_ns`."""
        return self.words[_LATENCY : _LATENCY + layout.LATENCY_STEPS].tolist()

    def delivered(self) -> int:
        """Hub messages that the engine handed to this instrument's ring."""
        return int(self._ring.array("words")[layout.DELIVERED])

    def _piece(self, start: int, size: int) -> memoryview:
        return self.memory[start : start + size]

    def _lapped(self, what: str) -> Stale:
        reason = f"its worker makes {what} faster than they can be read here"
        return Stale(f"{self.symbol} could not be read: {reason}; try again", "stale", reason)
