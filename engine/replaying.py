"""What `replay` does once it knows what is asked for: look through the journal, start an engine that plays it, show how
far that is, and stop it in order.

The engine is the one of `launch`, with a player in the place of the process that speaks with a venue. Its data folder
is its own: bars of a replay are never put among those of the days that are played.
"""

import argparse
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shm import registry, segment
from shm.errors import JournalDamaged, LayoutError, ShardbookError
from shm.journal import JournalFile, files_of, records
from shm.layout import GENERATION_SHIFT, KEEPER_WORDS, Kind
from shm.quarantine import set_aside

from . import config
from .arguments import LAST_NS, WRONG_USE, time_text
from .config import Settings
from .entry import complain
from .page import Page
from .places import check_places
from .replay_digest import Ended, Unfinished, digest
from .replayer.job import Wanted
from .replayer.stretches import Content, survey
from .rules import ConfigError
from .run import Ending, EngineEnded, Failed, RefusedForGood, failure, wait_until_ready
from .screen import Screen
from .supervised import Supervised
from .supervisor.child import plain_environment
from .supervisor.generation import FILE_NAME
from .temporary import temporary_folder

POLL_S = 0.1
LOG_LINES_SHOWN = 20
MOST_NAMED = 6  # instruments in a line; of more it says how many


def _settings(options: argparse.Namespace, content: Content, data: Path) -> Settings:
    """All settings, read and checked. Raises ConfigError."""
    if content.first_wall_ns is None or not content.symbols:
        raise ConfigError("the journal has no records: name another one")
    symbols = options.symbols or content.symbols
    if strange := [symbol for symbol in symbols if symbol not in content.symbols]:
        raise ConfigError(f"--symbols {','.join(strange)}: the journal has {', '.join(content.symbols)}: correct it")
    settings = config.load(
        symbols_dir=options.symbols_dir, symbols=symbols, name=options.name, data_dir=data, venue=config.REPLAY
    )
    check_places(settings)
    return replace(
        settings,
        symbols=tuple(_as_recorded(each, content) for each in settings.symbols),
        journal=replace(settings.journal, record=False),
    )


def _as_recorded(settings: config.SymbolSettings, content: Content) -> config.SymbolSettings:
    """With a ring that takes what the recorded one took, and nothing asked of a venue that is not there."""
    capacities = [lane.capacity >> 20 for lane in content.lanes if lane.symbol == settings.symbol]
    return replace(settings, ring_mib=max(settings.ring_mib, *capacities), history_bars=0)


def _check_times(options: argparse.Namespace, symbols: Collection[str], files: list[Path]) -> None:
    """There is something to play in the time that is asked for. Raises ConfigError; LayoutError, OSError pass.

    Raises Failed if these instruments have no record in it: a digest over nothing looks as good as any.
    """
    start_ns, end_ns = options.from_wall_ns, options.to_wall_ns
    if None not in (start_ns, end_ns) and start_ns >= end_ns:
        raise ConfigError(f"--from {time_text(start_ns)} is not before --to {time_text(end_ns)}: turn them around")
    for path in files:
        with JournalFile(path) as file:
            if next(records([file], start_ns, end_ns, symbols), None) is not None:
                return
    raise Failed(f"nothing of {', '.join(symbols)} is in that time: scripts/inspect says what there is")


def _data_folder(data: Path | None, temporary: Path, files: list[Path]) -> Path:
    """A data folder that is nobody's yet, and need not exist. Raises ConfigError; OSError passes."""
    folder = data.absolute() if data else temporary / "data"
    if any(folder.resolve() in file.resolve().parents for file in files):
        raise ConfigError(f"--data {data}: the journal lies in it: name an empty folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--data {data}: is not empty, and bars of a replay are not put among others: name another")
    return folder


def _begin(folder: Path, content: Content) -> None:
    """Make the data folder, one in which all that was recorded is of generations before: a file of bars holds recorded
    sequences, and its worker takes none for whole that is of a generation still to come."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / FILE_NAME).write_text(f"{max(lane.generation for lane in content.lanes)}\n")


def _left_out(files: list[Path], content: Content) -> dict[str, tuple[int, ...]]:
    """By symbol what live workers set aside of what is played; OSError passes."""
    generations = {(lane.symbol, lane.generation) for lane in content.lanes}
    return {
        symbol: tuple(each for each in sequences if (symbol, each >> GENERATION_SHIFT) in generations)
        for symbol, sequences in set_aside(files).items()
    }


class Notices(Screen):
    """What is said of an engine, and with it what a replay goes by, which may be said before the engine is up: that
    all of a short journal is played, and that a process is given up without which nothing comes to its end.

    Not to be entered: the bar is drawn in its place, and what is said goes above that.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, quiet=True)
        self.is_played = False
        self.missing: dict[str, int] = {}  # by symbol the places at which what was played lacks records
        self.given_up = ""  # which, and why

    def say(self, event: Mapping[str, Any]) -> None:
        """One event of the supervisor's."""
        match event:
            case {"event": "said", "line": {"event": "played", "missing": dict(missing)}}:
                self.is_played, self.missing = True, missing
            case {"event": "parked", "why": why, "symbols": [symbol, *_]}:
                self.given_up = f"the worker of {symbol} {why}"
            case {"event": "parked", "role": "keeper", "why": why}:
                self.given_up = f"the keeper {why}, and nobody else makes room for bars"
        super().say(event)


class Replay:
    """A running replay, watched until it is to end."""

    def __init__(
        self, engine: Supervised, ready: dict[str, Any], settings: Settings, content: Content, notices: Notices
    ) -> None:
        here = registry.generation_folder(Path(ready["folder"]), ready["generation"])
        self._engine = engine
        self._name = settings.name
        self._notices = notices
        self._folder = Path(ready["folder"])
        self._content = content
        self.ended = [Ended(here, each) for each in settings.symbols]
        self._ends: list[int] = []  # of their rings, once all is played
        self._keeper = Page(segment.attach(here / "keeper", Kind.KEEPER).array("words"), KEEPER_WORDS)
        self._disk_errors = 0  # of the keeper's, that were told
        self._data_folder = settings.data_folder

    def watch(self, options: argparse.Namespace, ending: Ending, console: Console) -> None:
        """Until the end is wanted; with --digest until all is played, and all workers have come to the end of that.

        Raises Failed if the engine fails, and if it cannot come to the end.
        """
        first_ns = max(self._content.first_wall_ns or 0, options.from_wall_ns or 0)
        last_ns = min(self._content.last_wall_ns or 0, LAST_NS if options.to_wall_ns is None else options.to_wall_ns)
        self._notices.note(self._heading(options.speed, first_ns, last_ns))
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("playing", total=(total_ns := max(1, last_ns - first_ns)))
            while not ending.wanted and not (self._notices.is_played and self._all_have_come()):
                self._listen()
                reached_ns = min(each.wall_ns for each in self.ended)
                progress.update(task, completed=max(0, min(reached_ns, last_ns) - first_ns))
            if not ending.wanted:
                progress.update(task, description="played", completed=total_ns)
        if not ending.wanted:
            self._tell_of_the_end(stays=not options.digest)
        while not ending.wanted and not options.digest:
            self._listen()

    def _heading(self, speed: float | None, first_ns: int, last_ns: int) -> str:
        """What is played, and who can read it: a line."""
        named = [each.settings.symbol for each in self.ended]
        which = ", ".join(named) if len(named) <= MOST_NAMED else f"{len(named)} instruments"
        begin, end = time_text(first_ns), time_text(last_ns)
        end = end.removeprefix(begin[: len("2026-11-22 ")])
        pace = "max" if speed is None else f"{speed:,g} ×"
        return f'attach("{self._name}"): {which}, {begin} to {end} UTC, at {pace}'

    def _tell_of_the_end(self, *, stays: bool) -> None:
        if places := [f"of {symbol} {_places(count)}" for symbol, count in sorted(self._notices.missing.items())]:
            self._notices.note(f"records are missing, {', '.join(places)}: scripts/inspect says where")
        if stays:
            self._notices.note(f'all is played: attach("{self._name}") reads it, Ctrl-C ends it')

    def _listen(self) -> None:
        for event in self._engine.events(POLL_S):
            self._notices.say(event)
            if event["event"] == "failed":
                raise failure(event)
        if not self._engine.running:
            raise EngineEnded("the engine ended by itself; the end of its log is above")
        if self._notices.given_up:
            raise Failed(self._notices.given_up)
        if (errors := self._keeper.read("disk_errors")) > self._disk_errors:
            where = f"the disk of {self._data_folder}"
            self._notices.note(f"{where} refused what the keeper wrote, and the replay waits for it: make room there")
            self._disk_errors = errors

    def _all_have_come(self) -> bool:
        """Every worker lives and has done what was played; what comes after it says that time goes on, and no more."""
        self._ends = self._ends or [each.played for each in self.ended]
        if not all(listed.pid for listed in registry.read(self._folder).instruments):
            return False
        return all(each.released >= end for each, end in zip(self.ended, self._ends, strict=True))


def _places(count: int) -> str:
    return "at 1 place" if count == 1 else f"at {count:,} places"


def _show_log(log: Path) -> None:
    """The end of what the processes of the engine have said: what ended one of them is there and nowhere else."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines[-LOG_LINES_SHOWN:]:
        print(f"  {line}", file=sys.stderr)


def run(options: argparse.Namespace, settings: Settings, content: Content, ending: Ending, log: Path) -> str:
    """From start to stop; the digest if it was asked for and all was played. Raises Failed, Unfinished."""
    places = tuple(place.resolve() for place in options.places)
    wanted = Wanted(places, options.speed, options.from_wall_ns, options.to_wall_ns)
    job = {
        "settings": settings.to_json(),
        "simulator": None,
        "replay": wanted.to_json(),
        "set_aside": _left_out(files_of(places), content),
        "launch_pid": os.getpid(),
    }
    console = Console(stderr=True)
    notices = Notices(console)
    engine = Supervised(job, None, plain_environment(os.environ), log)
    try:
        ready = wait_until_ready(engine, ending, notices)
        if ready is None:
            return ""
        playing = Replay(engine, ready, settings, content, notices)
        playing.watch(options, ending, console)
    except ShardbookError as error:
        raise Failed(str(error)) from None
    finally:
        for event in engine.stop():
            notices.say(event)
    return digest(playing.ended, settings.data_folder) if options.digest and not ending.wanted else ""


def replay(options: argparse.Namespace, command: str) -> int:
    """All of it; the exit status. From here on Ctrl-C is a wish, which is fulfilled in order."""
    ending = Ending()
    with ending.listening(), temporary_folder() as temporary:
        try:
            files = files_of(options.places)
            content = survey(files)
            settings = _settings(options, content, _data_folder(options.data, temporary, files))
            _check_times(options, [each.symbol for each in settings.symbols], files)
            _begin(settings.data_folder, content)
        except (ConfigError, LayoutError, Failed) as error:
            complain(command, str(error))
            return 1 if isinstance(error, JournalDamaged | Failed) else WRONG_USE
        except OSError as error:
            complain(command, f"{error.filename}: {error.strerror}")
            return WRONG_USE
        try:
            found = run(options, settings, content, ending, temporary / "log")
        except (Failed, Unfinished, ShardbookError) as error:
            if isinstance(error, Failed) and not isinstance(error, RefusedForGood):
                _show_log(temporary / "log")
            complain(command, str(error))
            return 1
        if options.digest and not found:
            complain(command, "ended before all was played: there is no digest")
            return 1
        if found:
            print(found, flush=True)
        return 0
