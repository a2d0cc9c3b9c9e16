"""Where this program runs. Asked first, before an import fails elsewhere in words of its own.

So this file needs nothing but the oldest Python 3 that anybody may try it with.
"""

from typing import Optional, Tuple  # noqa: UP035

MACHINES = ("x86_64", "aarch64")
OLDEST_PYTHON = (3, 11)


def refusal(system: str, machine: str, version: Tuple[int, int]) -> Optional[str]:  # noqa: UP006, UP045
    """One sentence with the cure if shardbook cannot run here, else None.

    The arguments are `platform.system()`, `platform.machine()` and the first two of `sys.version_info`.
    """
    if system == "Windows":
        return "shardbook runs on Linux; on Windows install WSL2 (wsl --install) and run it inside"
    if system != "Linux":
        return f"shardbook runs on Linux, and this is {system}: use a Linux machine, a virtual one will do"
    if machine not in MACHINES:
        return f"shardbook runs on {' and '.join(MACHINES)} processors, and this one is {machine or 'unknown'}"
    if version < OLDEST_PYTHON:
        wanted, found = (".".join(str(part) for part in each) for each in (OLDEST_PYTHON, version))
        return f"shardbook needs Python {wanted} or newer, and this is {found}: run it with a newer one"
    return None
