"""An engine that reads nothing for seconds: the venue cuts it off, its books say so, and nothing that came is lost."""

import os
import signal

from shm.layout import Reason
from tests.system.staging import Stage, staged

SYMBOLS = ("ES", "MNQ")
RATE_ENTRIES_PER_S = 30_000
RING_MIB = 16  # what lies in the kernel's buffers comes all at once


def test_slow_reader_that_reads_nothing_is_cut_off() -> None:
    """The engine is stopped: that is what a slow reader is to a venue."""
    with staged(SYMBOLS, RATE_ENTRIES_PER_S, RING_MIB) as going, Stage(going) as stage:
        cut_off_and_back(stage)


def cut_off_and_back(stage: Stage) -> None:
    cut_off = stage.simulator()["clients_cut_off"]
    pid = stage.engine.registry.engine_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        stage.wait(lambda: stage.simulator()["clients_cut_off"] > cut_off, "the venue cuts the engine off")
        assert not any(status.live for status in stage.statuses().values())
    finally:
        os.kill(pid, signal.SIGCONT)
    stage.wait_said(Reason.RECONNECTED, SYMBOLS)
    stage.is_as_before()
    for symbol in SYMBOLS:
        assert stage.watch.said(symbol, Reason.DISCONNECTED)
    assert stage.counted("connects") == 1
    assert stage.counted("pauses") == 1
