"""One timeframe's bars made whole out of the venue's history: what is doubted, then what was before the first bar.

What is known of it is a small file beside the bars, written before a row can leave the hot ring. So a doubt outlives
every kill, and what the venue has told for settled times is not asked for again.
"""

import logging
from typing import Final, NamedTuple

from shm.bars_frame import Hot as HotRows
from shm.bars_frame import frame, rows_of, scan
from shm.layout import Answered, Rows
from shm.sealed import LIVE

from ..config import SymbolSettings
from ..history.stitching import stitch
from . import doubts
from .disk import Disk, put, temporary
from .doubts import FILE_NAME, MAX_FILE_BYTES, Doubts, Stretch, Stretches
from .hot import Hot
from .rows import in_units_of
from .sources import source_of
from .store import Store
from .wishes import Answer, Wish

AGAIN_NS: Final = 300_000_000_000  # what is not settled yet is asked for again
LATER_NS: Final = 60_000_000_000  # the venue could not be asked

_log = logging.getLogger(__name__)


class Taken(NamedTuple):
    """What became of an answer: bars where there were none, bars of a higher revision, rows that were refused."""

    added: int
    raised: int
    refused: int


class Repairs:
    """Of timeframe `t` of a mapped file; one of time, because for bars by count the venue is not asked."""

    def __init__(self, settings: SymbolSettings, hot: Hot, t: int, store: Store, disk: Disk) -> None:
        """Raises OSError."""
        self._settings = settings
        self._hot = hot
        self._t = t
        self._store = store
        self._disk = disk
        self._path = store.folder / FILE_NAME
        self._timeframe = store.subject.timeframe
        self._source = source_of(settings, self._timeframe)
        self._doubts = self._load()
        self._resting: dict[Stretch, int] = {}  # until when, by CLOCK_BOOTTIME

    def look(self) -> int:
        """At the rows that closed since: the number up to which they were looked at, and what is known is on disk.

        Raises OSError, and as `Hot.slot` does.
        """
        slot = self._hot.slot(self._t)
        if self._doubts is None:
            first_ns = self._first_ns(slot.end, slot.bars)
            if first_ns is None:
                return slot.end
            past = self._source.before(first_ns, self._settings.history_bars)
            self._keep(Doubts(self._hot.first(self._t), past=doubts.joined([past])))
        known = self._known
        sealed_to = self._hot.sealed_to(self._t)
        if not sealed_to <= known.looked <= slot.end:
            self._doubts = known = self._after_sealed(sealed_to)
        if slot.end > known.looked:
            seen = self._look(known, self._hot.rows(self._t, known.looked, slot.end), slot.end)
            if seen[3:] == known[3:]:
                self._doubts = seen  # only newer: after a kill the rows are looked at again
            else:
                self._keep(seen)
        return slot.end

    def look_at(self, rows: Rows) -> None:
        """At rows of a file that was set aside, as far as they were not looked at in time. Raises OSError."""
        if self._doubts is not None:
            fresh = rows[rows["number"] >= self._doubts.looked]
            if len(fresh):
                self._keep(self._look(self._doubts, fresh, int(fresh["number"][-1]) + 1))

    def wanted(self, now_ns: int, *, past: bool) -> Wish | None:
        """What to ask for now, if there is something: of outages, or of the time before the first bar."""
        if self._doubts is None:
            return None
        self._resting = {stretch: until for stretch, until in self._resting.items() if until > now_ns}
        known: Stretches = self._doubts.past if past else self._doubts.open
        stretch = self._source.newest(doubts.without(known, list(self._resting)))
        return None if stretch is None else Wish(self._settings.symbol, self._source.asked, *stretch)

    def take(self, answer: Answer, now_ns: int, wall_ns: int) -> Taken:
        """Put what came beside the bars that are there. Raises OSError, Overrun, LayoutError; then it is asked for
        again later, as what could not be answered is."""
        stretch = answer.wish.start_ns, answer.wish.end_ns
        self._resting[stretch] = now_ns + LATER_NS
        if answer.answered == Answered.LATER:
            return Taken(0, 0, 0)
        if answer.answered == Answered.NEVER:
            _log.warning("%s: the venue refuses %s bars: %s", self._settings.symbol, self._timeframe.name, answer.text)
            self._keep(doubts.told(self._known, stretch, stretch[1]))
            return Taken(0, 0, 0)
        fetched = in_units_of(answer.rows, self._store.subject.scale, answer.price_scale, answer.price_increment)
        if fetched is None:
            _log.error("%s: the venue's bars have another tick than ours; they are left out", self._settings.symbol)
            self._keep(doubts.told(self._known, stretch, stretch[1]))
            return Taken(0, 0, answer.refused + len(answer.rows))
        settled = self._source.settled(stretch, answer.settled_ns)
        is_past = any(start_ns <= stretch[0] < end_ns for start_ns, end_ns in self._known.past)
        stitched = stitch(self._stored(stretch), self._source.bars(fetched, stretch, settled, past=is_past))
        self._store.add(frame(stitched.rows, self._store.subject.scale), wall_ns)
        self._resting[stretch] = now_ns + max(AGAIN_NS, settled.in_ns)
        self._keep(doubts.told(self._known, stretch, settled.done_ns))
        return Taken(stitched.added, stitched.raised, answer.refused)

    @property
    def _known(self) -> Doubts:
        assert self._doubts is not None
        return self._doubts

    def _look(self, known: Doubts, rows: Rows, end: int) -> Doubts:
        seen = doubts.look(known, rows, end)
        return seen._replace(open=self._source.whole(seen.open))

    def _after_sealed(self, sealed_to: int) -> Doubts:
        """What is known when the look goes on behind the newest sealed bar: a keeper before this one looked further
        than it wrote down, or rows that were looked at are lost, by a power cut or with the file that they were in."""
        newest_ns = max(
            (file.last_start_ns for file in self._store.listing().read if file.name.series == LIVE), default=0
        )
        end_ns = self._source.end_ns(newest_ns) if newest_ns else 0
        return self._known._replace(looked=sealed_to, start_ns=newest_ns, end_ns=end_ns)

    def _first_ns(self, end: int, forming: Rows) -> int | None:
        """Where the bars begin; None if there is none."""
        sealed = [file.first_start_ns for file in self._store.listing().read]
        hot = self._hot.rows(self._t, self._hot.first(self._t), end)["start_ns"].tolist()
        return min([*sealed, *hot, *forming["start_ns"].tolist()], default=None)

    def _stored(self, stretch: Stretch) -> Rows:
        """The bars of that time that are there, hot or sealed, ours or the venue's."""
        scale = self._store.subject.scale
        rows = self._hot.rows(self._t, self._hot.sealed_to(self._t), self._hot.slot(self._t).end)
        return rows_of(scan(self._store.folder, self._timeframe, *stretch, HotRows(rows, scale)).collect(), scale)

    def _load(self) -> Doubts | None:
        temporary(self._path).unlink(missing_ok=True)
        try:
            with open(self._path, "rb") as file:
                return doubts.from_json(file.read(MAX_FILE_BYTES))
        except FileNotFoundError:
            return None
        except ValueError as error:
            _log.error("%s is begun anew: %s", self._path, error)
            return None

    def _keep(self, known: Doubts) -> None:
        """On disk first, for good."""
        put(self._disk, self._path, known.to_json())
        self._doubts = known
