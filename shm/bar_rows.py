"""The checksum of bar rows, of what a timeframe is, and of what a file of them says of itself: a sum of words, each
times an odd number of its own; and what a row does not tell.

It tells a row that was torn, by a kill or by a power cut, from a whole one; it is no guard against somebody who means
harm. Chosen because a kernel does it in a few nanoseconds and numpy does many rows at once. All of it wraps at 64 bits.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .layout import BAR, FORMING, SESSIONS, TIMEFRAME, Rows, Words
from .timeframe import checked

SEED: Final = 0x5EED_BA25_0000_0001  # so that a row of zeros is no row


def _odd_numbers(count: int) -> tuple[int, ...]:
    """The splitmix64 sequence from SEED, each made odd, as signed numbers."""
    made = []
    for n in range(1, count + 1):
        value = (SEED + n * 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        made.append(((value ^ (value >> 31)) | 1) - 2**63)
    return tuple(number | 1 for number in made)


MULTIPLIERS: Final = _odd_numbers(64)  # word n times number n mod 64
BAR_WORDS: Final = BAR.itemsize // 8
FORMING_WORDS: Final = FORMING.itemsize // 8
_FACTORS = np.array(MULTIPLIERS, np.int64)


def checksums(words: Words) -> Words:
    """Of each row of a table of words."""
    factors = np.resize(_FACTORS, words.shape[1])
    sums: Words = (words * factors).sum(axis=1, dtype=np.int64) + np.int64(SEED)
    return sums


def whole_bars(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which BAR rows have the checksum that fits them."""
    words = rows.view(np.int64).reshape(-1, BAR_WORDS)
    right: np.ndarray[tuple[int], np.dtype[np.bool_]] = checksums(words[:, :-1]) == words[:, -1]
    return right


def untold(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which BAR rows have a volume and say nothing of its trades: 0 trades beside it. The venue's bars are such."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (rows["trades"] == 0) & (rows["volume"] != 0)
    return found


def unpriced(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which BAR rows have no prices: bars of a period without a trade that are only marked. All four prices are 0."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (rows["trades"] == 0) & (rows["volume"] == 0)
    for name in ("open", "high", "low", "close"):
        found &= rows[name] == 0
    return found


def _is_whole(row: Rows, words: int) -> bool:
    """Of one row that begins with `begin` and ends with checksum and end."""
    seen = row.reshape(1).view(np.int64).reshape(1, words)
    return bool(seen[0, 0] == seen[0, -1] and checksums(seen[:, :-2])[0] == seen[0, -2])


def newest(pair: Rows) -> int:
    """Which of the two slots counts: the whole one with the higher number; -1 if neither is whole."""
    words = pair.dtype.itemsize // 8
    best, number = -1, 0
    for i in range(2):
        if int(pair[i]["begin"]) > number and _is_whole(pair[i : i + 1], words):
            best, number = i, int(pair[i]["begin"])
    return best


def seal_sessions(slot: Rows) -> int:
    """The checksum that belongs to one SESSIONS row."""
    words = slot.reshape(1).view(np.int64).reshape(1, SESSIONS.itemsize // 8)
    return int(checksums(words[:, :-2])[0])


def seal_frames(frames: Rows) -> None:
    """Give each TIMEFRAME row the checksum that belongs to it."""
    frames["checksum"] = checksums(_frame_words(frames)[:, :-1])


def frames_fault(frames: Rows, rows: int) -> str:
    """What is wrong with the table of timeframes of a file that has room for `rows` rows; empty if nothing is."""
    end = 0
    for frame, checksum in zip(frames, checksums(_frame_words(frames)[:, :-1]), strict=True):
        if frame["checksum"] != checksum:
            return "its table of timeframes is damaged: a checksum does not fit"
        try:
            name = checked(int(frame["unit"]), int(frame["amount"])).name
        except ValueError as error:
            return f"its table of timeframes is damaged: {error}"
        size = int(frame["rows"])
        if int(frame["first"]) != end or size < 1 or size & (size - 1) or frame["first_number"] < 0:
            return f"its table of timeframes is damaged: the ring of {name} cannot lie where it says"
        end += size
    return "" if end == rows else "its table of timeframes is damaged: the rings do not fill the rows"


def scale_checksum(scale: Sequence[int]) -> int:
    """Of the four numbers of a scale; 0 of one that is not known yet."""
    return int(checksums(np.array([scale], np.int64))[0]) if any(scale) else 0


def _frame_words(frames: Rows) -> Words:
    return np.ascontiguousarray(frames).view(np.int64).reshape(-1, TIMEFRAME.itemsize // 8)
