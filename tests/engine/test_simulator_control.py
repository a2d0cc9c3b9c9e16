"""The control requests, against a server that answers well, badly, and not at all."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.simulator_control import SimulatorGone, ask


class _Answers(BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        good = self.path != "/simulator/resume"
        self.send_response(200 if good else 500)
        self.end_headers()
        self.wfile.write(json.dumps({"entries": 7}).encode() if self.path != "/simulator/nonsense" else b"<html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    _Answers.seen = []
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_is_asked_and_what_comes_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # must not be used
    assert ask(url, "status") == ask(url, "pause") == {"entries": 7}
    assert _Answers.seen == ["GET /simulator/status", "POST /simulator/pause"]


@pytest.mark.parametrize(("what", "said"), [("resume", "status 500"), ("nonsense", "does not answer nonsense")])
def test_a_bad_answer_is_said(url: str, what: str, said: str) -> None:
    with pytest.raises(SimulatorGone, match=said):
        ask(url, what)


def test_a_simulator_that_is_gone(url: str) -> None:
    with pytest.raises(SimulatorGone, match="does not answer pause"):
        ask("http://127.0.0.1:1", "pause")
