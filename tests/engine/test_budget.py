"""engine/budget.py: no window of any place holds too many requests, and what Retry-After may ask for."""

import random
from email.utils import formatdate

import pytest

from engine.budget import BARS, MAX_RETRY_AFTER_S, OTHERS, Limit, Spent, close, limit_of, retry_after_s, spend, wait_s

WALL_S = 1_795_357_954.0


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/History/retrieveBars", BARS),
        ("/api/Contract/search", OTHERS),
        ("/api/Auth/loginKey", OTHERS),
        ("/api/Order/place", OTHERS),
        ("", OTHERS),
    ],
)
def test_each_path_has_its_budget(path: str, limit: Limit) -> None:
    assert limit_of(path) == limit


def test_the_limits_are_not_above_the_venues() -> None:
    assert (BARS.requests, BARS.window_s) == (30, 30.0)
    assert (OTHERS.requests, OTHERS.window_s) == (200, 60.0)


@pytest.mark.parametrize("limit", [BARS, OTHERS, Limit(1, 5.0)])
def test_the_request_above_the_limit_waits_until_the_first_one_leaves_the_window(limit: Limit) -> None:
    spent = Spent()
    for number in range(limit.requests):
        now_s = 1000.0 + number / 1000
        assert wait_s(limit, spent, now_s) == 0.0
        spent = spend(limit, spent, now_s)
    assert wait_s(limit, spent, now_s) == pytest.approx(limit.window_s - (now_s - 1000.0))
    assert wait_s(limit, spent, 1000.0 + limit.window_s - 0.001) > 0.0
    assert wait_s(limit, spent, 1000.0 + limit.window_s) == 0.0


def test_no_window_anywhere_holds_more_than_the_limit(seed: int) -> None:
    chance, limit, spent, now_s = random.Random(seed), Limit(7, 10.0), Spent(), 0.0
    made: list[float] = []
    for _ in range(500):
        now_s += chance.choice([0.0, 0.0, 0.1, 1.0, 4.0])
        now_s += wait_s(limit, spent, now_s)
        spent = spend(limit, spent, now_s)
        made.append(now_s)
    assert all(late - early >= limit.window_s - 1e-6 for early, late in zip(made, made[limit.requests :], strict=False))
    assert len(spent.times_s) == limit.requests


def test_a_wish_for_quiet_closes_and_a_shorter_one_does_not_open() -> None:
    spent = close(close(Spent(), 50.0), 20.0)
    assert wait_s(OTHERS, spent, 10.0) == 40.0
    assert wait_s(OTHERS, spent, 50.0) == 0.0
    assert wait_s(OTHERS, spend(OTHERS, spent, 10.0), 10.0) == 40.0


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 12 ", 12.0),
        ("299", 299.0),
        ("300", 300.0),
        ("301", MAX_RETRY_AFTER_S),
        ("999999999", MAX_RETRY_AFTER_S),
        (formatdate(WALL_S + 30, usegmt=True), 30.0),
        (formatdate(WALL_S + 30), 30.0),
        (formatdate(WALL_S - 30, usegmt=True), 0.0),
        (formatdate(WALL_S + 9000, usegmt=True), MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
    ],
)
def test_forms_of_retry_after(header: str, asked_s: float) -> None:
    assert retry_after_s(header, WALL_S) == asked_s


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "-1", "1.5", "1e3", "soon", "0x10", "1" * 10, "1" * 5000, "٣", "inf", "nan", "Fri, 99 Foo 2026"],
)
def test_what_is_no_retry_after(header: str | None) -> None:
    assert retry_after_s(header, WALL_S) is None
