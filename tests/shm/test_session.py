"""The venue's merged quote: what was sent is there, what was not is unknown."""

import math

import pytest

from shm import Instrument, Session, Stale, State
from shm.layout import SESSION_FIELDS, Reason
from tests.shm.plain_writer import ASKS, BIDS, PlainWriter, boottime_ns

# What the writer stores (ticks, size increments, 10^-9) and what a reader gets, in the order of SESSION_FIELDS.
STORED = {
    "last": 84001,
    "bid": 84000,
    "ask": 84002,
    "open": 83800,
    "high": 84040,
    "low": 83600,
    "volume": 812_345,
    "change": -25_500_000_000,
    "change_percent": 1_200_000,
    "updated_ns": 1_795_358_000_142_100_000,
}
READ = {
    "last": 21000.25,
    "bid": 21000.0,
    "ask": 21000.5,
    "open": 20950.0,
    "high": 21010.0,
    "low": 20900.0,
    "volume": 812_345.0,
    "change": -25.5,
    "change_percent": 0.0012,
    "updated_ns": 1_795_358_000_142_100_000,
}


def _publish(writer: PlainWriter, *fields: str) -> None:
    """A publication of a merged quote of these fields."""
    known = sum(1 << SESSION_FIELDS.index(field) for field in fields)
    for field, value in STORED.items():
        writer.state[f"session_{field}"] = value
    writer.publish(BIDS, ASKS, known=known)


def _known(session: Session) -> dict[str, float]:
    said = session._asdict()
    return {field: said[field] for field in SESSION_FIELDS if said[field] is not None and not math.isnan(said[field])}


def test_every_field_that_was_sent(writer: PlainWriter, mnq: Instrument) -> None:
    _publish(writer, *SESSION_FIELDS)
    session = mnq.session()
    assert _known(session) == READ
    assert (session.state, session.sequence) == (State.LIVE, int(writer.state["sequence"]))
    assert session.recv_ns == int(writer.state["recv_ns"])


@pytest.mark.parametrize("field", SESSION_FIELDS)
def test_a_field_alone(writer: PlainWriter, mnq: Instrument, field: str) -> None:
    _publish(writer, field)
    assert _known(mnq.session()) == {field: READ[field]}


def test_fields_that_were_never_sent_are_unknown(writer: PlainWriter, mnq: Instrument) -> None:
    _publish(writer)
    assert _known(mnq.session()) == {}
    assert mnq.session().updated_ns is None


def test_volume_in_fractions(writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS, known=1 << SESSION_FIELDS.index("volume"), session_volume=3, size_scale=1)
    assert mnq.session().volume == 0.3


def test_a_session_is_live_when_a_quote_is(writer: PlainWriter, mnq: Instrument) -> None:
    with pytest.raises(Stale, match="waiting for the first snapshot"):
        mnq.session()
    assert _known(mnq.session(allow_stale=True)) == {}
    _publish(writer, "last")
    writer.publish(BIDS, ASKS, state=State.STALE, reason=Reason.SILENCE)
    with pytest.raises(Stale, match="the venue is silent"):
        mnq.session()
    assert mnq.session(allow_stale=True).last == 21000.25
    writer.publish(BIDS, ASKS, reason=Reason.NONE, through_ns=boottime_ns() - 5_000_000_000)
    with pytest.raises(Stale, match="nothing heard"):
        mnq.session()
