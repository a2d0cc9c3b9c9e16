"""Which contracts there are, which of them trade, and what becomes of that when one rolls.

One object for all who ask, REST, hubs and account, so a roll is true everywhere at once. Its maps are changed in
place: who was given one sees it change.
"""

from collections.abc import Mapping

from .channel import Channel
from .contracts import Contract


class Listing:
    """known: by id, all that were ever listed, the expired ones too. trading: id → symbol of those that trade."""

    def __init__(self, contracts: list[Contract], channels: Mapping[str, Channel]) -> None:
        """channels: by symbol."""
        self.known = {contract.contract_id: contract for contract in contracts}
        self.trading = {channel.contract.contract_id: symbol for symbol, channel in channels.items()}
        self.channels = {channel.contract.contract_id: channel for channel in channels.values()}
        self.subscribable = set(self.trading)  # those that trade and those that did
        self._current = {contract.symbol: contract for contract in contracts}

    @property
    def current(self) -> list[Contract]:
        """One of each symbol: what searches find."""
        return list(self._current.values())

    def roll(self, new: Contract) -> None:
        """Another month's contract takes the place of the one of that symbol that trades."""
        old = self._current[new.symbol]
        channel = self.channels.pop(old.contract_id)
        channel.roll(new)
        self._current[new.symbol] = self.known[new.contract_id] = new
        self.channels[new.contract_id] = channel
        self.trading[new.contract_id] = self.trading.pop(old.contract_id)
        self.subscribable.add(new.contract_id)
