"""Frames made beforehand: a websocket frame for each record of a flow, complete but for the time in it.

A frame is what a server sends: a header without mask, one JSON hub message, 0x1E. All frames of a contract lie in
one buffer; sending one is copying it and writing the time of sending over the stamps in the copy (33 characters,
seven fractional digits, always UTC). Every stamp in one frame is the same. Building and copying are kernels: at
200,000 entries/s a record may not cost Python.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shm.compiled import allocating_kernel

from .contracts import Contract
from .flow import Field, Flow, Ints, Kind, Rows

Bytes = npt.NDArray[np.uint8]

STAMP = b"2026-11-22T14:33:00.1234567+00:00"
_PATCHED = 27  # characters of it that change: the zone stays
_HEADER_ROOM = 10  # the longest frame header
_ENTRY_ROOM = 224  # no entry with its decimals, stamp and field names is longer
_FRAME_ROOM = 256
_QUOTE = int(Kind.QUOTE)

# What an entry's text holds after each piece of fixed text.
_NOTHING, _STAMP, _TYPE, _PRICE, _SIZE, _COUNT, _E9 = range(7)
Plan = tuple[tuple[str, int], ...]

_HEAD = '{"type":1,"target":"Gateway%s","arguments":["%s'
_DEPTH_ENTRY: Plan = (
    ('{"timestamp":"', _STAMP),
    ('","type":', _TYPE),
    (',"price":', _PRICE),
    (',"volume":', _SIZE),
    (',"currentVolume":', _SIZE),
    ("}", _NOTHING),
)
_TRADE_ENTRY: Plan = (
    ('{"symbolId":"%s","price":', _PRICE),
    (',"timestamp":"', _STAMP),
    ('","type":', _TYPE),
    (',"volume":', _SIZE),
    ("}", _NOTHING),
)
_QUOTE_FIELDS: dict[Field, Plan] = {
    Field.LAST_PRICE: (('"lastPrice":', _PRICE),),
    Field.BEST_BID: (('"bestBid":', _PRICE),),
    Field.BEST_ASK: (('"bestAsk":', _PRICE),),
    Field.CHANGE: (('"change":', _PRICE),),
    Field.CHANGE_PERCENT: (('"changePercent":', _E9),),
    Field.OPEN: (('"open":', _PRICE),),
    Field.HIGH: (('"high":', _PRICE),),
    Field.LOW: (('"low":', _PRICE),),
    Field.VOLUME: (('"volume":', _COUNT),),
    Field.LAST_UPDATED: (('"lastUpdated":"', _STAMP), ('"', _NOTHING)),
    Field.TIMESTAMP: (('"timestamp":"', _STAMP), ('"', _NOTHING)),
}
assert list(_QUOTE_FIELDS) == list(Field)


# places in a row of `table`
_KIND, _FIRST, _LENGTH, _STAMPS_FIRST, _STAMPS = range(5)


class Frames(NamedTuple):
    """buffer: all frames. table: (n, 5) int64, a record's kind, first byte, length, first stamp and stamp count.
    stamps: int64, where in its frame each stamp begins."""

    buffer: Bytes
    table: Ints
    stamps: Ints


class Texts(NamedTuple):
    """The fixed text of a contract's messages, for a kernel: piece i is joined[ends[i] : ends[i + 1]].

    heads and tails: by Kind, the pieces before and after a record's entries. plans: by Kind, and for quotes by
    Kind.QUOTE + Field, the steps from plan_ends[p] to plan_ends[p + 1] that write an entry; steps: (n, 2) of piece
    and what follows it.
    """

    joined: Bytes
    ends: Ints
    heads: Ints
    tails: Ints
    steps: Ints
    plan_ends: Ints


def _texts(contract: Contract) -> Texts:
    pieces = [STAMP.decode(), ","]
    heads = {"Depth": "[", "Trade": "[", "Quote": f'{{"symbol":"{contract.symbol_id}",'}
    for name, opening in heads.items():
        pieces.append(_HEAD % (name, contract.contract_id) + f'",{opening}')
    pieces += ["]]}\x1e", "]]}\x1e", "}]}\x1e"]
    steps: list[tuple[int, int]] = []
    plan_ends = [0]
    for plan in (_DEPTH_ENTRY, _TRADE_ENTRY, *_QUOTE_FIELDS.values()):
        for text, value in plan:
            steps.append((len(pieces), value))
            pieces.append(text.replace("%s", contract.symbol_id))
        plan_ends.append(len(steps))
    coded = [piece.encode() for piece in pieces]
    return Texts(
        np.frombuffer(b"".join(coded), np.uint8).copy(),
        np.cumsum([0, *map(len, coded)], dtype=np.int64),
        np.arange(2, 5),
        np.arange(5, 8),
        np.array(steps, np.int64),
        np.array(plan_ends, np.int64),
    )


@allocating_kernel
def _put(out: Bytes, at: int, joined: Bytes, ends: Ints, piece: int) -> int:
    for i in range(ends[piece], ends[piece + 1]):
        out[at] = joined[i]
        at += 1
    return at


@allocating_kernel
def _put_int(out: Bytes, at: int, value: int) -> int:
    if value < 0:
        out[at] = 45
        at, value = at + 1, -value
    digits, rest = 1, value
    while rest >= 10:
        rest //= 10
        digits += 1
    for i in range(at + digits - 1, at - 1, -1):
        out[i] = 48 + value % 10
        value //= 10
    return at + digits


@allocating_kernel
def _put_decimal(out: Bytes, at: int, value_e9: int) -> int:
    """The shortest exact decimal of an integer of 10^-9."""
    if value_e9 < 0:
        out[at] = 45
        at, value_e9 = at + 1, -value_e9
    at = _put_int(out, at, value_e9 // 1_000_000_000)
    rest = value_e9 % 1_000_000_000
    if rest == 0:
        return at
    out[at] = 46
    at += 1
    unit = 100_000_000
    while rest > 0:
        out[at] = 48 + rest // unit
        rest %= unit
        unit //= 10
        at += 1
    return at


@allocating_kernel
def _put_header(out: Bytes, begin: int, length: int) -> int:
    """Write the header of a text frame so that it ends at `begin`. Returns where it starts."""
    if length < 126:
        out[begin - 2], out[begin - 1] = 0x81, length
        return begin - 2
    if length < 65536:
        out[begin - 4], out[begin - 3], out[begin - 2], out[begin - 1] = 0x81, 126, length >> 8, length & 255
        return begin - 4
    out[begin - 10], out[begin - 9] = 0x81, 127
    for i in range(8):
        out[begin - 1 - i] = (length >> (8 * i)) & 255
    return begin - 10


@allocating_kernel
def _build(
    kinds: Ints,
    firsts: Ints,
    counts: Ints,
    entries: Ints,
    tick_e9: int,
    joined: Bytes,
    ends: Ints,
    heads: Ints,
    tails: Ints,
    steps: Ints,
    plan_ends: Ints,
    buffer: Bytes,
    table: Ints,
    stamps: Ints,
) -> int:
    """Write the frames of all records. Returns the bytes used."""
    at, n_stamps = 0, 0
    for record in range(len(kinds)):
        kind, stamps_first = kinds[record], n_stamps
        begin = at + _HEADER_ROOM
        at = _put(buffer, begin, joined, ends, heads[kind])
        for i in range(firsts[record], firsts[record] + counts[record]):
            what, price, size = entries[i, 0], entries[i, 1], entries[i, 2]
            if i > firsts[record]:
                at = _put(buffer, at, joined, ends, 1)
            plan = kind + what if kind == _QUOTE else kind
            for step in range(plan_ends[plan], plan_ends[plan + 1]):
                at = _put(buffer, at, joined, ends, steps[step, 0])
                value = steps[step, 1]
                if value == _STAMP:
                    stamps[n_stamps] = at - begin
                    n_stamps += 1
                    at = _put(buffer, at, joined, ends, 0)
                elif value in (_PRICE, _E9):
                    at = _put_decimal(buffer, at, price * tick_e9 if value == _PRICE else price)
                elif value != _NOTHING:
                    at = _put_int(buffer, at, what if value == _TYPE else size if value == _SIZE else price)
        at = _put(buffer, at, joined, ends, tails[kind])
        start = _put_header(buffer, begin, at - begin)
        for i in range(stamps_first, n_stamps):
            stamps[i] += begin - start
        table[record, _KIND], table[record, _FIRST], table[record, _LENGTH] = kind, start, at - start
        table[record, _STAMPS_FIRST], table[record, _STAMPS] = stamps_first, n_stamps - stamps_first
    return at


def build(contract: Contract, records: Rows, entries: Rows) -> Frames:
    """The frames of records of one contract, in order."""
    counts = np.ascontiguousarray(records["entries"])
    flat = np.ascontiguousarray(entries).view(np.int64).reshape(-1, 3)
    buffer = np.empty(len(records) * _FRAME_ROOM + int(counts.sum()) * _ENTRY_ROOM, np.uint8)
    table = np.empty((len(records), 5), np.int64)
    stamps = np.empty(int(counts.sum()), np.int64)
    kinds, firsts = np.ascontiguousarray(records["kind"]), np.ascontiguousarray(records["first"])
    used = _build(kinds, firsts, counts, flat, contract.tick_e9, *_texts(contract), buffer, table, stamps)
    return Frames(buffer[:used].copy(), table, stamps)


def rename(frames: Frames, contract_id: str) -> None:
    """Write another contract's id over the one in all frames. Raises ValueError if it is not equally long.

    It is the first argument of every message, and the targets are equally long, so it always lies at the same place.
    """
    lengths = frames.table[:, _LENGTH]
    headers = np.select([lengths < 126 + 2, lengths < 65536 + 4], [2, 4], 10)
    places = frames.table[:, _FIRST] + headers + len(_HEAD % ("Depth", ""))
    if len(places) and bytes(frames.buffer[places[0] :][: len(contract_id) + 1]).find(b'"') != len(contract_id):
        raise ValueError(f"the id {contract_id} is not as long as the one in the frames")
    for i, letter in enumerate(contract_id.encode()):
        frames.buffer[places + i] = letter


def build_flow(flow: Flow) -> Frames:
    """The frames of a whole flow."""
    return build(flow.contract, flow.records, flow.entries)


@allocating_kernel
def _two(text: Bytes, at: int, value: int) -> None:
    text[at], text[at + 1] = 48 + value // 10, 48 + value % 10


@allocating_kernel
def put_stamp(text: Bytes, stamp_ns: int) -> None:
    """Write the first 27 characters of a stamp: nanoseconds of the epoch, to 100 ns, between 1970 and 9999."""
    seconds = stamp_ns // 1_000_000_000
    fraction = stamp_ns % 1_000_000_000 // 100
    days, second = seconds // 86_400, seconds % 86_400
    # The civil date of a day number, counting years from March so that the leap day comes last.
    shifted = days + 719_468
    era, day_of_era = shifted // 146_097, shifted % 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    _two(text, 0, year // 100)
    _two(text, 2, year % 100)
    _two(text, 5, month)
    _two(text, 8, day_of_year - (153 * month_from_march + 2) // 5 + 1)
    _two(text, 11, second // 3600)
    _two(text, 14, second // 60 % 60)
    _two(text, 17, second % 60)
    text[4], text[7], text[10], text[13], text[16], text[19] = 45, 45, 84, 58, 58, 46
    for i in range(26, 19, -1):
        text[i] = 48 + fraction % 10
        fraction //= 10


@allocating_kernel
def copy_run(
    buffer: Bytes,
    table: Ints,
    stamps: Ints,
    sent_ns: Ints,
    sent_record: Ints,
    begin: int,
    end: int,
    wanted: int,
    out: Bytes,
    at: int,
) -> tuple[int, int]:
    """Copy the frames of log rows begin … end - 1 into `out` from `at` on, each with its stamp.

    sent_ns, sent_record: the stamp log (truth.py), rings of a power of two of rows; a row with a negative record is
    no frame. wanted: bits 1 << kind. Returns the row it stopped before (`end`, or where `out` was full) and where the
    output ends.
    """
    mask = len(sent_ns) - 1
    text = np.empty(_PATCHED, np.uint8)
    for number in range(begin, end):
        record = sent_record[number & mask]
        if record < 0 or not (wanted >> table[record, _KIND]) & 1:
            continue
        first, length = table[record, _FIRST], table[record, _LENGTH]
        if at + length > len(out):
            return number, at
        for i in range(length):
            out[at + i] = buffer[first + i]
        put_stamp(text, sent_ns[number & mask])
        stamps_first = table[record, _STAMPS_FIRST]
        for place in range(stamps_first, stamps_first + table[record, _STAMPS]):
            where = at + stamps[place]
            for i in range(_PATCHED):
                out[where + i] = text[i]
        at += length
    return end, at


def stamped(frames: Frames, record: int, stamp_ns: int) -> bytes:
    """One frame with its stamp, for what is not sent in runs."""
    _, first, length, stamps_first, count = frames.table[record].tolist()
    frame = frames.buffer[first : first + length].copy()
    text = np.empty(_PATCHED, np.uint8)
    put_stamp(text, stamp_ns)
    for place in frames.stamps[stamps_first : stamps_first + count].tolist():
        frame[place : place + _PATCHED] = text
    return frame.tobytes()
