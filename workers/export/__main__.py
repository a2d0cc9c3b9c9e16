"""`python -m workers.export`: one instrument of a journal, run once more and written out.

The job is one JSON object on stdin: {"files", "symbol", "start_wall_ns", "end_wall_ns", "form", "folder"}; the times
be null, `form` is "parquet" or "hftbacktest". On stdout it says how far it is, one JSON line each: {"file", "done",
"planned"} in blocks of that file, and at the end {"wrote": {name: rows}, "missing": [places, ns]}, where records are
missing and for how long in all, or {"failed": sentence}.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from shm.errors import Hole, ShardbookError

from .hftbacktest import Events
from .moments import Moment, moments
from .tables import Tables

MAX_JOB_BYTES: Final = 1 << 20
_TELL_EACH_S: Final = 0.1


class Form(Protocol):
    """Where moments are written."""

    def add(self, moment: Moment) -> None: ...
    def finish(self) -> dict[str, int]: ...
    def discard(self) -> None: ...


FORMS: Final[dict[str, Callable[[Path, str], Form]]] = {"parquet": Tables, "hftbacktest": Events}


class Exported(NamedTuple):
    rows: dict[str, int]  # of each kind
    places: int  # where records are missing
    missing_ns: int  # in all of them, by the times of the records before and behind


def _say(said: Mapping[str, object]) -> None:
    print(json.dumps(said), flush=True)


def export(job: Mapping[str, Any]) -> Exported:
    """Write it all. Raises LayoutError, JournalDamaged, OSError; then nothing is left."""
    files = [Path(name) for name in job["files"]]
    form: Form = FORMS[job["form"]](Path(job["folder"]), job["symbol"])
    told_s = 0.0
    places = missing_ns = 0

    def on_block(done: int, planned: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EACH_S:
            told_s = time.monotonic()
            _say({"done": done, "planned": planned})

    try:
        for found in moments(files, job["symbol"], job["start_wall_ns"], job["end_wall_ns"], on_block):
            if isinstance(found, Hole):
                places += 1
                missing_ns += found.to_ns - found.from_ns
            else:
                form.add(found)
        return Exported(form.finish(), places, missing_ns)
    except BaseException:
        form.discard()
        raise


def main() -> int:
    """The exit status."""
    job = json.loads(sys.stdin.buffer.read(MAX_JOB_BYTES))
    try:
        done = export(job)
    except ShardbookError as error:
        _say({"failed": str(error)})
        return 1
    except OSError as error:
        _say({"failed": f"{error.filename or job['folder']}: {error.strerror}"})
        return 1
    _say({"wrote": done.rows, "missing": [done.places, done.missing_ns]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
