"""A leak is told from noise, out of looks that are made up and at a real process."""

import random
import subprocess
import sys
from pathlib import Path

from tests.system.growth import Look, growth, look, too_much

ALLOWED = Look(own_mib=4.0, descriptors=2, threads=1, maps=4)
LOOKS = 60  # of ten minutes, after a warm-up: one in eight seconds
LOOKS_A_MINUTE = 8
HELD, HELD_MIB = 5, 8
HOLDS = f"""
import os, sys
print("here", flush=True)
sys.stdin.readline()
held = [os.open(sys.argv[1], os.O_RDONLY) for _ in range({HELD})]
memory = bytearray(b"1") * ({HELD_MIB} << 20)
print("here", flush=True)
sys.stdin.readline()
"""


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
    command = [sys.executable, "-S", "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        looks = []
        for _ in range(2):
            assert process.stdout.readline() == b"here\n"
            looks.append(look(process.pid, ()))
            process.stdin.write(b"on\n")
            process.stdin.flush()
    before, after = looks
    assert after.descriptors == before.descriptors + HELD
    assert HELD_MIB - 1 < after.own_mib - before.own_mib < 2 * HELD_MIB
