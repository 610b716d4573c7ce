"""The unit file: systemd takes it, and the server takes its command."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_xdevice.runtime.__main__ import parser
from tests.harness.requirement import unavailable

UNIT = Path(__file__).parents[2] / "packaging" / "xdevice.service"
MARK = "# TLS: "


def with_tls() -> str:
    """Return the unit as it is with the lines for TLS."""
    return "".join(line.removeprefix(MARK) for line in UNIT.read_text().splitlines(keepends=True))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_systemd_takes_the_unit(request: pytest.FixtureRequest, tmp_path: Path, tls: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        unavailable(request.config, "no systemd-analyze on PATH")
    path = tmp_path / UNIT.name
    path.write_text(with_tls() if tls else UNIT.read_text())
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_server_takes_the_commands_of_the_unit() -> None:
    commands = [line.partition("=")[2] for line in with_tls().splitlines() if line.startswith("ExecStart=")]
    plain, none, tls = (parser().parse_args(shlex.split(command)[3:]) if command else None for command in commands)
    assert none is None
    assert (plain.token_file, plain.tls_cert) == ("${STATE_DIRECTORY}/token", None)
    assert tls.tls_key == "${CREDENTIALS_DIRECTORY}/key.pem"
