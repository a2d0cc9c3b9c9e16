"""The one error of the supervisor."""

from shm.errors import ShardbookError


class CannotStart(ShardbookError):
    """The engine cannot run here, or not now. The message is one sentence and says what to do."""
