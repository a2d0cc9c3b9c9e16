"""Everything known of one instrument as one value: a pure function of a publication and the registry's line."""

import math
from collections.abc import Sequence

import numpy as np

from .layout import CELL, LATENCY_STEPS, Source
from .page import Glimpse
from .registry import Listed
from .values import NAN, Gap, Status
from .verdict import Verdict, reason_text

_SOURCE_TEXT = {int(source): source.name.lower() for source in Source}


def step_ns(step: int) -> int:
    """The lower edge of a latency bucket: four buckets an octave of nanoseconds."""
    return ((4 + step % 4) << (step // 4)) // 4


def quantile_ns(counts: Sequence[int], share: float) -> int:
    """The upper edge of the bucket that holds the `share` quantile of all that was counted; 0 if nothing was."""
    wanted = math.ceil(share * sum(counts))
    passed = 0
    for step in range(LATENCY_STEPS):
        passed += counts[step]
        if passed >= wanted > 0:
            return step_ns(step + 1)
    return 0


def build(
    glimpse: Glimpse,
    verdict: Verdict,
    listed: Listed,
    generation: int,
    delivered: int,
    latency_counts: Sequence[int],
    age_ns: int,
) -> Status:
    """A Status out of what was read at one moment; the arguments in the order in which they were read."""
    state = np.frombuffer(glimpse.cell, CELL)[0]["state"]
    names = state.dtype.names or ()
    said = dict(zip(names, state.item(), strict=True))
    scale = glimpse.scale
    gap = None
    if said["gap_reason"]:
        numbers = said["gap_wall_ns"], said["gap_count"], said["gap_from_wall_ns"]
        gap = Gap(reason_text(said["gap_reason"]), *numbers)
    traded = said["last_size"] > 0
    return Status(
        symbol=listed.symbol,
        contract=said["contract"].decode(errors="replace"),
        pid=listed.pid,
        state=verdict.state,
        reason=verdict.reason,
        live=verdict.live,
        since_ns=said["since_ns"],
        source=_SOURCE_TEXT.get(said["source"], ""),
        delivered=delivered,
        applied=said["applied"],
        refused=said["refused"],
        dropped=said["dropped"],
        quarantined=said["quarantined"],
        resyncs=said["resyncs"],
        trades=said["trades"],
        depth_entries=said["depth_entries"],
        fast_records=said["fast_records"],
        slow_records=said["slow_records"],
        ignored_entries=said["ignored_entries"],
        unknown_entries=said["unknown_entries"],
        venue_ns=said["venue_ns"],
        through_ns=glimpse.through_ns,
        age_ns=age_ns,
        lag_ns=said["lag_ns"],
        latency_p50_ns=quantile_ns(latency_counts, 0.50),
        latency_p99_ns=quantile_ns(latency_counts, 0.99),
        last_gap=gap,
        last_price=scale.price(said["last_price"]) if traded else NAN,
        last_size=scale.size(said["last_size"]) if traded else NAN,
        restarts=listed.restarts,
        parked=listed.parked,
        generation=generation,
        published=glimpse.published,
    )
