"""Specifications of devices and the tables that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import find_pyproject
from pytest_xdevice.config import read_named_devices
from pytest_xdevice.config import resolve_devices
from pytest_xdevice.config import split_environment
from pytest_xdevice.errors import ConfigError


@pytest.fixture
def pyproject(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("", []),
        ("local", ["local"]),
        ("local,10.0.0.1:9090", ["local", "10.0.0.1:9090"]),
        ("local 10.0.0.1:9090\tssh://pi@pi", ["local", "10.0.0.1:9090", "ssh://pi@pi"]),
        (" local ; rk3399 ;", ["local", "rk3399"]),
        ("exec:docker run -i a,b python3", ["exec:docker run -i a,b python3"]),
        ("local, exec:chroot /a python3;rk3399", ["local", "exec:chroot /a python3", "rk3399"]),
        ("exec:chroot /a python3\nexec:chroot /b python3", ["exec:chroot /a python3", "exec:chroot /b python3"]),
        ("ssh=-p 22 pi@host//python=python3", ["ssh=-p 22 pi@host//python=python3"]),
        ("popen//python=nice python3", ["popen//python=nice python3"]),
    ],
)
def test_the_environment_variable_holds_several(text: str, specs: list[str]) -> None:
    assert split_environment(text) == specs


@pytest.mark.parametrize(
    "spec",
    [
        "local",
        "10.0.0.1:9090",
        "[2001:db8::1]:9090",
        "ssh://pi@raspberrypi:2222",
        "exec:chroot /board python3",
        "popen//python=python3",
        "ssh=pi@host",
        "socket=10.0.0.1:9090",
    ],
)
def test_every_form_is_its_own_name_and_address(spec: str, pyproject: Path) -> None:
    assert resolve_devices([spec], pyproject) == (DeviceConfig(spec, spec),)


def test_a_device_is_listed_once(pyproject: Path) -> None:
    assert resolve_devices(["local", "10.0.0.1:1", "local"], pyproject) == (
        DeviceConfig("local", "local"),
        DeviceConfig("10.0.0.1:1", "10.0.0.1:1"),
    )


@pytest.mark.parametrize("spec", ["localhost", "raspberrypi"])
def test_a_bare_word_is_a_name(spec: str, pyproject: Path) -> None:
    with pytest.raises(ConfigError, match=f"unknown device '{spec}'; no device is configured.*HOST:PORT"):
        resolve_devices([spec], pyproject)


@pytest.mark.parametrize("spec", ["host:99999", "host:http", ":9090", "ssh://", "exec:'unbalanced", "a b"])
def test_other_things_are_refused_with_the_forms(spec: str, pyproject: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot understand the device.*A device is local, HOST:PORT"):
        resolve_devices([spec], pyproject)


def test_a_named_device_is_read_whole(pyproject: Path) -> None:
    pyproject.write_text(
        f"""
        [tool.xdevice.devices.rk3399]
        address = "10.0.0.1:9090"
        target = "aarch64-linux-gnu"
        token-file = "secrets/token"
        python = "python3.9"
        tls-fingerprint = "AB:ab{"ab" * 30}"
        [tool.xdevice.devices."pi.4"]
        address = "ssh://pi@pi"
        token-file = "/etc/token"
        insecure = true
        """
    )
    assert read_named_devices(pyproject) == {
        "rk3399": DeviceConfig(
            "rk3399", "10.0.0.1:9090", "aarch64-linux-gnu", pyproject.parent / "secrets/token", "python3.9", "ab" * 32
        ),
        "pi.4": DeviceConfig("pi.4", "ssh://pi@pi", token_file=Path("/etc/token"), insecure=True),
    }
    assert [device.name for device in resolve_devices(["pi.4", "local"], pyproject)] == ["pi.4", "local"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[tool.xdevice.devices.a]\naddres = 'local'",
            r"unknown key 'addres' \(did you mean 'address'\?\); known:",
        ),
        ("[tool.xdevice.devices.a]\naddress = 'local'\nshell = 'sh'", "unknown key 'shell'; known: address, target"),
        ("[tool.xdevice.devices.a]\ntarget = 'x'", "address is missing; it is one of: local; HOST:PORT"),
        ("[tool.xdevice.devices.a]\naddress = 9090", "address is a string that is not empty; got 9090"),
        ("[tool.xdevice.devices.a]\naddress = 'local'\ninsecure = 1", "insecure is true or false; got 1"),
        ("[tool.xdevice.devices.a]\naddress = 'local'\ntls-fingerprint = 'x'", "'x' is no SHA-256 fingerprint"),
        ("[tool.xdevice.devices.a]\naddress = 'b'", "An address is local, HOST:PORT"),
        (
            "[tool.xdevice.devices]\na = 'local'",
            "expected a table with the keys address, target, token-file, python, tls",
        ),
        ("[tool.xdevice.devices.local]\naddress = 'local'", "'local' cannot name a device"),
        ("[tool.xdevice.devices.'a:1']\naddress = 'local'", "'a:1' cannot name a device"),
        ("[tool.xdevice.device.a]\naddress = 'local'", r"unknown key 'device' \(did you mean 'devices'\?\)"),
        ("[tool.xdevice]\ndevices = 1", "devices is a table of tables"),
        ("[tool.xdevice", "cannot read the devices in"),
    ],
)
def test_a_mistake_in_the_tables_names_key_and_file(text: str, message: str, pyproject: Path) -> None:
    pyproject.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_devices(["a"], pyproject)
    assert str(pyproject) in str(caught.value)


def test_the_local_device_needs_no_tables(pyproject: Path) -> None:
    pyproject.write_text("[tool.xdevice")
    assert resolve_devices(["local"], pyproject) == (DeviceConfig("local", "local"),)


def test_the_nearest_pyproject_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    assert find_pyproject(inner) == tmp_path / "pyproject.toml"
    (tmp_path / "a" / "pyproject.toml").touch()
    assert find_pyproject(inner) == tmp_path / "a" / "pyproject.toml"
