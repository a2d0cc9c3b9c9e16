"""What a watcher is told when processes are killed: each event once, with its reason and where it began."""

import os
import signal
import threading

from shm import Event
from tests.system.running import all_live, is_exact, running, wait_live
from tests.waiting import wait_for

LIMIT_S = 60.0


def test_a_killed_worker_and_a_killed_engine_are_told_once_each(left_nothing: object, engine_name: str) -> None:
    with running(engine_name, "--symbols", "MNQ,MES", "--rate", "2000") as engine:
        market = engine.attach()
        wait_live(market)
        events = market.events()
        got: list[Event] = []
        told = threading.Thread(target=lambda: got.extend(events))
        told.start()
        os.kill(engine.worker_pid("MNQ"), signal.SIGKILL)
        wait_for(lambda: got, LIMIT_S, "the restart")
        wait_live(market)
        os.kill(engine.registry.engine_pid, signal.SIGKILL)
        wait_for(lambda: [event for event in got if event.kind == "live"][1:], LIMIT_S, "both books live again")
        wait_for(lambda: all_live(market), LIMIT_S, "all live")
        events.close()
        told.join(LIMIT_S)
        assert not told.is_alive()
        market.close()
        summary = engine.stop()
    assert is_exact(summary)
    worker, *rest = got
    assert (worker.symbol, worker.kind, worker.detail, worker.reason) == (
        "MNQ",
        "restart",
        "worker",
        "ended by SIGKILL",
    )
    kinds = {symbol: [event.kind for event in rest if event.symbol == symbol] for symbol in ("", "MNQ", "MES")}
    assert kinds[""] == ["restart"]
    assert kinds["MNQ"] == kinds["MES"] == ["gap", "stale", "resync", "live"]
    for event in rest:
        assert event.from_wall_ns <= event.wall_ns
        if event.kind == "gap":
            assert event.reason == "the engine was restarted"
            assert 0 < event.from_sequence < event.sequence
