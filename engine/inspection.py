"""What lies in a segment, bar file or journal, printed: header, regions, state, counters, and whether all is as it must
be.

`python -m engine.inspection FILE...` or `--name NAME`. Everything is mapped read-only and a living writer is not
disturbed, so each check says only what must hold at any moment: one cell or slot may be in the writer's hands.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shm import layout, registry
from shm.bars import ASIDE, FILE_NAME, HotBars
from shm.errors import LayoutError, NoEngine, ShardbookError
from shm.journal import FILE_MAGIC, SUFFIX, journal_files
from shm.layout import ASK, BID, SESSION_FIELDS, EventKind, Kind, Record, Source, State
from shm.life import is_held, start_ticks
from shm.sealed import open_sealed, parse_name
from shm.segment import Segment, attach

from . import hot_inspection, hours, keeper_inspection
from .arguments import Arguments
from .entry import complain
from .feeds.session import State as FeedState
from .keeper import doubts
from .recorder.salvage import salvage
from .table import decimals, reason_text

EVENTS_SHOWN = 8
HEARD_LIMIT_NS = 1_000_000_000  # clock frames come each 100 ms; max_lag_ms of a symbol file is as long by default
RETRIES = 100  # of a cell copied while its writer goes on; more than two in a row was never seen

# The fields of STATE that count something, in the order in which they are printed.
COUNTERS = (
    *("applied", "refused", "dropped", "quarantined", "resyncs", "trades", "depth_entries", "fast_records"),
    *("slow_records", "ignored_entries", "unknown_entries", "overflow_levels"),
)

_ENGINE_WORDS = tuple(enumerate(layout.ENGINE_WORDS))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `fault` says how it does not; empty when it does."""

    what: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say about one segment: titled groups of (name, value), and checks."""

    title: str
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    checks: tuple[Check, ...]

    @property
    def whole(self) -> bool:
        return not any(check.fault for check in self.checks)


def open_segment(path: Path) -> Segment:
    """Map a segment of whatever kind, read-only. Raises LayoutError for what is none; FileNotFoundError passes."""
    kind, symbol = Kind.RING, ""
    if path.is_file():
        with open(path, "rb") as file:
            start = file.read(layout.HEADER.itemsize)
        if len(start) == layout.HEADER.itemsize:
            header = np.frombuffer(start, layout.HEADER)[0]
            kind = Kind(int(header["kind"])) if header["kind"] in tuple(Kind) else Kind.RING
            named = bytes(header["symbol"]).decode("ascii", "replace")
            symbol = named if registry.SYMBOL_NAME.fullmatch(named) else ""
    return attach(path, kind, symbol=symbol)  # believes nothing of the above: a lie there is an error here


def examine(segment: Segment) -> Report:
    """Describe and check a mapped segment."""
    groups = [("header", tuple(_header(segment))), ("regions", tuple(_regions(segment)))]
    checks: list[Check] = []
    if segment.kind == Kind.RING:
        groups.append(("ring", tuple(_ring(segment))))
        checks += _ring_checks(segment)
    elif segment.kind == Kind.BOOK:
        state = _published_state(segment)
        groups += [("state", tuple(_state(segment, state))), ("counters", tuple(_counters(segment, state)))]
        groups.append(("events", tuple(_events(segment))))
        checks += _book_checks(segment)
    elif segment.kind == Kind.ENGINE:
        words = segment.array("words")
        rows = tuple((name, _engine_word(name, int(words[i * layout.WORDS_A_LINE]))) for i, name in _ENGINE_WORDS)
        groups.append(("engine", rows))
    elif segment.kind == Kind.BELL:
        groups.append(("bell", (("rings", f"{segment.array('words')[0]:,}"),)))
    elif segment.kind == Kind.ACCOUNT:
        account, fault = _published_account(segment)
        groups += [("account", tuple(_account(segment, account))), ("counters", tuple(_account_counters(account)))]
        checks.append(Check("the newest publication: in the bounds of its tables", fault))
    elif segment.kind == Kind.EVENTS:
        groups.append(("events", tuple(_events(segment))))
        checks.append(_events_check(segment))
    elif segment.kind == Kind.BARS:
        described, found = _hot_bars(segment)
        groups += described
        checks += found
    elif segment.kind == Kind.KEEPER:
        groups += keeper_inspection.groups(segment)
        checks += [Check(what, fault) for what, fault in keeper_inspection.checks(segment)]
    elif segment.kind == Kind.RECORDER:
        words = segment.array("words")[:: layout.WORDS_A_LINE].tolist()
        counters = zip(layout.RECORDING_WORDS, words, strict=False)
        groups.append(("recorder", tuple((name, f"{count:,}") for name, count in counters)))
    else:
        groups.append(("changed", (("wakes", f"{segment.array('words')[0]:,}"),)))
    return Report(f"{segment.path}", tuple(groups), tuple(checks))


def _hot_bars(segment: Segment) -> tuple[tuple[hot_inspection.Group, ...], list[Check]]:
    try:
        hot = HotBars(segment.path, segment.symbol)
    except LayoutError as error:
        return (), [Check("what it says of itself", str(error))]
    return hot_inspection.groups(hot), [Check(what, fault) for what, fault in hot_inspection.checks(hot)]


def examine_bars(path: Path) -> Report:
    """Describe and check a sealed bar file. Raises LayoutError for what is none; FileNotFoundError passes."""
    from . import bar_inspection  # brings polars, which no segment needs

    sealed = open_sealed(path)
    checks = tuple(Check(what, fault) for what, fault in bar_inspection.checks(sealed))
    return Report(f"{path}", bar_inspection.groups(sealed), checks)


def examine_folder(path: Path) -> Iterator[Report]:
    """A report of each timeframe, and of the hot bars, in a folder of bars. Raises LayoutError for one without any."""
    from . import folder_inspection  # brings polars

    timeframe = folder_inspection.timeframe_of(path)
    for part in [path] if timeframe else folder_inspection.parts(path):
        wanted = folder_inspection.timeframe_of(part)
        if wanted is None:
            yield _examine_hot(part)
            continue
        groups, checks = folder_inspection.examine(part, wanted)
        yield Report(f"{part}", groups, tuple(Check(what, fault) for what, fault in checks))


def examine_hours(path: Path) -> Report:
    """Describe a file of trading hours. Raises LayoutError for what is none; FileNotFoundError passes."""
    rows = hours.read(path)
    return Report(f"{path}", keeper_inspection.hours_groups(rows), (Check("checksum, and rows in order"),))


def examine_journal(path: Path) -> Report:
    """Describe and check a journal file, or a folder of them. Raises LayoutError; FileNotFoundError passes."""
    from . import journal_inspection  # brings polars

    groups, checks = (journal_inspection.examine_folder if path.is_dir() else journal_inspection.examine)(path)
    return Report(f"{path}", groups, tuple(Check(what, fault) for what, fault in checks))


def _is_journal(path: Path) -> bool:
    """By the name of the file, or of one in the folder; or by its first bytes."""
    if path.is_dir():
        return bool(journal_files(path))
    if not path.is_file():
        return path.suffix == SUFFIX
    with open(path, "rb") as file:
        return path.suffix == SUFFIX or file.read(len(FILE_MAGIC)) == FILE_MAGIC


def _is_bars(path: Path) -> bool:
    """It has the name or the first bytes of one, so that is what its faults are told as."""
    if parse_name(path.name) is not None:
        return True
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(6) == b"ARROW1"


def render(report: Report) -> str:
    """The report as text of at most 100 columns (a path may be longer)."""
    lines = [f"{report.title}: {'whole' if report.whole else 'DAMAGED'}"]
    for title, rows in report.groups:
        lines.append(f"  {title}")
        width = max((len(name) for name, _ in rows), default=0)
        lines += [f"    {name:<{width}}  {value}".rstrip() for name, value in rows]
    if report.checks:
        lines.append("  checks")
        lines += [
            f"    {'BAD' if check.fault else 'ok ':<3}  {check.what}" + _after(check.fault) for check in report.checks
        ]
    return "\n".join(lines)


def _after(fault: str) -> str:
    return f": {fault}" if fault else ""


def _header(segment: Segment) -> Iterator[tuple[str, str]]:
    pid, ticks = segment.writer()
    life = "running" if start_ticks(pid) == ticks else "ended"
    yield "kind", segment.kind.name.lower()
    if segment.symbol:
        yield "symbol", segment.symbol
    yield "layout version", f"{layout.LAYOUT_VERSION}"
    yield "generation", f"{segment.generation}"
    yield "bytes", f"{len(segment.memory):,}"
    yield "writer", f"process {pid}, {life}" if pid else "nobody yet"


def _regions(segment: Segment) -> Iterator[tuple[str, str]]:
    names = {id(dtype): name for name, dtype in layout.NAMED_DTYPES.items()}
    for name, region in segment.regions.items():
        rows = " × ".join(f"{n:,}" for n in region.shape)
        kind = names.get(id(region.dtype), str(region.dtype.str))
        yield name, f"at {region.offset:>10,}  {region.nbytes:>12,} bytes  {kind} [{rows}]"


# ── the ring ──────────────────────────────────────────────────────────────────────────────────────────────


def _ring(segment: Segment) -> Iterator[tuple[str, str]]:
    words = segment.array("words")
    head, tail = int(words[layout.HEAD]), int(words[layout.TAIL])
    yield "capacity", f"{words[layout.CAPACITY]:,} bytes"
    yield "tail", f"{tail:,}  published by the engine"
    yield "head", f"{head:,}  released by the worker, {tail - head:,} bytes kept"
    yield "next sequence", f"{words[layout.NEXT_SEQUENCE]:,}"
    yield "delivered", f"{words[layout.DELIVERED]:,}"
    yield "dropped", f"{words[layout.DROPPED]:,}"
    yield "owed gap", reason_text(int(words[layout.OWED_GAP])) or "none"
    yield "worker", "parked" if words[layout.PARKED] else "awake"
    yield "resyncs wanted", f"{words[layout.RESYNC_WANTED]:,}"
    yield "begun", f"{words[layout.BEGUN]:,}" if words[layout.BEGUN] else "no record in hand"
    yield "heartbeat", f"{words[layout.HEARTBEAT]:,}"


def _ring_checks(segment: Segment) -> list[Check]:
    words = segment.array("words")
    capacity = int(words[layout.CAPACITY])
    described = segment.regions["words"].nbytes - layout.CONTROL_BYTES - layout.RING_SLACK
    head, tail = int(words[layout.HEAD]), int(words[layout.TAIL])  # head first: it never passes a later tail
    checks = [
        Check("capacity is what the file has room for", "" if capacity == described else f"{capacity:,} bytes"),
        Check(
            "positions: head <= tail <= head + capacity, on 8 bytes",
            "" if 0 <= tail - head <= capacity and head % 8 == tail % 8 == 0 else f"head {head:,}, tail {tail:,}",
        ),
    ]
    if any(check.fault for check in checks):
        return checks
    data = words[layout.DATA_WORD : layout.DATA_WORD + capacity // 8].copy()
    kept_from = int(words[layout.HEAD])  # what was released while it was copied may have been written over
    first = segment.generation << layout.GENERATION_SHIFT
    is_replay = int(words[layout.NEXT_SEQUENCE]) < first  # it has the sequences that were recorded
    count, fault = _walk(data, min(kept_from, tail), tail, 0 if is_replay else first)
    return [*checks, Check(f"records between head and tail: {count:,}", fault)]


def _walk(data: npt.NDArray[np.int64], position: int, tail: int, least: int) -> tuple[int, str]:
    """How many whole records lie in a ring's data words from `position` to `tail`, and what ends the walk early.

    `least`: no sequence is below it.
    """
    capacity = len(data) * 8
    count, last, last_kind = 0, least - 1, 0
    while position < tail:
        place = position % capacity
        first = int(data[place // 8])
        kind, size = (first >> 32) & 0xFFFFFFFF, first & 0xFFFFFFFF
        if kind == Record.PAD:
            step = size
        elif kind == Record.PRESENT:
            step, count = layout.RECORD_BYTES + 8, count + 1  # it has no sequence of its own
        elif kind in tuple(Record):
            step = layout.RECORD_BYTES + ((size + 8) & ~7)
            sequence = int(data[place // 8 + 1])
            if sequence < last or (sequence == last and not kind == last_kind == Record.CHUNK):
                return count, f"sequence {sequence} after {last} at {position:,}"
            last, last_kind, count = sequence, kind, count + 1
        else:
            return count, f"no such kind of record, {kind}, at {position:,}"
        if step <= 0 or step % 8 or place + step > capacity:
            return count, f"a record of {step:,} bytes at {position:,}"
        position += step
    return count, "" if position == tail else f"the last record ends {position - tail:,} bytes past the tail"


# ── the book ──────────────────────────────────────────────────────────────────────────────────────────────


def _published_state(segment: Segment) -> np.void | None:
    """The state row of the newest cell, copied whole; None while nothing is published."""
    cells, control = segment.array("cells"), segment.array("control")
    for _ in range(RETRIES):
        number = int(control[layout.PUBLISHED])
        if number == 0:
            return None
        cell = cells[number % layout.CELLS].copy()
        if int(cell["end"]) == number and int(cells[number % layout.CELLS]["begin"]) == number:
            state: np.void = cell["state"]
            return state
    return None


def _state(segment: Segment, state: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    yield "published", f"{control[layout.PUBLISHED]:,}"
    if state is None:
        yield "state", "syncing: waiting for the first snapshot"
        return
    scale = int(state["price_increment"]), int(state["price_scale"])
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(control[layout.THROUGH_NS])
    yield "state", f"{_heard(int(state['state']), age_ns)}{_after(reason_text(int(state['reason'])))}"
    yield "since", _wall(int(state["since_wall_ns"]))
    yield "source", _name(Source, int(state["source"]))
    yield "contract", bytes(state["contract"]).decode("ascii", "replace")
    yield "engine heard", f"{age_ns / 1e9:,.3f} s ago"
    yield "sequence", f"{state['sequence']:,}  at ring byte {state['position']:,}"
    yield "venue's stamp", _wall(int(state["venue_ns"]))
    if state["n_bids"] and state["n_asks"]:
        yield "best bid", f"{_price(int(state['best_bid']), *scale)} × {state['best_bid_size']:,}"
        yield "best ask", f"{_price(int(state['best_ask']), *scale)} × {state['best_ask_size']:,}"
    yield "levels", f"{state['n_bids']:,} bids, {state['n_asks']:,} asks"
    if state["trades"]:
        yield "last trade", f"{_price(int(state['last_price']), *scale)} × {state['last_size']:,}"
    known = [name for bit, name in enumerate(SESSION_FIELDS) if int(state["known"]) >> bit & 1]
    yield "session fields", " ".join(known) or "none"
    last_gap = reason_text(int(state["gap_reason"]))
    yield "last gap", f"{last_gap}, {_wall(int(state['gap_wall_ns']))}" if last_gap else "none"


def _counters(segment: Segment, state: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    for name in COUNTERS if state is not None else ():
        yield name.replace("_", " "), f"{state[name]:,}"  # type: ignore[index]
    yield "tape rows", f"{control[layout.TAPE_COUNT]:,}"
    yield "quote rows", f"{control[layout.QUOTE_COUNT]:,}"
    yield "reader wakes", f"{control[layout.WAKE]:,}"


def _book_checks(segment: Segment) -> list[Check]:
    control = segment.array("control")
    return [
        _cells_check(segment),
        _slots_check(segment),
        _rows_check("tape", segment.array("tape"), control, layout.TAPE_INTENT, ("sequence", "place")),
        _rows_check("quotes", segment.array("quotes"), control, layout.QUOTE_INTENT, ("sequence",)),
        _events_check(segment),
    ]


def _events_check(segment: Segment) -> Check:
    rows, control = segment.array("events"), segment.array("control")
    return _rows_check("events", rows, control, layout.EVENT_INTENT, ("sequence", "place"))


def _events(segment: Segment) -> Iterator[tuple[str, str]]:
    """The newest events, oldest first: when, what, and why."""
    rows, count = segment.array("events"), int(segment.array("control")[layout.EVENT_COUNT])
    yield "written", f"{count:,}"
    for number in range(max(0, count - min(EVENTS_SHOWN, len(rows))), count):
        row = rows[number % len(rows)].copy()
        kind = EventKind(row["kind"]).name.lower() if row["kind"] in tuple(EventKind) else f"unknown ({row['kind']})"
        symbol, subject, text = (bytes(row[name]).decode(errors="replace") for name in ("symbol", "subject", "text"))
        lost = f"{row['count']:,} lost" if row["kind"] == EventKind.GAP and row["count"] else ""
        said = (kind, symbol, subject, lost, reason_text(int(row["reason"])), text)
        yield _wall(int(row["wall_ns"])), " · ".join(part for part in said if part)


def _cells_check(segment: Segment) -> Check:
    """Every written cell but the one in the writer's hands is whole, at its place, and in order of price."""
    cells, levels = segment.array("cells"), segment.array("cell_levels")
    whole, torn = 0, 0
    faults: list[str] = []
    for i in range(layout.CELLS):
        cell, sides = cells[i].copy(), levels[i].copy()
        again = int(cells[i]["begin"])
        number = int(cell["end"])
        if not number == int(cell["begin"]) == again:
            torn += 1
        elif number:
            whole += 1
            if number % layout.CELLS != i:
                faults.append(f"cell {i} holds number {number:,}")
            faults += _side_faults(f"cell {i}", cell, sides, best_first=True)
    if torn > 1:
        faults.append(f"{torn} cells are half written, and one writer can have only one in hand")
    return Check(f"cells: {whole} whole, {torn} in hand", "; ".join(faults[:3]))


def _slots_check(segment: Segment) -> Check:
    """At most one checkpoint slot is half written, and the levels of a whole one are in order."""
    slots, levels = segment.array("slots"), segment.array("slot_levels")
    whole, torn = 0, 0
    faults: list[str] = []
    for i in range(len(slots)):
        slot, sides = slots[i].copy(), levels[i].copy()
        again = int(slots[i]["begin"])
        if not int(slot["end"]) == int(slot["begin"]) == again:
            torn += 1
        elif int(slot["end"]):
            whole += 1
            faults += _side_faults(f"slot {i}", slot["state"], sides, best_first=False)
    if torn > 1:
        faults.append("both are half written: nothing to recover from")
    return Check(f"checkpoints: {whole} whole, {torn} in hand", "; ".join(faults[:3]))


def _side_faults(where: str, counts: np.void, sides: npt.NDArray[np.void], *, best_first: bool) -> Iterator[str]:
    """What is wrong with two sides of levels: counts, order of price, sizes."""
    for side, name in ((BID, "n_bids"), (ASK, "n_asks")):
        n = int(counts[name])
        if not 0 <= n <= sides.shape[1]:
            yield f"{where} says {name} = {n:,}"
            continue
        rising = (side == ASK) == best_first
        steps = np.diff(sides[side]["price"][:n])
        if not (steps > 0 if rising else steps < 0).all():
            yield f"{where}: prices of {name} out of order"
        if (sides[side]["size"][:n] <= 0).any():
            yield f"{where}: a level of {name} without size"


def _rows_check(
    name: str, rows: npt.NDArray[np.void], control: npt.NDArray[Any], intent_at: int, keys: Iterable[str]
) -> Check:
    """Counters of a broadcast ring are possible, and the keys of the rows that it holds never go down."""
    count = int(control[intent_at + 1])
    copied = rows.copy()
    intent = int(control[intent_at])
    if not count <= intent:
        return Check(f"{name}: {count:,} rows written", f"intent {intent:,} is below")
    first = max(0, intent - len(rows))
    held = copied[np.arange(first, max(first, count)) % len(rows)]
    order = np.lexsort([held[key] for key in reversed(tuple(keys))])
    fault = "" if (order == np.arange(len(held))).all() else "rows out of order"
    return Check(f"{name}: {count:,} rows written, {len(held):,} held", fault)


# ── the account ───────────────────────────────────────────────────────────────────────────────────────────


def _published_account(segment: Segment) -> tuple[np.void | None, str]:
    """The newest ACCOUNT row, copied whole, and what is wrong with it; None while nothing is published."""
    cells, control = segment.array("cells"), segment.array("control")
    for _ in range(RETRIES):
        number = int(control[layout.PUBLISHED])
        if number == 0:
            return None, ""
        cell = cells[number % layout.ACCOUNT_CELLS].copy()
        if int(cell["end"]) == number and int(cells[number % layout.ACCOUNT_CELLS]["begin"]) == number:
            room = {"n_orders": layout.MAX_ORDERS, "n_positions": layout.MAX_POSITIONS, "n_fills": layout.MAX_FILLS}
            wrong = [f"{name} = {cell[name]:,}" for name, most in room.items() if not 0 <= cell[name] <= most]
            return cell, ", ".join(wrong)
    return None, "no cell is whole"


def _account(segment: Segment, account: np.void | None) -> Iterator[tuple[str, str]]:
    control = segment.array("control")
    yield "published", f"{control[layout.PUBLISHED]:,}"
    if account is None:
        yield "state", "syncing: waiting for the first snapshot"
        return
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(control[layout.THROUGH_NS])
    yield "state", f"{_heard(int(account['state']), age_ns)}{_after(reason_text(int(account['reason'])))}"
    yield "since", _wall(int(account["since_wall_ns"]))
    yield "engine heard", f"{age_ns / 1e9:,.3f} s ago"
    if account["account_id"]:
        yield "account", f"{bytes(account['name']).decode(errors='replace')}  id {account['account_id']}"
        yield "balance", f"{account['balance_e9'] / layout.E9:,.2f}"
        yield "can trade", "yes" if account["can_trade"] else "no"
    for name in ("orders", "positions", "fills"):
        yield name, f"{account[f'n_{name}']:,}, and {account[f'unlisted_{name}']:,} without room"


def _account_counters(account: np.void | None) -> Iterator[tuple[str, str]]:
    for name in ("connects", "syncs", "events", "refused", "ignored") if account is not None else ():
        yield name, f"{account[name]:,}"  # type: ignore[index]


def _heard(state: int, age_ns: int) -> str:
    """The state in a word. Nobody is left to take back a "live" of an engine that has ended or stands still."""
    name = _name(State, state)
    return (
        f"{name} when last heard, {age_ns / 1e9:,.1f} s ago"
        if state == State.LIVE and age_ns > HEARD_LIMIT_NS
        else name
    )


def _engine_word(name: str, value: int) -> str:
    return _name(FeedState, value) if name == "feed_state" else f"{value:,}"


def _name(kind: type[State] | type[Source] | type[FeedState], value: int) -> str:
    return kind(value).name.lower() if value in tuple(kind) else f"unknown ({value})"


def _price(ticks: int, increment: int, scale: int) -> str:
    if increment <= 0 or not 0 <= scale <= 18:
        return f"{ticks:,} ticks"
    return f"{ticks * increment / 10**scale:,.{decimals(increment, scale)}f}"


def _wall(wall_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall_ns // 10**9)) + " UTC" if wall_ns > 0 else "never"


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────


def segments_of(name: str) -> tuple[list[Path], str]:
    """The segment files of the engine `name`, and a sentence if it has ended and left them.

    Raises NoEngine, LayoutError.
    """
    folder = registry.engine_folder(name)
    try:
        listed = registry.read(folder)
    except FileNotFoundError:
        raise NoEngine(
            f'no engine runs under the name "{name}": start one with scripts/launch (shardbook launch)'
        ) from None
    ended = ""
    if start_ticks(listed.supervisor_pid) != listed.supervisor_start_ticks:
        ended = f"engine {name} has ended (process {listed.supervisor_pid} is no more): this is what it left"
    below = registry.generation_folder(folder, listed.generation)
    return sorted(path for path in below.iterdir() if path.is_file() and path.suffix != ".tmp"), ended


def _examine_file(path: Path) -> Report:
    """Whatever it is. Raises LayoutError, OSError."""
    if _is_journal(path):
        return examine_journal(path)
    if path.name == FILE_NAME or path.name.startswith(ASIDE):
        return _examine_hot(path)
    if path.name == doubts.FILE_NAME:
        return _examine_doubts(path)
    if path.suffix == ".lock" and path.is_file():
        held = "held: a process works here" if is_held(path) else "free: no process works here"
        return Report(f"{path}", (("lock", (("kind", "life lock of who works here"), ("state", held))),), ())
    if _is_bars(path):
        return examine_bars(path)
    return examine_hours(path) if path.suffix == hours.SUFFIX else _examine_segment(path)


def _examine_hot(path: Path) -> Report:
    """Of hot bars even one that is none is reported. Raises FileNotFoundError and OSError."""
    try:
        report = _examine_segment(path)
    except LayoutError as error:
        report = Report(f"{path}", (), (Check("a whole file of hot bars", str(error)),))
    if path.name.startswith(ASIDE):
        said = "another file took its place; the keeper seals what rows it can, and deletes it later"
        report = replace(report, groups=(("set aside", (("why", said),)), *report.groups))
    return report


def _examine_doubts(path: Path) -> Report:
    """What the keeper still asks for. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read(doubts.MAX_FILE_BYTES)
    try:
        known = doubts.from_json(data)
    except ValueError as error:
        return Report(f"{path}", (), (Check("a list of what the venue is to be asked for", str(error)),))
    rows = (
        ("kind", "what the keeper asks the venue for"),
        ("rows", f"looked at below {known.looked:,}"),
        *((name, _stretches(stretches)) for name, stretches in (("outages", known.open), ("the past", known.past))),
    )
    return Report(f"{path}", (("doubts", rows),), (Check("a list that can be read"),))


def _stretches(stretches: Sequence[tuple[int, int]]) -> str:
    if not stretches:
        return "none"
    return f"{len(stretches):,}, from {_wall(stretches[0][0])} to {_wall(stretches[-1][1])}"


def _examine_segment(path: Path) -> Report:
    segment = open_segment(path)
    report = examine(segment)
    segment.close()
    return report


def main(argv: Sequence[str] | None = None, command: str = "scripts/inspect") -> int:
    """Print what was asked for; 0 if all of it is whole, 1 if something is damaged, foreign or absent."""
    parser = Arguments(
        prog=command,
        description="Print what is in shared-memory segments, files of bars and journals, and whether they are whole.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        type=Path,
        help="a segment, as /dev/shm/shardbook-UID/NAME/gN/MNQ.book, or bars: a file, as DATA/bars/MNQ/hot or"
        " DATA/bars/MNQ/1min/….arrow, or a folder, as DATA/bars/MNQ, or the journal: a file of it, or DATA/journal",
    )
    parser.add_argument("--name", help="all segments of the running engine of this name instead")
    parser.add_argument(
        "--salvage",
        metavar="OUT",
        type=Path,
        help="write what lies before the first damaged byte of FILE, a file of a journal, to this new file or folder",
    )
    options = parser.parse_args(argv)
    if bool(options.files) == (options.name is not None):
        parser.error("name either FILE... or --name NAME")
    if options.salvage is not None:
        if len(options.files) != 1:
            parser.error("--salvage takes one FILE")
        return _salvage(options.files[0], options.salvage, command)
    try:
        files, ended = (options.files, "") if options.files else segments_of(options.name)
    except (ShardbookError, ValueError) as error:
        complain(command, str(error))
        return 1
    try:
        if ended:
            print(ended)
        status = _print_all(files, command)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        with open(os.devnull, "wb") as nowhere:  # what is still buffered is flushed once more when Python ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 0
    return status


def _salvage(path: Path, out: Path, command: str) -> int:
    """Say what was salvaged and what was not, and print what `out` holds then."""
    out = out / path.name if out.is_dir() else out
    try:
        done = salvage(path, out)
    except FileExistsError:
        complain(command, f"{out} exists already: name a new file")
        return 1
    except (LayoutError, OSError) as error:
        complain(command, str(error))
        return 1
    print(f"{done.blocks:,} blocks of {done.entries:,} entries are salvaged, {done.left_bytes:,} bytes are left out")
    if done.fault:
        print(done.fault)
    return _print_all([out], command)


def _print_all(files: Iterable[Path], command: str) -> int:
    """A report a file, several a folder; 0 if all are whole, else 1."""
    status = 0
    for path in files:
        try:
            reports = list(_examine(path))
        except FileNotFoundError:
            complain(command, f"{path} does not exist")
            status = 1
        except (LayoutError, OSError) as error:
            complain(command, str(error))
            status = 1
        else:
            print("\n".join(render(report) for report in reports))
            status = status if all(report.whole for report in reports) else 1
    return status


def _examine(path: Path) -> Iterable[Report]:
    """The reports of one path, whatever lies there."""
    if path.is_dir() and path.name != FILE_NAME:
        return [examine_journal(path)] if _is_journal(path) else examine_folder(path)
    return [_examine_file(path)]


if __name__ == "__main__":
    sys.exit(main())
