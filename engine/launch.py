"""`scripts/launch`: bring the whole engine up, show it, compare it with the truth, and say how it went.

In order: read the settings, start the supervisor with its job, wait until all is up, attach as any reader does, look
and judge until the time is over or somebody ends it; then let the rings run dry, compare everything once more, stop,
print. Only the result goes to stdout; progress, table and complaints go to stderr.
"""

import argparse
import hashlib
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from shm.errors import ShardbookError
from shm.platform_check import refusal

from . import config, table
from .arguments import Arguments
from .config import KEY_VARIABLE, USER_VARIABLE, ConfigError, Credentials, Settings
from .run import POLL_S, RECORDED_SYMBOL, Ending, EngineEnded, Failed, Outcome, Run, wait_until_ready
from .screen import Screen
from .simulator.contracts import CONTRACTS
from .simulator_control import SimulatorGone
from .summary import failures, summarise
from .supervised import TOP, Supervised
from .supervisor.child import plain_environment

DEFAULT_RATE_ENTRIES_PER_S = 6000.0
MAX_RATE_ENTRIES_PER_S = 200_000.0  # what the simulator is made for
LOG_LINES_SHOWN = 20


# ── what was asked for ────────────────────────────────────────────────────────────────────────────────────


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def rate(text: str) -> float:
    value = float(text)
    if not 1 <= value <= MAX_RATE_ENTRIES_PER_S:
        raise argparse.ArgumentTypeError(f"{text} is not a rate from 1 to {MAX_RATE_ENTRIES_PER_S:,.0f}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 (any) to 65535")
    return value


def _symbols(text: str) -> list[str]:
    symbols = [part.strip() for part in text.split(",")]
    if not all(symbols):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as MNQ,MES")
    return symbols


def parser() -> Arguments:
    """The options; --help says everything there is to know about them."""
    made = Arguments(
        prog="scripts/launch",
        description="Bring up the whole engine: feed, one worker process an instrument, books and trades in shared "
        "memory that any process can read (from shm import attach). With no option it runs on the built-in exchange "
        "simulator until Ctrl-C, and compares the live books with the simulator's truth all the time.",
        epilog="Exit status: 0 for a good run, 1 for a failure (one wrong level is one), 2 for wrong use. "
        f"A real venue's credentials come from the environment only: {USER_VARIABLE} and {KEY_VARIABLE}.",
    )
    made.add_argument("--for", dest="for_s", type=_positive, metavar="SECONDS", help="stop after so long")
    made.add_argument("--json", action="store_true", help="print the summary as one JSON object on stdout")
    made.add_argument("--check", action="store_true", help="only read and validate the settings")
    engine = made.add_argument_group("the engine")
    engine.add_argument("--name", default="default", help="what readers attach to (default: default)")
    engine.add_argument("--venue", choices=("simulator", "projectx"), help="who to connect to (default: simulator)")
    engine.add_argument("--symbols", type=_symbols, metavar="A,B", help="only these instruments")
    engine.add_argument(
        "--symbols-dir",
        type=Path,
        metavar="DIR",
        help="symbol files in place of the shipped ones; followed while the engine runs: what is added, changed or "
        "removed there takes effect at once (with --symbols: of those that it names)",
    )
    engine.add_argument("--config", type=Path, metavar="FILE", help="settings of venue, http and feed, in TOML")
    engine.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where data is kept (default: shardbook under the XDG data home; with --for a temporary folder)",
    )
    simulator = made.add_argument_group("the simulator")
    simulator.add_argument(
        "--rate",
        type=rate,
        default=DEFAULT_RATE_ENTRIES_PER_S,
        metavar="ENTRIES_PER_S",
        help="depth entries a second over all instruments (default: 6000)",
    )
    simulator.add_argument("--seed", type=int, default=7, help="the same seed gives the same flow (default: 7)")
    simulator.add_argument(
        "--flow", type=Path, metavar="FILE", help="a recorded DBN capture for ES, from its opening on"
    )
    simulator.add_argument(
        "--pace", type=_positive, metavar="N", help="N times as fast as recorded (default: no limit)"
    )
    simulator.add_argument("--crossed", action="store_true", help="the capture's pre-open too, where books are crossed")
    simulator.add_argument("--port", type=_port, default=0, help="the simulator's port on 127.0.0.1 (default: any)")
    simulator.add_argument("--simulator-only", action="store_true", help="only the simulator; its address on stdout")
    return made


def _only(options: argparse.Namespace) -> list[str] | None:
    """The only symbols there may be; None: all that have a file."""
    if options.symbols is None and options.flow is not None:
        return [RECORDED_SYMBOL]
    symbols: list[str] | None = options.symbols
    return symbols


def _settings(options: argparse.Namespace, default_data: Path | None) -> Settings:
    """All settings, read and checked. Raises ConfigError."""
    return config.load(
        options.config,
        symbols_dir=options.symbols_dir,
        symbols=_only(options),
        name=options.name,
        data_dir=options.data.absolute() if options.data else default_data,
        venue=options.venue,
    )


def _check_use(options: argparse.Namespace, arguments: Arguments) -> None:
    """What options cannot stand together; ends with status 2."""
    if options.flow is None and (options.pace is not None or options.crossed):
        arguments.error("--pace and --crossed are about a recorded flow: name one with --flow FILE")
    if options.flow is not None and not options.flow.is_file():
        arguments.error(f"--flow {options.flow}: there is no such file")
    if options.flow is not None and options.symbols is not None and RECORDED_SYMBOL not in options.symbols:
        arguments.error(f"--flow is a capture of {RECORDED_SYMBOL}: have it among the --symbols")


def _simulator_job(options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path) -> dict[str, Any]:
    """What the simulator is told. It knows the key by its hash only."""
    named = [one.symbol for one in settings.symbols]
    any_may_come = options.symbols_dir is not None and _only(options) is None
    return {
        "port": options.port,
        "seed": options.seed,
        "rate_entries_per_s": options.rate,
        "symbols": named,
        "spare": [symbol for symbol in CONTRACTS if symbol not in named] if any_may_come else [],
        "flow": str(options.flow.resolve()) if options.flow else None,
        "pace": options.pace,
        "crossed": options.crossed,
        "truth_folder": str(truth),
        "user_name": login.user_name,
        "api_key_sha256": hashlib.sha256(login.api_key.encode()).hexdigest(),
    }


def _watched(options: argparse.Namespace) -> dict[str, Any] | None:
    """The folder that is followed while the engine runs: only the user's own. Shipped files change with an update."""
    if options.symbols_dir is None:
        return None
    return {"folder": str(options.symbols_dir.resolve()), "symbols": _only(options)}


def _login(settings: Settings, options: argparse.Namespace, environ: Mapping[str, str]) -> Credentials:
    """The venue's credentials. The simulator takes what is set, else a key that is made up here. Raises ConfigError."""
    if settings.venue.name != "simulator" or environ.get(KEY_VARIABLE):
        return config.credentials(settings.venue, environ)
    # Whoever connects to a simulator alone has to know its key, and nobody has to know that of an engine's own.
    key = "simulator" if options.simulator_only else secrets.token_urlsafe(24)
    return Credentials(environ.get(USER_VARIABLE) or "simulator", key)


# ── what is done ──────────────────────────────────────────────────────────────────────────────────────────


def run(options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path) -> Outcome | None:
    """One engine from start to stop; None if its end was wanted before it was up. Raises Failed."""
    simulated = settings.venue.name == "simulator"
    job = {
        "settings": settings.to_json(),
        "simulator": _simulator_job(options, settings, login, truth) if simulated else None,
        "launch_pid": os.getpid(),
        "watched": _watched(options),
    }
    ending = Ending()
    with ending.listening(), Screen(Console(stderr=True), quiet=options.json) as screen:
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


def serve_simulator(options: argparse.Namespace, settings: Settings, login: Credentials, truth: Path) -> int:
    """Only the simulator, until Ctrl-C: its address on stdout, who may log in on stderr."""
    ending = Ending()
    with ending.listening():
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
                if not _show(said["url"]):
                    simulator.terminate()
                    return 1
                if not os.environ.get(KEY_VARIABLE):
                    _complain(f"log in with {USER_VARIABLE}={login.user_name} {KEY_VARIABLE}={login.api_key}")
            while not ending.wanted and simulator.poll() is None:
                time.sleep(POLL_S)
            simulator.terminate()
        if not ending.wanted:
            _complain(said.get("message", "the simulator ended by itself"))
        return 0 if ending.wanted else 1


def report(outcome: Outcome, *, as_json: bool) -> int:
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
    shown = _show(text)
    found = failures(outcome.results)
    for sentence in found:
        _complain(sentence)
    return 0 if shown and not found else 1


def _show(text: str) -> bool:
    """Put a result on stdout; False, and it is said so, if who read that is gone."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:  # what is still buffered is flushed once more when Python ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        _complain("nobody reads its standard output any more: the result is not shown")
        return False
    return True


def _venue_words(options: argparse.Namespace, settings: Settings) -> str:
    if settings.venue.name != "simulator":
        return settings.venue.name
    if options.flow is None:
        return f"simulator at {options.rate:,.0f}/s"
    return f"{options.flow.name[:24]} × {options.pace:g}" if options.pace else f"{options.flow.name[:24]}, unpaced"


def _log_file(settings: Settings) -> Path:
    return settings.data_folder / f"{settings.name}.log"


def _complain(sentence: str) -> None:
    print(f"scripts/launch: {sentence}", file=sys.stderr)


def _show_log(settings: Settings) -> None:
    """The end of what the processes of the engine have said; its folder may be gone when this is over."""
    try:
        lines = _log_file(settings).read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines[-LOG_LINES_SHOWN:]:
        print(f"  {line}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Status 0, 1 for a failure, 2 for wrong use or settings that cannot be used."""
    arguments = parser()
    options = arguments.parse_args(argv)
    _check_use(options, arguments)
    if sentence := refusal(platform.system(), platform.machine(), sys.version_info[:2]):
        _complain(sentence)
        return 1
    with tempfile.TemporaryDirectory(prefix="shardbook-") as folder:
        temporary = Path(folder)
        try:
            settings = _settings(options, temporary / "data" if options.for_s else None)
            login = _login(settings, options, os.environ)
        except ConfigError as error:
            _complain(str(error))
            return 2
        if options.check:
            symbols = ", ".join(one.symbol for one in settings.symbols)
            good = f"the settings are good: {settings.name} on {settings.venue.name} with {symbols}"
            return 0 if _show(good) else 1
        if options.simulator_only:
            return serve_simulator(options, settings, login, temporary / "truth")
        try:
            settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            outcome = run(options, settings, login, temporary / "truth")
        except EngineEnded as error:
            _show_log(settings)
            _complain(str(error))
            return 1
        except Failed as error:
            _complain(str(error))
            return 1
        except OSError as error:
            _complain(f"{error.filename or settings.data_folder}: {error.strerror}: give a folder of yours with --data")
            return 1
    if outcome is None:
        _complain("ended before the engine was up")
        return 1
    return report(outcome, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
