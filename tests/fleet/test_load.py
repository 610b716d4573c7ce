"""``--xdevice-dist=load`` in one process: every test runs once, on a device that is free and has what it needs."""

from __future__ import annotations

import json
import threading
import time
from xml.etree import ElementTree

import pytest

from tests.fleet.conftest import Fleet

THREE = """
    import pytest

    @pytest.mark.cpu
    @pytest.mark.opencl
    def test_both(xdevice): pass

    def test_one(xdevice): pass
"""
RUN_ONCE = """
    import numpy as np
    import pytest
    from kernels import add_one

    @pytest.mark.parametrize("size", [1, 2])
    def test_add(xdevice, size):
        assert xdevice.run(add_one, np.zeros(size, np.float32)).tolist() == [1] * size
"""
ROUTED = """
    import pytest

    @pytest.fixture(scope="module")
    def name(xdevice_session):
        def own_name():
            return 7

        yield xdevice_session.name
        assert xdevice_session.remote(own_name) == 7  # the device is still there

    def test_first(name, xdevice):
        assert name == xdevice.name

    @pytest.mark.xdevice(name="rack-2")
    def test_second(name, xdevice):
        assert name == xdevice.name == "rack-2"

    def test_stays(name):
        assert name == "rack-2"

    @pytest.mark.xdevice(name="rack-1")
    def test_back(name, xdevice):
        assert name == xdevice.name == "rack-1"
"""


def test_ids_name_the_kind_and_no_device(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(THREE)
    result = add_one.runpytest("--collect-only", "-q", "--xdevice-dist=load", *fleet.options)
    ids = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert sorted(ids) == ["test_both[cpu]", "test_both[opencl]", "test_one[cpu]"]


@pytest.mark.parametrize("source", ["option", "ini"])
def test_every_test_runs_once_and_reports_say_where(fleet: Fleet, add_one: pytest.Pytester, source: str) -> None:
    add_one.makepyfile(RUN_ONCE)
    way = ["--xdevice-dist=load"] if source == "option" else ["-o", "xdevice_dist=load"]
    result = add_one.runpytest("-v", "--junit-xml=run.xml", "--xdevice-report=run.json", *way, *fleet.options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*::test_add[[]cpu-1[]] PASSED on rack-1*", "*::test_add[[]cpu-2[]] PASSED on rack-1*"]
    )
    properties = [
        entry.get("value")
        for entry in ElementTree.parse(add_one.path / "run.xml").iter("property")
        if entry.get("name") == "xdevice.device"
    ]
    assert properties == ["rack-1", "rack-1"]
    tests = json.loads((add_one.path / "run.json").read_text())["tests"]
    assert [(test["name"].partition("::")[2], test["device"]) for test in tests] == [
        ("test_add[1]", "rack-1"),
        ("test_add[2]", "rack-1"),
    ]


def test_a_device_that_somebody_else_has_is_passed_over(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(RUN_ONCE)
    held = fleet.open(0)
    result = add_one.runpytest("-v", "--xdevice-dist=load", *fleet.options)
    held.close()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*PASSED on rack-2*", "*PASSED on rack-2*"])


def test_waiting_for_any_device_has_an_end(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(RUN_ONCE)
    held = [fleet.open(0), fleet.open(1)]
    result = add_one.runpytest("--xdevice-dist=load", "--xdevice-lease-timeout=0.2", *fleet.options)
    for session in held:
        session.close()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: xdevice no device became free: *not free: * holds it; *not free: * holds it"])


def test_who_has_looked_for_long_gets_in_line(
    fleet: Fleet, add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_xdevice.fleet.turns.LOOK_SECONDS", 0.2)
    add_one.makepyfile(RUN_ONCE)
    held = [fleet.open(0), fleet.open(1)]

    def free_the_first() -> None:
        while not fleet.who(0).waiting:
            time.sleep(0.05)
        held[0].close()

    other = threading.Thread(target=free_the_first)
    other.start()
    result = add_one.runpytest("--xdevice-dist=load", "--xdevice-report=run.json", *fleet.options)
    other.join()
    held[1].close()
    result.assert_outcomes(passed=2)
    usage = {entry["device"]: entry for entry in json.loads((add_one.path / "run.json").read_text())["usage"]}
    assert usage["rack-1"]["tests"] == 2
    assert usage["rack-1"]["waited"] > 0.2  # the time that it looked, at least


def test_requirements_choose_the_device_and_fixtures_end_before_it_is_given_back(
    fleet: Fleet, add_one: pytest.Pytester
) -> None:
    add_one.makepyfile(ROUTED)
    add_one.runpytest("--xdevice-dist=load", *fleet.options).assert_outcomes(passed=4)


@pytest.mark.usefixtures("pyopencl")
def test_a_test_for_opencl_goes_where_that_is(fleet: Fleet, add_one: pytest.Pytester) -> None:
    tables = (add_one.path / "xdevice.toml").read_text()
    first, name, second = tables.partition("[devices.rack-2]")
    (add_one.path / "xdevice.toml").write_text(f'{first}env = {{ OCL_ICD_VENDORS = "/nowhere" }}\n{name}{second}')
    add_one.makepyfile(
        """
        import pytest

        @pytest.mark.opencl
        @pytest.mark.parametrize("time", [1, 2])
        def test_opencl(xdevice, time):
            assert xdevice.name == "rack-2"
        """
    )
    result = add_one.runpytest("--xdevice-dist=load", *fleet.options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["xdevice rack-1 OpenCL: *"])


def test_a_test_that_no_device_matches_says_why(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import pytest

        @pytest.mark.xdevice(arch="sparc")
        def test_arch(xdevice): pass

        @pytest.mark.xdevice(name="desk-*")
        def test_name(xdevice): pass
        """
    )
    options = ["--xdevice-dist=load", *fleet.options]
    result = add_one.runpytest("-rs", *options)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "*no device matches: rack-1: needs arch sparc; it is *; rack-2: needs arch sparc; *",
            "*no device matches: rack-1: needs a device named desk-[*]; rack-2: needs a device named desk-[*]*",
        ]
    )
    add_one.runpytest("--xdevice-strict", *options).assert_outcomes(failed=2)


def test_a_unittest_method_runs_on_any_device(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import unittest
        import pytest

        class TestKernel(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _take_device(self, xdevice):
                self.device = xdevice

            def test_name(self):
                assert self.device.name == "rack-1"
        """
    )
    add_one.runpytest("--xdevice-dist=load", *fleet.options).assert_outcomes(passed=1)
