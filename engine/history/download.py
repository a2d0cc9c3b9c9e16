"""What the `history` command does once it knows what is asked for: log in, fetch, show how far it is, write a file.

The file appears whole or not at all: it is written beside its place and then renamed. Only the result goes to stdout.
"""

import argparse
import asyncio
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shm.errors import ShardbookError
from shm.timeframe import Timeframe, parse

from .. import config
from ..arguments import WRONG_USE
from ..config import Settings, SymbolSettings
from ..entry import complain
from ..feeds.gateway import Contract, Gateway
from ..http import HttpPool, VenueRefusal
from ..rules import FRONT, ConfigError
from .continuous import Continuous, fetch_continuous
from .fetching import ALONE, History
from .frame import frame
from .planning import HistoryRefusal, length_of
from .rolls import DAY_NS

WRITERS: Final[dict[str, Callable[[pl.DataFrame, BinaryIO], None]]] = {
    ".arrow": lambda made, file: made.write_ipc(file),
    ".parquet": lambda made, file: made.write_parquet(file),
}
PATIENCE_S: Final = 120  # for a page: a venue that says 429 may want to be left alone for a minute
CLOSED_DAYS: Final = 4  # the longest that an exchange is closed, with a holiday beside a weekend
ENDED: Final = 130  # as shells say of a command that Ctrl-C ended


def download(options: argparse.Namespace, command: str) -> int:
    """All of it; the exit status: 0, 1 for a failure, 2 for what cannot be asked for."""
    try:
        timeframe = parse(options.timeframe)
        length_of(timeframe)
        settings = _settings(options)
        login = config.credentials(settings.venue)
        wanted = config.symbol_from_json(
            {"symbol": options.symbol, "contract": options.contract or FRONT}, "the command line"
        )
    except (ConfigError, ValueError) as error:
        complain(command, str(error))
        return WRONG_USE
    if not options.out.parent.is_dir():
        complain(command, f"{options.out.parent} is no folder: make it, or name another file with --out")
        return WRONG_USE
    began_s = time.time()
    try:
        found, increment = asyncio.run(_fetch(options, settings, login, wanted, timeframe))
        if not len(found.fetched.rows):
            complain(command, f"the venue has no {timeframe.name} bars of {found.contracts[-1]} in that time")
            return 1
        made = frame(found.fetched.rows, increment)
        _write(made, options.out)
    except (ShardbookError, HistoryRefusal) as error:
        complain(command, str(error))
        return 1
    except OSError as error:
        complain(command, f"{options.out}: cannot be written ({error.strerror}): name another file with --out")
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        complain(command, "ended before all was there: nothing was written")
        return ENDED
    for why, count in found.fetched.refused.items():
        complain(command, f"{count:,} rows of the venue's were left out: they {why}")
    first, last = made["start"][0], made["start"][-1]
    if said := less(first.timestamp(), began_s, options.days):
        complain(command, said)
    print(
        f"{len(made):,} bars of {' + '.join(found.contracts)}, {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
        f" UTC, in {options.out}"
    )
    return 0


def less(first_s: float, now_s: float, days: float) -> str:
    """What to say if the first bar comes later than was asked for: not of a weekend and a holiday; empty if nothing."""
    missing_days = days - (now_s - first_s) / 86_400
    if missing_days < CLOSED_DAYS:
        return ""
    return (
        f"the venue told less than was asked for: its bars begin {missing_days:,.0f} days later than {days:g} days ago"
    )


def _settings(options: argparse.Namespace) -> Settings:
    """Who is asked, and how. Raises ConfigError."""
    settings = config.load(options.config, venue="projectx")
    return settings.at_simulator(options.url.rstrip("/"), settings.venue.user_name) if options.url else settings


async def _fetch(
    options: argparse.Namespace,
    settings: Settings,
    login: config.Credentials,
    wanted: SymbolSettings,
    timeframe: Timeframe,
) -> tuple[Continuous, int]:
    """The bars, and the tick of their prices in 10^-9. Ctrl-C cancels it. Raises VenueError, HistoryRefusal."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    now_ns = time.time_ns()
    window = now_ns - int(options.days * DAY_NS), now_ns
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    patient = dataclasses.replace(settings.http, total_timeout_s=max(PATIENCE_S, settings.http.total_timeout_s))
    async with HttpPool(patient) as pool:
        gateway = Gateway(pool, settings.venue.api_url, login, time.time)
        with bar:
            shown = bar.add_task(f"{wanted.symbol} {timeframe.name}", total=None)

            def on_page(done: int, planned: int) -> None:
                bar.update(shown, completed=done, total=planned)

            contract = await _contract(gateway, wanted)
            history = History(gateway, ALONE)
            increment = contract.price_increment
            if options.rolls is not None:
                adjusted = options.rolls == "adjusted"
                return await fetch_continuous(
                    history, gateway, wanted.symbol, contract, timeframe, window, adjusted=adjusted, on_page=on_page
                ), increment
            fetched = await history.fetch(contract.contract_id, increment, timeframe, [window], on_page)
    return Continuous(fetched, (contract.contract_id,)), increment


async def _contract(gateway: Gateway, wanted: SymbolSettings) -> Contract:
    """Raises VenueError: a refusal in the words of who typed the command, and has no symbol file."""
    await gateway.token()  # a wrong key is said as such
    try:
        return await gateway.contract(wanted)
    except VenueRefusal:
        if wanted.contract == FRONT:
            raise VenueRefusal(
                f"the venue has no active contract of {wanted.symbol}: name one with --contract"
            ) from None
        raise VenueRefusal(f"the venue has no contract {wanted.contract}: name another with --contract") from None


def _write(made: pl.DataFrame, path: Path) -> None:
    """Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            WRITERS[path.suffix](made, file)
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
