"""Each misbehaviour that a ProjectX gateway is known for, done to a running engine: what it says, and what it counts.

One engine goes through all of them. After each one its books are live and exact again, no print is lost or doubled
that was delivered, and it is subscribed to everything once; at the end its whole run was exact.
"""

from collections.abc import Iterator

import pytest

from shm.layout import REASON_TEXT, Reason
from tests.system.staging import Going, Stage, staged

SYMBOLS = ("ES", "MNQ")
RATE_ENTRIES_PER_S = 12_000
RING_MIB = 2
HALF_RING_BYTES = RING_MIB << 19
MAX_RECORD_BYTES = 4 << 20


@pytest.fixture(scope="module")
def going() -> Iterator[Going]:
    with staged(SYMBOLS, RATE_ENTRIES_PER_S, RING_MIB) as made:
        yield made


@pytest.fixture
def stage(going: Going) -> Iterator[Stage]:
    with Stage(going) as made:
        yield made


def reconnected(stage: Stage, connects: int = 1, refused_frames: int = 0) -> None:
    """Every book said that the socket was down, and is back by a new one, with nothing dropped on this side."""
    stage.wait_said(Reason.DISCONNECTED, SYMBOLS)
    stage.wait_said(Reason.RECONNECTED, SYMBOLS)
    stage.is_as_before()
    for symbol in SYMBOLS:
        assert ("stale", REASON_TEXT[Reason.DISCONNECTED]) in stage.watch.seen[symbol]
        assert stage.watch.seen[symbol][-1] == ("live", "")
        assert [stage.grown(symbol, name) for name in ("refused", "dropped", "resyncs")] == [0, 0, 0]
    assert stage.counted("connects") == connects
    assert (stage.counted("resubscribes"), stage.counted("refused_frames")) == (0, refused_frames)


def untouched(stage: Stage, *symbols: str) -> None:
    """These were live all the time."""
    for symbol in symbols or SYMBOLS:
        assert stage.watch.seen[symbol] == [("live", "")]
        assert stage.watch.gaps[symbol] == []
        assert [stage.grown(symbol, name) for name in ("refused", "dropped", "resyncs")] == [0, 0, 0]


def test_drop_mid_batch(stage: Stage) -> None:
    stage.fault("drop_mid_batch")
    reconnected(stage)


def test_freeze_of_the_whole_socket(stage: Stage) -> None:
    stage.fault("freeze")
    reconnected(stage)


def test_freeze_of_one_stream(stage: Stage) -> None:
    stage.fault("freeze", symbol="MNQ")
    stage.wait(lambda: stage.watch.said("MNQ", Reason.SILENCE, Reason.RESYNC), "the frozen stream is noticed")
    reconnect_is_the_cure(stage)


def reconnect_is_the_cure(stage: Stage) -> None:
    """A stream that stays mute after it was subscribed again costs one new connection."""
    stage.wait_said(Reason.RECONNECTED, SYMBOLS)
    stage.is_as_before()
    assert stage.counted("connects") == 1
    assert stage.counted("resubscribes") == 1
    assert stage.grown("ES", "resyncs") == 0
    assert stage.grown("MNQ", "resyncs") == 1


def test_thaw_before_anybody_minds(stage: Stage) -> None:
    stage.fault("freeze", symbol="MNQ")
    stage.wait_sent("MNQ", 200)
    stage.fault("thaw", symbol="MNQ")
    stage.is_as_before()
    assert stage.counted("connects") == 0
    assert stage.watch.gaps == {symbol: [] for symbol in SYMBOLS}


def test_slow_reader_is_late_and_says_so(stage: Stage) -> None:
    stage.fault("slow_reader", bytes_per_s=200_000)
    stage.wait_said(Reason.VENUE_LAG, SYMBOLS)
    stage.fault("thaw")
    stage.is_as_before()
    for symbol in SYMBOLS:
        assert ("stale", REASON_TEXT[Reason.VENUE_LAG]) in stage.watch.seen[symbol]
        assert stage.watch.gaps[symbol] == [], "nothing was lost: the book is live again without a snapshot"
        assert [stage.grown(symbol, name) for name in ("refused", "dropped", "resyncs")] == [0, 0, 0]
    assert stage.counted("connects") == 0


def test_duplicate_after_reconnect(stage: Stage) -> None:
    """Trades have no ids, and equal ones are real: what was delivered twice is on the tape twice."""
    stage.fault("duplicate_after_reconnect")
    reconnected(stage)
    for symbol in SYMBOLS:
        repeats = stage.truth(symbol).repeats(0)
        assert repeats
        row, first_row = repeats[-1]
        trades = stage.truth(symbol).trades_sent(row, row + 1)
        assert len(trades) == len(stage.truth(symbol).trades_sent(first_row, first_row + 1))
        tape = stage.market[symbol].tape().last(1 << 14)
        assert (tape["venue_ns"] == trades["venue_ns"][0]).sum() == 2 * len(trades)


def test_stale_stamps(stage: Stage) -> None:
    stamps = []
    for _ in range(20):
        stage.fault("stale_stamps", symbol="MNQ", records=20, age_ms=400)
        stage.judge.sample()
        stamps.append(stage.market["MNQ"].status().venue_ns)
    stage.is_as_before()
    untouched(stage)
    assert stamps == sorted(stamps)


def test_crossed(stage: Stage) -> None:
    stage.fault("crossed", symbol="MNQ")
    stage.wait_said(Reason.RESYNC, ["MNQ"])
    stage.is_as_before()
    assert ("stale", REASON_TEXT[Reason.CROSSED]) in stage.watch.seen["MNQ"]
    assert stage.grown("MNQ", "resyncs") == stage.counted("resubscribes") == 1
    assert stage.grown("MNQ", "refused") == 0
    untouched(stage, "ES")
    assert stage.counted("connects") == 0


def test_huge_frame_in_pieces(stage: Stage) -> None:
    stage.fault("huge_frame", symbol="MNQ", bytes=HALF_RING_BYTES // 2)
    stage.is_as_before()
    untouched(stage)
    assert stage.counted("connects") == 0


def test_huge_frame_above_half_the_ring(stage: Stage) -> None:
    stage.fault("huge_frame", symbol="MNQ", bytes=HALF_RING_BYTES + 1)
    stage.wait_said(Reason.RESYNC, ["MNQ"])
    stage.is_as_before()
    assert ("stale", REASON_TEXT[Reason.OVERSIZE]) in stage.watch.seen["MNQ"]
    assert stage.grown("MNQ", "dropped") == stage.grown("MNQ", "resyncs") == stage.counted("resubscribes") == 1
    untouched(stage, "ES")
    assert stage.counted("connects") == 0


def test_huge_frame_above_all_limits(stage: Stage) -> None:
    stage.fault("huge_frame", symbol="MNQ", bytes=MAX_RECORD_BYTES + 1)
    reconnected(stage, refused_frames=1)


def test_reused_id_404(stage: Stage) -> None:
    stage.fault("reused_id_404", times=2)
    stage.fault("drop_mid_batch")
    reconnected(stage, connects=3)


@pytest.mark.parametrize("revoke", [False, True])
def test_logout(stage: Stage, revoke: bool) -> None:
    """A token that is good no more costs one connection that is refused, and one login."""
    stage.fault("logout", revoke=revoke)
    reconnected(stage, connects=2 if revoke else 1)
    assert stage.counted("unrouted") == 1


@pytest.mark.parametrize("kind", ["partial_quote", "empty_quote"])
def test_partial_quote_and_empty_quote(stage: Stage, kind: str) -> None:
    before = stage.market["MNQ"].session()
    stage.fault(kind, symbol="MNQ")
    stage.is_as_before()
    untouched(stage)
    after = stage.market["MNQ"].session()
    assert after.open == before.open
    assert not any(value != value for value in after), "no field was forgotten"


def test_unknown_target(stage: Stage) -> None:
    stage.fault("unknown_target")
    stage.is_as_before()
    untouched(stage)
    assert stage.counted("unrouted") == len(SYMBOLS) + 1
    assert stage.counted("refused_frames") == 0


def test_unknown_dom_type(stage: Stage) -> None:
    stage.fault("unknown_dom_type", symbol="MNQ")
    stage.is_as_before()
    untouched(stage)
    assert stage.grown("MNQ", "unknown_entries") >= 4
