"""docs/settings.md: every key that a file may have, with its default and its bounds, and no other."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from engine.config import PROJECTX, Settings, SymbolSettings

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "settings.md").read_text()
TABLES: dict[str, type[Any]] = {
    **{f"[{name}]": kind for name, kind in Settings.TABLES.items()},
    "SYMBOL": SymbolSettings,
}


def rows(name: str) -> dict[str, tuple[str, str]]:
    """Key, default and bounds of each row under the heading of a table."""
    (section,) = re.findall(rf"^## `{re.escape(name)}.*?$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\| `(\w+)` \| `([^|]*)` \| ([^|]*) \| [^|]+ \|$", section, re.MULTILINE)
    assert len(found) == section.count("\n| `")
    return {key: (default, must) for key, default, must in found}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_stands_there_with_its_default_and_bounds(name: str) -> None:
    fields = [entry for entry in dataclasses.fields(TABLES[name]) if "rule" in entry.metadata]
    said = {entry.name: (_toml(_default(entry)), entry.metadata["rule"].must) for entry in fields}
    assert rows(name) == said


def test_the_real_venues_addresses_stand_there() -> None:
    assert all(f"`{url}`" in TEXT for url in (PROJECTX.api_url, PROJECTX.market_hub_url, PROJECTX.user_hub_url))


def _default(entry: dataclasses.Field[Any]) -> object:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
