"""From the market hub's frames to the rings: the hot loop, and what it counts on the way."""

from collections.abc import Callable, Sequence

from aiohttp import WSMsgType

from ..fan import TAKEN
from ..http import VenueError
from ..page import Page
from ..router import Router
from . import projectx
from .hub import FrameRefused, HubSocket
from .projectx import Control, ControlMessage


class Stream:
    """What all connections of a feed have in common; `receive` is for one of them."""

    def __init__(self, router: Router, page: Page, take_control: Callable[[ControlMessage], str]) -> None:
        """`take_control` gets what is no market data; it returns why the connection has to end, if it has to."""
        self._router = router
        self._page = page
        self._take_control = take_control
        self._frames = 0  # since the last flush, of those the router did not take; as the next three
        self._messages = 0
        self._bytes = 0
        self._unrouted = 0

    async def receive(self, socket: HubSocket, early: Sequence[bytes]) -> str:
        """The hot loop: websocket frames to rings. Returns why the connection is of no more use.

        `early`: the messages that came with the handshake's answer. The router's `take` is written out here in its
        two halves: the first is compiled, and enough for most frames.
        """
        receive = socket.receive_frame
        fan, follow = self._router.fan, self._router.follow
        text, binary = WSMsgType.TEXT, WSMsgType.BINARY
        try:
            if why := self._take_each(early):
                return why
            in_record = socket.holds_piece
            while True:
                kind, frame, _ = await receive()
                if kind is text or kind is binary:
                    if not in_record and ((said := fan(frame)) == TAKEN or follow(said, frame)):
                        continue
                    self._frames += 1
                    self._bytes += len(frame)
                    messages = socket.split(frame)
                    in_record = socket.holds_piece
                    if why := self._take_each(messages):
                        return why
                else:
                    self._frames += kind is WSMsgType.PING
                    await socket.answer(kind, frame)
        except VenueError as error:
            self._page.add("refused_frames", isinstance(error, FrameRefused))
            return str(error)

    def flush(self) -> bool:
        """Bring the counters to the page, at each poll and not at each frame; whether any frame has come."""
        taken, taken_bytes = self._router.taken()
        frames = self._frames + taken
        self._page.add("frames", frames)
        self._page.add("messages", self._messages + taken)
        self._page.add("bytes", self._bytes + taken_bytes)
        self._page.add("unrouted", self._unrouted)
        self._frames = self._messages = self._bytes = self._unrouted = 0
        return frames > 0

    def _take_each(self, messages: Sequence[bytes]) -> str:
        """Messages of a frame that the router did not take. Returns why the connection has to end, if it has to."""
        self._messages += len(messages)
        for message in messages:
            if not self._router.route(message) and (why := self._take_other(message)):
                return why
        return ""

    def _take_other(self, message: bytes) -> str:
        """A message that does not begin in the usual way. Returns why the connection has to end, if it has to."""
        contract = projectx.contract_of(message)
        if contract is not None and self._router.route(message, contract):
            return ""
        said = projectx.control_of(message)
        self._unrouted += said.control is Control.OTHER
        return self._take_control(said)
