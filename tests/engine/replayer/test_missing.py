"""How many places there are at which records are missing."""

import numpy as np

from engine.replayer.missing import Missing
from engine.replayer.stretches import Stretch
from shm import layout

SOME = np.zeros(4, layout.WORDS)
NONE = np.zeros(0, layout.WORDS)


def places(*stretches: Stretch) -> dict[str, int]:
    missing = Missing()
    assert list(missing.watch(stretches)) == list(stretches)
    return dict(missing.places)


def test_each_place_counts_once_for_its_instrument() -> None:
    found = places(
        Stretch("MES", SOME, False),
        Stretch("MNQ", SOME, False),
        Stretch("MNQ", SOME, True),
        Stretch("MES", SOME, False),
        Stretch("MNQ", SOME, True),
        Stretch("MNQ", SOME, False),
    )
    assert found == {"MNQ": 2}


def test_what_was_there_before_the_first_record_is_not_missing() -> None:
    assert places(Stretch("MNQ", NONE, False), Stretch("MNQ", SOME, True), Stretch("MNQ", SOME, False)) == {}
    head = Stretch("MNQ", SOME, False, is_head=True)  # with which each file begins
    assert places(head, Stretch("MNQ", SOME, True), Stretch("MNQ", SOME, False)) == {}


def test_a_place_counts_when_a_record_follows() -> None:
    torn = Stretch("MNQ", NONE, True)  # padding alone, or nothing of the time that is asked for
    assert places(Stretch("MNQ", SOME, False), torn, torn) == {}
    assert places(Stretch("MNQ", SOME, False), torn, torn, Stretch("MNQ", SOME, False)) == {"MNQ": 1}
