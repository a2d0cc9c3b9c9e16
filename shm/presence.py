"""Is the engine there, and which generation is the present one? What a reader asks when its data is old.

The registry file is replaced by rename, so its inode and time say whether it has to be read again. The engine
lives if the supervisor's life lock is held and the process that the registry names is the one that it named.
"""

import os
from pathlib import Path

from . import registry, segment
from .errors import NoEngine, WriterGone
from .layout import Kind
from .life import is_held, start_ticks
from .registry import Registry
from .segment import Segment

# How long a reader waits for the next generation before it says that there is none. A start takes two seconds.
PATIENCE_NS = 10_000_000_000

CLOSED = "this market is closed: attach again"

_ABSENT = (FileNotFoundError, NotADirectoryError)


class Presence:
    """What is known of one engine name. Shared by all handles of a Market; it holds no file open."""

    __slots__ = ("_closed", "_signature", "folder", "gone_since_ns", "name", "registry")

    def __init__(self, name: str, root: Path | None) -> None:
        """Raises NoEngine, LayoutError, and ValueError for a name that is none."""
        self.name = name
        self.folder = registry.engine_folder(name, root)
        self._closed = False
        self.gone_since_ns: int | None = None  # CLOCK_BOOTTIME at which the engine was first found to be gone
        try:
            self._signature = self._stat()
            self.registry = registry.read(self.folder)
        except _ABSENT:
            raise self._no_engine() from None
        if not self._lives(self.registry):
            raise self._no_engine()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the engine carried at the last look."""
        return tuple(listed.symbol for listed in self.registry.instruments)

    def attach(self, file_name: str, kind: Kind) -> Segment:
        """Map a segment of the generation that was found at the last look.

        Raises LayoutError, and FileNotFoundError if that generation ended just now.
        """
        generation = self.registry.generation
        path = registry.generation_folder(self.folder, generation) / file_name
        return segment.attach(path, kind, generation=generation)

    def close(self) -> None:
        """From now on all reads of the market end in `require_open`."""
        self._closed = True

    def require_open(self) -> None:
        """Raise ValueError if the market was closed."""
        if self._closed:
            raise ValueError(CLOSED)

    def look(self, now_ns: int) -> None:
        """Read the registry again if it was replaced, and note whether its engine lives.

        A registry without a living engine changes nothing but `gone_since_ns`: the old mapping stays in use.
        Raises LayoutError if what is there cannot be read by this program, ValueError for a closed market.
        """
        self.require_open()
        try:
            signature = self._stat()
            found = self.registry if signature == self._signature else registry.read(self.folder)
        except _ABSENT:
            lives = False
        else:
            lives = self._lives(found)
            if lives:
                self.registry = found
                self._signature = signature
        if lives:
            self.gone_since_ns = None
        elif self.gone_since_ns is None:
            self.gone_since_ns = now_ns

    def require(self, now_ns: int) -> None:
        """Raise WriterGone once the engine has been gone for longer than a new one would need to start."""
        if self.gone_since_ns is not None and now_ns - self.gone_since_ns > PATIENCE_NS:
            raise WriterGone(
                f"the engine {self.name!r} has ended and no other has taken its place for {PATIENCE_NS // 10**9} s;"
                " start one with scripts/launch (shardbook launch), or attach again later"
            )

    def _stat(self) -> tuple[int, int]:
        status = os.stat(self.folder / registry.FILE_NAME, follow_symlinks=False)
        return status.st_ino, status.st_mtime_ns

    def _lives(self, found: Registry) -> bool:
        held = is_held(self.folder / "supervisor.lock")
        return held and start_ticks(found.supervisor_pid) == found.supervisor_start_ticks

    def _no_engine(self) -> NoEngine:
        return NoEngine(
            f"no engine runs under the name {self.name!r} (looked in {self.folder}):"
            " start one with scripts/launch (shardbook launch)"
        )
