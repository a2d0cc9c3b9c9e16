"""How a wrong use is said."""

import pytest

from engine.arguments import LAST_NS, Arguments, utc_time


def test_wrong_use_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = Arguments(prog="scripts/some")
    with pytest.raises(SystemExit) as stopped:
        arguments.parse_args(["--nothing"])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "scripts/some: unrecognized arguments: --nothing (scripts/some --help says more)\n"


@pytest.mark.parametrize("text", ["2262-04-12", "9999-12-31T23:59-14:00"])
def test_a_time_past_all_records_is_the_last_that_one_can_have(text: str) -> None:
    assert utc_time(text) == LAST_NS


@pytest.mark.parametrize("text", ["1960-01-01", "0001-01-01T00:00+14:00"])
def test_a_time_before_all_records_is_the_first_that_one_can_have(text: str) -> None:
    assert utc_time(text) == 0
