"""Scenes with a fork server, each played in a process of its own: `python forkserver_scenes.py SCENE FOLDER`.

That process is the supervisor here: single-threaded, as it must be where one forks, and a child subreaper. The
server is `workers.__main__.serve` with `act` in the place of a worker's life.
"""

import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from shm.life import LifeLock, adopt_orphans, end_with, is_held, start_ticks
from tests.waiting import wait_for
from workers.__main__ import serve
from workers.job import Job, Task

LIMIT_S = 10.0
_PR_GET_PDEATHSIG = 2


def act(job: Job) -> int:
    """A worker's life as its job's `data_folder` says it, after noting what can be seen from inside."""
    wish = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(wish), 0, 0, 0)
    links = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}
    facts = {
        "job": job.to_json().decode(),
        "parent": os.getppid(),
        "death_signal": wish.value,
        "files": links,
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "cpus": sorted(os.sched_getaffinity(0)),
        "threads": len(os.listdir("/proc/self/task")),
    }
    noted = Path(job.folder) / f"{job.name}.facts"
    noted.with_suffix(".tmp").write_text(json.dumps(facts))
    noted.with_suffix(".tmp").rename(noted)
    match job.data_folder:
        case "raise":
            raise RuntimeError("as it was told")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "end":
            return 7
    while True:
        signal.pause()


def _is_open(name: str) -> bool:
    try:
        os.stat(f"/proc/self/fd/{name}")
    except OSError:
        return False
    return True


class Server:
    """A forked fork server, and the supervisor's end of its channel."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(LIMIT_S)
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                end_with(supervisor, signal.SIGKILL)
                before()
                serve(theirs, act)
            finally:
                os._exit(0)
        theirs.close()

    def ask(self, job: Job) -> tuple[dict[str, Any], list[int]]:
        self.channel.send(job.to_json())
        text, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        return json.loads(text), descriptors

    def spawn(self, job: Job) -> tuple[int, int]:
        answer, (pidfd,) = self.ask(job)
        assert (answer["event"], answer["name"]) == ("spawned", job.name), answer
        return answer["pid"], pidfd

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def job_in(folder: Path, name: str = "MNQ", wish: str = "live") -> Job:
    return Job(name, -1, False, False, str(folder), 1, wish, os.getpid(), (Task(name, 256, 1000, 0, (5, 6)),))


def facts_of(job: Job) -> dict[str, Any]:
    noted = Path(job.folder) / f"{job.name}.facts"
    wait_for(noted.exists, LIMIT_S, f"{noted}")
    facts: dict[str, Any] = json.loads(noted.read_text())
    return facts


def death_of(pidfd: int) -> tuple[int, int]:
    """Wait for the end of a worker, as its parent: (si_code, si_status)."""
    readable, _, _ = select.select([pidfd], [], [], LIMIT_S)
    assert readable, "the worker did not end"
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None
    return result.si_code, result.si_status


def lock_of(job: Job) -> Path:
    return Path(job.folder) / f"worker-{job.name}.lock"


def a_worker_is_the_supervisors_child(folder: Path) -> None:
    server = Server()
    job = job_in(folder)
    pid, pidfd = server.spawn(job)
    facts = facts_of(job)
    assert Job.from_json(facts["job"].encode()) == job
    assert facts["parent"] == os.getpid()
    assert facts["death_signal"] == signal.SIGKILL
    assert facts["sigterm"]
    assert facts["threads"] == 1
    beyond = {name: link for name, link in facts["files"].items() if int(name) > 2}
    assert list(beyond.values()) == [str(lock_of(job))], beyond
    assert is_held(lock_of(job))
    assert lock_of(job).read_text() == f"{pid} {start_ticks(pid)}\n"
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert death_of(pidfd) == (os.CLD_KILLED, signal.SIGKILL)
    assert not is_held(lock_of(job))
    server.kill()


def a_worker_is_pinned_and_one_that_cannot_be_goes_on(folder: Path) -> None:
    server = Server()
    allowed = sorted(os.sched_getaffinity(0))
    for name, cpu, expected in (("A", allowed[-1], [allowed[-1]]), ("B", 4095, allowed), ("C", -1, allowed)):
        job = replace(job_in(folder, name), cpu=cpu)
        pid, pidfd = server.spawn(job)
        assert facts_of(job)["cpus"] == expected
        listed = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "allowed_list" in line)
        if cpu in allowed:
            assert listed == f"Cpus_allowed_list:\t{cpu}"
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert death_of(pidfd) == (os.CLD_KILLED, signal.SIGKILL)
    server.kill()


def an_end_is_seen_as_it_was(folder: Path) -> None:
    server = Server()
    for symbol, wish, death in (
        ("A", "end", (os.CLD_EXITED, 7)),
        ("B", "raise", (os.CLD_EXITED, 1)),
        ("C", "crash", (os.CLD_KILLED, signal.SIGSEGV)),
    ):
        _, pidfd = server.spawn(job_in(folder, symbol, wish))
        code, status = death_of(pidfd)
        assert (os.CLD_KILLED if code == os.CLD_DUMPED else code, status) == death, (symbol, code, status)
    server.kill()


def a_killed_server_touches_no_worker(folder: Path) -> None:
    server = Server()
    first, first_pidfd = server.spawn(job_in(folder, "A"))
    server.kill()
    assert server.channel.recv(1) == b""
    server = Server()
    second, _ = server.spawn(job_in(folder, "B"))
    for pid, symbol in ((first, "A"), (second, "B")):
        assert start_ticks(pid) is not None
        wait_for(partial(is_held, lock_of(job_in(folder, symbol))), LIMIT_S, f"worker {symbol} has its life lock")
    signal.pidfd_send_signal(first_pidfd, signal.SIGTERM)
    assert death_of(first_pidfd) == (os.CLD_KILLED, signal.SIGTERM)
    assert start_ticks(second) is not None
    server.kill()
    os.kill(second, signal.SIGKILL)


def all_end_with_the_supervisor(folder: Path) -> None:
    """Tells who lives and waits to be killed."""
    server = Server()
    workers = []
    for symbol in "AB":
        pid, _ = server.spawn(job_in(folder, symbol))
        facts_of(job_in(folder, symbol))
        workers.append(pid)
    print(json.dumps([server.pid, *workers]), flush=True)
    signal.pause()


def a_server_with_a_second_thread_refuses(folder: Path) -> None:
    server = Server(lambda: threading.Thread(target=threading.Event().wait, daemon=True).start())
    answer, descriptors = server.ask(job_in(folder))
    assert answer["event"] == "refused"
    assert "2 threads" in answer["message"]
    assert descriptors == []
    assert not (folder / "MNQ.facts").exists()
    server.kill()


def no_second_worker_lives_under_one_lock(folder: Path) -> None:
    job = job_in(folder)
    held = LifeLock.take(lock_of(job))
    server = Server()
    _, pidfd = server.spawn(job)
    assert death_of(pidfd) == (os.CLD_EXITED, 1)
    assert not (folder / "MNQ.facts").exists()
    held.release()
    server.kill()


def a_worker_of_another_supervisor_does_not_start(folder: Path) -> None:
    server = Server()
    _, pidfd = server.spawn(replace(job_in(folder), supervisor_pid=1))
    assert death_of(pidfd) == (os.CLD_EXITED, 1)
    assert not (folder / "MNQ.facts").exists()
    server.kill()


def a_server_in_doubt_ends_and_leaves_no_worker(folder: Path) -> None:
    """The process between cannot hand over what it forked."""

    def fail(pid: int) -> int:
        raise OSError("no more files")

    server = Server(lambda: setattr(os, "pidfd_open", fail))
    server.channel.send(job_in(folder).to_json())
    assert server.channel.recv(1) == b""
    ends: dict[int, int] = {}
    while len(ends) < 2:
        pid, status = os.waitpid(-1, 0)
        ends[pid] = os.waitstatus_to_exitcode(status)
    assert ends.pop(server.pid) == 0
    assert list(ends.values()) == [-signal.SIGKILL]
    assert not is_held(lock_of(job_in(folder)))


def the_server_ends_when_the_channel_does(folder: Path) -> None:
    server = Server()
    server.channel.close()
    assert os.waitpid(server.pid, 0)[1] == 0


if __name__ == "__main__":
    adopt_orphans()
    globals()[sys.argv[1]](Path(sys.argv[2]))
