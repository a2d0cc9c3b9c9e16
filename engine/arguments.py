"""How the commands take their arguments: argparse, but what is wrong is said in one sentence."""

import argparse
from typing import NoReturn

WRONG_USE = 2


class Arguments(argparse.ArgumentParser):
    """A parser whose complaint fits on one line; --help has all there is to know."""

    def __init__(self, *, prog: str, description: str | None = None, epilog: str | None = None) -> None:
        """An option is written out: what is short for one today might be short for two tomorrow."""
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say it and end with status 2."""
        self.exit(WRONG_USE, f"{self.prog}: {message} ({self.prog} --help says more)\n")
