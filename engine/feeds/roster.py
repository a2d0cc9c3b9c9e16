"""The instruments of a market feed: their lanes, what each is at the venue, and whether its ring was told so."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from shm import layout
from shm.layout import Reason

from ..router import Lane, Router
from . import projectx
from .gateway import PRICE_SCALE, Contract

_MS: Final = 1_000_000

_log = logging.getLogger(__name__)


class Roster:
    """`lanes` is replaced when one comes or goes, never changed: others may be on their way over it."""

    def __init__(self, lanes: Iterable[Lane], router: Router) -> None:
        self.lanes: Sequence[Lane] = tuple(lanes)
        self._router = router
        self._contracts: dict[Lane, Contract] = {}
        self._unconfigured: list[Lane] = []
        self._begun: set[Lane] = set()

    @property
    def contracts(self) -> Mapping[Lane, Contract]:
        """What each instrument is at the venue, as far as that is known."""
        return self._contracts

    @property
    def unresolved(self) -> list[Lane]:
        """Those whose contract the venue has not been asked for yet."""
        return [lane for lane in self.lanes if lane not in self._contracts]

    def add(self, lane: Lane) -> None:
        """One more."""
        self.lanes = (*self.lanes, lane)

    def introduce(self, lane: Lane, contract: Contract) -> None:
        """A lane's contract is known: its messages go down the lane from now on."""
        self._contracts[lane] = contract
        self._router.add(lane, _keys(contract))
        self._unconfigured.append(lane)
        _log.info("%s is %s (%s)", lane.settings.symbol, contract.contract_id, contract.name)

    def roll(self, lane: Lane, contract: Contract) -> None:
        """Another contract's messages go down the lane, behind its configuration and a gap.

        In this order, so that the roll is said before what comes of it; a ring too full for the configuration gets the
        gap first, and believes nothing until both are there.
        """
        before = self._contracts[lane]
        _log.info("%s rolls from %s to %s", lane.settings.symbol, before.contract_id, contract.contract_id)
        self._contracts[lane] = contract
        self._router.rename(lane, _keys(contract))
        self._unconfigured = [*(each for each in self._unconfigured if each is not lane), lane]
        self.configure()
        lane.say(Reason.ROLL)

    def remove(self, lane: Lane) -> None:
        """Nothing goes down the lane any more, and its ring says so."""
        self.lanes = tuple(each for each in self.lanes if each is not lane)
        self._unconfigured = [each for each in self._unconfigured if each is not lane]
        self._begun.discard(lane)
        if self._contracts.pop(lane, None):
            self._router.remove(lane)
        lane.say(Reason.CLOSED)

    def configure(self) -> None:
        """Give each ring its instrument's contract and increments; one that is full gets them at a later poll."""
        if self._unconfigured:
            self._unconfigured = [lane for lane in self._unconfigured if not lane.ring.configure(self._config(lane))]

    def begin(self, lane: Lane) -> Reason:
        """A lane's data is about to begin: what its ring is to be told."""
        is_first = lane.ring.fresh and lane not in self._begun
        self._begun.add(lane)
        return Reason.STARTING if is_first else Reason.RECONNECTED

    def say(self, reason: Reason) -> None:
        """A gap into every ring."""
        for lane in self.lanes:
            lane.say(reason)

    def _config(self, lane: Lane) -> bytes:
        return config_record(self._contracts[lane], lane.settings.max_venue_lag_ms * _MS)


def _keys(contract: Contract) -> list[bytes]:
    """What the router finds a contract's messages by."""
    return [*projectx.heads(contract.contract_id), contract.contract_id.encode()]


def config_record(contract: Contract, max_venue_lag_ns: int) -> bytes:
    """The bytes of a layout.CONFIG row: futures are counted in whole contracts, so sizes have no decimals."""
    row = np.zeros((), layout.CONFIG)
    row["contract"] = contract.contract_id.encode()
    row["price_scale"] = PRICE_SCALE
    row["price_increment"] = contract.price_increment
    row["size_scale"] = 0
    row["size_increment"] = 1
    row["source"] = layout.Source.VENUE
    row["max_venue_lag_ns"] = max_venue_lag_ns
    return row.tobytes()
