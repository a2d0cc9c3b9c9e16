"""hftbacktest on an exported file: the best bid and ask of its book after each receive time, one JSON line each.

It runs in a Python of its own (environments.py), which knows nothing of shardbook.

    backtest.py FILE.npz TICK_SIZE LOT_SIZE
"""

import json
import sys

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

FEED, END = 2, 1
LONG_NS = 10**18


def main(path: str, tick_size: float, lot_size: float) -> None:
    data = np.load(path)["data"]
    asset = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(tick_size)
        .lot_size(lot_size)
        .last_trades_capacity(0)
    )
    backtest = HashMapMarketDepthBacktest([asset])
    while backtest.wait_next_feed(False, LONG_NS) == FEED:
        depth = backtest.depth(0)
        bid = depth.best_bid if depth.best_bid_qty > 0 else None
        ask = depth.best_ask if depth.best_ask_qty > 0 else None
        print(json.dumps([int(backtest.current_timestamp), bid, ask]))
    backtest.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
