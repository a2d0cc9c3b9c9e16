"""The venue's own summary of the trading day, merged from its partial quotes: a pure function of a publication.

The worker merges, field by field, and sets a bit of `known` for each field that the venue has sent since this
contract was taken up; here integers become floats. What the venue never sent is nan, and the stamp None.
"""

import struct

from .layout import CELL, SESSION_FIELDS
from .page import Glimpse, integer_fields
from .values import NAN, Session

_NANO = 10**9
_FIELDS: struct.Struct = integer_fields(
    CELL,
    "state.sequence",
    "state.recv_ns",
    "state.state",
    "state.known",
    *(f"state.session_{field}" for field in SESSION_FIELDS),
)


def build(glimpse: Glimpse) -> Session:
    """A Session out of one publication."""
    sequence, recv_ns, state, known, *values = _FIELDS.unpack(glimpse.cell)
    said = {field: value for i, (field, value) in enumerate(zip(SESSION_FIELDS, values, strict=True)) if known >> i & 1}
    scale = glimpse.scale

    def price(field: str) -> float:
        return scale.price(said[field]) if field in said else NAN

    return Session(
        last=price("last"),
        open=price("open"),
        high=price("high"),
        low=price("low"),
        volume=scale.size(said["volume"]) if "volume" in said else NAN,
        change=said["change"] / _NANO if "change" in said else NAN,
        change_percent=said["change_percent"] / _NANO if "change_percent" in said else NAN,
        bid=price("bid"),
        ask=price("ask"),
        updated_ns=said.get("updated_ns"),
        sequence=sequence,
        recv_ns=recv_ns,
        state=state,
    )
