"""An account's segment with its writer, in the folder of a plain engine; and rows to publish in it."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shm import account_rows, layout, registry, segment
from shm.account_rows import AccountWriter, Holdings
from shm.layout import ACCOUNT, FILL, NO_VALUE, ORDER, POSITION, Kind, Reason, State
from tests.shm.plain_writer import PlainEngine

MNQ = b"CON.F.US.MNQ.Z26"
QUARTER = 250_000_000


def account(**said: int | bytes) -> npt.NDArray[np.void]:
    """An ACCOUNT row: live, of account 704 unless `said`."""
    row = np.zeros((), ACCOUNT)
    plain = {"state": State.LIVE, "account_id": 704, "name": b"PRAC-1", "balance_e9": 150_000_250_000_000}
    for name, value in (plain | {"can_trade": 1} | said).items():
        row[name] = value
    return row


def order(order_id: int, *, limit_e9: int = 21_000 * layout.E9, tick_e9: int = QUARTER) -> tuple[object, ...]:
    return (order_id, 10, 11, 1, 1, layout.BUY, 3, 1, limit_e9, NO_VALUE, limit_e9, tick_e9, MNQ, b"tag-1")


def position(position_id: int, size: int = -2) -> tuple[object, ...]:
    return (position_id, 10, size, 20_990_125_000_000, MNQ)


def fill(fill_id: int, *, profit_e9: int = NO_VALUE, voided: int = 0) -> tuple[object, ...]:
    return (fill_id, 7, 10 + fill_id, 21_000 * layout.E9, profit_e9, 740_000_000, layout.SELL, 2, voided, QUARTER, MNQ)


def holdings(
    row: npt.NDArray[np.void],
    orders: Sequence[tuple[object, ...]] = (),
    positions: Sequence[tuple[object, ...]] = (),
    fills: Sequence[tuple[object, ...]] = (),
) -> Holdings:
    return Holdings(
        row, np.array(list(orders), ORDER), np.array(list(positions), POSITION), np.array(list(fills), FILL)
    )


class MadeAccount:
    """The account of one generation of a plain engine; what it publishes is stamped unless it is told not to."""

    def __init__(self, engine: PlainEngine) -> None:
        account_rows.warm()  # a stamp that waited for the compiler would be old
        place = registry.generation_folder(engine.folder, engine.generation)
        self.segment = segment.create(
            place / "account", Kind.ACCOUNT, layout.account_regions(), generation=engine.generation
        )
        changed = segment.attach(place / "changed", Kind.CHANGED, writable=True, generation=engine.generation)
        self.changed = changed.array("words")
        self.writer = AccountWriter(self.segment.array, self.changed)

    def publish(self, what: Holdings, *, stamped: bool = True) -> None:
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.writer.publish(what, now_ns)
        if stamped:
            self.writer.stamp(now_ns)

    def say(self, state: State, reason: Reason = Reason.NONE) -> None:
        self.publish(holdings(account(state=state, reason=reason)))
