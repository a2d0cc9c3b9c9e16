"""What the supervisor tells a process is what that process reads."""

import json
import os
from dataclasses import replace
from pathlib import Path

from engine.__main__ import read_job
from engine.config import Settings
from engine.job import parse_with
from engine.processes import processes_of
from engine.replayer.job import Wanted
from engine.supervisor.decide import Begun
from engine.supervisor.employment import historian_job, job_line, worker_job
from tests.engine.supervisor.stand_ins import PAIR, TWO, settings_of
from workers.job import Job


def settings(root: Path) -> Settings:
    return settings_of("default", root, root / "data", (*TWO, *PAIR)).at_simulator("http://127.0.0.1:1", "me")


def test_an_engine_has_the_instruments_of_now(tmp_path: Path) -> None:
    line = job_line(settings(tmp_path), TWO, tmp_path / "default", 4)
    assert line.count(b"\n") == 1
    job = read_job(line)
    assert job.settings == replace(settings(tmp_path), symbols=TWO)
    assert (job.generation, job.folder, job.supervisor_pid) == (4, tmp_path / "default", os.getpid())


def test_a_worker_has_its_instruments_and_the_records_that_each_sets_aside(tmp_path: Path) -> None:
    shared = processes_of(PAIR)["quiet"]
    told = worker_job(shared, (Begun("ES", 5), Begun("NQ", 6)), tmp_path / "data", tmp_path / "default", 4)
    job = Job.from_json(json.dumps(told).encode())
    assert (job.name, job.bell, job.generation, job.supervisor_pid) == ("quiet", True, 4, os.getpid())
    assert (job.folder, job.data_folder) == (str(tmp_path / "default"), str(tmp_path / "data"))
    assert [(each.symbol, each.quarantine) for each in job.instruments] == [("NQ", (6,)), ("ES", (5,))]


def test_a_player_is_told_what_to_play_beside_the_job_of_an_engine(tmp_path: Path) -> None:
    wanted = Wanted((tmp_path / "journal",), 2.0, None, 9)
    line = job_line(settings(tmp_path), TWO, tmp_path / "default", 4, wanted.to_json())
    job, replay = parse_with(line, "the job", "replay")
    assert (job.settings.symbols, job.generation) == (TWO, 4)
    assert Wanted.from_json(replay) == wanted


def test_a_historian_is_told_where_the_recorder_writes(tmp_path: Path) -> None:
    job = json.loads(historian_job(settings(tmp_path)))
    assert job == {"journal": str(tmp_path / "data" / "journal"), "supervisor_pid": os.getpid()}
