"""Scanning kernels: numbers, stamps, strings, white space. They read JSON text, eight bytes at a time where they can.

Each takes the address of its first byte and gives the address after what it read, or REFUSED; none needs to know
where the text ends, because of two promises of the ring: the byte behind a record is 0, and 100 bytes behind that can
be read. No scanner steps over a 0, so none gets past the end, and every loop ends there at the latest.

Addresses and not arrays, because numba counts references to an array in each function that takes it: two atomic adds
a call, which functions of a few nanoseconds feel, and more code to compile.

What is refused is left to the slow path, which knows all of JSON. So the rules here may be narrower than JSON's, never
wider: a number is `-`, digits, `.`, digits, at most MAX_DIGITS of them (a double gives exactly those back, so this
and the slow path agree to the digit); a string holds printable ASCII and no backslash.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from shm.compiled import kernel

_I8 = ir.IntType(8)
_I64 = ir.IntType(64)

REFUSED: Final = -1
MAX_DIGITS: Final = 15
MAX_SCALE: Final = 18

SPACE, QUOTE, PLUS, COMMA, MINUS, DOT, ZERO, COLON = (ord(c) for c in ' "+,-.0:')
OPEN_LIST, OPEN_OBJECT = ord("["), ord("{")
_int64: Any = np.int64  # a cast for numba; for the type checkers an int stays an int
CLOSE_LIST: Any = _int64(ord("]"))  # typed: numba compiles a function anew for each plain int given to it
CLOSE_OBJECT: Any = _int64(ord("}"))
_TAB, _NEWLINE, _RETURN = (ord(c) for c in "\t\n\r")
_LETTER_T, _UTC, _NULL, _TRUE, _FALSE = (ord(c) for c in "TZntf")

POWERS = np.array([10**n for n in range(MAX_SCALE + 1)], np.int64)


def text_word(text: str) -> Any:
    """Up to eight characters as the word that they are in memory."""
    return np.uint64(int.from_bytes(text.encode(), "little"))


def text_mask(text: str) -> Any:
    """Which bytes of a word `text_word` of the same text fills."""
    return np.uint64((1 << 8 * len(text)) - 1)


def _everywhere(byte: int) -> Any:
    return np.uint64(byte * 0x0101010101010101)


_ONES, _HIGHS, _DIGIT_ZEROS = _everywhere(0x01), _everywhere(0x80), _everywhere(ZERO)
_QUOTES, _BACKSLASHES, _SPACES = _everywhere(QUOTE), _everywhere(ord("\\")), _everywhere(SPACE)
_ABOVE_NINE = _everywhere(0x76)  # a byte of 10 or more plus this has its high bit set
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS, _UNITS = np.uint64(100 + (1_000_000 << 32)), np.uint64(1 + (10_000 << 32))
_2, _3, _8, _16, _32, _64 = (np.uint64(n) for n in (2, 3, 8, 16, 32, 64))
_TEN = np.uint64(10)
_NULL_WORD, _NULL_MASK = text_word("null"), text_mask("null")
_TRUE_WORD, _TRUE_MASK = text_word("true"), text_mask("true")
_FALSE_WORD, _FALSE_MASK = text_word("false"), text_mask("false")
_PLUS_ZERO, _PLUS_ZERO_MASK = text_word('+00:00"'), text_mask('+00:00"')

# The memo of `stamp`: the last one's date, its hour and minute, and the nanoseconds they come to.
MEMO_WORDS: Final = 3
_NO_DIGITS: Final = 100
_NS_A_SECOND: Final = 1_000_000_000
_NS_A_MINUTE: Final = 60 * _NS_A_SECOND
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@intrinsic  # type: ignore[untyped-decorator]
def byte_at(typing_context: Any, address: Any) -> Any:
    """The byte at an address, as an int64: of unsigned types numba makes floats too easily."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(builder.inttoptr(args[0], _I8.as_pointer())), _I64)

    return types.int64(types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def word_at(typing_context: Any, address: Any) -> Any:
    """Eight bytes from any address as a uint64, the first one lowest."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], _I64.as_pointer()), align=1)

    return types.uint64(types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def put_word(typing_context: Any, address: Any, value: Any) -> Any:
    """Store an int64 at an aligned address."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], _I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), build


@intrinsic  # type: ignore[untyped-decorator]
def _low_zero_bits(typing_context: Any, word: Any) -> Any:
    """How many zero bits lie below the lowest one; 64 of a zero."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), build


@kernel
def skip_space(at: int) -> int:
    """Past JSON's white space."""
    while byte_at(at) in (SPACE, _NEWLINE, _RETURN, _TAB):
        at += 1
    return at


@kernel
def _string_stops(word: Any) -> Any:
    """Up to the first that is set, the high bits say where a quote, a backslash, a control or a byte above ASCII is."""
    quotes, slashes = word ^ _QUOTES, word ^ _BACKSLASHES
    return ((quotes - _ONES) | (slashes - _ONES) | (word - _SPACES) | word) & _HIGHS


@kernel
def string_end(at: int) -> int:
    """From behind the opening quote: past the closing one. Anything but plain ASCII is refused."""
    stops = _string_stops(word_at(at))
    while not stops:
        at += 8
        stops = _string_stops(word_at(at))
    at += _int64(_low_zero_bits(stops) >> _3)
    return at + 1 if byte_at(at) == QUOTE else REFUSED


@kernel
def _digit_count(word: Any) -> Any:
    """How many digits a word begins with, 0 to 8."""
    digits = word ^ _DIGIT_ZEROS
    return _int64(_low_zero_bits(((digits + _ABOVE_NINE) | digits) & _HIGHS) >> _3)


@kernel
def _digits_value(word: Any, count: int) -> Any:
    """The number that the first `count` (1 to 8) bytes of a word spell: pairs first, then all four of them."""
    digits = (word ^ _DIGIT_ZEROS) << (_64 - (np.uint64(count) << _3))
    pairs = digits * _TEN + (digits >> _8)
    return _int64(((pairs & _PAIRS) * _HUNDREDS + ((pairs >> _16) & _PAIRS) * _UNITS) >> _32)


@kernel
def _long_number(at: int, scale: int) -> tuple[int, int]:
    """`number` without its sign, a byte at a time: for long ones, and those with zeros behind the scale."""
    first = at
    value = 0
    while ZERO <= byte_at(at) < ZERO + 10:
        if at - first == MAX_DIGITS:
            return 0, REFUSED
        value = value * 10 + (byte_at(at) - ZERO)
        at += 1
    whole = at - first
    if whole == 0 or (whole > 1 and byte_at(first) == ZERO):
        return 0, REFUSED
    fraction = 0  # digits of it that count: zeros do once another digit follows
    if byte_at(at) == DOT:
        at += 1
        point = at
        while ZERO <= byte_at(at) < ZERO + 10:
            if byte_at(at) != ZERO:
                step = at + 1 - point - fraction
                fraction += step
                if whole + fraction > MAX_DIGITS:
                    return 0, REFUSED
                value = value * POWERS[step] + (byte_at(at) - ZERO)
            at += 1
        if at == point:
            return 0, REFUSED
    if fraction > scale or whole + scale > MAX_SCALE:
        return 0, REFUSED
    return value * POWERS[scale - fraction], at


@kernel
def number(at: int, scale: int) -> tuple[int, int]:
    """A JSON number as a whole number of 10^-scale (0 to MAX_SCALE), exactly, and the position after it.

    Refused: an exponent (by the caller, who meets it where a comma should be), more than MAX_DIGITS digits, more
    decimals than `scale` that are not zero, and what might not fit in 63 bits.
    """
    negative = byte_at(at) == MINUS
    if negative:
        at += 1
    word = word_at(at)
    whole = _digit_count(word)
    after = at + whole
    fraction = 0
    long = whole == 8
    if byte_at(after) == DOT and not long:
        fractions = word_at(after + 1)
        fraction = _digit_count(fractions)
        if fraction == 0:
            return 0, REFUSED
        long = fraction == 8
    if long or fraction > scale:
        value, after = _long_number(at, scale)
        return -value if negative else value, after
    if whole == 0 or (whole > 1 and byte_at(at) == ZERO) or whole + scale > MAX_SCALE:
        return 0, REFUSED
    value = _digits_value(word, whole)
    if fraction:
        value = value * POWERS[fraction] + _digits_value(fractions, fraction)
        after += 1 + fraction
    value *= POWERS[scale - fraction]
    return -value if negative else value, after


@kernel
def null_end(at: int) -> int:
    """Past `null`, or REFUSED."""
    return at + 4 if word_at(at) & _NULL_MASK == _NULL_WORD else REFUSED


@kernel
def skip_value(at: int) -> int:
    """Past a string, a number or a literal; lists and objects are refused, and numbers of more than 15 digits."""
    first = byte_at(at)
    if first == QUOTE:
        return string_end(at + 1)
    if first == _NULL:
        return null_end(at)
    if first == _TRUE:
        return at + 4 if word_at(at) & _TRUE_MASK == _TRUE_WORD else REFUSED
    if first == _FALSE:
        return at + 5 if word_at(at) & _FALSE_MASK == _FALSE_WORD else REFUSED
    if first == MINUS:
        at += 1
    whole = at
    while ZERO <= byte_at(at) < ZERO + 10:
        at += 1
    if at == whole or at - whole > MAX_DIGITS or (at - whole > 1 and byte_at(whole) == ZERO):
        return REFUSED
    if byte_at(at) == DOT:
        at += 1
        point = at
        while ZERO <= byte_at(at) < ZERO + 10:
            at += 1
        if at == point:
            return REFUSED
    return at


@kernel
def _two_digits(at: int) -> int:
    """Two digits, 0 to 99; NO_DIGITS, which is above every limit, if they are none."""
    tens, ones = byte_at(at) - ZERO, byte_at(at + 1) - ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _NO_DIGITS


@kernel
def _minute_ns(at: int) -> int:
    """`2026-11-22T14:33` as nanoseconds since 1970, or REFUSED. Years 1970 to 2261: what 63 bits can hold."""
    century, years = _two_digits(at), _two_digits(at + 2)
    month, day = _two_digits(at + 5), _two_digits(at + 8)
    hour, minute = _two_digits(at + 11), _two_digits(at + 14)
    if century > 99 or years > 99 or not 1 <= month <= 12 or day < 1 or hour > 23 or minute > 59:
        return REFUSED
    date_marks = byte_at(at + 4) == MINUS and byte_at(at + 7) == MINUS
    if not date_marks or byte_at(at + 10) != _LETTER_T or byte_at(at + 13) != COLON:
        return REFUSED
    year = century * 100 + years
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1970 or year > 2261 or day > _MONTH_DAYS[month - 1] + (1 if leap and month == 2 else 0):
        return REFUSED
    before = year - 1  # its last day ends this many leap days and years after the year 0
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162 + day - 1
    for earlier in range(month - 1):
        days += _MONTH_DAYS[earlier]
    if leap and month > 2:
        days += 1
    return ((days * 24 + hour) * 60 + minute) * _NS_A_MINUTE


@kernel
def _zone_ns(at: int) -> tuple[int, int]:
    """What to take off the clock's reading, from `Z`, `±hh:mm` or nothing (UTC), and the position after the quote."""
    if word_at(at) & _PLUS_ZERO_MASK == _PLUS_ZERO:
        return 0, at + 7
    zone = 0
    if byte_at(at) == _UTC:
        at += 1
    elif byte_at(at) == PLUS or byte_at(at) == MINUS:
        hours, minutes = _two_digits(at + 1), _two_digits(at + 4)
        if hours > 23 or byte_at(at + 3) != COLON or minutes > 59:
            return 0, REFUSED
        zone = (hours * 60 + minutes) * _NS_A_MINUTE
        if byte_at(at) == MINUS:
            zone = -zone
        at += 6
    return zone, at + 1 if byte_at(at) == QUOTE else REFUSED


@kernel
def stamp(at: int, memo: int) -> tuple[int, int]:
    """An ISO 8601 stamp in quotes as nanoseconds since 1970, UTC, and the position after it.

    Taken: `2026-11-22T14:33:04`, then nothing or 1 to 9 decimals, then `Z`, `±hh:mm` or nothing (UTC). Most stamps of
    a stream share their minute, so the MEMO_WORDS words at `memo` keep the last one; zeros there match no text.
    """
    if byte_at(at) != QUOTE:
        return 0, REFUSED
    date, minute = word_at(at + 1), word_at(at + 9)
    if date == word_at(memo) and minute == word_at(memo + 8):
        ns = _int64(word_at(memo + 16))
    else:
        ns = _minute_ns(at + 1)
        if ns < 0:
            return 0, REFUSED
        put_word(memo, _int64(date))
        put_word(memo + 8, _int64(minute))
        put_word(memo + 16, ns)
    seconds = _two_digits(at + 18)
    if byte_at(at + 17) != COLON or seconds > 59:
        return 0, REFUSED
    ns += seconds * _NS_A_SECOND
    at += 20
    if byte_at(at) == DOT:
        word = word_at(at + 1)
        count = _digit_count(word)
        if count == 0:
            return 0, REFUSED
        fraction = _digits_value(word, count)
        at += 1 + count
        if count == 8 and ZERO <= byte_at(at) < ZERO + 10:
            fraction = fraction * 10 + (byte_at(at) - ZERO)
            count = 9
            at += 1
        ns += fraction * POWERS[9 - count]
    zone, at = _zone_ns(at)
    ns -= zone
    return ns, at if ns >= 0 else REFUSED
