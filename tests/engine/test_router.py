"""engine/router.py: which ring a message goes to, and when what was pushed becomes visible."""

from collections.abc import Callable

import pytest

from engine.config import MAX_SYMBOLS, SymbolSettings
from engine.feeds import projectx
from engine.router import LOOK_AT_CLOCK_EACH, Lane, Router
from shm.layout import Reason
from tests.engine.recording import RecordingRing

MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"


def message(contract: str, body: str = "[]", target: str = "GatewayDepth") -> bytes:
    return f'{{"type":1,"target":"{target}","arguments":["{contract}",{body}]}}'.encode()


class Turn:
    """A router with two instruments, a clock that is set by hand, and a loop whose turn is ended by hand."""

    def __init__(self, **settings: int) -> None:
        self.now_ns = 0
        self.noticed: list[int] = []
        self.soon: list[Callable[[], None]] = []
        self.router = Router(projectx.KEY_PLACE, self.soon.append, lambda: self.now_ns, self.noticed.append)
        self.rings = {contract: RecordingRing() for contract in (MNQ, MES)}
        self.lanes = {
            contract: Lane(SymbolSettings("X", **settings), ring)  # type: ignore[arg-type]
            for contract, ring in self.rings.items()
        }
        for contract, lane in self.lanes.items():
            self.router.add(lane, [*projectx.heads(contract), contract.encode()])

    def end(self) -> None:
        soon = list(self.soon)
        self.soon.clear()
        for call in soon:
            call()


def test_a_message_is_routed_by_its_head_or_by_a_contract_found_elsewhere() -> None:
    turn = Turn()
    assert turn.router.route(message(MNQ))
    assert turn.router.route(b"anything", MES.encode())
    assert not turn.router.route(b"anything", b"CON.F.US.MNQ.H27")
    assert not turn.router.route(b"anything")
    assert turn.rings[MNQ].pushed == [message(MNQ)]
    assert turn.rings[MES].pushed == [b"anything"]


def test_a_lane_that_leaves_gets_nothing_more_and_what_waits_in_it_is_seen() -> None:
    turn = Turn()
    turn.router.route(message(MNQ))
    turn.router.route(message(MES))
    turn.router.remove(turn.lanes[MNQ])
    assert turn.rings[MNQ].done == [("push", message(MNQ)), ("publish",)]
    assert not turn.router.route(message(MNQ))
    assert not turn.router.route(b"anything", MNQ.encode())
    assert turn.router.route(message(MES))
    turn.end()
    assert turn.rings[MNQ].done == [("push", message(MNQ)), ("publish",)]
    assert turn.rings[MES].pushed == [message(MES)] * 2


def test_another_takes_the_place_of_one_that_left() -> None:
    turn = Turn()
    for _ in range(3 * MAX_SYMBOLS):
        turn.router.remove(turn.lanes[MNQ])
        turn.rings[MNQ] = RecordingRing()
        turn.lanes[MNQ] = Lane(SymbolSettings("X"), turn.rings[MNQ])
        turn.router.add(turn.lanes[MNQ], projectx.heads(MNQ))
        assert turn.router.route(message(MNQ))
        assert turn.rings[MNQ].pushed == [message(MNQ)]
    assert turn.router.route(message(MES))


def test_a_lane_with_another_name_is_found_by_that_alone() -> None:
    turn = Turn()
    next_month = "CON.F.US.MNQ.H27"
    turn.router.rename(turn.lanes[MNQ], projectx.heads(next_month))
    assert turn.router.route(message(next_month))
    assert not turn.router.route(message(MNQ))
    assert turn.router.route(message(MES))
    assert turn.rings[MNQ].pushed == [message(next_month)]


def test_a_turn_is_published_once() -> None:
    turn = Turn()
    for n in range(10):
        turn.router.route(message(MNQ, str(n)))
        turn.router.route(message(MES, str(n)))
    assert len(turn.soon) == 1
    assert ("publish",) not in turn.rings[MNQ].done
    turn.end()
    for contract, ring in turn.rings.items():
        assert ring.done == [*(("push", message(contract, str(n))) for n in range(10)), ("publish",)]
    turn.router.route(message(MNQ))
    turn.end()
    assert turn.rings[MNQ].done.count(("publish",)) == 2
    assert turn.rings[MES].done.count(("publish",)) == 1


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 40])
def test_a_turn_is_bounded_in_messages(limit: int) -> None:
    turn = Turn(batch_max_frames=limit)
    for _ in range(100):
        turn.router.route(message(MNQ))
    turn.end()
    done = turn.rings[MNQ].done
    sizes, size = [], 0
    for step in done:
        if step == ("publish",):
            sizes.append(size)
            size = 0
        else:
            size += 1
    assert size == 0
    assert [each for each in sizes if each] == [limit] * (100 // limit) + [100 % limit] * (100 % limit > 0)


def test_a_turn_is_bounded_in_time() -> None:
    turn = Turn(batch_max_us=1000)
    for _ in range(LOOK_AT_CLOCK_EACH - 1):
        turn.router.route(message(MNQ))
    turn.now_ns = 999_999
    turn.router.route(message(MNQ))
    assert ("publish",) not in turn.rings[MNQ].done
    for _ in range(LOOK_AT_CLOCK_EACH):
        turn.now_ns = 1_000_000
        turn.router.route(message(MNQ))
    assert turn.rings[MNQ].done[-1] == ("publish",)


def test_the_clock_is_asked_before_the_first_message_of_a_batch() -> None:
    turn = Turn()
    turn.now_ns = 5
    turn.router.route(message(MNQ))
    turn.router.route(message(MNQ))
    assert turn.noticed == [5]
    turn.end()
    turn.now_ns = 6
    turn.router.route(message(MNQ))
    assert turn.noticed == [5, 6]


def test_a_full_ring_stops_nobody_else() -> None:
    turn = Turn()
    turn.rings[MNQ].full = True
    for _ in range(3):
        assert turn.router.route(message(MNQ))
        assert turn.router.route(message(MES))
    turn.end()
    assert (turn.rings[MNQ].delivered, turn.rings[MNQ].dropped) == (3, 3)
    assert len(turn.rings[MES].pushed) == 3


def test_what_is_said_is_visible_at_once_and_behind_what_was_pushed() -> None:
    turn = Turn()
    turn.router.route(message(MNQ))
    turn.lanes[MNQ].say(Reason.SILENCE, Reason.RESYNC)
    assert turn.rings[MNQ].done == [
        ("push", message(MNQ)),
        ("gap", Reason.SILENCE),
        ("gap", Reason.RESYNC),
        ("publish",),
    ]


def test_a_lane_looks_for_a_snapshot_until_it_has_one() -> None:
    turn = Turn()
    looked: list[bytes] = []
    lane = turn.lanes[MNQ]

    def is_third(seen: bytes) -> bool:
        looked.append(seen)
        return len(looked) == 3

    lane.await_snapshot(is_third)
    answers = []
    for n in range(5):
        turn.router.route(message(MNQ, str(n)))
        answers.append(lane.answered)
    assert answers == [False, False, True, True, True]
    assert len(looked) == 3
    assert turn.rings[MNQ].pushed == [message(MNQ, str(n)) for n in range(5)]
