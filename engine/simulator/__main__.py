"""The simulator as a process: its job as one JSON object on stdin, its address as one JSON line on stdout.

    {"port": 0, "seed": 7, "rate_entries_per_s": 6000.0, "symbols": ["MNQ"], "flow": null, "pace": null,
     "crossed": false, "truth_folder": "…", "user_name": "…", "api_key_sha256": "…", "supervisor_pid": null,
     "bursts": false, "deflate": false, "token_lifetime_s": 86400, "quiet": [], "prints": "lists", "spare": []}

`rate_entries_per_s` is over all generated contracts together. `flow` is a capture for the contract that it holds;
`pace` is how many times faster than recorded, null for as fast as the clients take it. The last line's keys may be
left out: `bursts` has generated flow come with quiet hours and bursts of ten times the mean (schedule.py), `deflate`
agrees to permessage-deflate, a token lives for `token_lifetime_s`, of the generated contracts in `quiet` a depth
record comes about every 20 s, while the others keep their rate, with `prints` "single" all generated flow is told
plainly, one trade a message and no purge left unsaid (plain.py), and `spare` are further contracts, each at the rate of
one of `symbols`, whose flow begins when a client asks for its depth and its trades. The job holds no secret.
It serves until SIGTERM, and dies with its supervisor.
"""

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from . import plain, truth
from .channel import Channel
from .contracts import CONTRACTS
from .flow import Flow
from .gateway import AccessLog, Gateway
from .generated import generate
from .recorded import CaptureError, read_flow
from .rules import checkpoints
from .schedule import BURSTS, Schedule
from .sender import Sender
from .tokens import LIFETIME_S, Tokens

MAX_RATE = 200_000.0
PRINTS = ("lists", "single")
QUIET_ENTRIES_PER_S = 0.3  # of one contract: a record of mean length in 20 s
RECORDED_SYMBOL = "ES"  # the contract of the captures that we know
MAX_JOB_BYTES = 64 << 10
_PR_SET_PDEATHSIG = 1
_LEAD_ENTRIES = 6  # contracts are spread over one record of mean length


class BadJob(Exception):
    """The job cannot be done; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Job:
    """See the module's own words."""

    port: int
    seed: int
    rate_entries_per_s: float
    symbols: tuple[str, ...]
    flow: str | None
    pace: float | None
    crossed: bool
    truth_folder: str
    user_name: str
    api_key_sha256: str
    supervisor_pid: int | None
    bursts: bool = False
    deflate: bool = False
    token_lifetime_s: int = LIFETIME_S
    quiet: tuple[str, ...] = ()
    prints: str = "lists"
    spare: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> "Job":
        """Raises BadJob."""
        try:
            given: dict[str, Any] = json.loads(text)
            lists: dict[str, Any] = {key: tuple(given[key]) for key in ("symbols", "quiet", "spare") if key in given}
            job = cls(**given | lists)
        except (ValueError, TypeError, KeyError) as error:
            raise BadJob(f"the job on stdin is not one JSON object with the simulator's keys: {error}") from None
        unknown = [symbol for symbol in (*job.symbols, *job.spare) if symbol not in CONTRACTS]
        if unknown or not job.symbols:
            raise BadJob(f"unknown symbols {unknown}; the simulator lists {', '.join(CONTRACTS)}")
        if loud := [symbol for symbol in job.quiet if symbol not in job.symbols]:
            raise BadJob(f"a quiet contract is one of the symbols, not {', '.join(map(str, loud))}")
        if set(job.spare) & set(job.symbols):
            raise BadJob("a contract is among the symbols and among the spare ones: leave it out of one of them")
        if not 1 <= job.rate_entries_per_s <= MAX_RATE:
            raise BadJob(f"a rate is 1 to {MAX_RATE:.0f} depth entries/s, not {job.rate_entries_per_s}")
        if job.flow is not None and RECORDED_SYMBOL not in job.symbols:
            raise BadJob(f"a recorded flow is one of {RECORDED_SYMBOL}: have it among the symbols")
        if job.pace is not None and not job.pace > 0:
            raise BadJob(f"a pace is above 0, not {job.pace}")
        if type(job.token_lifetime_s) is not int or job.token_lifetime_s < 1:
            raise BadJob(f"a token lives for 1 whole second or more, not {job.token_lifetime_s}")
        if job.prints not in PRINTS:
            raise BadJob(f"prints are {' or '.join(PRINTS)}, not {job.prints!r:.40}")
        if job.prints == "single" and job.rate_entries_per_s > plain.MAX_RATE * len(job.symbols):
            raise BadJob(f"single prints come at up to {plain.MAX_RATE:.0f} depth entries/s a contract: lower the rate")
        if job.prints == "single" and (job.bursts or job.flow is not None):
            raise BadJob("single prints are of generated flow without bursts: leave one of them out")
        return job


def die_with(supervisor_pid: int) -> None:
    """Be killed when the supervisor ends, also if it did so just before we asked."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor_pid:
        sys.exit(0)


def flows_of(job: Job) -> list[Flow]:
    """The flow of each contract of the job."""
    flows = []
    for symbol in (*job.symbols, *job.spare):
        if job.flow is not None and symbol == RECORDED_SYMBOL:
            flows.append(read_flow(Path(job.flow), crossed=job.crossed))
        else:
            flow = generate(CONTRACTS[symbol], job.seed)
            flows.append(plain.plain(flow) if job.prints == "single" else flow)
    return flows


def build(job: Job) -> Gateway:
    """The gateway of a job, with its truth folder written, and nothing running yet."""
    flows = flows_of(job)
    parts = [(flow, checkpoints(flow)) for flow in flows]
    logs = truth.write(Path(job.truth_folder), parts)
    channels, schedules, gaps_s = {}, {}, {}
    generated = max(sum(flow.loops for flow in flows) - len(job.spare), 1)  # beside a recorded one there may be none
    for i, (flow, marks) in enumerate(parts):
        symbol = flow.contract.symbol
        channels[symbol] = Channel(flow, marks, logs[symbol], time.time_ns())
        if flow.loops:
            rate = QUIET_ENTRIES_PER_S if symbol in job.quiet else job.rate_entries_per_s / generated
            rhythm = BURSTS if job.bursts else None
            if job.prints == "single":
                gaps_s[symbol] = plain.gap_s(flow, rate)
            schedules[symbol] = Schedule(flow, rate, lead=_LEAD_ENTRIES * i / len(flows), rhythm=rhythm)
        else:
            schedules[symbol] = Schedule(flow, float("inf") if job.pace is None else job.pace * 1e9)
    served = {flow.contract.symbol: flow.contract for flow in flows}
    listed = [served.get(symbol, contract) for symbol, contract in CONTRACTS.items()]
    tokens = Tokens(job.user_name, job.api_key_sha256, job.token_lifetime_s)
    sender = Sender(channels, schedules, gaps_s=gaps_s, spare=job.spare)
    return Gateway(listed, sender, tokens, Path(job.truth_folder), job.deflate)


async def serve(job: Job) -> None:
    """Serve a job until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    gateway = build(job)
    runner = web.AppRunner(gateway.app, access_log_class=AccessLog, access_log=logging.getLogger("simulator.access"))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", job.port, shutdown_timeout=0.5)
        await site.start()
    except OSError as error:
        raise BadJob(
            f"cannot listen on 127.0.0.1:{job.port}: {os.strerror(error.errno or 0)}; give another port, or 0"
        ) from None
    port = runner.addresses[0][1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    sending = asyncio.create_task(gateway.sender.run())
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait((sending, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if sending.done():
        sending.result()
    sending.cancel()
    await runner.cleanup()


def main() -> int:
    """Status 0 after SIGTERM; 1 if the job cannot be done: then a "fatal" line stands in place of the address."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        job = Job.read(sys.stdin.read(MAX_JOB_BYTES))
        if job.supervisor_pid is not None:
            die_with(job.supervisor_pid)
        uvloop.run(serve(job))
    except (BadJob, CaptureError) as error:
        print(json.dumps({"event": "fatal", "message": f"the simulator cannot start: {error}"}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
