"""The watched folder: what is said of it, and what an editor that is just saving does not make it say."""

import os
from pathlib import Path

import pytest

from engine.config import SymbolSettings
from engine.supervisor import folder as folders
from engine.supervisor.folder import Folder


def twice(folder: Folder) -> folders.News:
    folder.look()
    return folder.look()


def test_every_file_is_news_once(tmp_path: Path) -> None:
    (tmp_path / "MNQ.toml").write_text("levels = 8")
    (tmp_path / "MES.toml").write_text("levels = ")
    (tmp_path / "notes.txt").write_text("not ours")
    folder = Folder(tmp_path, None)
    assert folder.look() == {}  # it may be half written
    news = folder.look()
    assert news["MNQ"] == SymbolSettings("MNQ", levels=8)
    assert "MES.toml" in str(news["MES"])
    assert "not TOML" in str(news["MES"])
    assert news.keys() == {"MNQ", "MES"}
    assert folder.look() == {}


def test_what_changes_comes_and_goes(tmp_path: Path) -> None:
    for symbol in ("MNQ", "MES"):
        (tmp_path / f"{symbol}.toml").write_text("")
    folder = Folder(tmp_path, None)
    twice(folder)
    (tmp_path / "MNQ.toml").write_text("levels = 9")
    (tmp_path / "MES.toml").unlink()
    (tmp_path / "ES.toml").write_text("")
    assert twice(folder) == {"MNQ": SymbolSettings("MNQ", levels=9), "MES": None, "ES": SymbolSettings("ES")}
    (tmp_path / "MES.toml").write_text("")
    assert twice(folder) == {"MES": SymbolSettings("MES")}


def test_an_editor_is_not_caught_in_the_act(tmp_path: Path) -> None:
    path = tmp_path / "MNQ.toml"
    path.write_text("levels = 8")
    folder = Folder(tmp_path, None)
    twice(folder)
    path.rename(tmp_path / "MNQ.toml~")  # it keeps the old one aside
    assert folder.look() == {}
    path.write_text("")  # makes the new one
    assert folder.look() == {}
    path.write_text("levels = 9")  # and fills it
    assert folder.look() == {}
    assert folder.look() == {"MNQ": SymbolSettings("MNQ", levels=9)}


def test_a_file_that_was_only_touched_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "MNQ.toml").write_text("")
    folder = Folder(tmp_path, None)
    twice(folder)
    os.utime(tmp_path / "MNQ.toml", ns=(1, 1))
    assert twice(folder) == {"MNQ": SymbolSettings("MNQ")}


def test_only_named_symbols_count(tmp_path: Path) -> None:
    for symbol in ("MNQ", "MES"):
        (tmp_path / f"{symbol}.toml").write_text("")
    assert twice(Folder(tmp_path, ["MES", "ES"])).keys() == {"MES"}


def test_a_folder_that_cannot_be_listed_changes_nothing(tmp_path: Path) -> None:
    below = tmp_path / "symbols"
    below.mkdir()
    (below / "MNQ.toml").write_text("")
    folder = Folder(below, None)
    twice(folder)
    below.rename(tmp_path / "away")
    assert twice(folder) == {}
    assert "cannot be listed" in folder.complaint
    (tmp_path / "away").rename(below)
    assert twice(folder) == {}
    assert folder.complaint == ""


def test_a_folder_with_too_many_files_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_LISTED_FILES", 1)
    for symbol in ("MNQ", "MES"):
        (tmp_path / f"{symbol}.toml").write_text("")
    folder = Folder(tmp_path, None)
    assert twice(folder) == {}
    assert "2 symbol files are above the limit of 1" in folder.complaint


def test_what_is_no_file_and_what_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "MNQ.toml").mkdir()
    (tmp_path / "MES.toml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a b.toml").write_text("")
    news = twice(Folder(tmp_path, None))
    assert news.keys() == {"MNQ", "a b"}
    assert "no ordinary file" in str(news["MNQ"])
    assert "cannot be a symbol" in str(news["a b"])


def test_a_file_that_went_before_the_first_look_is_gone(tmp_path: Path) -> None:
    (tmp_path / "MNQ.toml").write_text("")
    folder = Folder(tmp_path, None, ["MNQ", "MES"])
    assert twice(folder) == {"MNQ": SymbolSettings("MNQ"), "MES": None}
    assert twice(folder) == {}


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "MNQ.toml")
    (tmp_path / "MES.toml").write_text("")
    news = twice(Folder(tmp_path, None))
    assert news.keys() == {"MNQ", "MES"}
    assert "MNQ.toml: is no ordinary file" in str(news["MNQ"])
    assert news["MES"] == SymbolSettings("MES")


def test_a_link_to_itself_is_that_symbols_trouble_only(tmp_path: Path) -> None:
    (tmp_path / "LOOP.toml").symlink_to("LOOP.toml")
    (tmp_path / "MES.toml").write_text("")
    folder = Folder(tmp_path, None)
    news = twice(folder)
    assert folder.complaint == ""
    assert news.keys() == {"LOOP", "MES"}
    assert "LOOP.toml: cannot be read (Too many levels" in str(news["LOOP"])
    assert twice(folder) == {}
