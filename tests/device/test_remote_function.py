"""Plain Python functions on the device: what travels, what comes back, and what ends them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.errors import ArgumentError
from pytest_xdevice.errors import DeviceLost
from pytest_xdevice.errors import RemoteFunctionError
from pytest_xdevice.errors import RemoteFunctionTimeout
from pytest_xdevice.remote import Session
from pytest_xdevice.remote_function import _result
from tests.boards.processes import still_running
from tests.harness.server import DeviceServer
from tests.harness.sshd import Sshd


@pytest.fixture(scope="module", params=["this Python", "the oldest", "the oldest by a server", "ssh"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    settings = Settings()
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "ssh":
            sshd: Sshd = request.getfixturevalue("sshd")
            patch.setenv("XDEVICE_SSH_CONFIG", str(sshd.config))
            address = sshd.spec
        elif request.param == "the oldest by a server":
            server: DeviceServer = request.getfixturevalue("oldest_server")
            address, settings = server.address, Settings(token_file=server.token_file)
        else:
            python = sys.executable if request.param == "this Python" else request.getfixturevalue("oldest_python")
            address = f"exec:{python}"
        config = DeviceConfig("board", address, env=(("XDEVICE_COLOUR", "green"),))
        with closing(Session.open(config, settings)) as opened:
            yield opened


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


def hang_with_a_child(path: str) -> None:
    import subprocess
    from pathlib import Path

    with subprocess.Popen(["sleep", "600"]) as child:
        Path(path).write_text(str(child.pid))


def print_much(nbytes: int) -> None:
    print("first")
    for _ in range(nbytes >> 10):
        print("x" * 1023)
    print("last")


def fail_from_another(divisor: int) -> None:
    def divide() -> int:
        return 1 // divisor

    try:
        divide()
    except ZeroDivisionError as error:
        raise ValueError("no rate") from error


def fail_without_words() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Mute


def check_itself(value: int) -> int:
    assert value > 0, "it is negative"
    return value


def give_itself() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def leave(status: int) -> None:
    raise SystemExit(status)


def die() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def give_object() -> object:
    return object()


def use_module() -> str:
    return os.sep


def test_builtins_go_there_and_back(session: Session) -> None:
    values = (
        None,
        True,
        2**70,
        -(2**31) - 1,
        -(3**20000),
        0.1,
        1j,
        "é",
        b"\0\xff",
        (1, [2]),
        {"a": {1, 2}},
        float("inf"),
    )
    assert session.remote(echo, *values) == list(values)


def test_large_values_go_there_and_back(session: Session) -> None:
    values = [os.urandom(8 << 20), list(range(-300_000, 300_000)), "é" * (1 << 20)]
    assert session.remote(echo, *values) == values


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


def test_what_one_that_hangs_has_started_is_ended_too(session: Session, tmp_path: Path) -> None:
    with pytest.raises(RemoteFunctionTimeout):
        session.remote(hang_with_a_child, str(tmp_path / "pid"), timeout=2)
    assert not still_running([int((tmp_path / "pid").read_text())])


def test_one_that_prints_much_is_heard_in_part(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.remote(print_much, 1 << 20)
    printed = capsys.readouterr().out
    assert printed.startswith("first\n")
    assert printed.endswith("last\n")
    assert "bytes are left out here" in printed
    assert len(printed) < 1 << 17


def test_an_exception_that_came_of_another_has_the_tracebacks_of_both(session: Session) -> None:
    with pytest.raises(
        RemoteFunctionError, match="fail_from_another raised ValueError on the device: no rate"
    ) as caught:
        session.remote(fail_from_another, 0)
    first = fail_from_another.__code__.co_firstlineno
    for line, source in {2: "return 1 // divisor", 7: 'raise ValueError("no rate") from error'}.items():
        assert f'test_remote_function.py", line {first + line}, in ' in caught.value.traceback
        assert source in caught.value.traceback
    assert "The above exception was the direct cause of the following exception" in caught.value.traceback


def test_an_exception_whose_text_cannot_be_had_is_told(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match=r"raised Mute on the device: \(whose text cannot be had"):
        session.remote(fail_without_words)


def test_it_may_have_assertions_which_pytest_rewrites_here(session: Session) -> None:
    assert session.remote(check_itself, 1) == 1
    with pytest.raises(RemoteFunctionError, match="raised AssertionError on the device: it is negative"):
        session.remote(check_itself, -1)


def test_one_that_ends_its_process_is_told(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match="die ended its process on the device by SIGKILL"):
        session.remote(die)
    with pytest.raises(RemoteFunctionError, match="leave ended its process on the device by exit status 3"):
        session.remote(leave, 3)


def test_a_result_that_is_no_builtin_is_refused(session: Session) -> None:
    with pytest.raises(RemoteFunctionError, match=r"give_object returned a builtins\.object"):
        session.remote(give_object)
    with pytest.raises(RemoteFunctionError, match="give_itself returned something nested too deeply, or in itself"):
        session.remote(give_itself)


@pytest.mark.parametrize("answer", [b"", b"N", b"{", b"\xff"])
def test_an_answer_that_makes_no_sense_is_a_lost_device(answer: bytes) -> None:
    with pytest.raises(DeviceLost, match="the answer of echo on the device makes no sense"):
        _result("echo", answer)


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
    with pytest.raises(ArgumentError, match="timeout='soon' is no time limit"):
        session.remote(print, timeout="soon")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no plain function: write one with def"):
        session.remote(lambda: 1)
    with pytest.raises(ArgumentError, match=r"an argument of echo is or holds a builtins\.object"):
        session.remote(echo, [object()])
    with pytest.raises(ArgumentError, match=r"an argument of echo is or holds something nested too deeply"):
        session.remote(echo, give_itself())
