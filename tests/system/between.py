"""What stands between a client and the simulator's REST side, and does to single requests for bars what a venue may.

Requests for bars are counted from 0, and `faults` says by number what becomes of an answer; all others pass as they
are. Each connection is served by a thread of its own.
"""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

BARS_PATH = "/api/History/retrieveBars"
LIMIT_S = 30.0
BUSY, CUT, BROKEN = "busy", "cut", "broken"  # 429 with a second to wait; the half of an answer; a status of 502


class Between:
    """`with Between(simulator_url) as between`; then `between.url`."""

    def __init__(self, url: str) -> None:
        self.faults: dict[int, str] = {}
        self.asked = 0
        self._turn = threading.Lock()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                fault = between._fault() if self.path == BARS_PATH else ""
                if fault == BUSY:
                    return self._answer(429, b"", {"Retry-After": "1"})
                if fault == BROKEN:
                    return self._answer(502, b"")
                headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if self.headers[name]}
                request = urllib.request.Request(url + self.path, body, headers)
                try:
                    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                        said = answer.read()
                except urllib.error.HTTPError as refused:
                    return self._answer(refused.code, b"")
                self._answer(200, said, cut=fault == CUT)

            def _answer(
                self, status: int, said: bytes, more: dict[str, str] | None = None, *, cut: bool = False
            ) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(said)), **(more or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said[: len(said) // 2] if cut else said)
                self.close_connection = cut

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Between":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(LIMIT_S)
        self._server.server_close()

    def _fault(self) -> str:
        with self._turn:
            number, self.asked = self.asked, self.asked + 1
        return self.faults.get(number, "")
