"""A market hub that does one thing: on a word, send prepared websocket frames as fast as they are taken.

Written on a bare socket, because it shares two cores with what is measured. It answers the upgrade and the hub's
handshake without looking, so a bare websocket client and the engine's own feed can both be its client.
"""

import base64
import hashlib
import re
import socket
from collections.abc import Sequence
from typing import BinaryIO

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_KEY = re.compile(rb"(?i)sec-websocket-key:\s*(\S+)")
_CLOSE = 8  # the opcode
_HUB_ANSWER = b"{}\x1e"


def text_frame(payload: bytes) -> bytes:
    """An unmasked final text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def listen() -> socket.socket:
    """A listening socket on a free port of this machine."""
    return socket.create_server(("127.0.0.1", 0))


def serve(server: socket.socket, go: socket.socket, payloads: Sequence[bytes], rounds: int) -> None:
    """For each client: greet it, wait for a byte on `go`, send all `payloads` `rounds` times, wait until it leaves."""
    frames = b"".join(map(text_frame, payloads))
    while True:
        client, _ = server.accept()
        with client, client.makefile("rb") as stream:
            request = b"".join(iter(stream.readline, b"\r\n"))
            found = _KEY.search(request)
            assert found is not None, "that was no websocket client"
            accept = base64.b64encode(hashlib.sha1(found[1] + _GUID).digest())
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + text_frame(_HUB_ANSWER)
            )
            try:
                if go.recv(1):
                    for _ in range(rounds):
                        client.sendall(frames)
                _read_until_close(stream)
            except ConnectionError:
                pass


def _read_until_close(stream: BinaryIO) -> None:
    """Read a client's frames, all of them masked, until one says that it closes."""
    while head := stream.read(2):
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(stream.read(2), "big")
        stream.read(4 + size)
        if head[0] & 0x0F == _CLOSE:
            return
