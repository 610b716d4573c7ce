"""A host that vanishes with its network, without a word: the device notices by itself, and nothing of it runs on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from pathlib import Path

import pytest
from execnet import gateway_base

from pytest_xdevice import DeviceLost
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.transport import pulse
from pytest_xdevice.transport.pulse import SharedPipe
from tests.boards.processes import still_running
from tests.faults.matrix import add
from tests.faults.matrix import GONE_SECONDS
from tests.faults.matrix import sessions_on
from tests.faults.matrix import ways_to
from tests.harness.far_machine import FarMachine
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.harness.sshd import running_sshd
from tests.harness.waiting import wait_until
from tests.transport.killed_host import host_with_session

NOISE = 3.0  # seconds that a busy machine may add


def test_nothing_of_it_is_left_on_the_device(machine: FarMachine, tmp_path: Path) -> None:
    with ways_to(machine, tmp_path) as sessions:
        running = sessions_on(machine)
        assert len(running) >= 2 * len(sessions)  # a session and a worker each
        machine.cut_the_link()
        assert not still_running(running, limit=GONE_SECONDS + NOISE)
        machine.mend_the_link()
        for session in sessions.values():
            session.reconnect()
            add(session)


def test_nothing_is_left_on_a_server_behind_a_jump_host(
    machine: FarMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").mkdir()
    with (
        running_server([*machine.enter, *module_command()], tmp_path) as server,
        running_sshd(tmp_path / "ssh", address=machine.address, enter=machine.enter) as sshd,
    ):
        monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(sshd.config))
        device = DeviceConfig("board", f"{server.address}?via=xdevice-sshd")
        session = Session.open(device, Settings(timeout=1.0, token_file=server.token_file))
        add(session)
        running = sessions_on(machine)
        machine.cut_the_link()
        assert not still_running(running, limit=GONE_SECONDS + NOISE)
        machine.mend_the_link()
        session.reconnect()
        add(session)
        session.close()


def test_a_stopped_host_is_still_heard(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    script = tmp_path / "listening-python"
    script.write_text(f'#!/bin/sh\ntee {heard} | {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    with host_with_session(f"exec:{script}") as host:
        os.kill(host.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(host.pid) == "T")
        for _ in range(2):
            size = heard.stat().st_size
            wait_until(lambda: heard.stat().st_size > size)  # noqa: B023 - called at once


def test_a_host_that_falls_silent_and_comes_back_is_told_why_its_session_is_over() -> None:
    session = Session.open(DeviceConfig("board", f"exec:{sys.executable}"))
    session._control._io.end_beats()
    wait_until(lambda: session.lost is not None)
    with pytest.raises(DeviceLost, match=r"nothing was heard of the host for 8 s: it is gone, or its link was down"):
        session.conditions()
    session.close()


def test_ctrl_z_does_not_stop_what_leads_to_the_device() -> None:
    with host_with_session(f"exec:{sys.executable}") as host:
        children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
        command = next(pid for pid in children if "sys.stdin.readline" in Path(f"/proc/{pid}/cmdline").read_text())
        blocked = re.search("^SigBlk:\\s*(\\w+)$", Path(f"/proc/{command}/status").read_text(), re.MULTILINE)
        assert blocked is not None
        assert int(blocked[1], 16) >> (signal.SIGTSTP - 1) & 1


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_beats_come_between_messages_never_within_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.001)
    read_end, write_end = os.pipe()
    shared = SharedPipe(write_end)
    shared.begin_beats(Channel())
    message = b"\x07" + bytes.fromhex("00000001") + (100_000).to_bytes(4, "big") + bytes(100_000)

    def write() -> None:
        with open(write_end, "wb", buffering=0, closefd=False) as pipe:
            for _ in range(200):
                with shared.locked():
                    pipe.write(message)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    beats = messages = 0
    with open(read_end, "rb") as pipe:
        while messages < 400 or not beats:
            kind, channel, size = pipe.read(1)[0], *(int.from_bytes(pipe.read(4), "big") for _ in range(2))
            pipe.read(size)
            assert (kind, channel) in ((7, 1), (gateway_base.Message.CHANNEL_DATA, Channel.id))
            messages += kind == 7
            beats += channel == Channel.id
        for writer in writers:
            writer.join()
        shared.end_beats()
        os.close(write_end)


class Channel:
    id = 5


def test_nobody_beats_for_a_host_that_has_died(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            SharedPipe(write_end).begin_beats(Channel())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with open(read_end, "rb") as pipe:
        pipe.read()  # ends when nobody has the other end
