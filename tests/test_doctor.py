"""``xdevice doctor``: what it finds on devices that work, and what it says of those that do not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from typing import TYPE_CHECKING

import pytest

from pytest_xdevice.config import Settings
from pytest_xdevice.doctor import device as device_module
from pytest_xdevice.doctor import doctor

if TYPE_CHECKING:
    from tests.harness.server import DeviceServer
    from tests.harness.sshd import Sshd

HOST_STEPS = ["Python", "llvmlite", "linker", "C compiler", "cache", "OpenCL"]
DEVICE_STEPS = ["authentication", "Python there", "runtime", "stream", "target", "features", "linker"]


def run_doctor(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command; return its exit status and what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "XDEVICE_TOKEN"}
    result = subprocess.run(
        [sys.executable, "-c", "from pytest_xdevice.cli import main; raise SystemExit(main())", "doctor", *arguments],
        cwd=cwd,
        env={**kept, "PYTHONIOENCODING": "utf-8", "XDG_CACHE_HOME": str(cwd / "cache"), **(environment or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stdout


def diagnose(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> tuple[int, list[dict[str, Any]]]:
    """Run the command with ``--json``; return its exit status and the steps on the device."""
    status, printed = run_doctor(*arguments, "--json", cwd=cwd, environment=environment)
    document = json.loads(printed)
    assert document["works"] == (status == 0)
    return status, [step for step in document["steps"] if step["part"] == "device"]


def closed_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_the_host_alone(tmp_path: Path) -> None:
    status, printed = run_doctor(cwd=tmp_path)
    assert status == 0, printed
    title, *lines, verdict = [line for line in printed.splitlines() if not line.startswith("    ")]
    assert title == "this host"
    assert verdict == "all that is needed works"
    assert [line[4:].split(":")[0] for line in lines] == HOST_STEPS
    assert lines[0].startswith(f"  ✓ Python: {sys.version_info[0]}.{sys.version_info[1]}.")
    assert lines[4] == f"  ✓ cache: {tmp_path / 'cache' / 'pytest-xdevice'}"
    assert not list(tmp_path.rglob("doctor-*"))


def test_the_local_device(tmp_path: Path) -> None:
    status, steps = diagnose("local", cwd=tmp_path)
    assert status == 0, steps
    names = [step["name"] for step in steps]
    assert names[: len(DEVICE_STEPS) + 4] == ["specification", *DEVICE_STEPS, "kernel on the CPU", "timer", "OpenCL"]
    assert "disturbances" in names
    found = {step["name"]: step for step in steps}
    assert found["kernel on the CPU"]["found"] == "add_one of 1024 elements is right"
    assert "an empty kernel takes" in found["timer"]["found"]
    assert "the clock's tick is" in found["timer"]["found"]
    if found["OpenCL"]["state"] == "ok":
        name = found["OpenCL"]["found"].split(",")[0]
        assert found[f"kernel on {name}"]["found"] == "add_one of 1024 elements is right"


def test_a_device_by_its_name_behind_a_server(tmp_path: Path, server: DeviceServer) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.xdevice.devices.bench]\naddress = "{server.address}"\ntoken-file = "{server.token_file}"\n'
    )
    status, steps = diagnose("bench", cwd=tmp_path)
    assert status == 0, steps
    assert [step["name"] for step in steps[:3]] == ["specification", "network", "authentication"]
    assert steps[1]["found"] == f"{server.address} takes connections"


def test_a_device_with_the_oldest_python(tmp_path: Path, oldest_server: DeviceServer) -> None:
    status, steps = diagnose(oldest_server.address, "--token-file", str(oldest_server.token_file), cwd=tmp_path)
    assert status == 0, steps
    found = {step["name"]: step for step in steps}
    assert found["Python there"]["found"].startswith("3.8.")
    assert found["timer"]["state"] in ("ok", "note")
    assert "disturbances" in found


def test_a_closed_port_ends_it_there(tmp_path: Path) -> None:
    port = closed_port()
    status, printed = run_doctor(f"127.0.0.1:{port}", cwd=tmp_path)
    assert status == 1
    *_, cross, mend, verdict = printed.splitlines()
    assert cross == f"  ✗ network: cannot connect to 127.0.0.1:{port}: Connection refused"
    assert mend.startswith("    → start the server on the device: python3 xdevice-runtime.pyz")
    assert verdict == "to mend: network"


@pytest.mark.parametrize(
    ("environment", "message"), [({"XDEVICE_TOKEN": "wrong"}, "the server refused"), ({}, "no token: give the one")]
)
def test_a_wrong_or_missing_token_ends_it_there(
    tmp_path: Path, server: DeviceServer, environment: dict[str, str], message: str
) -> None:
    status, steps = diagnose(server.address, cwd=tmp_path, environment=environment)
    assert status == 1
    assert [step["state"] for step in steps] == ["ok", "ok", "failed"]
    assert steps[-1]["name"] == "authentication"
    assert message in steps[-1]["found"]


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        ("rk3399", "specification", "unknown device 'rk3399'"),
        ("exec:/nowhere/python3", "runtime", "cannot run '/nowhere/python3'"),
        ("no-such-host.invalid:9090", "network", "no address for 'no-such-host.invalid'"),
    ],
)
def test_what_cannot_be_reached_is_told_at_its_step(tmp_path: Path, spec: str, name: str, message: str) -> None:
    status, steps = diagnose(spec, cwd=tmp_path)
    assert status == 1
    assert steps[-1]["name"] == name
    assert steps[-1]["state"] == "failed"
    assert message in steps[-1]["found"]


def test_a_device_by_ssh(tmp_path: Path, sshd: Sshd) -> None:
    status, steps = diagnose(sshd.spec, cwd=tmp_path, environment={"XDEVICE_SSH_CONFIG": str(sshd.config)})
    assert status == 0, steps
    assert [step["name"] for step in steps[:4]] == ["specification", "network", "authentication", "Python there"]


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        ("ssh://{user}@127.0.0.1:{closed}", "network", "Connection refused"),
        ("ssh://somebody-else@127.0.0.1:{port}", "authentication", "Permission denied"),
        ("ssh=-p {port} {user}@127.0.0.1//python=/nowhere/python3", "runtime", "/nowhere/python3"),
        ("ssh=-p {port} {user}@127.0.0.1//python=/etc/passwd", "runtime", "Permission denied (exit status 126)"),
    ],
)
def test_how_far_ssh_gets_is_told(tmp_path: Path, sshd: Sshd, spec: str, name: str, message: str) -> None:
    where = spec.format(user=sshd.user, port=sshd.port, closed=closed_port())
    status, steps = diagnose(where, cwd=tmp_path, environment={"XDEVICE_SSH_CONFIG": str(sshd.config)})
    assert status == 1
    assert steps[-1]["name"] == name
    assert [step["state"] for step in steps] == [*["ok"] * (len(steps) - 1), "failed"]
    assert message in steps[-1]["found"]


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (
            "import numpy\nnumpy.no_longer_there",
            "no OpenCL there: pyopencl cannot be imported (AttributeError: module 'numpy' has no attribute",
        ),
        ("import os\nos.abort()", "the worker ended by SIGABRT before it was ready"),
    ],
)
def test_a_broken_pyopencl_is_a_note(tmp_path: Path, module: str, found: str) -> None:
    (tmp_path / "pyopencl.py").write_text(module)
    status, steps = diagnose(f"exec:env PYTHONPATH={tmp_path} {sys.executable}", cwd=tmp_path)
    assert status == 0, steps
    opencl = next(step for step in steps if step["name"] == "OpenCL")
    assert (opencl["state"], opencl["found"][: len(found)]) == ("note", found)
    assert not opencl["found"].endswith(("\n", ":"))


def test_an_unknown_target_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.xdevice.devices.odd]\naddress = "local"\ntarget = "z80-linux-gnu"\n'
    )
    status, steps = diagnose("odd", cwd=tmp_path)
    assert status == 1
    assert steps[-1]["name"] == "target"
    assert "z80" in steps[-1]["found"]


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    status, printed = run_doctor(cwd=tmp_path)
    assert status == 0
    assert "  – cache: cannot write below " in printed
    assert "    → make it writable, or set XDG_CACHE_HOME" in printed


def test_signs_are_words_where_the_terminal_has_ascii_only(tmp_path: Path) -> None:
    status, printed = run_doctor(
        f"127.0.0.1:{closed_port()}", cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii:strict"}
    )
    assert status == 1
    assert "  ok Python: " in printed
    assert "  FAILED network: " in printed
    assert "    -> start the server" in printed


def test_wrong_results_are_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(device_module, "add_one", _off_by_one())
    assert not doctor("local", Settings(), tmp_path / "pyproject.toml", as_json=False)
    assert "✗ kernel on the CPU: add_one gave 1024 wrong elements of 1024" in capsys.readouterr().out


def test_it_does_not_tell_that_it_waits_for_itself(tmp_path: Path, server: DeviceServer, capsys: Any) -> None:
    """A session for each OpenCL device: the one before it is there for a moment after its end."""
    assert doctor(server.address, Settings(token_file=server.token_file), tmp_path / "pyproject.toml", as_json=False)
    assert capsys.readouterr().err == ""


def _off_by_one() -> Any:
    from pytest_xdevice import dim
    from pytest_xdevice import f32
    from pytest_xdevice import In
    from pytest_xdevice import kernel
    from pytest_xdevice import Out
    from pytest_xdevice import parallel

    n = dim("n")

    @kernel
    def add_two(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i] + 2.0

    return add_two
