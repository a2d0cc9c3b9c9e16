"""The writing side of the account: whole, in rotation, woken for, taken up by a successor, and torn nowhere."""

from pathlib import Path

import numpy as np
import pytest

from shm import layout
from shm.account_rows import AccountWriter, begin_cell
from shm.layout import ACCOUNT_CELLS, PUBLISHED, THROUGH_NS, WAKE
from tests.shm.made_account import MadeAccount, account, fill, holdings, order, position
from tests.shm.plain_writer import PlainEngine


@pytest.fixture
def made(engine: PlainEngine) -> MadeAccount:
    return MadeAccount(engine)


def test_nothing_was_published_yet(made: MadeAccount) -> None:
    assert made.writer.newest() is None


def test_a_publication_is_whole_and_counted(made: MadeAccount) -> None:
    for number in range(1, 2 * ACCOUNT_CELLS + 2):
        made.publish(holdings(account(balance_e9=number), [order(1)] * number, [position(2)], [fill(3), fill(4)]))
        cell = made.segment.array("cells")[number % ACCOUNT_CELLS]
        assert int(cell["begin"]) == int(cell["end"]) == number == made.segment.array("control")[PUBLISHED]
        assert (int(cell["n_orders"]), int(cell["n_positions"]), int(cell["n_fills"])) == (number, 1, 2)
        found = made.writer.newest()
        assert found is not None
        assert int(found.account["balance_e9"]) == number
        assert found.orders.tolist() == [order(1)] * number
        assert (found.positions.tolist(), found.fills.tolist()) == ([position(2)], [fill(3), fill(4)])


def test_readers_are_woken_and_the_common_word_is_bumped(made: MadeAccount) -> None:
    control = made.segment.array("control")
    for number in range(1, 4):
        made.publish(holdings(account()))
        assert (int(control[WAKE]), int(made.changed[0])) == (number, number)


def test_a_stamp_is_of_its_own_and_never_goes_back(made: MadeAccount) -> None:
    control = made.segment.array("control")
    made.publish(holdings(account()), stamped=False)
    assert control[THROUGH_NS] == 0
    made.writer.stamp(100)
    made.writer.stamp(90)
    assert control[THROUGH_NS] == 100


def test_a_writer_killed_in_the_middle_leaves_the_last_publication(made: MadeAccount) -> None:
    made.publish(holdings(account(balance_e9=1), [order(1)]))
    words = made.segment.array("cells").view(np.int64).reshape(-1)
    at = (2 % ACCOUNT_CELLS) * (layout.ACCOUNT.itemsize // 8)
    begin_cell(words, at, 2)
    words[at + 2 : at + 20] = -1  # killed here
    successor = AccountWriter(made.segment.array, made.changed)
    found = successor.newest()
    assert found is not None
    assert int(found.account["balance_e9"]) == 1
    successor.publish(holdings(account(balance_e9=2)), 5)
    found = successor.newest()
    assert found is not None
    assert (int(found.account["balance_e9"]), len(found.orders)) == (2, 0)


def test_what_does_not_fit_is_refused_before_it_is_seen(made: MadeAccount, tmp_path: Path) -> None:
    made.publish(holdings(account(balance_e9=1)))
    with pytest.raises(ValueError, match="broadcast"):
        made.publish(holdings(account(balance_e9=2), [order(1)] * (layout.MAX_ORDERS + 1)))
    found = made.writer.newest()
    assert found is not None
    assert int(found.account["balance_e9"]) == 1
