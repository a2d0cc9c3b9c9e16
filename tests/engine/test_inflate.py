"""engine/inflate.py: a body may have exactly so many bytes, whatever it is packed in and however it is cut."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from engine.inflate import PIECE_BYTES, BodyError, Inflater

LIMIT = 64 << 10


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


FORMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    (" X-GZIP ", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
]
COMPRESSED = FORMS[2:]


def inflate(encoding: str, body: bytes, limit: int = LIMIT, part_bytes: int = 64 << 10) -> bytes:
    inflater = Inflater(encoding, limit)
    pieces = []
    for at in range(0, len(body), part_bytes):
        for piece in inflater.take(body[at : at + part_bytes]):
            assert len(piece) <= max(PIECE_BYTES, part_bytes)
            pieces.append(piece)
    inflater.finish()
    return b"".join(pieces)


@pytest.mark.parametrize(("encoding", "packed"), FORMS)
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
@pytest.mark.parametrize("random_body", [False, True])
def test_up_to_the_limit(
    encoding: str, packed: Callable[[bytes], bytes], size: int, random_body: bool, seed: int
) -> None:
    body = random.Random(seed).randbytes(size) if random_body else b" " * size
    assert inflate(encoding, packed(body)) == body


@pytest.mark.parametrize(("encoding", "packed"), FORMS)
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 1000])
def test_above_the_limit(encoding: str, packed: Callable[[bytes], bytes], size: int) -> None:
    with pytest.raises(BodyError, match="more than 64 KiB"):
        inflate(encoding, packed(b" " * size))


@pytest.mark.parametrize(("encoding", "packed"), COMPRESSED)
def test_a_bomb_is_refused_before_it_exists(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    bomb = packed(b" " * (LIMIT * 1000))
    assert len(bomb) < 2 * LIMIT
    tracemalloc.start()
    with pytest.raises(BodyError):
        inflate(encoding, bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * LIMIT


@pytest.mark.parametrize(("encoding", "packed"), FORMS)
@pytest.mark.parametrize("part_bytes", [1, 7, 1000])
def test_parts_of_any_size(encoding: str, packed: Callable[[bytes], bytes], part_bytes: int, seed: int) -> None:
    body = random.Random(seed).randbytes(2000) + b"x" * 9000
    assert inflate(encoding, packed(body), part_bytes=part_bytes) == body


@pytest.mark.parametrize(("encoding", "packed"), COMPRESSED)
def test_what_is_many_pieces_long(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    for size in (PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES * 4, PIECE_BYTES * 4 + 5):
        for part_bytes in (100, 1 << 20):
            body = bytes(size)
            assert inflate(encoding, packed(body), limit=PIECE_BYTES * 8, part_bytes=part_bytes) == body


@pytest.mark.parametrize(("encoding", "packed"), COMPRESSED)
def test_a_body_that_is_cut_or_goes_on(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    whole = packed(b"some words" * 50)
    with pytest.raises(BodyError, match="cut off"):
        inflate(encoding, whole[:-1])
    for part_bytes in (1, 1 << 16):
        with pytest.raises(BodyError, match="behind its end"):
            inflate(encoding, whole + whole, part_bytes=part_bytes)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_only_the_documented_refusal(encoding: str, seed: int) -> None:
    chance = random.Random(seed)
    whole = gzip.compress(b"words" * 200) if encoding == "gzip" else zlib.compress(b"words" * 200)
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            assert len(inflate(encoding, bytes(damaged), limit=4096)) <= 4096
        except BodyError:
            continue


def test_blocks_of_nothing_without_end() -> None:
    nothing = b"\x00\x00\x00\xff\xff" * 20_000  # stored blocks of no bytes, none of them the last
    with pytest.raises(BodyError, match="more than 16 KiB"):
        inflate("deflate", nothing, limit=16 << 10)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,gzip", "compress", "x" * 1000])
def test_encodings_that_were_not_asked_for(encoding: str) -> None:
    with pytest.raises(BodyError, match="not asked for"):
        Inflater(encoding, LIMIT)


def test_nothing_at_all() -> None:
    for encoding, _ in FORMS:
        assert inflate(encoding, b"") == b""
