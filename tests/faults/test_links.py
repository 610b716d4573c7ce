"""What a user sees of a link that fails, after how long, and whether the device can be used again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import DeviceLost
from pytest_xdevice.compile import use_cache
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session
from pytest_xdevice.target import Target
from tests.faults.conftest import Place
from tests.faults.kernels import add_one
from tests.faults.kernels import spin
from tests.faults.relay import link_to
from tests.harness.server import DeviceServer

TIMEOUT = 0.5  # seconds that a launch may take
LIMIT = TIMEOUT + 5.0
NOISE = 1.5  # seconds that a busy machine may add


@pytest.fixture(scope="module", autouse=True)
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with use_cache(tmp_path_factory.mktemp("cache")) as compiler:
        compiler.build(add_one, Target.host())
        compiler.build(spin, Target.host())
        yield
        compiler.close()


def check(session: Session) -> None:
    np.testing.assert_array_equal(session.device("cpu").run(add_one, np.zeros(5, np.float32)), np.ones(5))


def spin_on(session: Session) -> None:
    session.device("cpu").run(spin, np.zeros(1, np.int32), np.zeros(1, np.int32))


def seconds_until_lost(action: Callable[[Session], object], session: Session) -> float:
    began = time.monotonic()
    with pytest.raises(DeviceLost):
        action(session)
    return time.monotonic() - began


def test_a_link_that_falls_silent_during_a_launch(place: Place) -> None:
    session = place.open(TIMEOUT)
    check(session)
    place.link.silence()
    assert seconds_until_lost(spin_on, session) < LIMIT + NOISE
    assert session.lost is not None
    place.link.reset()
    place.link.resume()
    session.reconnect()
    check(session)
    session.close()


def test_a_link_that_falls_silent_during_a_remote_function(server: DeviceServer) -> None:
    def nap() -> None:
        import time

        time.sleep(60)

    with link_to(int(server.address.split(":")[1])) as link:
        session = Place("socket", f"127.0.0.1:{link.port}", link, server.token_file).open(TIMEOUT)
        link.silence()
        assert seconds_until_lost(lambda lost: lost.remote(nap), session) < LIMIT + NOISE
        link.reset()
        session.close()


def test_a_link_that_is_reset_between_launches(place: Place) -> None:
    session = place.open(TIMEOUT)
    check(session)
    place.link.reset()
    assert seconds_until_lost(check, session) < LIMIT + NOISE
    session.reconnect()
    check(session)
    session.close()


@pytest.mark.parametrize("upward", [True, False], ids=["upload", "result"])
def test_a_link_that_is_reset_within_data(place: Place, upward: bool) -> None:
    session = place.open(TIMEOUT)
    check(session)
    place.link.reset_after(1 << 20, upward=upward)
    large = np.zeros(2 << 20, np.float32)
    assert seconds_until_lost(lambda lost: lost.device("cpu").run(add_one, large), session) < LIMIT + NOISE
    session.reconnect()
    check(session)
    session.close()


def test_data_that_stands_still_is_not_put_down_to_the_kernel() -> None:
    session = Session.open(DeviceConfig("device", "local"))
    check(session)
    pid = session._control.request("pid")
    for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(worker), signal.SIGSTOP)
    with pytest.raises(DeviceLost, match="data stood still"):
        session.device("cpu").run(add_one, np.zeros(16 << 20, np.float32), timeout=TIMEOUT)
    check(session)
    session.close()


def test_a_slow_and_distant_link_loses_nothing(place: Place) -> None:
    session = place.open()
    check(session)
    place.link.delay, place.link.rate = 0.1, 125_000.0  # 200 ms there and back, 1 Mbit/s
    values = np.arange(50_000, dtype=np.float32)
    np.testing.assert_array_equal(session.device("cpu").run(add_one, values), values + 1)
    place.link.delay, place.link.rate = 0.0, None
    session.close()
