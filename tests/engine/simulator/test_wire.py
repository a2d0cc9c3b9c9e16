"""Frames taken apart and made anew."""

import zlib

import pytest

from engine.simulator.wire import BINARY, TEXT, Wire, frame, payloads

LENGTHS = (0, 1, 125, 126, 65_535, 65_536, 200_000)


def test_frames_of_all_lengths() -> None:
    written = [b"x" * length for length in LENGTHS]
    frames = b"".join(frame(payload) for payload in written)
    assert list(payloads(frames)) == written
    assert Wire().encode(frames) == frames
    assert frame(b"abc", BINARY) == b"\x82\x03abc"


@pytest.mark.parametrize("keeps_context", [True, False])
def test_deflated_frames_can_be_inflated(keeps_context: bool) -> None:
    wire = Wire(15, keeps_context)
    said = [b'{"type":6}\x1e', b'{"type":6}\x1e', b"y" * 70_000]
    inflate = zlib.decompressobj(wbits=-15)
    sizes = []
    for text in said:
        encoded = wire.encode(frame(text))
        assert encoded[0] == TEXT | 0x40
        [small] = payloads(encoded)
        sizes.append(len(small))
        if not keeps_context:
            inflate = zlib.decompressobj(wbits=-15)
        assert inflate.decompress(small + b"\x00\x00\xff\xff") == text
    assert (sizes[1] < sizes[0]) == keeps_context
    assert sizes[2] < 1_000


def test_a_binary_wire_translates() -> None:
    wire = Wire()
    wire.binary = True
    assert wire.encode(frame(b'{"type":6}\x1e') * 2) == b"\x82\x03\x02\x91\x06" * 2
