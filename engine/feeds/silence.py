"""Is a silent instrument quiet, or is its stream frozen? Decisions on values: no sockets, no clock of its own.

A venue's stream can freeze for minutes with the socket up, while its REST side lives (fact sheet 8.6). A book that
gets no messages then looks as a quiet one does. Two things tell them apart:

  *Suspicion* is cheap and may be wrong. An instrument is suspected when it has been silent for longer than a floor,
  its siblings have meanwhile given so many signs of life that, by its usual share, EXPECTED should have been its own,
  and it does not make such pauses. All are suspected when the whole stream would usually have given EXPECTED. Whoever
  was never busy enough for that is asked after half of its `max_silence_ms`.

  *Proof* is the venue's own word: its newest bar, asked for twice over REST. A bar that changed between two answers
  is a trade, and a trade is a message that must be here once the stream's lateness has passed. Nothing came: the
  stream is frozen. This needs no clock; ours is used in one direction only: a bar of the second of the last message,
  or of an earlier one, proves nothing, because a venue may be late in making its bars.

No change between two answers is *quiet*: that one instrument is vouched for, and asked again after a pause that
doubles. So a quiet one stays live for as long as the venue answers that it is. No answer proves nothing either way:
then the plain limit of resync.py stands. Only when the whole stream is silent against its habit and REST has gone
silent with it, the way to the venue is taken for cut, once: until REST has answered again.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from ..budget import Limit, Spent, spend, wait_s
from .gateway import Bar
from .rhythm import Rhythm

SECOND_NS: Final = 1_000_000_000
EXPECTED: Final = 12.0  # signs of life; a Poisson stream misses so many in one of exp(12) = 160,000 pauses
PAIR_PAUSE_NS: Final = 2 * SECOND_NS // 5  # between the first two answers: a busy instrument trades in that time
MAX_PAUSE_NS: Final = 15 * SECOND_NS  # between later ones
LOOKS: Final = Limit(20, 30.0)  # of the 30 that budget.py allows for bars: others may want some too
LATER_LOOKS: Final = Limit(12, 30.0)  # the part of them for who was found quiet: a new suspicion finds room
BUSIEST: Final = 3  # of a stream that is silent as a whole so many instruments are asked for first, in turn
UNANSWERED: Final = 2  # looks in a row, until REST counts as silent

Key = TypeVar("Key", bound=Hashable)


class Heard(NamedTuple):
    """One instrument, at a poll."""

    messages: int  # how many have come so far
    max_silence_ns: int
    late_ns: int  # how far its stream may be behind the venue without being called late


@dataclass(slots=True, eq=False)
class Doubt:
    """What was asked about one silence. It ends with the next message."""

    bar: Bar | None = None  # of the last answer
    due_ns: int = 0  # when to ask next
    quiet: int = 0  # answers in a row that showed nothing new
    unsure: int = 0  # looks in a row that said nothing
    proven_ns: int | None = None  # when a trade was seen that brought no message


@dataclass(frozen=True, slots=True)
class Look(Generic[Key]):
    """Ask the venue for this instrument's newest bar, and give the answer to `Silence.answer`."""

    key: Key
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class Freeze(Generic[Key]):
    """The stream of this instrument is frozen; of all, when `key` is None. `why` is for the log."""

    key: Key | None
    why: str


@dataclass(slots=True)
class _Stream:
    messages: int
    signs: int  # what all had given when this one spoke last
    spoke_s: int  # and the second of the wall clock; else when it could have begun to
    rhythm: Rhythm = field(default_factory=Rhythm)
    doubt: Doubt | None = None
    vouched: bool = False


class Silence(Generic[Key]):
    """What is known of all streams of a feed. Instruments come and go with the polls that name them.

    The rhythms outlive a connection, the doubts do not: call `reconnect` before the first poll of a new one.
    """

    def __init__(self, floor_ns: int) -> None:
        """`floor_ns`: a shorter silence is nobody's business."""
        self._floor_ns = floor_ns
        self._streams: dict[Key, _Stream] = {}
        self._whole = Rhythm()
        self._signs = 0  # of life, of all streams
        self._wall_s = 0
        self._polled_ns: int | None = None
        self._looking = False
        self._looks = Spent()
        self._later_looks = Spent()
        self._unanswered = 0
        self._rest_lives = True

    def reconnect(self) -> None:
        """A new connection: what was silent on the old one is no matter any more."""
        self._polled_ns = None
        self._looking = False
        self._unanswered = 0
        self._whole.forget_pause()
        for stream in self._streams.values():
            self._restart(stream)

    def forget(self, key: Key) -> None:
        """What goes by this key is another thing from now on: a look that is under way says nothing of it."""
        self._streams.pop(key, None)

    def vouches(self, key: Key) -> bool:
        """Whether the venue's last word on an instrument's present silence is that nothing is traded: its own bar, or
        of a stream that is silent as a whole the bars of its busiest."""
        stream = self._streams.get(key)
        if stream is None:
            return False
        return stream.vouched or (self._all_suspected and all(self._streams[one].vouched for one in self._busiest()))

    def poll(self, now_ns: int, wall_s: float, heard: Mapping[Key, Heard]) -> Look[Key] | Freeze[Key] | None:
        """What to do now, if anything. `now_ns` counts polls as resync.py's does; `wall_s` is seconds since 1970.

        After a Look there is no other before its `answer`. A Freeze is said once; the silence then begins anew.
        """
        self._hear(now_ns, wall_s, heard)
        return self._freeze(now_ns, heard) or self._look(now_ns, heard)

    def answer(self, look: Look[Key], now_ns: int, bar: Bar | None) -> None:
        """What a look brought; None when the venue did not say."""
        self._looking = False
        if bar is None:
            self._unanswered += 1
        else:
            self._unanswered = 0
            self._rest_lives = True
        stream, doubt = self._streams.get(look.key), look.doubt
        if stream is None or stream.doubt is not doubt:
            return  # it has spoken meanwhile, or is gone
        before = doubt.bar
        if bar is None:
            doubt.unsure += 1
            stream.vouched = False
        elif before is None:
            doubt.unsure = 0
        elif bar == before:
            doubt.quiet += 1
            doubt.unsure = 0
            stream.vouched = True
        elif bar.start_s > stream.spoke_s:
            doubt.proven_ns = now_ns
        else:
            doubt.unsure += 1
            stream.vouched = False
        doubt.bar = before if bar is None else bar
        doubt.due_ns = now_ns + min(PAIR_PAUSE_NS << min(doubt.quiet + doubt.unsure, 8), MAX_PAUSE_NS)

    def _hear(self, now_ns: int, wall_s: float, heard: Mapping[Key, Heard]) -> None:
        step_ns = 0 if self._polled_ns is None else now_ns - self._polled_ns
        self._wall_s = int(wall_s)
        if self._polled_ns is None:  # a bar of a trade that was before the connection proves nothing
            for known in self._streams.values():
                known.spoke_s = self._wall_s
        self._polled_ns = now_ns
        for gone in self._streams.keys() - heard.keys():
            del self._streams[gone]
        spoke = []
        for key, said in heard.items():
            stream = self._streams.get(key)
            if stream is None:
                stream = self._streams[key] = _Stream(said.messages, self._signs, self._wall_s)
            has_spoken = said.messages != stream.messages
            stream.messages = said.messages
            stream.rhythm.hear(step_ns, has_spoken)
            if has_spoken:
                spoke.append(stream)
        self._whole.hear(step_ns, bool(spoke))
        if not spoke:
            return
        self._unanswered = 0
        self._signs += len(spoke)
        for stream in spoke:
            stream.signs, stream.spoke_s = self._signs, self._wall_s
            stream.doubt, stream.vouched = None, False

    def _freeze(self, now_ns: int, heard: Mapping[Key, Heard]) -> Freeze[Key] | None:
        for key, stream in self._streams.items():
            doubt = stream.doubt
            if doubt is None or doubt.proven_ns is None or now_ns - doubt.proven_ns < heard[key].late_ns:
                continue
            if self._others_are_silent_too(stream):
                return self._frozen(None, "the venue trades and no message comes")
            return self._frozen(key, "the venue trades it and no message comes")
        if self._unanswered >= UNANSWERED and self._rest_lives and self._all_suspected:
            self._rest_lives = False
            return self._frozen(None, "no message comes and REST does not answer")
        return None

    def _frozen(self, key: Key | None, why: str) -> Freeze[Key]:
        for other, stream in self._streams.items():
            if key is None or other == key:
                self._restart(stream)
        if key is None:
            self._whole.forget_pause()
        return Freeze(key, why)

    def _restart(self, stream: _Stream) -> None:
        stream.rhythm.forget_pause()
        stream.signs, stream.spoke_s = self._signs, self._wall_s
        stream.doubt, stream.vouched = None, False

    def _look(self, now_ns: int, heard: Mapping[Key, Heard]) -> Look[Key] | None:
        if self._looking:
            return None
        now_s = now_ns / SECOND_NS
        due: list[tuple[int, int, int, Key, Doubt]] = []
        for key in self._silent_together() if self._all_suspected else self._doubtful(heard):
            doubt = self._streams[key].doubt or Doubt()
            if now_ns >= doubt.due_ns and doubt.proven_ns is None:
                due.append((doubt.quiet + doubt.unsure, doubt.due_ns, len(due), key, doubt))
        if not due or wait_s(LOOKS, self._looks, now_s) > 0:
            return None
        tries, _, _, key, doubt = min(due)
        if tries and wait_s(LATER_LOOKS, self._later_looks, now_s) > 0:
            return None
        self._looks = spend(LOOKS, self._looks, now_s)
        if tries:
            self._later_looks = spend(LATER_LOOKS, self._later_looks, now_s)
        self._streams[key].doubt = doubt
        self._looking = True
        return Look(key, doubt)

    @property
    def _all_suspected(self) -> bool:
        """The whole stream is silent for longer than its own rhythm explains."""
        return _is_beyond(self._whole, self._whole.missed, self._floor_ns)

    def _doubtful(self, heard: Mapping[Key, Heard]) -> Iterator[Key]:
        """Instruments that were asked for in their present silence, or have to be now."""
        rates = sum(stream.rhythm.rate for stream in self._streams.values())
        for key, stream in self._streams.items():
            rhythm = stream.rhythm
            others = rates - rhythm.rate
            missed = (self._signs - stream.signs) * rhythm.rate / others if others > 0 else 0.0
            is_near_limit = rhythm.silent_ns >= heard[key].max_silence_ns // 2
            if stream.doubt is not None or is_near_limit or _is_beyond(rhythm, missed, self._floor_ns):
                yield key

    def _silent_together(self) -> list[Key]:
        """The busiest, and once the venue calls these quiet all others too."""
        busiest = self._busiest()
        doubts = [self._streams[key].doubt for key in busiest]
        if not all(doubt is not None and doubt.quiet for doubt in doubts):
            return busiest
        return [*busiest, *(key for key in self._streams if key not in busiest)]

    def _busiest(self) -> list[Key]:
        known = [key for key, stream in self._streams.items() if stream.rhythm.rate > 0]
        return sorted(known, key=lambda key: -self._streams[key].rhythm.rate)[:BUSIEST]

    def _others_are_silent_too(self, stream: _Stream) -> bool:
        """Whether the rest of the feed would by now have spoken, if it could; of a feed of one there is no rest."""
        others = sum(other.rhythm.rate for other in self._streams.values()) - stream.rhythm.rate
        silent_ns = self._whole.silent_ns
        return silent_ns >= self._floor_ns and (others <= 0 or others * silent_ns / SECOND_NS >= EXPECTED)


def _is_beyond(rhythm: Rhythm, missed: float, floor_ns: int) -> bool:
    """Whether a silence is more than a stream's own rhythm explains; `missed`: signs that should have come in it."""
    return rhythm.silent_ns >= floor_ns and missed >= EXPECTED and not rhythm.makes_such_pauses
