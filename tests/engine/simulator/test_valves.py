"""What stands between a connection and its socket during a fault: nothing is lost, nothing is cut but by a Cut."""

import asyncio
from typing import Any

from engine.simulator.valves import Cut, Dripping, Held

LIMIT_S = 20.0


class FakeTransport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, chunk: bytes) -> None:
        assert not self.closed
        self.written.append(chunk)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def transport() -> Any:
    return FakeTransport()


def test_held_lets_go_of_all_of_it_in_order() -> None:
    to = transport()
    valve = Held(to)
    for chunk in (b"one", b"two", b"three"):
        valve.write(chunk)
    assert (valve.held_bytes, to.written) == (11, [])
    valve.open()
    assert (valve.held_bytes, to.written) == (0, [b"one", b"two", b"three"])


def test_held_writes_nothing_into_a_closed_socket() -> None:
    to = transport()
    valve = Held(to)
    valve.write(b"one")
    to.close()
    valve.open()
    assert to.written == []


def test_dripping_lets_whole_chunks_through_and_no_faster() -> None:
    async def story() -> None:
        to = transport()
        valve = Dripping(to, bytes_per_s=10_000)
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for number in range(20):
            valve.write(bytes([number]) * 500)
        async with asyncio.timeout(LIMIT_S):
            while valve.held_bytes:
                passed = sum(map(len, to.written))
                assert passed <= (loop.time() - begin_s) * 10_000 + 1000
                assert passed + valve.held_bytes == 10_000
                await asyncio.sleep(0.01)
        assert to.written == [bytes([number]) * 500 for number in range(20)]
        valve.write(b"x" * 100_000)
        valve.write(b"last")
        valve.open()
        assert to.written[-2:] == [b"x" * 100_000, b"last"]

    asyncio.run(story())


def test_dripping_ends_with_its_socket() -> None:
    async def story() -> None:
        to = transport()
        valve = Dripping(to, bytes_per_s=1)
        valve.write(b"one")
        to.close()
        await asyncio.wait_for(valve._task, LIMIT_S)
        valve.open()

    asyncio.run(story())


def test_cut_breaks_the_next_chunk_and_closes() -> None:
    to = transport()
    valve = Cut(to)
    valve.write(b"0123456789")
    valve.write(b"more")
    assert (to.written, to.closed, valve.held_bytes) == ([b"01234"], True, 0)
