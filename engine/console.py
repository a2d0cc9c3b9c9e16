"""`shardbook VERB …`, for people who installed the package: the same verbs as the files in scripts/.

A verb's module is imported when it is called: --help needs none of them.
"""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence

from .arguments import WRONG_USE
from .entry import complain, early, refusal

COMMAND = "shardbook"
VERBS = {
    "launch": ("engine.launch", "start the whole engine, by default on the built-in exchange simulator"),
    "inspect": ("engine.inspection.__main__", "print what is in shared-memory segments, and whether they are whole"),
    "history": ("engine.history_command", "fetch the venue's bars of an instrument into a file"),
    "replay": ("engine.replay", "play a journal: books, trades and bars as they were"),
    "export": ("engine.export_command", "write an instrument of a journal as Parquet, or for hftbacktest"),
}


def help_text() -> str:
    """What there is."""
    verbs = "\n".join(f"  {verb:<9}{about}" for verb, (_, about) in VERBS.items())
    return (
        f"usage: {COMMAND} VERB [OPTION ...]\n\nA market-data engine in shared memory: live, exact order books and "
        f"trades that any process can read.\n\n{verbs}\n\n{COMMAND} VERB --help says everything about a verb; "
        f"{COMMAND} --version which version this is."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console command; the verb's exit status, or 2 for a verb that is none."""
    verb, *rest = [*(sys.argv[1:] if argv is None else argv)] or [""]
    if verb in ("--help", "-h"):
        print(help_text())
        return 0
    if verb == "--version":
        print(f"{COMMAND} {importlib.metadata.version(COMMAND)}")
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb[:64], VERBS, n=1, cutoff=0.5)
        cure = f"did you mean {near[0]}?" if near else f"the verbs are {', '.join(VERBS)}"
        what = f"there is no verb {verb[:64]!r}" if verb else "name what to do"
        complain(COMMAND, f"{what}: {cure} ({COMMAND} --help says more)")
        return WRONG_USE
    command = f"{COMMAND} {verb}"
    with early(command):
        if sentence := refusal():
            complain(command, sentence)
            return 1
        status: int = importlib.import_module(VERBS[verb][0]).main(rest, command)
    return status
