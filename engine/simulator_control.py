"""The simulator's control requests: pause, resume, status as its launcher makes them, others for tests; loopback."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1 << 20


class SimulatorGone(Exception):
    """The simulator does not answer; the message says what was asked of it."""


def ask(url: str, what: str, **body: Any) -> dict[str, Any]:
    """Ask the simulator at `url` to "pause" or "resume", or for its "status"; each answers with its status.

    So do the others, such as ask(url, "roll", symbol="MNQ"), whose JSON body has the keys given here.
    Raises SimulatorGone. No proxy is ever asked: http.client knows none.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        text = json.dumps(body).encode() if body else None
        connection.request("GET" if what == "status" else "POST", f"/simulator/{what}", text)
        answer = connection.getresponse()
        said = answer.read(MAX_ANSWER_BYTES)
        if answer.status != http.client.OK:
            raise SimulatorGone(f"the simulator answered {what} with status {answer.status}")
        status: dict[str, Any] = json.loads(said)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SimulatorGone(f"the simulator does not answer {what}: {error}") from None
    finally:
        connection.close()
    return status
