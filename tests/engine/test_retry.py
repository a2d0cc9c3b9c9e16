"""engine/retry.py: what may be asked twice, and how long in between."""

import pytest

from engine.retry import MAX_DELAY_S, MAX_TRIES, READS, delay_s, is_passing, is_read

# Every path of the fact sheet's endpoint table that changes something, or makes a token.
NOT_READS = (
    *("/Auth/loginKey", "/Auth/loginApp", "/Auth/validate", "/Auth/logout"),
    *("/Order/place", "/Order/modify", "/Order/cancel"),
    *("/Position/closeContract", "/Position/partialCloseContract"),
)


@pytest.mark.parametrize("path", NOT_READS)
def test_what_changes_something_is_never_made_again(path: str) -> None:
    assert not is_read(f"/api{path}")
    assert delay_s(f"/api{path}", 1, 0.5) is None


def test_what_nobody_has_named_is_no_read() -> None:
    for path in ("", "/", "/api", "/api/Contract", "/api/Contract/searchNew", "/api/Order/search/cancel"):
        assert not is_read(path)


@pytest.mark.parametrize("path", READS)
def test_a_read_is_tried_three_times_with_growing_pauses(path: str) -> None:
    pauses = [delay_s(f"/api{path}", tries, 1.0) for tries in range(1, MAX_TRIES + 1)]
    assert pauses == [0.25, 0.5, None]


def test_chance_shortens_a_pause_by_half_at_most() -> None:
    assert delay_s(READS[0], 1, 0.0) == 0.125
    assert all((delay_s(READS[0], tries, 1.0) or 0.0) <= MAX_DELAY_S for tries in range(1, 100))


def test_statuses_that_may_pass() -> None:
    assert [
        status for status in (200, 301, 400, 401, 404, 409, 429, 500, 502, 503, 599, 600) if is_passing(status)
    ] == [*(429, 500, 502, 503, 599)]
