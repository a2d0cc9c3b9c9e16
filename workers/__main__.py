"""The fork server: it imports and compiles everything once, and then every worker is a fork of it.

It is a process of its own, with one thread, because a fork copies nothing of other threads but their locks. Its
standard input is one end of a socket pair of packets; the supervisor made it and has the other. Packets are JSON:

    here → supervisor   {"event": "compiling"}                                        at most once: kernels are not kept
                        {"event": "ready", "compile_seconds": 0.4}                    once, when all is warm
    supervisor → here   a Job (see job.py)
    here → supervisor   {"event": "spawned", "name": "MNQ", "pid": 123}               with a pidfd by SCM_RIGHTS
                        {"event": "refused", "name": "MNQ", "message": "…"}

It forks twice. The process between ends at once, so the worker's parent becomes the supervisor (a child
subreaper), which then reaps it and sees by which signal it died. The answer is sent when that has happened. So the
end of this server touches no worker.
"""

import gc
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from shm.compiled import telling_of_compiling
from shm.life import AlreadyHeld, LifeLock, end_with

from . import worker
from .job import MAX_JOB_BYTES, Job

_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid
_PARENT_WAIT_S = 5.0
_PARENT_POLL_S = 0.0002

Run = Callable[[Job], int]


class CannotSpawn(Exception):
    """No worker was made; the message says why."""


def serve(channel: socket.socket, run: Run) -> None:
    """Answer every Job on `channel` with a worker, until the other end is closed."""
    while packet := channel.recv(MAX_JOB_BYTES):
        job = Job.from_json(packet)
        try:
            pid, descriptor = spawn(job, run, channel)
        except (CannotSpawn, OSError) as error:
            _send(channel, {"event": "refused", "name": job.name, "message": str(error)})
            continue
        try:
            _send(channel, {"event": "spawned", "name": job.name, "pid": pid}, descriptor)
        finally:
            os.close(descriptor)


def spawn(job: Job, run: Run, channel: socket.socket) -> tuple[int, int]:
    """Fork a worker that runs `run(job)`: its pid and a pidfd, once it is the supervisor's child.

    Raises CannotSpawn if this process has more than one thread. If the process between came to harm, a worker may
    live that nobody knows: then this server ends, and the supervisor ends every child that it does not know.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise CannotSpawn(f"the fork server has {threads} threads: a worker forked from it could hang in a lock")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setblocking(False)
    with here, there:
        between = os.fork()
        if between == 0:
            _fork_worker(job, run, channel, here, there)
        os.waitpid(between, 0)  # from here on the worker, if there is one, is the supervisor's
        try:
            text, descriptors, _, _ = socket.recv_fds(here, 64, 1)
        except BlockingIOError:
            sys.exit(f"the fork server ends: what became of a worker for {job.name} is not known")
    return int(text), descriptors[0]


def _fork_worker(job: Job, run: Run, *inherited: socket.socket) -> None:
    """The process between: fork the worker, hand over its pidfd, end. Returns in neither process."""
    status = 1
    try:
        between_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            for each in inherited:
                each.close()
            status = _live(job, run, between_pid)
        else:
            try:
                # While it is our child its pid cannot be another's, whatever became of it.
                socket.send_fds(inherited[-1], [str(pid).encode()], [os.pidfd_open(pid)])
            except OSError:
                os.kill(pid, signal.SIGKILL)
                raise
            status = 0
    except BaseException:  # nothing may unwind into the server's own frames: this process is a copy of it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _live(job: Job, run: Run, between_pid: int) -> int:
    """A worker's life, from the moment it has its own pid: its exit status."""
    # The death signal is tied to the parent at the moment it is asked for: so only after the reparenting.
    limit_s = time.monotonic() + _PARENT_WAIT_S
    while os.getppid() == between_pid and time.monotonic() < limit_s:
        time.sleep(_PARENT_POLL_S)
    try:
        end_with(job.supervisor_pid, signal.SIGKILL)
        _pin(job)
        life = LifeLock.take(Path(job.folder) / f"worker-{job.name}.lock")
    except (AlreadyHeld, ProcessLookupError) as error:
        print(f"worker {job.name} does not start: {error}", file=sys.stderr)
        return 1
    status = run(job)
    life.release()
    return status


def _pin(job: Job) -> None:
    """Run on the job's CPU from now on, before anything of its own is touched: memory comes from where it runs."""
    if job.cpu < 0:
        return
    try:
        os.sched_setaffinity(0, {job.cpu})
    except OSError as error:  # the CPUs of a container can change while it runs
        print(f"worker {job.name} runs on any CPU: it cannot have {job.cpu} ({error.strerror})", file=sys.stderr)


def _send(channel: socket.socket, message: dict[str, object], *descriptors: int) -> None:
    socket.send_fds(channel, [json.dumps(message).encode()], list(descriptors))


def _take_channel() -> socket.socket:
    """The socket that is our standard input, moved away from there: a worker's standard input is empty."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel


def main() -> int:
    channel = _take_channel()
    supervisor_pid, _, _ = _PEER.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the supervisor's to act on; workers inherit this
    try:
        end_with(supervisor_pid, signal.SIGKILL)
        started_s = time.monotonic()
        with telling_of_compiling(lambda: _send(channel, {"event": "compiling"})):
            worker.warm()
        gc.collect()
        gc.freeze()  # what is shared with the workers stays shared: a collection there would write to every object
        _send(channel, {"event": "ready", "compile_seconds": round(time.monotonic() - started_s, 3)})
        serve(channel, worker.run)
    except (ProcessLookupError, BrokenPipeError, ConnectionResetError):
        return 0  # the supervisor has ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
