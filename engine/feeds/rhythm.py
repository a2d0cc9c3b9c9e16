"""What is usual of a stream of messages: how often it gives a sign of life, and which pauses it makes. No clock.

Time is given in steps by who polls, and a sign of life is a step in which anything came: ten messages of one frame
are one. A pause is judged while it lasts by what was known when it began, and learned
when a message ends it: so a stream that falls silent does not teach us, by being silent, that it is a silent one.
All is forgotten slowly, for a market's pace at noon says nothing about its pace at the close.
"""

import math
from typing import Final

SECOND_NS: Final = 1_000_000_000
MEMORY_S: Final = 30.0  # how fast the rate is forgotten: to 1/e in this time
PAUSE_MEMORY_S: Final = 120.0  # and the pauses, of which there are few
FIRST_PAUSE_NS: Final = SECOND_NS // 16  # shorter ones are not kept
OCTAVES: Final = 24  # pauses are counted in classes, each twice as long as the one before
USUAL_PAUSES: Final = 1.5  # remembered ones at least as long that make a pause usual: two of late, for one is no habit
KNOWN_SIGNS: Final = 20.0  # of a stream that gave fewer, nothing is known


class Rhythm:
    """The rhythm of one stream. `silent_ns` is how long it has said nothing."""

    __slots__ = ("_at_s", "_pauses", "_pauses_at_s", "_signs", "_span_s", "silent_ns")

    def __init__(self) -> None:
        self.silent_ns = 0
        self._signs = 0.0  # both with what is older weighing less
        self._span_s = 0.0
        self._pauses = [0.0] * OCTAVES
        self._pauses_at_s = 0.0  # when those weights were right, on the clock of the next
        self._at_s = 0.0

    def hear(self, step_ns: int, spoke: bool) -> None:
        """`step_ns` have passed, in which something came or nothing did."""
        self.silent_ns += step_ns
        if not spoke:
            return
        passed_s = self.silent_ns / SECOND_NS
        kept = math.exp(-passed_s / MEMORY_S)
        self._signs = self._signs * kept + 1.0
        self._span_s = self._span_s * kept + passed_s
        self._at_s += passed_s
        if self.silent_ns >= FIRST_PAUSE_NS:
            self._age_pauses()
            self._pauses[_octave(self.silent_ns)] += 1.0
        self.silent_ns = 0

    def forget_pause(self) -> None:
        """The silence that lasts was not the stream's own: it is not learned, and begins anew."""
        self.silent_ns = 0

    @property
    def rate(self) -> float:
        """Signs of life a second, as usual before this pause; 0.0 while too few have come to say."""
        return self._signs / self._span_s if self._signs >= KNOWN_SIGNS and self._span_s > 0 else 0.0

    @property
    def missed(self) -> float:
        """How many signs of life the present pause would usually have brought."""
        return self.rate * self.silent_ns / SECOND_NS

    @property
    def makes_such_pauses(self) -> bool:
        """Whether pauses at least as long as the present one are a habit of this stream."""
        if self.silent_ns < FIRST_PAUSE_NS:
            return True
        self._age_pauses()
        return sum(self._pauses[_octave(self.silent_ns) :]) >= USUAL_PAUSES

    def _age_pauses(self) -> None:
        kept = math.exp((self._pauses_at_s - self._at_s) / PAUSE_MEMORY_S)
        self._pauses = [count * kept for count in self._pauses]
        self._pauses_at_s = self._at_s


def _octave(pause_ns: int) -> int:
    return min((pause_ns // FIRST_PAUSE_NS).bit_length() - 1, OCTAVES - 1)
