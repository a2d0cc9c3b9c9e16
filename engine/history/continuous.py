"""The contracts of a future, one after the other, as one row of bars: fetched backwards from the newest one.

How they are joined says rolls.py. The venue keeps no bars below an hour of contracts that have expired (fact sheet
4.3), so of short ones only what is still there comes; `contracts` says of whom there are bars.
"""

from typing import Final, NamedTuple

from shm.timeframe import Timeframe

from ..config import SymbolSettings
from ..feeds.gateway import Contract, Gateway
from ..http import VenueError, VenueRefusal
from .fetching import Fetched, History, Progress
from .rolls import DAY_NS, earlier, join, join_ns

MAX_MISSES: Final = 4  # contracts in a row that the venue does not have, or has no bars of
MAX_CONTRACTS: Final = 40


class Continuous(NamedTuple):
    """`contracts`: whose bars are in it, the oldest first."""

    fetched: Fetched
    contracts: tuple[str, ...]


async def fetch_continuous(
    history: History,
    gateway: Gateway,
    symbol: str,
    newest: Contract,
    timeframe: Timeframe,
    window: tuple[int, int],
    *,
    adjusted: bool,
    on_page: Progress = lambda done, planned: None,
) -> Continuous:
    """The bars of `newest` in `window` (ns, UTC, half-open), and before its join those of the contracts before it.

    Raises HistoryRefusal, VenueError; VenueError too if contracts have not one tick size, or, with `adjusted`, have
    no bar in common before a join.
    """
    start_ns, end_ns = window
    rows, refused = await history.fetch(newest.contract_id, newest.price_increment, timeframe, [window], on_page)
    parts = [(newest.contract_id, rows)]  # the newest first, each with its bars of the whole time it is looked at
    joins: list[int] = []  # between each of them and the one before
    misses = 0
    for contract_id in earlier(newest.contract_id, symbol):
        following = parts[-1][1]
        if misses == MAX_MISSES or len(parts) == MAX_CONTRACTS or not len(following) or end_ns <= start_ns + DAY_NS:
            break
        try:
            contract = await gateway.contract(SymbolSettings(contract_id, contract_id))
            found = await history.fetch(contract_id, contract.price_increment, timeframe, [(start_ns, end_ns)], on_page)
        except VenueRefusal:
            misses += 1
            continue
        refused += found.refused
        if not len(found.rows):
            misses += 1
            continue
        if contract.price_increment != newest.price_increment:
            raise VenueError(f"{contract_id} has another tick size than {newest.contract_id}: ask for fewer days")
        misses = 0
        end_ns = join_ns(found.rows, following)
        joins.append(end_ns)
        parts.append((contract_id, found.rows))
    joined = parts[-1][1]
    for at_ns, (contract_id, following) in zip(reversed(joins), reversed(parts[:-1]), strict=True):
        try:
            joined = join(joined, following, at_ns, adjusted=adjusted)
        except ValueError as error:
            raise VenueError(f"{contract_id} cannot be joined to the one before: {error}") from None
    return Continuous(Fetched(joined, refused), tuple(contract_id for contract_id, _ in reversed(parts)))
