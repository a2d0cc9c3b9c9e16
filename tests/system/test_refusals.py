"""Every wrong use and every machine that cannot: one clear sentence on stderr, status 2 or 1, nothing left behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shm import LayoutError, NoEngine, attach, layout
from shm.layout import HEADER, Kind
from shm.registry import engine_folder, generation_folder
from shm.segment import attach as attach_segment
from tests.conftest import processes_of
from tests.system.running import TOP, running, wait_beside, wait_live, without_compiling
from tests.waiting import wait_for

LIMIT_S = 90.0
USER, RIGHT_KEY, WRONG_KEY = "trader1", "right-key-0123456789", "wrong-key-9876543210"


def launch(*arguments: str, command: tuple[str, ...] = (), **environ: str) -> tuple[int, str]:
    """Status and stderr of a launch that ends by itself; its stdout has to be empty, as there is no result.

    One that gets as far as starting processes is given --json: without it a start that takes long is shown.
    """
    command = command or (sys.executable, "-m", "engine.launch")
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=LIMIT_S, cwd=TOP, env=os.environ | environ
    )
    assert done.stdout == "", done.stdout
    return done.returncode, without_compiling(done.stderr)


def is_one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text and len(text) < 600


@pytest.fixture
def nothing_started(left_nothing: Path) -> Iterator[Path]:
    """Wrong use is found before anything is started: nothing may be there even at the moment of the refusal."""
    yield left_nothing
    assert processes_of(left_nothing) == []


# ── wrong use: status 2 ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[venue]\nnmae = 'simulator'", ["venue.nmae", "did you mean"]),
        ("[vneue]\nname = 'simulator'", ["vneue"]),
        ("[feed]\nping_interval_ms = 1", ["feed.ping_interval_ms", " 1,", "from 50 to 15000", "10000"]),
        ("[feed]\nping_interval_ms = '9'", ["feed.ping_interval_ms", "'9'", "whole number"]),
        ("[http]\nmax_connections = 201", ["http.max_connections", "201", "from 1 to 200"]),
        ("[venue]\nname = 'projectx'\napi_url = 'http://example.com/'", ["venue.api_url", "example.com", "https://"]),
        ("[feed]\nping_interval_ms = 1 2", ["is not TOML", "line 2"]),
    ],
)
def test_bad_engine_file(nothing_started: Path, tmp_path: Path, text: str, named: list[str]) -> None:
    """A key, a value, a type, a table that is none: file, key, value and cure are named."""
    file = tmp_path / "engine.toml"
    file.write_text(text)
    status, said = launch("--config", str(file), "--data", str(tmp_path))
    assert (status, is_one_sentence(said)) == (2, True), said
    for word in (str(file), *named):
        assert word in said, said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("levels = 65\nmax_depth = 64", ["levels is 65", "max_depth"]),
        ("ring_mib = 3", ["ring_mib is 3", "power of two"]),
        ("rng_mib = 4", ["rng_mib", "did you mean"]),
        ("contract = 'MNQ'", ["contract is 'MNQ'", "front"]),
    ],
)
def test_bad_symbol_file(nothing_started: Path, tmp_path: Path, text: str, named: list[str]) -> None:
    (tmp_path / "MNQ.toml").write_text(text)
    status, said = launch("--symbols-dir", str(tmp_path), "--data", str(tmp_path))
    assert (status, is_one_sentence(said)) == (2, True), said
    for word in (str(tmp_path / "MNQ.toml"), *named):
        assert word in said, said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--symbols", "MNQQ"), ["MNQQ", "did you mean MNQ"]),
        (("--rate", "0"), ["--rate"]),
        (("--pace", "3"), ["--flow"]),
        (("--flow", "/nowhere.dbn"), ["/nowhere.dbn"]),
        (("--no-such-option",), ["--no-such-option"]),
        (("--venue", "projectx"), ["PROJECT_X_USERNAME", "not set"]),
        (("--name", "a/b"), ["a/b"]),
    ],
)
def test_wrong_use(
    nothing_started: Path, tmp_path: Path, arguments: tuple[str, ...], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PROJECT_X_USERNAME", "PROJECT_X_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    status, said = launch(*arguments, "--data", str(tmp_path))
    assert (status, is_one_sentence(said)) == (2, True), said
    for word in named:
        assert word in said, said


# ── a machine, or a moment, that cannot: status 1 ─────────────────────────────────────────────────────────


def test_wrong_api_key(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    """A venue with a key of its own; the engine with another one is refused for good, with the right one it runs."""
    venue = subprocess.Popen(
        [sys.executable, "-m", "engine.launch", "--simulator-only", "--symbols", "MNQ", "--data", str(tmp_path / "v")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
        env=os.environ | {"PROJECT_X_USERNAME": USER, "PROJECT_X_API_KEY": RIGHT_KEY},
    )
    try:
        assert venue.stdout is not None
        url = venue.stdout.readline().strip()
        file = tmp_path / "engine.toml"
        file.write_text(
            f'[venue]\nname = "projectx"\napi_url = "{url}/api"\nmarket_hub_url = "{url}/hubs/market"\n'
            f'user_name = "{USER}"\n'
        )
        at_venue = ("--config", str(file), "--symbols", "MNQ")
        with running(engine_name, *at_venue, PROJECT_X_API_KEY=WRONG_KEY) as engine:
            engine.wait(LIMIT_S)
        assert engine.status == 2, "who starts it again and again is to stop"
        assert is_one_sentence(engine.errors), engine.errors
        assert USER in engine.errors
        assert "PROJECT_X_API_KEY" in engine.errors
        assert WRONG_KEY not in engine.errors
        with running(engine_name, *at_venue, PROJECT_X_API_KEY=RIGHT_KEY) as engine, engine.attach() as market:
            wait_live(market)
            summary = engine.stop()
        assert engine.status == 0, engine.errors
        assert summary["instruments"][0]["wrong_levels"] is None, "without the simulator's truth nothing was compared"
        assert summary["totals"]["offered_entries_per_s"] is None
    finally:
        venue.send_signal(signal.SIGINT)
        venue.communicate(timeout=LIMIT_S)
    assert venue.returncode == 0


def test_simulator_whose_address_nobody_reads(left_nothing: Path, tmp_path: Path) -> None:
    """It would run for ever, and nobody would know where."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engine.launch", "--simulator-only", "--symbols", "MNQ", "--data", str(tmp_path)],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            cwd=TOP,
        )
    finally:
        os.close(writing)
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr


@pytest.mark.parametrize("only", [("--json",), ("--simulator-only",)], ids=["engine", "simulator only"])
def test_port_in_use(left_nothing: Path, engine_name: str, tmp_path: Path, only: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, said = launch("--name", engine_name, "--port", str(port), "--data", str(tmp_path), *only)
    assert (status, is_one_sentence(said)) == (1, True), said
    assert f"127.0.0.1:{port}" in said
    assert "another port" in said


def test_full_shared_memory(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    """A tmpfs of 8 MiB in a mount namespace of our own is the folder for shared memory."""
    apart = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mount = f"mount -t tmpfs -o size=8m none {tiny}"
    try:
        subprocess.run([*apart, "sh", "-c", mount], check=True, capture_output=True, timeout=LIMIT_S)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a mount namespace is not allowed here: {error}")
    inside = f'{mount} && "$@"; status=$?; find {tiny} -mindepth 1; exit $status'
    status, said = launch(
        *("--json", "--name", engine_name, "--data", str(tmp_path)),
        command=(*apart, "sh", "-c", inside, "sh", sys.executable, "-m", "engine.launch"),
        SHARDBOOK_SHM=str(tiny),
    )
    assert (status, is_one_sentence(said)) == (1, True), said
    assert "shared memory is full" in said
    assert "8.0 MiB are free" in said
    assert "SHARDBOOK_SHM" in said


def test_second_engine_of_a_name(left_nothing: Path, engine_name: str, tmp_path: Path) -> None:
    with running(engine_name, "--symbols", "MNQ") as engine, engine.attach() as market:
        wait_live(market)
        before = wait_beside(engine)
        status, said = launch("--json", "--name", engine_name, "--symbols", "MNQ", "--data", str(tmp_path))
        assert (status, is_one_sentence(said)) == (1, True), said
        assert f"{engine_name!r} runs already" in said
        assert str(before.supervisor_pid) in said
        assert "--name" in said
        assert engine.registry == before
        assert market["MNQ"].status().live
        engine.stop()
    assert engine.status == 0, engine.errors


def test_no_engine(nothing_started: Path, engine_name: str) -> None:
    with pytest.raises(NoEngine, match="scripts/launch"):
        attach(engine_name)
    status, said = launch("--name", engine_name, command=(sys.executable, "-m", "engine.inspection"))
    assert (status, is_one_sentence(said)) == (1, True), said
    assert engine_name in said


def test_unknown_instrument(left_nothing: Path, engine_name: str) -> None:
    with running(engine_name, "--symbols", "MNQ,MES") as engine, engine.attach() as market:
        with pytest.raises(LookupError, match="did you mean MNQ"):
            market["MNQQ"]
        engine.stop()


# ── segments that are not what their name says ────────────────────────────────────────────────────────────

Damage = Callable[[bytearray], object]


def _put(field: str, value: bytes) -> Damage:
    """Write `value` over a field of the header."""
    assert HEADER.fields is not None
    at = HEADER.fields[field][1]

    def damage(content: bytearray) -> None:
        content[at : at + len(value)] = value

    return damage


def _cut(length: int) -> Damage:
    def damage(content: bytearray) -> None:
        del content[length:]

    return damage


def _word(value: int) -> bytes:
    return value.to_bytes(8, "little")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "foreign": (_put("magic", b"NOTOURS\0"), "no segment of shardbook"),
    "half built": (_put("layout_version", _word(0)), "half built"),
    "other version": (_put("layout_version", _word(layout.LAYOUT_VERSION + 1)), "layout version"),
    "another generation's": (_put("generation", _word(77)), "generation 77"),
    "another instrument's": (_put("symbol", b"XYZ\0"), "XYZ"),
    "another kind": (_put("kind", _word(1)), "kind 1"),
    "damaged sizes": (_put("total_bytes", _word(1)), "its header says 1"),
    "damaged description": (_put("description_bytes", _word(1 << 40)), "damaged"),
    "cut off in the header": (_cut(100), "cut off"),
    "cut off in the levels": (_cut(1 << 16), "65536 bytes"),
    "empty": (_cut(0), "0 bytes"),
}


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Another file in the place of a segment; its writer goes on with the one that it has mapped."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        yield
    finally:
        kept.rename(path)


def test_damaged_segments(left_nothing: Path, engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader and scripts/inspect refuse each of them in one sentence, and neither engine nor worker notices."""
    with running(engine_name, "--symbols", "MNQ", "--rate", "2000") as engine, engine.attach() as market:
        wait_live(market)
        path = generation_folder(engine.folder, engine.registry.generation) / "MNQ.book"
        content = path.read_bytes()
        inspect = (sys.executable, "-m", "engine.inspection")
        for name, (damage, says) in DAMAGES.items():
            broken = bytearray(content)
            damage(broken)
            with replaced(path, bytes(broken)):
                sentence = _refused(engine_name)
                assert says in sentence, f"{name}: {sentence}"
                assert str(path) in sentence
                if name in ("foreign", "other version", "cut off in the levels"):
                    status, said = launch(str(path), command=inspect)
                    assert (status, is_one_sentence(said)) == (1, True), f"{name}: {said}"
                    assert says in said
        # One that is of an older version, which is not there yet: this program is made a newer one.
        with monkeypatch.context() as later:
            later.setattr(layout, "LAYOUT_VERSION", layout.LAYOUT_VERSION + 1)
            with pytest.raises(LayoutError, match=f"version is {layout.LAYOUT_VERSION - 1}, .* update the older"):
                attach(engine_name)  # the registry says it first; and a segment alone
            with pytest.raises(LayoutError, match=r"an older layout version.*restart the engine"):
                attach_segment(path, Kind.BOOK, symbol="MNQ")
        _check_foreign_files(engine_name, path)
        assert market["MNQ"].status().live
        assert market["MNQ"].status().restarts == 0
        with attach(engine_name) as again:
            assert again["MNQ"].book(allow_stale=True).best_bid > 0, "the right file is back in its place"
        engine.stop()
    assert engine.status == 0, engine.errors


def _refused(engine_name: str) -> str:
    """The one sentence that a reader gets."""
    with attach(engine_name) as market, pytest.raises(LayoutError) as caught:
        market["MNQ"]
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def _check_foreign_files(engine_name: str, path: Path) -> None:
    """Files that are no plain ones of this user: not read, whatever is in them."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    try:
        path.symlink_to(kept)
        assert str(path) in _refused(engine_name)
        path.unlink()
        path.mkdir()
        assert str(path) in _refused(engine_name)
        path.rmdir()
        os.mkfifo(path, 0o600)
        assert "not a regular file" in _refused(engine_name)
        path.unlink()
        path.write_bytes(kept.read_bytes())
        path.chmod(0o666)
        assert "0666" in _refused(engine_name)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        if os.geteuid() == 0:
            os.chown(path, 65534, -1)
            assert "belongs to user 65534" in _refused(engine_name)
        path.unlink()
    finally:
        kept.rename(path)


def test_engine_that_finds_a_damaged_ring_ends_all(left_nothing: Path, engine_name: str) -> None:
    """A new I/O process finds a ring that is none: all ends, with the sentence that says which file."""
    with running(engine_name, "--symbols", "MNQ", "--rate", "2000") as engine, engine.attach() as market:
        wait_live(market)
        path = generation_folder(engine.folder, engine.registry.generation) / "MNQ.ring"
        path.rename(path.with_name("kept"))
        path.write_bytes(b"what somebody put here")
        path.chmod(0o600)
        os.kill(engine.registry.engine_pid, signal.SIGKILL)
        engine.wait(LIMIT_S)
    assert engine.status == 1
    assert is_one_sentence(engine.errors.splitlines(keepends=True)[-1]), engine.errors
    assert str(path) in engine.errors
    wait_for(lambda: not engine_folder(engine_name).exists(), 5, "the engine's folder is gone")


# ── machines that are none of ours ────────────────────────────────────────────────────────────────────────

_ELSEWHERE = """
import platform, sys
from engine.launch import main
platform.{what} = lambda: {value!r}
sys.exit(main(["--for", "1"]))
"""


@pytest.mark.parametrize(
    ("what", "value", "named"),
    [
        ("machine", "riscv64", ["x86_64 and aarch64", "riscv64"]),
        ("system", "Darwin", ["Linux", "Darwin"]),
        ("system", "Windows", ["Linux", "WSL2"]),
    ],
)
def test_unsupported_platform(nothing_started: Path, what: str, value: str, named: list[str]) -> None:
    code = _ELSEWHERE.format(what=what, value=value)
    status, said = launch(command=(sys.executable, "-c", code))
    assert (status, is_one_sentence(said)) == (1, True), said
    for word in named:
        assert word in said, said
    importing = f"import platform; platform.{what} = lambda: {value!r}; import shm"
    status, said = launch(command=(sys.executable, "-c", importing))
    assert status == 1
    assert said.splitlines()[-1].startswith("ImportError: shardbook ")
    assert all(word in said.splitlines()[-1] for word in named), said


@pytest.mark.parametrize(
    ("platform", "named"),
    [("Darwin arm64", ["Darwin", "Linux"]), ("Linux riscv64", ["riscv64", "x86_64", "aarch64"])],
)
def test_script_on_an_unsupported_platform(
    nothing_started: Path, tmp_path: Path, platform: str, named: list[str]
) -> None:
    """`scripts/launch` itself says so, before it sets anything up."""
    uname = tmp_path / "uname"
    uname.write_text(f"#!/bin/sh\necho {platform}\n")
    uname.chmod(0o755)
    status, said = launch(command=(str(TOP / "scripts" / "launch"),), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (status, is_one_sentence(said)) == (1, True), said
    for word in named:
        assert word in said, said
