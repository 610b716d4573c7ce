"""What is told of a run: timings, failures, JUnit XML, and all of it from xdist's workers."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

TIMED = """
    import numpy as np
    import pytest
    from kernels import add_one

    @pytest.mark.parametrize("size", [100, 2000])
    def test_speed(xdevice, size):
        a, b = xdevice.array(np.zeros(size, np.float32)), xdevice.empty(size, np.float32)
        timing = xdevice.compile(add_one).time(a, b, number=10, repeat=3)
        assert len(timing.results) == 3

    def test_no_timing(xdevice):
        xdevice.run(add_one, np.zeros(3, np.float32))
"""
FAILING = """
    import numpy as np
    from kernels import add_one

    def test_wrong(xdevice):
        xdevice.run(add_one, np.zeros(3, np.float32))
        xdevice.assert_close(xdevice.run(add_one, np.zeros(5, np.float32)), np.zeros(5, np.float32))
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_timings_are_a_table_of_at_most_80_columns(add_one: pytest.Pytester, workers: list[str]) -> None:
    add_one.makepyfile(TIMED)
    result = add_one.runpytest(*workers)
    result.assert_outcomes(passed=3)
    start = next(index for index, line in enumerate(result.outlines) if "xdevice timings" in line)
    heading, *rows = result.outlines[start + 1 : start + 4]
    assert re.fullmatch(r"device +kernel +shape +median [nµm]?s +stdev [nµm]?s  +GB/s", heading)
    assert sorted(row.split()[:4] for row in rows) == [
        ["local", "cpu", "add_one", "float32[100]"],
        ["local", "cpu", "add_one", "float32[2000]"],
    ]
    assert all(len(line) <= 80 for line in (heading, *rows))
    assert {len(line) for line in rows} == {len(heading)}


def test_a_terminal_without_unicode_has_a_table_with_other_letters(
    add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_speed(xdevice):
            a, b = xdevice.array(np.zeros(1 << 16, np.float32)), xdevice.empty(1 << 16, np.float32)
            xdevice.compile(add_one).time(a, b, number=1, repeat=1)
        """
    )
    result = add_one.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["device * median us  *", "local cpu *"])


def test_without_timings_there_is_no_section(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_add(xdevice): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*xdevice timings*")


@pytest.mark.parametrize("option", ["--no-summary", "-q"])
def test_the_section_can_be_silenced(add_one: pytest.Pytester, option: str) -> None:
    add_one.makepyfile(TIMED)
    result = add_one.runpytest(option)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*xdevice timings*")


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_a_failure_says_where_it_happened(add_one: pytest.Pytester, workers: list[str]) -> None:
    add_one.makepyfile(FAILING)
    result = add_one.runpytest(*workers)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       xdevice.assert_close(*",
            "E *5 of 5 elements*",
            "-* xdevice -*",
            "device     local",
            "kind       cpu",
            "target     *-*-linux-*",
            "CPU        *core*",
            "kernel     add_one (the last of 2 launches)",
            "arguments  a: float32[[]5]",
            "           b: float32[[]5]",
        ]
    )
    result.stdout.no_fnmatch_line("*compare.py*")
    result.stdout.no_fnmatch_line("*-mattr=*")  # lines of it


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_details_count_the_elements_at_each_distance(add_one: pytest.Pytester, workers: list[str]) -> None:
    add_one.makepyfile(FAILING)
    result = add_one.runpytest("-vv", *workers)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *5 of 5 elements*",
            "-* xdevice errors -*",
            "  elements by their error in ULP of float32:",
            "    up to 2^149  5  ##############################",
        ],
    )
    add_one.runpytest("-v").stdout.no_fnmatch_line("*error in ULP of*")


def test_details_of_checked_and_asserted_arrays(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_check(xdevice):
            xdevice.check(add_one, lambda a: a + 2)

        def test_equal(xdevice):
            assert xdevice.array(np.float32([1, 2, 3])) == np.float32([1, 2, 2.5])

        def test_integers(xdevice):
            xdevice.assert_close(np.arange(3), np.arange(3) + 1)
        """
    )
    result = add_one.runpytest_subprocess("-vv")  # a process has hypothesis once, and may have had it before
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: b: arrays are not within*",
            "  elements by their error in ULP of float32:",
            "E *elements by their error in ULP of float32:",
            "E *0           2  ##############################",
            "E *up to 2^21  1  ###############",
        ]
    )
    result.stdout.no_fnmatch_line("*error in ULP of int*")


def test_a_failure_before_any_launch_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_wrong(xdevice): assert False")
    pytester.runpytest().stdout.fnmatch_lines(["device     local", "kernel     none was launched"])


def test_a_test_that_passes_has_no_section(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(TIMED)
    add_one.runpytest("-rA").stdout.no_fnmatch_line("-* xdevice -*")


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_junit_properties_tell_device_kind_target_and_timings(add_one: pytest.Pytester, workers: list[str]) -> None:
    add_one.makepyfile(TIMED)
    add_one.runpytest("--junit-xml=report.xml", *workers).assert_outcomes(passed=3)
    cases = {case.get("name"): case for case in ElementTree.parse(add_one.path / "report.xml").iter("testcase")}
    properties = [
        (entry.get("name"), entry.get("value", "")) for entry in cases["test_speed[cpu-100]"].iter("property")
    ]
    assert [name for name, _ in properties] == ["xdevice.device", "xdevice.kind", "xdevice.target", "xdevice.timing"]
    values = dict(properties)
    assert values["xdevice.device"] == "local"
    assert values["xdevice.kind"] == "cpu"
    assert values["xdevice.target"].startswith("llvm -mtriple=")
    timing = json.loads(values["xdevice.timing"])
    assert timing["kernel"] == "add_one"
    assert timing["arguments"] == ["a: float32[100]", "b: float32[100]"]
    assert timing["number"] == 10
    assert timing["min"] <= timing["mean"] <= timing["max"]
    assert len(timing["results"]) == 3


def test_an_unreachable_device_ends_a_distributed_run_with_a_usage_error(
    pytester: pytest.Pytester, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDEVICE_TOKEN", "secret")
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('i', range(8))\ndef test_add(xdevice, i): pass")
    result = pytester.runpytest("-n2", f"--xdevice={closed_port}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: xdevice {closed_port}: *"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_several_devices_under_xdist(add_one: pytest.Pytester, oldest_python: str) -> None:
    add_one.makepyfile(TIMED)
    result = add_one.runpytest("-n2", "--xdevice=local", f"--xdevice=exec:{oldest_python}")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines_random(["local cpu*add_one*", "exec:*add_one*"])  # as xdist's workers get done
