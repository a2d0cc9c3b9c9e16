"""What rows say about outages, and what is left to ask for after the venue has told a part."""

import random

import numpy as np
import pytest

from engine.keeper import doubts
from engine.keeper.doubts import Doubts, Stretch
from shm.layout import SESSION, BarFlag, Rows
from tests import made_bars
from tests.made_bars import BEGIN_NS, SECOND_NS

MINUTE_NS = 60 * SECOND_NS
_FLAGS = {"s": BarFlag.SUSPECT, "j": BarFlag.JOINED, "J": BarFlag.SUSPECT | BarFlag.JOINED}


def minutes(first: int, last: int) -> Stretch:
    return BEGIN_NS + first * MINUTE_NS, BEGIN_NS + last * MINUTE_NS


def bars(flags: str, minute: int = 0, number: int = 0) -> Rows:
    """A bar a minute for each letter: "." is good, "s" suspect, "j" joined, "J" both; of " " there was none, and the
    row of "x" is torn."""
    rows = made_bars.plain(len(flags), 0, BEGIN_NS + minute * MINUTE_NS)
    rows["flags"] = [BarFlag.COMPLETE | _FLAGS.get(each, 0) for each in flags]
    there = np.array([letter != " " for letter in flags], np.bool_)
    rows["number"] = number + np.cumsum(there) - 1
    return rows[there & np.array([letter != "x" for letter in flags], np.bool_)]


def seen(*flags: str) -> Doubts:
    """After looks at these, one after the other."""
    known, minute = Doubts(0), 0
    for each in flags:
        rows = bars(each, minute, known.looked)
        known = doubts.look(known, rows, known.looked + len(each.replace(" ", "")))
        minute += len(each)
    return known


@pytest.mark.parametrize(
    ("flags", "outages"),
    [
        ("....", []),
        (". ..", []),  # a minute without a trade
        (".ss.", [(1, 3)]),
        ("s..s", [(0, 1), (3, 4)]),
        ("s   s.", [(0, 5)]),  # what is missing between two of them was lost in it
        ("ss  ..", [(0, 4)]),  # and what is missing behind it: a bar that began after it is not suspect
        ("..  s.", [(2, 5)]),  # and before it: a bar that was closed by then is not
        (".s.j.s", [(5, 6)]),  # before the join it was another contract
        (".sJs.", [(3, 4)]),  # and the bar of the join has a part of it
        ("s..", [(0, 1)]),
        ("..xx..", [(1, 5)]),  # rows that a power cut tore, and those beside them, which they may have said anew
        (". xx .", [(0, 6)]),
        ("..x s.", [(1, 5)]),
    ],
)
def test_an_outage_is_a_run_of_suspect_rows_or_of_rows_that_are_torn(flags: str, outages: list[Stretch]) -> None:
    assert seen(flags).open == tuple(minutes(*each) for each in outages)


def test_an_outage_goes_on_over_looks() -> None:
    assert seen("..s", "  s.").open == (minutes(2, 6),)
    assert seen("..s", ".s").open == (minutes(2, 3), minutes(4, 5))
    assert seen("..s", "  ..").open == (minutes(2, 5),)
    assert seen("..", "  s.").open == (minutes(2, 5),)
    assert seen("..s", "...", "  .").open == (minutes(2, 3),)


@pytest.mark.parametrize("looks", [("..", "xx.."), ("..x", "x.."), ("..xx", ".."), ("..x", "x", "..")])
def test_torn_rows_are_an_outage_over_looks(looks: tuple[str, ...]) -> None:
    assert seen(*looks).open == (minutes(1, 5),)


def test_revisions_of_bars_that_a_gap_touched_are_in_the_outage() -> None:
    """They are appended newest first, behind the bars that they say anew."""
    rows = bars("....ss")
    rows["start_ns"][4], rows["start_ns"][5] = rows["start_ns"][3], rows["start_ns"][2]
    rows["end_ns"][4:] = rows["start_ns"][4:] + MINUTE_NS
    assert doubts.look(Doubts(0), rows, 6).open == (minutes(2, 4),)


def test_looks_in_parts_find_what_one_look_finds(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        flags = "".join(chance.choices("..ss xj", (8, 8, 3, 3, 2, 2, 0.2), k=40))
        rows, end = bars(flags), len(flags.replace(" ", ""))
        known = Doubts(0)
        while known.looked < end:
            to = min(known.looked + chance.randrange(1, 9), end)
            known = doubts.look(known, rows[(rows["number"] >= known.looked) & (rows["number"] < to)], to)
        assert known == doubts.look(Doubts(0), rows, end)


def _covered(stretches: tuple[Stretch, ...]) -> set[int]:
    return {start for low, high in stretches for start in range(low, high, MINUTE_NS)}


def test_what_is_settled_is_asked_for_no_more_and_the_rest_again() -> None:
    known = seen("..ssss..")
    part = doubts.told(known, minutes(2, 6), minutes(2, 4)[1])
    assert part.open == (minutes(4, 6),)
    assert doubts.told(part, minutes(4, 6), minutes(9, 9)[0]).open == ()
    assert doubts.told(known, minutes(2, 6), BEGIN_NS) == known  # nothing of it was over by then


def test_the_newest_part_comes_first() -> None:
    stretches = minutes(0, 5), minutes(10, 30)
    assert doubts.newest(stretches, 5 * MINUTE_NS) == minutes(25, 30)
    assert doubts.newest(stretches[:1], 5 * MINUTE_NS) == minutes(0, 5)
    assert doubts.newest((), 1) is None


def test_more_stretches_than_are_kept_become_fewer_that_hold_them_all() -> None:
    many = [minutes(3 * i, 3 * i + 1) for i in range(doubts.MAX_STRETCHES + 50)]
    made = doubts.joined(many)
    assert len(made) == doubts.MAX_STRETCHES
    assert _covered(made) >= _covered(tuple(many))


def test_doubts_are_written_and_read_back() -> None:
    known = seen("..s.js", ".ss")._replace(past=(minutes(-5, 0),))
    assert doubts.from_json(known.to_json()) == known
    for bad in (b"", b"[]", b"{}", b"null", known.to_json()[:-2], known.to_json().replace(b"2,", b"9,", 1)):
        with pytest.raises(ValueError):  # noqa: PT011 - of json, or of ours
            doubts.from_json(bad)


def test_the_past_is_counted_in_time_that_the_exchange_was_open() -> None:
    sessions = np.zeros(3, SESSION)
    sessions["open_ns"] = [minutes(10 * i, 0)[0] for i in range(3)]
    sessions["close_ns"] = sessions["open_ns"] + 4 * MINUTE_NS
    first_ns = minutes(22, 0)[0]
    assert doubts.before(sessions, first_ns, 1 * MINUTE_NS) == minutes(21, 22)
    assert doubts.before(sessions, first_ns, 3 * MINUTE_NS) == minutes(13, 22)
    assert doubts.before(sessions, first_ns, 99 * MINUTE_NS) == minutes(0, 22)  # as far as the hours are known
    assert doubts.before(sessions[:0], first_ns, MINUTE_NS) == minutes(22, 22)
