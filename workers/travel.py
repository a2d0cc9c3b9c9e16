"""`python -m workers.travel JOURNAL`: answers what the book was, for the one reader that started it (shm/past.py).

It ends when its standard input does, or with that reader. It writes nothing to the journal's folder.
"""

import signal
import sys
from pathlib import Path
from typing import IO

from shm.errors import JournalDamaged, LayoutError, NotRecorded
from shm.past import ANSWER, FOUND, REQUEST, Answer, By

from .finder import Finder, Found


def answer(finder: Finder, request: bytes) -> tuple[Answer, bytes]:
    """The answer to one REQUEST."""
    symbol, time_ns, by = REQUEST.unpack(request)
    try:
        found = finder.book_at(symbol.rstrip(b"\0").decode(), time_ns, By(by))
    except NotRecorded as error:
        return Answer.NOT_RECORDED, str(error).encode()
    except JournalDamaged as error:
        return Answer.DAMAGED, str(error).encode()
    except LayoutError as error:
        return Answer.FOREIGN, str(error).encode()
    except OSError as error:
        return Answer.UNREADABLE, f"the journal cannot be read: {error}".encode()
    return Answer.FOUND, _body(found)


def serve(finder: Finder, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the requests end."""
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        kind, body = answer(finder, request)
        answers.write(ANSWER.pack(kind, len(body)) + body)
        answers.flush()


def _body(found: Found) -> bytes:
    bids, asks = found.checkpoint.sides
    head = FOUND.pack(found.wall_ns, len(bids))
    return b"".join((head, found.checkpoint.state.tobytes(), bids.tobytes(), asks.tobytes()))


def main() -> int:
    """The exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the reader's: with it ends our input
    serve(Finder(Path(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
