"""The relay behind the figures of a device that is far away: it delays, and changes nothing."""

from __future__ import annotations

import socket
import threading
import time

from benchmarks.delay import far_away
from benchmarks.plain_socket import echo_process

ROUND_TRIP = 0.02  # seconds


def test_an_echo_comes_back_whole_and_not_before_its_time() -> None:
    sent = bytes(range(256)) * 4096
    with echo_process(ROUND_TRIP) as sock:
        start = time.perf_counter()
        writer = threading.Thread(target=sock.sendall, args=(sent,))
        writer.start()
        received = bytearray(sock.recv(65536))
        assert time.perf_counter() - start >= ROUND_TRIP
        while len(received) < len(sent):
            received += sock.recv(65536)
        writer.join()
    assert received == sent


def test_a_far_end_that_speaks_first_is_heard_after_the_handshake_and_a_way_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as accepted:
                accepted.sendall(b"hello")

        threading.Thread(target=greet).start()
        with far_away(listener.getsockname()[1], ROUND_TRIP) as port:
            start = time.perf_counter()
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert sock.recv(5) == b"hello"
                assert time.perf_counter() - start >= 2 * ROUND_TRIP
                assert sock.recv(1) == b""


def test_a_far_end_that_is_not_there_ends_the_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with (
            far_away(taken.getsockname()[1], ROUND_TRIP) as port,
            socket.create_connection(("127.0.0.1", port)) as sock,
        ):
            assert sock.recv(1) == b""
