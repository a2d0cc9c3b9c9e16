"""What all REST answers and bodies share (fact sheet, section 2): the envelope, and JSON objects checked by key.

What is no such body is answered with 400 and a sentence for people; the real venue has none that we know.
"""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web


def answer(payload: str = "", error_code: int = 0) -> web.Response:
    """The envelope around a payload, which is JSON text such as '"token":null'."""
    head = payload + "," if payload else ""
    success = "true" if error_code == 0 else "false"
    text = f'{{{head}"success":{success},"errorCode":{error_code},"errorMessage":null}}'
    return web.json_response(text=text)


async def body_of(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. Raises HTTPBadRequest for anything else."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return body


def text_of(body: dict[str, Any], key: str) -> str:
    """A required string of a body. Raises HTTPBadRequest."""
    value = body.get(key)
    if not isinstance(value, str):
        raise web.HTTPBadRequest(text=f"{key} must be text")
    return value


def whole_of(body: dict[str, Any], key: str) -> int:
    """A required whole number of a body. Raises HTTPBadRequest."""
    value = body.get(key)
    if type(value) is not int:
        raise web.HTTPBadRequest(text=f"{key} must be a whole number")
    return value


def flag_of(body: dict[str, Any], key: str) -> bool:
    """A required boolean of a body. Raises HTTPBadRequest."""
    value = body.get(key)
    if not isinstance(value, bool):
        raise web.HTTPBadRequest(text=f"{key} must be true or false")
    return value


def moment_of(body: dict[str, Any], key: str) -> datetime:
    """A required ISO 8601 time of a body; without a zone it is UTC. Raises HTTPBadRequest."""
    try:
        value = datetime.fromisoformat(text_of(body, key))
    except ValueError:
        raise web.HTTPBadRequest(text=f"{key} must be an ISO 8601 time") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
