"""What `launch` does once it knows what is asked for: everything that needs more than the command line.

In order: read the settings, start the supervisor with its job, wait until all is up, attach as any reader does, look
and judge until the time is over or somebody ends it; then let the rings run dry, compare everything once more, stop,
print. Only the result goes to stdout; progress, table and complaints go to stderr.
"""

import argparse
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from shm.errors import ShardbookError

from . import config, table
from .arguments import WRONG_USE
from .config import Credentials, Settings
from .entry import complain
from .places import check_capture, check_places
from .rules import ConfigError
from .run import POLL_S, RECORDED_SYMBOL, Ending, EngineEnded, Failed, Outcome, RefusedForGood, Run, wait_until_ready
from .screen import Screen
from .simulator.contracts import CONTRACTS
from .simulator.plain import MAX_RATE as MAX_SINGLE_RATE_ENTRIES_PER_S
from .simulator_control import SimulatorGone
from .summary import failures, summarise
from .supervised import TOP, Supervised
from .supervisor.child import plain_environment
from .tables import KEY_VARIABLE, USER_VARIABLE
from .temporary import temporary_folder

LOG_LINES_SHOWN = 20
RATE_ENTRIES_PER_S = 6000.0
SINGLE_RATE_ENTRIES_PER_S = 50.0  # an instrument, with single prints


# ── what is asked for, with all that is read ──────────────────────────────────────────────────────────────


def _only(options: argparse.Namespace) -> list[str] | None:
    """The only symbols there may be; None: all that have a file."""
    if options.symbols is None and options.flow is not None:
        return [RECORDED_SYMBOL]
    symbols: list[str] | None = options.symbols
    return symbols


def _watched(options: argparse.Namespace) -> dict[str, Any] | None:
    """The folder that is followed while the engine runs: only the user's own. Shipped files change with an update."""
    if options.symbols_dir is None:
        return None
    return {"folder": str(options.symbols_dir.resolve()), "symbols": _only(options)}


def _settings(options: argparse.Namespace, default_data: Path | None) -> Settings:
    """All settings, read and checked. Raises ConfigError."""
    symbols = _only(options)
    if options.flow is not None and RECORDED_SYMBOL not in (symbols or ()):
        raise ConfigError(f"--flow is a capture of {RECORDED_SYMBOL}: have it among the --symbols")
    settings = config.load(
        options.config,
        symbols_dir=options.symbols_dir,
        symbols=symbols,
        name=options.name,
        data_dir=options.data.absolute() if options.data else default_data,
        venue=options.venue,
    )
    if settings.venue.name == config.REPLAY:
        raise ConfigError(f"{options.config}: venue.name is 'replay': a journal is played with scripts/replay")
    if settings.venue.name != "simulator" and (given := _of_the_simulator(options)):
        raise ConfigError(
            f"{given} is about the simulator, but the venue is {settings.venue.name}: leave out the one or the other"
        )
    named = [each.symbol for each in settings.symbols]
    if strange := [symbol for symbol in options.quiet if symbol not in named]:
        raise ConfigError(
            f"--quiet {','.join(strange)} is none of the instruments, which are {', '.join(named)}: correct it"
        )
    if options.flow is not None:
        check_capture(options.flow)
    check_places(settings)
    return settings


def _of_the_simulator(options: argparse.Namespace) -> str:
    """An option that was given and without the simulator would do nothing; empty if there is none."""
    named = {
        "--rate": options.rate is not None,
        "--flow": options.flow is not None,
        "--port": options.port != 0,
        "--quiet": bool(options.quiet),
        "--bursts": options.bursts,
        "--single-prints": options.single_prints,
        "--deflate": options.deflate,
        "--token-lifetime": options.token_lifetime is not None,
        "--simulator-only": options.simulator_only,
    }
    return next((name for name, is_given in named.items() if is_given), "")


def _rate(options: argparse.Namespace, settings: Settings) -> float:
    """Depth entries a second over all instruments. Raises ConfigError."""
    instruments = len(settings.symbols)
    if not options.single_prints:
        return float(options.rate or RATE_ENTRIES_PER_S)
    rate = float(options.rate or SINGLE_RATE_ENTRIES_PER_S * instruments)
    if rate > MAX_SINGLE_RATE_ENTRIES_PER_S * instruments:
        raise ConfigError(
            f"--single-prints goes with at most {MAX_SINGLE_RATE_ENTRIES_PER_S:.0f} entries/s an instrument, and"
            f" --rate {rate:,.0f} over {instruments} is more: lower it"
        )
    return rate


def _simulator_job(options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path) -> dict[str, Any]:
    """What the simulator is told. It knows the key by its hash only."""
    named = [one.symbol for one in settings.symbols]
    any_may_come = _watched(options) is not None and _only(options) is None and not options.simulator_only
    return {
        "port": options.port,
        "seed": options.seed,
        "rate_entries_per_s": _rate(options, settings),
        "symbols": named,
        "spare": [symbol for symbol in CONTRACTS if symbol not in named] if any_may_come else [],
        "flow": str(options.flow.resolve()) if options.flow else None,
        "pace": options.pace,
        "crossed": options.crossed,
        "quiet": options.quiet,
        "truth_folder": str(truth),
        "user_name": login.user_name,
        "api_key_sha256": hashlib.sha256(login.api_key.encode()).hexdigest(),
        "prints": "single" if options.single_prints else "lists",
        "bursts": options.bursts,
        "deflate": options.deflate,
    } | ({"token_lifetime_s": options.token_lifetime} if options.token_lifetime else {})


def _login(settings: Settings, options: argparse.Namespace, environ: Mapping[str, str]) -> Credentials:
    """The venue's credentials. The simulator takes what is set, else a key that is made up here. Raises ConfigError."""
    if settings.venue.name != "simulator" or environ.get(KEY_VARIABLE):
        return config.credentials(settings.venue, environ)
    # Whoever connects to a simulator alone has to know its key, and nobody has to know that of an engine's own.
    # project-x-py takes no key of less than ten characters.
    key = "simulator-key" if options.simulator_only else secrets.token_urlsafe(24)
    return Credentials(environ.get(USER_VARIABLE) or "simulator", key)


# ── what is done ──────────────────────────────────────────────────────────────────────────────────────────


def run(
    options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path, ending: Ending
) -> Outcome | None:
    """One engine from start to stop; None if its end was wanted before it was up. Raises Failed."""
    simulated = settings.venue.name == "simulator"
    job = {
        "settings": settings.to_json(),
        "simulator": _simulator_job(options, settings, login, truth) if simulated else None,
        "launch_pid": os.getpid(),
        "watched": _watched(options),
    }
    with Screen(Console(stderr=True), quiet=options.json) as screen:
        engine = Supervised(job, login, os.environ, _log_file(settings))
        try:
            ready = wait_until_ready(engine, ending, screen)
            if ready is None:
                return None
            venue = _venue_words(options, settings)
            going = Run(engine, ready, screen, for_s=options.for_s, venue=venue, ends=options.flow is not None)
            going.look(ending)
            return going.finish(ending)
        except (ShardbookError, SimulatorGone) as error:
            raise Failed(str(error)) from None
        finally:
            for event in engine.stop():
                screen.say(event)


def serve_simulator(
    options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path, ending: Ending, command: str
) -> int:
    """Only the simulator, until Ctrl-C: its address on stdout, who may log in on stderr."""
    simulator = subprocess.Popen(
        [sys.executable, "-m", "engine.simulator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=plain_environment(os.environ),
        cwd=TOP,
        start_new_session=True,
    )
    job = _simulator_job(options, settings, login, truth) | {"supervisor_pid": os.getpid()}
    assert simulator.stdin is not None
    assert simulator.stdout is not None
    with simulator, simulator.stdin as job_pipe:
        job_pipe.write(json.dumps(job).encode())
        job_pipe.close()
        said = json.loads(simulator.stdout.readline() or "{}")
        if "url" in said:
            if not _show(said["url"], command):
                simulator.terminate()
                return 1
            if not os.environ.get(KEY_VARIABLE):
                complain(command, f"log in with {USER_VARIABLE}={login.user_name} {KEY_VARIABLE}={login.api_key}")
        while not ending.wanted and simulator.poll() is None:
            time.sleep(POLL_S)
        simulator.terminate()
    if not ending.wanted:
        complain(command, said.get("message", "the simulator ended by itself"))
    return 0 if ending.wanted else 1


def report(outcome: Outcome, *, as_json: bool, command: str) -> int:
    """Print how it went: the result on stdout, why it is a failure on stderr. The exit status."""
    if as_json:
        made = summarise(outcome.results, seconds=outcome.seconds, offered_entries_per_s=outcome.offered_entries_per_s)
        text = json.dumps(made, indent=1)
    else:
        console = Console()
        with console.capture() as drawn:
            console.print(
                table.draw_result(
                    outcome.results, seconds=outcome.seconds, offered_entries_per_s=outcome.offered_entries_per_s
                )
            )
        text = drawn.get().rstrip("\n")
    shown = _show(text, command)
    found = failures(outcome.results)
    if outcome.trouble:
        found.append(f"no book was ever live: {outcome.trouble}")
    for sentence in found:
        complain(command, sentence)
    return 0 if shown and not found else 1


def _show(text: str, command: str) -> bool:
    """Put a result on stdout; False, and it is said so, if who read that is gone."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:  # what is still buffered is flushed once more when Python ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        complain(command, "nobody reads its standard output any more: the result is not shown")
        return False
    return True


def _venue_words(options: argparse.Namespace, settings: Settings) -> str:
    if settings.venue.name != "simulator":
        return settings.venue.name
    if options.flow is None:
        return f"simulator at {_rate(options, settings):,.0f}/s"
    return f"{options.flow.name[:24]} × {options.pace:g}" if options.pace else f"{options.flow.name[:24]}, unpaced"


def _log_file(settings: Settings) -> Path:
    return settings.data_folder / f"{settings.name}.log"


def _show_log(settings: Settings) -> None:
    """The end of what the processes of the engine have said; its folder may be gone when this is over."""
    try:
        lines = _log_file(settings).read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines[-LOG_LINES_SHOWN:]:
        print(f"  {line}", file=sys.stderr)


def launch(options: argparse.Namespace, command: str) -> int:
    """All of it; the exit status. From here on Ctrl-C is a wish, which is fulfilled in order."""
    ending = Ending()
    with ending.listening(), temporary_folder() as temporary:
        try:
            settings = _settings(options, temporary / "data" if options.for_s else None)
            login = _login(settings, options, os.environ)
            _rate(options, settings)
        except ConfigError as error:
            complain(command, str(error))
            return WRONG_USE
        if options.check:
            symbols = ", ".join(one.symbol for one in settings.symbols)
            good = f"the settings are good: {settings.name} on {settings.venue.name} with {symbols}"
            return 0 if _show(good, command) else 1
        if options.simulator_only:
            return serve_simulator(options, settings, login, temporary / "truth", ending, command)
        try:
            settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            outcome = run(options, settings, login, temporary / "truth", ending)
        except EngineEnded as error:
            _show_log(settings)
            complain(command, str(error))
            return 1
        except Failed as error:
            complain(command, str(error))
            return WRONG_USE if isinstance(error, RefusedForGood) else 1
        except OSError as error:
            where = error.filename or settings.data_folder
            complain(command, f"{where}: {error.strerror}: give a folder of yours with --data")
            return 1
        if outcome is None:
            complain(command, "ended before the engine was up")
            return 1
        return report(outcome, as_json=options.json, command=command)
