"""The changes of a book, put together again, are the book."""

import numpy as np

from shm.layout import LEVEL, STATE
from workers.export.changes import BID, Watched

DEPTH = 32


def _side(levels: dict[int, int], side: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    rows = sorted(levels.items(), reverse=side != BID)
    return np.array(rows, LEVEL)


def test_changes_put_together_are_the_book(seed: int) -> None:
    rng = np.random.default_rng(seed)
    watched = Watched(DEPTH)
    state, levels = np.zeros(1, STATE), np.zeros((2, DEPTH), LEVEL)
    truth: list[dict[int, int]] = [{}, {}]
    mine: list[dict[int, int]] = [{}, {}]
    cleared = 0
    for _ in range(3000):
        state["synced"] = rng.integers(12) != 0
        for side in range(2):
            for _ in range(int(rng.integers(4))):
                price = int(rng.integers(0, 30))
                if rng.integers(3) == 0:
                    truth[side].pop(price, None)
                else:
                    truth[side][price] = int(rng.integers(1, 9))
            rows = _side(truth[side], side)
            levels[side, : len(rows)] = rows
            state[("n_bids", "n_asks")[side]] = len(rows)
        changed = watched.look(state, levels)
        if changed is not None:
            if changed.cleared:
                cleared += 1
                assert len(changed.rows) == 0
                mine = [{}, {}]
            for side, price, size in changed.rows.tolist():
                assert mine[side].get(price, 0) != size
                if size:
                    mine[side][price] = size
                else:
                    del mine[side][price]
        assert mine == (truth if state["synced"][0] else [{}, {}])
    assert cleared > 10
