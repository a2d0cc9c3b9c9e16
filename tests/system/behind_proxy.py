"""An engine, and between it and its simulator a proxy that the test may make miserable."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from shm import Market
from tests.system.alone import LOGIN, simulator
from tests.system.proxy import Proxy
from tests.system.running import Running, running, wait_live

_CONFIG = """
[venue]
name = "projectx"
api_url = "{url}/api"
market_hub_url = "{url}/hubs/market"
"""


class Scene(NamedTuple):
    """All books are live when it begins."""

    engine: Running
    market: Market
    proxy: Proxy
    url: str  # of the simulator itself
    truth: Path


@contextmanager
def behind_proxy(engine_name: str, folder: Path, symbols: tuple[str, ...], seed: int) -> Iterator[Scene]:
    """`folder`: a new place for truth and settings."""
    truth = folder / "truth"
    truth.mkdir()
    with simulator(truth, symbols) as url, Proxy(urlsplit(url).port or 0, seed) as proxy:
        config = folder / "engine.toml"
        config.write_text(_CONFIG.format(url=proxy.url))
        asked = ("--config", str(config), "--symbols", ",".join(symbols))
        with running(engine_name, *asked, data=None, **LOGIN) as engine, engine.attach() as market:
            wait_live(market)
            yield Scene(engine, market, proxy, url, truth)
