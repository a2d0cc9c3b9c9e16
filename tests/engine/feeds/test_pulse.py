"""engine/feeds/pulse.py: when a ping is due, and when a connection has been silent for too long."""

from engine.feeds.pulse import MAX_STEP_NS, Beat, Pulse

MS = 1_000_000


def polled(pulse: Pulse, from_ns: int, to_ns: int, *, heard: bool = False) -> list[tuple[int, Beat]]:
    """What is due in polls of 20 ms, each with the time of ours."""
    found = [(now_ns, pulse.poll(now_ns, heard=heard)) for now_ns in range(from_ns + 20 * MS, to_ns + 1, 20 * MS)]
    return [(now_ns // MS, beat) for now_ns, beat in found if beat is not Beat.NOTHING]


def test_pings_go_on_and_silence_ends_it() -> None:
    pulse = Pulse(silence_ms=500, ping_interval_ms=200)
    pulse.connect(0)
    assert polled(pulse, 0, 1000 * MS, heard=True) == [(at_ms, Beat.PING) for at_ms in (200, 400, 600, 800, 1000)]
    assert polled(pulse, 1000 * MS, 1500 * MS) == [(1200, Beat.PING), (1400, Beat.PING), (1500, Beat.SILENT)]


def test_time_in_which_we_were_stopped_is_nobodys_silence() -> None:
    pulse = Pulse(silence_ms=500, ping_interval_ms=10_000)
    pulse.connect(0)
    assert pulse.poll(3600 * 1000 * MS, heard=False) is Beat.NOTHING
    assert pulse.own_ns == MAX_STEP_NS


def test_a_connection_begins_with_both_sides_heard_and_our_time_goes_on() -> None:
    pulse = Pulse(silence_ms=500, ping_interval_ms=400)
    pulse.connect(0)
    assert polled(pulse, 0, 390 * MS) == []
    pulse.connect(10_000 * MS)
    before_ns = pulse.own_ns
    assert polled(pulse, 10_000 * MS, 10_390 * MS) == []
    assert pulse.own_ns == before_ns + 380 * MS
