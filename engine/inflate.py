"""The body of an answer, decompressed piece by piece, its size counted on the way out: a bomb never gets to exist.

gzip and deflate only, because these are in Python; no other encoding is asked for, and one that comes is refused.
"""

import zlib
from collections.abc import Iterator
from typing import Final

ACCEPTED: Final = "gzip, deflate"
PIECE_BYTES: Final = 256 << 10  # what is decompressed at a time: the event loop gets a turn in between
_EMPTY_BLOCKS_BYTES: Final = 64 << 10  # compressed bytes that may come above the limit: headers, blocks of nothing
_DEFLATE_METHOD: Final = 8


class BodyError(Exception):
    """A body that is refused; the message says why, in words for behind "was answered with"."""


class Inflater:
    """Takes a body as it comes, gives it as it was meant, and refuses the byte after `limit`."""

    def __init__(self, encoding: str, limit: int) -> None:
        """`encoding` is the Content-Encoding header, `limit` bytes of decompressed body. Raises BodyError."""
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise BodyError("an encoding that was not asked for")
        self._limit = limit
        self._came = 0
        self._given = 0
        self._stream: zlib._Decompress | None = None

    def take(self, part: bytes) -> Iterator[bytes]:
        """The pieces that `part` decompresses to, none above PIECE_BYTES of them. Raises BodyError."""
        self._came += len(part)
        if self._came > self._limit + _EMPTY_BLOCKS_BYTES:
            raise self._too_long()
        if self._encoding in ("", "identity"):
            yield self._counted(part)
            return
        if self._stream is None:
            if not part:
                return
            self._stream = zlib.decompressobj(_window_bits(self._encoding, part[0]))
        full = True
        while part or full:  # a full piece: zlib may hold more of it back
            if self._stream.eof and part:
                raise BodyError("a body that goes on behind its end")
            most = min(PIECE_BYTES, self._limit - self._given + 1)  # one above the limit, to see that there is more
            try:
                piece = self._stream.decompress(part, most)
            except zlib.error:
                raise BodyError("a body that cannot be decompressed") from None
            yield self._counted(piece)
            part = self._stream.unconsumed_tail or self._stream.unused_data
            full = len(piece) == most and not self._stream.eof

    def finish(self) -> None:
        """All has come. Raises BodyError if that was not the whole of it."""
        if self._stream is not None and not self._stream.eof:
            raise BodyError("a compressed body that is cut off")

    def _counted(self, piece: bytes) -> bytes:
        self._given += len(piece)
        if self._given > self._limit:
            raise self._too_long()
        return piece

    def _too_long(self) -> BodyError:
        return BodyError(f"more than {self._limit >> 10} KiB")


def _window_bits(encoding: str, first: int) -> int:
    """zlib's word for the form. "deflate" means zlib's form, but some servers send it bare: the first byte tells."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if first & 0x0F == _DEFLATE_METHOD else -zlib.MAX_WBITS
