"""The account as any process reads it: live, or told why not; through restarts; waited for; never torn."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import Market, NoAccount, Stale, State, WriterGone, attach, layout
from shm.account import AccountView
from shm.account_rows import Holdings
from shm.layout import ACCOUNT_CELLS, MAX_ACCOUNT_AGE_NS, Reason
from shm.page import MAX_TRIES, PUBLISHED
from shm.presence import PATIENCE_NS
from tests.shm.later import Later
from tests.shm.made_account import MadeAccount, account, fill, holdings, order, position
from tests.shm.plain_writer import PlainEngine, boottime_ns

READS = 20_000


@pytest.fixture
def made(engine: PlainEngine) -> MadeAccount:
    return MadeAccount(engine)


def test_an_engine_without_an_account_says_so(market: Market) -> None:
    for ask in (market.account, lambda: market.wait_account(0)):
        with pytest.raises(NoAccount, match=r"views no account: set account = true under \[venue\]"):
            ask()


def test_a_live_account(made: MadeAccount, market: Market) -> None:
    made.publish(holdings(account(), [order(1)], [position(2)], [fill(3)]))
    found = market.account()
    assert found.live
    assert (found.balance, len(found.orders), len(found.positions), found.fills[0].fill_id) == (150_000.25, 1, 1, 3)
    assert 0 <= found.age_ns < MAX_ACCOUNT_AGE_NS


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.SYNCING, Reason.RECONNECTED),
        (State.STALE, Reason.DISCONNECTED),
        (State.CLOSED, Reason.CLOSED),
    ],
)
def test_what_is_not_live_is_read_only_when_asked_for(
    made: MadeAccount, market: Market, state: State, reason: Reason
) -> None:
    made.say(state, reason)
    with pytest.raises(Stale, match="the account is not live but") as raised:
        market.account()
    assert (raised.value.state, raised.value.reason) == (state.name.lower(), layout.REASON_TEXT[reason])
    found = market.account(allow_stale=True)
    assert (found.state, found.reason, found.balance) == (state.name.lower(), layout.REASON_TEXT[reason], 150_000.25)


def test_before_the_first_publication_and_the_first_stamp_it_is_syncing(made: MadeAccount, market: Market) -> None:
    assert market.account(allow_stale=True).state == "syncing"
    made.publish(holdings(account()), stamped=False)
    assert market.account(allow_stale=True).state == "syncing"
    with pytest.raises(Stale, match="waiting for the first snapshot"):
        market.account()


def test_a_dead_engine_cannot_leave_a_live_account(made: MadeAccount, market: Market, later: Later) -> None:
    made.publish(holdings(account()))
    later.by_ns += MAX_ACCOUNT_AGE_NS + 500_000_000
    with pytest.raises(Stale, match=r"nothing heard from its engine for 1\.5 s"):
        market.account()
    made.writer.stamp(boottime_ns())
    assert market.account().live


def test_an_engine_that_has_ended(engine: PlainEngine, made: MadeAccount, market: Market, later: Later) -> None:
    made.publish(holdings(account()))
    market.account()
    engine.end()
    later.by_ns += 2 * MAX_ACCOUNT_AGE_NS
    assert market.account(allow_stale=True).reason == "the engine has ended"
    later.by_ns += PATIENCE_NS
    with pytest.raises(WriterGone):
        market.account()
    assert market.account(allow_stale=True).balance == 150_000.25


def test_the_next_generation_is_read_by_the_same_handle(
    engine: PlainEngine, made: MadeAccount, market: Market, later: Later
) -> None:
    made.publish(holdings(account(balance_e9=1)))
    assert market.account().balance_e9 == 1
    engine.start(("MNQ",))
    later.by_ns += 2 * MAX_ACCOUNT_AGE_NS
    with pytest.raises(NoAccount):  # it was started without one
        market.account()
    second = MadeAccount(engine)
    second.publish(holdings(account(balance_e9=2)))
    found = market.account()
    assert (found.balance_e9, found.generation) == (2, 2)


def test_waiting_for_the_next_change(made: MadeAccount, market: Market) -> None:
    assert not market.wait_account(0)
    made.say(State.LIVE)
    assert market.wait_account(0)
    assert not market.wait_account(0.01)
    woken: list[bool] = []
    waiter = threading.Thread(target=lambda: woken.append(market.wait_account(20)))
    waiter.start()
    made.say(State.LIVE)
    waiter.join(20)
    assert woken == [True]


def test_awaiting_the_next_change(made: MadeAccount, market: Market) -> None:
    async def play() -> list[bool]:
        before = await market.wait_account_async(0.01)
        waiting = asyncio.create_task(market.wait_account_async(20))
        await asyncio.sleep(0)
        made.say(State.LIVE)
        return [before, await waiting]

    assert asyncio.run(play()) == [False, True]


def test_a_watch_of_instruments_goes_on_when_only_the_account_changed(made: MadeAccount, market: Market) -> None:
    watch = market.watch(["MNQ"], timeout_s=0.05)
    made.say(State.LIVE)
    assert list(watch) == []


class _BusyWords:
    """Words of a view whose writer comes in right after `published` was read, `times` times."""

    def __init__(self, words: memoryview, made: MadeAccount, times: int) -> None:
        self._words = words
        self._made = made
        self._left = times

    def __getitem__(self, index: int) -> int:
        value: int = self._words[index]
        if index == PUBLISHED and self._left > 0:
            self._left -= 1
            for number in range(value + 1, value + 1 + ACCOUNT_CELLS):
                self._made.publish(_numbered(number))
        return value

    def release(self) -> None:
        self._words.release()


def _numbered(number: int) -> Holdings:
    count = number % 5
    return holdings(
        account(balance_e9=number), [order(number)] * count, [position(number)] * count, [fill(number)] * count
    )


@pytest.mark.parametrize("times", [1, MAX_TRIES - 1])
def test_a_cell_that_is_written_while_it_is_copied_is_read_again(made: MadeAccount, market: Market, times: int) -> None:
    made.publish(_numbered(1))
    view = market._viewed()
    view._words = _BusyWords(view._words, made, times)  # type: ignore[assignment]
    found = market.account()
    assert found.published == found.balance_e9 == 1 + times * ACCOUNT_CELLS


def test_a_reader_that_is_lapped_for_ever_is_told_so(made: MadeAccount, market: Market) -> None:
    made.publish(_numbered(1))
    view = market._viewed()
    view._words = _BusyWords(view._words, made, 10**6)  # type: ignore[assignment]
    with pytest.raises(Stale, match="faster than it can be read"):
        market.account()


@pytest.fixture
def racing(made: MadeAccount) -> Iterator[None]:
    """A thread that publishes without a pause: every number of a publication is the publication's."""
    ended = threading.Event()

    def race() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            made.publish(_numbered(number))

    made.publish(_numbered(1))
    thread = threading.Thread(target=race)
    thread.start()
    yield
    ended.set()
    thread.join(20)


def test_reads_beside_a_writer_that_never_pauses(racing: None, market: Market) -> None:
    last = 0
    for _ in range(READS // 20):
        found = market.account()
        number = found.balance_e9
        assert number >= last
        last = number
        assert {one.order_id for one in found.orders} | {one.fill_id for one in found.fills} <= {number}
        assert len(found.orders) == len(found.positions) == len(found.fills) == number % 5


def test_reading_an_account_imports_nothing_heavy(engine: PlainEngine, made: MadeAccount) -> None:
    made.say(State.SYNCING)
    code = (
        "import sys, pathlib, shm\n"
        f"with shm.attach(root=pathlib.Path({str(engine.root)!r})) as market:\n"
        "    print(market.account(allow_stale=True).name)\n"
        "print(*sorted({'numba', 'polars', 'aiohttp', 'engine', 'workers', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["PRAC-1"]


def test_after_close_nothing_can_be_read(made: MadeAccount, engine: PlainEngine, tmp_path: Path) -> None:
    made.say(State.LIVE)
    market = attach(root=engine.root)
    view: AccountView = market._viewed()
    market.close()
    with pytest.raises(ValueError, match="released"):
        view.read(allow_stale=True)
