"""engine/packing.py: what goes in comes out; anything else is refused with the one documented error."""

import random
import tracemalloc
from typing import Any

import lz4.block
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.packing import MAX_VALUE_BYTES, PLAIN_BYTES, DamagedValue, pack, unpack
from shm.errors import ShardbookError

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(SCALARS, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=40)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert repr(unpack(pack(value))) == repr(value)  # repr: NaN is not equal to itself, and 1 is to True


@given(VALUES)
def test_a_large_value_comes_back_as_it_was(value: Any) -> None:
    large = [value, "x" * PLAIN_BYTES]
    packed = pack(large)
    assert packed[0] == 1
    assert repr(unpack(packed)) == repr(large)


@pytest.mark.parametrize(("size", "form"), [(PLAIN_BYTES - 1, 0), (PLAIN_BYTES, 0), (PLAIN_BYTES + 1, 1)])
def test_above_a_kibibyte_it_is_compressed(size: int, form: int) -> None:
    value = b"x" * (size - 3)  # msgpack says in three bytes that these are bytes
    packed = pack(value)
    assert packed[0] == form
    assert (len(packed) < 100) == (form == 1)
    assert unpack(packed) == value


@pytest.mark.parametrize("value", [(1, 2), [(1,)], {1, 2}, object(), 1j, 2**64, -(2**63) - 1, "\ud800", {"a": {3}}])
def test_what_would_not_come_back_is_not_taken(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        pack(value)


def test_what_is_too_deep_or_too_large_is_not_taken() -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    for value in (deep, bytes(MAX_VALUE_BYTES)):
        with pytest.raises(TypeError, match="cannot be kept"):
            pack(value)


@pytest.mark.parametrize("size", [PLAIN_BYTES, 100_000])
def test_the_limit_on_the_way_out(size: int) -> None:
    packed = pack(b"x" * size)
    whole = len(msgpack.packb(b"x" * size))
    assert unpack(packed, whole) == unpack(packed, whole + 1) == b"x" * size
    with pytest.raises(DamagedValue):
        unpack(packed, whole - 1)


def bomb(said: int, true: int) -> bytes:
    """A block of `true` bytes that says it has `said`."""
    block: bytes = lz4.block.compress(bytes(true), store_size=False)
    return b"\x01" + said.to_bytes(4, "little") + block


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\xc0",
        b"\x00",
        b"\x00\xc0\xc0",
        b"\x00\xc1",
        b"\x00\xdd\xff\xff\xff\xff",
        b"\x00" + b"\x91" * 5000,
        b"\x00\x81\x90\xc0",
        b"\x00\xd4\x05\x00",
        b"\x00\xa2\xff\xfe",
        b"\x01",
        b"\x01\xff\xff\xff\xff" + b"\x00" * 64,
        bomb(2000, 1999),
        bomb(2000, 2001),
        bomb(MAX_VALUE_BYTES + 1, MAX_VALUE_BYTES + 1),
        bomb(MAX_VALUE_BYTES, MAX_VALUE_BYTES * 4),
        bomb(0, 5000),
    ],
)
def test_hostile_bytes(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DamagedValue) as caught:
        unpack(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(caught.value, ShardbookError)
    assert most < 2 * MAX_VALUE_BYTES


def test_damaged_bytes_give_a_value_or_the_documented_error(seed: int) -> None:
    chance = random.Random(seed)
    values = [["words", 7, {"a": [1.5, None]}], [{"id": f"CON.F.US.M{n}.Z26", "tickSize": 0.25} for n in range(200)]]
    for whole in map(pack, values):
        for _ in range(3000):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 3)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            del damaged[chance.choice([len(damaged), chance.randrange(len(damaged))]) :]
            try:
                unpack(bytes(damaged))
            except DamagedValue:
                continue
