"""An engine in plain Python for the tests of readers: three instruments, nothing published yet."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import Instrument, Market, attach, reader
from tests.shm.later import Later
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
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Time as readers and plain writers see it. A stamp never goes back, so that is how data becomes old."""
    found = Later()
    monkeypatch.setattr(time, "clock_gettime_ns", found)
    monkeypatch.setattr(reader, "_clock_ns", found)
    return found


@pytest.fixture
def mnq(market: Market) -> Instrument:
    return market["MNQ"]
