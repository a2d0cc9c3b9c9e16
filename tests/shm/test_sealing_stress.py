"""Reading while bars are appended and sealed in another process: no bar is ever missing, doubled or another's."""

import time

import numpy as np

from shm import Bars
from tests.made_bars import BEGIN_NS, DAY_NS
from tests.shm.stress import sealing
from tests.shm.stress.processes import make_flags, running, shared_folder

FOR_S = 4.0
LEAST_ROWS = 4 * sealing.ROWS  # the ring was gone through again and again


def test_bars_that_are_sealed_below_a_reader_are_all_there_once(seed: int) -> None:
    with shared_folder() as folder:
        flags = make_flags(folder)
        with running("sealing", folder, flags, seed) as writer:
            bars = Bars(folder, "MNQ", "1m")
            seen = reads = newest = 0
            until_s = time.monotonic() + FOR_S
            while time.monotonic() < until_s or newest < LEAST_ROWS:
                assert writer.poll() is None
                numbers = bars.scan().select("number").collect()["number"].to_numpy()
                assert np.array_equal(numbers, np.arange(len(numbers)))
                assert len(numbers) >= seen
                seen, reads = len(numbers), reads + 1
                last = bars.last(300)["number"]
                if seen:
                    newest = int(last[-1]) + 1
                    assert newest >= seen
                    assert np.array_equal(last, np.arange(newest - len(last), newest))
                    assert len(last) == min(newest, 300)
                assert len(bars.to_polars(BEGIN_NS, BEGIN_NS + DAY_NS)) <= 1440
            print(f"{reads} reads, {seen} bars")
