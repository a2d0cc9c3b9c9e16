"""Who asks for history when, and whom an answer is for: one wish of a timeframe at a time, outages before the past."""

import logging
from collections.abc import Sequence

from shm.errors import LayoutError, Overrun
from shm.layout import Answered

from ..page import Page
from .repairs import Repairs
from .wishes import Answer, Wishes

_log = logging.getLogger(__name__)


class Asking:
    """The wishes that stand, by whose they are."""

    def __init__(self, wishes: Wishes, page: Page) -> None:
        self._wishes = wishes
        self._page = page
        self._asked: dict[int, Repairs] = {}

    def turn(self, repairs: Sequence[Repairs], now_ns: int, wall_ns: int) -> None:
        """Take what came, and ask for more. now_ns: CLOCK_BOOTTIME; wall_ns: CLOCK_REALTIME."""
        for number, answer in self._wishes.take():
            self._take(self._asked.pop(number), answer, now_ns, wall_ns)
        for number in [number for number, each in self._asked.items() if each not in repairs]:
            self._wishes.withdraw(number)  # the instrument is gone, or its file is another one now
            del self._asked[number]
        for past in (False, True):
            waiting = [each for each in repairs if each not in self._asked.values()]
            for each in waiting:
                if self._wishes.free and (wish := each.wanted(now_ns, past=past)) is not None:
                    self._asked[self._wishes.put(wish)] = each
                    self._page.add("wishes")

    def _take(self, repairs: Repairs, answer: Answer, now_ns: int, wall_ns: int) -> None:
        self._page.add("answers")
        self._page.add("refusals", answer.answered == Answered.NEVER)
        try:
            taken = repairs.take(answer, now_ns, wall_ns)
        except OSError as error:
            self._page.add("disk_errors")
            _log.error("%s: bars of the venue's cannot be kept (%s)", answer.wish.symbol, error.strerror)
            return
        except (LayoutError, Overrun) as error:
            _log.warning("%s: bars of the venue's cannot be placed: %s", answer.wish.symbol, error)
            return
        self._page.add("added_rows", taken.added)
        self._page.add("repaired_rows", taken.raised)
        self._page.add("refused_rows", taken.refused)
