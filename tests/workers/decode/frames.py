"""Hub messages as ProjectX sends them (fact sheet, section 8), from a seed: what the decoder sees all day."""

import json
import random
from typing import Any

CONTRACT = "CON.F.US.MNQ.Z26"
TICKS = ("0.25", "0.1", "0.01", "0.00005", "0.0000005", "1", "5")  # MNQ, MGC, MCL, 6E, 6J, and coarse ones
LEVEL_TYPES = (1, 2, 1, 2, 9, 10, 3, 4)


class Venue:
    """One instrument's stream: prices on its grid near a mid, every form of stamp the venue is known to send."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        tick = rng.choice(TICKS)
        self.decimals = len(tick.partition(".")[2])
        self.tick_units = int(tick.replace(".", ""))
        self.mid = rng.randrange(400, 200_000)
        self.trailing_zeros = rng.choice(("", "", "0" * (9 - self.decimals)))  # REST writes 6335.250000000

    def price(self) -> str:
        ticks = self.mid + self.rng.randrange(-60, 61)
        return self.spelled(ticks * self.tick_units)

    def spelled(self, units: int) -> str:
        whole, fraction = divmod(units, 10**self.decimals)
        text = f"{whole}.{fraction:0{self.decimals}d}" if self.decimals else f"{whole}.0"
        return text + self.trailing_zeros

    def stamp(self) -> str:
        rng = self.rng
        year, month, day = rng.choice(((2026, 11, 22), (2024, 2, 29), (2025, 12, 31), (2027, 1, 1)))
        places = rng.choice((0, 1, 3, 6, 7, 7, 7, 9))
        decimals = f".{rng.randrange(10**places):0{places}d}" if places else ""
        zone = rng.choice(("Z", "+00:00", "+00:00", "", "-05:00", "+05:30"))
        clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
        return f'"{year}-{month:02d}-{day:02d}T{clock}{decimals}{zone}"'

    def entry(self, kind: int) -> str:
        size = self.rng.choice((0, self.rng.randrange(1, 500)))
        stamp = self.stamp()
        return f'{{"timestamp":{stamp},"type":{kind},"price":{self.price()},"volume":{size},"currentVolume":{size}}}'

    def depth(self, entries: int) -> bytes:
        kinds = [self.rng.choice(LEVEL_TYPES if self.rng.random() < 0.95 else range(14)) for _ in range(entries)]
        return message("GatewayDepth", self._listed([self.entry(kind) for kind in kinds]))

    def snapshot(self, levels: int) -> bytes:
        stamp = self.stamp()
        entries = [f'{{"timestamp":{stamp},"type":6,"price":0,"volume":0,"currentVolume":0}}']
        entries += [self.entry(side) for side in (2, 1) for _ in range(levels)]
        return message("GatewayDepth", self._listed(entries))

    def trades(self, count: int) -> bytes:
        trades = [
            f'{{"symbolId":"F.US.MNQ","price":{self.price()},"timestamp":{self.stamp()},'
            f'"type":{self.rng.randrange(2)},"volume":{self.rng.randrange(1, 90)}}}'
            for _ in range(count)
        ]
        return message("GatewayTrade", self._listed(trades))

    def quote(self) -> bytes:
        fields = {name: self.price() for name in ("lastPrice", "bestBid", "bestAsk", "open", "high", "low")}
        fields["change"] = self.rng.choice(("25.5", "-0.25", "0.0", "-1200.75"))
        fields["changePercent"] = self.rng.choice(("0.0012", "-0.000119048", "0"))
        fields["volume"] = str(self.rng.randrange(1_000_000))
        fields["lastUpdated"] = self.stamp()
        fields["timestamp"] = self.stamp()
        kept = [f'"{name}":{value}' for name, value in fields.items() if self.rng.random() < 0.5]
        return message("GatewayQuote", '{"symbol":"F.US.MNQ",' + ",".join([*kept, '"symbolName":"/MNQ"']) + "}")

    def record(self) -> bytes:
        """One message: four of five are depth, of 1 to 20 entries."""
        choice = self.rng.random()
        if choice < 0.8:
            return self.depth(self.rng.randint(1, 20))
        if choice < 0.9:
            return self.trades(self.rng.choice((1, 1, 2, 3, 8)))
        return self.quote() if choice < 0.99 else self.snapshot(50)

    def _listed(self, objects: list[str]) -> str:
        """Mostly a list; a single object stands alone at times."""
        if len(objects) == 1 and self.rng.random() < 0.3:
            return objects[0]
        return "[" + ",".join(objects) + "]"


def message(target: str, payload: str, contract: str = CONTRACT) -> bytes:
    return f'{{"type":1,"target":"{target}","arguments":["{contract}",{payload}]}}'.encode()


def depth(**members: Any) -> bytes:
    """A depth record of one entry: a plain one, with `members` changed; a member that is None is left out."""
    entry = {"timestamp": "2026-11-22T14:33:00.12Z", "type": 2, "price": 21000.25, "volume": 7} | members
    return message("GatewayDepth", json.dumps({name: value for name, value in entry.items() if value is not None}))
