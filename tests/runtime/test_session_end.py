"""What a session has on the device is gone when the session is, also where the device's server ends meanwhile."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from tests.harness.server import module_command
from tests.harness.server import running_server


def fill_own_folder() -> None:
    """Make files that take a while to remove."""
    import sys
    from pathlib import Path

    folder = next(Path(path) for path in sys.path if "xdevice-" in path)
    (folder / "many").mkdir()
    for number in range(20000):
        (folder / "many" / str(number)).touch()


def test_a_server_that_ends_lets_a_session_remove_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running_server(module_command(), tmp_path) as server:
        session = Session.open(DeviceConfig("device", server.address), Settings(token_file=server.token_file))
        session.remote(fill_own_folder)
        (files,) = temporary.glob("*/many")
        closing = threading.Thread(target=session.close)
        closing.start()
        while len(os.listdir(files)) == 20000:
            time.sleep(0.001)
    closing.join()
    assert not list(temporary.iterdir())
