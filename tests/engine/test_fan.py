"""engine/fan.py, and the router's use of it: the frames it takes, those it leaves alone, and its table."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import fan
from engine.config import MAX_SYMBOLS, SymbolSettings
from engine.feeds import projectx
from engine.router import KeyPlace, Lane, Router
from shm import layout
from shm.layout import Record
from shm.records import AFTER, AT, KIND, PEEK_WORDS, SIZE, peek
from shm.ring import RingWriter

MNQ, MES, LONG = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26", "CON.F.US." + "L" * 50 + ".Z26"
NEITHER = "CON.F.US.MNQ.H27"


def message(contract: str, body: str = "[]", target: str = "GatewayDepth") -> bytes:
    return f'{{"type":1,"target":"{target}","arguments":["{contract}",{body}]}}'.encode()


class Ring(RingWriter):
    """A ring in private memory that remembers how long its batches were."""

    __slots__ = ("batches",)

    def __init__(self) -> None:
        words = np.zeros(layout.ring_regions(1 << 16)["words"].shape, layout.WORDS)
        words[layout.CAPACITY] = 1 << 16
        super().__init__(words, 1)
        self.batches: list[int] = []

    def publish(self) -> bool:
        self.batches.append(self.pending)
        return super().publish()

    def read(self) -> list[bytes]:
        """The messages that are published."""
        words: Any = self.words
        row: Any = np.zeros(PEEK_WORDS, np.int64)
        found, position = [], 0
        while peek(words, position, int(words[layout.TAIL]), row):
            assert row[KIND] == Record.DATA
            found.append(words.view(np.uint8)[int(row[AT]) : int(row[AT] + row[SIZE])].tobytes())
            position = int(row[AFTER])
        return found


class Fan:
    """A router of three instruments with real rings."""

    def __init__(self, **settings: int) -> None:
        self.now_ns = 0
        self.soon: list[Any] = []
        self.router = Router(projectx.KEY_PLACE, self.soon.append, lambda: self.now_ns, lambda now: None)
        self.rings = {contract: Ring() for contract in (MNQ, MES, LONG)}
        self.lanes = [Lane(SymbolSettings("X", **settings), ring) for ring in self.rings.values()]  # type: ignore[arg-type]
        for lane, contract in zip(self.lanes, self.rings, strict=True):
            self.router.add(lane, [*projectx.heads(contract), contract.encode()])

    def read(self) -> dict[str, list[bytes]]:
        self.router.publish()
        return {contract: found for contract, ring in self.rings.items() if (found := ring.read())}


@pytest.mark.parametrize("target", projectx.TARGETS)
@pytest.mark.parametrize("contract", [MNQ, MES, LONG])
def test_a_usual_frame_goes_to_its_ring_without_its_separator(contract: str, target: str) -> None:
    engine = Fan()
    sent = message(contract, target=target)
    assert engine.router.take(sent + b"\x1e")
    assert engine.router.taken() == (1, len(sent) + 1)
    assert engine.router.taken() == (0, 0)
    assert engine.read() == {contract: [sent]}


USUAL = message(MNQ) + b"\x1e"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x1e",
        b"x" * 200 + b"\x1e",
        USUAL + USUAL,
        USUAL[:-1],
        b"\x1e" + USUAL,
        USUAL + b'{"type"',
        b'{"type":6}\x1e',
        message(NEITHER) + b"\x1e",
        message(MNQ[:-1]) + b"\x1e",
        message(MNQ + "6") + b"\x1e",
        message("") + b"\x1e",
        message(MNQ, target="GatewayOther") + b"\x1e",
        message(MNQ, target="GatewayDepthX") + b"\x1e",
        message(MNQ + "C" * 70) + b"\x1e",
        USUAL.replace(b":", b": "),
        *(USUAL[:end] + b"\x1e" for end in range(USUAL.index(b"Z26"))),
    ],
)
def test_a_frame_that_is_not_one_usual_record_is_left_alone(frame: bytes) -> None:
    engine = Fan()
    assert not engine.router.take(frame)
    assert engine.router.taken() == (0, 0)
    assert engine.read() == {}
    assert engine.soon == []


class Undispatched:
    """A dispatcher of a numba that gives no compiled function out, or none of these types."""

    def __init__(self, dispatcher: Any, error: type[Exception]) -> None:
        self._dispatcher, self._error = dispatcher, error
        self.calls = 0

    def __call__(self, table: fan.Table, frame: bytes) -> int:
        self.calls += 1
        return int(self._dispatcher(table, frame))

    def get_overload(self, signature: object) -> None:
        raise self._error


@pytest.mark.parametrize("error", [AttributeError, KeyError])
def test_the_fan_says_and_does_the_same_with_and_without_the_dispatcher(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = Fan()
    dispatcher = Undispatched(fan.fan, error)
    monkeypatch.setattr(fan, "fan", dispatcher)
    through = Fan()
    frames = [b"", USUAL[:-1], *(message(contract, "x" * 9) + b"\x1e" for contract in (MNQ, LONG, NEITHER, MES) * 20)]
    said = [(direct.router.fan(frame), direct.router.take(frame)) for frame in frames]
    before = dispatcher.calls
    assert said == [(through.router.fan(frame), through.router.take(frame)) for frame in frames]
    assert dispatcher.calls - before >= 2 * len(frames)
    assert {fan.NOT_OURS, fan.TAKEN, fan.BEGIN, fan.LOOK} == {what & 3 for what, _ in said}
    assert direct.router.taken() == through.router.taken()
    assert direct.read() == through.read()


def test_this_numba_gives_the_compiled_fan_out() -> None:
    assert getattr(Fan().router.fan, "func", fan.fan) is not fan.fan


def test_a_frame_that_is_no_bytes_at_all_is_an_error() -> None:
    frame: Any = USUAL.decode()
    with pytest.raises(TypeError):
        Fan().router.take(frame)


@given(st.lists(st.sampled_from([MNQ, MES, LONG, NEITHER]), max_size=60))
def test_the_fan_and_the_slow_way_say_the_same(contracts: list[str]) -> None:
    fast, slow = Fan(), Fan()
    for number, contract in enumerate(contracts):
        sent = message(contract, str(number))
        assert fast.router.take(sent + b"\x1e") == slow.router.route(sent) == (contract != NEITHER)
    assert fast.read() == slow.read()
    assert [ring.batches for ring in fast.rings.values()] == [ring.batches for ring in slow.rings.values()]


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 40])
def test_a_turn_is_bounded_in_messages(limit: int) -> None:
    engine = Fan(batch_max_frames=limit)
    for _ in range(100):
        assert engine.router.take(USUAL)
    engine.router.publish()
    assert [size for size in engine.rings[MNQ].batches if size] == [limit] * (100 // limit) + [100 % limit] * (
        100 % limit > 0
    )


def test_a_turn_is_bounded_in_time() -> None:
    engine = Fan(batch_max_us=1000)
    for engine.now_ns in range(0, 4_000_000, 10_000):
        engine.router.take(USUAL)
    longest = max(engine.rings[MNQ].batches)
    assert 100 <= longest <= 100 + 16
    assert len(engine.soon) == 1


def test_a_lane_that_waits_for_a_snapshot_is_left_to_the_slow_way() -> None:
    engine = Fan()
    engine.router.take(USUAL)
    engine.lanes[0].await_snapshot(lambda sent: b"snapshot" in sent)
    assert not engine.router.take(USUAL)
    assert engine.router.take(message(MES) + b"\x1e")
    assert engine.router.route(message(MNQ))
    answered = [engine.lanes[0].answered]
    assert engine.router.route(message(MNQ, '"snapshot"'))
    answered.append(engine.lanes[0].answered)
    assert answered == [False, True]
    assert engine.router.take(USUAL)
    assert engine.read() == {
        MNQ: [message(MNQ), message(MNQ), message(MNQ, '"snapshot"'), message(MNQ)],
        MES: [message(MES)],
    }


def test_a_lane_can_stop_waiting_for_a_snapshot() -> None:
    engine = Fan()
    engine.lanes[0].await_snapshot(lambda sent: False)
    engine.router.route(message(MNQ))
    engine.lanes[0].stop_awaiting()
    assert engine.lanes[0].answered
    assert engine.router.take(USUAL)


def test_a_full_ring_drops_and_counts_and_stops_nobody() -> None:
    engine = Fan()
    sent = message(MNQ, '"' + "x" * 4000 + '"') + b"\x1e"
    for _ in range(40):
        assert engine.router.take(sent)
        assert engine.router.take(message(MES) + b"\x1e")
    assert engine.rings[MNQ].delivered == 40
    assert engine.rings[MNQ].dropped > 0
    assert engine.rings[MES].dropped == 0


def test_as_many_lanes_as_there_may_be_symbols_and_no_more() -> None:
    router = Router(projectx.KEY_PLACE, lambda call: None, lambda: 0, lambda now: None)
    rings = [Ring() for _ in range(MAX_SYMBOLS)]
    contracts = [f"CON.F.US.S{number}.Z26" for number in range(MAX_SYMBOLS)]
    for ring, contract in zip(rings, contracts, strict=True):
        router.add(Lane(SymbolSettings("X"), ring), [*projectx.heads(contract), contract.encode()])
    for ring, contract in zip(rings, contracts, strict=True):
        for target in projectx.TARGETS:
            assert router.take(message(contract, target=target) + b"\x1e")
        assert ring.delivered == 3
    with pytest.raises(ValueError, match="at most 64"):
        router.add(Lane(SymbolSettings("X"), Ring()), [])


def test_a_table_holds_keys_up_to_its_last_slot_and_a_key_can_move() -> None:
    table = fan.new_table(b"\x1e", 0, fan.MAX_KEY_BYTES)
    keys = [f"{number:08}".encode() for number in range(fan.SLOT_COUNT)]
    assert all(fan.add_key(table, key, number) for number, key in enumerate(keys))
    assert not fan.add_key(table, b"one more", 0)
    assert fan.add_key(table, keys[0], 5)
    assert not fan.add_key(table, b"", 0)
    assert not fan.add_key(table, b"x" * (fan.MAX_KEY_BYTES + 1), 0)


def test_a_place_for_longer_keys_than_the_table_has_room_for() -> None:
    place = KeyPlace(b"\x1e", 48, fan.MAX_KEY_BYTES + 1)
    with pytest.raises(ValueError, match="longer than"):
        Router(place, lambda call: None, lambda: 0, lambda now: None)


def test_a_lane_that_left_is_pushed_into_no_more_and_its_place_is_free() -> None:
    router = Router(projectx.KEY_PLACE, lambda call: None, lambda: 0, lambda now_ns: None)
    stays = Ring()
    router.add(Lane(SymbolSettings("MES"), stays), projectx.heads(MES))
    for contract in (MNQ, NEITHER) * MAX_SYMBOLS:
        ring = Ring()
        lane = Lane(SymbolSettings("MNQ"), ring)
        router.add(lane, projectx.heads(contract))
        assert router.take(message(contract) + b"\x1e")
        router.remove(lane)
        assert not router.take(message(contract) + b"\x1e")
        assert (ring.delivered, ring.batches) == (1, [1])
    assert router.take(message(MES) + b"\x1e")
    assert stays.delivered == 1
