"""The fixture `xbenchmark`: what it measures, and that pytest-benchmark shows and keeps the device's figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_xdevice.replay import DeviceClock
from pytest_xdevice.timing import Timing

SPEED = """
    import numpy as np
    import pytest
    from kernels import add_one

    @pytest.mark.parametrize("size", [100, 2000])
    def test_speed(xbenchmark, size):
        a = np.ones(size, np.float32)
        np.testing.assert_array_equal(xbenchmark(add_one, a, flops=size, rounds=9), a + 1)
"""
KINDS = """
    import numpy as np
    import pytest
    from kernels import add_one
    from pytest_xdevice import InOut, Out, dim, f32, i32, kernel, parallel

    n = dim("n")

    @kernel
    def double(a: InOut[f32, n]):
        for i in parallel(n):
            a[i] = a[i] + a[i]

    @kernel
    def lazy(a: InOut[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i]

"""


@pytest.fixture
def with_benchmark(add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a pytester whose runs have pytest-benchmark, and in which a warning is an error."""
    pytest.importorskip("pytest_benchmark")
    plugins = ("cacheprovider", "hypothesispytest", "unraisableexception")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join([*(f"-p no:{plugin}" for plugin in plugins), "-W error"]))
    return add_one


def marked(*marks: str) -> str:
    """Return the tests of SPEED with marks."""
    lines = "".join(f"    @pytest.mark.{mark}\n" for mark in marks)
    return SPEED.replace("    @pytest.mark.parametrize", f"{lines}    @pytest.mark.parametrize")


def figures(path: Path) -> list[Any]:
    """Return each test's measurement from a JUnit file."""
    properties = [(entry.get("name"), entry.get("value", "")) for entry in ElementTree.parse(path).iter("property")]
    return [json.loads(value) for name, value in properties if name == "xdevice.timing"]


def test_the_table_and_the_json_have_the_device_s_samples(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(SPEED)
    result = with_benchmark.runpytest("--benchmark-json=figures.json", "--junit-xml=report.xml")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*benchmark: 2 tests*", "test_speed[[]local-cpu-*", "test_speed[[]local-cpu-*"])
    data = json.loads((with_benchmark.path / "figures.json").read_text())
    entries = {entry["param"]: entry for entry in data["benchmarks"]}
    assert set(entries) == {"local-cpu-100", "local-cpu-2000"}
    for measured, entry in zip(figures(with_benchmark.path / "report.xml"), data["benchmarks"], strict=True):
        assert entry["stats"]["data"] == pytest.approx(measured["results"], rel=1e-12)
        assert entry["stats"]["iterations"] == measured["number"]
        assert entry["stats"]["rounds"] == 9
    entry = entries["local-cpu-100"]
    assert entry["params"] == {"size": 100, "xdevice": "local-cpu"}
    facts = entry["extra_info"]
    assert (facts["device"], facts["kind"], facts["kernel"]) == ("local", "cpu", "add_one")
    assert (facts["bytes"], facts["flops"]) == (800, 100)
    assert facts["GB/s"] == pytest.approx(800 / entry["stats"]["median"] / 1e9)
    assert facts["processor"] == data["machine_info"]["xdevice"]["local-cpu"]["processor"]


def test_figures_are_stored_compared_and_fail(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(SPEED)
    with_benchmark.runpytest("--benchmark-autosave").assert_outcomes(passed=2)
    (stored,) = Path(with_benchmark.path, ".benchmarks").glob("*/0001_*.json")
    result = with_benchmark.runpytest("--benchmark-compare=0001")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*local-cpu-100] (NOW)*"])
    data = json.loads(stored.read_text())
    for entry in data["benchmarks"]:
        entry["stats"].update(min=1e-12)
    data["machine_info"]["xdevice"]["local-cpu"]["processor"] = "Pentium"
    stored.write_text(json.dumps(data))
    result = with_benchmark.runpytest("--benchmark-compare=0001", "--benchmark-compare-fail=min:10%")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["xdevice: the figures compared with are of another local-cpu: Pentium, *"])
    result.stderr.fnmatch_lines(["*Performance has regressed*"])


def test_the_histogram_has_the_device_s_samples(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(SPEED)
    # In a process of its own: pygal stays in the way of later runs' plugins, and finds modules as Python 3.10 warns of.
    options = ["--benchmark-histogram=figure", "--junit-xml=report.xml", "-Wignore::ImportWarning"]
    result = with_benchmark.runpytest_subprocess(*options)
    result.assert_outcomes(passed=2)
    drawn = (with_benchmark.path / "figure.svg").read_text(encoding="utf-8")
    told = {float(found) * 1e-9 for found in re.findall(r"Median: ([\d.]+)", drawn)}
    for measured in figures(with_benchmark.path / "report.xml"):
        assert any(median == pytest.approx(measured["median"], rel=1e-3) for median in told)


def test_a_mark_of_the_test_s_own_is_kept(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(
        SPEED.replace("    @pytest.mark.param", "    @pytest.mark.benchmark(group='small')\n    @pytest.mark.param")
    )
    result = with_benchmark.runpytest("--benchmark-only")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*benchmark 'small': 2 tests*"])


@pytest.mark.parametrize(
    "options",
    [["-p", "no:benchmark"], ["-n2"], ["--benchmark-disable"], ["--benchmark-skip"]],
    ids=["without", "xdist", "disabled", "skipped"],
)
def test_where_pytest_benchmark_is_off_no_figure_is_lost(with_benchmark: pytest.Pytester, options: list[str]) -> None:
    with_benchmark.makepyfile(SPEED)
    result = with_benchmark.runpytest("--junit-xml=report.xml", *options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*= xdevice timings =*", "device * kernel *", "local cpu  add_one  *"])
    assert sorted(figure["arguments"][0] for figure in figures(with_benchmark.path / "report.xml")) == [
        "a: float32[100]",
        "a: float32[2000]",
    ]


def test_ids_name_the_device_however_many_there_are(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(SPEED)
    result = with_benchmark.runpytest("--collect-only", "-q", "--xdevice=ssh://pi@rk", "--xdevice-kind=opencl")
    assert "test_speed[ssh-pi@rk-opencl-100]" in result.outlines[0]


def test_markers_route_it(with_benchmark: pytest.Pytester, pyopencl: None) -> None:
    with_benchmark.makepyfile(
        SPEED.replace("    @pytest", "    @pytest.mark.cpu\n    @pytest.mark.opencl\n    @pytest", 1)
    )
    result = with_benchmark.runpytest("-rs")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 4
    result.stdout.fnmatch_lines(["test_speed[[]local-cpu-*"])


def test_what_changes_its_arguments_starts_from_those_that_were_given(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(
        KINDS
        + """
    def test_numpy(xbenchmark):
        a = np.ones(8, np.float32)
        np.testing.assert_array_equal(xbenchmark(double, a), np.full(8, 2, np.float32))
        np.testing.assert_array_equal(a, np.ones(8, np.float32))
        assert xbenchmark.timing.min > 0

    def test_on_the_device(xdevice, xbenchmark):
        a = xdevice.array(np.zeros(8, np.float32))
        assert xbenchmark(xdevice.compile(double), a=a, number=2, rounds=3) is a
        assert (xbenchmark.timing.number, xbenchmark.timing.repeat) == (2, 3)

    def test_several_results(xbenchmark):
        a, b = xbenchmark(lazy, np.ones(8, np.float32), warmup=3, flush_cache=True, rounds=2)
        np.testing.assert_array_equal(a, b)
    """
    )
    with_benchmark.runpytest().assert_outcomes(passed=3)


def test_a_second_use_says_what_to_do(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(
        KINDS
        + """
    def test_twice(xbenchmark):
        xbenchmark(add_one, np.ones(8, np.float32))
        xbenchmark(add_one, np.ones(9, np.float32))

    def test_threads(xdevice, xbenchmark):
        xbenchmark(xdevice.compile(add_one), np.ones(8, np.float32), threads=2)

    def test_number(xbenchmark):
        xbenchmark(add_one, np.ones(8, np.float32), number=0)

    def test_late(request):
        request.getfixturevalue("xbenchmark")
    """
    )
    result = with_benchmark.runpytest()
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E *xbenchmark measures once a test*",
            "E *add_one is compiled already: give threads to xdevice.compile",
            "E *number must be positive*",
            "xbenchmark has to be an argument of the test, *",
        ]
    )
    result.stdout.no_fnmatch_line("*fixture.py*")


def test_a_kernel_that_crashes_is_one_failure(with_benchmark: pytest.Pytester) -> None:
    with_benchmark.makepyfile(
        KINDS
        + """
    @kernel
    def stray(b: Out[f32, 8], at: i32):
        b[at] = f32(0)

    def test_crash(xbenchmark):
        xbenchmark(stray, np.empty(8, np.float32), 100000000)

    def test_next(xbenchmark):
        xbenchmark(add_one, np.ones(8, np.float32))
    """
    )
    result = with_benchmark.runpytest("--benchmark-json=figures.json")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *stray*"])
    data = json.loads((with_benchmark.path / "figures.json").read_text())
    assert [entry["name"] for entry in data["benchmarks"]] == ["test_next[local-cpu]"]


def test_without_such_a_test_pytest_benchmark_s_measuring_is_not_imported_by_us(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import sys

        def test_nothing():
            assert not {"pytest_benchmark", "pytest_xdevice.replay"} & set(sys.modules)
        """
    )
    add_one.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_clock_moves_by_whole_samples_and_forgives_calls_too_many() -> None:
    clock = DeviceClock()
    assert clock() == 0.0
    clock.load(Timing((3e-6, 1e-6), 2))
    seen = []
    for _ in range(5):
        seen.append(clock())
        clock.step()
    assert seen == pytest.approx([0.0, 0.0, 6e-6, 6e-6, 8e-6])
    assert clock() == pytest.approx(8e-6)


def test_rounds_that_are_none_are_told_by_their_name(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_speed(xbenchmark):
            xbenchmark(add_one, np.zeros(3, np.float32), rounds=0)


        def test_repeat(xbenchmark):
            xbenchmark(add_one, np.zeros(3, np.float32), repeat=3)
        """
    )
    result = add_one.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *ArgumentError: xbenchmark: rounds must be positive, a whole number *; got 0",
            "E *ArgumentError: xbenchmark takes the number of samples as rounds=, *; not repeat=",
        ]
    )
