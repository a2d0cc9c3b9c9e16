"""The book as it was, out of the journal.

    with Past(Path("~/.local/share/shardbook/journal").expanduser()) as past:
        print(past.book_at("MNQ", datetime(2026, 3, 2, 14, 30)))

Who runs the records of a journal once more is a worker's business, and so a process of its own: `python -m
workers.travel`. It is started at the first question and ends with whoever asked. A question is a REQUEST on its
standard input, an answer on its standard output is ANSWER and a body: what FOUND says, or a sentence. Before the answer
to a question for rows come parts of them and holes (past_rows.py), each an ANSWER and a body too.

A record can kill who runs it (quarantine.py). So a question on which the process crashed is put to one more, and then
it is known why there is no answer.
"""

import os
import signal
import struct
import sys
from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Literal

from . import book as books
from .errors import Hole, JournalDamaged, LayoutError, NotRecorded, ShardbookError
from .layout import LEVEL, NEVER_NS, STATE
from .moments import stamp_ns
from .page import integer_fields
from .quarantine import CRASH_SIGNALS
from .values import Book
from .verdict import judge

if TYPE_CHECKING:
    import subprocess

    import polars

    from .past_rows import PastRows

MAX_LAG_NS: Final = 1_000_000_000  # as in symbol files that say nothing else
MAX_DEATHS: Final = 2  # of processes on one question

REQUEST: Final = struct.Struct("<32sqqq")  # symbol, Question, nanoseconds since 1970; By, or the end of the rows
ANSWER: Final = struct.Struct("<qq")  # Answer, bytes of the body
FOUND: Final = struct.Struct("<qq")  # receive time of day, count of bids; then STATE, bids and asks, best last


class By(IntEnum):
    """Which stamp of a record is meant."""

    RECEIVE = 0
    VENUE = 1


class Question(IntEnum):
    BOOK = 0
    TAPE = 1
    QUOTES = 2


class Answer(IntEnum):
    FOUND = 0
    NOT_RECORDED = 1
    DAMAGED = 2
    FOREIGN = 3
    UNREADABLE = 4
    PART = 5  # there is more to come, as behind the next one
    HOLE = 6


_ERRORS: Final[dict[int, type[ShardbookError]]] = {
    Answer.NOT_RECORDED: NotRecorded,
    Answer.DAMAGED: JournalDamaged,
    Answer.FOREIGN: LayoutError,
    Answer.UNREADABLE: NotRecorded,
}
_TOP: Final = Path(__file__).resolve().parent.parent
_STATE: Final = integer_fields(STATE, *books.STATE_FIELDS)
_JUDGED: Final = integer_fields(STATE, "state", "reason")


class _Ended(Exception):
    """The process that was asked is gone: its exit status, below 0 the signal that ended it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Past:
    """A folder of journal files. It belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        """Nothing is looked at before the first question."""
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Past":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def book_at(
        self,
        symbol: str,
        time: datetime | int,
        *,
        by: Literal["receive", "venue"] = "receive",
        max_lag_ns: int = MAX_LAG_NS,
    ) -> Book:
        """All levels after the last record that was received at or before `time`, a datetime (without a zone: UTC) or
        nanoseconds since 1970. By "venue": after the last one with which the book's `venue_ns` was at or before it.

        `state` and `reason` are as a reader would have seen them then; by receive time a book is stale too when its
        last record was older than `max_lag_ns`. `recv_ns` is of the machine's uptime then, `published` 0.

        Raises NotRecorded if there is no such record, JournalDamaged if it may lie in a file that is damaged, or has a
        record which ends any process that runs it, LayoutError for what is no journal, ValueError for another `by`, a
        time beyond 64 bits or a symbol that can be none. What is written at this moment may not be there yet: the
        recorder gathers for a tenth of a second.
        """
        if by not in ("receive", "venue"):
            raise ValueError(f'{by!r} is no stamp of a record: "receive" and "venue" are')
        name = _name(symbol)
        time_ns = stamp_ns(time)
        ((_, body),) = self._ask(REQUEST.pack(name, Question.BOOK, time_ns, By[by.upper()]))
        wall_ns, n_bids = FOUND.unpack_from(body)
        at = FOUND.size
        row = body[at : at + STATE.itemsize]
        at += STATE.itemsize
        middle = at + n_bids * LEVEL.itemsize
        bids, asks = (books.best_first(side) for side in (body[at:middle], body[middle:]))
        state, reason = _JUDGED.unpack(row)
        verdict = judge(1, state, reason, time_ns - wall_ns if by == "receive" else 0, max_lag_ns)
        return books.build(symbol, bids, asks, _STATE.unpack(row), verdict, 0)

    def trades(
        self, symbol: str, start: datetime | int, end: datetime | int | None = None, *, allow_holes: bool = False
    ) -> "polars.DataFrame":
        """Every trade whose record was received in [start, end), once, in the order in which they came; without an
        end through all that is written.

        Columns: `wall_ns`, the time of day of receipt, then those of `Tape.read`. (sequence, place) is the key that the
        trade had on the tape. Times are as in `book_at`, and so is what is written at this moment.

        Raises Incomplete, unless `allow_holes`, if trades may be missing: where records were not taken down, before the
        journal begins, and at the end of an engine that was killed with its recorder. Raises NotRecorded if the journal
        has nothing of the instrument, JournalDamaged if a file is damaged that they may lie in, LayoutError for what is
        no journal, ValueError for times that are none or a symbol that can be none.
        """
        return self._frame(symbol, "tape", start, end, allow_holes)

    def quotes(
        self, symbol: str, start: datetime | int, end: datetime | int | None = None, *, allow_holes: bool = False
    ) -> "polars.DataFrame":
        """Every change of the best bid and ask, or of the state, as `trades` gives trades; behind `wall_ns` the columns
        of `Quotes.read`.

        A hole lasts until the book is known again, from the next snapshot on; the first row behind it says how it is.
        """
        return self._frame(symbol, "quotes", start, end, allow_holes)

    def rows(self, symbol: str, region: str, start_ns: int, end_ns: int = NEVER_NS) -> "PastRows":
        """What `trades` ("tape") and `quotes` are made of. Raises as they do, but neither Incomplete nor NotRecorded
        where there is nothing."""
        from .past_rows import HOLE, Part, PastRows, Through  # here, because few readers want them

        start_ns, end_ns = stamp_ns(start_ns), stamp_ns(end_ns)
        if end_ns < start_ns:
            raise ValueError("the end of what is asked for lies before its start")
        question = Question[region.upper()]
        answers = self._ask(REQUEST.pack(_name(symbol), question, start_ns, end_ns))
        found = [Part.unpack(body, region) for kind, body in answers if kind == Answer.PART]
        holes = [Hole(*HOLE.unpack(body)) for kind, body in answers if kind == Answer.HOLE]
        return PastRows(found, holes, Through.unpack(answers[-1][1]))

    def _frame(
        self, symbol: str, region: str, start: datetime | int, end: datetime | int | None, allow_holes: bool
    ) -> "polars.DataFrame":
        from .past_rows import frame, require_whole

        end_ns = NEVER_NS if end is None else stamp_ns(end)
        past = self.rows(symbol, region, stamp_ns(start), end_ns)
        if past.through.sequence == 0:
            raise NotRecorded(f"nothing of {symbol} is in {self.folder}")
        if not allow_holes:
            require_whole(symbol, past.holes)
        return frame(region, past.parts)

    def close(self) -> None:
        """End the process. The next question starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes both ends, and waits
                pass

    def _ask(self, request: bytes) -> list[tuple[int, bytes]]:
        """All that is answered to one question, the last one FOUND."""
        status = 0
        for _ in range(MAX_DEATHS):
            try:
                with closing(self._answers(request)) as answers:
                    return list(answers)
            except _Ended as ended:
                status = ended.status
            if -status not in CRASH_SIGNALS:
                raise NotRecorded(f"the process that looks into the journal ended with status {status}")
        how = signal.Signals(-status).name
        raise JournalDamaged(
            f"a record that this needs ended {MAX_DEATHS} processes that ran it ({how}): scripts/replay {self.folder} "
            "--speed max --data EMPTY finds it; copy EMPTY/quarantine to beside the journal, and it is left out"
        )

    def _answers(self, request: bytes) -> Generator[tuple[int, bytes], None, None]:
        """As it comes. Raises _Ended if the process does."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        kind = int(Answer.PART)
        try:
            process.stdin.write(request)
            process.stdin.flush()
            while kind in (Answer.PART, Answer.HOLE):
                kind, size = ANSWER.unpack(_exactly(process.stdout, ANSWER.size))
                body = _exactly(process.stdout, size)
                if kind not in _ERRORS:
                    yield kind, body
        except (EOFError, BrokenPipeError):
            status = process.wait()
            self.close()
            raise _Ended(status) from None
        except BaseException:
            self.close()  # an answer that nobody took would be taken for that to the next question
            raise
        if kind != Answer.FOUND:
            raise _ERRORS[kind](body.decode())

    def _start(self) -> "subprocess.Popen[bytes]":
        """From where this file lies, and not from whatever folder the reader works in."""
        import subprocess  # here, because it would be a good part of the time that `import shm` takes

        path = os.pathsep.join(filter(None, (str(_TOP), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers.travel", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self._process


def _name(symbol: str) -> bytes:
    name = symbol.encode()
    if not 0 < len(name) <= 32:
        raise ValueError(f"{symbol!r} is no symbol: one has 1 to 32 characters")
    return name


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """Raises EOFError if the other end is gone before."""
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
