"""engine/feeds/silence.py at a made-up venue: who is quiet is never called frozen, who is frozen soon is."""

from collections.abc import Callable

import pytest

from engine.feeds.gateway import Bar
from engine.feeds.silence import LATER_LOOKS, LOOKS, Freeze, Heard, Look, Silence
from tests.engine.feeds.trading_hours import (
    FLOOR_NS,
    LATE_NS,
    MAX_SILENCE_NS,
    SECOND_NS,
    Hours,
    Instrument,
    bursty,
    steady,
    until,
)

BUSY = {"ES": 40.0, "MES": 15.0, "NQ": 60.0, "MNQ": 90.0, "GC": 5.0, "CL": 8.0}
WARM_S = 40.0
BOUND_S = 4.0  # floor 1 s, two looks 0.4 s apart with answers of at most 0.2 s, 1 s of lateness; then a trade must come


def busy(**other: Instrument) -> dict[str, Instrument]:
    return {symbol: Instrument(steady(rate)) for symbol, rate in BUSY.items()} | other


def within_budget(hours: Hours) -> bool:
    times = [at_s for at_s, _ in hours.looks]
    return all(sum(at_s <= other < at_s + LOOKS.window_s - 0.01 for other in times) <= LOOKS.requests for at_s in times)


@pytest.mark.parametrize("symbol", BUSY)
def test_one_that_freezes_among_busy_ones_is_found_in_bounded_time(symbol: str, seed: int) -> None:
    hours = Hours(busy(), seed)
    hours.run(WARM_S)
    assert hours.freezes == []
    frozen_s = hours.at_s
    hours.instruments[symbol].frozen = True
    hours.run(60.0, stops_at_freeze=True)
    ((found_s, found),) = hours.freezes
    print(f"{symbol}: frozen for {found_s - frozen_s:.2f} s")
    assert found == symbol
    missed_s = 12 / BUSY[symbol] * 1.5  # until its silence is out of the usual, and until it trades between two looks
    assert found_s - frozen_s <= BOUND_S + missed_s + 3 / (0.3 * BUSY[symbol])


def test_all_that_freeze_at_once_are_found_in_bounded_time(seed: int) -> None:
    hours = Hours(busy(), seed)
    hours.run(WARM_S)
    frozen_s = hours.at_s
    for instrument in hours.instruments.values():
        instrument.frozen = True
    hours.run(60.0, stops_at_freeze=True)
    ((found_s, found),) = hours.freezes
    print(f"all: frozen for {found_s - frozen_s:.2f} s")
    assert found is None
    assert found_s - frozen_s <= BOUND_S


def test_the_only_instrument_of_a_feed_is_all_of_it(seed: int) -> None:
    hours = Hours({"ES": Instrument(steady(40.0))}, seed)
    hours.run(WARM_S)
    hours.instruments["ES"].frozen = True
    hours.run(BOUND_S)
    assert [found for _, found in hours.freezes][:1] == [None]


def test_a_frozen_one_that_is_most_of_the_stream_is_not_taken_for_all(seed: int) -> None:
    hours = Hours({"ES": Instrument(steady(60.0)), "GC": Instrument(steady(1.5))}, seed)
    hours.run(WARM_S)
    hours.instruments["ES"].frozen = True
    hours.run(20.0, stops_at_freeze=True)
    ((_, found),) = hours.freezes
    assert found == "ES"


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(lambda: until(WARM_S, steady(60.0), steady(0.0)), id="falls mute"),
        pytest.param(lambda: until(WARM_S, steady(60.0), steady(0.05)), id="falls nearly mute"),
        pytest.param(lambda: bursty(80.0, 2.0, 1.6), id="pauses of 1.6 s"),
        pytest.param(lambda: bursty(80.0, 10.0, 9.0), id="pauses of 9 s"),
        pytest.param(lambda: bursty(80.0, 70.0, 100.0), id="pauses of 100 s"),
        pytest.param(lambda: steady(0.1), id="a message in 10 s"),
        pytest.param(lambda: steady(0.01), id="a message in 100 s"),
    ],
)
def test_a_quiet_one_among_busy_ones_is_never_called_frozen(pace: Callable[[], object], seed: int) -> None:
    hours = Hours(busy(SI=Instrument(pace())), seed)  # type: ignore[arg-type]
    hours.run(400.0)
    assert hours.freezes == []
    assert within_budget(hours)


def test_pauses_that_are_a_habit_are_not_asked_about(seed: int) -> None:
    hours = Hours(busy(SI=Instrument(bursty(80.0, 2.0, 1.6))), seed)
    hours.run(200.0)
    assert sum(symbol == "SI" for _, symbol in hours.looks) <= 10


def test_many_quiet_ones_leave_room_for_a_new_suspicion(seed: int) -> None:
    quiet = {f"Q{number}": Instrument(until(WARM_S, steady(20.0), steady(0.0))) for number in range(16)}
    hours = Hours(busy(**quiet), seed)
    hours.run(WARM_S + 150)
    assert hours.freezes == []
    frozen_s = hours.at_s
    hours.instruments["NQ"].frozen = True
    hours.run(30.0, stops_at_freeze=True)
    ((found_s, found),) = hours.freezes
    print(f"among {len(quiet)} quiet ones: frozen for {found_s - frozen_s:.2f} s")
    assert found == "NQ"
    assert found_s - frozen_s <= 3.4  # one look at another may be under way before each of its own
    assert within_budget(hours)


def test_a_history_that_is_long_behind_proves_nothing_and_vouches_for_nobody(seed: int) -> None:
    hours = Hours(busy(), seed, clock_s=-900.0)
    hours.run(WARM_S)
    hours.instruments["NQ"].frozen = True
    hours.run(150.0)
    assert hours.freezes == []
    assert hours.vouched_s.get("NQ", 0.0) == 0.0
    assert sum(symbol == "NQ" for _, symbol in hours.looks) <= 20


@pytest.mark.parametrize(("late_s", "bars_late_s", "clock_s"), [(0.9, 0.0, 0.0), (0.05, 3.0, 0.0), (0.2, 0.5, -5.0)])
def test_late_streams_late_bars_and_clocks_that_differ_make_no_freeze(
    late_s: float, bars_late_s: float, clock_s: float, seed: int
) -> None:
    instruments = busy(SI=Instrument(bursty(80.0, 3.0, 4.0)), HG=Instrument(until(WARM_S, steady(60.0), steady(0.1))))
    hours = Hours(instruments, seed, late_s=late_s, bars_late_s=bars_late_s, clock_s=clock_s)
    hours.run(300.0)
    assert hours.freezes == []
    assert hours.looks
    assert within_budget(hours)


def test_a_clock_before_ours_makes_no_freeze_and_hides_none(seed: int) -> None:
    hours = Hours(busy(), seed, clock_s=7.0)
    hours.run(WARM_S)
    hours.instruments["NQ"].frozen = True
    hours.run(BOUND_S + 1, stops_at_freeze=True)
    assert [found for _, found in hours.freezes] == ["NQ"]


def test_a_clock_behind_ours_finds_it_later_by_as_much(seed: int) -> None:
    hours = Hours(busy(), seed, clock_s=-7.0)
    hours.run(WARM_S)
    hours.instruments["NQ"].frozen = True
    hours.run(BOUND_S + 7 + 15, stops_at_freeze=True)
    assert [found for _, found in hours.freezes] == ["NQ"]


@pytest.mark.parametrize("after", [0.0, 0.02])
def test_a_quiet_hour_of_all_is_quiet(after: float, seed: int) -> None:
    instruments = {symbol: Instrument(until(WARM_S, steady(rate), steady(after))) for symbol, rate in BUSY.items()}
    hours = Hours(instruments, seed)
    hours.run(600.0)
    assert hours.freezes == []
    assert within_budget(hours)
    if not after:
        later = [at_s for at_s, _ in hours.looks if at_s > WARM_S + 60]
        assert len(later) <= (600 - WARM_S - 60) / LATER_LOOKS.window_s * LATER_LOOKS.requests
        assert all(hours.silence.vouches(symbol) for symbol in BUSY)
        assert min(hours.vouched_s[symbol] for symbol in BUSY) > 600 - WARM_S - 10


def test_busy_again_and_frozen_after_an_hour_of_quiet_is_found_as_soon(seed: int) -> None:
    quiet = until(WARM_S, steady(60.0), until(WARM_S + 300, steady(0.0), steady(60.0)))
    hours = Hours(busy(SI=Instrument(quiet)), seed)
    hours.run(WARM_S + 300 + 20)
    assert hours.freezes == []
    frozen_s = hours.at_s
    hours.instruments["SI"].frozen = True
    hours.run(30.0, stops_at_freeze=True)
    ((found_s, found),) = hours.freezes
    assert found == "SI"
    assert found_s - frozen_s <= 2 * BOUND_S


def test_one_that_freezes_while_it_is_quiet_is_found_with_its_next_trades(seed: int) -> None:
    hours = Hours(busy(SI=Instrument(until(WARM_S, steady(60.0), until(120, steady(0.0), steady(60.0))))), seed)
    hours.run(100.0)
    hours.instruments["SI"].frozen = True
    hours.run(20.0 + 15.0 + BOUND_S, stops_at_freeze=True)
    assert [found for _, found in hours.freezes] == ["SI"]


def test_without_rest_nobody_is_called_frozen_for_being_silent_alone(seed: int) -> None:
    hours = Hours(busy(SI=Instrument(until(WARM_S, steady(60.0), steady(0.0)))), seed, rest_lives=False)
    hours.run(200.0)
    assert hours.freezes == []
    assert hours.vouched_s == {}
    assert within_budget(hours)


def test_when_rest_falls_silent_with_the_stream_the_way_is_cut_and_that_is_said_once(seed: int) -> None:
    hours = Hours(busy(), seed)
    hours.run(WARM_S)
    for instrument in hours.instruments.values():
        instrument.frozen = True
    hours.rest_lives = False
    hours.run(20.0)
    assert [found for _, found in hours.freezes] == [None]
    hours.silence.reconnect()
    hours.run(100.0)
    assert len(hours.freezes) == 1


def test_any_mix_of_rhythms_is_judged_right(seed: int) -> None:
    """Honest all the time, then one is frozen: nothing before, that one after."""
    hours = Hours({}, seed)
    chance = hours.random
    instruments = {}
    for number in range(10):
        rate = 2.0 ** chance.uniform(0, 7)
        pace = chance.choice((steady(rate), bursty(rate, chance.uniform(1, 30), chance.uniform(0.5, 30))))
        instruments[f"S{number}"] = Instrument(pace, traded=chance.uniform(0.2, 0.9))
    instruments["LOUD"] = Instrument(steady(30.0))
    hours = Hours(instruments, seed, late_s=chance.uniform(0.0, 0.9), bars_late_s=chance.uniform(0.0, 0.9))
    hours.run(200.0)
    assert hours.freezes == []
    frozen_s = hours.at_s
    instruments["LOUD"].frozen = True
    hours.run(60.0, stops_at_freeze=True)
    ((found_s, found),) = hours.freezes
    assert found == "LOUD"
    assert found_s - frozen_s <= 20.0  # with many suspects a look may have to wait for the budget
    assert within_budget(hours)


def heard(**messages: int) -> dict[str, Heard]:
    return {symbol: Heard(count, MAX_SILENCE_NS, LATE_NS) for symbol, count in messages.items()}


class Talk:
    """Two instruments, polled by hand; ES then falls silent."""

    def __init__(self) -> None:
        self.silence: Silence[str] = Silence(FLOOR_NS)
        self.now_ns = 0
        self.es = self.nq = 0

    def poll(self, times: int = 1, es: int = 0, nq: int = 1) -> Look[str] | Freeze[str] | None:
        for _ in range(times):
            self.now_ns += SECOND_NS // 50
            self.es, self.nq = self.es + es, self.nq + nq
            step = self.silence.poll(self.now_ns, 1000 + self.now_ns / SECOND_NS, heard(ES=self.es, NQ=self.nq))
            if step is not None:
                return step
        return None

    def look(self) -> Look[str]:
        step = self.poll(200)
        assert isinstance(step, Look)
        return step

    def until_first_look(self) -> Look[str]:
        assert self.poll(500, es=1) is None
        return self.look()


def test_there_is_one_look_at_a_time() -> None:
    talk = Talk()
    look = talk.until_first_look()
    assert talk.poll(100) is None
    talk.silence.answer(look, talk.now_ns, Bar(1005, 1))
    assert talk.look().key == "ES"


def test_a_message_before_the_lateness_is_over_clears_it() -> None:
    talk = Talk()
    for volume in (1, 2):
        look = talk.look() if volume == 2 else talk.until_first_look()
        talk.silence.answer(look, talk.now_ns, Bar(2000, volume))
    assert talk.poll(49) is None
    assert talk.poll(es=1) is None
    assert talk.poll(40) is None


def test_without_a_message_it_is_frozen_once() -> None:
    talk = Talk()
    for volume in (1, 2):
        look = talk.look() if volume == 2 else talk.until_first_look()
        talk.silence.answer(look, talk.now_ns, Bar(2000, volume))
    assert talk.poll(49) is None
    frozen = talk.poll(2)
    assert isinstance(frozen, Freeze)
    assert frozen.key == "ES"
    assert isinstance(talk.look(), Look)  # its silence has begun anew


def test_an_answer_to_an_older_silence_is_nothing() -> None:
    talk = Talk()
    look = talk.until_first_look()
    talk.poll(es=1)
    talk.silence.answer(look, talk.now_ns, Bar(9999, 9))
    assert not talk.silence.vouches("ES")
    again = talk.look()
    talk.silence.answer(again, talk.now_ns, Bar(9999, 10))
    assert talk.poll(19) is None  # it was the first answer of this silence: nothing to compare it with
    second = talk.look()
    talk.poll(es=1)
    talk.silence.answer(second, talk.now_ns, Bar(9999, 10))
    assert not talk.silence.vouches("ES")


def test_who_is_vouched_for_is_so_until_it_speaks() -> None:
    talk = Talk()
    talk.silence.answer(talk.until_first_look(), talk.now_ns, Bar(1005, 1))
    talk.silence.answer(talk.look(), talk.now_ns, Bar(1005, 1))
    assert talk.silence.vouches("ES")
    assert not talk.silence.vouches("NQ")
    talk.poll()
    assert talk.silence.vouches("ES")
    talk.poll(es=1)
    assert not talk.silence.vouches("ES")


def test_an_answer_vouches_for_the_one_that_was_asked_and_for_no_other() -> None:
    """Also when both are silent: each is asked for in its turn."""
    talk = Talk()
    assert talk.poll(500, es=1) is None
    asked: list[str] = []
    while not talk.silence.vouches("ES") or not talk.silence.vouches("NQ"):
        assert asked.count("ES") + asked.count("NQ") < 8, asked
        step = talk.poll(200, nq=0)
        assert isinstance(step, Look)
        asked.append(step.key)
        talk.silence.answer(step, talk.now_ns, Bar(1005, 1))
        assert [talk.silence.vouches(key) for key in ("ES", "NQ")] == [asked.count(key) > 1 for key in ("ES", "NQ")]


def test_in_a_pause_of_the_whole_market_the_busiest_vouch_for_all_as_long_as_each_of_them_is_quiet() -> None:
    symbols = [f"S{n:02}" for n in range(40)]
    silence: Silence[str] = Silence(FLOOR_NS)
    now_ns = 0
    counts = dict.fromkeys(symbols, 0)

    def poll(*, spoken: bool) -> Look[str] | Freeze[str] | None:
        nonlocal now_ns
        now_ns += SECOND_NS // 50
        if spoken:
            for n, symbol in enumerate(symbols):
                counts[symbol] += now_ns // (SECOND_NS // 50) % (n + 1) == 0
        return silence.poll(now_ns, 1000 + now_ns / SECOND_NS, heard(**counts))

    for _ in range(2000):
        poll(spoken=True)
    asked: set[str] = set()
    while not silence.vouches("S39"):
        assert now_ns < 60 * SECOND_NS, asked
        step = poll(spoken=False)
        if isinstance(step, Look):
            asked.add(step.key)
            silence.answer(step, now_ns, Bar(1005, 1))
    assert asked == {"S00", "S01", "S02"}
    assert all(silence.vouches(symbol) for symbol in symbols)
    busiest = asked.copy()
    while not isinstance(step := poll(spoken=False), Look) or step.key not in busiest:
        if isinstance(step, Look):
            asked.add(step.key)
            silence.answer(step, now_ns, Bar(1005, 1))
    silence.answer(step, now_ns, None)
    assert not any(silence.vouches(symbol) for symbol in symbols if symbol not in asked)


def test_one_of_which_nothing_is_known_is_asked_for_after_half_of_its_limit() -> None:
    talk = Talk()
    assert talk.poll(int(MAX_SILENCE_NS / SECOND_NS * 25)) is None
    step = talk.poll(2)
    assert isinstance(step, Look)
    assert step.key == "ES"


def test_an_instrument_that_is_gone_takes_all_that_is_known_of_it_along() -> None:
    talk = Talk()
    look = talk.until_first_look()
    talk.now_ns += SECOND_NS // 50
    assert talk.silence.poll(talk.now_ns, 1000.0, heard(NQ=talk.nq + 1)) is None
    talk.silence.answer(look, talk.now_ns, Bar(2000, 1))
    assert not talk.silence.vouches("ES")
    assert talk.poll(500) is None


def test_an_answer_about_what_was_forgotten_is_nothing() -> None:
    """A roll: the second look is at the old contract, and its answer at no bar of the next one's."""
    talk = Talk()
    talk.silence.answer(talk.until_first_look(), talk.now_ns, Bar(2000, 1))
    second = talk.look()
    talk.silence.forget("ES")
    talk.silence.forget("ES")  # what is not known is forgotten already
    talk.silence.answer(second, talk.now_ns, Bar(2000, 2))
    assert not isinstance(talk.poll(100), Freeze)
    assert not talk.silence.vouches("ES")
    first = talk.poll(int(MAX_SILENCE_NS / SECOND_NS * 30))  # half of its limit later: nothing to compare it with
    assert isinstance(first, Look)
    talk.silence.answer(first, talk.now_ns, Bar(2000, 3))
    assert not isinstance(talk.poll(100), Freeze)


def test_time_between_two_connections_is_nobodys_silence() -> None:
    talk = Talk()
    talk.until_first_look()
    talk.silence.reconnect()
    talk.now_ns += 3600 * SECOND_NS
    assert talk.poll() is None
    assert talk.poll(49) is None
    for volume in (1, 2):  # trades of that time
        look = talk.look()
        assert look.key == "ES"
        talk.silence.answer(look, talk.now_ns, Bar(1000 + 3600, volume))
    assert not isinstance(talk.poll(100), Freeze)
    assert not talk.silence.vouches("ES")
