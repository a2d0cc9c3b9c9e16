"""A process that seals, compacts and sweeps, one byte on stdout before each step, until it is killed or all is sealed.

python -m tests.engine.keeper.sealer FOLDER
"""

import sys
import time
from pathlib import Path

from engine.keeper.disk import Disk
from engine.keeper.retention import GRACE_NS
from engine.keeper.store import Store
from tests import made_bars

BARS = 4000
SEALED_AT_ONCE = 10
LATER_NS = made_bars.BEGIN_NS + 4000 * made_bars.DAY_NS


class TellingDisk(Disk):
    """The real one, and whoever reads stdout knows how far it is."""

    def write(self, path: Path, data: bytes) -> None:
        _tell()
        super().write(path, data)

    def sync(self, path: Path) -> None:
        _tell()
        super().sync(path)

    def rename(self, path: Path, to: Path) -> None:
        _tell()
        super().rename(path, to)

    def unlink(self, path: Path) -> None:
        _tell()
        super().unlink(path)


def rows() -> made_bars.Rows:
    """The bars that it seals, the same in every life."""
    return made_bars.plain(BARS, step_ns=3600 * made_bars.SECOND_NS)


def _tell() -> None:
    sys.stdout.buffer.write(b".")
    sys.stdout.buffer.flush()


def main() -> None:
    store = Store(Path(sys.argv[1]), made_bars.subject("1hr"), TellingDisk())
    bars = rows()
    while store.sealed_through() < BARS:
        for _ in range(6):
            through = store.sealed_through()
            store.seal(bars[through : through + SEALED_AT_ONCE], LATER_NS)
        store.compact(LATER_NS)
        store.sweep(time.time_ns() + 2 * GRACE_NS)


if __name__ == "__main__":
    main()
