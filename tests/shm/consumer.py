"""A reader of the ring that believes nothing: it knows which sequence must come next, and who accounts for the rest."""

from typing import Any, NamedTuple

import numpy as np

from shm import layout
from shm.layout import Record
from shm.records import AFTER, AT, CHUNK, CHUNKS, KIND, PEEK_WORDS, SEQUENCE, SIZE, peek
from shm.ring import release


class Seen(NamedTuple):
    """One record, chunks put together; `payload` of a gap is its row's four numbers."""

    kind: Record
    sequence: int
    payload: Any


def ring_words(capacity: int = layout.MIN_RING_BYTES) -> Any:
    """The words of a new ring."""
    region = layout.ring_regions(capacity)["words"]
    words = np.zeros(region.shape, region.dtype)
    words[layout.CAPACITY] = capacity
    return words


class Consumer:
    """Takes what is published, asserts that sequences have no hole that a gap does not name, and counts."""

    def __init__(self, words: Any, first_sequence: int) -> None:
        self.words = words.view(np.int64)
        self.position = int(self.words[layout.HEAD])
        self.expected = first_sequence
        self.messages = 0
        self.told = 0  # drops that gap records counted
        self._row: Any = np.zeros(PEEK_WORDS, np.int64)
        self._parts: list[bytes] = []

    def take(self) -> list[Seen]:
        """Everything published, in order."""
        taken: list[Seen] = []
        tail = int(self.words[layout.TAIL])
        while peek(self.words, self.position, tail, self._row):
            self._take_one(taken)
            self.position = int(self._row[AFTER])
        assert self.position <= tail
        return taken

    def _take_one(self, taken: list[Seen]) -> None:
        row = self._row
        at, size, kind, sequence = int(row[AT]), int(row[SIZE]), Record(int(row[KIND])), int(row[SEQUENCE])
        data = self.words.view(np.uint8)
        payload = data[at : at + size].tobytes()
        assert data[at + size] == 0, "a record ends in a zero byte"
        if kind == Record.CHUNK:
            assert int(row[CHUNK]) == len(self._parts)
            self._parts.append(payload)
            if len(self._parts) < int(row[CHUNKS]):
                assert sequence == self.expected
                return
            payload, self._parts = b"".join(self._parts), []
        assert not self._parts, "a record between the chunks of another"
        if kind == Record.GAP:
            gap = tuple(int(number) for number in np.frombuffer(payload, layout.GAP)[0])
            _, count, dropped, first = gap
            assert first == (self.expected if count else 0)
            self.expected += count
            self.told += count
            assert dropped == self.told
            taken.append(Seen(kind, sequence, gap))
        else:
            taken.append(Seen(kind, sequence, payload))
        assert sequence == self.expected
        self.expected = sequence + 1
        if kind in (Record.DATA, Record.CHUNK):
            self.messages += 1

    def release(self) -> None:
        """Give back all that was taken."""
        release(self.words, self.position)
