"""The scanning kernels one by one, against plain Python, at every alignment and every scale."""

import json
import os
import random
from decimal import Decimal

import numpy as np
import pytest

from workers.decode import scan

SEED = int(os.environ.get("SHARDBOOK_SEED", "7"))


class Text:
    """Bytes in memory with a zero and 100 readable bytes behind them."""

    def __init__(self, text: bytes, shift: int = 0) -> None:
        self.bytes = np.frombuffer(b"1" * shift + text + b"\0" + b'5"' * 50, np.uint8).copy()
        self.address = self.bytes.ctypes.data + shift

    def offset(self, address: int) -> int | None:
        """How far a scanner got; None if it refused."""
        return None if address < 0 else address - self.address


def string_end(text: bytes, shift: int = 0) -> int | None:
    memory = Text(text, shift)
    return memory.offset(scan.string_end(memory.address))


@pytest.mark.parametrize("shift", range(8))
def test_string_ends_at_its_quote(shift: int) -> None:
    for length in range(20):
        assert string_end(b"a" * length + b'"tail"', shift) == length + 1
        assert string_end(b"a" * length, shift) is None


def test_string_takes_printable_ascii_only() -> None:
    for byte in range(256):
        plain = 0x20 <= byte < 0x80 and byte not in b'"\\'
        for place in range(9):
            text = b"x" * place + bytes([byte]) + b"y" * 9 + b'"'
            expected = len(text) if plain else place + 1 if byte == ord('"') else None
            assert string_end(text) == expected, (byte, place)


def number(text: str, scale: int) -> tuple[int, int] | None:
    memory = Text(text.encode())
    value, after = scan.number(memory.address, scale)
    got = memory.offset(after)
    return None if got is None else (value, got)


def exact(text: str, scale: int) -> int | None:
    """The number at a scale, or None where it has more decimals."""
    scaled = Decimal(text).scaleb(scale)
    return int(scaled) if scaled == int(scaled) else None


def test_numbers_at_every_scale() -> None:
    print(f"SHARDBOOK_SEED={SEED}")
    rng = random.Random(SEED)
    taken = 0
    for _ in range(20_000):
        whole = str(rng.randrange(10 ** rng.randrange(1, 12)))
        fraction = str(rng.randrange(10 ** rng.randrange(1, 12))) + "0" * rng.choice((0, 0, 3, 12))
        text = rng.choice(("", "-")) + whole + rng.choice(("", "." + fraction))
        scale = rng.randrange(scan.MAX_SCALE + 1)
        got = number(text, scale)
        if got is not None:
            taken += 1
            assert got == (exact(text, scale), len(text)), (text, scale)
        else:
            digits = len(whole) + len(fraction.rstrip("0")) * ("." in text)
            long = digits > scan.MAX_DIGITS or len(whole) + scale > scan.MAX_SCALE
            assert long or exact(text, scale) is None, (text, scale)
    assert taken > 5000


@pytest.mark.parametrize("scale", [-1, 19, 100, -(2**40), 2**40])
def test_no_number_at_a_scale_there_is_not(scale: int) -> None:
    for text in ("0", "1.5", "1.50000000", "123456789"):
        assert number(text, scale) is None


def test_number_stops_at_what_follows() -> None:
    for tail in (",", "}", " ", "", "e5", "x", ".", "-", "\n"):
        if tail != ".":
            assert number("12.5" + tail, 3) == (12_500, 4)
            assert number("12" + tail, 3) == (12_000, 2)
    assert number("12.", 3) is None
    assert number("", 3) is None
    assert number("-", 3) is None


def skipped(text: str) -> int | None:
    memory = Text(text.encode())
    return memory.offset(scan.skip_value(memory.address))


def test_skip_takes_simple_values() -> None:
    for text in ('"abc"', '""', "null", "true", "false", "0", "-12.50", "123456789012345"):
        assert skipped(text + ",") == len(text)
    for text in ("[]", "{}", "nul", "tru", "True", "01", "-", ".5", "1.", "+1", "", '"', "9" * 16):
        assert skipped(text) is None


def test_space() -> None:
    for text, expected in ((b"", 0), (b" \t\r\n x", 5), (b"\x0bx", 0), (b"    ", 4)):
        memory = Text(text)
        assert memory.offset(scan.skip_space(memory.address)) == expected


def test_stamps_memo_holds_the_minute_and_only_what_is_right() -> None:
    memo = np.zeros(scan.MEMO_WORDS, np.int64)

    def read(text: str) -> int | None:
        memory = Text(json.dumps(text).encode())
        ns, after = scan.stamp(memory.address, memo.ctypes.data)
        return None if after < 0 else ns

    first = read("2026-11-22T14:33:01Z")
    assert first == 1_795_357_981_000_000_000
    kept = memo.tolist()
    assert read("2026-11-22T14:33:02Z") == first + 10**9
    assert read("2026-11-22T14:33:61Z") is None
    assert read("2026-11-31T14:33:01Z") is None
    assert memo.tolist() == kept
    assert read("2026-11-22T14:34:01Z") == first + 60 * 10**9
    assert memo.tolist() != kept
    assert read("2026-11-22T14:33:01Z") == first
    assert read("\0" * 20) is None
