"""Websocket frames written by hand (RFC 6455, RFC 7692), so that a venue can send what no server library would."""

import struct
import zlib

TEXT, CONTINUATION = 1, 0
CLAIM_BYTES = 1 << 20  # what follows a header that claims more than can be sent


def header(size: int, *, opcode: int = TEXT, last: bool = True, deflated: bool = False) -> bytes:
    """The header of a frame that a server sends: it is not masked."""
    first = opcode | last << 7 | deflated << 6
    if size < 126:
        return bytes([first, size])
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size)
    return struct.pack(">BBQ", first, 127, size)


def whole(payload: bytes, *, deflated: bool = False) -> bytes:
    """A message in one frame."""
    return header(len(payload), deflated=deflated) + payload


def cut(payload: bytes, frames: int, *, deflated: bool = False) -> bytes:
    """A message in so many frames."""
    step = -(-len(payload) // frames)
    pieces = [payload[at : at + step] for at in range(0, len(payload), step)]
    return b"".join(
        header(
            len(piece),
            opcode=CONTINUATION if number else TEXT,
            last=number == len(pieces) - 1,
            deflated=deflated and not number,
        )
        + piece
        for number, piece in enumerate(pieces)
    )


def deflate(payload: bytes) -> bytes:
    """A payload as permessage-deflate has it: a sync flush without its last four bytes."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def deflated_spaces(unit: int, times: int) -> bytes:
    """`unit` x `times` spaces, packed as `deflate` does, in the time that two units take: the rest are repeats."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    first, second, third = (packer.compress(b" " * unit) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(3))
    assert second == third
    return (first + second * (times - 1))[:-4]
