"""The two ends of the fork server's channel agree: the real server, with a stand-in for what a worker does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.engine.supervisor.stand_ins import TOP, put_stand_ins

# A supervisor's part, in a process of its own because orphans become its children.
SCRIPT = """
import os, select, signal, sys
from engine.supervisor.child import Child
from engine.supervisor.decide import Death
from engine.supervisor.server import ForkServer, Ready, Spawned
from shm.life import adopt_orphans, is_held
from pathlib import Path

adopt_orphans()
server = ForkServer(os.environ)
assert list(server.answers()) == []

def answer():
    assert select.select([server.channel], [], [], 20)[0]
    (only,) = server.answers()
    return only

assert isinstance(answer(), Ready)
task = {"symbol": "MNQ", "batch_max_frames": 1, "batch_max_us": 1, "spin_us": 0, "quarantine": [],
        "timeframes": "", "close_grace_ms": 250, "hot_rows": 256}
job = {"name": "MNQ", "cpu": -1, "replay": False, "bell": False, "folder": sys.argv[1], "generation": 1,
       "data_folder": sys.argv[1], "supervisor_pid": os.getpid(), "instruments": [task]}
assert server.ask(job)
spawned = answer()
assert isinstance(spawned, Spawned) and spawned.name == "MNQ"
assert not os.get_inheritable(spawned.pidfd)
child = Child(spawned.pid, spawned.pidfd)
assert select.select([child.pidfd], [], [], 20)[0]
assert child.reap() == Death(0, 1), "there is no segment: an error, and status 1"
server.tell(signal.SIGKILL)
assert select.select([server.pidfd], [], [], 20)[0]
assert server.reap() == Death(signal.SIGKILL, 0)
assert not server.ask(job)
assert list(server.answers()) == []
print("ok")
"""


def test_a_server_is_asked_and_answers(tmp_path: Path, shm_root: Path) -> None:
    put_stand_ins(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(shm_root)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout == "ok\n", done.stderr
    assert "FileNotFoundError" in done.stderr
