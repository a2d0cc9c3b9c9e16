"""The result of a run as values: the JSON object of `launch --json`, and the sentences that make a run a failure.

Pure functions. What is None was not measured: without the simulator there is no truth to compare with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MIN_SAMPLES_A_LIVE_SECOND = 50  # fewer comparisons than that prove too little to be called a pass

REMOVED = "removed"  # the state of an instrument that was carried for a part of the run

# What is counted for each instrument, and added up in the totals.
COUNTS = (
    *("records", "delivered", "applied", "refused", "dropped", "quarantined", "trades", "lost_trades", "resyncs"),
    *("compared_samples", "compared_levels", "wrong_levels"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found for one instrument, live books against the simulator's truth."""

    samples: int
    levels: int
    wrong_levels: int
    lost_trades: int
    wrong_trades: int  # prints that were never sent, or seen twice, or in another order
    unread_trades: int  # overwritten on the tape before the judge came to them
    unfinished: bool  # after the drain the book was not in the state that was sent last
    live_s: float  # how long its book was live while it was judged
    young: bool = False  # it came so shortly before the end that nothing can be said of its being live


@dataclass(frozen=True, slots=True)
class Result:
    """One instrument at the end of a run; `state` is the one before the stop, the counts those after the drain.

    Of one that was removed they are those of the last look; of one whose file was changed, since it was made anew.
    """

    symbol: str
    contract: str
    pid: int
    state: str
    parked: str
    records: int  # hub messages delivered to its ring or dropped before it
    applied: int
    refused: int
    dropped: int
    quarantined: int
    trades: int
    resyncs: int
    latency_us: tuple[float, float] | None  # p50 and p99, receive to publish; None if nothing was published
    uss_mib: float | None  # own memory: USS less its shared segments; of a shared process an equal part
    verdict: Verdict | None


def summarise(results: Sequence[Result], *, seconds: float, offered_entries_per_s: float | None) -> dict[str, object]:
    """The object that `launch --json` prints; its keys are promised and stay."""
    rows = [_row(result) for result in results]
    totals: dict[str, object] = {name: _sum(row[name] for row in rows) for name in COUNTS}
    totals["offered_entries_per_s"] = None if offered_entries_per_s is None else round(offered_entries_per_s, 1)
    totals["seconds"] = round(seconds, 3)
    return {"instruments": rows, "totals": totals}


def _row(result: Result) -> dict[str, object]:
    verdict = result.verdict
    p50, p99 = result.latency_us or (None, None)
    return {
        "symbol": result.symbol,
        "contract": result.contract,
        "pid": result.pid,
        "state": result.state,
        "records": result.records,
        "delivered": result.records - result.dropped,
        "applied": result.applied,
        "refused": result.refused,
        "dropped": result.dropped,
        "quarantined": result.quarantined,
        "trades": result.trades,
        "lost_trades": verdict.lost_trades if verdict else None,
        "resyncs": result.resyncs,
        "compared_samples": verdict.samples if verdict else None,
        "compared_levels": verdict.levels if verdict else None,
        "wrong_levels": verdict.wrong_levels if verdict else None,
        "latency_us": {"p50": _rounded(p50), "p99": _rounded(p99)},
        "uss_mib": _rounded(result.uss_mib),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _sum(values: Iterable[object]) -> int | None:
    """The sum of counts; None if one of them was not measured."""
    total = 0
    for value in values:
        if not isinstance(value, int):
            return None
        total += value
    return total


def failures(results: Sequence[Result]) -> list[str]:
    """Why a run is no success, a sentence each; empty for a success.

    Drops and stale books are no failure: they are counted and say so. A wrong level, a lost trade, a record that
    nobody can account for, a worker that was given up, and too few comparisons are.
    """
    found = []
    for result in results:
        if result.state == REMOVED:
            found += _verdict_failures(result.symbol, result.verdict, False) if result.verdict else []
            continue
        if result.parked:
            found.append(f"{result.symbol}: its worker was given up: {result.parked}")
        accounted = result.applied + result.refused + result.dropped + result.quarantined
        if result.verdict is not None and accounted != result.records:  # without a drain some are under way
            found.append(
                f"{result.symbol}: {result.records:,} records delivered, and {accounted:,} applied, refused, dropped"
                " or set aside"
            )
        if result.verdict is not None:
            found += _verdict_failures(result.symbol, result.verdict, True)
    return found


def _verdict_failures(symbol: str, verdict: Verdict, to_the_end: bool) -> list[str]:
    """`to_the_end`: it was carried then, so there was a drain, and enough had to be compared."""
    found = []
    if verdict.wrong_levels:
        found.append(
            f"{symbol}: {verdict.wrong_levels:,} of {verdict.levels:,} compared levels were wrong in a live book"
        )
    if verdict.lost_trades:
        found.append(f"{symbol}: {verdict.lost_trades:,} trades were lost")
    if verdict.wrong_trades:
        found.append(f"{symbol}: {verdict.wrong_trades:,} trades on the tape were not sent so")
    if verdict.unread_trades:
        found.append(f"{symbol}: {verdict.unread_trades:,} trades were never compared: the judge was too slow")
    if not to_the_end:
        return found
    if verdict.unfinished:
        found.append(f"{symbol}: after the last record its book was not in the state that was sent last")
    if verdict.young:
        return found
    if verdict.live_s == 0:
        found.append(f"{symbol}: its book was never live")
    elif verdict.samples < MIN_SAMPLES_A_LIVE_SECOND * verdict.live_s:
        found.append(
            f"{symbol}: {verdict.samples:,} books compared in {verdict.live_s:.1f} s live, and"
            f" {MIN_SAMPLES_A_LIVE_SECOND} a second are needed to call it a pass"
        )
    return found
