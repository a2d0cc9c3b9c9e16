"""What the command says of what it has fetched."""

import pytest

from engine.history.download import less


@pytest.mark.parametrize(
    ("days", "came_days", "said"),
    [(200, 60, "begin 140 days later than 200 days ago"), (5, 2.1, ""), (30, 27, ""), (0.5, 0.5, "")],
)
def test_less_than_was_asked_for_is_said_but_not_of_a_weekend(days: float, came_days: float, said: str) -> None:
    now_s = 1.7e9
    found = less(now_s - came_days * 86_400, now_s, days)
    assert said in found
    assert bool(found) == bool(said)
