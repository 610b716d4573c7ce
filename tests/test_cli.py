"""The command ``xdevice``, as a program of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.server import DeviceServer


COMMAND = (sys.executable, "-c", "import sys; from pytest_xdevice.cli import main; sys.exit(main())")


def xdevice(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it said."""
    kept = {name: value for name, value in os.environ.items() if name != "XDEVICE_TOKEN"}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_info_tells_what_the_local_device_is(tmp_path: Path) -> None:
    result = xdevice("info", "local", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    facts = {line[:10].strip(): line[10:] for line in result.stdout.splitlines() if line[:1].strip()}
    assert list(facts) == ["device", "host", "Python", "CPU", "memory", "features", "target", "OpenCL"]
    assert facts["device"] == "local"
    assert facts["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert facts["memory"].endswith("iB")
    assert facts["target"].startswith("llvm -mtriple=")


def test_info_knows_the_devices_of_pyproject(tmp_path: Path, server: DeviceServer) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.xdevice.devices.bench]\naddress = "{server.address}"\ntoken-file = "{server.token_file}"\n'
    )
    (tmp_path / "inner").mkdir()
    result = xdevice("info", "bench", cwd=tmp_path / "inner")
    assert result.returncode == 0, result.stderr
    assert f"device    bench at {server.address}\n" in result.stdout


@pytest.mark.parametrize("way", ["file", "environment"])
def test_info_takes_a_token(tmp_path: Path, server: DeviceServer, way: str) -> None:
    token = server.token_file.read_text().strip()
    given = ["--token-file", str(server.token_file)] if way == "file" else []
    environment = {} if way == "file" else {"XDEVICE_TOKEN": token}
    result = xdevice("info", server.address, *given, cwd=tmp_path, environment=environment)
    assert result.returncode == 0, result.stderr


def test_a_failed_connection_is_exit_status_1(tmp_path: Path, server: DeviceServer) -> None:
    result = xdevice("info", server.address, cwd=tmp_path, environment={"XDEVICE_TOKEN": "wrong"})
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("xdevice: ")
    assert "Traceback" not in result.stderr
    result = xdevice("info", "exec:/nowhere/python3", cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (["inform"], "invalid choice: 'inform'"),
        (["info"], "arguments are required: SPEC"),
        (["info", "rk3399"], "unknown device 'rk3399'"),
        (["info", "local", "--token-file", "nothing"], "there is no file nothing"),
        (["bundle"], "arguments are required: FILE"),
        (["bundle", "."], "is a directory; name the file to write, such as xdevice-runtime.pyz"),
        (["serve", "--port", "many"], "invalid int value: 'many'"),
    ],
)
def test_a_usage_error_is_exit_status_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = xdevice(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["info"], ["doctor"], ["who"], ["release"], ["bundle"], ["serve"], ["init"]])
def test_help_ends_with_an_example_on_one_line(tmp_path: Path, arguments: list[str]) -> None:
    result = xdevice(*arguments, "--help", cwd=tmp_path, environment={"COLUMNS": "80"})
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1].startswith("example: ")


@pytest.mark.parametrize("command", ["doctor", "doctor --json", "list", "info local", "who local"])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at the first line"])
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, command: str, unbuffered: str) -> None:
    """As ``xdevice list | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        result = subprocess.run(
            [*COMMAND, *command.split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (result.returncode, result.stderr) == (141, "")


def test_the_version_is_told(tmp_path: Path) -> None:
    assert re.fullmatch(r"pytest-xdevice \d+\.\d+\S*\n", xdevice("--version", cwd=tmp_path).stdout)


def test_bundle_writes_one_file_that_the_oldest_python_runs(tmp_path: Path, oldest_python: str) -> None:
    result = xdevice("bundle", "runtime.pyz", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    written, command = result.stdout.splitlines()
    path = tmp_path / "runtime.pyz"
    assert written == f"wrote runtime.pyz ({path.stat().st_size} bytes)"
    assert command == "copy it to the device and run there: python3 runtime.pyz --host 0.0.0.0 --port 9090"
    assert path.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)
    assert {name.split("/")[0] for name in zipfile.ZipFile(path).namelist()} == {"pytest_xdevice", "__main__.py"}
    help_text = subprocess.run(
        [oldest_python, "-I", str(path), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert help_text.stdout.startswith("usage: python3 runtime.pyz ")
    assert "--port" in help_text.stdout
    assert "example: python3 runtime.pyz --host" in help_text.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["runtime.pyz"]


def test_bundle_is_reproducible_and_replaces(tmp_path: Path) -> None:
    first = tmp_path / "first.pyz"
    first.write_bytes(b"old")
    assert xdevice("bundle", str(first), cwd=tmp_path).returncode == 0
    assert xdevice("bundle", "second.pyz", cwd=tmp_path).returncode == 0
    assert first.read_bytes() == (tmp_path / "second.pyz").read_bytes()


def test_bundle_says_where_it_cannot_write(tmp_path: Path) -> None:
    result = xdevice("bundle", "missing/runtime.pyz", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "xdevice: cannot write missing/runtime.pyz: No such file or directory\n"
