"""Settings: read once, from files that people write, into frozen dataclasses; every refusal is one sentence.

Three sources. An engine file (`--config FILE`, TOML) with the tables [venue], [http] and [feed]; one file a symbol
(`workers/symbols/MNQ.toml`, or `--symbols-dir DIR`); and the environment for the user name and the API key, which
are in no file and no Settings. Each key's default, type and bounds stand together at its field below, so a value
that got past this file needs no second check. A refusal names file, key, value and cure; the value of a key that
we do not know is not repeated, because it may be a secret that was put in the wrong place.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from shm.registry import ENGINE_NAME, SYMBOL_NAME
from shm.timeframe import MAX_TIMEFRAMES, parse

from .calendars import CALENDARS
from .rules import (
    FRONT,
    MAX_SECRET_CHARACTERS,
    MAX_SHOWN_CHARACTERS,
    ConfigError,
    Rule,
    address,
    are_policies,
    are_timeframes,
    flag,
    is_api_url,
    is_contract,
    is_hot_rows,
    is_hub_url,
    is_power_of_two,
    is_process,
    is_secret,
    is_small_power_of_two,
    limits,
    shown,
    text,
    whole,
    why_no_timeframes,
)
from .tables import (
    KEY_VARIABLE,
    USER_VARIABLE,
    listed,
    near_names,
    read_table,
    read_toml,
    refuse_unknown,
    table_of,
)

MAX_SYMBOLS: Final = 64
MAX_CPU: Final = 4095
MAX_LISTED_FILES: Final = 1024

SHIPPED_SYMBOLS: Final = Path(__file__).resolve().parent.parent / "workers" / "symbols"
REPLAY: Final = "replay"
ANY_CPU: Final = -1
TIMEFRAMES: Final = ("1s", "1m", "5m", "1h", "1d")
RESERVED_PROCESSES: Final = ("engine", "keeper", "recorder", "simulator")  # the supervisor's names of other parts
RESERVED_SYMBOLS: Final = ("keeper", "recorder")  # a ring of this name is not an instrument's


@dataclass(frozen=True, slots=True)
class SymbolSettings:
    """One instrument; the keys of `workers/symbols/<SYMBOL>.toml`."""

    symbol: str
    # "front" is the active contract whose name, less month letter and year digits, is the symbol
    contract: str = text(FRONT, '"front" or a contract id such as "CON.F.US.MNQ.Z26"', is_contract)
    levels: int = whole(64, 1, 1024)  # published a side
    max_depth: int = whole(2048, 8, 65536)  # kept a side
    ring_mib: int = field(default=4, metadata={"rule": Rule("a power of two from 1 to 1024", is_power_of_two)})
    batch_max_frames: int = whole(256, 1, 65536)  # messages that may wait for one publication
    batch_max_us: int = whole(1000, 1, 100_000)  # and for how long
    spin_us: int = whole(0, 0, 1000)  # how long the worker looks before it sleeps
    # who names the same process shares one; without a name it is the instrument's own
    process: str = text("", "a name of at most 32 letters, digits, '.', '_' and '-'", is_process)
    cpu: int = whole(ANY_CPU, ANY_CPU, MAX_CPU)  # the one its worker runs on; -1: anywhere
    # the exchange's calendar, docs/sessions.md; without a name that of the symbol
    calendar: str = text("", "the name of a calendar", lambda value: len(value) <= MAX_SHOWN_CHARACTERS)
    max_silence_ms: int = whole(30_000, 200, 86_400_000)  # no message and no word of REST for so long: resync
    max_lag_ms: int = whole(1000, 250, 60_000)  # an older publication is not live; clock frames come each 100 ms
    max_venue_lag_ms: int = whole(1000, 10, 600_000)  # behind the venue's clock by more: stale

    # names of bars, such as "1m", "15min", "4hr", "1day", "100tick", "500vol", "1000000usd"
    timeframes: Sequence[str] = field(
        default=TIMEFRAMES,
        metadata={
            "rule": Rule(
                f'a list of at most {MAX_TIMEFRAMES} names of bars such as "1m", "4hr", "1day", "100tick", each once',
                are_timeframes,
                why=why_no_timeframes,
            )
        },
    )
    # what becomes of a period without a trade: no bar ("none"), one at the last close ("flat"), one without prices
    empty_bars: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "rule": Rule(
                'a table of seconds, minutes or hours such as {"1m" = "flat"}, each with "none", "flat" or "marked"',
                are_policies,
            )
        },
    )
    close_grace_ms: int = whole(250, 0, 60_000)  # after its end a bar waits so long for late trades
    hot_rows: int = field(default=1 << 15, metadata={"rule": Rule("a power of two from 256 to 1048576", is_hot_rows)})
    history_bars: int = whole(1000, 0, 20_000)  # asked of the venue from before the first bar of a new timeframe
    # of the bars on disk; what has no entry is kept for ever
    keep_days: Mapping[str, int] = limits("days")
    keep_rows: Mapping[str, int] = limits("bars")
    keep_mib: Mapping[str, int] = limits("MiB")

    def __post_init__(self) -> None:
        """JSON knows no tuples: the same settings are equal wherever they come from."""
        object.__setattr__(self, "timeframes", tuple(self.timeframes))

    @property
    def bars(self) -> str:
        """The timeframes and what becomes of their empty periods, in the words of a worker's job."""
        policies = {parse(name): policy for name, policy in self.empty_bars.items()}
        named = [parse(name) for name in self.timeframes]
        return " ".join(f"{each.name}={policies[each]}" if each in policies else each.name for each in named)

    @property
    def worker(self) -> str:
        """The name of its worker process."""
        return self.process or self.symbol


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """[venue]: who is spoken with, and where. The simulator's addresses are known only once it runs."""

    # "replay" is no venue: scripts/replay says so to those who then play a journal
    name: str = text("simulator", '"simulator" or "projectx"', lambda value: value in ("simulator", "projectx", REPLAY))
    api_url: str = address("an https:// address (http:// only on this machine)", is_api_url)
    market_hub_url: str = address("an https:// or wss:// address (http:// or ws:// only on this machine)", is_hub_url)
    user_name: str = text("", "printable text of at most 512 characters", lambda value: value == "" or is_secret(value))
    account: bool = flag(False)  # view the account (orders, positions, fills, balance), read only
    # which one, as the venue names it; without a name the first that is active
    account_name: str = text(
        "", "printable text of at most 512 characters", lambda value: value == "" or is_secret(value)
    )
    user_hub_url: str = address("an https:// or wss:// address (http:// or ws:// only on this machine)", is_hub_url)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]: the one pool of connections."""

    max_connections: int = whole(200, 1, 200)
    max_connections_per_host: int = whole(50, 1, 50)
    keep_alive_s: int = whole(60, 1, 600)
    connect_timeout_s: int = whole(5, 1, 60)
    free_connection_timeout_s: int = whole(5, 1, 60)
    total_timeout_s: int = whole(30, 1, 300)
    max_body_kib: int = whole(8192, 16, 65536)  # after decompression


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """[feed]: the life of the market-data socket."""

    ping_interval_ms: int = whole(10_000, 50, 15_000)  # the venue drops a client that is silent for 30 s
    socket_silence_ms: int = whole(30_000, 100, 600_000)  # no bytes at all: the socket is dropped
    probe_after_ms: int = whole(1000, 100, 600_000)  # silent for longer, against its habit: REST is asked
    connect_timeout_ms: int = whole(10_000, 100, 60_000)
    handshake_timeout_ms: int = whole(5000, 100, 60_000)
    resync_timeout_ms: int = whole(2000, 50, 60_000)  # a resubscribed instrument that stays mute: reconnect
    backoff_first_ms: int = whole(100, 1, 60_000)
    backoff_max_ms: int = whole(30_000, 1, 600_000)
    roll_check_s: int = whole(60, 1, 86_400)  # how often the venue is asked which contract is an instrument's front one
    deflate: bool = flag(False)  # ask for permessage-deflate; the gateway's server library does not agree by itself


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """[keeper]: the process that seals bars, fetches history, and syncs to disk."""

    sync_s: int = whole(10, 1, 3600)  # what a power loss may take of the newest bars
    disk_mib: int = whole(0, 0, 1 << 30)  # of all bars on disk: the oldest go; 0: no limit


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """[journal]: the process that writes down what comes in."""

    record: bool = flag(True)
    # what the disk may be behind by; each instrument's own ring is room for as long again
    ring_mib: int = field(default=8, metadata={"rule": Rule("a power of two from 1 to 64", is_small_power_of_two)})
    block_kib: int = whole(256, 4, 16384)  # before it is packed
    block_ms: int = whole(100, 10, 1000)
    file_mib: int = whole(256, 1, 4096)
    fsync_s: int = whole(1, 1, 3600)  # what a power loss may take
    keep_days: int = whole(30, 0, 36_500)  # 0: no limit
    keep_mib: int = whole(16_384, 0, 1 << 30)  # of all journal files; 0: no limit

    @property
    def ring_bytes(self) -> int:
        """Of the recorder's ring; 0 if nothing is recorded."""
        return self.ring_mib << 20 if self.record else 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and API key, from the environment. The key is in no repr."""

    user_name: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """All an engine runs with, without secrets."""

    name: str
    shm_root: Path
    data_folder: Path
    venue: VenueSettings
    http: HttpSettings
    feed: FeedSettings
    keeper: KeeperSettings
    journal: JournalSettings
    symbols: tuple[SymbolSettings, ...]

    TABLES: ClassVar[dict[str, type[Any]]] = {
        "venue": VenueSettings,
        "http": HttpSettings,
        "feed": FeedSettings,
        "keeper": KeeperSettings,
        "journal": JournalSettings,
    }

    def to_json(self) -> dict[str, Any]:
        """As an object that json can write; `from_json` reads it back."""
        return dataclasses.asdict(self) | {"shm_root": str(self.shm_root), "data_folder": str(self.data_folder)}

    @classmethod
    def from_json(cls, value: object, source: str = "the settings") -> "Settings":
        """The settings of an object that `to_json` made, checked as a file is. Raises ConfigError."""
        table = table_of(value, source, "")
        refuse_unknown(table, [entry.name for entry in dataclasses.fields(cls)], source, "")
        for key in ("name", "shm_root", "data_folder"):
            if not isinstance(table.get(key), str):
                raise ConfigError(f"{source}: {key} is {shown(table.get(key))}, but it must be text: set it")
        rows = table.get("symbols")
        if not isinstance(rows, list | tuple) or not 1 <= len(rows) <= MAX_SYMBOLS:
            raise ConfigError(f"{source}: symbols must be a list of 1 to {MAX_SYMBOLS} tables: name an instrument")
        symbols = [symbol_from_json(row, source) for row in rows]
        tables = {key: read_table(kind, table.get(key, {}), source, f"{key}.") for key, kind in cls.TABLES.items()}
        _check_tables(tables, source)
        return cls(
            name=_engine_name(table["name"]),
            shm_root=Path(table["shm_root"]),
            data_folder=Path(table["data_folder"]),
            symbols=check_together(symbols, source),
            **tables,
        )

    @property
    def journal_folder(self) -> Path:
        """Where the recorder writes."""
        return self.data_folder / "journal"

    def at_simulator(self, url: str, user_name: str) -> "Settings":
        """The same settings, once the simulator's address and its user are known."""
        venue = dataclasses.asdict(self.venue) | {
            "api_url": f"{url}/api",
            "market_hub_url": f"{url}/hubs/market",
            "user_hub_url": f"{url}/hubs/user",
            "user_name": user_name,
        }
        return dataclasses.replace(self, venue=read_table(VenueSettings, venue, "the simulator", "venue."))


PROJECTX: Final = VenueSettings(
    name="projectx",
    api_url="https://api.topstepx.com/api",
    market_hub_url="https://rtc.topstepx.com/hubs/market",
    user_hub_url="https://rtc.topstepx.com/hubs/user",
)


def load(
    config_file: Path | None = None,
    *,
    symbols_dir: Path | None = None,
    symbols: Sequence[str] | None = None,
    name: str = "default",
    data_dir: Path | None = None,
    venue: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read every file there is to read. Arguments win over the engine file. Raises ConfigError."""
    source = str(config_file) if config_file else "the command line"
    document = read_toml(config_file, "give --config an existing file") if config_file else {}
    refuse_unknown(document, Settings.TABLES, source, "")
    tables = {key: read_table(kind, document.get(key, {}), source, f"{key}.") for key, kind in Settings.TABLES.items()}
    _check_tables(tables, source)
    tables["venue"] = _venue(tables["venue"], venue, source)
    data_home = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return Settings(
        name=_engine_name(name),
        shm_root=Path(environ.get("SHARDBOOK_SHM") or "/dev/shm"),
        data_folder=data_dir or Path(data_home) / "shardbook",
        symbols=load_symbols(symbols_dir or SHIPPED_SYMBOLS, symbols),
        **tables,
    )


def symbol_from_json(value: object, source: str) -> SymbolSettings:
    """One instrument's settings as `Settings.to_json` has them. Raises ConfigError."""
    keys = dict(table_of(value, source, "symbols."))
    symbol = keys.pop("symbol", None)
    return _symbol_settings(symbol, keys, source)


def load_symbols(folder: Path, wanted: Sequence[str] | None = None) -> tuple[SymbolSettings, ...]:
    """The symbol files of `folder`, all in order of name, or those `wanted` in that order. Raises ConfigError."""
    known = _symbol_files(folder)
    if wanted is None:
        names = sorted(known)
    else:
        names = list(wanted)
        for symbol in names:
            if symbol not in known:
                near = near_names(symbol, known) or f"there are {', '.join(sorted(known)) or 'none'}"
                raise ConfigError(f"{folder}: there is no symbol {shown(symbol)}: {near}, or add {symbol}.toml"[:500])
    if not 1 <= len(names) <= MAX_SYMBOLS:
        raise ConfigError(
            f"{folder}: {len(names)} symbols, but there must be 1 to {MAX_SYMBOLS}: choose with --symbols"
        )
    return check_together([read_symbol(known[symbol]) for symbol in names], str(folder))


def read_symbol(path: Path) -> SymbolSettings:
    """The instrument of one symbol file. Raises ConfigError.

    Here, and not in the rule of its key, it is seen whether there is such a CPU: who is given settings later, after
    the machine took one away, goes on without.
    """
    table = read_toml(path, "name another folder with --symbols-dir")
    settings = _symbol_settings(path.stem, table, str(path))
    allowed = os.sched_getaffinity(0)
    if settings.cpu != ANY_CPU and settings.cpu not in allowed:
        raise ConfigError(
            f"{path}: cpu is {settings.cpu}, but it must be one that this machine lets us use, of"
            f" {listed(allowed)}: correct it, or leave it out for {ANY_CPU}, which is anywhere"
        )
    return settings


def credentials(venue: VenueSettings, environ: Mapping[str, str] = os.environ) -> Credentials:
    """User name and key from the environment; the venue's user name stands in for the first. Raises ConfigError."""
    user_name = environ.get(USER_VARIABLE) or venue.user_name
    api_key = environ.get(KEY_VARIABLE, "")
    for variable, value in ((USER_VARIABLE, user_name), (KEY_VARIABLE, api_key)):
        if not value:
            raise ConfigError(f"the environment: {variable} is not set: export it before the launch")
        if not is_secret(value):
            raise ConfigError(
                f"the environment: {variable} must be printable and at most {MAX_SECRET_CHARACTERS} characters long:"
                " copy it again"
            )
    return Credentials(user_name, api_key)


def _symbol_settings(symbol: object, table: Mapping[str, Any], source: str) -> SymbolSettings:
    if not isinstance(symbol, str) or not SYMBOL_NAME.fullmatch(symbol):
        raise ConfigError(
            f"{source}: {shown(symbol)} cannot be a symbol: use letters, digits, '.', '_' and '-', 32 at most"
        )
    if symbol in RESERVED_SYMBOLS:
        raise ConfigError(f"{source}: {symbol} cannot be a symbol, it is a part of the engine: choose another name")
    settings = read_table(SymbolSettings, table, source, "", symbol=symbol)
    if settings.levels > settings.max_depth:
        raise ConfigError(
            f"{source}: levels is {settings.levels}, but it must not be above max_depth, which is"
            f" {settings.max_depth}: lower the one or raise the other"
        )
    if settings.calendar and settings.calendar not in CALENDARS:
        near = near_names(settings.calendar, CALENDARS) or f"there are {', '.join(CALENDARS)}"
        raise ConfigError(
            f"{source}: calendar is {shown(settings.calendar)}, but there is none of that name: {near}, or leave it"
            " out for the one of its symbol"
        )
    named = {parse(name) for name in settings.timeframes}
    for key in ("empty_bars", "keep_days", "keep_rows", "keep_mib"):
        for name in getattr(settings, key):
            if parse(name) not in named:
                raise ConfigError(
                    f"{source}: {key} has {shown(name)}, but timeframes has not: add it there, or leave it out here"
                )
    return settings


def _check_tables(tables: Mapping[str, Any], source: str) -> None:
    """What each key allows, and no two of them together."""
    feed, http = tables["feed"], tables["http"]
    ordered = (
        ("feed", feed, "ping_interval_ms", "socket_silence_ms", True),  # else a good socket may be called silent
        ("feed", feed, "backoff_first_ms", "backoff_max_ms", False),
        ("http", http, "max_connections_per_host", "max_connections", False),
    )
    for name, table, low, high, strictly in ordered:
        less, more = getattr(table, low), getattr(table, high)
        if less > more or (strictly and less == more):
            raise ConfigError(
                f"{source}: {name}.{low} is {less}, but it must {'be below' if strictly else 'not be above'}"
                f" {name}.{high}, which is {more}: lower the one or raise the other"
            )


def _venue(given: VenueSettings, name: str | None, source: str) -> VenueSettings:
    """The venue with its addresses: ProjectX has some, the simulator's are found when it starts."""
    if name is not None:
        given = read_table(VenueSettings, dataclasses.asdict(given) | {"name": name}, "the command line", "venue.")
    if given.account_name and not given.account:
        raise ConfigError(
            f"{source}: venue.account_name is set, but venue.account is not true, so no account is viewed: set it, or"
            " leave the name out"
        )
    if given.name == "simulator":
        for key in ("api_url", "market_hub_url", "user_hub_url"):
            if value := getattr(given, key):
                raise ConfigError(
                    f"{source}: venue.{key} is {shown(value)}, but the simulator picks its own address:"
                    ' leave it out, or set venue.name to "projectx"'
                )
        return given
    if given.name == REPLAY:
        return VenueSettings(name=REPLAY)
    needed = ("market_hub_url", "user_hub_url") if given.account else ("market_hub_url",)
    if given.api_url not in ("", PROJECTX.api_url):
        for key in needed:
            if not getattr(given, key):
                raise ConfigError(
                    f"{source}: venue.api_url is {shown(given.api_url)}, but venue.{key} is not set, so that host's"
                    f" token would go to {urlsplit(PROJECTX.market_hub_url).hostname}: set venue.{key} too"
                )
        return given
    return dataclasses.replace(
        given,
        api_url=PROJECTX.api_url,
        market_hub_url=given.market_hub_url or PROJECTX.market_hub_url,
        user_hub_url=given.user_hub_url or PROJECTX.user_hub_url,
    )


def _engine_name(name: str) -> str:
    if not ENGINE_NAME.fullmatch(name):
        raise ConfigError(
            f"the command line: name is {shown(name)}, but it must be made of letters, digits, '.', '_' and '-',"
            " 64 at most: choose another"
        )
    return name


def check_together(symbols: list[SymbolSettings], source: str) -> tuple[SymbolSettings, ...]:
    """Two rings for one contract would each get half of the messages."""
    for what in ("symbol", "contract"):
        seen: set[str] = set()
        for settings in symbols:
            value = getattr(settings, what)
            if value in seen and value != FRONT:
                raise ConfigError(f"{source}: {what} {value} is there twice: leave one of them out")
            seen.add(value)
    _check_processes(symbols, source)
    return tuple(symbols)


def _check_processes(symbols: list[SymbolSettings], source: str) -> None:
    """A process has one name and one CPU, and what bears an instrument's name is that instrument's."""
    own = {settings.symbol: settings for settings in symbols}
    pinned: dict[str, SymbolSettings] = {}
    for settings in symbols:
        name = settings.worker
        if name in RESERVED_PROCESSES:
            raise ConfigError(f"{source}: {settings.symbol}'s process is {name}, which is the engine's: choose another")
        if name in own and own[name].process != settings.process:
            raise ConfigError(
                f"{source}: {settings.symbol}'s process is {name}, but so is called an instrument that does not share"
                f" it: choose another name, or have process = {name!r} for {name} too"
            )
        if settings.cpu == ANY_CPU:
            continue
        first = pinned.setdefault(name, settings)
        if first.cpu != settings.cpu:
            raise ConfigError(
                f"{source}: cpu is {first.cpu} for {first.symbol} and {settings.cpu} for {settings.symbol}, but both"
                f" are in process {name}: give them one, or leave one out"
            )


def _symbol_files(folder: Path) -> dict[str, Path]:
    try:
        paths = sorted(folder.glob("*.toml"))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be listed ({error.strerror}): name another with --symbols-dir") from None
    if not folder.is_dir() or not paths:
        raise ConfigError(f"{folder}: no symbol file (SYMBOL.toml) is there: name another folder with --symbols-dir")
    if len(paths) > MAX_LISTED_FILES:
        raise ConfigError(f"{folder}: {len(paths)} files are above the limit of {MAX_LISTED_FILES}: move some away")
    return {path.stem: path for path in paths}
