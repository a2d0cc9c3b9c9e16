"""A journal of six instruments as an engine that is not busy records them: each message is a piece of its ring.

At a steady rate, of which the length in real time is known: 1,000 messages a second over all instruments, with some
6,000 depth entries, which is what `scripts/launch` offers if it is not told a rate. Five of six messages are of depth,
and each ring has a clock frame each 100 ms. Venue stamps are the receive times. From a fixed seed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.recorder.recorder import Moment, Options, Recorder
from shm.journal_entries import Lane, Piece, RingRecord
from shm.layout import Record, Venue
from tests.made_journal import BEGIN, GENERATION, ring_bytes
from tests.workers import rig
from tests.workers.bar_rig import stamp

from .records import ENTRIES, depths, snapshot, trades

SYMBOLS = ("CL", "ES", "GC", "MES", "MNQ", "NQ")
MESSAGES_A_S = 1000
RING_BYTES = 4 << 20
STEP_NS = 1_000_000_000 // MESSAGES_A_S
_DISTINCT = 1200  # messages of one instrument: further apart than lz4 looks back
_CLOCK_EVERY = MESSAGES_A_S // 10
_OLD_STAMP = rig.stamp(2).encode()  # of the first of made messages


class Written(NamedTuple):
    """What there is to replay."""

    messages: int
    payload_bytes: int
    seconds: float


def frames(seconds: int) -> Iterator[RingRecord]:
    """The records of all rings in the order in which they came in; `lane` is the place in SYMBOLS."""
    streams = [_messages(number) for number in range(len(SYMBOLS))]
    sequences = [GENERATION << 40] * len(SYMBOLS)

    def made(lane: int, kind: Record, n: int, payload: bytes) -> RingRecord:
        sequences[lane] += 1
        at = BEGIN.boot_ns + n * STEP_NS, BEGIN.wall_ns + n * STEP_NS
        return RingRecord(lane, int(kind), sequences[lane], *at, int(Venue.PROJECTX), payload, SYMBOLS[lane])

    for lane, symbol in enumerate(SYMBOLS):
        yield made(lane, Record.CONFIG, 0, rig.config(contract_of(symbol)))
        first = snapshot(contract_of(symbol)).replace(rig.stamp(1).encode(), stamp(BEGIN.wall_ns).encode())
        yield made(lane, Record.DATA, 0, first)
    for n in range(1, seconds * MESSAGES_A_S):
        lane, turn = n % len(SYMBOLS), n // len(SYMBOLS)
        payload = streams[lane][turn % _DISTINCT]
        yield made(lane, Record.DATA, n, payload.replace(_OLD_STAMP, stamp(BEGIN.wall_ns + n * STEP_NS).encode()))
        if n % _CLOCK_EVERY == 0:
            yield from [made(each, Record.CLOCK, n, b"") for each in range(len(SYMBOLS))]


def write(folder: Path, seconds: int, options: Options) -> Written:
    """The journal, closed in order."""
    recorder = Recorder(folder, GENERATION, options)
    lanes = [Lane(number, symbol, GENERATION, 1, RING_BYTES) for number, symbol in enumerate(SYMBOLS)]
    recorder.take(lanes, BEGIN)
    through = [0] * len(SYMBOLS)
    messages = payload_bytes = 0
    now = BEGIN
    for frame in frames(seconds):
        now = Moment(frame.wall_ns, frame.recv_ns)
        begin, data = through[frame.lane], ring_bytes(frame)
        through[frame.lane] += len(data)
        recorder.take([Piece(frame.lane, begin, through[frame.lane], memoryview(data))], now)
        recorder.tick(now)
        if frame.kind == Record.DATA:
            messages += 1
            payload_bytes += len(frame.payload)
    recorder.close(now)
    return Written(messages, payload_bytes, float(seconds))


def contract_of(symbol: str) -> str:
    return f"CON.F.US.{symbol}.Z26"


def _messages(number: int) -> list[bytes]:
    """Of one instrument, all with the same stamp, in whose place the real one goes."""
    contract = contract_of(SYMBOLS[number])
    made = depths(_DISTINCT, ENTRIES, contract, seed=number)
    made[::6] = trades(len(made[::6]), 2, contract, seed=number)
    found = []
    for n, message in enumerate(made):
        old = n // 6 if n % 6 == 0 else n  # trades are numbered by themselves
        found.append(message.replace(rig.stamp(old + 2).encode(), _OLD_STAMP))
    return found
