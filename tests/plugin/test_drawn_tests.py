"""Tests with ``@given`` that ask for the fixture `xdevice`."""

from __future__ import annotations

import pytest

from .conftest import UNUSED_PLUGINS

GIVEN = """
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from kernels import add_one
from pytest_xdevice.strategies import arguments

seen = []
"""


@pytest.fixture
def drawing(add_one: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a pytester in which hypothesis's own plugin is on."""
    unused = [plugin for plugin in UNUSED_PLUGINS if plugin != "hypothesispytest"]
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join([*(f"-p no:{plugin}" for plugin in unused), "-W error"]))
    return add_one


def test_the_fixture_works_and_frees_what_each_example_allocated(drawing: pytest.Pytester) -> None:
    drawing.makepyfile(
        GIVEN
        + """
@pytest.fixture
def kept(xdevice):
    return xdevice.array(np.ones(3, np.float32))

@pytest.fixture(autouse=True)
def before(kept):
    pass

@given(args=arguments(add_one))
def test_function(xdevice, args):
    seen.append(len(xdevice._arrays))
    np.testing.assert_array_equal(xdevice.run(add_one, xdevice.array(args[0])), args[0] + 1)
    assert len(xdevice._arrays) == 2

class TestClass:
    @pytest.mark.cpu
    @pytest.mark.parametrize("more", [0, 1])
    @settings(max_examples=20)
    @given(args=arguments(add_one))
    def test_method(self, xdevice, more, args):
        np.testing.assert_array_equal(xdevice.run(add_one, *args), args[0] + 1)

def test_that_all_started_alike():
    assert len(seen) >= 100
    assert set(seen) == {1}
"""
    )
    drawing.runpytest_subprocess("-W", "ignore::hypothesis.errors.HypothesisWarning").assert_outcomes(passed=4)


def test_a_failure_shows_the_simplest_example(drawing: pytest.Pytester) -> None:
    drawing.makepyfile(
        GIVEN
        + """
@given(args=arguments(add_one))
def test_wrong(xdevice, args):
    xdevice.assert_close(xdevice.run(add_one, *args)[16:], args[0][16:])
"""
    )
    result = drawing.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*1 of 1 elements of float32*", "E*args=(array([[]0., 0., 0.,*", "arguments  a: float32[[]17]"]
    )


def test_other_fixtures_of_a_single_test_are_still_refused(drawing: pytest.Pytester) -> None:
    drawing.makepyfile(
        GIVEN
        + """
@given(args=arguments(add_one))
def test_wrong(xdevice, tmp_path, args):
    pass
"""
    )
    result = drawing.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*FailedHealthCheck*uses a function-scoped fixture*"])
