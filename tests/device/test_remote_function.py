"""Plain Python functions on the device: what travels, what comes back, and what ends them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.errors import ArgumentError
from pytest_xdevice.errors import RemoteFunctionError
from pytest_xdevice.errors import RemoteFunctionTimeout
from pytest_xdevice.remote import Session
from tests.harness.interpreters import find_python


@pytest.fixture(scope="module", params=["this Python", "the oldest"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    python = sys.executable if request.param == "this Python" else find_python()
    if python is None:
        pytest.skip("there is no Python 3.8 on this machine")
    opened = Session.open(DeviceConfig("board", f"exec:{python}", env=(("XDEVICE_COLOUR", "green"),)))
    yield opened
    opened.close()


def echo(*values: Any) -> list[Any]:
    return list(values)


def about() -> tuple[int, str | None]:
    import os

    return os.getpid(), os.environ.get("XDEVICE_COLOUR")


def talk() -> None:
    import subprocess

    print("from Python")
    subprocess.run(["echo", "from a child"], check=True)


def fail(text: str) -> None:
    raise LookupError(text)


def hang() -> None:
    import time

    time.sleep(600)


def die() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def give_object() -> object:
    return object()


def use_module() -> str:
    return os.sep


def test_builtins_go_there_and_back(session: Session) -> None:
    values = (None, True, 2**70, 0.1, 1j, "é", b"\0\xff", (1, [2]), {"a": {1, 2}}, float("inf"))
    assert session.remote(echo, *values) == list(values)


def test_it_runs_in_a_process_of_the_device_with_its_environment(session: Session) -> None:
    pid, colour = session.remote(about)
    assert pid not in (os.getpid(), session._control.request("pid"))
    assert colour == "green"


def test_what_it_prints_is_captured(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.remote(talk)
    assert sorted(capsys.readouterr().out.splitlines()) == ["from Python", "from a child"]


def test_its_exception_has_the_traceback_of_the_device(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match="fail raised LookupError on the device: no sensor") as caught:
        session.remote(fail, "no sensor")
    assert (caught.value.function, caught.value.kind) == ("fail", "LookupError")
    line = fail.__code__.co_firstlineno + 1
    assert f'test_remote_function.py", line {line}, in fail\n    raise LookupError(text)' in caught.value.traceback
    assert "runtime" not in caught.value.traceback


def test_one_that_hangs_is_ended(session: Session) -> None:
    with pytest.raises(RemoteFunctionTimeout, match=r"hang ran longer than 0\.2 s"):
        session.remote(hang, timeout=0.2)
    assert session.remote(echo, 1) == [1]


def test_one_that_ends_its_process_is_told(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match="die ended its process on the device by SIGKILL"):
        session.remote(die)


def test_a_result_that_is_no_builtin_is_refused(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match=r"give_object returned a builtins\.object"):
        session.remote(give_object)


def test_what_needs_more_than_its_source_is_refused(session: Session) -> None:
    here = 1

    def enclosed() -> int:
        return here

    with pytest.raises(ArgumentError, match="enclosed uses here of the function around it"):
        session.remote(enclosed)
    with pytest.raises(ArgumentError, match="use_module uses os of its module"):
        session.remote(use_module)
    with pytest.raises(ArgumentError, match="timeout=0 is no time limit"):
        session.remote(echo, timeout=0)
    with pytest.raises(ArgumentError, match="no plain function: write one with def"):
        session.remote(lambda: 1)
    with pytest.raises(ArgumentError, match=r"an argument of echo is or holds a builtins\.object"):
        session.remote(echo, [object()])
