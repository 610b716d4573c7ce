"""Frames: what goes in comes out, and what is no frame is refused."""

from __future__ import annotations

import resource
import socket
import struct
import threading
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice.runtime import wire
from pytest_xdevice.runtime.wire import Connection
from pytest_xdevice.runtime.wire import StreamClosed
from pytest_xdevice.runtime.wire import WireError


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


heads = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20) | st.none(), max_size=4)


@given(head=heads, buffers=st.lists(st.binary(max_size=2000), max_size=5))
@settings(max_examples=200)
def test_a_frame_comes_out_as_it_went_in(head: dict[str, object], buffers: list[bytes]) -> None:
    left, right = socket.socketpair()
    with left, right:
        Connection(left).send(head, buffers)
        receiver = Connection(right)
        received, lengths = receiver.receive()
        assert received == head
        assert [bytes(receiver.read(length)) for length in lengths] == buffers


def test_large_buffers_and_small_frames_after_one_another(pair: tuple[socket.socket, socket.socket]) -> None:
    data = bytes(range(256)) * 40_000
    sender, receiver = Connection(pair[0]), Connection(pair[1])

    def send() -> None:
        for number in range(3):
            sender.send({"number": number}, [data, b"", b"x"])

    thread = threading.Thread(target=send)
    thread.start()
    for number in range(3):
        head, lengths = receiver.receive()
        assert head == {"number": number}
        assert [bytes(receiver.read(length)) for length in lengths] == [data, b"", b"x"]
    thread.join()


@given(garbage=st.binary(min_size=12, max_size=200))
@settings(max_examples=200)
def test_garbage_is_refused(garbage: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(garbage)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises((WireError, StreamClosed)):
            Connection(right).receive()


@pytest.mark.parametrize(
    "frame",
    [
        b"XDW1" + b"\xff\xff\xff\xff" + b"\0\0\0\0",
        b"XDW1" + b"\0\0\0\2" + b"\xff\xff\xff\xff",
        b"XDW1" + b"\0\0\0\2" + b"\0\0\0\1" + b"\xff" * 8 + b"{}",
        b"XDW1" + b"\0\0\0\2" + b"\0\0\0\0" + b"[]",
        b"XDW1" + b"\0\0\0\2" + b"\0\0\0\0" + b"{x",
    ],
    ids=["head too long", "too many buffers", "buffer too long", "no object", "no JSON"],
)
def test_bounds(pair: tuple[socket.socket, socket.socket], frame: bytes) -> None:
    pair[0].sendall(frame)
    with pytest.raises(WireError):
        Connection(pair[1]).receive()


def test_the_end_of_the_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    with pytest.raises(StreamClosed, match="closed the stream"):
        Connection(pair[1]).receive()


def test_brief_waits_then_silence_then_the_end(pair: tuple[socket.socket, socket.socket]) -> None:
    host, device = Connection(pair[0]), Connection(pair[1])

    def answer() -> None:
        for _ in range(200):
            device.send(device.receive()[0])

    thread = threading.Thread(target=answer)
    thread.start()
    for number in range(200):
        host.send({"number": number})
        assert host.receive(poll=number % 3 > 0) == ({"number": number}, [])
    thread.join()
    host.settimeout(0.01)
    with pytest.raises(TimeoutError, match="stood still"):
        host.receive()
    device.close()
    with pytest.raises(StreamClosed):
        host.receive()


def test_a_frame_that_comes_in_pieces(pair: tuple[socket.socket, socket.socket]) -> None:
    class Pieces(socket.socket):
        def sendmsg(self, buffers: Iterable[Any], *rest: Any) -> int:
            return self.send(bytes(next(iter(buffers)))[:1])

    sender = Connection(Pieces(fileno=pair[0].detach()))
    thread = threading.Thread(target=lambda: [sender.send({"number": number}, [b"abc"]) for number in range(20)])
    thread.start()
    receiver = Connection(pair[1])
    for number in range(20):
        assert receiver.receive() == ({"number": number}, [3])
        assert receiver.read(3) == b"abc"
    thread.join()
    sender.close()


def test_what_is_announced_takes_no_memory_before_it_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    """A frame of a few bytes does not make the other end take gigabytes."""
    pair[0].sendall(b"XDW1" + struct.pack("!IIQ", 2, 1, 1 << 44) + b"{}" + b"x" * 1000)
    pair[0].close()
    connection = Connection(pair[1])
    _, (length,) = connection.receive()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StreamClosed):
        connection.read(length)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_what_there_is_no_memory_for_is_skipped(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_TRUSTED", 1 << 10)

    class Full(bytearray):
        def extend(self, more: object) -> None:
            raise MemoryError

    monkeypatch.setattr(wire, "bytearray", Full, raising=False)
    sender, receiver = Connection(pair[0]), Connection(pair[1])
    thread = threading.Thread(target=lambda: [sender.send({"number": number}, [bytes(1 << 20)]) for number in (1, 2)])
    thread.start()
    receiver.receive()
    with pytest.raises(MemoryError):
        receiver.read(1 << 20)
    assert receiver.receive() == ({"number": 2}, [1 << 20])
    receiver.discard(1 << 20)
    thread.join()
