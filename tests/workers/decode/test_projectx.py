"""The kernel against the slow path and the model: realistic records, variations of them, damage, every cut."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.workers.decode import fuzz
from tests.workers.decode.agreement import Guarded, compare
from tests.workers.decode.frames import CONTRACT, Venue, depth, message
from workers.decode.rows import EVENT_DEPTH, EVENT_QUOTE, EVENT_TRADE, QUOTE_BASE, Op

SEED = int(os.environ.get("SHARDBOOK_SEED", "7"))
FRAMES = int(os.environ.get("SHARDBOOK_FRAMES", "20000"))
TOP = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def kernel() -> Guarded:
    return Guarded()


@pytest.fixture(autouse=True)
def _print_seed() -> None:
    print(f"SHARDBOOK_SEED={SEED}")


def taken(kernel: Guarded, text: bytes) -> list[tuple[int, ...]]:
    """The rows of a record that all three decoders take."""
    result = compare(kernel, text)
    assert result.by_kernel, text
    return result.rows


def left(kernel: Guarded, text: bytes) -> None:
    """A record that the kernel leaves to the slow path, which takes it."""
    result = compare(kernel, text)
    assert result.by_slow, text
    assert not result.by_kernel, text


def refused(kernel: Guarded, text: bytes) -> None:
    assert not compare(kernel, text).by_slow, text


NS = 1_795_357_980_000_000_000  # 2026-11-22T14:33:00Z


def test_depth_entry_becomes_a_row(kernel: Guarded) -> None:
    assert taken(kernel, depth()) == [(Op.BID, 21_000_250_000_000, 7, NS + 120_000_000, 0)]
    assert kernel.header[0] == EVENT_DEPTH


def test_trades_become_rows_with_the_aggressor(kernel: Guarded) -> None:
    payload = '[{"symbolId":"F.US.MNQ","price":21000.25,"timestamp":"2026-11-22T14:33:00Z","type":0,"volume":2},'
    payload += '{"price":21000.0,"type":1,"volume":5}]'
    expected = [(Op.TRADE, 21_000_250_000_000, 2, NS, 0), (Op.TRADE, 21_000_000_000_000, 5, 0, 1)]
    assert taken(kernel, message("GatewayTrade", payload)) == expected
    assert kernel.header[0] == EVENT_TRADE


def test_quote_fields_become_rows_in_a_fixed_order(kernel: Guarded) -> None:
    payload = '{"changePercent":-0.0012,"bestAsk":21000.5,"symbol":"F.US.MNQ","open":null,"volume":812345,'
    payload += '"timestamp":"2026-11-22T14:33:00Z","lastPrice":21000.25}'
    expected = [
        (QUOTE_BASE + 0, 21_000_250_000_000, 0, NS, 0),
        (QUOTE_BASE + 2, 21_000_500_000_000, 0, NS, 0),
        (QUOTE_BASE + 6, 812_345, 0, NS, 0),
        (QUOTE_BASE + 8, -1_200_000, 0, NS, 0),
        (QUOTE_BASE + 9, NS, 0, NS, 0),
    ]
    assert taken(kernel, message("GatewayQuote", payload)) == expected
    assert kernel.header[0] == EVENT_QUOTE


def test_the_quotes_own_stamp_goes_before_the_messages(kernel: Guarded) -> None:
    first, second = '"timestamp":"2026-11-22T14:33:01Z"', '"lastUpdated":"2026-11-22T14:33:00Z"'
    for members in (f"{first},{second}", f"{second},{first}"):
        assert taken(kernel, message("GatewayQuote", "{" + members + "}")) == [(QUOTE_BASE + 9, NS, 0, NS, 0)]


@pytest.mark.parametrize("kind", range(15))
def test_depth_types(kernel: Guarded, kind: int) -> None:
    op, price, size, _, side = taken(kernel, depth(type=kind))[0]
    sets = kind in (1, 2, 3, 4, 9, 10)
    assert op == (kind if sets or kind in (6, 7, 8) else Op.UNKNOWN)
    assert (price, size) == ((21_000_250_000_000, 7) if sets else (0, 0))
    assert side == (1 if kind in (1, 3, 10) else 0)


@pytest.mark.parametrize("kind", [0, 5, 6, 7, 8, 11, 12, 99])
def test_types_that_set_no_level_need_no_price(kernel: Guarded, kind: int) -> None:
    assert taken(kernel, message("GatewayDepth", f'{{"type":{kind}}}'))[0][1:] == (0, 0, 0, 0)
    assert taken(kernel, message("GatewayDepth", f'{{"type":{kind},"price":null,"volume":null}}'))[0][1:3] == (0, 0)
    assert taken(kernel, message("GatewayDepth", f'{{"type":{kind},"price":-1.5,"volume":-2}}'))[0][1:3] == (0, 0)


def test_empty_list_has_no_rows(kernel: Guarded) -> None:
    for target in ("GatewayDepth", "GatewayTrade", "GatewayQuote"):
        assert taken(kernel, message(target, "[ ]")) == []
    assert taken(kernel, message("GatewayQuote", "{}")) == []


NUMBERS = {
    "0": 0,
    "-0": 0,
    "-0.0": 0,
    "0.000000001": 1,
    "21000.25": 21_000_250_000_000,
    "21000.250000000000000000000000": 21_000_250_000_000,
    "-37.63": -37_630_000_000,
    "12345678": 12_345_678 * 10**9,
    "123456789.125": 123_456_789_125_000_000,
    "999999.999999999": 999_999_999_999_999,
    "1.000000010": 1_000_000_010,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_prices_are_exact(kernel: Guarded, text: str) -> None:
    entry = f'{{"type":2,"price":{text},"volume":1}}'
    assert taken(kernel, message("GatewayDepth", entry))[0][1] == NUMBERS[text]


@pytest.mark.parametrize("text", ["2.1e4", "1E-3", "4503599627.370496", "9223372036", "0.10000000000000001"])
def test_numbers_left_to_the_slow_path(kernel: Guarded, text: str) -> None:
    left(kernel, message("GatewayDepth", f'{{"type":2,"price":{text},"volume":1}}'))


@pytest.mark.parametrize("text", ["0.0000000001", "21000.2500000001", "1e-300"])
def test_numbers_off_the_grid(kernel: Guarded, text: str) -> None:
    record = message("GatewayDepth", f'{{"type":2,"price":{text},"volume":1}}')
    left(kernel, record)
    assert compare(kernel, record).rows == [(Op.OFF_GRID, 0, 0, 0, 0)]


@pytest.mark.parametrize(
    "text",
    [
        *[
            "01",
            "00",
            "+1",
            ".5",
            "1.",
            "-",
            "-.",
            "1.e5",
            "0x1",
            "1_0",
            "--1",
            "1..2",
            "NaN",
            "Infinity",
            "1e999",
            "9223372036854775808",
            "1e300",
            "true",
            "null",
        ],
        *('"1"', "[1]", "{}", "", "1" * 400),
    ],
)
def test_numbers_refused(kernel: Guarded, text: str) -> None:
    refused(kernel, message("GatewayDepth", f'{{"type":2,"price":{text},"volume":1}}'))
    refused(kernel, message("GatewayDepth", f'{{"type":2,"price":1,"volume":{text}}}'))


@pytest.mark.parametrize(
    "text", [*["01", "00", "+1", ".5", "1.", "-", "-.", "1.e5", "0x1", "1_0", "--1", "1..2", "NaN", "1e999"], "1" * 400]
)
def test_numbers_refused_even_where_nobody_reads_them(kernel: Guarded, text: str) -> None:
    assert kernel.decode(message("GatewayQuote", f'{{"other":{text}}}')) is None
    assert kernel.decode(f'{{"other":{text},'.encode() + message("GatewayQuote", "{}")[1:]) is None


STAMPS = {
    "2026-11-22T14:33:00": NS,
    "2026-11-22T14:33:00Z": NS,
    "2026-11-22T14:33:00+00:00": NS,
    "2026-11-22T14:33:00-00:00": NS,
    "2026-11-22T14:33:00.1Z": NS + 100_000_000,
    "2026-11-22T14:33:00.1234567+00:00": NS + 123_456_700,
    "2026-11-22T14:33:00.12345678Z": NS + 123_456_780,
    "2026-11-22T14:33:00.123456789": NS + 123_456_789,
    "2026-11-22T20:03:00+05:30": NS,
    "2026-11-22T08:33:00-06:00": NS,
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T00:59:00+00:59": 0,
    "2000-02-29T00:00:00Z": 951_782_400_000_000_000,
    "2261-12-31T23:59:59.999999999-23:59": 9_214_732_739_999_999_999,
}


@pytest.mark.parametrize("text", STAMPS)
def test_stamps(kernel: Guarded, text: str) -> None:
    assert taken(kernel, depth(timestamp=text))[0][3] == STAMPS[text]


@pytest.mark.parametrize(
    "text",
    [
        *(["2026-11-22", "2026-11-22T14:33Z", "2026-11-22T14:33:00z", "2026-11-22t14:33:00Z", "2026-11-22T14:33:00.Z"]),
        *(["2026-11-22T14:33:00.1234567890Z", "2026-11-22T24:00:00Z", "2026-11-22T14:60:00Z", "2026-11-22T14:33:60Z"]),
        *(["2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z"]),
        *(["2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z"]),
        *(["1970-01-01T00:00:00+00:01", "2026-11-22T14:33:00+24:00", "2026-11-22T14:33:00+00:60"]),
        *(["2026-11-22T14:33:00+0000", "2026-11-22T14:33:00ZZ", "2026/11/22T14:33:00Z", "+026-11-22T14:33:00Z"]),
        *(["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"]),
        *("", " ", "2026-11-22 14:33:00Z", "2026-11-22T14:33:00 Z", " 2026-11-22T14:33:00Z", "2026-11-22T14:33:00Z "),
        *("2026-11-22T14:33:00,5Z", "2026-11-22T1:33:00Z", "\uff12026-11-22T14:33:00Z", "2026-11-22T14:33:00.1+1:00"),
    ],
)
def test_stamps_refused(kernel: Guarded, text: str) -> None:
    refused(kernel, depth(timestamp=text))
    refused(kernel, message("GatewayQuote", json.dumps({"timestamp": text})))
    refused(kernel, message("GatewayQuote", json.dumps({"lastUpdated": "2026-11-22T14:33:00Z", "timestamp": text})))


def test_every_day_of_the_calendar(kernel: Guarded) -> None:
    """All days of four centuries' kinds of years, and the days that there are not."""
    for year in (1970, 1999, 2000, 2023, 2024, 2100, 2261):
        for month in range(14):
            for day in (0, 1, 28, 29, 30, 31, 32):
                compare(kernel, depth(timestamp=f"{year}-{month:02d}-{day:02d}T23:59:59Z"))


def test_the_last_of_equal_keys_counts(kernel: Guarded) -> None:
    entry = '{"type":1,"price":5,"volume":1,"timestamp":"2026-11-22T14:33:00Z","price":6,"type":2,"volume":3}'
    assert taken(kernel, message("GatewayDepth", entry)) == [(2, 6 * 10**9, 3, NS, 0)]
    refused(kernel, message("GatewayDepth", '{"type":1,"price":5,"volume":1,"price":null}'))
    gone = '{"type":1,"price":5,"volume":1,"timestamp":"2026-11-22T14:33:00Z","timestamp":null}'
    assert taken(kernel, message("GatewayDepth", gone))[0][3] == 0
    assert taken(kernel, message("GatewayQuote", '{"open":5,"open":null}')) == []


@pytest.mark.parametrize(
    "entry",
    [
        '{"price":1,"volume":1}',
        '{"type":2,"volume":1}',
        '{"type":2,"price":1}',
        '{"type":2,"price":1,"volume":-1}',
        '{"type":2.0,"price":1,"volume":1}',
        '{"type":true,"price":1,"volume":1}',
        '{"type":"2","price":1,"volume":1}',
        '{"type":2,"price":true,"volume":1}',
        '{"type":2,"price":1,"volume":1,"timestamp":1795357980}',
        '{"type":2,"price":1,"volume":1,}',
        '{"type":2,"price":1,,"volume":1}',
        '{,"type":2,"price":1,"volume":1}',
        '{"type":2 "price":1,"volume":1}',
        '{"type" 2,"price":1,"volume":1}',
        '{"type":2,"price":1,"volume":1',
        '[{"type":2,"price":1,"volume":1},]',
        '[{"type":2,"price":1,"volume":1}{"type":2,"price":1,"volume":1}]',
        '[[{"type":2,"price":1,"volume":1}]]',
        "null",
        "5",
        '"x"',
        "[null]",
    ],
)
def test_entries_refused(kernel: Guarded, entry: str) -> None:
    refused(kernel, message("GatewayDepth", entry))


@pytest.mark.parametrize("kind", ["2", "-1", "10", "0.0", "false", "null", '"0"', str(2**63)])
def test_trades_of_no_side_are_refused(kernel: Guarded, kind: str) -> None:
    refused(kernel, message("GatewayTrade", f'{{"type":{kind},"price":1,"volume":1}}'))
    refused(kernel, message("GatewayTrade", '{"price":1,"volume":1}'))


@pytest.mark.parametrize("members", ['"type":0', '"type":0,"price":1', '"type":0,"volume":1', '"type":1,"price":null'])
def test_trades_without_price_or_size_are_refused(kernel: Guarded, members: str) -> None:
    refused(kernel, message("GatewayTrade", "{" + members + "}"))


def test_a_quote_of_negative_volume_is_refused(kernel: Guarded) -> None:
    refused(kernel, message("GatewayQuote", '{"volume":-1}'))


ENTRY = '{"type":2,"price":1,"volume":1}'


@pytest.mark.parametrize(
    "text",
    [
        '{"type":2,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1.0,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":11,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1,"arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1,"target":"GatewayDepth"}',
        '{"type":1,"target":"GatewayDepths","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1,"target":"GatewayDept","arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1,"target":null,"arguments":["CON.F.US.MNQ.Z26",[]]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z2",[]]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z266",[]]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.H27",[]]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26"]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[],[]]}',
        '{"type":1,"target":"GatewayDepth","arguments":[[],"CON.F.US.MNQ.Z26"]}',
        '{"type":1,"target":"GatewayDepth","arguments":[]}',
        '{"type":1,"target":"GatewayDepth","arguments":{}}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]} x',
        '[{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}]',
        "",
        "{}",
        "null",
        "\ufeff" + '{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[]]}',
    ],
)
def test_messages_refused(kernel: Guarded, text: str) -> None:
    refused(kernel, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"type":1,"arguments":["CON.F.US.MNQ.Z26",{e}],"target":"GatewayDepth"}',
        '{"type":1,"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayQuote","target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","arguments":[],"arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","headers":{},"arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","streamIds":[],"arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"Gateway\\u0044epth","arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","arguments":["CON\\u002eF.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","note":"a \\" quote","arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","note":"ä","arguments":["CON.F.US.MNQ.Z26",{e}]}',
        '{"type":1,"target":"GatewayDepth","ty\\u0070e":1,"arguments":["CON.F.US.MNQ.Z26",{e}]}',
    ],
)
def test_messages_left_to_the_slow_path(kernel: Guarded, text: str) -> None:
    left(kernel, text.replace("{e}", ENTRY).encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",{e}],"type":1}',
        ' \r\n\t{ "type" : 1 , "target" : "GatewayDepth" , "arguments" : [ "CON.F.US.MNQ.Z26" , [ {e} , {e} ] ] } \n',
        '{"invocationId":"5","n":-1.50,"a":null,"b":true,"c":false,"type":1,"target":"GatewayDepth",'
        '"arguments":["CON.F.US.MNQ.Z26",{e}],"z":"~!\x7f"}',
    ],
)
def test_messages_taken_in_any_shape(kernel: Guarded, text: str) -> None:
    assert taken(kernel, text.replace("{e}", ENTRY).encode())[0] == (2, 10**9, 1, 0, 0)


def test_more_rows_than_there_is_room_for_are_refused() -> None:
    narrow = Guarded(capacity=20)
    fits = message("GatewayDepth", "[" + ",".join([ENTRY] * 20) + "]")
    assert len(taken(narrow, fits)) == 20
    assert narrow.decode(message("GatewayDepth", "[" + ",".join([ENTRY] * 21) + "]")) is None
    quote = '{"open":1,"high":2,"low":3}'
    assert narrow.decode(message("GatewayQuote", "[" + ",".join([quote] * 7) + "]")) is None


def test_sizes_have_decimals_only_when_their_scale_has(kernel: Guarded) -> None:
    assert compare(kernel, depth(volume=2.0)).rows[0][2] == 2
    left(kernel, depth(volume=2.5))
    assert compare(kernel, depth(volume=2.5)).rows[0][0] == Op.OFF_GRID


def test_realistic_stream_is_taken_by_the_kernel(kernel: Guarded) -> None:
    rng = random.Random(SEED)
    records = taken_fast = 0
    for _ in range(40):
        venue = Venue(rng)
        for _ in range(50):
            result = compare(kernel, venue.record())
            assert result.by_slow
            records += 1
            taken_fast += result.by_kernel
    assert taken_fast >= 0.999 * records, (taken_fast, records)


def test_every_cut_of_a_record_is_refused(kernel: Guarded) -> None:
    """Cut anywhere, with a continuation lying behind the zero: the kernel must not read on into it."""
    venue = Venue(random.Random(SEED))
    for record in (venue.depth(2), venue.trades(2), venue.quote(), depth()):
        for cut in range(len(record)):
            refused(kernel, record[:cut])
            assert kernel.decode(record[:cut], behind=record[cut + 1 :] + b"}") is None
            assert kernel.decode(record[:cut], behind=record[cut:] + b"}") is None


def test_a_zero_or_a_control_byte_anywhere_is_refused(kernel: Guarded) -> None:
    venue = Venue(random.Random(SEED))
    for record in (venue.depth(2), venue.trades(1), venue.quote()):
        for place in range(len(record)):
            for byte in (b"\0", b"\x1e", b"\xff"):
                refused(kernel, record[:place] + byte + record[place + 1 :])
                refused(kernel, record[:place] + byte + record[place:])


@pytest.mark.timeout(120 + FRAMES // 100)
def test_damaged_frames(kernel: Guarded) -> None:
    result = fuzz.run(kernel, SEED, FRAMES)
    print(result)
    assert result.by_kernel > FRAMES // 10
    assert result.by_slow > result.by_kernel + FRAMES // 20
    assert result.refused > FRAMES // 4


def test_damaged_frames_with_bounds_checks(tmp_path: Path) -> None:
    """The same kernels compiled anew with numba's bounds checks: an index outside a table raises there."""
    environment = {"NUMBA_BOUNDSCHECK": "1", "XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}
    run = subprocess.run(
        [sys.executable, "-m", "tests.workers.decode.fuzz", str(SEED + 1), "2000"],
        cwd=TOP,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "refused" in run.stdout


# ── variations of the JSON, by hypothesis ─────────────────────────────────────────────────────────────────

SPACES = st.sampled_from(["", "", "", " ", "\n\t", "\r\n  "])
ODD = st.sampled_from(["null", "true", '"x"', "[]", "{}", '{"type":2}', '""', '"\\n"', "1e2", "-0.0", '"ä"'])
PLAIN_NUMBERS = st.one_of(
    st.integers(-(10**16), 10**16).map(str),
    st.decimals(-(10**6), 10**6, places=4).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
)
STAMP_TEXTS = st.one_of(
    st.sampled_from(list(STAMPS)),
    st.from_regex(r"(19[67]|20[0-9]|226)[0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]", fullmatch=True),
    st.from_regex(r"2026-11-22T14:33:0[0-9](\.[0-9]{0,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])?", fullmatch=True),
)
MEMBERS = {
    "type": st.integers(0, 13).map(str),
    "price": PLAIN_NUMBERS,
    "volume": st.one_of(st.integers(0, 9999).map(str), PLAIN_NUMBERS),
    "timestamp": STAMP_TEXTS.map(json.dumps),
    "lastUpdated": STAMP_TEXTS.map(json.dumps),
    "bestBid": PLAIN_NUMBERS,
    "changePercent": PLAIN_NUMBERS,
    "currentVolume": PLAIN_NUMBERS,
    "symbol": st.text(max_size=9).map(lambda text: json.dumps(text, ensure_ascii=False)),
}


@st.composite
def objects(draw: st.DrawFn) -> str:
    """An entry, trade or quote: the needed members, others, odd values, repeats, in any order and spacing."""
    names = ["type", "price", "volume"] if draw(st.integers(0, 7)) else []
    names += draw(st.lists(st.sampled_from(list(MEMBERS)), max_size=4))
    parts = []
    for name in draw(st.permutations(names)):
        value = draw(MEMBERS[name] if draw(st.integers(0, 9)) else ODD)
        parts.append(f'{draw(SPACES)}"{name}"{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}')
    return "{" + ",".join(parts) + "}"


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    items = draw(st.lists(objects(), min_size=1, max_size=3))
    gap = draw(SPACES)
    payload = items[0] if len(items) == 1 and draw(st.booleans()) else f"[{gap}{f'{gap},'.join(items)}{gap}]"
    target = draw(st.sampled_from(["GatewayDepth", "GatewayTrade", "GatewayQuote"]))
    parts = ['"type":1', f'"target"{gap}:"{target}"', f'"arguments":[{gap}"{CONTRACT}"{gap},{payload}]']
    order = parts if draw(st.integers(0, 3)) else draw(st.permutations(parts))
    return (gap + "{" + f"{gap},".join(order) + "}" + gap).encode()


@seed(SEED)
@settings(max_examples=600, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=messages())
def test_variations_agree(kernel: Guarded, text: bytes) -> None:
    compare(kernel, text)


def _doubles() -> Iterator[str]:
    rng = random.Random(SEED)
    for _ in range(3000):
        digits = rng.randrange(1, 18)
        number = str(rng.randrange(10**digits)).zfill(rng.randrange(1, digits + 4))
        point = rng.randrange(len(number) + 1)
        yield rng.choice(("", "-")) + number[:point] + rng.choice((".", "")) + number[point:]


def test_numbers_of_any_length_agree(kernel: Guarded) -> None:
    taken_fast = sum(
        compare(kernel, message("GatewayDepth", f'{{"type":1,"price":{text},"volume":1}}')).by_kernel
        for text in _doubles()
    )
    assert taken_fast > 500
