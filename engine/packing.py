"""Kept values as bytes: msgpack, and lz4 around it above 1 KiB. Bytes are cheap to count, and nobody can change them.

    ├ 0 ┼ msgpack …                                          up to PLAIN_BYTES of it
    ├ 1 ┼ its size, 4 bytes, little-endian ┼ lz4 block …     above

What comes out is believed to be hostile: the size is bounded before memory is had for it, a block gives exactly as
much as it says, and msgpack makes plain values only.
"""

from typing import Any, Final

import lz4.block
import msgpack

from shm.errors import ShardbookError

PLAIN_BYTES: Final = 1 << 10
MAX_VALUE_BYTES: Final = 16 << 20  # of msgpack: twice what an answer may hold by default
_MAX_LZ4_RATIO: Final = 255  # the format can do no more
_PLAIN, _LZ4 = b"\x00", b"\x01"
_HEAD_BYTES: Final = 5


class DamagedValue(ShardbookError):
    """Bytes that no value was packed into. They are of no use; fetch or compute the value again."""


def pack(value: object) -> bytes:
    """A value of None, bool, int, float, str, bytes, list and dict as bytes.

    Raises TypeError for anything else (a tuple would come back as a list), for an int of more than 64 bits, for what
    is nested too deep, and above MAX_VALUE_BYTES.
    """
    try:
        plain: bytes = msgpack.packb(value, strict_types=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"a {type(value).__name__} cannot be kept: {type(error).__name__}") from None
    if len(plain) > MAX_VALUE_BYTES:
        raise TypeError(f"a {type(value).__name__} cannot be kept: more than {MAX_VALUE_BYTES} bytes")
    if len(plain) <= PLAIN_BYTES:
        return _PLAIN + plain
    block: bytes = lz4.block.compress(plain, store_size=False)
    return _LZ4 + len(plain).to_bytes(4, "little") + block


def unpack(data: bytes, max_bytes: int = MAX_VALUE_BYTES) -> Any:
    """The value again, a new one each time. Raises DamagedValue, also if it is larger than `max_bytes` of msgpack."""
    if data[:1] == _LZ4:
        plain = _decompress(data, max_bytes)
    elif data[:1] == _PLAIN and len(data) - 1 <= max_bytes:
        plain = data[1:]
    else:
        raise DamagedValue("a kept value has neither of the two forms, or is too large")
    try:
        return msgpack.unpackb(plain, ext_hook=_refuse, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DamagedValue(f"a kept value is no msgpack: {type(error).__name__}") from None


def _decompress(data: bytes, max_bytes: int) -> bytes:
    size = int.from_bytes(data[1:_HEAD_BYTES], "little")
    block = data[_HEAD_BYTES:]
    if not PLAIN_BYTES < size <= min(max_bytes, len(block) * _MAX_LZ4_RATIO):
        raise DamagedValue("a kept value says a size that it cannot have")
    try:
        plain: bytes = lz4.block.decompress(block, uncompressed_size=size)
    except (lz4.block.LZ4BlockError, ValueError):
        raise DamagedValue("a kept value cannot be decompressed") from None
    if len(plain) != size:
        raise DamagedValue("a kept value is shorter than it says")
    return plain


def _refuse(code: int, data: bytes) -> object:
    raise ValueError("an extension type")
