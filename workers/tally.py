"""What may happen a million times a second is counted, and logged a few times: a hostile flood must not fill a disk."""

from typing import Final

FIRST: Final = 10  # worth a line each; then one for each power of ten


class Tally:
    """How often something happened."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def one_more(self) -> bool:
        """Count it; whether it is worth a line."""
        self.count += 1
        return self.count <= FIRST or _is_power_of_ten(self.count)


def _is_power_of_ten(count: int) -> bool:
    digits = str(count)
    return digits[0] == "1" and not digits[1:].strip("0")
