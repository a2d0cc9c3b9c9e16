"""How the commands take their arguments: argparse, but what is wrong is said in one sentence."""

import argparse
from typing import NoReturn

WRONG_USE = 2


class Arguments(argparse.ArgumentParser):
    """A parser whose complaint fits on one line; --help has all there is to know."""

    def error(self, message: str) -> NoReturn:
        """Say it and end with status 2."""
        self.exit(WRONG_USE, f"{self.prog}: {message} ({self.prog} --help says more)\n")
