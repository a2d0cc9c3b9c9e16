"""How a wrong use is said."""

import pytest

from engine.arguments import Arguments


def test_wrong_use_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = Arguments(prog="scripts/some")
    with pytest.raises(SystemExit) as stopped:
        arguments.parse_args(["--nothing"])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "scripts/some: unrecognized arguments: --nothing (scripts/some --help says more)\n"
