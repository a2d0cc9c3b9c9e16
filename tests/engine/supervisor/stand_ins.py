"""A whole supervisor with its real fork server, over an engine, a simulator and workers that only play their part.

The stand-ins are packages `engine` and `workers` in a folder of their own, in front of the real ones: what they do
not have, they take from there. Each does what a file says that is named after it in the data folder: a word, which
it looks for in each turn of its loop.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.config import (
    FeedSettings,
    HttpSettings,
    JournalSettings,
    KeeperSettings,
    Settings,
    SymbolSettings,
    VenueSettings,
)
from shm import registry
from shm.life import start_ticks
from tests.waiting import wait_for

TOP = Path(__file__).resolve().parents[3]
LIMIT_S = 60.0  # a parked part is known after 19 s of back-off
CANARY = "canary-5b1e"

_IN_FRONT = """
from pathlib import Path
__path__.append({real!r})
"""

_WORKER = """
import os, signal, time
from pathlib import Path
from shm import layout, segment
from shm.layout import Kind
from shm.registry import generation_folder

def warm():
    pass

def run(job):
    wish = Path(job.data_folder) / job.name
    rings = {}
    for symbol in (each.symbol for each in job.instruments):
        path = generation_folder(Path(job.folder), job.generation) / f"{symbol}.ring"
        attached = segment.attach(path, Kind.RING, writable=True, generation=job.generation, symbol=symbol)
        rings[symbol] = attached.array("words")
        rings[symbol][layout.BEGUN] = 0
    set_aside = {(each.symbol, number) for each in job.instruments for number in each.quarantine}
    told = Path(job.data_folder) / f"{job.name}.job"
    told.with_suffix(".new").write_bytes(job.to_json())
    told.with_suffix(".new").rename(told)
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    while not ending or wish.exists() and wish.read_text() == "deaf":
        word, *begun = (wish.read_text() if wish.exists() else "live").split(" ")
        if word == "fail":
            return 3
        for words in rings.values():
            words[layout.HEARTBEAT] += 1
        if word == "crash" and (begun[0], int(begun[1])) not in set_aside:
            rings[begun[0]][layout.BEGUN] = int(begun[1])
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(0.005)
    return 0
"""

_ENGINE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from shm import layout, segment
from shm.layout import Kind
from shm.life import LifeLock, end_with
from shm.registry import generation_folder

job = json.loads(sys.stdin.readline())
os.set_blocking(0, False)
rest = b""
end_with(job["supervisor_pid"], signal.SIGKILL)
lock = LifeLock.take(Path(job["folder"]) / "engine.lock")
data = Path(job["settings"]["data_folder"])
path = generation_folder(Path(job["folder"]), job["generation"]) / "recorder"
beats = int(segment.attach(path, Kind.RECORDER, generation=job["generation"]).array("words")[0])
(data / "engine.job").write_text(json.dumps(job | {"beats": beats}))
path = generation_folder(Path(job["folder"]), job["generation"]) / "engine"
words = segment.attach(path, Kind.ENGINE, writable=True, generation=job["generation"]).array("words")
print(json.dumps({"event": "streaming"}), flush=True)
if (data / "engine").exists() and (data / "engine").read_text() == "orphan":
    # A grandchild that its parent leaves: the supervisor becomes its parent and knows nothing of it.
    parent = "import subprocess; print(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid)"
    (data / "orphan").write_bytes(subprocess.run([sys.executable, "-c", parent], stdout=subprocess.PIPE).stdout)
told = (data / "engine").read_text() if (data / "engine").exists() else ""
if told.startswith("let go "):
    said = {"event": "let_go", "symbol": told[7:], "message": "the venue has no " + told[7:] + " any more"}
    print(json.dumps(said), flush=True)
while True:
    words[0] += 1
    wish = (data / "engine").read_text() if (data / "engine").exists() else ""
    try:
        rest += os.read(0, 1 << 16)
    except BlockingIOError:
        pass
    while b"\\n" in rest:
        line, _, rest = rest.partition(b"\\n")
        with (data / "engine.heard").open("ab") as heard:
            heard.write(line + b"\\n")
        said = json.loads(line)
        symbol = said["symbol"] if said["do"] == "remove" else said["symbol"]["symbol"]
        answer = {"event": {"check": "checked", "add": "added", "remove": "removed"}[said["do"]], "symbol": symbol}
        if wish == "refuse " + said["do"]:
            answer = {"event": "refused", "symbol": symbol, "message": "the venue has no " + symbol, "final": True}
        if wish == "busy " + said["do"]:
            answer = {"event": "refused", "symbol": symbol, "message": "the venue sleeps", "final": False}
        if wish != "deaf":
            print(json.dumps(answer), flush=True)
    if wish == "fatal":
        said = {"event": "fatal", "message": "the venue does not like us: ask it why", "final": True}
        print(json.dumps(said), flush=True)
        sys.exit(1)
    time.sleep(0.005)
"""

_KEEPER = """
import json, os, signal, sys, time
from pathlib import Path
from shm import layout, segment
from shm.layout import Kind
from shm.life import LifeLock, end_with
from shm.registry import generation_folder

line = sys.stdin.readline()
job = json.loads(line)
end_with(job["supervisor_pid"], signal.SIGKILL)
lock = LifeLock.take(Path(job["folder"]) / "keeper.lock")
data = Path(job["settings"]["data_folder"])
path = generation_folder(Path(job["folder"]), job["generation"]) / "keeper"
words = segment.attach(path, Kind.KEEPER, writable=True, generation=job["generation"]).array("words")
print("nobody reads this")
os.set_blocking(0, False)
rest = line.encode()
while True:
    wish = (data / "keeper").read_text() if (data / "keeper").exists() else ""
    if wish == "fail":
        sys.exit(3)
    if wish == "stand still":
        time.sleep(0.005)
        continue
    words[0] += 1
    while b"\\n" in rest:
        line, _, rest = rest.partition(b"\\n")
        symbols = [each["symbol"] for each in json.loads(line)["settings"]["symbols"]]
        with (data / "keeper.heard").open("a") as heard:
            heard.write(" ".join(symbols) + "\\n")
    try:
        rest += os.read(0, 1 << 16)
    except BlockingIOError:
        pass
    time.sleep(0.005)
"""

_RECORDER = """
import json, os, signal, sys, time
from pathlib import Path
from shm import layout, segment
from shm.layout import Kind
from shm.life import LifeLock, end_with, is_held
from shm.registry import generation_folder

job = json.loads(sys.stdin.readline())
folder, data = Path(job["folder"]), Path(job["settings"]["data_folder"])
wish = lambda: (data / "recorder").read_text() if (data / "recorder").exists() else ""
(data / "recorder.new").write_text("")
while wish() == "import" and signal.SIGTERM not in signal.sigpending():
    time.sleep(0.005)
def end(number, frame):
    held = sorted(path.stem for path in folder.glob("*.lock") if is_held(path))
    (data / "recorder.end").write_text(" ".join(held))
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
end_with(job["supervisor_pid"], signal.SIGTERM)
lock = LifeLock.take(folder / "recorder.lock")
path = generation_folder(folder, job["generation"]) / "recorder"
words = segment.attach(path, Kind.RECORDER, writable=True, generation=job["generation"]).array("words")
with (data / "recorder.heard").open("a") as heard:
    heard.write(" ".join(each["symbol"] for each in job["settings"]["symbols"]) + "\\n")
while True:
    if wish() == "fail":
        sys.exit(3)
    words[0] += wish() != "stand still"
    time.sleep(0.005)
"""

_HISTORIAN = """
import json, signal, sys, time
from pathlib import Path
from shm.life import end_with

job = json.load(sys.stdin)
end_with(job["supervisor_pid"], signal.SIGKILL)
journal = Path(job["journal"])
with (journal.parent / "historian.heard").open("a") as heard:
    heard.write(journal.name + "\\n")
wish = journal.parent / "historian"
while not (wish.exists() and wish.read_text() == "fail"):
    time.sleep(0.005)
sys.exit(3)
"""

_SIMULATOR = """
import json, signal, sys, time
from shm.life import end_with
job = json.load(sys.stdin)
end_with(job["supervisor_pid"], signal.SIGKILL)
print(json.dumps({"url": "http://127.0.0.1:1"}), flush=True)
while True:
    time.sleep(600)
"""


def put_stand_ins(folder: Path) -> None:
    """The packages that stand in, in `folder`."""
    for package in ("engine", "workers"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(_IN_FRONT.format(real=str(TOP / package)))
    (folder / "workers" / "worker.py").write_text(_WORKER)
    (folder / "workers" / "historian.py").write_text(_HISTORIAN)
    (folder / "engine" / "__main__.py").write_text(_ENGINE)
    for part, text in (("simulator", _SIMULATOR), ("keeper", _KEEPER), ("recorder", _RECORDER)):
        (folder / "engine" / part).mkdir()
        (folder / "engine" / part / "__init__.py").write_text("")
        (folder / "engine" / part / "__main__.py").write_text(text)


def settings_of(name: str, root: Path, data: Path, symbols: tuple[SymbolSettings, ...]) -> Settings:
    tables = VenueSettings(), HttpSettings(), FeedSettings(), KeeperSettings(), JournalSettings()
    return Settings(name, root, data, *tables, symbols)


TWO = (SymbolSettings("MNQ", ring_mib=1), SymbolSettings("MES", ring_mib=1))
PAIR = (SymbolSettings("NQ", ring_mib=1, process="quiet"), SymbolSettings("ES", ring_mib=1, process="quiet"))


class Supervised:
    """A running supervisor, as its launcher sees it."""

    def __init__(
        self,
        place: Path,
        root: Path,
        name: str,
        symbols: tuple[SymbolSettings, ...] = TWO,
        launch_pid: int = 0,
        watched: Path | None = None,
    ) -> None:
        self.data = place / "data"
        self.data.mkdir(exist_ok=True)
        if not (place / "stand-ins").exists():
            put_stand_ins(place / "stand-ins")
        self.folder = registry.engine_folder(name, root)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=place / "stand-ins",
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(TOP),
                "SHARDBOOK_SHM": str(root),
                "PROJECT_X_API_KEY": CANARY,
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        job = {
            "settings": settings_of(name, root, self.data, symbols).to_json(),
            "simulator": {"truth_folder": str(place / "truth"), "user_name": "somebody"},
            "launch_pid": launch_pid or os.getpid(),
            "watched": {"folder": str(watched), "symbols": None} if watched else None,
        }
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(json.dumps(job).encode())
        self.seen: list[dict[str, Any]] = []
        self._rest = b""

    def wish(self, part: str, word: str) -> None:
        """What a part is to do from now on."""
        (self.data / f"{part}.tmp").write_text(word)
        (self.data / f"{part}.tmp").rename(self.data / part)

    def until(self, event: str, **fields: object) -> dict[str, Any]:
        """The next event of that kind with those fields; all others are kept in `seen`."""
        limit_s = time.monotonic() + LIMIT_S
        while True:
            for each in self.seen:
                if each["event"] == event and fields.items() <= each.items():
                    self.seen.remove(each)
                    return each
            self._read(limit_s, f"{event} {fields}")

    def _read(self, limit_s: float, what: str) -> None:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(max(0.0, limit_s - time.monotonic())), f"no {what}, only {self.seen}"
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        assert data, f"the supervisor ended without {what}: {self.seen}"
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.seen += [json.loads(line) for line in lines]

    def registry(self) -> registry.Registry:
        return registry.read(self.folder)

    def pid_beside(self, name: str) -> int:
        """The process of keeper, recorder or historian, once it lives."""
        wait_for(lambda: getattr(self.registry(), f"{name}_pid"), LIMIT_S, f"a {name}")
        pid: int = getattr(self.registry(), f"{name}_pid")
        return pid

    def heard_beside(self, name: str) -> list[str]:
        """The instruments of each job that it was told; of a historian's, the folder."""
        path = self.data / f"{name}.heard"
        return path.read_text().splitlines() if path.exists() else []

    def job_of(self, process: str) -> dict[str, Any]:
        """What a worker process was told when it was forked last."""
        found: dict[str, Any] = json.loads((self.data / f"{process}.job").read_text())
        return found

    def worker_pids(self) -> dict[str, int]:
        return {each.symbol: each.pid for each in self.registry().instruments}

    def stop(self) -> int:
        """Ask it to stop; its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """The end of a test, however it went: nothing lives on."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def lives(pid: int) -> bool:
    return start_ticks(pid) is not None
