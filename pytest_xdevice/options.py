"""The plugin's command-line options, and how they, the ini file and the environment come together."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import cast
from typing import Final
from typing import Literal

import pytest

from .config import DeviceConfig
from .config import read_fingerprint
from .config import resolve_devices
from .config import Settings
from .config import split_environment
from .config import token_of_environment
from .errors import ConfigError
from .report.report_file import ReportFile

Kind = Literal["cpu", "opencl"]
Distribution = Literal["each", "load"]


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, each with an ini option of the same name (``-`` written ``_``)."""
    group = parser.getgroup("xdevice", "compute kernels on devices")
    group.addoption(
        "--xdevice",
        action="append",
        default=[],
        metavar="SPEC",
        help="Device to run the xdevice tests on: local, HOST:PORT, ssh://user@host[:port], either of the two with "
        "?via=user@gateway for one behind a jump host, labgrid:PLACE or labgrid:tag=value, exec:COMMAND, a name from "
        "[tool.xdevice.devices.NAME] in pyproject.toml or [devices.NAME] in xdevice.toml, tag:TAG for all the named "
        "devices with a tag, or an execnet spec. Repeat it for several. The environment "
        "variable XDEVICE is asked next (several are separated by ';', a new line, a comma or a space; an exec: "
        "command and an execnet spec reach to the next ';' or new line, one with ?via= or labgrid: to the next "
        "space), then the ini option. Default: local.",
    )
    parser.addini("xdevice", "Devices to run the xdevice tests on, one a line", type="linelist", default=[])
    group.addoption(
        "--xdevice-report",
        action="append",
        type=_not_empty,
        default=[],
        metavar="FILE",
        help="Write a report of the run to FILE.html, .json or .md, or its timings alone to FILE.benchmark.json for "
        "github-action-benchmark. Repeat it for several.",
    )
    parser.addini("xdevice_report", "Files for reports of the run, one a line", type="linelist", default=[])
    for name, metavar, convert, text in _VALUES:
        group.addoption(f"--xdevice-{name}", metavar=metavar, type=convert, default=None, help=text)
        parser.addini(f"xdevice_{name}".replace("-", "_"), f"Default of --xdevice-{name}", default=None)
    _add_switches(parser, group)


def _add_switches(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    group.addoption(
        "--xdevice-strict",
        action="store_true",
        default=None,
        help="Fail a test whose requirements its device does not meet, instead of skipping it.",
    )
    parser.addini("xdevice_strict", "Default of --xdevice-strict", type="bool", default=False)
    group.addoption(
        "--xdevice-guard",
        action="store_true",
        default=None,
        help="Put arrays on the device against guard pages and canaries, which catch overruns. This is the default.",
    )
    group.addoption(
        "--no-xdevice-guard",
        dest="xdevice_guard",
        action="store_false",
        default=None,
        help="Put arrays into plain memory.",
    )
    parser.addini("xdevice_guard", "Default of --xdevice-guard", type="bool", default=True)
    group.addoption(
        "--xdevice-insecure",
        action="store_true",
        default=None,
        help="Go without a token to a server on this machine that was started with --insecure.",
    )
    parser.addini("xdevice_insecure", "Default of --xdevice-insecure", type="bool", default=False)


def read_devices(config: pytest.Config) -> list[DeviceConfig]:
    """Return the configured devices: those of the command line, else of ``XDEVICE``, else of the ini file, else local.

    Raises
    ------
    pytest.UsageError
        If a specification or pyproject.toml cannot be understood.
    """
    # What is on the command line is meant for this run, whatever a device's entry says.
    target, timeout = config.getoption("xdevice_target"), config.getoption("xdevice_timeout")
    try:
        devices = resolve_devices(_specs(config), config.rootpath / "pyproject.toml", _device_file(config))
    except ConfigError as error:
        raise pytest.UsageError(f"xdevice: {error}") from None
    return [replace(device, target=target or device.target, timeout=timeout or device.timeout) for device in devices]


def repeated_devices(config: pytest.Config) -> list[str]:
    """Return the specifications that are given more than once, of which a run has a device all the same."""
    specs = _specs(config)
    return [spec for spec in dict.fromkeys(specs) if specs.count(spec) > 1]


def _specs(config: pytest.Config) -> list[str]:
    given = config.getoption("xdevice") or split_environment(os.environ.get("XDEVICE", "")) or config.getini("xdevice")
    return given or ["local"]


def read_settings(config: pytest.Config) -> Settings:
    """Return what the options say for all devices.

    Raises
    ------
    pytest.UsageError
        If a value of the ini file is not allowed, or the token file cannot be read.
    """
    timeout = _value(config, "timeout")
    return Settings(
        timeout=Settings.timeout if timeout is None else timeout,
        guard=_switch(config, "xdevice_guard"),
        opencl=_value(config, "opencl"),
        token=token_of_environment(),
        token_file=_token_file(config),
        target=_value(config, "target"),
        artifacts=_artifacts(config),
        tls_fingerprint=_value(config, "tls-fingerprint"),
        insecure=_switch(config, "xdevice_insecure"),
        lease_timeout=_value(config, "lease-timeout") or Settings.lease_timeout,
        pin=_value(config, "pin"),
    )


def read_reports(config: pytest.Config) -> list[ReportFile]:
    """Return the reports that are asked for: those of the command line, else of the ini file.

    Raises
    ------
    pytest.UsageError
        If one cannot be written, which is tried.
    """
    given = config.getoption("xdevice_report")
    folder = config.invocation_params.dir if given else config.rootpath
    files = [ReportFile(folder / Path(name).expanduser()) for name in given or config.getini("xdevice_report")]
    for file in files:
        obstacle = file.obstacle()
        if obstacle:
            raise pytest.UsageError(f"--xdevice-report: {file.path} cannot be written: {obstacle}")
    return files


def default_kind(config: pytest.Config) -> Kind:
    """Return what a test without a marker runs on.

    Raises
    ------
    pytest.UsageError
        If the value of the ini file is not allowed.
    """
    return cast(Kind, _value(config, "kind") or "cpu")


def distribution(config: pytest.Config) -> Distribution:
    """Return whether a test runs on each device, or once, on one that is free.

    Raises
    ------
    pytest.UsageError
        If the value of the ini file is not allowed.
    """
    return cast(Distribution, _value(config, "dist") or "each")


def is_strict(config: pytest.Config) -> bool:
    """Return whether a requirement that is not met fails its test."""
    return _switch(config, "xdevice_strict")


def _value(config: pytest.Config, name: str) -> Any:
    """Return the value of ``--xdevice-<name>``, else of the ini option, else None."""
    dest = f"xdevice_{name}".replace("-", "_")
    given = config.getoption(dest)
    text = config.getini(dest) if given is None else None
    if not text:
        return given
    try:
        return _CONVERTERS[name](text)
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"ini option {dest}: {error}") from None


def _switch(config: pytest.Config, dest: str) -> bool:
    given = config.getoption(dest)
    return bool(config.getini(dest) if given is None else given)


def baseline_path(config: pytest.Config) -> Path | None:
    """Return the file of the figures to compare with, where one is given.

    Raises
    ------
    pytest.UsageError
        If the ini file's value is not allowed.
    """
    given = _value(config, "baseline")
    return None if given is None else _path(config, "baseline", given)


def fail_slower(config: pytest.Config) -> float | None:
    """Return by how much a test may be slower than the baseline, 0.1 for 10 %; None where none fails for that.

    Raises
    ------
    pytest.UsageError
        If the ini file's value is not allowed.
    """
    return cast("float | None", _value(config, "fail-slower"))


def _device_file(config: pytest.Config) -> Path | None:
    """Return the file that --xdevice-config names, or None for the usual one."""
    given = _value(config, "config")
    return None if given is None else _path(config, "config", given)


def _token_file(config: pytest.Config) -> Path | None:
    """Return the token file, if one is named."""
    given = _value(config, "token-file")
    if given is None:
        return None
    path = _path(config, "token-file", given)
    if not path.is_file():
        raise pytest.UsageError(
            f"--xdevice-token-file: there is no file {path}; the device's server prints its token when it starts, "
            "or takes the same file with its own --token-file"
        )
    return path


def _path(config: pytest.Config, name: str, given: str) -> Path:
    """Return a path, which the ini file names relative to itself and the command line to where it was given."""
    on_command_line = config.getoption(f"xdevice_{name}".replace("-", "_")) is not None
    return (config.invocation_params.dir if on_command_line else config.rootpath) / Path(given).expanduser()


def _artifacts(config: pytest.Config) -> Path | None:
    """Return where failing tests leave their kernels, or None."""
    given = _value(config, "artifacts")
    return None if given is None else _path(config, "artifacts", given)


def _kind(text: str) -> str:
    if text not in ("cpu", "opencl"):
        raise argparse.ArgumentTypeError(f"{text!r} is no kind of device; allowed: cpu, opencl")
    return text


def _distribution(text: str) -> str:
    if text not in ("each", "load"):
        raise argparse.ArgumentTypeError(f"{text!r} is no way to share tests out; allowed: each, load")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time limit; give a number of seconds above 0")
    return seconds


def _cpu(text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no CPU; give its number, as /proc/cpuinfo counts them from 0")
    return int(text)


def _fingerprint(text: str) -> str:
    try:
        return read_fingerprint(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _percent(text: str) -> float:
    number, sign, rest = text.strip().partition("%")
    try:
        percent = float(number)
    except ValueError:
        percent = math.nan
    if sign != "%" or rest or not 0 <= percent < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage; give one such as 10%")
    return percent / 100


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the value is empty; leave the option out for the default")
    return text.strip()


# Options with a value: name, metavar, check, help.
_VALUES: Final[tuple[tuple[str, str, Callable[[str], Any], str], ...]] = (
    (
        "target",
        "TARGET",
        _not_empty,
        "Target to compile for: a triple, or 'llvm -mtriple=... -mcpu=... -mattr=+a,-b'. Default: read off the device.",
    ),
    ("kind", "KIND", _kind, "What a test with neither marker runs on: cpu or opencl. Default: cpu."),
    (
        "dist",
        "WAY",
        _distribution,
        "How tests are shared out among several devices: 'each' runs every test on every device that matches, 'load' "
        "runs it once, on whichever of them is free. Default: each.",
    ),
    (
        "config",
        "FILE",
        _not_empty,
        "File with named devices, [devices.NAME]. Default: xdevice.toml beside pyproject.toml, if there is one.",
    ),
    ("timeout", "SECONDS", _seconds, "How long a launch may take. Default: 60."),
    (
        "lease-timeout",
        "SECONDS",
        _seconds,
        "How long to wait for a device that another session has, of another run: the workers of a run wait for each "
        "other for as long as that takes. Default: 600.",
    ),
    (
        "pin",
        "CPU",
        _cpu,
        "Keep the process that runs kernels to this core of the device, counted from 0. Default: any.",
    ),
    (
        "opencl",
        "SUBSTRING",
        _not_empty,
        "Which OpenCL device: part of its name or of its platform's. Default: the first.",
    ),
    (
        "artifacts",
        "DIR",
        _not_empty,
        "Keep the kernels of failing tests below DIR: source, IR, assembly, objects, arguments (.npy), and a script "
        "that runs them again.",
    ),
    (
        "token-file",
        "FILE",
        _not_empty,
        "File with the token of the devices' servers; the environment variable XDEVICE_TOKEN holds a token itself.",
    ),
    (
        "tls-fingerprint",
        "SHA256",
        _fingerprint,
        "Speak TLS to the devices' servers, and only to one whose certificate has this fingerprint, which it prints.",
    ),
    (
        "baseline",
        "FILE",
        _not_empty,
        "Compare the timings of kernels with those in FILE; figures that it does not have are added to it.",
    ),
    (
        "fail-slower",
        "PERCENT",
        _percent,
        "Fail a test whose kernel is slower than --xdevice-baseline says, by more than PERCENT, such as 10%%, and by "
        "more than the noise.",
    ),
)
_CONVERTERS: Final = {name: convert for name, _, convert, _ in _VALUES}
