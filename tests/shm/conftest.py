"""An engine in plain Python for the tests of readers: three instruments, nothing published yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import Instrument, Market, attach
from tests.shm.plain_writer import PlainEngine, PlainWriter


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PlainEngine]:
    with PlainEngine(tmp_path, symbols=("MNQ", "MES", "MGC")) as engine:
        yield engine


@pytest.fixture
def market(engine: PlainEngine) -> Iterator[Market]:
    with attach(root=engine.root) as market:
        yield market


@pytest.fixture
def writer(engine: PlainEngine) -> PlainWriter:
    return engine.writers["MNQ"]


@pytest.fixture
def mnq(market: Market) -> Instrument:
    return market["MNQ"]
