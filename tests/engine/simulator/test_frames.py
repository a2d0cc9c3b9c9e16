"""Prepared frames: what a client reads out of them, and their stamps."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from engine.simulator import frames
from engine.simulator.contracts import CONTRACTS, decimal_text
from engine.simulator.flow import Flow, Kind
from engine.simulator.generated import generate

BEGIN_NS = 1_795_357_980_123_456_700  # 2026-11-22T14:33:00.1234567


def messages(data: bytes) -> list[dict[str, Any]]:
    """Unmasked websocket text frames, cut as RFC 6455 says, each one hub message."""
    found = []
    at = 0
    while at < len(data):
        assert data[at] == 0x81
        length, at = data[at + 1], at + 2
        if length == 126:
            length, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        elif length == 127:
            length, at = int.from_bytes(data[at : at + 8], "big"), at + 8
        text = data[at : at + length].decode()
        at += length
        assert text[-1] == "\x1e"
        found.append(json.loads(text[:-1]))
    assert at == len(data)
    return found


@pytest.fixture(scope="module")
def flow() -> Flow:
    return generate(CONTRACTS["6E"], 3, depth_records=200)


def copied(flow: Flow, wanted: int, out_bytes: int = 1 << 22) -> list[tuple[dict[str, Any], int]]:
    """All records of a flow as a client gets them that wants those kinds, each with its record number."""
    made = frames.build_flow(flow)
    rows = 1 << 14
    sent_ns, sent_record = np.zeros(rows, np.int64), np.full(rows, -1, np.int64)
    sent_ns[: len(flow)] = BEGIN_NS + 100 * np.arange(len(flow))
    sent_record[: len(flow)] = np.arange(len(flow))
    out = np.empty(out_bytes, np.uint8)
    got: list[dict[str, Any]] = []
    row = 0
    while row < len(flow):
        before = row
        row, at = frames.copy_run(*made, sent_ns, sent_record, row, len(flow), wanted, out, 0)
        got += messages(out[:at].tobytes())
        assert row > before, "no progress"
    records = [record for record in range(len(flow)) if wanted >> int(flow.records["kind"][record]) & 1]
    return list(zip(got, records, strict=True))


def stamp_text(record: int) -> str:
    seconds, rest = divmod(BEGIN_NS + 100 * record, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}+00:00"


def test_a_frame_is_the_record_with_one_stamp(flow: Flow) -> None:
    contract = flow.contract
    for message, record in copied(flow, wanted=7):
        kind, first, count = flow.records[record].tolist()
        entries = flow.entries[first : first + count].tolist()
        assert message.keys() == {"type", "target", "arguments"}
        assert message["type"] == 1
        contract_id, payload = message["arguments"]
        assert contract_id == contract.contract_id
        price = contract.tick_e9 / 10**9
        if kind == Kind.DEPTH:
            assert message["target"] == "GatewayDepth"
            for row, (code, ticks, size) in zip(payload, entries, strict=True):
                assert row == {
                    "timestamp": stamp_text(record),
                    "type": code,
                    "price": pytest.approx(ticks * price, abs=price / 1000),
                    "volume": size,
                    "currentVolume": size,
                }
        elif kind == Kind.TRADES:
            assert message["target"] == "GatewayTrade"
            for row, (side, ticks, size) in zip(payload, entries, strict=True):
                assert row == {
                    "symbolId": contract.symbol_id,
                    "price": pytest.approx(ticks * price, abs=price / 1000),
                    "timestamp": stamp_text(record),
                    "type": side,
                    "volume": size,
                }
        else:
            assert message["target"] == "GatewayQuote"
            assert payload["symbol"] == contract.symbol_id
            assert len(payload) == 1 + count
            for name in ("timestamp", "lastUpdated"):
                assert payload.get(name, stamp_text(record)) == stamp_text(record)
            if "bestBid" in payload:
                assert payload["bestBid"] == pytest.approx(entries_field(entries, 1) * price, abs=price / 1000)


def entries_field(entries: list[tuple[int, int, int]], field: int) -> int:
    return next(value for code, value, _ in entries if code == field)


def test_only_wanted_kinds_are_copied_and_a_full_buffer_loses_nothing(flow: Flow) -> None:
    whole = copied(flow, wanted=1 << Kind.DEPTH | 1 << Kind.TRADES)
    assert {message["target"] for message, _ in whole} == {"GatewayDepth", "GatewayTrade"}
    longest = int(frames.build_flow(flow).table[:, 2].max())
    assert copied(flow, wanted=3, out_bytes=longest) == whole


def test_stamps_are_dates_in_every_year() -> None:
    text = np.zeros(27, np.uint8)
    picked = random.Random(5)
    for _ in range(500):
        ns = picked.randrange(0, 4_102_444_800_000_000_000) // 100 * 100
        frames.put_stamp(text, ns)
        seconds, rest = divmod(ns, 1_000_000_000)
        assert text.tobytes().decode() == f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}"


def test_decimals_are_exact_and_short(flow: Flow) -> None:
    assert [decimal_text(value) for value in (250_000_000, 10**9, 50_000, -15_625_000, 0)] == [
        *("0.25", "1", "0.00005", "-0.015625", "0")
    ]
    made = frames.build_flow(flow)
    kind, first, length, _, _ = next(row for row in made.table.tolist() if row[0] == Kind.TRADES)
    assert kind == Kind.TRADES
    text = made.buffer[first : first + length].tobytes().decode(errors="replace")
    ticks = int(flow.entries["price"][flow.records[flow.records["kind"] == Kind.TRADES]["first"][0]])
    assert f'"price":{decimal_text(ticks * flow.contract.tick_e9)},' in text


@pytest.mark.parametrize("length", [1, 125, 126, 65_535, 65_536])
def test_headers_at_the_edges_of_their_sizes(length: int) -> None:
    out = np.zeros(length + 10, np.uint8)
    start = frames._put_header(out, 10, length)
    data = out[start:].tobytes()
    sizes = {1: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}
    assert len(data) - length == sizes[length]
    assert data[0] == 0x81
    assert data[1] == (length if length < 126 else 126 if length < 65_536 else 127)
    assert length < 126 or int.from_bytes(data[2 : sizes[length]], "big") == length
