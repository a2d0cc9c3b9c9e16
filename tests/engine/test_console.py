"""`shardbook VERB`: which verbs there are, what is said to a wrong one, and in whose name."""

import importlib
import importlib.metadata
import platform

import pytest

from engine.console import COMMAND, VERBS, main


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


def test_the_version_is_that_of_the_distribution(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {COMMAND: "1.2.3"}.__getitem__)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "shardbook 1.2.3\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name what to do"),
        (["lunch"], "did you mean launch?"),
        (["inspekt", "--name", "x"], "did you mean inspect?"),
        (["xyz"], "launch, inspect, history, replay, export"),
        (["x" * 500], "launch, inspect, history, replay, export"),
    ],
)
def test_a_wrong_verb_is_one_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("shardbook: ")
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["launch", "--nonsense"], "shardbook launch: "),
        (["launch", "--symbols", "XYZ", "--check"], "shardbook launch: "),
        (["inspect", "a", "--name", "b"], "shardbook inspect: "),
        (["inspect", "/nonexistent"], "shardbook inspect: "),
    ],
)
def test_a_verb_complains_in_the_name_that_was_typed(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status in (1, 2)
    assert capsys.readouterr().err.startswith(said)


def test_another_system_is_refused_before_a_verb_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(importlib, "import_module", None)
    assert main(["inspect", "x"]) == 1
    assert capsys.readouterr().err.startswith("shardbook inspect: shardbook runs on Linux")
