"""A crowd of readers out of one warm process: `python -m tests.system.crowd NAME COUNT SEED`.

Every reader attaches, reads books and blocks for the next change, again and again. Every third one leaves when it
has seen enough; the others are killed with SIGKILL after a random number of turns, wherever they are then. At the end
one JSON object says what became of them.
"""

import json
import os
import random
import selectors
import signal
import sys

from shm import Stale, attach

TURNS = 20  # of a reader that leaves by itself
WAIT_S = 5.0


def read(name: str, turns: int, told: int) -> None:
    """A reader's life: one byte into `told` for each turn, `b` with a live book and `s` without."""
    with attach(name) as market:
        symbols = market.symbols
        watched = market.watch(timeout_s=WAIT_S)
        for turn in range(turns):
            instrument = market[symbols[turn % len(symbols)]]
            try:
                book = instrument.book()
                instrument.depth()
                instrument.tape().last(10)
            except Stale:
                os.write(told, b"s")
            else:
                assert book.best_bid < book.best_ask, book
                os.write(told, b"b")
            next(watched)


def fork_reader(name: str, turns: int) -> tuple[int, int]:
    """Its pid, and the end of the pipe that its turns are told in."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        return pid, heard
    status = 1
    try:
        os.close(heard)
        read(name, turns, told)
        status = 0
    finally:
        os._exit(status)


def main(name: str, count: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    with attach(name) as market:  # all that a reader needs is imported and loaded now, before the first fork
        market[market.symbols[0]].book(allow_stale=True)
    result = {"left": 0, "killed": 0, "failed": 0, "books": 0, "without": 0}
    with selectors.DefaultSelector() as selector:
        left: dict[int, int] = {}  # turns until a reader is killed, by its pipe
        pids: dict[int, int] = {}
        for number in range(count):
            stays = number % 3 != 0
            pid, heard = fork_reader(name, 1 << 30 if stays else TURNS)
            pids[heard] = pid
            left[heard] = rng.randrange(1, 3 * TURNS) if stays else 1 << 30
            selector.register(heard, selectors.EVENT_READ)
        while pids:
            for key, _ in selector.select():
                heard = key.fd
                turns = os.read(heard, 4096)
                result["books"] += turns.count(b"b")
                result["without"] += turns.count(b"s")
                left[heard] -= len(turns)
                if left[heard] <= 0 and turns:
                    os.kill(pids[heard], signal.SIGKILL)
                elif not turns:
                    selector.unregister(heard)
                    os.close(heard)
                    _, status = os.waitpid(pids.pop(heard), 0)
                    result[_end(status)] += 1
    return result


def _end(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "left" if status == 0 else "failed"


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
