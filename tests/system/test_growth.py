"""A leak is told from noise, out of looks at made processes and at a real one."""

import os
import random
from pathlib import Path

from tests.system.growth import Look, growth, look, too_much

ALLOWED = Look(own_mib=4.0, descriptors=2, threads=1, maps=4)
LOOKS = 60  # of ten minutes, after a warm-up: one in eight seconds
LOOKS_A_MINUTE = 8


def test_one_a_minute_is_seen_and_peaks_are_not(seed: int) -> None:
    rng = random.Random(seed)

    def noise(most: int) -> int:
        return rng.choice((0, 0, 0, 0, rng.randrange(most)))

    steady = [Look(20 + rng.random(), 30 + noise(9), 4, 300 + noise(20)) for _ in range(LOOKS)]
    assert too_much(growth(steady), ALLOWED) == {}
    for name in ("descriptors", "maps"):
        leaking = [each._replace(**{name: getattr(each, name) + i // LOOKS_A_MINUTE}) for i, each in enumerate(steady)]
        assert list(too_much(growth(leaking), ALLOWED)) == [name]


def test_what_a_process_has_is_counted(tmp_path: Path) -> None:
    before = look(os.getpid(), ())
    kept = [os.open(tmp_path, os.O_RDONLY) for _ in range(5)]
    memory = bytearray(b"\1") * (8 << 20)
    try:
        after = look(os.getpid(), ())
    finally:
        for descriptor in kept:
            os.close(descriptor)
    assert after.descriptors == before.descriptors + len(kept)
    assert len(memory) / 2**20 - 1 < after.own_mib - before.own_mib < 2 * len(memory) / 2**20
