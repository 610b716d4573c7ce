"""``--xdevice-report``: what a run leaves in its files, in one process and in several, and what if it cannot."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import pytest_xdevice.report as report_package

RUN = """
    import numpy as np
    import pytest
    from kernels import add_one

    @pytest.mark.parametrize("size", [100, 2000])
    def test_speed(xdevice, size):
        a, b = xdevice.array(np.zeros(size, np.float32)), xdevice.empty(size, np.float32)
        xdevice.compile(add_one).time(a, b, number=10, repeat=3)

    def test_wrong(xdevice):
        print("on the way")
        xdevice.assert_close(xdevice.run(add_one, np.zeros(5, np.float32)), np.zeros(5, np.float32))

    @pytest.mark.skip(reason="not today")
    def test_skipped(xdevice): pass

    @pytest.mark.xfail(reason="known")
    def test_known(xdevice): assert 0

    @pytest.fixture
    def broken(): raise RuntimeError("no such thing")

    def test_error(broken): pass

    def test_host(): pass
"""


def read(path: Path) -> dict[str, Any]:
    """Return a JSON report that follows the schema."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    schema = json.loads(Path(report_package.__path__[0], "schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(data, schema)
    return data


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_a_run_is_told_in_all_formats(add_one: pytest.Pytester, workers: list[str]) -> None:
    add_one.makepyfile(test_run=RUN)
    reports = [f"--xdevice-report=out/report.{suffix}" for suffix in ("json", "md", "html")]
    result = add_one.runpytest(*workers, *reports)
    result.assert_outcomes(passed=3, failed=1, skipped=1, xfailed=1, errors=1)
    result.stdout.fnmatch_lines(["xdevice report: */out/report.json", "*report.md", "*report.html"])
    data = read(add_one.path / "out" / "report.json")
    assert data["counts"] == {"failed": 1, "error": 1, "xfailed": 1, "skipped": 1, "passed": 3}
    assert [device["name"] for device in data["devices"]] == ["local"]
    assert data["devices"][0]["cores"] >= 1
    tests = {test["name"]: test for test in data["tests"]}
    assert set(tests) == {
        f"test_run.py::test_{name}"
        for name in ("speed[100]", "speed[2000]", "wrong", "skipped", "known", "error", "host")
    }
    wrong = tests["test_run.py::test_wrong"]
    assert (wrong["id"], wrong["device"], wrong["kind"]) == ("test_run.py::test_wrong[cpu]", "local", "cpu")
    assert wrong["message"].startswith("AssertionError: arrays are not within")
    assert "def test_wrong(xdevice):" in wrong["details"]
    assert {"title": "Captured stdout call", "text": "on the way\n"} in wrong["sections"]
    assert tests["test_run.py::test_skipped"]["message"] == "not today"
    assert tests["test_run.py::test_skipped"]["device"] == "local"
    assert tests["test_run.py::test_host"]["device"] is None
    assert [timing["kernel"] for timing in data["timings"]] == ["add_one"] * 2
    assert all(len(timing["results"]) == 3 for timing in data["timings"])
    assert "`test_run.py::test_wrong` | ❌" in (add_one.path / "out" / "report.md").read_text(encoding="utf-8")
    assert "test_wrong[cpu]" in (add_one.path / "out" / "report.html").read_text(encoding="utf-8")
    assert not list((add_one.path / "out").glob(".*"))


def test_tests_on_several_devices_share_a_row(add_one: pytest.Pytester, oldest_python: str) -> None:
    add_one.makepyfile(test_run=RUN)
    add_one.runpytest("--xdevice=local", f"--xdevice=exec:{oldest_python}", "--xdevice-report=r.json", "-k", "speed")
    data = read(add_one.path / "r.json")
    assert {test["name"] for test in data["tests"]} == {"test_run.py::test_speed[100]", "test_run.py::test_speed[2000]"}
    assert len(data["tests"]) == 4
    assert {device["name"] for device in data["devices"]} == {test["device"] for test in data["tests"]}


def test_the_ini_file_names_reports_beside_itself(add_one: pytest.Pytester) -> None:
    add_one.makeini("[pytest]\nxdevice_report =\n    r.json\n    r.md\n")
    add_one.makepyfile("def test_host(): pass")
    add_one.runpytest().assert_outcomes(passed=1)
    assert read(add_one.path / "r.json")["counts"] == {"passed": 1}
    assert (add_one.path / "r.md").exists()


def test_files_that_cannot_be_collected_are_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_broken="import no_such_module")
    pytester.runpytest("--xdevice-report=r.json")
    (broken,) = read(pytester.path / "r.json")["tests"]
    assert (broken["id"], broken["outcome"]) == ("test_broken.py", "error")
    assert "no_such_module" in broken["message"]


def test_a_report_without_a_name_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--xdevice-report=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--xdevice-report: the value is empty; leave the option out for the default"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("r.txt", "a report's name ends in .html, .json or .md"),
        ("file/r.json", "*"),
        ("folder.html", "it is a folder; give a file in it"),
        ("/proc/r.json", "* (/proc)"),  # where nobody can make a file, root included
    ],
)
def test_a_report_that_cannot_be_written_is_refused_at_once(pytester: pytest.Pytester, name: str, message: str) -> None:
    pytester.makepyfile("def test_host(): print('ran')")
    (pytester.path / "file").write_text("")
    (pytester.path / "folder.html").mkdir()
    result = pytester.runpytest(f"--xdevice-report={name}", "-s")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --xdevice-report: {pytester.path / name} cannot be written: {message}"])
    result.stdout.no_fnmatch_line("*ran*")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("r.json", "Permission denied (*/out)"),
        ("sub/r.html", "Permission denied (*/sub)"),
        ("old.md", "it is read-only"),
        ("closed/r.json", "Permission denied (*/closed)"),
    ],
)
def test_what_is_read_only_is_refused_at_once(pytester: pytest.Pytester, name: str, message: str) -> None:
    pytester.makepyfile("def test_host(): print('ran')")
    (pytester.path / "out").mkdir()
    (pytester.path / "out" / "old.md").touch(0o444)
    (pytester.path / "out" / "closed").mkdir(0o444)
    (pytester.path / "out").chmod(0o555)
    # Root may write everywhere and look into everything, but for the privileges to.
    privileges = "-dac_override,-dac_read_search"
    user = ["setpriv", f"--bounding-set={privileges}", f"--inh-caps={privileges}"] if os.geteuid() == 0 else []
    result = pytester.run(*user, sys.executable, "-m", "pytest", f"--xdevice-report=out/{name}", "-s")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --xdevice-report: */out/{name} cannot be written: {message}"])
    result.stdout.no_fnmatch_line("*ran*")


def test_a_folder_that_goes_bad_meanwhile_loses_no_result(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytester.makepyfile(
        """
        import pathlib, shutil
        def test_host():
            shutil.rmtree("out")
            pathlib.Path("out").write_text("in the way")
        """
    )
    result = pytester.runpytest("--xdevice-report=out/r.json")
    result.assert_outcomes(passed=1)
    (line,) = [line for line in result.outlines if line.startswith("xdevice report: cannot write")]
    kept = Path(line.partition("it is in ")[2].removesuffix(" instead"))
    assert read(kept)["counts"] == {"passed": 1}
    kept.unlink()
    kept.parent.rmdir()


def test_github_gets_a_summary(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = pytester.path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    pytester.makepyfile("def test_host(): pass")
    pytester.runpytest("--xdevice-report=r.md").assert_outcomes(passed=1)
    assert summary.read_text(encoding="utf-8").startswith("before\n\n## xdevice: 1 passed")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path))
    result = pytester.runpytest("--xdevice-report=r.md")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["xdevice report: cannot add to GITHUB_STEP_SUMMARY: *"])


def test_nothing_is_written_when_no_test_would_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_host(): pass")
    pytester.runpytest("--xdevice-report=r.json", "--collect-only")
    assert not (pytester.path / "r.json").exists()


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_a_failed_comparison_has_its_picture_and_what_it_left_in_the_reports(
    add_one: pytest.Pytester, workers: list[str]
) -> None:
    add_one.makepyfile(
        test_it="""
        import numpy as np
        from kernels import add_one

        def test_wrong(xdevice):
            xdevice.assert_close(xdevice.run(add_one, np.float32([0, 1, 2])), np.float32([1, 2, 7]))

        def test_check(xdevice):
            xdevice.check(add_one, lambda a: a + 2, max_examples=40)

        def test_other(xdevice):
            assert False
        """
    )
    options = ["--xdevice-report=r.json", "--xdevice-report=r.html", "--junitxml=r.xml", "--xdevice-artifacts=kept"]
    add_one.runpytest_subprocess(*options, *workers).assert_outcomes(failed=3)
    data = read(add_one.path / "r.json")
    tests = data["tests"]
    ((device, kernel, size),) = [(each["device"], each["kernel"], each["size"]) for each in data["artifacts"]]
    assert (device, kernel) == ("local", "add_one")
    assert size > 1000
    kept = [Path(test["kept"]) for test in tests if test["kept"]]
    assert [(folder.name, folder.is_dir()) for folder in kept] == [
        ("test_it.py-test_wrong[cpu]", True), ("test_it.py-test_check[cpu]", True),
    ]  # fmt: skip
    assert 'href="kept/test_it.py-test_wrong%5Bcpu%5D/"' in (add_one.path / "r.html").read_text(encoding="utf-8")
    pictures = {test["id"].split("::")[1]: test["picture"] for test in tests}
    assert pictures["test_wrong[cpu]"] == {
        "shape": [3], "dtype": "float32", "mismatches": 1, "block": [1, 1],
        "counts": [[0, 0, 1]], "errors": [[None, None, 4.0]],
    }  # fmt: skip
    assert pictures["test_check[cpu]"]["mismatches"] == 1
    assert pictures["test_other[cpu]"] is None
    assert "Where the errors of" in (add_one.path / "r.html").read_text(encoding="utf-8")
    assert "mismatches" not in (add_one.path / "r.xml").read_text(encoding="utf-8")


def test_every_execution_counts_where_each_worker_runs_every_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import time
        from pathlib import Path

        def test_one(xdevice):
            if os.environ["PYTEST_XDIST_WORKER"] == "gw0":
                assert False
            while not Path("gw0-is-done").exists():
                time.sleep(0.01)
        """
    )
    pytester.makeconftest(
        """
        from pathlib import Path

        def pytest_runtest_logreport(report):
            if hasattr(report, "node") and report.failed:
                Path("gw0-is-done").touch()
        """
    )
    reports = ["--xdevice-report=r.json", "--xdevice-report=r.md"]
    pytester.runpytest("-n2", "--dist=each", *reports).assert_outcomes(passed=1, failed=1)
    data = read(pytester.path / "r.json")
    assert data["counts"] == {"failed": 1, "passed": 1}
    assert [(entry["tests"], entry["failures"]) for entry in data["usage"]] == [(2, 1)]
    assert "::test_one` | ❌ |" in (pytester.path / "r.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has had subtests since version 9")
def test_the_time_of_a_subtest_counts_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import time

        def test_one(xdevice, subtests):
            with subtests.test():
                time.sleep(0.01)
        """
    )
    pytester.makeconftest(
        """
        import json
        from pathlib import Path

        durations = []

        def pytest_runtest_logreport(report):
            if type(report).__name__ == "TestReport":
                durations.append(report.duration)

        def pytest_unconfigure():
            Path("durations.json").write_text(json.dumps(durations))
        """
    )
    pytester.runpytest("--xdevice-report=r.json").assert_outcomes(passed=1)
    durations = json.loads((pytester.path / "durations.json").read_text())
    data = read(pytester.path / "r.json")
    assert len(durations) == 3
    assert data["tests"][0]["seconds"] == data["usage"][0]["used"] == pytest.approx(sum(durations))
