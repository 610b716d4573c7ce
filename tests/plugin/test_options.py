"""Options, ini options, the environment and named devices."""

from __future__ import annotations

from pathlib import Path

import pytest

TEST = "def test_add(xdevice): pass"
SHOW = """
    from pytest_xdevice.lab import LAB

    def test_show(pytestconfig):
        lab = pytestconfig.stash[LAB]
        for device in lab.devices:
            print("device:", device)
        print("settings:", lab.settings)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--xdevice-kind=gpu"], "*--xdevice-kind: 'gpu' is no kind of device; allowed: cpu, opencl"),
        (["-o", "xdevice_kind=gpu"], "*xdevice_kind: 'gpu' is no kind of device; allowed: cpu, opencl"),
        (["--xdevice-dist=all"], "*--xdevice-dist: 'all' is no way to share tests out; allowed: each, load"),
        (["-o", "xdevice_dist=all"], "*xdevice_dist: 'all' is no way to share tests out; allowed: each, load"),
        (["--xdevice-timeout=soon"], "*--xdevice-timeout: 'soon' is no time limit; give a number of seconds above 0"),
        (["--xdevice-timeout=0"], "*--xdevice-timeout: '0' is no time limit; give a number of seconds above 0"),
        (["-o", "xdevice_timeout=-1"], "*xdevice_timeout: '-1' is no time limit; give a number of seconds above 0"),
        (["--xdevice-timeout=nan"], "*--xdevice-timeout: 'nan' is no time limit; *"),
        (["--xdevice-target="], "*--xdevice-target: the value is empty; leave the option out for the default"),
        (["--xdevice-tls-fingerprint=ab:cd"], "*'ab:cd' is no SHA-256 fingerprint: 64 hexadecimal digits*"),
        (["--xdevice-token-file=nothing"], "*--xdevice-token-file: there is no file *nothing; *"),
        (
            ["--xdevice-config=nothing.toml"],
            "*--xdevice-config: there is no file *nothing.toml; `xdevice init` writes one",
        ),
        (["--xdevice=rk3399"], "*unknown device 'rk3399'; no device is configured in pyproject.toml. *HOST:PORT*"),
        (["--xdevice=host:port:9090:x"], "*cannot understand the device 'host:port:9090:x': *HOST:PORT*"),
        (["--xdevice=exec:"], "*exec:*needs a command*"),
        (
            ["--xdevice-target=sparc", "--xdevice=192.0.2.1:9090"],
            "*192.0.2.1:9090: target: unknown architecture 'sparc'*",
        ),
        (["--xdevice="], "*cannot understand the device ''*HOST:PORT*"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_a_usage_error_that_says_what_is_allowed(
    pytester: pytest.Pytester, arguments: list[str], message: str
) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("source", ["option", "ini", "environment"])
def test_devices_come_from_option_ini_or_environment(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    pytester.makepyfile(SHOW)
    arguments = []
    if source == "option":
        arguments = ["--xdevice=192.0.2.1:9090", "--xdevice=exec:chroot /board python3"]
    elif source == "ini":
        pytester.makeini("[pytest]\nxdevice =\n  192.0.2.1:9090\n  exec:chroot /board python3")
    else:
        monkeypatch.setenv("XDEVICE", "192.0.2.1:9090 exec:chroot /board python3")
    result = pytester.runpytest("-s", *arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "xdevice: 192.0.2.1:9090",
            "xdevice: exec:chroot /board python3",
            "*device: *name='192.0.2.1:9090', address='192.0.2.1:9090'*",
        ]
    )


def test_the_command_line_goes_before_the_environment_and_that_before_the_ini_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeini("[pytest]\nxdevice = 192.0.2.1:1")
    pytester.runpytest().stdout.fnmatch_lines(["xdevice: 192.0.2.1:1"])
    monkeypatch.setenv("XDEVICE", "192.0.2.1:2")
    pytester.runpytest().stdout.fnmatch_lines(["xdevice: 192.0.2.1:2"])
    result = pytester.runpytest("--xdevice=192.0.2.1:3")
    result.stdout.fnmatch_lines(["xdevice: 192.0.2.1:3"])
    result.stdout.no_fnmatch_line("xdevice: 192.0.2.1:[12]")


def test_every_setting_has_an_option_and_an_ini_option(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(SHOW)
    token = pytester.maketxtfile(token="secret")
    monkeypatch.setenv("XDEVICE_TOKEN", "from the environment")
    expected = (
        "settings: Settings(timeout=2.5, guard=False, opencl='pthread', token=<token>, "
        f"token_file={type(token)(token)!r}, target='aarch64-linux-gnu', "
        f"artifacts={type(token)(pytester.path / 'kept')!r}, tls_fingerprint='{'ab' * 32}', insecure=True, "
        "lease_timeout=30.0, pin=0)"
    )
    options = [
        "--xdevice-timeout=2.5",
        "--no-xdevice-guard",
        "--xdevice-opencl=pthread",
        f"--xdevice-token-file={token.name}",
        "--xdevice-target=aarch64-linux-gnu",
        "--xdevice-artifacts=kept",
        "--xdevice-tls-fingerprint=" + ":".join(["AB"] * 32),
        "--xdevice-insecure",
        "--xdevice-lease-timeout=30",
        "--xdevice-pin=0",
    ]
    assert expected in pytester.runpytest("-s", *options).outlines
    pytester.makeini(
        f"""
        [pytest]
        xdevice_timeout = 2.5
        xdevice_guard = false
        xdevice_opencl = pthread
        xdevice_token_file = {token.name}
        xdevice_target = aarch64-linux-gnu
        xdevice_artifacts = kept
        xdevice_tls_fingerprint = {"ab" * 32}
        xdevice_insecure = true
        xdevice_lease_timeout = 30
        xdevice_pin = 0
        """
    )
    assert expected in pytester.runpytest("-s").outlines
    result = pytester.runpytest("-s", "--xdevice-guard", "--xdevice-timeout=9")
    result.stdout.fnmatch_lines(["settings: Settings(timeout=9.0, guard=True, *"])


def test_a_named_device_carries_its_settings(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.xdevice.devices.rk3399]
        address = "192.0.2.7:9090"
        target = "aarch64-linux-gnu"
        token-file = "secrets/rk"
        python = "python3.9"
        """
    )
    pytester.makepyfile(SHOW)
    result = pytester.runpytest("-s", "--xdevice=rk3399")
    result.stdout.fnmatch_lines(
        [
            "xdevice: rk3399 at 192.0.2.7:9090, target aarch64-linux-gnu",
            "*device: *name='rk3399', address='192.0.2.7:9090', target='aarch64-linux-gnu', "
            f"token_file={type(Path())(pytester.path / 'secrets' / 'rk')!r}, python='python3.9', "
            "tls_fingerprint=None, insecure=False, tags=(), env=(), pin=(), timeout=None)",
        ]
    )


def test_a_target_on_the_command_line_goes_before_that_of_a_named_device(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        '[tool.xdevice.devices.rk]\naddress = "192.0.2.7:9090"\ntarget = "armv7l-linux-gnueabihf"'
    )
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest("--xdevice=rk", "--xdevice-target=aarch64-linux-gnu")
    result.stdout.fnmatch_lines(["xdevice: rk at 192.0.2.7:9090, target aarch64-linux-gnu"])


def test_an_unknown_name_lists_the_configured_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        '[tool.xdevice.devices.rk3399]\naddress = "192.0.2.7:9090"\n[tool.xdevice.devices.pi]\naddress = "local"'
    )
    pytester.makepyfile(TEST)
    result = pytester.runpytest("--xdevice=rk339")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: xdevice: unknown device 'rk339' (did you mean 'rk3399'?); configured: pi, rk3399. *"]
    )


def test_hooks_may_change_the_devices(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_xdevice.config import DeviceConfig

        def pytest_xdevice_devices(config, devices):
            devices[:] = [DeviceConfig("bench", "local")]

        def pytest_xdevice_connected(config, session):
            print("connected:", session.name)
        """
    )
    pytester.makepyfile(TEST)
    result = pytester.runpytest("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["xdevice: bench at local", "connected: bench"])


def test_hooks_must_leave_a_device(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_xdevice_devices(devices): devices.clear()")
    pytester.makepyfile(TEST)
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: xdevice: pytest_xdevice_devices left no device to run on"])


def test_markers_fixtures_and_options_are_described(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.cpu: *", "@pytest.mark.opencl(ext*", "@pytest.mark.xdevice(arch=*"])
    result = pytester.runpytest("--fixtures")
    result.stdout.fnmatch_lines(["xdevice_session ?session scope? -- *", "xdevice -- *"])
    result.stdout.no_fnmatch_line("*no docstring available*xdevice*")
    result = pytester.runpytest("--help")
    for option in (
        "",
        "-target",
        "-kind",
        "-timeout",
        "-strict",
        "-guard",
        "-opencl",
        "-token-file",
        "-insecure",
        "-tls-fingerprint",
    ):
        result.stdout.fnmatch_lines(
            [
                f"  --xdevice{option}[ =]*"
                if option not in ("-strict", "-guard", "-insecure")
                else f"  --xdevice{option}*"
            ]
        )
    result.stdout.fnmatch_lines(["  --no-xdevice-guard*", "  xdevice (linelist):*", "  xdevice_timeout (string):*"])
