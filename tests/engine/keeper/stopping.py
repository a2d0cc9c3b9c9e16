"""Disks that end a keeper's life after any step, and that forget what was not synced when the power goes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.keeper.disk import Disk

PAGE_BYTES = 4096


class Stopped(Exception):
    """The process was killed here."""


class StoppingDisk(Disk):
    """The real one, for `steps` steps; the step after them is not done (a write only in part), nor any later one."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Stopped

    def write(self, path: Path, data: bytes) -> None:
        if self.steps == 0:
            super().write(path, data[: len(data) // 3])
        self._step()
        super().write(path, data)

    def sync(self, path: Path) -> None:
        self._step()
        super().sync(path)

    def rename(self, path: Path, to: Path) -> None:
        self._step()
        super().rename(path, to)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)


@dataclass(slots=True)
class _File:
    data: bytes
    synced: bool = False


@dataclass(slots=True)
class LosingDisk(Disk):
    """The real one, and beside it a model of what is on the platter: bytes in memory.

    A file's unsynced pages may each be there or be zeros, and its end may be missing. A folder's unsynced changes of
    names may each have come through or not. `lose` writes one such outcome into an empty folder.
    """

    on_step: Callable[[], None] = lambda: None
    _names: dict[str, _File] = field(default_factory=dict)  # what programs see
    _kept: dict[str, _File] = field(default_factory=dict)  # names that were synced
    _pending: list[str] = field(default_factory=list)  # names that changed since

    def write(self, path: Path, data: bytes) -> None:
        Disk.write(self, path, data)
        self._names[path.name] = _File(data)
        self._changed(path.name)

    def sync(self, path: Path) -> None:
        Disk.sync(self, path)
        if path.is_dir():
            self._kept = dict(self._names)
            self._pending.clear()
        else:
            self._names[path.name].synced = True
        self.on_step()

    def rename(self, path: Path, to: Path) -> None:
        Disk.rename(self, path, to)
        self._names[to.name] = self._names.pop(path.name)
        self._changed(path.name, to.name)

    def unlink(self, path: Path) -> None:
        Disk.unlink(self, path)
        del self._names[path.name]
        self._changed(path.name)

    def _changed(self, *names: str) -> None:
        self._pending += names
        self.on_step()

    def lose(self, folder: Path, chance: random.Random) -> None:
        """Fill `folder` with what the power loss leaves: `chance` says which of the unsynced is there."""
        left = dict(self._kept)
        for name in self._pending:
            if chance.random() < 0.5:
                if name in self._names:
                    left[name] = self._names[name]
                else:
                    left.pop(name, None)
        for name, file in left.items():
            data = bytearray(file.data)
            if not file.synced:
                for at in range(0, len(data), PAGE_BYTES):
                    if chance.random() < 0.5:
                        end = min(at + PAGE_BYTES, len(data))
                        data[at:end] = bytes(end - at)
                if chance.random() < 0.5:
                    del data[chance.randrange(len(data) + 1) :]
            (folder / name).write_bytes(data)
