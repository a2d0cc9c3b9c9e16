"""Which of a flood of the same are worth a line, and that a worker says no more of what it refuses."""

import logging

import pytest

from tests.workers.rig import Rig, snapshot
from workers.tally import Tally


def test_the_first_ten_and_each_power_of_ten() -> None:
    tally = Tally()
    told = [count for count in range(1, 20_001) if tally.one_more()]
    assert told == [*range(1, 11), 100, 1000, 10_000]
    assert tally.count == 20_000


def test_a_flood_of_refused_records_is_counted_and_hardly_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.configure()
    rig.send(snapshot())
    rig.drain()
    with caplog.at_level(logging.WARNING, logger="worker"):
        for _ in range(150):
            rig.send(b'{"type":1,"target":"GatewayLogout","arguments":[]}')
            rig.drain()
    assert rig.state["refused"] == 150
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 11
    assert "refused, number 100: " in said[-1]
