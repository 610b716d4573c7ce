"""On which devices and kinds a test runs, and what its ids are."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.lanes import identifiers
from tests.harness import unnamed

ROUTED = """
    import pytest

    def test_plain(xdevice): pass

    @pytest.mark.cpu
    def test_cpu(xdevice): pass

    @pytest.mark.opencl
    def test_opencl(xdevice): pass

    @pytest.mark.cpu
    @pytest.mark.opencl
    def test_both(xdevice): pass

    @pytest.mark.opencl
    def test_without_a_device(): pass

    def test_session(xdevice_session): pass
"""


def collected(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """Return the ids of the tests in the files made so far, without their files."""
    result = pytester.runpytest("--collect-only", "-q", *arguments)
    assert result.ret == 0
    return [line.partition("::")[2] for line in result.outlines if "::" in line]


def test_markers_choose_the_kinds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ROUTED)
    assert sorted(collected(pytester)) == sorted(
        [
            "test_plain[cpu]",
            "test_cpu[cpu]",
            "test_opencl[opencl]",
            "test_both[cpu]",
            "test_both[opencl]",
            "test_without_a_device",
            "test_session[cpu]",
        ]
    )


@pytest.mark.parametrize("arguments", [["--xdevice-kind=opencl"], ["-o", "xdevice_kind=opencl"]])
def test_the_kind_of_a_test_without_marker_is_an_option(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makepyfile(ROUTED)
    ids = collected(pytester, *arguments)
    assert "test_plain[opencl]" in ids
    assert "test_cpu[cpu]" in ids


def test_markers_of_class_and_module_count(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.opencl

        @pytest.mark.cpu
        class TestKernel:
            def test_a(self, xdevice): pass

        def test_b(xdevice): pass
        """
    )
    assert sorted(collected(pytester)) == ["TestKernel::test_a[cpu]", "TestKernel::test_a[opencl]", "test_b[opencl]"]


def test_several_devices_run_each_test_with_their_names_in_the_ids(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.xdevice.devices.rk3399]
        address = "192.0.2.7:9090"
        [tool.xdevice.devices.pi]
        address = "ssh://pi@192.0.2.8"
        """
    )
    pytester.makepyfile("import pytest\n@pytest.mark.cpu\n@pytest.mark.opencl\ndef test_add(xdevice): pass")
    assert collected(pytester, "--xdevice=rk3399", "--xdevice", "pi") == [
        "test_add[rk3399-cpu]",
        "test_add[rk3399-opencl]",
        "test_add[pi-cpu]",
        "test_add[pi-opencl]",
    ]


def test_one_device_named_twice_runs_a_test_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_add(xdevice): pass")
    assert collected(pytester, "--xdevice=local", "--xdevice=local") == ["test_add[cpu]"]
    result = pytester.runpytest("--collect-only", "--xdevice=local", "--xdevice=local")
    result.stdout.fnmatch_lines(["xdevice: local is given twice, and taken once"])


def test_parametrize_of_the_user_multiplies(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.cpu
        @pytest.mark.opencl
        @pytest.mark.parametrize("size", [1, 7])
        def test_add(xdevice, size): pass
        """
    )
    assert sorted(collected(pytester)) == [
        "test_add[cpu-1]",
        "test_add[cpu-7]",
        "test_add[opencl-1]",
        "test_add[opencl-7]",
    ]


def test_a_fixture_of_the_user_that_uses_the_device_routes_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def weights(xdevice_session): return xdevice_session.name

        @pytest.mark.opencl
        def test_weights(weights): pass
        """
    )
    assert collected(pytester) == ["test_weights[opencl]"]


def test_identifiers_are_safe_and_unique() -> None:
    names = ["local", "10.77.1.162:9090", "ssh://pi@host:22", "exec:chroot /path python3", "exec:chroot /path/python3"]
    assert identifiers([DeviceConfig(name, name) for name in names]) == [
        "local",
        "10.77.1.162:9090",
        "ssh-pi@host:22",
        "exec:chroot-path-python3",
        "exec:chroot-path-python3-2",
    ]


def test_a_unittest_method_runs_on_the_only_device(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import unittest
        import numpy as np
        import pytest
        from kernels import add_one

        class TestKernel(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _take_device(self, xdevice):
                self.device = xdevice

            def test_add_one(self):
                assert self.device.run(add_one, np.zeros(3, np.float32)).tolist() == [1, 1, 1]
        """
    )
    add_one.runpytest().assert_outcomes(passed=1)


def test_a_unittest_method_cannot_run_on_several_devices(pytester: pytest.Pytester, closed_port: str) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        class TestKernel(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _take_device(self, xdevice): pass

            def test_nothing(self): pass
        """
    )
    result = pytester.runpytest("--xdevice=local", f"--xdevice={closed_port}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cannot be run on each of several devices*give one --xdevice*"])


def test_hypothesis_draws_for_one_device(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        from hypothesis import HealthCheck, given, settings, strategies as st
        from kernels import add_one

        @settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None,
                  database=None)
        @given(size=st.integers(1, 50))
        def test_add_one(xdevice, size):
            assert xdevice.run(add_one, np.zeros(size, np.float32)).tolist() == [1] * size
        """
    )
    result = add_one.runpytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_add_one?cpu? PASSED*"])


UNNAMED = """
    import unittest
    import pytest

    @pytest.mark.opencl
    def test_of_opencl(request):
        assert request.getfixturevalue("xdevice").kind == "opencl"

    def test_of_the_cpu(request):
        assert request.getfixturevalue("xdevice").kind == "cpu"

    @pytest.mark.xdevice(arch="sparc")
    def test_of_another_device(request):
        assert not request.getfixturevalue("xdevice")

    class TestMethods(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _take_device(self, xdevice):
            self.device = xdevice

        @pytest.mark.opencl
        def test_of_opencl(self):
            assert self.device.kind == "opencl"

        def test_of_the_cpu(self):
            assert self.device.kind == "cpu"
"""


@pytest.mark.usefixtures("pyopencl")
@pytest.mark.parametrize("way", ["each", "load"])
def test_markers_hold_for_a_test_that_does_not_name_the_fixture(pytester: pytest.Pytester, way: str) -> None:
    pytester.makepyfile(UNNAMED)
    result = pytester.runpytest("-rs", f"--xdevice-dist={way}", "--junit-xml=run.xml")
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*local: needs arch sparc; it is *"])
    kinds = [
        entry.get("value")
        for entry in ElementTree.parse(pytester.path / "run.xml").iter("property")
        if entry.get("name") == "xdevice.kind"
    ]
    assert sorted(map(str, kinds)) == ["cpu", "cpu", "cpu", "opencl", "opencl"]
    pytester.runpytest("--xdevice-strict", f"--xdevice-dist={way}").assert_outcomes(passed=4, failed=1)


@pytest.mark.parametrize("way", ["each", "load"])
def test_a_test_that_does_not_name_the_fixture_cannot_run_twice(pytester: pytest.Pytester, way: str) -> None:
    pytester.makepyfile(unnamed.TESTS + "pytestmark = [pytest.mark.cpu, pytest.mark.opencl]")
    result = pytester.runpytest(f"--xdevice-dist={way}")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["this test cannot be run on each of cpu and opencl, *"] * 2)
