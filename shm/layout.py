"""Every byte of shared memory: who writes it, where it lies, what it means. All of `shm` imports this file.

All numbers are little-endian; every counter is an aligned 8-byte word with one writer. A *line* is 128 bytes
(two cache lines, because the adjacent one is prefetched with it): words of different writers never share one.

A folder holds one engine:   <root>/shardbook-<uid>/<name>/
    supervisor.lock engine.lock worker-<PROCESS>.lock   life locks (see life.py)
    registry.json                                       supervisor, replaced by rename
    g<generation>/<SYMBOL>.ring                         one ring an instrument:  engine → worker
    g<generation>/<SYMBOL>.book                         book, tape, quotes, events: worker → readers
    g<generation>/engine                                the engine's own counters
    g<generation>/events                                what befell the processes:  supervisor → readers
    g<generation>/changed                               one wake-up word for "anything changed"
    g<generation>/<PROCESS>.bell                        one wake-up word for a worker of several rings: engine → worker
    g<generation>/account                               the account, if it is viewed:  engine → readers
    g<generation>/recorder.ring                         what all rings were given:  engine → recorder
    g<generation>/recorder                              what became of it: the recorder's counters
    g<generation>/keeper                                what the keeper wishes for, and its counters
    g<generation>/keeper.ring                           bars out of the venue's history:  engine → keeper
    g<generation>/<SYMBOL>.sessions                     trading hours (engine/hours.py): keeper → engine
And the data folder, which outlives generations:
    bars/<SYMBOL>/hot                                   bars, hot and forming:  worker → readers and keeper

Every segment
    0        128                  512                              8192
    ├ HEADER ┼ zero ──────────────┼ description, JSON, utf-8 ──────┤ what `kind` says …
    The supervisor writes it while the file still has its temporary name; the version goes in last.
    An instrument whose settings change gets new segments in place of the old ones, of the same names; `made` in the
    header and in the registry says which of them they are.

Ring segment (after the header: CONTROL words, then `capacity` data bytes, then RING_SLACK zero bytes)
    line  0   supervisor  capacity, first sequence (0: the generation's first)
    line  1   engine      tail: bytes ever published
    line  2   engine      its own books: private tail, cached head, next sequence, delivered, dropped, owed gap
    line  3   engine      signal: the futex word the worker sleeps on, unless its process has a bell
    line  4,5 engine      commit slots: what was true at a tail; the one whose tail is `tail` counts
    line  8   worker      head: bytes released; below it the engine may overwrite
    line  9   worker      parked: 1 while it sleeps on `signal`, or on its bell
    line 10   worker      resync wanted: grows by one for each wish
    line 11   worker      begun: sequence of the record being applied, 0 outside a batch
    line 12   worker      heartbeat: grows with each turn of its loop
    line 13   engine      what its bytes are recorded as, and through where they were: see tee.py
    A record is RECORD_BYTES of header, the payload, at least one zero byte (the scanner's stop), to 8 bytes.

      0        4        8                16               24               32               40
      ├ bytes  ┼ kind   ┼ sequence       ┼ recv boottime  ┼ recv wall      ┼ venue │n │i    ┼ payload …
      (n, i: a payload above capacity / 8 comes as n chunks, this is number i; else 1, 0)

Book segment (all of it written by the worker)
    control   line 0 published · 1 through · 2 wake · 3 tape · 4 quotes · 5 wake-up notes · 6 events · 16.. latency
    cells     CELL[CELLS], then LEVEL[CELLS, 2, levels]: bids then asks, best first
    working   STATE[1], then LEVEL[2, max_depth]: bids then asks, best last
    slots     SLOT[2], then LEVEL[2, 2, max_depth]: the checkpoints, best last
    tape      TRADE[tape_rows];   quotes  QUOTE[quote_rows];   events  EVENT[event_rows]

Events segment (all of it written by the supervisor)
    control   line 6 events, as in a book;   events  EVENT[event_rows]
    Events have one ring a writer, and not one for all, because every byte has one writer: what a record did to a
    book only its worker knows, and writes with the record's own key; who died only the supervisor sees. Readers
    merge the rings by time.

Account segment (all of it written by the engine, and there only with `account = true`)
    control   line 0 published · 1 through: the engine's last sign of life · 2 wake · 5 wake-up notes, as a book's
    cells     ACCOUNT[ACCOUNT_CELLS], and for each ORDER[MAX_ORDERS], POSITION[MAX_POSITIONS], FILL[MAX_FILLS],
              oldest first; how many of them count is in the cell

Keeper segment (all of it written by the keeper)
    words     a line each for KEEPER_WORDS
    wishes    WISH[MAX_WISHES]: stretches of history that it wants. The number is stored last, and 0 means that the
              row is free. The engine polls them, and answers down keeper.ring: DATA records, an ANSWER row each and
              behind it its BAR rows

Recorder segment (all of it written by the recorder; it and its ring are there only with `record = true`)
    words     a line each for RECORDING_WORDS

Bars segment (the worker makes it, and writes all of it but the keeper's lines; not in /dev/shm: a plain file on disk)
    control   line 0 worker  the scale of its prices and sizes (4 words), and their checksum
              of timeframe t: line 1 + 2t worker  count, lost · line 2 + 2t keeper  sealed to
    frames    TIMEFRAME[n]: which they are, and where in `rows` the ring of each lies; each with a checksum
    slots     FORMING[n, 2]: what a timeframe is after a ring record, in turns; a slot is whole when begin == end and
              its checksum fits, and the one of the two with the higher number counts
    rows      BAR[…]: of each timeframe a ring, numbered without end; rows below the `count` of its slot are closed
    sessions  SESSIONS[2]: the session table, in turns, as slots are

A cell is written so: begin = n, the body, end = n, then `published` = n (release); cell n lies at n mod CELLS.
A reader takes n from `published`, copies, and is right if `begin` still says n. A checkpoint slot is whole when
begin == end; of two whole ones the larger is the newer. A broadcast row n lies at n mod rows; the writer raises
`intent` before it overwrites and `count` when the rows of one record are complete.
"""

import json
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .timeframe import MAX_TIMEFRAMES

MAGIC = b"SHARDBK\0"
LAYOUT_VERSION = 3

HEADER_BYTES = 8192
DESCRIPTION_OFFSET = 512
LINE_BYTES = 128
WORDS_A_LINE = LINE_BYTES // 8


class Kind(IntEnum):
    """What a segment holds."""

    RING = 1
    BOOK = 2
    ENGINE = 3
    CHANGED = 4
    BELL = 5
    ACCOUNT = 6
    EVENTS = 7
    BARS = 8
    KEEPER = 9
    RECORDER = 10


HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("layout_version", "<u8"),  # written last: until then the segment does not exist
        ("kind", "<u8"),
        ("generation", "<u8"),
        ("writer_pid", "<u8"),
        ("writer_start_ticks", "<u8"),  # field 22 of /proc/PID/stat: with the pid, one process for ever
        ("total_bytes", "<u8"),
        ("description_bytes", "<u8"),
        ("description_crc32", "<u8"),  # two counts of levels may describe equally large files
        ("symbol", "S32"),
        ("made", "<u8"),  # from 1, one more each time the segment of this name is made anew in a generation
    ]
)


# ── the ring ──────────────────────────────────────────────────────────────────────────────────────────────

CONTROL_BYTES = 4096
RING_SLACK = 128  # a scanner that meets a cut value may look a few bytes past it
DATA_WORD = CONTROL_BYTES // 8
RECORD_BYTES = 40
GAP_RESERVE = 256  # data never takes this much: there is always room to say that data was dropped
MIN_RING_BYTES = 1 << 14
GENERATION_SHIFT = 40  # sequences of generation g start at g << 40: they never restart

CAPACITY = 0
FIRST_SEQUENCE = 1  # where the ring before this one had come to, if an instrument's ring is made anew
TAIL = 1 * WORDS_A_LINE
TAIL_PRIVATE = 2 * WORDS_A_LINE
HEAD_CACHED = TAIL_PRIVATE + 1
NEXT_SEQUENCE = TAIL_PRIVATE + 2
DELIVERED = TAIL_PRIVATE + 3
DROPPED = TAIL_PRIVATE + 4
OWED_GAP = TAIL_PRIVATE + 5  # a Reason, while a gap record waits to go in; 0 else
OWED_COUNT = TAIL_PRIVATE + 6  # records dropped since the last gap record
SIGNAL = 3 * WORDS_A_LINE
COMMIT = 4 * WORDS_A_LINE  # slot i at COMMIT + i · WORDS_A_LINE: tail, next sequence, delivered, dropped, owed gap
HEAD = 8 * WORDS_A_LINE
PARKED = 9 * WORDS_A_LINE
RESYNC_WANTED = 10 * WORDS_A_LINE
BEGUN = 11 * WORDS_A_LINE
HEARTBEAT = 12 * WORDS_A_LINE
RECORDED_AS = 13 * WORDS_A_LINE  # six words: symbol (S32), generation, made
RECORDED = RECORDED_AS + 6  # the position through which the recorder was given the bytes
UNRECORDED_BYTES = RECORDED_AS + 7  # given up, because its ring was full for too long
UNRECORDED_MESSAGES = RECORDED_AS + 8  # dropped here, and not even known to the recorder
RECORDER_AT = RECORDED_AS + 9  # where the engine has the recorder's ring mapped: means nothing to anybody else
RECORDER_WORDS = RECORDED_AS + 10


class Record(IntEnum):
    """Kinds of ring record. DATA and its chunks are what is delivered; the rest counts nowhere."""

    DATA = 1
    CHUNK = 2
    CLOCK = 3
    GAP = 4
    CONFIG = 5
    SESSIONS = 6
    PIECE = 7  # in the recorder's ring: bytes of an instrument's ring
    DROPPED = 8  # and a message for which that had no room
    PRESENT = 10  # of a replay: the real time, which moves `through` and nothing else
    PAD = 0xFFFFFFFF


class Venue(IntEnum):
    """Who sent a record: it chooses the decoder."""

    PROJECTX = 1


GAP = np.dtype(
    [
        ("reason", "<i8"),
        ("count", "<i8"),  # records dropped since the last gap
        ("dropped", "<i8"),  # records dropped since the generation began
        ("first_sequence", "<i8"),  # of the dropped ones; 0 if none was
    ]
)

# Before the bytes of a PIECE, [from_position, to_position) of the ring of that symbol, generation and making; and
# before the message of a DROPPED, where `from_position` is its sequence.
STRETCH = np.dtype(
    [
        ("symbol", "S32"),
        ("generation", "<i8"),
        ("made", "<i8"),
        ("from_position", "<i8"),
        ("to_position", "<i8"),
    ]
)

CONFIG = np.dtype(
    [
        ("contract", "S64"),
        ("price_scale", "<i8"),  # decimals that a price is parsed with
        ("price_increment", "<i8"),  # the tick size in units of 10^-price_scale
        ("size_scale", "<i8"),
        ("size_increment", "<i8"),
        ("source", "<i8"),
        ("max_venue_lag_ns", "<i8"),
    ]
)


# ── what a publication says ───────────────────────────────────────────────────────────────────────────────


class State(IntEnum):
    SYNCING = 1
    LIVE = 2
    STALE = 3
    CLOSED = 4


class Source(IntEnum):
    VENUE = 1
    REPLAY = 2


class Reason(IntEnum):
    """Why a book is not live, and why there is a gap. The sentence for people is REASON_TEXT."""

    NONE = 0
    STARTING = 1
    DISCONNECTED = 2
    RECONNECTED = 3
    RESYNC = 4
    DROPPED = 5
    ENGINE_RESTART = 6
    ENGINE_PAUSED = 7
    SILENCE = 8
    VENUE_LAG = 9
    CROSSED = 10
    OFF_GRID = 11
    ONE_SIDED = 12
    RESET = 13
    REFUSED = 14
    QUARANTINED = 15
    OVERSIZE = 16
    CLOSED = 17
    ROLL = 18


REASON_TEXT = {
    Reason.NONE: "",
    Reason.STARTING: "waiting for the first snapshot",
    Reason.DISCONNECTED: "the venue's socket is down",
    Reason.RECONNECTED: "reconnected, waiting for a snapshot",
    Reason.RESYNC: "resubscribed, waiting for a snapshot",
    Reason.DROPPED: "records were dropped: the worker was too slow",
    Reason.ENGINE_RESTART: "the engine was restarted",
    Reason.ENGINE_PAUSED: "the engine was paused",
    Reason.SILENCE: "the venue is silent",
    Reason.VENUE_LAG: "behind the venue's clock",
    Reason.CROSSED: "best bid at or above best ask",
    Reason.OFF_GRID: "a price off the tick grid",
    Reason.ONE_SIDED: "one side of the book is empty",
    Reason.RESET: "reset by the venue, not refilled yet",
    Reason.REFUSED: "a record could not be read",
    Reason.QUARANTINED: "a record that kills workers was set aside",
    Reason.OVERSIZE: "a record larger than half the ring",
    Reason.CLOSED: "the feed was closed",
    Reason.ROLL: "rolled to the next contract, waiting for a snapshot",
}

BID, ASK = 0, 1
NO_BOUND = -(1 << 62)
BUY, SELL = 0, 1

LEVEL = np.dtype([("price", "<i8"), ("size", "<i8")])  # in units of the instrument's increments

# The venue's merged quote: a bit of `known` for each field, in this order. Prices in ticks; change in 10^-9
# units of price, change_percent in 10^-9, volume in size increments.
SESSION_FIELDS = ("last", "bid", "ask", "open", "high", "low", "volume", "change", "change_percent", "updated_ns")

# All that the next record's result depends on, and all counters. A checkpoint is this and the levels.
STATE = np.dtype(
    [
        (name, "<i8")
        for name in (
            "sequence",  # of the last applied ring record
            "position",  # ring bytes consumed through it
            "recv_ns",  # CLOCK_BOOTTIME at which the engine received it
            "wall_ns",  # CLOCK_REALTIME of the same
            "state",
            "reason",
            "source",
            "since_ns",  # recv_ns of the record that brought this state
            "since_wall_ns",
            "gap_reason",  # of the first gap of the last outage: 0 if there was none
            "gap_sequence",  # of its last gap
            "gap_wall_ns",
            "gap_count",  # records known lost in all of them
            "venue_ns",  # the venue's stamp of the last applied depth record
            "trade_ns",  # and of the last trade
            "synced",  # 1 after a snapshot was taken
            "max_increment",  # entries of the longest depth list seen while synced
            "cause",  # the Reason why it is not synced
            "paused",  # 1 after an engine pause, until venue lag is back near its least
            "lagging",  # 1 while venue lag is above its least by max_venue_lag_ns
            "bid_bound",  # the best bid ever pushed out of a full side: at and below it the book is not known
            "ask_bound",  # the same for asks, at and above; NO_BOUND and -NO_BOUND when the side is known whole
            "n_bids",
            "n_asks",
            "applied",
            "refused",
            "dropped",
            "quarantined",
            "resyncs",
            "resync_wanted",
            "trades",
            "depth_entries",
            "fast_records",  # decoded by the kernel
            "slow_records",  # decoded by the slow path
            "ignored_entries",  # depth entries thrown away while waiting for a snapshot
            "unknown_entries",  # entries of a type that moves no book
            "overflow_levels",  # levels pushed out of a full side
            "lag_ns",  # receive wall clock less venue stamp, of the last stamped record
            "lag_min_ns",  # least of the running window
            "lag_prior_ns",  # least of the window before
            "lag_window_ns",  # recv_ns at which the running window began
            "best_bid",
            "best_bid_size",
            "best_ask",
            "best_ask_size",
            "quoted_state",  # the state in the newest quote row
            "last_price",
            "last_size",
            "last_side",
            "price_scale",
            "price_increment",
            "size_scale",
            "size_increment",
            "max_venue_lag_ns",
            "known",  # bits of SESSION_FIELDS
            *(f"session_{field}" for field in SESSION_FIELDS),
            "data_sequence",  # of the last hub message that was applied: from there on nothing is known in a gap
            "data_wall_ns",
            "edge_sequence",  # of the record through which the book last became live, or stopped being live
            "edge_wall_ns",
        )
    ]
    + [
        ("contract", "S64"),
        ("gap_from_wall_ns", "<i8"),  # data_wall_ns when the last outage had its first gap
        ("book_digest", "<i8"),  # over levels and venue stamp at each clock frame: see workers/digests.py
        ("tape_digest", "<i8"),  # over all trades
    ]
)

CELLS = 8
CELL = np.dtype(
    [
        ("begin", "<u8"),
        ("end", "<u8"),
        ("publish_ns", "<i8"),  # CLOCK_BOOTTIME
        ("batch_records", "<i8"),
        ("n_bids", "<i8"),  # published here: at most `levels`
        ("n_asks", "<i8"),
        ("spread", "<i8"),  # ticks
        ("microprice_e6", "<i8"),  # millionths of a tick above the best bid
        ("imbalance_e6", "<i8"),  # (bid size - ask size) / (bid size + ask size) of the best, millionths
        ("near_bid_size", "<i8"),  # total size within NEAR_TICKS of the best
        ("near_ask_size", "<i8"),
        ("spare", "<i8", (5,)),
        ("state", STATE),
    ]
)
NEAR_TICKS = 10

SLOT = np.dtype([("begin", "<u8"), ("end", "<u8"), ("spare", "<i8", (6,)), ("state", STATE)])

TRADE = np.dtype(
    [
        ("sequence", "<i8"),  # of the ring record it came in, and
        ("place", "<i8"),  # its place there: the key by which a successor skips what is written
        ("venue_ns", "<i8"),
        ("recv_ns", "<i8"),
        ("price", "<i8"),
        ("size", "<i8"),
        ("side", "<i8"),  # BUY or SELL: the aggressor
        ("spare", "<i8"),
    ]
)

QUOTE = np.dtype(
    [
        ("sequence", "<i8"),
        ("state", "<i8"),  # a row is written when the best of a side changes, and when the state does
        ("venue_ns", "<i8"),
        ("recv_ns", "<i8"),
        ("bid", "<i8"),
        ("bid_size", "<i8"),  # 0: that side is empty, its price means nothing
        ("ask", "<i8"),
        ("ask_size", "<i8"),
    ]
)


class EventKind(IntEnum):
    """What happened; people see the name in small letters. Of one record's events the lower kinds come first."""

    ROLL = 1  # another contract than before: worker, from the config record
    GAP = 2  # the stream was not whole: worker, from a gap record or a record set aside
    RESYNC = 3  # a snapshot was asked for: worker, from a gap record that says so
    STALE = 4  # a live book stopped being live: worker
    LIVE = 5  # a book became live: worker
    RESTART = 6  # a process took the place of one that had ended: supervisor, as all below
    QUARANTINE = 7  # a ring record on which two lives of a worker ended is set aside from now on
    PARKED = 8  # a process is not started again
    ADDED = 9  # an instrument, while the engine runs; so the next two
    CHANGED = 10
    REMOVED = 11


# The events of one ring record, or of one call of the supervisor, are committed together.
EVENT = np.dtype(
    [
        ("sequence", "<i8"),  # of the ring record it came in, and
        ("place", "<i8"),  # its place there: the key of tape rows. The supervisor counts its own events from 1
        ("kind", "<i8"),
        ("reason", "<i8"),  # a Reason; 0 where `text` says why
        ("wall_ns", "<i8"),  # CLOCK_REALTIME of the record, or when the supervisor knew
        ("recv_ns", "<i8"),  # CLOCK_BOOTTIME of the same
        ("from_sequence", "<i8"),  # where that begins which ends here; 0: not known, or nothing was before
        ("from_wall_ns", "<i8"),
        ("count", "<i8"),  # GAP: records known lost; RESTART: restarts so far
        ("pid", "<i8"),  # of the process that it is about; 0: none
        ("symbol", "S32"),  # only in the supervisor's: a worker's ring is of one instrument
        ("subject", "S64"),  # ROLL: the contract before; of the supervisor's: who
        ("text", "S80"),  # ROLL: the contract after; of the supervisor's: why, utf-8, cut to fit
    ]
)
EVENT_ROWS = 1 << 10


class BarFlag(IntFlag):
    """What a bar is. A closed row is never rewritten: what changes it later appends a row of a higher revision."""

    FORMING = 1
    COMPLETE = 2
    REPAIRED = 4  # made of the venue's history, after an outage
    SUSPECT = 8  # an outage, a drop or a gap lies in it, and it is not repaired yet
    NO_TRADE = 16  # no trade fell into it: flat at the last close, if its timeframe wants such bars
    JOINED = 32  # the first bar of the next contract, where two were stitched together


# One bar, hot and forming. Keyed by start_ns; of rows with one key the one of the highest revision counts.
BAR = np.dtype(
    [
        ("number", "<i8"),  # of the row, without end: it lies at number mod rows
        ("start_ns", "<i8"),  # exchange time; of a bar by count that of its first trade
        ("end_ns", "<i8"),  # exclusive; of a bar by count that of its last trade
        ("open", "<i8"),  # ticks, as the next three
        ("high", "<i8"),
        ("low", "<i8"),
        ("close", "<i8"),
        ("volume", "<i8"),  # size units, as the next two
        ("buy_volume", "<i8"),
        ("sell_volume", "<i8"),
        ("trades", "<i8"),
        ("notional", "<i8"),  # sum of ticks times size units: over volume it is the VWAP
        ("flags", "<u4"),  # BarFlag
        ("revision", "<u4"),
        ("sequence", "<i8"),  # of the last ring record that is in it
        ("trading_day", "<i4"),  # days since 1970-01-01 of the session's trading day
        ("spare", "<u4"),
        ("checksum", "<u8"),  # of the 120 bytes before
    ]
)
assert BAR.itemsize == 128

# Of one timeframe of a bars segment, fixed when that is made.
TIMEFRAME = np.dtype(
    [
        ("unit", "<i8"),  # a timeframe.Unit
        ("amount", "<i8"),
        ("first", "<i8"),  # where its ring begins in `rows`
        ("rows", "<i8"),  # of its ring: a power of two
        ("first_number", "<i8"),  # of its first row: above all that an earlier file may have had
        ("spare", "<i8", (2,)),
        ("checksum", "<i8"),
    ]
)

NEVER_NS = (1 << 63) - 1
# What a timeframe is, through one ring record: all that the next record's result depends on.
FORMING = np.dtype(
    [
        (name, "<i8")
        for name in (
            "begin",  # the number of this commit: odd ones lie in slot 1
            "through",  # ring sequence of the last record that changed it; a successor skips up to here
            "count",  # number of the next closed row
            "lost",  # closed bars that found no room, because nothing was sealed
            "unplaced",  # trades that no bar could be found for: no session table, or older than the hot rows
            "closed_ns",  # start of the newest bar that was closed in its turn; trades at or before it are late
            "last_close",  # ticks, of the newest trade that was not late
            "traded",  # 1 once there was one
            "empty_ns",  # start of the next period that may have had no trade; 0: not known, in a gap
            "gap_ns",  # bars that overlap gap_ns to whole_ns are suspect
            "whole_ns",  # NEVER_NS while the stream is not whole
            "pending",  # BarFlag bits for the next bar that opens
            "late",  # trades that came for a closed bar
            "spare",
        )
    ]
    + [("bars", BAR, (2,)), ("checksum", "<i8"), ("end", "<i8")]  # a bar is there if it has FORMING
)

# An unbroken time of trading, in UTC. A day with a break has several rows; rows come by open_ns and do not overlap.
SESSION = np.dtype(
    [
        ("open_ns", "<i8"),
        ("close_ns", "<i8"),  # exclusive
        ("trading_day", "<i4"),  # days since 1970-01-01 of the exchange's trade date
        ("rth", "<i4"),  # 1: of the view that has regular hours only
    ]
)
MAX_SESSION_ROWS = 64  # of one ring record
KEPT_SESSIONS = 256  # two months and more
SESSIONS = np.dtype(
    [
        ("begin", "<i8"),
        ("through", "<i8"),  # ring sequence of the record that brought the last of them
        ("count", "<i8"),
        ("rows", SESSION, (KEPT_SESSIONS,)),
        ("checksum", "<i8"),
        ("end", "<i8"),
    ]
)

# What the keeper asks the venue for: bars of one timeframe that begin in [start_ns, end_ns).
WISH = np.dtype(
    [
        ("number", "<i8"),  # never used twice in a generation; written last
        ("unit", "<i8"),  # a timeframe.Unit
        ("amount", "<i8"),
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),
        ("symbol", "S32"),
        ("spare", "<i8", (7,)),
    ]
)
MAX_WISHES = 32


class Answered(IntEnum):
    """How far a wish is answered."""

    MORE = 0  # rows, and more of them follow
    DONE = 1  # these were the last
    LATER = 2  # the venue could not be asked: `text` says why; rows that came before it are no answer
    NEVER = 3  # the venue refuses this wish for good


ANSWER = np.dtype(
    [
        ("number", "<i8"),  # of the wish
        ("answered", "<i8"),  # an Answered
        ("rows", "<i8"),  # BAR rows behind this one: without number, sequence, revision, trading day and checksum
        ("refused", "<i8"),  # rows of the venue's that were left out, with the last answer
        ("settled_ns", "<i8"),  # what is over by then changes no more at the venue; CLOCK_REALTIME
        ("price_scale", "<i8"),  # of the contract that was asked for, in which the rows' prices are
        ("price_increment", "<i8"),
        ("text", "S72"),  # utf-8, cut to fit
    ]
)
MAX_ANSWER_ROWS = 2048  # of one record: an eighth of its ring is never reached, so none comes in chunks
KEEPER_RING_BYTES = 4 << 20

KEEPER_WORDS = (
    "heartbeat",
    "rounds",  # looks at all instruments
    "sealed_rows",
    "sealed_files",
    "compacted_files",  # made out of smaller ones
    "retired_files",  # taken out of sight by retention
    "deleted_files",
    "syncs",  # of hot files
    "sync_ns",  # what the last round of them took
    "disk_errors",
    "wishes",
    "answers",
    "refusals",  # wishes that the venue refused for good
    "added_rows",  # bars of the venue's where there were none
    "repaired_rows",  # and where one was suspect
    "refused_rows",  # of the venue's that could not be taken
    "deleted_asides",  # hot files that were set aside, when there are many or they are old
)
KEEPER_BYTES = 4096

RECORDING_WORDS = (
    "heartbeat",
    "state",  # engine/recorder/health.py
    "taken",  # entries: each of them is written, lost or not yet written
    "written",
    "lost",
    "jumps",  # stretches that were missing in what came
    "doubles",  # entries that had been written before, by a recorder that was killed
    "blocks",
    "body_bytes",
    "stored_bytes",
    "files",
    "unfinished",  # files that got no index
    "failed_syncs",
    "deleted",
    "failed_deletes",
)
RECORDING_BYTES = 4096

# Words of a bars segment's control.
BARS_SCALE = 0  # price_scale, price_increment, size_scale, size_increment; all 0 before the first config record
BARS_SCALE_CHECKSUM = 4  # 0 until then
_BARS_LINES = 2
BARS_FULL = (4, 5)  # of a timeframe's rows that are closed and not sealed: from there on the keeper seals


def bars_line(t: int) -> int:
    """The worker's first word of timeframe t: count, and then lost."""
    return (1 + _BARS_LINES * t) * WORDS_A_LINE


def sealed_line(t: int) -> int:
    """The keeper's word of timeframe t: rows below that number are sealed, and may be overwritten."""
    return bars_line(t) + WORDS_A_LINE


PUBLISHED = 0
THROUGH_NS = 1 * WORDS_A_LINE  # recv_ns of the last applied record; a clock frame moves just this
WAKE = 2 * WORDS_A_LINE  # futex word: readers sleep on it
TAPE_INTENT = 3 * WORDS_A_LINE
TAPE_COUNT = TAPE_INTENT + 1
QUOTE_INTENT = 4 * WORDS_A_LINE
QUOTE_COUNT = QUOTE_INTENT + 1
WAKE_NS = 5 * WORDS_A_LINE  # when readers were last woken
WAKE_WOKEN = WAKE_NS + 1  # how many that was
WAKE_OWED = WAKE_NS + 2
EVENT_INTENT = 6 * WORDS_A_LINE
EVENT_COUNT = EVENT_INTENT + 1
LATENCY = 16 * WORDS_A_LINE  # receive-to-publish counts, four steps an octave of nanoseconds
LATENCY_STEPS = 192

# ── the account ───────────────────────────────────────────────────────────────────────────────────────────

# Prices and money are whole numbers of 10^-9, whatever the tick: NO_VALUE where the venue says nothing.
E9 = 10**9
NO_VALUE = -(1 << 62)
MAX_ACCOUNT_AGE_NS = 1_000_000_000  # of `through`: beyond it the account is not live, whatever its state says

ACCOUNT_CELLS = 4  # it changes at the pace of fills
MAX_ORDERS = 256
MAX_POSITIONS = 64
MAX_FILLS = 512  # the newest

ACCOUNT = np.dtype(
    [
        (name, "<i8")
        for name in (
            "begin",
            "end",
            "publish_ns",  # CLOCK_BOOTTIME
            "state",  # a State
            "reason",  # a Reason
            "since_ns",  # CLOCK_BOOTTIME of the publication that brought this state
            "since_wall_ns",  # CLOCK_REALTIME of the same
            "synced_ns",  # CLOCK_BOOTTIME of the last whole answer of the venue; 0: there was none
            "account_id",  # 0: not known yet
            "balance_e9",
            "can_trade",
            "n_orders",  # rows that count, here: orders that are working,
            "n_positions",  # positions that are open,
            "n_fills",  # and fills, each once
            "unlisted_orders",  # those that are there and for which a cell has no room
            "unlisted_positions",
            "unlisted_fills",
            "connects",  # tries to reach the user hub
            "syncs",  # whole answers of the venue that were taken
            "events",  # of the user hub that were taken
            "refused",  # messages, and rows of them, that could not be read
            "ignored",  # that could: another account, an older state, an event we know nothing of
        )
    ]
    + [("name", "S64"), ("spare", "<i8", (2,))]
)

ORDER = np.dtype(
    [
        ("order_id", "<i8"),
        ("created_ns", "<i8"),  # the venue's clock
        ("updated_ns", "<i8"),  # the same; 0: it did not say
        ("status", "<i8"),  # the venue's numbers: ORDER_STATUS
        ("type", "<i8"),  # ORDER_TYPE
        ("side", "<i8"),  # BUY or SELL
        ("size", "<i8"),
        ("filled", "<i8"),
        ("limit_e9", "<i8"),
        ("stop_e9", "<i8"),
        ("filled_e9", "<i8"),  # the mean of its fills
        ("tick_e9", "<i8"),  # the contract's increment; 0: not known
        ("contract", "S64"),
        ("tag", "S128"),
    ]
)

POSITION = np.dtype(
    [
        ("position_id", "<i8"),
        ("created_ns", "<i8"),
        ("size", "<i8"),  # above 0 long, below 0 short
        ("average_e9", "<i8"),
        ("contract", "S64"),
    ]
)

FILL = np.dtype(
    [
        ("fill_id", "<i8"),
        ("order_id", "<i8"),
        ("created_ns", "<i8"),
        ("price_e9", "<i8"),
        ("profit_e9", "<i8"),  # NO_VALUE: it opened
        ("fees_e9", "<i8"),
        ("side", "<i8"),  # BUY or SELL
        ("size", "<i8"),
        ("voided", "<i8"),
        ("tick_e9", "<i8"),
        ("contract", "S64"),
    ]
)

# The venue's words for its numbers (the OpenAPI document of the gateway), by number.
ORDER_STATUS = (
    "none",
    "open",
    "filled",
    "cancelled",
    "expired",
    "rejected",
    "pending",
    "pending cancellation",
    "suspended",
)
ORDER_TYPE = ("unknown", "limit", "market", "stop limit", "stop", "trailing stop", "join bid", "join ask")

# ── the engine's page ─────────────────────────────────────────────────────────────────────────────────────

# One line each, all written by the engine; after them FEED_LINES is free for later venues.
ENGINE_WORDS = (
    "heartbeat",
    "tick_ns",
    "feed_state",
    "connects",
    "frames",
    "messages",
    "bytes",
    "unrouted",  # hub messages that name no contract of ours, or no event of ours
    "refused_frames",  # websocket frames that could not be cut into messages
    "resubscribes",
    "pauses",  # own ticks that came 500 ms late
    "http_requests",
    "http_errors",
    "http_retries",
    "http_delayed",  # requests that their budget made wait
    "fetches_joined",  # with one of the same thing that was under way
    "instrument_hits",
    "instrument_misses",
    "instrument_evictions",
    "market_data_hits",
    "market_data_misses",
    "market_data_evictions",
    "calculation_hits",
    "calculation_misses",
    "calculation_evictions",
    "probes",  # newest bars asked for, because an instrument was silent
    "freezes",  # streams found frozen: of one instrument, or of all
)
ENGINE_BYTES = 4096


Dtype = np.dtype[np.void] | np.dtype[np.int64]


class Region(NamedTuple):
    """A named array in a segment: where, of what, how many."""

    offset: int
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape))


Regions = dict[str, Region]
WORDS: np.dtype[np.int64] = np.dtype("<i8")  # signed: in a kernel an unsigned and a signed number make a float


def _pack(*parts: tuple[str, Dtype, tuple[int, ...]]) -> Regions:
    """Lay regions one behind the other, each on a page of its own."""
    regions: Regions = {}
    offset = HEADER_BYTES
    for name, dtype, shape in parts:
        region = Region(offset, dtype, shape)
        regions[name] = region
        offset += -(-region.nbytes // 4096) * 4096
    return regions


def ring_regions(capacity: int) -> Regions:
    """A ring of `capacity` data bytes: a power of two, at least MIN_RING_BYTES."""
    if capacity < MIN_RING_BYTES or capacity & (capacity - 1):
        raise ValueError(f"a ring holds a power of two of bytes, at least {MIN_RING_BYTES}; not {capacity}")
    return _pack(("words", WORDS, ((CONTROL_BYTES + capacity + RING_SLACK) // 8,)))


def book_regions(
    levels: int, max_depth: int, tape_rows: int = 1 << 15, quote_rows: int = 1 << 14, event_rows: int = EVENT_ROWS
) -> Regions:
    """A book that publishes `levels` a side and keeps `max_depth`; the row counts are powers of two."""
    if not 1 <= levels <= max_depth:
        raise ValueError(f"levels is {levels}, it must be between 1 and max_depth, which is {max_depth}")
    for rows in (tape_rows, quote_rows, event_rows):
        _check_rows(rows)
    return _pack(
        ("control", WORDS, (CONTROL_BYTES // 8,)),
        ("cells", CELL, (CELLS,)),
        ("cell_levels", LEVEL, (CELLS, 2, levels)),
        ("state", STATE, (1,)),
        ("levels", LEVEL, (2, max_depth)),
        ("slots", SLOT, (2,)),
        ("slot_levels", LEVEL, (2, 2, max_depth)),
        ("tape", TRADE, (tape_rows,)),
        ("quotes", QUOTE, (quote_rows,)),
        ("events", EVENT, (event_rows,)),
    )


def _check_rows(rows: int) -> None:
    if rows < 2 or rows & (rows - 1):
        raise ValueError(f"a broadcast ring has a power of two of rows; not {rows}")


def engine_regions() -> Regions:
    return _pack(("words", WORDS, (ENGINE_BYTES // 8,)))


def changed_regions() -> Regions:
    """One word, bumped by fetch-add by every worker and the supervisor: the one exception to one writer a byte."""
    return _pack(("words", WORDS, (WORDS_A_LINE,)))


def bell_regions() -> Regions:
    """One word, bumped by the engine alone: a worker with several rings can sleep on one word only."""
    return _pack(("words", WORDS, (WORDS_A_LINE,)))


def account_regions() -> Regions:
    return _pack(
        ("control", WORDS, (CONTROL_BYTES // 8,)),
        ("cells", ACCOUNT, (ACCOUNT_CELLS,)),
        ("orders", ORDER, (ACCOUNT_CELLS, MAX_ORDERS)),
        ("positions", POSITION, (ACCOUNT_CELLS, MAX_POSITIONS)),
        ("fills", FILL, (ACCOUNT_CELLS, MAX_FILLS)),
    )


def events_regions(event_rows: int = EVENT_ROWS) -> Regions:
    """The supervisor's events; the row count is a power of two."""
    _check_rows(event_rows)
    return _pack(("control", WORDS, (CONTROL_BYTES // 8,)), ("events", EVENT, (event_rows,)))


def keeper_regions() -> Regions:
    return _pack(("words", WORDS, (KEEPER_BYTES // 8,)), ("wishes", WISH, (MAX_WISHES,)))


def recorder_regions() -> Regions:
    return _pack(("words", WORDS, (RECORDING_BYTES // 8,)))


def bars_regions(frames: int, rows: int) -> Regions:
    """`frames` timeframes with `rows` rows together."""
    if not 1 <= frames <= MAX_TIMEFRAMES or rows < frames:
        raise ValueError(f"bars are of 1 to {MAX_TIMEFRAMES} timeframes with a row at least each; not {frames}, {rows}")
    return _pack(
        ("control", WORDS, (bars_line(frames),)),
        ("frames", TIMEFRAME, (frames,)),
        ("slots", FORMING, (frames, 2)),
        ("sessions", SESSIONS, (2,)),
        ("rows", BAR, (rows,)),
    )


def total_bytes(regions: Regions) -> int:
    last = max(regions.values(), key=lambda region: region.offset)
    return last.offset + -(-last.nbytes // 4096) * 4096


def describe(regions: Regions) -> bytes:
    """The layout as JSON, for readers in other languages; it lies in the segment's header."""
    dtypes: dict[str, object] = {}
    rows = {}
    for name, region in regions.items():
        kind = next((key for key, known in NAMED_DTYPES.items() if known is region.dtype), region.dtype.str)
        rows[name] = {"offset": region.offset, "dtype": kind, "shape": list(region.shape)}
        if kind in NAMED_DTYPES:
            dtypes[kind] = _fields(NAMED_DTYPES[kind])
    if "CELL" in dtypes:
        dtypes["STATE"] = _fields(STATE)  # lies in cells and slots
    if "SESSIONS" in dtypes:
        dtypes["SESSION"] = _fields(SESSION)
    text = json.dumps({"regions": rows, "dtypes": dtypes}, separators=(",", ":")).encode()
    assert len(text) <= HEADER_BYTES - DESCRIPTION_OFFSET, len(text)
    return text


def _fields(dtype: np.dtype[np.void]) -> list[object]:
    described: list[object] = []
    for name in dtype.names or ():
        part, offset = dtype.fields[name][:2]  # type: ignore[index]
        described.append([name, _INNER.get(part.base, part.base.str), offset, list(part.shape)])
    return described


# Of what other rows are made.
_INNER: dict[np.dtype[np.void], str] = {STATE: "STATE", BAR: "BAR", SESSION: "SESSION"}


def read_description(text: bytes) -> Regions:
    """The regions of a segment from its own description. Raises ValueError, KeyError or TypeError if it is not one."""
    described = json.loads(text)
    regions: Regions = {}
    for name, row in described["regions"].items():
        dtype = NAMED_DTYPES.get(row["dtype"]) or np.dtype(row["dtype"])
        regions[name] = Region(int(row["offset"]), dtype, tuple(int(n) for n in row["shape"]))
    return regions


NAMED_DTYPES: dict[str, np.dtype[np.void]] = {
    "LEVEL": LEVEL,
    "STATE": STATE,
    "CELL": CELL,
    "SLOT": SLOT,
    "TRADE": TRADE,
    "QUOTE": QUOTE,
    "ACCOUNT": ACCOUNT,
    "ORDER": ORDER,
    "POSITION": POSITION,
    "FILL": FILL,
    "EVENT": EVENT,
    "BAR": BAR,
    "TIMEFRAME": TIMEFRAME,
    "FORMING": FORMING,
    "SESSIONS": SESSIONS,
    "WISH": WISH,
}

Words = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.void]

assert TIMEFRAME.itemsize == 64 and FORMING.itemsize == 384 and SESSIONS.itemsize % 8 == 0
assert HEADER.itemsize <= LINE_BYTES
assert STATE.itemsize % 64 == 0 and CELL.itemsize % 64 == 0 and SLOT.itemsize % 64 == 0
assert CELL.fields["state"][1] % 8 == 0  # type: ignore[index]
assert ACCOUNT.itemsize % 64 == 0 and (ACCOUNT.names or ())[:2] == ("begin", "end")
assert TRADE.itemsize == QUOTE.itemsize == 64 and LEVEL.itemsize == 16 and EVENT.itemsize == 256
assert (HEARTBEAT + WORDS_A_LINE) * 8 <= CONTROL_BYTES
assert (LATENCY + LATENCY_STEPS) * 8 <= CONTROL_BYTES
assert len(ENGINE_WORDS) * LINE_BYTES <= ENGINE_BYTES and len(KEEPER_WORDS) * LINE_BYTES <= KEEPER_BYTES
assert len(RECORDING_WORDS) * LINE_BYTES <= RECORDING_BYTES
assert WISH.itemsize == ANSWER.itemsize == LINE_BYTES
assert ANSWER.itemsize + MAX_ANSWER_ROWS * BAR.itemsize <= KEEPER_RING_BYTES // 8
assert STRETCH.itemsize == 64 and STRETCH.fields["from_position"][1] == (RECORDED - RECORDED_AS) * 8  # type: ignore[index]
assert (RECORDER_WORDS + 1) * 8 <= CONTROL_BYTES and RECORDER_WORDS < RECORDED_AS + WORDS_A_LINE
assert 2 * (RECORD_BYTES + GAP.itemsize + 8) <= GAP_RESERVE
