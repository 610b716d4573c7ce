"""`xdevice list` and `xdevice init`: reading and writing the files that name devices."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_xdevice.config import read_named_devices
from pytest_xdevice.device_tables import KEYS
from tests.test_cli import xdevice


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "xdevice.toml"


def test_what_init_writes_list_shows_and_info_reaches(tmp_path: Path, own: Path) -> None:
    result = xdevice("init", "bench", "--address", "local", "--tag", "a", "--tag", "b", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert own.read_text() == '[devices.bench]\naddress = "local"\ntags = ["a", "b"]\n'
    assert xdevice("init", "pi.4", "--address", "ssh://pi@pi", cwd=tmp_path).returncode == 0
    assert xdevice("list", cwd=tmp_path).stdout == "bench  local        a, b\npi.4   ssh://pi@pi\n"
    (bench, pi) = json.loads(xdevice("list", "--json", cwd=tmp_path).stdout)
    assert (bench["name"], bench["tags"], pi["address"]) == ("bench", ["a", "b"], "ssh://pi@pi")
    assert "bench at local" in xdevice("info", "bench", cwd=tmp_path).stdout


def test_init_writes_every_key_of_an_entry(tmp_path: Path, own: Path) -> None:
    flags = "--address 127.0.0.1:1 --target aarch64-linux-gnu --python python3.9 --token-file token --insecure --tag a"
    more = ["--tls-fingerprint", "ab" * 32, "--env", "A=1 = one", "--env", "B=", "--pin", "4,5", "--timeout", "2.5"]
    result = xdevice("init", "pi", *flags.split(), *more, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    device = read_named_devices(tmp_path / "pyproject.toml")["pi"]
    assert {field.name for field in fields(device) if getattr(device, field.name)} == {"name"} | {
        key.replace("-", "_") for key in KEYS
    }
    assert (device.env, device.pin, device.timeout) == ((("A", "1 = one"), ("B", "")), (4, 5), 2.5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--env", "A"], "'A' is no NAME=VALUE"),
        (["--env", "1=2"], "env: '1' is a variable's name with a string as its value"),
        (["--pin", "4-5"], "'4-5' is no list of CPUs such as 4,5"),
        (["--pin", "4,4"], "pin is a list of different CPUs"),
        (["--timeout", "soon"], "'soon' is no number of seconds"),
        (["--timeout", "inf"], "timeout is a number of seconds above 0; got inf"),
    ],
)
def test_init_refuses_values_that_mean_nothing(tmp_path: Path, own: Path, flags: list[str], message: str) -> None:
    result = xdevice("init", "a", "--address", "local", *flags, cwd=tmp_path)
    assert (result.returncode, own.exists()) == (2, False)
    assert message in result.stderr


def test_init_replaces_an_entry_only_by_force_and_leaves_the_others(tmp_path: Path, own: Path) -> None:
    own.write_text('# ours\n[devices.a]\naddress = "local"\n\n[devices.b]\naddress = "local"\n')
    before = own.read_text()
    result = xdevice("init", "a", "--address", "h:1", cwd=tmp_path)
    assert (result.returncode, own.read_text()) == (2, before)
    assert "there is a device 'a' already, at local: --force replaces it" in result.stderr
    assert xdevice("init", "a", "--address", "h:1", "--force", cwd=tmp_path).returncode == 0
    assert own.read_text() == '# ours\n[devices.b]\naddress = "local"\n\n[devices.a]\naddress = "h:1"\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--address", "nowhere"], "xdevice.toml:2: [devices.a]: address: 'nowhere' names no device"),
        (["local", "--address", "local"], "'local' cannot name a device"),
        (["a"], "init needs --address SPEC, since there is no terminal to ask at"),
    ],
)
def test_init_writes_nothing_that_is_not_right(tmp_path: Path, own: Path, arguments: list[str], message: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import sys; from pytest_xdevice.cli import main; sys.exit(main())", "init", *arguments],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, own.exists()) == (2, False)
    assert message in result.stderr


def test_a_terminal_that_lacks_a_character_is_shown_its_number(tmp_path: Path, own: Path) -> None:
    own.write_text('[devices.a]\naddress = "exec:./pyth\u00f6n"\n', encoding="utf-8")
    result = xdevice("list", cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stdout) == (0, "a  exec:./pyth\\xf6n\n")


@pytest.mark.parametrize("way", ["no text", "a folder"])
def test_init_says_that_it_cannot_read_the_file(tmp_path: Path, own: Path, way: str) -> None:
    own.mkdir() if way == "a folder" else own.write_bytes(b"\xff\xfe")
    result = xdevice("init", "a", "--address", "local", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"xdevice: cannot read the devices in {own}: ")


def test_init_keeps_a_link_and_the_mode_of_the_file(tmp_path: Path, own: Path) -> None:
    shared = tmp_path / "shared.toml"
    shared.touch(mode=0o600)
    own.symlink_to("shared.toml")
    assert xdevice("init", "a", "--address", "local", cwd=tmp_path).returncode == 0
    assert own.is_symlink()
    assert shared.read_text() == '[devices.a]\naddress = "local"\n'
    assert shared.stat().st_mode & 0o777 == 0o600


def test_init_does_not_replace_an_entry_of_several_tables(tmp_path: Path, own: Path) -> None:
    own.write_text('[devices.a]\naddress = "local"\n[devices.a.env]\nA = "b"\n')
    before = own.read_text()
    result = xdevice("init", "a", "--address", "h:1", "--force", cwd=tmp_path)
    assert (result.returncode, own.read_text()) == (2, before)
    assert "xdevice.toml:1: [devices.a]: this entry is no single table: change it by hand" in result.stderr


def test_init_leaves_an_entry_of_pyproject_alone(tmp_path: Path, own: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.xdevice.devices.a]\naddress = "local"\n')
    result = xdevice("init", "a", "--address", "h:1", "--force", cwd=tmp_path)
    assert (result.returncode, own.exists()) == (2, False)
    assert "pyproject.toml" in result.stderr


def answered(answers: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `xdevice init a` at a terminal where these bytes are typed."""
    ours, theirs = pty.openpty()
    os.write(ours, answers)
    program = "import sys; from pytest_xdevice.cli import main; sys.exit(main(['init', 'a']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    return done


def test_init_asks_at_a_terminal(tmp_path: Path, own: Path) -> None:
    done = answered(b"local\n\ntoken\n", tmp_path)
    assert done.returncode == 0, done.stderr
    assert own.read_text() == '[devices.a]\naddress = "local"\ntoken-file = "token"\n'


def test_init_writes_nothing_when_the_answers_end(tmp_path: Path, own: Path) -> None:
    done = answered(b"local\n\x04", tmp_path)  # Ctrl-D at the second question
    assert (done.returncode, own.exists()) == (2, False)
    assert "nothing was written" in done.stderr


@pytest.mark.parametrize("command", ["info", "doctor", "who", "release", "list", "init", "completion", "bundle"])
def test_the_help_of_each_command_has_an_example(tmp_path: Path, command: str) -> None:
    assert f"xdevice {command}" in xdevice(command, "--help", cwd=tmp_path).stdout.partition("example:")[2]


@pytest.mark.parametrize("command", ["info", "doctor"])
def test_a_command_on_one_device_takes_one_from_the_file_it_is_given(tmp_path: Path, command: str) -> None:
    (tmp_path / "rack.toml").write_text(
        '[devices.r1]\naddress = "local"\ntags = ["r", "one"]\n[devices.r2]\naddress = "local"\ntags = ["r"]\n'
    )
    result = xdevice(command, "tag:r", "--xdevice-config", "rack.toml", cwd=tmp_path)
    assert "tag:r stands for several devices, and one is needed: name one of r1, r2" in result.stdout + result.stderr
    assert result.returncode != 0
    assert xdevice(command, "tag:one", "--xdevice-config", "rack.toml", cwd=tmp_path).returncode == 0


def test_a_shell_completes_commands_and_names(tmp_path: Path, own: Path) -> None:
    own.write_text('[devices.rack-1]\naddress = "local"\n[devices.pi]\naddress = "local"\n')
    assert complete("xdevice info r", tmp_path) == ["rack-1"]
    assert complete("xdevice rel", tmp_path) == ["release"]
    assert "complete" in xdevice("completion", "bash", cwd=tmp_path).stdout


def complete(line: str, folder: Path) -> list[str]:
    """Return what a shell is told to complete a line with, as argcomplete's function in bash asks for it."""
    answer = folder / "answer"
    asking = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    xdevice(cwd=folder, environment=asking)
    return [word.strip() for word in answer.read_text().split("\n")]
