"""What of a timeframe's bars the venue has to be asked for: seen in the rows, kept until it has told. Pure.

A run of rows flagged SUSPECT, by number, is an outage, from where the row before it ends to where the one after it
starts: what is missing beside them or between them was lost in it, as an outage that no bar touched leaves no other
trace. Rows of which only the number is left, because a power cut tore them, are an outage from the row before them to
the one after, both with it: they may have said one of the two anew. Nothing before the end of the newest bar that is
JOINED is asked for: that was another contract, of which that bar has a part. All stretches are half-open, ns UTC,
sorted and apart from each other.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shm.layout import BarFlag, Rows

FILE_NAME: Final = "doubts.json"
MAX_FILE_BYTES: Final = 1 << 18
MAX_STRETCHES: Final = 1024  # beyond it the nearest become one, and what lies between is asked for with them
_VERSION: Final = 2
_NEVER_NS: Final = -(1 << 62)

Times = npt.NDArray[np.int64]
Stretch = tuple[int, int]
Stretches = tuple[Stretch, ...]


class Doubts(NamedTuple):
    """`looked`: rows below that number were looked at; `start_ns`, `end_ns`: of the newest of them, 0 if there is none.
    `is_torn`: some after that one are lost. `is_suspect`: an outage may go on behind it. `open`: outages. `past`: time
    before the first bar of all."""

    looked: int
    start_ns: int = 0
    end_ns: int = 0
    is_torn: bool = False
    is_suspect: bool = False
    joined_ns: int = _NEVER_NS
    open: Stretches = ()
    past: Stretches = ()

    def to_json(self) -> bytes:
        return json.dumps({"version": _VERSION, **self._asdict()}).encode()


def from_json(data: bytes) -> Doubts:
    """Raises ValueError for what `to_json` did not make."""
    try:
        said = json.loads(data)
        if said.pop("version") != _VERSION:
            raise ValueError("it is of another version")
        for name in ("open", "past"):
            said[name] = joined((int(start), int(end)) for start, end in said[name])
        doubts = Doubts(**said)
        if [type(value) for value in doubts[:6]] != [int, int, int, bool, bool, int]:
            raise ValueError("its numbers are none")
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no list of doubts: {error!r}") from None
    return doubts


def look(doubts: Doubts, rows: Rows, end: int) -> Doubts:
    """After a look at the closed rows, by number, of the numbers from `looked` to `end`; those not there are torn."""
    if not len(rows):
        return doubts._replace(looked=end, is_torn=True)
    start_ns, end_ns = (doubts.start_ns, doubts.end_ns) if doubts.end_ns else (rows["start_ns"][0],) * 2
    starts = np.append(start_ns, rows["start_ns"])  # with the row before them, as in all that follows
    ends = np.maximum.accumulate(np.append(end_ns, rows["end_ns"]))  # a row may say an older bar anew
    is_suspect = np.append(doubts.is_suspect, (rows["flags"] & int(BarFlag.SUSPECT)) != 0)
    is_torn = np.diff(rows["number"], prepend=doubts.looked - 1) != 1
    is_torn[0] |= doubts.is_torn
    beside = (is_suspect[:-1] | is_suspect[1:]) & ~is_torn
    found = [
        *_stretches(starts[1:], rows["end_ns"], is_suspect[1:]),
        *_stretches(ends[:-1], starts[1:], beside),
        *_stretches(starts[:-1], ends[1:], is_torn),
    ]
    joins = rows["end_ns"][(rows["flags"] & int(BarFlag.JOINED)) != 0]
    joined_ns = max([doubts.joined_ns, *joins.tolist()])
    return Doubts(
        end,
        int(starts[-1]),
        int(ends[-1]),
        bool(rows["number"][-1] != end - 1),
        bool(is_suspect[-1]),
        joined_ns,
        _from(joined([*doubts.open, *found]), joined_ns),
        _from(doubts.past, joined_ns),
    )


def told(doubts: Doubts, stretch: Stretch, settled_ns: int) -> Doubts:
    """The venue has told `stretch`; what was over by `settled_ns` changes no more, the rest is asked for again."""
    done = (stretch[0], min(stretch[1], settled_ns))
    return doubts._replace(open=without(doubts.open, [done]), past=without(doubts.past, [done]))


def newest(stretches: Stretches, longest_ns: int) -> Stretch | None:
    """The newest of them, or the newest part of it."""
    if not stretches:
        return None
    start_ns, end_ns = stretches[-1]
    return max(start_ns, end_ns - longest_ns), end_ns


def joined(stretches: Iterable[Stretch]) -> Stretches:
    """Sorted, those that touch as one, and not more than MAX_STRETCHES."""
    made: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(end, made[-1][1])
        else:
            made.append((start, end))
    while len(made) > MAX_STRETCHES:
        gaps = [after[0] - before[1] for before, after in itertools.pairwise(made)]
        i = gaps.index(min(gaps))
        made[i : i + 2] = [(made[i][0], made[i + 1][1])]
    return tuple(made)


def without(stretches: Stretches, taken: Sequence[Stretch]) -> Stretches:
    """What is left of `stretches`."""
    for low, high in taken:
        if low < high:
            parts = [part for start, end in stretches for part in ((start, min(end, low)), (max(start, high), end))]
            stretches = tuple((start, end) for start, end in parts if start < end)
    return stretches


def before(sessions: Rows, first_ns: int, open_ns: int) -> Stretch:
    """The time before `first_ns` in which the exchange was open for `open_ns`, as far as `sessions` reach."""
    start_ns = first_ns
    for session in sessions[::-1]:
        opens, closes = int(session["open_ns"]), min(int(session["close_ns"]), first_ns)
        if opens >= closes:
            continue
        start_ns = max(opens, closes - open_ns)
        open_ns -= closes - start_ns
        if open_ns <= 0:
            break
    return start_ns, first_ns


def _stretches(starts: Times, ends: Times, chosen: npt.NDArray[np.bool_]) -> Iterable[Stretch]:
    return zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)


def _from(stretches: Stretches, start_ns: int) -> Stretches:
    return without(stretches, [(_NEVER_NS, start_ns)])
