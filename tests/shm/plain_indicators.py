"""The indicators again, from their definitions, in plain Python and exact fractions: no polars, nothing shared."""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

Values = Sequence[float]
Result = list[float | None]


class Print(NamedTuple):
    """A trade: seconds since some midnight, price, size, and whether a buyer was in a hurry."""

    at_s: int
    price: float
    size: int
    bought: bool


class Bar(NamedTuple):
    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    buy_volume: int
    sell_volume: int
    trades: int
    vwap: float


def weighted_average(values: Values, weights: Values) -> float | None:
    total = sum(map(Fraction, weights))
    if total == 0:
        return None
    return float(sum(Fraction(v) * Fraction(w) for v, w in zip(values, weights, strict=True)) / total)


def sma(values: Values, length: int) -> Result:
    return [None if window is None else float(_mean(window)) for window in _windows(values, length)]


def ema(values: Values, length: int) -> Result:
    result: Result = []
    weight = Fraction(2, length + 1)
    average = Fraction(0)
    for number, value in enumerate(values):
        average = Fraction(value) if number == 0 else average + weight * (Fraction(value) - average)
        average = average.limit_denominator(10**18)
        result.append(float(average))
    return result


def zscore(values: Values, length: int) -> Result:
    result: Result = []
    for window in _windows(values, length):
        variance = Fraction(0) if window is None else _variance(window, length - 1)
        result.append(
            float(window[-1] - _mean(window)) / math.sqrt(variance) if window is not None and variance else None
        )
    return result


def bollinger(values: Values, length: int, width: float) -> list[tuple[float, float, float] | None]:
    result: list[tuple[float, float, float] | None] = []
    for window in _windows(values, length):
        if window is None:
            result.append(None)
            continue
        middle, off = float(_mean(window)), width * math.sqrt(_variance(window, length))
        result.append((middle, middle + off, middle - off))
    return result


def returns(values: Values, length: int) -> Result:
    return [
        None if row < length or values[row - length] == 0 else value / values[row - length] - 1
        for row, value in enumerate(values)
    ]


def rsi(values: Values, length: int) -> Result:
    result: Result = [None] * len(values)
    gain = loss = 0.0
    for row in range(1, len(values)):
        change = values[row] - values[row - 1]
        if row <= length:
            gain += max(change, 0.0) / length
            loss += max(-change, 0.0) / length
        else:
            gain = (gain * (length - 1) + max(change, 0.0)) / length
            loss = (loss * (length - 1) + max(-change, 0.0)) / length
        if row >= length:
            result[row] = 100 * gain / (gain + loss) if gain + loss > 0 else 50.0
    return result


def atr(highs: Values, lows: Values, closes: Values, length: int) -> Result:
    result: Result = [None] * len(closes)
    ranges: list[float] = []
    average = 0.0
    for row in range(1, len(closes)):
        before = closes[row - 1]
        ranges.append(max(highs[row] - lows[row], abs(highs[row] - before), abs(lows[row] - before)))
        if row == length:
            average = sum(ranges) / length
        elif row > length:
            average = (average * (length - 1) + ranges[-1]) / length
        if row >= length:
            result[row] = average
    return result


def session_vwap(prices: Values, volumes: Sequence[int], sessions: Sequence[int]) -> Result:
    result: Result = []
    paid: dict[int, Fraction] = defaultdict(Fraction)
    total: dict[int, int] = defaultdict(int)
    for price, volume, session in zip(prices, volumes, sessions, strict=True):
        paid[session] += Fraction(price) * volume
        total[session] += volume
        result.append(float(paid[session] / total[session]) if total[session] else None)
    return result


def order_flow_imbalance(quotes: Sequence[tuple[float, float, int, int]]) -> list[int | None]:
    """Of (bid, ask, bid size, ask size), case by case."""
    result: list[int | None] = [None] if quotes else []
    for (bid, ask, bids, asks), (bid_now, ask_now, bids_now, asks_now) in itertools.pairwise(quotes):
        demand = bids_now if bid_now > bid else -bids if bid_now < bid else bids_now - bids
        supply = asks_now if ask_now < ask else -asks if ask_now > ask else asks_now - asks
        result.append(demand - supply)
    return result


def bars(prints: Sequence[Print], length_s: int, flat: bool = False) -> list[Bar]:
    """Of trades in order of time; `flat`: with a bar of the last close for each period between that has no trade."""
    result: list[Bar] = []
    periods: dict[int, list[Print]] = defaultdict(list)
    for each in prints:
        periods[each.at_s // length_s].append(each)
    for period in range(min(periods), max(periods) + 1) if periods else ():
        inside = periods.get(period)
        if inside:
            prices = [each.price for each in inside]
            volume = sum(each.size for each in inside)
            bought = sum(each.size for each in inside if each.bought)
            paid = sum(Fraction(each.price) * each.size for each in inside)
            result.append(
                Bar(
                    period * length_s,
                    prices[0],
                    max(prices),
                    min(prices),
                    prices[-1],
                    volume,
                    bought,
                    volume - bought,
                    len(inside),
                    float(paid / volume),
                )
            )
        elif flat:
            last = result[-1].close
            result.append(Bar(period * length_s, last, last, last, last, 0, 0, 0, 0, last))
    return result


def value_area(volumes: dict[int, int], percent: int) -> tuple[int, int, int, int]:
    """Point of control, low, high and volume of the area, in ticks: the loop itself, over every tick."""
    low, high = min(volumes), max(volumes)
    centre = min(volumes, key=lambda tick: (-volumes[tick], abs(2 * tick - low - high), tick))
    taken = {centre}
    inside, total = volumes[centre], sum(volumes.values())
    up, down = centre + 1, centre - 1
    while inside * 100 < total * percent:
        above = sum(volumes.get(tick, 0) for tick in (up, up + 1))
        below = sum(volumes.get(tick, 0) for tick in (down, down - 1))
        if down < low or (up <= high and above >= below):
            taken |= {up, up + 1}
            inside += above
            up += 2
        else:
            taken |= {down, down - 1}
            inside += below
            down -= 2
    traded = [tick for tick in taken if tick in volumes]
    return centre, min(traded), max(traded), inside


def _windows(values: Values, length: int) -> list[list[Fraction] | None]:
    exact = [Fraction(value) for value in values]
    return [None if row + 1 < length else exact[row + 1 - length : row + 1] for row in range(len(exact))]


def _mean(window: Sequence[Fraction]) -> Fraction:
    return sum(window, Fraction(0)) / len(window)


def _variance(window: Sequence[Fraction], over: int) -> Fraction:
    mean = _mean(window)
    return sum(((value - mean) ** 2 for value in window), Fraction(0)) / over
