"""The simulator as a process: its job on stdin, its address on stdout, a good end, and one sentence for a bad job."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from engine.simulator.__main__ import BadJob, Job, build
from engine.simulator.flow import Kind
from engine.simulator.schedule import BURSTS
from engine.simulator.truth import Truth
from tests.engine.simulator.venue import job

TOP = Path(__file__).resolve().parents[3]
LIMIT_S = 120.0  # the first start on a machine compiles


def fields(folder: Path, **changed: Any) -> dict[str, Any]:
    made = job(folder, **changed)
    return {name: getattr(made, name) for name in Job.__slots__}


def start(given: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-m", "engine.simulator"], subprocess.PIPE
    process = subprocess.Popen(command, cwd=TOP, text=True, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    process.stdin = None  # `communicate` would flush it again
    return process


def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    process = start(json.dumps(fields(tmp_path)))
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/simulator/status", timeout=10) as answer:
            status = json.load(answer)
        assert status["contracts"].keys() == {"MNQ", "GC"}
        assert not status["paused"]
        assert (tmp_path / "truth" / "truth.json").is_file()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(json.dumps(fields(tmp_path, port=taken.getsockname()[1])))
        output, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    said = json.loads(output)
    assert said["event"] == "fatal"
    assert "cannot listen" in said["message"]
    assert "\n" not in said["message"]
    assert errors == ""


def test_bursts_and_a_tokens_lifetime_come_from_the_job(tmp_path: Path) -> None:
    plain = build(job(tmp_path / "plain"))
    bursting = build(job(tmp_path / "bursting", bursts=True, token_lifetime_s=5))
    for gateway, rhythm in ((plain, None), (bursting, BURSTS)):
        assert {schedule.rhythm for schedule in gateway.sender._schedules.values()} == {rhythm}
    assert [gateway._tokens.lifetime_s for gateway in (plain, bursting)] == [24 * 3600, 5]


def test_single_prints_come_from_the_job_and_are_its_truth(tmp_path: Path) -> None:
    gateway = build(job(tmp_path, prints="single", rate_entries_per_s=100.0))
    for symbol, channel in gateway.sender.channels.items():
        is_trade = channel.flow.records["kind"] == Kind.TRADES
        assert set(channel.flow.records["entries"][is_trade].tolist()) == {1}
        assert gateway.sender._gaps_s[symbol] > 0
        assert len(Truth.open(tmp_path / "truth").of_symbol(symbol).records) == len(channel.flow)


def test_a_quiet_contract_says_next_to_nothing_and_the_others_keep_their_rate(tmp_path: Path) -> None:
    gateway = build(job(tmp_path, symbols=["MNQ", "GC", "ES"], quiet=["GC"]))
    rates = {symbol: schedule.units_per_s for symbol, schedule in gateway.sender._schedules.items()}
    assert rates == {"MNQ": 1000, "GC": pytest.approx(0.3), "ES": 1000}
    due = [gateway.sender._schedules["GC"].due_at(record) for record in range(150)]
    assert 10 < due[-1] / len({round(at_s, 6) for at_s in due}) < 30


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"symbols": ["MNQ", "XYZ"]}, "XYZ"),
        ({"symbols": []}, "symbols"),
        ({"rate_entries_per_s": 0.5}, "rate"),
        ({"rate_entries_per_s": 200_001}, "rate"),
        ({"pace": 0}, "pace"),
        ({"colour": "red"}, "colour"),
        ({"token_lifetime_s": 0}, "token"),
        ({"token_lifetime_s": 1.5}, "token"),
        ({"flow": "x.dbn", "symbols": ["MNQ"]}, "ES"),
        ({"prints": "pairs"}, "lists or single"),
        ({"prints": "single"}, "500"),
        ({"prints": "single", "rate_entries_per_s": 50.0, "bursts": True}, "bursts"),
        ({"quiet": ["ES"]}, "quiet"),
        ({"quiet": "MNQ"}, "quiet"),
        ({"quiet": 5}, "stdin"),
    ],
)
def test_a_bad_job_says_what_is_wrong(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(BadJob, match=words):
        job(tmp_path, **changed)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[[[["])
def test_what_is_no_job_is_refused(text: str) -> None:
    with pytest.raises(BadJob, match="stdin"):
        Job.read(text)
