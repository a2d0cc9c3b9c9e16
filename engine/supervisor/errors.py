"""The errors of the supervisor."""

from shm.errors import ShardbookError


class CannotStart(ShardbookError):
    """The engine cannot run here, or not now. The message is one sentence and says what to do."""


class RefusedForGood(ShardbookError):
    """The venue refuses what it was asked, and would refuse it again: starting once more cannot help."""
