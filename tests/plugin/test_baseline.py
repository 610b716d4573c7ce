"""Figures of a run against those of an earlier one: what fails, what is written, what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SPEED = """
    import numpy as np
    import pytest
    from kernels import add_one

    @pytest.mark.parametrize("size", [100, 2000])
    def test_speed(xbenchmark, size):
        xbenchmark(add_one, np.ones(size, np.float32))

    def test_twice(xdevice):
        f, a, b = xdevice.compile(add_one), xdevice.array(np.ones(50, np.float32)), xdevice.empty(50)
        f.time(a, b)
        f.time(a, b)
"""
STORED = (
    '{"format": "pytest-xdevice baseline", "version": 1, "figures": {"a": [{"kernel": "k", "arguments": [], '
    '"threads": 1, "processor": "p", "key": "", "number": 1, "results": %s}]}}'
)
NO_TIMES = ("[NaN]", "[1e-6, Infinity]", "[-1.0]")
OPTIONS = ("--xdevice-baseline=figures.json", "--xdevice-fail-slower=10%")


@pytest.fixture
def speed(add_one: pytest.Pytester) -> pytest.Pytester:
    """Return a pytester with tests that time kernels."""
    add_one.makepyfile(test_speed=SPEED)
    return add_one


def read(pytester: pytest.Pytester) -> dict[str, Any]:
    """Return what the baseline has."""
    data: dict[str, Any] = json.loads((pytester.path / "figures.json").read_text())
    return data


def change(pytester: pytest.Pytester, **changes: Any) -> None:
    """Change entries of every figure; `factor` multiplies its times."""
    data = read(pytester)
    factor = changes.pop("factor", 1.0)
    for figures in data["figures"].values():
        for figure in figures:
            figure["results"] = [seconds * factor for seconds in figure["results"]]
            figure.update(changes)
    (pytester.path / "figures.json").write_text(json.dumps(data))


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_the_first_run_writes_it(speed: pytest.Pytester, workers: list[str]) -> None:
    result = speed.runpytest(*OPTIONS, *workers)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*figures.json: 4 new", "The new figures are what it has; there was none before.*"])
    figures = read(speed)["figures"]
    assert {test: len(found) for test, found in figures.items()} == {
        "test_speed.py::test_speed[local-cpu-100]": 1,
        "test_speed.py::test_speed[local-cpu-2000]": 1,
        "test_speed.py::test_twice[cpu]": 2,
    }


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_what_is_slower_fails_in_junit_too(speed: pytest.Pytester, workers: list[str]) -> None:
    speed.runpytest(*OPTIONS).assert_outcomes(passed=3)
    change(speed, factor=1e-3)
    before = read(speed)
    result = speed.runpytest(*OPTIONS, *workers, "--junit-xml=report.xml")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "slower by more than 10%: * times the baseline",
            "add_one(a: float32[[]*) takes *, * times the * of the baseline (*",
            "*: 4 slower",
        ]
    )
    report = ElementTree.parse(speed.path / "report.xml")
    assert len(list(report.iter("failure"))) == 3
    found = [
        json.loads(entry.get("value", ""))
        for entry in report.iter("property")
        if entry.get("name") == "xdevice.baseline"
    ]
    assert [entry["finding"] for entry in found] == ["slower"] * 4
    assert all(entry["ratio"] > 100 for entry in found)
    assert read(speed) == before


def test_without_a_limit_what_is_slower_is_told(speed: pytest.Pytester) -> None:
    speed.runpytest(*OPTIONS[:1]).assert_outcomes(passed=3)
    change(speed, factor=1e-3, key="another")
    result = speed.runpytest(*OPTIONS[:1])
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*: 4 slower", "test_speed.py::test_speed*: slower: *; the kernel's code is another one"]
    )


def test_what_is_faster_passes(speed: pytest.Pytester) -> None:
    speed.runpytest(*OPTIONS).assert_outcomes(passed=3)
    change(speed, factor=1e3)
    result = speed.runpytest(*OPTIONS)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*: 4 faster"])


def test_a_new_test_is_added_and_the_others_stay(speed: pytest.Pytester) -> None:
    speed.runpytest(*OPTIONS, "-k2000").assert_outcomes(passed=1, deselected=2)
    change(speed, factor=1e3)
    before = read(speed)["figures"]
    result = speed.runpytest(*OPTIONS)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["The new figures were added to it.*"])
    after = read(speed)["figures"]
    assert len(after) == 3
    assert before.items() <= after.items()


def test_a_failed_test_leaves_no_figure(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(SPEED + "        assert False\n")
    add_one.runpytest(*OPTIONS).assert_outcomes(passed=2, failed=1)
    assert len(read(add_one)["figures"]) == 2


def test_another_device_is_not_compared(speed: pytest.Pytester) -> None:
    speed.runpytest(*OPTIONS).assert_outcomes(passed=3)
    change(speed, factor=1e-3, processor="Pentium")
    before = read(speed)
    result = speed.runpytest(*OPTIONS)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*: 4 elsewhere",
            "*add_one(*) was timed on Pentium, and this is *",
            "Figures of another device are not compared: *",
        ]
    )
    assert read(speed) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no baseline, or a broken one (JSONDecodeError: *"),
        ("[]", "it is no baseline, or a broken one (TypeError: *"),
        ('{"benchmarks": []}', "it is no baseline, or a broken one (KeyError: 'format'*"),
        (
            '{"format": "pytest-xdevice baseline", "version": 9, "figures": {}}',
            "it is of version 9, and this is version 1*",
        ),
        (
            '{"format": "pytest-xdevice baseline", "version": 1, "figures": {"a": [{"kernel": "k"}]}}',
            "it is no *KeyError*",
        ),
        ("[" * 100_000, "it is no baseline, or a broken one (RecursionError: *"),
        (STORED.replace('"number": 1', '"number": 1e999') % "[1.0]", "it is no baseline, *(OverflowError: *"),
        *((STORED % results, "it is no *ValueError: results of k that are no times*") for results in NO_TIMES),
    ],
)
def test_a_broken_file_is_told_before_any_test(speed: pytest.Pytester, text: str, message: str) -> None:
    (speed.path / "figures.json").write_text(text)
    result = speed.runpytest(*OPTIONS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --xdevice-baseline *figures.json: {message}; mend it, or remove it *"])
    assert (speed.path / "figures.json").read_text() == text


def test_a_path_that_cannot_be_written_is_told_before_any_test(speed: pytest.Pytester) -> None:
    (speed.path / "file").write_text("")
    result = speed.runpytest("--xdevice-baseline=file/figures.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xdevice-baseline *: it cannot be written: *file is no folder"])
    result = speed.runpytest("--xdevice-baseline=/proc/figures.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xdevice-baseline *: it cannot be written: *(/proc)"])
    result = speed.runpytest(f"--xdevice-baseline={speed.path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xdevice-baseline *: it is a folder; give a file in it"])


def test_a_device_file_is_no_baseline(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--xdevice-baseline=/dev/zero")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xdevice-baseline /dev/zero: it is no file; give one"])


def test_quiet_runs_tell_what_is_new_or_slower_alone(speed: pytest.Pytester) -> None:
    speed.runpytest("-q", "-k2000", *OPTIONS[:1]).stdout.fnmatch_lines(["*figures.json: 1 new"])
    change(speed, factor=1e3)
    speed.runpytest("-q", "-k2000", *OPTIONS[:1]).stdout.no_fnmatch_line("*figures.json*")
    change(speed, factor=1e-6)
    speed.runpytest("-q", "-k2000", *OPTIONS[:1]).stdout.fnmatch_lines(["*figures.json: 1 slower"])


def test_a_path_that_ceases_to_be_writable_loses_no_result(speed: pytest.Pytester) -> None:
    # A folder of that name appears while the tests run.
    speed.makepyfile(test_z="from pathlib import Path\ndef test_z(): Path('figures.json').mkdir()")
    result = speed.runpytest(*OPTIONS, "--junit-xml=report.xml")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*figures.json could not be written (*): its figures are in the reports alone"])
    assert len(list(ElementTree.parse(speed.path / "report.xml").iter("testcase"))) == 4
    assert not [path for path in Path(speed.path).iterdir() if path.name.startswith("figures.json") and path.is_file()]


@pytest.mark.parametrize("text", ["10", "ten%", "-1%", "nan%", "10%%", ""])
def test_a_limit_is_a_percentage(pytester: pytest.Pytester, text: str) -> None:
    result = pytester.runpytest("--xdevice-baseline=b.json", f"--xdevice-fail-slower={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--xdevice-fail-slower: '{text}' is no percentage; give one such as 10%"])


def test_a_limit_needs_a_baseline(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--xdevice-fail-slower=10%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xdevice-fail-slower needs --xdevice-baseline FILE*"])


def test_the_ini_file_names_both(speed: pytest.Pytester) -> None:
    speed.makeini("[pytest]\nxdevice_baseline = figures.json\nxdevice_fail_slower = 10%")
    speed.runpytest("-k2000").assert_outcomes(passed=1, deselected=2)
    change(speed, factor=1e-3)
    speed.runpytest("-k2000").assert_outcomes(failed=1, deselected=2)
