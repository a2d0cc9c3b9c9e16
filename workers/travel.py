"""`python -m workers.travel JOURNAL`: answers what the book was, and which trades and quotes there were, for the one
reader that started it (shm/past.py).

It ends when its standard input does, or with that reader. It writes nothing to the journal's folder.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from shm.errors import Hole, JournalDamaged, LayoutError, NotRecorded
from shm.past import ANSWER, FOUND, REQUEST, Answer, By, Question
from shm.past_rows import HOLE, Part, Through

from .finder import Finder, Found
from .history import Wanted, earlier


def answers(finder: Finder, request: bytes) -> Iterator[tuple[Answer, bytes]]:
    """The answer to one REQUEST, and before it what else is said; one part of the rows is in memory at a time."""
    symbol, question, time_ns, more = REQUEST.unpack(request)
    name = symbol.rstrip(b"\0").decode()
    try:
        if question == Question.BOOK:
            yield Answer.FOUND, _body(finder.book_at(name, time_ns, By(more)))
            return
        for found in earlier(finder, Wanted(name, Question(question).name.lower(), time_ns, more)):
            yield _packed(found)
    except NotRecorded as error:
        yield Answer.NOT_RECORDED, str(error).encode()
    except JournalDamaged as error:
        yield Answer.DAMAGED, str(error).encode()
    except LayoutError as error:
        yield Answer.FOREIGN, str(error).encode()
    except OSError as error:
        yield Answer.UNREADABLE, f"the journal cannot be read: {error}".encode()


def serve(finder: Finder, requests: IO[bytes], said: IO[bytes]) -> None:
    """Answer until the requests end."""
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        for kind, body in answers(finder, request):
            said.write(ANSWER.pack(kind, len(body)) + body)
        said.flush()


def _packed(found: Part | Hole | Through) -> tuple[Answer, bytes]:
    if isinstance(found, Hole):
        return Answer.HOLE, HOLE.pack(*found)
    return Answer.PART if isinstance(found, Part) else Answer.FOUND, found.pack()


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
