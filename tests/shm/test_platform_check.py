"""Where it does not run it says so in one sentence, and what to do."""

import platform
import re
import sys

import pytest

from shm.platform_check import refusal


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("version", [(3, 11), (3, 14), (4, 0)])
def test_where_it_runs(machine: str, version: tuple[int, int]) -> None:
    assert refusal("Linux", machine, version) is None


@pytest.mark.parametrize(
    ("system", "machine", "version", "says"),
    [
        ("Windows", "AMD64", (3, 12), "WSL2"),
        ("Darwin", "arm64", (3, 12), "this is Darwin"),
        ("", "", (3, 12), "Linux"),
        ("Linux", "armv7l", (3, 12), "this one is armv7l"),
        ("Linux", "i686", (3, 12), "this one is i686"),
        ("Linux", "x86_64", (3, 10), "Python 3.11 or newer, and this is 3.10"),
        ("Linux", "x86_64", (2, 7), "this is 2.7"),
    ],
)
def test_where_it_does_not(system: str, machine: str, version: tuple[int, int], says: str) -> None:
    sentence = refusal(system, machine, version)
    assert sentence is not None
    assert re.search(re.escape(says), sentence)
    assert "\n" not in sentence


def test_here() -> None:
    assert refusal(platform.system(), platform.machine(), sys.version_info[:2]) is None
