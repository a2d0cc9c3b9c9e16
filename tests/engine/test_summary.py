"""The result of a run: what `launch --json` prints, and what makes a run a failure."""

import json
from dataclasses import replace

import pytest

from engine.summary import COUNTS, REMOVED, Result, Verdict, failures, summarise

GOOD = Result(
    symbol="MNQ",
    contract="CON.F.US.MNQ.Z26",
    pid=4321,
    state="live",
    parked="",
    records=1000,
    applied=997,
    refused=1,
    dropped=1,
    quarantined=1,
    trades=50,
    resyncs=2,
    latency_us=(12.345, 99.999),
    uss_mib=4.5678,
    verdict=Verdict(
        samples=1200,
        levels=76_800,
        wrong_levels=0,
        lost_trades=0,
        wrong_trades=0,
        unread_trades=0,
        unfinished=False,
        live_s=20.0,
    ),
)


def _judged(**found: int | float | bool) -> Result:
    assert GOOD.verdict is not None
    return replace(GOOD, verdict=replace(GOOD.verdict, **found))  # type: ignore[arg-type]


def test_the_object_has_exactly_the_promised_keys() -> None:
    made = json.loads(json.dumps(summarise([GOOD], seconds=20.00049, offered_entries_per_s=6000.04)))
    assert made == {
        "instruments": [
            {
                "symbol": "MNQ",
                "contract": "CON.F.US.MNQ.Z26",
                "pid": 4321,
                "state": "live",
                "records": 1000,
                "delivered": 999,
                "applied": 997,
                "refused": 1,
                "dropped": 1,
                "quarantined": 1,
                "trades": 50,
                "lost_trades": 0,
                "resyncs": 2,
                "compared_samples": 1200,
                "compared_levels": 76_800,
                "wrong_levels": 0,
                "latency_us": {"p50": 12.35, "p99": 100.0},
                "uss_mib": 4.57,
            }
        ],
        "totals": {
            "records": 1000,
            "delivered": 999,
            "applied": 997,
            "refused": 1,
            "dropped": 1,
            "quarantined": 1,
            "trades": 50,
            "lost_trades": 0,
            "resyncs": 2,
            "compared_samples": 1200,
            "compared_levels": 76_800,
            "wrong_levels": 0,
            "offered_entries_per_s": 6000.0,
            "seconds": 20.0,
        },
    }


def test_totals_are_sums() -> None:
    made = summarise([GOOD, GOOD, GOOD], seconds=1, offered_entries_per_s=1)
    totals = made["totals"]
    assert isinstance(totals, dict)
    assert totals["records"] == 3000
    assert totals["compared_levels"] == 3 * 76_800


def test_what_was_not_measured_is_null_and_no_failure() -> None:
    plain = replace(GOOD, verdict=None, latency_us=None, uss_mib=None)
    made = json.loads(json.dumps(summarise([plain, plain], seconds=1, offered_entries_per_s=None)))
    for part in (made["instruments"][0], made["totals"]):
        assert [part[name] for name in COUNTS if name.startswith("compared")] == [None, None]
        assert part["wrong_levels"] is part["lost_trades"] is None
    assert made["totals"]["offered_entries_per_s"] is None
    assert made["instruments"][0]["latency_us"] == {"p50": None, "p99": None}
    assert made["instruments"][0]["uss_mib"] is None
    assert failures([replace(plain, applied=0)]) == []  # without a drain records are under way


def test_a_good_run_has_no_failures() -> None:
    assert failures([GOOD, replace(GOOD, state="stale")]) == []


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (replace(GOOD, parked="its worker ended 8 times in a row"), "given up: its worker ended 8 times"),
        (replace(GOOD, applied=996), "1,000 records delivered, and 999 applied"),
        (replace(GOOD, quarantined=2), "1,000 records delivered, and 1,001 applied"),
        (_judged(wrong_levels=1), "1 of 76,800 compared levels were wrong"),
        (_judged(lost_trades=1), "1 trades were lost"),
        (_judged(wrong_trades=1), "1 trades on the tape were not sent so"),
        (_judged(unread_trades=1), "1 trades were never compared"),
        (_judged(unfinished=True), "not in the state that was sent last"),
        (_judged(samples=0, live_s=0.0), "never live"),
        (_judged(samples=999), "999 books compared in 20.0 s live"),
    ],
)
def test_a_failure_is_said_once_with_its_instrument(result: Result, said: str) -> None:
    found = failures([GOOD, result])
    assert len(found) == 1
    assert found[0].startswith("MNQ: ")
    assert said in found[0]


def test_fifty_comparisons_a_live_second_are_enough() -> None:
    assert failures([_judged(samples=1000)]) == []


def test_a_removed_instrument_is_asked_only_for_what_it_showed() -> None:
    gone = replace(GOOD, state=REMOVED, applied=3, parked="given up")
    assert failures([gone]) == []
    assert failures([replace(gone, verdict=None)]) == []
    assert GOOD.verdict is not None
    poor = replace(GOOD.verdict, samples=0, live_s=0.0, unfinished=True)
    assert failures([replace(gone, verdict=poor)]) == []
    (sentence,) = failures([replace(gone, verdict=replace(poor, wrong_levels=1))])
    assert "1 of" in sentence


def test_one_that_came_just_before_the_end_need_not_have_been_live() -> None:
    assert failures([_judged(young=True, live_s=0.0, samples=0)]) == []
    assert len(failures([_judged(young=True, live_s=0.0, samples=0, lost_trades=1, unfinished=True)])) == 2
