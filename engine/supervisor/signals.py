"""SIGTERM and SIGINT as something a poll loop can wait for."""

import os
import signal


class Signals:
    """From its making on, both signals only make `fileno()` readable; `taken()` says whether one came."""

    def __init__(self) -> None:
        self._here, there = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(there, warn_on_full_buffer=False)  # one byte in the pipe is enough
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def fileno(self) -> int:
        return self._here

    def taken(self) -> bool:
        try:
            return bool(os.read(self._here, 4096))
        except BlockingIOError:
            return False
