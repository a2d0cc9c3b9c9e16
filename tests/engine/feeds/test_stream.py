"""engine/feeds/stream.py on a tiny venue: what gets into the rings, and what is counted instead."""

import orjson

from tests.engine.feeds.fake_venue import FakeVenue, snapshot, until
from tests.engine.feeds.stage import MES, MNQ, Stage, play


def test_records_are_found_however_frames_are_cut() -> None:
    trade = b'{"type":1,"target":"GatewayTrade","arguments":["%s",[]]}' % MES.encode()
    spaced = orjson.dumps(orjson.loads(trade), option=orjson.OPT_INDENT_2)

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        stream = b"\x1e".join([trade, spaced, b'{"type":6}', trade, b""])
        for frame in (stream, stream[:70], stream[70:75], stream[75:], trade + b"\x1e"):
            await venue.send(frame)
        await until(lambda: len(stage.mes.pushed) == 8, "every trade")

    stage = play(scene)
    assert stage.mes.pushed[1:] == [trade, spaced, trade] * 2 + [trade]
    assert stage.page.read("unrouted") == 0


def test_what_is_not_ours_is_counted() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for message in (
            snapshot("CON.F.US.EP.Z26"),
            b'{"type":1,"target":"GatewayLogout","arguments":[]}\x1e',
            b"?\x1e",
        ):
            await venue.send(message)
        await until(lambda: stage.page.read("unrouted") == 3, "three counted")

    play(scene)


def test_a_websocket_ping_is_answered_and_counts_as_a_sign_of_life() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await until(lambda: stage.page.read("frames") == 2, "both snapshots counted")
        await venue.sockets[0].ping(b"hello")
        await until(lambda: stage.page.read("frames") == 3, "the ping")
        await venue.send(snapshot(MNQ))
        await until(lambda: len(stage.mnq.pushed) == 2, "a message behind it")
        assert venue.connections == 1

    play(scene)


def test_a_stream_without_an_end_is_refused() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        for _ in range(5):
            await venue.send(b"x" * (1 << 20))
        await until(lambda: venue.connections >= 2, "a new connection")

    assert play(scene).page.read("refused_frames") == 1


def test_what_comes_behind_the_handshake_in_one_frame_is_not_lost() -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.handshake_reply = b"{}\x1e" + snapshot(MNQ)[:-20]

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        venue.snapshots = False
        await until(lambda: stage.streams, "streaming")
        await venue.send(snapshot(MNQ)[-20:] + snapshot(MES))
        await stage.until_snapshots()

    stage = play(scene, prepare=prepare)
    assert stage.mnq.pushed == [snapshot(MNQ)[:-1]]
