"""Who can see what a session has on its device: its user alone."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session


def test_folders_and_sockets_are_their_owner_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    old = os.umask(0)
    try:
        session = Session.open(DeviceConfig("device", "local"))
        try:
            session.device("cpu").upload(b"data", "folder/file")
            options = {"kind": "cpu", "stream": "unix", "guard": True, "opencl": ""}
            path = session._control.request("start", options)["path"]
            check(tmp_path, Path(path))
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(path)  # so that the worker leaves
        finally:
            session.close()
    finally:
        os.umask(old)


def check(temporary: Path, path: Path) -> None:
    """Check that all that there is lies in folders that nobody else can enter."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (folder,) = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
