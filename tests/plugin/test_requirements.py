"""What markers require of a device, and what happens where it has not got it."""

from __future__ import annotations

import pytest

UNMET = {
    'xdevice(arch="sparc")': "local: needs arch sparc; it is *",
    'xdevice(arch=["sparc", "m68k"])': "local: needs arch sparc or m68k; it is *",
    'xdevice(features=["warp_drive"])': "local: needs the CPU feature warp_drive, which it does not have",
    'xdevice(memory="512TiB")': "local: needs 512 TiB of memory; it has *iB",
    'xdevice(name="rk*")': "local: needs a device named rk[*]",
}


@pytest.mark.parametrize(("marker", "reason"), list(UNMET.items()), ids=list(UNMET))
def test_an_unmet_requirement_skips_and_says_what_the_device_has(
    pytester: pytest.Pytester, marker: str, reason: str
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_add(xdevice): assert False")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED ?1? test_an_*.py:2: {reason}"])


@pytest.mark.parametrize("arguments", [["--xdevice-strict"], ["-o", "xdevice_strict=true"]])
def test_strict_turns_an_unmet_requirement_into_a_failure(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.xdevice(arch='sparc')\ndef test_add(xdevice): pass")
    result = pytester.runpytest(*arguments)
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["local: needs arch sparc; it is * (--xdevice-strict)"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_requirements_that_are_met_do_not_stand_in_the_way(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import platform
        import pytest

        pytestmark = pytest.mark.xdevice(memory=1, name=["rk*", "loc?l"])

        @pytest.mark.xdevice(arch=platform.machine())
        def test_add(xdevice): pass
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_requirement_holds_for_the_session_fixture_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.xdevice(name='rk*')\ndef test_add(xdevice_session): pass")
    pytester.runpytest().assert_outcomes(skipped=1)


def test_a_device_without_pyopencl_skips_and_says_what_to_install(
    pytester: pytest.Pytester, oldest_python: str
) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.cpu\n@pytest.mark.opencl\ndef test_add(xdevice): pass",
    )
    result = pytester.runpytest("-rs", f"--xdevice=exec:{oldest_python}")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*exec:*pyopencl*nstall pyopencl*"])


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("opencl(extensions=['cl_khr_warp'])", "*needs the OpenCL extension cl_khr_warp, which * does not have"),
        ("opencl(version='9.0')", "*needs OpenCL 9.0; * has *"),
        ("opencl(device_type='custom')", "*needs an OpenCL device of type custom; * is a *"),
        ("xdevice(memory='512TiB')", "*needs 512 TiB of OpenCL memory; it has *iB"),
    ],
)
@pytest.mark.usefixtures("pyopencl")
def test_requirements_of_opencl(pytester: pytest.Pytester, marker: str, reason: str) -> None:
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.cpu\n@pytest.mark.opencl\n@pytest.mark.{marker}\ndef test_add(xdevice): pass"
    )
    result = pytester.runpytest("-rs", "-k", "opencl and not [cpu]")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines([f"SKIPPED{reason}"])


def test_a_requirement_of_opencl_does_not_bind_the_cpu(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.cpu\n@pytest.mark.opencl(version='9.0')\ndef test_add(xdevice): pass"
    )
    pytester.runpytest("-k", "test_add[cpu]").assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("xdevice(archs='arm')", "unknown argument 'archs' (did you mean 'arch'?); it takes arch, features*"),
        ("xdevice('arm')", "takes no positional argument, such as 'arm'; write one of arch=...*"),
        ("cpu(1)", "takes no positional argument, such as 1; write it bare"),
        ("cpu(cores=4)", "unknown argument 'cores'; it takes none"),
        ("xdevice(memory='much')", "memory is a number of bytes or text such as '512MiB' or '2GB'; got 'much'"),
        ("opencl(version=1.2)", "version is text such as '1.2'; got 1.2"),
        ("opencl(device_type='npu')", "device_type is one of cpu, gpu, accelerator, custom; got 'npu'"),
        ("opencl(extensions=1)", "extensions is a text or a list of texts; got 1"),
        ("xdevice(arch=[])", "arch is a text or a list of texts; got []"),
    ],
)
def test_arguments_of_markers_that_mean_nothing_are_errors(
    pytester: pytest.Pytester, marker: str, message: str
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_add(xdevice): pass")
    result = pytester.runpytest("--collect-only")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*test_arguments*::test_add: *{message}"])


@pytest.mark.opencl
def test_an_empty_list_of_what_a_device_must_have_asks_for_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.opencl(extensions=[])
        @pytest.mark.xdevice(features=[])
        def test_nothing(xdevice): pass
        """
    )
    pytester.runpytest("--xdevice-strict").assert_outcomes(passed=1)
