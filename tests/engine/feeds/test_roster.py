"""engine/feeds/roster.py: what a ring is told of its instrument."""

import numpy as np

from engine.feeds.gateway import Contract
from engine.feeds.roster import config_record
from shm import layout
from tests.engine.feeds.fake_venue import FakeVenue, until
from tests.engine.feeds.stage import FOUND, Stage, play


def test_a_full_ring_gets_its_configuration_later() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        stage.mnq.full = True

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: stage.streams, "streaming")
        assert not any(step[0] == "configure" for step in stage.mnq.done)
        stage.mnq.full = False
        await until(lambda: any(step[0] == "configure" for step in stage.mnq.done), "the configuration")

    play(scene, prepare=prepare)


def test_a_full_ring_gets_the_next_contract_later() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        lane = next(iter(stage.feed.contracts))
        stage.mnq.full = True
        await stage.feed.roll(lane, FOUND)
        stage.mnq.full = False
        configured = ("configure", config_record(FOUND, 1_000_000_000))
        await until(lambda: configured in stage.mnq.done, "the next contract")

    play(scene)


def test_the_configuration_record() -> None:
    (row,) = np.frombuffer(config_record(Contract("CON.F.US.CLE.F27", "CLF7", 10_000_000), 5), layout.CONFIG)
    assert row["contract"] == b"CON.F.US.CLE.F27"
    assert [int(row[name]) for name in list(layout.CONFIG.fields or ())[1:]] == [
        9,
        10_000_000,
        0,
        1,
        layout.Source.VENUE,
        5,
    ]
