"""Is a book live, and if not, why: one pure decision, and the sentence that an error says it with."""

from typing import NamedTuple

from .layout import REASON_TEXT, Reason, State

_STATE_TEXT = {int(state): state.name.lower() for state in State}
_REASON_TEXT = {int(reason): text for reason, text in REASON_TEXT.items()}


class Verdict(NamedTuple):
    state: str  # live, syncing, stale, closed
    reason: str  # empty when live

    @property
    def live(self) -> bool:
        return self.state == "live"


def judge(published: int, state: int, reason: int, age_ns: int, max_lag_ns: int) -> Verdict:
    """What to call a publication that says `state` and `reason`, `age_ns` after its engine was last heard of.

    A dead engine or a stopped worker cannot say that it is: so what is too old is stale whatever it says, and only
    a closed feed, of which nothing more is expected, stays closed.
    """
    if published == 0:
        return Verdict("syncing", REASON_TEXT[Reason.STARTING])
    text = reason_text(reason)
    if age_ns > max_lag_ns and state != State.CLOSED:
        silence = f"nothing heard from its engine or worker for {age_ns / 1e9:.1f} s"
        return Verdict("stale", f"{silence}; before that: {text}" if text else silence)
    return Verdict(_STATE_TEXT.get(state, "stale"), text)


def reason_text(reason: int) -> str:
    return _REASON_TEXT.get(reason, f"reason {reason}, which this program does not know")


def complaint(symbol: str, verdict: Verdict, age_ns: int, max_lag_ns: int) -> str:
    """The sentence of a Stale error."""
    why = f" ({verdict.reason})" if verdict.reason else ""
    heard = f"engine and worker were heard of {age_ns / 1e6:.0f} ms ago, {max_lag_ns / 1e6:.0f} ms are allowed"
    return f"{symbol} is not live but {verdict.state}{why}; {heard}; allow_stale=True reads it all the same"
