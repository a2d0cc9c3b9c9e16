"""Websocket frames as bytes, and what becomes of them on one connection: MessagePack, permessage-deflate, or nothing.

All that a server says is made as whole unmasked text frames of JSON records, once for everybody. A connection that
wants them otherwise has them taken apart and made anew; one that does not gets the very bytes.
"""

import zlib
from collections.abc import Iterator

from .messagepack import translated

TEXT, BINARY = 0x81, 0x82
_DEFLATED = 0x40  # RSV1
_FLUSHED = b"\x00\x00\xff\xff"  # what ends a flush, and permessage-deflate leaves out


def frame(payload: bytes, head: int = TEXT) -> bytes:
    """A whole unmasked server frame; `head` is its first byte."""
    length = len(payload)
    if length < 126:
        return bytes((head, length)) + payload
    if length < 65536:
        return bytes((head, 126)) + length.to_bytes(2, "big") + payload
    return bytes((head, 127)) + length.to_bytes(8, "big") + payload


def payloads(frames: bytes) -> Iterator[bytes]:
    """The payloads of whole unmasked frames that lie one behind the other."""
    at = 0
    while at < len(frames):
        length, at = frames[at + 1], at + 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(frames[at : at + size], "big"), at + size
        yield frames[at : at + length]
        at += length


class Wire:
    """deflate_bits: the window that permessage-deflate was agreed on with, 0 for none. keeps_context: whether a
    message may refer back to the ones before. `binary` becomes true with a MessagePack handshake."""

    def __init__(self, deflate_bits: int = 0, keeps_context: bool = True) -> None:
        self.binary = False
        self._bits = deflate_bits
        self._keeps_context = keeps_context
        self._deflate = zlib.compressobj(wbits=-deflate_bits) if deflate_bits else None

    def encode(self, frames: bytes) -> bytes:
        """Whole text frames of JSON records as this connection has them."""
        if not self.binary and not self._deflate:
            return frames
        head = BINARY if self.binary else TEXT
        return b"".join(
            self.seal(translated(payload) if self.binary else payload, head) for payload in payloads(frames)
        )

    def seal(self, payload: bytes, head: int) -> bytes:
        """A frame of a payload that is what it shall be, compressed if that was agreed on."""
        if self._deflate is None:
            return frame(payload, head)
        small = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        if not self._keeps_context:
            self._deflate = zlib.compressobj(wbits=-self._bits)
        return frame(small.removesuffix(_FLUSHED), head | _DEFLATED)
