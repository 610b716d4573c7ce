"""A run of everything has a worker for each processor; any other has one process, or as many as it asks for."""

from __future__ import annotations

import os

import pytest

from tests.boards.board import REPOSITORY

PROCESSORS = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project that is run as this one is."""
    monkeypatch.delenv("XDEVICE_REQUIRE_ALL", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    pytester.makeconftest((REPOSITORY / "conftest.py").read_text())
    pytester.makeini("[pytest]\ntestpaths = .")
    pytester.makepyfile(
        test_a="def test_runs(): pass",
        test_b="""
            import pytest

            @pytest.mark.skip(reason="not here")
            def test_is_marked(): pass
        """,
    )


def test_a_run_of_everything_has_a_worker_for_each_processor(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([f"created: {PROCESSORS}/{PROCESSORS} workers"])


@pytest.mark.parametrize("options", ["test_a.py test_b.py", "-n0", "-p no:xdist", "--pdb", "-s"])
def test_a_part_or_what_somebody_looks_at_stays_in_one_process(pytester: pytest.Pytester, options: str) -> None:
    result = pytester.runpytest_subprocess(*options.split())
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.no_fnmatch_line("*workers*")


def test_a_number_of_workers_that_is_given_is_kept(pytester: pytest.Pytester) -> None:
    pytester.runpytest_subprocess("-n3").stdout.fnmatch_lines(["created: 3/3 workers"])


def test_workers_skip_nothing_where_everything_is_required(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--require-everything")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["--require-everything: *not here*"])


def test_what_tests_start_is_no_worker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a="""
            import os

            def test_runs(): assert [name for name in os.environ if name.startswith("PYTEST_XDIST_WORKER")] == []
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1, skipped=1)
