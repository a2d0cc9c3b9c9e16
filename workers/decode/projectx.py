"""The kernel that decodes ProjectX's hub messages (fact sheet, 6.3 and 8), a record at a time, without Python.

It takes what the venue sends all day, in any order of keys and with any white space, and leaves the rest to `slow`:

    {"type":1,"target":"GatewayDepth","arguments":["<contract>",[{…},{…}]]}     GatewayTrade and GatewayQuote too;
                                                                                one object may stand without its list

What it takes, `slow` takes with the same rows: of a key that comes twice in an object the last counts, unknown keys
are passed over. What it leaves: see `scan`; besides a second `type`, `target` or `arguments`, arguments before their
target, lists or objects below unknown keys, and whatever is wrong.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shm.atomics import address_of
from shm.compiled import kernel
from shm.layout import ASK, BID, Rows

from .rows import CHANGE_SCALE, EVENT_DEPTH, EVENT_QUOTE, EVENT_TRADE, HEADER_WORDS, QUOTE_BASE, ROW, Op
from .scan import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    MEMO_WORDS,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    REFUSED,
    SPACE,
    ZERO,
    byte_at,
    null_end,
    number,
    put_word,
    skip_space,
    skip_value,
    stamp,
    string_end,
    text_mask,
    text_word,
    word_at,
)

# Of `header`, in bytes: the event, the stamp's memo, the quote's values in the order of SESSION_FIELDS.
_MEMO: Final = 8
_VALUES: Final = _MEMO + 8 * MEMO_WORDS
_ROW_BYTES: Final = ROW.itemsize
assert ROW.names == ("op", "price", "size", "venue_ns", "side"), "`_put_row` writes them in this order"

# Keys with their closing quote; a key of eight characters or more by its first eight and, from there, its tail.
_TYPE, _TYPE_MASK = text_word('type"'), text_mask('type"')
_PRICE, _PRICE_MASK = text_word('price"'), text_mask('price"')
_VOLUME, _VOLUME_MASK = text_word('volume"'), text_mask('volume"')
_TIMESTAM, _P, _P_MASK = text_word("timestam"), text_word('p"'), text_mask('p"')
_TARGET, _TARGET_MASK = text_word('target"'), text_mask('target"')
_ARGUMENT, _S, _S_MASK = text_word("argument"), text_word('s"'), text_mask('s"')
_LAST_PRI, _CE, _CE_MASK = text_word("lastPric"), text_word('e"'), text_mask('e"')
_LAST_UPDA, _TED, _TED_MASK = text_word("lastUpda"), text_word('ted"'), text_mask('ted"')
_BEST_BID, _BEST_ASK = text_word('bestBid"'), text_word('bestAsk"')
_OPEN, _OPEN_MASK = text_word('open"'), text_mask('open"')
_HIGH, _HIGH_MASK = text_word('high"'), text_mask('high"')
_LOW, _LOW_MASK = text_word('low"'), text_mask('low"')
_CHANGE, _CHANGE_MASK = text_word('change"'), text_mask('change"')
_CHANGE_PE, _RCENT, _RCENT_MASK = text_word("changePe"), text_word('rcent"'), text_mask('rcent"')
_GATEWAY_D, _EPTH, _EPTH_MASK = text_word("GatewayD"), text_word('epth"'), text_mask('epth"')
_GATEWAY_T, _RADE, _RADE_MASK = text_word("GatewayT"), text_word('rade"'), text_mask('rade"')
_GATEWAY_Q, _UOTE, _UOTE_MASK = text_word("GatewayQ"), text_word('uote"'), text_mask('uote"')

# Members of an object: bits of what was found in it.
_OTHER: Final = 0
_KIND_BIT: Final = 1
_PRICE_BIT: Final = 2
_SIZE_BIT: Final = 4
_STAMP_BIT: Final = 8
_TARGET_BIT: Final = 16
_ARGUMENTS_BIT: Final = 32
_ENTRY_BITS: Final = _KIND_BIT | _PRICE_BIT | _SIZE_BIT
_MESSAGE_BITS: Final = _KIND_BIT | _TARGET_BIT | _ARGUMENTS_BIT

# Of a depth entry's type: the op, and the side that it sets a level of (or _NO_SIDE). Others are UNKNOWN.
_NO_SIDE: Final = -1
_OPS = np.array([0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 10], np.int64)
_SIDES = np.array([-1, ASK, BID, ASK, BID, -1, -1, -1, -1, BID, ASK], np.int64)
_UNKNOWN, _TRADE = int(Op.UNKNOWN), int(Op.TRADE)
_NULL: Final = ord("n")
_NOUGHT: Any = np.int64(0)  # typed, see scan.CLOSE_LIST

# Places in SESSION_FIELDS; STAMP is the quote's `timestamp`, which stands in for a missing `lastUpdated`.
_F_LAST, _F_BID, _F_ASK, _F_OPEN, _F_HIGH, _F_LOW, _F_VOLUME, _F_CHANGE, _F_PERCENT, _F_UPDATED = range(10)
_F_STAMP: Final = 10
_F_OTHER: Final = 11

assert _VALUES + 8 * _F_OTHER <= 8 * HEADER_WORDS


@kernel
def _value_start(at: int) -> int:
    """From behind a key: past the colon, to the value; REFUSED without a colon."""
    if byte_at(at) != COLON:
        at = skip_space(at)
        if byte_at(at) != COLON:
            return REFUSED
    at += 1
    return at if byte_at(at) > SPACE else skip_space(at)


@kernel
def _after_value(at: int, close: int) -> int:
    """From behind a value to the next key or value; to the closing bracket itself if that comes; else REFUSED."""
    if byte_at(at) <= SPACE:
        at = skip_space(at)
    if byte_at(at) == close:
        return at
    if byte_at(at) != COMMA:
        return REFUSED
    at += 1
    if byte_at(at) <= SPACE:
        at = skip_space(at)
    return at if byte_at(at) != close else REFUSED


@kernel
def _entry(at: int, price_scale: int, size_scale: int, header: int) -> tuple[int, int, int, int, int, int]:
    """A depth entry or a trade: address after it, bits of what it holds, its type, price, size and stamp."""
    found, kind, price, size, ns = 0, 0, 0, 0, 0
    at = skip_space(at + 1)
    while byte_at(at) != CLOSE_OBJECT:
        if byte_at(at) != QUOTE:
            return REFUSED, 0, 0, 0, 0, 0
        word = word_at(at + 1)
        if word & _TYPE_MASK == _TYPE:
            member = _KIND_BIT
            at += 6
        elif word & _PRICE_MASK == _PRICE:
            member = _PRICE_BIT
            at += 7
        elif word & _VOLUME_MASK == _VOLUME:
            member = _SIZE_BIT
            at += 8
        elif word == _TIMESTAM and word_at(at + 9) & _P_MASK == _P:
            member = _STAMP_BIT
            at += 11
        else:
            member = _OTHER
            at = string_end(at + 1)
            if at < 0:
                return REFUSED, 0, 0, 0, 0, 0
        at = _value_start(at)
        if at < 0:
            return REFUSED, 0, 0, 0, 0, 0
        if member != _OTHER and byte_at(at) == _NULL:
            at = null_end(at)
            found &= ~member
            if member == _STAMP_BIT:
                ns = 0
        else:
            found |= member
            if member == _KIND_BIT:
                kind, at = _code(at)
            elif member == _PRICE_BIT:
                price, at = number(at, price_scale)
            elif member == _SIZE_BIT:
                size, at = number(at, size_scale)
            elif member == _STAMP_BIT:
                ns, at = stamp(at, header + _MEMO)
            else:
                at = skip_value(at)
        if at < 0:
            return REFUSED, 0, 0, 0, 0, 0
        at = _after_value(at, CLOSE_OBJECT)
        if at < 0:
            return REFUSED, 0, 0, 0, 0, 0
    return at + 1, found, kind, price, size, ns


@kernel
def _code(at: int) -> tuple[int, int]:
    """A type: a whole number of one or two digits."""
    value = byte_at(at) - ZERO
    if value < 0 or value > 9:
        return 0, REFUSED
    at += 1
    ones = byte_at(at) - ZERO
    if 0 <= ones <= 9:
        if value == 0:
            return 0, REFUSED
        value = value * 10 + ones
        at += 1
    return value, at


@kernel
def _quote_field(at: int) -> tuple[int, int]:
    """From a key's opening quote: which field it is, and the address behind the key."""
    word = word_at(at + 1)
    if word == _BEST_BID:
        return _F_BID, at + 9
    if word == _BEST_ASK:
        return _F_ASK, at + 9
    if word & _VOLUME_MASK == _VOLUME:
        return _F_VOLUME, at + 8
    if word & _CHANGE_MASK == _CHANGE:
        return _F_CHANGE, at + 8
    if word & _OPEN_MASK == _OPEN:
        return _F_OPEN, at + 6
    if word & _HIGH_MASK == _HIGH:
        return _F_HIGH, at + 6
    if word & _LOW_MASK == _LOW:
        return _F_LOW, at + 5
    tail = word_at(at + 9)
    if word == _LAST_PRI and tail & _CE_MASK == _CE:
        return _F_LAST, at + 11
    if word == _LAST_UPDA and tail & _TED_MASK == _TED:
        return _F_UPDATED, at + 13
    if word == _TIMESTAM and tail & _P_MASK == _P:
        return _F_STAMP, at + 11
    if word == _CHANGE_PE and tail & _RCENT_MASK == _RCENT:
        return _F_PERCENT, at + 15
    return _F_OTHER, string_end(at + 1)


@kernel
def _value(header: int, field: int) -> int:
    return int(np.int64(word_at(header + _VALUES + 8 * field)))


@kernel
def _put_row(row: int, op: int, price: int, size: int, ns: int, side: int) -> int:
    """Write one ROW; the address after it."""
    put_word(row, op)
    put_word(row + 8, price)
    put_word(row + 16, size)
    put_word(row + 24, ns)
    put_word(row + 32, side)
    return row + _ROW_BYTES


@kernel
def _quote(at: int, price_scale: int, size_scale: int, row: int, rows_end: int, header: int) -> tuple[int, int]:
    """A quote, one row a field that is not null: the addresses after it and after its rows."""
    known = 0
    at = skip_space(at + 1)
    while byte_at(at) != CLOSE_OBJECT:
        if byte_at(at) != QUOTE:
            return REFUSED, row
        field, at = _quote_field(at)
        if at < 0:
            return REFUSED, row
        at = _value_start(at)
        if at < 0:
            return REFUSED, row
        if field == _F_OTHER:
            at = skip_value(at)
        elif byte_at(at) == _NULL:
            at = null_end(at)
            known &= ~(1 << field)
        else:
            if field >= _F_UPDATED:
                value, at = stamp(at, header + _MEMO)
            else:
                scale = price_scale
                if field == _F_VOLUME:
                    scale = size_scale
                elif field in (_F_CHANGE, _F_PERCENT):
                    scale = CHANGE_SCALE
                value, at = number(at, scale)
                if field == _F_VOLUME and value < 0:
                    return REFUSED, row
            put_word(header + _VALUES + 8 * field, value)
            known |= 1 << field
        if at < 0:
            return REFUSED, row
        at = _after_value(at, CLOSE_OBJECT)
        if at < 0:
            return REFUSED, row
    if known >> _F_STAMP and not known >> _F_UPDATED & 1:
        put_word(header + _VALUES + 8 * _F_UPDATED, _value(header, _F_STAMP))
        known |= 1 << _F_UPDATED
    ns = _value(header, _F_UPDATED) if known >> _F_UPDATED & 1 else 0
    for field in range(_F_STAMP):
        if known >> field & 1:
            if row == rows_end:
                return REFUSED, row
            row = _put_row(row, QUOTE_BASE + field, _value(header, field), _NOUGHT, ns, _NOUGHT)
    return at + 1, row


@kernel
def _object(
    at: int, event: int, price_scale: int, size_scale: int, row: int, rows_end: int, header: int
) -> tuple[int, int]:
    """One object of the payload: the addresses after it and after its rows."""
    if byte_at(at) != OPEN_OBJECT:
        return REFUSED, row
    if event == EVENT_QUOTE:
        return _quote(at, price_scale, size_scale, row, rows_end, header)
    at, found, kind, price, size, ns = _entry(at, price_scale, size_scale, header)
    if at < 0 or not found & _KIND_BIT or row == rows_end:
        return REFUSED, row
    if event == EVENT_TRADE:
        op, side = _TRADE, kind
        if kind > 1:
            return REFUSED, row
    else:
        known = kind < len(_OPS)
        op = _OPS[kind] if known else _UNKNOWN
        side = _SIDES[kind] if known else _NO_SIDE
    if side == _NO_SIDE:
        side, price, size = 0, 0, 0
    elif found & _ENTRY_BITS != _ENTRY_BITS or size < 0:
        return REFUSED, row
    return at, _put_row(row, op, price, size, ns, side)


@kernel
def _payload(
    at: int, event: int, price_scale: int, size_scale: int, row: int, rows_end: int, header: int
) -> tuple[int, int]:
    """An object or a list of them: the addresses after it and after its rows."""
    if byte_at(at) != OPEN_LIST:
        return _object(at, event, price_scale, size_scale, row, rows_end, header)
    at = skip_space(at + 1)
    while byte_at(at) != CLOSE_LIST:
        at, row = _object(at, event, price_scale, size_scale, row, rows_end, header)
        if at < 0:
            return REFUSED, row
        at = _after_value(at, CLOSE_LIST)
        if at < 0:
            return REFUSED, row
    return at + 1, row


@kernel
def _target(at: int) -> tuple[int, int]:
    """The event that a target names, and the address after its quote."""
    if byte_at(at) != QUOTE:
        return 0, REFUSED
    word, tail = word_at(at + 1), word_at(at + 9)
    if word == _GATEWAY_D and tail & _EPTH_MASK == _EPTH:
        return EVENT_DEPTH, at + 14
    if word == _GATEWAY_T and tail & _RADE_MASK == _RADE:
        return EVENT_TRADE, at + 14
    if word == _GATEWAY_Q and tail & _UOTE_MASK == _UOTE:
        return EVENT_QUOTE, at + 14
    return 0, REFUSED


@kernel
def _contract_end(at: int, contract: int, contract_len: int) -> int:
    """From the `[` of the arguments: past the contract and its comma, to the payload. Another contract is refused."""
    at = skip_space(at + 1)
    if byte_at(at) != QUOTE or string_end(at + 1) != at + contract_len + 2:
        return REFUSED
    at += 1
    for k in range(contract_len):
        if byte_at(at + k) != byte_at(contract + k):
            return REFUSED
    at = skip_space(at + contract_len + 1)
    return skip_space(at + 1) if byte_at(at) == COMMA else REFUSED


@kernel
def decode(
    data: npt.NDArray[np.uint8],
    start: int,
    end: int,
    contract: npt.NDArray[np.uint8],
    contract_len: int,
    price_scale: int,
    size_scale: int,
    rows: Rows,
    header: npt.NDArray[np.int64],
) -> int:
    """Decode the hub message in `data[start:end]`: how many rows, with the event in `header[0]`; REFUSED: ask `slow`.

    `data` is uint8, one dimension, contiguous; `data[end]` must be 0 and 100 bytes after it readable. `contract` is
    the instrument's, as ASCII. Scales are 0 to MAX_SCALE. `rows` is of dtype ROW: with more rows than it holds the
    record is refused; rows behind the returned count are not touched. `header` is int64, HEADER_WORDS long, zero
    before the first call and the kernel's own from then on. After REFUSED the rows mean nothing.
    """
    found, event = 0, _NOUGHT
    first_row: int = address_of(rows, 0)
    row, rows_end, scratch = first_row, address_of(rows, len(rows)), address_of(header, 0)
    at = skip_space(address_of(data, start))
    if byte_at(at) != OPEN_OBJECT:
        return REFUSED
    at = skip_space(at + 1)
    while byte_at(at) != CLOSE_OBJECT:
        if byte_at(at) != QUOTE:
            return REFUSED
        word = word_at(at + 1)
        if word & _TYPE_MASK == _TYPE:
            member = _KIND_BIT
            at += 6
        elif word & _TARGET_MASK == _TARGET:
            member = _TARGET_BIT
            at += 8
        elif word == _ARGUMENT and word_at(at + 9) & _S_MASK == _S:
            member = _ARGUMENTS_BIT
            at += 11
        else:
            member = _OTHER
            at = string_end(at + 1)
            if at < 0:
                return REFUSED
        if found & member:
            return REFUSED
        found |= member
        at = _value_start(at)
        if at < 0:
            return REFUSED
        if member == _KIND_BIT:
            at = at + 1 if byte_at(at) == ZERO + 1 else REFUSED
        elif member == _TARGET_BIT:
            event, at = _target(at)
        elif member == _ARGUMENTS_BIT:
            if event == 0 or byte_at(at) != OPEN_LIST:
                return REFUSED
            at = _contract_end(at, address_of(contract, 0), contract_len)
            if at < 0:
                return REFUSED
            at, row = _payload(at, event, price_scale, size_scale, row, rows_end, scratch)
            if at < 0:
                return REFUSED
            at = skip_space(at)
            at = at + 1 if byte_at(at) == CLOSE_LIST else REFUSED
        else:
            at = skip_value(at)
        if at < 0:
            return REFUSED
        at = _after_value(at, CLOSE_OBJECT)
        if at < 0:
            return REFUSED
    if found != _MESSAGE_BITS or skip_space(at + 1) != address_of(data, end):
        return REFUSED
    header[0] = event
    return (row - first_row) // _ROW_BYTES
