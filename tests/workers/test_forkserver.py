"""The fork server: a worker is the supervisor's own child, and nobody's end touches who should go on."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shm.life import start_ticks
from tests.waiting import wait_for
from workers.job import MAX_INSTRUMENTS, MAX_JOB_BYTES, MAX_QUARANTINED, Job, Task

TOP = Path(__file__).resolve().parents[2]
TASK = Task("MNQ", 256, 1000, 0, (7, 8))
JOB = Job("MNQ", -1, False, True, "/dev/shm/shardbook-1000/default", 3, "/data", 99, (TASK, Task("MES", 1, 1, 1, ())))


def play(scene: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(TOP / "tests" / "workers" / "forkserver_scenes.py"), scene, str(folder)],
        env={**os.environ, "PYTHONPATH": str(TOP), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "scene",
    [
        "a_worker_is_the_supervisors_child",
        "a_worker_is_pinned_and_one_that_cannot_be_goes_on",
        "an_end_is_seen_as_it_was",
        "a_killed_server_touches_no_worker",
        "a_server_with_a_second_thread_refuses",
        "no_second_worker_lives_under_one_lock",
        "a_worker_of_another_supervisor_does_not_start",
        "a_server_in_doubt_ends_and_leaves_no_worker",
        "the_server_ends_when_the_channel_does",
    ],
)
def test_scene(scene: str, shm_root: Path) -> None:
    with play(scene, shm_root) as process:
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    if scene == "an_end_is_seen_as_it_was":
        assert "RuntimeError: as it was told" in complaints
    if scene == "a_worker_is_pinned_and_one_that_cannot_be_goes_on":
        assert complaints == "worker B runs on any CPU: it cannot have 4095 (Invalid argument)\n"


def test_all_end_with_the_supervisor(shm_root: Path) -> None:
    with play("all_end_with_the_supervisor", shm_root) as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        assert all(start_ticks(pid) is not None for pid in pids)
        process.kill()
        process.wait()
    wait_for(lambda: all(start_ticks(pid) is None for pid in pids), 5, "the end of server and workers")


def test_a_job_is_read_as_it_was_written() -> None:
    assert Job.from_json(JOB.to_json()) == JOB


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        JOB.to_json().replace(b'"generation":3', b'"generation":"3"'),
        JOB.to_json().replace(b'"generation":3', b'"generation":true'),
        JOB.to_json().replace(b'"symbol":"MNQ"', b'"symbol":5'),
        JOB.to_json().replace(b'"symbol"', b'"symbols"'),
        JOB.to_json().replace(b'"name"', b'"names"'),
        JOB.to_json().replace(b'"bell":true', b'"bell":1'),
        JOB.to_json().replace(b'"bell":true', b'"bell":false'),
        replace(JOB, instruments=()).to_json(),
        replace(JOB, instruments=(TASK,) * (MAX_INSTRUMENTS + 1)).to_json(),
        JOB.to_json().partition(b'"instruments"')[0] + b'"instruments":{}}',
        JOB.to_json().replace(b"[7,8]", b'[7,"8"]'),
        JOB.to_json().replace(b"[7,8]", b"7"),
        JOB.to_json().replace(b"[7,8]", json.dumps([1] * (MAX_QUARANTINED + 1)).encode()),
        JOB.to_json()[:-1] + b',"more":1}',
    ],
)
def test_what_is_no_job(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Job.from_json(text)


def test_the_largest_job_is_one_packet() -> None:
    """As many instruments as an engine has, all that may be set aside, and folders as long as the system takes."""
    quarantine = tuple((1 << 62) + n for n in range(MAX_QUARANTINED))
    tasks = [Task(f"{n:032}", 65536, 100_000, 1000, ()) for n in range(MAX_INSTRUMENTS)]
    folder = f"/{'x' * 4094}"
    job = Job(
        "N" * 32,
        4095,
        False,
        True,
        folder,
        1 << 23,
        folder,
        1 << 22,
        (replace(tasks[0], quarantine=quarantine), *tasks[1:]),
    )
    assert len(job.to_json()) <= MAX_JOB_BYTES
    assert Job.from_json(job.to_json()) == job
