"""The futures that the simulator lists: real tick sizes and tick values, and ProjectX's own roots.

Contract ids, names and symbol ids are built as the fact sheet (section 2) says: `CON.F.US.<root>.<month><yy>`,
`<code><month><y>`, `F.US.<root>`. Roots marked (?) were not seen in a public capture: they follow the naming of the
ones that were. Tick sizes and values are exact integers of 10^-9.
"""

from typing import NamedTuple

E9 = 1_000_000_000


class Contract(NamedTuple):
    """One listed future. Prices are ticks; a price in units is ticks · tick_e9 / 10^9."""

    symbol: str  # the exchange's code, which is also what users type: MNQ
    root: str  # ProjectX's: MNQ, but EP for ES
    month: str  # month letter and two digits of the year: Z26
    description: str
    tick_e9: int
    tick_value_e9: int
    middle_ticks: int  # where generated flow starts

    @property
    def contract_id(self) -> str:
        return f"CON.F.US.{self.root}.{self.month}"

    @property
    def name(self) -> str:
        return f"{self.symbol}{self.month[0]}{self.month[-1]}"

    @property
    def symbol_id(self) -> str:
        return f"F.US.{self.root}"


_QUARTERS = "HMUZ"
_CYCLES = {
    **dict.fromkeys(("GC", "MGC"), "GJMQVZ"),
    "SI": "HKNUZ",
    **dict.fromkeys(("CL", "MCL"), "FGHJKMNQUVXZ"),
}


def next_contract(contract: Contract) -> Contract:
    """The one that is the most traded after it. Raises ValueError behind the year 2099."""
    cycle = _CYCLES.get(contract.symbol, _QUARTERS)
    place, year = cycle.index(contract.month[0]) + 1, int(contract.month[1:])
    if place == len(cycle):
        place, year = 0, year + 1
    if year > 99:
        raise ValueError(f"there is no contract after {contract.contract_id}")
    return contract._replace(month=f"{cycle[place]}{year:02d}")


def decimal_text(value_e9: int) -> str:
    """The shortest exact decimal of an integer of 10^-9: 250000000 is "0.25", 10^9 is "1"."""
    whole, rest = divmod(abs(value_e9), E9)
    sign = "-" if value_e9 < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _contract(
    symbol: str, root: str, month: str, description: str, tick_e9: int, tick_value_e9: int, price_e9: int
) -> Contract:
    return Contract(symbol, root, month, description, tick_e9, tick_value_e9, price_e9 // tick_e9)


_LISTED = (
    _contract("ES", "EP", "Z26", "E-mini S&P 500", 250_000_000, 12_500_000_000, 6_700 * E9),
    _contract("NQ", "ENQ", "Z26", "E-mini NASDAQ-100", 250_000_000, 5 * E9, 24_600 * E9),
    _contract("YM", "YM", "Z26", "E-mini Dow", E9, 5 * E9, 46_500 * E9),
    _contract("RTY", "RTY", "Z26", "E-mini Russell 2000", 100_000_000, 5 * E9, 2_400 * E9),
    _contract("MES", "MES", "Z26", "Micro E-mini S&P 500", 250_000_000, 1_250_000_000, 6_700 * E9),
    _contract("MNQ", "MNQ", "Z26", "Micro E-mini Nasdaq-100", 250_000_000, 500_000_000, 24_600 * E9),
    _contract("MYM", "MYM", "Z26", "Micro E-mini Dow", E9, 500_000_000, 46_500 * E9),
    _contract("M2K", "M2K", "Z26", "Micro E-mini Russell 2000", 100_000_000, 500_000_000, 2_400 * E9),
    _contract("6E", "EU6", "Z26", "Euro FX", 50_000, 6_250_000_000, 1_160_000_000),
    _contract("6B", "BP6", "Z26", "British Pound", 100_000, 6_250_000_000, 1_310_000_000),
    _contract("6A", "DA6", "Z26", "Australian Dollar", 50_000, 5 * E9, 650_000_000),
    _contract("6C", "CA6", "Z26", "Canadian Dollar", 50_000, 5 * E9, 715_000_000),
    _contract("GC", "GCE", "G27", "Gold", 100_000_000, 10 * E9, 4_100 * E9),  # root (?)
    _contract("MGC", "MGC", "G27", "Micro Gold", 100_000_000, E9, 4_100 * E9),
    _contract("SI", "SIE", "H27", "Silver", 5_000_000, 25 * E9, 51 * E9),  # root (?)
    _contract("CL", "CLE", "F27", "Crude Light", 10_000_000, 10 * E9, 59 * E9),  # root (?)
    _contract("MCL", "MCLE", "F27", "Micro Crude Oil", 10_000_000, E9, 59 * E9),  # root (?)
    _contract("ZN", "TYA", "H27", "10-Year T-Note", 15_625_000, 15_625_000_000, 113 * E9),  # root (?)
    _contract("ZB", "USA", "H27", "30-Year T-Bond", 31_250_000, 31_250_000_000, 117 * E9),  # root (?)
)

CONTRACTS: dict[str, Contract] = {contract.symbol: contract for contract in _LISTED}

assert len({contract.contract_id for contract in _LISTED}) == len(_LISTED) >= 12
