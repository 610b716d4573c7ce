"""Every function of the math table stays within the error that docs/reference/language.md states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.accuracy import INEXACT
from benchmarks.accuracy import measure
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import ScalarType
from tests.kernel.ways import WAYS

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "language.md"
_COLUMNS = [("llvm", f32), ("opencl", f32), ("llvm", f64), ("opencl", f64)]
_COUNTS = {f32: 1 << 17, f64: 100}


def stated_bounds() -> dict[str, list[float]]:
    """Return the rows of the page's table of errors."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", _PAGE.read_text(), re.MULTILINE
    )
    return {name: [float(bound) for bound in bounds] for name, *bounds in rows}


def test_the_page_states_a_bound_for_every_function_that_rounds() -> None:
    assert stated_bounds().keys() == set(INEXACT)


@pytest.mark.parametrize("column", range(4), ids=[f"{way}-{scalar}" for way, scalar in _COLUMNS])
@pytest.mark.parametrize("name", INEXACT)
def test_errors_stay_within_the_stated_bound(request: pytest.FixtureRequest, name: str, column: int) -> None:
    way, scalar = _COLUMNS[column]
    if way == "opencl":
        request.getfixturevalue("opencl_device")
    worst = measure(name, scalar, WAYS[way], _COUNTS[scalar])
    assert worst.ulp <= stated_bounds()[name][column] + _slack(scalar), worst


def _slack(scalar: ScalarType) -> float:
    """Return what the measure itself is off by: that of f32 is taken in f64."""
    return 1e-6 if scalar == f32 else 1e-9
