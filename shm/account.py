"""The read side of the account: a whole private copy of its newest publication, judged by the engine's own stamp.

The order is that of page.py: load the word that says where, copy, then load the mark that says whether the copy was
still that. The stamp is loaded first, so that a sign of life never vouches for an older publication.
"""

from typing import NamedTuple

from . import account_values, layout
from .account_values import Account
from .errors import NoAccount, Stale, WriterGone
from .follow import boottime_ns
from .layout import ACCOUNT, ACCOUNT_CELLS, MAX_ACCOUNT_AGE_NS, Kind, Reason
from .page import MAX_TRIES, PUBLISHED, THROUGH, WAKE, fence, integer_fields
from .presence import Presence
from .registry import generation_folder
from .segment import Segment
from .verdict import Verdict, judge, reason_text
from .wake import Word, until_news

FILE_NAME = "account"

_COUNTS = integer_fields(ACCOUNT, "n_orders", "n_positions", "n_fills")
_JUDGED = integer_fields(ACCOUNT, "state", "reason")
_TABLES = ("orders", "positions", "fills")

assert layout.account_regions()["control"].offset == layout.HEADER_BYTES  # so that page.py's words are those here


class Glimpse(NamedTuple):
    """One publication, copied whole, and what was known of the engine's life before it was read."""

    through_ns: int
    published: int
    cell: bytes  # one layout.ACCOUNT
    tables: tuple[bytes, ...]  # the rows of _TABLES that count


class AccountView:
    """The account of one engine name. It goes on with the next generation, as instruments do."""

    __slots__ = ("_engine", "_presence", "_segment", "_waited", "_words")

    def __init__(self, presence: Presence) -> None:
        """Raises NoAccount, LayoutError, and FileNotFoundError if the generation ended just now."""
        self._presence = presence
        self._open()
        self._waited = self._publication()

    def read(self, *, allow_stale: bool) -> Account:
        """The newest publication, of a new generation if there is one. Raises Stale or WriterGone if it must."""
        glimpse = self._newest()
        now_ns = boottime_ns()
        verdict = _judge(glimpse, now_ns)
        if not verdict.live and now_ns - glimpse.through_ns > MAX_ACCOUNT_AGE_NS:
            self._look(now_ns, allow_stale)
            glimpse = self._newest()
            verdict = _judge(glimpse, now_ns)
            if self._presence.gone_since_ns is not None and not verdict.live:
                verdict = Verdict("stale", "the engine has ended")
        age_ns = max(now_ns - glimpse.through_ns, 0) if glimpse.through_ns else 0
        if not verdict.live and not allow_stale:
            raise _stale(verdict, age_ns)
        return account_values.build(
            glimpse.cell,
            glimpse.tables,
            verdict,
            through_ns=glimpse.through_ns,
            age_ns=age_ns,
            published=glimpse.published,
            generation=self._segment.generation,
        )

    def wait(self, timeout_s: float) -> bool:
        """Block until something is published that was not there at the last wait; False after `timeout_s`."""
        return until_news(self._look_for_news, self._after_silence, timeout_s)

    async def wait_async(self, timeout_s: float) -> bool:
        """As `wait`, awaited."""
        from . import sleeper  # here, because asyncio would be a good part of the time that `import shm` takes

        return await sleeper.until_news(self._look_for_news, self._after_silence, timeout_s)

    def close(self) -> None:
        """Unmap; later reads raise ValueError."""
        self._words.release()
        self._segment.close()

    def _open(self) -> None:
        """Map the present generation's; what was mapped before goes when the last look at it does."""
        registry = self._presence.registry
        try:
            self._segment: Segment = self._presence.attach(FILE_NAME, Kind.ACCOUNT)
        except FileNotFoundError:
            if not (generation_folder(self._presence.folder, registry.generation) / "changed").exists():
                raise  # it is not the account that is missing: the generation has ended
            raise NoAccount(
                f"the engine {self._presence.name!r} views no account: set account = true under [venue] in a settings"
                " file, and start it with --config FILE"
            ) from None
        self._words = self._segment.memory.cast("q")
        self._engine = registry.engine

    def _follow(self, now_ns: int) -> None:
        """Look at the registry, and map the generation that it speaks of if it is another."""
        self._presence.look(now_ns)
        if self._presence.registry.engine != self._engine:
            try:
                self._open()
            except FileNotFoundError:  # it ended while we looked; the registry will say what comes next
                return
        self._presence.require(now_ns)

    def _look(self, now_ns: int, allow_stale: bool) -> None:
        try:
            self._follow(now_ns)
        except WriterGone:
            if not allow_stale:
                raise

    def _newest(self) -> Glimpse:
        words, memory, regions = self._words, self._segment.memory, self._segment.regions
        for _ in range(MAX_TRIES):
            through_ns = words[THROUGH]  # first: so it is never newer than the cell that is then copied
            fence()
            published = words[PUBLISHED]
            fence()
            i = published % ACCOUNT_CELLS
            at = regions["cells"].offset + i * ACCOUNT.itemsize
            cell = memory[at : at + ACCOUNT.itemsize].tobytes()
            tables = []
            for name, count in zip(_TABLES, _COUNTS.unpack(cell), strict=True):
                region = regions[name]
                start = region.offset + i * (region.nbytes // ACCOUNT_CELLS)
                used = min(max(count, 0), region.shape[1]) * region.dtype.itemsize
                tables.append(memory[start : start + used].tobytes())
            fence()
            if words[at // 8] == published:
                return Glimpse(through_ns, published, cell, tuple(tables))
        reason = "its engine publishes faster than it can be read here"
        raise Stale(f"the account could not be read: {reason}; try again", "stale", reason)

    def _look_for_news(self) -> Word | None:
        """The wake-up word as it was before looking, if nothing was published since the last wait; None if it was."""
        word = self._segment.memory, WAKE * 8, self._words[WAKE]  # before looking: see wake.py
        fence()
        before, self._waited = self._waited, self._publication()
        return word if self._waited == before else None

    def _after_silence(self) -> None:
        self._follow(boottime_ns())

    def _publication(self) -> tuple[int, ...]:
        return (*self._engine, self._words[PUBLISHED])


def _judge(glimpse: Glimpse, now_ns: int) -> Verdict:
    """What to call a publication: what it says of itself, unless its engine was not heard of for too long."""
    state, reason = _JUDGED.unpack(glimpse.cell)
    age_ns = now_ns - glimpse.through_ns
    if glimpse.through_ns and age_ns > MAX_ACCOUNT_AGE_NS and state != layout.State.CLOSED:
        text = reason_text(reason)
        silence = f"nothing heard from its engine for {age_ns / 1e9:.1f} s"
        return Verdict("stale", f"{silence}; before that: {text}" if text else silence)
    if glimpse.published == 0 or not glimpse.through_ns:
        return Verdict("syncing", reason_text(Reason.STARTING))
    return judge(glimpse.published, state, reason, 0, MAX_ACCOUNT_AGE_NS)


def _stale(verdict: Verdict, age_ns: int) -> Stale:
    why = f" ({verdict.reason})" if verdict.reason else ""
    heard = f"its engine was heard of {age_ns / 1e6:.0f} ms ago, {MAX_ACCOUNT_AGE_NS / 1e6:.0f} ms are allowed"
    sentence = f"the account is not live but {verdict.state}{why}; {heard}; allow_stale=True reads it all the same"
    return Stale(sentence, verdict.state, verdict.reason)
