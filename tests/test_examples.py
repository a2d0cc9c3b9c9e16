"""docs/examples: the decisions on values, the programs beside a plain engine, and the notebook cell by cell."""

import ast
import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from shm import BUY, SELL, Change, Quote, Trade
from shm.layout import SESSION_FIELDS
from tests.shm.made_book import make_book
from tests.shm.plain_writer import ASKS, BIDS, PlainEngine
from tests.waiting import wait_for

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
LIMIT_S = 30.0


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainEngine]:
    """Live, and where `attach()` looks."""
    monkeypatch.setenv("SHARDBOOK_SHM", str(tmp_path))
    with PlainEngine(tmp_path) as engine:
        for writer in engine.writers.values():
            writer.publish(BIDS, ASKS, known=1 << SESSION_FIELDS.index("last"), session_last=BIDS[0][0])
            writer.trade((BIDS[0][0], 2, SELL))
        yield engine


def _load(name: str) -> ModuleType:
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _quote(bid: int, ask: int) -> Quote:
    return Quote(1, 1, 2, 1, bid, 1, ask, 1, 2, 25, 0, 1)


def _trade(side: int, at_s: float) -> Trade:
    return Trade(100.0, 1.0, side, int(at_s * 1e9), 0, 1, 0, 400, 1)


def test_which_way_a_book_leans() -> None:
    decide = _load("lean").decide
    assert decide(make_book([(400, 90)], [(401, 10)])) == "up"
    assert decide(make_book([(400, 10)], [(401, 90)])) == "down"
    assert decide(make_book([(400, 50)], [(401, 50)])) == "flat"
    assert decide(make_book([(400, 90)], [(401, 9)])) == "flat"  # too little there


def test_who_is_in_a_hurry() -> None:
    flow = _load("flow").Flow()
    for _ in range(30):
        flow.add(_trade(BUY, 1.0))
    assert flow.decide() == "buyers"
    for _ in range(30):
        flow.add(_trade(SELL, 2.0))
    assert flow.decide() == "both"
    for _ in range(2):
        flow.add(_trade(SELL, 6.5))  # the buyers are out of the window now
    assert flow.decide() == "sellers"
    flow.clear()
    assert flow.decide() == "both"


def test_what_is_dear() -> None:
    module = _load("pair")
    ratio = module.Ratio()
    assert {ratio.decide(_quote(40_000, 40_001), _quote(20_000, 20_001)) for _ in range(module.WARM_UP)} == {"fair"}
    assert ratio.decide(_quote(40_400, 40_401), _quote(20_000, 20_001)) == "left is dear"
    assert ratio.decide(_quote(39_600, 39_601), _quote(20_000, 20_001)) == "left is cheap"
    assert ratio.decide(_quote(40_000, 40_001), Quote(1, 1, 2, 1, 0, 0, 20_001, 1, 2, 25, 0, 1)) == "fair"


def test_what_is_inside_value() -> None:
    module = _load("value")
    sizes = [1, 2, 9, 2, 1]
    trades = pl.DataFrame({"price": [100 + n / 4 for n in range(5)], "size": sizes, "side": BUY})
    area = module.value(trades, 0.25)
    assert area.rows() == [(100.5, 100.5, 101.0, 12, 15)]
    said = [module.decide(area, price) for price in (100.25, 100.5, 101.0, 101.25)]
    assert said == ["below value", "in value", "in value", "above value"]
    assert module.decide(module.value(trades.clear(), 0.25), 100.0) == "nothing yet"


@pytest.mark.parametrize(
    ("name", "symbols"),
    [("lean", ["MNQ"]), ("flow", ["MNQ", "MES"]), ("pair", ["MNQ", "MES"]), ("value", ["MNQ"])],
)
def test_a_program_reads_a_running_engine(engine: PlainEngine, tmp_path: Path, name: str, symbols: list[str]) -> None:
    said = tmp_path / "said"
    with said.open("w") as out:
        running = subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *symbols],
            env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent.parent)},
            stdout=out,
            stderr=out,
        )
        try:

            def spoke() -> bool:
                for writer in engine.writers.values():
                    writer.publish(BIDS, ASKS)
                    writer.trade((BIDS[0][0], 1, BUY))
                return running.poll() is not None or said.stat().st_size > 0

            wait_for(spoke, LIMIT_S, f"a word of {name}.py")
            assert running.poll() is None, said.read_text()
        finally:
            running.kill()
            running.wait(LIMIT_S)
    assert said.read_text().split()[0] in {"MNQ", "MES", "MNQ/MES"}


def test_the_notebook(engine: PlainEngine) -> None:
    notebook = json.loads((EXAMPLES / "reading.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    space: dict[str, Any] = {}

    async def publish() -> None:
        while True:
            engine.writers["MNQ"].publish(BIDS, ASKS)
            await asyncio.sleep(0.005)

    async def run() -> None:
        publishing = asyncio.create_task(publish())
        for cell in code:
            compiled = compile("".join(cell["source"]), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, space)
            if inspect.isawaitable(result):
                await result
        publishing.cancel()

    asyncio.run(run())
    assert [type(change) for change in space["changes"]] == [Change] * 3
    assert space["book"].best_bid == 21600.0


def test_bars_of_a_folder_that_is_not_there_are_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "bars.py"), "MNQ", "1s", str(tmp_path / "none")],
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bars.py: MNQ has no bars in ")
    assert done.stderr.count("\n") == 1
