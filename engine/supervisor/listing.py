"""The registry's content, out of what the supervisor knows."""

import os
from collections.abc import Mapping

from shm.layout import LAYOUT_VERSION
from shm.life import start_ticks
from shm.registry import Listed, Registry

from ..config import Settings
from .decide import Part, Role


def list_all(
    settings: Settings, generation: int, roles: Mapping[str, Role], simulator_url: str | None, truth_folder: str | None
) -> Registry:
    """What is published now. A pid is 0 from the moment that process is known dead."""
    return Registry(
        layout_version=LAYOUT_VERSION,
        name=settings.name,
        generation=generation,
        supervisor_pid=os.getpid(),
        supervisor_start_ticks=start_ticks(os.getpid()) or 0,
        venue=settings.venue.name,
        data_folder=str(settings.data_folder),
        engine_pid=next(role.pid for role in roles.values() if role.part is Part.ENGINE),
        simulator_url=simulator_url,
        truth_folder=truth_folder,
        instruments=tuple(
            Listed(
                symbol=each.symbol,
                process=each.worker,
                pid=roles[each.worker].pid,
                restarts=roles[each.worker].restarts,
                parked=roles[each.worker].parked,
                levels=each.levels,
                max_depth=each.max_depth,
                ring_mib=each.ring_mib,
                max_lag_ms=each.max_lag_ms,
            )
            for each in settings.symbols
        ),
    )
