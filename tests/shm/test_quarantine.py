"""What stands beside a journal of records that kill: found by name, and noted as long as nothing changes."""

from pathlib import Path

from shm.quarantine import note, note_path, noted, record_path, set_aside


def test_what_workers_kept_is_found_from_any_file_of_the_journal(tmp_path: Path) -> None:
    files = [tmp_path / "journal" / "000000000007-00000000.sbj"]
    assert set_aside(files) == {}
    for symbol, sequence in (("MNQ", 9), ("MNQ", 8), ("6E.X-1", 1 << 62)):
        path = record_path(tmp_path, symbol, sequence)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{")
    for strange in ("MNQ-.record", "MNQ-x.record", "mnq-7.record", "MNQ-7", "MNQ-07.record", "-7.record"):
        (tmp_path / "quarantine" / strange).touch()
    assert set_aside(files) == {"6E.X-1": (1 << 62,), "MNQ": (8, 9)}
    assert set_aside([]) == {}


def test_a_note_holds_for_the_same_file_and_the_same_records_left_out(tmp_path: Path) -> None:
    path = tmp_path / "000000000007-00000000.sbj"
    assert noted(path, 5, {}) == ""
    note(path, 5, {"MNQ": (8, 9)}, "it kills")
    assert noted(path, 5, {"MNQ": (8, 9)}) == "it kills"
    assert noted(path, 6, {"MNQ": (8, 9)}) == noted(path, 5, {"MNQ": (8,)}) == noted(path, 5, {}) == ""
    for damaged in (b"", b"[]", b'{"why": 5}', b'{"why": "it kills"}', b"[" * 100_000, b"\xff"):
        note_path(path).write_bytes(damaged)
        assert noted(path, 5, {"MNQ": (8, 9)}) == ""
