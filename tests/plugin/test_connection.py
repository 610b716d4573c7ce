"""When the plugin connects, what it says then, and what it does when a device cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.server import DeviceServer

TEST = "def test_add(xdevice): pass"


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--markers", "--help", "--setup-plan"])
def test_looking_around_contacts_no_device(pytester: pytest.Pytester, closed_port: str, option: str) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest(option, f"--xdevice={closed_port}")
    assert result.ret == pytest.ExitCode.OK


def test_a_run_without_selected_device_tests_contacts_no_device(pytester: pytest.Pytester, closed_port: str) -> None:
    pytester.makepyfile("def test_add(xdevice): pass\ndef test_other(): pass")
    result = pytester.runpytest("-k", "other", f"--xdevice={closed_port}")
    result.assert_outcomes(passed=1, deselected=1)


def test_a_run_without_device_tests_imports_nothing_heavy(pytester: pytest.Pytester, closed_port: str) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            assert not {"numpy", "llvmlite", "pyopencl", "execnet", "pytest_xdevice.remote"} & set(sys.modules)
        """
    )
    others = ("xdist", "xdist.looponfail", "rerunfailures", "hypothesispytest")  # which import some of these themselves
    arguments = [word for plugin in others for word in ("-p", f"no:{plugin}")]
    for device in ("local", closed_port, "ssh://pi@192.0.2.1", "exec:python3", "popen//python=python3"):
        pytester.runpytest_subprocess(*arguments, f"--xdevice={device}").assert_outcomes(passed=1)


def test_one_line_a_device_says_what_it_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["xdevice: local", "collected 1 item", "xdevice local: *-linux-gnu*, * core*, *iB, Python 3.*"]
    )
    assert "xdevice local:" not in pytester.runpytest("-q").stdout.str()


def test_a_run_needs_neither_the_terminal_nor_plans(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    assert pytester.runpytest("-p", "no:terminal", "-p", "no:setupplan").ret == pytest.ExitCode.OK


def test_a_closed_port_ends_the_run_with_a_usage_error(
    pytester: pytest.Pytester, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDEVICE_TOKEN", "secret")
    pytester.makepyfile(TEST)
    result = pytester.runpytest(f"--xdevice={closed_port}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes()
    result.stderr.fnmatch_lines([f"ERROR: xdevice {closed_port}: *onnection refused*"])
    assert result.stderr.str().count(f"{closed_port}: ") == 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_every_device_that_cannot_be_reached_is_named(pytester: pytest.Pytester, closed_port: str) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest(
        f"--xdevice={closed_port}", "--xdevice=exec:/nowhere/python3", "--xdevice=local", "--xdevice=exec:false"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: xdevice {closed_port}: *", "xdevice exec:/nowhere/python3: *", "xdevice exec:false: *"]
    )


def test_one_device_under_two_names_ends_the_run_instead_of_waiting_for_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    one, two = f"exec:{sys.executable}", f"exec:{sys.executable} -s"
    result = pytester.runpytest(f"--xdevice={one}", f"--xdevice={two}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: xdevice {two}: this run itself has that device, as one of {one}, *"])


def test_a_wrong_token_ends_the_run_with_a_usage_error(
    pytester: pytest.Pytester, server: DeviceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDEVICE_TOKEN", "wrong")
    pytester.makepyfile(TEST)
    result = pytester.runpytest(f"--xdevice={server.address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: xdevice {server.address}: *token*"])


def test_a_server_with_the_right_token_runs_the_tests(pytester: pytest.Pytester, server: DeviceServer) -> None:
    pytester.makepyfile(TEST)
    pytester.runpytest(*server.options).assert_outcomes(passed=1)


@pytest.mark.parametrize("target", ["riscv64-linux-gnu", "llvm -mcpu=warp9", "nonsense"])
def test_a_target_that_the_device_cannot_run_ends_the_run_before_it_starts(
    pytester: pytest.Pytester, target: str
) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest(f"--xdevice-target={target}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: xdevice local: *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_collection_error_ends_the_run_before_a_device_is_contacted(
    pytester: pytest.Pytester, closed_port: str
) -> None:
    pytester.makepyfile(test_good=TEST, test_bad="import nowhere_to_be_found")
    result = pytester.runpytest(f"--xdevice={closed_port}")
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_compiled_kernels_are_kept_below_the_cache_directory_of_pytest(
    add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_add(xdevice):
            xdevice.run(add_one, np.zeros(3, np.float32))
        """
    )
    add_one.runpytest().assert_outcomes(passed=1)
    assert any((add_one.path / ".pytest_cache" / "d" / "xdevice").iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["local", "exec"])
def test_nothing_is_left_open(
    add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, device: str, oldest_python: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -W error")
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_add(xdevice, xdevice_session):
            xdevice.run(add_one, np.zeros(3, np.float32))
            xdevice_session.opencl_devices()
        """
    )
    spec = device if device == "local" else f"exec:{oldest_python}"
    result = add_one.runpytest_subprocess(f"--xdevice={spec}")
    result.assert_outcomes(passed=1)
    assert not result.errlines


def test_the_device_is_free_before_the_run_has_been_told_of(pytester: pytest.Pytester, server: DeviceServer) -> None:
    pytester.makeconftest(
        f"""
        import time
        from pathlib import Path
        from pytest_xdevice.config import DeviceConfig, Settings
        from pytest_xdevice.remote import transport_to

        def pytest_terminal_summary(terminalreporter):
            settings = Settings(token_file=Path({str(server.token_file)!r}))
            transport = transport_to(DeviceConfig("board", {server.address!r}), settings)
            end = time.monotonic() + 20
            while transport.who().holder is not None:  # the server may know of the end a moment later
                assert time.monotonic() < end
                time.sleep(0.01)
            terminalreporter.write_line("xdevice is free")
        """
    )
    pytester.makepyfile(TEST)
    pytester.runpytest(*server.options).stdout.fnmatch_lines(["xdevice is free"])
