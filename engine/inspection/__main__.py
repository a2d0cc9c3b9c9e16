"""`scripts/inspect`: what lies in a segment, bar file or journal, printed, and whether all is as it must be.

`python -m engine.inspection FILE...` or `--name NAME`.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from shm import registry
from shm.errors import LayoutError, NoEngine, ShardbookError
from shm.journal import files_of
from shm.life import start_ticks

from ..arguments import Arguments
from ..entry import complain
from ..recorder.salvage import salvage
from .paths import examine
from .report import render


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
        help="write what lies before the first damaged byte of FILE, a file of a journal, to this new file; of a"
        " folder, what does so in each of its files, to this folder",
    )
    options = parser.parse_args(argv)
    if bool(options.files) == (options.name is not None):
        parser.error("name either FILE... or --name NAME")
    if options.salvage is not None:
        if len(options.files) != 1:
            parser.error("--salvage takes one FILE")
        return _salvage_all(options.files[0], options.salvage, command)
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


def _salvage_all(place: Path, out: Path, command: str) -> int:
    """Salvage a file, or each of a folder's, and print what `out` holds then; 0 if there was something in each, and
    all of that is whole."""
    try:
        files = files_of([place])
        if place.is_dir():
            out.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError as error:
        complain(command, f"{error.filename} does not exist")
        return 1
    except (LayoutError, OSError) as error:
        complain(command, str(error))
        return 1
    into = [out / path.name if out.is_dir() else out for path in files]
    done = [_salvage(path, to, command) for path, to in zip(files, into, strict=True)]
    if not any(done):
        return 1
    return max(_print_all([out] if place.is_dir() else into, command), int(not all(done)))


def _salvage(path: Path, out: Path, command: str) -> bool:
    """Say what was salvaged of one file and what was not; False if there is no `out` then."""
    try:
        done = salvage(path, out)
    except FileExistsError:
        complain(command, f"{out} exists already: name a new file")
        return False
    except (LayoutError, OSError) as error:
        complain(command, str(error))
        return False
    print(
        f"{path.name}: {done.blocks:,} blocks of {done.entries:,} entries are salvaged, {done.left_bytes:,} bytes are"
        " left out" + (f": {done.fault}" if done.fault else "")
    )
    return True


def _print_all(files: Iterable[Path], command: str) -> int:
    """A report a file, several a folder; 0 if all are whole, else 1."""
    status = 0
    for path in files:
        try:
            reports = list(examine(path))
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


if __name__ == "__main__":
    sys.exit(main())
