"""How many requests a token may make: so many within any window of so many seconds (fact sheet, section 2).

The venue does not document its window or its Retry-After; here the window slides, a refused request does not count,
and Retry-After says in how many whole seconds the next one will be let in. Pure: seconds in.
"""

import math
from collections import deque
from dataclasses import dataclass, field

MAX_TOKENS = 1_000  # of which the budgets are remembered; the longest unused goes first


@dataclass(slots=True)
class Budget:
    """`limit` requests a token in any `window_s` seconds."""

    limit: int
    window_s: float
    _spent: dict[str, deque[float]] = field(default_factory=dict, repr=False)

    def spend(self, token: str, now_s: float) -> int:
        """0 if the request is let in, else in how many seconds to come again, 1 or more."""
        times = self._spent.pop(token, None) or deque(maxlen=self.limit)
        self._spent[token] = times  # now the last one
        if len(self._spent) > MAX_TOKENS:
            del self._spent[next(iter(self._spent))]
        if len(times) == self.limit and times[0] > now_s - self.window_s:
            return max(1, math.ceil(times[0] + self.window_s - now_s))
        times.append(now_s)
        return 0
