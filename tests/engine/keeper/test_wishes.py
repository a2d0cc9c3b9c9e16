"""Wishes and answers, over the real segment and the real ring: parts, repetitions, strangers, no room."""

from pathlib import Path

import numpy as np
import pytest

from engine.keeper.wishes import MAX_BARS, Wish, Wishes
from shm.layout import MAX_WISHES, Answered, Reason
from shm.timeframe import parse
from tests import made_bars
from tests.engine.keeper.running import Stage
from tests.made_bars import BEGIN_NS, SECOND_NS

MINUTE = parse("1m")
WISH = Wish("MNQ", MINUTE, BEGIN_NS, BEGIN_NS + 100 * MINUTE.length_ns)
NONE = made_bars.plain(0)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def wishes(stage: Stage, now_ns: int = SECOND_NS) -> Wishes:
    return Wishes(stage.own.array("wishes"), stage.answers.words, now_ns)


def test_a_wish_stands_there_until_it_is_answered(stage: Stage) -> None:
    asking = wishes(stage)
    number = asking.put(WISH)
    (row,) = stage.wishes()
    assert row.item()[:6] == (number, 2, 1, WISH.start_ns, WISH.end_ns, b"MNQ")
    rows = made_bars.plain(100)
    stage.answer(number, Answered.MORE, rows[:60])
    assert asking.take() == []
    assert len(stage.wishes()) == 1
    stage.answer(number, Answered.DONE, rows[60:], settled_ns=7, refused=3)
    ((answered, answer),) = asking.take()
    assert (answered, answer.wish, answer.answered) == (number, WISH, Answered.DONE)
    assert (answer.refused, answer.settled_ns) == (3, 7)
    assert answer.rows.tobytes() == rows.tobytes()
    assert len(stage.wishes()) == 0
    assert asking.take() == []


def test_what_an_engine_that_ended_had_begun_is_not_gone_on_with(stage: Stage) -> None:
    asking = wishes(stage)
    number = asking.put(WISH)
    rows = made_bars.plain(100)
    stage.answer(number, Answered.MORE, rows[:60])
    stage.answers.gap(Reason.ENGINE_RESTART)
    again = rows[5:].copy()
    again["volume"] += 1
    stage.answer(number, Answered.MORE, again[:50])
    stage.answer(number, Answered.DONE, again[50:])
    ((_, answer),) = asking.take()
    assert answer.rows.tobytes() == again.tobytes()


def test_bars_of_another_time_are_no_answer(stage: Stage) -> None:
    asking = wishes(stage)
    number = asking.put(WISH)
    stage.answer(number, Answered.DONE, made_bars.plain(120, start_ns=BEGIN_NS - 10 * MINUTE.length_ns))
    ((_, answer),) = asking.take()
    assert len(answer.rows) == 100


def test_a_keeper_that_follows_another_begins_anew(stage: Stage) -> None:
    first = wishes(stage, 1000).put(WISH)
    asking = wishes(stage, 2000)
    assert len(stage.wishes()) == 0
    assert asking.put(WISH) > first
    stage.answer(first, Answered.DONE, NONE)
    assert asking.take() == []
    assert len(stage.wishes()) == 1


def test_what_is_no_answer_is_thrown_away(stage: Stage) -> None:
    asking = wishes(stage)
    number = asking.put(WISH)
    for bad in (b"", b"x" * 7, b"x" * 500):
        stage.answers.push(bad)
        stage.answers.clock()
    stage.answer(number, Answered.LATER, NONE)
    ((_, answer),) = asking.take()
    assert answer.answered == Answered.LATER
    assert stage.answers.backlog_bytes == 0


def test_an_answer_without_an_end_is_given_up(stage: Stage) -> None:
    asking = wishes(stage)
    number = asking.put(WISH)
    rows = made_bars.plain(2000)
    answers = []
    for _ in range(4 * MAX_BARS // len(rows) + 1):
        stage.answer(number, Answered.MORE, rows)
        answers += asking.take()
    ((_, answer),) = answers
    assert (answer.answered, answer.text) == (Answered.LATER, "more bars than were asked for")


def test_there_is_room_for_so_many(stage: Stage) -> None:
    asking = wishes(stage)
    numbers = [asking.put(WISH) for _ in range(MAX_WISHES)]
    assert asking.free == 0
    asking.withdraw(numbers[5])
    again = asking.put(WISH)
    assert np.array_equal(stage.wishes()["number"], [*numbers[:5], again, *numbers[6:]])
