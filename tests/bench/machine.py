"""What the numbers were measured on. It names no host, no user and no path, so that it can be shown to anybody."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numba", "numpy", "aiohttp", "uvloop", "orjson")


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, cores that this process may use, kernel release, and versions."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    packages: dict[str, str]

    @classmethod
    def here(cls) -> "Machine":
        pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return cls(
            cpu=_cpu(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(pages * page_bytes / 2**30, 1),
            kernel=platform.release().partition("-")[0],
            python=platform.python_version(),
            packages={name: version(name) for name in PACKAGES},
        )

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    def text(self) -> str:
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return f"{self.cpu}, {self.cores} cores, Linux {self.kernel}, Python {self.python}, {packages}"


def _cpu() -> str:
    """The model by name where the kernel says it, else the architecture."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
