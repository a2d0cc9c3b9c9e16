"""Which instruments live together, where, and what wakes them."""

from engine.config import SymbolSettings
from engine.processes import processes_of


def test_most_have_a_process_of_their_own_and_others_share_one() -> None:
    symbols = (
        SymbolSettings("A", process="quiet"),
        SymbolSettings("B", cpu=3),
        SymbolSettings("C", process="quiet", cpu=2),
        SymbolSettings("D", process="D"),
        SymbolSettings("E", process="quiet", cpu=2),
    )
    found = processes_of(symbols)
    assert {name: "".join(each.symbol for each in process.symbols) for name, process in found.items()} == {
        "quiet": "ACE",
        "B": "B",
        "D": "D",
    }
    assert [process.cpu for process in found.values()] == [2, 3, -1]
    assert [process.has_bell for process in found.values()] == [True, False, True]
