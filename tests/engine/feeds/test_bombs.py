"""Bombs on the market hub's websocket: what is longer than the limit, however it is packed, never gets to exist.

The limit is that of a websocket message. aiohttp takes one byte less of what comes plain than of what it inflates.
"""

import tracemalloc
from collections.abc import Callable

import pytest

from engine.config import FeedSettings
from engine.feeds.projectx import MAX_RECORD_BYTES as LIMIT
from engine.feeds.projectx import MAX_RECORDS
from shm.layout import Reason
from tests.engine.feeds import framing
from tests.engine.feeds.fake_venue import CONTRACTS, FakeVenue, snapshot, until
from tests.engine.feeds.stage import Stage, play

MNQ, MES = CONTRACTS["MNQ"][0], CONTRACTS["MES"][0]
DEFLATING = FeedSettings(backoff_first_ms=1, backoff_max_ms=5, deflate=True)
PLAIN = FeedSettings(backoff_first_ms=1, backoff_max_ms=5)
TRADE = b'{"type":1,"target":"GatewayTrade","arguments":["%s",[]]}'
MOST_MEMORY = 8 * LIMIT  # what came, what it inflates to, what is copied on the way; a bomb would be 1,000
CUT = 500

Pack = Callable[[bytes], bytes]
PACKS: dict[str, tuple[Pack, bool]] = {
    "plain": (framing.whole, False),
    "plain, cut": (lambda message: framing.cut(message, CUT), False),
    "deflated": (lambda message: framing.whole(framing.deflate(message), deflated=True), True),
    "deflated, cut": (lambda message: framing.cut(framing.deflate(message), CUT, deflated=True), True),
}


def padded(size: int) -> bytes:
    """A book of MNQ in a message of so many bytes."""
    book = snapshot(MNQ)[:-1]
    return book[:-1] + b" " * (size - len(book) - 1) + b"}\x1e"


def sent(wire: bytes, settings: FeedSettings, *, taken: bool) -> Stage:
    """The feed, after the venue has sent a trade, `wire`, and another trade; it has to live, and to be whole again."""
    mes = TRADE % MES.encode()

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        tracemalloc.start()
        try:
            venue.send_raw(framing.whole(mes + b"\x1e") + wire + framing.whole(mes + b"\x1e"))
            if taken:
                await until(lambda: len(stage.mnq.pushed) == 2 and len(stage.mes.pushed) == 3, "all of it")
            else:
                await until(lambda: venue.connections == 2, "a new connection")
                await stage.until_snapshots(2)
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY + 2 * len(wire)
        finally:
            tracemalloc.stop()
        assert stage.mes.pushed[1] == mes  # what came before it is not lost with it

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.deflate = settings.deflate

    stage = play(scene, settings, prepare=prepare)
    gaps = [Reason.STARTING, Reason.CLOSED]
    if not taken:
        gaps[1:1] = [Reason.DISCONNECTED, Reason.RECONNECTED]
    assert stage.mnq.gaps == stage.mes.gaps == gaps
    assert stage.page.read("refused_frames") == (not taken)
    assert stage.page.read("connects") == 2 - taken
    return stage


@pytest.mark.parametrize("packed", PACKS)
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_message_at_the_limit(packed: str, more: int) -> None:
    pack, deflates = PACKS[packed]
    message = padded(LIMIT + more)
    taken = more < 0 or (more == 0 and deflates)
    stage = sent(pack(message), DEFLATING if deflates else PLAIN, taken=taken)
    if taken:
        assert stage.mnq.pushed[1] == message[:-1]


@pytest.mark.parametrize("cut", [False, True])
def test_a_bomb_of_a_thousand_times_the_limit(cut: bool) -> None:
    bomb = framing.deflated_spaces(LIMIT, 1000)
    assert len(bomb) < LIMIT, "else the size on the wire would give it away"
    wire = framing.cut(bomb, CUT, deflated=True) if cut else framing.whole(bomb, deflated=True)
    sent(wire, DEFLATING, taken=False)


def test_a_frame_that_claims_a_thousand_times_the_limit() -> None:
    wire = framing.header(LIMIT * 1000) + b" " * framing.CLAIM_BYTES
    sent(wire, PLAIN, taken=False)
    sent(framing.header((1 << 63) + 5) + b" " * framing.CLAIM_BYTES, PLAIN, taken=False)


@pytest.mark.parametrize("frames", [5, (1 << 16) + 9])
def test_a_record_that_goes_on_over_messages(frames: int) -> None:
    """The hub's own cutting: whole websocket messages of which none has the record's end."""
    piece = padded(LIMIT)[: LIMIT // 4 if frames == 5 else 8]
    sent(framing.whole(piece) * frames, PLAIN, taken=False)


def test_a_frame_of_too_many_records() -> None:
    """Each record costs a look: a frame of millions would hold up every other book."""
    sent(framing.whole(b"x\x1e" * (MAX_RECORDS + 1)), PLAIN, taken=False)
    records = TRADE % MNQ.encode() + b"\x1e" + b"x\x1e" * (MAX_RECORDS - 1)
    assert sent(framing.whole(records), PLAIN, taken=True).page.read("unrouted") == MAX_RECORDS - 1


@pytest.mark.parametrize("settings", [PLAIN, DEFLATING], ids=["not asked for", "asked for and refused"])
def test_deflated_frames_that_were_not_agreed_on(settings: FeedSettings) -> None:
    """A venue that deflates although the handshake did not say so."""

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.send_raw(framing.whole(framing.deflate(snapshot(MNQ)), deflated=True))
        await until(lambda: venue.connections == 2, "a new connection")
        await stage.until_snapshots(2)

    stage = play(scene, settings)
    assert stage.page.read("refused_frames") == 1
    assert stage.mnq.gaps == [Reason.STARTING, Reason.DISCONNECTED, Reason.RECONNECTED, Reason.CLOSED]
    assert len(stage.mnq.pushed) == 2


@pytest.mark.parametrize(
    "wire",
    [
        framing.whole(b"\xff\xff\xff\xff", deflated=True),
        framing.whole(b"\x00\x05\x00\x00\x00hello", deflated=True),
        b"\x83\x00",
        b"\x09\x00",
        b"\xb1\x00",
        framing.header(1, opcode=framing.CONTINUATION) + b"x",
        framing.header(1, last=False) + b"x" + framing.whole(b"y"),
        b"\x89\x7e\x01\x00" + bytes(256),
    ],
    ids=[
        *(
            "no deflate",
            "stored deflate of two lengths",
            "unknown opcode",
            "cut ping",
            "reserved bits",
            "goes on from nothing",
        ),
        *("never goes on", "long ping"),
    ],
)
def test_frames_against_the_protocol(wire: bytes) -> None:
    sent(wire, DEFLATING, taken=False)


def test_what_is_agreed_on_is_inflated() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        await venue.send(snapshot(MNQ))  # the library deflates: it has agreed
        venue.send_raw(framing.whole(framing.deflate(snapshot(MES)), deflated=True) + framing.whole(snapshot(MES)))
        await until(lambda: len(stage.mes.pushed) == 3, "both forms")
        assert venue.sockets[0].compress

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.deflate = True

    stage = play(scene, DEFLATING, prepare=prepare)
    assert stage.mnq.pushed == [snapshot(MNQ)[:-1]] * 2
    assert stage.mes.pushed == [snapshot(MES)[:-1]] * 3
    assert stage.page.read("refused_frames") == 0


def deep(depth: int, head: bytes = b'{"type":6,"x":') -> bytes:
    """JSON so many lists deep, closed in order."""
    return head + b"[" * depth + b"]" * depth + b"}\x1e"


def test_json_that_is_too_deep_is_no_message_and_no_end() -> None:
    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        bombs = [deep(depth) for depth in (1000, 1020, 1030, 30_000, 40_000, 2_000_000)]
        bombs += [b'{"a":' * 10_000 + b"\x1e", b"[" * (LIMIT - 2) + b"\x1e", b'{"type":' + b"[" * 60_000 + b"\x1e"]
        bombs += [deep(9, b'{"arguments":' + b"[" * 20_000)]
        for bomb in bombs:
            await venue.send(bomb)
        await until(lambda: stage.page.read("messages") == 2 + len(bombs), "all of them")
        depth = deep(100_000, b'{"type":1,"target":"GatewayDepth","arguments":["%s",' % MNQ.encode())
        await venue.send(depth)  # that is for its worker to refuse
        await until(lambda: len(stage.mnq.pushed) == 2, "our own contract's")
        assert venue.connections == 1
        assert stage.page.read("unrouted") >= len(bombs) - 2  # the shallow ones are pings

    assert play(scene).page.read("refused_frames") == 0


@pytest.mark.parametrize("reply", [deep(100_000)[:-1], b"[" * 60_000, b" " * LIMIT, b"x\x1e" * (MAX_RECORDS + 1)])
def test_bombs_in_place_of_the_handshake(reply: bytes) -> None:
    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.handshake_reply = reply + b"\x1e"

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await until(lambda: venue.connections >= 2, "a second try")
        venue.handshake_reply = b"{}\x1e"
        await stage.until_snapshots()

    stage = play(scene, PLAIN, prepare=prepare)
    assert stage.page.read("refused_frames") >= (len(reply) >= LIMIT or reply.startswith(b"x"))
    assert stage.mnq.gaps == [Reason.STARTING, Reason.CLOSED]


def test_a_message_that_never_ends() -> None:
    """Frames without end and without content: nothing grows by them, and nothing is said by them either."""

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.send_raw(framing.header(1, last=False) + b"x")
        nothing = framing.header(0, opcode=framing.CONTINUATION, last=False) * 10_000

        def reconnected() -> bool:
            if venue.connections == 1:
                venue.send_raw(nothing)
            return venue.connections == 2

        await until(reconnected, "a new connection")

    stage = play(scene, FeedSettings(backoff_first_ms=1, socket_silence_ms=300))
    assert stage.mnq.gaps[1:3] == [Reason.DISCONNECTED, Reason.RECONNECTED]


@pytest.mark.parametrize("last", [b'{"type":7}\x1e', b"\x1e" * (MAX_RECORDS + 1)], ids=["close record", "refused"])
def test_a_venue_that_goes_on_after_the_goodbye(last: bytes) -> None:
    """It never answers the websocket's close and sends on: the engine does not listen to it for ever."""

    async def scene(venue: FakeVenue, stage: Stage) -> None:
        await stage.until_snapshots()
        venue.send_raw(framing.whole(last))
        await until(lambda: venue.connections == 2, "a new connection", 30)
        venue.says_goodbye = True

    def prepare(venue: FakeVenue, stage: Stage) -> None:
        venue.says_goodbye = False

    play(scene, PLAIN, prepare=prepare)
