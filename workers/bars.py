"""Bars of all timeframes, in one pass over the trades of a record: kernels on words, with no allocation.

A timeframe is one *slot* (layout.FORMING): up to two forming bars and all else that the next record's result depends
on. The kernels work on a private copy of it in the *desk* and, when a record changed it, write the copy into the slot
that is not the newest: one commit a record and timeframe, so a kill leaves the state before the record or after it.
Closed rows go into the ring before that commit and are seen by nobody until then; a successor, which takes the records
above `through` again, writes the same rows at the same places.

    a trade of a forming bar         is added to it
    of a later bar                   opens that bar beside it; where two form already the older is closed for it
    of a bar that was closed         appends the bar again, with the trade and a revision more: a closed row stays
    a clock frame                    closes what ended `close_grace_ms` ago, by the venue's time
    a gap                            makes suspect what it touches: forming bars, and what closed since the last message

The venue's time is never asked for: it is estimated as the receive clock less the last lag, which is taken at most
`max_venue_lag_ms` above its recent least, because one old stamp must not hold up the closing.

Bars by count close with the trade that reaches the count, know no late trade, and begin at least a nanosecond apart, so
that each has its key. Days, weeks and months follow the session table. Before that came, and where it does not reach,
none are made and their trades are counted as unplaced: a bar of another day's key could never be taken back.
"""

import numpy as np

from shm import layout
from shm.atomics import copy_bytes, fence_release, load_acquire, store_relaxed, store_release, words_at
from shm.bar_rows import BAR_WORDS, FORMING_WORDS, MULTIPLIERS, SEED
from shm.compiled import kernel
from shm.layout import BarFlag, Rows, Words
from shm.timeframe import Unit

MAX_FILL = 4096  # periods without a trade that one record may close; beyond it lies a jump of the clock
MAX_SEARCH = 1 << 13  # rows that are looked through for the bar of a late trade
MAX_MARKED = 512  # rows that are looked through for those a gap touches

EMPTY_NONE, EMPTY_FLAT, EMPTY_MARKED = range(3)

# The desk: a head, a row and a slot for each timeframe, one bar to work on, the session table.
(FRAMES, GRACE_NS, FILE, FILE_WORDS, AT_SLOTS, AT_ROWS, AT_WORK, AT_BAR, AT_SESSIONS, SESSIONS, BROKEN, CHANGED) = (
    range(12)
)
APPENDED = 12  # 1: rows were closed since `is_full` said no
HEAD_WORDS = 16
(UNIT, AMOUNT, LENGTH_NS, EMPTY, FIRST, ROWS, FIRST_NUMBER, REACH, MEASURE, DIRTY) = range(10)
FRAME_WORDS = 16
SESSION_WORDS = 3  # open, close, trading day

# A slot's words, and a bar's.
_names = [name for name in layout.FORMING.names or () if name != "bars"]
(_BEGIN, THROUGH, COUNT, _LOST, _UNPLACED, _CLOSED_NS, _LAST_CLOSE, _TRADED) = range(8)
(_EMPTY_NS, _GAP_NS, _WHOLE_NS, _PENDING, _LATE) = range(8, 13)
_BARS = layout.FORMING.fields["bars"][1] // 8  # type: ignore[index]
_CHECKSUM = FORMING_WORDS - 2
_END = FORMING_WORDS - 1
(NUMBER, START, STOP, OPEN, HIGH, LOW, CLOSE, VOLUME, BUYS, SELLS, TRADES, NOTIONAL, FLAGS, SEQUENCE, DAY) = range(15)
_SUM = BAR_WORDS - 1
_WORD = 8
_REVISION = 1 << 32  # flags are the low half of their word

_MULTIPLIERS = np.array(MULTIPLIERS, np.int64)
_SEED = SEED
_NEVER = layout.NEVER_NS
_DAY_NS = 86_400_000_000_000
_FORMING = int(BarFlag.FORMING)
_COMPLETE = int(BarFlag.COMPLETE)
_SUSPECT = int(BarFlag.SUSPECT)
_NO_TRADE = int(BarFlag.NO_TRADE)
_JOINED = int(BarFlag.JOINED)
_UNIT_HOUR = int(Unit.HOUR)
_UNIT_DAY = int(Unit.DAY)
_UNIT_WEEK = int(Unit.WEEK)
_UNIT_MONTH = int(Unit.MONTH)
_BUY = layout.BUY
_LINE = 2 * layout.WORDS_A_LINE
_FIRST_LINE = layout.bars_line(0)
_FIRST_SEALED = layout.sealed_line(0)
_FULL, _OF = layout.BARS_FULL
_CONTROL = layout.HEADER_BYTES // 8

assert _names[: _LATE + 1] == [
    "begin", "through", "count", "lost", "unplaced", "closed_ns", "last_close", "traded",
    "empty_ns", "gap_ns", "whole_ns", "pending", "late",
]  # fmt: skip
assert BAR_WORDS == 16 and layout.BAR.fields["flags"][1] == FLAGS * 8 and layout.BAR.fields["trading_day"][1] == DAY * 8  # type: ignore[index]


@kernel
def checksum(words: Words, at: int, count: int) -> int:
    """As bar_rows.checksums has it."""
    total = _SEED
    for i in range(count):
        total += words[at + i] * _MULTIPLIERS[i]
    return total


@kernel
def venue_now(state: Rows) -> int:
    """The venue's time at the record that the state goes through; see the file's head. Before any stamp: our clock."""
    s = state[0]
    if s.lag_window_ns == 0:
        return s.wall_ns  # type: ignore[no-any-return]
    least = min(s.lag_min_ns, s.lag_prior_ns)
    return s.wall_ns - min(s.lag_ns, least + s.max_venue_lag_ns)  # type: ignore[no-any-return]


@kernel
def _work(desk: Words, t: int) -> int:
    return desk[AT_WORK] + t * FORMING_WORDS  # type: ignore[no-any-return]


@kernel
def _touch(desk: Words, t: int) -> None:
    """This record changed timeframe `t`: `settle` commits it."""
    desk[HEAD_WORDS + t * FRAME_WORDS + DIRTY] = 1
    desk[CHANGED] = 1


@kernel
def _commit(desk: Words, file: Words, t: int, sequence: int) -> None:
    """Write what timeframe `t` is now, through the record `sequence`, into the slot that is not the newest."""
    work = _work(desk, t)
    number = desk[work + _BEGIN] + 1
    desk[work + _BEGIN] = number
    desk[work + THROUGH] = sequence
    desk[work + _CHECKSUM] = checksum(desk, work, _CHECKSUM)
    slot = desk[AT_SLOTS] + (2 * t + (number & 1)) * FORMING_WORDS
    store_relaxed(file, slot, number)
    fence_release()  # SYNC bars: begin before the body, here; the body before begin, in the reader
    copy_bytes(file, (slot + 1) * _WORD, desk, (work + 1) * _WORD, (_END - 1) * _WORD)
    store_release(file, slot + _END, number)
    line = _CONTROL + _FIRST_LINE + t * _LINE
    store_relaxed(file, line + 1, desk[work + _LOST])
    store_release(file, line, desk[work + COUNT])


@kernel
def _place(desk: Words, t: int, number: int) -> int:
    """The word where row `number` lies."""
    frame = HEAD_WORDS + t * FRAME_WORDS
    return desk[AT_ROWS] + (desk[frame + FIRST] + (number & (desk[frame + ROWS] - 1))) * BAR_WORDS  # type: ignore[no-any-return]


@kernel
def _put(desk: Words, file: Words, t: int, bar: int, number: int) -> None:
    """The bar at word `bar` of the desk into the ring, as row `number`, in one slice."""
    desk[bar + NUMBER] = number
    desk[bar + _SUM] = checksum(desk, bar, _SUM)
    copy_bytes(file, _place(desk, t, number) * _WORD, desk, bar * _WORD, BAR_WORDS * _WORD)


@kernel
def _unsealed(desk: Words, file: Words, t: int) -> int:
    """Closed rows that may not be overwritten."""
    sealed = load_acquire(file, _CONTROL + _FIRST_SEALED + t * _LINE)
    return desk[_work(desk, t) + COUNT] - max(sealed, desk[HEAD_WORDS + t * FRAME_WORDS + FIRST_NUMBER])  # type: ignore[no-any-return]


@kernel
def _append(desk: Words, file: Words, t: int, bar: int) -> None:
    """A closed row. Where nothing is sealed below it is lost, which is counted, and the next bar to open says so."""
    work = _work(desk, t)
    desk[APPENDED] = 1
    if _unsealed(desk, file, t) >= desk[HEAD_WORDS + t * FRAME_WORDS + ROWS]:
        desk[work + _LOST] += 1
        desk[work + _PENDING] |= _SUSPECT
        return
    number = desk[work + COUNT]
    _put(desk, file, t, bar, number)
    desk[work + COUNT] = number + 1


@kernel
def is_full(desk: Words) -> bool:
    """Whether a timeframe has so many rows that the keeper will seal half of them: who can wait, waits for that, and
    then no record finds less than a fifth of the rows free. To be asked between two records, when all is committed."""
    if desk[APPENDED] == 0:
        return False
    file = words_at(desk[FILE], desk[FILE_WORDS])
    for t in range(desk[FRAMES]):
        if _unsealed(desk, file, t) * _OF >= desk[HEAD_WORDS + t * FRAME_WORDS + ROWS] * _FULL:
            return True
    desk[APPENDED] = 0
    return False


@kernel
def _month(day: int) -> int:
    """Months since year 0 of a day since 1970-01-01, by the Gregorian calendar."""
    shifted = day + 719468  # from 0000-03-01, so that a leap day is the last of its year
    era = shifted // 146097
    of_era = shifted - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return (era * 400 + year) * 12 + (5 * of_year + 2) // 153


@kernel
def _group(unit: int, day: int) -> int:
    """What trading days of one bar have in common."""
    if unit == _UNIT_WEEK:
        return (day + 3) // 7  # weeks begin with Monday
    if unit == _UNIT_MONTH:
        return _month(day)
    return day


@kernel
def _session(desk: Words, ns: int) -> int:
    """The last session that had begun at `ns`, as a row number; -1 where the table does not reach."""
    n = desk[SESSIONS]
    at = desk[AT_SESSIONS]
    if n == 0 or ns >= desk[at + (n - 1) * SESSION_WORDS + 1]:
        return -1
    i = n - 1
    while i >= 0 and desk[at + i * SESSION_WORDS] > ns:
        i -= 1
    return i  # type: ignore[no-any-return]


@kernel
def _bounds(desk: Words, t: int, ns: int) -> tuple[int, int, int]:
    """Start, end and trading day of the bar that `ns` falls into; three zeros if that cannot be known.

    What trades outside of all sessions belongs to the one before.
    """
    frame = HEAD_WORDS + t * FRAME_WORDS
    unit = desk[frame + UNIT]
    i = _session(desk, ns)
    at = desk[AT_SESSIONS]
    if unit <= _UNIT_HOUR:
        start = ns - ns % desk[frame + LENGTH_NS]
        day = start // _DAY_NS if i < 0 else desk[at + i * SESSION_WORDS + 2]
        return start, start + desk[frame + LENGTH_NS], day
    if i < 0:
        return 0, 0, 0
    group = _group(unit, desk[at + i * SESSION_WORDS + 2])
    first = i
    while first > 0 and _group(unit, desk[at + (first - 1) * SESSION_WORDS + 2]) == group:
        first -= 1
    last = i
    while last + 1 < desk[SESSIONS] and _group(unit, desk[at + (last + 1) * SESSION_WORDS + 2]) == group:
        last += 1
    if unit != _UNIT_DAY and (first == 0 or last + 1 == desk[SESSIONS]):
        return 0, 0, 0  # the table may begin, or end, within it
    return (
        desk[at + first * SESSION_WORDS],
        desk[at + last * SESSION_WORDS + 1],
        desk[at + first * SESSION_WORDS + 2],
    )


@kernel
def _is_suspect(desk: Words, work: int, start: int, end: int) -> bool:
    return start < desk[work + _WHOLE_NS] and end > desk[work + _GAP_NS]  # type: ignore[no-any-return]


@kernel
def _open(desk: Words, work: int, bar: int, start: int, end: int, day: int, flags: int) -> None:
    """An empty bar."""
    for i in range(BAR_WORDS):
        desk[bar + i] = 0
    desk[bar + START] = start
    desk[bar + STOP] = end
    desk[bar + DAY] = day & 0xFFFFFFFF
    if _is_suspect(desk, work, start, end):
        flags |= _SUSPECT
    desk[bar + FLAGS] = flags


@kernel
def _add(desk: Words, bar: int, price: int, size: int, side: int, sequence: int) -> None:
    """One trade, in the order of arrival."""
    if desk[bar + TRADES] == 0:
        desk[bar + OPEN] = price
        desk[bar + HIGH] = price
        desk[bar + LOW] = price
        desk[bar + FLAGS] &= ~_NO_TRADE
    desk[bar + HIGH] = max(desk[bar + HIGH], price)
    desk[bar + LOW] = min(desk[bar + LOW], price)
    desk[bar + CLOSE] = price
    desk[bar + VOLUME] += size
    if side == _BUY:
        desk[bar + BUYS] += size
    else:
        desk[bar + SELLS] += size
    desk[bar + TRADES] += 1
    desk[bar + NOTIONAL] += price * size
    desk[bar + SEQUENCE] = sequence


@kernel
def _fill(desk: Words, file: Words, t: int, until: int, sequence: int) -> None:
    """Close the periods without a trade that end by `until`, if this timeframe wants them and they are within hours."""
    work = _work(desk, t)
    frame = HEAD_WORDS + t * FRAME_WORDS
    length = desk[frame + LENGTH_NS]
    if desk[work + _EMPTY_NS] == 0 or desk[frame + EMPTY] == EMPTY_NONE:
        return
    if until - desk[work + _EMPTY_NS] > MAX_FILL * length:
        desk[work + _EMPTY_NS] = until - until % length
    bar = desk[AT_BAR]
    while desk[work + _EMPTY_NS] + length <= until:
        start = desk[work + _EMPTY_NS]
        desk[work + _EMPTY_NS] = start + length
        if desk[work + _TRADED] == 0 or not _is_open(desk, start, start + length):
            continue
        _, _, day = _bounds(desk, t, start)
        _open(desk, work, bar, start, start + length, day, _COMPLETE | _NO_TRADE)
        desk[bar + SEQUENCE] = sequence
        if desk[frame + EMPTY] == EMPTY_FLAT:
            for field in range(OPEN, CLOSE + 1):
                desk[bar + field] = desk[work + _LAST_CLOSE]
        _append(desk, file, t, bar)
        desk[work + _CLOSED_NS] = start


@kernel
def _is_open(desk: Words, start: int, end: int) -> bool:
    """Whether a session has a part in `start` to `end`; yes where the table does not reach."""
    n = desk[SESSIONS]
    at = desk[AT_SESSIONS]
    if n == 0 or start < desk[at] or end > desk[at + (n - 1) * SESSION_WORDS + 1]:
        return True
    i = _session(desk, end - 1)
    return i < 0 or desk[at + i * SESSION_WORDS + 1] > start


@kernel
def _close(desk: Words, file: Words, t: int, bar: int, sequence: int) -> None:
    """The bar at word `bar` is closed in its turn: whatever comes for it now is late."""
    work = _work(desk, t)
    if desk[bar + FLAGS] & _FORMING != 0:  # not the bar that `_fill` works on
        _fill(desk, file, t, desk[bar + START], sequence)
    desk[bar + FLAGS] = (desk[bar + FLAGS] & ~_FORMING) | _COMPLETE
    _append(desk, file, t, bar)
    desk[work + _CLOSED_NS] = desk[bar + START]
    if desk[work + _EMPTY_NS] != 0:
        desk[work + _EMPTY_NS] = max(desk[work + _EMPTY_NS], desk[bar + STOP])
    desk[bar + FLAGS] = 0


@kernel
def _find(desk: Words, file: Words, t: int, start: int) -> int:
    """The newest row of the bar that begins at `start`; -1 if there is none, -2 if that is not known.

    Rows of revision 0 are in the order of their starts: bars that only a late trade makes begin with revision 1. Where
    a power cut took a row an older one lies, or none, and the row that is missing may be the one that is looked for.
    """
    work = _work(desk, t)
    frame = HEAD_WORDS + t * FRAME_WORDS
    count = desk[work + COUNT]
    least = max(count - min(desk[frame + ROWS], MAX_SEARCH), desk[frame + FIRST_NUMBER])
    number = count - 1
    while number >= least:
        at = _place(desk, t, number)
        if file[at + NUMBER] != number:
            return -2
        if file[at + START] == start:
            return number  # type: ignore[no-any-return]
        if file[at + FLAGS] < _REVISION and file[at + START] < start:
            return -1
        number -= 1
    return -1 if least == desk[frame + FIRST_NUMBER] else -2


@kernel
def _load(desk: Words, file: Words, t: int, number: int) -> bool:
    """Row `number` to work on; False if it is not whole, as after a power cut."""
    bar = desk[AT_BAR]
    copy_bytes(desk, bar * _WORD, file, _place(desk, t, number) * _WORD, BAR_WORDS * _WORD)
    return desk[bar + NUMBER] == number and desk[bar + _SUM] == checksum(desk, bar, _SUM)  # type: ignore[no-any-return]


@kernel
def _add_late(
    desk: Words,
    file: Words,
    t: int,
    uncommitted: int,
    start: int,
    end: int,
    day: int,
    price: int,
    size: int,
    side: int,
    sequence: int,
) -> None:
    """A trade of a bar that was closed: the bar again, one revision on; once for all trades of one record."""
    work = _work(desk, t)
    bar = desk[AT_BAR]
    desk[work + _LATE] += 1
    number = _find(desk, file, t, start)
    if number == -2 or (number >= 0 and not _load(desk, file, t, number)):
        desk[work + _UNPLACED] += 1
        desk[work + _PENDING] |= _SUSPECT
        return
    if number == -1:
        _open(desk, work, bar, start, end, day, _COMPLETE | (_SUSPECT if desk[work + _LOST] > 0 else 0))
        desk[bar + FLAGS] += _REVISION
    elif number < uncommitted:
        desk[bar + FLAGS] += _REVISION
    _add(desk, bar, price, size, side, sequence)
    if number >= uncommitted:
        _put(desk, file, t, bar, number)
    else:
        _append(desk, file, t, bar)


@kernel
def _take_elsewhere(
    desk: Words, file: Words, t: int, uncommitted: int, ns: int, price: int, size: int, side: int, sequence: int
) -> None:
    """A trade that falls into no forming bar's time."""
    work = _work(desk, t)
    start, end, day = _bounds(desk, t, ns)
    if end == 0:
        desk[work + _UNPLACED] += 1
        desk[work + _PENDING] |= _SUSPECT
        return
    first = work + _BARS
    second = first + BAR_WORDS
    older = first if desk[first + START] <= desk[second + START] else second
    if desk[first + FLAGS] != 0 and desk[first + START] == start:
        bar = first
    elif desk[second + FLAGS] != 0 and desk[second + START] == start:
        bar = second
    elif start <= desk[work + _CLOSED_NS]:
        _add_late(desk, file, t, uncommitted, start, end, day, price, size, side, sequence)
        return
    else:
        if desk[first + FLAGS] == 0:
            bar = first
        elif desk[second + FLAGS] == 0:
            bar = second
        elif start > desk[older + START]:
            _close(desk, file, t, older, sequence)
            bar = older
        else:  # stamps ahead of all others opened both: this one is closed at once
            _fill(desk, file, t, start, sequence)
            bar = desk[AT_BAR]
        _open(desk, work, bar, start, end, day, _FORMING | desk[work + _PENDING])
        desk[work + _PENDING] = 0
    _add(desk, bar, price, size, side, sequence)
    if bar == desk[AT_BAR]:
        desk[bar + FLAGS] &= ~_FORMING
        _close(desk, file, t, bar, sequence)
        return
    desk[bar + STOP] = end
    desk[work + _LAST_CLOSE] = price
    desk[work + _TRADED] = 1


@kernel
def _count_in(desk: Words, file: Words, t: int, ns: int, price: int, size: int, side: int, sequence: int) -> None:
    """A trade of a bar by count."""
    work = _work(desk, t)
    frame = HEAD_WORDS + t * FRAME_WORDS
    bar = work + _BARS
    if desk[bar + FLAGS] == 0:
        start = max(ns, desk[work + _CLOSED_NS] + 1)
        i = _session(desk, start)
        day = start // _DAY_NS if i < 0 else desk[desk[AT_SESSIONS] + i * SESSION_WORDS + 2]
        _open(desk, work, bar, start, start + 1, day, _FORMING | desk[work + _PENDING])
        desk[bar + STOP] = start
        desk[work + _PENDING] = 0
    _add(desk, bar, price, size, side, sequence)
    desk[bar + STOP] = max(desk[bar + STOP], ns)
    if desk[bar + desk[frame + MEASURE]] >= desk[frame + REACH]:
        _close(desk, file, t, bar, sequence)


@kernel
def take_trades(desk: Words, state: Rows, rows: Rows, n: int) -> None:
    """The trades of one record into the bars of every timeframe that does not have them. A trade without a stamp is
    one of now."""
    s = state[0]
    file = words_at(desk[FILE], desk[FILE_WORDS])
    now_ns = venue_now(state)
    for t in range(desk[FRAMES]):
        work = _work(desk, t)
        if s.sequence <= desk[work + THROUGH] or n == 0:
            continue
        by_count = desk[HEAD_WORDS + t * FRAME_WORDS + UNIT] > _UNIT_MONTH
        uncommitted = desk[work + COUNT]
        first = work + _BARS
        second = first + BAR_WORDS
        for i in range(n):
            ns = rows[i].venue_ns
            if ns == 0:
                ns = now_ns
            price = rows[i].price // s.price_increment
            size = rows[i].size // s.size_increment
            side = rows[i].side
            if by_count:
                _count_in(desk, file, t, ns, price, size, side, s.sequence)
            elif desk[first + FLAGS] != 0 and desk[first + START] <= ns and ns < desk[first + STOP]:
                _add(desk, first, price, size, side, s.sequence)
                desk[work + _LAST_CLOSE] = price
            elif desk[second + FLAGS] != 0 and desk[second + START] <= ns and ns < desk[second + STOP]:
                _add(desk, second, price, size, side, s.sequence)
                desk[work + _LAST_CLOSE] = price
            else:
                _take_elsewhere(desk, file, t, uncommitted, ns, price, size, side, s.sequence)
        _touch(desk, t)


@kernel
def tick(desk: Words, state: Rows) -> None:
    """A clock frame: close what is over, the older bar first, and the periods without a trade."""
    s = state[0]
    file = words_at(desk[FILE], desk[FILE_WORDS])
    now_ns = venue_now(state) - desk[GRACE_NS]
    for t in range(desk[FRAMES]):
        work = _work(desk, t)
        if s.sequence <= desk[work + THROUGH] or desk[HEAD_WORDS + t * FRAME_WORDS + UNIT] > _UNIT_MONTH:
            continue
        first = work + _BARS
        second = first + BAR_WORDS
        empty_ns = desk[work + _EMPTY_NS]
        changed = False
        until = now_ns
        for _ in range(2):
            bar = first
            if desk[first + FLAGS] == 0 or (desk[second + FLAGS] != 0 and desk[second + START] < desk[first + START]):
                bar = second
            if desk[bar + FLAGS] == 0:
                break
            if desk[bar + STOP] > now_ns:
                until = min(until, desk[bar + START])
                break
            _close(desk, file, t, bar, s.sequence)
            changed = True
        _fill(desk, file, t, until, s.sequence)
        if changed or desk[work + _EMPTY_NS] != empty_ns:
            _touch(desk, t)


@kernel
def _mark_closed(desk: Words, file: Words, t: int, from_ns: int, sequence: int) -> None:
    """Bars that were closed since `from_ns`, when nothing came any more: again, and suspect."""
    work = _work(desk, t)
    bar = desk[AT_BAR]
    frame = HEAD_WORDS + t * FRAME_WORDS
    count = desk[work + COUNT]
    number = count - 1
    least = max(count - min(desk[frame + ROWS], MAX_MARKED), desk[frame + FIRST_NUMBER])
    while number >= least:
        at = _place(desk, t, number)
        if file[at + FLAGS] < _REVISION:
            if file[at + STOP] <= from_ns:
                return
            newest = _find(desk, file, t, file[at + START])
            if newest >= 0 and _load(desk, file, t, newest) and desk[bar + FLAGS] & _SUSPECT == 0:
                desk[bar + FLAGS] = (desk[bar + FLAGS] | _SUSPECT) + _REVISION
                desk[bar + SEQUENCE] = sequence
                _append(desk, file, t, bar)
        number -= 1


@kernel
def gap(desk: Words, state: Rows) -> None:
    """The stream is not whole from the last hub message on, until `mend`. Before the record counts as one itself."""
    s = state[0]
    file = words_at(desk[FILE], desk[FILE_WORDS])
    now_ns = venue_now(state)
    desk[BROKEN] = 1
    for t in range(desk[FRAMES]):
        work = _work(desk, t)
        if s.sequence <= desk[work + THROUGH]:
            continue
        first = work + _BARS
        for bar in (first, first + BAR_WORDS):
            if desk[bar + FLAGS] != 0:
                desk[bar + FLAGS] |= _SUSPECT
        if desk[work + _WHOLE_NS] != _NEVER:
            desk[work + _WHOLE_NS] = _NEVER
            desk[work + _EMPTY_NS] = 0
            desk[work + _GAP_NS] = desk[work + _CLOSED_NS] + 1  # an engine before this one closed those
            if s.data_wall_ns != 0:
                desk[work + _GAP_NS] = now_ns - max(s.wall_ns - s.data_wall_ns, 0)
                if desk[HEAD_WORDS + t * FRAME_WORDS + UNIT] <= _UNIT_MONTH:
                    _mark_closed(desk, file, t, desk[work + _GAP_NS], s.sequence)
        _touch(desk, t)


@kernel
def mend(desk: Words, state: Rows) -> None:
    """If the stream is whole again, note since when; asked after each record while it was not."""
    s = state[0]
    if s.synced == 0 or s.paused != 0:
        return
    now_ns = venue_now(state)
    desk[BROKEN] = 0
    for t in range(desk[FRAMES]):
        work = _work(desk, t)
        if s.sequence <= desk[work + THROUGH] or desk[work + _WHOLE_NS] != _NEVER:
            continue
        desk[work + _WHOLE_NS] = now_ns
        length = desk[HEAD_WORDS + t * FRAME_WORDS + LENGTH_NS]
        if length > 0:
            after = now_ns + length - 1
            desk[work + _EMPTY_NS] = max(after - after % length, desk[work + _CLOSED_NS] + length)
        _touch(desk, t)


@kernel
def roll(desk: Words, state: Rows) -> None:
    """Another contract from here on: the bar that has the join in it says so, or else the next."""
    for t in range(desk[FRAMES]):
        work = _work(desk, t)
        if state[0].sequence <= desk[work + THROUGH]:
            continue
        formed = False
        first = work + _BARS
        for bar in (first, first + BAR_WORDS):
            if desk[bar + FLAGS] != 0:
                desk[bar + FLAGS] |= _JOINED
                formed = True
        if not formed:
            desk[work + _PENDING] |= _JOINED
        _touch(desk, t)


@kernel
def touch_all(desk: Words, state: Rows) -> None:
    """Every timeframe goes through this record, though it changed none: what follows depends on it."""
    for t in range(desk[FRAMES]):
        if state[0].sequence > desk[_work(desk, t) + THROUGH]:
            _touch(desk, t)


@kernel
def settle(desk: Words, state: Rows) -> None:
    """The record is over: commit the timeframes that it changed."""
    file = words_at(desk[FILE], desk[FILE_WORDS])
    desk[CHANGED] = 0
    for t in range(desk[FRAMES]):
        frame = HEAD_WORDS + t * FRAME_WORDS
        if desk[frame + DIRTY] != 0:
            desk[frame + DIRTY] = 0
            _commit(desk, file, t, state[0].sequence)
