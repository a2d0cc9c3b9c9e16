"""What the symbol files make of what was wanted before."""

from dataclasses import replace

import pytest

from engine.config import MAX_SYMBOLS, SymbolSettings
from engine.supervisor.folder import News
from engine.supervisor.wishes import compare

MNQ, MES, ES = (SymbolSettings(symbol) for symbol in ("MNQ", "MES", "ES"))
BEFORE = {"MNQ": MNQ, "MES": MES}
H27 = "CON.F.US.ENQ.H27"
Z26 = "CON.F.US.ENQ.Z26"


@pytest.mark.parametrize(
    ("news", "wanted"),
    [
        ({}, [MNQ, MES]),
        ({"MNQ": MNQ}, [MNQ, MES]),
        ({"ES": ES}, [MNQ, MES, ES]),
        ({"MNQ": replace(MNQ, levels=9)}, [replace(MNQ, levels=9), MES]),
        ({"MNQ": None}, [MES]),
        ({"MNQ": None, "ES": ES}, [MES, ES]),
        ({"ZN": None}, [MNQ, MES]),
        ({"MNQ": None, "MES": None, "ES": ES}, [ES]),
    ],
)
def test_what_can_be_used_is_taken_over(news: News, wanted: list[SymbolSettings]) -> None:
    wishes = compare(BEFORE, news)
    assert list(wishes.wanted.values()) == wanted
    assert list(wishes.wanted) == [each.symbol for each in wanted]
    assert wishes.refused == {}


def test_a_file_that_cannot_be_used_changes_nothing() -> None:
    wishes = compare(BEFORE, {"MNQ": "MNQ.toml: is not TOML", "ES": "ES.toml: is not TOML", "MES": None})
    assert wishes.wanted == {"MNQ": MNQ}
    assert wishes.refused == {"MNQ": "MNQ.toml: is not TOML", "ES": "ES.toml: is not TOML"}


def test_two_of_one_contract_are_refused_and_who_had_it_keeps_it() -> None:
    before = {"MNQ": replace(MNQ, contract=Z26), "MES": MES}
    wishes = compare(before, {"MES": replace(MES, contract=Z26), "ES": replace(ES, levels=5)})
    assert wishes.wanted == before | {"ES": replace(ES, levels=5)}
    assert wishes.refused.keys() == {"MES"}
    assert f"{Z26} is there twice" in wishes.refused["MES"]


def test_two_that_change_places_can_do_so_together() -> None:
    before = {"MNQ": replace(MNQ, contract=Z26), "MES": replace(MES, contract=H27)}
    after: News = {"MNQ": replace(MNQ, contract=H27), "MES": replace(MES, contract=Z26)}
    assert compare(before, after) == (after, {}, "")


def test_a_contract_that_one_gives_up_is_the_next_ones_beside_a_refused_third() -> None:
    before = {"MES": replace(MES, contract=H27), "MNQ": replace(MNQ, contract=Z26)}
    news: News = {
        "MES": replace(MES, contract=Z26),
        "MNQ": MNQ,
        "ES": replace(ES, process="MNQ"),
    }
    wishes = compare(before, news)
    assert wishes.wanted == {"MES": news["MES"], "MNQ": MNQ}
    assert wishes.refused.keys() == {"ES"}


def test_the_last_one_stays() -> None:
    wishes = compare({"MNQ": MNQ}, {"MNQ": None})
    assert wishes.wanted == {"MNQ": MNQ}
    assert "none is left" in wishes.refused["MNQ"]


def test_who_stayed_only_as_the_last_goes_when_another_comes() -> None:
    first = compare({"MNQ": MNQ, "MES": MES}, {"MNQ": None, "MES": None})
    assert (first.wanted, first.kept) == ({"MNQ": MNQ}, "MNQ")
    still = compare(first.wanted, {"CL": "CL.toml: is not TOML"}, first.kept)
    assert (still.wanted, still.kept) == ({"MNQ": MNQ}, "MNQ")
    after = compare(still.wanted, {"ES": ES}, still.kept)
    assert after == ({"ES": ES}, {}, "")
    back = compare(first.wanted, {"MNQ": replace(MNQ, levels=9)}, first.kept)
    assert back == ({"MNQ": replace(MNQ, levels=9)}, {}, "")
    broken = compare(first.wanted, {"MNQ": "MNQ.toml: is not TOML"}, first.kept)
    assert (broken.wanted, broken.kept) == ({"MNQ": MNQ}, "")


def test_there_are_not_more_than_can_be() -> None:
    full = {f"S{n}": SymbolSettings(f"S{n}") for n in range(MAX_SYMBOLS)}
    wishes = compare(full, {"ES": ES})
    assert wishes.wanted == full
    assert f"at most {MAX_SYMBOLS}" in wishes.refused["ES"]
    assert compare(full, {"ES": ES, "S3": None}).refused == {}
