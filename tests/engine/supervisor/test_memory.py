"""The engine's folder: held by one, swept of the dead, filled, and removed without a trace."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import SymbolSettings
from engine.processes import processes_of
from engine.supervisor import memory
from engine.supervisor.decide import Begun
from engine.supervisor.errors import CannotStart
from engine.supervisor.memory import Memory, needed_bytes, remove, sweep, take_name
from shm import layout, registry, segment
from shm.errors import LayoutError
from shm.layout import Kind
from shm.life import LifeLock
from tests.engine.supervisor.stand_ins import PAIR

SYMBOLS = (SymbolSettings("MNQ", ring_mib=1, levels=8, max_depth=16), SymbolSettings("MES", ring_mib=2))
OF_SYMBOLS = ["MES.book", "MES.ring", "MNQ.book", "MNQ.ring"]
COMMON = ["changed", "engine", "events", "keeper", "keeper.ring"]

HOLDER = """
import sys
from pathlib import Path
from shm.life import LifeLock
lock = LifeLock.take(Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
"""


def test_a_name_is_held_by_one(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    assert folder == registry.engine_folder(engine_name, left_nothing)
    with pytest.raises(CannotStart, match=rf"{engine_name}.* runs already \(process {os.getpid()} since 20.*kill"):
        take_name(engine_name, left_nothing)
    other, other_lock = take_name(engine_name + "2", left_nothing)
    remove(folder, lock)
    assert other.exists()
    assert not folder.exists()
    remove(other, other_lock)


def test_no_place_for_it(shm_root: Path, engine_name: str) -> None:
    with pytest.raises(CannotStart, match="SHARDBOOK_SHM"):
        take_name(engine_name, shm_root / "nowhere")
    (shm_root / f"shardbook-{os.geteuid()}").mkdir(mode=0o755)
    with pytest.raises(LayoutError, match="mode 0755"):
        take_name(engine_name, shm_root)


def test_all_segments_are_made_and_told_apart(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    made = Memory(folder, 5, SYMBOLS)
    below = registry.generation_folder(folder, 5)
    names = sorted(path.name for path in below.iterdir())
    assert names == [*OF_SYMBOLS, *COMMON]
    assert sum(path.stat().st_size for path in below.iterdir()) == needed_bytes(SYMBOLS)
    ring = segment.attach(below / "MNQ.ring", Kind.RING, writable=True, generation=5, symbol="MNQ")
    assert ring.array("words")[layout.CAPACITY] == 1 << 20
    ring.array("words")[layout.HEARTBEAT] = 7
    ring.array("words")[layout.BEGUN] = 8
    engine = segment.attach(below / "engine", Kind.ENGINE, writable=True, generation=5)
    engine.array("words")[layout.ENGINE_WORDS.index("heartbeat") * layout.WORDS_A_LINE] = 9
    keeper = segment.attach(below / "keeper", Kind.KEEPER, writable=True, generation=5)
    keeper.array("words")[layout.KEEPER_WORDS.index("heartbeat") * layout.WORDS_A_LINE] = 10
    assert segment.attach(below / "keeper.ring", Kind.RING, generation=5).array("words")[layout.CAPACITY] == 4 << 20
    mnq, mes = processes_of(SYMBOLS).values()
    assert (made.worker_beat(mnq), made.begun(mnq), made.engine_beat()) == (7, Begun("MNQ", 8), 9)
    assert made.keeper_beat() == 10
    assert (made.worker_beat(mes), made.begun(mes)) == (0, None)
    remove(folder, lock)


def test_a_shared_process_has_a_bell_and_one_life_over_all_its_rings(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    made = Memory(folder, 5, (*SYMBOLS, *PAIR))
    below = registry.generation_folder(folder, 5)
    assert [path.name for path in below.glob("*.bell")] == ["quiet.bell"]
    assert sum(path.stat().st_size for path in below.iterdir()) == needed_bytes((*SYMBOLS, *PAIR))
    shared = processes_of(PAIR)["quiet"]
    assert (made.worker_beat(shared), made.begun(shared)) == (0, None)
    for beat, symbol in ((3, "NQ"), (4, "ES")):
        ring = segment.attach(below / f"{symbol}.ring", Kind.RING, writable=True, generation=5, symbol=symbol)
        ring.array("words")[layout.HEARTBEAT] = beat
    ring.array("words")[layout.BEGUN] = 8
    assert (made.worker_beat(shared), made.begun(shared)) == (7, Begun("ES", 8))
    remove(folder, lock)


def test_a_recorder_has_a_ring_and_counters_when_something_is_recorded(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    made = Memory(folder, 5, SYMBOLS, recorder_bytes=1 << 20)
    below = registry.generation_folder(folder, 5)
    assert sum(path.stat().st_size for path in below.iterdir()) == needed_bytes(SYMBOLS, recorder_bytes=1 << 20)
    ring = segment.attach(below / "recorder.ring", Kind.RING, generation=5)
    assert ring.array("words")[layout.CAPACITY] == 1 << 20
    own = segment.attach(below / "recorder", Kind.RECORDER, writable=True, generation=5)
    own.array("words")[layout.RECORDING_WORDS.index("heartbeat") * layout.WORDS_A_LINE] = 11
    assert made.recorder_beat() == 11
    remove(folder, lock)


def test_an_account_has_a_segment_when_it_is_viewed(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    Memory(folder, 5, SYMBOLS, account=True)
    below = registry.generation_folder(folder, 5)
    assert sum(path.stat().st_size for path in below.iterdir()) == needed_bytes(SYMBOLS, account=True)
    assert segment.attach(below / "account", Kind.ACCOUNT, generation=5).writer() == (0, 0)
    remove(folder, lock)


def test_too_little_room_is_known_before_anything_is_made(
    left_nothing: Path, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    monkeypatch.setattr(segment, "free_bytes", lambda _: needed_bytes(SYMBOLS) - 1)
    with pytest.raises(segment.NoRoom, match="MiB are needed"):
        Memory(folder, 5, SYMBOLS)
    assert list(registry.generation_folder(folder, 5).iterdir()) == []
    monkeypatch.setattr(segment, "free_bytes", lambda _: needed_bytes(SYMBOLS))
    Memory(folder, 6, SYMBOLS)
    remove(folder, lock)


def test_what_dead_generations_left_is_swept(left_nothing: Path, engine_name: str) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    Memory(folder, 5, SYMBOLS)
    for name in ("engine.lock", "worker-MNQ.lock", "registry.json", "registry.json.tmp"):
        (folder / name).touch()
    lock.release()  # as a kill does
    folder, lock = take_name(engine_name, left_nothing)
    sweep(folder)
    assert [path.name for path in folder.iterdir()] == [memory.SUPERVISOR_LOCK]
    remove(folder, lock)


def test_a_sweep_waits_for_who_is_still_ending(left_nothing: Path, engine_name: str) -> None:
    """A worker of the last generation lives for a moment after its supervisor's kill."""
    folder, lock = take_name(engine_name, left_nothing)
    path = folder / "worker-MNQ.lock"
    command = "sleep 0.3; kill -9 $0"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with subprocess.Popen(["sh", "-c", command, str(holder.pid)]):
            sweep(folder)
            assert holder.wait() == -signal.SIGKILL
    assert not path.exists()
    remove(folder, lock)


def test_who_does_not_end_is_named(left_nothing: Path, engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    monkeypatch.setattr(memory, "_LEFTOVER_WAIT_S", 0.05)
    held = LifeLock.take(folder / "engine.lock")
    with pytest.raises(CannotStart, match=rf"process {os.getpid()} of an earlier run .* kill -9 {os.getpid()}"):
        sweep(folder)
    assert held.path.exists()
    held.release()
    remove(folder, lock)


def test_segments_are_made_anew_beside_the_old_ones_and_then_in_their_place(
    left_nothing: Path, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = take_name(engine_name, left_nothing)
    made = Memory(folder, 5, SYMBOLS)
    below = registry.generation_folder(folder, 5)
    old = segment.attach(below / "MNQ.ring", Kind.RING, writable=True, generation=5, symbol="MNQ")
    old.array("words")[layout.NEXT_SEQUENCE] = 4711
    changed = replace(SYMBOLS[0], levels=5, process="pair")
    monkeypatch.setattr(segment, "free_bytes", lambda _: 0)
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", _no_space)
        with pytest.raises(segment.NoRoom):
            made.prepare(changed, 2)
    names = {*OF_SYMBOLS, *COMMON}
    assert {path.name for path in below.iterdir()} == names
    made.prepare(changed, 2)
    assert {path.name for path in below.iterdir()} == names | {"MNQ.ring~", "MNQ.book~", "pair.bell"}
    assert segment.attach(below / "MNQ.ring", Kind.RING, generation=5, symbol="MNQ").made == 1
    made.put("MNQ")
    assert {path.name for path in below.iterdir()} == names | {"pair.bell"}
    new = segment.attach(below / "MNQ.ring", Kind.RING, generation=5, symbol="MNQ")
    assert (new.made, new.array("words")[layout.FIRST_SEQUENCE]) == (2, 4711)
    book = segment.attach(below / "MNQ.book", Kind.BOOK, generation=5, symbol="MNQ")
    assert (book.made, book.regions["cell_levels"].shape[2]) == (2, 5)
    assert old.array("words")[layout.FIRST_SEQUENCE] == 0
    made.drop("MNQ")
    made.drop_bell("pair")
    made.drop_bell("MES")
    assert {path.name for path in below.iterdir()} == names - {"MNQ.book", "MNQ.ring"}
    made.prepare(SYMBOLS[0], 3)  # it comes back, and its sequences do not begin again
    made.prepare(SYMBOLS[0], 3)
    made.put("MNQ")
    back = segment.attach(below / "MNQ.ring", Kind.RING, generation=5, symbol="MNQ")
    assert (back.made, back.array("words")[layout.FIRST_SEQUENCE]) == (3, 4711)
    made.prepare(changed, 4)
    made.discard("MNQ")
    assert not list(below.glob("*~"))
    remove(folder, lock)


def _no_space(descriptor: int, offset: int, size: int) -> None:
    raise OSError(errno.ENOSPC, "full")
