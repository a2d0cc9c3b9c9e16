"""Finding an engine, and finding that it has gone or come again."""

import json
from pathlib import Path

import pytest

from shm import Instrument, LayoutError, Market, NoEngine, Stale, UnknownSymbol, WriterGone, attach, presence
from shm.layout import Kind
from shm.presence import Presence
from shm.registry import FILE_NAME
from tests.shm.later import Later
from tests.shm.plain_writer import ASKS, BIDS, LEVELS, MAX_LAG_MS, PlainEngine, PlainWriter, boottime_ns


def test_no_engine(tmp_path: Path) -> None:
    for name in ("default", "another"):
        with pytest.raises(NoEngine, match=f"{name}.*scripts/launch"):
            attach(name, root=tmp_path)
    with pytest.raises(NoEngine):
        attach(root=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="engine name"):
        attach("../default", root=tmp_path)


def test_the_root_comes_from_the_environment(
    engine: PlainEngine, writer: PlainWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDBOOK_SHM", str(engine.root))
    writer.publish(BIDS, ASKS)
    with attach() as market:
        assert market["MNQ"].book().best_bid == 21600.0


def test_a_registry_that_was_left_behind_is_no_engine(engine: PlainEngine) -> None:
    engine.end()
    with pytest.raises(NoEngine):
        attach(root=engine.root)


def test_a_lock_held_by_another_than_the_registry_names_is_no_engine(engine: PlainEngine) -> None:
    path = engine.folder / FILE_NAME
    written = json.loads(path.read_text())
    written["supervisor_start_ticks"] += 1
    path.write_text(json.dumps(written))
    with pytest.raises(NoEngine):
        attach(root=engine.root)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout_version": 1}', '{"layout_version": 9}', "\0" * 99])
def test_a_damaged_registry(engine: PlainEngine, text: str) -> None:
    (engine.folder / FILE_NAME).write_text(text)
    with pytest.raises(LayoutError, match="registry"):
        attach(root=engine.root)


def test_a_segment_is_that_of_the_generation_of_the_last_look(engine: PlainEngine) -> None:
    found = Presence("default", engine.root)
    engine.start(["MNQ"])
    assert found.attach("changed", Kind.CHANGED).generation == 1
    found.look(boottime_ns())
    assert found.attach("changed", Kind.CHANGED).generation == 2
    with pytest.raises(FileNotFoundError):
        found.attach("nothing", Kind.CHANGED)


def test_a_damaged_segment(engine: PlainEngine, market: Market) -> None:
    path = engine.folder / "g1" / "MES.book"
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole[1:])
    with pytest.raises(LayoutError, match=r"MES\.book"):
        market["MES"]
    path.write_bytes(whole[:4096])
    with pytest.raises(LayoutError, match=r"MES\.book"):
        market["MES"]


def test_a_segment_that_is_gone(engine: PlainEngine, market: Market) -> None:
    (engine.folder / "g1" / "MES.book").unlink()
    (engine.folder / "g1" / "changed").unlink()
    with pytest.raises(WriterGone, match="attach again"):
        market["MES"]
    with pytest.raises(WriterGone, match="attach again"):
        market.watch(["MNQ"])


def test_handles_go_on_with_a_new_generation(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument, later: Later
) -> None:
    writer.publish(BIDS, ASKS)
    view = mnq.book_view()
    with view:
        engine.end()
        engine.start(["MNQ", "MES"])
        engine.writers["MNQ"].publish([(7, 1)], [(8, 1)])
        assert mnq.book().published == 1
        assert mnq.quote().bid == 21600.0  # the old one is not old yet
        later.by_ns = MAX_LAG_MS * 1_000_000
        engine.writers["MNQ"].hear(boottime_ns())
        assert mnq.quote().bid == 1.75
        assert mnq.book().bid_ticks.tolist() == [(7, 1)]
        assert mnq.status().generation == 2
        assert view.bids.tolist() == BIDS[:LEVELS]  # an open view keeps its own
    assert mnq.status().live


def test_a_wait_goes_on_with_a_new_generation(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    assert mnq.wait(0.0)
    engine.end()
    engine.start(["MNQ"])
    engine.writers["MNQ"].publish([(7, 1)], [(8, 1)])
    assert mnq.wait(20.0)
    assert mnq.quote().bid == 1.75


def test_a_new_generation_without_the_instrument_raises(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    writer.publish(BIDS, ASKS)
    writer.hear(1)
    engine.start(["MES"])
    with pytest.raises(UnknownSymbol, match="MES"):
        mnq.book()


def test_a_new_generation_whose_files_are_gone_again_is_waited_for(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument
) -> None:
    writer.publish(BIDS, ASKS)
    writer.hear(1)
    engine.start(["MNQ"])
    (engine.folder / "g2" / "MNQ.book").unlink()
    with pytest.raises(Stale):
        mnq.book()
    engine.start(["MNQ"])
    engine.writers["MNQ"].publish([(7, 1)], [(8, 1)])
    assert mnq.book().best_bid == 1.75


def test_a_dead_engine_is_stale_first_and_gone_later(
    engine: PlainEngine, writer: PlainWriter, mnq: Instrument, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.publish(BIDS, ASKS)
    engine.end()
    assert mnq.quote().bid == 21600.0  # still within max_lag_ms
    later.by_ns = MAX_LAG_MS * 1_000_000
    with pytest.raises(Stale):
        mnq.quote()
    assert mnq.status().reason == "the engine has ended"
    monkeypatch.setattr(presence, "PATIENCE_NS", 0)
    with pytest.raises(WriterGone, match="scripts/launch"):
        mnq.quote()
    assert mnq.wait(0.0)  # what was published before it went
    with pytest.raises(WriterGone):
        mnq.wait(20.0)
    assert mnq.quote(allow_stale=True).bid == 21600.0
    assert mnq.status().state == "stale"


def test_a_clean_end_is_an_end(engine: PlainEngine, writer: PlainWriter, mnq: Instrument) -> None:
    writer.publish(BIDS, ASKS)
    writer.hear(1)
    engine.end()
    (engine.folder / FILE_NAME).unlink()
    with pytest.raises(Stale):
        mnq.quote()
    assert mnq.status().reason == "the engine has ended"
