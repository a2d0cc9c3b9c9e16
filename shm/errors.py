"""Every error a reader can meet, in one tree; each message says what to do.

ShardbookError
├── NoEngine        nothing is published under that name
├── UnknownSymbol   an engine is there, but it does not carry that instrument
├── UnknownTimeframe  the instrument has no bars of that timeframe
├── NoHours         no regular trading hours are stored with the bars
├── NoAccount       an engine is there, but it views no account
├── NotRecorded     the journal does not say what the book was at that time
│   └── Incomplete  it has some of the rows that were asked for, and says where others are missing
├── Stale           the data is not live, and live data was asked for
├── Overrun         the writer lapped what was being read: read it again
├── WriterGone      the engine that was attached to has ended
└── LayoutError     a segment that is damaged, foreign, or of another layout version
    └── JournalDamaged  a journal in which bytes were changed
"""

from typing import NamedTuple


class ShardbookError(Exception):
    """The root of the tree: catch this to catch all of ours."""


class NoEngine(ShardbookError):
    """No engine runs under the name that was asked for."""


class UnknownSymbol(ShardbookError, LookupError):
    """The engine carries no instrument of that name; the message offers near ones."""


class UnknownTimeframe(ShardbookError, LookupError):
    """The instrument has no bars of that timeframe; the message says which it has, and where more are asked for."""


class NoHours(ShardbookError, LookupError):
    """No regular trading hours are stored with the instrument's bars, so nothing can be chosen by them."""


class NoAccount(ShardbookError, LookupError):
    """The engine runs without `account = true`; the message says where to set it."""


class NotRecorded(ShardbookError, LookupError):
    """The journal does not say what the book was at the time that was asked for; the message says why."""


class Hole(NamedTuple):
    """Between two times, nanoseconds since 1970, rows are missing, or may be: nobody knows how many."""

    from_ns: int
    to_ns: int


class Incomplete(NotRecorded):
    """Rows of the past that are not all there. `holes` says where they are missing, in order."""

    def __init__(self, message: str, holes: tuple[Hole, ...]) -> None:
        super().__init__(message)
        self.holes = holes


class Stale(ShardbookError):
    """The book is not live. `state` and `reason` are the words that a table would show."""

    def __init__(self, message: str, state: str = "stale", reason: str = "") -> None:
        super().__init__(message)
        self.state = state
        self.reason = reason


class Overrun(ShardbookError):
    """The memory under a view was written again while it was in use: what was read is not one state."""


class WriterGone(ShardbookError):
    """The engine has ended and none has taken its place."""


class LayoutError(ShardbookError):
    """A file that is not what its name says: damaged, foreign, half built, or of another layout version."""


class JournalDamaged(LayoutError):
    """Bytes of a journal are not those that were written, and `salvage` reads what lies before them; or they are, and
    whoever runs them crashes."""
