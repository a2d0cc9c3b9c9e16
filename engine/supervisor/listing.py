"""The registry's content, out of what the supervisor knows."""

import os
from collections.abc import Iterable, Mapping

from shm.layout import LAYOUT_VERSION
from shm.life import start_ticks
from shm.registry import Listed, Registry

from ..config import Settings
from .decide import Part, Role
from .turnover import Held


def list_all(
    settings: Settings,
    held: Iterable[Held],
    generation: int,
    roles: Mapping[str, Role],
    simulator_url: str | None,
    truth_folder: str | None,
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
        instruments=tuple(_listed(each, roles.get(each.settings.worker)) for each in held),
        keeper_pid=_pid(roles, Part.KEEPER),
        recorder_pid=_pid(roles, Part.RECORDER),
        historian_pid=_pid(roles, Part.HISTORIAN),
    )


def _pid(roles: Mapping[str, Role], part: Part) -> int:
    """Of a part that may not be there."""
    return next((role.pid for role in roles.values() if role.part is part), 0)


def _listed(held: Held, role: Role | None) -> Listed:
    """`role`: of its worker process; None for the moment in which an instrument is between two."""
    settings = held.settings
    return Listed(
        symbol=settings.symbol,
        process=settings.worker,
        pid=role.pid if role else 0,
        restarts=role.restarts if role else 0,
        parked=role.parked if role else "",
        levels=settings.levels,
        max_depth=settings.max_depth,
        ring_mib=settings.ring_mib,
        max_lag_ms=settings.max_lag_ms,
        made=held.made,
    )
