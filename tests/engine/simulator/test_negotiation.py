"""Connection ids: two versions, one socket at a time, one life, and a limit to how many wait."""

from http import HTTPStatus

import pytest

from engine.simulator.negotiation import MAX_OFFERS, OFFER_S, Negotiations

OK, NOT_FOUND, CONFLICT = HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT


def test_version_0_has_one_id_and_version_1_two() -> None:
    ids = Negotiations()
    old = ids.offer("0", 0.0)
    assert old.keys() == {"negotiateVersion", "connectionId", "availableTransports"}
    new = ids.offer("1", 0.0)
    assert new["connectionToken"] != new["connectionId"]
    assert ids.claim(new["connectionId"], 1.0) == NOT_FOUND
    assert ids.claim(new["connectionToken"], 1.0) == OK
    assert ids.claim(old["connectionId"], 1.0) == OK
    assert [ids.offer(version, 0.0)["negotiateVersion"] for version in ("0", "1", "7")] == [0, 1, 1]


@pytest.mark.parametrize("version", ["x", "-1", "", "1.5", "²"])
def test_a_version_that_is_no_number_is_an_error(version: str) -> None:
    assert Negotiations().offer(version, 0.0).keys() == {"error"}


def test_an_id_is_good_for_one_socket_and_one_life() -> None:
    ids = Negotiations()
    given = ids.offer("0", 0.0)["connectionId"]
    assert [ids.claim(given, 1.0), ids.claim(given, 1.0)] == [OK, CONFLICT]
    ids.release(given)
    assert ids.claim(given, 2.0) == NOT_FOUND
    assert ids.claim("never given", 2.0) == NOT_FOUND


def test_unused_ids_are_forgotten() -> None:
    ids = Negotiations()
    early, late = ids.offer("0", 0.0)["connectionId"], ids.offer("0", 1.0)["connectionId"]
    assert ids.claim(early, OFFER_S) == NOT_FOUND
    assert ids.claim(late, OFFER_S) == OK
    first = ids.offer("0", 20.0)["connectionId"]
    for _ in range(MAX_OFFERS):
        last = ids.offer("0", 20.0)["connectionId"]
    assert ids.claim(first, 20.0) == NOT_FOUND
    assert ids.claim(last, 20.0) == OK
