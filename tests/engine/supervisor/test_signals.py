"""Signals become something to wait for; in a process of their own, because they are a process's."""

import subprocess
import sys

SCRIPT = """
import os, select, signal
from engine.supervisor.signals import Signals
signals = Signals()
assert not select.select([signals], [], [], 0)[0] and not signals.taken()
for number in (signal.SIGTERM, signal.SIGINT):
    for _ in range(100_000):  # more than the pipe holds
        os.kill(os.getpid(), number)
    assert select.select([signals], [], [], 10)[0]
    while signals.taken():
        pass
    assert not select.select([signals], [], [], 0)[0]
print("ok")
"""


def test_a_signal_is_waited_for_and_ends_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ok\n", "")
