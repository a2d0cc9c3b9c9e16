"""engine/feeds/rhythm.py: what is usual of a stream, and what a silence does not teach."""

import random

import pytest

from engine.feeds.rhythm import FIRST_PAUSE_NS, Rhythm

STEP_NS = 20_000_000


def heard(rhythm: Rhythm, pattern: str, times: int = 1) -> Rhythm:
    """Polls of 20 ms each: `x` something came, `.` nothing."""
    for _ in range(times):
        for sign in pattern:
            rhythm.hear(STEP_NS, sign == "x")
    return rhythm


def test_nothing_is_known_of_who_said_little() -> None:
    rhythm = heard(Rhythm(), "x...", 10)
    assert rhythm.rate == 0.0
    assert rhythm.missed == 0.0


@pytest.mark.parametrize(("pattern", "rate"), [("x", 50.0), ("x....", 10.0), ("xx........", 10.0)])
def test_the_rate_is_signs_of_life_a_second(pattern: str, rate: float) -> None:
    assert heard(Rhythm(), pattern, 400).rate == pytest.approx(rate, rel=0.1)


def test_a_silence_does_not_change_what_is_usual_while_it_lasts() -> None:
    rhythm = heard(Rhythm(), "x.", 500)
    before = rhythm.rate
    heard(rhythm, ".", 50 * 600)
    assert rhythm.rate == before
    assert rhythm.missed == pytest.approx(before * 600, rel=0.01)
    heard(rhythm, "x")
    assert rhythm.rate < before / 10


def test_a_silence_that_was_not_its_own_is_not_learned() -> None:
    rhythm = heard(Rhythm(), "x.", 500)
    before = rhythm.rate
    heard(rhythm, ".", 50 * 600)
    rhythm.forget_pause()
    heard(rhythm, "x.")
    assert rhythm.rate == pytest.approx(before, rel=0.1)
    assert heard(rhythm, "." * 60).makes_such_pauses is False


def test_one_long_pause_is_no_habit_and_several_are() -> None:
    rhythm = heard(Rhythm(), "x.", 500)
    for habit in (False, False, True):
        assert heard(rhythm, "." * 150).makes_such_pauses is habit
        heard(rhythm, "x.", 50)
    assert heard(rhythm, "." * 500).makes_such_pauses is False


def test_habits_are_forgotten() -> None:
    rhythm = heard(Rhythm(), "." * 150 + "x" * 50, 5)
    assert heard(rhythm, "." * 150).makes_such_pauses
    heard(rhythm, "x", 50 * 300)
    assert not heard(rhythm, "." * 150).makes_such_pauses


def test_any_pattern_keeps_its_numbers_in_bounds(seed: int) -> None:
    chance = random.Random(seed)
    rhythm = Rhythm()
    for _ in range(5000):
        rhythm.hear(
            chance.choice((0, STEP_NS, 100_000_000, FIRST_PAUSE_NS << chance.randrange(30))), chance.random() < 0.3
        )
        assert rhythm.silent_ns >= 0
        assert 0.0 <= rhythm.missed < float("inf")
        assert rhythm.makes_such_pauses in (True, False)
