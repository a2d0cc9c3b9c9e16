"""The number of this generation: one more than the last that used this data folder, whatever became of that one.

Ring sequences of generation g start at g · 2^40, so they never restart as long as this number grows. It is on disk
before the first segment of the generation exists.
"""

import os
from pathlib import Path

from shm.segment import MAX_GENERATION

from .. import durable
from .errors import CannotStart

FILE_NAME = "generation"
_MAX_FILE_BYTES = 32


def take_generation(data_folder: Path) -> int:
    """The next generation of `data_folder`, which is made if there is none; kept through a power cut.

    Raises CannotStart if the folder cannot be written or the number in it is damaged: to guess could give
    sequences that were used before.
    """
    path = data_folder / FILE_NAME
    try:
        data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        generation = _last(path) + 1
        building = data_folder / f"{FILE_NAME}.tmp"
        with building.open("wb") as file:
            file.write(b"%d\n" % generation)
            file.flush()
            os.fsync(file.fileno())
        building.rename(path)
        durable.sync(data_folder)
    except OSError as error:
        raise CannotStart(f"{path} cannot be kept ({error.strerror}): give a folder of yours with --data") from None
    return generation


def _last(path: Path) -> int:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return 0
    digits = text.strip()
    if not digits.isdigit() or len(text) > _MAX_FILE_BYTES or not 1 <= int(digits) < MAX_GENERATION - 1:
        raise CannotStart(
            f"{path} does not hold a generation number: write one into it that is above all that were used,"
            " or give another folder with --data"
        )
    return int(digits)
