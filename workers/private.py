"""The regions of a segment in memory that nobody else sees: to warm kernels on, and to run the past through."""

from typing import Any

import numpy as np

from shm import layout


class Private:
    """What map_memory wants of a segment: its arrays, all zero."""

    def __init__(self, regions: layout.Regions) -> None:
        self._arrays = {name: np.zeros(region.shape, region.dtype) for name, region in regions.items()}

    def array(self, name: str) -> Any:
        return self._arrays[name]


def private_ring(capacity: int) -> Private:
    """An empty ring of `capacity` data bytes."""
    ring = Private(layout.ring_regions(capacity))
    ring.array("words")[layout.CAPACITY] = capacity
    return ring
