"""What scripts/inspect says of an account."""

from pathlib import Path

from engine.inspection.report import render
from engine.inspection.segment import examine, open_segment
from shm import layout
from shm.layout import Kind, Reason, State
from shm.segment import create


def test_an_account_is_printed_and_checked(tmp_path: Path) -> None:
    segment = create(tmp_path / "account", Kind.ACCOUNT, layout.account_regions(), generation=1)
    assert "waiting for the first snapshot" in render(examine(segment))
    cell = segment.array("cells")[1]
    cell["begin"] = cell["end"] = 1
    cell["state"], cell["reason"] = State.STALE, Reason.DISCONNECTED
    cell["account_id"], cell["name"], cell["balance_e9"] = 704, b"PRAC-1", 150_000 * layout.E9
    cell["n_orders"], cell["unlisted_fills"], cell["refused"] = 2, 3, 1234
    segment.array("control")[layout.PUBLISHED] = 1
    text = render(examine(open_segment(segment.path)))
    for part in ("stale: the venue's socket is down", "PRAC-1  id 704", "150,000.00", "0, and 3 without room", "1,234"):
        assert part in text
    assert ": whole" in text
    cell["n_orders"] = layout.MAX_ORDERS + 1
    assert examine(segment).faults == ["n_orders = 257"]
    cell["begin"] = 2
    assert examine(segment).faults == ["no cell is whole"]
